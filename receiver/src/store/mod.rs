//! Where objects go: a file is made, filled block by block, proven, and only then given its name.
//!
//! The order is in the types: only a `VerifiedBlock` can be written, only a `Proof` publishes, and publishing takes the
//! unfinished file away for good. [`PartialFile`] knows how an object is written, each kind of store where it goes and how
//! it is published there.

mod direct;
mod directory;
mod folder;
mod partial;
mod records;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use glancecast_host::clock::wall;
use glancecast_proto::integrity::Root;
use glancecast_proto::receiver::Proof;
use glancecast_proto::wire::{Announce, FailureKind};

use directory::DirectoryStore;
use folder::Folder;
pub use partial::PartialFile;
use records::Records;
pub use records::{Held, Pinned};

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

/// Of what is published.
impl Store {
    /// Everything that was published here and is still there, in the order of its files.
    pub fn inventory(&self) -> Vec<Held> {
        let (folder, records) = self.parts();
        records.list(folder.path(), wall())
    }

    /// What an image is here: by Glance's id, or by name where there is no such id. Names need not be unique.
    pub fn held(&self, image: &str) -> Vec<Held> {
        let held = self.inventory();
        let by_id = held.iter().any(|held| held.image_id.as_deref() == Some(image));
        let is_meant =
            |held: &Held| if by_id { held.image_id.as_deref() == Some(image) } else { held.name == image };
        held.into_iter().filter(is_meant).collect()
    }

    /// Hashes an object's file ([`Held::file`]) again, which takes as long as reading it, and compares it with its record.
    ///
    /// # Errors
    /// What reading it said.
    pub fn verify(&self, file: &str) -> Result<Verified, StoreError> {
        Ok(self.verify_in_steps(file, |_| true)?.expect("it goes on to the end"))
    }

    /// The same; `step` is called with the bytes done so far now and then, and ends it by saying false.
    ///
    /// # Errors
    /// What reading it said.
    pub fn verify_in_steps(
        &self,
        file: &str,
        step: impl FnMut(u64) -> bool,
    ) -> Result<Option<Verified>, StoreError> {
        let (folder, records) = self.parts();
        let Some(held) = self.inventory().into_iter().find(|held| held.file == file) else {
            return Ok(Some(Verified::NotHeld));
        };
        let Some(root) = folder.hash_in_steps(file, step)? else { return Ok(None) };
        if root != held.root {
            return Ok(Some(Verified::Differs(root)));
        }
        records.note_proven(file, wall());
        Ok(Some(Verified::Proven(root)))
    }

    /// Bytes that can still be written here; `None` where the system does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        self.parts().0.free_bytes().ok()
    }

    /// Ends the pin of an object's file ([`Held::file`]) and says whether it had one. The file stays as long as the rule of
    /// the place lets it.
    pub fn unpin(&self, file: &str) -> bool {
        self.parts().1.unpin(file, wall())
    }

    fn parts(&self) -> (&Folder, &Records) {
        match &*self.0 {
            Kind::Directory(store) => store.parts(),
        }
    }
}

/// What hashing a file again came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is what it was when it was published.
    Proven(Root),
    /// It is something else now, with this hash.
    Differs(Root),
    /// No such file was published here, or it was removed.
    NotHeld,
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
pub(crate) mod tests {
    use super::*;
    use glancecast_proto::geometry::Geometry;
    use glancecast_proto::ids::{BlockIndex, ObjectName, SessionId};
    use glancecast_proto::integrity::{BlockHash, VerifiedBlock};
    use glancecast_proto::time::WallClock;
    use glancecast_proto::wire::{DiskFormat, Pin};
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    pub(super) const OBJECT: &[u8] = b"what a node boots from";

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

    #[test]
    fn a_file_that_was_proven_is_listed_and_proven_again() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (store, path) = (open(dir.path()), dir.path().join("image"));
        assert_eq!(store.verify("image").expect("readable"), Verified::NotHeld);
        fs::write(&path, OBJECT).expect("writable");
        assert_eq!(store.inventory(), [], "only what was compared");
        let root = Root(*blake3::hash(OBJECT).as_bytes());
        let Ok(Begun::Existing(existing)) = store.begin(&announce("image")) else { panic!("it is there") };
        existing.compare(root).expect("the same");
        assert_eq!(store.held("image")[0].root, root);
        assert_eq!(store.held("another"), []);
        assert_eq!(store.verify("image").expect("readable"), Verified::Proven(root));

        let mut bytes = OBJECT.to_vec();
        bytes[3] ^= 1;
        fs::write(&path, &bytes).expect("writable");
        let other = Root(*blake3::hash(&bytes).as_bytes());
        assert_eq!(store.verify("image").expect("readable"), Verified::Differs(other));
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

    pub(super) fn announce(name: &str) -> Announce {
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
