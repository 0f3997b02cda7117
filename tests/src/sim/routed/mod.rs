//! Pushes over routed networks, in which multicast stays within a segment: the real sender, receivers and relays, control
//! datagrams with all their bytes, and symbols without bytes.
//!
//! ```text
//! Sender --To::Paths--> routers: delay, loss --unicast--> Node: Receiver, Relay --queue--> group of its segment, children
//!    ^                                                      |
//!    +---------------- delay, loss <------------------------+
//! ```
//!
//! The oracle sees every lease that reaches a host and everything that the host forwards.

mod node;
mod oracle;
mod plan;
pub mod table;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use glancecast_proto::agree::AgreementKey;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, SessionId};
use glancecast_proto::known::KnownHosts;
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{
    Expected, Job, JobRoom, Pace, PlanView, Reach, RelayFault, Sender, SenderConfig, SenderEvent, To, Verdict,
};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{DiskFormat, Encoding, Kind, ManifestEntry, Pin, SymbolHeader};

use super::dice::{Binomial, Dice};
use super::host::{KEY, WALL};
use super::paths::hash;
use super::pusher::signing_key;
use node::{Forwarded, Node};
use oracle::Oracle;
pub use plan::{Network, Trouble};

/// Relays that are broken on purpose: what the oracle misses in them, it would miss in the real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// None.
    No,
    /// A relay forwards without a lease what comes to it by unicast.
    ForwardsWithoutLease,
    /// A relay goes on forwarding when its lease has expired.
    KeepsExpiredLease,
    /// A relay forwards what does not open.
    ForwardsUnopened,
}

/// What became of a push.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The verdict; `None` where a large push was followed until all living hosts were done.
    pub verdict: Option<Verdict>,
    /// The time to the verdict.
    pub time: Duration,
    /// When the last host was done that did not die.
    pub last_done: Duration,
    /// Hosts that did not die, and those of them that hold the object.
    pub living: u32,
    /// See `living`.
    pub done: u32,
    /// The plan when the first symbols left.
    pub plan: Option<PlanView>,
    /// When they left.
    pub began: Duration,
    /// Symbols that left the sender, counted once for each path.
    pub copies: u64,
    /// Symbols by path, by the path's address.
    pub by_path: BTreeMap<SocketAddr, u64>,
    /// Why relays were given up.
    pub faults: Vec<(HostName, RelayFault)>,
    /// The most that a relay's queue held, in datagrams.
    pub queue_peak: u32,
    /// Symbols of the object.
    pub symbols: u64,
    /// The longest time for which a host without the object got nothing.
    pub longest_gap: Duration,
    /// The lowest rate while symbols were sent, and the last one.
    pub rates: (u64, u64),
    /// What the sender shows of the hosts in the end: name, state, way, blocks.
    pub rows: Vec<String>,
    /// What has happened, in the order of time: relays, and every quarter of a second the rate and what the hosts hold.
    pub trace: Vec<String>,
}

/// Runs a push.
///
/// # Errors
/// The rule that it broke.
pub fn push(network: Network, trouble: &Trouble, broken: Broken) -> Result<Outcome, String> {
    World::new(network, trouble.clone(), broken).run()
}

/// Runs the push that a seed draws.
///
/// # Errors
/// The rule that it broke.
pub fn run(seed: u64, broken: Broken) -> Result<Outcome, String> {
    let (network, trouble) = plan::draw(seed);
    let outcome = push(network, &trouble, broken)?;
    if outcome.done != outcome.living {
        let (done, living) = (outcome.done, outcome.living);
        return Err(format!("{done} of {living} living hosts hold the object: {outcome:#?}"));
    }
    Ok(outcome)
}

/// Returns what a seed draws, for a report.
pub fn describe(seed: u64) -> String {
    format!("{:#?}", plan::draw(seed))
}

pub(super) struct World {
    network: Network,
    trouble: Trouble,
    broken: Broken,
    now: Moment,
    sender: Sender,
    /// The sessions so far: a sender that has crashed begins another one.
    session: u8,
    nodes: Vec<Node>,
    by_address: BTreeMap<SocketAddr, usize>,
    /// The hosts of each segment that hear its multicast.
    segments: BTreeMap<Option<u32>, Vec<usize>>,
    geometry: Geometry,
    fresh: VecDeque<BlockIndex>,
    read: u32,
    proven: bool,
    free_at: Moment,
    jobs: VecDeque<Active>,
    mail: BinaryHeap<Reverse<(Moment, u64)>>,
    letters: BTreeMap<u64, Letter>,
    lettered: u64,
    wakes: BinaryHeap<Reverse<(Moment, usize)>>,
    losses: Binomial,
    dice: Dice,
    oracle: Oracle,
    outcome: Outcome,
    /// When the trace was last written.
    traced_at: Moment,
}

struct Active {
    job: Job,
    to: To,
    first: SymbolHeader,
    sent: u32,
    count: u32,
}

/// What travels to a host, or to the sender.
#[derive(Clone)]
pub(super) enum Letter {
    Up(SocketAddr, Arc<[u8]>),
    ToHost {
        host: usize,
        from: SocketAddr,
        by: Way,
        load: Load,
    },
    /// To all hosts of a segment that carry multicast.
    ToGroup {
        segment: Option<u32>,
        from: SocketAddr,
        load: Load,
    },
    /// A relay's queue has room for more.
    Drain(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Group,
    Unicast,
}

#[derive(Clone)]
pub(super) enum Load {
    Control(Arc<[u8]>),
    /// Symbols in a row. Those of a lying relay do not open.
    Symbols {
        first: SymbolHeader,
        count: u32,
        opens: bool,
    },
}

impl World {
    fn new(network: Network, trouble: Trouble, broken: Broken) -> Self {
        let geometry =
            Geometry::new(network.object_bytes, network.block_log2, SYMBOL_SIZE).expect("in range");
        let nodes: Vec<Node> =
            (0..network.hosts()).map(|number| Node::new(&network, &trouble, number)).collect();
        let mut segments: BTreeMap<Option<u32>, Vec<usize>> = BTreeMap::new();
        for node in nodes.iter().filter(|node| node.carries_multicast) {
            segments.entry(node.segment).or_default().push(node.number);
        }
        let symbols = geometry.indices().map(|block| symbols_of(geometry, block)).map(u64::from).sum();
        Self {
            sender: Sender::new(Moment::default(), config(&network, geometry, Moment::default(), 1)),
            session: 1,
            now: Moment::default(),
            by_address: nodes.iter().enumerate().map(|(at, node)| (node.addr, at)).collect(),
            segments,
            nodes,
            geometry,
            fresh: VecDeque::new(),
            read: 0,
            proven: false,
            free_at: Moment::default(),
            jobs: VecDeque::new(),
            mail: BinaryHeap::new(),
            letters: BTreeMap::new(),
            lettered: 0,
            wakes: BinaryHeap::new(),
            losses: Binomial::new(network.loss),
            dice: Dice::new(network.seed),
            oracle: Oracle::default(),
            outcome: Outcome {
                verdict: None,
                time: Duration::ZERO,
                last_done: Duration::ZERO,
                living: 0,
                done: 0,
                plan: None,
                began: Duration::ZERO,
                copies: 0,
                by_path: BTreeMap::new(),
                faults: Vec::new(),
                queue_peak: 0,
                symbols,
                longest_gap: Duration::ZERO,
                rates: (u64::MAX, 0),
                rows: Vec::new(),
                trace: Vec::new(),
            },
            traced_at: Moment::default(),
            network,
            trouble,
            broken,
        }
    }

    fn run(mut self) -> Result<Outcome, String> {
        while !self.sender.is_finished() {
            if self.now.since(Moment::default()) > 2 * self.network.longest() {
                return Err("the push does not end".into());
            }
            if self.network.is_large() && self.living_are_done() {
                break;
            }
            self.turn_sender();
            self.now = self.next_time();
            self.strike();
            while self.mail.peek().is_some_and(|&Reverse((at, _))| at <= self.now) {
                let Reverse((_, letter)) = self.mail.pop().expect("just seen");
                let letter = self.letters.remove(&letter).expect("put there with it");
                self.deliver(letter)?;
            }
            while self.wakes.peek().is_some_and(|&Reverse((at, _))| at <= self.now) {
                let Reverse((at, host)) = self.wakes.pop().expect("just seen");
                if self.nodes[host].wake == at {
                    self.nodes[host].wake = NEVER;
                    self.turn_host(host);
                }
            }
        }
        let (trouble, nodes) = (&self.trouble, &self.nodes);
        let living = || nodes.iter().enumerate().filter(|&(host, _)| trouble.lives(host));
        self.outcome.living = living().count() as u32;
        self.outcome.done = living().filter(|(_, node)| node.published.is_some()).count() as u32;
        let done = living().filter_map(|(_, node)| node.published).max();
        self.outcome.last_done = done.map_or(Duration::ZERO, |at| at.since(Moment::default()));
        self.outcome.longest_gap = living().map(|(_, node)| node.longest_gap).max().unwrap_or_default();
        self.outcome.queue_peak = nodes.iter().map(|node| node.queue_peak).max().unwrap_or(0);
        let row = |row: glancecast_proto::sender::HostRow| {
            format!(
                "{} {:?} {:?} held={} lost={} sidelined={:?} {:?}",
                row.name,
                row.state,
                row.served,
                row.blocks_held,
                row.totals.symbols_lost,
                row.sidelined,
                row.reason
            )
        };
        self.outcome.rows = self.sender.rows().into_iter().map(row).collect();
        self.outcome.verdict = self.sender.verdict().cloned();
        self.outcome.time = self.now.since(Moment::default());
        Ok(self.outcome)
    }

    fn living_are_done(&self) -> bool {
        let mut living = self.nodes.iter().enumerate().filter(|&(host, _)| self.trouble.lives(host));
        living.all(|(_, node)| node.published.is_some())
    }

    /// Lets happen what is due: hosts die, the sender begins anew.
    fn strike(&mut self) {
        for host in self.trouble.due(self.now) {
            if self.nodes[host].is_up() {
                self.note(format!("compute-{host} dies"));
            }
            self.nodes[host].die();
        }
        if self.trouble.sender_restarts.take_if(|at| *at <= self.now).is_some() {
            self.session += 1;
            self.note("the sender begins anew".into());
            let config = config(&self.network, self.geometry, self.now, self.session);
            self.sender = Sender::new(self.now, config);
            self.fresh.clear();
            self.jobs.clear();
            (self.read, self.proven) = (0, false);
        }
    }

    fn next_time(&self) -> Moment {
        let line = (!self.jobs.is_empty()).then_some(self.free_at);
        let timer = self.sender.poll_timeout().map(|(at, _)| at);
        let mail = self.mail.peek().map(|&Reverse((at, _))| at);
        let wake = self.wakes.peek().map(|&Reverse((at, _))| at);
        let next = [line, timer, mail, wake].into_iter().flatten().filter(|&at| at > self.now).min();
        let next = next.unwrap_or(self.now + Duration::from_millis(1));
        self.trouble.next(self.now).map_or(next, |at| at.min(next))
    }

    fn turn_sender(&mut self) {
        while self.fresh.len() < 2 && self.read < self.geometry.blocks() {
            let block = BlockIndex(self.read);
            let most = u64::from(self.geometry.symbols_max());
            let ahead =
                u64::from(self.sender.repair_ahead()) * u64::from(symbols_of(self.geometry, block)) / most;
            let entry = ManifestEntry { encoding: Encoding::Stored, hash: hash(block) };
            self.fresh.push_back(self.sender.handle_block(entry, ahead as u32));
            self.read += 1;
        }
        if self.read == self.geometry.blocks() && !std::mem::replace(&mut self.proven, true) {
            self.sender.handle_source_proven(self.now);
        }
        self.sender.handle_timeout(self.now);
        while let Some(event) = self.sender.poll_event() {
            match event {
                SenderEvent::RelayLost { served, fault, next } => {
                    self.note(format!(
                        "given up: {} of {:?}, {fault}, next {next:?}",
                        served.relay, served.segment
                    ));
                    self.outcome.faults.push((served.relay, fault));
                }
                SenderEvent::Relaying(served) => {
                    self.note(format!("relays: {} for {:?}", served.relay, served.segment));
                }
                _ => {}
            }
        }
        self.trace();
        let mut out = Vec::new();
        while let Some(transmit) = self.sender.poll_transmit(self.now, &mut out) {
            let bytes: Arc<[u8]> = out.as_slice().into();
            let at = if transmit.to.host().is_none() { self.free_at.max(self.now) } else { self.now };
            self.send(at, transmit.to, Load::Control(bytes));
        }
        self.send_symbols();
    }

    fn note(&mut self, what: String) {
        if !self.network.is_large() {
            self.outcome.trace.push(format!("{} {what}", self.now));
        }
    }

    fn trace(&mut self) {
        if self.network.is_large() || self.now.since(self.traced_at) < TRACE_GAP {
            return;
        }
        self.traced_at = self.now;
        let held = |row: glancecast_proto::sender::HostRow| {
            let mark = if row.state.is_done() {
                "+"
            } else if row.sidelined.is_some() {
                "-"
            } else {
                ""
            };
            format!("{}{mark}", row.blocks_held)
        };
        let held: Vec<String> = self.sender.rows().into_iter().map(held).collect();
        self.note(format!("{} kbit/s, holding {}", self.sender.rate() / 1_000, held.join(" ")));
    }

    fn send_symbols(&mut self) {
        if self.sender.holds_symbols_back() || self.free_at > self.now {
            return;
        }
        while self.jobs.len() < 4
            && let Some(job) = self.sender.poll_job(JobRoom { repair: true, source: !self.fresh.is_empty() })
        {
            if matches!(job, Job::Source { .. }) && self.fresh.front() == Some(&job.block()) {
                self.fresh.pop_front();
            }
            let (block, k) = (job.block(), symbols_of(self.geometry, job.block()));
            let first = SymbolHeader {
                tag: self.sender.config().session.tag(),
                sequence: glancecast_proto::ids::Sequence::default(),
                block,
                esi: job.esi(k, 0),
                encoded_len: self.geometry.block_len(block),
            };
            let to = self.sender.aim(job);
            self.jobs.push_back(Active { job, to, first, sent: 0, count: job.symbols(k) });
        }
        let Some(mut active) = self.jobs.pop_front() else { return };
        if self.outcome.plan.is_none() {
            (self.outcome.plan, self.outcome.began) =
                (Some(self.sender.plan()), self.now.since(Moment::default()));
        }
        let k = symbols_of(self.geometry, active.job.block());
        let source = if matches!(active.job, Job::Source { .. }) { k } else { 0 };
        // Source and repair symbols have ids that do not follow each other.
        let end = if active.sent < source { source } else { active.count };
        let in_time = self.sender.rate() * CHUNK_TIME.as_millis() as u64
            / (1_000 * frame_bits(self.geometry.datagram_bytes()));
        let chunk = self.network.chunk.min((in_time as u32).max(8));
        let count = (end - active.sent).min(chunk);
        let rate = self.sender.rate();
        self.outcome.rates = (self.outcome.rates.0.min(rate), rate);
        let to = self.sender.destination(active.to);
        let sequence = self.sender.take_sequences(to, count);
        let first = SymbolHeader { sequence, esi: active.job.esi(k, active.sent), ..active.first };
        let bits = count as u64 * frame_bits(self.geometry.datagram_bytes());
        self.free_at = self.free_at.max(self.now)
            + Duration::from_nanos(bits * 1_000_000_000 / self.sender.rate().max(1));
        self.note_copies(to, count);
        self.send(self.free_at, to, Load::Symbols { first, count, opens: true });
        active.sent += count;
        if active.sent == active.count {
            self.sender.handle_sent(self.now, active.job, sequence.plus(count - 1));
        } else {
            self.jobs.push_back(active);
        }
    }

    fn note_copies(&mut self, to: To, count: u32) {
        let paths = self.sender.paths();
        let set = match to {
            To::Everyone => paths.all(),
            To::Paths(set) => set,
            To::Host(_) => return,
        };
        for addr in paths.of(set) {
            *self.outcome.by_path.entry(addr).or_default() += u64::from(count);
            self.outcome.copies += u64::from(count);
        }
    }

    /// Sends a copy to each path.
    fn send(&mut self, at: Moment, to: To, load: Load) {
        let from = self.network.sender();
        let addrs: Vec<SocketAddr> = match to {
            To::Host(addr) => vec![addr],
            To::Everyone => self.sender.paths().of(self.sender.paths().all()).collect(),
            To::Paths(set) => self.sender.paths().of(set).collect(),
        };
        for addr in addrs {
            self.post_to(at, from, None, addr, &load);
        }
    }

    /// Posts a datagram from a segment, or from the sender, to an address: to the hosts of the same segment by multicast,
    /// or to one host by unicast.
    fn post_to(&mut self, at: Moment, from: SocketAddr, segment: Option<u32>, addr: SocketAddr, load: &Load) {
        if addr != GROUP.into() {
            let Some(&host) = self.by_address.get(&addr) else { return };
            let at = at + self.network.delay;
            return self.post(at, Letter::ToHost { host, from, by: Way::Unicast, load: load.clone() });
        }
        self.post(at + self.network.delay, Letter::ToGroup { segment, from, load: load.clone() });
    }

    fn post(&mut self, at: Moment, letter: Letter) {
        self.lettered += 1;
        self.mail.push(Reverse((at, self.lettered)));
        self.letters.insert(self.lettered, letter);
    }

    fn deliver(&mut self, letter: Letter) -> Result<(), String> {
        match letter {
            Letter::Up(from, bytes) => {
                let _ = self.sender.handle_datagram(self.now, from, &bytes);
            }
            Letter::Drain(host) => {
                let forwarded = self.nodes[host].drain(self.now);
                self.forward(host, forwarded)?;
            }
            Letter::ToHost { host, from, by, load } => self.deliver_to(host, from, by, load)?,
            Letter::ToGroup { segment, from, load } => {
                for at in 0..self.segments.get(&segment).map_or(0, Vec::len) {
                    let host = self.segments[&segment][at];
                    if self.nodes[host].addr != from {
                        self.deliver_to(host, from, Way::Group, load.clone())?;
                    }
                }
            }
        }
        Ok(())
    }

    fn deliver_to(&mut self, host: usize, from: SocketAddr, by: Way, load: Load) -> Result<(), String> {
        if !self.nodes[host].is_up() {
            return Ok(());
        }
        let uplink = if by == Way::Unicast { self.trouble.uplink_loss(host) } else { 0.0 };
        let load = match load {
            Load::Control(bytes) => {
                let is_lost = self.dice.chance(self.network.loss) || self.dice.chance(uplink);
                if is_lost { None } else { Some(Load::Control(bytes)) }
            }
            Load::Symbols { first, count, opens } => {
                let lost = self.losses.draw(&mut self.dice, count);
                let lost = lost + (f64::from(count) * uplink).round() as u32;
                let count = count.saturating_sub(lost);
                (count > 0).then_some(Load::Symbols { first, count, opens })
            }
        };
        let Some(load) = load else { return Ok(()) };
        self.oracle.note_arrival(self.now, host, by, &load);
        let broken = self.broken;
        let forwarded = self.nodes[host].take(self.now, from, by, &load, self.geometry, broken);
        self.forward(host, forwarded)?;
        self.turn_host(host);
        Ok(())
    }

    /// Passes on what a relay forwards.
    fn forward(&mut self, host: usize, forwarded: Vec<Forwarded>) -> Result<(), String> {
        for Forwarded { from, load, group, children, .. } in forwarded {
            self.oracle
                .check(self.now, host, from, &load, group, &children)
                .map_err(|rule| format!("{rule}: host {host} at {}", self.now))?;
            let (addr, segment) = (self.nodes[host].addr, self.nodes[host].segment);
            let load = match load {
                Load::Symbols { first, count, .. } if self.trouble.lies(host) => {
                    Load::Symbols { first, count, opens: false }
                }
                load => load,
            };
            for to in group.into_iter().chain(children) {
                self.post_to(self.now, addr, segment, to, &load);
            }
        }
        if let Some(at) = self.nodes[host].drains_at(self.now) {
            self.post(at, Letter::Drain(host));
        }
        Ok(())
    }

    fn turn_host(&mut self, host: usize) {
        let (now, proven) = (self.now, self.proven);
        if !self.nodes[host].is_up() {
            return;
        }
        let said = self.nodes[host].speak(now);
        let node = &mut self.nodes[host];
        node.note_over(proven);
        let wake = node.next_wake();
        if wake < node.wake {
            node.wake = wake;
            self.wakes.push(Reverse((wake, host)));
        }
        let addr = node.addr;
        for bytes in said {
            if !self.dice.chance(self.network.loss) {
                self.post(now + self.network.delay, Letter::Up(addr, bytes.into()));
            }
        }
    }
}

fn config(network: &Network, geometry: Geometry, now: Moment, session: u8) -> SenderConfig {
    let expected = (0..network.hosts()).map(name);
    SenderConfig {
        session: SessionId([session; 16]),
        key: GroupKey::new(KEY),
        signer: network.signed.then(signing_key),
        agreement: AgreementKey::from_seed(&[session; 32].into()),
        geometry,
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: network.sender(),
        reach: Reach {
            group: network.group.then_some(GROUP.into()),
            hosts: (0..network.hosts()).map(|number| (name(number), network.address(number))).collect(),
            line: network.line,
            relays: true,
            ..Reach::default()
        },
        expected: Expected::Named(expected.collect()),
        known: KnownHosts::default(),
        timeout: network.longest(),
        join_timeout: None,
        started: WallClock(WALL.0 + now.micros() / 1000),
        pace: match network.rate {
            None => Pace::Auto { max: Rate::from_bits(network.line).expect("a rate") },
            Some(rate) => Pace::Fixed(Rate::from_bits(rate).expect("a rate")),
        },
        header_bytes: HEADER_BYTES,
        one_way: None,
        base: None,
        data_bytes: None,
    }
}

pub(super) fn name(number: u32) -> HostName {
    HostName::new(&format!("compute-{number}")).expect("plain")
}

pub(super) fn symbols_of(geometry: Geometry, block: BlockIndex) -> u32 {
    geometry.shape(geometry.block_len(block)).source_symbols()
}

pub(super) fn frame_bits(bytes: usize) -> u64 {
    8 * (bytes as u64 + HEADER_BYTES)
}

/// Whether a datagram is a lease.
pub(super) fn is_lease(load: &Load) -> bool {
    matches!(load, Load::Control(bytes) if Kind::peek(bytes) == Some(Kind::Route))
}

pub(super) const NEVER: Moment = Moment::from_micros(u64::MAX);
pub(super) const GROUP: ([u8; 4], u16) = ([239, 255, 71, 67], 7167);
/// The headers of Ethernet, IPv4 and UDP.
const HEADER_BYTES: u64 = 42;
const SYMBOL_SIZE: u16 = 1432;
const TRACE_GAP: Duration = Duration::from_millis(250);
/// Symbols that are one event take no longer than this, or rounds of reports would show nothing.
const CHUNK_TIME: Duration = Duration::from_millis(20);
