//! The files of a replacement: its record beside the key file, and the key file itself. Each is replaced in one step, and
//! the record, which has the old keys, is on the disk before a key file changes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use glancecast_platform::keyfile::{self, KeyFileError};
use glancecast_proto::seal::GroupKey;

use super::RekeyError;
use super::record::{FILE_BYTES_MAX, Record};

/// The record of the replacement of one key file, under its lock.
pub(super) struct RecordFile {
    path: PathBuf,
    _lock: File,
}

impl RecordFile {
    /// Takes the lock of the replacement of this key file.
    pub(super) fn lock(key: &Path) -> Result<Self, RekeyError> {
        let (path, lock) = (record_path(key), beside(key, ".rekey.lock"));
        let at = |error| RekeyError::File { path: lock.clone(), error };
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock);
        let file = file.map_err(at)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _lock: file }),
            Err(TryLockError::WouldBlock) => Err(RekeyError::Busy { key: key.to_owned() }),
            Err(TryLockError::Error(error)) => Err(at(error)),
        }
    }

    /// Reads the record; `None` if no replacement is under way.
    pub(super) fn read(&self) -> Result<Option<Record>, RekeyError> {
        match keyfile::read_private_up_to(&self.path, FILE_BYTES_MAX) {
            Ok(text) => {
                let damaged = || RekeyError::Damaged { path: self.path.clone() };
                Record::parse(&text).map(Some).ok_or_else(damaged)
            }
            Err(KeyFileError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts this record in the old one's place.
    pub(super) fn write(&self, record: &Record) -> Result<(), RekeyError> {
        Ok(keyfile::replace_private(&self.path, &record.text())?)
    }

    /// Removes the record, and with it the old keys.
    pub(super) fn remove(&self) -> Result<(), RekeyError> {
        let at = |error| RekeyError::File { path: self.path.clone(), error };
        fs::remove_file(&self.path).map_err(at)?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all()).map_err(at)
    }
}

/// Puts the new key into its file: in the old key's place, or into a new file. Does nothing where it is there already.
pub(super) fn install(record: &Record) -> Result<(), RekeyError> {
    let is_there = match keyfile::load(&record.into) {
        Ok(key) => key.id() == record.new.id(),
        Err(KeyFileError::Missing { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    if !is_there {
        keyfile::replace_private(&record.into, record.new.bytes())?;
    }
    Ok(())
}

/// Refuses a file that is a symbolic link.
pub(super) fn refuse_link(path: &Path) -> Result<(), RekeyError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Err(RekeyError::Link { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// Checks that a new key may go into this file: nothing is there, or one of the keys that it takes the place of.
pub(super) fn check_target(into: &Path, old: &[GroupKey]) -> Result<(), RekeyError> {
    match keyfile::load(into) {
        Ok(key) if old.iter().any(|old| old.id() == key.id()) => Ok(()),
        Ok(_) => Err(KeyFileError::Exists { path: into.to_owned() }.into()),
        Err(KeyFileError::Missing { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Returns the path of the record for this key file.
pub(super) fn record_path(key: &Path) -> PathBuf {
    beside(key, ".rekey")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_record_is_private_and_one_run_has_it_at_a_time() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let key = dir.path().join("group.key");
        keyfile::create(&key).expect("new");
        let file = RecordFile::lock(&key).expect("free");
        assert!(matches!(RecordFile::lock(&key), Err(RekeyError::Busy { .. })));
        assert!(file.read().expect("none").is_none());
        let record = record(&key);
        file.write(&record).expect("room");
        let path = beside(&key, ".rekey");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(file.read().expect("ours").expect("written").text(), record.text());
        fs::write(&path, "new 00\n").expect("ours");
        let error = file.read().expect_err("damaged").to_string();
        assert!(error.contains("group.key.rekey"), "{error}");
        file.remove().expect("ours");
        assert!(file.read().expect("none").is_none());
        drop(file);
        RecordFile::lock(&key).expect("free again");
    }

    #[test]
    fn the_new_key_takes_the_old_ones_place_with_its_mode_or_goes_into_a_file_of_its_own() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let key = dir.path().join("group.key");
        keyfile::create(&key).expect("new");
        fs::set_permissions(&key, PermissionsExt::from_mode(0o400)).expect("ours");
        let mut record = record(&key);
        check_target(&record.into, &record.old).expect("the old key");
        for _ in 0..2 {
            install(&record).expect("room");
            assert_eq!(keyfile::load(&key).expect("a key").id(), record.new.id());
            assert_eq!(key.metadata().expect("there").permissions().mode() & 0o777, 0o400);
        }
        assert!(check_target(&key, &record.old).is_err(), "a foreign key is not replaced");
        record.into = dir.path().join("new.key");
        check_target(&record.into, &record.old).expect("nothing there");
        install(&record).expect("room");
        assert_eq!(keyfile::load(&record.into).expect("a key").id(), record.new.id());
    }

    fn record(key: &Path) -> Record {
        let old = vec![keyfile::load(key).expect("a key")];
        Record { into: key.to_owned(), new: GroupKey::new([9; 32]), old, hosts: [].into() }
    }
}
