//! Runs of neighbouring blocks with the same deficit, as reports contain them.

use crate::ids::BlockIndex;
use crate::wire::DeficitRun;

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
