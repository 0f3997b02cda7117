//! A directory that holds unfinished files beside published ones, and the step from the one to the other.
//!
//! Publishing is fsync, a link that never replaces, and fsync of the directory: a crash leaves the whole object or no
//! object.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use glancecast_proto::integrity::Root;
use glancecast_proto::wire::Announce;
use nix::fcntl::{AT_FDCWD, OFlag, PosixFadviseAdvice, posix_fadvise};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use super::disk::{Disk, System};
use super::journal::Identity;
use super::keeper::{self, Keeper};
use super::leftovers;
use super::partial::{Names, PREFIX, PartialFile, Place};
use super::{StoreError, StoreOptions};

/// An existing directory that this process may write to.
#[derive(Debug)]
pub(super) struct Folder {
    place: Place,
    options: StoreOptions,
    /// Held while leftovers are looked at, so that nobody finds them locked by another thread of ours.
    looking: Mutex<()>,
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
    /// Opens a directory and clears away what earlier receivers left unfinished and nobody will go on with.
    pub(super) fn open(path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let at = |what| move |error| StoreError::Io { what, path: path.to_owned(), error };
        if !std::fs::metadata(path).map_err(at("open the directory"))?.is_dir() {
            return Err(at("use as a store")(io::ErrorKind::NotADirectory.into()));
        }
        let journals = keeper::start().map_err(at("start a thread for"))?;
        Self::on(Arc::new(System), path, options, Some(journals))
    }

    pub(super) fn on(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: StoreOptions,
        journals: Option<Sender<Arc<Keeper>>>,
    ) -> Result<Self, StoreError> {
        let at = |what| move |error| StoreError::Io { what, path: path.to_owned(), error };
        let probe = path.join(format!("{PREFIX}probe.{}", std::process::id()));
        let _ = disk.remove(&probe); // of a process that had our pid and was killed right here
        disk.create(&probe).and_then(|_| disk.remove(&probe)).map_err(at("write to"))?;
        let place = Place { disk, directory: path.to_owned(), journals };
        let folder = Self { place, options, looking: Mutex::new(()), made: AtomicU64::new(0) };
        folder.clean()?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.place.directory
    }

    /// Removes unfinished files that are too old or too many.
    pub(super) fn clean(&self) -> Result<(), StoreError> {
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        leftovers::clean(self.disk(), self.path(), self.options.keep)
    }

    /// What bears this name.
    pub(super) fn find(&self, name: &str, bytes: u64) -> Result<Found, StoreError> {
        let path = self.path().join(name);
        match self.disk().look(&path) {
            Ok(entry) if entry.is_file && entry.bytes == bytes => Ok(Found::OfThisLength),
            Ok(_) => Ok(Found::SomethingElse),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(StoreError::Io { what: "look for", path, error }),
        }
    }

    /// Goes on with the unfinished file of an object, or makes one if there is room for all of it. The unfinished of other
    /// objects has to make room.
    pub(super) fn begin(&self, object: &str, announce: &Announce) -> Result<PartialFile, StoreError> {
        let (geometry, session) = (announce.geometry, announce.session);
        let bytes = geometry.object_bytes();
        let identity = Identity::of(announce, object);
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let mut leftovers = leftovers::find(self.disk(), self.path())?;
        let old = leftovers::take(self.disk(), &mut leftovers, &identity, bytes);
        let there = old.as_ref().map_or(0, |(leftover, _)| leftover.entry.allocated);
        let needed = bytes.saturating_sub(there);
        loop {
            let free = self.free_bytes()?;
            match leftovers.pop() {
                _ if free >= needed => break,
                Some(oldest) => {
                    tracing::info!(path = %oldest.names.file.display(), "removed an unfinished image to make room");
                    oldest.names.remove(self.disk());
                }
                None => {
                    return Err(StoreError::NoSpace { path: self.path().to_owned(), free, needed });
                }
            }
        }
        if let Some((leftover, old)) = old {
            return Ok(PartialFile::resume(&self.place, leftover.names, leftover.file, old, geometry));
        }
        let journal_of = (!self.options.keep.time.is_zero()).then_some((&identity, session));
        loop {
            let serial = self.made.fetch_add(1, Ordering::Relaxed);
            let names = Names::new(self.path(), object, session, serial);
            match PartialFile::create(&self.place, names, journal_of, bytes) {
                // Somebody who still works on it has this name.
                Err(StoreError::Io { error, .. })
                    if error.kind() == io::ErrorKind::AlreadyExists && serial < SERIALS_MAX => {}
                result => return result,
            }
        }
    }

    /// Gives a finished file its name, unless something has it; says whether it did.
    pub(super) fn link(&self, file: &PartialFile, name: &str) -> Result<bool, StoreError> {
        let target = self.path().join(name);
        match self.disk().link(file.path(), &target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(StoreError::Io { what: "publish", path: target, error }),
        }
        self.disk()
            .sync_directory(self.path())
            .map_err(|error| self.error("sync the directory of", error))?;
        Ok(true)
    }

    /// Hashes a file and compares it with a root.
    pub(super) fn compare(&self, name: &str, root: Root) -> Result<(), StoreError> {
        if self.hash(name)? == root {
            Ok(())
        } else {
            Err(StoreError::Exists { path: self.path().join(name) })
        }
    }

    /// The BLAKE3 hash of a file.
    pub(super) fn hash(&self, name: &str) -> Result<Root, StoreError> {
        Ok(self.hash_in_steps(name, |_| true)?.expect("it goes on to the end"))
    }

    /// The same, from the disk: what the page cache has of a file may be right where the disk is not. `step` is called with
    /// the bytes done so far after each piece, and ends it by saying false.
    pub(super) fn hash_in_steps(
        &self,
        name: &str,
        mut step: impl FnMut(u64) -> bool,
    ) -> Result<Option<Root>, StoreError> {
        let path = self.path().join(name);
        let at = |error| StoreError::Io { what: "read", path: path.clone(), error };
        // What was listed as a file is not followed to somewhere else, and does not block.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let mut file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&path).map_err(at)?;
        // The guests of this host need the page cache more.
        let forget = |file: &File| posix_fadvise(file.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        let _ = forget(&file);
        let mut hasher = blake3::Hasher::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut done = 0;
        loop {
            let read = match file.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(at(error)),
            };
            hasher.update(&piece[..read]);
            done += read as u64;
            if done % FORGET_BYTES < read as u64 {
                let _ = forget(&file);
            }
            if !step(done) {
                return Ok(None);
            }
        }
        let _ = forget(&file);
        Ok(Some(Root(*hasher.finalize().as_bytes())))
    }

    /// The file that bears a name, whatever happens to the name.
    pub(super) fn identity(&self, name: &str) -> Result<(u64, u64), StoreError> {
        let path = self.path().join(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok((metadata.dev(), metadata.ino())),
            Err(error) => Err(StoreError::Io { what: "look at", path, error }),
        }
    }

    /// Sets a file's time of change to now.
    pub(super) fn touch(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path().join(name);
        utimensat(
            AT_FDCWD,
            &path,
            &TimeSpec::UTIME_OMIT,
            &TimeSpec::UTIME_NOW,
            UtimensatFlags::NoFollowSymlink,
        )
        .map_err(|error| StoreError::Io { what: "set the time of", path, error: error.into() })
    }

    /// The same, unless somebody gave the file a time that is still to come.
    pub(super) fn touch_if_older(&self, name: &str) -> Result<(), StoreError> {
        let changed = fs::symlink_metadata(self.path().join(name)).and_then(|metadata| metadata.modified());
        if changed.is_ok_and(|changed| changed > SystemTime::now()) { Ok(()) } else { self.touch(name) }
    }

    /// Tries something with a file that is there for nothing else.
    pub(super) fn probe(&self, with: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        probe(self.path(), with)
    }

    /// Bytes that this process may still write here.
    pub(super) fn free_bytes(&self) -> Result<u64, StoreError> {
        let free = self.disk().free_bytes(self.path());
        free.map_err(|error| self.error("ask for the free space of", error))
    }

    fn disk(&self) -> &dyn Disk {
        &*self.place.disk
    }

    fn error(&self, what: &'static str, error: io::Error) -> StoreError {
        StoreError::Io { what, path: self.path().to_owned(), error }
    }
}

/// Names that are tried.
const SERIALS_MAX: u64 = 1_000_000;

fn probe(directory: &Path, with: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let path = directory.join(format!("{PREFIX}probe.{}", std::process::id()));
    let tried = File::create(&path).and_then(|file| with(&file));
    fs::remove_file(&path)?;
    tried
}

const PIECE_BYTES: usize = 1 << 20;

/// The page cache is given back this often.
const FORGET_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::super::tests::announce;
    use super::*;

    #[test]
    fn hashing_reads_all_of_a_file_and_ends_when_told_to() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let bytes = vec![5; 3 * PIECE_BYTES + 17];
        fs::write(dir.path().join("image"), &bytes).expect("writable");
        std::os::unix::fs::symlink("image", dir.path().join("link")).expect("writable");
        let folder = Folder::open(dir.path(), StoreOptions::DEFAULT).expect("a directory");
        let mut steps = Vec::new();
        let count = |done| {
            steps.push(done);
            true
        };
        let root = folder.hash_in_steps("image", count).expect("readable");
        assert_eq!(root, Some(Root(*blake3::hash(&bytes).as_bytes())));
        assert!(steps.is_sorted() && steps.last() == Some(&(bytes.len() as u64)), "{steps:?}");
        assert_eq!(folder.hash_in_steps("image", |_| false).expect("readable"), None);
        assert!(folder.hash_in_steps("link", |_| true).is_err());
    }

    #[test]
    fn leftovers_of_a_dead_receiver_are_removed_and_those_of_a_live_one_are_not() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let folder = Folder::open(dir.path(), StoreOptions::DEFAULT).expect("a directory");
        let alive = folder.begin("alive", &announce("alive")).expect("room");
        fs::write(dir.path().join(".glancecast-dead.00.part"), b"half").expect("writable");
        fs::write(dir.path().join(".other"), b"not ours").expect("writable");
        fs::write(dir.path().join("image"), b"published").expect("writable");
        Folder::open(dir.path(), StoreOptions::DEFAULT).expect("a directory");
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .expect("there")
            .flatten()
            .map(|e| e.file_name().into_string().expect("text"))
            .collect();
        names.sort();
        assert_eq!(names.len(), 4, "{names:?}");
        assert!(!names.iter().any(|name| name.contains("dead")));
        drop(alive);
    }

    #[test]
    fn a_folder_is_an_existing_directory() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("file");
        fs::write(&file, b"").expect("writable");
        assert!(Folder::open(&file, StoreOptions::DEFAULT).is_err());
        assert!(Folder::open(&dir.path().join("missing"), StoreOptions::DEFAULT).is_err());
    }
}
