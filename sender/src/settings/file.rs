//! One configuration file: its text becomes layers, or all of its mistakes.
//!
//! ```text
//! default_profile = "lab"         used where no other is asked for
//! interface = "eth1"              in every profile
//! [profile.prod]
//! group = "239.1.2.3:7167"
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use glancecast_proto::wire::printable;

use super::catalog::{Kind, Setting};
use super::error::SettingsError;
use super::layers::{Entry, Layer, Origin};

/// The settings of one file.
#[derive(Debug, Default)]
pub(super) struct FileSettings {
    /// The profile that is used by default.
    pub(super) default_profile: Option<String>,
    /// What stands outside the profiles.
    pub(super) base: Layer,
    pub(super) profiles: BTreeMap<String, Layer>,
}

/// Parses a file.
///
/// # Errors
/// All mistakes. An unknown name is one: a misspelt `interface` would send an image elsewhere.
pub(super) fn parse(text: &str, path: &Path) -> Result<FileSettings, Vec<SettingsError>> {
    let table = DeTable::parse(text).map_err(|error| vec![syntax(&error, text, path)])?;
    let mut reader = Reader { text, path, errors: Vec::new() };
    let mut settings = FileSettings::default();
    for (key, value) in table.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("default_profile", DeValue::String(name)) => settings.default_profile = Some(name.to_string()),
            ("profile", DeValue::Table(profiles)) => {
                for (name, profile) in profiles {
                    if let Some(layer) = reader.profile(name.get_ref(), profile) {
                        settings.profiles.insert(name.get_ref().to_string(), layer);
                    }
                }
            }
            _ => settings.base.0.extend(reader.entry(key.get_ref(), key.span().start, value, None)),
        }
    }
    settings.base.0.sort_by_key(|entry| line_of(&entry.origin));
    match reader.errors.is_empty() {
        true => Ok(settings),
        false => Err(reader.errors),
    }
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    errors: Vec<SettingsError>,
}

impl Reader<'_> {
    fn profile(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Layer> {
        let DeValue::Table(table) = value.get_ref() else {
            let (origin, error) =
                (self.origin(value.span().start, None), "begin a profile with [profile.NAME]");
            self.errors.push(SettingsError::Value { origin, name: "profile".into(), error: error.into() });
            return None;
        };
        let mut entries = Vec::new();
        for (key, value) in table {
            entries.extend(self.entry(key.get_ref(), key.span().start, value, Some(name)));
        }
        Some(Layer(entries))
    }

    /// Returns the setting, or keeps its mistake.
    fn entry(
        &mut self,
        name: &str,
        at: usize,
        value: &Spanned<DeValue<'_>>,
        profile: Option<&str>,
    ) -> Option<Entry> {
        let origin = self.origin(at, profile);
        let read = match Setting::of(name) {
            None => Err(SettingsError::Unknown { origin, name: printable(name) }),
            Some(setting) => self.values(setting, value.get_ref(), &origin).map(|values| Entry {
                name: name.to_owned(),
                values,
                origin,
            }),
        };
        read.map_err(|error| self.errors.push(error)).ok()
    }

    fn values(
        &self,
        setting: &Setting,
        value: &DeValue<'_>,
        origin: &Origin,
    ) -> Result<Vec<String>, SettingsError> {
        let kind = setting.kind;
        let (origin, name) = (origin.clone(), setting.name.to_owned());
        let values = match (kind, value) {
            (Kind::Text, DeValue::String(text)) => Some(vec![text.to_string()]),
            (Kind::Path, DeValue::String(text)) if text.is_empty() && is_a_key(setting.name) => {
                return Err(SettingsError::EmptyKey { origin, name });
            }
            (Kind::Path, DeValue::String(text)) if is_a_secret(setting.name, text) => {
                return Err(SettingsError::Secret { origin, name });
            }
            (Kind::Path, DeValue::String(text)) => self.absolute(text).map(|path| vec![path]),
            (Kind::Number(low, high), DeValue::Integer(number)) => {
                let number = u32::from_str_radix(number.as_str(), number.radix()).ok();
                number.filter(|number| (low..=high).contains(number)).map(|number| vec![number.to_string()])
            }
            (Kind::Switch, DeValue::Boolean(is_on)) => Some(vec![is_on.to_string()]),
            (Kind::List | Kind::Hosts, DeValue::String(text)) => Some(vec![text.to_string()]),
            (Kind::List | Kind::Hosts, DeValue::Array(items)) if !items.is_empty() => {
                items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
            }
            _ => None,
        };
        let values =
            values.filter(|values| kind != Kind::Hosts || values.iter().all(|text| names_whole_paths(text)));
        values.ok_or(SettingsError::Form { origin, name, kind })
    }

    /// Returns a path as it is from anywhere.
    fn absolute(&self, path: &str) -> Option<String> {
        if path.is_empty() || path.starts_with('~') {
            return None;
        }
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        directory.join(path).into_os_string().into_string().ok()
    }

    fn origin(&self, at: usize, profile: Option<&str>) -> Origin {
        let (path, line) = (self.path.to_owned(), line_at(self.text, at).0);
        Origin::File { path, line, profile: profile.map(printable) }
    }
}

/// Whether a setting names the file of a key.
pub(super) fn is_a_key(name: &str) -> bool {
    matches!(name, "key" | "sender_key")
}

/// Whether the value of a setting that names a key file looks like the key.
pub(super) fn is_a_secret(name: &str, value: &str) -> bool {
    is_a_key(name) && value.len() >= KEY_CHARS_MIN && !value.contains(['/', '.'])
}

/// Whether files after an `@` are named from the root: what else they would be relative to depends on the caller.
fn names_whole_paths(text: &str) -> bool {
    let names = text.split(',').map(|item| item.trim().trim_start_matches('!').trim_start());
    names.filter_map(|item| item.strip_prefix('@')).all(|path| path.starts_with('/'))
}

/// Returns the message for a text that is no TOML: the line as it is says more than a grammar.
fn syntax(error: &toml::de::Error, text: &str, path: &Path) -> SettingsError {
    let path = path.to_owned();
    let text = match error.span() {
        Some(span) => {
            let (number, line) = line_at(text, span.start);
            let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
            let reason = error.message().lines().next().unwrap_or_default();
            format!("line {number} is not TOML: {:?} ({})", printable(line.trim()), printable(reason))
        }
        None => format!("is not TOML: {}", printable(&error.message().replace('\n', " "))),
    };
    SettingsError::Toml { path, text }
}

/// Returns the number of the line in which a byte is, and the line.
fn line_at(text: &str, at: usize) -> (usize, &str) {
    let before = &text[..text.floor_char_boundary(at)];
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    (before.matches('\n').count() + 1, line)
}

fn line_of(origin: &Origin) -> usize {
    if let Origin::File { line, .. } = origin { *line } else { 0 }
}

/// A key in hexadecimal digits or base64 has more characters, and names of files in the working directory have fewer.
const KEY_CHARS_MIN: usize = 40;
/// Most bytes of a line in a message.
const LINE_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_read_with_its_line() {
        let text = "\
            default_profile = \"lab\"\n\
            rate = \"400mbit\"\n\
            key = \"group.key\"   # beside the file\n\
            dscp = 8\n\
            strict_hosts = true\n\
            aggregate = [\"gpu\", \"cpu\"]\n\
            hosts = \"c[1-4]\"\n\
            \n\
            [profile.prod]\n\
            sender_key = \"/s.key\"\n\
            exclude = [\"c1\", \"@/down\"]\n";
        let settings = read(text).expect("a configuration");
        assert_eq!(settings.default_profile.as_deref(), Some("lab"));
        let shown: Vec<String> = settings.base.0.iter().map(shown).collect();
        assert_eq!(
            shown,
            [
                "2 rate=400mbit",
                "3 key=/etc/glancecast/group.key",
                "4 dscp=8",
                "5 strict_hosts=true",
                "6 aggregate=gpu cpu",
                "7 hosts=c[1-4]"
            ]
        );
        let prod: Vec<String> = settings.profiles["prod"].0.iter().map(self::shown).collect();
        assert_eq!(prod, ["11 exclude=c1 @/down", "10 sender_key=/s.key"]);
    }

    #[test]
    fn a_mistake_names_file_line_and_what_to_write() {
        for (text, message) in [
            ("interfce = \"eth0\"", "line 1: there is no setting \"interfce\"; is interface meant?"),
            (
                "\n[profile.p]\nratte = \"1gbit\"",
                "line 3, profile p: there is no setting \"ratte\"; is rate meant?",
            ),
            ("json = true", "line 1: there is no setting \"json\"; `glancecast config` lists the settings"),
            ("dscp = \"8\"", "line 1: dscp: write a number from 0 to 63, without quotes"),
            ("dscp = 64", "line 1: dscp: write a number from 0 to 63, without quotes"),
            ("ttl = 0", "line 1: ttl: write a number from 1 to 255, without quotes"),
            ("strict_hosts = \"yes\"", "line 1: strict_hosts: write true or false, without quotes"),
            ("rate = 400", "line 1: rate: write a text in quotes"),
            ("key = \"\"", "line 1: key is empty: name the file of the key"),
            ("key = \"~/k\"", "line 1: key: write the whole path in quotes, without ~"),
            ("aggregate = []", "line 1: aggregate: write a text in quotes, or several"),
            ("hosts = \"a,!@nodes\"", "line 1: hosts: write names in quotes"),
            ("dscp = = 8", "line 1 is not TOML: \"dscp = = 8\""),
            ("a = 1\nb \u{1b}[2J", "line 2 is not TOML"),
            ("profile.prod = 3", "profile: begin a profile with [profile.NAME]"),
        ] {
            let errors = read(text).expect_err(text);
            let found = errors[0].to_string();
            assert!(
                found.starts_with("/etc/glancecast/x.toml ") && found.contains(message),
                "{text}: {found}"
            );
            assert!(!found.contains('\u{1b}'), "{found:?}");
        }
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        let errors = read("dscp = \"8\"\nfoo = 1\n[profile.a]\nttl = 0\n").expect_err("three mistakes");
        assert_eq!(errors.len(), 3, "{errors:?}");
    }

    #[test]
    fn a_key_is_named_by_its_file_and_never_printed() {
        let key = "9f3c".repeat(16);
        let errors = read(&format!("key = \"{key}\"")).expect_err("a key");
        assert!(!errors[0].to_string().contains(&key) && errors[0].to_string().contains("names a file"));
    }

    fn read(text: &str) -> Result<FileSettings, Vec<SettingsError>> {
        parse(text, Path::new("/etc/glancecast/x.toml"))
    }

    fn shown(entry: &Entry) -> String {
        format!("{} {}={}", line_of(&entry.origin), entry.name, entry.values.join(" "))
    }
}
