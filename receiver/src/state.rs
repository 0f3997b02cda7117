//! The state directory: what a host keeps between its starts besides its images.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::store::StoreSpec;

/// The environment variable in which systemd names the directories of `StateDirectory=`, separated by colons
/// (systemd.exec(5)).
pub const VARIABLE: &str = "STATE_DIRECTORY";

/// The directory where neither a setting nor systemd names one.
pub const DEFAULT: &str = "/var/lib/glancecast";

/// Returns the state directory: `given`, or the first of those that systemd names in `of_systemd`, or [`DEFAULT`].
///
/// # Errors
/// [`StateError::Empty`] for an empty path.
pub fn directory(given: Option<PathBuf>, of_systemd: Option<OsString>) -> Result<PathBuf, StateError> {
    let path = given.unwrap_or_else(|| match &of_systemd {
        Some(paths) => {
            OsStr::from_bytes(paths.as_bytes().split(|byte| *byte == b':').next().unwrap_or(b"")).into()
        }
        None => DEFAULT.into(),
    });
    if path.as_os_str().is_empty() { Err(StateError::Empty) } else { Ok(path) }
}

/// Checks that images do not go into the state directory, where a sender's name for one could be that of a file here.
/// A directory below it may be the store.
///
/// # Errors
/// [`StateError::IsTheStore`].
pub fn keep_apart(state: &Path, store: &StoreSpec) -> Result<(), StateError> {
    let of = |path: &Path| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let store = store.named_by_senders().and_then(of);
    match store.is_some() && store == of(state) {
        true => Err(StateError::IsTheStore { path: state.to_owned() }),
        false => Ok(()),
    }
}

/// Why a directory is none for the state.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The setting is empty.
    #[error("state: an empty path; name a directory, or leave the setting out for {DEFAULT}")]
    Empty,
    /// It is the store.
    #[error(
        "state directory {path}: the store is the same directory, and senders name the files there; give the store one of \
         its own, as in --store directory:{path}/images",
        path = path.display()
    )]
    IsTheStore {
        /// Its path.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_comes_before_systemds_first_directory_and_that_before_the_default() {
        for (given, of_systemd, expected) in [
            (Some("/s"), Some("/var/lib/a:/var/lib/b"), Ok("/s")),
            (None, Some("/var/lib/a:/var/lib/b"), Ok("/var/lib/a")),
            (None, Some("/var/lib/a"), Ok("/var/lib/a")),
            (None, None, Ok("/var/lib/glancecast")),
            (Some(""), Some("/var/lib/a"), Err(StateError::Empty)),
            (None, Some(""), Err(StateError::Empty)),
        ] {
            let found = directory(given.map(PathBuf::from), of_systemd.map(OsString::from));
            assert_eq!(found, expected.map(PathBuf::from), "{given:?} {of_systemd:?}");
        }
    }

    #[test]
    fn a_store_may_be_below_the_state_and_not_in_its_place() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let state = dir.path();
        std::fs::create_dir(state.join("images")).expect("room");
        std::os::unix::fs::symlink(state, state.join("link")).expect("room");
        let apart = |store: &str| {
            let store = format!("directory:{}/{store}", state.display());
            keep_apart(state, &StoreSpec::new(Some(&store), &[], None).expect("a store"))
        };
        assert_eq!(apart("images"), Ok(()));
        assert_eq!(apart("missing"), Ok(()), "the store says so itself");
        let refused = Err(StateError::IsTheStore { path: state.to_owned() });
        assert_eq!(
            (apart("."), apart("link")),
            (refused, Err(StateError::IsTheStore { path: state.to_owned() }))
        );
        let nowhere = StoreSpec::new(Some("directory:/nowhere"), &[], None).expect("a store");
        assert_eq!(keep_apart(Path::new("/nowhere"), &nowhere), Ok(()), "two that are missing are not one");
    }
}
