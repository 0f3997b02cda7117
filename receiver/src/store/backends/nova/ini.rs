//! Configuration files of OpenStack services, as oslo.config reads them: sections, `key = value` or `key: value`,
//! indented continuation lines, `$name` for the value of another option. Later values win.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The options of several files; later files win.
#[derive(Debug, Default)]
pub(super) struct Ini {
    /// Values by section and option. Section names other than DEFAULT are case-insensitive.
    values: BTreeMap<(String, String), String>,
}

/// The names of an option, as (section, name); an option with an older name has several.
pub(super) type Names<'a> = &'a [(&'static str, &'static str)];

/// A configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum IniError {
    #[error("{}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{} {error}", path.display())]
    Syntax { path: PathBuf, error: SyntaxError },
}

/// A line that oslo.config would reject as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub(super) struct SyntaxError {
    line: usize,
    why: BadLine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum BadLine {
    #[error("an indented line that goes on with nothing")]
    Indented,
    #[error("not a section")]
    Section,
    #[error("neither a section nor an option")]
    Neither,
    #[error("an option without a name, or outside of any section")]
    Option,
}

/// The value of an option cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ValueError {
    #[error("[{section}] {name} = {}: {why}", value.escape_debug())]
    Substitution { section: &'static str, name: &'static str, value: String, why: SubstitutionError },
    #[error("{name} = {}: {not}", value.escape_debug())]
    Type { name: &'static str, value: String, not: &'static str },
}

/// A value refers to an option that cannot be substituted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SubstitutionError {
    #[error("with what it names it is longer than {VALUE_BYTES_MAX} bytes")]
    TooLong,
    /// A cycle, or too many references.
    #[error("${} leads to itself, or to too many others", .0.escape_debug())]
    TooMany(String),
    #[error("${} is set in none of these files", .0.escape_debug())]
    NotSet(String),
}

impl Ini {
    /// Reads files in their order. A directory stands for its `*.conf` files, sorted by name.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, IniError> {
        let mut ini = Self::default();
        for path in paths {
            for path in files(path)? {
                let mut text = String::new();
                let read =
                    File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
                match read.map(|_| ini.add(&text)) {
                    Err(error) => return Err(IniError::Read { path, error }),
                    Ok(Err(error)) => return Err(IniError::Syntax { path, error }),
                    Ok(Ok(())) => {}
                }
            }
        }
        Ok(ini)
    }

    /// Parses a single file's text.
    #[cfg(any(test, fuzzing))]
    pub(super) fn of_text(text: &str) -> Result<Self, SyntaxError> {
        let mut ini = Self::default();
        ini.add(text)?;
        Ok(ini)
    }

    /// Adds a file's text.
    fn add(&mut self, text: &str) -> Result<(), SyntaxError> {
        let mut section = String::new();
        let mut open: Option<(String, String)> = None;
        for (line, text) in (1..).zip(text.lines()) {
            let bad = |why| Err(SyntaxError { line, why });
            let line = text.trim_end();
            if line.is_empty() {
                open = None;
            } else if line.starts_with([' ', '\t']) {
                let value = open.as_ref().and_then(|key| self.values.get_mut(key));
                let Some(value) = value else { return bad(BadLine::Indented) };
                value.push('\n');
                value.push_str(line.trim_start());
            } else if let Some(name) = line.strip_prefix('[') {
                open = None;
                match name.strip_suffix(']') {
                    Some(name) if !name.is_empty() => section = normal(name),
                    _ => return bad(BadLine::Section),
                }
            } else if line.starts_with(['#', ';']) {
                open = None;
            } else {
                let Some(at) = line.find([':', '=']) else { return bad(BadLine::Neither) };
                let key = line[..at].trim();
                if key.is_empty() || section.is_empty() {
                    return bad(BadLine::Option);
                }
                let key = (section.clone(), key.to_owned());
                self.values.insert(key.clone(), unquoted(line[at + 1..].trim()).to_owned());
                open = Some(key);
            }
        }
        Ok(())
    }

    /// Returns the value of an option after substitution; `None` if it is not set.
    pub(super) fn text(&self, names: Names<'_>) -> Result<Option<String>, ValueError> {
        let found = names.iter().find_map(|&(section, name)| {
            self.values.get(&(normal(section), name.to_owned())).map(|value| (section, name, value))
        });
        match found {
            None => Ok(None),
            Some((section, name, value)) => self
                .substitute(section, value, &mut { NAMED_MAX })
                .map(Some)
                .map_err(|why| ValueError::Substitution { section, name, value: value.clone(), why }),
        }
    }

    /// Returns a boolean, in oslo.config's notation.
    pub(super) fn truth(&self, names: Names<'_>) -> Result<Option<bool>, ValueError> {
        self.parsed(names, "neither true nor false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Some(true),
            "false" | "0" | "off" | "no" => Some(false),
            _ => None,
        })
    }

    /// Returns a number of seconds.
    pub(super) fn seconds(&self, names: Names<'_>) -> Result<Option<u64>, ValueError> {
        self.parsed(names, "not a number of seconds", |text| text.parse().ok())
    }

    fn parsed<T>(
        &self,
        names: Names<'_>,
        not: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ValueError> {
        let Some(value) = self.text(names)? else { return Ok(None) };
        match parse(value.trim()) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(ValueError::Type { name: names[0].1, value, not }),
        }
    }

    /// Substitutes `$name`, `${name}` and `${section.name}`, `left` of them at most; `$$` and `\$` are a dollar sign.
    fn substitute(&self, section: &str, value: &str, left: &mut u32) -> Result<String, SubstitutionError> {
        let value = value.replace("\\$", "$$");
        let mut out = String::new();
        let mut rest = value.as_str();
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let (name, after) = match rest.strip_prefix('{') {
                Some(inner) => inner.split_once('}').unwrap_or(("", rest)),
                None => rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len())),
            };
            if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                out.push('$');
                continue;
            }
            out.push_str(&self.named(section, name, left)?);
            if out.len() > VALUE_BYTES_MAX {
                return Err(SubstitutionError::TooLong);
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn named(&self, section: &str, name: &str, left: &mut u32) -> Result<String, SubstitutionError> {
        *left = left.checked_sub(1).ok_or_else(|| SubstitutionError::TooMany(name.to_owned()))?;
        let (of, option) = name.split_once('.').unwrap_or((section, name));
        let found = [of, "DEFAULT"].into_iter().find_map(|of| {
            self.values.get(&(normal(of), option.to_owned())).map(|value| (of.to_owned(), value))
        });
        match found {
            Some((of, value)) => self.substitute(&of, value, left),
            None if option == "state_path" => Ok(STATE_PATH.to_owned()),
            None => Err(SubstitutionError::NotSet(name.to_owned())),
        }
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, IniError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(|error| IniError::Read { path: path.to_owned(), error })?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "conf"));
    files.sort();
    Ok(files)
}

fn normal(section: &str) -> String {
    if section == "DEFAULT" { section.to_owned() } else { section.to_lowercase() }
}

fn unquoted(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
}

/// Nova's state directory in distributions. Nova's own default is the directory of its Python package.
pub(super) const STATE_PATH: &str = "/var/lib/nova";

/// Most references followed for one option, including nested ones: more is a cycle, or a value that doubles with each.
const NAMED_MAX: u32 = 64;
/// More bytes than any path has.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Largest configuration file. Nova's sample, all comments, has 300 kB.
const FILE_BYTES_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_oslo_config_reads_them() {
        let ini = ini(
            "# a comment\n[DEFAULT]\n; another\nplain = a b # no comment\ncolon: x=y\nquoted = \"  q \"\n\
                       several = one\n  two\n\tthree\nempty =\nplain2=1\nplain2 = 2\n\n[LibVirt]\nimages_type = rbd\n",
        );
        for (section, name, value) in [
            ("DEFAULT", "plain", Some("a b # no comment")),
            ("DEFAULT", "colon", Some("x=y")),
            ("DEFAULT", "quoted", Some("  q ")),
            ("DEFAULT", "several", Some("one\ntwo\nthree")),
            ("DEFAULT", "empty", Some("")),
            ("DEFAULT", "plain2", Some("2")),
            ("libvirt", "images_type", Some("rbd")),
            ("libvirt", "plain", None),
            ("default", "plain", None),
        ] {
            assert_eq!(ini.text(&[(section, name)]).as_ref().map(Option::as_deref), Ok(value), "{name}");
        }
    }

    #[test]
    fn what_oslo_config_refuses_is_refused_with_its_line() {
        for (text, line) in [
            ("a = b\n", 1),
            ("[DEFAULT]\n\n  goes on\n", 3),
            ("[DEFAULT\n", 1),
            ("[]\n", 1),
            ("[DEFAULT]\nnothing\n", 2),
            ("[DEFAULT]\n= x\n", 2),
        ] {
            assert_eq!(Ini::default().add(text).map_err(|error| error.line), Err(line), "{text:?}");
        }
    }

    #[test]
    fn values_name_other_options() {
        let ini = ini("[DEFAULT]\nstate_path = /srv\nmy_ip = 10.0.0.1\npath = $state_path/instances\n\
                       escaped = $$state_path \\$x $5 a$\ncircle = $circle\nunknown = $nothing\n\
                       [image_cache]\nname = _base_${my_ip}\nother = ${image_cache.name}.x\n");
        let text = |section, name| ini.text(&[(section, name)]);
        assert_eq!(text("DEFAULT", "path"), Ok(Some("/srv/instances".into())));
        assert_eq!(text("DEFAULT", "escaped"), Ok(Some("$state_path $x $5 a$".into())));
        assert_eq!(text("image_cache", "name"), Ok(Some("_base_10.0.0.1".into())));
        assert_eq!(text("image_cache", "other"), Ok(Some("_base_10.0.0.1.x".into())));
        assert!(text("DEFAULT", "circle").expect_err("endless").to_string().contains("itself"));
        assert!(text("DEFAULT", "unknown").expect_err("not set").to_string().contains("$nothing"));
    }

    #[test]
    fn a_value_that_multiplies_with_each_option_that_it_names_is_refused() {
        for last in ["x", ""] {
            let mut text = format!("[DEFAULT]\nb0 = {last}\n");
            (1..12).for_each(|n| text += &format!("b{n} = {}\n", format!("$b{}", n - 1).repeat(1_000)));
            let error =
                ini(&text).text(&[("DEFAULT", "b11")]).expect_err("a thousand times a thousand").to_string();
            assert!(error.contains("too many"), "{error}");
        }
        let long = format!("[DEFAULT]\nlong = {}\ntwice = $long$long\n", "x".repeat(40_000));
        assert!(ini(&long).text(&[("DEFAULT", "twice")]).expect_err("80 000").to_string().contains("longer"));
    }

    #[test]
    fn what_is_quoted_of_a_file_stays_one_line() {
        let ini = ini("[DEFAULT]\nname = ${b\u{10}}\nlines = $c\n  more\nnumber = 1\n  2\n");
        for name in ["name", "lines"] {
            let error = ini.text(&[("DEFAULT", name)]).expect_err("not set").to_string();
            assert!(!error.contains(char::is_control), "{error:?}");
        }
        let error = ini.seconds(&[("DEFAULT", "number")]).expect_err("no number").to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }

    #[test]
    fn truths_and_numbers_are_checked() {
        let ini = ini("[DEFAULT]\nyes = Yes\nno = off\nbad = maybe\nn = 60\nnegative = -1\n");
        assert_eq!(ini.truth(&[("DEFAULT", "yes")]), Ok(Some(true)));
        assert_eq!(ini.truth(&[("DEFAULT", "no")]), Ok(Some(false)));
        assert!(ini.truth(&[("DEFAULT", "bad")]).is_err());
        assert_eq!(ini.seconds(&[("DEFAULT", "missing"), ("DEFAULT", "n")]), Ok(Some(60)));
        assert!(ini.seconds(&[("DEFAULT", "negative")]).is_err());
    }

    #[test]
    fn later_files_win_and_a_directory_is_its_files() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (first, more) = (dir.path().join("nova.conf"), dir.path().join("nova.conf.d"));
        fs::create_dir(&more).expect("made");
        for (path, text) in [
            (first.clone(), "[DEFAULT]\na = 1\nb = 1\nc = 1\n"),
            (more.join("20.conf"), "[DEFAULT]\nb = 3\n"),
            (more.join("10.conf"), "[DEFAULT]\nb = 2\nc = 2\n"),
            (more.join("notes.txt"), "no configuration"),
        ] {
            fs::write(path, text).expect("written");
        }
        let ini = Ini::read(&[first, more]).expect("readable");
        for (name, value) in [("a", "1"), ("b", "3"), ("c", "2")] {
            assert_eq!(ini.text(&[("DEFAULT", name)]), Ok(Some(value.to_owned())));
        }
        let error = Ini::read(&[dir.path().join("missing.conf")]).expect_err("not there").to_string();
        assert!(error.contains("missing.conf"), "{error}");
    }

    fn ini(text: &str) -> Ini {
        let mut ini = Ini::default();
        ini.add(text).expect("correct");
        ini
    }
}
