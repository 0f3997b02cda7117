//! A directory that holds unfinished files beside published ones, and the step from the one to the other.
//!
//! Publishing is fsync, a link that never replaces, and fsync of the directory: a crash leaves the whole object or no
//! object.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use glancecast_proto::ids::SessionId;
use glancecast_proto::integrity::Root;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::fstatvfs;

use super::StoreError;
use super::partial::{PREFIX, PartialFile, partial_name, remove_leftovers};

/// An existing directory that this process may write to.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    dir: File,
    /// Unfinished files made so far: a session that is joined again meets no file of its first attempt.
    made: AtomicU64,
}

/// What has a name in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// A file of the length that was asked for.
    OfThisLength,
    SomethingElse,
}

impl Folder {
    /// Opens a directory and clears away what earlier receivers left unfinished.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let at = |what| move |error| StoreError::Io { what, path: path.to_owned(), error };
        let dir = File::open(path).map_err(at("open the directory"))?;
        if !dir.metadata().map_err(at("look at"))?.is_dir() {
            return Err(at("use as a store")(io::ErrorKind::NotADirectory.into()));
        }
        remove_leftovers(path)?;
        let probe = path.join(format!("{PREFIX}probe.{}", std::process::id()));
        File::create(&probe).and_then(|_| fs::remove_file(&probe)).map_err(at("write to"))?;
        Ok(Self { path: path.to_owned(), dir, made: AtomicU64::new(0) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What bears this name.
    pub(super) fn find(&self, name: &str, bytes: u64) -> Result<Found, StoreError> {
        let path = self.path.join(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() == bytes => Ok(Found::OfThisLength),
            Ok(_) => Ok(Found::SomethingElse),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(StoreError::Io { what: "look for", path, error }),
        }
    }

    /// Makes an unfinished file of an object, if there is room for all of it.
    pub(super) fn begin(
        &self,
        object: &str,
        session: SessionId,
        bytes: u64,
    ) -> Result<PartialFile, StoreError> {
        let free = self.free_bytes()?;
        if free < bytes {
            return Err(StoreError::NoSpace { path: self.path.clone(), free, needed: bytes });
        }
        let serial = self.made.fetch_add(1, Ordering::Relaxed);
        PartialFile::create(self.path.join(partial_name(object, session, serial)), bytes)
    }

    /// Gives a finished file its name, unless something has it; says whether it did.
    pub(super) fn link(&self, file: &PartialFile, name: &str) -> Result<bool, StoreError> {
        let target = self.path.join(name);
        match fs::hard_link(file.path(), &target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(StoreError::Io { what: "publish", path: target, error }),
        }
        self.dir.sync_all().map_err(|error| self.error("sync the directory of", error))?;
        Ok(true)
    }

    /// Hashes a file and compares it with a root.
    pub(super) fn compare(&self, name: &str, root: Root) -> Result<(), StoreError> {
        let path = self.path.join(name);
        if hash(&path)? == root { Ok(()) } else { Err(StoreError::Exists { path }) }
    }

    /// Bytes that this process may still write here.
    fn free_bytes(&self) -> Result<u64, StoreError> {
        let stat =
            fstatvfs(&self.dir).map_err(|error| self.error("ask for the free space of", error.into()))?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }

    fn error(&self, what: &'static str, error: io::Error) -> StoreError {
        StoreError::Io { what, path: self.path.clone(), error }
    }
}

fn hash(path: &Path) -> Result<Root, StoreError> {
    let at = |error| StoreError::Io { what: "read", path: path.to_owned(), error };
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).map_err(at)?;
    hasher.update_reader(&file).map_err(at)?;
    let _ = posix_fadvise(file.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    Ok(Root(*hasher.finalize().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_a_dead_receiver_are_removed_and_those_of_a_live_one_are_not() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let folder = Folder::open(dir.path()).expect("a directory");
        let alive = folder.begin("alive", SessionId([3; 16]), 100).expect("room");
        fs::write(dir.path().join(".glancecast-dead.00.part"), b"half").expect("writable");
        fs::write(dir.path().join(".other"), b"not ours").expect("writable");
        fs::write(dir.path().join("image"), b"published").expect("writable");
        Folder::open(dir.path()).expect("a directory");
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .expect("there")
            .flatten()
            .map(|e| e.file_name().into_string().expect("text"))
            .collect();
        names.sort();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(!names.iter().any(|name| name.contains("dead")));
        drop(alive);
    }

    #[test]
    fn a_folder_is_an_existing_directory() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("file");
        fs::write(&file, b"").expect("writable");
        assert!(Folder::open(&file).is_err());
        assert!(Folder::open(&dir.path().join("missing")).is_err());
    }
}
