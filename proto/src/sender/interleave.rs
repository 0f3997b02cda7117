//! Sends symbols of several blocks in turn. A burst of losses then costs each block a few symbols instead of one block
//! many, and all hosts together ask for less.

use glancecast_fec::Esi;

use super::blocks::Job;
use super::event::To;
use crate::ids::{BlockIndex, Sequence};
pub use crate::limits::INTERLEAVED_BLOCKS;

/// At most [`INTERLEAVED_BLOCKS`] jobs, each with a load `L`: what the shell holds of its symbols.
#[derive(Debug)]
pub struct Interleaver<L> {
    jobs: Vec<OpenJob<L>>,
    /// The position of the job whose symbol was taken last.
    turn: usize,
}

#[derive(Debug)]
struct OpenJob<L> {
    job: Job,
    /// Where its symbols are needed.
    aim: To,
    /// K.
    source_symbols: u32,
    load: L,
    /// Symbols that were taken.
    sent: u32,
    /// Symbols of the job that are to be taken.
    end: u32,
    /// Number of the last symbol that was taken.
    last: Sequence,
}

/// One symbol, ready to be sealed.
#[derive(Debug)]
pub struct NextSymbol<'a, L> {
    /// The number of its datagram.
    pub sequence: Sequence,
    /// The block.
    pub block: BlockIndex,
    /// The symbol.
    pub esi: Esi,
    /// Whether it is a repair symbol.
    pub is_repair: bool,
    /// Its position among the symbols of its job.
    pub position: u32,
    /// What the shell holds of the job's symbols.
    pub load: &'a L,
}

/// A job whose symbols were all taken, or are no longer needed.
#[derive(Debug)]
pub struct FinishedJob<L> {
    /// The job.
    pub job: Job,
    /// What the shell held of its symbols.
    pub load: L,
    /// Number of its last symbol.
    pub last: Sequence,
}

impl<L> Default for Interleaver<L> {
    fn default() -> Self {
        Self { jobs: Vec::with_capacity(INTERLEAVED_BLOCKS), turn: 0 }
    }
}

impl<L> Interleaver<L> {
    /// Whether another job may begin.
    ///
    /// Blocks that began together would end together. Every host would then prove all of them at once, after being
    /// idle, and would need the buffers for it. So a block begins when the one before it has sent one part in
    /// [`INTERLEAVED_BLOCKS`] of its symbols. This delays nothing, as the open blocks use the whole rate.
    pub fn has_room(&self) -> bool {
        let has_just_begun = |open: &OpenJob<L>| {
            matches!(open.job, Job::Source { .. }) && open.sent < open.end / INTERLEAVED_BLOCKS as u32
        };
        self.jobs.len() < INTERLEAVED_BLOCKS && !self.jobs.iter().any(has_just_begun)
    }

    /// Whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Adds a job of a block of `source_symbols` source symbols, which are needed at `aim`.
    ///
    /// # Panics
    /// If there are [`INTERLEAVED_BLOCKS`] jobs, or this one has no symbols.
    pub fn put(&mut self, job: Job, aim: To, source_symbols: u32, load: L) {
        assert!(self.jobs.len() < INTERLEAVED_BLOCKS);
        let end = job.symbols(source_symbols);
        assert!(end > 0);
        self.jobs.push(OpenJob { job, aim, source_symbols, load, sent: 0, end, last: Sequence::default() });
    }

    /// Drops the remaining source symbols of blocks for which `is_needed` returns false.
    pub fn cut(&mut self, mut is_needed: impl FnMut(BlockIndex) -> bool) {
        for open in &mut self.jobs {
            if matches!(open.job, Job::Source { block, .. } if !is_needed(block)) {
                open.end = open.sent;
            }
        }
    }

    /// Where the next symbols are needed. Jobs with one aim are interleaved with each other, and those with different
    /// ones batch by batch.
    pub fn aim(&self) -> To {
        self.next_job().map_or(To::Everyone, |at| self.jobs[at].aim)
    }

    /// The number of symbols that are left for the aim of the next one.
    pub fn symbols(&self) -> usize {
        let aim = self.aim();
        self.jobs.iter().filter(|open| open.aim == aim).map(|open| open.left() as usize).sum()
    }

    /// The position of the job whose turn it is.
    fn next_job(&self) -> Option<usize> {
        let mut turns = (1..=self.jobs.len()).map(|n| (self.turn + n) % self.jobs.len());
        turns.find(|&at| self.jobs[at].left() > 0)
    }

    /// Hands the next `count` symbols to `seal`, one of each block with the aim of the next one in turn, with consecutive
    /// numbers from `first`.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn take(&mut self, count: usize, first: Sequence, mut seal: impl FnMut(NextSymbol<'_, L>)) {
        let aim = self.aim();
        assert!(count <= self.symbols());
        for i in 0..count {
            let open = loop {
                self.turn = (self.turn + 1) % self.jobs.len();
                if self.jobs[self.turn].left() > 0 && self.jobs[self.turn].aim == aim {
                    break &mut self.jobs[self.turn];
                }
            };
            let (job, position) = (open.job, open.sent);
            open.last = first.plus(i as u32);
            open.sent += 1;
            seal(NextSymbol {
                sequence: open.last,
                block: job.block(),
                esi: job.esi(open.source_symbols, position),
                is_repair: matches!(job, Job::Repair { .. }) || position >= open.source_symbols,
                position,
                load: &open.load,
            });
        }
    }

    /// Removes and returns a job of which no symbols are left.
    #[must_use]
    pub fn next_finished(&mut self) -> Option<FinishedJob<L>> {
        let at = self.jobs.iter().position(|open| open.left() == 0)?;
        let OpenJob { job, load, last, .. } = self.jobs.remove(at);
        Some(FinishedJob { job, load, last })
    }
}

impl<L> OpenJob<L> {
    fn left(&self) -> u32 {
        self.end - self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_sent_in_turn_end_one_after_the_other() {
        let mut interleaver = Interleaver::default();
        let (mut block, mut sent, mut ends) = (0, 0, Vec::new());
        while ends.len() < 20 {
            while interleaver.has_room() {
                interleaver.put(source(block, 0), To::Everyone, 700, ());
                block += 1;
            }
            interleaver.take(1, sequence(sent), |_| {});
            sent += 1;
            while let Some(finished) = interleaver.next_finished() {
                ends.push((finished.job.block().0, finished.last.value()));
            }
        }
        assert!(ends.iter().map(|end| end.0).eq(0..20), "{ends:?}");
        let gaps: Vec<u64> = ends.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
        assert!(gaps[4..].iter().all(|gap| (680..=720).contains(gap)), "{gaps:?}");
    }

    #[test]
    fn repairs_hold_no_block_up() {
        let mut interleaver = Interleaver::default();
        interleaver.put(repair(7, 40, 2), To::Everyone, 3, ());
        assert!(interleaver.has_room());
        interleaver.put(source(0, 0), To::Everyone, 4, ());
        assert!(!interleaver.has_room(), "the block has only begun");
        interleaver.take(1, sequence(0), |_| {});
        interleaver.take(1, sequence(1), |_| {});
        assert!(interleaver.has_room());
    }

    #[test]
    fn blocks_take_turns_and_each_keeps_its_order() {
        let mut interleaver = Interleaver::default();
        interleaver.put(source(0, 1), To::Everyone, 3, "source");
        interleaver.put(repair(7, 40, 2), To::Everyone, 3, "repair");
        let mut taken = Vec::new();
        interleaver.take(6, sequence(100), |next| {
            let of = (next.block.0, next.esi.value(), next.position);
            taken.push((next.sequence.value(), *next.load, of, next.is_repair));
        });
        assert_eq!(
            taken,
            [
                (100, "repair", (7, 40, 0), true),
                (101, "source", (0, 0, 0), false),
                (102, "repair", (7, 41, 1), true),
                (103, "source", (0, 1, 1), false),
                (104, "source", (0, 2, 2), false),
                (105, "source", (0, 90, 3), true),
            ]
        );
        let finished = std::iter::from_fn(|| interleaver.next_finished());
        let finished: Vec<_> = finished.map(|finished| (finished.load, finished.last.value())).collect();
        assert_eq!(finished, [("source", 105), ("repair", 102)]);
        assert!(interleaver.is_empty());
    }

    #[test]
    fn a_job_is_finished_only_when_all_of_it_was_taken() {
        let mut interleaver = Interleaver::default();
        interleaver.put(source(0, 0), To::Everyone, 3, ());
        interleaver.take(2, sequence(0), |_| {});
        assert!(interleaver.next_finished().is_none());
        assert_eq!(interleaver.symbols(), 1);
        interleaver.take(1, sequence(2), |_| {});
        assert!(interleaver.next_finished().is_some());
    }

    #[test]
    fn a_block_that_nobody_needs_is_finished_at_once_and_repairs_go_on() {
        let mut interleaver = Interleaver::default();
        interleaver.put(source(0, 1), To::Everyone, 3, ());
        interleaver.put(source(1, 0), To::Everyone, 3, ());
        interleaver.put(repair(0, 40, 2), To::Everyone, 3, ());
        interleaver.take(3, sequence(0), |_| {});
        interleaver.cut(|block| block.0 != 0);
        let finished = interleaver.next_finished().expect("block 0");
        assert_eq!(finished.job.block(), BlockIndex(0));
        assert_eq!(interleaver.symbols(), 2 + 1);
    }

    fn source(block: u32, repair: u32) -> Job {
        Job::Source { block: BlockIndex(block), first: esi(90), repair }
    }

    fn repair(block: u32, first: u32, count: u32) -> Job {
        Job::Repair { block: BlockIndex(block), first: esi(first), count }
    }

    fn esi(value: u32) -> Esi {
        Esi::new(value).expect("small")
    }

    fn sequence(value: u64) -> Sequence {
        Sequence::new(value).expect("small")
    }
}
