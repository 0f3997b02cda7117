//! What a kind of store decides, and what is the same for every kind: how a file gets its name.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_proto::integrity::Root;
use glancecast_proto::wire::{Announce, BaseName};

use super::disk::Entry;
use super::error::StoreError;
use super::folder::{Folder, Found};
use super::format::{self, Purpose};
use super::partial::PartialFile;
use super::publications::PublicationLog;

/// What is different from kind to kind, and what all of them do with it. `Display` is how the store is written on the
/// command line.
pub(super) trait Backend: fmt::Debug + fmt::Display + Send + Sync {
    /// Returns what the store consists of.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where this host takes nothing at all.
    fn parts(&self) -> Result<&Parts, StoreError>;

    /// Returns the name that the file of an announced object gets.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the object is none for this store.
    fn admit(&self, announce: &Announce) -> Result<String, StoreError>;

    /// Returns the name of the file that a push means by the name of its base, though it was not published here.
    fn base_file(&self, name: &BaseName) -> Option<String>;

    /// What the files are for, which decides how they are inspected.
    fn purpose(&self) -> Purpose;

    /// The failure of a push whose name another file has.
    fn taken(&self, path: PathBuf) -> StoreError {
        StoreError::Exists { path }
    }

    /// Gives a complete file to the user to whom the files of this store belong.
    fn give_away(&self, _file: &File) -> io::Result<()> {
        Ok(())
    }

    /// Excludes the program that shares the directory from a name, until the value is dropped; `None` where there is no such
    /// program. A file that is published under this lock gets the time of its publication, as such a program removes what is
    /// old.
    fn lock(&self, _name: &str) -> Result<Option<Lock>, StoreError> {
        Ok(None)
    }

    /// How often [`Backend::refresh`] is to be called.
    fn refresh_interval(&self) -> Option<Duration> {
        None
    }

    /// Keeps what is pinned from being removed.
    fn refresh(&self) {}

    /// Removes unfinished files that are too old or too many.
    fn clean(&self) -> Result<(), StoreError> {
        self.parts().map_or(Ok(()), |parts| parts.folder.clean())
    }

    /// Makes a place for an object; `None` if a file of its name and length is there.
    fn begin(&self, announce: &Announce) -> Result<Option<PartialFile>, StoreError> {
        let folder = &self.parts()?.folder;
        let name = self.admit(announce)?;
        match folder.find(&name, announce.geometry.object_bytes())? {
            Found::Nothing => folder.begin(&name, announce).map(Some),
            Found::OfThisLength => Ok(None),
            Found::SomethingElse => Err(self.taken(folder.path().join(name))),
        }
    }

    /// Gives a complete file its name, unless something has it: then that is compared.
    fn publish(&self, announce: &Announce, file: PartialFile, root: Root) -> Result<Publication, StoreError> {
        let parts = self.parts()?;
        let name = self.admit(announce)?;
        file.with("inspect", |file| format::check(announce.format, self.purpose(), file))?
            .map_err(StoreError::refused)?;
        file.with("change the owner of", |file| self.give_away(file))?;
        file.finish(PUBLISHED_MODE)?;
        let lock = self.lock(&name)?;
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

    /// Compares the file of an object's name with its root, unless `wanted` says that nobody waits for it any more. One that
    /// is the same is as good as published now.
    fn compare(&self, announce: &Announce, root: Root, wanted: &dyn Fn() -> bool) -> Result<(), StoreError> {
        let parts = self.parts()?;
        let name = self.admit(announce)?;
        let compared = parts.folder.compare(&name, root, wanted).map_err(|error| match error {
            StoreError::Exists { path } => self.taken(path),
            error => error,
        })?;
        let lock = self.lock(&name)?;
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

    /// Ends what takes long: waiting for a lock, and comparing.
    fn stop(&self) {
        if let Ok(parts) = self.parts() {
            parts.folder.stop();
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

/// Whatever it is, dropping it unlocks.
pub(super) type Lock = Box<dyn fmt::Debug>;

/// The directory that a store fills, and what is known of the objects in it.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) folder: Folder,
    pub(super) log: PublicationLog,
}

impl Parts {
    fn note(&self, name: &str, entry: Entry, announce: &Announce, root: Root) {
        self.log.note(name, entry.id, announce, root, wall());
    }
}

/// Readable by all, written by nobody but the owner, as Nova's own files are: QEMU runs as another user than Nova.
const PUBLISHED_MODE: u32 = 0o644;
