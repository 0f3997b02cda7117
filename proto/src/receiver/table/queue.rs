//! Blocks that can be proven, and how many of them other threads have.

use std::collections::VecDeque;

use crate::ids::BlockIndex;

/// Blocks on their way to being held.
#[derive(Default)]
pub(super) struct ProofQueue {
    /// Blocks that can be proven now, each once.
    ready: VecDeque<BlockIndex>,
    /// Blocks that are at another thread.
    at_work: u32,
}

impl ProofQueue {
    pub(super) fn push(&mut self, block: BlockIndex) {
        self.ready.push_back(block);
    }

    /// Hands the next block out.
    pub(super) fn pop(&mut self) -> Option<BlockIndex> {
        let block = self.ready.pop_front()?;
        self.at_work += 1;
        Some(block)
    }

    /// The work on a block that was handed out ended.
    pub(super) fn finish(&mut self) {
        self.at_work -= 1;
    }

    /// Blocks that wait.
    pub(super) fn waiting(&self) -> u32 {
        self.ready.len() as u32
    }

    /// Blocks that wait or are at another thread.
    pub(super) fn open(&self) -> u32 {
        self.at_work + self.waiting()
    }
}
