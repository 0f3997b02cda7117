//! The state of each block, and the blocks of those states that reports are about.
//!
//! A report asks for what is being collected, and for all of some blocks of which nothing is here; it may also name the
//! blocks that need not be sent. These are kept as sets, which change with each state: of millions of blocks, a report
//! looks at as many as there are buffers.

#[cfg(test)]
use std::cell::Cell;
use std::collections::BTreeSet;

use super::block_set::BlockSet;
use super::collect::BufferId;
use super::reuse::Origin;
use crate::ids::BlockIndex;

/// The state of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Unseen,
    /// An earlier session has written it; the manifest entry to verify it with is missing.
    Kept,
    /// It is being verified, or queued for that.
    Rechecking,
    /// It may lie in this place on this host; queued, or being read.
    Matched(Origin),
    Collecting(BufferId),
    /// Enough symbols and the entry are here; queued.
    Ready(BufferId),
    /// Another thread works on it; or it is a queued zero block.
    Rebuilding,
    /// It did not match the manifest: its symbols wait for their hashes, or are queued to be compared with them.
    Suspect(BufferId),
    Held,
}

impl State {
    /// Whether the block need not be sent: it is here, or may be made of what is here.
    fn is_spared(self) -> bool {
        matches!(self, Self::Kept | Self::Rechecking | Self::Matched(_) | Self::Held)
    }
}

/// The states of all blocks.
pub(super) struct States {
    of: Vec<State>,
    /// Blocks that are being collected: at most as many as there are buffers.
    collecting: BTreeSet<BlockIndex>,
    /// Blocks that need not be sent.
    spared: BlockSet,
    /// Blocks that are unseen, and that a report may ask for.
    wanted: BlockSet,
    /// How often a state was read.
    #[cfg(test)]
    pub(super) reads: Cell<u32>,
}

impl States {
    /// Returns the states of `blocks` blocks of which nothing has arrived and none may be asked for.
    pub(super) fn new(blocks: u32) -> Self {
        Self {
            of: vec![State::Unseen; blocks as usize],
            collecting: BTreeSet::new(),
            spared: BlockSet::default(),
            wanted: BlockSet::default(),
            #[cfg(test)]
            reads: Cell::new(0),
        }
    }

    /// Returns the state of a block of the object.
    pub(super) fn get(&self, block: BlockIndex) -> State {
        #[cfg(test)]
        self.reads.set(self.reads.get() + 1);
        self.of[block.index()]
    }

    /// Returns the state of a block, if the object has it.
    pub(super) fn find(&self, block: BlockIndex) -> Option<State> {
        (block.index() < self.of.len()).then(|| self.get(block))
    }

    /// Changes the state of a block. One that is unseen may be asked for only after [`States::set_wanted`].
    pub(super) fn set(&mut self, block: BlockIndex, state: State) {
        self.of[block.index()] = state;
        self.spared.set(block, state.is_spared());
        self.wanted.set(block, false);
        if matches!(state, State::Collecting(_)) {
            self.collecting.insert(block);
        } else {
            self.collecting.remove(&block);
        }
    }

    /// Sets whether a report may ask for all of a block if it is unseen.
    pub(super) fn set_wanted(&mut self, block: BlockIndex, is_wanted: bool) {
        self.wanted.set(block, is_wanted && self.get(block) == State::Unseen);
    }

    /// Returns the blocks that are being collected, ascending.
    pub(super) fn collecting(&self) -> impl Iterator<Item = BlockIndex> {
        self.collecting.iter().copied()
    }

    /// The blocks that need not be sent.
    pub(super) fn spared(&self) -> &BlockSet {
        &self.spared
    }

    /// The blocks of which nothing is here, and that may be asked for.
    pub(super) fn wanted(&self) -> &BlockSet {
        &self.wanted
    }
}
