//! Fuzzing of configurations and of the environment.

use std::ffi::OsString;
use std::path::Path;

use glancecast_proto::ids::is_unprintable;

use super::error::SettingsError;
use super::layers::{Layer, merge};
use super::{Setting, environment, file};

/// Reads the text of a configuration file.
///
/// # Panics
/// If a value of a setting that is none is taken, or a message is more than one plain line.
pub(crate) fn configuration(text: &str) {
    match file::parse(text, Path::new("/etc/glancecast/glancecast.toml")) {
        Ok(read) => {
            assert_known(&read.base);
            read.profiles.values().for_each(assert_known);
            let all = merge([read.base].into_iter().chain(read.profiles.into_values()));
            assert!(all.iter().all(|(name, entry)| *name == entry.name));
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            mistakes.iter().for_each(assert_plain);
        }
    }
}

/// Reads lines as variables of the environment, NAME=VALUE.
///
/// # Panics
/// As [`configuration`].
pub(crate) fn variables(text: &str) {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(name, value)| (OsString::from(format!("GLANCECAST_{name}")), value.into()));
    match environment::parse(pairs) {
        Ok(layer) => assert_known(&layer),
        Err(mistakes) => mistakes.iter().for_each(assert_plain),
    }
}

fn assert_known(layer: &Layer) {
    for entry in &layer.0 {
        assert!(Setting::of(&entry.name).is_some() && !entry.values.is_empty(), "{entry:?}");
        let is_key = matches!(entry.name.as_str(), "key" | "sender_key");
        assert!(!is_key || entry.values.iter().all(|value| !value.is_empty()), "{entry:?}");
    }
}

fn assert_plain(mistake: &SettingsError) {
    let text = mistake.to_string();
    assert!(!text.is_empty() && !text.contains(is_unprintable), "{text:?}");
}
