//! What can be wrong with a setting, where, and what to write instead.

use std::io;
use std::path::PathBuf;

use super::catalog::{Kind, SETTINGS};
use super::layers::Origin;
use super::nearest::nearest;

/// A mistake in a place of settings. Each message is one line that begins with the place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{path}: {error}", path = path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{path}: a configuration is at most {max} bytes long", path = path.display())]
    TooLong { path: PathBuf, max: u64 },
    #[error("{path} {text}", path = path.display())]
    Toml { path: PathBuf, text: String },
    #[error("{origin}: there is no setting {name:?}{}", meant(name))]
    Unknown { origin: Origin, name: String },
    #[error("{origin}: {name}: {}", form(*kind))]
    Form { origin: Origin, name: String, kind: Kind },
    #[error("{origin}: {name}: {error}")]
    Value { origin: Origin, name: String, error: String },
    #[error(
        "{origin}: {name} names a file that has the key; a key itself belongs neither into a configuration nor into the \
         environment"
    )]
    Secret { origin: Origin, name: String },
    #[error("{origin}: {name} is empty: name the file of the key, or leave the setting out")]
    EmptyKey { origin: Origin, name: String },
    #[error("there is no profile {name:?}{}", profiles(known))]
    Profile { name: String, known: Vec<String> },
}

fn meant(name: &str) -> String {
    let names = SETTINGS.iter().map(|setting| setting.name).chain(["profile", "default_profile"]);
    match nearest(name, names) {
        Some(near) => format!("; is {near} meant?"),
        None => "; `glancecast config` lists the settings".to_owned(),
    }
}

/// Returns how a value is written.
fn form(kind: Kind) -> String {
    match kind {
        Kind::Text => "write a text in quotes".to_owned(),
        Kind::Path => "write the whole path in quotes, without ~".to_owned(),
        Kind::Number(low, high) => format!("write a number from {low} to {high}, without quotes"),
        Kind::Switch => "write true or false, without quotes".to_owned(),
        Kind::List => "write a text in quotes, or several: [\"a\", \"b\"]".to_owned(),
        Kind::Hosts => {
            "write names in quotes, or several: [\"a\", \"b\"]; a file after @ with its whole path".to_owned()
        }
    }
}

fn profiles(known: &[String]) -> String {
    match known {
        [] => ": the configuration has none (a profile begins with [profile.NAME])".to_owned(),
        known => format!("; the configuration has {}", known.join(", ")),
    }
}
