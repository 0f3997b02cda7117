//! The publication log: a record for each published object. Each is a small file in a hidden directory of the store and
//! is replaced as a whole, so that a damaged one harms no other.

mod dir;
mod record;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use glancecast_proto::integrity::Root;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{Announce, PinTime};

use super::anchor::Anchor;
use super::disk::{Disk, Entry};
use super::error::StoreError;
use super::file_id::{FileId, Since};
use super::name::Name;
use super::removal::Pins;
pub(super) use dir::DIRECTORY;
use dir::LogDir;
#[cfg(any(test, fuzzing))]
pub(crate) use record::fuzzed;
pub use record::{Held, Pinned};
use record::{Identity, Record, RecordError};

/// Opens a file in the directory of the log, for reading, to lock it, and for writing; makes it if it is missing.
///
/// # Errors
/// If the directory of the log is not ours, or the error of the file system.
pub(super) fn lock_file(store: Anchor, name: &Name) -> Result<(File, File), StoreError> {
    let directory = LogDir::open(store)?;
    let path = || PathBuf::from(DIRECTORY).join(name.as_str());
    directory.file_to_lock(name).map_err(|error| StoreError::Io {
        what: "open the lock",
        path: path(),
        error,
    })
}

/// How a file was pinned until now, and how it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinChange {
    /// Until now.
    pub was: Pinned,
    /// From now on.
    pub pinned: Pinned,
}

/// The publication log of a store.
#[derive(Debug)]
pub(super) struct PublicationLog {
    directory: LogDir,
    records: Mutex<BTreeMap<String, Record>>,
}

impl PublicationLog {
    /// Reads the log of a store. A record that cannot be read is logged and set aside.
    ///
    /// # Errors
    /// If the directory of the log is not ours.
    pub(super) fn open(store: Anchor) -> Result<Self, StoreError> {
        let directory = LogDir::open(store)?;
        let mut records = BTreeMap::new();
        for name in directory.list() {
            match name.as_str().rsplit_once('.') {
                Some((stem, KIND)) => match read(&directory, &name) {
                    Ok(record) => {
                        let file = record.file.clone().unwrap_or_else(|| stem.to_owned());
                        records.insert(file, record);
                    }
                    Err(error) => set_aside(&directory, &name, &error),
                },
                Some((_, UNFINISHED)) => directory.remove(&name),
                _ => {}
            }
        }
        Ok(Self { directory, records: Mutex::new(records) })
    }

    /// Records that a file of the store was just proven to be what was announced. Pins only extend.
    pub(super) fn note(&self, file: &str, id: FileId, announce: &Announce, root: Root, now: WallClock) {
        let mut records = self.lock();
        let same = records.get(file).filter(|old| old.identity.may_be(id));
        let before = same.map_or(Pinned::No, Record::pinned);
        let pinned = before.at(now).max(Pinned::from(announce.pin, now));
        self.put(&mut records, file, Record::new(id, announce, root, now, pinned));
    }

    /// Whether an open file is the one that was proven under this name.
    pub(super) fn is_proven(&self, file: &str, entry: &Entry) -> bool {
        self.lock().get(file).is_some_and(|record| record.is_of(entry))
    }

    /// Records that the store itself has touched the proven file, which without a time of birth would not be recognised
    /// again.
    pub(super) fn note_touched(&self, file: &str, entry: &Entry) {
        if let Since::Birth(_) = entry.id.since {
            return;
        }
        let mut records = self.lock();
        if let Some(record) = records.get(file) {
            let record = Record { identity: Identity::of(entry.id), ..record.clone() };
            self.put(&mut records, file, record);
        }
    }

    /// Records that a file was compared with its root again.
    pub(super) fn note_proven(&self, file: &str, now: WallClock) {
        let mut records = self.lock();
        if let Some(record) = records.get(file) {
            let record = Record { proven: now.0, ..record.clone() };
            self.put(&mut records, file, record);
        }
    }

    /// Ends the pin of a file; returns whether there was one.
    pub(super) fn unpin(&self, file: &str, now: WallClock) -> bool {
        let mut records = self.lock();
        let Some(mut record) = records.get(file).cloned() else { return false };
        let was = record.pinned().at(now);
        record.pin(Pinned::No);
        self.put(&mut records, file, record);
        was != Pinned::No
    }

    /// Pins a file from now on, however long it was pinned until now. Returns how it was pinned and how it is; `None`
    /// if it has no record, as it is no longer there.
    ///
    /// # Errors
    /// The record cannot be written, and stays as it was: after a restart nobody would know of the pin.
    pub(super) fn pin(&self, file: &str, time: PinTime, now: WallClock) -> io::Result<Option<PinChange>> {
        let mut records = self.lock();
        let Some(mut record) = records.get(file).cloned() else { return Ok(None) };
        let (was, pinned) = (record.pinned().at(now), Pinned::from(time.into(), now));
        record.pin(pinned);
        self.write(file, &record)?;
        records.insert(file.to_owned(), record);
        Ok(Some(PinChange { was, pinned }))
    }

    /// Has `take` take the name of a file away, and drops its record if it did. Where pins are heeded and the file is
    /// pinned, it is not called. No pin is set meanwhile: one that was set before is seen, and one that comes later
    /// finds no record.
    pub(super) fn take<T, E>(
        &self,
        file: &str,
        pins: Pins,
        now: WallClock,
        take: impl FnOnce() -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let mut records = self.lock();
        let pinned = records.get(file).map_or(Pinned::No, Record::pinned).at(now);
        if pins == Pins::Heeded && pinned != Pinned::No {
            return Ok(None);
        }
        let taken = take()?;
        records.remove(file);
        if let Ok(name) = name_of(file) {
            self.directory.remove(&name);
        }
        Ok(Some(taken))
    }

    /// Records that a pin has expired, if there was one.
    pub(super) fn end_pin(&self, file: &str, now: WallClock) {
        let mut records = self.lock();
        if let Some(mut record) = records.get(file).cloned()
            && record.pinned() != Pinned::No
            && record.pinned().at(now) == Pinned::No
        {
            tracing::info!(name = record.name, file, "its pin is over: Nova's own rule holds from now on");
            record.pin(Pinned::No);
            self.put(&mut records, file, record);
        }
    }

    /// Returns all objects whose file is still in the store.
    pub(super) fn list(&self, store: &dyn Disk, now: WallClock) -> Vec<Held> {
        self.forget_gone(store);
        self.lock().iter().filter_map(|(file, record)| record.held(file, now)).collect()
    }

    /// Drops the records of files that somebody removed or replaced, so that the log does not grow over the years.
    pub(super) fn forget_gone(&self, store: &dyn Disk) {
        let mut records = self.lock();
        let gone: Vec<String> = records
            .iter()
            .filter(|(file, record)| !record.is_at(store, file))
            .map(|(file, _)| file.clone())
            .collect();
        for file in gone {
            tracing::info!(file, "was removed, replaced or changed by somebody else, and is forgotten");
            records.remove(&file);
            if let Ok(name) = name_of(&file) {
                self.directory.remove(&name);
            }
        }
    }

    /// Replaces a record, in memory and on the disk. If it cannot be written, the object is published all the same.
    fn put(&self, records: &mut BTreeMap<String, Record>, file: &str, record: Record) {
        if let Err(error) = self.write(file, &record) {
            tracing::warn!(file, %error, "its record cannot be written: after a restart nobody knows of this image's pin");
        }
        records.insert(file.to_owned(), record);
    }

    fn write(&self, file: &str, record: &Record) -> io::Result<()> {
        let name = name_of(file)?;
        let is_short =
            name.as_str().strip_suffix(KIND).is_some_and(|stem| stem.strip_suffix('.') == Some(file));
        let record = Record { file: (!is_short).then(|| file.to_owned()), ..record.clone() };
        let text = toml::to_string(&record).map_err(io::Error::other)?;
        let unfinished = Name::new(format!("{}.{}.{UNFINISHED}", name.short(), std::process::id()))?;
        self.directory.replace(&name, &unfinished, text.as_bytes())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the name of the record of a file. That of a long name has its hash, and the record has the name itself.
fn name_of(file: &str) -> io::Result<Name> {
    let stem = if file.len() <= STEM_MAX { file.to_owned() } else { Name::new(file)?.short() };
    Name::new(format!("{stem}.{KIND}"))
}

fn read(directory: &LogDir, name: &Name) -> Result<Record, RecordError> {
    let mut text = String::new();
    directory.open_file(name)?.take(RECORD_BYTES_MAX).read_to_string(&mut text)?;
    Record::parse(&text)
}

fn set_aside(directory: &LogDir, name: &Name, error: &RecordError) {
    tracing::warn!(
        %name,
        "a record is damaged ({error}): the image stays, its pin is not known; push it again to pin it"
    );
    if let Ok(aside) = Name::new(format!("{name}{DAMAGED}")) {
        directory.rename(name, &aside);
    }
}

const KIND: &str = "toml";
const UNFINISHED: &str = "new";
const DAMAGED: &str = ".damaged";
/// Longest name of a file that its record is named after: some file systems have shorter names than Linux.
const STEM_MAX: usize = 64;

/// A record has a few hundred bytes; a longer file is not one.
const RECORD_BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::super::disk::System;
    use super::super::file_id::Nanos;
    use super::*;
    use crate::store::tests::{OBJECT, announce};
    use glancecast_proto::wire::Pin;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::Duration;
    use tempfile::TempDir;

    #[test]
    fn what_is_noted_is_known_after_a_restart() {
        let store = Store::new();
        store.note(Pin::For(Duration::from_secs(10)), 1_000);
        let before = store.list(2_000);
        assert_eq!(before[0].pinned, Pinned::Until(WallClock(11_000)));
        assert_eq!((before[0].root, before[0].proven), (ROOT, WallClock(1_000)));
        assert_eq!(store.again().list(2_000), before);
        assert_eq!(store.again().list(11_000)[0].pinned, Pinned::No);
    }

    #[test]
    fn a_record_of_any_name_is_known_after_a_restart_under_a_short_one() {
        for name in ["n".repeat(200), "ü".repeat(100), "n".repeat(65), "n.toml.damaged".to_owned()] {
            let store = Store::new();
            fs::rename(store.image(), store.path().join(&name)).expect("a name");
            let id = FileId::of(&fs::metadata(store.path().join(&name)).expect("there"));
            store.log.note(&name, id, &announce(&name), ROOT, WallClock(1_000));
            let again = store.again();
            let held = again.list(2_000);
            assert_eq!((held.len(), held[0].file.as_str()), (1, name.as_str()));
            let records = || fs::read_dir(store.path().join(DIRECTORY)).expect("there").flatten();
            assert!(
                records().all(|record| record.file_name().len() <= 80),
                "{:?}",
                records().collect::<Vec<_>>()
            );
            fs::remove_file(store.path().join(&name)).expect("there");
            assert_eq!(again.list(2_000), []);
            assert_eq!(records().count(), 0, "no record stays");
        }
    }

    #[test]
    fn pins_only_extend_until_they_are_let_go_of() {
        let store = Store::new();
        let pinned = || store.list(2_000)[0].pinned;
        store.note(Pin::For(Duration::from_secs(10)), 1_000);
        store.note(Pin::For(Duration::from_secs(5)), 1_000);
        assert_eq!(pinned(), Pinned::Until(WallClock(11_000)));
        store.note(Pin::None, 1_000);
        assert_eq!(pinned(), Pinned::Until(WallClock(11_000)));
        store.note(Pin::Forever, 1_000);
        store.note(Pin::For(Duration::from_secs(5)), 1_000);
        assert_eq!(pinned(), Pinned::Forever);
        assert!(store.log.unpin("image", WallClock(2_000)));
        assert_eq!(pinned(), Pinned::No);
        assert!(!store.log.unpin("image", WallClock(2_000)));
        assert_eq!(store.again().list(2_000)[0].pinned, Pinned::No);
    }

    #[test]
    fn a_pin_that_is_set_is_the_one_that_was_asked_for_longer_or_shorter() {
        let store = Store::new();
        let set = |time| store.log.pin("image", time, WallClock(2_000)).expect("writable");
        assert_eq!(set(PinTime::Forever), None, "nothing is published");
        store.note(Pin::None, 1_000);
        let week = PinTime::For(Duration::from_secs(10));
        let until = Pinned::Until(WallClock(12_000));
        assert_eq!(set(PinTime::Forever), Some(PinChange { was: Pinned::No, pinned: Pinned::Forever }));
        assert_eq!(set(week), Some(PinChange { was: Pinned::Forever, pinned: until }));
        assert_eq!(store.again().list(2_000)[0].pinned, until, "also after a restart");
        store.log.unpin("image", WallClock(2_000));
        assert_eq!(set(week), Some(PinChange { was: Pinned::No, pinned: until }));
    }

    #[test]
    fn a_pin_whose_record_cannot_be_written_is_not_set() {
        let store = Store::new();
        store.note(Pin::None, 1_000);
        // A directory stands where the record is written first.
        let unfinished =
            format!("{}.{}.{UNFINISHED}", name_of("image").expect("plain").short(), std::process::id());
        fs::create_dir(store.path().join(DIRECTORY).join(unfinished)).expect("writable");
        assert!(store.log.pin("image", PinTime::Forever, WallClock(2_000)).is_err());
        assert_eq!(store.list(2_000)[0].pinned, Pinned::No);
    }

    #[test]
    fn a_name_is_taken_with_its_record_or_stays_with_its_pin() {
        let store = Store::new();
        store.note(Pin::Forever, 1_000);
        let take = |pins, result| store.log.take("image", pins, WallClock(2_000), || result);
        assert_eq!(take(Pins::Heeded, Err("called")), Ok(None));
        assert_eq!(take(Pins::Ended, Err("refused")), Err("refused"));
        assert_eq!(store.list(2_000)[0].pinned, Pinned::Forever);
        assert_eq!(take(Pins::Ended, Ok(1)), Ok(Some(1)));
        assert_eq!(store.list(2_000), []);
        assert_eq!(store.again().list(2_000), []);
    }

    #[test]
    fn what_somebody_removes_or_replaces_is_forgotten() {
        for replaced in [false, true] {
            let store = Store::new();
            store.note(Pin::Forever, 1_000);
            let other = store.path().join("other");
            fs::write(&other, b"another file").expect("writable");
            if replaced {
                fs::rename(&other, store.image()).expect("renamed");
            } else {
                fs::remove_file(store.image()).expect("removed");
            }
            assert_eq!(store.list(2_000), []);
            assert_eq!(
                fs::read_dir(store.path().join(DIRECTORY)).expect("there").count(),
                0,
                "no record stays"
            );
        }
    }

    #[test]
    fn a_foreign_file_of_the_same_name_and_length_is_not_the_proven_one_whatever_its_inode() {
        let mut same_inode = 0;
        for _ in 0..20 {
            let store = Store::new();
            store.note(Pin::Forever, 1_000);
            let before = store.id();
            fs::remove_file(store.image()).expect("removed");
            fs::write(store.image(), [0; OBJECT.len()]).expect("written");
            same_inode += u32::from(store.id().inode == before.inode);
            assert_eq!(store.list(2_000), []);
        }
        println!("{same_inode} of 20 had the same inode number");
    }

    #[test]
    fn a_file_that_is_touched_is_still_the_proven_one() {
        let store = Store::new();
        store.note(Pin::Forever, 1_000);
        let file = fs::File::options().write(true).open(store.image()).expect("ours");
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("ours");
        fs::hard_link(store.image(), store.path().join("second")).expect("the same disk");
        assert_eq!(store.list(2_000).len(), 1);
    }

    #[test]
    fn a_record_of_before_there_was_a_time_in_it_is_read_and_proves_nothing() {
        let store = Store::new();
        let inode = store.id().inode;
        let directory = store.path().join(DIRECTORY);
        fs::create_dir(&directory).expect("writable");
        let bytes = OBJECT.len();
        let older = record::tests::OLDER.replace("inode = 1", &format!("inode = {inode}"));
        fs::write(directory.join("image.toml"), older.replace("bytes = 1", &format!("bytes = {bytes}")))
            .expect("writable");
        let store = store.again();
        assert_eq!(store.list(2_000), []);
        assert!(!directory.join("image.toml.damaged").exists(), "it is no damage");
    }

    #[test]
    fn without_a_time_of_birth_a_touch_of_our_own_is_noted_and_a_pin_stays() {
        let store = Store::new();
        let at = |change| FileId { since: Since::Change(Nanos(change)), ..store.id() };
        let entry = |change| Entry {
            is_file: true,
            id: at(change),
            bytes: OBJECT.len() as u64,
            allocated: 0,
            names: 1,
            changed: std::time::SystemTime::UNIX_EPOCH,
        };
        let announced = Announce { pin: Pin::Forever, ..announce("image") };
        store.log.note("image", at(1), &announced, ROOT, WallClock(1_000));
        assert!(store.log.is_proven("image", &entry(1)));
        assert!(!store.log.is_proven("image", &entry(2)), "somebody else has touched it");
        store.log.note_touched("image", &entry(2));
        assert!(store.log.is_proven("image", &entry(2)));
        store.log.note("image", at(3), &announce("image"), ROOT, WallClock(1_000));
        let pinned = |store: &Store| store.log.lock().get("image").map(Record::pinned);
        assert_eq!(pinned(&store), Some(Pinned::Forever));
        store.note(Pin::None, 1_000);
        assert_eq!(pinned(&store), Some(Pinned::No), "another file");
        let born = store.log.lock().get("image").cloned();
        store.log.note_touched("image", &Entry { bytes: 0, id: store.id(), ..entry(9) });
        assert_eq!(store.log.lock().get("image").cloned(), born, "a birth does not change");
    }

    #[test]
    fn a_pin_of_another_file_is_not_inherited() {
        let store = Store::new();
        let note = |inode, since, pin| {
            let announce = Announce { pin, ..announce("image") };
            store.log.note("image", FileId { device: 1, inode, since }, &announce, ROOT, WallClock(1_000));
            store.log.lock().get("image").map(Record::pinned)
        };
        let (birth, change) = (|at| Since::Birth(Nanos(at)), |at| Since::Change(Nanos(at)));
        for (before, after) in [
            ((1, birth(5)), (1, birth(6))),
            ((1, birth(5)), (2, birth(5))),
            ((1, birth(5)), (1, change(5))),
            ((1, change(5)), (1, birth(5))),
            ((1, change(5)), (2, change(5))),
            ((1, change(5)), (2, change(6))),
        ] {
            assert_eq!(note(before.0, before.1, Pin::Forever), Some(Pinned::Forever));
            assert_eq!(note(after.0, after.1, Pin::None), Some(Pinned::No), "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_pin_ends_in_its_record_when_its_time_is_over_and_no_other_record_is_written_for_it() {
        let store = Store::new();
        let ends_as = |pin, now| {
            let announce = Announce { pin, ..announce("image") };
            store.log.unpin("image", WallClock(1_000));
            store.log.note("image", store.id(), &announce, ROOT, WallClock(1_000));
            let path = store.path().join(DIRECTORY).join("image.toml");
            let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).expect("there"));
            let before = inode();
            store.log.end_pin("image", WallClock(now));
            (store.log.lock().get("image").map(Record::pinned), inode() != before)
        };
        let ten_seconds = Pin::For(Duration::from_secs(10));
        assert_eq!(ends_as(ten_seconds, 10_999), (Some(Pinned::Until(WallClock(11_000))), false));
        assert_eq!(ends_as(ten_seconds, 11_000), (Some(Pinned::No), true));
        assert_eq!(ends_as(Pin::Forever, 11_000), (Some(Pinned::Forever), false));
        assert_eq!(ends_as(Pin::None, 11_000), (Some(Pinned::No), false));
    }

    #[test]
    fn a_damaged_record_is_set_aside_and_harms_no_other() {
        let store = Store::new();
        store.note(Pin::Forever, 1_000);
        let directory = store.path().join(DIRECTORY);
        for (name, text) in [
            ("cut.toml", "name = \"x"),
            ("noise.toml", "\u{1}\u{2}"),
            ("root.toml", "name = \"x\"\nbytes = 1\nroot = \"00\"\ninode = 1\nproven = 1\n"),
            ("long.toml", &"#".repeat(100_000)),
            ("image.1.new", "half"),
        ] {
            fs::write(directory.join(name), text).expect("writable");
        }
        std::os::unix::fs::symlink(store.image(), directory.join("link.toml")).expect("writable");
        assert_eq!(store.again().list(2_000).len(), 1);
        for name in ["cut", "noise", "root", "long"] {
            assert!(directory.join(format!("{name}.toml.damaged")).exists(), "{name}");
        }
        assert!(directory.join("link.toml.damaged").is_symlink(), "the link itself");
        assert!(!directory.join("image.1.new").exists() && store.image().exists());
    }

    struct Store {
        directory: std::sync::Arc<TempDir>,
        disk: System,
        log: PublicationLog,
    }

    impl Store {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("temporary directory");
            fs::write(directory.path().join("image"), OBJECT).expect("writable");
            Self::at(directory.into())
        }

        /// Returns the same log after a restart.
        fn again(&self) -> Self {
            Self::at(self.directory.clone())
        }

        fn at(directory: std::sync::Arc<TempDir>) -> Self {
            let anchor = || Anchor::open(directory.path(), Vec::new()).expect("a directory");
            let log = PublicationLog::open(anchor()).expect("ours");
            Self { disk: System(anchor()), log, directory }
        }

        fn path(&self) -> &Path {
            self.directory.path()
        }

        fn image(&self) -> PathBuf {
            self.path().join("image")
        }

        fn id(&self) -> FileId {
            FileId::of(&fs::metadata(self.image()).expect("there"))
        }

        fn note(&self, pin: Pin, now: u64) {
            let announce = Announce { pin, ..announce("image") };
            self.log.note("image", self.id(), &announce, ROOT, WallClock(now));
        }

        fn list(&self, now: u64) -> Vec<Held> {
            self.log.list(&self.disk, WallClock(now))
        }
    }

    const ROOT: Root = Root([7; 32]);
}
