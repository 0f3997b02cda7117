//! What a relay may forward: only under a lease that has reached it and has not expired, only what came from its parent and
//! opens, to the lease's targets, and nothing twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::ids::SessionId;
use glancecast_proto::limits::RELAY_QUEUE_TIME_MAX;
use glancecast_proto::seal::GroupKey;
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{Header, Route};

use super::{Load, Way, is_lease};
use crate::sim::host::KEY;

/// The leases and what was forwarded under them.
#[derive(Default)]
pub(super) struct Oracle {
    leases: BTreeMap<(usize, SessionId), Vec<(Moment, Route)>>,
    /// The numbers that a host has forwarded, by session.
    forwarded: BTreeMap<(usize, [u8; 3]), Runs>,
    came: BTreeMap<usize, u64>,
    left: BTreeMap<usize, u64>,
}

impl Oracle {
    /// Notes what reaches a host.
    pub(super) fn note_arrival(&mut self, now: Moment, host: usize, by: Way, load: &Load) {
        if by == Way::Unicast {
            *self.came.entry(host).or_default() += datagrams(load);
        }
        if let Load::Control(bytes) = load
            && is_lease(load)
            && let Ok((route, _)) = Route::open(&GroupKey::new(KEY), bytes)
        {
            let leases = self.leases.entry((host, route.session)).or_default();
            leases.retain(|(at, route)| now.since(*at) < 2 * route.expires);
            leases.push((now, route));
        }
    }

    /// Checks what a host forwards.
    pub(super) fn check(
        &mut self,
        now: Moment,
        host: usize,
        from: SocketAddr,
        load: &Load,
        group: Option<SocketAddr>,
        children: &[SocketAddr],
    ) -> Result<(), String> {
        let (tag, number, count) = match load {
            Load::Symbols { opens: false, .. } => return Err("a relay forwards what does not open".into()),
            Load::Symbols { first, count, .. } => (first.tag.0, first.sequence.value(), u64::from(*count)),
            Load::Control(bytes) => {
                let header = Header::parse(bytes).map_err(|_| "a relay forwards what is no datagram")?;
                (header.tag.0, header.sequence.value(), 1)
            }
        };
        // What waited in the relay's queue was admitted a moment before.
        let is_valid = |(at, route): &&(Moment, Route)| {
            now.since(*at) < route.expires + QUEUED_MAX
                && route.parent == from
                && route.session.tag().0 == tag
        };
        let of_host = self.leases.range((host, SessionId([0; 16]))..=(host, SessionId([255; 16])));
        let mut valid = of_host.flat_map(|(_, leases)| leases).filter(is_valid).peekable();
        if valid.peek().is_none() {
            return Err("a relay forwards without a lease".into());
        }
        if !valid.any(|(_, route)| route.group == group && route.children == children) {
            return Err("a relay forwards to others than its lease says".into());
        }
        if !self.forwarded.entry((host, tag)).or_default().insert(number, number + count) {
            return Err(format!(
                "a relay forwards something twice: {count} from number {number} on, of {from}"
            ));
        }
        let left = self.left.entry(host).or_default();
        *left += count;
        if *left > self.came.get(&host).copied().unwrap_or(0) {
            return Err("a relay forwards more than came".into());
        }
        Ok(())
    }
}

/// Numbers, in runs: the end of each run by its start.
#[derive(Default)]
struct Runs(BTreeMap<u64, u64>);

impl Runs {
    /// Adds a run; returns whether none of it was there.
    fn insert(&mut self, start: u64, end: u64) -> bool {
        let before = self.0.range(..end).next_back().map(|(&start, &end)| (start, end));
        if before.is_some_and(|(_, ended)| ended > start) {
            return false;
        }
        match before {
            Some((begun, ended)) if ended == start => self.0.insert(begun, end),
            _ => self.0.insert(start, end),
        };
        true
    }
}

fn datagrams(load: &Load) -> u64 {
    match load {
        Load::Control(_) => 1,
        Load::Symbols { count, .. } => u64::from(*count),
    }
}

/// The longest time between a lease's end and what was admitted under it: that in the relay's queue.
const QUEUED_MAX: Duration = RELAY_QUEUE_TIME_MAX;
