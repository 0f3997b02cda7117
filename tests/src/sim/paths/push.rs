//! One push over a path: the sender and its line, the clock, and what arrives when.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, Sequence, SessionId};
use glancecast_proto::known::KnownHosts;
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{
    Expected, Job, JobRoom, OneWay, Pace, Reach, Sender, SenderConfig, SenderEvent, To,
};
use glancecast_proto::time::Moment;
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{Discard, DiskFormat, Encoding, Kind, ManifestEntry, Pin, SymbolHeader};

use super::fabric::Fabric;
use super::member::{Air, Member};
use super::stream::{Stream, What};
use super::{
    Chosen, Chunks, HEADER_BYTES, NEVER, Outcome, Path, address, datagrams, frame_bits, hash, host_at,
    line_time,
};
use crate::sim::dice::Dice;
use crate::sim::host::{KEY, SENDER, WALL};
use crate::sim::overhear;

pub(super) struct Push {
    path: Path,
    trace: Option<Moment>,
    /// Whether every host reads everything when it arrives: slower, and the same.
    is_eager: bool,
    now: Moment,
    sender: Sender,
    /// When it is the sender's turn again, unless it hears something before.
    sender_due: Moment,
    members: Vec<Member>,
    geometry: Geometry,
    fabric: Fabric,
    stream: Stream,
    /// Blocks that were read and not begun.
    fresh: VecDeque<BlockIndex>,
    read: u32,
    proven: bool,
    /// When the line is free, and the nanoseconds that do not fit into its time.
    free_at: Moment,
    residual: u64,
    /// Jobs that are being sent, a chunk of each in turn.
    jobs: VecDeque<Active>,
    mail: Mail,
    /// Counts what is sent to single hosts.
    to_one: u64,
    /// When hosts want their next turn, or earlier.
    wakes: BinaryHeap<Reverse<(Moment, usize)>>,
    /// What a host says in its turn.
    said: Vec<Vec<u8>>,
    sent_bits: u64,
    sent_bytes: u64,
    said_by_others: u32,
    feedback: Feedback,
    refused: u32,
    done: Vec<Moment>,
    rates: [u64; 2],
    blamed: [u32; 2],
    accused: BTreeSet<HostName>,
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

/// What arrives at a time of its own.
enum Letter {
    /// Something prompt in the stream, for everyone.
    ToAll,
    ToOne(usize, What),
    Up(usize, Vec<u8>),
}

/// Arrivals by time; ties in the order of sending.
#[derive(Default)]
struct Mail {
    order: BinaryHeap<Reverse<(Moment, u64, usize)>>,
    letters: Vec<Option<Letter>>,
    free: Vec<usize>,
    posted: u64,
}

impl Mail {
    fn post(&mut self, at: Moment, letter: Letter) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.letters.push(None);
            self.letters.len() - 1
        });
        self.letters[slot] = Some(letter);
        self.posted += 1;
        self.order.push(Reverse((at, self.posted, slot)));
    }

    fn next_at(&self) -> Moment {
        self.order.peek().map_or(NEVER, |&Reverse((at, ..))| at)
    }

    fn take(&mut self, now: Moment) -> Option<Letter> {
        self.order.peek().filter(|due| due.0.0 <= now)?;
        let Reverse((.., slot)) = self.order.pop().expect("just seen");
        self.free.push(slot);
        self.letters[slot].take()
    }
}

/// The datagrams that hosts send.
#[derive(Default)]
struct Feedback {
    /// Those of the last second, with their bits.
    second: VecDeque<(Moment, u64)>,
    /// The sum of their bits.
    second_bits: u64,
    /// The most datagrams, and the most bits, in a second.
    peak: usize,
    peak_bits: u64,
    bits: u64,
}

impl Feedback {
    fn note(&mut self, now: Moment, bytes: usize) {
        let bits = frame_bits(bytes);
        self.bits += bits;
        self.second_bits += bits;
        self.second.push_back((now, bits));
        while let Some(&(at, bits)) = self.second.front()
            && now.since(at) >= Duration::from_secs(1)
        {
            self.second.pop_front();
            self.second_bits -= bits;
        }
        self.peak = self.peak.max(self.second.len());
        self.peak_bits = self.peak_bits.max(self.second_bits);
    }
}

impl Push {
    pub(super) fn new(path: Path, trace: bool) -> Self {
        let geometry = path.geometry();
        Self {
            trace: trace.then_some(Moment::default()),
            is_eager: false,
            now: Moment::default(),
            sender: Sender::new(Moment::default(), config(path, geometry)),
            sender_due: Moment::default(),
            members: (0..path.hosts).map(|number| member(path, number)).collect(),
            geometry,
            fabric: Fabric::new(path),
            stream: Stream::default(),
            fresh: VecDeque::new(),
            read: 0,
            proven: false,
            free_at: Moment::default(),
            residual: 0,
            jobs: VecDeque::new(),
            mail: Mail::default(),
            to_one: 0,
            wakes: BinaryHeap::new(),
            said: Vec::new(),
            sent_bits: 0,
            sent_bytes: 0,
            said_by_others: 0,
            feedback: Feedback::default(),
            refused: 0,
            done: Vec::new(),
            rates: [u64::MAX, 0],
            blamed: [0, 0],
            accused: BTreeSet::new(),
            dice: Dice::new(path.seed),
            path,
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        loop {
            if self.sender_due <= self.now {
                self.turn_sender();
            }
            if self.sender.is_finished() {
                return self.outcome();
            }
            let wake = self.wakes.peek().map_or(NEVER, |&Reverse((at, _))| at);
            self.now = self.sender_due.min(self.mail.next_at()).min(wake).max(self.now);
            while let Some(letter) = self.mail.take(self.now) {
                self.deliver(letter);
            }
            while let Some(&Reverse((at, host))) = self.wakes.peek().filter(|due| due.0.0 <= self.now) {
                self.wakes.pop();
                if self.members[host].wake == at {
                    self.members[host].wake = NEVER;
                    self.catch_up(host);
                    self.turn_host(host);
                }
            }
        }
    }

    fn outcome(mut self) -> Outcome {
        let least = self.path.least_time().as_secs_f64();
        let lasted = self.sender.time().expect("it is over");
        self.done.sort_unstable();
        let done_at = |share: f64| {
            let at = self.done.get(((self.done.len().max(1) - 1) as f64 * share) as usize);
            at.map_or(f64::INFINITY, |at| at.micros() as f64 / 1e6 / least)
        };
        let object_bits = datagrams(self.geometry) * frame_bits(self.geometry.datagram_bytes());
        Outcome {
            verdict: self.sender.verdict().expect("it is over").clone(),
            sent: self.sent_bits as f64 / object_bits as f64,
            time: lasted.as_secs_f64() / least,
            lasted,
            done: [0.0, 0.5, 1.0].map(done_at),
            done_count: self.done.len() as u32,
            feedback_peak: self.feedback.peak as u32,
            feedback_share: self.feedback.bits as f64 / self.sent_bits as f64,
            feedback_of_line: self.feedback.peak_bits as f64 / self.path.line as f64,
            refused: self.refused,
            rates: self.rates,
            blamed: self.blamed,
            accused: self.accused.iter().cloned().collect(),
            chosen: self.chosen(),
        }
    }

    fn chosen(&self) -> Chosen {
        let count = |is: &dyn Fn(usize, &Member) -> bool| {
            self.members.iter().enumerate().filter(|&(number, member)| is(number, member)).count() as u32
        };
        Chosen {
            verdict: self.sender.verdict().expect("it is over").clone(),
            time: self.sender.time().expect("it is over"),
            sent_bytes: self.sent_bytes,
            published: count(&|_, member| member.has_published),
            touched: count(&|number, member| !self.is_named(number) && member.is_touched),
            said_by_others: self.said_by_others,
            not_for_us: count(&|_, member| member.machine.discards().of(Discard::NotForUs) > 0),
        }
    }

    /// Whether the push is for this host.
    fn is_named(&self, number: usize) -> bool {
        self.path.choice.named.is_none_or(|named| number < named as usize)
    }

    /// Reads the source, sends what is due, and sends the next chunks when the line is free.
    fn turn_sender(&mut self) {
        self.read_source();
        self.finish_jobs();
        self.sender.handle_timeout(self.now);
        self.note_events();
        self.say();
        self.note_rate();
        while self.free_at <= self.now + SLACK && self.send_chunk() {}
        let timer = self.sender.poll_timeout().map_or(NEVER, |(at, _)| at);
        let left = self.jobs.iter().filter_map(|job| job.left.map(|(at, _)| at)).min().unwrap_or(NEVER);
        let due = [self.free_at, timer, left].into_iter().filter(|&at| at > self.now).min();
        self.sender_due = due.unwrap_or(self.now + Duration::from_millis(1));
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
            self.make_prompt();
        }
    }

    /// From now on any symbol may complete an object, and make its host speak.
    fn make_prompt(&mut self) {
        for at in self.stream.make_prompt(self.now) {
            self.mail.post(at, Letter::ToAll);
        }
        for host in 0..self.members.len() {
            self.catch_up(host);
            self.members[host].make_prompt();
            if self.members[host].is_up(self.now) {
                self.turn_host(host);
            }
        }
    }

    fn finish_jobs(&mut self) {
        let now = self.now;
        while let Some(at) = self.jobs.iter().position(|job| job.left.is_some_and(|(at, _)| at <= now)) {
            let gone = self.jobs.remove(at).expect("just found");
            let (_, last) = gone.left.expect("it has left");
            self.sender.handle_sent(now, gone.job, last);
        }
    }

    fn note_events(&mut self) {
        while let Some(event) = self.sender.poll_event() {
            match event {
                SenderEvent::Done(_) => self.done.push(self.now),
                SenderEvent::Sidelined(name, _) => self.blame(0, name),
                SenderEvent::Silent(name) => self.blame(1, name),
                _ => {}
            }
        }
    }

    fn blame(&mut self, how: usize, name: HostName) {
        self.blamed[how] += 1;
        self.accused.insert(name);
    }

    /// Sends the control datagrams that are due.
    fn say(&mut self) {
        let mut out = Vec::new();
        while let Some(transmit) = self.sender.poll_transmit(self.now, &mut out) {
            let at = self.occupy(1, out.len());
            let to = transmit.to.host().map(host_at);
            // Datagrams to the group keep the order of their numbers; those to one host wait for nothing.
            let at = if to.is_none() { at } else { self.now };
            let (delay, lost) = self.fabric.pass(at, 1, out.len());
            if lost == 0 {
                // A page of the manifest makes no host speak before the source is proven.
                let is_prompt = self.proven || transmit.kind != Kind::Manifest;
                self.post_down(at + delay, to, What::Datagram(std::mem::take(&mut out)), is_prompt);
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

    /// Begins further jobs, and sends the next symbols of the next one; returns whether there were any.
    fn send_chunk(&mut self) -> bool {
        let interleaved = match self.path.chunks {
            Chunks::Short => INTERLEAVED,
            Chunks::Jobs => 1,
        };
        while self.jobs.len() < interleaved && self.begin_job() {}
        let Some(at) = self.jobs.iter().position(|job| job.left.is_none()) else { return false };
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
        let to = self.sender.destination(To::Everyone).host().map(host_at);
        let (delay, lost) = self.fabric.pass(sent, count, bytes);
        if count > lost {
            self.post_down(sent + delay, to, What::Symbols(header, count - lost), self.proven);
        }
        active.at += count;
        if active.at == active.count {
            active.left = Some((sent, header.sequence.plus(count - 1)));
        }
        self.jobs.push_back(active);
        true
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

    /// The most datagrams that are one event.
    fn chunk(&self) -> u32 {
        match self.path.chunks {
            Chunks::Jobs => u32::MAX,
            Chunks::Short if self.fabric.has_jitter() => 1,
            Chunks::Short => {
                let bits = frame_bits(self.geometry.datagram_bytes());
                (self.path.line / (CHUNKS_PER_SECOND * bits)).clamp(1, CHUNK_MAX) as u32
            }
        }
    }

    /// Occupies the line with `count` datagrams; returns when the last one has left.
    fn occupy(&mut self, count: u32, bytes: usize) -> Moment {
        let bits = frame_bits(bytes) * u64::from(count);
        self.sent_bits += bits;
        self.sent_bytes += bytes as u64 * u64::from(count);
        let nanos = u128::from(bits) * 1_000_000_000 / u128::from(self.sender.rate().max(1));
        let nanos = nanos as u64 + self.residual;
        self.residual = nanos % 1_000;
        self.free_at = self.free_at.max(self.now) + Duration::from_micros(nanos / 1_000);
        self.free_at
    }

    /// Posts what leaves at `at` to one host, or to everyone.
    fn post_down(&mut self, at: Moment, to: Option<usize>, what: What, is_prompt: bool) {
        let at = at + self.path.round_trip / 2;
        let is_prompt = is_prompt || self.is_eager;
        let Some(host) = to else {
            self.stream.push(at, what, is_prompt);
            if is_prompt {
                self.mail.post(at, Letter::ToAll);
            }
            return;
        };
        self.to_one += 1;
        let (number, who) = (TO_ONE | self.to_one, host as u32);
        let lost = match what {
            What::Symbols(_, count) => self.fabric.lost(who, number, count),
            What::Datagram(_) => self.fabric.lost(who, number, 1),
        };
        let jitter = if self.fabric.has_jitter() { self.fabric.jitter(who, number) } else { Duration::ZERO };
        match what {
            What::Symbols(first, count) => {
                self.mail.post(at + jitter, Letter::ToOne(host, What::Symbols(first, count - lost)));
            }
            What::Datagram(_) if lost > 0 => {}
            What::Datagram(_) => self.mail.post(at + jitter, Letter::ToOne(host, what)),
        }
    }

    fn deliver(&mut self, letter: Letter) {
        match letter {
            Letter::Up(host, bytes) => {
                let result = self.sender.handle_datagram(self.now, address(host), &bytes);
                self.refused += u32::from(result == Err(Discard::OverBudget));
                self.sender_due = self.now;
            }
            Letter::ToAll => {
                for host in 0..self.members.len() {
                    if self.catch_up(host) {
                        self.turn_host(host);
                    } else if self.fabric.has_jitter() {
                        self.wake_at(host, self.members[host].next_arrival());
                    }
                }
                self.forget();
            }
            Letter::ToOne(host, what) => {
                self.catch_up(host);
                let member = &mut self.members[host];
                if !member.is_up(self.now) {
                    return;
                }
                let may_speak = match &what {
                    What::Symbols(first, count) => {
                        member.take_symbols(self.now, first, *count, self.geometry)
                    }
                    What::Datagram(bytes) => {
                        member.take_datagram(self.now, bytes, self.geometry);
                        true
                    }
                };
                if may_speak {
                    self.turn_host(host);
                }
            }
        }
    }

    /// Drops what every host has read.
    fn forget(&mut self) {
        if self.stream.len() >= FORGOTTEN_FROM {
            let needed = self.members.iter().map(Member::needs_from).min();
            self.stream.forget(needed.unwrap_or(u64::MAX));
        }
    }

    fn catch_up(&mut self, host: usize) -> bool {
        let Self { now, members, stream, fabric, geometry, .. } = self;
        members[host].catch_up(*now, &mut Air { stream, fabric, geometry: *geometry })
    }

    fn turn_host(&mut self, host: usize) {
        let (now, mut said) = (self.now, std::mem::take(&mut self.said));
        let wake = self.members[host].turn(now, self.proven, self.geometry, &mut said);
        self.wake_at(host, wake);
        if !self.is_named(host) {
            self.said_by_others += said.len() as u32;
        }
        for bytes in said.drain(..) {
            self.feedback.note(now, bytes.len());
            if !self.dice.chance(self.path.feedback_loss) {
                let jitter = self.path.up_jitter.mul_f64(self.dice.unit());
                self.mail.post(now + self.path.round_trip / 2 + jitter, Letter::Up(host, bytes));
            }
        }
        self.said = said;
    }

    fn wake_at(&mut self, host: usize, at: Moment) {
        let member = &mut self.members[host];
        if at < member.wake {
            member.wake = at;
            self.wakes.push(Reverse((at, host)));
        }
    }

    fn symbols(&self, block: BlockIndex) -> u32 {
        self.geometry.shape(self.geometry.block_len(block)).source_symbols()
    }
}

fn member(path: Path, number: u32) -> Member {
    let line_time = line_time(path.geometry(), path.line);
    let late = path.late.map_or(0, |(share, _)| (share * f64::from(path.hosts)) as u32);
    let starts = match (path.late, path.choice.named) {
        (Some((_, at)), _) if number < late => line_time.mul_f64(at),
        (_, Some(named)) if number + 1 == named => path.choice.late,
        _ => Duration::ZERO,
    };
    let slow_from = path.hosts - path.slow.map_or(0, |(count, _)| count.min(path.hosts));
    let store = if number >= slow_from { path.slow.map(|(_, rate)| rate) } else { path.store };
    let is_renamed = number + 1 == path.hosts && path.choice.renamed;
    let name = if is_renamed { HostName::new("renamed").expect("plain") } else { name(number) };
    Member::new(number, name, store, Moment::default() + starts)
}

pub(super) fn name(number: u32) -> HostName {
    HostName::new(&format!("compute-{number}")).expect("plain")
}

pub(super) fn config(path: Path, geometry: Geometry) -> SenderConfig {
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
        expected: match path.choice.named {
            Some(named) => Expected::Named((0..named).map(name).collect()),
            None => Expected::Count(path.hosts),
        },
        timeout: line_time(geometry, path.line) * 30 + Duration::from_secs(90),
        join_timeout: None,
        started: WALL,
        pace: if path.auto { Pace::Auto { max: line } } else { Pace::Fixed(line) },
        header_bytes: HEADER_BYTES,
        one_way: path.choice.one_way.then_some(OneWay { overhead: ONE_WAY_OVERHEAD, passes: 1 }),
        base: None,
        signer: None,
        known: KnownHosts::default(),
        agreement: overhear::sender_agreement(),
    }
}

/// Blocks that are sent at a time, a chunk of each in turn.
const INTERLEAVED: usize = 4;
/// Chunks are of 0.1 ms of the line, and of no more datagrams than this.
const CHUNKS_PER_SECOND: u64 = 10_000;
const CHUNK_MAX: u64 = 256;
/// How long before the line is free the next chunk may be queued.
const SLACK: Duration = Duration::from_micros(20);
/// Entries of the stream from which on those are dropped that every host has read.
const FORGOTTEN_FROM: usize = 1_024;
/// The numbers of what is sent to single hosts, apart from those of the stream.
const TO_ONE: u64 = 1 << 39;
/// Repair symbols of each block for hosts that cannot ask for them, as a share of the block.
const ONE_WAY_OVERHEAD: f64 = 0.05;
const TRACE_GAP: Duration = Duration::from_millis(25);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_reads_later_says_the_same() {
        for words in [
            "hosts=3 mib=96",
            "hosts=5 mib=64 loss=0.02 rtt=5",
            "hosts=4 mib=64 jitter=4 loss=0.01",
            "hosts=4 mib=256 store=300 auto=0",
            "hosts=6 mib=128 slow=2 slowstore=200 late=0.4 rack=2 loss=0.05",
            "hosts=2 mib=128 neck=300 queue=5 upjitter=3",
        ] {
            let path = Path::parse(words.split(' ')).expect("words");
            let eager = Push { is_eager: true, ..Push::new(path, false) };
            assert_eq!(
                format!("{:?}", Push::new(path, false).run()),
                format!("{:?}", eager.run()),
                "{words}"
            );
        }
    }

    #[test]
    fn a_line_is_as_fast_as_it_says_whatever_a_chunk_is() {
        for words in
            ["auto=0", "auto=0 line=25000 mib=4096", "auto=0 jobs=1", "auto=0 jitter=0.001", "auto=0 line=25"]
        {
            let path = Path::parse(words.split(' ')).expect("words");
            let outcome = Push::new(path, false).run();
            let least = path.least_time();
            // Joining takes no more than 50 ms, and the last reports some milliseconds.
            assert!(
                outcome.lasted >= least && outcome.lasted <= least.mul_f64(1.001) + Duration::from_millis(80),
                "{words}: {outcome:?}"
            );
        }
    }
}
