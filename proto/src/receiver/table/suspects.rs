//! Blocks that did not match the manifest and whose symbols are kept, while the sender is asked which of them are its
//! own.

use std::collections::BTreeMap;
use std::time::Duration;

use super::collect::Collected;
use super::sift::SymbolHashes;
use crate::ids::BlockIndex;
use crate::limits::SUSPECTS_MAX;
use crate::time::Moment;
use crate::wire::Proofs;

/// The suspect blocks of a session. Each keeps its buffer. Where there are fewer buffers than blocks, suspects have half
/// of them at most: in the others blocks go on collecting.
pub(super) struct Suspects {
    most: usize,
    waiting: BTreeMap<BlockIndex, Suspect>,
    /// The hashes of blocks whose symbols are queued to be compared with them.
    ready: BTreeMap<BlockIndex, Box<SymbolHashes>>,
}

/// A block that waits for the hashes of its symbols.
struct Suspect {
    hashes: Box<SymbolHashes>,
    /// When a report first listed it.
    asked: Option<Moment>,
    /// Reports that list it.
    reports: u32,
    /// One past the last symbol that the sender had named at the last poll.
    named: u32,
}

/// What becomes of a suspect block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Its symbols can be compared with the hashes that have come.
    Sift,
    /// The sender has given no hashes: the symbols are dropped, and asked for anew.
    Drop,
}

impl Suspects {
    /// Returns the record of a session of `blocks` blocks with `buffers` buffers.
    pub(super) fn new(blocks: u32, buffers: u16) -> Self {
        let is_scarce = u32::from(buffers) < blocks;
        let most = if is_scarce { buffers / 2 } else { buffers };
        Self { most: usize::from(most), ..Self::none() }
    }

    /// Returns the record of a session whose sender cannot be asked.
    pub(super) fn none() -> Self {
        Self { most: 0, waiting: BTreeMap::new(), ready: BTreeMap::new() }
    }

    /// Whether any block may keep its symbols.
    pub(super) fn are_kept(&self) -> bool {
        self.most > 0
    }

    /// Whether another block may keep its symbols.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() + self.ready.len() < self.most
    }

    /// Adds a block that did not match the manifest.
    pub(super) fn add(&mut self, block: BlockIndex, collected: &Collected) {
        let hashes = Box::new(SymbolHashes::none(collected));
        let suspect = Suspect { hashes, asked: None, reports: 0, named: 0 };
        self.waiting.insert(block, suspect);
    }

    /// Whether hashes of a block are of use.
    pub(super) fn wants(&self, block: BlockIndex) -> bool {
        self.waiting.contains_key(&block)
    }

    /// Takes in hashes of a suspect block. Returns whether there is one for each of its symbols now.
    pub(super) fn take_proofs(&mut self, proofs: &Proofs, collected: &Collected) -> bool {
        let Some(suspect) = self.waiting.get_mut(&proofs.block) else { return false };
        suspect.hashes.note(collected, proofs);
        suspect.hashes.is_complete()
    }

    /// Returns the blocks that the next report lists, ascending.
    pub(super) fn listed(&self) -> Vec<BlockIndex> {
        self.waiting.keys().copied().take(SUSPECTS_MAX).collect()
    }

    /// Returns what becomes of the blocks at a poll, before it is answered. Notes that the report will list the first of
    /// those that go on waiting.
    pub(super) fn review<'a>(
        &mut self,
        now: Moment,
        collected: impl Fn(BlockIndex) -> &'a Collected,
    ) -> Vec<(BlockIndex, Next)> {
        let next = |(&block, suspect): (&BlockIndex, &mut Suspect)| {
            Some((block, suspect.next(now, collected(block))?))
        };
        let decided: Vec<_> = self.waiting.iter_mut().filter_map(next).collect();
        let goes_on = |block: &BlockIndex| decided.iter().all(|(of, _)| of != block);
        let listed = self.waiting.iter_mut().filter(|(block, _)| goes_on(block)).take(SUSPECTS_MAX);
        listed.for_each(|(_, suspect)| {
            suspect.asked.get_or_insert(now);
            suspect.reports += 1;
        });
        decided
    }

    /// Forgets a block that waits.
    pub(super) fn forget(&mut self, block: BlockIndex) {
        self.waiting.remove(&block);
    }

    /// Notes that the symbols of a block are queued to be compared with what has come.
    pub(super) fn make_ready(&mut self, block: BlockIndex) {
        let suspect = self.waiting.remove(&block).expect("it waits");
        self.ready.insert(block, suspect.hashes);
    }

    /// Returns the hashes for the symbols of a block that was queued.
    ///
    /// # Panics
    /// If it was not.
    pub(super) fn take_ready(&mut self, block: BlockIndex) -> Box<SymbolHashes> {
        self.ready.remove(&block).expect("queued with its hashes")
    }
}

impl Suspect {
    fn next(&mut self, now: Moment, collected: &Collected) -> Option<Next> {
        let named = std::mem::replace(&mut self.named, self.hashes.end());
        let waited = self.asked.map_or(Duration::ZERO, |asked| now.since(asked));
        let is_given_up = waited >= ANSWERED_WITHIN && self.reports >= REPORTS_MIN;
        match self.hashes.is_empty() {
            true => is_given_up.then_some(Next::Drop),
            false if is_given_up => Some(Next::Sift),
            // Some were lost, or more may be on their way.
            false if self.hashes.has_gap(collected) || named < self.hashes.end() => None,
            false => Some(Next::Sift),
        }
    }
}

/// The time after which, and the reports after which, the sender will not answer. It answers within a round or two; of
/// thousands of hosts each has a report in two or three seconds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
const REPORTS_MIN: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::testing::at;
    use crate::wire::SymbolHash;
    use glancecast_fec::{BlockShape, Esi};

    #[test]
    fn suspects_have_half_of_the_buffers_where_there_are_fewer_than_blocks() {
        let most = |blocks, buffers| {
            let mut suspects = Suspects::new(blocks, buffers);
            let added = (0..100).take_while(|&block| {
                let has_room = suspects.has_room();
                if has_room {
                    suspects.add(BlockIndex(block), &collected());
                }
                has_room
            });
            added.count()
        };
        assert_eq!((most(100, 22), most(3, 3), most(1, 1)), (11, 3, 1));
        assert!(!Suspects::none().has_room());
    }

    #[test]
    fn a_report_lists_a_few_and_the_next_one_those_after_them() {
        let (mut suspects, collected) = suspects(6);
        assert_eq!(suspects.listed(), [0, 1, 2, 3].map(BlockIndex));
        assert!(suspects.review(at(0), |_| &collected).is_empty());
        assert!(suspects.take_proofs(&proofs(1, 0, K + 1), &collected), "a hash for each symbol");
        suspects.make_ready(BlockIndex(1));
        assert_eq!(suspects.listed(), [0, 2, 3, 4].map(BlockIndex));
        assert!(!suspects.wants(BlockIndex(1)) && suspects.wants(BlockIndex(5)));
        assert!(suspects.take_ready(BlockIndex(1)).is_complete());
    }

    #[test]
    fn a_block_that_is_not_answered_is_dropped_after_a_second_and_four_reports() {
        let (mut suspects, collected) = suspects(5);
        let decided = |suspects: &mut Suspects, ms| suspects.review(at(ms), |_| &collected);
        for ms in [0, 100, 200, 999] {
            assert!(decided(&mut suspects, ms).is_empty(), "after {ms} ms");
        }
        let dropped = [0, 1, 2, 3].map(|block| (BlockIndex(block), Next::Drop));
        assert_eq!(decided(&mut suspects, 1_000), dropped);
        dropped.iter().for_each(|&(block, _)| suspects.forget(block));
        for ms in [1_900, 2_500, 4_000] {
            assert!(decided(&mut suspects, ms).is_empty(), "the last one was not listed before");
        }
        assert_eq!(decided(&mut suspects, 5_000), [(BlockIndex(4), Next::Drop)]);
    }

    #[test]
    fn lost_hashes_are_waited_for_and_those_of_symbols_that_were_never_sent_are_not() {
        let (mut suspects, collected) = suspects(2);
        // The first datagram with the hashes of block 0 is lost; symbol K + 5 was not sent of block 1.
        assert!(!suspects.take_proofs(&proofs(0, 4, K), &collected));
        assert!(!suspects.take_proofs(&proofs(1, 0, K), &collected));
        assert!(suspects.review(at(0), |_| &collected).is_empty(), "more may come");
        assert_eq!(suspects.review(at(10), |_| &collected), [(BlockIndex(1), Next::Sift)]);
        suspects.make_ready(BlockIndex(1));
        for ms in [20, 30, 40] {
            assert!(suspects.review(at(ms), |_| &collected).is_empty(), "it is asked again");
        }
        assert_eq!(suspects.review(at(1_500), |_| &collected), [(BlockIndex(0), Next::Sift)]);
    }

    fn suspects(blocks: u32) -> (Suspects, Collected) {
        let (mut suspects, collected) = (Suspects::new(100, 50), collected());
        (0..blocks).for_each(|block| suspects.add(BlockIndex(block), &collected));
        (suspects, collected)
    }

    /// Returns a block of all its source symbols but the last, and a repair symbol.
    fn collected() -> Collected {
        let shape = BlockShape::new(K, 64).expect("in range");
        let mut collected = Collected::new(shape);
        collected.begin(shape, K * 64, 0);
        (0..K - 1).chain([K + 5]).for_each(|esi| {
            collected.insert(Esi::new(esi).expect("small"));
        });
        collected
    }

    fn proofs(block: u32, first: u32, end: u32) -> Proofs {
        let end = if end > K { K + 6 } else { end };
        let hashes = (first..end).map(|_| SymbolHash([1; 8])).collect();
        Proofs { block: BlockIndex(block), first: Esi::new(first).expect("small"), hashes }
    }

    const K: u32 = 10;
}
