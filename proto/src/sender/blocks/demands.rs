//! The blocks of which hosts lack something, in two queues. A block is in one of them at most.
//!
//! One report may name every block of an object and move all of them from one queue to the other, so each step has to
//! cost the same however long the queues are. Each queue is therefore a doubly linked list through one table that has
//! an entry for each block.

use crate::ids::BlockIndex;

/// One of the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Blocks of which every host that lacks some holds something.
    Partial,
    /// Blocks of which a host holds nothing.
    Whole,
}

/// Both queues.
#[derive(Default)]
pub(super) struct Demands {
    /// An entry for each block of the object that was read.
    entries: Vec<Entry>,
    partial: Ends,
    whole: Ends,
}

/// The place of one block.
#[derive(Clone, Copy, Default)]
struct Entry {
    queue: Option<Queue>,
    before: Option<BlockIndex>,
    after: Option<BlockIndex>,
}

/// The first and the last block of a queue.
#[derive(Clone, Copy, Default)]
struct Ends {
    first: Option<BlockIndex>,
    last: Option<BlockIndex>,
}

impl Demands {
    /// Adds the next block of the object, of which nothing is asked for.
    pub(super) fn push(&mut self) {
        self.entries.push(Entry::default());
    }

    /// Whether nothing is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.partial.first.is_none() && self.whole.first.is_none()
    }

    /// Queues a block last. One that is queued as partial moves to the end of the whole ones if `queue` is
    /// [`Queue::Whole`]; in all other cases a block that is queued keeps its place.
    pub(super) fn put(&mut self, block: BlockIndex, queue: Queue) {
        match (self.entries[block.index()].queue, queue) {
            (None, _) => {}
            (Some(Queue::Partial), Queue::Whole) => self.remove(block),
            (Some(_), _) => return,
        }
        let last = self.ends(queue).last.replace(block);
        match last {
            Some(last) => self.entries[last.index()].after = Some(block),
            None => self.ends(queue).first = Some(block),
        }
        self.entries[block.index()] = Entry { queue: Some(queue), before: last, after: None };
    }

    /// Takes the first block of a queue that is not busy. A job is handed out of each busy block, so there are few.
    pub(super) fn take_first(
        &mut self,
        queue: Queue,
        is_busy: impl Fn(BlockIndex) -> bool,
    ) -> Option<BlockIndex> {
        let first = self.ends(queue).first;
        let mut queued = std::iter::successors(first, |block| self.entries[block.index()].after);
        let block = queued.find(|&block| !is_busy(block))?;
        self.remove(block);
        Some(block)
    }

    /// Takes the first block of either queue.
    pub(super) fn take_any(&mut self) -> Option<BlockIndex> {
        let block = self.partial.first.or(self.whole.first)?;
        self.remove(block);
        Some(block)
    }

    /// Takes a block out of the queue that it is in.
    fn remove(&mut self, block: BlockIndex) {
        let Entry { queue, before, after } = std::mem::take(&mut self.entries[block.index()]);
        let queue = queue.expect("only queued blocks are removed");
        match before {
            Some(before) => self.entries[before.index()].after = after,
            None => self.ends(queue).first = after,
        }
        match after {
            Some(after) => self.entries[after.index()].before = before,
            None => self.ends(queue).last = before,
        }
    }

    fn ends(&mut self, queue: Queue) -> &mut Ends {
        match queue {
            Queue::Partial => &mut self.partial,
            Queue::Whole => &mut self.whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::VecDeque;

    #[test]
    fn blocks_come_in_the_order_in_which_they_were_first_asked_for() {
        let mut demands = demands(6);
        [4, 1, 5, 1, 0].into_iter().for_each(|block| demands.put(BlockIndex(block), Queue::Partial));
        assert_eq!(drain(&mut demands, Queue::Partial), [4, 1, 5, 0]);
        assert!(demands.is_empty());
    }

    #[test]
    fn a_block_that_turns_whole_goes_to_the_end_of_the_whole_ones_and_stays_there() {
        let mut demands = demands(6);
        [1, 2, 3].into_iter().for_each(|block| demands.put(BlockIndex(block), Queue::Partial));
        [5, 2, 1].into_iter().for_each(|block| demands.put(BlockIndex(block), Queue::Whole));
        [1, 5, 4].into_iter().for_each(|block| demands.put(BlockIndex(block), Queue::Partial));
        assert_eq!(drain(&mut demands, Queue::Partial), [3, 4]);
        assert_eq!(drain(&mut demands, Queue::Whole), [5, 2, 1]);
    }

    #[test]
    fn a_busy_block_keeps_its_place() {
        let mut demands = demands(4);
        (0..4).for_each(|block| demands.put(BlockIndex(block), Queue::Partial));
        let is_busy = |block: BlockIndex| block.0 < 2;
        assert_eq!(demands.take_first(Queue::Partial, is_busy), Some(BlockIndex(2)));
        assert_eq!(demands.take_first(Queue::Partial, is_busy), Some(BlockIndex(3)));
        assert_eq!(demands.take_first(Queue::Partial, is_busy), None);
        assert_eq!(drain(&mut demands, Queue::Partial), [0, 1]);
    }

    #[test]
    fn blocks_are_queued_as_two_plain_queues_would_queue_them() {
        const BLOCKS: u32 = 9;
        for seed in 0..200 {
            println!("seed {seed}");
            let mut rng = Rng::new(&[seed; 32]);
            let (mut demands, mut plain) = (demands(BLOCKS), Plain::default());
            for _ in 0..300 {
                let [what, block, busy] = rng.bytes();
                let block = BlockIndex(u32::from(block) % BLOCKS);
                let queue = if what & 1 == 0 { Queue::Partial } else { Queue::Whole };
                let is_busy = |block: BlockIndex| block.0 == u32::from(busy) % (2 * BLOCKS);
                match what % 8 {
                    0..5 => {
                        demands.put(block, queue);
                        plain.put(block, queue);
                    }
                    5..7 => {
                        assert_eq!(demands.take_first(queue, is_busy), plain.take_first(queue, is_busy));
                    }
                    _ => assert_eq!(demands.take_any(), plain.take_any()),
                }
                assert_eq!(demands.is_empty(), plain.partial.is_empty() && plain.whole.is_empty());
            }
        }
    }

    /// A slow model of `Demands`.
    #[derive(Default)]
    struct Plain {
        partial: VecDeque<BlockIndex>,
        whole: VecDeque<BlockIndex>,
    }

    impl Plain {
        fn put(&mut self, block: BlockIndex, queue: Queue) {
            let (is_partial, is_whole) = (self.partial.contains(&block), self.whole.contains(&block));
            if queue == Queue::Whole && !is_whole {
                self.partial.retain(|&queued| queued != block);
                self.whole.push_back(block);
            } else if queue == Queue::Partial && !is_partial && !is_whole {
                self.partial.push_back(block);
            }
        }

        fn take_first(&mut self, queue: Queue, is_busy: impl Fn(BlockIndex) -> bool) -> Option<BlockIndex> {
            let blocks = if queue == Queue::Whole { &mut self.whole } else { &mut self.partial };
            let at = blocks.iter().position(|&block| !is_busy(block))?;
            blocks.remove(at)
        }

        fn take_any(&mut self) -> Option<BlockIndex> {
            self.partial.pop_front().or_else(|| self.whole.pop_front())
        }
    }

    fn demands(blocks: u32) -> Demands {
        let mut demands = Demands::default();
        (0..blocks).for_each(|_| demands.push());
        demands
    }

    fn drain(demands: &mut Demands, queue: Queue) -> Vec<u32> {
        std::iter::from_fn(|| demands.take_first(queue, |_| false)).map(|block| block.0).collect()
    }
}
