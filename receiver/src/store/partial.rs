//! An unfinished file: written block by block under a hidden name, and locked (flock(2)) as long as its receiver lives.
//! Its journal lies next to it, so that a later session of the same object resumes from the proven blocks.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use glancecast_platform::locks::lock;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, SessionId};
use glancecast_proto::integrity::{BlockHash, VerifiedBlock};

use super::disk::{Disk, DiskFile};
use super::error::StoreError;
use super::file_system::is_full;
use super::journal::{BlockRecord, Identity, Journal, Old};
use super::journal_writer::JournalWriter;
use super::min_free::MinFree;
use super::name::Name;
use super::runs::data_runs;

/// An unfinished object. Dropping it keeps the file for a later session if it holds proven blocks, and removes it
/// otherwise.
#[derive(Debug)]
pub struct PartialFile {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    names: Names,
    /// For messages.
    directory: PathBuf,
    journal: Arc<JournalWriter>,
    min_free: MinFree,
    /// Bytes of blocks written by this session.
    written: AtomicU64,
    /// How many of them there are when the room is looked at again.
    look_at: AtomicU64,
    /// The records of an earlier session's journal, sorted by block.
    recorded: Vec<BlockRecord>,
    /// Blocks that an earlier session may have written.
    kept: Vec<BlockIndex>,
    /// Whether the file may hold bytes of an earlier session.
    resumed: bool,
    /// Whether the file is removed when dropped.
    discarded: AtomicBool,
}

/// The hidden names of an unfinished file and of its journal.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) file: Name,
    pub(super) journal: Name,
}

/// The directory in which unfinished files are made.
#[derive(Debug)]
pub(super) struct StagingArea {
    pub(super) disk: Arc<dyn Disk>,
    /// For messages.
    pub(super) directory: PathBuf,
    /// The room that stays free.
    pub(super) min_free: Mutex<MinFree>,
    /// Channel to the thread that writes journals.
    pub(super) journals: Option<Sender<Arc<JournalWriter>>>,
}

impl PartialFile {
    /// Creates an empty file of `bytes` bytes. Without `journal_of` it has no journal, cannot be resumed, and is
    /// removed when dropped.
    pub(super) fn create(
        staging: &StagingArea,
        names: Names,
        journal_of: Option<(&Identity, SessionId)>,
        bytes: u64,
    ) -> Result<Self, StoreError> {
        let at = |what| {
            let path = staging.directory.join(names.file.as_str());
            move |error| StoreError::Io { what, path, error }
        };
        let disk = &staging.disk;
        let file: Arc<dyn DiskFile> = disk.create(&names.file).map_err(at("create"))?.into();
        let made = || {
            if !file.try_lock().map_err(at("lock"))? {
                return Err(at("lock")(io::ErrorKind::WouldBlock.into()));
            }
            file.set_len(bytes).map_err(at("give its length to"))?;
            let Some((identity, session)) = journal_of else { return Ok(None) };
            let journal = disk.create(&names.journal).map_err(at("create the journal of"))?;
            Journal::begin(journal, identity, session).map(Some).map_err(at("write the journal of"))
        };
        let journal = made().inspect_err(|_| names.remove(&**disk))?;
        Ok(Self::assemble(staging, names, file, journal))
    }

    /// Resumes a locked file from its journal and its contents.
    pub(super) fn resume(
        staging: &StagingArea,
        names: Names,
        file: Arc<dyn DiskFile>,
        old: Old,
        geometry: Geometry,
    ) -> Self {
        let Old { mut records, journal, .. } = old;
        // A block's last record counts.
        records.reverse();
        records.sort_by_key(|record| record.block);
        records.dedup_by_key(|record| record.block);
        records.retain(|record| geometry.contains(record.block));
        let mut kept: Vec<BlockIndex> = records.iter().map(|record| record.block).collect();
        kept.extend(written_blocks(&*file, geometry));
        kept.sort_unstable();
        kept.dedup();
        let mut partial = Self::assemble(staging, names, file, Some(journal));
        (partial.recorded, partial.kept, partial.resumed) = (records, kept, true);
        partial
    }

    fn assemble(
        staging: &StagingArea,
        names: Names,
        file: Arc<dyn DiskFile>,
        journal: Option<Journal>,
    ) -> Self {
        let (disk, directory) = (Arc::clone(&staging.disk), staging.directory.clone());
        let discarded = AtomicBool::new(journal.is_none());
        let journal = journal.map_or_else(JournalWriter::idle, |journal| {
            JournalWriter::new(
                Arc::clone(&disk),
                directory,
                Arc::clone(&file),
                journal,
                staging.journals.clone(),
            )
        });
        Self {
            disk,
            file,
            names,
            directory: staging.directory.clone(),
            journal: Arc::new(journal),
            min_free: *lock(&staging.min_free),
            written: AtomicU64::new(0),
            look_at: AtomicU64::new(0),
            recorded: Vec::new(),
            kept: Vec::new(),
            resumed: false,
            discarded,
        }
    }

    /// Returns the blocks that an earlier session may have written, in order: those in its journal, and those that are
    /// not holes, as the journal lags a little.
    pub fn kept(&self) -> &[BlockIndex] {
        &self.kept
    }

    /// Writes a block, except its pages of zeros, which have been holes since the file was created.
    ///
    /// # Errors
    /// The error of pwrite(2); earlier blocks could not be made durable; or other programs need the room that is left,
    /// and then the whole file is discarded.
    pub fn write(&self, block: &VerifiedBlock<'_>) -> Result<(), StoreError> {
        if let Some(error) = self.journal.failure() {
            return Err(self.error("sync", error));
        }
        self.look_for_room(block.bytes().len() as u64)?;
        self.write_runs(block).map_err(|error| self.error("write to", error))?;
        self.journal.note(BlockRecord { block: block.block(), hash: block.hash() });
        Ok(())
    }

    /// Discards the file if less than the reserve is left: other programs have taken the room, or more data comes than
    /// was announced. Looks once every [`ROOM_CHECK_BYTES`], and more often where little room is left.
    fn look_for_room(&self, bytes: u64) -> Result<(), StoreError> {
        let written = self.written.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if written < self.look_at.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Ok(room) = self.disk.room() else { return Ok(()) }; // a directory that is gone fails when it is used
        let reserve = self.min_free.of(room.total);
        if room.free >= reserve {
            let next = ((room.free - reserve) / ROOM_CHECK_SHARE).min(ROOM_CHECK_BYTES);
            self.look_at.store(written + next, Ordering::Relaxed);
            return Ok(());
        }
        self.discard();
        Err(StoreError::Reserve { path: self.directory.clone(), free: room.free, reserve })
    }

    fn write_runs(&self, block: &VerifiedBlock<'_>) -> io::Result<()> {
        let (bytes, offset) = (block.bytes(), block.offset());
        let has_holes = data_runs(bytes).next() != Some(0..bytes.len());
        if self.resumed && has_holes {
            // An earlier session may have written something else here.
            self.file.clear(offset..offset + bytes.len() as u64)?;
        }
        data_runs(bytes)
            .try_for_each(|run| self.file.write_at(&bytes[run.clone()], offset + run.start as u64))
    }

    /// Leaves a block of zeros as a hole. Punches one if an earlier session may have written something else there.
    ///
    /// # Errors
    /// The error of fallocate(2).
    pub fn leave_hole(&self, block: VerifiedBlock<'_>) -> Result<(), StoreError> {
        debug_assert!(block.bytes().iter().all(|&byte| byte == 0));
        if self.resumed {
            let range = block.offset()..block.offset() + block.bytes().len() as u64;
            self.file.clear(range).map_err(|error| self.error("make a hole in", error))?;
        }
        Ok(())
    }

    /// Reads a block of an earlier session into `bytes`, which is as long as the block; returns whether it has the hash
    /// `hash`.
    pub fn holds(&self, geometry: Geometry, block: BlockIndex, hash: BlockHash, bytes: &mut [u8]) -> bool {
        let at = self.recorded.binary_search_by_key(&block, |record| record.block);
        if at.is_ok_and(|at| self.recorded[at].hash != hash) {
            return false; // another object's: not worth reading
        }
        let offset = geometry.offset(block);
        let read = self.file.read_at(bytes, offset);
        self.file.forget_pages(offset..offset + bytes.len() as u64);
        match read {
            Ok(read) if read == bytes.len() && BlockHash::of(geometry, block, bytes) == hash => {
                if at.is_err() {
                    self.journal.note(BlockRecord { block, hash });
                }
                true
            }
            Ok(_) => false,
            Err(error) => {
                let path = self.path();
                let path = path.display();
                tracing::warn!(%path, %block, %error, "cannot read what an earlier session wrote");
                false
            }
        }
    }

    /// Reads written data from `offset` on; returns the number of bytes read.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, offset);
        self.file.forget_pages(offset..offset + bytes.len() as u64);
        read
    }

    /// Sets the mode of a published file and makes the data durable. From here on the file is published or removed.
    pub(super) fn finish(&self, mode: u32) -> Result<(), StoreError> {
        self.discard();
        // A concurrent flush could consume the error: fsync(2) reports it only once.
        self.journal.close();
        self.file.set_mode(mode).map_err(|error| self.error("set the mode of", error))?;
        self.file.sync_all().map_err(|error| self.error("sync", error))?;
        if let Some(error) = self.journal.failure() {
            return Err(self.error("sync", error));
        }
        // The guests of this host need the page cache more than a file that is not read now.
        self.file.forget_pages(0..0);
        Ok(())
    }

    /// Marks the file for removal when it is dropped, whatever it holds.
    pub fn discard(&self) {
        self.discarded.store(true, Ordering::Relaxed);
    }

    /// Calls `act` with the file of the system, to inspect or change it.
    pub(super) fn with<T>(
        &self,
        what: &'static str,
        do_it: impl Fn(&File) -> io::Result<T>,
    ) -> Result<T, StoreError> {
        let mut result = None;
        let mut act = |file: &File| {
            result = Some(do_it(file)?);
            Ok(())
        };
        self.file.with_file(&mut act).map_err(|error| self.error(what, error))?;
        Ok(result.expect("this store lies on a disk of the system"))
    }

    /// Sets its modification time to now.
    pub(super) fn touch(&self) -> Result<(), StoreError> {
        self.file.touch().map_err(|error| self.error("set the time of", error))
    }

    /// Returns the open file, whatever its name leads to.
    pub(super) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// Returns its hidden name.
    pub(super) fn name(&self) -> &Name {
        &self.names.file
    }

    /// Returns its hidden path.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(self.names.file.as_str())
    }

    /// Makes what was written so far durable, then its records; returns the number of records of this session.
    #[cfg(test)]
    pub(super) fn flush(&self) -> usize {
        self.journal.flush()
    }

    #[cfg(test)]
    pub(super) fn is_recorded(&self, block: BlockIndex) -> bool {
        self.recorded.iter().any(|record| record.block == block)
    }

    /// Returns the error for a failed call. If the disk is full, the file is discarded: what it holds is in the way of
    /// others.
    fn error(&self, what: &'static str, error: io::Error) -> StoreError {
        if is_full(&error) {
            self.discard();
            return StoreError::Full { path: self.directory.clone(), error };
        }
        StoreError::Io { what, path: self.path(), error }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        let discarded = self.discarded.load(Ordering::Relaxed);
        let worth_it = !discarded && (self.journal.flush() > 0 || !self.kept.is_empty());
        self.journal.close();
        if !worth_it || self.journal.failure().is_some() {
            self.names.remove(&*self.disk);
        }
    }
}

impl Names {
    /// Returns the names of the `serial`th unfinished file of an object in this process. They have the hash of the
    /// object's name, so that they are short whatever it is; the journal has the name itself.
    pub(super) fn new(object: &Name, session: SessionId, serial: u64) -> Self {
        Self::of_stem(&format!("{}.{session}.{serial}", object.short())).expect("shorter than a name may be")
    }

    /// Returns the names that belong to an unfinished file or journal called `name`; `None` if it is neither.
    pub(super) fn of(name: &Name) -> Option<Self> {
        let stem = name.as_str().strip_prefix(PREFIX)?;
        Self::of_stem(stem.strip_suffix(SUFFIX).or_else(|| stem.strip_suffix(JOURNAL_SUFFIX))?)
    }

    fn of_stem(stem: &str) -> Option<Self> {
        let name = |suffix| Name::new(format!("{PREFIX}{stem}{suffix}")).ok();
        Some(Self { file: name(SUFFIX)?, journal: name(JOURNAL_SUFFIX)? })
    }

    /// Removes both files.
    pub(super) fn remove(&self, disk: &dyn Disk) {
        for name in [&self.file, &self.journal] {
            match disk.remove(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%name, %error, "cannot remove an unfinished file");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
}

/// Returns the blocks without a hole. Returns none if the file system cannot tell; then only the journal counts.
fn written_blocks(file: &dyn DiskFile, geometry: Geometry) -> Vec<BlockIndex> {
    let (mut blocks, mut offset) = (Vec::new(), 0);
    while offset < geometry.object_bytes() {
        let Ok(Some(data)) = file.next_data(offset) else { break };
        if data.end <= offset {
            break;
        }
        let first = data.start.div_ceil(geometry.block_bytes()) as u32;
        let end_of = |block| geometry.offset(block) + u64::from(geometry.block_len(block));
        let whole = (first..geometry.blocks()).map(BlockIndex).take_while(|&block| end_of(block) <= data.end);
        blocks.extend(whole);
        offset = data.end;
    }
    blocks
}

/// Prefix of hidden names. `ObjectName` allows no leading dot, so no object can have such a name. It has no underscore,
/// and the names never have 40 characters, by which Nova's cache manager recognises its own files.
pub(super) const PREFIX: &str = ".glancecast-";
const SUFFIX: &str = ".part";
const JOURNAL_SUFFIX: &str = ".journal";

/// Longest session and serial number, each with a dot before it.
const NUMBERS_MAX: usize = 1 + 2 * size_of::<SessionId>() + 1 + 20;
/// The file system with the shortest names that a store may lie on: eCryptfs, which makes longer ones of those that it is
/// given (`ecryptfs_statfs` in the kernel's fs/ecryptfs).
const SHORT_NAME_MAX: usize = 143;
const _: () = assert!(PREFIX.len() + Name::SHORT + NUMBERS_MAX + JOURNAL_SUFFIX.len() <= SHORT_NAME_MAX);

/// Most bytes written between two checks of the room on the disk; a check takes a microsecond or two.
const ROOM_CHECK_BYTES: u64 = 16 << 20;
/// Share of the room left that is written before the next check: several threads write blocks of up to 4 MiB meanwhile.
const ROOM_CHECK_SHARE: u64 = 8;

#[cfg(test)]
mod tests {
    use super::super::anchor::Anchor;
    use super::super::disk::System;
    use super::super::disk::tests::{disk, name};
    use super::*;
    use crate::announcement::{SESSION, announcement};
    use crate::store::dir::Access;
    use crate::store::name::NAME_MAX;
    use glancecast_proto::limits::OBJECT_NAME_MAX;
    use std::path::Path;

    const BLOCK: usize = 1 << 19;

    #[test]
    fn a_session_goes_on_from_an_earlier_one_and_leaves_nothing_of_it_where_it_has_zeros() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let object = vec![7; 3 * BLOCK];
        let partial = PartialFile::create(
            &staging(dir.path()),
            names(),
            Some((&identity(), SESSION)),
            3 * BLOCK as u64,
        );
        let partial = partial.expect("room");
        for block in 0..3 {
            write(&partial, block, &object[..BLOCK]);
        }
        drop(partial);

        let partial = resumed(dir.path());
        assert_eq!(partial.kept(), [0, 1, 2].map(BlockIndex));
        let (block, mut bytes) = (BlockIndex(1), vec![0; BLOCK]);
        let mut holds = |hash| partial.holds(geometry(), block, hash, &mut bytes);
        assert!(holds(BlockHash::of(geometry(), block, &object[..BLOCK])));
        assert!(!holds(BlockHash([9; 32])));
        assert_eq!(partial.read(BLOCK as u64, &mut bytes).expect("readable"), BLOCK);
        assert_eq!(bytes, object[..BLOCK]);

        // Pages of zeros before and after data, then a block of zeros.
        let mut other = vec![0; BLOCK];
        other[4096..8192].fill(8);
        write(&partial, 1, &other);
        assert_eq!(content(&partial), [&object[..BLOCK], &other, &object[..BLOCK]].concat());
        let zeros = vec![0; BLOCK];
        let hash = BlockHash::of(geometry(), block, &zeros);
        let hole = VerifiedBlock::verify(geometry(), block, &zeros, hash).expect("its hash");
        partial.leave_hole(hole).expect("room");
        assert_eq!(content(&partial), [&object[..BLOCK], &zeros, &object[..BLOCK]].concat());
        drop(partial);
        assert_eq!(
            resumed(dir.path()).kept().len(),
            3,
            "an earlier session's is kept though nothing was written"
        );
    }

    #[test]
    fn a_block_that_the_journal_does_not_have_counts_when_it_is_right_and_is_recorded_then() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let partial = PartialFile::create(
            &staging(dir.path()),
            names(),
            Some((&identity(), SESSION)),
            3 * BLOCK as u64,
        );
        let partial = partial.expect("room");
        write(&partial, 0, &[7; BLOCK]);
        assert_eq!(partial.flush(), 1);
        partial.file.write_at(&[8; BLOCK], BLOCK as u64).expect("room");
        drop(partial);
        let partial = resumed(dir.path());
        assert_eq!(partial.kept(), [0, 1].map(BlockIndex));
        assert!(partial.is_recorded(BlockIndex(0)) && !partial.is_recorded(BlockIndex(1)));
        let hash = BlockHash::of(geometry(), BlockIndex(1), &[8; BLOCK]);
        assert!(partial.holds(geometry(), BlockIndex(1), hash, &mut vec![0; BLOCK]));
        assert_eq!(partial.flush(), 1);
        drop(partial);
        assert!(resumed(dir.path()).is_recorded(BlockIndex(1)));
    }

    #[test]
    fn the_room_that_is_left_is_looked_at_once_in_sixteen_mebibytes() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut partial =
            PartialFile::create(&staging(dir.path()), names(), None, 3 * BLOCK as u64).expect("room");
        partial.look_for_room(0).expect("room for more than sixteen mebibytes");
        partial.min_free = MinFree { percent: 100, bytes: u64::MAX }; // more than any disk has free
        for bytes in [BLOCK as u64, BLOCK as u64, ROOM_CHECK_BYTES - 2 * BLOCK as u64 - 1] {
            partial.look_for_room(bytes).expect("nobody looks yet");
        }
        let at_the_sixteenth = partial.look_for_room(1);
        assert!(matches!(at_the_sixteenth, Err(StoreError::Reserve { .. })), "{at_the_sixteenth:?}");
    }

    #[test]
    fn a_recorded_block_whose_bytes_have_changed_is_not_held() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let partial = PartialFile::create(
            &staging(dir.path()),
            names(),
            Some((&identity(), SESSION)),
            3 * BLOCK as u64,
        );
        let partial = partial.expect("room");
        write(&partial, 1, &[7; BLOCK]);
        assert_eq!(partial.flush(), 1);
        partial.file.write_at(&[8], 2 * BLOCK as u64 - 1).expect("room");
        drop(partial);
        let partial = resumed(dir.path());
        assert!(partial.is_recorded(BlockIndex(1)));
        let hash = BlockHash::of(geometry(), BlockIndex(1), &[7; BLOCK]);
        assert!(!partial.holds(geometry(), BlockIndex(1), hash, &mut vec![0; BLOCK]));
    }

    #[test]
    fn written_blocks_are_those_without_a_hole() {
        let (_dir, disk) = disk();
        let file = disk.create(&name("file")).expect("writable");
        file.set_len(3 * BLOCK as u64).expect("room");
        assert_eq!(written_blocks(&*file, geometry()), []);
        file.write_at(&[1; BLOCK], BLOCK as u64).expect("room");
        file.write_at(&[1; BLOCK / 2], 2 * BLOCK as u64).expect("room");
        assert_eq!(written_blocks(&*file, geometry()), [BlockIndex(1)]);
        file.write_at(&[1; BLOCK / 2], 0).expect("room");
        file.write_at(&[1; BLOCK / 2], 5 * BLOCK as u64 / 2).expect("room");
        assert_eq!(written_blocks(&*file, geometry()), [1, 2].map(BlockIndex));
    }

    fn resumed(path: &Path) -> PartialFile {
        let staging = staging(path);
        let file: Arc<dyn DiskFile> = staging.disk.open(&names().file, Access::Write).expect("there").into();
        let old = Journal::read(staging.disk.open(&names().journal, Access::Write).expect("there"));
        let (old, names) = (old.expect("a journal"), names());
        assert!(file.try_lock().expect("a disk"));
        PartialFile::resume(&staging, names, file, old, geometry())
    }

    fn staging(path: &Path) -> StagingArea {
        let disk = Arc::new(System(Anchor::open(path, Vec::new()).expect("a directory")));
        StagingArea { disk, directory: path.to_owned(), min_free: Mutex::new(MinFree::NONE), journals: None }
    }

    fn names() -> Names {
        Names::new(&name("image"), SESSION, 0)
    }

    fn identity() -> Identity {
        Identity::of(&announcement("image", geometry()), "image")
    }

    fn geometry() -> Geometry {
        Geometry::new(3 * BLOCK as u64, 19, 1432).expect("in range")
    }

    fn write(partial: &PartialFile, block: u32, bytes: &[u8]) {
        let block = BlockIndex(block);
        let hash = BlockHash::of(geometry(), block, bytes);
        partial
            .write(&VerifiedBlock::verify(geometry(), block, bytes, hash).expect("its hash"))
            .expect("room");
    }

    fn content(partial: &PartialFile) -> Vec<u8> {
        let mut bytes = vec![1; 3 * BLOCK];
        assert_eq!(partial.file.read_at(&mut bytes, 0).expect("readable"), bytes.len());
        bytes
    }

    #[test]
    fn hidden_names_have_one_length_whatever_the_name_of_the_object() {
        let session = SessionId([0xAB; 16]);
        for object in
            ["n", "März 2026 (日本).raw", &"n".repeat(OBJECT_NAME_MAX), &"ü".repeat(100), &"日".repeat(85)]
        {
            let object = Name::new(object).expect("a name");
            for serial in [0, 9, 10, 999_999, u64::MAX] {
                let names = Names::new(&object, session, serial);
                let digits = serial.to_string().len();
                assert_eq!(names.journal.as_str().len(), 86 + digits, "{names:?}");
                for name in [&names.file, &names.journal] {
                    let again = Names::of(name).expect("one of ours");
                    assert_eq!((&again.file, &again.journal), (&names.file, &names.journal));
                }
            }
        }
    }

    #[test]
    fn long_names_with_the_same_beginning_have_other_hidden_ones() {
        let of = |end: &str| {
            let object = Name::new("n".repeat(OBJECT_NAME_MAX - 1) + end).expect("a name");
            Names::new(&object, SessionId([0; 16]), 0).file
        };
        assert_ne!(of("a"), of("b"));
    }

    #[test]
    fn other_names_are_none_of_ours() {
        for name in [".glancecast-probe.7", "image", ".other.part", ".glancecast", "x.glancecast-a.part"] {
            assert!(Names::of(&Name::new(name).expect("a name")).is_none(), "{name}");
        }
        let longest = format!("{PREFIX}{}{SUFFIX}", "n".repeat(NAME_MAX - PREFIX.len() - SUFFIX.len()));
        assert!(Names::of(&Name::new(longest).expect("a name")).is_none(), "it can have no journal");
    }
}
