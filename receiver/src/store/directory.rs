//! A directory of objects under their own names.
//!
//! An unfinished object is a hidden file beside the finished ones, locked (flock(2)) as long as its receiver lives, so
//! that leftovers of a crash can be told from work in progress and are removed at the next start. Publishing is
//! fsync, a link that never replaces, and fsync of the directory: a crash leaves the whole object or no object.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use glancecast_proto::integrity::{Root, VerifiedBlock};
use glancecast_proto::receiver::Proof;
use glancecast_proto::wire::Announce;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::fstatvfs;

use super::StoreError;
use super::direct::Direct;

/// An existing directory that this process may write to.
#[derive(Debug)]
pub struct DirectoryStore {
    path: PathBuf,
    dir: File,
    /// Unfinished files made so far: a session that is joined again meets no file of its first attempt.
    made: AtomicU64,
}

/// What there is of an object when its session begins.
#[derive(Debug)]
pub enum Begun {
    /// An empty place of the object's length.
    New(PartialFile),
    /// A file of its name and length, to be compared with the root when that is known.
    Existing(ExistingFile),
}

impl DirectoryStore {
    /// Opens a directory and clears away what earlier receivers left unfinished.
    ///
    /// # Errors
    /// [`StoreError::Io`]: not there, not a directory, not writable.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let at = |what| move |error| StoreError::Io { what, path: path.to_owned(), error };
        let dir = File::open(path).map_err(at("open the directory"))?;
        if !dir.metadata().map_err(at("look at"))?.is_dir() {
            return Err(at("use as a store")(io::ErrorKind::NotADirectory.into()));
        }
        let store = Self { path: path.to_owned(), dir, made: AtomicU64::new(0) };
        store.remove_leftovers()?;
        let probe = store.path.join(format!("{PREFIX}probe.{}", std::process::id()));
        File::create(&probe).and_then(|_| fs::remove_file(&probe)).map_err(at("write to"))?;
        Ok(store)
    }

    /// Makes a place for an object, or finds the file that is there.
    ///
    /// # Errors
    /// A file of this name and another length is there, there is no room, or the system said no.
    pub fn begin(&self, announce: &Announce) -> Result<Begun, StoreError> {
        let target = self.path.join(announce.name.as_str());
        let bytes = announce.geometry.object_bytes();
        match fs::symlink_metadata(&target) {
            Ok(metadata) if metadata.is_file() && metadata.len() == bytes => {
                return Ok(Begun::Existing(ExistingFile { path: target }));
            }
            Ok(_) => return Err(StoreError::Exists { path: target }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::Io { what: "look for", path: target, error }),
        }
        let free = self.free_bytes()?;
        if free < bytes {
            return Err(StoreError::NoSpace { path: self.path.clone(), free, needed: bytes });
        }
        let dir = self.dir.try_clone().map_err(|error| self.error("open again", error))?;
        let serial = self.made.fetch_add(1, Ordering::Relaxed);
        let unfinished = format!("{PREFIX}{}.{}.{serial}{SUFFIX}", announce.name, announce.session);
        PartialFile::create(self.path.join(unfinished), dir, target, bytes).map(Begun::New)
    }

    /// Bytes that this process may still write here.
    ///
    /// # Errors
    /// What statvfs(3) says.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        let stat =
            fstatvfs(&self.dir).map_err(|error| self.error("ask for the free space of", error.into()))?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }

    /// Unfinished files that nobody holds a lock on: their receiver is gone.
    fn remove_leftovers(&self) -> Result<(), StoreError> {
        let entries = fs::read_dir(&self.path).map_err(|error| self.error("list", error))?;
        for entry in entries.flatten().filter(|entry| is_partial(&entry.file_name())) {
            let path = entry.path();
            let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
            if file.try_lock().is_ok() {
                tracing::info!(path = %path.display(), "removed what an earlier receiver left unfinished");
                fs::remove_file(&path).map_err(|error| StoreError::Io { what: "remove", path, error })?;
            }
        }
        Ok(())
    }

    fn error(&self, what: &'static str, error: io::Error) -> StoreError {
        StoreError::Io { what, path: self.path.clone(), error }
    }
}

/// An object on its way. Dropping it removes it.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    /// The same file, written past the page cache.
    direct: Direct,
    dir: File,
    /// Its hidden name.
    path: PathBuf,
    target: PathBuf,
}

impl PartialFile {
    fn create(path: PathBuf, dir: File, target: PathBuf, bytes: u64) -> Result<Self, StoreError> {
        let at = |what| {
            let path = path.clone();
            move |error| StoreError::Io { what, path, error }
        };
        let open = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = open.map_err(at("create"))?;
        let direct = Direct::open(&path);
        let partial = Self { file, direct, dir, path: path.clone(), target };
        partial.file.try_lock().map_err(|error| at("lock")(error.into()))?;
        partial.file.set_len(bytes).map_err(at("give its length to"))?;
        Ok(partial)
    }

    /// Writes a block at its place.
    ///
    /// # Errors
    /// What pwrite(2) says.
    pub fn write(&self, block: &VerifiedBlock<'_>) -> Result<(), StoreError> {
        if let Some(result) = self.direct.write(block) {
            return result.map_err(|error| self.error("write to", error));
        }
        self.file.write_all_at(block.bytes(), block.offset()).map_err(|error| self.error("write to", error))
    }

    /// Leaves a block of zeros as the hole that it is since the file was made.
    pub fn leave_hole(&self, block: VerifiedBlock<'_>) {
        debug_assert!(block.bytes().iter().all(|&byte| byte == 0));
    }

    /// Makes the data durable, then visible under the object's name: the name exists only with all of the object.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if a file of this name has appeared meanwhile and has other content; or what the system
    /// said. Nothing is left then.
    pub fn publish(self, proof: &Proof) -> Result<Publication, StoreError> {
        self.file.sync_all().map_err(|error| self.error("sync", error))?;
        let mode = fs::Permissions::from_mode(PUBLISHED_MODE);
        self.file.set_permissions(mode).map_err(|error| self.error("set the mode of", error))?;
        // The guests of this host need the page cache more than a file that nobody reads now.
        let _ = posix_fadvise(self.file.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        match fs::hard_link(&self.path, &self.target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let existing = ExistingFile { path: self.target.clone() };
                return existing.compare(proof.root()).map(|()| Publication::Existing);
            }
            Err(error) => {
                return Err(StoreError::Io { what: "publish", path: self.target.clone(), error });
            }
        }
        self.dir.sync_all().map_err(|error| self.error("sync the directory of", error))?;
        Ok(Publication::New)
    }

    fn error(&self, what: &'static str, error: io::Error) -> StoreError {
        StoreError::Io { what, path: self.path.clone(), error }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the unfinished file");
        }
    }
}

/// What publishing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// The file is there now.
    New,
    /// Somebody else had put the same bytes there.
    Existing,
}

/// A file of the object's name that was there before.
#[derive(Debug)]
pub struct ExistingFile {
    path: PathBuf,
}

impl ExistingFile {
    /// Hashes the file.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if it is another object, or what reading it said.
    pub fn compare(&self, root: Root) -> Result<(), StoreError> {
        let at = |error| StoreError::Io { what: "read", path: self.path.clone(), error };
        let mut hasher = blake3::Hasher::new();
        let file = File::open(&self.path).map_err(at)?;
        hasher.update_reader(&file).map_err(at)?;
        let _ = posix_fadvise(file.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        if Root(*hasher.finalize().as_bytes()) == root {
            Ok(())
        } else {
            Err(StoreError::Exists { path: self.path.clone() })
        }
    }
}

fn is_partial(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

/// Hidden from people; `ObjectName` allows no leading dot, so no object can have such a name.
const PREFIX: &str = ".glancecast-";
const SUFFIX: &str = ".part";

/// As Nova's own cache files: readable by all, written by nobody but the owner.
const PUBLISHED_MODE: u32 = 0o644;

#[cfg(test)]
mod tests {
    use super::*;
    use glancecast_proto::geometry::Geometry;
    use glancecast_proto::ids::{BlockIndex, ObjectName, SessionId};
    use glancecast_proto::integrity::BlockHash;
    use glancecast_proto::time::WallClock;
    use glancecast_proto::wire::{DiskFormat, Pin};
    use std::time::Duration;

    const OBJECT: &[u8] = b"what a node boots from";

    #[test]
    fn an_unfinished_file_is_hidden_and_gone_when_dropped() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = DirectoryStore::open(dir.path()).expect("a directory");
        let partial = begin(&store, "image");
        let names = names(dir.path());
        assert!(names.len() == 1 && names[0].starts_with(".glancecast-"), "{names:?}");
        drop(partial);
        assert_eq!(self::names(dir.path()), [""; 0]);
    }

    #[test]
    fn leftovers_of_a_dead_receiver_are_removed_and_those_of_a_live_one_are_not() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = DirectoryStore::open(dir.path()).expect("a directory");
        let alive = begin(&store, "alive");
        fs::write(dir.path().join(".glancecast-dead.00.part"), b"half").expect("writable");
        fs::write(dir.path().join(".other"), b"not ours").expect("writable");
        fs::write(dir.path().join("image"), b"published").expect("writable");
        DirectoryStore::open(dir.path()).expect("a directory");
        let names = names(dir.path());
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(!names.iter().any(|name| name.contains("dead")));
        drop(alive);
    }

    #[test]
    fn a_file_of_this_name_is_never_replaced() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = DirectoryStore::open(dir.path()).expect("a directory");
        fs::write(dir.path().join("image"), b"something else").expect("writable");
        let error = store.begin(&announce("image")).expect_err("another length");
        assert_eq!(error.kind(), FailureKind::Exists);

        fs::write(dir.path().join("image"), OBJECT).expect("writable");
        let Ok(Begun::Existing(existing)) = store.begin(&announce("image")) else { panic!("of this length") };
        existing.compare(Root(*blake3::hash(OBJECT).as_bytes())).expect("the same");
        assert!(existing.compare(Root([0; 32])).is_err());
        assert_eq!(fs::read(dir.path().join("image")).expect("there"), OBJECT);
    }

    #[test]
    fn blocks_are_written_in_their_places() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = DirectoryStore::open(dir.path()).expect("a directory");
        let partial = begin(&store, "image");
        let geometry = announce("image").geometry;
        let hash = BlockHash::of(geometry, BlockIndex(0), OBJECT);
        let block = VerifiedBlock::verify(geometry, BlockIndex(0), OBJECT, hash).expect("its hash");
        partial.write(&block).expect("room");
        assert_eq!(fs::read(&partial.path).expect("there"), OBJECT);
    }

    #[test]
    fn a_store_is_an_existing_directory() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("file");
        fs::write(&file, b"").expect("writable");
        assert!(DirectoryStore::open(&file).is_err());
        assert!(DirectoryStore::open(&dir.path().join("missing")).is_err());
    }

    use super::super::FailureKind;

    fn begin(store: &DirectoryStore, name: &str) -> PartialFile {
        match store.begin(&announce(name)) {
            Ok(Begun::New(partial)) => partial,
            other => panic!("{other:?}"),
        }
    }

    fn announce(name: &str) -> Announce {
        Announce {
            session: SessionId([3; 16]),
            time: WallClock(0),
            geometry: Geometry::for_path(OBJECT.len() as u64, 1500, 20).expect("in range"),
            name: ObjectName::new(name).expect("plain"),
            image_id: None,
            format: DiskFormat::Raw,
            pin: Pin::None,
            reply_to: ([127, 0, 0, 1], 1).into(),
            spread: Duration::ZERO,
            expected_hosts: 0,
            one_way: false,
        }
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("there").flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}
