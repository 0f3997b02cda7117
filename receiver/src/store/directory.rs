//! A directory of objects under their own names.

use std::fs::File;
use std::path::Path;

use glancecast_host::clock::wall;
use glancecast_proto::integrity::Root;
use glancecast_proto::wire::Announce;

use super::folder::{Folder, Found};
use super::format;
use super::leftovers::KeepUnfinished;
use super::partial::PartialFile;
use super::records::Records;
use super::{Publication, StoreError};

/// An existing directory that this process may write to.
#[derive(Debug)]
pub(super) struct DirectoryStore {
    folder: Folder,
    records: Records,
}

impl DirectoryStore {
    pub(super) fn open(path: &Path, keep: KeepUnfinished) -> Result<Self, StoreError> {
        let (folder, records) = (Folder::open(path, keep)?, Records::open(path));
        records.forget_gone(path);
        Ok(Self { folder, records })
    }

    pub(super) fn clean(&self) -> Result<(), StoreError> {
        self.records.forget_gone(self.path());
        self.folder.clean()
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a place for an object; `None` if a file of its name and length is there.
    pub(super) fn begin(&self, announce: &Announce) -> Result<Option<PartialFile>, StoreError> {
        let (name, bytes) = (announce.name.as_str(), announce.geometry.object_bytes());
        match self.folder.find(name, bytes)? {
            Found::Nothing => self.folder.begin(name, announce).map(Some),
            Found::OfThisLength => Ok(None),
            Found::SomethingElse => Err(StoreError::Exists { path: self.path().join(name) }),
        }
    }

    pub(super) fn publish(
        &self,
        announce: &Announce,
        file: PartialFile,
        root: Root,
    ) -> Result<Publication, StoreError> {
        let check = |file: &File| format::check(announce.format, format::Use::Files, file);
        file.with("inspect", check)?.map_err(StoreError::Refused)?;
        file.finish(PUBLISHED_MODE)?;
        if self.folder.link(&file, announce.name.as_str())? {
            self.note(announce, root);
            return Ok(Publication::New);
        }
        self.compare(announce, root).map(|()| Publication::Existing)
    }

    pub(super) fn compare(&self, announce: &Announce, root: Root) -> Result<(), StoreError> {
        self.folder.compare(announce.name.as_str(), root)?;
        self.note(announce, root);
        Ok(())
    }

    pub(super) fn parts(&self) -> (&Folder, &Records) {
        (&self.folder, &self.records)
    }

    fn note(&self, announce: &Announce, root: Root) {
        let name = announce.name.as_str();
        self.records.note(name, &self.path().join(name), announce, root, wall());
    }
}

/// Readable by all, written by nobody but the owner.
const PUBLISHED_MODE: u32 = 0o644;
