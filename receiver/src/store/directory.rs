//! A directory of objects under their own names.

use std::fs::File;
use std::path::Path;

use glancecast_platform::clock::wall;
use glancecast_proto::integrity::Root;
use glancecast_proto::wire::Announce;

use super::anchor::Anchor;
use super::disk::Entry;
use super::folder::{Folder, Found};
use super::format;
use super::partial::PartialFile;
use super::records::Records;
use super::{Publication, StoreError, StoreOptions};

/// An existing directory that this process may write to.
#[derive(Debug)]
pub(super) struct DirectoryStore {
    folder: Folder,
    records: Records,
}

impl DirectoryStore {
    pub(super) fn open(path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let anchor = || {
            let at = |error| StoreError::Io { what: "open the directory", path: path.to_owned(), error };
            Anchor::open(path, Vec::new()).map_err(at)
        };
        let records = Records::open(anchor()?)?;
        let folder = Folder::open(anchor()?, path, options)?;
        records.forget_gone(folder.disk());
        Ok(Self { folder, records })
    }

    pub(super) fn clean(&self) -> Result<(), StoreError> {
        self.records.forget_gone(self.folder.disk());
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
        if let Some(entry) = self.folder.link(file, announce.name.as_str())? {
            self.note(announce, entry, root);
            return Ok(Publication::New);
        }
        self.compare(announce, root, &|| true).map(|()| Publication::Existing)
    }

    pub(super) fn compare(
        &self,
        announce: &Announce,
        root: Root,
        wanted: &dyn Fn() -> bool,
    ) -> Result<(), StoreError> {
        let compared = self.folder.compare(announce.name.as_str(), root, wanted)?;
        self.note(announce, compared.entry, root);
        Ok(())
    }

    pub(super) fn parts(&self) -> (&Folder, &Records) {
        (&self.folder, &self.records)
    }

    fn note(&self, announce: &Announce, entry: Entry, root: Root) {
        self.records.note(announce.name.as_str(), entry.id, announce, root, wall());
    }
}

/// Readable by all, written by nobody but the owner.
const PUBLISHED_MODE: u32 = 0o644;
