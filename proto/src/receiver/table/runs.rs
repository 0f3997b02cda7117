//! Blocks as runs of neighbours, as reports and hellos name them.

use crate::ids::BlockIndex;
use crate::wire::{DeficitRun, KeptRun};

/// What is lacking of ascending blocks, in `runs_max` runs at most. Blocks beyond those are not looked at.
pub(super) fn deficit_runs(
    lacking: impl Iterator<Item = (BlockIndex, u16)>,
    runs_max: usize,
) -> Vec<DeficitRun> {
    let mut runs: Vec<DeficitRun> = Vec::new();
    for (block, symbols) in lacking {
        let is_full = runs.len() == runs_max;
        match runs.last_mut().filter(|run| run.continues_with(block, symbols)) {
            Some(run) => run.blocks += 1,
            None if is_full => break,
            None => runs.push(DeficitRun { first: block, blocks: 1, symbols }),
        }
    }
    runs
}

/// Ascending blocks in `runs_max` runs at most.
pub(super) fn kept_runs(blocks: impl Iterator<Item = BlockIndex>, runs_max: usize) -> Vec<KeptRun> {
    let mut runs: Vec<KeptRun> = Vec::new();
    for block in blocks {
        let is_full = runs.len() == runs_max;
        match runs.last_mut().filter(|run| run.end() == block.0) {
            Some(run) => run.blocks += 1,
            None if is_full => break,
            None => runs.push(KeptRun { first: block, blocks: 1 }),
        }
    }
    runs
}
