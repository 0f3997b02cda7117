//! The order in which blocks are sent.
//!
//! - Repairs come first, so that no host falls far behind.
//! - After two blocks' worth of repairs comes a block of the first pass, so that a host that never stops asking does
//!   not keep the pass from ending. With a base there is no pass, and a block of which a host lacks everything comes
//!   instead.
//! - Blocks of which a host holds nothing come last, so that a host that joins late does not delay the others.

use super::blocks::{Blocks, FirstPass, Job};
use super::event::JobRoom;

/// Chooses the next job.
pub(super) struct JobOrder {
    /// The number of repair symbols after which another kind of job has its turn.
    repairs_max: u32,
    /// Repair symbols handed out since the last job of another kind.
    repairs: u32,
}

impl JobOrder {
    /// Returns the order of a push whose longest block has `symbols_max` symbols.
    pub(super) fn new(symbols_max: u32) -> Self {
        Self { repairs_max: REPAIRS_IN_A_ROW * symbols_max, repairs: 0 }
    }

    /// Returns the next job of a kind that there is room for. Only if `hosts_have_room`, it is one that needs a buffer of
    /// the hosts: all of a block.
    pub(super) fn next(&mut self, blocks: &mut Blocks, room: JobRoom, hosts_have_room: bool) -> Option<Job> {
        if !hosts_have_room {
            let next = |blocks: &mut Blocks| blocks.next_repair().or_else(|| blocks.next_shared());
            let job = if room.repair { next(blocks) } else { None };
            return job.inspect(|job| self.note(*job));
        }
        let yields = self.repairs >= self.repairs_max;
        let early = match blocks.first_pass() {
            FirstPass::Sent if room.source && yields => blocks.next_source(),
            FirstPass::OnDemand if room.repair && yields => blocks.next_whole(),
            FirstPass::Sent | FirstPass::OnDemand => None,
        };
        let repair = |next: fn(&mut Blocks) -> Option<Job>, blocks: &mut Blocks| {
            if room.repair { next(blocks) } else { None }
        };
        let job = early.or_else(|| repair(Blocks::next_repair, blocks));
        let job = job.or_else(|| if room.source { blocks.next_source() } else { None });
        job.into_iter().for_each(|job| self.note(job));
        job.or_else(|| repair(Blocks::next_whole, blocks)).or_else(|| repair(Blocks::next_again, blocks))
    }
}

impl JobOrder {
    fn note(&mut self, job: Job) {
        match job {
            Job::Repair { count, .. } => self.repairs = self.repairs.saturating_add(count),
            Job::Source { .. } => self.repairs = 0,
        }
    }
}

/// Repair symbols in a row, in blocks' worth of them, after which another kind of job has its turn.
const REPAIRS_IN_A_ROW: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;
    use crate::ids::{BlockIndex, Sequence};
    use crate::integrity::{BlockHash, Fingerprint};
    use crate::wire::{DeficitRun, Encoding, ManifestEntry};

    #[test]
    fn a_repair_comes_before_the_next_block_of_the_pass() {
        let (mut order, mut blocks) = begun(FirstPass::Sent);
        send(&mut order, &mut blocks, JobRoom::ANY);
        demand(&mut blocks, 0, 3);
        assert!(matches!(
            order.next(&mut blocks, JobRoom::ANY, true),
            Some(Job::Repair { block: BlockIndex(0), .. })
        ));
        assert!(matches!(
            order.next(&mut blocks, JobRoom::ANY, true),
            Some(Job::Source { block: BlockIndex(1), .. })
        ));
    }

    #[test]
    fn after_two_blocks_worth_of_repairs_the_pass_has_its_turn() {
        let (mut order, mut blocks) = begun(FirstPass::Sent);
        send(&mut order, &mut blocks, JobRoom::ANY);
        let kinds: Vec<bool> = (0..8)
            .map(|_| {
                demand(&mut blocks, 0, K as u16 - 1);
                matches!(send(&mut order, &mut blocks, JobRoom::ANY), Job::Repair { .. })
            })
            .collect();
        assert!(kinds[..2].iter().all(|&is_repair| is_repair), "{kinds:?}");
        assert!(kinds.windows(4).all(|four| four.contains(&false)), "{kinds:?}");
    }

    #[test]
    fn nothing_comes_that_there_is_no_room_for() {
        let (mut order, mut blocks) = begun(FirstPass::Sent);
        send(&mut order, &mut blocks, JobRoom::ANY);
        demand(&mut blocks, 0, 3);
        let source = JobRoom { repair: false, source: true };
        assert!(matches!(order.next(&mut blocks, source, true), Some(Job::Source { .. })));
        assert!(order.next(&mut blocks, JobRoom { repair: false, source: false }, true).is_none());
        let repair = JobRoom { repair: true, source: false };
        assert!(matches!(order.next(&mut blocks, repair, true), Some(Job::Repair { .. })));
        assert!(order.next(&mut blocks, repair, true).is_none(), "only the pass is left");
    }

    #[test]
    fn with_a_base_nothing_is_sent_that_nobody_asked_for() {
        let (mut order, mut blocks) = begun(FirstPass::OnDemand);
        assert!(order.next(&mut blocks, JobRoom::ANY, true).is_none());
        demand(&mut blocks, 2, K as u16 + 1);
        assert!(matches!(
            order.next(&mut blocks, JobRoom::ANY, true),
            Some(Job::Source { block: BlockIndex(2), .. })
        ));
    }

    fn begun(first_pass: FirstPass) -> (JobOrder, Blocks) {
        let mut blocks = Blocks::new(geometry(), first_pass);
        for _ in geometry().indices() {
            let entry = ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([1; 32]) };
            blocks.push(entry, (first_pass == FirstPass::OnDemand).then_some(Fingerprint([1; 16])), 0);
        }
        (JobOrder::new(K), blocks)
    }

    fn send(order: &mut JobOrder, blocks: &mut Blocks, room: JobRoom) -> Job {
        let job = order.next(blocks, room, true).expect("something is to be sent");
        blocks.finish(job, Sequence::default());
        job
    }

    fn demand(blocks: &mut Blocks, block: u32, symbols: u16) {
        let run = DeficitRun { first: BlockIndex(block), blocks: 1, symbols };
        blocks.demand(run, Sequence::new(1 << 20).expect("small"), 0.0);
    }

    fn geometry() -> Geometry {
        Geometry::new(8 << 20, 20, 8192).expect("in range")
    }

    /// Symbols of a block.
    const K: u32 = 128;
}
