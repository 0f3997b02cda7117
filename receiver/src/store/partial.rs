//! A file on its way: written block by block under a hidden name, locked (flock(2)) as long as its receiver lives. Beside
//! it lies its journal, so that a later session of the same object goes on from what was proven.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::SystemTime;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, SessionId};
use glancecast_proto::integrity::{BlockHash, VerifiedBlock};

use super::StoreError;
use super::disk::{Disk, DiskFile};
use super::journal::{Identity, Journal, Old, Record};
use super::keeper::Keeper;
use super::runs::data_runs;

/// An object on its way. Dropping it puts it away for a later session if anything of it is worth that, and else removes
/// it.
#[derive(Debug)]
pub struct PartialFile {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    names: Names,
    keeper: Arc<Keeper>,
    /// What an earlier session's journal says of it, by block.
    recorded: Vec<Record>,
    /// Blocks that an earlier session may have written.
    kept: Vec<BlockIndex>,
    /// It has bytes of an earlier session.
    resumed: bool,
    /// Nothing is put away.
    discarded: AtomicBool,
}

/// The hidden names of an unfinished file and of its journal.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) file: PathBuf,
    pub(super) journal: PathBuf,
}

/// Where an unfinished file is made.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    /// The thread that writes journals.
    pub(super) journals: Option<Sender<Arc<Keeper>>>,
}

impl PartialFile {
    /// Makes an empty place of so many bytes; with a journal of this identity and session, or, where nobody is to go on with
    /// it, without one, and then it is removed when it is dropped.
    pub(super) fn create(
        place: &Place,
        names: Names,
        journal_of: Option<(&Identity, SessionId)>,
        bytes: u64,
    ) -> Result<Self, StoreError> {
        let at = |what| {
            let path = names.file.clone();
            move |error| StoreError::Io { what, path, error }
        };
        let disk = &place.disk;
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
        Ok(Self::assemble(place, names, file, journal))
    }

    /// Goes on with a file that is locked already, from what its journal says and what is in it.
    pub(super) fn resume(
        place: &Place,
        names: Names,
        file: Arc<dyn DiskFile>,
        old: Old,
        geometry: Geometry,
    ) -> Self {
        let Old { mut records, journal, .. } = old;
        // The last record of a block counts.
        records.reverse();
        records.sort_by_key(|record| record.block);
        records.dedup_by_key(|record| record.block);
        records.retain(|record| geometry.contains(record.block));
        let mut kept: Vec<BlockIndex> = records.iter().map(|record| record.block).collect();
        kept.extend(written_blocks(&*file, geometry));
        kept.sort_unstable();
        kept.dedup();
        let mut partial = Self::assemble(place, names, file, Some(journal));
        (partial.recorded, partial.kept, partial.resumed) = (records, kept, true);
        partial
    }

    fn assemble(place: &Place, names: Names, file: Arc<dyn DiskFile>, journal: Option<Journal>) -> Self {
        let (disk, directory) = (Arc::clone(&place.disk), place.directory.clone());
        let discarded = AtomicBool::new(journal.is_none());
        let keeper = journal.map_or_else(Keeper::idle, |journal| {
            Keeper::new(Arc::clone(&disk), directory, Arc::clone(&file), journal, place.journals.clone())
        });
        Self {
            disk,
            file,
            names,
            keeper: Arc::new(keeper),
            recorded: Vec::new(),
            kept: Vec::new(),
            resumed: false,
            discarded,
        }
    }

    /// Blocks that an earlier session may have written, in order: those in its journal, and those that are no holes, as
    /// the journal is a little behind.
    pub fn kept(&self) -> &[BlockIndex] {
        &self.kept
    }

    /// Writes a block at its place, but for pages of zeros: these are holes since the file was made.
    ///
    /// # Errors
    /// What pwrite(2) says, or that earlier blocks could not be made durable.
    pub fn write(&self, block: &VerifiedBlock<'_>) -> Result<(), StoreError> {
        if let Some(error) = self.keeper.failure() {
            return Err(self.error("sync", error));
        }
        self.write_runs(block).map_err(|error| self.error("write to", error))?;
        self.keeper.note(Record { block: block.block(), hash: block.hash() });
        Ok(())
    }

    fn write_runs(&self, block: &VerifiedBlock<'_>) -> io::Result<()> {
        let (bytes, offset) = (block.bytes(), block.offset());
        let has_holes = data_runs(bytes).next() != Some(0..bytes.len());
        if self.resumed && has_holes {
            // An earlier session may have written something else there.
            self.file.clear(offset..offset + bytes.len() as u64)?;
        }
        data_runs(bytes)
            .try_for_each(|run| self.file.write_at(&bytes[run.clone()], offset + run.start as u64))
    }

    /// Leaves a block of zeros as the hole that it is since the file was made; makes it one where an earlier session has
    /// written something else.
    ///
    /// # Errors
    /// What fallocate(2) says.
    pub fn leave_hole(&self, block: VerifiedBlock<'_>) -> Result<(), StoreError> {
        debug_assert!(block.bytes().iter().all(|&byte| byte == 0));
        if self.resumed {
            let range = block.offset()..block.offset() + block.bytes().len() as u64;
            self.file.clear(range).map_err(|error| self.error("make a hole in", error))?;
        }
        Ok(())
    }

    /// Reads a block of an earlier session into `bytes`, as long as the block, and says whether it is what `hash` names.
    pub fn holds(&self, geometry: Geometry, block: BlockIndex, hash: BlockHash, bytes: &mut [u8]) -> bool {
        let at = self.recorded.binary_search_by_key(&block, |record| record.block);
        if at.is_ok_and(|at| self.recorded[at].hash != hash) {
            return false; // of another object: not worth reading
        }
        let offset = geometry.offset(block);
        let read = self.file.read_at(bytes, offset);
        self.file.forget_pages(offset..offset + bytes.len() as u64);
        match read {
            Ok(read) if read == bytes.len() && BlockHash::of(geometry, block, bytes) == hash => {
                if at.is_err() {
                    self.keeper.note(Record { block, hash });
                }
                true
            }
            Ok(_) => false,
            Err(error) => {
                let path = self.names.file.display();
                tracing::warn!(%path, %block, %error, "cannot read what an earlier session wrote");
                false
            }
        }
    }

    /// Reads what was written from `offset` on; gives how much it was.
    ///
    /// # Errors
    /// What the system said.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, offset);
        self.file.forget_pages(offset..offset + bytes.len() as u64);
        read
    }

    /// Gives the file the mode of a published one and makes its data durable. From here on it is published or removed.
    pub(super) fn finish(&self, mode: u32) -> Result<(), StoreError> {
        self.discard();
        // Not beside a flush: an error that it is told is told nobody else.
        self.keeper.close();
        self.file.set_mode(mode).map_err(|error| self.error("set the mode of", error))?;
        self.file.sync_all().map_err(|error| self.error("sync", error))?;
        if let Some(error) = self.keeper.failure() {
            return Err(self.error("sync", error));
        }
        // The guests of this host need the page cache more than a file that nobody reads now.
        self.file.forget_pages(0..0);
        Ok(())
    }

    /// It is removed when it is dropped, whatever there is of it.
    pub fn discard(&self) {
        self.discarded.store(true, Ordering::Relaxed);
    }

    /// Has the file of the system looked at, or changed.
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

    /// Its time of change is now.
    pub(super) fn touch(&self) -> Result<(), StoreError> {
        self.file
            .with_file(&mut |file| file.set_modified(SystemTime::now()))
            .map_err(|error| self.error("set the time of", error))
    }

    /// Its hidden name.
    pub(super) fn path(&self) -> &Path {
        &self.names.file
    }

    /// Makes what was written so far durable, then its records; gives how many this session has.
    #[cfg(test)]
    pub(super) fn flush(&self) -> usize {
        self.keeper.flush()
    }

    #[cfg(test)]
    pub(super) fn is_recorded(&self, block: BlockIndex) -> bool {
        self.recorded.iter().any(|record| record.block == block)
    }

    fn error(&self, what: &'static str, error: io::Error) -> StoreError {
        StoreError::Io { what, path: self.names.file.clone(), error }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        let discarded = self.discarded.load(Ordering::Relaxed);
        let worth_it = !discarded && (self.keeper.flush() > 0 || !self.kept.is_empty());
        self.keeper.close();
        if !worth_it || self.keeper.failure().is_some() {
            self.names.remove(&*self.disk);
        }
    }
}

impl Names {
    /// Of the `serial`th unfinished file of an object in this process.
    pub(super) fn new(directory: &Path, object: &str, session: SessionId, serial: u64) -> Self {
        let stem = format!("{PREFIX}{object}.{session}.{serial}");
        Self {
            file: directory.join(format!("{stem}{SUFFIX}")),
            journal: directory.join(stem + JOURNAL_SUFFIX),
        }
    }

    /// Of the unfinished file or the journal of this name; `None` if it is neither.
    pub(super) fn of(directory: &Path, name: &str) -> Option<Self> {
        let stem = name.strip_prefix(PREFIX)?;
        let stem = stem.strip_suffix(SUFFIX).or_else(|| stem.strip_suffix(JOURNAL_SUFFIX))?;
        let path = |suffix| directory.join(format!("{PREFIX}{stem}{suffix}"));
        Some(Self { file: path(SUFFIX), journal: path(JOURNAL_SUFFIX) })
    }

    /// Removes both.
    pub(super) fn remove(&self, disk: &dyn Disk) {
        for path in [&self.file, &self.journal] {
            match disk.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished file");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
}

/// Blocks without a hole. Where the file system cannot tell, none, and the journal has to do.
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

/// Hidden from people; `ObjectName` allows no leading dot, so no object can have such a name. No underscore and never 40
/// characters, by which Nova's cache manager knows its own files.
pub(super) const PREFIX: &str = ".glancecast-";
const SUFFIX: &str = ".part";
const JOURNAL_SUFFIX: &str = ".journal";
