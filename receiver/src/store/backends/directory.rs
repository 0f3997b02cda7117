//! A directory of objects under their own names.

use std::fmt;
use std::path::{Path, PathBuf};

use glancecast_proto::wire::{Announce, BaseName};

use crate::store::anchor::Anchor;
use crate::store::at_work::AtWork;
use crate::store::backend::{Backend, Parts};
use crate::store::error::StoreError;
use crate::store::folder::Folder;
use crate::store::format::Purpose;
use crate::store::publications::PublicationLog;
use crate::store::spec::{Given, SpecError, StoreOptions};

/// The directory's path.
pub(super) type Spec = PathBuf;

/// An existing directory that this process may write to.
#[derive(Debug)]
pub(in crate::store) struct DirectoryStore(Parts);

pub(super) fn parse(given: &Given<'_>) -> Result<Spec, SpecError> {
    match given {
        Given { path: Some(path), nova_conf: [], owner: None } => Ok(path.to_path_buf()),
        _ => Err(SpecError::of_kind(ForNovaAlone)),
    }
}

pub(in crate::store) fn open(path: &Path, options: StoreOptions) -> Result<DirectoryStore, StoreError> {
    let anchor = || {
        let at = |error| StoreError::Io { what: "open the directory", path: path.to_owned(), error };
        Anchor::open(path, Vec::new()).map_err(at)
    };
    let log = PublicationLog::open(anchor()?)?;
    let folder = Folder::open(anchor()?, path, options)?;
    log.forget_gone(folder.disk());
    Ok(DirectoryStore(Parts { folder, log, at_work: AtWork::default() }))
}

/// The error for Nova's options given with a directory.
#[derive(Debug, thiserror::Error)]
#[error("--nova-conf and --owner are for nova stores, and this one is a directory")]
struct ForNovaAlone;

impl Backend for DirectoryStore {
    fn parts(&self) -> Result<&Parts, StoreError> {
        Ok(&self.0)
    }

    fn admit(&self, announce: &Announce) -> Result<String, StoreError> {
        Ok(announce.name.to_string())
    }

    fn base_file(&self, name: &BaseName) -> Option<String> {
        Some(name.to_string())
    }

    fn purpose(&self) -> Purpose {
        Purpose::Files
    }

    fn clean(&self) -> Result<(), StoreError> {
        self.0.log.forget_gone(self.0.folder.disk());
        self.0.folder.clean()
    }
}

impl fmt::Display for DirectoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "directory:{}", self.0.folder.path().display())
    }
}
