//! The work of a simulated host's other threads: opening the store, searching a base, rebuilding, verifying and writing
//! blocks, and publishing.

use std::rc::Rc;

use glancecast_fec::RepairSymbol;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::receiver::{
    Attempt, BaseIndex, BlockOutcome, BufferId, Collected, Failure, Opened, Origin, Returned, Sifted, Work,
};
use glancecast_proto::wire::{Encoding, FailureKind, ManifestEntry};

use super::{Fault, Host, Mutant, Shared, Task, hash};

impl Host {
    /// Completes a task, unless the host has restarted since.
    pub(crate) fn finish(&mut self, shared: &mut Shared<'_>, life: u32, task: Task) {
        if life != self.life {
            return;
        }
        let now = shared.now;
        match task {
            Task::Flush => {
                self.flushing = false;
                self.disk.flush();
                return;
            }
            Task::LookThroughBase(attempt) => {
                self.take_base(shared, attempt);
                return;
            }
            Task::Open(attempt) => self.opened(shared, attempt),
            Task::PutAway => {
                let leftover = self.leftover.take().expect("it is being put away");
                self.put_away(shared, leftover);
                self.machine().handle_put_away();
            }
            Task::Block(attempt, Work::Zero { block }, _) => {
                let zeros = ManifestEntry { encoding: Encoding::Zero, hash: hash(block, &[]) };
                let outcome = match self.write(shared, attempt, block, &zeros, Rc::default(), 0) {
                    BlockOutcome::Written { .. } => BlockOutcome::Zeros(zeros.hash),
                    outcome => outcome,
                };
                self.machine().handle_block(now, attempt, block, None, outcome);
            }
            Task::Block(attempt, Work::Recheck { block, entry }, _) => {
                let outcome = self.recheck(shared, attempt, block, &entry);
                self.machine().handle_block(now, attempt, block, None, outcome);
            }
            Task::Block(attempt, Work::Reuse { block, entry, origin }, _) => {
                let outcome = self.reuse(shared, attempt, block, &entry, origin);
                self.machine().handle_block(now, attempt, block, None, outcome);
            }
            Task::Block(attempt, Work::Sift { block, buffer, mut collected, hashes }, bytes) => {
                let mut bytes = bytes.expect("lent with the work");
                let sifted = match shared.mutant {
                    Mutant::KeepsForged => Sifted { forged: 1, ..Sifted::default() },
                    _ => collected.sift(&hashes, &mut bytes),
                };
                shared.counts.note(Fault::Sifted);
                shared.counts.note_times(Fault::Forged, sifted.forged.into());
                self.give_back(attempt, buffer, bytes);
                let returned = Some(Returned { buffer, collected });
                self.machine().handle_block(now, attempt, block, returned, BlockOutcome::Sifted(sifted));
            }
            Task::Block(attempt, Work::Rebuild { block, entry, buffer, collected }, bytes) => {
                let mut bytes = bytes.expect("lent with the work");
                let outcome = self.rebuild(shared, attempt, block, &entry, &collected, &mut bytes);
                self.give_back(attempt, buffer, bytes);
                let returned = Some(Returned { buffer, collected });
                self.machine().handle_block(now, attempt, block, returned, outcome);
            }
            Task::Publish(attempt) => {
                self.publishing = false;
                let is_early = shared.mutant == Mutant::SaysDoneEarly;
                // A machine that has said done early may be at work on the next session: the file is that one's now.
                let is_taken =
                    is_early && self.active.as_ref().is_some_and(|active| active.attempt != attempt);
                if !is_taken {
                    let result = self.disk.publish(shared.counts);
                    self.note_failure(result.is_err());
                    if !is_early {
                        self.machine().handle_published(now, attempt, result);
                    }
                }
            }
            Task::Compare(attempt, root) => {
                let mut result = self.disk.compare(shared.object);
                if root != shared.object.root {
                    result = Err(Failure::new(FailureKind::Exists, "another"));
                }
                self.note_failure(result.is_err());
                self.machine().handle_published(now, attempt, result);
            }
        }
        self.working -= 1;
    }

    /// Takes a buffer back, unless its session was given up meanwhile.
    fn give_back(&mut self, attempt: Attempt, buffer: BufferId, bytes: Vec<u8>) {
        if let Some(active) = self.active.as_mut().filter(|active| active.attempt == attempt) {
            active.pool[usize::from(buffer.0)] = Some(bytes);
        }
    }

    /// Opens the store. If the session was given up meanwhile, the machine has the file put away.
    fn opened(&mut self, shared: &mut Shared<'_>, attempt: Attempt) {
        let mut result = self.disk.open(shared.object, shared.counts);
        if let Some(active) = self.active.as_mut().filter(|active| active.attempt == attempt) {
            active.right.append(&mut self.disk.right(shared.object));
            self.note_failure(result.is_err());
        }
        if let (Mutant::ForgetsKept, Ok(Opened::Unfinished { kept, .. })) = (shared.mutant, &mut result) {
            kept.clear();
        }
        self.machine().handle_opened(shared.now, attempt, result);
    }

    /// Hands the base's index to the machine, unless the session was given up meanwhile.
    fn take_base(&mut self, shared: &mut Shared<'_>, attempt: Attempt) {
        let active = self.active.as_mut().filter(|active| active.attempt == attempt);
        let Some(active) = active else { return };
        active.right.append(&mut self.disk.base.right(shared.object));
        let index = match shared.mutant {
            Mutant::IgnoresBase => BaseIndex::default(),
            _ => self.disk.base.index(),
        };
        self.machine().handle_base(attempt, index);
    }

    /// Copies a block from elsewhere on this host.
    fn reuse(
        &mut self,
        shared: &mut Shared<'_>,
        attempt: Attempt,
        block: BlockIndex,
        entry: &ManifestEntry,
        origin: Origin,
    ) -> BlockOutcome {
        let Some(active) = self.active.as_mut().filter(|active| active.attempt == attempt) else {
            return BlockOutcome::NotKept; // given up meanwhile: the machine ignores it
        };
        let is_misread = shared.dice.chance(self.plan.bad_memory);
        let bytes = self.disk.read(origin).filter(|bytes| {
            shared.mutant == Mutant::TrustsBase || (!is_misread && hash(block, bytes) == entry.hash)
        });
        let Some(bytes) = bytes else {
            shared.counts.note(Fault::Misled);
            active.right.remove(&block);
            return BlockOutcome::NotKept;
        };
        shared.counts.note(Fault::Reused);
        let outcome = self.disk.write(shared.dice, shared.counts, block, bytes, 0);
        self.note_failure(matches!(outcome, BlockOutcome::Failed(_)));
        outcome
    }

    /// Verifies a kept block. Bad memory may reject a correct one.
    fn recheck(
        &mut self,
        shared: &mut Shared<'_>,
        attempt: Attempt,
        block: BlockIndex,
        entry: &ManifestEntry,
    ) -> BlockOutcome {
        let Some(active) = self.active.as_mut().filter(|active| active.attempt == attempt) else {
            return BlockOutcome::NotKept; // given up meanwhile: the machine ignores it
        };
        if shared.mutant == Mutant::TrustsJournal {
            return BlockOutcome::Written { repaired: 0 };
        }
        let is_misread = shared.dice.chance(self.plan.bad_memory);
        let outcome = match self.disk.recheck(shared.counts, block, entry.hash) {
            BlockOutcome::Written { .. } if is_misread => BlockOutcome::NotKept,
            outcome => outcome,
        };
        if matches!(outcome, BlockOutcome::NotKept) {
            active.right.remove(&block);
        }
        outcome
    }

    /// Decodes, verifies and writes a block, as a block worker does.
    fn rebuild(
        &mut self,
        shared: &mut Shared<'_>,
        attempt: Attempt,
        block: BlockIndex,
        entry: &ManifestEntry,
        collected: &Collected,
        buffer: &mut Vec<u8>,
    ) -> BlockOutcome {
        let shape = collected.shape();
        if buffer.len() < shape.source_bytes() {
            buffer.resize(shape.source_bytes(), 0);
        }
        let (source, repair) = buffer.split_at_mut(shape.source_bytes());
        if shared.dice.chance(self.plan.bad_memory) {
            shared.counts.note(Fault::BadMemory);
            let at = shared.dice.below(source.len() as u64) as usize;
            source[at] ^= 1 << shared.dice.below(8);
        }
        let symbols = repair.chunks_exact(shape.symbol_size());
        let repair: Vec<RepairSymbol<'_>> =
            collected.repair().iter().zip(symbols).map(|(&esi, bytes)| RepairSymbol { esi, bytes }).collect();
        if shared.codec.decode(shape, source, collected.held(), &repair).is_err() {
            shared.counts.note(Fault::Undecodable);
            return BlockOutcome::Undecodable;
        }
        let repaired = shape.source_symbols() - collected.held().count();
        let encoded = Rc::from(&source[..collected.encoded_len() as usize]);
        self.write(shared, attempt, block, entry, encoded, repaired)
    }

    fn write(
        &mut self,
        shared: &mut Shared<'_>,
        attempt: Attempt,
        block: BlockIndex,
        entry: &ManifestEntry,
        encoded: Rc<[u8]>,
        repaired: u32,
    ) -> BlockOutcome {
        let is_right = hash(block, &encoded) == entry.hash;
        if !is_right {
            shared.counts.note(Fault::Corrupt);
            if shared.mutant != Mutant::PublishesUnverified {
                return BlockOutcome::Corrupt;
            }
        }
        if self.active.as_ref().is_none_or(|active| active.attempt != attempt) {
            return BlockOutcome::Written { repaired }; // given up meanwhile: the machine ignores it
        }
        let outcome = self.disk.write(shared.dice, shared.counts, block, encoded, repaired);
        self.note_failure(matches!(outcome, BlockOutcome::Failed(_)));
        outcome
    }

    fn note_failure(&mut self, failed: bool) {
        if let Some(active) = &self.active
            && failed
        {
            self.failed_in = Some(active.session);
        }
    }
}
