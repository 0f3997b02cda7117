//! What a host knows of each block of the object: its manifest entry, where its symbols are being collected, whether
//! it is proven and written. Answers what is lacking.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::geometry::Geometry;
use crate::ids::BlockIndex;
use crate::integrity::{BlockHash, Root};
use crate::limits::{CORRUPT_TRIES_MAX, REPORT_GAPS_MAX, report_runs_in};
use crate::receiver::collect::{BufferId, Buffers, Collected, Place};
use crate::receiver::reuse::{BaseIndex, Origin, Reuse};
use crate::wire::{DeficitRun, Discard, GapRun, KeptRun, Listed, ManifestEntry, ManifestRun, SymbolHeader};

/// A block that can be proven now: work for another thread.
#[derive(Debug)]
pub enum Work {
    /// Decode, decompress, verify and write.
    Rebuild {
        /// The block.
        block: BlockIndex,
        /// What the manifest says of it.
        entry: ManifestEntry,
        /// Where its symbols are.
        buffer: BufferId,
        /// Which symbols they are.
        collected: Box<Collected>,
    },
    /// Read and verify what an earlier session wrote.
    Recheck {
        /// The block.
        block: BlockIndex,
        /// What the manifest says of it.
        entry: ManifestEntry,
    },
    /// Read what lies elsewhere on this host, verify it, and write it.
    Reuse {
        /// The block.
        block: BlockIndex,
        /// What the manifest says of it.
        entry: ManifestEntry,
        /// Where it may lie.
        origin: Origin,
    },
    /// Work out the hash of a block of zeros, which the manifest does not say, and leave a hole.
    Zero {
        /// The block.
        block: BlockIndex,
    },
}

/// All blocks of the object.
pub(super) struct Table {
    geometry: Geometry,
    manifest: Vec<Option<Known>>,
    states: Vec<State>,
    buffers: Buffers,
    /// Symbols beyond K that a block waits for before it is tried first.
    surplus: u32,
    /// Blocks that can be proven now, each once.
    ready: VecDeque<BlockIndex>,
    /// Blocks with a buffer that are at another thread.
    rebuilding: u32,
    /// Blocks that are at another thread, with a buffer or without.
    at_work: u32,
    /// Some blocks were kept of an earlier session.
    resumed: bool,
    /// Of these, the ones of which all symbols had come before the store named them: read where the symbols do not do.
    kept_besides: BTreeSet<BlockIndex>,
    /// How often a block was not what the manifest says.
    corrupt: BTreeMap<BlockIndex, u32>,
    /// Where the push has a base.
    reuse: Option<Box<Reuse>>,
    held: u32,
    /// Blocks below this one are held.
    held_prefix: u32,
    /// Blocks whose hash is known.
    hashes: u32,
    /// Manifest entries below this block are known.
    known_prefix: u32,
}

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Data(ManifestEntry),
    Zero,
    /// The same; its hash was worked out.
    ZeroOf(BlockHash),
}

impl Known {
    fn is_zero(&self) -> bool {
        matches!(self, Self::Zero | Self::ZeroOf(_))
    }

    /// Bytes that travel.
    fn encoded_len(&self, geometry: Geometry, block: BlockIndex) -> u32 {
        match self {
            Self::Data(entry) => entry.encoded_len(geometry, block),
            Self::Zero | Self::ZeroOf(_) => 0,
        }
    }

    fn hash(&self) -> Option<BlockHash> {
        match self {
            Self::Data(entry) => Some(entry.hash),
            Self::Zero => None,
            Self::ZeroOf(hash) => Some(*hash),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unseen,
    /// An earlier session has written it, and it waits for its entry to be compared with.
    Kept,
    /// It is compared with its entry, or queued for that.
    Rechecking,
    /// It may lie there on this host; queued, or being read.
    Matched(Origin),
    Collecting(BufferId),
    /// Enough symbols and the entry are there; queued.
    Ready(BufferId),
    /// At another thread; or a zero block that is queued.
    Rebuilding,
    Held,
}

impl Table {
    /// An object of which nothing has come, with so many buffers.
    pub(super) fn new(geometry: Geometry, buffers: u16) -> Self {
        let blocks = geometry.blocks() as usize;
        let buffers = match geometry.object_bytes().min(geometry.block_bytes()) {
            0 => Buffers::none(),
            longest => Buffers::new(buffers, geometry.shape(longest as u32)),
        };
        Self {
            geometry,
            manifest: vec![None; blocks],
            states: vec![State::Unseen; blocks],
            buffers,
            surplus: 0,
            ready: VecDeque::new(),
            rebuilding: 0,
            at_work: 0,
            resumed: false,
            kept_besides: BTreeSet::new(),
            corrupt: BTreeMap::new(),
            reuse: None,
            held: 0,
            held_prefix: 0,
            hashes: 0,
            known_prefix: 0,
        }
    }

    /// Blocks wait for some symbols more than they may need: what comes while a block is being rebuilt is dropped, and where
    /// nobody can be asked, a set that turns out not to determine it could not be mended.
    pub(super) fn wait_for_surplus(&mut self) {
        self.surplus = SURPLUS;
    }

    /// The push has a base: nothing is asked for before it is known what is in it, see [`Table::take_base`].
    pub(super) fn wait_for_base(&mut self) {
        self.reuse = Some(Box::new(Reuse::new(self.geometry)));
    }

    /// Whether it is still being found out what there is in the base.
    pub(super) fn is_preparing(&self) -> bool {
        self.reuse.as_ref().is_some_and(|reuse| reuse.is_preparing())
    }

    /// What there is in the base, also nothing.
    pub(super) fn take_base(&mut self, base: BaseIndex) {
        let Some(reuse) = self.reuse.as_mut().filter(|reuse| reuse.is_preparing()) else { return };
        reuse.take_base(base);
        (0..self.geometry.blocks()).map(BlockIndex).for_each(|block| self.look_for(block));
    }

    /// Has a block that is lacking made of what lies on this host, if anything does: first of what was kept of it, then of what
    /// lies elsewhere. Each is tried once.
    fn look_for(&mut self, block: BlockIndex) {
        if !matches!(self.states[block.index()], State::Unseen | State::Collecting(_)) {
            return;
        }
        if self.kept_besides.remove(&block) {
            return self.take_kept(block);
        }
        let states = &self.states;
        let Some(reuse) = &mut self.reuse else { return };
        if let Some(origin) = reuse.find(block, |first| states[first.index()] == State::Held) {
            self.make_of(block, origin);
        }
    }

    fn make_of(&mut self, block: BlockIndex, origin: Origin) {
        match self.states[block.index()] {
            State::Collecting(buffer) => self.forget(block, buffer),
            State::Unseen => {}
            _ => return,
        }
        self.states[block.index()] = State::Matched(origin);
        self.ready.push_back(block);
    }

    /// Whether a block is being made of what lies elsewhere on this host.
    pub(super) fn is_reused(&self, block: BlockIndex) -> bool {
        matches!(self.states[block.index()], State::Matched(_))
    }

    /// Everything was sent: blocks are tried with what there is.
    pub(super) fn stop_waiting(&mut self) {
        if std::mem::take(&mut self.surplus) == 0 {
            return;
        }
        for block in (self.held_prefix..self.geometry.blocks()).map(BlockIndex) {
            if let State::Collecting(buffer) = self.states[block.index()] {
                self.buffers.get_mut(buffer).stop_waiting();
                self.queue_if_ready(block);
            }
        }
    }

    /// An earlier session may have written these blocks. What has come of them before the store said so is let go, unless it
    /// is all that is needed: then they are read only if it does not do.
    pub(super) fn keep(&mut self, blocks: &[BlockIndex]) {
        for &block in blocks {
            match self.states.get(block.index()) {
                Some(State::Unseen | State::Collecting(_)) => self.take_kept(block),
                Some(State::Ready(_)) => drop(self.kept_besides.insert(block)),
                _ => continue,
            }
            self.resumed = true;
        }
    }

    /// What was kept of a block is compared with its entry, once that is known; its symbols are let go.
    fn take_kept(&mut self, block: BlockIndex) {
        if let State::Collecting(buffer) = self.states[block.index()] {
            self.forget(block, buffer);
        }
        self.states[block.index()] = State::Kept;
        self.queue_if_ready(block);
    }

    /// Whether blocks were kept of an earlier session.
    pub(super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Blocks from `from` on that need not be sent to this host: so many runs at most.
    pub(super) fn held_runs(&self, from: u32, runs_max: usize) -> Vec<KeptRun> {
        let mut runs: Vec<KeptRun> = Vec::new();
        for block in (from..self.geometry.blocks()).map(BlockIndex) {
            let state = self.states[block.index()];
            if !matches!(state, State::Kept | State::Rechecking | State::Matched(_) | State::Held) {
                continue;
            }
            let full = runs.len() == runs_max;
            match runs.last_mut().filter(|run| run.end() == block.0) {
                Some(run) => run.blocks += 1,
                None if full => break,
                None => runs.push(KeptRun { first: block, blocks: 1 }),
            }
        }
        runs
    }

    /// Whether most buffers are full and wait to be proven and written: then it is the store that is behind.
    pub(super) fn waits_for_store(&self) -> bool {
        2 * (self.rebuilding + self.ready.len() as u32) >= self.buffers.count()
    }

    /// Whether every block is held, or has all symbols that it needs.
    pub(super) fn has_all_symbols(&self) -> bool {
        self.held + self.at_work + self.ready.len() as u32 >= self.geometry.blocks()
    }

    /// What is not proven and written yet, in words.
    pub(super) fn lacking(&self) -> String {
        let blocks = self.geometry.blocks();
        format!("{} of {blocks} blocks, the first of them {}", blocks - self.held, self.held_prefix)
    }

    /// Whether every block is proven and written.
    pub(super) fn is_complete(&self) -> bool {
        self.held == self.geometry.blocks()
    }

    pub(super) fn held(&self) -> u32 {
        self.held
    }

    /// Where a symbol would go. Changes nothing: the datagram is not proven yet.
    pub(super) fn place_for(&self, header: &SymbolHeader) -> Result<Place, Discard> {
        if !self.geometry.contains(header.block) || !self.fits(header.block, header.encoded_len) {
            return Err(Discard::Malformed);
        }
        match self.states[header.block.index()] {
            State::Kept
            | State::Rechecking
            | State::Matched(_)
            | State::Ready(_)
            | State::Rebuilding
            | State::Held => Err(Discard::NotNeeded),
            State::Collecting(buffer) => {
                let collected = self.buffers.get(buffer);
                if collected.encoded_len() != header.encoded_len {
                    return Err(Discard::Malformed);
                }
                Ok(Place { buffer, symbol: collected.place_for(header.esi)? })
            }
            State::Unseen => {
                let buffer = self.buffers.next().ok_or(Discard::NoBuffer)?;
                let k = self.geometry.shape(header.encoded_len).source_symbols();
                Ok(Place { buffer, symbol: header.esi.value().min(k) })
            }
        }
    }

    /// The symbol was opened into the place that [`Table::place_for`] gave just before.
    pub(super) fn insert(&mut self, header: &SymbolHeader, place: Place) {
        let state = &mut self.states[header.block.index()];
        if *state == State::Unseen {
            let shape = self.geometry.shape(header.encoded_len);
            let taken = self.buffers.take(shape, header.encoded_len, self.surplus);
            assert_eq!(taken, Some(place.buffer));
            *state = State::Collecting(place.buffer);
        }
        if self.buffers.get_mut(place.buffer).insert(header.esi) {
            self.queue_if_ready(header.block);
        }
    }

    /// The first `count` source symbols of a block of which nothing has come, from the one of `header` on: as many times
    /// [`Table::place_for`] and [`Table::insert`]. False if they cannot be taken so.
    pub(super) fn insert_first(&mut self, header: &SymbolHeader, count: u32) -> bool {
        if header.esi.value() != 0 || count == 0 || self.states[header.block.index()] != State::Unseen {
            return false;
        }
        let shape = self.geometry.shape(header.encoded_len);
        if count > shape.source_symbols() {
            return false;
        }
        let Some(buffer) = self.buffers.take(shape, header.encoded_len, self.surplus) else { return false };
        self.states[header.block.index()] = State::Collecting(buffer);
        if self.buffers.get_mut(buffer).insert_first(count) {
            self.queue_if_ready(header.block);
        }
        true
    }

    /// The first of `count` repair symbols, from the one of `header` on, as many as a block that is being collected still lacks:
    /// as many times [`Table::place_for`] and [`Table::insert`]. Gives how many; 0 if they cannot be taken so.
    pub(super) fn insert_repair(&mut self, header: &SymbolHeader, count: u32) -> u32 {
        let State::Collecting(buffer) = self.states[header.block.index()] else { return 0 };
        let collected = self.buffers.get_mut(buffer);
        let taken = collected.insert_repair(header.esi, count);
        if collected.is_enough() {
            self.queue_if_ready(header.block);
        }
        taken
    }

    /// Whether all these entries are known.
    pub(super) fn knows(&self, run: &ManifestRun) -> bool {
        let first = run.first.index();
        self.manifest[first..first + run.blocks.len()].iter().all(Option::is_some)
    }

    /// Takes manifest entries in; those known already are passed over.
    pub(super) fn learn(&mut self, run: &ManifestRun) {
        for (block, listed, fingerprint) in run.iter() {
            let known = &mut self.manifest[block.index()];
            if known.is_some() {
                continue;
            }
            let now_known = match listed {
                Listed::Zero => Known::Zero,
                Listed::Data(entry) => Known::Data(entry),
            };
            *known = Some(now_known);
            self.hashes += u32::from(now_known.hash().is_some());
            if let State::Collecting(buffer) = self.states[block.index()] {
                let encoded_len = now_known.encoded_len(self.geometry, block);
                if self.buffers.get(buffer).encoded_len() != encoded_len {
                    self.forget(block, buffer);
                }
            }
            self.queue_if_ready(block);
            if let (Some(reuse), Some(fingerprint)) = (&mut self.reuse, fingerprint) {
                reuse.note(block, fingerprint);
                self.look_for(block);
            }
        }
        while self.manifest.get(self.known_prefix as usize).is_some_and(Option::is_some) {
            self.known_prefix += 1;
        }
    }

    /// The next block to prove.
    pub(super) fn next_work(&mut self) -> Option<Work> {
        let block = self.ready.pop_front()?;
        let known = self.manifest[block.index()].expect("queued with its entry");
        self.at_work += 1;
        Some(match (self.states[block.index()], known) {
            (State::Rebuilding, Known::Zero) => Work::Zero { block },
            (State::Ready(buffer), Known::Data(entry)) => {
                self.states[block.index()] = State::Rebuilding;
                self.rebuilding += 1;
                Work::Rebuild { block, entry, buffer, collected: self.buffers.lend(buffer) }
            }
            (State::Rechecking, Known::Data(entry)) => Work::Recheck { block, entry },
            (State::Matched(origin), Known::Data(entry)) => Work::Reuse { block, entry, origin },
            (state, known) => unreachable!("a block in state {state:?}, {known:?}, was queued"),
        })
    }

    /// A block of zeros is in its place, with this hash.
    pub(super) fn hold_zeros(&mut self, block: BlockIndex, hash: BlockHash) {
        let known = &mut self.manifest[block.index()];
        assert_eq!(known.replace(Known::ZeroOf(hash)), Some(Known::Zero), "block {block}");
        self.hashes += 1;
        self.hold(block);
    }

    /// A block was proven and written.
    pub(super) fn hold(&mut self, block: BlockIndex) {
        assert!(matches!(
            self.states[block.index()],
            State::Rebuilding | State::Rechecking | State::Matched(_)
        ));
        self.states[block.index()] = State::Held;
        self.at_work -= 1;
        self.held += 1;
        while self.states.get(self.held_prefix as usize) == Some(&State::Held) {
            self.held_prefix += 1;
        }
        let followers = self.reuse.as_mut().map_or(Vec::new(), |reuse| reuse.take_followers(block));
        followers.into_iter().for_each(|follower| self.make_of(follower, Origin::Object(block)));
    }

    pub(super) fn release(&mut self, buffer: BufferId, collected: Box<Collected>) {
        self.rebuilding -= 1;
        self.buffers.release(buffer, collected);
    }

    /// The symbols did not determine the block: it goes on collecting, unless it may lie on this host.
    pub(super) fn collect_more(
        &mut self,
        block: BlockIndex,
        buffer: BufferId,
        mut collected: Box<Collected>,
    ) {
        collected.note_failure();
        self.rebuilding -= 1;
        self.at_work -= 1;
        self.buffers.give_back(buffer, collected);
        self.states[block.index()] = State::Collecting(buffer);
        self.look_for(block);
        self.queue_if_ready(block);
    }

    /// Whether the manifest says that nothing travels for a block.
    pub(super) fn is_zero(&self, block: BlockIndex) -> bool {
        self.manifest[block.index()].is_some_and(|known| known.is_zero())
    }

    /// What was rebuilt is not what the manifest says: everything of it is dropped and asked for again, unless it may lie on
    /// this host. False when that was so too often, and there is no hope.
    ///
    /// # Panics
    /// For a zero block: there is nothing to ask for.
    #[must_use]
    pub(super) fn start_over(&mut self, block: BlockIndex) -> bool {
        self.ask_anew(block);
        let tries = self.corrupt.entry(block).or_insert(0);
        *tries += 1;
        *tries < CORRUPT_TRIES_MAX
    }

    /// What was kept of an earlier session, or lay elsewhere, is not what the manifest says: all of it is asked for, unless
    /// it lies where nobody has looked yet.
    ///
    /// # Panics
    /// For a zero block, likewise.
    pub(super) fn ask_anew(&mut self, block: BlockIndex) {
        assert!(!self.is_zero(block), "block {block} has no symbols");
        let was = std::mem::replace(&mut self.states[block.index()], State::Unseen);
        self.at_work -= 1;
        if let (State::Matched(_), Some(reuse)) = (was, &mut self.reuse) {
            reuse.forget(block);
        }
        self.look_for(block);
    }

    /// The root that the manifest amounts to, once all of it is known, and the hashes of zero blocks are worked out.
    pub(super) fn root(&self) -> Option<Root> {
        if self.hashes < self.geometry.blocks() {
            return None;
        }
        let hashes: Option<Vec<BlockHash>> =
            self.manifest.iter().map(|known| known.and_then(|known| known.hash())).collect();
        hashes.map(|hashes| Root::of(self.geometry, &hashes))
    }

    /// What is lacking of the blocks below `end`, from the front of the object: as much as one report holds, and no
    /// more new blocks than there are free buffers for, so that a host asks only for what it can take. Nothing while it is
    /// not known what there is in the base.
    pub(super) fn deficits(&self, end: u32) -> Vec<DeficitRun> {
        if self.is_preparing() {
            return Vec::new();
        }
        let mut runs: Vec<DeficitRun> = Vec::new();
        let runs_max = report_runs_in(self.geometry.control_bytes());
        let mut free = self.buffers.free();
        for block in (self.held_prefix..end).map(BlockIndex) {
            let Some(symbols) = self.deficit(block, &mut free) else { continue };
            let full = runs.len() == runs_max;
            match runs.last_mut().filter(|run| run.continues_with(block, symbols)) {
                Some(run) => run.blocks += 1,
                None if full => break,
                None => runs.push(DeficitRun { first: block, blocks: 1, symbols }),
            }
        }
        runs
    }

    /// Manifest entries below `end` that are lacking, from the front, as many as one report holds.
    pub(super) fn gaps(&self, end: u32) -> Vec<GapRun> {
        let mut runs = Vec::new();
        let mut block = self.known_prefix;
        while block < end && runs.len() < REPORT_GAPS_MAX {
            let unknown = |block: u32| self.manifest[block as usize].is_none();
            let blocks =
                (block..end.min(block + u32::from(u16::MAX))).take_while(|&block| unknown(block)).count();
            if blocks > 0 {
                runs.push(GapRun { first: BlockIndex(block), blocks: blocks as u16 });
            }
            block += (blocks as u32).max(1);
        }
        runs
    }

    fn deficit(&self, block: BlockIndex, free: &mut u32) -> Option<u16> {
        if self.reuse.as_ref().is_some_and(|reuse| reuse.is_following(block)) {
            return None;
        }
        match self.states[block.index()] {
            State::Kept
            | State::Rechecking
            | State::Matched(_)
            | State::Ready(_)
            | State::Rebuilding
            | State::Held => None,
            State::Collecting(buffer) => {
                if self.reuse.is_some() {
                    // What others asked for: its entry may say that it lies on this host.
                    self.manifest[block.index()]?;
                }
                let collected = self.buffers.get(buffer);
                (!collected.is_enough()).then(|| collected.deficit())
            }
            State::Unseen => {
                // Without its entry the block may be zero: the gap is reported, and the deficit next time.
                let encoded_len = self.manifest[block.index()]?.encoded_len(self.geometry, block);
                *free = free.checked_sub(1)?;
                Some(self.geometry.shape(encoded_len).source_symbols() as u16 + 1)
            }
        }
    }

    /// Whether a block can be that long as it travels.
    fn fits(&self, block: BlockIndex, encoded_len: u32) -> bool {
        match self.manifest[block.index()] {
            Some(entry) => encoded_len > 0 && encoded_len == entry.encoded_len(self.geometry, block),
            None => (1..=self.geometry.block_len(block)).contains(&encoded_len),
        }
    }

    fn queue_if_ready(&mut self, block: BlockIndex) {
        let Some(known) = self.manifest[block.index()] else { return };
        match self.states[block.index()] {
            State::Unseen | State::Kept if known.is_zero() => {
                self.states[block.index()] = State::Rebuilding;
                self.ready.push_back(block);
            }
            State::Kept => {
                self.states[block.index()] = State::Rechecking;
                self.ready.push_back(block);
            }
            State::Collecting(buffer) if self.buffers.get(buffer).is_enough() => {
                self.states[block.index()] = State::Ready(buffer);
                self.ready.push_back(block);
            }
            State::Unseen
            | State::Rechecking
            | State::Matched(_)
            | State::Collecting(_)
            | State::Ready(_)
            | State::Rebuilding
            | State::Held => {}
        }
    }

    fn forget(&mut self, block: BlockIndex, buffer: BufferId) {
        let collected = self.buffers.lend(buffer);
        self.buffers.release(buffer, collected);
        self.states[block.index()] = State::Unseen;
    }
}

/// Each divides the chance that a set does not determine its block by 256.
const SURPLUS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use glancecast_fec::Esi;

    use crate::ids::{Sequence, SessionTag};
    use crate::integrity::Fingerprint;
    use crate::wire::Encoding;

    /// Symbols of a block: 1 MiB in 1432 bytes each.
    const K: u32 = 733;

    #[test]
    fn a_host_asks_for_no_more_new_blocks_than_it_has_buffers() {
        let mut table = table(6, 2);
        table.learn(&stored(0, 6));
        assert_eq!(table.deficits(6), [deficit(0, 2, K + 1)]);
        collect(&mut table, 3, 0..1);
        assert_eq!(table.deficits(6), [deficit(0, 1, K + 1), deficit(3, 1, K)]);
        collect(&mut table, 5, 0..2);
        assert_eq!(table.deficits(6), [deficit(3, 1, K), deficit(5, 1, K - 1)]);
    }

    #[test]
    fn nothing_is_asked_for_that_was_not_sent_yet() {
        let mut table = table(6, 6);
        table.learn(&stored(0, 6));
        assert_eq!(table.deficits(2), [deficit(0, 2, K + 1)]);
        assert_eq!(table.deficits(0), []);
    }

    #[test]
    fn a_report_holds_as_many_deficits_as_its_datagram() {
        let geometry = Geometry::new(300 << 20, 20, 488).expect("in range");
        let mut table = Table::new(geometry, 300);
        table.learn(&stored(0, 300));
        // Every other block has one symbol more: no two are one run.
        (0..300).for_each(|block| collect(&mut table, block, 0..1 + block % 2));
        let runs = table.deficits(300);
        assert_eq!(runs.len(), report_runs_in(geometry.control_bytes()));
        assert_eq!(runs[1].first, BlockIndex(1), "from the front");
    }

    #[test]
    fn a_block_without_its_entry_is_a_gap_and_no_deficit() {
        let mut table = table(6, 6);
        table.learn(&stored(1, 2));
        assert_eq!(table.gaps(6), [gap(0, 1), gap(3, 3)]);
        assert_eq!(table.gaps(4), [gap(0, 1), gap(3, 1)]);
        assert_eq!(table.deficits(6), [deficit(1, 2, K + 1)]);
        table.learn(&stored(0, 6));
        assert_eq!(table.gaps(6), []);
    }

    #[test]
    fn a_report_names_no_more_gaps_than_it_holds() {
        let mut table = table(40, 4);
        (0..20).for_each(|i| table.learn(&stored(2 * i, 1)));
        let gaps = table.gaps(40);
        assert_eq!(gaps.len(), REPORT_GAPS_MAX);
        assert_eq!(gaps[0], gap(1, 1));
    }

    #[test]
    fn where_nobody_can_be_asked_a_block_waits_for_two_symbols_more_until_all_was_sent() {
        let mut table = table(2, 2);
        table.wait_for_surplus();
        table.learn(&stored(0, 2));
        collect(&mut table, 0, 1..K + 2);
        assert!(table.next_work().is_none(), "one more than K");
        collect(&mut table, 0, K + 2..K + 3);
        assert!(table.next_work().is_some());
        collect(&mut table, 1, 1..K + 1);
        assert!(table.next_work().is_none());
        table.stop_waiting();
        assert!(table.next_work().is_some(), "K will have to do");
    }

    #[test]
    fn a_block_waits_for_its_entry_and_the_entry_for_the_symbols() {
        let mut table = table(2, 2);
        collect(&mut table, 0, 0..K);
        assert!(table.next_work().is_none());
        table.learn(&stored(0, 2));
        assert!(matches!(table.next_work(), Some(Work::Rebuild { block: BlockIndex(0), .. })));
        assert!(table.next_work().is_none());
        collect(&mut table, 1, 0..K);
        assert!(matches!(table.next_work(), Some(Work::Rebuild { block: BlockIndex(1), .. })));
    }

    #[test]
    fn a_corrupt_block_starts_over_with_nothing() {
        let mut table = table(2, 1);
        table.learn(&stored(0, 2));
        collect(&mut table, 0, 0..K);
        let (buffer, collected) = take_rebuild(&mut table);
        table.release(buffer, collected);
        assert!(table.start_over(BlockIndex(0)));
        assert_eq!(table.deficits(1), [deficit(0, 1, K + 1)]);
        collect(&mut table, 0, 0..K);
        let (buffer, collected) = take_rebuild(&mut table);
        assert_eq!(collected.held().count(), K);
        table.release(buffer, collected);
        table.hold(BlockIndex(0));
        assert_eq!((table.held(), table.is_complete()), (1, false));
    }

    #[test]
    fn an_undecodable_block_keeps_its_symbols_and_asks_for_one_more() {
        let mut table = table(2, 1);
        table.learn(&stored(0, 2));
        collect(&mut table, 0, 1..K + 1);
        let (buffer, collected) = take_rebuild(&mut table);
        table.collect_more(BlockIndex(0), buffer, collected);
        assert!(table.next_work().is_none());
        assert_eq!(table.deficits(1), [deficit(0, 1, 2)]);
        collect(&mut table, 0, K + 1..K + 2);
        assert!(table.next_work().is_some());
    }

    #[test]
    fn symbols_of_another_length_than_the_entrys_are_dropped_with_their_buffer() {
        let mut table = table(2, 1);
        let wrong = |esi| SymbolHeader { encoded_len: 5_000, ..header(0, esi) };
        let place = table.place_for(&wrong(0)).expect("nothing is known of it yet");
        table.insert(&wrong(0), place);
        assert_eq!(table.place_for(&header(0, 1)), Err(Discard::Malformed), "one length at a time");
        table.learn(&stored(0, 2));
        assert_eq!(table.place_for(&wrong(1)), Err(Discard::Malformed));
        assert_eq!(table.deficits(1), [deficit(0, 1, K + 1)], "its buffer is free again");
        collect(&mut table, 0, 0..K);
        assert!(table.next_work().is_some());
    }

    #[test]
    fn a_zero_block_takes_no_symbols_and_no_buffer() {
        let mut table = table(2, 1);
        collect(&mut table, 0, 0..1);
        table.learn(&zeros(0, 1));
        assert_eq!(table.buffers.free(), 1);
        assert!(matches!(table.next_work(), Some(Work::Zero { block: BlockIndex(0), .. })));
        assert!(matches!(table.place_for(&header(0, 0)), Err(Discard::Malformed)));
        assert_eq!(table.deficits(2), []);
        table.hold_zeros(BlockIndex(0), BlockHash([3; 32]));
        assert_eq!(table.held(), 1);
    }

    #[test]
    fn the_root_is_known_when_the_hashes_of_zero_blocks_are_worked_out() {
        let mut table = table(2, 1);
        table.learn(&stored(0, 1));
        table.learn(&zeros(1, 1));
        assert_eq!(table.root(), None);
        assert!(table.next_work().is_some());
        table.hold_zeros(BlockIndex(1), BlockHash([7; 32]));
        let hashes = [BlockHash([1; 32]), BlockHash([7; 32])];
        assert_eq!(table.root(), Some(Root::of(table.geometry, &hashes)));
    }

    #[test]
    fn with_a_base_nothing_is_asked_for_before_it_is_known_what_is_in_it() {
        let mut table = with_base(&[1, 2, 3]);
        assert_eq!(table.deficits(3), []);
        collect(&mut table, 2, 0..3);
        table.take_base(base(&[(3, 40), (1, 50)]));
        assert_eq!(table.deficits(3), [deficit(1, 1, K + 1)]);
        for (block, piece) in [(0, 50), (2, 40)] {
            match table.next_work() {
                Some(Work::Reuse { block: of, origin: Origin::Base(at), .. }) => {
                    assert_eq!((of.0, at.0), (block, piece));
                }
                other => panic!("{other:?}"),
            }
            assert!(table.is_reused(BlockIndex(block)));
            table.hold(BlockIndex(block));
        }
        assert_eq!((table.held(), table.buffers.free()), (2, 4), "what was collected of block 2 is dropped");
    }

    #[test]
    fn a_block_that_others_asked_for_is_not_before_its_entry_says_whether_the_base_has_it() {
        let mut table = table(2, 4);
        table.wait_for_base();
        table.take_base(base(&[(1, 9)]));
        collect(&mut table, 0, 0..3);
        assert_eq!(table.deficits(2), []);
        table.learn(&fingerprinted(&[1, 2]));
        assert_eq!(table.deficits(2), [deficit(1, 1, K + 1)]);
        assert!(table.is_reused(BlockIndex(0)));
    }

    #[test]
    fn what_the_base_turns_out_not_to_hold_is_asked_for() {
        let mut table = with_base(&[1, 2]);
        table.take_base(base(&[(1, 0)]));
        assert!(matches!(table.next_work(), Some(Work::Reuse { .. })));
        table.ask_anew(BlockIndex(0));
        assert_eq!(table.deficits(2), [deficit(0, 2, K + 1)]);
        assert!(table.next_work().is_none(), "it is not looked for again");
    }

    #[test]
    fn of_equal_blocks_one_is_asked_for_and_the_others_are_made_of_it() {
        let mut table = with_base(&[5, 6, 5, 5]);
        table.take_base(base(&[]));
        assert_eq!(table.deficits(4), [deficit(0, 2, K + 1)]);
        collect(&mut table, 0, 0..K);
        let (buffer, collected) = take_rebuild(&mut table);
        table.release(buffer, collected);
        table.hold(BlockIndex(0));
        for block in [2, 3] {
            let Some(Work::Reuse { block: of, origin, .. }) = table.next_work() else { panic!("made of 0") };
            assert_eq!((of, origin), (BlockIndex(block), Origin::Object(BlockIndex(0))));
        }
        table.hold(BlockIndex(2));
        table.ask_anew(BlockIndex(3));
        assert_eq!(table.deficits(4), [deficit(1, 1, K + 1), deficit(3, 1, K + 1)], "3 only looked the same");
    }

    #[test]
    fn what_was_kept_and_is_something_else_is_looked_for_in_the_base() {
        let mut table = table(2, 4);
        table.wait_for_base();
        table.keep(&[BlockIndex(0)]);
        table.take_base(base(&[(1, 9)]));
        table.learn(&fingerprinted(&[1, 2]));
        assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(0), .. })));
        table.ask_anew(BlockIndex(0));
        assert!(matches!(table.next_work(), Some(Work::Reuse { block: BlockIndex(0), .. })));
        assert_eq!(table.deficits(2), [deficit(1, 1, K + 1)]);
    }

    #[test]
    fn a_new_block_without_a_buffer_is_dropped_until_one_is_free() {
        let mut table = table(2, 1);
        table.learn(&stored(0, 2));
        collect(&mut table, 0, 0..K);
        assert_eq!(table.place_for(&header(1, 0)), Err(Discard::NoBuffer));
        let (buffer, collected) = take_rebuild(&mut table);
        assert_eq!(table.place_for(&header(1, 0)), Err(Discard::NoBuffer), "it is being rebuilt from");
        table.release(buffer, collected);
        table.hold(BlockIndex(0));
        assert!(table.place_for(&header(1, 0)).is_ok());
    }

    #[test]
    fn a_block_that_is_complete_needs_nothing() {
        let mut table = table(2, 2);
        table.learn(&stored(0, 2));
        collect(&mut table, 0, 0..K);
        assert_eq!(table.place_for(&header(0, K)), Err(Discard::NotNeeded));
        let _ = take_rebuild(&mut table);
        assert_eq!(table.place_for(&header(0, K)), Err(Discard::NotNeeded));
        table.hold(BlockIndex(0));
        assert_eq!(table.place_for(&header(0, K)), Err(Discard::NotNeeded));
        assert_eq!(table.deficits(1), []);
    }

    #[test]
    fn blocks_and_lengths_that_cannot_be_are_refused() {
        let table = table(2, 1);
        for (block, encoded_len) in [(2, 1 << 20), (u32::MAX, 1), (0, 0), (0, (1 << 20) + 1), (1, u32::MAX)] {
            let header = SymbolHeader { encoded_len, ..header(block, 0) };
            assert_eq!(table.place_for(&header), Err(Discard::Malformed), "{block}, {encoded_len}");
        }
    }

    #[test]
    fn a_kept_block_is_not_asked_for_and_is_read_again_when_its_entry_comes() {
        let mut table = table(4, 4);
        table.keep(&[1, 2, 9].map(BlockIndex));
        assert_eq!(table.held_runs(0, 4), [kept(1, 2)]);
        assert_eq!(table.place_for(&header(1, 0)), Err(Discard::NotNeeded));
        assert!(table.next_work().is_none(), "nothing is known that it could be compared with");
        table.learn(&stored(0, 4));
        assert_eq!(table.deficits(4), [deficit(0, 1, K + 1), deficit(3, 1, K + 1)]);
        assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(1), .. })));
        assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(2), .. })));
        assert_eq!(table.held(), 0, "nothing counts before it is proven");
        table.hold(BlockIndex(1));
        assert_eq!((table.held(), table.held_runs(2, 4)), (1, vec![kept(2, 1)]));
    }

    #[test]
    fn a_kept_block_of_which_symbols_came_before_the_store_named_it_is_not_asked_for() {
        let mut table = table(3, 3);
        table.learn(&stored(0, 3));
        collect(&mut table, 0, 0..K - 1);
        collect(&mut table, 1, 0..K);
        table.keep(&[BlockIndex(0), BlockIndex(1)]);
        assert_eq!(table.deficits(2), []);
        assert_eq!(table.buffers.free(), 2, "the buffer of the first is free again");
        assert!(matches!(table.next_work(), Some(Work::Rebuild { block: BlockIndex(1), .. })));
        assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(0), .. })));
    }

    #[test]
    fn a_kept_block_of_which_all_symbols_came_and_do_not_determine_it_is_read_and_not_asked_for() {
        let mut table = table(2, 2);
        table.learn(&stored(0, 1));
        collect(&mut table, 0, 1..K + 1);
        table.keep(&[BlockIndex(0)]);
        assert!(table.is_resumed());
        let (buffer, collected) = take_rebuild(&mut table);
        table.collect_more(BlockIndex(0), buffer, collected);
        assert_eq!(table.deficits(2), []);
        assert_eq!(table.buffers.free(), 2);
        assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(0), .. })));
        table.ask_anew(BlockIndex(0));
        assert_eq!(table.deficits(2), [deficit(0, 1, K + 1)], "nor was it what had been kept");
        assert!(table.next_work().is_none(), "that is read once");
    }

    #[test]
    fn a_kept_block_of_which_all_symbols_came_and_are_corrupt_is_read_and_not_asked_for() {
        let mut table = table(2, 2);
        table.learn(&stored(0, 1));
        collect(&mut table, 0, 0..K);
        table.keep(&[BlockIndex(0)]);
        let (buffer, collected) = take_rebuild(&mut table);
        table.release(buffer, collected);
        assert!(table.start_over(BlockIndex(0)), "there is hope");
        assert_eq!(table.deficits(2), []);
        assert!(matches!(table.next_work(), Some(Work::Recheck { block: BlockIndex(0), .. })));
        table.hold(BlockIndex(0));
        assert_eq!(table.held(), 1);
    }

    #[test]
    fn a_block_that_is_rebuilt_in_vain_is_looked_for_in_a_base_that_was_known_too_late() {
        let mut table = with_base(&[1, 2]);
        collect(&mut table, 0, 1..K + 1);
        collect(&mut table, 1, 0..K);
        table.take_base(base(&[(1, 9), (2, 8)]));
        let (undecodable, undecodable_set) = take_rebuild(&mut table);
        let (corrupt, corrupt_set) = take_rebuild(&mut table);
        table.collect_more(BlockIndex(0), undecodable, undecodable_set);
        table.release(corrupt, corrupt_set);
        assert!(table.start_over(BlockIndex(1)), "there is hope");
        assert_eq!(table.deficits(2), []);
        for (block, piece) in [(0, 9), (1, 8)] {
            let Some(Work::Reuse { block: of, origin, .. }) = table.next_work() else { panic!("reused") };
            assert_eq!((of, origin), (BlockIndex(block), Origin::Base(BlockIndex(piece))));
        }
    }

    #[test]
    fn where_a_block_was_not_it_is_not_looked_for_again() {
        let mut table = with_base(&[1, 2]);
        table.take_base(base(&[(1, 9)]));
        assert!(matches!(table.next_work(), Some(Work::Reuse { .. })));
        table.ask_anew(BlockIndex(0));
        collect(&mut table, 0, 1..K + 1);
        let (buffer, collected) = take_rebuild(&mut table);
        table.collect_more(BlockIndex(0), buffer, collected);
        assert_eq!(table.deficits(1), [deficit(0, 1, 2)], "its symbols are kept");
        assert!(table.next_work().is_none());
    }

    #[test]
    fn a_kept_block_that_is_not_what_the_manifest_says_is_asked_for() {
        let mut table = table(2, 2);
        table.keep(&[BlockIndex(0)]);
        table.learn(&stored(0, 2));
        let _ = table.next_work();
        assert!(table.start_over(BlockIndex(0)), "there is hope");
        assert_eq!(table.deficits(1), [deficit(0, 1, K + 1)]);
        assert_eq!(table.held_runs(0, 4), []);
        collect(&mut table, 0, 0..K);
        assert!(matches!(table.next_work(), Some(Work::Rebuild { .. })));
    }

    #[test]
    fn a_kept_block_that_is_zero_now_is_made_a_hole() {
        let mut table = table(2, 2);
        table.keep(&[BlockIndex(0)]);
        table.learn(&zeros(0, 1));
        assert!(matches!(table.next_work(), Some(Work::Zero { block: BlockIndex(0), .. })));
    }

    #[test]
    fn no_more_runs_of_kept_blocks_are_named_than_there_is_room_for() {
        let mut table = table(9, 2);
        table.keep(&[0, 1, 3, 4, 6, 8].map(BlockIndex));
        assert_eq!(table.held_runs(0, 2), [kept(0, 2), kept(3, 2)]);
        assert_eq!(table.held_runs(4, 9), [kept(4, 1), kept(6, 1), kept(8, 1)]);
    }

    #[test]
    fn an_entry_is_learned_once() {
        let mut table = table(2, 1);
        table.learn(&stored(0, 2));
        let root = table.root().expect("all entries");
        table.learn(&zeros(0, 1));
        assert_eq!(table.root(), Some(root));
    }

    fn table(blocks: u64, buffers: u16) -> Table {
        Table::new(Geometry::new(blocks << 20, 20, 1432).expect("in range"), buffers)
    }

    fn stored(first: u32, blocks: usize) -> ManifestRun {
        ManifestRun::plain(BlockIndex(first), vec![entry(); blocks])
    }

    fn zeros(first: u32, blocks: usize) -> ManifestRun {
        let blocks = vec![Listed::Zero; blocks];
        ManifestRun { first: BlockIndex(first), blocks, fingerprints: Vec::new() }
    }

    fn entry() -> ManifestEntry {
        ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([1; 32]) }
    }

    fn fingerprinted(fingerprints: &[u8]) -> ManifestRun {
        let of = |&fingerprint: &u8| Fingerprint([fingerprint; 16]);
        let fingerprints: Vec<_> = fingerprints.iter().map(of).collect();
        ManifestRun { fingerprints: fingerprints.clone(), ..stored(0, fingerprints.len()) }
    }

    /// A table of blocks with these fingerprints, in a push with a base that is still being looked through.
    fn with_base(fingerprints: &[u8]) -> Table {
        let mut table = table(fingerprints.len() as u64, 4);
        table.wait_for_base();
        table.learn(&fingerprinted(fingerprints));
        table
    }

    fn base(pieces: &[(u8, u32)]) -> BaseIndex {
        let piece = |&(fingerprint, at): &(u8, u32)| (Fingerprint([fingerprint; 16]), BlockIndex(at));
        BaseIndex::new(pieces.iter().map(piece).collect())
    }

    fn collect(table: &mut Table, block: u32, symbols: std::ops::Range<u32>) {
        for esi in symbols {
            let place = table.place_for(&header(block, esi)).expect("a place");
            table.insert(&header(block, esi), place);
        }
    }

    fn take_rebuild(table: &mut Table) -> (BufferId, Box<Collected>) {
        match table.next_work() {
            Some(Work::Rebuild { buffer, collected, .. }) => (buffer, collected),
            other => panic!("{other:?}"),
        }
    }

    fn header(block: u32, esi: u32) -> SymbolHeader {
        SymbolHeader {
            tag: SessionTag([0; 3]),
            sequence: Sequence::default(),
            block: BlockIndex(block),
            esi: Esi::new(esi).expect("small"),
            encoded_len: 1 << 20,
        }
    }

    fn deficit(first: u32, blocks: u16, symbols: u32) -> DeficitRun {
        DeficitRun { first: BlockIndex(first), blocks, symbols: symbols as u16 }
    }

    fn kept(first: u32, blocks: u32) -> KeptRun {
        KeptRun { first: BlockIndex(first), blocks }
    }

    fn gap(first: u32, blocks: u16) -> GapRun {
        GapRun { first: BlockIndex(first), blocks }
    }
}
