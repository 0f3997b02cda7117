//! Where objects go: a file is made, filled block by block, proven, and only then given its name.
//!
//! The order is in the types: only a `VerifiedBlock` can be written, only a `Proof` publishes, and publishing takes the
//! unfinished file away for good. [`PartialFile`] knows how an object is written, each kind of store where it goes and how
//! it is published there.

mod acting;
mod anchor;
#[cfg(test)]
mod bad_days;
mod base;
mod dir;
mod direct;
mod directory;
mod disk;
mod file_id;
mod folder;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod journal;
mod keeper;
mod leftovers;
mod min_free;
#[cfg(test)]
mod model;
mod name;
mod nova;
mod partial;
#[cfg(test)]
mod races;
mod records;
mod records_dir;
mod runs;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;

use glancecast_platform::clock::wall;
use glancecast_proto::integrity::Root;
use glancecast_proto::receiver::Proof;
use glancecast_proto::wire::{Announce, BaseName, FailureKind};

pub use base::BaseFile;
use directory::DirectoryStore;
use folder::Folder;
pub use format::find_tool;
pub use leftovers::KeepUnfinished;
pub use min_free::MinFree;
use nova::NovaStore;
pub use nova::{NovaSettings, Owner};
pub use partial::PartialFile;
use records::Records;
pub use records::{Held, Pinned};

/// Which store to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSpec {
    /// Objects become files of their own name in this directory.
    Directory(PathBuf),
    /// Images become files of Nova's cache, for this owner, or for whom the cache belongs to.
    Nova(NovaSettings, Option<Owner>),
}

impl StoreSpec {
    /// What the operator writes: a store (`directory:PATH`, `nova:INSTANCES_PATH`), Nova's configuration files, which name
    /// it too, and the owner of the files there.
    ///
    /// # Errors
    /// One line that says what is missing or wrong.
    pub fn new(store: Option<&str>, nova_conf: &[PathBuf], owner: Option<&str>) -> Result<Self, String> {
        let nova = |path: Option<&Path>| {
            let owner = owner.map(str::parse).transpose()?;
            NovaSettings::read(nova_conf, path).map(|settings| Self::Nova(settings, owner))
        };
        match store.map(|store| (store, store.split_once(':'))) {
            None if nova_conf.is_empty() => Err(NO_STORE.to_owned()),
            None => nova(None),
            Some((_, Some(("nova", path)))) if !path.is_empty() => nova(Some(Path::new(path))),
            Some((_, Some(("directory", path)))) if !path.is_empty() => {
                if nova_conf.is_empty() && owner.is_none() {
                    Ok(Self::Directory(path.into()))
                } else {
                    Err("--nova-conf and --owner are for nova stores, and this one is a directory".to_owned())
                }
            }
            Some((store, _)) => {
                Err(format!("{store:?} is not a store: write directory:PATH or nova:INSTANCES_PATH"))
            }
        }
    }
}

const NO_STORE: &str = "no store: give --store directory:PATH, --store nova:INSTANCES_PATH, or Nova's own files with --nova-conf";

/// How much room a store takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// How long the unfinished is kept.
    pub keep: KeepUnfinished,
    /// What stays free.
    pub min_free: MinFree,
}

impl StoreOptions {
    /// What holds where nothing is said.
    pub const DEFAULT: Self = Self { keep: KeepUnfinished::DEFAULT, min_free: MinFree::DEFAULT };
}

/// A store that is open; copies are the same store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Directory(DirectoryStore),
    Nova(NovaStore),
}

/// What there is of an object when its session begins.
#[derive(Debug)]
pub enum Begun {
    /// A place of the object's length: empty, or with what an earlier session kept.
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
    /// Opens a store and clears away what earlier receivers left unfinished, as far as it is not kept.
    ///
    /// # Errors
    /// [`StoreError::Io`]: not there, not a directory, not writable.
    pub fn open(spec: &StoreSpec, options: StoreOptions) -> Result<Self, StoreError> {
        let kind = match spec {
            StoreSpec::Directory(path) => Kind::Directory(DirectoryStore::open(path, options)?),
            StoreSpec::Nova(settings, owner) => {
                Kind::Nova(NovaStore::open(settings.clone(), *owner, options)?)
            }
        };
        Ok(Self(Arc::new(kind)))
    }

    /// Removes unfinished files that are too old or too many, and forgets what was published and is not there any more.
    ///
    /// # Errors
    /// What the system said.
    pub fn clean(&self) -> Result<(), StoreError> {
        match &*self.0 {
            Kind::Directory(store) => store.clean(),
            Kind::Nova(store) => store.clean(),
        }
    }

    /// Makes a place for an object, or finds the one of an earlier session, or the file that is there.
    ///
    /// # Errors
    /// A file of this name and another length is there, there is no room, or the system said no.
    pub fn begin(&self, announce: &Announce) -> Result<Begun, StoreError> {
        let file = match &*self.0 {
            Kind::Directory(store) => store.begin(announce)?,
            Kind::Nova(store) => store.begin(announce)?,
        };
        let (store, announce) = (self.clone(), announce.clone());
        Ok(match file {
            Some(file) => Begun::New(Unpublished { store, announce, file }),
            None => Begun::Existing(Existing { store, announce }),
        })
    }

    /// Keeps what is pinned from being removed, in a thread that ends with the last copy of the store.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn keep(&self) -> io::Result<()> {
        let Kind::Nova(nova) = &*self.0 else { return Ok(()) };
        let Some(interval) = nova.refresh_interval() else { return Ok(()) };
        let store = Arc::downgrade(&self.0);
        let keep = move || {
            while let Some(kind) = Weak::upgrade(&store) {
                if let Kind::Nova(nova) = &*kind {
                    nova.refresh();
                }
                drop(kind);
                thread::sleep(interval);
            }
        };
        thread::Builder::new().name("keep".into()).spawn(keep).map(drop)
    }

    /// Lets nobody wait in it any longer: what waits to be published fails, and comparing a file that is there ends.
    pub fn stop(&self) {
        format::stop();
        match &*self.0 {
            Kind::Directory(store) => store.parts().0.stop(),
            Kind::Nova(store) => store.stop(),
        }
    }
}

/// Of what is published.
impl Store {
    /// Everything that was published here and is still there, in the order of its files.
    pub fn inventory(&self) -> Vec<Held> {
        let Some((folder, records)) = self.parts() else { return Vec::new() };
        records.list(folder.disk(), wall())
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
        let Some((folder, records)) = self.parts() else { return Ok(Some(Verified::NotHeld)) };
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

    /// The older object that a push names as its base, if it is here: by Glance's id or the name of its last push, as far as
    /// it was published here; else the file of this name in a directory, or of this id in Nova's cache, whoever put it there.
    ///
    /// # Errors
    /// What opening it said.
    pub fn base(&self, name: &BaseName) -> io::Result<Option<BaseFile>> {
        let Some((folder, _)) = self.parts() else { return Ok(None) };
        let newest = self.held(name.as_str()).into_iter().max_by_key(|held| held.proven);
        let file = newest.map(|held| held.file).or_else(|| match &*self.0 {
            Kind::Directory(_) => Some(name.to_string()),
            Kind::Nova(_) => name.image_id().map(nova::cache_name),
        });
        file.map_or(Ok(None), |file| folder.base(&file))
    }

    /// Bytes that can still be written here; `None` where the system does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        self.parts()?.0.free_bytes().ok()
    }

    /// Ends the pin of an object's file ([`Held::file`]) and says whether it had one. The file stays as long as the rule of
    /// the place lets it.
    pub fn unpin(&self, file: &str) -> bool {
        self.parts().is_some_and(|(_, records)| records.unpin(file, wall()))
    }

    fn parts(&self) -> Option<(&Folder, &Records)> {
        match &*self.0 {
            Kind::Directory(store) => Some(store.parts()),
            Kind::Nova(store) => store.parts(),
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
            Kind::Nova(store) => write!(f, "nova:{}", store.path().display()),
        }
    }
}

/// An object on its way to its place. Dropping it leaves what a later session of the same object can go on from.
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
            Kind::Nova(store) => store.publish(&announce, file, proof.root()),
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
    /// The bytes that [`Existing::compare`] reads between two queries whether it is wanted.
    pub const STEP_BYTES: u64 = folder::PIECE_BYTES as u64;

    /// Hashes the file, unless the store is stopped meanwhile, or `wanted` says that nobody waits for it any more. It is asked
    /// after each step and may take its time, which caps the rate.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if it is another object, [`StoreError::Stopped`], or what reading it said.
    pub fn compare(&self, root: Root, wanted: &dyn Fn() -> bool) -> Result<(), StoreError> {
        match &*self.store.0 {
            Kind::Directory(store) => store.compare(&self.announce, root, wanted),
            Kind::Nova(store) => store.compare(&self.announce, root, wanted),
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
    /// Nova has another file of this image.
    #[error("{path} exists with other content, and a base file is never replaced: if no instance uses it, remove it and push again",
        path = path.display())]
    Taken {
        /// Its path.
        path: PathBuf,
    },
    /// The rules of this host do not let it in.
    #[error("{0}")]
    Refused(String),
    /// Nova did not let go of an image's lock.
    #[error("{path} is locked by Nova, for {seconds} s by now: push again when it has finished", path = path.display())]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Files could not be given to whom the store belongs.
    #[error("files in {path} cannot be given to user {uid}, group {gid}: run as that user or as root, or see --owner ({error})",
        path = path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
        /// What the system said.
        error: io::Error,
    },
    /// The object does not fit.
    #[error("{path} has {free} bytes free, of which {reserve} stay free (min_free), and the object needs {needed}",
        path = path.display())]
    NoSpace {
        /// The store's directory.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that stay free.
        reserve: u64,
        /// Bytes of the object.
        needed: u64,
    },
    /// Others have taken so much room while an object arrived that too little is left.
    #[error("{path} has {free} bytes free by now, and {reserve} stay free (min_free): what had arrived is removed",
        path = path.display())]
    Reserve {
        /// The store's directory.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that stay free.
        reserve: u64,
    },
    /// The receiver ends.
    #[error("{path} was not compared to its end: the receiver stops", path = path.display())]
    Stopped {
        /// The file.
        path: PathBuf,
    },
    /// Where records lie is none of our own directories.
    #[error("{path}: {error}. The store's records are kept there: remove it, or give the store's owner a directory of this name that nobody else may write to",
        path = path.display())]
    Records {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
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
            Self::Exists { .. } | Self::Taken { .. } => FailureKind::Exists,
            Self::Refused(_) => FailureKind::Refused,
            Self::NoSpace { .. } | Self::Reserve { .. } => FailureKind::NoSpace,
            Self::Stopped { .. } => FailureKind::Stopping,
            Self::Io { error, .. } if is_full(error) => FailureKind::NoSpace,
            Self::Io { .. } | Self::Locked { .. } | Self::Owner { .. } | Self::Records { .. } => {
                FailureKind::Store
            }
        }
    }
}

/// There is no room: of the disk, or of this user's part of it.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use glancecast_proto::geometry::Geometry;
    use glancecast_proto::ids::BlockIndex;
    use glancecast_proto::integrity::{BlockHash, VerifiedBlock};
    use std::fs;
    use std::path::Path;

    use crate::announcement::announcement;

    /// Whether a test that gives files away can run; says that it is skipped when it cannot.
    pub(super) fn is_root() -> bool {
        let is_root = nix::unistd::geteuid().is_root();
        if !is_root {
            glancecast_testkit::skip("only root gives files away: sudo -E env \"PATH=$PATH\" make test");
        }
        is_root
    }

    pub(super) const OBJECT: &[u8] = b"what a node boots from";

    #[test]
    fn an_unfinished_file_is_hidden_and_gone_when_dropped() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let partial = begin(&open(dir.path()), "image");
        let names = names(dir.path());
        assert!(names.len() == 2 && names.iter().all(|name| name.starts_with(".glancecast-")), "{names:?}");
        drop(partial);
        assert_eq!(self::names(dir.path()), [""; 0]);
    }

    #[test]
    fn what_somebody_removed_is_forgotten_though_nobody_asks_for_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (store, root) = (open(dir.path()), Root(*blake3::hash(OBJECT).as_bytes()));
        for name in ["stays", "goes"] {
            fs::write(dir.path().join(name), OBJECT).expect("writable");
            let Ok(Begun::Existing(existing)) = store.begin(&announce(name)) else { panic!("it is there") };
            existing.compare(root, &|| true).expect("the same");
        }
        let records = || names(&dir.path().join(".glancecast"));
        assert_eq!(records().len(), 2);
        fs::remove_file(dir.path().join("goes")).expect("writable");
        store.clean().expect("readable");
        let left = records();
        assert!(left.len() == 1 && left[0].starts_with("stays"), "{left:?}");
    }

    #[test]
    fn a_full_disk_and_a_used_up_quota_are_no_space() {
        for (number, kind) in [
            (nix::errno::Errno::ENOSPC, FailureKind::NoSpace),
            (nix::errno::Errno::EDQUOT, FailureKind::NoSpace),
            (nix::errno::Errno::EIO, FailureKind::Store),
        ] {
            let error = StoreError::Io { what: "write to", path: PathBuf::new(), error: number.into() };
            assert_eq!(error.kind(), kind, "{number}");
        }
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
        existing.compare(Root(*blake3::hash(OBJECT).as_bytes()), &|| true).expect("the same");
        assert!(existing.compare(Root([0; 32]), &|| true).is_err());
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
        let name = names(dir.path()).into_iter().find(|name| name.ends_with(".part")).expect("unfinished");
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
        existing.compare(root, &|| true).expect("the same");
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
        Store::open(&StoreSpec::Directory(path.to_owned()), StoreOptions::DEFAULT).expect("a directory")
    }

    fn begin(store: &Store, name: &str) -> Unpublished {
        match store.begin(&announce(name)) {
            Ok(Begun::New(partial)) => partial,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn announce(name: &str) -> Announce {
        announcement(name, Geometry::for_path(OBJECT.len() as u64, 1500, 20).expect("in range"))
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("there").flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}
