//! What the send loop of a push spends on its hosts when all of them finish within a second.
//!
//! The real sender takes in a report and a done of each host. Each call is timed on this machine, in several equal runs
//! of which the shortest time of each call counts: a thread that has lost its core is no cost of the machine. A model of
//! the send loop then adds up these times: it takes in what has come, up to 64 datagrams in a row as `glancecast` does,
//! and sends a batch if one is due. The kernel's share is not in it: the system calls that receive, and those that send.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use glancecast_proto::agree::AgreementKey;
use glancecast_proto::echo::Echo;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, ReceiverId, Sequence, SessionId};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::known::KnownHosts;
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::{Expected, JobRoom, Pace, Reach, Sender, SenderConfig, To};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::Moment;
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{
    CommandOutcome, DeficitRun, Discard, DiskFormat, Done, Encoding, Hello, Kind, ManifestEntry, Outcome,
    Pin, Receipt, Report, SYMBOL_OVERHEAD, SymbolHeader, Totals, Up,
};

use super::dice::Dice;
use super::host::{KEY, SENDER, WALL};
use super::identity::host_key;
use super::overhear;

/// The measurements of one push at its end.
#[derive(Clone, Debug, Default)]
pub struct Finish {
    /// The number of hosts.
    pub hosts: u32,
    /// The rate in bits per second.
    pub rate: u64,
    /// The time of one GSO batch on the line.
    pub batch: Duration,
    /// The time of sealing one.
    pub sealing: Duration,
    /// The longest call of all.
    pub longest: Duration,
    /// The median time of taking in a hello, a report and a done.
    pub hello: Duration,
    /// See `hello`.
    pub report: Duration,
    /// See `hello`.
    pub done: Duration,
    /// How much later than due a batch left, at most and in 99 of 100 cases.
    pub late: Duration,
    /// See `late`.
    pub late_99: Duration,
    /// The share of a core that the datagrams of hosts took in the busy second.
    pub share: f64,
    /// Dones that were refused as beyond the budget for signatures, and came again.
    pub refused: u32,
}

impl fmt::Display for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        write!(
            f,
            "{} hosts at {} Gbit/s (a batch: {:.0} us, {:.0} to seal it): a host costs {:.1} us (hello {:.1}, report \
             {:.1}, done {:.1}), a call {:.0} at most; late by {:.0} us at most, {:.0} in 99 of 100; {:.0} % of a core; \
             {} dones refused",
            self.hosts,
            self.rate / 1_000_000_000,
            us(self.batch),
            us(self.sealing),
            us(self.hello + self.report + self.done),
            us(self.hello),
            us(self.report),
            us(self.done),
            us(self.longest),
            us(self.late),
            us(self.late_99),
            100.0 * self.share,
            self.refused
        )
    }
}

/// Measures the end of a push to `hosts` hosts that finish within a second of each other.
pub fn finish(hosts: u32, rate: u64) -> Finish {
    let mut runs = (0..RUNS).map(|_| {
        let mut push = Push::new(hosts, rate);
        let hellos = push.join();
        push.send_all();
        let sealing = push.batch_cost();
        let (costs, refused) = push.end();
        Run { hellos, sealing, costs, refused, batch: push.batch }
    });
    let first = runs.next().expect("there are some");
    let run = runs.fold(first, Run::shortest);
    run.result(hosts, rate)
}

/// What one run cost.
struct Run {
    hellos: Vec<Duration>,
    /// Sealing one batch.
    sealing: Duration,
    costs: Vec<Cost>,
    refused: u32,
    batch: Duration,
}

/// What one datagram of a host cost.
#[derive(Clone, Copy)]
struct Cost {
    /// When it came, in the time since the first one.
    at: Duration,
    kind: Kind,
    /// Taking it in.
    take: Duration,
    /// Saying what was due after it.
    say: Duration,
}

impl Run {
    fn shortest(self, other: Self) -> Self {
        assert_eq!(self.costs.len(), other.costs.len(), "all runs are the same");
        let shorter = |a: Cost, b: Cost| Cost { take: a.take.min(b.take), say: a.say.min(b.say), ..a };
        Self {
            hellos: self.hellos.iter().zip(other.hellos).map(|(&a, b)| a.min(b)).collect(),
            sealing: self.sealing.min(other.sealing),
            costs: self.costs.iter().zip(other.costs).map(|(&a, b)| shorter(a, b)).collect(),
            ..self
        }
    }

    fn result(mut self, hosts: u32, rate: u64) -> Finish {
        let of = |kind: Kind| -> Vec<Duration> {
            self.costs.iter().filter(|cost| cost.kind == kind).map(|cost| cost.take).collect()
        };
        let busy: Duration = self.costs.iter().map(|cost| cost.take + cost.say).sum();
        let last = self.costs.last().map_or(Duration::ZERO, |cost| cost.at).max(Duration::from_secs(1));
        let longest = self.costs.iter().map(|cost| cost.take.max(cost.say)).max();
        let mut late = self.lateness();
        late.sort_unstable();
        Finish {
            hosts,
            rate,
            batch: self.batch,
            sealing: self.sealing,
            report: median(&mut of(Kind::Report)),
            done: median(&mut of(Kind::Done)),
            hello: median(&mut self.hellos),
            longest: longest.unwrap_or_default(),
            late: late.last().copied().unwrap_or_default(),
            late_99: late[late.len() * 99 / 100],
            share: busy.as_secs_f64() / last.as_secs_f64(),
            refused: self.refused,
        }
    }

    /// Returns how late each batch leaves.
    fn lateness(&self) -> Vec<Duration> {
        let (mut now, mut due, mut late) = (Duration::ZERO, Duration::ZERO, Vec::new());
        let mut costs = self.costs.iter().peekable();
        while costs.peek().is_some() {
            for _ in 0..IN_A_ROW {
                let Some(cost) = costs.next_if(|cost| cost.at <= now) else { break };
                now += cost.take + cost.say;
            }
            if now >= due {
                late.push(now - due);
                now += self.sealing;
                due += self.batch;
            } else {
                now = costs.peek().map_or(due, |cost| cost.at.min(due)).max(now);
            }
        }
        late
    }
}

struct Push {
    sender: Sender,
    nodes: Vec<Node>,
    now: Moment,
    dice: Dice,
    /// The time of one batch on the line.
    batch: Duration,
}

/// A host, as far as the sender can tell.
struct Node {
    name: HostName,
    key: SigningKey,
    id: ReceiverId,
    cipher: Cipher,
    number: u64,
}

impl Push {
    fn new(hosts: u32, rate: u64) -> Self {
        let geometry =
            Geometry::new(u64::from(BLOCKS) << BLOCK_LOG2, BLOCK_LOG2, SYMBOL_SIZE).expect("in range");
        let config = SenderConfig {
            session: SESSION,
            key: GroupKey::new(KEY),
            geometry,
            name: ObjectName::new("image").expect("plain"),
            image_id: None,
            format: DiskFormat::Raw,
            pin: Pin::None,
            reply_to: SENDER,
            reach: Reach::default(),
            expected: Expected::Count(hosts),
            timeout: Duration::from_secs(3_600),
            join_timeout: None,
            started: WALL,
            pace: Pace::Fixed(Rate::from_bits(rate).expect("a rate")),
            header_bytes: HEADER_BYTES,
            one_way: None,
            base: None,
            signer: None,
            known: KnownHosts::default(),
            agreement: overhear::sender_agreement(),
            data_bytes: None,
        };
        let frame = geometry.datagram_bytes() as u64 + HEADER_BYTES;
        let batch = Duration::from_nanos(BATCH_DATAGRAMS * frame * 8 * 1_000_000_000 / rate);
        Self {
            sender: Sender::new(Moment::default(), config),
            nodes: (0..hosts).map(Node::new).collect(),
            now: Moment::default(),
            dice: Dice::new(u64::from(hosts)),
            batch,
        }
    }

    /// Has all hosts say hello, at the rate that the sender asks for.
    fn join(&mut self) -> Vec<Duration> {
        let mut times = Vec::new();
        for host in 0..self.nodes.len() {
            self.now = self.now + Duration::from_micros(250);
            let hello = self.nodes[host].hello();
            times.push(self.take(host, &hello).1);
            self.drain();
        }
        assert_eq!(self.sender.tally().heard as usize, self.nodes.len(), "all of them take part");
        times
    }

    /// Reads and sends the whole object.
    fn send_all(&mut self) {
        for block in 0..BLOCKS {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&block.to_be_bytes());
            self.sender.handle_block(ManifestEntry { encoding: Encoding::Stored, hash: BlockHash(hash) }, 0);
        }
        self.sender.handle_source_proven(self.now);
        let room = JobRoom { repair: true, source: true };
        for _ in 0..BLOCKS {
            while self.sender.holds_symbols_back() {
                self.now = self.now + Duration::from_millis(1);
                self.drain();
            }
            let Some(job) = self.sender.poll_job(room) else { break };
            let last = self.sender.take_sequences(To::Everyone, job.symbols(SYMBOLS));
            self.sender.handle_sent(self.now, job, last);
            self.drain();
        }
        // The polls of the tail.
        for _ in 0..5_000 {
            self.now = self.now + Duration::from_millis(1);
            self.drain();
        }
    }

    /// Has each host report once and say that it is done, at random times within a second. Returns what each datagram
    /// cost, and how many dones were refused as beyond the budget for signatures, and came again.
    fn end(&mut self) -> (Vec<Cost>, u32) {
        let began = self.now;
        let mut mail: BTreeMap<(Moment, u64), (usize, Kind)> = BTreeMap::new();
        for host in 0..self.nodes.len() {
            let at = began + self.dice.time(Duration::from_secs(1));
            mail.insert((at, 2 * host as u64), (host, Kind::Report));
            mail.insert((at + Duration::from_micros(300), 2 * host as u64 + 1), (host, Kind::Done));
        }
        let (mut costs, mut refused) = (Vec::new(), 0);
        while let Some(((at, order), (host, kind))) = mail.pop_first() {
            self.now = at;
            let datagram = self.last_word(host, kind);
            let (result, take) = self.take(host, &datagram);
            if result == Err(Discard::OverBudget) && kind == Kind::Done {
                refused += 1;
                mail.insert((at + AGAIN_AFTER, order), (host, kind));
            }
            let start = Instant::now();
            self.drain();
            costs.push(Cost { at: at.since(began), kind, take, say: start.elapsed() });
        }
        assert_eq!(self.sender.tally().done as usize, self.nodes.len(), "all of them are done");
        (costs, refused)
    }

    fn last_word(&mut self, host: usize, kind: Kind) -> Vec<u8> {
        let root = self.sender.root().expect("read");
        let node = &mut self.nodes[host];
        if kind == Kind::Done { node.done(root) } else { node.report() }
    }

    /// Has the sender take in a datagram; returns how long that took on this machine.
    fn take(&mut self, host: usize, datagram: &[u8]) -> (Result<(), Discard>, Duration) {
        let start = Instant::now();
        let result = self.sender.handle_datagram(self.now, address(host), datagram);
        (result, start.elapsed())
    }

    /// Has the sender say what is due.
    fn drain(&mut self) {
        self.sender.handle_timeout(self.now);
        while self.sender.poll_event().is_some() {}
        let mut out = Vec::new();
        while self.sender.poll_transmit(self.now, &mut out).is_some() {}
    }

    /// The time that sealing one batch takes on this machine.
    fn batch_cost(&mut self) -> Duration {
        let symbol = vec![7; usize::from(SYMBOL_SIZE)];
        let mut out = vec![0; symbol.len() + SYMBOL_OVERHEAD];
        let mut times: Vec<Duration> = (0..50)
            .map(|_| {
                let first = self.sender.take_sequences(To::Everyone, BATCH_DATAGRAMS as u32);
                let start = Instant::now();
                for n in 0..BATCH_DATAGRAMS as u32 {
                    let header = SymbolHeader {
                        tag: SESSION.tag(),
                        sequence: first.plus(n),
                        block: BlockIndex(0),
                        esi: glancecast_fec::Esi::new(n).expect("small"),
                        encoded_len: 1 << BLOCK_LOG2,
                    };
                    header.seal(self.sender.cipher(), &symbol, &mut out);
                }
                start.elapsed()
            })
            .collect();
        median(&mut times)
    }
}

impl Node {
    fn new(number: u32) -> Self {
        let id = ReceiverId(std::array::from_fn(|i| (number >> (8 * (i % 4))) as u8));
        let agreement = AgreementKey::derive(&overhear::start_secret(), SESSION, id);
        let shared = agreement.agree(&overhear::sender_agreement().public()).expect("a sender's key");
        let name = HostName::new(&format!("compute-{number}")).expect("plain");
        Self {
            key: host_key(name.as_str()),
            name,
            id,
            cipher: Cipher::private_up(&GroupKey::new(KEY), SESSION, id, &shared),
            number: 0,
        }
    }

    fn hello(&mut self) -> Vec<u8> {
        let hello = Hello {
            agreement: AgreementKey::derive(&overhear::start_secret(), SESSION, self.id).public(),
            name: self.name.clone(),
            software: "simulated".into(),
            busy: None,
            can_relay: false,
            mtu: None,
            via: None,
            kept: Vec::new(),
        };
        let (group, sequence, mut out) = (GroupKey::new(KEY), self.next(), Vec::new());
        let cipher = Cipher::upward(&group, SESSION, self.id);
        hello.seal(&cipher, self.key.within(group.scope(SESSION)), self.id, sequence, &mut out);
        out
    }

    /// A last report, which asks for a few blocks.
    fn report(&mut self) -> Vec<u8> {
        let deficits = (0..8).map(|run| DeficitRun { first: BlockIndex(run * 100), blocks: 2, symbols: 3 });
        let report = Report {
            round: 1,
            highest: Sequence::default(),
            blocks_held: 0,
            covered: BLOCKS,
            deficits: deficits.collect(),
            gaps: Vec::new(),
            kept: Vec::new(),
            suspects: Vec::new(),
            echo: Echo::default(),
            buffers: 64,
            free: 64,
            via: None,
            totals: Totals::default(),
        };
        self.seal(&Up::Report(report))
    }

    fn done(&mut self, root: glancecast_proto::integrity::Root) -> Vec<u8> {
        let (scope, outcome) = (GroupKey::new(KEY).scope(SESSION), Outcome::Published(root));
        let receipt = Receipt::sign(&self.key, scope, self.name.clone(), WALL, outcome);
        let command = CommandOutcome::None;
        self.seal(&Up::Done(Done { root, existing: false, totals: Totals::default(), receipt, command }))
    }

    fn seal(&mut self, up: &Up) -> Vec<u8> {
        let (sequence, mut out) = (self.next(), Vec::new());
        up.seal(&self.cipher, SESSION.tag(), self.id, sequence, &mut out);
        out
    }

    fn next(&mut self) -> Sequence {
        self.number += 1;
        Sequence::new(self.number).expect("small")
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn address(host: usize) -> SocketAddr {
    ([10, (host >> 16) as u8 + 1, (host >> 8) as u8, host as u8], 40_000).into()
}

const SESSION: SessionId = SessionId([4; 16]);
const BLOCKS: u32 = 4_096;
const BLOCK_LOG2: u8 = 20;
const SYMBOL_SIZE: u16 = 1432;
/// Symbols of a block.
const SYMBOLS: u32 = 733;
/// The headers of Ethernet, IPv4 and UDP.
const HEADER_BYTES: u64 = 42;
/// Datagrams of this length in one GSO batch.
const BATCH_DATAGRAMS: u64 = 44;
/// Datagrams that the send loop takes in between two batches at most: four receive calls of 16 messages.
const IN_A_ROW: u32 = 64;
/// Equal runs, of which the shortest time of each call counts.
const RUNS: u32 = 3;
/// When a host says again what was not acknowledged.
const AGAIN_AFTER: Duration = Duration::from_millis(140);
