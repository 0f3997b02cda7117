//! The place where the receive loop leaves its last snapshot, and the surveyor what it found in the store.

use std::sync::{Arc, Mutex};

use glancecast_platform::locks::lock;

use super::snapshot::{Snapshot, StoreFacts};

/// The last snapshot; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Board {
    node: Arc<Mutex<Arc<Snapshot>>>,
    store: Arc<Mutex<Option<StoreFacts>>>,
}

impl Board {
    /// Puts a snapshot in the place of the last one. Never waits: while a reader has the board, the snapshot is dropped,
    /// and the next one comes in a second.
    pub(super) fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        if let Ok(mut last) = self.node.try_lock() {
            *last = snapshot;
        }
    }

    /// Notes what the store holds.
    pub(super) fn note_store(&self, facts: StoreFacts) {
        *lock(&self.store) = Some(facts);
    }

    /// Returns the last snapshot, with what is known of the store.
    pub fn read(&self) -> Snapshot {
        let node = Arc::clone(&lock(&self.node));
        let facts = lock(&self.store).clone();
        let mut snapshot = Snapshot::clone(&node);
        snapshot.store.facts = facts;
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_holds_the_board_does_not_keep_the_loop_waiting() {
        let board = Board::default();
        board.publish(Snapshot { name: "first".into(), ..Snapshot::default() });
        let held = lock(&board.node);
        board.publish(Snapshot { name: "second".into(), ..Snapshot::default() });
        assert_eq!(held.name, "first");
        drop(held);
        board.publish(Snapshot { name: "third".into(), ..Snapshot::default() });
        assert_eq!(board.read().name, "third");
    }
}
