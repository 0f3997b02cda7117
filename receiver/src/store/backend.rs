//! What a kind of store decides, and what is the same for every kind: how a file gets its name.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_proto::integrity::Root;
use glancecast_proto::wire::{Announce, BaseName};

use super::at_work::AtWork;
use super::disk::Entry;
use super::error::StoreError;
use super::folder::{Folder, Found};
use super::format::{self, Purpose};
use super::partial::PartialFile;
use super::publications::PublicationLog;

/// A kind of store: what differs between kinds, and what all of them do with it. `Display` writes the store as on the
/// command line.
pub(super) trait Backend: fmt::Debug + fmt::Display + Send + Sync {
    /// Returns the parts of the store.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if this host accepts no object at all.
    fn parts(&self) -> Result<&Parts, StoreError>;

    /// Returns the file name for an announced object.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the object is not for this store.
    fn admit(&self, announce: &Announce) -> Result<String, StoreError>;

    /// Returns the file that a push's base name stands for if no published object has that name.
    fn base_file(&self, name: &BaseName) -> Option<String>;

    /// Returns what the files are used for, which decides how they are inspected.
    fn purpose(&self) -> Purpose;

    /// Returns the error for a push whose name another file has.
    fn taken(&self, path: PathBuf) -> StoreError {
        StoreError::Exists { path }
    }

    /// Gives a complete file to the owner of this store's files.
    fn give_away(&self, _file: &File) -> io::Result<()> {
        Ok(())
    }

    /// Locks a name against the program that shares the directory, until the value is dropped; `None` if there is no
    /// such program. A file that is published under this lock gets the time of its publication, as such a program
    /// removes old files.
    fn lock(&self, _name: &str, _wait: Wait) -> Result<Option<Lock>, StoreError> {
        Ok(None)
    }

    /// Returns what uses a published file, in words, beside programs that have it open; `None` if nothing does.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn user(&self, _name: &str) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// Returns the time between two calls of [`Backend::refresh`].
    fn refresh_interval(&self) -> Option<Duration> {
        None
    }

    /// Protects pinned files from removal.
    fn refresh(&self) {}

    /// Does what [`crate::store::Store::clean`] does.
    fn clean(&self) -> Result<(), StoreError> {
        self.parts().map_or(Ok(()), |parts| parts.folder.clean())
    }

    /// Creates or resumes an object's file; `None` if a file of its name and length exists.
    fn begin(&self, announce: &Announce) -> Result<Option<PartialFile>, StoreError> {
        let folder = &self.parts()?.folder;
        let name = self.admit(announce)?;
        match folder.find(&name, announce.geometry.object_bytes())? {
            Found::Nothing => folder.begin(&name, announce).map(Some),
            Found::OfThisLength => Ok(None),
            Found::SomethingElse => Err(self.taken(folder.path().join(name))),
        }
    }

    /// Inspects a complete file, makes it durable and gives it its name. If the name is taken, compares the file that
    /// has it.
    fn publish(&self, announce: &Announce, file: PartialFile, root: Root) -> Result<Publication, StoreError> {
        let parts = self.parts()?;
        let name = self.admit(announce)?;
        let inspected = file.with("inspect", |file| format::check(announce.format, self.purpose(), file))?;
        inspected.map_err(|refused| {
            file.discard(); // whoever resumes it is refused again
            StoreError::refused(refused)
        })?;
        file.with("change the owner of", |file| self.give_away(file))?;
        file.finish(PUBLISHED_MODE)?;
        let lock = self.lock(&name, Wait::UntilFree)?;
        if lock.is_some() {
            file.touch()?;
        }
        if let Some(entry) = parts.folder.link(file, &name)? {
            parts.note(&name, entry, announce, root);
            return Ok(Publication::New);
        }
        drop(lock);
        self.compare(announce, root, &|| true).map(|()| Publication::Existing)
    }

    /// Compares the file of an object's name with the object's root, until `wanted` returns false. If it is the same,
    /// it counts as published now.
    fn compare(&self, announce: &Announce, root: Root, wanted: &dyn Fn() -> bool) -> Result<(), StoreError> {
        let parts = self.parts()?;
        let name = self.admit(announce)?;
        let compared = parts.folder.compare(&name, root, wanted).map_err(|error| match error {
            StoreError::Exists { path } => self.taken(path),
            error => error,
        })?;
        let lock = self.lock(&name, Wait::UntilFree)?;
        let entry = if lock.is_none() {
            compared.entry
        } else if parts.folder.leads_to(&name, &compared)? {
            parts.folder.touch(&name, &*compared.file)?
        } else {
            let path = parts.folder.path().join(&name);
            let error = io::Error::other("was replaced while it was compared: push again");
            return Err(StoreError::Io { what: "compare", path, error });
        };
        parts.note(&name, entry, announce, root);
        Ok(())
    }

    /// Ends long operations: waiting for a lock, and comparing.
    fn stop(&self) {
        if let Ok(parts) = self.parts() {
            parts.folder.stop();
        }
    }
}

/// The outcome of publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// The file was published.
    New,
    /// Somebody else had published the same bytes.
    Existing,
}

/// A lock of any kind; dropping it unlocks.
pub(super) type Lock = Box<dyn fmt::Debug>;

/// How long a lock is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// As long as the other program may take to fetch an image.
    UntilFree,
    /// As long as a person waits for an answer.
    Briefly,
}

/// The directory that a store fills, and the log of the objects in it.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) folder: Folder,
    pub(super) log: PublicationLog,
    pub(super) at_work: AtWork,
}

impl Parts {
    fn note(&self, name: &str, entry: Entry, announce: &Announce, root: Root) {
        self.log.note(name, entry.id, announce, root, wall());
    }
}

/// Mode of published files. Like Nova's own files they are readable by all and writable only by the owner: QEMU runs as
/// another user than Nova.
pub(super) const PUBLISHED_MODE: u32 = 0o644;
