//! Nova's image cache: `INSTANCES/_base/SHA1`, where SHA1 is of the image's id as text.
//!
//! Nova uses a file of this name for the image, whatever it contains, and makes it the base of disks at once. So only
//! what Nova itself would have created is published there: in the format that this node's configuration asks for,
//! inspected again, owned by Nova, under Nova's lock, and in one step that never replaces anything. Its modification
//! time is now, as Nova removes what has been old and unused for a day.

mod ini;
mod lock;
mod settings;
mod users;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use glancecast_platform::clock::wall;
use glancecast_proto::hex::Hex;
use glancecast_proto::wire::{Announce, BaseName, DiskFormat};

use crate::store::anchor::Anchor;
use crate::store::at_work::AtWork;
use crate::store::backend::{Backend, Lock, PUBLISHED_MODE, Parts, Wait};
use crate::store::error::StoreError;
use crate::store::folder::Folder;
use crate::store::format::Purpose;
use crate::store::name::Name;
use crate::store::owner::{Owner, OwnerError};
use crate::store::publications::{Pinned, PublicationLog};
use crate::store::spec::{Given, SpecError, StoreOptions};
use lock::{DIRECTORY_MODE, NovaLock, Patience};
use settings::NoFiles;
pub(in crate::store) use settings::NovaSettings;
#[cfg(any(test, fuzzing))]
pub(crate) use settings::fuzzed;

/// Nova's configuration on this host, and the owner of the files; `None` means the cache's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    settings: NovaSettings,
    owner: Option<Owner>,
}

impl Spec {
    /// Returns the directory of the instances, which has the records; `None` if Nova uses no files.
    pub(super) fn home(&self) -> Option<&Path> {
        self.settings.uses_files().is_ok().then_some(&*self.settings.instances_path)
    }
}

/// The image cache of this node's Nova.
#[derive(Debug)]
pub(in crate::store) struct NovaStore {
    settings: NovaSettings,
    cache: Result<Cache, NoFiles>,
}

/// The cache of a node whose Nova uses it.
#[derive(Debug)]
struct Cache {
    parts: Parts,
    instances: Anchor,
    owner: Owner,
}

pub(super) fn parse(given: &Given<'_>) -> Result<Spec, SpecError> {
    let owner =
        given.owner.map(str::parse).transpose().map_err(|error: OwnerError| SpecError::of_kind(error))?;
    let settings = NovaSettings::read(given.nova_conf, given.path).map_err(SpecError::of_kind)?;
    Ok(Spec { settings, owner })
}

pub(super) fn open(spec: &Spec, options: StoreOptions) -> Result<NovaStore, StoreError> {
    NovaStore::open(spec.settings.clone(), spec.owner, options)
}

impl NovaStore {
    /// Opens the cache, creating it if it is missing, and removes unfinished files of earlier receivers. Files belong
    /// to `owner`, or else to the cache's owner. A node whose Nova would not use them refuses every image.
    pub(in crate::store) fn open(
        settings: NovaSettings,
        owner: Option<Owner>,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        if let Err(refusal) = settings.uses_files() {
            tracing::error!("every image is refused: {refusal}");
            return Ok(Self { settings, cache: Err(refusal) });
        }
        let path = settings.instances_path.clone();
        let base = path.join(&settings.subdirectory);
        let at = |what, path: &Path| {
            let path = path.to_owned();
            move |error| StoreError::Io { what, path, error }
        };
        let anchor = || {
            Anchor::open(&path, Vec::new()).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    StoreError::NoInstances { path: path.clone(), example: elsewhere() }
                }
                _ => at("open the directory", &path)(error),
            })
        };
        let below = names(&settings.subdirectory).map_err(at("use as a store", &base))?;
        let instances = anchor()?;
        let owner = make_base(&instances, &below, owner).map_err(at("make", &base))?;
        let log = PublicationLog::open(anchor()?)?;
        let in_base = Anchor::open(&path, below).map_err(at("open the directory", &base))?;
        let folder = Folder::open(in_base, &base, options)?;
        let locks = folder.probe(|file| file.with_file(&mut lock::probe));
        locks.map_err(at("lock a file (fcntl), as Nova does, in", &base))?;
        // What publication does with a file that it has given away.
        let probe = folder.probe(|file| {
            file.with_file(&mut |file| owner.take(file))?;
            file.set_mode(PUBLISHED_MODE)?;
            file.touch()
        });
        probe.map_err(|error| StoreError::Owner { path: base, uid: owner.uid, gid: owner.gid, error })?;
        if settings.may_remove_pinned() {
            tracing::warn!(
                seconds = settings.age_max.as_secs(),
                "remove_unused_original_minimum_age_seconds is so short that Nova may remove what is pinned"
            );
        }
        lock::remove_unfinished(&instances);
        let parts = Parts { folder, log, at_work: AtWork::default() };
        Ok(Self { settings, cache: Ok(Cache { parts, instances, owner }) })
    }

    fn cache(&self) -> Result<&Cache, StoreError> {
        self.cache.as_ref().map_err(|why| StoreError::refused(why.clone()))
    }
}

impl Backend for NovaStore {
    fn parts(&self) -> Result<&Parts, StoreError> {
        Ok(&self.cache()?.parts)
    }

    /// Checks an announcement against the rules of this node.
    fn admit(&self, announce: &Announce) -> Result<String, StoreError> {
        let id = announce.image_id.as_deref().ok_or_else(|| StoreError::refused(NotForNova::NoId))?;
        match announce.format {
            DiskFormat::Other => Err(StoreError::refused(NotForNova::UnknownFormat)),
            DiskFormat::Raw | DiskFormat::RawContent => Ok(cache_name(id)),
            format if self.settings.force_raw => Err(StoreError::refused(NotForNova::ForcesRaw(format))),
            _ => Ok(cache_name(id)),
        }
    }

    fn base_file(&self, name: &BaseName) -> Option<String> {
        name.image_id().map(cache_name)
    }

    fn purpose(&self) -> Purpose {
        Purpose::Disks
    }

    fn taken(&self, path: PathBuf) -> StoreError {
        StoreError::Taken { path }
    }

    fn give_away(&self, file: &File) -> io::Result<()> {
        self.cache.as_ref().map_or(Ok(()), |cache| cache.owner.take(file))
    }

    fn lock(&self, name: &str, wait: Wait) -> Result<Option<Lock>, StoreError> {
        let cache = self.cache()?;
        let time = match wait {
            Wait::UntilFree => LOCK_TIME,
            Wait::Briefly => LOCK_TIME_BRIEF,
        };
        let patience = Patience { time, stop: cache.parts.folder.stopping() };
        Ok(Some(Box::new(NovaLock::take(&cache.instances, name, cache.owner, patience)?)))
    }

    fn user(&self, name: &str) -> Result<Option<String>, StoreError> {
        let cache = self.cache()?;
        let base = self.settings.subdirectory.components().next();
        let base = base.and_then(|part| part.as_os_str().to_str()).unwrap_or_default();
        users::user_of(&cache.instances, &[base, LOCKS], name).map_err(|error| StoreError::Io {
            what: "look for users of it below",
            path: self.settings.instances_path.clone(),
            error,
        })
    }

    /// Often enough that Nova's cleanup finds no pinned file old; `None` if there is nothing to refresh.
    fn refresh_interval(&self) -> Option<Duration> {
        self.cache.as_ref().ok()?;
        Some((self.settings.age_max / REFRESHES_PER_AGE).clamp(REFRESH_MIN, REFRESH_MAX))
    }

    /// Sets the modification time of every pinned file to now. Drops the records of removed files, and ends pins that
    /// have expired.
    fn refresh(&self) {
        let Ok(parts) = self.parts() else { return };
        let now = wall();
        for held in parts.log.list(parts.folder.disk(), now) {
            if held.pinned == Pinned::No {
                parts.log.end_pin(&held.file, now);
            } else if let Err(error) = refresh_mtime(parts, &held.file) {
                tracing::warn!(image = held.name, "is pinned, and Nova may remove it: {error}");
            }
        }
    }
}

impl fmt::Display for NovaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nova:{}", self.settings.instances_path.display())
    }
}

/// Why an image is not for Nova's cache on this host.
#[derive(Debug, thiserror::Error)]
enum NotForNova {
    #[error(
        "this host places images for Nova, by their id in Glance, and this one has none: push it from Glance, or say which \
         it is with --image-id"
    )]
    NoId,
    #[error("the format of this image is not known, and Nova would not take it")]
    UnknownFormat,
    #[error(
        "force_raw_images is on for this host, and this image comes as {0}: push it as raw, or turn that off"
    )]
    ForcesRaw(DiskFormat),
}

/// Sets the modification time of a pinned file to now, unless it lies in the future or another file has the name by
/// now.
fn refresh_mtime(parts: &Parts, name: &str) -> Result<(), StoreError> {
    let file = parts.folder.open_to_read(name)?;
    let entry = file.entry().map_err(|error| {
        let path = parts.folder.path().join(name);
        StoreError::Io { what: "look at", path, error }
    })?;
    if entry.changed > SystemTime::now() || !parts.log.is_proven(name, &entry) {
        return Ok(());
    }
    let entry = parts.folder.touch(name, &*file)?;
    parts.log.note_touched(name, &entry);
    Ok(())
}

/// Returns a store with the instances of a Nova in a container, as the option is written: that of this host if one of the
/// usual volumes is there.
fn elsewhere() -> String {
    let there = VOLUMES.iter().find(|volume| Path::new(volume).is_dir());
    format!("--store nova:{}", there.unwrap_or(&VOLUMES[0]))
}

/// Where Kolla's volume `nova_compute`, which is Nova's `/var/lib/nova`, has its instances: with Docker, with Podman.
const VOLUMES: [&str; 2] = [
    "/var/lib/docker/volumes/nova_compute/_data/instances",
    "/var/lib/containers/storage/volumes/nova_compute/_data/instances",
];

/// Returns the names that lead from the instances to the cache.
fn names(subdirectory: &Path) -> io::Result<Vec<Name>> {
    let not_below = || io::Error::new(io::ErrorKind::InvalidInput, "it is not below instances_path");
    subdirectory
        .components()
        .map(|part| match part {
            Component::Normal(name) => Name::new(name.to_str().ok_or_else(not_below)?),
            _ => Err(not_below()),
        })
        .collect()
}

/// Creates the cache's directory if it is missing; returns the owner of files there.
fn make_base(instances: &Anchor, below: &[Name], owner: Option<Owner>) -> io::Result<Owner> {
    let (last, before) = below.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let mut parent = instances.dir()?;
    for name in before {
        parent = parent.below(name)?.into();
    }
    if let Ok(base) = parent.below(last) {
        return Ok(owner.unwrap_or(base.owner()));
    }
    let owner = owner.unwrap_or(instances.dir()?.owner());
    parent.make(last, Some(owner), DIRECTORY_MODE)?;
    Ok(owner)
}

/// Returns Nova's name for an image in its cache (`get_cache_fname` in nova/virt/libvirt/imagecache.py).
pub(in crate::store) fn cache_name(id: &str) -> String {
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, id.as_bytes());
    Hex(sum.as_ref()).to_string()
}

/// Longest wait for Nova's lock, which Nova holds while it fetches and converts an image itself.
const LOCK_TIME: Duration = Duration::from_secs(900);

/// The same before a removal, whose querier waits.
const LOCK_TIME_BRIEF: Duration = Duration::from_secs(1);

/// The directory of Nova's locks, beside those of the instances.
const LOCKS: &str = "locks";

/// Refreshes within the age at which Nova removes files. Nova checks every 40 minutes; the age is a day by default.
const REFRESHES_PER_AGE: u32 = 4;
const REFRESH_MIN: Duration = Duration::from_secs(1);
const REFRESH_MAX: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{OBJECT, announce, is_root};
    use crate::store::{Held, Pins, Publication, Removal};
    use glancecast_proto::integrity::Root;
    use glancecast_proto::wire::FailureKind;
    use glancecast_proto::wire::Pin;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use tempfile::TempDir;

    #[test]
    fn an_image_is_published_under_the_sha1_of_its_id_readable_by_all_and_with_a_new_mtime() {
        let node = Node::new();
        let store = node.open();
        let Ok(Some(file)) = store.begin(&image()) else { panic!("nothing is there") };
        let unfinished = node.names();
        let is_novas = |name: &String| name.contains('_') || name.len() == 40;
        assert!(unfinished.len() == 2 && !unfinished.iter().any(is_novas), "{unfinished:?}");
        age(&file.path(), DAY);
        let before = SystemTime::now() - Duration::from_secs(1);
        assert_eq!(store.publish(&image(), file, root()).expect("published"), Publication::New);
        assert_eq!(node.names(), [SHA1]);
        let metadata = fs::metadata(node.image()).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o644);
        assert!(metadata.modified().expect("a time") >= before, "a new mtime");
        assert_eq!(node.held(&store)[0].image_id.as_deref(), Some(ID));
        assert!(node.path().join("locks").join(format!("nova-{SHA1}")).exists(), "under Nova's lock");
    }

    #[test]
    fn what_is_there_is_as_good_as_placed_if_it_is_the_same_and_never_touched_if_it_is_not() {
        let node = Node::new();
        let store = node.open();
        fs::write(node.image(), [0; OBJECT.len()]).expect("writable");
        age(&node.image(), DAY);
        let before = fs::metadata(node.image()).expect("there");
        assert!(matches!(store.begin(&image()), Ok(None)), "of this length");
        let error = store.compare(&image(), root(), &|| true).expect_err("another");
        assert_eq!(error.kind(), FailureKind::Exists);
        let after = fs::metadata(node.image()).expect("there");
        assert_eq!((before.ino(), before.mtime()), (after.ino(), after.mtime()));
        assert_eq!(node.held(&store), []);

        fs::write(node.image(), OBJECT).expect("writable");
        age(&node.image(), DAY);
        store.compare(&image(), root(), &|| true).expect("the same");
        assert!(node.age() < Duration::from_secs(60), "a new mtime");
        assert_eq!(node.held(&store).len(), 1);

        fs::write(node.image(), b"shorter").expect("writable");
        assert_eq!(store.begin(&image()).expect_err("another").kind(), FailureKind::Exists);
    }

    #[test]
    fn what_appears_before_the_publication_is_never_replaced() {
        for (theirs, published) in
            [(OBJECT, Ok(Publication::Existing)), (&b"theirs"[..], Err(FailureKind::Exists))]
        {
            let node = Node::new();
            let store = node.open();
            let Ok(Some(file)) = store.begin(&image()) else { panic!("nothing is there") };
            fs::write(node.image(), theirs).expect("writable");
            let result = store.publish(&image(), file, root()).map_err(|error| error.kind());
            assert_eq!(result, published);
            assert_eq!(node.names(), [SHA1]);
            assert_eq!(fs::read(node.image()).expect("there"), theirs);
        }
    }

    #[test]
    fn what_nova_would_not_take_is_refused() {
        let node = Node::new();
        let store = node.open();
        for (image, says) in [
            (Announce { image_id: None, ..image() }, "--image-id"),
            (Announce { format: DiskFormat::Qcow2, ..image() }, "force_raw_images"),
            (Announce { format: DiskFormat::Vdi, ..image() }, "force_raw_images"),
            (Announce { format: DiskFormat::Other, ..image() }, "not known"),
        ] {
            let error = store.begin(&image).expect_err(says);
            assert_eq!(error.kind(), FailureKind::Refused);
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.to_string().len() <= glancecast_proto::limits::REASON_MAX);
        }
        let settings = NovaSettings { force_raw: false, ..NovaSettings::at(node.path()) };
        let store = NovaStore::open(settings, None, StoreOptions::DEFAULT).expect("a cache");
        store.begin(&Announce { format: DiskFormat::Qcow2, ..image() }).expect("as it is");
    }

    #[test]
    fn a_file_that_is_not_what_was_announced_is_not_published() {
        let node = Node::new();
        let settings = NovaSettings { force_raw: false, ..NovaSettings::at(node.path()) };
        let store = NovaStore::open(settings, None, StoreOptions::DEFAULT).expect("a cache");
        let announce = Announce { format: DiskFormat::Qcow2, ..image() };
        let Ok(Some(file)) = store.begin(&announce) else { panic!("nothing is there") };
        let error = store.publish(&announce, file, root()).expect_err("zeros are no qcow2");
        assert_eq!(error.kind(), FailureKind::Refused);
        assert_eq!(node.names(), [""; 0]);
    }

    #[test]
    fn a_node_without_a_use_for_files_refuses_each_image_and_has_nothing_made() {
        let node = Node::new();
        let settings = NovaSettings { images_type: "rbd".into(), ..NovaSettings::at(node.path()) };
        let store = NovaStore::open(settings, None, StoreOptions::DEFAULT).expect("it stays up, to say so");
        let error = store.begin(&image()).expect_err("refused");
        assert_eq!(error.kind(), FailureKind::Refused);
        assert!(error.to_string().contains("rbd"), "{error}");
        assert!(!node.path().join("_base").exists());
        assert_eq!(store.refresh_interval(), None);
    }

    #[test]
    fn the_mtime_of_a_pinned_file_is_refreshed_also_after_a_restart_until_it_is_unpinned() {
        let node = Node::new();
        node.place(&node.open(), Pin::Forever);
        age(&node.image(), DAY);
        let store = node.open();
        store.refresh();
        assert!(node.age() < Duration::from_secs(60));

        assert!(store.parts().expect("open").log.unpin(SHA1, wall()));
        age(&node.image(), DAY);
        store.refresh();
        assert!(node.age() >= DAY, "Nova may have it");
    }

    #[test]
    fn what_is_not_pinned_or_not_any_more_is_left_to_nova() {
        for pin in [Pin::None, Pin::For(Duration::from_millis(1))] {
            let node = Node::new();
            let store = node.open();
            node.place(&store, pin);
            std::thread::sleep(Duration::from_millis(10));
            age(&node.image(), DAY);
            store.refresh();
            assert!(node.age() >= DAY);
            assert_eq!(node.held(&store)[0].pinned, Pinned::No);
        }
    }

    #[test]
    fn a_time_that_is_still_to_come_is_left_as_it_is() {
        let node = Node::new();
        let store = node.open();
        node.place(&store, Pin::Forever);
        let later = SystemTime::now() + DAY;
        fs::File::options().write(true).open(node.image()).expect("ours").set_modified(later).expect("set");
        store.refresh();
        assert!(fs::metadata(node.image()).expect("there").modified().expect("a time") > SystemTime::now());
    }

    #[test]
    fn pinned_images_are_refreshed_well_before_nova_removes_them() {
        let node = Node::new();
        for (age, interval) in [(86_400, 3_600), (4_000, 1_000), (8, 2), (0, 1)] {
            let settings =
                NovaSettings { age_max: Duration::from_secs(age), ..NovaSettings::at(node.path()) };
            let store = NovaStore::open(settings, None, StoreOptions::DEFAULT).expect("a cache");
            assert_eq!(store.refresh_interval(), Some(Duration::from_secs(interval)));
        }
    }

    #[test]
    fn files_locks_and_directories_belong_to_the_owner_or_the_store_does_not_open() {
        let node = Node::new();
        let owner = Owner { uid: 42_436, gid: 42_437 };
        let opened = NovaStore::open(NovaSettings::at(node.path()), Some(owner), StoreOptions::DEFAULT);
        if !nix::unistd::geteuid().is_root() {
            assert!(opened.is_err(), "files cannot be given away");
            return;
        }
        let store = opened.expect("root may give files away");
        let Ok(Some(file)) = store.begin(&image()) else { panic!("nothing is there") };
        store.publish(&image(), file, root()).expect("published");
        let locks = node.path().join("locks");
        for path in [node.image(), node.path().join("_base"), locks.join(format!("nova-{SHA1}")), locks] {
            let made = fs::metadata(&path).expect("there");
            assert_eq!((made.uid(), made.gid()), (owner.uid, owner.gid), "{}", path.display());
        }
    }

    #[test]
    fn a_file_in_a_cache_of_somebody_else_is_given_to_the_owner() {
        if !is_root() {
            return;
        }
        let (node, owner) = (Node::new(), Owner { uid: 42_436, gid: 42_437 });
        fs::create_dir(node.path().join("_base")).expect("writable");
        let store = NovaStore::open(NovaSettings::at(node.path()), Some(owner), StoreOptions::DEFAULT);
        let store = store.expect("root may give files away");
        let Ok(Some(file)) = store.begin(&image()) else { panic!("nothing is there") };
        store.publish(&image(), file, root()).expect("published");
        let made = fs::metadata(node.image()).expect("there");
        assert_eq!((made.uid(), made.gid()), (owner.uid, owner.gid));
    }

    #[test]
    fn unfinished_files_of_a_crash_are_cleared_away_and_novas_own_files_are_not() {
        let node = Node::new();
        node.open();
        let locks = node.path().join("locks");
        fs::create_dir(&locks).expect("made");
        let base = node.path().join("_base");
        let kept =
            [base.join(format!("{SHA1}.part")), base.join(format!("{SHA1}.converted")), locks.join("nova-x")];
        let gone = [base.join(format!(".glancecast-{SHA1}.00.0.part")), locks.join(".glancecast-lock.1")];
        kept.iter().chain(&gone).for_each(|path| fs::write(path, b"half").expect("writable"));
        node.open();
        assert!(kept.iter().all(|path| path.exists()));
        assert!(!gone.iter().any(|path| path.exists()));
    }

    #[test]
    fn a_store_that_is_open_is_cleaned_and_one_that_is_stopped_compares_nothing_any_more() {
        let node = Node::new();
        let store = node.open();
        fs::write(node.path().join("_base/.glancecast-x.journal"), b"of nothing").expect("writable");
        store.clean().expect("a disk");
        assert_eq!(node.names(), [""; 0]);
        fs::write(node.image(), OBJECT).expect("writable");
        store.stop();
        let stopped = store.compare(&image(), root(), &|| true);
        assert!(matches!(stopped, Err(StoreError::Stopped { .. })), "{stopped:?}");
    }

    #[test]
    fn a_thread_refreshes_what_is_pinned_as_long_as_the_store_is_open() {
        let node = Node::new();
        let settings = NovaSettings { age_max: Duration::ZERO, ..NovaSettings::at(node.path()) };
        let nova = NovaStore::open(settings, None, StoreOptions::DEFAULT).expect("a cache");
        node.place(&nova, Pin::Forever);
        let store = crate::store::Store(std::sync::Arc::new(nova));
        assert_eq!(store.to_string(), format!("nova:{}", node.path().display()));
        age(&node.image(), DAY);
        store.spawn_refresher().expect("a thread");
        for _ in 0..2 {
            let start = std::time::Instant::now();
            while node.age() >= DAY {
                assert!(start.elapsed() < Duration::from_secs(30), "nothing has refreshed it");
                std::thread::sleep(Duration::from_millis(10));
            }
            age(&node.image(), DAY);
        }
        let base = store.base(&BaseName::new(ID).expect("a name")).expect("readable").expect("published");
        assert_eq!(base.path(), node.image());
    }

    #[test]
    fn what_an_instance_is_built_on_is_not_removed_and_what_none_is_built_on_is() {
        let node = Node::new();
        let nova = node.open();
        node.place(&nova, Pin::None);
        let store = crate::store::Store(std::sync::Arc::new(nova));
        let disk = node.path().join("5f1e3c9a/disk");
        fs::create_dir(node.path().join("5f1e3c9a")).expect("writable");
        let backing = format!("/var/lib/nova/instances/_base/{SHA1}");
        let mut header =
            [&b"QFI\xfb\0\0\0\x03\0\0\0\0\0\0\x02\0"[..], &(backing.len() as u32).to_be_bytes()].concat();
        header.resize(512, 0);
        fs::write(&disk, [&header, backing.as_bytes()].concat()).expect("writable");
        let kept = store.remove(SHA1, Pins::Ended).expect("readable");
        assert_eq!(kept, Removal::InUse("instance 5f1e3c9a".to_owned()));
        assert_eq!(node.names(), [SHA1]);
        fs::remove_file(&disk).expect("there");
        assert_eq!(store.remove(SHA1, Pins::Heeded).expect("readable"), Removal::Done);
        assert_eq!(node.names(), [""; 0]);
    }

    #[test]
    fn a_base_that_somebody_else_has_put_into_the_cache_is_found_by_its_id_alone() {
        let node = Node::new();
        let store = node.open();
        assert_eq!(store.base_file(&BaseName::new(ID).expect("a name")).as_deref(), Some(SHA1));
        assert_eq!(store.base_file(&BaseName::new("image").expect("a name")), None);
    }

    #[test]
    fn a_cache_is_made_where_the_instances_are_and_nowhere_else() {
        let node = Node::new();
        node.open();
        let made = fs::metadata(node.path().join("_base")).expect("made");
        let instances = fs::metadata(node.path()).expect("there");
        assert_eq!((made.uid(), made.gid()), (instances.uid(), instances.gid()));
        let missing = NovaSettings::at(&node.path().join("missing"));
        let error = NovaStore::open(missing, None, StoreOptions::DEFAULT).expect_err("not there").to_string();
        assert!(error.contains("missing does not exist: is Nova in a container?"), "{error}");
        assert!(error.contains("--store nova:/var/lib/"), "{error}");
    }

    struct Node(TempDir);

    impl Node {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("temporary directory"))
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn image(&self) -> PathBuf {
            self.path().join("_base").join(SHA1)
        }

        fn open(&self) -> NovaStore {
            NovaStore::open(NovaSettings::at(self.path()), None, StoreOptions::DEFAULT).expect("a cache")
        }

        fn place(&self, store: &NovaStore, pin: Pin) {
            fs::write(self.image(), OBJECT).expect("writable");
            store.compare(&Announce { pin, ..image() }, root(), &|| true).expect("the same");
        }

        fn held(&self, store: &NovaStore) -> Vec<Held> {
            let parts = store.parts().expect("open");
            parts.log.list(parts.folder.disk(), wall())
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.path().join("_base")).expect("there").flatten();
            entries.map(|entry| entry.file_name().into_string().expect("text")).collect()
        }

        fn age(&self) -> Duration {
            let changed = fs::metadata(self.image()).expect("there").modified().expect("a time");
            SystemTime::now().duration_since(changed).unwrap_or_default()
        }
    }

    fn age(path: &Path, age: Duration) {
        let file = fs::File::options().write(true).open(path).expect("ours");
        file.set_modified(SystemTime::now() - age).expect("set");
    }

    /// The announcement of these tests. Its bytes are never written: the tests use files of its length, all zeros.
    fn image() -> Announce {
        Announce { image_id: Some(ID.to_owned()), ..announce("image") }
    }

    fn root() -> Root {
        Root(*blake3::hash(OBJECT).as_bytes())
    }

    const ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
    /// The output of `printf ID | sha1sum`.
    const SHA1: &str = "590638ffde49d7a7a1903830bafbdab93378518e";
    const DAY: Duration = Duration::from_secs(86_400);
}
