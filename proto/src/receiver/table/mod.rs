//! The state of each block on this host: where its symbols are collected, what it lacks, and whether it is proven
//! and written.
//!
//! `manifest` has the sender's entries, `collect` the buffers and their symbols, `refused` what finds none, `reuse` the
//! places on this host where blocks may lie already, `queue` the blocks that can be proven now, `suspicion`, `suspects`
//! and `sift` what becomes of symbols that do not amount to their block, `horizon` how far ahead blocks are collected.
//! [`Table`] moves each block from one state to the next, and `states` keeps those of each kind together, so that a
//! report costs no walk over all blocks.

mod block_set;
mod collect;
mod horizon;
mod manifest;
mod queue;
mod refused;
mod reuse;
mod runs;
mod sift;
mod states;
mod suspects;
mod suspicion;
#[cfg(test)]
mod tests;
mod work;

use std::collections::{BTreeMap, BTreeSet};

pub use collect::{BufferId, Collected, Place, buffer_symbols};
pub use reuse::{BaseIndex, Origin};
pub use sift::{Sifted, SymbolHashes};
pub use work::Work;

use crate::geometry::Geometry;
use crate::ids::BlockIndex;
use crate::integrity::{BlockHash, Root};
use crate::wire::{DeficitRun, Discard, GapRun, KeptRun, ManifestRun, Poll, SymbolHeader, report_runs_in};
use collect::Buffers;
use horizon::Horizon;
use manifest::{Known, Manifest};
use queue::ProofQueue;
use refused::Refused;
use reuse::Reuse;
use runs::deficit_runs;
use states::{State, States};
use suspects::Suspects;
pub(super) use suspicion::Tries;

/// All blocks of the object.
pub(super) struct Table {
    geometry: Geometry,
    manifest: Manifest,
    states: States,
    buffers: Buffers,
    refused: Refused,
    /// The number of symbols beyond K that a block waits for before its first try.
    overhead: u32,
    queue: ProofQueue,
    /// Whether blocks were kept of an earlier session.
    resumed: bool,
    /// Kept blocks whose symbols had all arrived before the store named them: they are read only if the symbols do
    /// not restore the block.
    kept_besides: BTreeSet<BlockIndex>,
    /// How often each block did not match the manifest.
    corrupt: BTreeMap<BlockIndex, u32>,
    /// Blocks that did not match it, and whose symbols are kept.
    suspects: Suspects,
    horizon: Horizon,
    /// Present if the push has a base.
    reuse: Option<Box<Reuse>>,
    held: u32,
    /// Blocks below this one are held.
    held_prefix: u32,
}

impl Table {
    /// Returns the table of an object of which nothing has arrived, with `buffers` buffers.
    pub(super) fn new(geometry: Geometry, buffers: u16) -> Self {
        let (blocks, buffer_count) = (geometry.blocks(), buffers);
        let buffers = match geometry.object_bytes().min(geometry.block_bytes()) {
            0 => Buffers::none(),
            longest => Buffers::new(buffers, geometry.shape(longest as u32)),
        };
        Self {
            geometry,
            manifest: Manifest::new(geometry),
            states: States::new(blocks),
            buffers,
            refused: Refused::default(),
            overhead: 0,
            queue: ProofQueue::default(),
            resumed: false,
            kept_besides: BTreeSet::new(),
            corrupt: BTreeMap::new(),
            suspects: Suspects::new(geometry.blocks(), buffer_count),
            horizon: Horizon::none(),
            reuse: None,
            held: 0,
            held_prefix: 0,
        }
    }

    /// Makes blocks wait for [`OVERHEAD`] symbols beyond K. Symbols that arrive while a block is being rebuilt are
    /// dropped, and in one-way mode no more can be asked for if the set does not determine the block.
    pub(super) fn wait_for_overhead(&mut self) {
        self.overhead = OVERHEAD;
        self.suspects = Suspects::none();
    }

    /// Collects no block that is far ahead of what the sender has signed; see [`Horizon`].
    pub(super) fn hold_to_signed_progress(&mut self) {
        self.horizon = Horizon::new(self.buffers.count());
    }

    /// Notes how far the sender is by its own word.
    pub(super) fn note_progress(&mut self, poll: &Poll) {
        self.horizon.reach(poll.blocks_sent.max(poll.manifest_sent));
    }

    /// Notes that the push has a base: no block is asked for before its index is known, see [`Table::take_base`].
    pub(super) fn wait_for_base(&mut self) {
        self.reuse = Some(Box::new(Reuse::new(self.geometry)));
    }

    /// Whether the index of the base is not known yet.
    pub(super) fn is_preparing(&self) -> bool {
        self.reuse.as_ref().is_some_and(|reuse| reuse.is_preparing())
    }

    /// Takes in the index of the base, which may be empty.
    pub(super) fn take_base(&mut self, base: BaseIndex) {
        let Some(reuse) = self.reuse.as_mut().filter(|reuse| reuse.is_preparing()) else { return };
        reuse.take_base(base);
        (0..self.geometry.blocks()).map(BlockIndex).for_each(|block| self.look_for(block));
    }

    /// Has a missing block made from bytes on this host, if possible: first from what was kept of it, then from
    /// another place. Each is tried once.
    fn look_for(&mut self, block: BlockIndex) {
        if !matches!(self.states.get(block), State::Unseen | State::Collecting(_)) {
            return;
        }
        if self.kept_besides.remove(&block) {
            return self.take_kept(block);
        }
        let states = &self.states;
        let Some(reuse) = &mut self.reuse else { return };
        if let Some(origin) = reuse.find(block, |first| states.get(first) == State::Held) {
            self.make_of(block, origin);
        } else {
            self.review(block);
        }
    }

    fn make_of(&mut self, block: BlockIndex, origin: Origin) {
        match self.states.get(block) {
            State::Collecting(buffer) => self.forget(block, buffer),
            State::Unseen => {}
            _ => return,
        }
        self.turn(block, State::Matched(origin));
        self.queue.push(block);
    }

    /// Whether a block is being made from bytes in another place on this host.
    pub(super) fn is_reused(&self, block: BlockIndex) -> bool {
        matches!(self.states.get(block), State::Matched(_))
    }

    /// Tries the blocks with the symbols that are here, as everything was sent.
    pub(super) fn stop_waiting(&mut self) {
        if std::mem::take(&mut self.overhead) == 0 {
            return;
        }
        let collecting: Vec<BlockIndex> = self.states.collecting().collect();
        for block in collecting {
            if let State::Collecting(buffer) = self.states.get(block) {
                self.buffers.get_mut(buffer).stop_waiting();
                self.queue_if_ready(block);
            }
        }
    }

    /// Notes the blocks that an earlier session may have written. The symbols that arrived of them are dropped,
    /// unless they are enough: then the kept bytes are read only if the symbols do not restore the block.
    pub(super) fn keep(&mut self, blocks: &[BlockIndex]) {
        for &block in blocks {
            match self.states.find(block) {
                Some(State::Unseen | State::Collecting(_)) => self.take_kept(block),
                Some(State::Ready(_)) => drop(self.kept_besides.insert(block)),
                _ => continue,
            }
            self.resumed = true;
        }
    }

    /// Has the kept bytes of a block verified once its entry is known, and drops its symbols.
    fn take_kept(&mut self, block: BlockIndex) {
        if let State::Collecting(buffer) = self.states.get(block) {
            self.forget(block, buffer);
        }
        self.turn(block, State::Kept);
        self.queue_if_ready(block);
    }

    /// Whether blocks were kept of an earlier session.
    pub(super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Returns the blocks from `from` on that need not be sent to this host, in at most `runs_max` runs.
    pub(super) fn held_runs(&self, from: u32, runs_max: usize) -> Vec<KeptRun> {
        let runs = self.states.spared().runs_from(from).take(runs_max);
        runs.map(|run| KeptRun { first: BlockIndex(run.first), blocks: run.end - run.first }).collect()
    }

    /// The number of buffers that hold nothing.
    pub(super) fn free_buffers(&self) -> u16 {
        self.buffers.free() as u16
    }

    /// Whether at least half of the buffers are full and wait to be proven and written, so that the store is the
    /// bottleneck.
    pub(super) fn waits_for_store(&self) -> bool {
        2 * (self.buffers.lent() + self.queue.waiting()) >= self.buffers.count()
    }

    /// Whether every block is held or has all the symbols that it needs.
    pub(super) fn has_all_symbols(&self) -> bool {
        self.held + self.queue.open() >= self.geometry.blocks()
    }

    /// Describes in words what is not proven and written yet.
    pub(super) fn lacking(&self) -> String {
        let blocks = self.geometry.blocks();
        format!("{} of {blocks} blocks, the first of them {}", blocks - self.held, self.held_prefix)
    }

    /// Whether every block is proven and written.
    pub(super) fn is_complete(&self) -> bool {
        self.held == self.geometry.blocks()
    }

    /// The number of blocks that are proven and written.
    pub(super) fn held(&self) -> u32 {
        self.held
    }

    /// Returns where a symbol would go. Changes nothing: the datagram is not proven yet.
    pub(super) fn place_for(&self, header: &SymbolHeader) -> Result<Place, Discard> {
        if !self.geometry.contains(header.block) || !self.manifest.fits(header.block, header.encoded_len) {
            return Err(Discard::Malformed);
        }
        match self.states.get(header.block) {
            State::Kept
            | State::Rechecking
            | State::Matched(_)
            | State::Ready(_)
            | State::Rebuilding
            | State::Suspect(_)
            | State::Held => Err(Discard::NotNeeded),
            State::Collecting(buffer) => {
                let collected = self.buffers.get(buffer);
                if collected.encoded_len() != header.encoded_len {
                    return Err(Discard::Malformed);
                }
                Ok(Place { buffer, symbol: collected.place_for(header.esi)? })
            }
            State::Unseen => {
                self.horizon.check(header.block)?;
                let buffer = self.buffers.next().ok_or(Discard::NoBuffer)?;
                let k = self.geometry.shape(header.encoded_len).source_symbols();
                if self.refused.is_rest(header.block, header.esi, k) {
                    return Err(Discard::NoBuffer);
                }
                Ok(Place { buffer, symbol: header.esi.value().min(k) })
            }
        }
    }

    /// Notes that `symbols` symbols in a row from that of `header` on have found no buffer.
    pub(super) fn note_refused(&mut self, header: &SymbolHeader, symbols: u32) {
        let last = header.esi.plus(symbols - 1).unwrap_or(header.esi);
        self.refused.note(header.block, header.esi, last, symbols);
    }

    /// Inserts a symbol that was opened into the place that [`Table::place_for`] returned just before.
    pub(super) fn insert(&mut self, header: &SymbolHeader, place: Place) {
        if self.states.get(header.block) == State::Unseen {
            let shape = self.geometry.shape(header.encoded_len);
            let taken = self.buffers.take(shape, header.encoded_len, self.overhead);
            assert_eq!(taken, Some(place.buffer));
            self.turn(header.block, State::Collecting(place.buffer));
        }
        if self.buffers.get_mut(place.buffer).insert(header.esi) {
            self.queue_if_ready(header.block);
        }
    }

    /// Whether all these entries are known.
    pub(super) fn knows(&self, run: &ManifestRun) -> bool {
        self.manifest.knows(run)
    }

    /// Takes in manifest entries; known ones are skipped.
    pub(super) fn learn(&mut self, run: &ManifestRun) {
        self.horizon.reach(run.first.0 + run.blocks.len() as u32);
        for (block, listed, fingerprint) in run.iter() {
            if !self.manifest.learn(block, listed) {
                continue;
            }
            if let State::Collecting(buffer) = self.states.get(block)
                && !self.manifest.fits(block, self.buffers.get(buffer).encoded_len())
            {
                self.forget(block, buffer);
            }
            self.review(block);
            self.queue_if_ready(block);
            if let (Some(reuse), Some(fingerprint)) = (&mut self.reuse, fingerprint) {
                reuse.note(block, fingerprint);
                self.look_for(block);
            }
        }
    }

    /// Returns the next block to prove.
    pub(super) fn next_work(&mut self) -> Option<Work> {
        let block = self.queue.pop()?;
        let known = self.manifest.get(block).expect("queued with its entry");
        Some(match (self.states.get(block), known) {
            (State::Rebuilding, Known::Zero) => Work::Zero { block },
            (State::Ready(buffer), Known::Data(entry)) => {
                self.turn(block, State::Rebuilding);
                Work::Rebuild { block, entry, buffer, collected: self.buffers.lend(buffer) }
            }
            (State::Suspect(buffer), Known::Data(_)) => {
                let (hashes, collected) = (self.suspects.take_ready(block), self.buffers.lend(buffer));
                Work::Sift { block, buffer, collected, hashes }
            }
            (State::Rechecking, Known::Data(entry)) => Work::Recheck { block, entry },
            (State::Matched(origin), Known::Data(entry)) => Work::Reuse { block, entry, origin },
            (state, known) => unreachable!("a block in state {state:?}, {known:?}, was queued"),
        })
    }

    /// Notes that a block of zeros is in its place, with this hash.
    pub(super) fn hold_zeros(&mut self, block: BlockIndex, hash: BlockHash) {
        self.manifest.learn_zero_hash(block, hash);
        self.hold(block);
    }

    /// Notes that a block is proven and written.
    pub(super) fn hold(&mut self, block: BlockIndex) {
        assert!(matches!(self.states.get(block), State::Rebuilding | State::Rechecking | State::Matched(_)));
        self.turn(block, State::Held);
        self.queue.finish();
        self.held += 1;
        while self.states.find(BlockIndex(self.held_prefix)) == Some(State::Held) {
            self.held_prefix += 1;
        }
        let followers = self.reuse.as_mut().map_or(Vec::new(), |reuse| reuse.take_followers(block));
        followers.into_iter().for_each(|follower| self.make_of(follower, Origin::Object(block)));
    }

    /// Takes a buffer back, for another block.
    pub(super) fn release(&mut self, buffer: BufferId, collected: Box<Collected>) {
        self.buffers.release(buffer, collected);
    }

    /// Goes on collecting a block that its symbols did not determine, unless it may lie on this host.
    pub(super) fn collect_more(
        &mut self,
        block: BlockIndex,
        buffer: BufferId,
        mut collected: Box<Collected>,
    ) {
        collected.note_failure();
        self.queue.finish();
        self.buffers.give_back(buffer, collected);
        self.turn(block, State::Collecting(buffer));
        self.look_for(block);
        self.queue_if_ready(block);
    }

    /// Whether the block is zero by the manifest, so that nothing travels for it.
    pub(super) fn is_zero(&self, block: BlockIndex) -> bool {
        self.manifest.is_zero(block)
    }

    /// Discards kept or reused bytes that do not match the manifest, and asks for the whole block unless it may lie
    /// in a place that was not tried yet.
    ///
    /// # Panics
    /// For a zero block, which has no symbols to ask for.
    pub(super) fn ask_anew(&mut self, block: BlockIndex) {
        assert!(!self.is_zero(block), "block {block} has no symbols");
        let was = self.states.get(block);
        self.turn(block, State::Unseen);
        self.queue.finish();
        if let (State::Matched(_), Some(reuse)) = (was, &mut self.reuse) {
            reuse.forget(block);
        }
        self.look_for(block);
    }

    /// Computes the root of the manifest, once all of it and the hashes of zero blocks are known.
    pub(super) fn root(&self) -> Option<Root> {
        self.manifest.root()
    }

    /// Returns the deficits of the blocks below `end`, from the front of the object: at most what one report holds,
    /// and no more new blocks than there are free buffers, so that a host asks only for what it can take. Empty
    /// until the index of the base is known.
    pub(super) fn deficits(&self, end: u32) -> Vec<DeficitRun> {
        if self.is_preparing() {
            return Vec::new();
        }
        let is_below = |block: &BlockIndex| block.0 < end;
        let begun =
            self.states.collecting().take_while(is_below).filter_map(|block| self.begun_deficit(block));
        let wanted = self.states.wanted().blocks().take_while(is_below).take(self.buffers.free() as usize);
        let mut lacking: Vec<(BlockIndex, u16)> =
            begun.chain(wanted.filter_map(|block| self.whole_deficit(block))).collect();
        lacking.sort_unstable_by_key(|&(block, _)| block);
        deficit_runs(lacking.into_iter(), report_runs_in(self.geometry.control_bytes()))
    }

    /// Returns the missing manifest entries below `end`, from the front, at most what one report holds.
    pub(super) fn gaps(&self, end: u32) -> Vec<GapRun> {
        self.manifest.gaps(end)
    }

    /// Returns the deficit of a block that is being collected.
    fn begun_deficit(&self, block: BlockIndex) -> Option<(BlockIndex, u16)> {
        let State::Collecting(buffer) = self.states.get(block) else { return None };
        if let Some(reuse) = &self.reuse {
            // Other hosts asked for it. Its entry may show that it lies on this host.
            self.manifest.get(block).filter(|_| !reuse.is_following(block))?;
        }
        let collected = self.buffers.get(buffer);
        (!collected.is_enough()).then(|| (block, collected.deficit()))
    }

    /// Returns the deficit of a block of which nothing is here.
    fn whole_deficit(&self, block: BlockIndex) -> Option<(BlockIndex, u16)> {
        let encoded_len = self.manifest.encoded_len(block)?;
        Some((block, self.geometry.shape(encoded_len).source_symbols() as u16 + 1))
    }

    /// Changes the state of a block.
    fn turn(&mut self, block: BlockIndex, state: State) {
        self.states.set(block, state);
        if state == State::Unseen {
            self.review(block);
        }
    }

    /// Finds out whether reports may ask for a block if nothing of it is here. Without its entry it may be zero: the gap
    /// is reported, and the deficit once it is filled.
    fn review(&mut self, block: BlockIndex) {
        let is_following = self.reuse.as_ref().is_some_and(|reuse| reuse.is_following(block));
        self.states.set_wanted(block, self.manifest.get(block).is_some() && !is_following);
    }

    fn queue_if_ready(&mut self, block: BlockIndex) {
        let Some(known) = self.manifest.get(block) else { return };
        match self.states.get(block) {
            State::Unseen | State::Kept if known.is_zero() => {
                self.turn(block, State::Rebuilding);
                self.queue.push(block);
            }
            State::Kept => {
                self.turn(block, State::Rechecking);
                self.queue.push(block);
            }
            State::Collecting(buffer) if self.buffers.get(buffer).is_enough() => {
                self.turn(block, State::Ready(buffer));
                self.queue.push(block);
            }
            State::Unseen
            | State::Rechecking
            | State::Matched(_)
            | State::Collecting(_)
            | State::Ready(_)
            | State::Rebuilding
            | State::Suspect(_)
            | State::Held => {}
        }
    }

    fn forget(&mut self, block: BlockIndex, buffer: BufferId) {
        let collected = self.buffers.lend(buffer);
        self.buffers.release(buffer, collected);
        self.turn(block, State::Unseen);
    }
}

#[cfg(feature = "simulation")]
impl Table {
    /// Inserts up to `count` consecutive symbols of one block from that of `header` on, all of them source symbols or all
    /// repair symbols, as [`Table::place_for`] and [`Table::insert`] would one by one. Returns how many were needed; 0 if
    /// they cannot be taken at once.
    pub(super) fn insert_run(&mut self, header: &SymbolHeader, count: u32) -> u32 {
        let shape = self.geometry.shape(header.encoded_len);
        let is_source = header.esi.value() + count <= shape.source_symbols();
        let buffer = match self.states.get(header.block) {
            State::Collecting(buffer) => buffer,
            State::Unseen if is_source => {
                let Some(buffer) = self.buffers.take(shape, header.encoded_len, self.overhead) else {
                    return 0;
                };
                self.turn(header.block, State::Collecting(buffer));
                buffer
            }
            _ => return 0,
        };
        let collected = self.buffers.get_mut(buffer);
        let taken = match is_source {
            true => collected.insert_source(header.esi, count),
            false => collected.insert_repair(header.esi, count),
        };
        if taken > 0 && collected.is_enough() {
            self.queue_if_ready(header.block);
        }
        taken
    }
}

/// Symbols beyond K in one-way mode. Each divides the chance that a set does not determine its block by 256.
const OVERHEAD: u32 = 2;
