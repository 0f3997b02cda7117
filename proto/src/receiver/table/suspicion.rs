//! Rebuilt blocks that do not match the manifest: which are asked for again, and which keep their symbols until the
//! sender's hashes tell the forged ones.

use super::suspects::Next;
use super::{BufferId, Collected, Sifted, State, Table};
use crate::ids::BlockIndex;
use crate::limits::CORRUPT_TRIES_MAX;
use crate::time::Moment;
use crate::wire::Proofs;

/// Whether a block that did not match the manifest is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::receiver) enum Tries {
    /// It is asked for again.
    Left,
    /// It is not: it was wrong [`CORRUPT_TRIES_MAX`] times.
    Exhausted,
}

impl Table {
    /// Discards a rebuilt block that does not match the manifest, and asks for it again unless it may lie on this
    /// host. Returns whether another try is left.
    ///
    /// # Panics
    /// For a zero block, which has no symbols to ask for.
    #[must_use]
    pub(in crate::receiver) fn start_over(&mut self, block: BlockIndex) -> Tries {
        self.ask_anew(block);
        self.count_corrupt(block)
    }

    fn count_corrupt(&mut self, block: BlockIndex) -> Tries {
        let tries = self.corrupt.entry(block).or_insert(0);
        *tries += 1;
        if *tries < CORRUPT_TRIES_MAX { Tries::Left } else { Tries::Exhausted }
    }

    /// Keeps the symbols of a rebuilt block that does not match the manifest, so that the sender's hashes can tell the
    /// forged ones; asks for all of it anew if the block may lie on this host, or as many are kept as may be. Returns
    /// whether another try is left; a block that is not kept because others are uses up none.
    ///
    /// # Panics
    /// For a zero block, which has no symbols.
    #[must_use]
    pub(in crate::receiver) fn suspect(
        &mut self,
        block: BlockIndex,
        buffer: BufferId,
        collected: Box<Collected>,
    ) -> Tries {
        self.ask_anew(block);
        let is_following = self.reuse.as_ref().is_some_and(|reuse| reuse.is_following(block));
        let is_wanted = self.states.get(block) == State::Unseen && !is_following;
        if is_wanted && self.suspects.has_room() {
            self.suspects.add(block, &collected);
            self.buffers.give_back(buffer, collected);
            self.turn(block, State::Suspect(buffer));
            return self.count_corrupt(block);
        }
        self.buffers.release(buffer, collected);
        if is_wanted && self.suspects.are_kept() { Tries::Left } else { self.count_corrupt(block) }
    }

    /// Whether hashes of a block's symbols are of use.
    pub(in crate::receiver) fn wants_proofs(&self, block: BlockIndex) -> bool {
        self.suspects.wants(block)
    }

    /// Takes in hashes of a suspect block.
    pub(in crate::receiver) fn take_proofs(&mut self, proofs: &Proofs) {
        let State::Suspect(buffer) = self.states.get(proofs.block) else { return };
        if self.suspects.wants(proofs.block) && self.suspects.take_proofs(proofs, self.buffers.get(buffer)) {
            self.sift(proofs.block);
        }
    }

    /// Decides at a poll what becomes of the suspect blocks.
    pub(in crate::receiver) fn review_suspects(&mut self, now: Moment) {
        let (states, buffers) = (&self.states, &self.buffers);
        let collected = |block: BlockIndex| match states.get(block) {
            State::Suspect(buffer) => buffers.get(buffer),
            state => unreachable!("block {block} is suspect in state {state:?}"),
        };
        for (block, next) in self.suspects.review(now, collected) {
            match next {
                Next::Sift => self.sift(block),
                Next::Drop => self.drop_suspect(block),
            }
        }
    }

    /// Returns the blocks of whose symbols a report asks for the hashes.
    pub(in crate::receiver) fn suspects(&self) -> Vec<BlockIndex> {
        self.suspects.listed()
    }

    fn sift(&mut self, block: BlockIndex) {
        self.suspects.make_ready(block);
        self.queue.push(block);
    }

    fn drop_suspect(&mut self, block: BlockIndex) {
        self.suspects.forget(block);
        if let State::Suspect(buffer) = self.states.get(block) {
            self.forget(block, buffer);
            self.look_for(block);
        }
    }

    /// Goes on with the symbols of a suspect block that matched their hashes. If all of them did, they are dropped: the
    /// block was spoiled on this host, or by its sender.
    pub(in crate::receiver) fn take_sifted(
        &mut self,
        block: BlockIndex,
        buffer: BufferId,
        mut collected: Box<Collected>,
        sifted: &Sifted,
    ) {
        if sifted.is_clean() {
            self.buffers.release(buffer, collected);
            return self.ask_anew(block);
        }
        if sifted.forged > 0 {
            // It is known why the block did not match, and it is not this host's memory.
            self.corrupt.remove(&block);
        }
        self.queue.finish();
        collected.note_proven(sifted.forged + sifted.unproven, &sifted.first_forged);
        self.buffers.give_back(buffer, collected);
        self.turn(block, State::Collecting(buffer));
        self.queue_if_ready(block);
    }
}
