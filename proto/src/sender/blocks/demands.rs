//! The blocks of which hosts lack something, in three queues. A block is in one of them at most.
//!
//! One report may name every block of an object and move all of them from one queue to the other, so each step has to
//! cost the same however long the queues are. Each queue is therefore a doubly linked list through one table that has
//! an entry for each block.

#[cfg(test)]
use std::cell::Cell;

use crate::ids::BlockIndex;

/// One of the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Blocks of which every host that lacks some holds something.
    Partial,
    /// Blocks of which a host holds nothing, and another one, which lacks some too, holds something.
    Shared,
    /// Blocks of which a host holds nothing.
    Whole,
}

/// The queues.
#[derive(Default)]
pub(super) struct Demands {
    /// An entry for each block of the object that was read.
    entries: Vec<Entry>,
    partial: Ends,
    shared: Ends,
    whole: Ends,
    /// How many entries were looked at or changed.
    #[cfg(test)]
    pub(super) steps: Cell<u32>,
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
        [self.partial, self.shared, self.whole].iter().all(|queue| queue.first.is_none())
    }

    /// Queues a block last. One that is queued as partial and is now asked for as a whole moves to the end of the shared
    /// ones, as does one that is queued as whole and of which a host holds something. In all other cases a block that is
    /// queued keeps its place.
    pub(super) fn put(&mut self, block: BlockIndex, queue: Queue) {
        self.count_step();
        let queued = self.entries[block.index()].queue;
        let queue = match queued {
            None => queue,
            Some(queued) if queued == queue || queued == Queue::Shared => return,
            Some(Queue::Partial | Queue::Shared | Queue::Whole) => Queue::Shared,
        };
        if queued.is_some() {
            self.remove(block);
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
        let block = queued.find(|&block| {
            self.count_step();
            !is_busy(block)
        })?;
        self.remove(block);
        Some(block)
    }

    /// Whether a block is queued.
    pub(super) fn has(&self, block: BlockIndex) -> bool {
        self.entries[block.index()].queue.is_some()
    }

    /// Takes the first block of any queue.
    pub(super) fn take_any(&mut self) -> Option<BlockIndex> {
        let block = self.partial.first.or(self.shared.first).or(self.whole.first)?;
        self.remove(block);
        Some(block)
    }

    /// Takes a block out of the queue that it is in.
    fn remove(&mut self, block: BlockIndex) {
        self.count_step();
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

    fn count_step(&self) {
        #[cfg(test)]
        self.steps.set(self.steps.get() + 1);
    }

    fn ends(&mut self, queue: Queue) -> &mut Ends {
        match queue {
            Queue::Partial => &mut self.partial,
            Queue::Shared => &mut self.shared,
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
    fn a_block_that_is_asked_for_both_ways_goes_to_the_end_of_the_shared_ones_and_stays_there() {
        let mut demands = demands(7);
        [1, 2, 3].into_iter().for_each(|block| demands.put(BlockIndex(block), Queue::Partial));
        [5, 2, 1, 6].into_iter().for_each(|block| demands.put(BlockIndex(block), Queue::Whole));
        [1, 5, 4].into_iter().for_each(|block| demands.put(BlockIndex(block), Queue::Partial));
        assert_eq!(drain(&mut demands, Queue::Partial), [3, 4]);
        assert_eq!(drain(&mut demands, Queue::Shared), [2, 1, 5]);
        assert_eq!(drain(&mut demands, Queue::Whole), [6]);
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
    fn blocks_are_queued_as_plain_queues_would_queue_them() {
        const BLOCKS: u32 = 9;
        for seed in 0..200 {
            println!("seed {seed}");
            let mut rng = Rng::new(&[seed; 32]);
            let (mut demands, mut plain) = (demands(BLOCKS), Plain::default());
            for _ in 0..300 {
                let [what, block, busy] = rng.bytes();
                let block = BlockIndex(u32::from(block) % BLOCKS);
                let queue = if what & 8 == 0 { Queue::Partial } else { Queue::Whole };
                let queue = if what >= 192 && what % 8 >= 5 { Queue::Shared } else { queue };
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
                assert_eq!(demands.is_empty(), plain.queues.iter().all(VecDeque::is_empty));
            }
        }
    }

    /// A slow model of `Demands`.
    #[derive(Default)]
    struct Plain {
        /// In the order of `QUEUES`.
        queues: [VecDeque<BlockIndex>; 3],
    }

    impl Plain {
        fn put(&mut self, block: BlockIndex, queue: Queue) {
            let queued = self.queues.iter().position(|queue| queue.contains(&block));
            let (asked, shared) = (place(queue), place(Queue::Shared));
            match queued {
                None => self.queues[asked].push_back(block),
                Some(queued) if queued == asked || queued == shared => {}
                Some(queued) => {
                    self.queues[queued].retain(|&other| other != block);
                    self.queues[shared].push_back(block);
                }
            }
        }

        fn take_first(&mut self, queue: Queue, is_busy: impl Fn(BlockIndex) -> bool) -> Option<BlockIndex> {
            let blocks = &mut self.queues[place(queue)];
            let at = blocks.iter().position(|&block| !is_busy(block))?;
            blocks.remove(at)
        }

        fn take_any(&mut self) -> Option<BlockIndex> {
            self.queues.iter_mut().find_map(VecDeque::pop_front)
        }
    }

    fn place(queue: Queue) -> usize {
        QUEUES.into_iter().position(|each| each == queue).expect("one of them")
    }

    const QUEUES: [Queue; 3] = [Queue::Partial, Queue::Shared, Queue::Whole];

    fn demands(blocks: u32) -> Demands {
        let mut demands = Demands::default();
        (0..blocks).for_each(|_| demands.push());
        demands
    }

    fn drain(demands: &mut Demands, queue: Queue) -> Vec<u32> {
        std::iter::from_fn(|| demands.take_first(queue, |_| false)).map(|block| block.0).collect()
    }
}
