//! The group keys that senders have given a host: `group.keys` in its state directory, which only its user may read. A
//! changed file takes the old one's place in one step, so that a kill or a power failure leaves one or the other.
//!
//! ```text
//! # written by glancecastd; without this file the group keys are those of the configuration
//! given 3f0a...              a key in hex, the newest first
//! superseded 7b21...         the id of a key under which no other is taken
//! retired 90cc...            the id of a key that is never accepted again
//! ```

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glancecast_proto::hex::{self, Hex};
use glancecast_proto::ids::GroupId;
use glancecast_proto::keyring::StoredKeys;
use glancecast_proto::limits::{GROUP_KEYS_MAX, RETIRED_KEYS_MAX};
use glancecast_proto::seal::GroupKey;
use nix::unistd::geteuid;
use zeroize::Zeroizing;

use super::access::Access;
use crate::keyfile::{self, KeyFileError};
use crate::random;

/// The name of the file in the state directory.
pub const FILE: &str = "group.keys";

/// Reads the keys in the state directory `state`. A file that is missing has none.
///
/// # Errors
/// [`KeyringFileError`]: the file is damaged, or open to others.
pub fn load(state: &Path) -> Result<StoredKeys, KeyringFileError> {
    let path = state.join(FILE);
    match keyfile::read_private_up_to(&path, FILE_BYTES_MAX) {
        Ok(text) => parse(&text).ok_or(KeyringFileError::Damaged { path }),
        Err(KeyFileError::Missing { .. }) => Ok(StoredKeys::default()),
        Err(KeyFileError::Length { .. }) => Err(KeyringFileError::Damaged { path }),
        Err(error) => Err(error.into()),
    }
}

/// Puts a file with these keys in the old one's place when it is on the disk.
///
/// # Errors
/// [`KeyringFileError`]; the old file is there then.
pub fn store(state: &Path, keys: &StoredKeys) -> Result<(), KeyringFileError> {
    match keyfile::replace_private(&state.join(FILE), text(keys).as_bytes()) {
        Ok(()) => Ok(()),
        Err(KeyFileError::Io { error, .. }) => {
            Err(KeyringFileError::Unwritable { path: state.to_owned(), error })
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks that a key can be kept in the state directory, and that only this user and root can change what is there.
///
/// # Errors
/// [`KeyringFileError`]
pub fn check(state: &Path) -> Result<(), KeyringFileError> {
    let at = |error| KeyringFileError::Unwritable { path: state.to_owned(), error };
    let metadata = state.metadata().map_err(at)?;
    if Access::of_directory(&metadata).others_may_change(geteuid()) {
        return Err(KeyringFileError::ChangeableByOthers { path: state.to_owned() });
    }
    let fresh = fresh(state).map_err(at)?;
    let made = keyfile::write_private(&fresh, b"");
    let _ = fs::remove_file(&fresh);
    match made {
        Ok(()) => Ok(()),
        Err(KeyFileError::Io { error, .. }) => Err(at(error)),
        Err(error) => Err(error.into()),
    }
}

/// Removes what a process has left that was killed while it wrote.
pub fn remove_unfinished(state: &Path) {
    for entry in fs::read_dir(state).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Parses the content of a file; `None` if it is damaged.
pub fn parse(file: &[u8]) -> Option<StoredKeys> {
    let mut keys = StoredKeys::default();
    for line in std::str::from_utf8(file).ok()?.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, digits) = line.split_once(' ')?;
        let bytes = Zeroizing::new(hex::parse(digits)?);
        match word {
            "given" => keys.given.push(GroupKey::new(*bytes)),
            "superseded" => keys.superseded.push(GroupId(*bytes)),
            "retired" => keys.retired.push(GroupId(*bytes)),
            _ => return None,
        }
    }
    let is_possible = keys.given.len() <= GROUP_KEYS_MAX
        && keys.superseded.len() <= 2 * GROUP_KEYS_MAX
        && keys.retired.len() <= RETIRED_KEYS_MAX;
    is_possible.then_some(keys)
}

fn text(keys: &StoredKeys) -> Zeroizing<String> {
    // Room for all of it: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX));
    text.push_str(
        "# written by glancecastd; without this file the group keys are those of the configuration\n",
    );
    for key in &keys.given {
        let _ = writeln!(text, "given {}", Hex(key.bytes()));
    }
    for id in &keys.superseded {
        let _ = writeln!(text, "superseded {id}");
    }
    for id in &keys.retired {
        let _ = writeln!(text, "retired {id}");
    }
    text
}

/// Returns a name for a file that is being written.
fn fresh(state: &Path) -> io::Result<PathBuf> {
    let suffix = random::bytes::<8>()?;
    Ok(state.join(format!("{UNFINISHED}{}", Hex(&suffix))))
}

/// Why the keys that senders have given a host cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyringFileError {
    /// The file is not what was written.
    #[error(
        "group keys {path}: the file is damaged; restore it, or remove it and have the sender give this host the key again: \
         glancecast rekey --resume",
        path = path.display()
    )]
    Damaged {
        /// Its path.
        path: PathBuf,
    },
    /// A file cannot be made in the state directory.
    #[error(
        "state directory {path}: {error}; a new group key has to be kept there: make it writable for glancecastd \
         (StateDirectory= in a unit of systemd)",
        path = path.display()
    )]
    Unwritable {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Others could put another key there.
    #[error("state directory {path}: others may change it; close it with: chmod go-w {path}", path = path.display())]
    ChangeableByOthers {
        /// Its path.
        path: PathBuf,
    },
    /// The file violates what applies to all key files.
    #[error(transparent)]
    File(#[from] KeyFileError),
}

/// The beginning of the names under which a file is written.
const UNFINISHED: &str = ".group.keys.";

/// All lines at their limits are some 7 KiB.
const FILE_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use glancecast_proto::keyring::Keyring;

    use super::*;

    #[test]
    fn what_is_kept_is_private_and_found_again() {
        let state = tempfile::tempdir().expect("temporary directory");
        assert!(load(state.path()).expect("none").given.is_empty());
        let ring = Keyring::of(vec![key(1)]).with(key(1).id(), key(2)).expect("the only key");
        store(state.path(), &ring.stored()).expect("room");
        let path = state.path().join(FILE);
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        let found = Keyring::new(load(state.path()).expect("kept"), vec![key(1)]).expect("keys");
        assert_eq!(found, ring);
        let ring = ring.without_superseded(key(2).id()).expect("the newest key");
        store(state.path(), &ring.stored()).expect("room");
        assert_eq!(Keyring::new(load(state.path()).expect("kept"), vec![key(1)]).expect("keys"), ring);
        assert_eq!(fs::read_dir(state.path()).expect("readable").count(), 1, "nothing else is left");
    }

    #[test]
    fn a_file_at_its_limits_fits() {
        let ids = |count| (0..count).map(|number| GroupId([number as u8; 32])).collect();
        let keys = StoredKeys {
            given: (0..GROUP_KEYS_MAX).map(|number| key(number as u8)).collect(),
            superseded: ids(2 * GROUP_KEYS_MAX),
            retired: ids(RETIRED_KEYS_MAX),
        };
        let text = text(&keys);
        assert!(text.len() <= FILE_BYTES_MAX && parse(text.as_bytes()).is_some(), "{}", text.len());
    }

    #[test]
    fn what_is_damaged_is_named_with_what_to_do() {
        let state = tempfile::tempdir().expect("temporary directory");
        let line = format!("given {}", "ab".repeat(32));
        for damaged in
            ["given 00", "taken 00", &line[..line.len() - 1], &format!("{line}\n{line}\n{line}\n"), "\u{0}"]
        {
            keyfile::write_private(&state.path().join(FILE), damaged.as_bytes()).expect("room");
            let error = load(state.path()).expect_err(damaged).to_string();
            assert!(error.contains("rekey --resume") && !error.contains("abab"), "{error}");
            fs::remove_file(state.path().join(FILE)).expect("ours");
        }
        keyfile::write_private(&state.path().join(FILE), line.as_bytes()).expect("room");
        fs::set_permissions(state.path().join(FILE), PermissionsExt::from_mode(0o644)).expect("ours");
        assert!(matches!(load(state.path()), Err(KeyringFileError::File(KeyFileError::OpenToOthers { .. }))));
    }

    #[test]
    fn a_state_directory_without_room_says_so_and_keeps_what_it_has() {
        let state = tempfile::tempdir().expect("temporary directory");
        check(state.path()).expect("writable");
        assert_eq!(fs::read_dir(state.path()).expect("readable").count(), 0, "nothing is left");
        let missing = state.path().join("no");
        for error in
            [check(&missing).expect_err("no"), store(&missing, &StoredKeys::default()).expect_err("no")]
        {
            assert!(error.to_string().contains("make it writable"), "{error}");
        }
        fs::set_permissions(state.path(), PermissionsExt::from_mode(0o777)).expect("ours");
        assert!(matches!(check(state.path()), Err(KeyringFileError::ChangeableByOthers { .. })));
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed() {
        let state = tempfile::tempdir().expect("temporary directory");
        fs::write(state.path().join(".group.keys.0123"), "given").expect("room");
        fs::write(state.path().join("other"), "").expect("room");
        remove_unfinished(state.path());
        assert_eq!(fs::read_dir(state.path()).expect("readable").count(), 1);
    }

    fn key(number: u8) -> GroupKey {
        GroupKey::new([number; 32])
    }
}
