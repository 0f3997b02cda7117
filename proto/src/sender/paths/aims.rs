//! Which paths lack symbols of which blocks, so that repairs go to those alone.

use std::collections::BTreeMap;

use super::PathSet;
use crate::ids::BlockIndex;
use crate::sender::blocks::Job;
use crate::sender::event::To;
use crate::wire::DeficitRun;

/// The paths on which hosts have asked for symbols of a block that were not handed out since.
#[derive(Default)]
pub(super) struct Aims {
    asked: BTreeMap<BlockIndex, PathSet>,
    /// The aims of jobs that were handed out, if they are not everyone. A block has one job at a time.
    handed_out: BTreeMap<BlockIndex, PathSet>,
}

impl Aims {
    /// Notes that a host on these paths lacks symbols of a run of blocks.
    pub(super) fn note(&mut self, run: DeficitRun, paths: PathSet) {
        for block in run.first.0..run.first.0.saturating_add(u32::from(run.blocks)) {
            let aim = self.asked.entry(BlockIndex(block)).or_default();
            *aim = aim.union(paths);
        }
    }

    /// Decides where the symbols of a job are needed that is handed out: on those of `all` paths that have asked, or
    /// everywhere. `is_first` is whether it is the first pass of its block, which all hosts need.
    pub(super) fn hand_out(&mut self, job: Job, is_first: bool, all: PathSet) {
        self.handed_out.remove(&job.block());
        if is_first {
            return;
        }
        let aim = self.asked.remove(&job.block()).unwrap_or_default().intersection(all);
        if !aim.is_empty() && aim != all {
            self.handed_out.insert(job.block(), aim);
        }
    }

    /// Returns where the symbols of a job that was handed out are needed.
    pub(super) fn of(&self, job: Job) -> To {
        self.handed_out.get(&job.block()).map_or(To::Everyone, |&aim| To::Paths(aim))
    }

    /// Forgets what was asked for.
    pub(super) fn forget(&mut self) {
        self.asked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glancecast_fec::Esi;

    #[test]
    fn repairs_go_to_the_paths_that_have_asked_and_the_first_pass_to_all() {
        let (all, mut aims): (PathSet, _) = ((0..50).collect(), Aims::default());
        let aim = |aims: &mut Aims, block, is_first, all| {
            aims.hand_out(repair(block), is_first, all);
            aims.of(repair(block))
        };
        aims.note(run(4, 2), PathSet::of(7));
        aims.note(run(5, 3), PathSet::of(9));
        assert_eq!(aim(&mut aims, 4, false, all), To::Paths(PathSet::of(7)));
        assert_eq!(aim(&mut aims, 4, false, all), To::Everyone, "nobody has asked again");
        assert_eq!(aim(&mut aims, 5, true, all), To::Everyone);
        assert_eq!(aim(&mut aims, 5, false, all), To::Paths([7, 9].into_iter().collect()));
        assert_eq!(aim(&mut aims, 6, false, PathSet::of(9)), To::Everyone, "there is one path");
        aims.note(run(7, 1), PathSet::of(12));
        assert_eq!(aim(&mut aims, 7, false, PathSet::of(9)), To::Everyone, "its path is gone");
        aims.note(run(8, 1), PathSet::of(7));
        assert_eq!(aim(&mut aims, 8, false, all), To::Paths(PathSet::of(7)));
        assert_eq!(
            aim(&mut aims, 8, false, PathSet::of(9)),
            To::Everyone,
            "an earlier aim is no aim of this job"
        );
    }

    fn run(first: u32, blocks: u16) -> DeficitRun {
        DeficitRun { first: BlockIndex(first), blocks, symbols: 3 }
    }

    fn repair(block: u32) -> Job {
        Job::Repair { block: BlockIndex(block), first: Esi::new(800).expect("small"), count: 3 }
    }
}
