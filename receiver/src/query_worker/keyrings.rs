//! The group keys that a sender gives to this host, and whether they can be kept.

use std::path::{Path, PathBuf};

use glancecast_platform::keyring_file;
use glancecast_proto::keyring::Keyring;
use glancecast_proto::wire::AnswerState;

/// The directory in which a host keeps its keyring.
#[derive(Clone)]
pub(super) struct Keyrings {
    state: PathBuf,
}

impl Keyrings {
    pub(super) fn new(state: &Path) -> Self {
        Self { state: state.to_owned() }
    }

    /// Answers that a new group key can come, if it can be kept.
    pub(super) fn make_ready(&self) -> AnswerState {
        match keyring_file::check(&self.state) {
            Ok(()) => AnswerState::AwaitingKey,
            Err(error) => {
                tracing::error!("no new group key can be taken: {error}");
                AnswerState::Failed(NOT_KEPT.to_owned())
            }
        }
    }

    /// Keeps a keyring. The machine uses it once it is on the disk.
    ///
    /// # Errors
    /// Why it is not taken, for the sender's table.
    pub(super) fn keep(&self, keys: Keyring) -> Result<Keyring, String> {
        match keyring_file::store(&self.state, &keys.stored()) {
            Ok(()) => Ok(keys),
            Err(error) => {
                tracing::error!("the new group key is not taken: {error}");
                Err(NOT_KEPT.to_owned())
            }
        }
    }
}

/// Why a group key is not taken, for the sender's table.
const NOT_KEPT: &str = "its state directory takes no file, so it cannot keep a group key: see its log";

#[cfg(test)]
mod tests {
    use std::fs;

    use glancecast_proto::keyring::StoredKeys;
    use glancecast_proto::seal::GroupKey;

    use super::*;

    #[test]
    fn a_host_that_can_keep_a_key_awaits_it_and_finds_it_at_its_next_start() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let keyrings = Keyrings::new(dir.path());
        assert_eq!(keyrings.make_ready(), AnswerState::AwaitingKey);
        let stored = StoredKeys { given: vec![GroupKey::new([7; 32])], ..StoredKeys::default() };
        let keys = Keyring::new(stored, Vec::new()).expect("it has a key");
        keyrings.keep(keys).expect("there is room");
        let found = keyring_file::load(dir.path()).expect("it was written").given;
        assert_eq!(found.iter().map(GroupKey::id).collect::<Vec<_>>(), [GroupKey::new([7; 32]).id()]);
    }

    #[test]
    fn a_host_without_its_state_directory_says_that_it_cannot_keep_a_key() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let gone = dir.path().join("state");
        let keyrings = Keyrings::new(&gone);
        assert_eq!(keyrings.make_ready(), AnswerState::Failed(NOT_KEPT.to_owned()));
        let keys = Keyring::of(vec![GroupKey::new([7; 32])]);
        assert_eq!(keyrings.keep(keys).err().as_deref(), Some(NOT_KEPT));
        assert!(fs::metadata(&gone).is_err(), "nothing was made");
    }
}
