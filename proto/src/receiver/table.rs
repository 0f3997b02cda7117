//! What a host knows of each block of the object: its manifest entry, where its symbols are being collected, whether
//! it is proven and written. Answers what is lacking.

use std::collections::VecDeque;

use crate::geometry::Geometry;
use crate::ids::BlockIndex;
use crate::integrity::{BlockHash, Root};
use crate::limits::{REPORT_GAPS_MAX, report_runs_in};
use crate::receiver::collect::{BufferId, Buffers, Collected, Place};
use crate::wire::{DeficitRun, Discard, Encoding, GapRun, ManifestEntry, ManifestRun, SymbolHeader};

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
    /// Verify that zeros are what the manifest means, and leave a hole.
    Zero {
        /// The block.
        block: BlockIndex,
        /// What the manifest says of it.
        entry: ManifestEntry,
    },
}

/// All blocks of the object.
pub(super) struct Table {
    geometry: Geometry,
    manifest: Vec<Option<ManifestEntry>>,
    states: Vec<State>,
    buffers: Buffers,
    /// Blocks that can be proven now, each once.
    ready: VecDeque<BlockIndex>,
    held: u32,
    /// Blocks below this one are held.
    held_prefix: u32,
    known: u32,
    /// Manifest entries below this block are known.
    known_prefix: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unseen,
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
            ready: VecDeque::new(),
            held: 0,
            held_prefix: 0,
            known: 0,
            known_prefix: 0,
        }
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
            State::Ready(_) | State::Rebuilding | State::Held => Err(Discard::NotNeeded),
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
            let taken = self.buffers.take(shape, header.encoded_len);
            assert_eq!(taken, Some(place.buffer));
            *state = State::Collecting(place.buffer);
        }
        if self.buffers.get_mut(place.buffer).insert(header.esi) {
            self.queue_if_ready(header.block);
        }
    }

    /// Takes manifest entries in; those known already are passed over.
    pub(super) fn learn(&mut self, run: &ManifestRun) {
        for (block, &entry) in (run.first.0..).map(BlockIndex).zip(&run.entries) {
            let known = &mut self.manifest[block.index()];
            if known.is_some() {
                continue;
            }
            *known = Some(entry);
            self.known += 1;
            if let State::Collecting(buffer) = self.states[block.index()] {
                let encoded_len = entry.encoded_len(self.geometry, block);
                if self.buffers.get(buffer).encoded_len() != encoded_len {
                    self.forget(block, buffer);
                }
            }
            self.queue_if_ready(block);
        }
        while self.manifest.get(self.known_prefix as usize).is_some_and(Option::is_some) {
            self.known_prefix += 1;
        }
    }

    /// The next block to prove.
    pub(super) fn next_work(&mut self) -> Option<Work> {
        let block = self.ready.pop_front()?;
        let entry = self.manifest[block.index()].expect("queued with its entry");
        match self.states[block.index()] {
            State::Ready(buffer) => {
                self.states[block.index()] = State::Rebuilding;
                Some(Work::Rebuild { block, entry, buffer, collected: self.buffers.lend(buffer) })
            }
            State::Rebuilding => Some(Work::Zero { block, entry }),
            state @ (State::Unseen | State::Collecting(_) | State::Held) => {
                unreachable!("a block in state {state:?} was queued")
            }
        }
    }

    /// A block was proven and written.
    pub(super) fn hold(&mut self, block: BlockIndex) {
        assert_eq!(self.states[block.index()], State::Rebuilding);
        self.states[block.index()] = State::Held;
        self.held += 1;
        while self.states.get(self.held_prefix as usize) == Some(&State::Held) {
            self.held_prefix += 1;
        }
    }

    pub(super) fn release(&mut self, buffer: BufferId, collected: Box<Collected>) {
        self.buffers.release(buffer, collected);
    }

    /// The symbols did not determine the block: it goes on collecting.
    pub(super) fn collect_more(
        &mut self,
        block: BlockIndex,
        buffer: BufferId,
        mut collected: Box<Collected>,
    ) {
        collected.note_failure();
        self.buffers.give_back(buffer, collected);
        self.states[block.index()] = State::Collecting(buffer);
        self.queue_if_ready(block);
    }

    /// Whether the manifest says that nothing travels for a block.
    pub(super) fn is_zero(&self, block: BlockIndex) -> bool {
        self.manifest[block.index()].is_some_and(|entry| entry.encoding == Encoding::Zero)
    }

    /// What was rebuilt is not what the manifest says: everything of it is dropped and asked for again.
    ///
    /// # Panics
    /// For a zero block: there is nothing to ask for.
    pub(super) fn start_over(&mut self, block: BlockIndex) {
        assert!(!self.is_zero(block), "block {block} has no symbols");
        self.states[block.index()] = State::Unseen;
    }

    /// The root that the manifest amounts to, once all of it is known.
    pub(super) fn root(&self) -> Option<Root> {
        let hashes: Option<Vec<BlockHash>> =
            self.manifest.iter().map(|entry| entry.map(|entry| entry.hash)).collect();
        hashes.map(|hashes| Root::of(self.geometry, &hashes))
    }

    /// What is lacking of the blocks below `end`, from the front of the object: as much as one report holds, and no
    /// more new blocks than there are free buffers for, so that a host asks only for what it can take.
    pub(super) fn deficits(&self, end: u32) -> Vec<DeficitRun> {
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
        match self.states[block.index()] {
            State::Ready(_) | State::Rebuilding | State::Held => None,
            State::Collecting(buffer) => {
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
        let Some(entry) = self.manifest[block.index()] else { return };
        match self.states[block.index()] {
            State::Unseen if entry.encoding == Encoding::Zero => {
                self.states[block.index()] = State::Rebuilding;
                self.ready.push_back(block);
            }
            State::Collecting(buffer) if self.buffers.get(buffer).is_enough() => {
                self.states[block.index()] = State::Ready(buffer);
                self.ready.push_back(block);
            }
            State::Unseen | State::Collecting(_) | State::Ready(_) | State::Rebuilding | State::Held => {}
        }
    }

    fn forget(&mut self, block: BlockIndex, buffer: BufferId) {
        let collected = self.buffers.lend(buffer);
        self.buffers.release(buffer, collected);
        self.states[block.index()] = State::Unseen;
    }
}
