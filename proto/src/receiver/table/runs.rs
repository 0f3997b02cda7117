//! Runs of neighbouring blocks, as reports and hellos contain them.

use crate::ids::BlockIndex;
use crate::wire::{DeficitRun, KeptRun};

/// Returns the deficits of ascending blocks in at most `runs_max` runs. Blocks beyond those are not visited.
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

/// Returns ascending blocks in at most `runs_max` runs.
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
