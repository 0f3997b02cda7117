//! What the sender knows of each block: whether its first pass was sent, how many repair symbols are asked for, and in
//! which order they are served.
//!
//! `state` counts the symbols of one block, `demands` queues the blocks of which hosts lack something, `manifest`
//! schedules the entries of all blocks, and `job` is what the shell is to send. [`Blocks`] keeps them together.

mod demands;
mod job;
mod manifest;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

pub use job::Job;

use crate::geometry::Geometry;
use crate::ids::{BlockIndex, Sequence};
use crate::integrity::{BlockHash, Fingerprint};
use crate::wire::{DeficitRun, Encoding, GapRun, ManifestEntry, ManifestRun};
use demands::{Demands, Queue};
use manifest::ManifestSchedule;
use state::BlockState;

/// Whether blocks are sent before a host has asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstPass {
    /// Each block is sent once, unless every host has reported that it holds the block.
    Sent,
    /// No block is sent: hosts receive the manifest, look at what they hold, and ask for the rest.
    OnDemand,
}

/// Blocks of which nothing was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// The number of blocks.
    pub blocks: u32,
    /// Their bytes.
    pub bytes: u64,
}

/// All blocks of the object that were read so far.
pub(super) struct Blocks {
    geometry: Geometry,
    first_pass: FirstPass,
    states: Vec<BlockState>,
    manifest: ManifestSchedule,
    /// Blocks below this one have had their first pass.
    sent: u32,
    /// Blocks that were read and wait for their first pass: as many as the shell's own queue of read blocks.
    ready: VecDeque<BlockIndex>,
    /// The block that a further pass of one-way mode sends next, if one is under way.
    carousel: Option<u32>,
    demands: Demands,
    /// Jobs handed out and not yet sent.
    outstanding: u32,
}

impl Blocks {
    /// Returns the blocks of an object of which nothing was read.
    pub(super) fn new(geometry: Geometry, first_pass: FirstPass) -> Self {
        Self {
            geometry,
            first_pass,
            states: Vec::new(),
            manifest: ManifestSchedule::new(geometry, first_pass == FirstPass::OnDemand),
            sent: 0,
            ready: VecDeque::new(),
            carousel: None,
            demands: Demands::default(),
            outstanding: 0,
        }
    }

    /// Adds the entry of the next block, in the order of the object, with the number of repair symbols that were made
    /// `ahead` with it.
    pub(super) fn push(
        &mut self,
        entry: ManifestEntry,
        fingerprint: Option<Fingerprint>,
        ahead: u32,
    ) -> BlockIndex {
        let block = self.manifest.push(entry, fingerprint);
        let is_zero = entry.encoding == Encoding::Zero;
        let encoded_len = entry.encoded_len(self.geometry, block);
        let source_symbols = if is_zero { 0 } else { self.geometry.shape(encoded_len).source_symbols() };
        let is_passed = is_zero || self.first_pass == FirstPass::OnDemand;
        self.states.push(BlockState::new(source_symbols, ahead, is_passed));
        self.demands.push();
        if is_passed {
            self.advance_sent();
        } else {
            self.ready.push_back(block);
        }
        block
    }

    /// Whether all blocks of the object were read.
    pub(super) fn all_read(&self) -> bool {
        self.manifest.all_read()
    }

    /// The number of blocks whose first pass was sent, counted from the start of the object without a gap.
    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    /// The number of entries that were sent once, counted from the start of the object.
    pub(super) fn manifest_sent(&self) -> u32 {
        self.manifest.sent()
    }

    /// Whether each block had its first pass, and each entry was sent once.
    pub(super) fn all_sent(&self) -> bool {
        self.sent == self.geometry.blocks() && self.manifest.all_sent()
    }

    /// Whether nothing is asked for and nothing is being made.
    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty()
            && self.carousel.is_none()
            && self.demands.is_empty()
            && self.manifest.has_no_repeats()
            && self.outstanding == 0
    }

    pub(super) fn hashes(&self) -> Vec<BlockHash> {
        self.manifest.hashes()
    }

    /// The blocks with data of which nothing was sent.
    pub(super) fn unsent(&self) -> Unsent {
        let unsent = self.geometry.indices().zip(&self.states);
        let unsent = unsent.filter(|(_, state)| state.source_symbols() > 0 && !state.is_touched());
        unsent.fold(Unsent::default(), |sum, (block, _)| Unsent {
            blocks: sum.blocks + 1,
            bytes: sum.bytes + u64::from(self.geometry.block_len(block)),
        })
    }

    pub(super) fn first_pass(&self) -> FirstPass {
        self.first_pass
    }

    pub(super) fn entry(&self, block: BlockIndex) -> Option<&ManifestEntry> {
        self.manifest.get(block)
    }

    /// Returns all symbols of a block that hosts may hold, if it has symbols.
    pub(super) fn handed_out(&self, block: BlockIndex) -> Option<Job> {
        let state = self.states.get(block.index()).filter(|state| state.source_symbols() > 0)?;
        Some(state.handed_out(block))
    }

    /// Returns K of a block that was read.
    pub(super) fn source_symbols(&self, block: BlockIndex) -> u32 {
        self.states[block.index()].source_symbols()
    }

    /// Hands out the next first pass.
    pub(super) fn next_source(&mut self) -> Option<Job> {
        let block = self.ready.pop_front()?;
        Some(self.begin(block, BlockState::begin_pass))
    }

    /// Returns the block whose first pass is next.
    pub(super) fn next_fresh(&self) -> Option<BlockIndex> {
        self.ready.front().copied()
    }

    /// Whether the first pass of a block was sent.
    pub(super) fn is_passed(&self, block: BlockIndex) -> bool {
        self.states.get(block.index()).is_some_and(BlockState::is_passed)
    }

    /// Skips the next first pass, as every host held the block when datagram `last` was sent.
    pub(super) fn skip(&mut self, last: Sequence) {
        let Some(block) = self.ready.pop_front() else { return };
        self.states[block.index()].skip(last);
        self.advance_sent();
    }

    /// Hands out the next repair of a block of which every host holds something.
    pub(super) fn next_repair(&mut self) -> Option<Job> {
        let block = self.take_idle(Queue::Partial)?;
        Some(self.begin(block, BlockState::begin_repair))
    }

    /// Hands out the next block of which a host holds nothing: its source symbols again, which cost no encoding on the
    /// sender and no decoding on the host.
    pub(super) fn next_whole(&mut self) -> Option<Job> {
        let block = self.take_idle(Queue::Shared).or_else(|| self.take_idle(Queue::Whole))?;
        Some(self.begin(block, BlockState::begin_whole))
    }

    /// The same, of blocks for which a host has a buffer already: it waits for symbols of this block.
    pub(super) fn next_shared(&mut self) -> Option<Job> {
        let block = self.take_idle(Queue::Shared)?;
        Some(self.begin(block, BlockState::begin_whole))
    }

    /// Sends everything once more, including the manifest, each block with `ahead` repair symbols that were not sent
    /// before.
    pub(super) fn start_over(&mut self) {
        self.carousel = self.next_with_symbols(0);
        self.repeat_manifest();
    }

    /// Sends the manifest once more.
    pub(super) fn repeat_manifest(&mut self) {
        self.manifest.start_over();
    }

    /// Whether [`Blocks::next_manifest`] has something.
    pub(super) fn has_manifest(&self, copies: u32) -> bool {
        self.manifest.is_due(copies)
    }

    /// Returns the next manifest datagram to send, with number `sequence`; see [`ManifestSchedule::next`].
    pub(super) fn next_manifest(&mut self, sequence: Sequence, copies: u32) -> Option<ManifestRun> {
        self.manifest.next(sequence, copies)
    }

    /// Queues manifest entries that a host lacks, unless they were repeated after `highest`, the last datagram that it
    /// has seen.
    pub(super) fn demand_manifest(&mut self, gap: GapRun, highest: Sequence) {
        self.manifest.demand(gap, highest);
    }

    /// Hands out the next block of a pass that [`Blocks::start_over`] began.
    pub(super) fn next_again(&mut self) -> Option<Job> {
        let block = self.carousel?;
        if self.states[block as usize].is_busy() {
            return None;
        }
        self.carousel = self.next_with_symbols(block + 1);
        Some(self.begin(BlockIndex(block), BlockState::begin_pass))
    }

    /// Notes that all symbols of `job` have left; `last` is the number of the last one.
    ///
    /// # Panics
    /// If no job of its block is handed out.
    pub(super) fn finish(&mut self, job: Job, last: Sequence) {
        let state = &mut self.states[job.block().index()];
        assert!(state.is_busy(), "{job:?} was not handed out");
        self.outstanding -= 1;
        if state.finish(last) {
            self.advance_sent();
            self.manifest.repeat_last();
        }
    }

    /// Handles a host's deficit: what it lacked of the datagrams up to `highest`. `loss` is the share of what is sent
    /// now that will be lost on its way.
    pub(super) fn demand(&mut self, run: DeficitRun, highest: Sequence, loss: f64) {
        let symbols = f64::from(run.symbols) * (1.0 + loss.clamp(0.0, LOSS_COVERED_MAX));
        let symbols = symbols.round() as u32;
        for block in run.first.0..run.first.0 + u32::from(run.blocks) {
            let Some(state) = self.states.get_mut(block as usize) else { return };
            let (k, block) = (state.source_symbols(), BlockIndex(block));
            let Some(lacking) = state.ask(symbols, highest) else {
                // As much is asked for already; but the queue says whether a host waits for it with a buffer.
                if u32::from(run.symbols) <= k && self.demands.has(block) {
                    self.demands.put(block, Queue::Partial);
                }
                continue;
            };
            // A host that holds something of a block gets new repair symbols, not the same source symbols in the same
            // order: from those, a host that takes in only the first few would learn nothing.
            let is_whole = u32::from(run.symbols) > k && lacking >= k;
            self.demands.put(block, if is_whole { Queue::Whole } else { Queue::Partial });
        }
    }

    /// Drops what is asked for and not handed out yet. A host that still lacks it asks again in the next round.
    pub(super) fn forget_demands(&mut self) {
        while let Some(block) = self.demands.take_any() {
            self.states[block.index()].forget_demand();
        }
    }

    /// Takes the first block of a queue for which no job is handed out.
    fn take_idle(&mut self, queue: Queue) -> Option<BlockIndex> {
        self.demands.take_first(queue, |block| self.states[block.index()].is_busy())
    }

    /// Hands out a job of a block.
    fn begin(&mut self, block: BlockIndex, begin: impl FnOnce(&mut BlockState, BlockIndex) -> Job) -> Job {
        self.outstanding += 1;
        begin(&mut self.states[block.index()], block)
    }

    fn next_with_symbols(&self, from: u32) -> Option<u32> {
        let mut rest = self.states.iter().zip(0..).skip(from as usize);
        rest.find(|(state, _)| state.source_symbols() > 0).map(|(_, block)| block)
    }

    fn advance_sent(&mut self) {
        while self.states.get(self.sent as usize).is_some_and(BlockState::is_passed) {
            self.sent += 1;
        }
    }
}

/// Largest share of a deficit that is sent on top of it, however much is lost: the next report names what is still
/// lacking.
const LOSS_COVERED_MAX: f64 = 0.5;
