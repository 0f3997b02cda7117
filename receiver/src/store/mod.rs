//! Where objects go: a file is made, filled block by block, proven, and only then given its name.
//!
//! The order is in the types: only a `VerifiedBlock` can be written, only a `Proof` publishes, and publishing takes the
//! unfinished file away for good.

mod direct;
mod directory;

use std::io;
use std::path::PathBuf;
use std::str::FromStr;

pub use directory::{Begun, DirectoryStore, ExistingFile, PartialFile, Publication};

use glancecast_proto::wire::FailureKind;

/// A store as the operator writes it: `directory:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSpec {
    /// Objects become files of their own name in this directory.
    Directory(PathBuf),
}

impl FromStr for StoreSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("directory", path)) if !path.is_empty() => Ok(Self::Directory(path.into())),
            _ => Err(format!("{text:?} is not a store: write directory:PATH")),
        }
    }
}

/// Why a store could not do it, with the path and what the system said.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of the object's name is there and is something else.
    #[error("{path} exists with other content, and a published file is never replaced: remove it, or push under another --name",
        path = path.display())]
    Exists {
        /// Its path.
        path: PathBuf,
    },
    /// The object does not fit.
    #[error("{path} has {free} bytes free, and the object needs {needed}", path = path.display())]
    NoSpace {
        /// The store's directory.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes of the object.
        needed: u64,
    },
    /// The system said no.
    #[error("{what} {path}: {error}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl StoreError {
    /// The kind of failure that the sender is told.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Exists { .. } => FailureKind::Exists,
            Self::NoSpace { .. } => FailureKind::NoSpace,
            Self::Io { error, .. } if error.kind() == io::ErrorKind::StorageFull => FailureKind::NoSpace,
            Self::Io { .. } => FailureKind::Store,
        }
    }
}
