//! The machine's work, given to the threads that do it, and what they answer.

use std::sync::Arc;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::receiver::{Attempt, BlockOutcome, Effect, Leftover, Opened, Work, buffer_bytes};
use glancecast_proto::wire::Announce;

use super::ReceiveLoop;
use crate::base;
use crate::pool::Pool;
use crate::rebuild::failure;
use crate::store::{Begun, Existing, Unpublished};
use crate::workers::{Answer, Task};

impl ReceiveLoop {
    pub(super) fn take_answer(&mut self, answer: Answer) {
        let now = self.clock.now();
        match answer {
            Answer::Block { attempt, block, buffer, outcome } => {
                let is_proven = matches!(outcome, BlockOutcome::Written { .. } | BlockOutcome::Zeros(_));
                self.tally.blocks_proven += u64::from(is_proven);
                let returned = buffer.map(|(returned, bytes)| {
                    if self.attempt == Some(attempt) {
                        self.pool.take_back(returned.buffer, bytes);
                    }
                    returned
                });
                self.machine.handle_block(now, attempt, block, returned, outcome);
            }
            Answer::PutAway => self.machine.handle_put_away(),
            Answer::Published { attempt, result, command } => {
                self.machine.note_command(attempt, command);
                self.machine.handle_published(now, attempt, result);
            }
        }
    }

    /// Passes the index of a base to the machine, so that blocks found there are not requested.
    pub(super) fn take_base(&mut self) {
        while let Some(found) = self.bases.next() {
            if self.attempt == Some(found.attempt) {
                self.base = found.file;
                self.machine.handle_base(found.attempt, found.index);
            }
        }
    }

    pub(super) fn perform_effects(&mut self) {
        while let Some(effect) = self.machine.poll_effect(self.workers.room()) {
            match effect {
                Effect::Prepare(attempt, announce, buffers) => self.prepare(attempt, &announce, buffers),
                Effect::Open(attempt, announce) => self.open(attempt, &announce),
                Effect::LookThrough(attempt, name) => {
                    let (geometry, store) = (self.geometry(), self.store.clone());
                    self.bases.begin(base::Task { attempt, geometry, name, store });
                }
                Effect::Block(attempt, work, file) => self.give_block(attempt, work, file),
                Effect::Publish(attempt, file, proof) => {
                    self.workers.give(Task::Publish { attempt, file, proof });
                }
                Effect::Compare(attempt, file, root) => {
                    self.workers.give(Task::Compare { attempt, file, root });
                }
                Effect::Leave(attempt) => self.leave(attempt),
                Effect::PutAway(file, leftover) => {
                    if leftover == Leftover::Discarded {
                        file.file().discard();
                    }
                    self.workers.give(Task::PutAway { file, store: self.store.clone() });
                }
            }
        }
    }

    fn prepare(&mut self, attempt: Attempt, announce: &Announce, buffers: u16) {
        let symbol_size = usize::from(announce.geometry.symbol_size());
        self.drops.since_join = 0;
        self.discarded_before = self.machine.discards().clone();
        self.tally.hurry();
        self.pool = Pool::new(buffers, buffer_bytes(announce), symbol_size);
        self.attempt = Some(attempt);
    }

    fn open(&mut self, attempt: Attempt, announce: &Announce) {
        let opened = self.store.begin(announce).map(|begun| match begun {
            Begun::New(file) => opened(file, announce.geometry),
            Begun::Existing(file) => Opened::Existing(file),
        });
        self.machine.handle_opened(self.clock.now(), attempt, opened.map_err(failure));
    }

    fn give_block(&mut self, attempt: Attempt, work: Work, file: Arc<Unpublished>) {
        let buffer = match &work {
            Work::Rebuild { buffer, .. } | Work::Sift { buffer, .. } => Some(self.pool.lend(*buffer)),
            Work::Zero { .. } | Work::Recheck { .. } | Work::Reuse { .. } => None,
        };
        let (geometry, base) = (self.geometry(), self.base.clone());
        self.workers.give(Task::Block { attempt, geometry, work, buffer, file, base });
    }

    /// Returns the geometry of the session's object.
    fn geometry(&self) -> Geometry {
        self.machine.session().expect("the machine asks for work in its session only").geometry
    }

    pub(super) fn leave(&mut self, attempt: Attempt) {
        self.workers.give_up(attempt);
        self.bases.give_up();
        self.pool = Pool::none();
        (self.attempt, self.base) = (None, None);
    }
}

/// Returns a new file and the blocks that it holds already.
fn opened(file: Unpublished, geometry: Geometry) -> Opened<Arc<Unpublished>, Existing> {
    let kept = file.file().kept().to_vec();
    if !kept.is_empty() {
        tracing::info!(
            kept = kept.len(),
            blocks = geometry.blocks(),
            "goes on from what an earlier session kept"
        );
    }
    Opened::Unfinished { file: Arc::new(file), kept }
}
