//! The record of one published object, in memory and in its file of the log.

use std::io;

use glancecast_platform::toml_error;
use glancecast_proto::integrity::Root;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{Announce, Pin};
use serde::{Deserialize, Serialize};

use crate::store::disk::{Disk, Entry};
use crate::store::file_id::{FileId, Since};
use crate::store::name::Name;

/// A published object that the store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its file in the store, unique to it.
    pub file: String,
    /// Its name in its last push.
    pub name: String,
    /// Glance's id, if the push gave one.
    pub image_id: Option<String>,
    /// Its length.
    pub bytes: u64,
    /// The root that was proven.
    pub root: Root,
    /// When the whole file was last compared with the root.
    pub proven: WallClock,
    /// How long it is pinned.
    pub pinned: Pinned,
}

/// How long an object is pinned: protected from removal by the program that shares the store's directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pinned {
    /// It is not pinned.
    #[default]
    No,
    /// Pinned until this time.
    Until(WallClock),
    /// Pinned until it is unpinned.
    Forever,
}

impl Pinned {
    /// Returns the pin of an object that a push with `pin` publishes now.
    pub(super) fn from(pin: Pin, now: WallClock) -> Self {
        match pin {
            Pin::None => Self::No,
            Pin::For(time) => {
                let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                Self::Until(WallClock(now.0.saturating_add(millis)))
            }
            Pin::Forever => Self::Forever,
        }
    }

    /// Returns what is left of the pin at `now`.
    #[must_use]
    pub fn at(self, now: WallClock) -> Self {
        match self {
            Self::Until(end) if end <= now => Self::No,
            pinned => pinned,
        }
    }
}

/// The contents of a record's file; times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The file, if its name is too long to name the record after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image_id: Option<String>,
    pub(super) bytes: u64,
    pub(super) root: String,
    /// The file that was proven: another file of its name is not ours.
    #[serde(flatten)]
    pub(super) identity: Identity,
    pub(super) proven: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pinned_until: Option<u64>,
    #[serde(default)]
    pub(super) pinned_forever: bool,
}

/// Identifies the proven file ([`crate::store::file_id`]). A record from before it had a time matches no file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// In hexadecimal: TOML's numbers end at 2^63, and some network file systems count beyond.
    inode: Inode,
    /// Time of birth, in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    born: Option<String>,
    /// Time of the last change in the same unit, if the file system keeps no time of birth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<String>,
}

/// An inode number: `Hex` as it is written, `Number` as older records have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Inode {
    Hex(String),
    Number(u64),
}

impl Identity {
    pub(super) fn of(id: FileId) -> Self {
        let (born, changed) = match id.since {
            Since::Birth(nanos) => (Some(nanos.0.to_string()), None),
            Since::Change(nanos) => (None, Some(nanos.0.to_string())),
        };
        Self { inode: Inode::Hex(format!("{:x}", id.inode)), born, changed }
    }

    /// Whether it identifies this file.
    fn is(&self, id: FileId) -> bool {
        *self == Self::of(id)
    }

    /// Whether it may identify this file: without a time of birth that is unknown once the file was touched. It
    /// suffices to extend a pin, as the content was proven just now.
    pub(super) fn may_be(&self, id: FileId) -> bool {
        let same_inode = self.inode == Self::of(id).inode;
        self.is(id) || same_inode && self.changed.is_some() && matches!(id.since, Since::Change(_))
    }
}

impl Record {
    /// Returns the record of a file that was just proven to be what was announced.
    pub(super) fn new(id: FileId, announce: &Announce, root: Root, now: WallClock, pinned: Pinned) -> Self {
        let mut record = Self {
            file: None,
            name: announce.name.to_string(),
            image_id: announce.image_id.clone(),
            bytes: announce.geometry.object_bytes(),
            root: root.to_string(),
            identity: Identity::of(id),
            proven: now.0,
            pinned_until: None,
            pinned_forever: false,
        };
        record.pin(pinned);
        record
    }

    pub(super) fn parse(text: &str) -> Result<Self, RecordError> {
        let record: Self =
            toml::from_str(text).map_err(|error| RecordError::Toml(toml_error::one_line(&error)))?;
        record.root().map(|_| record).ok_or(RecordError::Root)
    }

    pub(super) fn pinned(&self) -> Pinned {
        match (self.pinned_forever, self.pinned_until) {
            (true, _) => Pinned::Forever,
            (false, Some(end)) => Pinned::Until(WallClock(end)),
            (false, None) => Pinned::No,
        }
    }

    pub(super) fn pin(&mut self, pinned: Pinned) {
        self.pinned_forever = pinned == Pinned::Forever;
        self.pinned_until = match pinned {
            // TOML's numbers hold no more; some hundred million years.
            Pinned::Until(end) => Some(end.0.min(i64::MAX as u64)),
            Pinned::No | Pinned::Forever => None,
        };
    }

    pub(super) fn is_at(&self, store: &dyn Disk, file: &str) -> bool {
        Name::new(file).and_then(|name| store.look(&name)).is_ok_and(|entry| self.is_of(&entry))
    }

    pub(super) fn is_of(&self, entry: &Entry) -> bool {
        entry.is_file && entry.bytes == self.bytes && self.identity.is(entry.id)
    }

    pub(super) fn held(&self, file: &str, now: WallClock) -> Option<Held> {
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

/// A file of the log is not a record.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Toml(String),
    #[error("root is not a BLAKE3 hash")]
    Root,
}

/// Parses a fuzzer's bytes as a record.
///
/// # Panics
/// If a record cannot be written as it was read, or an error is more than one line.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzzed(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let record = match Record::parse(text) {
        Ok(record) => record,
        Err(error) => {
            let error = error.to_string();
            assert!(!error.is_empty() && !error.contains(char::is_control), "{error:?}");
            return;
        }
    };
    let text = toml::to_string(&record).expect("what was read");
    assert_eq!(Record::parse(&text).expect("what was written"), record);
    let held = record.held("image", WallClock(1_000)).expect("it has a root");
    assert!(held.pinned.at(WallClock(1_000)) == held.pinned);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::file_id::Nanos;

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
        let record =
            Record { identity: Identity::of(id), bytes: 7, ..Record::parse(OLDER).expect("a record") };
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
        assert_eq!(Record::parse(&text).expect("what was written"), record);
    }

    /// A record from before it had a time.
    pub(in super::super) const OLDER: &str = "name = \"x\"\nbytes = 1\nroot = \"0707070707070707070707070707070707070707070707070707070707070707\"\n\
                         inode = 1\nproven = 1\npinned_forever = true\n";
}
