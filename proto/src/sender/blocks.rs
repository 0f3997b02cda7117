//! What the sender knows of each block: its manifest entry, whether its first pass was sent, how many repair symbols
//! are asked for, and how many of those are on their way already.
//!
//! A report says how many symbols a host lacked when it had seen everything up to sequence `highest`. Symbols sent
//! later may fill that deficit, so each block remembers its **epoch**: everything sent since `base`. A report from
//! within the epoch asks only for what the epoch has not sent; one that has seen the whole epoch begins a new one; one
//! from before it is out of date. So a deficit is served once, however many hosts share it and however slowly their
//! reports come in.

use std::collections::VecDeque;

use glancecast_fec::Esi;

use crate::geometry::Geometry;
use crate::ids::{BlockIndex, Sequence};
use crate::integrity::{BlockHash, Fingerprint};
use crate::limits::{
    CONTROL_SMALL, MANIFEST_BLOCKS_MAX, MANIFEST_REPEATS_MAX, SOURCE_SYMBOLS_MAX, manifest_room,
};
use crate::wire::{DeficitRun, Encoding, GapRun, Listed, ManifestEntry, ManifestRun, manifest_bytes};

/// Symbols to be sent of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// All K source symbols, then repair symbols that nobody has asked for yet.
    Source {
        /// Of this block.
        block: BlockIndex,
        /// The first of the repair symbols.
        first: Esi,
        /// How many of them, also none.
        repair: u32,
    },
    /// Repair symbols that were not sent before.
    Repair {
        /// Of this block.
        block: BlockIndex,
        /// The first of them.
        first: Esi,
        /// How many, one to [`SOURCE_SYMBOLS_MAX`].
        count: u32,
    },
}

impl Job {
    /// The block that the job is about.
    pub fn block(self) -> BlockIndex {
        match self {
            Self::Source { block, .. } | Self::Repair { block, .. } => block,
        }
    }
}

impl Job {
    /// How many symbols it is about, of a block of K source symbols.
    pub fn symbols(self, source_symbols: u32) -> u32 {
        match self {
            Self::Source { repair, .. } => source_symbols + repair,
            Self::Repair { count, .. } => count,
        }
    }

    /// The id of its symbol number `at`.
    ///
    /// # Panics
    /// If it has no such symbol.
    pub fn esi(self, source_symbols: u32, at: u32) -> Esi {
        let id = match self {
            Self::Source { .. } if at < source_symbols => Esi::new(at),
            Self::Source { first, .. } => first.plus(at - source_symbols),
            Self::Repair { first, .. } => first.plus(at),
        };
        id.expect("ids are handed out in range")
    }
}

/// Whether blocks are sent before anybody has asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstPass {
    /// Each block once, unless every host has said that it holds it.
    Sent,
    /// None: hosts hear the manifest, look at what they hold, and ask for the rest.
    OnDemand,
}

/// In which queue a demand stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    None,
    Partial,
    Whole,
}

/// All blocks of the object, as far as they were read.
pub(super) struct Blocks {
    geometry: Geometry,
    first_pass: FirstPass,
    states: Vec<BlockState>,
    /// Blocks below this one have had their first pass.
    sent: u32,
    /// Entries below this block were sent once.
    manifest_sent: u32,
    /// Read, and waiting for their first pass. As long as the shell's own queue of read blocks.
    ready: VecDeque<BlockIndex>,
    /// The block that a further pass of one-way mode sends next.
    carousel: Option<u32>,
    /// Blocks of which every host that lacks some holds something, each once.
    partial: VecDeque<BlockIndex>,
    /// Blocks of which a host holds nothing, each once.
    whole: VecDeque<BlockIndex>,
    /// Manifest runs that a host lacks.
    repeats: VecDeque<GapRun>,
    /// Jobs handed out and not yet sent.
    outstanding: u32,
}

struct BlockState {
    entry: ManifestEntry,
    /// Where hosts may hold blocks of a base.
    fingerprint: Option<Fingerprint>,
    /// K; 0 for a zero block.
    source_symbols: u32,
    /// First sequence after which the current epoch's symbols were sent.
    base: Sequence,
    /// Sequence of the last symbol sent; meaningless while `busy`.
    last: Sequence,
    /// When the entry was last repeated.
    manifest_last: Sequence,
    next_esi: u32,
    /// Repair symbols that follow the source symbols of the first pass.
    ahead: u32,
    /// Symbols handed out in this epoch.
    in_epoch: u32,
    /// Symbols still to be handed out.
    demand: u32,
    queue: Queue,
    /// The first pass was sent, or is not going to be.
    passed: bool,
    /// Symbols of it were handed out.
    touched: bool,
    /// A job of this block is handed out.
    busy: bool,
}

impl Blocks {
    pub(super) fn new(geometry: Geometry, first_pass: FirstPass) -> Self {
        Self {
            geometry,
            first_pass,
            states: Vec::new(),
            sent: 0,
            manifest_sent: 0,
            ready: VecDeque::new(),
            carousel: None,
            partial: VecDeque::new(),
            whole: VecDeque::new(),
            repeats: VecDeque::new(),
            outstanding: 0,
        }
    }

    /// Takes the next block's entry, in the order of the object, with the number of repair symbols that were made with
    /// it.
    pub(super) fn push(
        &mut self,
        entry: ManifestEntry,
        fingerprint: Option<Fingerprint>,
        ahead: u32,
    ) -> BlockIndex {
        assert!(!self.all_read(), "more blocks than the object has");
        let block = BlockIndex(self.states.len() as u32);
        let zero = entry.encoding == Encoding::Zero;
        let encoded_len = entry.encoded_len(self.geometry, block);
        let source_symbols = if zero { 0 } else { self.geometry.shape(encoded_len).source_symbols() };
        let passed = zero || self.first_pass == FirstPass::OnDemand;
        self.states.push(BlockState {
            entry,
            fingerprint,
            source_symbols,
            base: Sequence::default(),
            last: Sequence::default(),
            manifest_last: Sequence::default(),
            next_esi: source_symbols,
            ahead,
            in_epoch: 0,
            demand: 0,
            queue: Queue::None,
            passed,
            touched: false,
            busy: false,
        });
        if passed {
            self.advance_sent();
        } else {
            self.ready.push_back(block);
        }
        block
    }

    pub(super) fn all_read(&self) -> bool {
        self.states.len() == self.geometry.blocks() as usize
    }

    /// Blocks whose first pass was sent, counted from the start of the object without a gap.
    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    pub(super) fn manifest_sent(&self) -> u32 {
        self.manifest_sent
    }

    pub(super) fn all_sent(&self) -> bool {
        self.sent == self.geometry.blocks() && self.manifest_sent == self.geometry.blocks()
    }

    /// Nothing is asked for and nothing is being made.
    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty()
            && self.carousel.is_none()
            && self.partial.is_empty()
            && self.whole.is_empty()
            && self.repeats.is_empty()
            && self.outstanding == 0
    }

    pub(super) fn hashes(&self) -> Vec<BlockHash> {
        self.states.iter().map(|state| state.entry.hash).collect()
    }

    /// Blocks with data of which nothing was sent, and their bytes.
    pub(super) fn spared(&self) -> (u32, u64) {
        let spared = self.geometry.indices().zip(&self.states);
        let spared = spared.filter(|(_, state)| state.source_symbols > 0 && !state.touched);
        spared.fold((0, 0), |(blocks, bytes), (block, _)| {
            (blocks + 1, bytes + u64::from(self.geometry.block_len(block)))
        })
    }

    pub(super) fn entry(&self, block: BlockIndex) -> Option<&ManifestEntry> {
        self.states.get(block.index()).map(|state| &state.entry)
    }

    /// The next first pass.
    pub(super) fn next_source(&mut self) -> Option<Job> {
        let block = self.ready.pop_front()?;
        let ahead = self.states[block.index()].ahead;
        Some(self.source_job(block, ahead))
    }

    /// The block whose first pass is next.
    pub(super) fn next_fresh(&self) -> Option<BlockIndex> {
        self.ready.front().copied()
    }

    /// Whether the first pass of a block was sent.
    pub(super) fn is_passed(&self, block: BlockIndex) -> bool {
        self.states.get(block.index()).is_some_and(|state| state.passed)
    }

    /// The next first pass is not needed: every host held the block when datagram `last` was sent.
    pub(super) fn skip(&mut self, last: Sequence) {
        let Some(block) = self.ready.pop_front() else { return };
        let state = &mut self.states[block.index()];
        (state.base, state.last, state.passed) = (last, last, true);
        self.advance_sent();
    }

    /// The next repair of a block of which every host holds something.
    pub(super) fn next_repair(&mut self) -> Option<Job> {
        let block = Self::take_idle(&mut self.partial, &self.states)?;
        let state = &mut self.states[block.index()];
        let count = state.demand.min(SOURCE_SYMBOLS_MAX);
        (state.demand, state.queue) = (0, Queue::None);
        (state.busy, state.touched) = (true, true);
        state.in_epoch += count;
        self.outstanding += 1;
        Some(Job::Repair { block, first: state.take_esis(count), count })
    }

    /// The next block of which a host holds nothing: its source symbols go again. They cost no encoding here, and no
    /// decoding there.
    pub(super) fn next_whole(&mut self) -> Option<Job> {
        let block = Self::take_idle(&mut self.whole, &self.states)?;
        let state = &mut self.states[block.index()];
        // Whoever lacks all of it asks for K and one more, which it needs of repair symbols, and not of all source symbols.
        let demand = std::mem::take(&mut state.demand);
        state.queue = Queue::None;
        state.in_epoch += demand;
        let repair = demand.saturating_sub(state.source_symbols + 1).min(SOURCE_SYMBOLS_MAX);
        Some(self.source_job(block, repair))
    }

    /// Sends everything once more, manifest too, each block with `ahead` repair symbols that were not sent before.
    pub(super) fn start_over(&mut self) {
        self.carousel = self.next_with_symbols(0);
        self.repeat_manifest();
    }

    /// Sends the manifest once more.
    pub(super) fn repeat_manifest(&mut self) {
        self.manifest_sent = 0;
    }

    /// Whether [`Blocks::next_manifest`] has something.
    pub(super) fn has_manifest(&self, copies: u32) -> bool {
        self.has_fresh_manifest(copies) || !self.repeats.is_empty()
    }

    /// Whether what was never sent of the manifest is worth a datagram: a few entries, many where all of them are zero, or
    /// the last ones.
    fn has_fresh_manifest(&self, copies: u32) -> bool {
        let fresh = &self.states[self.manifest_sent as usize..];
        let is_enough = fresh.len() >= MANIFEST_ZERO_BATCH as usize
            || (fresh.len() >= manifest_batch(copies) as usize && fresh.iter().any(BlockState::has_data));
        is_enough || (!fresh.is_empty() && self.all_read())
    }

    /// The next block of a pass that [`Blocks::start_over`] began.
    pub(super) fn next_again(&mut self) -> Option<Job> {
        let block = self.carousel?;
        let state = &self.states[block as usize];
        if state.busy {
            return None;
        }
        let ahead = state.ahead;
        self.carousel = self.next_with_symbols(block + 1);
        Some(self.source_job(BlockIndex(block), ahead))
    }

    fn next_with_symbols(&self, from: u32) -> Option<u32> {
        let mut rest = self.states.iter().zip(0..).skip(from as usize);
        rest.find(|(state, _)| state.source_symbols > 0).map(|(_, block)| block)
    }

    fn source_job(&mut self, block: BlockIndex, repair: u32) -> Job {
        self.outstanding += 1;
        let state = &mut self.states[block.index()];
        (state.busy, state.touched) = (true, true);
        Job::Source { block, first: state.take_esis(repair), repair }
    }

    /// The first block of a queue of which no job is handed out.
    fn take_idle(queue: &mut VecDeque<BlockIndex>, states: &[BlockState]) -> Option<BlockIndex> {
        let at = queue.iter().position(|block| !states[block.index()].busy)?;
        queue.remove(at)
    }

    /// A job's symbols have all left; `last` was the last one's number.
    pub(super) fn finish(&mut self, job: Job, last: Sequence) {
        let state = &mut self.states[job.block().index()];
        assert!(state.busy, "{job:?} was not handed out");
        state.busy = false;
        state.last = last;
        self.outstanding -= 1;
        if !state.passed {
            state.passed = true;
            state.base = last;
            self.advance_sent();
            self.repeat_last_entries();
        }
    }

    /// The last entries are followed by no others that would repeat them: each block that is sent after them does.
    fn repeat_last_entries(&mut self) {
        let blocks = self.geometry.blocks();
        if self.all_read() && self.manifest_sent == blocks && self.repeats.is_empty() {
            let first = self.back_from(blocks, MANIFEST_LAST, MANIFEST_LAST, 0);
            self.repeats.push_back(GapRun { first: BlockIndex(first), blocks: (blocks - first) as u16 });
        }
    }

    /// Takes a host's deficit into account; see the top of the file. `loss` is the share of what is sent now that will be
    /// lost on its way.
    pub(super) fn demand(&mut self, run: DeficitRun, highest: Sequence, loss: f64) {
        let symbols = f64::from(run.symbols) * (1.0 + loss.clamp(0.0, LOSS_COVERED_MAX));
        let symbols = symbols.round() as u32;
        for block in run.first.0..run.first.0 + u32::from(run.blocks) {
            let Some(state) = self.states.get_mut(block as usize) else { return };
            if !state.passed || state.entry.encoding == Encoding::Zero {
                continue;
            }
            if !state.busy && highest >= state.last {
                state.base = state.last;
                state.in_epoch = 0;
            } else if highest < state.base {
                continue;
            }
            let lacking = symbols.saturating_sub(state.in_epoch);
            if lacking > state.demand {
                // Who holds something of a block gets symbols that it cannot have, however many: of the same ones in the same order
                // a host that takes in only the first few of them would learn nothing.
                let is_whole =
                    u32::from(run.symbols) > state.source_symbols && lacking >= state.source_symbols;
                let was = state.queue;
                state.demand = lacking;
                let block = BlockIndex(block);
                if is_whole && was != Queue::Whole {
                    state.queue = Queue::Whole;
                    self.partial.retain(|&queued| queued != block);
                    self.whole.push_back(block);
                } else if was == Queue::None {
                    state.queue = Queue::Partial;
                    self.partial.push_back(block);
                }
            }
        }
    }

    /// Takes back what is asked for and not handed out yet. Whoever still lacks it says so in the next round.
    pub(super) fn forget_demands(&mut self) {
        for block in self.partial.drain(..).chain(self.whole.drain(..)) {
            let state = &mut self.states[block.index()];
            (state.demand, state.queue) = (0, Queue::None);
        }
    }

    /// Queues manifest entries that a host lacks, unless they were repeated after what it has seen.
    pub(super) fn demand_manifest(&mut self, gap: GapRun, highest: Sequence) {
        let mut first = gap.first.0;
        let end = (gap.first.0 + u32::from(gap.blocks)).min(self.manifest_sent);
        while first < end && self.repeats.len() < MANIFEST_REPEATS_MAX {
            let blocks = self.run_end(first, end) - first;
            let run = GapRun { first: BlockIndex(first), blocks: blocks as u16 };
            let fresh = self.states[first as usize].manifest_last > highest;
            if !fresh && !self.repeats.contains(&run) {
                self.repeats.push_back(run);
            }
            first += blocks;
        }
    }

    /// The next manifest datagram to send: new entries once there are a few (or no more to come), each run beginning
    /// with what those before it ended with, so that each entry is sent so many times; else what a host lacks.
    pub(super) fn next_manifest(&mut self, sequence: Sequence, copies: u32) -> Option<ManifestRun> {
        if self.has_fresh_manifest(copies) {
            let first = self.repeat_from(copies);
            let end = self.run_end(first, self.states.len() as u32);
            self.manifest_sent = end;
            return Some(self.run(first, end, sequence));
        }
        let run = self.repeats.pop_front()?;
        Some(self.run(run.first.0, run.first.0 + u32::from(run.blocks), sequence))
    }

    /// Where the next run begins, so that each entry is sent so many times.
    fn repeat_from(&self, copies: u32) -> u32 {
        let zeros =
            ((copies - 1) * MANIFEST_ZERO_BATCH).min(MANIFEST_BLOCKS_MAX as u32 - MANIFEST_ZERO_BATCH);
        let batch = manifest_batch(copies);
        self.back_from(self.manifest_sent, (copies - 1) * batch, zeros, batch)
    }

    /// So many blocks back from `end`, of which so many are not zero, as far as one datagram holds them and `spare` more.
    fn back_from(&self, end: u32, data_max: u32, blocks_max: u32, spare: u32) -> u32 {
        let room = manifest_room(self.geometry.control_bytes());
        let (mut first, mut data) = (end, 0);
        while first > 0 && end - first < blocks_max {
            data += u32::from(self.states[first as usize - 1].has_data());
            let (blocks, all_data) = ((end - first + 1 + spare) as usize, (data + spare) as usize);
            if data > data_max || manifest_bytes(blocks, all_data, self.tells_fingerprints()) > room {
                break;
            }
            first -= 1;
        }
        first
    }

    /// The end of a run from `first` on, which is below `end`: as much as one datagram holds.
    fn run_end(&self, first: u32, end: u32) -> u32 {
        let room = manifest_room(self.geometry.control_bytes());
        let (mut blocks, mut data) = (0, 0);
        for state in &self.states[first as usize..end as usize] {
            data += usize::from(state.has_data());
            if blocks == MANIFEST_BLOCKS_MAX
                || manifest_bytes(blocks + 1, data, self.tells_fingerprints()) > room
            {
                break;
            }
            blocks += 1;
        }
        first + blocks as u32
    }

    fn run(&mut self, first: u32, end: u32, sequence: Sequence) -> ManifestRun {
        let states = &mut self.states[first as usize..end as usize];
        states.iter_mut().for_each(|state| state.manifest_last = sequence);
        ManifestRun {
            first: BlockIndex(first),
            blocks: states.iter().map(|state| Listed::from(state.entry)).collect(),
            fingerprints: states.iter().filter_map(|state| state.fingerprint).collect(),
        }
    }

    fn tells_fingerprints(&self) -> bool {
        self.first_pass == FirstPass::OnDemand
    }

    fn advance_sent(&mut self) {
        while self.states.get(self.sent as usize).is_some_and(|state| state.passed) {
            self.sent += 1;
        }
    }
}

impl BlockState {
    fn has_data(&self) -> bool {
        self.source_symbols > 0
    }

    /// Ids of so many repair symbols that were not sent before.
    fn take_esis(&mut self, count: u32) -> Esi {
        let first = Esi::new(self.next_esi)
            .filter(|first| first.plus(count).is_some())
            .or_else(|| Esi::new(self.source_symbols)) // all 2^24 ids were used: begin again
            .expect("K is far below 2^24");
        self.next_esi = first.value() + count;
        first
    }
}

/// Entries that wait for company before they travel. Where each is sent often it waits for none: a host keeps a buffer for each
/// block whose entry it lacks, and has few.
fn manifest_batch(copies: u32) -> u32 {
    if copies > 2 { 1 } else { MANIFEST_BATCH }
}

/// More than this is not sent on top of a deficit, however much is lost: the next report says what is still lacking.
const LOSS_COVERED_MAX: f64 = 0.5;

/// Entries that wait for company where each is sent twice, and are repeated in the datagram after: some 0.007 % of the object.
const MANIFEST_BATCH: u32 = 4;
/// The same where all of them are zero: nothing of such a block travels that would have to wait for its entry, and half a
/// gigabyte of them takes a datagram of less than 200 bytes.
const MANIFEST_ZERO_BATCH: u32 = 512;

/// Entries that are repeated at the end of the pass.
const MANIFEST_LAST: u32 = 6 * MANIFEST_BATCH;

const _: () = {
    let batch = MANIFEST_BATCH as usize;
    assert!(manifest_bytes(2 * batch, 2 * batch, true) <= manifest_room(CONTROL_SMALL));
    let zeros = MANIFEST_BLOCKS_MAX - MANIFEST_ZERO_BATCH as usize;
    assert!(
        manifest_bytes(zeros + batch, batch, true) <= manifest_room(CONTROL_SMALL),
        "what is repeated leaves room"
    );
};

#[cfg(test)]
mod tests {
    use super::*;

    const K: u32 = 733; // 1 MiB in symbols of 1432 bytes

    #[test]
    fn two_hosts_with_the_same_deficit_are_served_once() {
        let mut blocks = passed_up_to(100);
        blocks.demand(deficit(0, 5), at(100), 0.0);
        assert_eq!(take_repair(&mut blocks), Some((K, 5)));
        blocks.demand(deficit(0, 5), at(100), 0.0);
        assert_eq!(take_repair(&mut blocks), None, "the other host's five are the same five");
    }

    #[test]
    fn a_larger_deficit_of_the_same_time_adds_only_the_difference() {
        let mut blocks = passed_up_to(100);
        blocks.demand(deficit(0, 5), at(100), 0.0);
        let job = blocks.next_repair().expect("five");
        blocks.demand(deficit(0, 8), at(100), 0.0);
        assert_eq!(blocks.next_repair(), None, "one job of a block at a time");
        blocks.finish(job, at(105));
        assert_eq!(take_repair(&mut blocks), Some((K + 5, 3)));
    }

    #[test]
    fn what_is_lacking_after_the_repair_was_seen_is_served_with_fresh_symbols() {
        let mut blocks = passed_up_to(100);
        blocks.demand(deficit(0, 5), at(100), 0.0);
        let job = blocks.next_repair().expect("five");
        blocks.finish(job, at(105));
        blocks.demand(deficit(0, 2), at(105), 0.0);
        assert_eq!(take_repair(&mut blocks), Some((K + 5, 2)));
    }

    #[test]
    fn a_report_from_before_the_first_pass_ended_is_out_of_date() {
        let mut blocks = passed_up_to(100);
        blocks.demand(deficit(0, 300), at(99), 0.0);
        assert_eq!(blocks.next_repair(), None);
    }

    #[test]
    fn a_host_that_holds_nothing_gets_the_source_symbols_again() {
        let mut blocks = passed_up_to(100);
        blocks.demand(deficit(0, K as u16 + 1), at(100), 0.0);
        assert_eq!(blocks.next_repair(), None);
        let again = Job::Source { block: BlockIndex(0), first: esi(K), repair: 0 };
        assert_eq!(blocks.next_whole(), Some(again));
    }

    #[test]
    fn repair_symbols_made_ahead_are_not_sent_again() {
        let mut blocks = blocks_of(2);
        blocks.push(entry(Encoding::Stored), None, 7);
        let job = blocks.next_source().expect("read");
        assert_eq!(job, Job::Source { block: BlockIndex(0), first: esi(K), repair: 7 });
        blocks.finish(job, at(100));
        blocks.demand(deficit(0, 2), at(100), 0.0);
        assert_eq!(take_repair(&mut blocks), Some((K + 7, 2)));
    }

    #[test]
    fn what_was_taken_back_is_asked_for_again_by_whoever_lacks_it() {
        let mut blocks = passed_up_to(100);
        blocks.demand(deficit(0, 500), at(100), 0.0);
        blocks.forget_demands();
        assert_eq!(blocks.next_repair(), None);
        blocks.demand(deficit(0, 3), at(100), 0.0);
        assert_eq!(take_repair(&mut blocks), Some((K, 3)));
    }

    #[test]
    fn a_host_that_holds_something_gets_new_symbols_however_much_is_lost() {
        let mut blocks = passed_up_to(100);
        blocks.demand(deficit(0, K as u16), at(100), 0.5);
        assert_eq!(take_repair(&mut blocks), Some((K, (K * 3).div_ceil(2))));
        assert_eq!(blocks.next_whole(), None);
    }

    #[test]
    fn a_host_that_holds_nothing_gets_the_source_symbols_also_where_another_lacks_some() {
        let mut blocks = passed_up_to(100);
        blocks.demand(deficit(0, 3), at(100), 0.0);
        blocks.demand(deficit(0, K as u16 + 1), at(100), 0.0);
        assert_eq!(take_repair(&mut blocks), None);
        assert!(matches!(blocks.next_whole(), Some(Job::Source { repair: 0, .. })));
        assert!(blocks.next_whole().is_none());
    }

    #[test]
    fn what_will_be_lost_on_its_way_is_sent_with_it() {
        let mut blocks = passed_up_to(100);
        blocks.demand(deficit(0, 100), at(100), 0.1);
        assert_eq!(take_repair(&mut blocks), Some((K, 110)));
    }

    #[test]
    fn a_further_pass_sends_everything_again_with_other_repair_symbols() {
        let mut blocks = blocks_of(3);
        for encoding in [Encoding::Stored, Encoding::Zero, Encoding::Stored] {
            blocks.push(entry(encoding), None, 5);
        }
        while let Some(job) = blocks.next_source() {
            blocks.finish(job, at(100));
        }
        while blocks.next_manifest(at(101), 2).is_some() {}
        blocks.start_over();
        assert!(!blocks.is_idle());
        let mut again = Vec::new();
        while let Some(job) = blocks.next_again() {
            blocks.finish(job, at(200));
            again.push(job);
        }
        let job = |block| Job::Source { block: BlockIndex(block), first: esi(K + 5), repair: 5 };
        assert_eq!(again, [job(0), job(2)]);
        assert!(blocks.next_manifest(at(201), 2).is_some_and(|run| run.first == BlockIndex(0)));
    }

    #[test]
    fn manifest_entries_travel_as_often_as_asked_for_in_different_datagrams() {
        for copies in [2, 6] {
            let times = times_sent(copies);
            let all_but_last = &times[..32];
            assert!(all_but_last.iter().all(|&times| times == copies), "{copies}: {times:?}");
        }
    }

    #[test]
    fn the_last_manifest_entries_are_repeated_with_the_last_blocks() {
        let mut blocks = blocks_of(30);
        (0..30).for_each(|_| {
            blocks.push(entry(Encoding::Stored), None, 0);
        });
        while blocks.next_manifest(at(1), 2).is_some() {}
        for _ in 0..3 {
            let job = blocks.next_source().expect("30 were read");
            blocks.finish(job, at(2));
            let run = blocks.next_manifest(at(3), 2).expect("once more");
            assert_eq!((run.first, run.blocks.len()), (BlockIndex(6), 24));
            assert_eq!(blocks.next_manifest(at(3), 2), None);
        }
    }

    /// How often each of 40 entries is sent as they are read.
    fn times_sent(copies: u32) -> Vec<u32> {
        let mut blocks = blocks_of(40);
        let mut times = vec![0; 40];
        for _ in 0..40 {
            blocks.push(entry(Encoding::Stored), None, 0);
            while let Some(run) = blocks.next_manifest(at(1), copies) {
                let first = run.first.index();
                times[first..first + run.blocks.len()].iter_mut().for_each(|times| *times += 1);
            }
        }
        assert_eq!(blocks.manifest_sent(), 40);
        times
    }

    #[test]
    fn zero_blocks_travel_together_and_twice_too() {
        let count = 3 * MANIFEST_ZERO_BATCH;
        let mut blocks = blocks_of(u64::from(count) + 1);
        let mut runs = Vec::new();
        for _ in 0..count {
            blocks.push(entry(Encoding::Zero), None, 0);
            runs.extend(blocks.next_manifest(at(1), 2));
        }
        let spans: Vec<(u32, u32)> = runs.iter().map(|run| (run.first.0, run.blocks.len() as u32)).collect();
        let batch = MANIFEST_ZERO_BATCH;
        assert_eq!(spans, [(0, batch), (0, 2 * batch), (batch, 2 * batch)]);
        // The last entry is waited for by nobody, and comes with those before it.
        blocks.push(entry(Encoding::Stored), None, 0);
        let last = blocks.next_manifest(at(2), 2).expect("all is read");
        assert_eq!((last.first.0, last.blocks.len() as u32), (2 * batch, batch + 1));
    }

    #[test]
    fn no_run_is_longer_than_its_datagram_and_nothing_is_left_out() {
        for data_every in [1, 3, 50, 5_000] {
            let mut blocks =
                Blocks::new(Geometry::new(5_000 << 20, 20, 488).expect("in range"), FirstPass::OnDemand);
            let mut told = 0;
            for i in 0..5_000 {
                if i % data_every == 0 {
                    blocks.push(entry(Encoding::Stored), Some(Fingerprint([0; 16])), 0);
                } else {
                    blocks.push(entry(Encoding::Zero), None, 0);
                }
            }
            let mut take = |run: ManifestRun| {
                assert!(run.first.0 <= told, "no gap");
                told = run.first.0 + run.blocks.len() as u32;
                let bytes = manifest_bytes(run.blocks.len(), run.fingerprints.len(), true);
                assert!(bytes <= manifest_room(CONTROL_SMALL) && run.blocks.len() <= MANIFEST_BLOCKS_MAX);
            };
            while let Some(run) = blocks.next_manifest(at(1), 2) {
                take(run);
            }
            assert_eq!(told, 5_000);
        }
    }

    #[test]
    fn what_hosts_lack_of_the_manifest_is_cut_to_datagrams() {
        let mut blocks = blocks_of(100);
        for _ in 0..100 {
            blocks.push(entry(Encoding::Stored), None, 0);
        }
        while blocks.next_manifest(at(1), 2).is_some() {}
        blocks.demand_manifest(GapRun { first: BlockIndex(10), blocks: 80 }, at(1));
        let mut next = 10;
        while let Some(run) = blocks.next_manifest(at(2), 2) {
            assert_eq!(run.first.0, next);
            next += run.blocks.len() as u32;
        }
        assert_eq!(next, 90);
    }

    #[test]
    fn on_demand_nothing_is_sent_that_nobody_lacks_and_all_of_what_somebody_does() {
        let geometry = Geometry::for_path(3 << 20, 1500, 20).expect("in range");
        let mut blocks = Blocks::new(geometry, FirstPass::OnDemand);
        for _ in 0..3 {
            blocks.push(entry(Encoding::Stored), Some(Fingerprint([0; 16])), 0);
        }
        while blocks.next_manifest(at(1), 2).is_some() {}
        assert!(blocks.all_sent() && blocks.is_idle() && blocks.next_source().is_none());
        blocks.demand(deficit(1, K as u16 + 1), at(1), 0.0);
        let job = blocks.next_whole().expect("asked for");
        assert_eq!(job, Job::Source { block: BlockIndex(1), first: esi(K), repair: 0 });
        // Another host asks for the same; what is on its way will do for both.
        blocks.demand(deficit(1, K as u16 + 1), at(1), 0.0);
        blocks.finish(job, at(800));
        blocks.demand(deficit(1, 5), at(700), 0.0);
        assert_eq!((blocks.next_whole(), blocks.next_repair()), (None, None));
        assert_eq!(blocks.spared(), (2, 2 << 20));
    }

    #[test]
    fn a_whole_block_takes_with_it_what_will_be_lost() {
        let mut blocks = passed_up_to(100);
        blocks.demand(deficit(0, K as u16 + 1), at(100), 0.1);
        let repair = (f64::from(K + 1) * 0.1).round() as u32;
        assert_eq!(blocks.next_whole(), Some(Job::Source { block: BlockIndex(0), first: esi(K), repair }));
    }

    fn blocks_of(blocks: u64) -> Blocks {
        Blocks::new(Geometry::for_path(blocks << 20, 1500, 20).expect("in range"), FirstPass::Sent)
    }

    fn passed_up_to(sequence: u64) -> Blocks {
        let mut blocks = blocks_of(2);
        blocks.push(entry(Encoding::Stored), None, 0);
        let job = blocks.next_source().expect("read");
        blocks.finish(job, at(sequence));
        assert_eq!(blocks.sent(), 1);
        blocks
    }

    fn take_repair(blocks: &mut Blocks) -> Option<(u32, u32)> {
        blocks.next_repair().map(|job| match job {
            Job::Repair { first, count, .. } => (first.value(), count),
            Job::Source { .. } => panic!("source symbols again"),
        })
    }

    fn entry(encoding: Encoding) -> ManifestEntry {
        ManifestEntry { encoding, hash: BlockHash([0; 32]) }
    }

    fn deficit(block: u32, symbols: u16) -> DeficitRun {
        DeficitRun { first: BlockIndex(block), blocks: 1, symbols }
    }

    fn esi(value: u32) -> Esi {
        Esi::new(value).expect("small")
    }

    fn at(sequence: u64) -> Sequence {
        Sequence::new(sequence).expect("small")
    }
}
