//! The store: a file is created, filled block by block, proven, and only then given its name.
//!
//! The types enforce this order: only a `VerifiedBlock` can be written, only a `Proof` publishes, and publishing
//! consumes the unfinished file. [`PartialFile`] knows how an object is written; each kind of store (`backends`) knows
//! which files it accepts and under which names.

mod acting;
mod anchor;
mod at_work;
mod backend;
mod backends;
mod base;
mod claim;
mod dir;
mod direct;
mod disk;
mod error;
mod file_id;
mod file_system;
mod folder;
mod format;
mod journal;
mod journal_writer;
mod min_free;
mod name;
mod owner;
mod partial;
mod publications;
mod removal;
mod resume;
mod runs;
mod spec;
#[cfg(any(test, fuzzing))]
pub(crate) mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;

use glancecast_platform::clock::wall;
use glancecast_proto::integrity::Root;
use glancecast_proto::receiver::Proof;
use glancecast_proto::wire::{Announce, BaseName, PinTime};

use crate::on_published::PublishedImage;
use at_work::Working;
pub use backend::Publication;
use backend::{Backend, Parts};
pub use backends::StoreSpec;
pub use base::BaseFile;
pub use error::StoreError;
pub use format::find_tool;

pub use min_free::MinFree;
pub use partial::PartialFile;
pub use publications::{Held, PinChange, Pinned};
use removal::Fate;
pub use removal::{Pins, Removal};
pub use spec::{KeepUnfinished, SpecError, StoreOptions};

/// An open store; clones share it.
#[derive(Clone, Debug)]
pub struct Store(Arc<dyn Backend>);

/// What a store holds of an object when its session begins.
#[derive(Debug)]
pub enum Begun {
    /// An unfinished file of the object's length: empty, or with blocks that an earlier session kept.
    New(Unpublished),
    /// A file of the object's name and length, to be compared with the root once that is known.
    Existing(Existing),
}

impl Store {
    /// Opens a store and removes the unfinished files of earlier receivers that are not to be kept.
    ///
    /// # Errors
    /// [`StoreError::Io`] if it does not exist, is not a directory, or is not writable.
    pub fn open(spec: &StoreSpec, options: StoreOptions) -> Result<Self, StoreError> {
        Ok(Self(spec.open(options)?.into()))
    }

    /// Claims a store for this process, until it ends. Call it before the store is opened, which clears up there.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another receiver on this machine uses the store; or the error of the file system.
    pub fn claim(spec: &StoreSpec) -> Result<(), StoreError> {
        let Some(home) = spec.home() else { return Ok(()) };
        match claim::take(home) {
            // It is never closed: the system unlocks it when this process ends, however it ends.
            Ok(lock) => std::mem::forget(lock),
            // Opening the store finds that out as well, and says what to do.
            Err(StoreError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Removes unfinished files that are too old, too many, or in the room that stays free. A directory store also
    /// drops the records of published files that are gone.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn clean(&self) -> Result<(), StoreError> {
        self.0.clean()
    }

    /// Creates an object's file, resumes the one of an earlier session, or finds the published one.
    ///
    /// # Errors
    /// A file of this name and another length exists, there is no room, or a system call failed.
    pub fn begin(&self, announce: &Announce) -> Result<Begun, StoreError> {
        let at_work = &self.0.parts()?.at_work;
        let working = at_work.begin(self.0.admit(announce)?);
        let file = self.0.begin(announce)?;
        let (store, announce) = (self.clone(), announce.clone());
        Ok(match file {
            Some(file) => Begun::New(Unpublished { store, announce, file, working }),
            None => Begun::Existing(Existing { store, announce, _working: working }),
        })
    }

    /// Starts the thread that protects pinned files from removal, if the kind of store needs one. It ends after the
    /// last clone of the store is dropped.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn spawn_refresher(&self) -> io::Result<()> {
        let Some(interval) = self.0.refresh_interval() else { return Ok(()) };
        let store = Arc::downgrade(&self.0);
        let refresh = move || {
            while let Some(store) = store.upgrade() {
                store.refresh();
                drop(store);
                thread::sleep(interval);
            }
        };
        thread::Builder::new().name("refresh".into()).spawn(refresh).map(drop)
    }

    /// Puts other options in the place of the old ones; a file that is being written keeps its reserve.
    pub fn set_options(&self, options: StoreOptions) {
        if let Some(parts) = self.parts() {
            parts.folder.set_options(options);
        }
    }

    /// Ends long operations: a publication that waits for a lock fails, and a comparison ends.
    pub fn stop(&self) {
        format::stop();
        self.0.stop();
    }
}

/// Published objects.
impl Store {
    /// Returns every object that was published here and is still here, sorted by file name.
    pub fn inventory(&self) -> Vec<Held> {
        let Some(parts) = self.parts() else { return Vec::new() };
        parts.log.list(parts.folder.disk(), wall())
    }

    /// Returns the objects that hold `image`: by Glance's id, or by name if none has this id. Names need not be unique.
    pub fn held(&self, image: &str) -> Vec<Held> {
        let held = self.inventory();
        let by_id = held.iter().any(|held| held.image_id.as_deref() == Some(image));
        let is_meant =
            |held: &Held| if by_id { held.image_id.as_deref() == Some(image) } else { held.name == image };
        held.into_iter().filter(is_meant).collect()
    }

    /// Hashes an object's file ([`Held::file`]) again, which takes as long as reading it, and compares it with its
    /// record.
    ///
    /// # Errors
    /// The error of reading it.
    pub fn verify(&self, file: &str) -> Result<Verified, StoreError> {
        Ok(self.verify_in_steps(file, |_| true)?.expect("it goes on to the end"))
    }

    /// Does what [`Store::verify`] does, in steps. `step` is called with the bytes done so far; if it returns false,
    /// the result is `None`.
    ///
    /// # Errors
    /// The error of reading it.
    pub fn verify_in_steps(
        &self,
        file: &str,
        step: impl FnMut(u64) -> bool,
    ) -> Result<Option<Verified>, StoreError> {
        let Some(parts) = self.parts() else { return Ok(Some(Verified::NotHeld)) };
        let Some(held) = self.inventory().into_iter().find(|held| held.file == file) else {
            return Ok(Some(Verified::NotHeld));
        };
        let Some(root) = parts.folder.hash_in_steps(file, step)? else { return Ok(None) };
        if root != held.root {
            return Ok(Some(Verified::Differs(root)));
        }
        parts.log.note_proven(file, wall());
        Ok(Some(Verified::Proven(root)))
    }

    /// Returns the older object that a push names as its base, if this store holds it. An object that was published
    /// here is found by Glance's id or by the name of its last push; otherwise the kind of store names the file to use.
    ///
    /// # Errors
    /// The error of opening it.
    pub fn base(&self, name: &BaseName) -> io::Result<Option<BaseFile>> {
        let Some(parts) = self.parts() else { return Ok(None) };
        let newest = self.held(name.as_str()).into_iter().max_by_key(|held| held.proven);
        let file = newest.map(|held| held.file).or_else(|| self.0.base_file(name));
        file.map_or(Ok(None), |file| parts.folder.base(&file))
    }

    /// Returns the bytes that can still be written here; `None` if the system does not report them.
    pub fn free_bytes(&self) -> Option<u64> {
        self.parts()?.folder.free_bytes().ok()
    }

    /// Ends the pin of an object's file ([`Held::file`]); returns whether it had one. From then on the program that
    /// shares the directory may remove the file.
    pub fn unpin(&self, file: &str) -> bool {
        self.parts().is_some_and(|parts| parts.log.unpin(file, wall()))
    }

    /// Pins an object's file ([`Held::file`]) from now on, longer or shorter than until now; `None` if it is no longer
    /// there.
    ///
    /// # Errors
    /// The error of writing its record: it is pinned as before.
    pub fn pin(&self, file: &str, time: PinTime) -> io::Result<Option<PinChange>> {
        self.parts().map_or(Ok(None), |parts| parts.log.pin(file, time, wall()))
    }

    /// Removes an object's file ([`Held::file`]), unless something uses it; unless it is pinned, where pins
    /// are heeded.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn remove(&self, file: &str, pins: Pins) -> Result<Removal, StoreError> {
        removal::take_away(&*self.0, file, Fate::Removed(pins))
    }

    /// Takes the name of an object's damaged file ([`Held::file`]), unless something uses it. The next push of the object
    /// mends what was kept.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn set_aside(&self, file: &str) -> Result<Removal, StoreError> {
        removal::take_away(&*self.0, file, Fate::SetAside)
    }

    fn parts(&self) -> Option<&Parts> {
        self.0.parts().ok()
    }
}

/// The result of hashing a file again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is what was published.
    Proven(Root),
    /// It is something else now, with this hash.
    Differs(Root),
    /// It was not published here, or was removed.
    NotHeld,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An unpublished object. Dropping it leaves what a later session of the same object can resume.
#[derive(Debug)]
pub struct Unpublished {
    store: Store,
    announce: Announce,
    file: PartialFile,
    working: Working,
}

impl Unpublished {
    /// Returns the file that its blocks are written to.
    pub fn file(&self) -> &PartialFile {
        &self.file
    }

    /// Describes the object as it is once it is published.
    pub(crate) fn describe(&self, proof: &Proof) -> PublishedImage {
        let file = self.working.file();
        PublishedImage {
            name: self.announce.name.to_string(),
            path: self.store.parts().map_or_else(|| file.into(), |parts| parts.folder.path().join(file)),
            root: proof.root().to_string(),
            bytes: self.announce.geometry.object_bytes(),
            image_id: self.announce.image_id.clone(),
        }
    }

    /// Makes the data durable, then visible under the object's name. The name exists only with the complete object.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if a file of this name has appeared meanwhile and has other content; or the error of a
    /// system call. Nothing is left then.
    pub fn publish(self, proof: &Proof) -> Result<Publication, StoreError> {
        let Self { store, announce, file, working: _working } = self;
        store.0.publish(&announce, file, proof.root())
    }
}

/// A file of the object's name that existed before the session.
#[derive(Debug)]
pub struct Existing {
    store: Store,
    announce: Announce,
    _working: Working,
}

impl Existing {
    /// Bytes that [`Existing::compare`] reads between two calls of `wanted`.
    pub const STEP_BYTES: u64 = folder::PIECE_BYTES as u64;

    /// Hashes the file and compares it with `root`, until the store is stopped or `wanted` returns false. `wanted` is
    /// called after each step and may sleep to cap the rate.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if it is another object, [`StoreError::Stopped`], or the error of reading it.
    pub fn compare(&self, root: Root, wanted: &dyn Fn() -> bool) -> Result<(), StoreError> {
        self.store.0.compare(&self.announce, root, wanted)
    }
}
