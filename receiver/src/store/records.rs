//! What is known of each published object: its root, when it was proven, and how long it is kept. A small file each, in a
//! hidden directory of the store, replaced as a whole, so that one that is damaged harms no other.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::complaint;
use glancecast_proto::integrity::Root;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{Announce, Pin};
use serde::{Deserialize, Serialize};

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
    directory: PathBuf,
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
    inode: u64,
    proven: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pinned_until: Option<u64>,
    #[serde(default)]
    pinned_forever: bool,
}

impl Records {
    /// Reads the records of a store. A file that cannot be read is told, set aside, and harms no other.
    pub(super) fn open(store: &Path) -> Self {
        let directory = store.join(DIRECTORY);
        let mut records = BTreeMap::new();
        for path in fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
            match (path.file_stem().and_then(|stem| stem.to_str()), path.extension()) {
                (Some(file), Some(kind)) if kind == KIND => match read(&path) {
                    Ok(record) => drop(records.insert(file.to_owned(), record)),
                    Err(error) => set_aside(&path, &error),
                },
                (_, Some(kind)) if kind == UNFINISHED => drop(fs::remove_file(&path)),
                _ => {}
            }
        }
        Self { directory, records: Mutex::new(records) }
    }

    /// Notes that a file of the store was just proven to be what was announced. Pins only extend.
    pub(super) fn note(&self, file: &str, path: &Path, announce: &Announce, root: Root, now: WallClock) {
        let inode = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata.ino(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "published, and not there to be recorded");
                return;
            }
        };
        let mut record = Record {
            name: announce.name.to_string(),
            image_id: announce.image_id.clone(),
            bytes: announce.geometry.object_bytes(),
            root: root.to_string(),
            inode,
            proven: now.0,
            pinned_until: None,
            pinned_forever: false,
        };
        let mut records = self.lock();
        let before = records.get(file).filter(|old| old.inode == inode).map_or(Pinned::No, Record::pinned);
        record.pin(before.at(now).max(Pinned::from(announce.pin, now)));
        self.put(&mut records, file, record);
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

    /// Everything whose file is still in `store`.
    pub(super) fn list(&self, store: &Path, now: WallClock) -> Vec<Held> {
        self.forget_gone(store);
        self.lock().iter().filter_map(|(file, record)| record.held(file, now)).collect()
    }

    /// Forgets what was removed or replaced by somebody, so that records do not grow with the years.
    pub(super) fn forget_gone(&self, store: &Path) {
        let mut records = self.lock();
        let gone: Vec<String> = records
            .iter()
            .filter(|(file, record)| !record.is_at(&store.join(file)))
            .map(|(file, _)| file.clone())
            .collect();
        for file in gone {
            tracing::info!(file, "was removed by somebody else, and is forgotten");
            records.remove(&file);
            let _ = fs::remove_file(self.path(&file));
        }
    }

    /// Replaces a record, here and on the disk. The object is there whether or not that can be written.
    fn put(&self, records: &mut BTreeMap<String, Record>, file: &str, record: Record) {
        if let Err(error) = self.write(file, &record) {
            let path = self.path(file);
            tracing::warn!(path = %path.display(), %error, "cannot be written: after a restart nobody knows of this image's pin");
        }
        records.insert(file.to_owned(), record);
    }

    fn write(&self, file: &str, record: &Record) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let text = toml::to_string(record).map_err(io::Error::other)?;
        let unfinished = self.directory.join(format!("{file}.{}.{UNFINISHED}", std::process::id()));
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&unfinished, self.path(file))?;
        File::open(&self.directory)?.sync_all()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.join(format!("{file}.{KIND}"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| {
            metadata.is_file() && metadata.ino() == self.inode && metadata.len() == self.bytes
        })
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

fn read(path: &Path) -> Result<Record, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
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

fn set_aside(path: &Path, error: &str) {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    tracing::warn!(
        path = %path.display(),
        "a record is damaged ({error}): the image stays, its pin is not known; push it again to pin it"
    );
    let _ = fs::rename(path, aside);
}

/// In the store. `ObjectName` allows no leading dot, and Nova takes no such name for anything of its own.
pub(super) const DIRECTORY: &str = ".glancecast";
const KIND: &str = "toml";
const UNFINISHED: &str = "new";

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
    use super::super::tests::announce;
    use super::*;
    use std::time::Duration;
    use tempfile::TempDir;

    #[test]
    fn what_is_noted_is_known_after_a_restart() {
        let store = Store::new();
        store.note(Pin::For(Duration::from_secs(10)), 1_000);
        let before = store.records.list(store.path(), WallClock(2_000));
        assert_eq!(before[0].pinned, Pinned::Until(WallClock(11_000)));
        assert_eq!((before[0].root, before[0].proven), (ROOT, WallClock(1_000)));
        assert_eq!(Records::open(store.path()).list(store.path(), WallClock(2_000)), before);
        assert_eq!(Records::open(store.path()).list(store.path(), WallClock(11_000))[0].pinned, Pinned::No);
    }

    #[test]
    fn pins_only_extend_until_they_are_let_go_of() {
        let store = Store::new();
        let pinned = || store.records.list(store.path(), WallClock(2_000))[0].pinned;
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
        assert_eq!(Records::open(store.path()).list(store.path(), WallClock(2_000))[0].pinned, Pinned::No);
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
            assert_eq!(store.records.list(store.path(), WallClock(2_000)), []);
            assert_eq!(
                fs::read_dir(store.path().join(DIRECTORY)).expect("there").count(),
                0,
                "no record stays"
            );
        }
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
        let records = Records::open(store.path());
        assert_eq!(records.list(store.path(), WallClock(2_000)).len(), 1);
        assert!(directory.join("cut.toml.damaged").exists());
        assert!(!directory.join("image.1.new").exists());
    }

    struct Store {
        directory: TempDir,
        records: Records,
    }

    impl Store {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("temporary directory");
            fs::write(directory.path().join("image"), super::super::tests::OBJECT).expect("writable");
            let records = Records::open(directory.path());
            Self { directory, records }
        }

        fn path(&self) -> &Path {
            self.directory.path()
        }

        fn image(&self) -> PathBuf {
            self.path().join("image")
        }

        fn note(&self, pin: Pin, now: u64) {
            let announce = Announce { pin, ..announce("image") };
            self.records.note("image", &self.image(), &announce, ROOT, WallClock(now));
        }
    }

    const ROOT: Root = Root([7; 32]);
}
