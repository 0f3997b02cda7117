//! The environment: `GLANCECAST_INTERFACE=eth1` is the setting `interface`.

use std::ffi::OsString;

use super::catalog::{Kind, SETTINGS, Setting};
use super::error::SettingsError;
use super::file::{is_a_key, is_a_secret};
use super::layers::{Entry, Layer, Origin};
use super::nearest::nearest;

/// Returns the settings of the environment. An empty value is none, as for the `OS_*` variables; but not that of a key:
/// a push would be sealed or signed by another one than was meant, or not at all.
///
/// # Errors
/// All mistakes. A variable with another name is none, unless it looks like a slip: programs around this one may have
/// variables of their own.
pub(super) fn parse(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Layer, Vec<SettingsError>> {
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for (variable, value) in variables {
        let Some(name) = variable.to_str().and_then(|variable| variable.strip_prefix(PREFIX)) else {
            continue;
        };
        let origin = Origin::Environment(format!("{PREFIX}{name}"));
        match (setting(name), value.is_empty()) {
            (Some(setting), true) if is_a_key(setting.name) => {
                errors.push(SettingsError::EmptyKey { origin, name: setting.name.to_owned() });
            }
            (_, true) => {}
            (Some(setting), _) => match values(setting, value, origin) {
                Ok(entry) => entries.push(entry),
                Err(error) => errors.push(error),
            },
            (None, _) if is_a_slip(name) => {
                errors.push(SettingsError::Unknown { origin, name: name.to_ascii_lowercase() });
            }
            (None, _) => {}
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    if errors.is_empty() { Ok(Layer(entries)) } else { Err(errors) }
}

fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.to_ascii_uppercase() == name)
}

/// Whether a name is near to that of a setting, and not one of the two that choose the files.
fn is_a_slip(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_near = nearest(&lower, SETTINGS.iter().map(|setting| setting.name)).is_some();
    is_near && ![CONFIG, PROFILE].contains(&&*format!("{PREFIX}{name}"))
}

fn values(setting: &Setting, value: OsString, origin: Origin) -> Result<Entry, SettingsError> {
    let (name, kind) = (setting.name.to_owned(), setting.kind);
    let Ok(text) = value.into_string() else { return Err(SettingsError::Form { origin, name, kind }) };
    if is_a_secret(&name, &text) {
        return Err(SettingsError::Secret { origin, name });
    }
    let values = match kind {
        Kind::Switch => match text.as_str() {
            "1" | "true" | "yes" | "on" => vec!["true".to_owned()],
            "0" | "false" | "no" | "off" => vec!["false".to_owned()],
            _ => {
                let error = format!("{text:?}: write true or false");
                return Err(SettingsError::Value { origin, name, error });
            }
        },
        Kind::List => text.split(',').map(|item| item.trim().to_owned()).collect(),
        Kind::Text | Kind::Path | Kind::Number(..) | Kind::Hosts => vec![text],
    };
    Ok(Entry { name, values, origin })
}

const PREFIX: &str = "GLANCECAST_";
/// Names the only configuration file.
pub(super) const CONFIG: &str = "GLANCECAST_CONFIG";
/// Names the profile.
pub(super) const PROFILE: &str = "GLANCECAST_PROFILE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_the_setting_of_its_name() {
        let layer = read(&[
            ("GLANCECAST_INTERFACE", "eth1"),
            ("GLANCECAST_STRICT_HOSTS", "yes"),
            ("GLANCECAST_AGGREGATE", "gpu, cpu"),
            ("GLANCECAST_HOSTS", "c[1-2,4]"),
            ("GLANCECAST_RATE", ""),
            ("GLANCECAST_CONFIG", "/x"),
            ("GLANCECAST_PROFILE", "prod"),
            ("GLANCECAST_TEST_SEED", "7"),
            ("OS_CLOUD", "lab"),
        ])
        .expect("no mistake");
        let shown: Vec<String> =
            layer.0.iter().map(|entry| format!("{}={}", entry.name, entry.values.join(" "))).collect();
        assert_eq!(shown, ["aggregate=gpu cpu", "hosts=c[1-2,4]", "interface=eth1", "strict_hosts=true"]);
    }

    #[test]
    fn a_slip_is_found_and_a_key_is_never_printed() {
        let key = "9f3c".repeat(16);
        for (variable, value, message) in [
            (
                "GLANCECAST_INTERFCE",
                "eth1",
                "GLANCECAST_INTERFCE: there is no setting \"interfce\"; is interface",
            ),
            (
                "GLANCECAST_STRICT_HOSTS",
                "maybe",
                "GLANCECAST_STRICT_HOSTS: strict_hosts: \"maybe\": write true",
            ),
            ("GLANCECAST_KEY", key.as_str(), "GLANCECAST_KEY: key names a file"),
            ("GLANCECAST_KEY", "", "GLANCECAST_KEY: key is empty"),
            ("GLANCECAST_SENDER_KEY", "", "GLANCECAST_SENDER_KEY: sender_key is empty"),
        ] {
            let errors = read(&[(variable, value)]).expect_err(variable);
            let found = errors[0].to_string();
            assert!(found.starts_with(message) && !found.contains(&key), "{found}");
        }
    }

    #[test]
    fn the_name_of_a_variable_steers_no_terminal() {
        let errors = read(&[("GLANCECAST_\u{1b}HOSTS", "x")]).expect_err("no setting");
        let found = errors[0].to_string();
        assert!(found.contains("there is no setting") && !found.contains('\u{1b}'), "{found:?}");
    }

    fn read(variables: &[(&str, &str)]) -> Result<Layer, Vec<SettingsError>> {
        parse(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }
}
