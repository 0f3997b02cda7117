//! A directory that holds unfinished files beside published ones, and the step from the one to the other.
//!
//! Publishing is fsync, a link that never replaces, and fsync of the directory: a crash leaves the whole object or no
//! object.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use glancecast_proto::integrity::Root;
use glancecast_proto::wire::Announce;

use super::StoreError;
use super::disk::{Disk, System};
use super::journal::Identity;
use super::keeper::{self, Keeper};
use super::leftovers::{self, KeepUnfinished};
use super::partial::{Names, PREFIX, PartialFile, Place};

/// An existing directory that this process may write to.
#[derive(Debug)]
pub(super) struct Folder {
    place: Place,
    keep: KeepUnfinished,
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
    pub(super) fn open(path: &Path, keep: KeepUnfinished) -> Result<Self, StoreError> {
        let at = |what| move |error| StoreError::Io { what, path: path.to_owned(), error };
        if !std::fs::metadata(path).map_err(at("open the directory"))?.is_dir() {
            return Err(at("use as a store")(io::ErrorKind::NotADirectory.into()));
        }
        let journals = keeper::start().map_err(at("start a thread for"))?;
        Self::on(Arc::new(System), path, keep, Some(journals))
    }

    pub(super) fn on(
        disk: Arc<dyn Disk>,
        path: &Path,
        keep: KeepUnfinished,
        journals: Option<Sender<Arc<Keeper>>>,
    ) -> Result<Self, StoreError> {
        let at = |what| move |error| StoreError::Io { what, path: path.to_owned(), error };
        let probe = path.join(format!("{PREFIX}probe.{}", std::process::id()));
        let _ = disk.remove(&probe); // of a process that had our pid and was killed right here
        disk.create(&probe).and_then(|_| disk.remove(&probe)).map_err(at("write to"))?;
        let place = Place { disk, directory: path.to_owned(), journals };
        let folder = Self { place, keep, made: AtomicU64::new(0) };
        folder.clean()?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.place.directory
    }

    /// Removes unfinished files that are too old or too many.
    pub(super) fn clean(&self) -> Result<(), StoreError> {
        leftovers::clean(self.disk(), self.path(), self.keep)
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
        let file = loop {
            let serial = self.made.fetch_add(1, Ordering::Relaxed);
            let names = Names::new(self.path(), object, session, serial);
            match PartialFile::create(&self.place, names, &identity, session, bytes) {
                // Somebody who still works on it has this name.
                Err(StoreError::Io { error, .. })
                    if error.kind() == io::ErrorKind::AlreadyExists && serial < SERIALS_MAX => {}
                result => break result?,
            }
        };
        if self.keep.time.is_zero() {
            file.discard();
        }
        Ok(file)
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
        let path = self.path().join(name);
        if self.hash(&path)? == root { Ok(()) } else { Err(StoreError::Exists { path }) }
    }

    /// Bytes that this process may still write here.
    fn free_bytes(&self) -> Result<u64, StoreError> {
        let free = self.disk().free_bytes(self.path());
        free.map_err(|error| self.error("ask for the free space of", error))
    }

    fn hash(&self, path: &Path) -> Result<Root, StoreError> {
        let at = |error| StoreError::Io { what: "read", path: path.to_owned(), error };
        let file = self.disk().read_only(path).map_err(at)?;
        let mut hasher = blake3::Hasher::new();
        let (mut bytes, mut offset) = (vec![0; READ_BYTES], 0);
        loop {
            let got = file.read_at(&mut bytes, offset).map_err(at)?;
            hasher.update(&bytes[..got]);
            file.forget_pages(offset..offset + got as u64);
            offset += got as u64;
            if got < bytes.len() {
                return Ok(Root(*hasher.finalize().as_bytes()));
            }
        }
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

const READ_BYTES: usize = 1 << 20;
