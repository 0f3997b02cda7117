//! One host: the real receiver and the real relay, with a queue of what is to be forwarded.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::agree::StartSecret;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::limits::{RELAY_QUEUE_BYTES_MAX, RELAY_QUEUE_TIME_MAX};
use glancecast_proto::receiver::{
    BlockOutcome, BlockRoom, Effect, Opened, Published, Receiver, ReceiverConfig, Returned, Work,
};
use glancecast_proto::relay::{Refused, Relay, RelayConfig, Targets};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{Discard, Kind, Route};
use zeroize::Zeroizing;

use super::{Broken, Load, NEVER, Network, Trouble, Way, frame_bits, name};
use crate::sim::host::{KEY, WALL};
use crate::sim::paths::hash;

/// One host.
pub(super) struct Node {
    pub(super) number: usize,
    pub(super) addr: SocketAddr,
    /// The segment that it is in; `None` is the sender's.
    pub(super) segment: Option<u32>,
    /// Whether it hears multicast from its segment.
    pub(super) carries_multicast: bool,
    pub(super) machine: Receiver,
    relay: Relay,
    pub(super) wake: Moment,
    pub(super) published: Option<Moment>,
    pub(super) queue_peak: u32,
    pub(super) longest_gap: Duration,
    heard: Option<Moment>,
    is_dead: bool,
    is_over: bool,
    has_joined: bool,
    queue: VecDeque<Forwarded>,
    queued: u32,
    /// Bits in a second that it forwards; `None` is at once.
    pace: Option<u64>,
    free_at: Moment,
    /// Targets of the last lease, for relays that are broken on purpose.
    last: Option<Route>,
}

/// What a relay forwards.
pub(super) struct Forwarded {
    pub(super) from: SocketAddr,
    pub(super) load: Load,
    pub(super) group: Option<SocketAddr>,
    pub(super) children: Vec<SocketAddr>,
    /// When it was admitted.
    admitted: Moment,
}

impl Node {
    pub(super) fn new(network: &Network, trouble: &Trouble, number: u32) -> Self {
        let bytes = number.to_be_bytes();
        let host_key = SigningKey::from_seed(&Zeroizing::new(std::array::from_fn(|i| bytes[i % 4])));
        let can_relay = network.can_relay(number);
        let machine = Receiver::new(ReceiverConfig {
            name: name(number),
            software: "simulated".into(),
            keys: vec![GroupKey::new(KEY)],
            host_key: host_key.clone(),
            secret: StartSecret::new([4; 32]),
            mtu: None,
            senders: Vec::new().into(),
            start: std::array::from_fn(|i| bytes[i % 4]),
            seed: std::array::from_fn(|i| bytes[i % 4] ^ 0x5A),
            buffer_bytes: BUFFER_BYTES,
            can_relay,
        });
        let relay =
            Relay::new(RelayConfig { allowed: can_relay, rate_max: None, parents: Vec::new(), host_key });
        Self {
            number: number as usize,
            addr: network.address(number),
            segment: network.segment(number),
            carries_multicast: network.carries_multicast(number),
            machine,
            relay,
            wake: NEVER,
            published: None,
            queue_peak: 0,
            longest_gap: Duration::ZERO,
            heard: None,
            is_dead: false,
            is_over: false,
            has_joined: false,
            queue: VecDeque::new(),
            queued: 0,
            pace: trouble.pace(number as usize),
            free_at: Moment::default(),
            last: None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        !self.is_dead
    }

    pub(super) fn die(&mut self) {
        self.is_dead = true;
    }

    /// Takes in a datagram; returns what is forwarded at once.
    pub(super) fn take(
        &mut self,
        now: Moment,
        from: SocketAddr,
        by: Way,
        load: &Load,
        geometry: Geometry,
        broken: Broken,
    ) -> Vec<Forwarded> {
        let wall = WallClock(WALL.0 + now.micros() / 1000);
        match load {
            Load::Control(bytes) if Kind::peek(bytes) == Some(Kind::Route) => {
                let member = self.machine.membership();
                if self.relay.handle_route(now, wall, member, bytes).is_ok() {
                    self.last = Route::open(&GroupKey::new(KEY), bytes).ok().map(|(route, _)| route);
                }
                return Vec::new();
            }
            Load::Control(bytes) => {
                let _ = match by {
                    Way::Group => self.machine.handle_datagram(now, wall, from, bytes),
                    Way::Unicast => self.machine.handle_unicast(now, wall, from, bytes),
                };
            }
            Load::Symbols { opens: false, .. } => {
                self.machine.count_discard(Discard::Forged);
            }
            Load::Symbols { first, count, .. } => {
                self.note_heard(now);
                if !self.is_over {
                    self.machine.accept_run(now, first, *count, geometry.datagram_bytes());
                }
            }
        }
        self.work(now);
        let mut forwarded = Vec::new();
        if by == Way::Unicast {
            self.pass_on(now, from, load, geometry, broken);
            forwarded = self.drain(now);
        }
        forwarded
    }

    /// Queues a datagram that came by unicast if the relay admits it.
    fn pass_on(&mut self, now: Moment, from: SocketAddr, load: &Load, geometry: Geometry, broken: Broken) {
        let admitted = match load {
            Load::Control(bytes) => self.admit(now, from, bytes),
            Load::Symbols { opens: false, .. } => Err(Refused::Unopened),
            Load::Symbols { first, count, .. } => {
                let targets = self.relay.admit_run(now, from, first, *count, geometry.datagram_bytes());
                targets.map(owned)
            }
        };
        let wrongly = matches!(
            (broken, admitted.as_ref().err()),
            (Broken::ForwardsWithoutLease, Some(Refused::NoLease | Refused::ForeignParent))
                | (Broken::KeepsExpiredLease, Some(Refused::Expired))
                | (Broken::ForwardsUnopened, Some(Refused::Unopened))
        );
        let targets = match admitted {
            Ok(targets) => Some(targets),
            Err(_) if wrongly => match &self.last {
                Some(last) => Some((last.group, last.children.clone())),
                None => Some((Some(super::GROUP.into()), Vec::new())),
            },
            Err(_) => None,
        };
        let Some((group, children)) = targets else { return };
        let datagrams = datagrams(load);
        if self.queued + datagrams > QUEUE_MAX {
            self.relay.note_dropped(tag(load), u64::from(datagrams));
            return;
        }
        self.queued += datagrams;
        self.queue_peak = self.queue_peak.max(self.queued);
        self.queue.push_back(Forwarded { from, load: load.clone(), group, children, admitted: now });
    }

    fn admit(
        &mut self,
        now: Moment,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Result<(Option<SocketAddr>, Vec<SocketAddr>), Refused> {
        let candidate = self.relay.expects(now, from, bytes)?;
        let opened = self.relay.open(&candidate, bytes, &mut [0; 2_000])?;
        self.relay.admit(now, candidate, opened).map(owned)
    }

    /// Returns what leaves the queue now.
    pub(super) fn drain(&mut self, now: Moment) -> Vec<Forwarded> {
        let mut left = Vec::new();
        while self.free_at <= now
            && let Some(forwarded) = self.queue.pop_front()
        {
            let count = datagrams(&forwarded.load);
            let bytes = bytes_of(&forwarded.load);
            self.queued -= count;
            if now.since(forwarded.admitted) > RELAY_QUEUE_TIME_MAX {
                self.relay.note_dropped(tag(&forwarded.load), u64::from(count));
                continue;
            }
            self.relay.note_sent(tag(&forwarded.load), u64::from(count), bytes as u64);
            if let Some(pace) = self.pace {
                let copies = forwarded.children.len() as u64 + u64::from(forwarded.group.is_some());
                let bits = copies * u64::from(count) * frame_bits(bytes / count.max(1) as usize);
                self.free_at = self.free_at.max(now) + Duration::from_secs_f64(bits as f64 / pace as f64);
            }
            left.push(forwarded);
        }
        left
    }

    /// Returns when the queue goes on, if it does not at once.
    pub(super) fn drains_at(&self, now: Moment) -> Option<Moment> {
        (!self.queue.is_empty()).then_some(self.free_at.max(now + Duration::from_micros(1)))
    }

    /// Returns the datagrams that are due.
    pub(super) fn speak(&mut self, now: Moment) -> Vec<Vec<u8>> {
        self.machine.handle_timeout(now);
        self.work(now);
        let (mut out, mut said) = (Vec::new(), Vec::new());
        while self.machine.poll_transmit(now, &mut out).is_some() {
            said.push(std::mem::take(&mut out));
        }
        while self.relay.poll_transmit(now, &mut out).is_some() {
            said.push(std::mem::take(&mut out));
        }
        while self.machine.poll_event().is_some() {}
        said
    }

    pub(super) fn next_wake(&self) -> Moment {
        let machine = self.machine.poll_timeout().map(|(at, _)| at);
        [machine, self.relay.poll_timeout()].into_iter().flatten().min().unwrap_or(NEVER)
    }

    /// Notes whether the host is through with the object, so that further symbols need not be looked at.
    pub(super) fn note_over(&mut self, _proven: bool) {
        let is_taking_part = self.machine.session().is_some();
        self.has_joined |= is_taking_part;
        self.is_over = self.published.is_some() && self.has_joined && !is_taking_part;
    }

    fn note_heard(&mut self, now: Moment) {
        if self.published.is_none() {
            let gap = self.heard.map_or(Duration::ZERO, |heard| now.since(heard));
            self.longest_gap = self.longest_gap.max(gap);
        }
        self.heard = Some(now);
    }

    fn work(&mut self, now: Moment) {
        let machine = &mut self.machine;
        while let Some(effect) = machine.poll_effect(BlockRoom::Free) {
            match effect {
                Effect::Open(attempt, _) => {
                    let opened = match self.published {
                        None => Opened::Unfinished { file: (), kept: Vec::new() },
                        Some(_) => Opened::Existing(()),
                    };
                    machine.handle_opened(now, attempt, Ok(opened));
                }
                Effect::Block(attempt, Work::Zero { block }, ()) => {
                    machine.handle_block(now, attempt, block, None, BlockOutcome::Zeros(hash(block)));
                }
                Effect::Block(attempt, Work::Rebuild { block, buffer, collected, .. }, ()) => {
                    let repaired = collected.held().bound() - collected.held().count();
                    let outcome = BlockOutcome::Written { repaired };
                    machine.handle_block(now, attempt, block, Some(Returned { buffer, collected }), outcome);
                }
                Effect::Publish(attempt, ..) => {
                    self.published = Some(now);
                    machine.handle_published(now, attempt, Ok(Published::New));
                }
                Effect::Compare(attempt, ..) => {
                    machine.handle_published(now, attempt, Ok(Published::Existing));
                }
                Effect::Block(_, Work::Recheck { .. } | Work::Reuse { .. } | Work::Sift { .. }, ())
                | Effect::LookThrough(..) => unreachable!("nothing is kept or forged here"),
                Effect::PutAway(..) => machine.handle_put_away(),
                Effect::Prepare(..) | Effect::Leave(_) => {}
            }
        }
    }
}

fn owned(targets: Targets<'_>) -> (Option<SocketAddr>, Vec<SocketAddr>) {
    (targets.group, targets.children.to_vec())
}

fn datagrams(load: &Load) -> u32 {
    match load {
        Load::Control(_) => 1,
        Load::Symbols { count, .. } => *count,
    }
}

fn bytes_of(load: &Load) -> usize {
    match load {
        Load::Control(bytes) => bytes.len(),
        Load::Symbols { count, .. } => *count as usize * 1_468,
    }
}

fn tag(load: &Load) -> glancecast_proto::ids::SessionTag {
    match load {
        Load::Control(bytes) => glancecast_proto::ids::SessionTag([bytes[2], bytes[3], bytes[4]]),
        Load::Symbols { first, .. } => first.tag,
    }
}

/// The buffers of `glancecastd`.
const BUFFER_BYTES: usize = 96 << 20;
/// Datagrams in a relay's queue.
const QUEUE_MAX: u32 = (RELAY_QUEUE_BYTES_MAX / 1_468) as u32;
