//! Files of a store from a fuzzer's bytes. A journal consists of those bytes, or is written by the journal itself and
//! then damaged, as no fuzzer finds a checksum.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::wire::Announce;

use crate::announcement::announcement;
use crate::store::MinFree;
pub(crate) use crate::store::backends::nova::fuzzed as nova_conf;
use crate::store::dir::{Access, Room};
use crate::store::disk::{Disk, DiskFile, Entry};
use crate::store::file_id::{FileId, Nanos, Since};
use crate::store::journal::{BlockRecord, Identity, Journal};
use crate::store::name::Name;
use crate::store::partial::{Names, PartialFile, StagingArea};
pub(crate) use crate::store::publications::fuzzed as record;
use crate::store::resume::{self, Resumable};

/// Reads a journal, and resumes from it as a session would.
///
/// # Panics
/// If the result is not what the bytes hold, or a session resumes a file that is not its own.
pub(crate) fn journal(input: &[u8]) {
    let Some((&[choice, start, len], rest)) = input.split_first_chunk() else { return };
    let bytes = match choice {
        0 => rest.to_vec(),
        _ => damaged_journal(choice, rest),
    };
    read(&bytes);
    let bytes_of_image = if choice == 0x80 { 7 } else { geometry().object_bytes() };
    go_on(&bytes, bytes_of_image, written(start, len));
}

fn read(bytes: &[u8]) {
    let file = Memory::of(bytes);
    let old = match Journal::read(file.handle()) {
        Ok(old) => old,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            return;
        }
    };
    assert!(old.records.len() * RECORD < bytes.len());
    let (end, records) = (file.content().len(), old.records);
    assert!(if old.damaged { end < bytes.len() } else { end == bytes.len() }, "what is no record is cut off");
    assert_eq!(file.content()[..], bytes[..end]);

    let next = BlockRecord { block: BlockIndex(7), hash: BlockHash([7; 32]) };
    let (identity, mut journal) = (old.identity, old.journal);
    journal.append(&[next]).expect("room");
    let longer = Journal::read(file.handle()).expect("it was read before");
    assert!(longer.identity == identity && !longer.damaged);
    assert_eq!(longer.records, [&records[..], &[next]].concat());
}

fn go_on(bytes: &[u8], bytes_of_image: u64, written: Range<u64>) {
    let (geometry, announce) = (geometry(), announce());
    let (identity, session) = (Identity::of(&announce, "image"), announce.session);
    let shelf = Arc::new(Shelf {
        names: Names::new(&Name::new("image").expect("a name"), session, 0),
        journal: Memory::of(bytes),
        removed: AtomicUsize::new(0),
    });
    let entry = Entry { bytes: bytes_of_image, ..entry() };
    let mut partials =
        vec![Resumable { names: shelf.names.clone(), file: Arc::new(Memory::image(written)), entry }];
    let taken = resume::take(&*shelf, &mut partials, &identity, geometry.object_bytes());
    let Some((partial, old)) = taken else {
        assert_eq!(partials.len() + shelf.removed() / 2, 1, "it is of another object, or removed");
        return;
    };
    assert!(partials.is_empty() && shelf.removed() == 0);
    assert!(old.identity == identity && bytes_of_image == geometry.object_bytes());
    let recorded = old.records.iter().rev().find(|record| record.block == LAST).map(|record| record.hash);
    let in_journal: Vec<BlockIndex> = old.records.iter().map(|record| record.block).collect();

    let staging = StagingArea {
        disk: shelf.clone(),
        directory: "/".into(),
        min_free: std::sync::Mutex::new(MinFree::NONE),
        journals: None,
    };
    let partial = PartialFile::resume(&staging, partial.names, partial.file, old, geometry);
    let kept = partial.kept().to_vec();
    assert!(kept.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order");
    assert!(kept.iter().all(|&block| geometry.contains(block)));
    assert!(geometry.indices().filter(|block| in_journal.contains(block)).all(|block| kept.contains(&block)));

    // The hash of a short block of zeros, as hashing takes time.
    let zeros = BlockHash::of(geometry, LAST, &[0; SHORT]);
    let mut buffer = vec![0; SHORT];
    assert!(!partial.holds(geometry, LAST, BlockHash([9; 32]), &mut buffer), "these are not its bytes");
    let holds = partial.holds(geometry, LAST, zeros, &mut buffer);
    assert_eq!(holds, recorded.is_none_or(|hash| hash == zeros));
    drop(partial);
    let worth_it = holds && recorded.is_none() || !kept.is_empty();
    assert_eq!(shelf.removed(), if worth_it { 0 } else { 2 }, "what is worth keeping is kept");
}

/// Returns a journal of some object, with records from three bytes each: block, hash, damage. The remaining bytes
/// follow unchanged.
fn damaged_journal(choice: u8, mut bytes: &[u8]) -> Vec<u8> {
    let mut announce = announce();
    if choice & 2 != 0 {
        announce.geometry = Geometry::new(7, 20, 1432).expect("in range");
    }
    if choice & 4 != 0 {
        announce.image_id = Some("0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11".to_owned());
    }
    let identity = Identity::of(&announce, if choice & 8 != 0 { "other" } else { "image" });
    let file = Memory::of(&[]);
    let mut journal = Journal::begin(file.handle(), &identity, announce.session).expect("room");
    let mut damage = Vec::new();
    while let Some((&[block, hash, bit], rest)) = bytes.split_first_chunk() {
        if block == 0xFF {
            break;
        }
        bytes = rest;
        let hash = match hash {
            0 => BlockHash::of(geometry(), LAST, &[0; SHORT]),
            hash => BlockHash([hash; 32]),
        };
        let block = BlockIndex(if block == 0xFE { u32::MAX } else { u32::from(block) });
        if bit != 0 {
            damage.push(file.content().len() * 8 + usize::from(bit));
        }
        journal.append(&[BlockRecord { block, hash }]).expect("room");
    }
    let mut journal = file.content().clone();
    damage.iter().for_each(|bit| journal[bit / 8] ^= 1 << (bit % 8));
    journal.extend(bytes);
    if choice & 16 != 0 {
        let cut = usize::from(bytes.first().copied().unwrap_or(1));
        journal.truncate(journal.len().saturating_sub(cut));
    }
    journal
}

/// Returns the written part of the image, in units of 8 KiB.
fn written(start: u8, len: u8) -> Range<u64> {
    let start = u64::from(start) << 13;
    start..(start + (u64::from(len) << 13)).min(geometry().object_bytes())
}

/// Two blocks, and a short one.
fn geometry() -> Geometry {
    Geometry::new((2 << 19) + SHORT as u64, 19, 8192).expect("in range")
}

fn announce() -> Announce {
    announcement("image", geometry())
}

/// A file in memory; clones are the same file.
#[derive(Clone, Debug)]
struct Memory {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// If it is an image of zeros: the part that is not a hole.
    zeros: Option<Range<u64>>,
}

impl Memory {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: Arc::new(Mutex::new(bytes.to_vec())), zeros: None }
    }

    fn image(written: Range<u64>) -> Self {
        Self { bytes: Arc::default(), zeros: Some(written) }
    }

    fn handle(&self) -> Box<dyn DiskFile> {
        Box::new(self.clone())
    }

    fn content(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFile for Memory {
    fn entry(&self) -> io::Result<Entry> {
        Ok(entry())
    }

    fn link(&self, _: &Name) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn touch(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.content().truncate(bytes as usize);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut content, start) = (self.content(), offset as usize);
        let end = content.len().max(start + bytes.len());
        content.resize(end, 0);
        content[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.zeros.is_some() {
            bytes.fill(0);
            return Ok(bytes.len());
        }
        let content = self.content();
        let rest = content.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(bytes.len());
        bytes[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn clear(&self, _: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let data = self.zeros.clone().map(|data| data.start.max(offset)..data.end);
        Ok(data.filter(|data| !data.is_empty()))
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_mode(&self, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn with_file(&self, _: &mut dyn FnMut(&File) -> io::Result<()>) -> io::Result<()> {
        Ok(())
    }

    fn forget_pages(&self, _: Range<u64>) {}
}

/// A disk with one unfinished image, of which only the journal is ever opened.
#[derive(Debug)]
struct Shelf {
    names: Names,
    journal: Memory,
    removed: AtomicUsize,
}

impl Shelf {
    /// Returns the number of removed names.
    fn removed(&self) -> usize {
        self.removed.load(Ordering::Relaxed)
    }
}

impl Disk for Shelf {
    fn create(&self, _: &Name) -> io::Result<Box<dyn DiskFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open(&self, name: &Name, _: Access) -> io::Result<Box<dyn DiskFile>> {
        assert_eq!(*name, self.names.journal);
        Ok(self.journal.handle())
    }

    fn look(&self, _: &Name) -> io::Result<Entry> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename_new(&self, _: &Name, _: &Name) -> io::Result<()> {
        unreachable!("nothing is published")
    }

    fn remove(&self, name: &Name) -> io::Result<()> {
        assert!([&self.names.file, &self.names.journal].contains(&name));
        self.removed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<Name>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn room(&self) -> io::Result<Room> {
        Ok(Room { free: u64::MAX, total: u64::MAX })
    }
}

fn entry() -> Entry {
    Entry {
        is_file: true,
        id: FileId { device: 0, inode: 0, since: Since::Birth(Nanos(0)) },
        bytes: 0,
        allocated: 0,
        names: 1,
        changed: SystemTime::UNIX_EPOCH,
    }
}

const LAST: BlockIndex = BlockIndex(2);
/// Bytes of the last block.
const SHORT: usize = 64;
/// Bytes of a record.
const RECORD: usize = 44;
