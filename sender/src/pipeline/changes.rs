//! What becomes of hosts while a push runs, for whoever follows it (`--events`): a queue with a bound.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::limits::EVENTS_MAX;
use glancecast_proto::sender::{Cause, SenderEvent};

/// The changes that nobody has taken yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    changes: VecDeque<HostChange>,
    lost: u64,
}

/// A change of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostChange {
    /// Time since the start of the push.
    pub at: Duration,
    /// Its name.
    pub name: HostName,
    /// What has become of it.
    pub what: Change,
}

/// What becomes of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It takes part.
    Joined,
    /// It holds a proven copy.
    Done,
    /// It gave up, for this reason.
    Failed(String),
    /// It was not heard for a while.
    Silent,
    /// It is served after the others.
    Sidelined(Cause, String),
    /// It speaks another version of the protocol.
    OtherVersion(String),
    /// Somebody with another key than the known one claims to be this host.
    KeyChanged,
    /// Its key is not known, and only known hosts take part.
    UnknownKey,
}

impl Change {
    /// Returns what an event of the machine means for a host; `None` if it is about none.
    pub(crate) fn of(event: &SenderEvent) -> Option<(HostName, Self)> {
        let (name, change) = match event {
            SenderEvent::Joined(name) => (name, Self::Joined),
            SenderEvent::Done(name) => (name, Self::Done),
            SenderEvent::Failed(name, reason) => (name, Self::Failed(reason.clone())),
            SenderEvent::Silent(name) => (name, Self::Silent),
            SenderEvent::Sidelined(name, sideline) => {
                (name, Self::Sidelined(sideline.cause, sideline.to_string()))
            }
            SenderEvent::OtherVersion(name, what) => (name, Self::OtherVersion(what.clone())),
            SenderEvent::KeyChanged(name, _) => (name, Self::KeyChanged),
            SenderEvent::UnknownKey(name, _) => (name, Self::UnknownKey),
            // Keys of new hosts, relays, and what is about all hosts.
            _ => return None,
        };
        Some((name.clone(), change))
    }
}

impl Changes {
    /// Adds a change. If nobody takes them, the ones beyond the bound are counted and forgotten.
    pub(crate) fn note(&self, change: HostChange) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.changes.len() < EVENTS_MAX {
            queue.changes.push_back(change);
        } else {
            queue.lost += 1;
        }
    }

    /// Takes all changes, in order, and the number of those that were forgotten.
    pub fn take(&self) -> (Vec<HostChange>, u64) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (queue.changes.drain(..).collect(), std::mem::take(&mut queue.lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_in_order_and_the_queue_has_a_bound() {
        let changes = Changes::default();
        let name = HostName::new("c1").expect("a name");
        for i in 0..EVENTS_MAX as u64 + 3 {
            let at = Duration::from_millis(i);
            changes.clone().note(HostChange { at, name: name.clone(), what: Change::Joined });
        }
        let (taken, lost) = changes.take();
        assert_eq!((taken.len(), lost), (EVENTS_MAX, 3));
        assert!(taken.is_sorted_by_key(|change| change.at));
        assert_eq!(changes.take(), (Vec::new(), 0));
    }
}
