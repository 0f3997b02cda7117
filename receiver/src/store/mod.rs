//! Where objects go: a file is made, filled block by block, proven, and only then given its name.
//!
//! The order is in the types: only a `VerifiedBlock` can be written, only a `Proof` publishes, and publishing takes the
//! unfinished file away for good. [`PartialFile`] knows how an object is written, each kind of store where it goes and how
//! it is published there.

mod direct;
mod directory;
mod folder;
mod partial;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use glancecast_proto::integrity::Root;
use glancecast_proto::receiver::Proof;
use glancecast_proto::wire::{Announce, FailureKind};

use directory::DirectoryStore;
pub use partial::PartialFile;

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

/// A store that is open; copies are the same store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Directory(DirectoryStore),
}

/// What there is of an object when its session begins.
#[derive(Debug)]
pub enum Begun {
    /// An empty place of the object's length.
    New(Unpublished),
    /// A file of its name and length, to be compared with the root when that is known.
    Existing(Existing),
}

/// What publishing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// The file is there now.
    New,
    /// Somebody else had put the same bytes there.
    Existing,
}

impl Store {
    /// Opens a store and clears away what earlier receivers left unfinished.
    ///
    /// # Errors
    /// [`StoreError::Io`]: not there, not a directory, not writable.
    pub fn open(spec: &StoreSpec) -> Result<Self, StoreError> {
        let kind = match spec {
            StoreSpec::Directory(path) => Kind::Directory(DirectoryStore::open(path)?),
        };
        Ok(Self(Arc::new(kind)))
    }

    /// Makes a place for an object, or finds the file that is there.
    ///
    /// # Errors
    /// A file of this name and another length is there, there is no room, or the system said no.
    pub fn begin(&self, announce: &Announce) -> Result<Begun, StoreError> {
        let file = match &*self.0 {
            Kind::Directory(store) => store.begin(announce)?,
        };
        let (store, announce) = (self.clone(), announce.clone());
        Ok(match file {
            Some(file) => Begun::New(Unpublished { store, announce, file }),
            None => Begun::Existing(Existing { store, announce }),
        })
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Directory(store) => write!(f, "directory:{}", store.path().display()),
        }
    }
}

/// An object on its way to its place. Dropping it leaves nothing.
#[derive(Debug)]
pub struct Unpublished {
    store: Store,
    announce: Announce,
    file: PartialFile,
}

impl Unpublished {
    /// Where its blocks are written.
    pub fn file(&self) -> &PartialFile {
        &self.file
    }

    /// Makes the data durable, then visible under the object's name: the name exists only with all of the object.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if a file of this name has appeared meanwhile and has other content; or what the system
    /// said. Nothing is left then.
    pub fn publish(self, proof: &Proof) -> Result<Publication, StoreError> {
        let Self { store, announce, file } = self;
        match &*store.0 {
            Kind::Directory(store) => store.publish(&announce, file, proof.root()),
        }
    }
}

/// A file of the object's name that was there before.
#[derive(Debug)]
pub struct Existing {
    store: Store,
    announce: Announce,
}

impl Existing {
    /// Hashes the file.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if it is another object, or what reading it said.
    pub fn compare(&self, root: Root) -> Result<(), StoreError> {
        match &*self.store.0 {
            Kind::Directory(store) => store.compare(&self.announce, root),
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

#[cfg(test)]
mod tests {
    use super::*;
    use glancecast_proto::geometry::Geometry;
    use glancecast_proto::ids::{BlockIndex, ObjectName, SessionId};
    use glancecast_proto::integrity::{BlockHash, VerifiedBlock};
    use glancecast_proto::time::WallClock;
    use glancecast_proto::wire::{DiskFormat, Pin};
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    const OBJECT: &[u8] = b"what a node boots from";

    #[test]
    fn an_unfinished_file_is_hidden_and_gone_when_dropped() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let partial = begin(&open(dir.path()), "image");
        let names = names(dir.path());
        assert!(names.len() == 1 && names[0].starts_with(".glancecast-"), "{names:?}");
        drop(partial);
        assert_eq!(self::names(dir.path()), [""; 0]);
    }

    #[test]
    fn a_file_of_this_name_is_never_replaced() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = open(dir.path());
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
        let partial = begin(&open(dir.path()), "image");
        let geometry = announce("image").geometry;
        let hash = BlockHash::of(geometry, BlockIndex(0), OBJECT);
        let block = VerifiedBlock::verify(geometry, BlockIndex(0), OBJECT, hash).expect("its hash");
        partial.file().write(&block).expect("room");
        let name = names(dir.path()).pop().expect("the unfinished file");
        assert_eq!(fs::read(dir.path().join(name)).expect("there"), OBJECT);
    }

    fn open(path: &Path) -> Store {
        Store::open(&StoreSpec::Directory(path.to_owned())).expect("a directory")
    }

    fn begin(store: &Store, name: &str) -> Unpublished {
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
