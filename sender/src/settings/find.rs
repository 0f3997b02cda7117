//! Opens the configuration files, and puts the layers in order.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::environment::{self, CONFIG, PROFILE};
use super::error::SettingsError;
use super::file::{self, FileSettings};
use super::layers::Layer;

/// What the command line says about the places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The only file.
    pub(crate) config: Option<PathBuf>,
    pub(crate) profile: Option<String>,
}

/// The settings of all places but the command line.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Lowest first.
    pub(crate) layers: Vec<Layer>,
    /// The files that were read.
    pub(crate) files: Vec<PathBuf>,
    /// The profile that is used.
    pub(crate) profile: Option<String>,
}

/// Reads the files and the environment.
///
/// # Errors
/// All mistakes that were found.
pub(crate) fn load(asked: &Asked) -> Result<Found, Vec<SettingsError>> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let config = asked.config.clone().or_else(|| variable(CONFIG).map(PathBuf::from));
    let profile = asked.profile.clone();
    let profile = profile.or_else(|| variable(PROFILE).map(|name| name.to_string_lossy().into_owned()));
    let candidates = match config {
        Some(path) => vec![(path, Missing::IsAMistake)],
        None => usual(variable).into_iter().map(|path| (path, Missing::IsFine)).collect(),
    };
    let (mut files, mut settings, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (path, missing) in candidates {
        match read(&path) {
            Err(SettingsError::Read { error, .. }) if missing == Missing::IsFine && is_missing(&error) => {
                continue;
            }
            Err(error) => errors.push(error),
            Ok(text) => match file::parse(&text, &path) {
                Ok(read) => settings.push(read),
                Err(mistakes) => errors.extend(mistakes),
            },
        }
        files.push(path);
    }
    let environment = environment::parse(std::env::vars_os());
    let environment = environment.unwrap_or_else(|mistakes| {
        errors.extend(mistakes);
        Layer::default()
    });
    if !errors.is_empty() {
        return Err(errors);
    }
    let (mut layers, profile) = order(settings, profile).map_err(|error| vec![error])?;
    layers.push(environment);
    Ok(Found { layers, files, profile })
}

/// Puts the layers of files in order: profiles after what stands outside of them, so that a profile is what it says
/// whatever the other file has.
fn order(
    settings: Vec<FileSettings>,
    asked: Option<String>,
) -> Result<(Vec<Layer>, Option<String>), SettingsError> {
    let default = settings.iter().rev().find_map(|file| file.default_profile.clone());
    let profile = asked.or(default);
    let known: BTreeSet<String> = settings.iter().flat_map(|file| file.profiles.keys().cloned()).collect();
    if let Some(name) = profile.clone().filter(|name| !known.contains(name)) {
        return Err(SettingsError::Profile { name, known: known.into_iter().collect() });
    }
    let (mut bases, mut profiles) = (Vec::new(), Vec::new());
    for mut file in settings {
        bases.push(file.base);
        profiles.extend(profile.as_ref().and_then(|name| file.profiles.remove(name)));
    }
    bases.extend(profiles);
    Ok((bases, profile))
}

/// What it means that a file is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    IsFine,
    IsAMistake,
}

/// Returns the files of this machine and of its user.
fn usual(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let home = || variable("HOME").map(|home| Path::new(&home).join(".config"));
    // A relative path is to be ignored (XDG base directory specification).
    let xdg = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let user = xdg.or_else(home).map(|directory| directory.join("glancecast/config.toml"));
    std::iter::once(PathBuf::from(SYSTEM)).chain(user).collect()
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn read(path: &Path) -> Result<String, SettingsError> {
    let fault = |error| SettingsError::Read { path: path.to_owned(), error };
    let mut text = String::new();
    let file = File::open(path).map_err(fault)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(fault)?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(SettingsError::TooLong { path: path.to_owned(), max: FILE_BYTES_MAX }),
        false => Ok(text),
    }
}

const SYSTEM: &str = "/etc/glancecast/glancecast.toml";
/// Far more than all settings in a hundred profiles.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::super::layers::merge;
    use super::*;

    #[test]
    fn the_users_file_wins_over_the_machines_and_a_profile_of_either_over_both() {
        let system = "rate = \"1mbit\"\nttl = 1\nmtu = 1500\nreply_port = 1\n\
            [profile.p]\nttl = 3\nmtu = 3000\n[profile.other]\nreply_port = 9";
        let user = "default_profile = \"p\"\nrate = \"2mbit\"\nttl = 2\n[profile.p]\nmtu = 4000";
        let (layers, profile) = order(vec![parsed(system), parsed(user)], None).expect("layers");
        assert_eq!(profile.as_deref(), Some("p"), "the user's default");
        let merged = merge(layers);
        let value = |name: &str| merged[name].values[0].as_str();
        assert_eq!(
            [value("rate"), value("ttl"), value("mtu"), value("reply_port")],
            ["2mbit", "3", "4000", "1"]
        );
        let (layers, _) = order(vec![parsed(system), parsed(user)], Some("other".into())).expect("layers");
        assert_eq!(merge(layers)["reply_port"].values, ["9"], "the one that is asked for");
    }

    #[test]
    fn a_profile_that_is_nowhere_is_a_mistake_that_names_those_that_are() {
        let files = vec![parsed("[profile.prod]\nttl = 1"), parsed("[profile.lab]\nttl = 1")];
        let error = order(files, Some("prd".into())).expect_err("no such profile").to_string();
        assert_eq!(error, "there is no profile \"prd\"; the configuration has lab, prod");
        let error = order(Vec::new(), Some("prd".into())).expect_err("no file").to_string();
        assert!(error.contains("has none"), "{error}");
    }

    #[test]
    fn a_users_file_is_where_the_specification_of_directories_says() {
        let with = |pairs: &'static [(&str, &str)]| {
            usual(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        let system = PathBuf::from(SYSTEM);
        assert_eq!(with(&[]), std::slice::from_ref(&system));
        let home = PathBuf::from("/h/.config/glancecast/config.toml");
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")]), [system.clone(), home]);
        let xdg = PathBuf::from("/x/glancecast/config.toml");
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), [system, xdg]);
    }

    fn parsed(text: &str) -> FileSettings {
        file::parse(text, Path::new("/x.toml")).expect("a configuration")
    }
}
