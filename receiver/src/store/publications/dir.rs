//! The directory of the log: a hidden one in the store, which must be the store's own. A link in its place, or a
//! directory in which others may write, would lead to files that are not ours; so it is opened without following a
//! link, checked, and held open. Its files are read, replaced and removed by that descriptor.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::OFlag;

use crate::store::anchor::Anchor;
use crate::store::dir::{Access, Dir, OTHERS_WRITE};
use crate::store::error::StoreError;
use crate::store::name::Name;

/// The directory of the records, created with the first of them.
#[derive(Debug)]
pub(super) struct LogDir {
    store: Anchor,
    held: Mutex<Option<Arc<Dir>>>,
}

impl LogDir {
    /// Opens the directory, if it exists.
    ///
    /// # Errors
    /// [`StoreError::LogDir`] if it is not ours.
    pub(super) fn open(store: Anchor) -> Result<Self, StoreError> {
        let path = |dir: &Dir| dir.path().join(DIRECTORY);
        let dir = store.dir().map_err(|error| StoreError::Io {
            what: "open the store of",
            path: PathBuf::from(DIRECTORY),
            error,
        })?;
        let held = match find(&dir) {
            Ok(found) => Some(Arc::new(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::LogDir { path: path(&dir), error }),
        };
        Ok(Self { store, held: Mutex::new(held) })
    }

    /// Returns the names in it.
    pub(super) fn list(&self) -> Vec<Name> {
        self.held().and_then(|dir| dir.list().ok()).unwrap_or_default()
    }

    /// Opens a file in it to read.
    pub(super) fn open_file(&self, name: &Name) -> io::Result<File> {
        self.held().ok_or(io::ErrorKind::NotFound)?.open_file(name, Access::Read)
    }

    /// Opens a file in it to lock it, or makes it: for reading, and for writing. A file system with a file that is open for
    /// writing cannot be made read-only (mount(8)), so the second one is closed when its content is written.
    pub(super) fn file_to_lock(&self, name: &Name) -> io::Result<(File, File)> {
        let dir = self.held_or_made()?;
        let content = match dir.open_file(name, Access::Lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match dir.create_file(name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    dir.open_file(name, Access::Lock)
                }
                made => made,
            },
            found => found,
        }?;
        Ok((dir.open_again(&content, OFlag::O_RDONLY)?, content))
    }

    /// Replaces a file as a whole; it has the name `unfinished` until it is durable.
    pub(super) fn replace(&self, name: &Name, unfinished: &Name, bytes: &[u8]) -> io::Result<()> {
        let dir = self.held_or_made()?;
        let _ = dir.remove(unfinished); // left by a process with our pid that was killed right here
        let mut out = dir.create_file(unfinished)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        dir.rename(unfinished, name)?;
        dir.sync()
    }

    /// Removes a file in it, if it exists.
    pub(super) fn remove(&self, name: &Name) {
        if let Some(dir) = self.held() {
            let _ = dir.remove(name); // tried again at the next start
        }
    }

    /// Renames a file in it.
    pub(super) fn rename(&self, from: &Name, to: &Name) {
        if let Some(dir) = self.held() {
            let _ = dir.rename(from, to); // logged again at the next start
        }
    }

    fn held(&self) -> Option<Arc<Dir>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn held_or_made(&self) -> io::Result<Arc<Dir>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = held.as_ref().filter(|dir| !dir.is_gone()) {
            return Ok(Arc::clone(dir));
        }
        let store = self.store.dir()?;
        let made = store.make(&name()?, None, MODE)?;
        let dir = Arc::new(checked(&store, made)?);
        *held = Some(Arc::clone(&dir));
        Ok(dir)
    }
}

fn find(store: &Dir) -> io::Result<Dir> {
    checked(store, store.below(&name()?)?)
}

fn checked(store: &Dir, dir: Dir) -> io::Result<Dir> {
    let metadata = dir.metadata()?;
    let why = if !store.is_ours(&metadata) {
        format!("it belongs to user {}", metadata.uid())
    } else if metadata.mode() & OTHERS_WRITE != 0 {
        format!("others may write in it (mode {:o})", metadata.mode() & 0o7777)
    } else {
        return Ok(dir);
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

fn name() -> io::Result<Name> {
    Name::new(DIRECTORY)
}

/// Name of the directory in the store. `ObjectName` allows no leading dot, and Nova treats no such name as its own.
pub(in crate::store) const DIRECTORY: &str = ".glancecast";

/// Nobody else needs to read records.
const MODE: u32 = 0o700;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::tests::name;
    use crate::store::tests::is_root;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use tempfile::TempDir;

    #[test]
    fn it_is_made_with_the_first_record_and_for_its_owner_alone() {
        let (store, records) = store();
        assert!(!store.path().join(DIRECTORY).exists() && records.list().is_empty());
        records.replace(&name("a.toml"), &name("a.1.new"), b"first").expect("writable");
        records.replace(&name("a.toml"), &name("a.1.new"), b"second").expect("writable");
        let mode = |path: &str| fs::metadata(store.path().join(path)).expect("there").mode() & 0o7777;
        assert_eq!((mode(DIRECTORY), mode(".glancecast/a.toml")), (0o700, 0o600));
        assert_eq!(fs::read(store.path().join(".glancecast/a.toml")).expect("there"), b"second");
        assert_eq!(records.list(), [name("a.toml")]);
        records.rename(&name("a.toml"), &name("b.toml"));
        assert_eq!(records.list(), [name("b.toml")]);
        records.remove(&name("b.toml"));
        assert_eq!(records.list(), []);
    }

    #[test]
    fn one_that_was_removed_is_made_again() {
        let (store, records) = store();
        for _ in 0..2 {
            records.replace(&name("a.toml"), &name("a.1.new"), b"x").expect("writable");
            fs::remove_dir_all(store.path().join(DIRECTORY)).expect("ours");
        }
    }

    #[test]
    fn what_a_killed_process_left_is_replaced_and_a_link_in_its_place_is_not_written_through() {
        let (store, records) = store();
        let victim = store.path().join("victim");
        fs::write(&victim, b"untouched").expect("writable");
        records.replace(&name("a.toml"), &name("a.1.new"), b"first").expect("writable");
        symlink(&victim, store.path().join(".glancecast/a.1.new")).expect("writable");
        records.replace(&name("a.toml"), &name("a.1.new"), b"second").expect("writable");
        symlink(&victim, store.path().join(".glancecast/b.toml")).expect("writable");
        assert!(records.open_file(&name("b.toml")).is_err());
        records.replace(&name("b.toml"), &name("b.1.new"), b"second").expect("writable");
        assert_eq!(fs::read(&victim).expect("there"), b"untouched");
    }

    #[test]
    fn a_link_is_refused_with_what_to_do_and_nothing_behind_it_is_touched() {
        let (store, _) = store();
        let other = store.path().join("other");
        fs::create_dir(&other).expect("writable");
        fs::write(other.join("important.new"), b"keep").expect("writable");
        symlink(&other, store.path().join(DIRECTORY)).expect("writable");
        let error = open(&store).expect_err("a link").to_string();
        assert!(error.contains(DIRECTORY) && error.contains("remove it"), "{error}");
        assert!(other.join("important.new").exists());
    }

    #[test]
    fn a_directory_in_which_others_write_is_refused() {
        for (mode, refused) in [(0o700, false), (0o755, false), (0o775, true), (0o757, true), (0o1777, true)]
        {
            let (store, _) = store();
            let path = store.path().join(DIRECTORY);
            fs::create_dir(&path).expect("writable");
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
            assert_eq!(open(&store).is_err(), refused, "{mode:o}");
        }
    }

    #[test]
    fn another_users_directory_is_refused() {
        if !is_root() {
            return;
        }
        let (store, _) = store();
        let path = store.path().join(DIRECTORY);
        fs::create_dir(&path).expect("writable");
        chown(&path, Some(42_438), None).expect("root");
        let error = open(&store).expect_err("another user's").to_string();
        assert!(error.contains("42438"), "{error}");
        chown(store.path(), Some(42_436), None).expect("root");
        open(&store).expect_err("neither the store's owner's nor ours");
        chown(&path, Some(42_436), None).expect("root");
        open(&store).expect("the store's owner's");
        chown(&path, Some(0), None).expect("root");
        open(&store).expect("ours");
    }

    #[test]
    fn a_link_that_appears_before_the_first_record_is_not_followed_either() {
        let (store, records) = store();
        let other = store.path().join("other");
        fs::create_dir(&other).expect("writable");
        symlink(&other, store.path().join(DIRECTORY)).expect("writable");
        assert!(records.replace(&name("a.toml"), &name("a.1.new"), b"x").is_err());
        assert_eq!(fs::read_dir(&other).expect("there").count(), 0);
    }

    fn store() -> (TempDir, LogDir) {
        let store = tempfile::tempdir().expect("temporary directory");
        let records = open(&store).expect("nothing there yet");
        (store, records)
    }

    fn open(store: &TempDir) -> Result<LogDir, StoreError> {
        LogDir::open(Anchor::open(store.path(), Vec::new()).expect("a directory"))
    }
}
