//! The receive loop's side: what it counts beyond its machines, and how a snapshot is made of all of it.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_proto::ids::SessionId;
use glancecast_proto::receiver::{Intake, ReceiverEvent};
use glancecast_proto::relay::RelayCounts;
use glancecast_proto::seal::GroupKey;
use glancecast_proto::senders::Senders;
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{DiscardCounts, Totals, VERSION};

use super::board::Board;
use super::snapshot::{
    Counters, LAST_MAX, NetworkState, PastPush, Push, RelayState, Reload, SCHEMA, Snapshot, StageCount,
    StoreState, Taken,
};
use super::words;
use crate::stages::Clocks;

/// What stays the same while the program runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) host_key: String,
    pub(crate) group: String,
    pub(crate) store: String,
}

/// What the loop has counted.
#[derive(Debug)]
pub(crate) struct Tally {
    identity: Identity,
    board: Board,
    started_ms: u64,
    due: Moment,
    /// Datagrams that were read.
    pub(crate) datagrams: u64,
    /// Bytes of these.
    pub(crate) bytes: u64,
    /// Blocks that were proven and written.
    pub(crate) blocks_proven: u64,
    keys: Vec<String>,
    pub(crate) senders: Option<usize>,
    reload: Option<Reload>,
    pushes: BTreeMap<&'static str, u64>,
    taken: Taken,
    last: VecDeque<PastPush>,
}

/// What the loop's parts say at the time of a snapshot.
pub(crate) struct Turn<'a> {
    pub(crate) network: NetworkState,
    pub(crate) push: Option<(SessionId, String, Intake)>,
    pub(crate) discards: &'a DiscardCounts,
    pub(crate) query_discards: &'a DiscardCounts,
    pub(crate) socket_drops: u64,
    pub(crate) corrupt: u64,
    pub(crate) clocks: &'a Clocks,
    pub(crate) relay: &'a RelayCounts,
    pub(crate) relay_allowed: bool,
    pub(crate) relay_active: bool,
}

impl Tally {
    pub(crate) fn new(identity: Identity, board: Board) -> Self {
        Self {
            identity,
            board,
            started_ms: wall().0,
            due: Moment::default(),
            datagrams: 0,
            bytes: 0,
            blocks_proven: 0,
            keys: Vec::new(),
            senders: None,
            reload: None,
            pushes: BTreeMap::new(),
            taken: Taken::default(),
            last: VecDeque::new(),
        }
    }

    /// Whether the next snapshot is due; a comparison.
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        now >= self.due
    }

    /// Has the next snapshot be made at the next turn of the loop.
    pub(crate) fn hurry(&mut self) {
        self.due = Moment::default();
    }

    /// Notes which keys and how many senders this host accepts.
    pub(crate) fn note_access(&mut self, keys: &[GroupKey], senders: &Senders) {
        self.note_keys(keys);
        self.senders = senders.count();
    }

    /// Notes which group keys this host accepts.
    pub(crate) fn note_keys(&mut self, keys: &[GroupKey]) {
        self.keys = keys.iter().map(|key| key.id().fingerprint()).collect();
        self.hurry();
    }

    /// Notes the outcome of a reload: the reason if it was refused.
    pub(crate) fn note_reload(&mut self, refused: Option<String>) {
        self.reload = Some(Reload { at_ms: wall().0, refused });
        self.hurry();
    }

    /// Notes the end of a push.
    pub(crate) fn note_end(&mut self, event: &ReceiverEvent) {
        let (session, result, reason, intake) = match event {
            ReceiverEvent::Published { session, existing: true, intake, .. } => {
                (session, "existing", None, intake)
            }
            ReceiverEvent::Published { session, intake, .. } => (session, "published", None, intake),
            ReceiverEvent::Failed { session, reason, why, intake } => {
                (session, why.name(), Some(reason.clone()), intake)
            }
            _ => return,
        };
        let taken = Taken::of(&intake.totals);
        *self.pushes.entry(result).or_default() += 1;
        self.taken.add(taken);
        self.last.truncate(LAST_MAX - 1);
        self.last.push_front(PastPush {
            session: session.to_string(),
            name: intake.name.to_string(),
            bytes: intake.bytes,
            result,
            reason,
            at_ms: wall().0,
            seconds: intake.took.as_secs_f64(),
            blocks: intake.blocks,
            blocks_held: intake.blocks_held,
            taken,
        });
        self.hurry();
    }

    /// Publishes a snapshot, and returns what the service manager is told of it.
    pub(crate) fn publish(&mut self, now: Moment, turn: Turn<'_>) -> String {
        self.due = now + GAP;
        let snapshot = self.snapshot(turn);
        let status = words::status_line(&snapshot);
        self.board.publish(snapshot);
        status
    }

    fn snapshot(&self, turn: Turn<'_>) -> Snapshot {
        let Identity { name, host_key, group, store } = self.identity.clone();
        Snapshot {
            schema: SCHEMA,
            name,
            version: env!("CARGO_PKG_VERSION"),
            protocol: VERSION,
            host_key,
            keys: self.keys.clone(),
            senders: self.senders,
            started_ms: self.started_ms,
            at_ms: wall().0,
            reload: self.reload.clone(),
            network: NetworkState { group, ..turn.network },
            push: turn.push.map(|(session, sender, intake)| Push {
                session: session.to_string(),
                name: intake.name.to_string(),
                bytes: intake.bytes,
                sender,
                phase: intake.phase.name(),
                blocks: intake.blocks,
                blocks_held: intake.blocks_held,
                seconds: intake.took.as_secs_f64(),
                taken: Taken::of(&intake.totals),
            }),
            last: self.last.iter().cloned().collect(),
            counters: Counters {
                pushes: self.pushes.clone(),
                datagrams: self.datagrams,
                bytes: self.bytes,
                discarded: by_reason(turn.discards),
                discarded_queries: by_reason(turn.query_discards),
                socket_drops: turn.socket_drops,
                blocks_proven: self.blocks_proven,
                blocks_corrupt: turn.corrupt,
                taken: self.taken,
                stages: stages(turn.clocks),
            },
            relay: RelayState {
                allowed: turn.relay_allowed,
                active: turn.relay_active,
                leases: turn.relay.leases,
                came: turn.relay.came,
                forwarded: turn.relay.forwarded,
                copies: turn.relay.copies,
                dropped_queue: turn.relay.dropped_queue,
                dropped_rate: turn.relay.dropped_rate,
                refused: turn.relay.refused.seen().map(|(why, count)| (why.name(), count)).collect(),
            },
            store: StoreState { store, facts: None },
        }
    }
}

impl Taken {
    fn of(totals: &Totals) -> Self {
        Self {
            received_bytes: totals.bytes_received,
            lost: totals.symbols_lost,
            repaired: totals.symbols_repaired,
            reused: totals.blocks_reused.into(),
            socket_drops: totals.socket_drops,
            store_drops: totals.store_drops,
            forged: totals.symbols_forged,
        }
    }

    fn add(&mut self, other: Self) {
        self.received_bytes += other.received_bytes;
        self.lost += other.lost;
        self.repaired += other.repaired;
        self.reused += other.reused;
        self.socket_drops += other.socket_drops;
        self.store_drops += other.store_drops;
        self.forged += other.forged;
    }
}

fn by_reason(counts: &DiscardCounts) -> BTreeMap<&'static str, u64> {
    counts.seen().map(|(reason, count)| (reason.name(), count)).collect()
}

fn stages(clocks: &Clocks) -> Vec<StageCount> {
    let times = clocks.times().into_iter();
    times
        .map(|time| StageCount { stage: time.name, seconds: time.nanos as f64 / 1e9, bytes: time.bytes })
        .collect()
}

/// Time between two snapshots.
const GAP: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    use glancecast_proto::ids::ObjectName;
    use glancecast_proto::integrity::Root;
    use glancecast_proto::receiver::{GaveUp, Phase};
    use glancecast_proto::wire::FailureKind;

    #[test]
    fn the_last_pushes_are_remembered_and_all_are_counted() {
        let mut tally = Tally::new(Identity::default(), Board::default());
        for number in 0..LAST_MAX + 4 {
            let intake = Box::new(intake(&format!("image-{number}")));
            let session = SessionId([7; 16]);
            tally.note_end(&match number % 3 {
                0 => ReceiverEvent::Published { session, root: Root([0; 32]), existing: false, intake },
                1 => ReceiverEvent::Published { session, root: Root([0; 32]), existing: true, intake },
                _ => ReceiverEvent::Failed {
                    session,
                    reason: "full".into(),
                    why: GaveUp::Failed(FailureKind::NoSpace),
                    intake,
                },
            });
        }
        assert_eq!(tally.last.len(), LAST_MAX);
        assert_eq!((tally.last[0].name.as_str(), tally.last[0].result), ("image-11", "no_space"));
        assert_eq!(tally.last[0].reason.as_deref(), Some("full"));
        assert_eq!(tally.pushes, [("existing", 4), ("no_space", 4), ("published", 4)].into());
        assert_eq!(tally.taken.lost, 12 * 3);
    }

    fn intake(name: &str) -> Intake {
        Intake {
            name: ObjectName::new(name).expect("a name"),
            bytes: 100,
            blocks: 4,
            blocks_held: 4,
            took: Duration::from_secs(1),
            totals: Totals { symbols_lost: 3, ..Totals::default() },
            phase: Phase::Publishing,
        }
    }
}
