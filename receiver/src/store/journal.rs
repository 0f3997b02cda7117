//! The journal of an unfinished file: its object, and which of its blocks are proven and durable.
//!
//! ```text
//! magic "glncjrnl" 8 | version 1 | log2 of the block size 1 | object bytes 8 | session 16 | name 1+n | image id 1+n
//! | check 8
//! block 4 | block hash 32 | check 8                                          once for each block, in any order
//! ```
//!
//! Numbers are big-endian. A check is the first 8 bytes of BLAKE3 of what precedes it; for a record, of the header's
//! check and the record. A record is appended after the block's data are durable, never before: the journal follows the
//! data. If the file is cut off or damaged, the records before the damage count. Even so they are only claims: a block
//! counts once it was read and has the hash that the manifest of the new session names.

use std::io;

use glancecast_proto::ids::{BlockIndex, SessionId};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::limits::{BLOCK_LOG2_DEFAULT, BLOCKS_MAX};
use glancecast_proto::wire::Announce;

use super::disk::DiskFile;
use super::publications::Held;

/// Identifies the object of an unfinished file. Sessions with equal identities may resume each other's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    object_bytes: u64,
    block_log2: u8,
    name: String,
    image_id: String,
}

impl Identity {
    /// Returns the identity of a session's object, whose name in the store is `object`.
    pub(super) fn of(announce: &Announce, object: &str) -> Self {
        Self {
            object_bytes: announce.geometry.object_bytes(),
            block_log2: announce.geometry.block_log2(),
            name: object.to_owned(),
            image_id: announce.image_id.clone().unwrap_or_default(),
        }
    }

    /// Returns the identity of a published object in a session with blocks of the usual size. Its record does not have
    /// the size; a push with another one begins afresh.
    pub(super) fn of_held(held: &Held) -> Self {
        Self {
            object_bytes: held.bytes,
            block_log2: BLOCK_LOG2_DEFAULT,
            name: held.file.clone(),
            image_id: held.image_id.clone().unwrap_or_default(),
        }
    }
}

/// A block that was proven and made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockRecord {
    pub(super) block: BlockIndex,
    pub(super) hash: BlockHash,
}

/// A journal that records are appended to.
#[derive(Debug)]
pub(super) struct Journal {
    file: Box<dyn DiskFile>,
    seal: [u8; CHECK],
    end: u64,
}

/// The contents of a journal.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) identity: Identity,
    /// Records in the order of writing.
    pub(super) records: Vec<BlockRecord>,
    /// Whether the rest of the file was cut off or damaged; it is dropped.
    pub(super) damaged: bool,
    pub(super) journal: Journal,
}

impl Journal {
    /// Starts a journal in an empty file. It is durable with the first records.
    pub(super) fn begin(
        file: Box<dyn DiskFile>,
        identity: &Identity,
        session: SessionId,
    ) -> io::Result<Self> {
        let header = header(identity, session);
        file.write_at(&header, 0)?;
        let seal = *header.last_chunk().expect("it ends with its check");
        Ok(Self { file, seal, end: header.len() as u64 })
    }

    /// Returns the length of a journal with a record of each of `blocks` blocks.
    pub(super) fn bytes(blocks: u32) -> u64 {
        HEADER_MAX as u64 + u64::from(blocks) * RECORD as u64
    }

    /// Reads a journal.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it is not a journal or has another version; or the error of reading it.
    pub(super) fn read(file: Box<dyn DiskFile>) -> io::Result<Old> {
        let mut head = vec![0; HEADER_MAX];
        let got = file.read_at(&mut head, 0)?;
        head.truncate(got);
        let (identity, len) = parse_header(&head).map_err(invalid)?;
        let seal = *head[..len].last_chunk().expect("it ends with its check");
        let mut journal = Self { file, seal, end: len as u64 };
        let (records, damaged) = journal.read_records()?;
        Ok(Old { identity, records, damaged, journal })
    }

    /// Appends records and makes them durable. Their blocks must be durable already.
    pub(super) fn append(&mut self, records: &[BlockRecord]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(records.len() * RECORD);
        records.iter().for_each(|record| bytes.extend_from_slice(&self.emit(record)));
        self.file.write_at(&bytes, self.end)?;
        self.file.sync_data()?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn emit(&self, record: &BlockRecord) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..4].copy_from_slice(&record.block.0.to_be_bytes());
        bytes[4..36].copy_from_slice(&record.hash.0);
        let check = check(&[&self.seal, &bytes[..36]]);
        bytes[36..].copy_from_slice(&check);
        bytes
    }

    fn parse(&self, bytes: &[u8; RECORD]) -> Option<BlockRecord> {
        let (body, sum) = bytes.split_at(RECORD - CHECK);
        if check(&[&self.seal, body]) != sum {
            return None;
        }
        let block = BlockIndex(u32::from_be_bytes(*body.first_chunk()?));
        Some(BlockRecord { block, hash: BlockHash(*body.last_chunk()?) })
    }

    /// Reads records up to the end or the first invalid one, where appending resumes.
    fn read_records(&mut self) -> io::Result<(Vec<BlockRecord>, bool)> {
        let mut records = Vec::new();
        let mut buffer = vec![0; RECORD * READ_RECORDS];
        loop {
            let got = self.file.read_at(&mut buffer, self.end)?;
            for bytes in buffer[..got].chunks(RECORD) {
                let record = bytes.first_chunk().and_then(|bytes| self.parse(bytes));
                let Some(record) = record.filter(|_| records.len() < RECORDS_MAX) else {
                    self.file.set_len(self.end)?;
                    return Ok((records, true));
                };
                records.push(record);
                self.end += RECORD as u64;
            }
            if got < buffer.len() {
                return Ok((records, false));
            }
        }
    }
}

fn header(identity: &Identity, session: SessionId) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([VERSION, identity.block_log2]);
    bytes.extend(identity.object_bytes.to_be_bytes());
    bytes.extend(session.0);
    for text in [&identity.name, &identity.image_id] {
        bytes.push(u8::try_from(text.len()).expect("names are shorter than 256 bytes"));
        bytes.extend(text.as_bytes());
    }
    let check = check(&[&bytes]);
    bytes.extend(check);
    bytes
}

/// Returns the identity and the length of the header.
fn parse_header(bytes: &[u8]) -> Result<(Identity, usize), &'static str> {
    const SHORT: &str = "it is cut off in its header";
    let mut rest = bytes;
    if take(&mut rest, MAGIC.len()).ok_or(SHORT)? != MAGIC {
        return Err("it is no journal");
    }
    let [version, block_log2] = *take(&mut rest, 2).and_then(|b| b.first_chunk()).ok_or(SHORT)?;
    if version != VERSION {
        return Err("it is of another version");
    }
    let object_bytes = take(&mut rest, 8).and_then(|b| b.first_chunk()).ok_or(SHORT)?;
    let object_bytes = u64::from_be_bytes(*object_bytes);
    take(&mut rest, 16).ok_or(SHORT)?;
    let mut text = || {
        let len = usize::from(take(&mut rest, 1)?[0]);
        String::from_utf8(take(&mut rest, len)?.to_vec()).ok()
    };
    let (name, image_id) = (text().ok_or(SHORT)?, text().ok_or(SHORT)?);
    let len = bytes.len() - rest.len();
    let sum = take(&mut rest, CHECK).ok_or(SHORT)?;
    if check(&[&bytes[..len]]) != sum {
        return Err("its header is damaged");
    }
    Ok((Identity { object_bytes, block_log2, name, image_id }, len + CHECK))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn check(parts: &[&[u8]]) -> [u8; CHECK] {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    *hasher.finalize().as_bytes().first_chunk().expect("32 bytes")
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

const MAGIC: &[u8; 8] = b"glncjrnl";
const VERSION: u8 = 1;
const CHECK: usize = 8;
const RECORD: usize = 4 + 32 + CHECK;
/// Longest header, with both texts at their longest.
const HEADER_MAX: usize = 8 + 2 + 8 + 16 + 2 * 256 + CHECK;
/// Each block once, and once more if it had to be written again.
const RECORDS_MAX: usize = 2 * BLOCKS_MAX as usize;
const READ_RECORDS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::super::anchor::Anchor;
    use super::super::dir::Access;
    use super::super::disk::tests::name;
    use super::super::disk::{Disk, System};
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    #[test]
    fn what_was_appended_is_read_in_its_order() {
        let (dir, path) = place();
        write(&path, 3_000);
        let old = read(&path).expect("a journal");
        assert_eq!((old.identity, old.damaged), (identity(), false));
        assert_eq!(old.records, (0..3_000).map(record).collect::<Vec<_>>());
        drop(dir);
    }

    #[test]
    fn a_journal_that_was_read_goes_on_where_it_ended() {
        let (_dir, path) = place();
        write(&path, 2);
        let mut old = read(&path).expect("a journal");
        old.journal.append(&[record(7)]).expect("room");
        assert_eq!(read(&path).expect("a journal").records, [record(0), record(1), record(7)]);
    }

    #[test]
    fn a_journal_cut_off_anywhere_gives_the_whole_records_before_the_cut() {
        let (_dir, path) = place();
        let bytes = write(&path, 3);
        let header = bytes.len() - 3 * RECORD;
        for len in 0..bytes.len() {
            fs::write(&path, &bytes[..len]).expect("writable");
            match read(&path) {
                Err(error) => assert!(len < header, "{len}: {error}"),
                Ok(old) => {
                    assert_eq!(old.records.len(), (len - header) / RECORD, "{len}");
                    assert_eq!(old.damaged, !(len - header).is_multiple_of(RECORD), "{len}");
                    let kept = header + old.records.len() * RECORD;
                    assert_eq!(fs::read(&path).expect("there").len(), kept, "the rest is cut off");
                }
            }
        }
    }

    #[test]
    fn a_changed_bit_anywhere_costs_the_records_from_there_on_and_makes_no_other_record() {
        let (_dir, path) = place();
        let bytes = write(&path, 3);
        let header = bytes.len() - 3 * RECORD;
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, &changed).expect("writable");
            match read(&path) {
                Err(error) => assert!(at < header && error.kind() == io::ErrorKind::InvalidData, "{at}"),
                Ok(old) => {
                    assert_eq!(old.records, [0, 1, 2].map(record)[..(at - header) / RECORD], "{at}");
                    assert!(old.damaged);
                }
            }
        }
    }

    #[test]
    fn a_journal_of_another_version_is_refused_with_its_reason() {
        let (_dir, path) = place();
        let mut bytes = write(&path, 1);
        bytes[8] = 2;
        fs::write(&path, &bytes).expect("writable");
        assert!(read(&path).expect_err("of version 2").to_string().contains("version"));
    }

    #[test]
    fn records_of_another_session_are_no_records_here() {
        let (_dir, path) = place();
        let bytes = write(&path, 2);
        let other = super::header(&identity(), SessionId([9; 16]));
        fs::write(&path, [&other, &bytes[other.len()..]].concat()).expect("writable");
        let old = read(&path).expect("a header");
        assert!(old.records.is_empty() && old.damaged);
    }

    fn place() -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("journal");
        (dir, path)
    }

    fn write(path: &Path, records: u32) -> Vec<u8> {
        let file = disk(path).create(&name("journal")).expect("writable");
        let mut journal = Journal::begin(file, &identity(), SessionId([5; 16])).expect("room");
        let records: Vec<BlockRecord> = (0..records).map(record).collect();
        let (some, rest) = records.split_at(records.len() / 2);
        journal.append(some).expect("room");
        journal.append(rest).expect("room");
        fs::read(path).expect("there")
    }

    fn read(path: &Path) -> io::Result<Old> {
        Journal::read(disk(path).open(&name("journal"), Access::Write).expect("there"))
    }

    fn disk(path: &Path) -> System {
        System(Anchor::open(path.parent().expect("a directory"), Vec::new()).expect("a directory"))
    }

    fn record(block: u32) -> BlockRecord {
        BlockRecord {
            block: BlockIndex(block),
            hash: BlockHash(*blake3::hash(&block.to_be_bytes()).as_bytes()),
        }
    }

    fn identity() -> Identity {
        Identity { object_bytes: 5 << 30, block_log2: 20, name: "image".into(), image_id: "some-id".into() }
    }
}
