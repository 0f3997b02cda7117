//! A set of blocks, as the runs that it consists of.
//!
//! A report asks for the first few of millions of blocks that are in some state. To find them by a walk over all blocks
//! would cost as much for each report as the object is long.

use std::collections::BTreeMap;

use crate::ids::BlockIndex;

/// A set of blocks. Each step costs the logarithm of the number of runs, which is at most half of the blocks.
#[derive(Default)]
pub(super) struct BlockSet {
    /// The ends of the runs by their first blocks. No two runs touch each other.
    runs: BTreeMap<u32, u32>,
}

/// Consecutive blocks from `first` to one before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) end: u32,
}

impl BlockSet {
    /// Returns the set of the first `blocks` blocks.
    pub(super) fn first(blocks: u32) -> Self {
        let run = (blocks > 0).then_some((0, blocks));
        Self { runs: run.into_iter().collect() }
    }

    /// Puts a block into the set, or takes it out.
    pub(super) fn set(&mut self, block: BlockIndex, is_in: bool) {
        match (self.run_with(block.0), is_in) {
            (None, true) => self.insert(block.0),
            (Some(run), false) => self.remove(block.0, run),
            (Some(_), true) | (None, false) => {}
        }
    }

    /// Returns the runs of the blocks from `from` on, ascending.
    pub(super) fn runs_from(&self, from: u32) -> impl Iterator<Item = Run> {
        let begun = self.run_with(from).map(|run| Run { first: from, ..run });
        let begun_end = begun.map_or(from, |run| run.end);
        begun.into_iter().chain(self.runs.range(begun_end..).map(|(&first, &end)| Run { first, end }))
    }

    /// Returns the blocks, ascending.
    pub(super) fn blocks(&self) -> impl Iterator<Item = BlockIndex> {
        self.runs_from(0).flat_map(|run| run.first..run.end).map(BlockIndex)
    }

    fn run_with(&self, block: u32) -> Option<Run> {
        let (&first, &end) = self.runs.range(..=block).next_back()?;
        (block < end).then_some(Run { first, end })
    }

    /// Inserts a block that is not there.
    fn insert(&mut self, block: u32) {
        let before = self.runs.range(..block).next_back().filter(|&(_, &end)| end == block);
        let first = before.map_or(block, |(&first, _)| first);
        let end = self.runs.remove(&(block + 1)).unwrap_or(block + 1);
        self.runs.insert(first, end);
    }

    /// Removes a block that is in this run.
    fn remove(&mut self, block: u32, Run { first, end }: Run) {
        if first < block {
            self.runs.insert(first, block);
        } else {
            self.runs.remove(&first);
        }
        if block + 1 < end {
            self.runs.insert(block + 1, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn a_set_is_what_a_plain_set_is_and_its_runs_do_not_touch() {
        const BLOCKS: u32 = 24;
        for seed in 0..200 {
            println!("seed {seed}");
            let mut rng = Rng::new(&[seed; 32]);
            let (mut set, mut plain) = (BlockSet::first(BLOCKS), (0..BLOCKS).collect::<BTreeSet<u32>>());
            for _ in 0..200 {
                let [block, is_in, from] = rng.bytes();
                let (block, is_in) = (u32::from(block) % BLOCKS, is_in % 2 == 0);
                set.set(BlockIndex(block), is_in);
                if is_in {
                    plain.insert(block)
                } else {
                    plain.remove(&block)
                };
                let from = u32::from(from) % BLOCKS;
                let runs: Vec<Run> = set.runs_from(from).collect();
                assert!(runs.windows(2).all(|two| two[0].end < two[1].first), "{runs:?}");
                let blocks: Vec<u32> = runs.iter().flat_map(|run| run.first..run.end).collect();
                assert!(plain.range(from..).eq(&blocks), "{plain:?} from {from}: {runs:?}");
            }
            assert!(set.blocks().map(|block| block.0).eq(plain));
        }
    }

    #[test]
    fn blocks_in_ascending_order_are_one_run() {
        let mut set = BlockSet::default();
        (0..1_000).for_each(|block| set.set(BlockIndex(block), true));
        assert_eq!(set.runs_from(0).collect::<Vec<_>>(), [Run { first: 0, end: 1_000 }]);
        assert_eq!(BlockSet::first(0).runs_from(0).next(), None);
    }
}
