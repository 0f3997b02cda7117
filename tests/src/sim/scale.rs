//! Pushes to thousands of receivers, with the real machines and symbols without bytes. A job of the sender is one
//! event, for which the losses of each host are drawn at once; every other datagram is an event of its own. So jobs are
//! not interleaved here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, SessionId};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::known::KnownHosts;
use glancecast_proto::receiver::{
    BlockOutcome, BlockRoom, Effect, Opened, Published, Receiver, ReceiverConfig, Returned, Work,
};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{
    Expected, Job, JobRoom, OneWay, Pace, Reach, Sender, SenderConfig, To, Verdict,
};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{Discard, DiskFormat, Encoding, ManifestEntry, Pin, SymbolHeader};
use zeroize::Zeroizing;

use super::dice::{Binomial, Dice};
use super::host::{KEY, SENDER, WALL};
use super::overhear;

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The number of receivers.
    pub hosts: u32,
    /// The share of datagrams that each receiver loses, independently, in both directions.
    pub loss: f64,
    /// The length of the object.
    pub object_bytes: u64,
}

/// The measurements of one push.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The verdict of the push.
    pub verdict: Verdict,
    /// Bytes of datagrams sent, relative to the object's bytes in datagrams.
    pub sent: f64,
    /// The time to the verdict, relative to the time that the object takes on the line.
    pub time: f64,
    /// How much longer than 1.05 of that time the push took.
    pub late: Duration,
    /// Datagrams from hosts in the busiest second.
    pub feedback_peak: u32,
    /// Bits from hosts, as a share of the bits to them.
    pub feedback_share: f64,
}

impl Figures {
    /// The heading of the table, whose rows are [`Figures`].
    pub const HEAD: &'static str =
        "receivers   loss    sent    time   feedback/s, most   of the data   verdict";

    /// Formats a row of the table.
    pub fn row(&self, scale: Scale) -> String {
        format!(
            "{:>9} {:>4.1} % {:>7.4} {:>7.4} {:>18} {:>12.4} %   {:?}",
            scale.hosts,
            scale.loss * 100.0,
            self.sent,
            self.time,
            self.feedback_peak,
            self.feedback_share * 100.0,
            self.verdict
        )
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} x the bytes, {:.4} x the line's time", self.sent, self.time)
    }
}

/// Simulates one push for all hosts.
pub fn push(scale: Scale) -> Figures {
    Crowd::new(scale, Choice::default()).run().figures
}

/// Simulates one push for some of the hosts.
pub fn push_to(scale: Scale, choice: Choice) -> Chosen {
    Crowd::new(scale, choice).run()
}

/// Which hosts a push is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// The number of hosts that it is for by name, the first of all; `None` if it is for everyone.
    pub named: Option<u32>,
    /// When the last of the named hosts starts.
    pub late: Duration,
    /// Whether the last of the hosts that the push is not for has been renamed to the name of none.
    pub renamed: bool,
    /// Whether no host can answer.
    pub one_way: bool,
}

/// What became of a push for some of the hosts.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The measurements.
    pub figures: Figures,
    /// The time to the verdict.
    pub time: Duration,
    /// Bytes of datagrams sent.
    pub sent_bytes: u64,
    /// Hosts that have published the object.
    pub published: u32,
    /// Hosts that the push was not for and that began any work for it: opened their store, or wrote.
    pub touched: u32,
    /// Datagrams that they sent.
    pub said_by_others: u32,
    /// Hosts that have counted a push that was not for them.
    pub not_for_us: u32,
}

struct Crowd {
    scale: Scale,
    choice: Choice,
    sent_bytes: u64,
    said_by_others: u32,
    now: Moment,
    sender: Sender,
    hosts: Vec<Member>,
    by_address: BTreeMap<SocketAddr, usize>,
    geometry: Geometry,
    /// Blocks that were read and not begun.
    fresh: VecDeque<BlockIndex>,
    read: u32,
    proven: bool,
    /// When the line is free.
    free_at: Moment,
    job: Option<(Job, SymbolHeader, u32)>,
    /// Arrivals by time; ties in the order of sending.
    mail: BinaryHeap<Reverse<(Moment, u64)>>,
    letters: BTreeMap<u64, Letter>,
    lettered: u64,
    /// When hosts want their next turn, or earlier.
    wakes: BinaryHeap<Reverse<(Moment, usize)>>,
    sent_bits: u64,
    feedback: Feedback,
    losses: Binomial,
    dice: Dice,
}

struct Member {
    machine: Receiver,
    wake: Moment,
    over: bool,
    /// When it starts.
    start: Moment,
    /// Whether it began any work for the push, and whether it has published.
    touched: bool,
    published: bool,
}

enum Letter {
    Symbols(Option<usize>, SymbolHeader, u32),
    Down(Option<usize>, Vec<u8>),
    Up(usize, Vec<u8>),
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

impl Crowd {
    fn new(scale: Scale, choice: Choice) -> Self {
        let geometry = Geometry::new(scale.object_bytes, BLOCK_LOG2, SYMBOL_SIZE).expect("in range");
        let config = SenderConfig {
            session: SessionId([1; 16]),
            key: GroupKey::new(KEY),
            geometry,
            name: ObjectName::new("image").expect("plain"),
            image_id: None,
            format: DiskFormat::Raw,
            pin: Pin::None,
            reply_to: SENDER,
            reach: Reach::default(),
            expected: match choice.named {
                Some(named) => Expected::Named((0..named).map(name).collect()),
                None => Expected::Count(scale.hosts),
            },
            timeout: Duration::from_secs(3600),
            started: WALL,
            pace: Pace::Fixed(Rate::from_bits(LINE).expect("a rate")),
            header_bytes: HEADER_BYTES,
            one_way: choice.one_way.then_some(OneWay { overhead: ONE_WAY_OVERHEAD, passes: 1 }),
            base: None,
            signer: None,
            known: KnownHosts::default(),
            agreement: overhear::sender_agreement(),
            data_bytes: None,
        };
        let member = |number: u32| Member {
            machine: Receiver::new(ReceiverConfig {
                name: match number + 1 == scale.hosts && choice.renamed {
                    true => HostName::new("renamed").expect("plain"),
                    false => name(number),
                },
                software: "simulated".into(),
                keys: vec![GroupKey::new(KEY)],
                host_key: SigningKey::from_seed(&Zeroizing::new(std::array::from_fn(|i| {
                    (number >> (8 * (i % 4))) as u8
                }))),
                secret: overhear::start_secret(),
                mtu: None,
                senders: Vec::new().into(),
                start: std::array::from_fn(|i| (number >> (8 * (i % 4))) as u8),
                seed: std::array::from_fn(|i| (number >> (8 * (i % 4))) as u8 ^ 0x5A),
                buffer_bytes: BUFFER_BYTES,
                can_relay: false,
            }),
            wake: NEVER,
            over: false,
            start: match choice.named {
                Some(named) if number + 1 == named => Moment::default() + choice.late,
                _ => Moment::default(),
            },
            touched: false,
            published: false,
        };
        let hosts: Vec<Member> = (0..scale.hosts).map(member).collect();
        Self {
            scale,
            choice,
            sent_bytes: 0,
            said_by_others: 0,
            now: Moment::default(),
            sender: Sender::new(Moment::default(), config),
            by_address: (0..hosts.len()).map(|host| (address(host), host)).collect(),
            hosts,
            geometry,
            fresh: VecDeque::new(),
            read: 0,
            proven: false,
            free_at: Moment::default(),
            job: None,
            mail: BinaryHeap::new(),
            letters: BTreeMap::new(),
            lettered: 0,
            wakes: BinaryHeap::new(),
            sent_bits: 0,
            feedback: Feedback::default(),
            losses: Binomial::new(scale.loss),
            dice: Dice::new(u64::from(scale.hosts) << 20 | (scale.loss * 1e4) as u64),
        }
    }

    fn run(mut self) -> Chosen {
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
                if self.hosts[host].wake == at {
                    self.hosts[host].wake = NEVER;
                    self.turn_host(host);
                }
            }
        }
        let count = |is: &dyn Fn(usize, &Member) -> bool| {
            self.hosts.iter().enumerate().filter(|&(number, host)| is(number, host)).count() as u32
        };
        Chosen {
            figures: self.figures(),
            time: self.sender.time().expect("it is over"),
            sent_bytes: self.sent_bytes,
            published: count(&|_, host| host.published),
            touched: count(&|number, host| !self.is_named(number) && host.touched),
            said_by_others: self.said_by_others,
            not_for_us: count(&|_, host| host.machine.discards().of(Discard::NotForUs) > 0),
        }
    }

    /// Whether the push is for this host.
    fn is_named(&self, number: usize) -> bool {
        self.choice.named.is_none_or(|named| number < named as usize)
    }

    fn figures(&self) -> Figures {
        let datagrams: u64 = self.geometry.indices().map(|block| u64::from(self.symbols(block))).sum();
        let frame_bits = 8 * (self.geometry.datagram_bytes() as u64 + HEADER_BYTES);
        let line = Duration::from_secs_f64((datagrams * frame_bits) as f64 / LINE as f64);
        let time = self.sender.time().expect("it is over");
        Figures {
            verdict: self.sender.verdict().expect("it is over").clone(),
            sent: self.sent_bits as f64 / (datagrams * frame_bits) as f64,
            time: time.as_secs_f64() / line.as_secs_f64(),
            late: time.saturating_sub(line.mul_f64(1.05)),
            feedback_peak: self.feedback.peak as u32,
            feedback_share: self.feedback.bits as f64 / self.sent_bits as f64,
        }
    }

    fn next_time(&self) -> Moment {
        let line = Some(self.free_at);
        let timer = self.sender.poll_timeout().map(|(at, _)| at);
        let mail = self.mail.peek().map(|&Reverse((at, _))| at);
        let wake = self.wakes.peek().map(|&Reverse((at, _))| at);
        let next = [line, timer, mail, wake].into_iter().flatten().filter(|&at| at > self.now).min();
        next.unwrap_or(self.now + Duration::from_millis(1))
    }

    /// Reads the source, sends what is due, and begins the next job when the line is free.
    fn turn_sender(&mut self) {
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
        if let Some((job, first, count)) = self.job.filter(|_| self.free_at <= self.now) {
            self.job = None;
            self.sender.handle_sent(self.now, job, first.sequence.plus(count - 1));
        }
        self.sender.handle_timeout(self.now);
        while self.sender.poll_event().is_some() {}
        let mut out = Vec::new();
        while let Some(transmit) = self.sender.poll_transmit(self.now, &mut out) {
            self.occupy(1, out.len());
            let to = transmit.to.host().map(|to| self.by_address[&to]);
            // Datagrams to the group keep the order of their sequences, so they arrive after a job that is under way.
            let at = if to.is_none() { self.free_at } else { self.now };
            self.post(at + DELAY, Letter::Down(to, out.clone()));
        }
        if self.job.is_none() && self.free_at <= self.now + SLACK {
            self.begin_job();
        }
    }

    fn begin_job(&mut self) {
        let Some(job) = self.sender.poll_job(JobRoom { repair: true, source: !self.fresh.is_empty() }) else {
            return;
        };
        let block = job.block();
        if matches!(job, Job::Source { .. }) && self.fresh.front() == Some(&block) {
            self.fresh.pop_front();
        }
        let k = self.symbols(block);
        let count = job.symbols(k);
        let header = SymbolHeader {
            tag: self.sender.config().session.tag(),
            sequence: self.sender.take_sequences(To::Everyone, count),
            block,
            esi: job.esi(k, 0),
            encoded_len: self.geometry.block_len(block),
        };
        self.occupy(count, self.geometry.datagram_bytes());
        let to = self.sender.destination(To::Everyone).host().map(|to| self.by_address[&to]);
        // Source symbols first, then repair symbols, which have ESIs of their own.
        let source = if matches!(job, Job::Source { .. }) { k } else { 0 };
        if source > 0 {
            self.post(self.free_at + DELAY, Letter::Symbols(to, header, source));
        }
        if count > source {
            let sequence = header.sequence.plus(source);
            let repair = SymbolHeader { sequence, esi: job.esi(k, source), ..header };
            self.post(self.free_at + DELAY, Letter::Symbols(to, repair, count - source));
        }
        self.job = Some((job, header, count));
    }

    /// Occupies the line with `count` datagrams.
    fn occupy(&mut self, count: u32, bytes: usize) {
        let bits = 8 * (bytes as u64 + HEADER_BYTES) * u64::from(count);
        self.sent_bits += bits;
        self.sent_bytes += bytes as u64 * u64::from(count);
        self.free_at = self.free_at.max(self.now) + Duration::from_nanos(bits * 1_000_000_000 / LINE);
    }

    fn deliver(&mut self, letter: Letter) {
        match letter {
            Letter::Up(host, bytes) => {
                let result = self.sender.handle_datagram(self.now, address(host), &bytes);
                assert_ne!(result, Err(Discard::OverBudget), "all hosts are honest");
            }
            Letter::Down(to, bytes) => {
                for host in self.hearers(to) {
                    if self.hosts[host].is_up(self.now) && !self.dice.chance(self.scale.loss) {
                        let wall = WallClock(WALL.0 + self.now.micros() / 1000);
                        let _ = self.hosts[host].machine.handle_datagram(self.now, wall, SENDER, &bytes);
                        self.turn_host(host);
                    }
                }
            }
            Letter::Symbols(to, first, count) => {
                for host in self.hearers(to) {
                    let lost = self.losses.draw(&mut self.dice, count);
                    let member = &mut self.hosts[host];
                    if member.is_up(self.now) {
                        let bytes = self.geometry.datagram_bytes();
                        member.machine.accept_run(self.now, &first, count - lost, bytes);
                        // Symbols make a host send something only when they complete its object.
                        if member.work(self.now) {
                            self.turn_host(host);
                        }
                    }
                }
            }
        }
    }

    fn hearers(&self, to: Option<usize>) -> std::ops::Range<usize> {
        to.map_or(0..self.hosts.len(), |host| host..host + 1)
    }

    fn turn_host(&mut self, host: usize) {
        let member = &mut self.hosts[host];
        let now = self.now;
        member.machine.handle_timeout(now);
        member.work(now);
        let mut out = Vec::new();
        let mut said = Vec::new();
        while member.machine.poll_transmit(now, &mut out).is_some() {
            said.push(std::mem::take(&mut out));
        }
        while member.machine.poll_event().is_some() {}
        let wake = member.machine.poll_timeout().map_or(NEVER, |(at, _)| at);
        member.over = self.proven && member.machine.session().is_none();
        if wake < member.wake {
            member.wake = wake;
            self.wakes.push(Reverse((wake, host)));
        }
        if !self.is_named(host) {
            self.said_by_others += said.len() as u32;
        }
        for bytes in said {
            self.feedback.note(now, bytes.len());
            if !self.dice.chance(self.scale.loss) {
                self.post(now + DELAY, Letter::Up(host, bytes));
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

impl Member {
    /// Whether it hears what is sent.
    fn is_up(&self, now: Moment) -> bool {
        !self.over && now >= self.start
    }

    /// Performs all pending work; returns whether there was any besides blocks.
    fn work(&mut self, now: Moment) -> bool {
        let mut more = false;
        while let Some(effect) = self.machine.poll_effect(BlockRoom::Free) {
            more |= !matches!(effect, Effect::Block(..));
            self.touched = true;
            self.published |= matches!(effect, Effect::Publish(..));
            perform(&mut self.machine, now, effect);
        }
        more
    }
}

fn name(number: u32) -> HostName {
    HostName::new(&format!("compute-{number}")).expect("plain")
}

/// Performs an effect at once: stores take no time here.
fn perform(machine: &mut Receiver, now: Moment, effect: Effect<(), ()>) {
    match effect {
        Effect::Open(attempt, _) => {
            machine.handle_opened(now, attempt, Ok(Opened::Unfinished { file: (), kept: Vec::new() }));
        }
        Effect::Block(attempt, Work::Zero { block }, ()) => {
            machine.handle_block(now, attempt, block, None, BlockOutcome::Zeros(hash(block)));
        }
        Effect::Block(attempt, Work::Rebuild { block, buffer, collected, .. }, ()) => {
            let repaired = collected.held().bound() - collected.held().count();
            let outcome = BlockOutcome::Written { repaired };
            machine.handle_block(now, attempt, block, Some(Returned { buffer, collected }), outcome);
        }
        Effect::Publish(attempt, ..) => machine.handle_published(now, attempt, Ok(Published::New)),
        Effect::Block(_, Work::Recheck { .. } | Work::Reuse { .. } | Work::Sift { .. }, ())
        | Effect::Compare(..)
        | Effect::LookThrough(..) => unreachable!("nothing exists here"),
        Effect::PutAway(..) => machine.handle_put_away(),
        Effect::Prepare(..) | Effect::Leave(_) => {}
    }
}

fn address(host: usize) -> SocketAddr {
    ([10, (host >> 16) as u8 + 1, (host >> 8) as u8, host as u8], 40_000).into()
}

fn hash(block: BlockIndex) -> BlockHash {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&block.0.to_be_bytes());
    BlockHash(hash)
}

const NEVER: Moment = Moment::from_micros(u64::MAX);
/// 1 Gbit/s, counted in frames.
const LINE: u64 = 1_000_000_000;
/// One way: a round trip takes a millisecond.
const DELAY: Duration = Duration::from_micros(500);
/// Repair symbols of each block for hosts that cannot ask for them, as a share of the block.
const ONE_WAY_OVERHEAD: f64 = 0.05;
/// How long before the line is free the next job may be queued.
const SLACK: Duration = Duration::from_micros(20);
/// The headers of Ethernet, IPv4 and UDP.
const HEADER_BYTES: u64 = 42;
const SYMBOL_SIZE: u16 = 1432;
/// 4 MiB: fewer blocks need fewer draws and less memory for ten thousand hosts.
const BLOCK_LOG2: u8 = 22;
/// The buffers of `glancecastd`.
const BUFFER_BYTES: usize = 96 << 20;

/// Returns the table for all losses and up to `most` receivers, as `tests/sim/scale.txt` keeps it.
pub fn table(most: u32) -> String {
    let rows = thread::scope(|scope| {
        let cells: Vec<Scale> = CELLS.into_iter().flat_map(row).filter(|cell| cell.hosts <= most).collect();
        let (large, small): (Vec<Scale>, Vec<Scale>) = cells.iter().partition(|cell| cell.hosts > 1_000);
        // The large cells need gigabytes, so they run one after the other, in parallel to the small ones.
        let work = |cells: Vec<Scale>| cells.into_iter().map(|cell| push(cell).row(cell)).collect::<Vec<_>>();
        let large = scope.spawn(move || work(large));
        let mut rows = work(small);
        rows.extend(large.join().expect("it does not panic"));
        rows
    });
    format!("{PREFACE}\n{}\n{}\n", Figures::HEAD, rows.join("\n"))
}

fn row(hosts: u32) -> impl Iterator<Item = Scale> {
    LOSSES.into_iter().map(move |loss| Scale { hosts, loss, object_bytes: OBJECT_BYTES })
}

const CELLS: [u32; 5] = [1, 10, 100, 1_000, 10_000];
const LOSSES: [f64; 4] = [0.0, 0.001, 0.01, 0.05];
/// More than two minutes on the line. Polling ten thousand hosts takes 2.5 s whatever the object's length, and so do
/// their final reports. In a much shorter push these would dominate.
pub const OBJECT_BYTES: u64 = 16 << 30;

const PREFACE: &str = "\
Pushes of 16 GiB in blocks of 4 MiB on a line of 1 Gbit/s with round-trips of 1 ms, simulated with the real machines:
`make sim-scale` makes this again and shows what has changed. Each receiver loses that share of the datagrams on its own,
and of what it sends, too. `sent` and `time` are shares of the object alone, without any loss, at the line's rate;
`feedback` is all that receivers send: in the busiest second, and of the bits that are sent to them.
";
