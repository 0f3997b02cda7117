//! The manifest of a push as it is sent: which entries travel when, and how often.
//!
//! A host that lacks an entry cannot finish its block, so each entry is sent several times, in different datagrams:
//! each run of new entries begins with the last entries of the runs before it. Entries that hosts report as lacking are
//! repeated in addition.

use std::collections::{BTreeSet, VecDeque};

use crate::geometry::Geometry;
use crate::ids::{BlockIndex, Sequence};
use crate::integrity::{BlockHash, Fingerprint};
use crate::limits::{CONTROL_SMALL, MANIFEST_BLOCKS_MAX, MANIFEST_REPEATS_MAX};
use crate::wire::{Encoding, GapRun, Listed, ManifestEntry, ManifestRun, manifest_bytes, manifest_room};

/// The entries of all blocks that were read, and which of them are due.
pub(super) struct ManifestSchedule {
    geometry: Geometry,
    entries: Vec<Entry>,
    /// Whether the manifest has fingerprints, by which hosts look for blocks of a base.
    has_fingerprints: bool,
    /// Entries below this block were sent once.
    sent: u32,
    /// Runs that a host lacks, each queued once and as long as one datagram holds. At most [`MANIFEST_REPEATS_MAX`].
    repeats: VecDeque<GapRun>,
    /// The same, to be found: the first block of each and their number.
    queued: BTreeSet<(BlockIndex, u16)>,
}

struct Entry {
    entry: ManifestEntry,
    /// The block's fingerprint, if the push has a base.
    fingerprint: Option<Fingerprint>,
    /// Number of the last datagram with it.
    last: Sequence,
}

impl ManifestSchedule {
    pub(super) fn new(geometry: Geometry, has_fingerprints: bool) -> Self {
        Self {
            geometry,
            entries: Vec::new(),
            has_fingerprints,
            sent: 0,
            repeats: VecDeque::new(),
            queued: BTreeSet::new(),
        }
    }

    /// Adds the entry of the next block.
    pub(super) fn push(&mut self, entry: ManifestEntry, fingerprint: Option<Fingerprint>) -> BlockIndex {
        assert!(!self.all_read(), "more blocks than the object has");
        self.entries.push(Entry { entry, fingerprint, last: Sequence::default() });
        BlockIndex(self.entries.len() as u32 - 1)
    }

    pub(super) fn get(&self, block: BlockIndex) -> Option<&ManifestEntry> {
        self.entries.get(block.index()).map(|entry| &entry.entry)
    }

    pub(super) fn hashes(&self) -> Vec<BlockHash> {
        self.entries.iter().map(|entry| entry.entry.hash).collect()
    }

    /// Whether the entries of all blocks were added.
    pub(super) fn all_read(&self) -> bool {
        self.entries.len() == self.geometry.blocks() as usize
    }

    /// Entries below this block were sent once.
    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    pub(super) fn all_sent(&self) -> bool {
        self.sent == self.geometry.blocks()
    }

    /// Whether no entries are queued to be repeated.
    pub(super) fn has_no_repeats(&self) -> bool {
        self.repeats.is_empty()
    }

    /// Sends all of it once more.
    pub(super) fn start_over(&mut self) {
        self.sent = 0;
    }

    /// Queues entries that a host lacks, unless they were repeated after `highest`, the last datagram that it has seen.
    pub(super) fn demand(&mut self, gap: GapRun, highest: Sequence) {
        let mut first = gap.first.0;
        let end = (gap.first.0 + u32::from(gap.blocks)).min(self.sent);
        while first < end && self.repeats.len() < MANIFEST_REPEATS_MAX {
            let blocks = self.run_end(first, end) - first;
            let run = GapRun { first: BlockIndex(first), blocks: blocks as u16 };
            let is_fresh = self.entries[first as usize].last > highest;
            if !is_fresh {
                self.repeat(run);
            }
            first += blocks;
        }
    }

    /// Queues the last entries, which no later entries repeat. This is done after each block that is sent later.
    pub(super) fn repeat_last(&mut self) {
        let blocks = self.geometry.blocks();
        if self.all_read() && self.all_sent() && self.repeats.is_empty() {
            let first = self.back_from(blocks, Reach { data: LAST, blocks: LAST }, 0);
            self.repeat(GapRun { first: BlockIndex(first), blocks: (blocks - first) as u16 });
        }
    }

    /// Queues a run unless it is queued.
    fn repeat(&mut self, run: GapRun) {
        if self.queued.insert((run.first, run.blocks)) {
            self.repeats.push_back(run);
        }
    }

    /// Whether [`ManifestSchedule::next`] has something.
    pub(super) fn is_due(&self, copies: u32) -> bool {
        self.has_fresh(copies) || !self.repeats.is_empty()
    }

    /// Returns the next run to send, with number `sequence`. It has new entries once there are a few or no more to
    /// come, so that each entry is sent `copies` times; else it has what a host lacks.
    pub(super) fn next(&mut self, sequence: Sequence, copies: u32) -> Option<ManifestRun> {
        if self.has_fresh(copies) {
            let first = self.repeat_from(copies);
            let end = self.run_end(first, self.entries.len() as u32);
            self.sent = end;
            return Some(self.run(first, end, sequence));
        }
        let run = self.repeats.pop_front()?;
        self.queued.remove(&(run.first, run.blocks));
        Some(self.run(run.first.0, run.first.0 + u32::from(run.blocks), sequence))
    }

    /// Whether the entries that were never sent are worth a datagram: a few, or many if all of them are zero, or the
    /// last ones.
    fn has_fresh(&self, copies: u32) -> bool {
        let fresh = &self.entries[self.sent as usize..];
        let is_enough = fresh.len() >= ZERO_BATCH as usize
            || (fresh.len() >= batch(copies) as usize && fresh.iter().any(Entry::has_data));
        is_enough || (!fresh.is_empty() && self.all_read())
    }

    /// Returns where the next run of new entries begins, so that each entry is sent `copies` times.
    fn repeat_from(&self, copies: u32) -> u32 {
        let blocks = ((copies - 1) * ZERO_BATCH).min(MANIFEST_BLOCKS_MAX as u32 - ZERO_BATCH);
        let batch = batch(copies);
        self.back_from(self.sent, Reach { data: (copies - 1) * batch, blocks }, batch)
    }

    /// Returns the first block of a run that ends at `end`. The run reaches back as far as `most`, and leaves room in
    /// its datagram for `spare` more entries.
    fn back_from(&self, end: u32, most: Reach, spare: u32) -> u32 {
        let room = manifest_room(self.geometry.control_bytes());
        let (mut first, mut data) = (end, 0);
        while first > 0 && end - first < most.blocks {
            data += u32::from(self.entries[first as usize - 1].has_data());
            let (blocks, all_data) = ((end - first + 1 + spare) as usize, (data + spare) as usize);
            if data > most.data || manifest_bytes(blocks, all_data, self.has_fingerprints) > room {
                break;
            }
            first -= 1;
        }
        first
    }

    /// Returns the end of a run from `first` on, which is below `end`: as much as one datagram holds.
    fn run_end(&self, first: u32, end: u32) -> u32 {
        let room = manifest_room(self.geometry.control_bytes());
        let (mut blocks, mut data) = (0, 0);
        for entry in &self.entries[first as usize..end as usize] {
            data += usize::from(entry.has_data());
            if blocks == MANIFEST_BLOCKS_MAX || manifest_bytes(blocks + 1, data, self.has_fingerprints) > room
            {
                break;
            }
            blocks += 1;
        }
        first + blocks as u32
    }

    /// Compares the two forms of the queue.
    ///
    /// # Panics
    /// If a run is in one of them only, or twice in the queue.
    #[cfg(test)]
    pub(super) fn check_queue(&self) {
        let queued: BTreeSet<_> = self.repeats.iter().map(|run| (run.first, run.blocks)).collect();
        assert_eq!((&queued, queued.len()), (&self.queued, self.repeats.len()));
    }

    fn run(&mut self, first: u32, end: u32, sequence: Sequence) -> ManifestRun {
        let entries = &mut self.entries[first as usize..end as usize];
        entries.iter_mut().for_each(|entry| entry.last = sequence);
        ManifestRun {
            first: BlockIndex(first),
            blocks: entries.iter().map(|entry| Listed::from(entry.entry)).collect(),
            fingerprints: entries.iter().filter_map(|entry| entry.fingerprint).collect(),
        }
    }
}

impl Entry {
    /// Whether the block has symbols to send.
    fn has_data(&self) -> bool {
        self.entry.encoding != Encoding::Zero
    }
}

/// How far a run reaches back at most: the first of the two limits that is reached ends it.
struct Reach {
    /// Blocks that are not zero.
    data: u32,
    /// Blocks of any kind.
    blocks: u32,
}

/// Returns the number of new entries that are sent together. With many copies they do not wait for each other: a host
/// keeps a buffer for each block whose entry it lacks, and has few buffers.
fn batch(copies: u32) -> u32 {
    if copies > 2 { 1 } else { BATCH }
}

/// The number of new entries that are sent together if each is sent twice: some 0.007 % of the object.
const BATCH: u32 = 4;
/// The same if all of them are zero. Such a block has no symbols that would wait for its entry, and half a gigabyte of
/// such blocks takes a datagram of less than 200 bytes.
pub(super) const ZERO_BATCH: u32 = 512;

/// The number of entries that are repeated at the end of the pass.
const LAST: u32 = 6 * BATCH;

const _: () = {
    let batch = BATCH as usize;
    assert!(manifest_bytes(2 * batch, 2 * batch, true) <= manifest_room(CONTROL_SMALL));
    let zeros = MANIFEST_BLOCKS_MAX - ZERO_BATCH as usize;
    assert!(
        manifest_bytes(zeros + batch, batch, true) <= manifest_room(CONTROL_SMALL),
        "what is repeated leaves room"
    );
};
