//! A directory that holds unfinished files next to published ones, and the step from one to the other.
//!
//! Publishing is fsync, a link that never replaces, and fsync of the directory: after a crash the whole object is
//! there, or nothing.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use glancecast_platform::locks::lock;
use glancecast_proto::ids::SessionId;
use glancecast_proto::integrity::Root;
use glancecast_proto::wire::Announce;

use super::anchor::Anchor;
use super::base::BaseFile;
use super::dir::Access;
use super::disk::{Disk, DiskFile, Entry, System};
use super::error::StoreError;
use super::file_system::{FileSystem, Naming};
use super::journal::{Identity, Journal};
use super::journal_writer::{self, JournalWriter};
use super::name::Name;
use super::partial::{Names, PREFIX, PartialFile, StagingArea};
use super::publications::Held;
use super::resume;
use super::spec::StoreOptions;

/// An existing directory that this process may write to.
#[derive(Debug)]
pub(super) struct Folder {
    staging: StagingArea,
    file_system: FileSystem,
    options: Mutex<StoreOptions>,
    /// Held while unfinished files are searched, so that no thread finds them locked by another thread of this process.
    looking: Mutex<()>,
    /// Number of unfinished files created so far. It is part of their names, as a session that is joined again needs
    /// another name.
    made: AtomicU64,
    /// Set once long operations are to end.
    stop: AtomicBool,
}

/// What a name in a folder leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// A file of the expected length.
    OfThisLength,
    SomethingElse,
}

impl Folder {
    /// Uses an open directory, and removes unfinished files of earlier receivers that no session will resume. `path` is
    /// for messages.
    pub(super) fn open(anchor: Anchor, path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let at = |error| StoreError::Io { what: "start a thread for", path: path.to_owned(), error };
        let journals = journal_writer::start().map_err(at)?;
        Self::on(Arc::new(System(anchor)), path, options, Some(journals))
    }

    pub(super) fn on(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: StoreOptions,
        journals: Option<Sender<Arc<JournalWriter>>>,
    ) -> Result<Self, StoreError> {
        let staging = StagingArea {
            disk,
            directory: path.to_owned(),
            min_free: Mutex::new(options.min_free),
            journals,
        };
        let file_system = FileSystem::probe(&*staging.disk, path)?;
        if file_system.naming == Naming::Rename {
            tracing::info!(path = %path.display(), "no hard links here: files get their names by renameat2(RENAME_NOREPLACE)");
        }
        let (looking, made) = (Mutex::new(()), AtomicU64::new(0));
        let options = Mutex::new(options);
        let folder = Self { staging, file_system, options, looking, made, stop: AtomicBool::new(false) };
        folder.clean()?;
        // A name that was removed and is used again must not lead to the older file after a power cut; and a directory
        // that cannot be synced at all is found out here.
        folder.disk().sync().map_err(|error| folder.error("sync the directory", error))?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.staging.directory
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.staging.disk
    }

    /// Ends long operations at once, now and later, with [`StoreError::Stopped`].
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Returns the flag that [`Folder::stop`] sets.
    pub(super) fn stopping(&self) -> &AtomicBool {
        &self.stop
    }

    /// Puts other options in the place of the old ones. A file that is being written keeps its reserve.
    pub(super) fn set_options(&self, options: StoreOptions) {
        *lock(&self.options) = options;
        *lock(&self.staging.min_free) = options.min_free;
    }

    fn options(&self) -> StoreOptions {
        *lock(&self.options)
    }

    /// Removes unfinished files that are too old or too many, or that take room that stays free.
    pub(super) fn clean(&self) -> Result<(), StoreError> {
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        resume::clean(self.disk(), self.path(), self.options())
    }

    /// Returns what a name leads to.
    pub(super) fn find(&self, name: &str, bytes: u64) -> Result<Found, StoreError> {
        match Name::new(name).and_then(|name| self.disk().look(&name)) {
            Ok(entry) if entry.is_file && entry.bytes == bytes => Ok(Found::OfThisLength),
            Ok(_) => Ok(Found::SomethingElse),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(self.error_at(name, "look for", error)),
        }
    }

    /// Resumes the unfinished file of an object, or creates one if the disk has room for its data and for the reserve.
    /// If the announcement does not say how much data comes, the room is watched while it comes. Unfinished files of
    /// other objects are removed, the oldest first, if they take that room.
    pub(super) fn begin(&self, object: &str, announce: &Announce) -> Result<PartialFile, StoreError> {
        let (geometry, session) = (announce.geometry, announce.session);
        let bytes = geometry.object_bytes();
        let identity = Identity::of(announce, object);
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let mut partials = resume::find(self.disk(), self.path())?;
        let old = resume::take(self.disk(), &mut partials, &identity, bytes);
        let there = old.as_ref().map_or(0, |(partial, _)| partial.entry.allocated);
        let room_for = |data| {
            let journal = Journal::bytes(geometry.blocks());
            self.file_system.room_for(bytes, data, journal).saturating_sub(there)
        };
        let needed = room_for(announce.data_bytes.unwrap_or(0));
        let wanted = room_for(announce.data_bytes.unwrap_or(bytes));
        loop {
            let room = self.disk().room().map_err(|error| self.error(ASK_FOR_ROOM, error))?;
            let reserve = self.options().min_free.of(room.total);
            let usable = room.free.saturating_sub(reserve);
            match partials.pop() {
                _ if usable >= wanted => break,
                Some(oldest) => {
                    tracing::info!(name = %oldest.names.file, "removed an unfinished image to make room");
                    oldest.names.remove(self.disk());
                }
                None if usable >= needed => break,
                None => {
                    let path = self.path().to_owned();
                    return Err(StoreError::NoSpace { path, free: room.free, reserve, needed });
                }
            }
        }
        if let Some((partial, old)) = old {
            return Ok(PartialFile::resume(&self.staging, partial.names, partial.file, old, geometry));
        }
        let journal_of = (!self.options().keep_unfinished.time.is_zero()).then_some((&identity, session));
        let object = Name::new(object).map_err(|error| self.error_at(object, "make", error))?;
        loop {
            let serial = self.made.fetch_add(1, Ordering::Relaxed);
            let names = Names::new(&object, session, serial);
            match PartialFile::create(&self.staging, names, journal_of, bytes) {
                // Another receiver still works on the file of this name.
                Err(StoreError::Io { error, .. })
                    if error.kind() == io::ErrorKind::AlreadyExists && serial < SERIALS_MAX => {}
                result => return result,
            }
        }
    }

    /// Gives a finished file its name and removes its hidden one. Returns its entry then; `None` if the name is taken.
    pub(super) fn link(&self, file: PartialFile, name: &str) -> Result<Option<Entry>, StoreError> {
        let at = |what| move |error| self.error_at(name, what, error);
        let open = Arc::clone(file.file());
        match Name::new(name).and_then(|name| self.name(&file, &name)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(at("publish")(error)),
        }
        self.disk().sync().map_err(|error| self.error("sync the directory of", error))?;
        drop(file);
        // Not by its name, which somebody may have replaced by now.
        open.entry().map(Some).map_err(at("look at"))
    }

    /// Gives an unfinished file its name; no existing name is replaced.
    fn name(&self, file: &PartialFile, name: &Name) -> io::Result<()> {
        if self.file_system.naming == Naming::Link {
            return file.file().link(name);
        }
        let (hidden, open) = (file.name(), file.file().entry()?);
        let leads_to_it = |name| Ok::<_, io::Error>(self.disk().look(name)?.id.is_open_as(open.id));
        if leads_to_it(hidden)? {
            self.disk().rename_new(hidden, name)?;
            if leads_to_it(name)? {
                return Ok(());
            }
            // Whoever may write here has exchanged the hidden name in the last moment.
            let _ = self.disk().rename_new(name, hidden);
        }
        Err(io::Error::other("somebody exchanged its unfinished file: push again"))
    }

    /// Hashes a file and compares it with a root. Returns the open file. Ends early if the store is stopped or `wanted`
    /// returns false.
    pub(super) fn compare(
        &self,
        name: &str,
        root: Root,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Compared, StoreError> {
        let at = |what| move |error| self.error_at(name, what, error);
        let file = self.open_to_read(name)?;
        let entry = file.entry().map_err(at("look at"))?;
        let going_on = |_| wanted() && !self.stop.load(Ordering::Relaxed);
        match self.hash_file(&*file, name, going_on)? {
            None => Err(StoreError::Stopped { path: self.path().join(name) }),
            Some(hash) if hash != root => Err(StoreError::Exists { path: self.path().join(name) }),
            Some(_) => Ok(Compared { file, entry }),
        }
    }

    /// Returns whether a name still leads to the open file that was compared.
    pub(super) fn leads_to(&self, name: &str, compared: &Compared) -> Result<bool, StoreError> {
        match Name::new(name).and_then(|name| self.disk().look(&name)) {
            Ok(entry) => Ok(entry.id.is_open_as(compared.entry.id) && entry.bytes == compared.entry.bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.error_at(name, "look at", error)),
        }
    }

    /// Returns the BLAKE3 hash of a file, read from the disk: the page cache may be right where the disk is not. `step`
    /// is called after each piece with the bytes done so far; if it returns false, the result is `None`.
    pub(super) fn hash_in_steps(
        &self,
        name: &str,
        step: impl FnMut(u64) -> bool,
    ) -> Result<Option<Root>, StoreError> {
        self.hash_file(&*self.open_to_read(name)?, name, step)
    }

    fn hash_file(
        &self,
        file: &dyn DiskFile,
        name: &str,
        mut step: impl FnMut(u64) -> bool,
    ) -> Result<Option<Root>, StoreError> {
        // Read from the disk; afterwards the guests of this host need the page cache more.
        file.forget_pages(0..0);
        let mut hasher = blake3::Hasher::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut done = 0;
        loop {
            let read = file.read_at(&mut piece, done).map_err(|error| self.error_at(name, "read", error))?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]);
            done += read as u64;
            if done % FORGET_BYTES < read as u64 {
                file.forget_pages(0..0);
            }
            if !step(done) {
                return Ok(None);
            }
        }
        file.forget_pages(0..0);
        Ok(Some(Root(*hasher.finalize().as_bytes())))
    }

    /// Opens a file to read it.
    pub(super) fn open_to_read(&self, name: &str) -> Result<Box<dyn DiskFile>, StoreError> {
        Name::new(name)
            .and_then(|name| self.disk().open(&name, Access::Read))
            .map_err(|error| self.error_at(name, "read", error))
    }

    /// Opens an older object; `None` if nothing has this name.
    pub(super) fn base(&self, name: &str) -> io::Result<Option<BaseFile>> {
        match Name::new(name).and_then(|name| self.disk().open(&name, Access::Read)) {
            Ok(file) => BaseFile::new(file, self.path().join(name)).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renames a published file, which is `open`, to a hidden name that no other program knows. If the object is given, the
    /// file becomes an unfinished one of it, with a journal of no block.
    ///
    /// # Errors
    /// The error of the file system. Then the file has its name.
    pub(super) fn hide(
        &self,
        name: &str,
        open: &dyn DiskFile,
        held: Option<&Held>,
    ) -> Result<Aside, StoreError> {
        let at = |what| move |error| self.error_at(name, what, error);
        // No other thread finds a hidden file without its journal, which it would remove.
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let object = Name::new(name).map_err(at("find"))?;
        let serial = self.made.fetch_add(1, Ordering::Relaxed);
        let names = Names::new(&object, ASIDE, serial);
        // Its age counts from now on.
        open.touch().map_err(at("set the time of"))?;
        self.disk().rename_new(&object, &names.file).map_err(at("rename"))?;
        let hidden = || {
            let (there, entry) = (self.disk().look(&names.file)?, open.entry()?);
            if !there.id.is_open_as(entry.id) {
                return Err(io::Error::other("somebody exchanged it in the last moment: ask again"));
            }
            if let Some(held) = held {
                let journal = self.disk().create(&names.journal)?;
                Journal::begin(journal, &Identity::of_held(held), ASIDE)?;
            }
            self.disk().sync()
        };
        hidden().map_err(|error| {
            let _ = self.disk().rename_new(&names.file, &object);
            let _ = self.disk().remove(&names.journal);
            at("take the name of")(error)
        })?;
        Ok(Aside(names))
    }

    /// Removes a hidden file. If that fails, it is removed as any hidden file without a journal is.
    pub(super) fn remove_aside(&self, aside: &Aside, name: &str) -> Result<(), StoreError> {
        match self.disk().remove(&aside.0.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.error_at(name, "remove", error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Sets the modification time of a compared file to now; returns its entry then.
    pub(super) fn touch(&self, name: &str, file: &dyn DiskFile) -> Result<Entry, StoreError> {
        file.touch()
            .and_then(|()| file.entry())
            .map_err(|error| self.error_at(name, "set the time of", error))
    }

    /// Calls `with` with a file that exists only for this test.
    pub(super) fn probe(&self, with: impl FnOnce(&dyn DiskFile) -> io::Result<()>) -> io::Result<()> {
        let name = Name::new(format!("{PREFIX}probe.{}", std::process::id()))?;
        let _ = self.disk().remove(&name); // left by a process with our pid that was killed right here
        let tried = with(&*self.disk().create(&name)?);
        self.disk().remove(&name)?;
        tried
    }

    /// Returns the bytes that this process may still write here.
    pub(super) fn free_bytes(&self) -> Result<u64, StoreError> {
        let room = self.disk().room();
        room.map(|room| room.free).map_err(|error| self.error(ASK_FOR_ROOM, error))
    }

    fn error(&self, what: &'static str, error: io::Error) -> StoreError {
        StoreError::Io { what, path: self.path().to_owned(), error }
    }

    fn error_at(&self, name: &str, what: &'static str, error: io::Error) -> StoreError {
        StoreError::Io { what, path: self.path().join(name), error }
    }
}

/// A file that has the expected root.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) entry: Entry,
}

/// A published file that has lost its name, by the hidden one that it has instead.
#[derive(Debug)]
pub(super) struct Aside(Names);

/// Stands in hidden names and journals of files that no session has made. The serial number keeps the names apart.
const ASIDE: SessionId = SessionId([0; SessionId::BYTES]);

/// Most names that are tried for an unfinished file.
const SERIALS_MAX: u64 = 1_000_000;

const ASK_FOR_ROOM: &str = "ask for the free space of";

pub(super) const PIECE_BYTES: usize = 1 << 20;

/// Bytes read between two releases of the page cache.
const FORGET_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::super::min_free::MinFree;
    use super::super::tests::disk_model::{Lacking, Model};
    use super::super::tests::{OBJECT, announce};
    use super::*;
    use std::fs;

    #[test]
    fn hashing_reads_all_of_a_file_and_ends_when_told_to() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let bytes = vec![5; 3 * PIECE_BYTES + 17];
        fs::write(dir.path().join("image"), &bytes).expect("writable");
        std::os::unix::fs::symlink("image", dir.path().join("link")).expect("writable");
        let folder = open(dir.path()).expect("a directory");
        let mut steps = Vec::new();
        let count = |done| {
            steps.push(done);
            true
        };
        let root = folder.hash_in_steps("image", count).expect("readable");
        assert_eq!(root, Some(Root(*blake3::hash(&bytes).as_bytes())));
        assert!(steps.is_sorted() && steps.last() == Some(&(bytes.len() as u64)), "{steps:?}");
        assert_eq!(folder.hash_in_steps("image", |_| false).expect("readable"), None);
        assert!(folder.hash_in_steps("link", |_| true).is_err());
    }

    #[test]
    fn unfinished_files_of_a_dead_receiver_are_removed_and_those_of_a_live_one_are_not() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let folder = open(dir.path()).expect("a directory");
        let alive = folder.begin("alive", &announce("alive")).expect("room");
        fs::write(dir.path().join(".glancecast-dead.00.part"), b"half").expect("writable");
        fs::write(dir.path().join(".other"), b"not ours").expect("writable");
        fs::write(dir.path().join("image"), b"published").expect("writable");
        open(dir.path()).expect("a directory");
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .expect("there")
            .flatten()
            .map(|e| e.file_name().into_string().expect("text"))
            .collect();
        names.sort();
        assert_eq!(names.len(), 4, "{names:?}");
        assert!(!names.iter().any(|name| name.contains("dead")));
        drop(alive);
    }

    #[test]
    fn a_folder_is_an_existing_directory() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("file");
        fs::write(&file, b"").expect("writable");
        assert!(open(&file).is_err());
        assert!(open(&dir.path().join("missing")).is_err());
    }

    #[test]
    fn a_file_that_is_compared_is_left_when_nobody_wants_it_or_the_store_stops() {
        let dir = tempfile::tempdir().expect("temporary directory");
        fs::File::create(dir.path().join("image")).and_then(|file| file.set_len(64 << 30)).expect("sparse");
        let folder = open(dir.path()).expect("a directory");
        let root = Root([0; 32]);
        let stopped = |result| matches!(result, Err(StoreError::Stopped { .. }));
        assert!(stopped(folder.compare("image", root, &|| false)));
        let started = std::time::Instant::now();
        std::thread::scope(|scope| {
            let comparing = scope.spawn(|| folder.compare("image", root, &|| true));
            std::thread::sleep(std::time::Duration::from_millis(100));
            assert!(!comparing.is_finished(), "64 GiB take longer");
            folder.stop();
            assert!(stopped(comparing.join().expect("no panic")));
            assert!(folder.stopping().load(Ordering::Relaxed), "nobody waits for a lock either");
        });
        assert!(started.elapsed() < std::time::Duration::from_secs(1), "{:?}", started.elapsed());
    }

    #[test]
    fn what_is_compared_is_the_open_file_and_its_name_may_lead_elsewhere() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let folder = open(dir.path()).expect("a directory");
        fs::write(dir.path().join("image"), OBJECT).expect("writable");
        let root = Root(*blake3::hash(OBJECT).as_bytes());
        let compare = || folder.compare("image", root, &|| true).expect("the same");
        let compared = compare();
        assert!(folder.leads_to("image", &compared).expect("there"));
        fs::rename(dir.path().join("image"), dir.path().join("moved")).expect("writable");
        assert!(!folder.leads_to("image", &compared).expect("not there"));
        fs::write(dir.path().join("image"), OBJECT).expect("writable");
        assert!(!folder.leads_to("image", &compared).expect("another"));
        let compared = compare();
        let file = fs::File::options().append(true).open(dir.path().join("image")).expect("ours");
        file.set_len(1).expect("ours");
        assert!(!folder.leads_to("image", &compared).expect("shorter"));
        assert!(matches!(folder.compare("image", root, &|| true), Err(StoreError::Exists { .. })));
        assert!(folder.leads_to("../image", &compared).is_err() && folder.find("../image", 1).is_err());
    }

    #[test]
    fn a_hidden_name_that_another_receiver_works_on_is_passed_over_as_often_as_names_are_tried() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let begin = |serial| {
            let folder = open(dir.path()).expect("a directory");
            folder.made.store(serial, Ordering::Relaxed);
            folder.begin("image", &announce("image"))
        };
        let _first = begin(SERIALS_MAX - 1).expect("room");
        let _second = begin(SERIALS_MAX - 1).expect("the next name");
        let Err(StoreError::Io { error, .. }) = begin(SERIALS_MAX) else { panic!("the last name is taken") };
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_store_that_cannot_be_used_as_it_has_to_be_is_told_by_its_probe() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let folder = open(dir.path()).expect("a directory");
        let error = folder.probe(|_| Err(io::ErrorKind::PermissionDenied.into())).expect_err("it failed");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 0);
        assert!(folder.free_bytes().expect("a disk") > 4096);
    }

    #[test]
    fn the_reserve_is_left_free_for_others() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let options = |min_free| StoreOptions { min_free, ..StoreOptions::DEFAULT };
        let anchor = || Anchor::open(dir.path(), Vec::new()).expect("a directory");
        let all = MinFree { percent: 100, bytes: u64::MAX };
        let folder = Folder::open(anchor(), dir.path(), options(all)).expect("a directory");
        let error = folder.begin("image", &announce("image")).expect_err("all of the disk is kept");
        assert!(
            matches!(error, StoreError::NoSpace { .. }) && error.to_string().contains("min_free"),
            "{error}"
        );
        let folder = Folder::open(anchor(), dir.path(), options(MinFree::NONE)).expect("a directory");
        folder.begin("image", &announce("image")).expect("room");
    }

    #[test]
    fn the_longest_name_is_taken_at_any_serial_and_published() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let folder = open(dir.path()).expect("a directory");
        let name = "n".repeat(glancecast_proto::limits::OBJECT_NAME_MAX);
        for serial in [0, 999, 1_000, 100_000, SERIALS_MAX, u64::MAX - 1] {
            folder.made.store(serial, Ordering::Relaxed);
            let file = folder.begin(&name, &announce(&name)).expect("room");
            file.finish(0o644).expect("writable");
            assert!(folder.link(file, &name).expect("published").is_some());
            assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 1, "its hidden names are gone");
            fs::remove_file(dir.path().join(&name)).expect("there");
        }
    }

    #[test]
    fn what_is_published_is_the_file_that_was_written_whatever_its_hidden_name_leads_to() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let folder = open(dir.path()).expect("a directory");
        let file = folder.begin("image", &announce("image")).expect("room");
        let victim = dir.path().join("victim");
        fs::write(&victim, b"untouched").expect("writable");
        fs::remove_file(file.path()).expect("there");
        std::os::unix::fs::symlink(&victim, file.path()).expect("writable");
        file.finish(0o644).expect("by its descriptor");
        let published = folder.link(file, "image");
        assert!(published.is_err(), "without a name left it cannot be linked: {published:?}");
        assert_eq!(fs::read(&victim).expect("there"), b"untouched");

        let file = folder.begin("image", &announce("image")).expect("room");
        let moved = dir.path().join("moved");
        fs::rename(file.path(), &moved).expect("writable");
        fs::write(file.path(), b"another").expect("writable");
        file.finish(0o644).expect("by its descriptor");
        let entry = folder.link(file, "image").expect("published").expect("free");
        assert_eq!((entry.bytes, entry.names), (OBJECT.len() as u64, 2));
        assert_eq!(fs::read(dir.path().join("image")).expect("there"), fs::read(&moved).expect("there"));
    }

    #[test]
    fn without_hard_links_the_file_that_was_written_is_renamed_and_no_other_one() {
        let (disk, at) = (Model::lacking(Lacking::Links), Path::new("/images"));
        let folder = Folder::on(Arc::new(disk.clone()), at, StoreOptions::DEFAULT, None).expect("renaming");
        let begin = || folder.begin("image", &announce("image")).expect("room");
        let file = begin();
        let hidden = file.name().clone();
        disk.remove(&hidden).expect("there");
        drop(disk.create(&hidden).expect("free"));
        file.finish(0o644).expect("by its descriptor");
        let error = folder.link(file, "image").expect_err("another file has its hidden name");
        assert!(error.to_string().contains("exchanged"), "{error}");
        assert_eq!(disk.content("image"), None);

        let file = begin();
        file.finish(0o644).expect("writable");
        folder.link(file, "image").expect("published").expect("free");
        let file = begin();
        file.finish(0o644).expect("writable");
        assert!(folder.link(file, "image").expect("no error").is_none(), "it is not replaced");
        assert_eq!(disk.all_names(), ["image"]);
    }

    #[test]
    fn what_is_no_file_of_the_store_is_no_base() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let folder = open(dir.path()).expect("a directory");
        fs::write(dir.path().join("file"), b"something").expect("writable");
        std::os::unix::fs::symlink("file", dir.path().join("link")).expect("writable");
        fs::create_dir(dir.path().join("directory")).expect("writable");
        assert!(folder.base("file").expect("readable").is_some());
        assert!(folder.base("missing").expect("no error").is_none());
        for bad in ["link", "directory", "../x", "."] {
            assert!(folder.base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_directory_that_was_removed_and_made_again_is_used_again() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("store");
        fs::create_dir(&path).expect("writable");
        let folder = open(&path).expect("a directory");
        let file = folder.begin("image", &announce("image")).expect("room");
        fs::remove_dir_all(&path).expect("writable");
        fs::create_dir(&path).expect("writable");
        file.finish(0o644).expect("it is open");
        assert!(
            folder.link(file, "image").expect_err("it has no directory").to_string().contains("No such file")
        );
        let file = folder.begin("image", &announce("image")).expect("room");
        file.finish(0o644).expect("writable");
        folder.link(file, "image").expect("published").expect("free");
        assert!(path.join("image").exists());
    }

    fn open(path: &Path) -> Result<Folder, StoreError> {
        let at = |error| StoreError::Io { what: "open", path: path.to_owned(), error };
        Folder::open(Anchor::open(path, Vec::new()).map_err(at)?, path, StoreOptions::DEFAULT)
    }
}
