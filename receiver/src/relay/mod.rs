//! Forwarding in the receive loop: what the relay of this host admits leaves again, as it came.
//!
//! ```text
//! batch of datagrams --> expects --> opened by the receiver --> admit --> train --> socket of this host
//!                                                                           |  what the kernel does not take
//!                                                                           +--> queue (8 MiB, drop-tail) --> the same
//! ```
//!
//! What is forwarded is decided by [`Relay`]; here it is gathered and sent. Datagrams of one length become a **train**,
//! which the kernel takes with one call for many destinations, whatever the datagrams came as. They are sent out of the
//! memory that they were received in, and copied only if the kernel does not take them at once. Nothing here blocks or
//! allocates while the destinations stay the same.

mod queue;

use std::net::SocketAddr;
use std::time::Duration;

use glancecast_platform::trains::{Progress, Taken, Train};
use glancecast_platform::transport::Destination;
use glancecast_platform::units::Rate;
use glancecast_proto::ids::SessionTag;
use glancecast_proto::limits::{DATAGRAM_MAX, RELAY_QUEUE_BYTES_MAX};
use glancecast_proto::relay::{Candidate, Membership, Relay, RelayConfig, RelayCounts, Targets};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{Header, Opened};

use crate::network::Network;
use crate::relay_settings::Relaying;
use queue::{Full, Queue, WayId};

/// The relay of this host, with what waits to leave.
pub(crate) struct Forwarder {
    relay: Relay,
    /// Whether the relay was on at the start.
    is_possible: bool,
    ways: Vec<Way>,
    queue: Queue,
    scratch: Box<[u8]>,
    /// The leases that the log tells of: session and generation.
    told: Vec<(SessionTag, u32)>,
    /// Copies that the kernel refused, as there is no route or a firewall forbids them.
    refused_copies: u64,
}

/// Where the datagrams of a session go.
struct Way {
    tag: SessionTag,
    group: Option<SocketAddr>,
    children: Vec<SocketAddr>,
    /// The same, as the kernel takes it.
    to: Vec<Destination>,
    /// When the destinations were written, counted up with each change of any way.
    epoch: u32,
}

/// Datagrams of one batch that go the same way with the same call.
#[derive(Default)]
pub(crate) struct Gathering<'a> {
    train: Train<'a>,
    way: Option<WayId>,
}

/// What the receiver itself made of a datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Read {
    /// It opened the datagram.
    Opened(Opened),
    /// It tried to in vain.
    Forged,
    /// It had no use for the datagram.
    Unread,
}

impl Forwarder {
    /// A relay without a lease.
    pub(crate) fn new(config: RelayConfig) -> Self {
        let bytes = if config.allowed { RELAY_QUEUE_BYTES_MAX } else { 0 };
        Self {
            is_possible: config.allowed,
            relay: Relay::new(config),
            ways: Vec::new(),
            queue: Queue::new(bytes),
            scratch: vec![0; DATAGRAM_MAX].into_boxed_slice(),
            told: Vec::new(),
            refused_copies: 0,
        }
    }

    /// Takes over other settings. A host that was started with its relay off keeps it off: its sockets are not made for it.
    pub(crate) fn set(&mut self, relaying: &Relaying) {
        let rate_max = relaying.rate_max.map(Rate::bits);
        self.relay.set(self.is_possible && relaying.allowed, rate_max, relaying.parents.clone());
    }

    /// Returns what was forwarded and refused since the start.
    pub(crate) fn counts(&self) -> &RelayCounts {
        self.relay.counts()
    }

    /// Whether this host relays if a sender asks it to.
    pub(crate) fn is_allowed(&self) -> bool {
        self.relay.is_allowed()
    }

    /// Whether there is a lease, or was one a moment ago.
    pub(crate) fn is_at_work(&self) -> bool {
        !self.told.is_empty()
    }

    /// How long the receive loop may leave the sockets alone: each relay on the way to a host adds that to its delay, and
    /// the kernel's buffer must not run dry while something waits.
    pub(crate) fn patience(&self) -> Duration {
        match (self.is_at_work(), self.queue.is_empty()) {
            (false, _) => Duration::MAX,
            (true, true) => NAP_MAX,
            (true, false) => NAP_MAX_BEHIND,
        }
    }

    /// Returns when something is due.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        self.relay.poll_timeout()
    }

    /// Returns the machine.
    pub(crate) fn machine(&mut self) -> &mut Relay {
        &mut self.relay
    }

    /// Handles a lease, which came by unicast. `member` is the session that this host takes part in.
    pub(crate) fn handle_route(
        &mut self,
        now: Moment,
        wall: WallClock,
        member: Option<Membership>,
        datagram: &[u8],
    ) {
        match self.relay.handle_route(now, wall, member, datagram) {
            Ok(()) => self.tell_of_leases(now),
            Err(refused) => tracing::debug!(%refused, "a lease is not taken"),
        }
    }

    /// Whether a datagram that came by unicast is one to forward once it was opened.
    #[inline]
    pub(crate) fn expects(&mut self, now: Moment, from: SocketAddr, datagram: &[u8]) -> Option<Candidate> {
        // A host that has never had a lease counts nothing for its own datagrams.
        if self.relay.counts().leases == 0 {
            return None;
        }
        self.relay.expects(now, from, datagram).ok()
    }

    /// Forwards a datagram that was expected, unless it does not open. It leaves with the next
    /// [`flush`](Self::flush) at the latest.
    pub(crate) fn forward<'a>(
        &mut self,
        now: Moment,
        candidate: Candidate,
        read: Read,
        datagram: &'a [u8],
        gathering: &mut Gathering<'a>,
        network: &mut Network,
    ) {
        let opened = match read {
            Read::Opened(opened) => opened,
            Read::Forged => return self.relay.note_unopened(),
            Read::Unread => match self.relay.open(&candidate, datagram, &mut self.scratch) {
                Ok(opened) => opened,
                Err(_) => return,
            },
        };
        let Ok(Header { tag, .. }) = Header::parse(datagram) else { return };
        let Ok(targets) = self.relay.admit(now, candidate, opened) else { return };
        let way = way_of(&mut self.ways, tag, targets, network);
        if gathering.way != Some(way) || !gathering.train.push(datagram) {
            self.flush(now, gathering, network);
            gathering.way = Some(way);
            let fits = gathering.train.push(datagram);
            debug_assert!(fits, "a datagram fits an empty train");
        }
    }

    /// Sends what was gathered, behind what waits already.
    pub(crate) fn flush(&mut self, now: Moment, gathering: &mut Gathering<'_>, network: &mut Network) {
        let Gathering { train, way: Some(way) } = std::mem::take(gathering) else { return };
        if train.is_empty() {
            return;
        }
        self.send_waiting(now, network);
        let mut progress = Progress::default();
        let is_sent = self.queue.is_empty()
            && network.forward(&train, &self.ways[way.at].to, &mut progress) == Taken::All;
        let datagrams = train.datagrams().count() as u64;
        if is_sent {
            self.note_sent(way, datagrams, train.bytes() as u64, progress);
        } else if self.queue.push(now, &train, way, progress) == Err(Full) {
            self.relay.note_dropped(self.ways[way.at].tag, datagrams);
        }
    }

    /// Sends what waits, as far as the kernel takes it. What waits under a lease that has ended, or for too long, is dropped.
    pub(crate) fn send_waiting(&mut self, now: Moment, network: &mut Network) {
        while let Some((waiting, train)) = self.queue.front() {
            let way = &self.ways[waiting.way.at];
            let is_leased = self.relay.leases(now).any(|lease| lease.route.session.tag() == way.tag);
            if waiting.way.epoch != way.epoch || !is_leased || waiting.is_stale(now) {
                self.relay.note_dropped(way.tag, waiting.datagrams());
            } else if network.forward(&train, &way.to, &mut waiting.progress) == Taken::Full {
                return;
            } else {
                let sent = *waiting;
                self.note_sent(sent.way, sent.datagrams(), sent.len(), sent.progress);
            }
            self.queue.pop();
        }
    }

    /// Has the destinations be written anew, as the interface may have another number.
    pub(crate) fn handle_network_change(&mut self) {
        let epoch = next_epoch(&self.ways);
        for way in &mut self.ways {
            *way = Way { group: None, children: Vec::new(), to: Vec::new(), epoch, ..*way };
        }
    }

    /// Tells the log of leases that have ended, with what was forwarded.
    pub(crate) fn tend(&mut self, now: Moment) {
        let Self { told, relay, .. } = self;
        let before = told.len();
        told.retain(|(tag, _)| relay.leases(now).any(|lease| lease.route.session.tag() == *tag));
        if told.len() < before {
            self.log_counts();
        }
    }

    /// Logs what was forwarded and refused since the start.
    pub(crate) fn log_counts(&self) {
        let counts = self.relay.counts();
        if counts.leases > 0 || counts.refused.seen().next().is_some() {
            tracing::info!(
                leases = counts.leases,
                came = counts.came,
                forwarded = counts.forwarded,
                copies = counts.copies,
                refused_copies = self.refused_copies,
                dropped_queue = counts.dropped_queue,
                dropped_rate = counts.dropped_rate,
                "relayed since the start; refused by reason: {}",
                counts.refused
            );
        }
    }

    fn note_sent(&mut self, way: WayId, datagrams: u64, bytes: u64, progress: Progress) {
        let Way { tag, to, .. } = &self.ways[way.at];
        self.refused_copies += progress.refused as u64 * datagrams;
        if progress.refused < to.len() {
            self.relay.note_sent(*tag, datagrams, bytes);
        }
    }

    fn tell_of_leases(&mut self, now: Moment) {
        for lease in self.relay.leases(now) {
            let route = lease.route;
            let (tag, generation) = (route.session.tag(), route.generation);
            let known = self.told.iter_mut().find(|(told, _)| *told == tag);
            match known {
                Some((_, told)) if *told == generation => continue,
                Some((_, told)) => *told = generation,
                None => self.told.push((tag, generation)),
            }
            let group = route.group.map_or_else(|| "none".to_owned(), |group| group.to_string());
            tracing::info!(
                session = %route.session, parent = %route.parent, group, children = ?route.children, generation,
                "relays a push"
            );
        }
    }
}

/// Returns the way of a session's datagrams, which is written anew if its destinations have changed.
fn way_of(ways: &mut Vec<Way>, tag: SessionTag, targets: Targets<'_>, network: &Network) -> WayId {
    let Targets { group, children } = targets;
    let known = ways.iter().position(|way| way.tag == tag);
    if let Some(at) = known
        && ways[at].group == group
        && ways[at].children == children
    {
        return WayId { at, epoch: ways[at].epoch };
    }
    let epoch = next_epoch(ways);
    let at = known.unwrap_or_else(|| {
        if ways.len() < WAYS_MAX {
            ways.push(Way { tag, group: None, children: Vec::new(), to: Vec::new(), epoch });
            return ways.len() - 1;
        }
        // Most of them are of sessions that are over; one that is not is written again.
        (0..ways.len()).min_by_key(|&at| ways[at].epoch).expect("there are some")
    });
    let to = group.iter().chain(children).map(|&to| network.destination(to)).collect();
    ways[at] = Way { tag, group, children: children.to_vec(), to, epoch };
    WayId { at, epoch }
}

fn next_epoch(ways: &[Way]) -> u32 {
    ways.iter().map(|way| way.epoch).max().unwrap_or(0).wrapping_add(1)
}

/// Longest delay that a relay adds.
const NAP_MAX: Duration = Duration::from_millis(1);

/// The same while something waits: half of what the socket's buffer holds at 10 Gbit/s.
const NAP_MAX_BEHIND: Duration = Duration::from_micros(300);

/// Ways that are kept: more than the sessions that a relay serves at a time.
const WAYS_MAX: usize = 8;
