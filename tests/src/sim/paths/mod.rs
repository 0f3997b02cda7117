//! Pushes over paths of any kind, with the real machines and symbols without bytes: round trips, reordering, shared
//! bottlenecks, stores that are slower than the line, hosts that come late.
//!
//! A chunk of symbols is one event, whose loss each host draws at once. Everything else is an event of its own.
//!
//! ```text
//! Sender --poll_job--> jobs, in turn --> chunk --> Fabric: bottleneck, delay, loss --> Member: Receiver, Store
//!    ^                                                                                   |
//!    +----------------------------- delay, loss <-- poll_transmit -----------------------+
//! ```

mod fabric;
mod member;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, ObjectName, Sequence, SessionId};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::known::KnownHosts;
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{
    Expected, Job, JobRoom, Pace, Reach, Sender, SenderConfig, SenderEvent, To, Verdict,
};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{Discard, DiskFormat, Encoding, ManifestEntry, Pin, SymbolHeader};

use super::dice::Dice;
use super::host::{KEY, SENDER, WALL};
use super::overhear;
use fabric::Fabric;
use member::{Member, Stored};

/// One push and the path that it takes. Rates are in bits per second of whole frames.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Receivers.
    pub hosts: u32,
    /// Length of the object in bytes.
    pub object_bytes: u64,
    /// What the sender's line carries: the fixed rate, or the cap of the adaptive one.
    pub line: u64,
    /// Whether the rate adapts.
    pub auto: bool,
    /// Time of a round trip, half of it each way.
    pub round_trip: Duration,
    /// The most by which a chunk is delayed on top of that, drawn for each chunk and host.
    pub jitter: Duration,
    /// The same for what hosts send.
    pub up_jitter: Duration,
    /// The share of datagrams that each host loses.
    pub loss: f64,
    /// The share of what hosts send that is lost.
    pub feedback_loss: f64,
    /// The number of hosts that lose the same datagrams; 0 if each loses on its own.
    pub rack: u32,
    /// The number of datagrams that are lost in a row.
    pub burst: u32,
    /// A bottleneck that all datagrams pass, and the time that its full queue takes.
    pub bottleneck: Option<(u64, Duration)>,
    /// The rate at which a host writes; `None` is at once.
    pub store: Option<u64>,
    /// Hosts that write at a rate of their own.
    pub slow: Option<(u32, u64)>,
    /// The share of hosts that start late, and when: a share of the object's time on the line.
    pub late: Option<(f64, f64)>,
    /// Chooses the losses and delays.
    pub seed: u64,
}

impl Default for Path {
    /// Returns a push of 512 MiB to one host over 1 Gbit/s, at an adaptive rate, with nothing in its way.
    fn default() -> Self {
        Self {
            hosts: 1,
            object_bytes: 512 << 20,
            line: 1_000_000_000,
            auto: true,
            round_trip: Duration::from_micros(200),
            jitter: Duration::ZERO,
            up_jitter: Duration::ZERO,
            loss: 0.0,
            feedback_loss: 0.0,
            rack: 0,
            burst: 1,
            bottleneck: None,
            store: None,
            slow: None,
            late: None,
            seed: 1,
        }
    }
}

/// What a push over a path took.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The verdict of the push.
    pub verdict: Verdict,
    /// Frames sent, relative to those of the object alone.
    pub sent: f64,
    /// The time to the verdict, relative to that of the object alone on the narrowest part: line, bottleneck or store.
    pub time: f64,
    /// The same time.
    pub seconds: f64,
    /// When the first, the median and the last host were done, relative to the same time.
    pub done: [f64; 3],
    /// Hosts that were done.
    pub done_count: u32,
    /// Datagrams from hosts in the busiest second.
    pub feedback_peak: u32,
    /// Bits from hosts, as a share of the bits to them.
    pub feedback_share: f64,
    /// The lowest and the highest rate.
    pub rates: [u64; 2],
    /// Hosts that were side-lined, and hosts that were called silent.
    pub blamed: [u32; 2],
}

/// Simulates one push. With `trace` it prints the rate every 25 ms.
pub fn push(path: Path, trace: bool) -> Outcome {
    Push::new(path, trace).run()
}

struct Push {
    path: Path,
    trace: Option<Moment>,
    now: Moment,
    sender: Sender,
    members: Vec<Member>,
    by_address: BTreeMap<SocketAddr, usize>,
    geometry: Geometry,
    fabric: Fabric,
    /// Blocks that were read and not begun.
    fresh: VecDeque<BlockIndex>,
    read: u32,
    proven: bool,
    /// When the line is free, and the nanoseconds that do not fit into its time.
    free_at: Moment,
    residual: u64,
    /// Jobs that are being sent, a chunk of each in turn.
    jobs: VecDeque<Active>,
    /// Arrivals by time; ties in the order of sending.
    mail: BinaryHeap<Reverse<(Moment, u64)>>,
    letters: BTreeMap<u64, Letter>,
    lettered: u64,
    /// When hosts want their next turn, or earlier.
    wakes: BinaryHeap<Reverse<(Moment, usize)>>,
    sent_bits: u64,
    feedback: Feedback,
    done: Vec<Moment>,
    rates: [u64; 2],
    blamed: [u32; 2],
    dice: Dice,
}

/// A job of which `at` of `count` symbols were sent; `left` is when the last one leaves, and its number.
struct Active {
    job: Job,
    at: u32,
    count: u32,
    source_symbols: u32,
    left: Option<(Moment, Sequence)>,
}

enum Letter {
    Symbols(Option<usize>, SymbolHeader, u32),
    Down(Option<usize>, Vec<u8>),
    Up(usize, Vec<u8>),
    Stored(usize, Stored),
}

/// The datagrams that hosts send.
#[derive(Default)]
struct Feedback {
    second: VecDeque<Moment>,
    peak: usize,
    bits: u64,
}

impl Feedback {
    fn note(&mut self, now: Moment, bytes: usize) {
        self.bits += 8 * (bytes as u64 + HEADER_BYTES);
        self.second.push_back(now);
        while self.second.front().is_some_and(|&at| now.since(at) >= Duration::from_secs(1)) {
            self.second.pop_front();
        }
        self.peak = self.peak.max(self.second.len());
    }
}

impl Push {
    fn new(path: Path, trace: bool) -> Self {
        let geometry = Geometry::new(path.object_bytes, BLOCK_LOG2, SYMBOL_SIZE).expect("in range");
        let line_time = line_time(geometry, path.line);
        let late_at =
            path.late.map_or(Moment::default(), |(_, at)| Moment::default() + line_time.mul_f64(at));
        let late = path.late.map_or(0, |(share, _)| (share * f64::from(path.hosts)) as u32);
        let slow_from = path.hosts - path.slow.map_or(0, |(count, _)| count.min(path.hosts));
        let member = |number: u32| {
            let store = if number >= slow_from { path.slow.map(|(_, rate)| rate) } else { path.store };
            let starts = if number < late { late_at } else { Moment::default() };
            Member::new(number, store, starts)
        };
        let members: Vec<Member> = (0..path.hosts).map(member).collect();
        Self {
            trace: trace.then_some(Moment::default()),
            now: Moment::default(),
            sender: Sender::new(Moment::default(), config(path, geometry, line_time)),
            by_address: (0..members.len()).map(|host| (address(host), host)).collect(),
            members,
            geometry,
            fabric: Fabric::new(path),
            fresh: VecDeque::new(),
            read: 0,
            proven: false,
            free_at: Moment::default(),
            residual: 0,
            jobs: VecDeque::new(),
            mail: BinaryHeap::new(),
            letters: BTreeMap::new(),
            lettered: 0,
            wakes: BinaryHeap::new(),
            sent_bits: 0,
            feedback: Feedback::default(),
            done: Vec::new(),
            rates: [u64::MAX, 0],
            blamed: [0, 0],
            dice: Dice::new(path.seed),
            path,
        }
    }

    fn run(mut self) -> Outcome {
        while !self.sender.is_finished() {
            self.turn_sender();
            self.now = self.next_time();
            while self.mail.peek().is_some_and(|&Reverse((at, _))| at <= self.now) {
                let Reverse((_, letter)) = self.mail.pop().expect("just seen");
                let letter = self.letters.remove(&letter).expect("put there with it");
                self.deliver(letter);
            }
            while self.wakes.peek().is_some_and(|&Reverse((at, _))| at <= self.now) {
                let Reverse((at, host)) = self.wakes.pop().expect("just seen");
                if self.members[host].wake == at {
                    self.members[host].wake = NEVER;
                    self.turn_host(host);
                }
            }
        }
        self.outcome()
    }

    fn outcome(mut self) -> Outcome {
        let line = line_time(self.geometry, self.narrowest()).as_secs_f64();
        let seconds = self.sender.time().expect("it is over").as_secs_f64();
        self.done.sort_unstable();
        let done_at = |share: f64| {
            let at = self.done.get(((self.done.len().max(1) - 1) as f64 * share) as usize);
            at.map_or(f64::INFINITY, |at| at.micros() as f64 / 1e6 / line)
        };
        let object_bits = datagrams(self.geometry) * frame_bits(self.geometry.datagram_bytes());
        Outcome {
            verdict: self.sender.verdict().expect("it is over").clone(),
            sent: self.sent_bits as f64 / object_bits as f64,
            time: seconds / line,
            seconds,
            done: [0.0, 0.5, 1.0].map(done_at),
            done_count: self.done.len() as u32,
            feedback_peak: self.feedback.peak as u32,
            feedback_share: self.feedback.bits as f64 / self.sent_bits as f64,
            rates: self.rates,
            blamed: self.blamed,
        }
    }

    /// The rate of the narrowest part of the path, in frames: a store writes only what the frames carry.
    fn narrowest(&self) -> u64 {
        let carried = self.geometry.object_bytes() as f64 * 8.0;
        let frames = (datagrams(self.geometry) * frame_bits(self.geometry.datagram_bytes())) as f64;
        let store = self.path.store.map(|rate| (rate as f64 * frames / carried) as u64);
        let bottleneck = self.path.bottleneck.map(|(rate, _)| rate);
        [Some(self.path.line), store, bottleneck].into_iter().flatten().min().expect("there is a line")
    }

    fn next_time(&self) -> Moment {
        let timer = self.sender.poll_timeout().map(|(at, _)| at);
        let mail = self.mail.peek().map(|&Reverse((at, _))| at);
        let wake = self.wakes.peek().map(|&Reverse((at, _))| at);
        let left = self.jobs.iter().filter_map(|job| job.left.map(|(at, _)| at)).min();
        let next = [Some(self.free_at), timer, mail, wake, left].into_iter().flatten();
        next.filter(|&at| at > self.now).min().unwrap_or(self.now + Duration::from_millis(1))
    }

    /// Reads the source, sends what is due, and sends the next chunk when the line is free.
    fn turn_sender(&mut self) {
        self.read_source();
        self.finish_jobs();
        self.sender.handle_timeout(self.now);
        self.note_events();
        let mut out = Vec::new();
        while let Some(transmit) = self.sender.poll_transmit(self.now, &mut out) {
            let at = self.occupy(1, out.len());
            let to = transmit.to.host().map(|to| self.by_address[&to]);
            // Datagrams to the group keep the order of their numbers; those to one host wait for nothing.
            let at = if to.is_none() { at } else { self.now };
            let (delay, lost) = self.fabric.pass(at, 1, out.len());
            if lost == 0 {
                self.post_down(at + delay, to, |to| Letter::Down(to, out.clone()));
            }
        }
        self.note_rate();
        if self.free_at <= self.now + SLACK {
            while self.jobs.len() < INTERLEAVED && self.begin_job() {}
            self.send_chunk();
        }
    }

    fn read_source(&mut self) {
        while self.fresh.len() < 2 && self.read < self.geometry.blocks() {
            let block = BlockIndex(self.read);
            let most = u64::from(self.geometry.symbols_max());
            let ahead = u64::from(self.sender.repair_ahead()) * u64::from(self.symbols(block)) / most;
            let entry = ManifestEntry { encoding: Encoding::Stored, hash: hash(block) };
            self.fresh.push_back(self.sender.handle_block(entry, ahead as u32));
            self.read += 1;
        }
        if self.read == self.geometry.blocks() && !std::mem::replace(&mut self.proven, true) {
            self.sender.handle_source_proven(self.now);
        }
    }

    fn finish_jobs(&mut self) {
        let now = self.now;
        let (gone, jobs): (Vec<Active>, Vec<Active>) = std::mem::take(&mut self.jobs)
            .into_iter()
            .partition(|job| job.left.is_some_and(|(at, _)| at <= now));
        self.jobs = jobs.into();
        for job in gone {
            let (_, last) = job.left.expect("it has left");
            self.sender.handle_sent(now, job.job, last);
        }
    }

    fn note_events(&mut self) {
        while let Some(event) = self.sender.poll_event() {
            match event {
                SenderEvent::Done(_) => self.done.push(self.now),
                SenderEvent::Sidelined(..) => self.blamed[0] += 1,
                SenderEvent::Silent(_) => self.blamed[1] += 1,
                _ => {}
            }
        }
    }

    fn note_rate(&mut self) {
        let rate = self.sender.rate();
        self.rates = [self.rates[0].min(rate), self.rates[1].max(rate)];
        if let Some(at) = self.trace.as_mut().filter(|at| **at <= self.now) {
            *at = self.now + TRACE_GAP;
            println!(
                "{:8.3} s  {:8.1} Mbit/s  usual loss {:.4}  ahead {}  sent {}",
                self.now.micros() as f64 / 1e6,
                rate as f64 / 1e6,
                self.sender.usual_loss(),
                self.sender.repair_ahead(),
                self.sender.blocks_sent(),
            );
        }
    }

    fn begin_job(&mut self) -> bool {
        let room = JobRoom { repair: true, source: !self.fresh.is_empty() };
        let Some(job) = self.sender.poll_job(room) else { return false };
        let block = job.block();
        if matches!(job, Job::Source { .. }) && self.fresh.front() == Some(&block) {
            self.fresh.pop_front();
        }
        let source_symbols = self.symbols(block);
        let count = job.symbols(source_symbols);
        self.jobs.push_back(Active { job, at: 0, count, source_symbols, left: None });
        true
    }

    /// Sends the next symbols of the next job.
    fn send_chunk(&mut self) {
        let Some(at) = self.jobs.iter().position(|job| job.left.is_none()) else { return };
        let mut active = self.jobs.remove(at).expect("just found");
        // Source symbols first, then repair symbols, which have ids of their own.
        let is_source = matches!(active.job, Job::Source { .. }) && active.at < active.source_symbols;
        let end = if is_source { active.source_symbols } else { active.count };
        let count = self.chunk().min(end - active.at);
        let block = active.job.block();
        let header = SymbolHeader {
            tag: self.sender.config().session.tag(),
            sequence: self.sender.take_sequences(To::Everyone, count),
            block,
            esi: active.job.esi(active.source_symbols, active.at),
            encoded_len: self.geometry.block_len(block),
        };
        let bytes = self.geometry.datagram_bytes();
        let sent = self.occupy(count, bytes);
        let to = self.sender.destination(To::Everyone).host().map(|to| self.by_address[&to]);
        let (delay, lost) = self.fabric.pass(sent, count, bytes);
        if count > lost {
            self.post_down(sent + delay, to, |to| Letter::Symbols(to, header, count - lost));
        }
        active.at += count;
        if active.at == active.count {
            active.left = Some((sent, header.sequence.plus(count - 1)));
        }
        self.jobs.push_back(active);
    }

    /// Datagrams that are one event: about 0.1 ms of the line, so that a chunk is far shorter than any queue. Where delays
    /// vary, each datagram is an event, so that any may overtake any other.
    fn chunk(&self) -> u32 {
        if !self.path.jitter.is_zero() {
            return 1;
        }
        let bits = frame_bits(self.geometry.datagram_bytes());
        (self.path.line / (10_000 * bits)).clamp(1, 256) as u32
    }

    /// Occupies the line with `count` datagrams; returns when the last one has left.
    fn occupy(&mut self, count: u32, bytes: usize) -> Moment {
        let bits = frame_bits(bytes) * u64::from(count);
        self.sent_bits += bits;
        let nanos = u128::from(bits) * 1_000_000_000 / u128::from(self.sender.rate().max(1));
        let nanos = nanos as u64 + self.residual;
        self.residual = nanos % 1_000;
        self.free_at = self.free_at.max(self.now) + Duration::from_micros(nanos / 1_000);
        self.free_at
    }

    /// Posts a letter to each hearer; where delays vary, each has a delay of its own.
    fn post_down(&mut self, at: Moment, to: Option<usize>, letter: impl Fn(Option<usize>) -> Letter) {
        let at = at + self.path.round_trip / 2;
        if self.path.jitter.is_zero() {
            return self.post(at, letter(to));
        }
        for host in self.hearers(to) {
            let jitter = self.path.jitter.mul_f64(self.dice.unit());
            self.post(at + jitter, letter(Some(host)));
        }
    }

    fn deliver(&mut self, letter: Letter) {
        match letter {
            Letter::Up(host, bytes) => {
                let result = self.sender.handle_datagram(self.now, address(host), &bytes);
                assert_ne!(result, Err(Discard::OverBudget), "all hosts are honest");
            }
            Letter::Down(to, bytes) => self.deliver_down(to, &bytes),
            Letter::Symbols(to, first, count) => self.deliver_symbols(to, &first, count),
            Letter::Stored(host, stored) => {
                self.members[host].take_stored(self.now, stored);
                self.turn_host(host);
            }
        }
    }

    fn deliver_down(&mut self, to: Option<usize>, bytes: &[u8]) {
        let wall = WallClock(WALL.0 + self.now.micros() / 1000);
        self.fabric.draw(1);
        for host in self.hearers(to) {
            let lost = self.fabric.lost(host, 1) > 0;
            if !lost && self.members[host].is_up(self.now) {
                let _ = self.members[host].machine.handle_datagram(self.now, wall, SENDER, bytes);
                self.turn_host(host);
            }
        }
    }

    fn deliver_symbols(&mut self, to: Option<usize>, first: &SymbolHeader, count: u32) {
        self.fabric.draw(count);
        let bytes = self.geometry.datagram_bytes();
        for host in self.hearers(to) {
            let lost = self.fabric.lost(host, count);
            let member = &mut self.members[host];
            if member.is_up(self.now) {
                member.machine.accept_run(self.now, first, count - lost, bytes);
                // Symbols make a host send something only when they complete its object.
                if self.work(host) {
                    self.turn_host(host);
                }
            }
        }
    }

    fn hearers(&self, to: Option<usize>) -> std::ops::Range<usize> {
        to.map_or(0..self.members.len(), |host| host..host + 1)
    }

    /// Performs a host's pending work; returns whether there was any besides blocks.
    fn work(&mut self, host: usize) -> bool {
        let (more, stored) = self.members[host].work(self.now, self.geometry);
        for (at, stored) in stored {
            self.post(at, Letter::Stored(host, stored));
        }
        more
    }

    fn turn_host(&mut self, host: usize) {
        let now = self.now;
        self.members[host].machine.handle_timeout(now);
        self.work(host);
        let member = &mut self.members[host];
        let (said, wake) = member.speak(now, self.proven);
        if wake < member.wake {
            member.wake = wake;
            self.wakes.push(Reverse((wake, host)));
        }
        for bytes in said {
            self.feedback.note(now, bytes.len());
            if !self.dice.chance(self.path.feedback_loss) {
                let jitter = self.path.up_jitter.mul_f64(self.dice.unit());
                self.post(now + self.path.round_trip / 2 + jitter, Letter::Up(host, bytes));
            }
        }
    }

    fn post(&mut self, at: Moment, letter: Letter) {
        self.lettered += 1;
        self.mail.push(Reverse((at, self.lettered)));
        self.letters.insert(self.lettered, letter);
    }

    fn symbols(&self, block: BlockIndex) -> u32 {
        self.geometry.shape(self.geometry.block_len(block)).source_symbols()
    }
}

fn config(path: Path, geometry: Geometry, line_time: Duration) -> SenderConfig {
    let line = Rate::from_bits(path.line).expect("a rate");
    SenderConfig {
        session: SessionId([1; 16]),
        key: GroupKey::new(KEY),
        geometry,
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        data_bytes: None,
        pin: Pin::None,
        reply_to: SENDER,
        reach: Reach::default(),
        expected: Expected::Count(path.hosts),
        timeout: line_time * 30 + Duration::from_secs(90),
        started: WALL,
        pace: if path.auto { Pace::Auto { max: line } } else { Pace::Fixed(line) },
        header_bytes: HEADER_BYTES,
        one_way: None,
        base: None,
        signer: None,
        known: KnownHosts::default(),
        agreement: overhear::sender_agreement(),
    }
}

/// Returns the datagrams of the object alone.
fn datagrams(geometry: Geometry) -> u64 {
    let symbols = |block| u64::from(geometry.shape(geometry.block_len(block)).source_symbols());
    geometry.indices().map(symbols).sum()
}

fn line_time(geometry: Geometry, rate: u64) -> Duration {
    let bits = datagrams(geometry) * frame_bits(geometry.datagram_bytes());
    Duration::from_secs_f64(bits as f64 / rate as f64)
}

fn frame_bits(datagram: usize) -> u64 {
    8 * (datagram as u64 + HEADER_BYTES)
}

fn address(host: usize) -> SocketAddr {
    ([10, (host >> 16) as u8 + 1, (host >> 8) as u8, host as u8], 40_000).into()
}

pub(crate) fn hash(block: BlockIndex) -> BlockHash {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&block.0.to_be_bytes());
    BlockHash(hash)
}

const NEVER: Moment = Moment::from_micros(u64::MAX);
/// Blocks that are sent at a time, a chunk of each in turn.
const INTERLEAVED: usize = 4;
/// How long before the line is free the next chunk may be queued.
const SLACK: Duration = Duration::from_micros(20);
/// The headers of Ethernet, IPv4 and UDP.
const HEADER_BYTES: u64 = 42;
const SYMBOL_SIZE: u16 = 1432;
const BLOCK_LOG2: u8 = 20;
const TRACE_GAP: Duration = Duration::from_millis(25);
