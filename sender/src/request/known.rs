//! The hosts that a sender knows by their keys: the file, and what becomes of hosts that are not in it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use glancecast_platform::cli;
use glancecast_platform::clock::wall;
use glancecast_platform::known_hosts::{self, Conflict, KnownHost, Note, Occasion};
use glancecast_proto::known::{FirstUse, KnownHosts, UnknownHosts};
use nix::unistd::{Uid, geteuid};

use super::RequestError;

/// The file of known hosts, and what becomes of hosts that are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHostsOptions {
    /// The file; `None`: that of this user.
    pub file: Option<PathBuf>,
    /// What becomes of other hosts.
    pub unknown: UnknownHosts,
}

impl KnownHostsOptions {
    /// Returns the path of the file.
    ///
    /// # Errors
    /// [`RequestError::NoKnownHosts`] if this user has no place for one.
    pub fn path(&self) -> Result<PathBuf, RequestError> {
        let of_user = || default_file(geteuid(), |name| env::var_os(name)).ok_or(RequestError::NoKnownHosts);
        self.file.clone().map_or_else(of_user, Ok)
    }

    /// Reads the file. One that is missing knows no host.
    ///
    /// # Errors
    /// [`RequestError::NoKnownHosts`], [`RequestError::KnownHosts`].
    pub fn load(&self) -> Result<KnownHosts, RequestError> {
        let keys = known_hosts::KnownHosts::load(&self.path()?)?.keys().clone();
        Ok(KnownHosts { keys, unknown: self.unknown })
    }

    /// Adds hosts that were heard for the first time to the file.
    pub(crate) fn remember(&self, first: &[FirstUse], occasion: Occasion) -> Remembered {
        if first.is_empty() {
            return Remembered::default();
        }
        let hosts: Vec<KnownHost> =
            first.iter().map(|host| KnownHost { name: host.name.clone(), key: host.key }).collect();
        let added = self.path().and_then(|path| {
            let added = known_hosts::add(&path, &hosts, Note { occasion, at: wall() })?;
            Ok((path, added))
        });
        match added {
            Ok((path, added)) => Remembered {
                news: news(&added.added, &path),
                warnings: added.conflicts.iter().map(conflict).collect(),
            },
            Err(error) => Remembered {
                news: None,
                warnings: vec![format!("the keys of new hosts could not be kept: {error}")],
            },
        }
    }
}

/// What a person is told of new hosts.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// The hosts that are known from now on.
    news: Option<String>,
    /// What went wrong: a line each.
    warnings: Vec<String>,
}

/// When a person is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Also of what went well.
    Always,
    /// Only of what went wrong.
    IfWrong,
}

impl Remembered {
    /// Says it on standard error.
    pub(crate) fn tell(&self, told: Told) {
        if let Some(news) = self.news.as_ref().filter(|_| told == Told::Always) {
            cli::tell(&format!("glancecast: {news}"));
        }
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }
}

fn news(added: &[KnownHost], file: &Path) -> Option<String> {
    let names: Vec<&str> = added.iter().map(|host| host.name.as_str()).collect();
    let file = file.display();
    (!names.is_empty()).then(|| format!("known by their keys from now on: {} (in {file})", few(&names)))
}

fn conflict(conflict: &Conflict) -> String {
    let Conflict { name, known, offered } = conflict;
    format!(
        "{name} came with {offered}, and another sender has just noted {known} for it: neither is replaced"
    )
}

/// Returns the first few of these names, and how many more there are.
fn few(names: &[&str]) -> String {
    let named = names[..names.len().min(NAMED_MAX)].join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more hosts"),
    }
}

const NAMED_MAX: usize = 5;

/// Returns the file of a user: root's is beside its keys, another user's where the XDG Base Directory Specification
/// puts state. That ignores relative paths.
fn default_file(user: Uid, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if user.is_root() {
        return Some("/etc/glancecast/known_hosts".into());
    }
    let directory = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let of_state = directory("XDG_STATE_HOME");
    let state = of_state.or_else(|| directory("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("glancecast/known_hosts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_its_file_beside_its_keys_and_a_user_in_the_state_of_its_home() {
        let file = |user, state: Option<&str>, home: Option<&str>| {
            let variable = |name: &str| match name {
                "XDG_STATE_HOME" => state.map(OsString::from),
                "HOME" => home.map(OsString::from),
                _ => None,
            };
            default_file(Uid::from_raw(user), variable).map(|path| path.display().to_string())
        };
        let of_home = Some("/home/u/.local/state/glancecast/known_hosts".to_owned());
        assert_eq!(file(0, Some("/x"), Some("/root")), Some("/etc/glancecast/known_hosts".into()));
        assert_eq!(file(1_000, None, Some("/home/u")), of_home);
        assert_eq!(file(1_000, Some("/x"), Some("/home/u")), Some("/x/glancecast/known_hosts".into()));
        assert_eq!(file(1_000, Some("x"), Some("/home/u")), of_home);
        assert_eq!(file(1_000, Some(""), Some("/home/u")), of_home);
        assert_eq!((file(1_000, None, None), file(1_000, None, Some("u"))), (None, None));
    }

    #[test]
    fn a_file_that_is_named_is_the_one_that_is_read() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("known");
        std::fs::write(&file, "c1 nonsense\n").expect("writable");
        let options = KnownHostsOptions { file: Some(file.clone()), ..KnownHostsOptions::default() };
        assert_eq!(options.path().expect("named"), file);
        let error = options.load().expect_err("damaged");
        assert!(error.to_string().contains("known line 1: "), "{error}");
        assert_eq!(error.kind(), super::super::ErrorKind::Usage);
        std::fs::remove_file(&file).expect("ours");
        assert!(options.load().expect("missing").keys.is_empty());
    }
}
