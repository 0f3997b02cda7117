//! Which hashes of symbols the sender gives, so that hosts can tell forged symbols from its own, and when they leave.
//!
//! A host asks for the hashes of a block that did not match the manifest. They go to the group: somebody who forges a
//! symbol spoils the block on all hosts at once. A block is answered once for all of them, and again only for a host
//! that has missed the answer, or may hold symbols that were sent after it. What they cost is bounded for the sender,
//! for a host and for the line, and comes to nothing while no block is suspect.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use glancecast_fec::Esi;

use super::blocks::Job;
use crate::ids::{BlockIndex, ReceiverId, Sequence};
use crate::limits::{PROOF_DATAGRAMS_PER_SECOND_MAX, PROOFS_PER_HOST_MAX, PROOFS_QUEUED_MAX};
use crate::time::Moment;
use crate::wire::{Discard, Proofs, SymbolHash};

/// The blocks whose hashes are asked for, and the hashes that are due.
pub(super) struct ProofSchedule {
    /// Blocks to be hashed, each once, and who has asked first. At most [`PROOFS_QUEUED_MAX`].
    asked: VecDeque<(BlockIndex, ReceiverId)>,
    /// Blocks that the shell is hashing.
    at_work: u32,
    /// Datagrams that are to leave, and whether they are the last of their block.
    due: VecDeque<(Proofs, Answered)>,
    /// When the next of them may leave.
    next_at: Moment,
    /// The last blocks that were answered, at most [`ANSWERS_KEPT`].
    answers: VecDeque<Answer>,
    /// The blocks that each host has had hashed in the second that began at `since`.
    taken: BTreeMap<ReceiverId, u32>,
    since: Moment,
}

/// An answer that was given, or is being given.
struct Answer {
    block: BlockIndex,
    /// The ESI after the last symbol whose hash it has.
    end: Esi,
    /// When the block was handed out to be hashed.
    at: Moment,
    /// The number of its last datagram, once that has left.
    last: Option<Sequence>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    InPart,
    Completely,
}

impl ProofSchedule {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            asked: VecDeque::new(),
            at_work: 0,
            due: VecDeque::new(),
            next_at: now,
            answers: VecDeque::new(),
            taken: BTreeMap::new(),
            since: now,
        }
    }

    /// Queues a block that a host suspects. The host has seen everything up to `highest`, and the sender has handed out
    /// the symbols below `end`.
    ///
    /// # Errors
    /// [`Discard::OverBudget`] if this host has asked for too many, or all hosts together.
    pub(super) fn demand(
        &mut self,
        now: Moment,
        host: ReceiverId,
        (block, end): (BlockIndex, Esi),
        highest: Sequence,
    ) -> Result<(), Discard> {
        let is_on_its_way = |answer: &Answer| {
            let is_recent = || now.since(answer.at) < AGAIN_AFTER;
            answer.block == block
                && answer.end >= end
                && answer.last.is_none_or(|last| last > highest || is_recent())
        };
        if self.asked.iter().any(|&(of, _)| of == block) || self.answers.iter().any(is_on_its_way) {
            return Ok(());
        }
        if now.since(self.since) >= PERIOD {
            (self.since, self.taken) = (now, BTreeMap::new());
        }
        let waiting = self.asked.iter().filter(|&&(_, of)| of == host).count();
        let taken = self.taken.entry(host).or_insert(0);
        if self.asked.len() >= PROOFS_QUEUED_MAX || waiting >= WAITING_MAX || *taken >= PROOFS_PER_HOST_MAX {
            return Err(Discard::OverBudget);
        }
        *taken += 1;
        self.asked.push_back((block, host));
        Ok(())
    }

    /// Hands out the next block to hash, unless enough is under way. `job` returns all symbols of a block that hosts may
    /// hold.
    pub(super) fn next_job(&mut self, now: Moment, job: impl FnOnce(BlockIndex) -> Job) -> Option<Job> {
        if self.at_work >= AT_WORK_MAX || self.due.len() >= DUE_MAX {
            return None;
        }
        let (block, _) = self.asked.pop_front()?;
        let job = job(block);
        let Job::Source { first, repair, .. } = job else { unreachable!("all symbols of a block") };
        self.answers.retain(|answer| answer.block != block);
        if self.answers.len() == ANSWERS_KEPT {
            self.answers.pop_front();
        }
        let end = first.plus(repair).expect("ids are handed out in range");
        self.answers.push_back(Answer { block, end, at: now, last: None });
        self.at_work += 1;
        Some(job)
    }

    /// Takes in the hashes of the symbols of `job`, in their order, of a block of `source_symbols`. `None` if the shell
    /// has lost them: hosts ask again, or do without. `room` hashes fit a datagram.
    pub(super) fn take_hashes(
        &mut self,
        job: Job,
        source_symbols: u32,
        hashes: Option<&[SymbolHash]>,
        room: usize,
    ) {
        self.at_work = self.at_work.saturating_sub(1);
        let block = job.block();
        let Some(hashes) = hashes else {
            return self.answers.retain(|answer| answer.block != block);
        };
        assert_eq!(hashes.len(), job.symbols(source_symbols) as usize);
        let (source, repair) = hashes.split_at(source_symbols as usize);
        let mut at = 0;
        for run in [source, repair] {
            for hashes in run.chunks(room) {
                let first = job.esi(source_symbols, at);
                at += hashes.len() as u32;
                let proofs = Proofs { block, first, hashes: hashes.to_vec() };
                self.due.push_back((proofs, Answered::InPart));
            }
        }
        if let Some((_, answered)) = self.due.back_mut() {
            *answered = Answered::Completely;
        }
    }

    /// Returns the next datagram if it may leave now, with number `sequence`; it takes `time` at the rate of the push.
    pub(super) fn next(&mut self, now: Moment, time: Duration, sequence: Sequence) -> Option<Proofs> {
        if now < self.next_at {
            return None;
        }
        let (proofs, answered) = self.due.pop_front()?;
        self.next_at = now + GAP.max(SHARE * time);
        let answer = self.answers.iter_mut().find(|answer| answer.block == proofs.block);
        if let Some(answer) = answer.filter(|_| answered == Answered::Completely) {
            answer.last = Some(sequence);
        }
        Some(proofs)
    }

    /// Returns when the next datagram may leave, if one is due.
    pub(super) fn next_at(&self) -> Option<Moment> {
        (!self.due.is_empty()).then_some(self.next_at)
    }
}

/// The time after which a block is answered again to a host that has missed the answer: hosts that lose much report a
/// hundred times a second.
const AGAIN_AFTER: Duration = Duration::from_millis(40);
/// The time that the budget of a host is for.
const PERIOD: Duration = Duration::from_secs(1);
/// Blocks of one host that are queued: a quarter of all.
const WAITING_MAX: usize = PROOFS_QUEUED_MAX / 4;
/// Blocks that the shell hashes at a time: half of its queue, so that repairs get their turn.
const AT_WORK_MAX: u32 = 2;
/// Datagrams that are due before another block is hashed: a quarter of a second's.
const DUE_MAX: usize = PROOF_DATAGRAMS_PER_SECOND_MAX as usize / 4;
/// Answers that are remembered, so that blocks are not answered twice: some seconds' at the full rate.
const ANSWERS_KEPT: usize = 256;
/// Time between two datagrams.
const GAP: Duration = Duration::from_micros(1_000_000 / PROOF_DATAGRAMS_PER_SECOND_MAX as u64);
/// The part of the rate that they take at most: 1 / 10.
const SHARE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_answered_once_for_all_hosts() {
        let mut proofs = ProofSchedule::new(at(0));
        (1..=3).for_each(|host| assert_eq!(demand(&mut proofs, 0, host, 7, 100), Ok(())));
        let said = answer(&mut proofs, 0);
        assert_eq!(said.iter().map(|proofs| proofs.hashes.len()).sum::<usize>(), (K + 2) as usize);
        assert_eq!(said[0].first, esi(0));
        assert_eq!(demand(&mut proofs, 500, 4, 7, LAST - 1), Ok(()), "the answer is on its way to it");
        assert!(answer(&mut proofs, 500).is_empty());
        assert_eq!(demand(&mut proofs, 39, 4, 7, LAST), Ok(()), "it has just been answered");
        assert!(answer(&mut proofs, 39).is_empty());
        assert_eq!(demand(&mut proofs, 500, 4, 7, LAST), Ok(()), "it has missed the answer");
        assert!(!answer(&mut proofs, 500).is_empty());
    }

    #[test]
    fn a_block_is_answered_again_for_what_was_sent_since() {
        let mut proofs = ProofSchedule::new(at(0));
        demand(&mut proofs, 0, 1, 7, 100).expect("room");
        answer(&mut proofs, 0);
        let block = BlockIndex(7);
        proofs.demand(at(500), host(1), (block, esi(K + 3)), sequence(100)).expect("room");
        assert!(proofs.next_job(at(500), job).is_some());
    }

    #[test]
    fn what_was_lost_by_the_shell_is_asked_for_again() {
        let mut proofs = ProofSchedule::new(at(0));
        demand(&mut proofs, 0, 1, 7, 100).expect("room");
        let job = proofs.next_job(at(0), job).expect("asked for");
        proofs.take_hashes(job, K, None, ROOM);
        assert_eq!(proofs.next_at(), None);
        demand(&mut proofs, 10, 1, 7, 100).expect("room");
        assert!(!answer(&mut proofs, 10).is_empty());
    }

    #[test]
    fn one_host_has_a_quarter_of_the_queue_and_so_many_blocks_a_second() {
        let mut proofs = ProofSchedule::new(at(0));
        let taken = (0..1_000).filter(|&block| demand(&mut proofs, 0, 1, block, 0).is_ok()).count();
        assert_eq!(taken, PROOFS_QUEUED_MAX / 4);
        let mut in_all = taken;
        for block in 1_000..2_000 {
            answer(&mut proofs, 0);
            in_all += usize::from(demand(&mut proofs, 0, 1, block, 0).is_ok());
        }
        assert_eq!(in_all, PROOFS_PER_HOST_MAX as usize);
        assert_eq!(demand(&mut proofs, 0, 2, 5_000, 0), Ok(()), "another host");
        assert_eq!(demand(&mut proofs, 1_000, 1, 5_001, 0), Ok(()), "the next second");
    }

    #[test]
    fn all_hosts_together_fill_a_queue_of_limited_length() {
        let mut proofs = ProofSchedule::new(at(0));
        let asked = (0..1_000).map(|n| demand(&mut proofs, 0, (n % 200) as u8, n, 0));
        assert_eq!(asked.filter(Result::is_ok).count(), PROOFS_QUEUED_MAX);
    }

    #[test]
    fn datagrams_leave_one_by_one() {
        let mut proofs = ProofSchedule::new(at(0));
        demand(&mut proofs, 0, 1, 7, 100).expect("room");
        let job = proofs.next_job(at(0), job).expect("asked for");
        proofs.take_hashes(job, K, Some(&hashes()), ROOM);
        let short = Duration::from_micros(10);
        assert!(proofs.next(at(0), short, sequence(1)).is_some());
        assert!(proofs.next(at(0), short, sequence(2)).is_none());
        assert_eq!(proofs.next_at(), Some(at(0) + GAP));
        let next = proofs.next_at().expect("more are due");
        assert!(proofs.next(next, GAP, sequence(2)).is_some());
        assert_eq!(proofs.next_at(), Some(next + SHARE * GAP), "at a low rate");
    }

    fn demand(
        proofs: &mut ProofSchedule,
        ms: u64,
        from: u8,
        block: u32,
        highest: u64,
    ) -> Result<(), Discard> {
        proofs.demand(at(ms), host(from), (BlockIndex(block), esi(K + 2)), sequence(highest))
    }

    /// Has the shell hash a block, and all of it leave at once.
    fn answer(proofs: &mut ProofSchedule, ms: u64) -> Vec<Proofs> {
        let Some(job) = proofs.next_job(at(ms), job) else { return Vec::new() };
        proofs.take_hashes(job, K, Some(&hashes()), ROOM);
        std::iter::from_fn(|| {
            proofs.next_at = at(ms);
            proofs.next(at(ms), Duration::ZERO, sequence(LAST))
        })
        .collect()
    }

    fn job(block: BlockIndex) -> Job {
        Job::Source { block, first: esi(K), repair: 2 }
    }

    fn hashes() -> Vec<SymbolHash> {
        (0..K + 2).map(|n| SymbolHash::of(&[n as u8])).collect()
    }

    fn host(number: u8) -> ReceiverId {
        ReceiverId([number; 8])
    }

    fn esi(value: u32) -> Esi {
        Esi::new(value).expect("small")
    }

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number).expect("small")
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    const K: u32 = 40;
    const ROOM: usize = 16;
    const LAST: u64 = 200;
}
