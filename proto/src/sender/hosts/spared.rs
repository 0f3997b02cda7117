//! Which blocks every host holds already, of an earlier session, so that the pass leaves them out.
//!
//! The pass asks for one block after the other. To ask all hosts for each block would cost hosts times blocks: thousands
//! times millions. Instead a start that holds a block is not asked again before the end of the run that it has listed, or
//! its next datagram, and a start that lacks the block decides for all as long as it does.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{BlockIndex, ReceiverId};
use crate::limits::INTERLEAVED_BLOCKS;

/// What is known of the starts at the block that the pass has come to, and at those before it that are being sent.
#[derive(Default)]
pub(super) struct Spared {
    /// The block that the pass has come to.
    at: u32,
    /// Starts that may lack it: all that count and do, and others, which are removed when they are come across.
    lacking: BTreeSet<ReceiverId>,
    /// The other starts, all of which hold it or do not count, and the block from which on they may lack one.
    holding: BTreeMap<ReceiverId, u32>,
    /// The same by the block.
    ends: BTreeSet<(u32, ReceiverId)>,
    /// Earlier blocks and a start that has lacked each, the oldest first: at most [`INTERLEAVED_BLOCKS`].
    lacked: Vec<(u32, ReceiverId)>,
}

/// What a start has listed about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// It does not count, or wants no block any more: it is left out until its next datagram.
    Uncounted,
    /// It lacks the block.
    No,
    /// It holds all blocks up to one before this one.
    Until(u32),
}

impl Spared {
    /// Notes that a start was heard, so that it may count again, or hold other blocks.
    pub(super) fn note_heard(&mut self, id: ReceiverId) {
        self.lacking.insert(id);
    }

    /// Whether every start that counts holds a block. `holds` is asked about single starts, `counted` returns those that
    /// count, in ascending order from the first one after a given one on.
    pub(super) fn all_hold<I: Iterator<Item = ReceiverId>>(
        &mut self,
        block: BlockIndex,
        holds: impl Fn(ReceiverId, BlockIndex) -> Holds,
        counted: impl Fn(Option<ReceiverId>) -> I,
    ) -> bool {
        if block.0 < self.at {
            return self.all_hold_earlier(block, |id| holds(id, block), counted);
        }
        self.go_to(block.0);
        while let Some(&id) = self.lacking.first() {
            match holds(id, block) {
                Holds::No => {
                    self.note_lacked(block.0, id);
                    return false;
                }
                Holds::Uncounted => self.leave_out(id),
                Holds::Until(end) => self.note_holding(id, end),
            }
        }
        true
    }

    fn go_to(&mut self, block: u32) {
        self.at = block;
        while let Some(&(end, id)) = self.ends.first()
            && end <= block
        {
            self.leave_out(id);
            self.lacking.insert(id);
        }
    }

    fn note_holding(&mut self, id: ReceiverId, end: u32) {
        self.leave_out(id);
        self.holding.insert(id, end);
        self.ends.insert((end, id));
    }

    fn leave_out(&mut self, id: ReceiverId) {
        self.lacking.remove(&id);
        if let Some(end) = self.holding.remove(&id) {
            self.ends.remove(&(end, id));
        }
    }

    /// The same as [`Spared::all_hold`] for a block that the pass has left behind. The start that has lacked it is asked
    /// first. Where that one holds it by now, the search goes on with those after it, so that it comes to each start once.
    fn all_hold_earlier<I: Iterator<Item = ReceiverId>>(
        &mut self,
        block: BlockIndex,
        holds: impl Fn(ReceiverId) -> Holds,
        counted: impl Fn(Option<ReceiverId>) -> I,
    ) -> bool {
        let known = self.lacked.iter().find(|&&(of, _)| of == block.0).map(|&(_, id)| id);
        if known.is_some_and(|id| holds(id) == Holds::No) {
            return false;
        }
        let after = counted(known);
        let up_to = known.into_iter().flat_map(|known| counted(None).take_while(move |&id| id <= known));
        match after.chain(up_to).find(|&id| holds(id) == Holds::No) {
            Some(id) => self.note_lacked(block.0, id),
            None => return true,
        }
        false
    }

    fn note_lacked(&mut self, block: u32, id: ReceiverId) {
        match self.lacked.iter_mut().find(|(of, _)| *of == block) {
            Some((_, lacked)) => *lacked = id,
            None => {
                if self.lacked.len() == INTERLEAVED_BLOCKS {
                    self.lacked.remove(0);
                }
                self.lacked.push((block, id));
            }
        }
    }
}
