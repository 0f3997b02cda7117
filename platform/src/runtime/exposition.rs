//! The text format of Prometheus (version 0.0.4), and the file that node_exporter reads it from. Names have base units,
//! and counters end in `_total`.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{fs, process};

/// Metrics as text. They come in families: a family is begun, then its samples follow.
#[derive(Debug, Default)]
pub struct Page(String);

/// The kind of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Page {
    /// Begins a family of samples. `help` is one sentence.
    pub fn family(&mut self, name: &'static str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample to the last family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let name =
            self.0.rsplit("# TYPE ").next().and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let mut line = name.to_owned();
        for (at, (label, text)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(line, "{before}{label}=\"{}\"", escaped(text));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{line}{end} {value}");
    }

    /// Adds a family of one sample.
    pub fn one(&mut self, name: &'static str, help: &str, kind: Kind, value: impl Display) {
        self.family(name, help, kind);
        self.sample(&[], value);
    }

    /// Adds a sample for each reason, also for those that did not occur: a series that begins with its first event
    /// cannot show it as a change.
    pub fn by_reason<const N: usize>(
        &mut self,
        label: &str,
        reasons: [&'static str; N],
        counts: &BTreeMap<&'static str, u64>,
    ) {
        for reason in reasons {
            self.sample(&[(label, reason)], counts.get(reason).copied().unwrap_or(0));
        }
    }

    /// Returns the text.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Puts a file with these bytes, mode 0644, in the place of `path` in one step: node_exporter reads it at any time.
///
/// # Errors
/// The error of the file system; the file is as it was then.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    // node_exporter reads what ends in .prom, which this does not.
    let fresh = directory.join(format!(".{name}.{}", process::id()));
    let _ = fs::remove_file(&fresh);
    let written = write(&fresh, bytes).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(bytes)
}

/// Escapes the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_help_its_type_and_its_samples() {
        let mut page = Page::default();
        page.one("a_total", "How many.", Kind::Counter, 3);
        page.family("b", "How much.", Kind::Gauge);
        page.sample(&[("x", "1"), ("y", "a\"b")], 0.5);
        page.by_reason("why", ["one", "two"], &[("two", 7)].into());
        let lines = [
            "# HELP a_total How many.",
            "# TYPE a_total counter",
            "a_total 3",
            "# HELP b How much.",
            "# TYPE b gauge",
            "b{x=\"1\",y=\"a\\\"b\"} 0.5",
            "b{why=\"one\"} 0",
            "b{why=\"two\"} 7",
        ];
        assert_eq!(page.into_text().lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_label_cannot_end_its_line() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn the_file_is_replaced_in_one_step_readable_by_all_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (path, other) = (dir.path().join("glancecast.prom"), dir.path().join("other"));
        fs::write(&other, "theirs").expect("writable");
        let fresh = dir.path().join(format!(".glancecast.prom.{}", process::id()));
        std::os::unix::fs::symlink(&other, &fresh).expect("writable");
        replace_file(&path, b"one 1\n").expect("writable");
        replace_file(&path, b"two 2\n").expect("writable");
        assert_eq!(fs::read_to_string(&path).expect("there"), "two 2\n");
        assert_eq!(fs::read_to_string(&other).expect("there"), "theirs");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 2, "nothing is left");
        replace_file(&dir.path().join("no/file"), b"").expect_err("no such directory");
    }
}
