//! What is known of each published object: its root, when it was proven, and how long it is kept. A small file each, in a
//! hidden directory of the store, replaced as a whole, so that one that is damaged harms no other.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use glancecast_proto::integrity::Root;
use glancecast_proto::limits::OBJECT_NAME_MAX;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{Announce, Pin};
use serde::{Deserialize, Serialize};

use super::anchor::Anchor;
use super::disk::{Disk, Entry};
use super::error::StoreError;
use super::file_id::{FileId, Since};
use super::name::{NAME_MAX, Name};
use super::records_dir::RecordsDir;
use crate::complaint;

/// An object that is published here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its file in the store; no two objects have the same.
    pub file: String,
    /// Its name on its last push.
    pub name: String,
    /// Glance's id, where it was known.
    pub image_id: Option<String>,
    /// Its length.
    pub bytes: u64,
    /// What was proven.
    pub root: Root,
    /// When the whole file was last compared with the root.
    pub proven: WallClock,
    /// How long it is kept.
    pub pinned: Pinned,
}

/// How long an object is kept where something else would remove it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pinned {
    /// Not at all, or not any more.
    #[default]
    No,
    /// Until then.
    Until(WallClock),
    /// Until it is let go of.
    Forever,
}

impl Pinned {
    /// What a pin of a push that is published now comes to.
    fn from(pin: Pin, now: WallClock) -> Self {
        match pin {
            Pin::None => Self::No,
            Pin::For(time) => {
                let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                Self::Until(WallClock(now.0.saturating_add(millis)))
            }
            Pin::Forever => Self::Forever,
        }
    }

    /// What is left of it now.
    #[must_use]
    pub fn at(self, now: WallClock) -> Self {
        match self {
            Self::Until(end) if end <= now => Self::No,
            pinned => pinned,
        }
    }
}

/// The records of a store.
#[derive(Debug)]
pub(super) struct Records {
    directory: RecordsDir,
    records: Mutex<BTreeMap<String, Record>>,
}

/// What a record's file holds; times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image_id: Option<String>,
    bytes: u64,
    root: String,
    /// Of the file that was proven: another one of its name is none of ours.
    #[serde(flatten)]
    identity: Identity,
    proven: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pinned_until: Option<u64>,
    #[serde(default)]
    pinned_forever: bool,
}

impl Records {
    /// Reads the records of a store. A file that cannot be read is told, set aside, and harms no other.
    ///
    /// # Errors
    /// When where they lie is not ours.
    pub(super) fn open(store: Anchor) -> Result<Self, StoreError> {
        let directory = RecordsDir::open(store)?;
        let mut records = BTreeMap::new();
        for name in directory.list() {
            match name.as_str().rsplit_once('.') {
                Some((file, KIND)) => match read(&directory, &name) {
                    Ok(record) => drop(records.insert(file.to_owned(), record)),
                    Err(error) => set_aside(&directory, &name, &error),
                },
                Some((_, UNFINISHED)) => directory.remove(&name),
                _ => {}
            }
        }
        Ok(Self { directory, records: Mutex::new(records) })
    }

    /// Notes that a file of the store was just proven to be what was announced. Pins only extend.
    pub(super) fn note(&self, file: &str, id: FileId, announce: &Announce, root: Root, now: WallClock) {
        let identity = Identity::of(id);
        let mut record = Record {
            name: announce.name.to_string(),
            image_id: announce.image_id.clone(),
            bytes: announce.geometry.object_bytes(),
            root: root.to_string(),
            identity,
            proven: now.0,
            pinned_until: None,
            pinned_forever: false,
        };
        let mut records = self.lock();
        let same = records.get(file).filter(|old| old.identity.may_be(id));
        let before = same.map_or(Pinned::No, Record::pinned);
        record.pin(before.at(now).max(Pinned::from(announce.pin, now)));
        self.put(&mut records, file, record);
    }

    /// Whether an open file is the one that was proven under this name.
    pub(super) fn is_proven(&self, file: &str, entry: &Entry) -> bool {
        self.lock().get(file).is_some_and(|record| record.is_of(entry))
    }

    /// Notes that the store itself has touched a file, which was the proven one before: without a time of birth it would
    /// not be known again.
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

    /// Notes that a file was compared with its root again.
    pub(super) fn note_proven(&self, file: &str, now: WallClock) {
        let mut records = self.lock();
        if let Some(record) = records.get(file) {
            let record = Record { proven: now.0, ..record.clone() };
            self.put(&mut records, file, record);
        }
    }

    /// Lets go of a file; says whether it was pinned.
    pub(super) fn unpin(&self, file: &str, now: WallClock) -> bool {
        let mut records = self.lock();
        let Some(mut record) = records.get(file).cloned() else { return false };
        let was = record.pinned().at(now);
        record.pin(Pinned::No);
        self.put(&mut records, file, record);
        was != Pinned::No
    }

    /// Notes that a pin is over, if there was one.
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

    /// Everything whose file is still in the store.
    pub(super) fn list(&self, store: &dyn Disk, now: WallClock) -> Vec<Held> {
        self.forget_gone(store);
        self.lock().iter().filter_map(|(file, record)| record.held(file, now)).collect()
    }

    /// Forgets what was removed or replaced by somebody, so that records do not grow with the years.
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

    /// Replaces a record, here and on the disk. The object is there whether or not that can be written.
    fn put(&self, records: &mut BTreeMap<String, Record>, file: &str, record: Record) {
        if let Err(error) = self.write(file, &record) {
            tracing::warn!(file, %error, "its record cannot be written: after a restart nobody knows of this image's pin");
        }
        records.insert(file.to_owned(), record);
    }

    fn write(&self, file: &str, record: &Record) -> io::Result<()> {
        let text = toml::to_string(record).map_err(io::Error::other)?;
        let unfinished = Name::new(format!("{file}.{}.{UNFINISHED}", std::process::id()))?;
        self.directory.replace(&name_of(file)?, &unfinished, text.as_bytes())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file that was proven ([`super::file_id`]). A record of before there was a time in it is of no file that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    /// In hexadecimal: TOML's numbers end at 2^63, and some network file systems count beyond.
    inode: Inode,
    /// Nanoseconds since 1970, as are those of the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    born: Option<String>,
    /// Where the file system keeps no time of birth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<String>,
}

/// As it is written, and as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Inode {
    Hex(String),
    Number(u64),
}

impl Identity {
    fn of(id: FileId) -> Self {
        let (born, changed) = match id.since {
            Since::Birth(nanos) => (Some(nanos.0.to_string()), None),
            Since::Change(nanos) => (None, Some(nanos.0.to_string())),
        };
        Self { inode: Inode::Hex(format!("{:x}", id.inode)), born, changed }
    }

    /// Whether it is of this file.
    fn is(&self, id: FileId) -> bool {
        *self == Self::of(id)
    }

    /// Whether it may be of this file: without a time of birth nobody knows, once it was touched. For how long a file is
    /// kept that is enough; what it holds was proven just now.
    fn may_be(&self, id: FileId) -> bool {
        let same_inode = self.inode == Self::of(id).inode;
        self.is(id) || same_inode && self.changed.is_some() && matches!(id.since, Since::Change(_))
    }
}

impl Record {
    fn pinned(&self) -> Pinned {
        match (self.pinned_forever, self.pinned_until) {
            (true, _) => Pinned::Forever,
            (false, Some(end)) => Pinned::Until(WallClock(end)),
            (false, None) => Pinned::No,
        }
    }

    fn pin(&mut self, pinned: Pinned) {
        self.pinned_forever = pinned == Pinned::Forever;
        self.pinned_until = match pinned {
            // What TOML's numbers hold; some hundred million years.
            Pinned::Until(end) => Some(end.0.min(i64::MAX as u64)),
            Pinned::No | Pinned::Forever => None,
        };
    }

    fn is_at(&self, store: &dyn Disk, file: &str) -> bool {
        Name::new(file).and_then(|name| store.look(&name)).is_ok_and(|entry| self.is_of(&entry))
    }

    fn is_of(&self, entry: &Entry) -> bool {
        entry.is_file && entry.bytes == self.bytes && self.identity.is(entry.id)
    }

    fn held(&self, file: &str, now: WallClock) -> Option<Held> {
        Some(Held {
            file: file.to_owned(),
            name: self.name.clone(),
            image_id: self.image_id.clone(),
            bytes: self.bytes,
            root: self.root()?,
            proven: WallClock(self.proven),
            pinned: self.pinned().at(now),
        })
    }

    fn root(&self) -> Option<Root> {
        Some(Root(*blake3::Hash::from_hex(&self.root).ok()?.as_bytes()))
    }
}

fn name_of(file: &str) -> io::Result<Name> {
    Name::new(format!("{file}.{KIND}"))
}

fn read(directory: &RecordsDir, name: &Name) -> Result<Record, String> {
    let mut text = String::new();
    let file = directory.open_file(name).map_err(|error| error.to_string())?;
    file.take(RECORD_BYTES_MAX).read_to_string(&mut text).map_err(|error| error.to_string())?;
    parse(&text)
}

fn parse(text: &str) -> Result<Record, String> {
    let record: Record = toml::from_str(text).map_err(|error| complaint::of_toml(&error))?;
    match record.root() {
        Some(_) => Ok(record),
        None => Err("root is not a BLAKE3 hash".to_owned()),
    }
}

fn set_aside(directory: &RecordsDir, name: &Name, error: &str) {
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
/// The longest name of an object has each of these names: with a process id of ten digits, and set aside.
const _: () = assert!(OBJECT_NAME_MAX + 1 + 10 + 1 + UNFINISHED.len() <= NAME_MAX);
const _: () = assert!(OBJECT_NAME_MAX + 1 + KIND.len() + DAMAGED.len() <= NAME_MAX);

/// A record is a few hundred bytes; what is longer is none.
const RECORD_BYTES_MAX: u64 = 64 << 10;

/// What a fuzzer's bytes come to as a record.
///
/// # Panics
/// If a record cannot be written as it was read, or a complaint is more than a line.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzzed(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let record = match parse(text) {
        Ok(record) => record,
        Err(error) => {
            assert!(!error.is_empty() && !error.contains(char::is_control), "{error:?}");
            return;
        }
    };
    let text = toml::to_string(&record).expect("what was read");
    assert_eq!(parse(&text), Ok(record.clone()));
    let held = record.held("image", WallClock(1_000)).expect("it has a root");
    assert!(held.pinned.at(WallClock(1_000)) == held.pinned);
}

#[cfg(test)]
mod tests {
    use super::super::disk::System;
    use super::super::file_id::Nanos;
    use super::super::tests::announce;
    use super::*;
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
        assert!(store.records.unpin("image", WallClock(2_000)));
        assert_eq!(pinned(), Pinned::No);
        assert!(!store.records.unpin("image", WallClock(2_000)));
        assert_eq!(store.again().list(2_000)[0].pinned, Pinned::No);
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
            fs::write(store.image(), [0; super::super::tests::OBJECT.len()]).expect("written");
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
    fn a_record_knows_its_file_by_inode_time_and_length() {
        let id = FileId { device: 1, inode: u64::MAX, since: Since::Birth(Nanos(5)) };
        let entry = Entry {
            is_file: true,
            id,
            bytes: 7,
            allocated: 0,
            names: 1,
            changed: std::time::SystemTime::UNIX_EPOCH,
        };
        let record = Record { identity: Identity::of(id), bytes: 7, ..parse(OLDER).expect("a record") };
        assert!(record.is_of(&entry));
        for other in [
            Entry { is_file: false, ..entry },
            Entry { bytes: 8, ..entry },
            Entry { id: FileId { inode: 1, ..id }, ..entry },
            Entry { id: FileId { since: Since::Birth(Nanos(6)), ..id }, ..entry },
            Entry { id: FileId { since: Since::Change(Nanos(5)), ..id }, ..entry },
        ] {
            assert!(!record.is_of(&other), "{other:?}");
        }
        let text = toml::to_string(&record).expect("also beyond 2^63");
        assert!(text.contains("ffffffffffffffff"), "{text}");
        assert_eq!(parse(&text), Ok(record));
    }

    #[test]
    fn a_record_of_before_there_was_a_time_in_it_is_read_and_proves_nothing() {
        let store = Store::new();
        let inode = store.id().inode;
        let directory = store.path().join(DIRECTORY);
        fs::create_dir(&directory).expect("writable");
        let bytes = super::super::tests::OBJECT.len();
        let older = OLDER.replace("inode = 1", &format!("inode = {inode}"));
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
            bytes: super::super::tests::OBJECT.len() as u64,
            allocated: 0,
            names: 1,
            changed: std::time::SystemTime::UNIX_EPOCH,
        };
        let announced = Announce { pin: Pin::Forever, ..announce("image") };
        store.records.note("image", at(1), &announced, ROOT, WallClock(1_000));
        assert!(store.records.is_proven("image", &entry(1)));
        assert!(!store.records.is_proven("image", &entry(2)), "somebody else has touched it");
        store.records.note_touched("image", &entry(2));
        assert!(store.records.is_proven("image", &entry(2)));
        store.records.note("image", at(3), &announce("image"), ROOT, WallClock(1_000));
        let pinned = |store: &Store| store.records.lock().get("image").map(Record::pinned);
        assert_eq!(pinned(&store), Some(Pinned::Forever));
        store.note(Pin::None, 1_000);
        assert_eq!(pinned(&store), Some(Pinned::No), "another file");
        let born = store.records.lock().get("image").cloned();
        store.records.note_touched("image", &Entry { bytes: 0, id: store.id(), ..entry(9) });
        assert_eq!(store.records.lock().get("image").cloned(), born, "a birth does not change");
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
        records: Records,
    }

    impl Store {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("temporary directory");
            fs::write(directory.path().join("image"), super::super::tests::OBJECT).expect("writable");
            Self::at(directory.into())
        }

        /// After a restart.
        fn again(&self) -> Self {
            Self::at(self.directory.clone())
        }

        fn at(directory: std::sync::Arc<TempDir>) -> Self {
            let anchor = || Anchor::open(directory.path(), Vec::new()).expect("a directory");
            let records = Records::open(anchor()).expect("ours");
            Self { disk: System(anchor()), records, directory }
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
            self.records.note("image", self.id(), &announce, ROOT, WallClock(now));
        }

        fn list(&self, now: u64) -> Vec<Held> {
            self.records.list(&self.disk, WallClock(now))
        }
    }

    const DIRECTORY: &str = ".glancecast";
    const ROOT: Root = Root([7; 32]);
    /// As it was written without a time.
    const OLDER: &str = "name = \"x\"\nbytes = 1\nroot = \"0707070707070707070707070707070707070707070707070707070707070707\"\n\
                         inode = 1\nproven = 1\npinned_forever = true\n";
}
