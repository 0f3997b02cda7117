//! Group key files: 32 raw bytes that nobody but their owner may read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use glancecast_proto::limits::GROUP_KEYS_MAX;
use glancecast_proto::seal::GroupKey;
use zeroize::Zeroizing;

/// Reads a key file.
///
/// # Errors
/// [`KeyFileError`]: not there, not a file, of another length, or open to others.
pub fn load(path: &Path) -> Result<GroupKey, KeyFileError> {
    let bytes = read_private(path, GroupKey::BYTES)?;
    let mut key = Zeroizing::new([0; GroupKey::BYTES]);
    key.copy_from_slice(&bytes);
    Ok(GroupKey::new(*key))
}

/// Reads the key files of a host: the group's key, and while it is being replaced, the new one too.
///
/// # Errors
/// [`KeyFileError`] of the first that is of no use, or when there are more.
pub fn load_all(paths: &[PathBuf]) -> Result<Vec<GroupKey>, KeyFileError> {
    if paths.len() > GROUP_KEYS_MAX {
        return Err(KeyFileError::TooMany { keys: paths.len() });
    }
    paths.iter().map(|path| load(path)).collect()
}

/// Makes a new key file with a random key, mode 0600. Never replaces a file: whoever loses a key loses its group.
///
/// # Errors
/// [`KeyFileError`]: there is a file of this name, or it cannot be written.
pub fn create(path: &Path) -> Result<(), KeyFileError> {
    let at = |error| KeyFileError::Io { path: path.to_owned(), error };
    let key = Zeroizing::new(crate::random::bytes::<{ GroupKey::BYTES }>().map_err(at)?);
    write_private(path, &*key)
}

/// Reads a file of so many bytes that nobody but its owner may read.
pub(crate) fn read_private(path: &Path, len: usize) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let at = |error| KeyFileError::Io { path: path.to_owned(), error };
    let mut file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing { path: path.to_owned() },
        _ => at(error),
    })?;
    let metadata = file.metadata().map_err(at)?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile { path: path.to_owned() });
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::OpenToOthers { path: path.to_owned(), mode });
    }
    if metadata.size() != len as u64 {
        return Err(KeyFileError::Length { path: path.to_owned(), bytes: metadata.size() });
    }
    let mut bytes = Zeroizing::new(vec![0; len]);
    file.read_exact(&mut bytes).map_err(at)?;
    Ok(bytes)
}

/// Writes a new file that nobody but its owner may read.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
    let at = |error| KeyFileError::Io { path: path.to_owned(), error };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => at(error),
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at)
}

/// Why a key file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// No such file.
    #[error("key file {path}: there is no such file; make one with: glancecast keygen {path}", path = path.display())]
    Missing {
        /// Its path.
        path: PathBuf,
    },
    /// A directory, a device.
    #[error("key file {path}: not a regular file", path = path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// Not 32 bytes.
    #[error("key file {path}: {bytes} bytes long, and a key is {key} bytes; make one with: glancecast keygen FILE",
        path = path.display(), key = GroupKey::BYTES)]
    Length {
        /// Its path.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// Group or others may read or write it.
    #[error("key file {path}: others may read it (mode {mode:04o}); close it with: chmod 600 {path}", path = path.display())]
    OpenToOthers {
        /// Its path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// More of them than a host accepts at a time.
    #[error("{keys} key files; at most {GROUP_KEYS_MAX} are accepted at a time, the old key and the new one")]
    TooMany {
        /// How many.
        keys: usize,
    },
    /// A new key would replace it.
    #[error("key file {path}: exists already, and a key is never replaced; choose another name", path = path.display())]
    Exists {
        /// Its path.
        path: PathBuf,
    },
    /// The system said no.
    #[error("key file {path}: {error}", path = path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use glancecast_proto::ids::{Sequence, SessionId};
    use glancecast_proto::seal::{Cipher, TAG_BYTES};

    #[test]
    fn a_new_key_is_private_and_never_replaced() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("group.key");
        create(&path).expect("new");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        load(&path).expect("just made");
        let before = std::fs::read(&path).expect("readable");
        assert!(matches!(create(&path), Err(KeyFileError::Exists { .. })));
        assert_eq!(std::fs::read(&path).expect("readable"), before);
    }

    #[test]
    fn keys_that_are_short_long_or_open_are_refused() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("group.key");
        assert!(matches!(load(&path), Err(KeyFileError::Missing { .. })));
        assert!(matches!(load(dir.path()), Err(KeyFileError::NotAFile { .. })));
        for bytes in [0, 31, 33] {
            std::fs::write(&path, vec![1; bytes]).expect("writable");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("ours");
            assert!(matches!(load(&path), Err(KeyFileError::Length { .. })), "{bytes}");
        }
        std::fs::write(&path, [1; 32]).expect("writable");
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
            assert!(matches!(load(&path), Err(KeyFileError::OpenToOthers { .. })), "{mode:o}");
        }
    }

    #[test]
    fn a_host_has_its_key_and_while_it_is_replaced_the_new_one_and_no_third() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let paths: Vec<PathBuf> =
            (0..=GROUP_KEYS_MAX).map(|number| dir.path().join(format!("{number}.key"))).collect();
        assert_eq!(load_all(&[]).expect("none").len(), 0);
        paths.iter().for_each(|path| create(path).expect("new"));
        for keys in 1..=GROUP_KEYS_MAX {
            let loaded = load_all(&paths[..keys]).expect("so many are possible");
            assert_eq!(loaded.len(), keys);
        }
        assert!(matches!(load_all(&paths), Err(KeyFileError::TooMany { keys }) if keys == paths.len()));
        let missing = [paths[0].clone(), dir.path().join("no")];
        assert!(matches!(load_all(&missing), Err(KeyFileError::Missing { .. })), "not one of two");
    }

    #[test]
    fn each_key_file_gives_the_key_that_is_in_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let paths = [1, 2].map(|byte: u8| {
            let path = dir.path().join(format!("{byte}.key"));
            write_private(&path, &[byte; GroupKey::BYTES]).expect("new");
            path
        });
        let read = load_all(&paths).expect("two keys");
        for (key, byte) in read.iter().zip([1, 2]) {
            let cipher = |key: &GroupKey| Cipher::downward(key, SessionId([0; 16]));
            let (mut sealed, mut opened) = ([0; 3 + TAG_BYTES], [0; 3]);
            cipher(key).seal(Sequence::default(), b"header", b"abc", &mut sealed);
            let written = cipher(&GroupKey::new([byte; GroupKey::BYTES]));
            let result = written.open(Sequence::default(), b"header", &sealed, &mut opened);
            assert!(result.is_ok() && opened == *b"abc", "{byte}");
        }
    }
}
