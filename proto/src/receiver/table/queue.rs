//! The blocks that can be proven, and the number that other threads work on.

use std::collections::VecDeque;

use crate::ids::BlockIndex;

/// Blocks on their way to being held.
#[derive(Default)]
pub(super) struct ProofQueue {
    /// Blocks that can be proven now, each once.
    ready: VecDeque<BlockIndex>,
    /// The number of blocks that other threads work on.
    at_work: u32,
}

impl ProofQueue {
    pub(super) fn push(&mut self, block: BlockIndex) {
        self.ready.push_back(block);
    }

    /// Hands out the next block.
    pub(super) fn pop(&mut self) -> Option<BlockIndex> {
        let block = self.ready.pop_front()?;
        self.at_work += 1;
        Some(block)
    }

    /// Notes that the work on a block ended.
    pub(super) fn finish(&mut self) {
        self.at_work -= 1;
    }

    /// The number of blocks that wait.
    pub(super) fn waiting(&self) -> u32 {
        self.ready.len() as u32
    }

    /// The number of blocks that wait or that other threads work on.
    pub(super) fn open(&self) -> u32 {
        self.at_work + self.waiting()
    }
}
