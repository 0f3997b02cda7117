//! Two pushes to the same hosts, whose senders begin together or nearly so: each host hears one of them first, and all
//! of them must take part in the same one first.
//!
//! Each sender has a line of its own. A job of a sender is one event; everything else is an event of its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::agree::AgreementKey;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, ObjectName, SessionId};
use glancecast_proto::sender::{Job, JobRoom, Pace, Sender, SenderConfig, SenderEvent, To, Verdict};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{Encoding, ManifestEntry, SymbolHeader};

use super::member::Member;
use super::push::{config, name};
use super::{NEVER, Path, address, datagrams, frame_bits, hash};
use crate::sim::dice::{Binomial, Dice};
use crate::sim::host::WALL;

/// Two pushes of objects of one length to the same hosts.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Receivers. The first half of them is near to the first sender, the others are near to the second one.
    pub hosts: u32,
    /// Length of each object in bytes.
    pub object_bytes: u64,
    /// What each sender's line carries, in bits per second.
    pub line: u64,
    /// How much later the second push begins.
    pub apart: Duration,
    /// By how much the clock of the second sender is behind.
    pub behind: Duration,
    /// The one-way delays to the near hosts and to the far ones.
    pub delays: [Duration; 2],
    /// The share of datagrams that each host loses, and that is lost of what it sends.
    pub loss: f64,
    /// Chooses the losses.
    pub seed: u64,
}

/// What became of the two pushes.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Their verdicts.
    pub verdicts: [Verdict; 2],
    /// Frames sent, relative to those of the object alone.
    pub sent: [f64; 2],
    /// Hosts that were done.
    pub done: [u32; 2],
    /// The times from the start of the first push to the verdicts, in seconds.
    pub seconds: [f64; 2],
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdicts, sent, done, seconds } = self;
        for n in 0..2 {
            let (verdict, sent, done, seconds) = (&verdicts[n], sent[n], done[n], seconds[n]);
            write!(f, "push {n}: {verdict:?}, {sent:.4} x the bytes, {done} done, {seconds:.3} s; ")?;
        }
        Ok(())
    }
}

/// Simulates both pushes.
pub fn push(pair: Pair) -> Outcome {
    World::new(pair).run()
}

struct World {
    pair: Pair,
    now: Moment,
    lines: [Line; 2],
    members: Vec<Member>,
    geometry: Geometry,
    mail: BinaryHeap<Reverse<(Moment, u64)>>,
    letters: BTreeMap<u64, Letter>,
    lettered: u64,
    wakes: BinaryHeap<Reverse<(Moment, usize)>>,
    losses: Binomial,
    dice: Dice,
}

/// One sender and its line.
struct Line {
    sender: Sender,
    begins: Moment,
    fresh: VecDeque<BlockIndex>,
    read: u32,
    proven: bool,
    free_at: Moment,
    job: Option<(Job, SymbolHeader, u32)>,
    sent_bits: u64,
    done: u32,
    ended: Option<Moment>,
}

enum Letter {
    Symbols { to: Option<usize>, half: usize, first: SymbolHeader, count: u32 },
    Down { line: usize, to: Option<usize>, half: usize, bytes: Vec<u8> },
    Up { line: usize, host: usize, bytes: Vec<u8> },
}

impl Pair {
    /// The path of each push.
    fn path(self) -> Path {
        let Self { hosts, object_bytes, line, .. } = self;
        Path { hosts, object_bytes, line, auto: false, ..Path::default() }
    }
}

impl World {
    fn new(pair: Pair) -> Self {
        let geometry = pair.path().geometry();
        let member = |number| Member::new(number, name(number), None, Moment::default());
        let members = (0..pair.hosts).map(member).collect();
        Self {
            pair,
            now: Moment::default(),
            lines: [0, 1].map(|n| Line::new(n, pair, geometry)),
            members,
            geometry,
            mail: BinaryHeap::new(),
            letters: BTreeMap::new(),
            lettered: 0,
            wakes: BinaryHeap::new(),
            losses: Binomial::new(pair.loss),
            dice: Dice::new(pair.seed),
        }
    }

    fn run(mut self) -> Outcome {
        while !self.lines.iter().all(|line| line.sender.is_finished()) {
            (0..2).for_each(|line| self.turn_sender(line));
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
        let object_bits = datagrams(self.geometry) * frame_bits(self.geometry.datagram_bytes());
        let seconds = |line: &Line| line.ended.expect("it is over").micros() as f64 / 1e6;
        let of = |n: usize| &self.lines[n];
        Outcome {
            verdicts: [0, 1].map(|n| of(n).sender.verdict().expect("it is over").clone()),
            sent: [0, 1].map(|n| of(n).sent_bits as f64 / object_bits as f64),
            done: [0, 1].map(|n| of(n).done),
            seconds: [0, 1].map(|n| seconds(of(n))),
        }
    }

    fn next_time(&self) -> Moment {
        let lines = self.lines.iter().flat_map(|line| {
            let timer = line.sender.poll_timeout().map(|(at, _)| at.max(line.begins));
            [Some(line.free_at.max(line.begins)), timer].into_iter().flatten()
        });
        let mail = self.mail.peek().map(|&Reverse((at, _))| at);
        let wake = self.wakes.peek().map(|&Reverse((at, _))| at);
        let next = lines.chain(mail).chain(wake).filter(|&at| at > self.now).min();
        next.unwrap_or(self.now + Duration::from_millis(1))
    }

    fn turn_sender(&mut self, n: usize) {
        let (now, line) = (self.now, &mut self.lines[n]);
        if now < line.begins {
            return;
        }
        line.read_source(now, self.geometry);
        line.finish_job(now);
        line.sender.handle_timeout(now);
        line.note_events(now);
        let mut out = Vec::new();
        while let Some(transmit) = self.lines[n].sender.poll_transmit(now, &mut out) {
            let at = self.lines[n].occupy(now, 1, out.len());
            let to = transmit.to.host().map(number);
            let at = if to.is_none() { at } else { now };
            self.post_down(n, to, at, |half| Letter::Down { line: n, to, half, bytes: out.clone() });
        }
        let line = &mut self.lines[n];
        if line.job.is_none()
            && line.free_at <= now
            && let Some((first, count)) = line.begin_job(now, self.geometry)
        {
            let (to, at) = (line.sender.destination(To::Everyone).host().map(number), line.free_at);
            self.post_down(n, to, at, |half| Letter::Symbols { to, half, first, count });
        }
    }

    /// Posts a letter of a sender to the half of the hosts that is near to it, and to the other one.
    fn post_down(&mut self, n: usize, to: Option<usize>, at: Moment, letter: impl Fn(usize) -> Letter) {
        for half in 0..2 {
            if to.is_none_or(|host| self.half_of(host) == half) {
                self.post(at + self.delay(n, half), letter(half));
            }
        }
    }

    fn delay(&self, line: usize, half: usize) -> Duration {
        self.pair.delays[usize::from(line != half)]
    }

    fn half_of(&self, host: usize) -> usize {
        usize::from(host >= self.members.len() / 2)
    }

    fn deliver(&mut self, letter: Letter) {
        let now = self.now;
        match letter {
            Letter::Up { line, host, bytes } => {
                let _ = self.lines[line].sender.handle_datagram(now, address(host), &bytes);
                self.lines[line].note_events(now);
            }
            Letter::Down { line, to, half, bytes } => {
                let wall = WallClock(WALL.0 + now.micros() / 1000);
                for host in self.hearers(to, half) {
                    if self.losses.draw(&mut self.dice, 1) == 0 {
                        let machine = &mut self.members[host].machine;
                        let _ = machine.handle_datagram(now, wall, sender_address(line), &bytes);
                        self.turn_host(host);
                    }
                }
            }
            Letter::Symbols { to, half, first, count } => {
                let bytes = self.geometry.datagram_bytes();
                for host in self.hearers(to, half) {
                    let lost = self.losses.draw(&mut self.dice, count);
                    self.members[host].machine.accept_run(now, &first, count - lost, bytes);
                    if self.work(host) {
                        self.turn_host(host);
                    }
                }
            }
        }
    }

    /// Those of the hosts in `half` that hear what goes to `to`, or to all.
    fn hearers(&self, to: Option<usize>, half: usize) -> std::ops::Range<usize> {
        let (all, middle) = (self.members.len(), self.members.len() / 2);
        match (to, half) {
            (Some(host), _) => host..host + 1,
            (None, 0) => 0..middle,
            (None, _) => middle..all,
        }
    }

    fn work(&mut self, host: usize) -> bool {
        self.members[host].work(self.now, self.geometry)
    }

    fn turn_host(&mut self, host: usize) {
        let now = self.now;
        self.members[host].machine.handle_timeout(now);
        self.work(host);
        let (half, member) = (self.half_of(host), &mut self.members[host]);
        let (mut said, mut out) = (Vec::new(), Vec::new());
        while let Some(to) = member.machine.poll_transmit(now, &mut out) {
            said.push((to, std::mem::take(&mut out)));
        }
        while member.machine.poll_event().is_some() {}
        let wake = member.machine.poll_timeout().map_or(NEVER, |(at, _)| at);
        if wake < member.wake {
            member.wake = wake;
            self.wakes.push(Reverse((wake, host)));
        }
        for (to, bytes) in said {
            let line = usize::from(to == sender_address(1));
            if !self.dice.chance(self.pair.loss) {
                self.post(now + self.delay(line, half), Letter::Up { line, host, bytes });
            }
        }
    }

    fn post(&mut self, at: Moment, letter: Letter) {
        self.lettered += 1;
        self.mail.push(Reverse((at, self.lettered)));
        self.letters.insert(self.lettered, letter);
    }
}

impl Line {
    fn new(n: usize, pair: Pair, geometry: Geometry) -> Self {
        let rate = Rate::from_bits(pair.line).expect("a rate");
        let begins = Moment::default() + if n == 1 { pair.apart } else { Duration::ZERO };
        // The announcements say the time by the sender's own clock.
        let behind = if n == 1 { pair.behind.as_millis() as u64 } else { 0 };
        let config = SenderConfig {
            session: SessionId([n as u8 + 1; 16]),
            name: ObjectName::new(["first", "second"][n]).expect("plain"),
            started: WallClock(WALL.0 + begins.micros() / 1_000 - behind),
            pace: Pace::Fixed(rate),
            reply_to: sender_address(n),
            agreement: AgreementKey::from_seed(&[0xC0 + n as u8; AgreementKey::SEED_BYTES].into()),
            ..config(pair.path(), geometry)
        };
        Self {
            sender: Sender::new(begins, config),
            begins,
            fresh: VecDeque::new(),
            read: 0,
            proven: false,
            free_at: begins,
            job: None,
            sent_bits: 0,
            done: 0,
            ended: None,
        }
    }

    fn read_source(&mut self, now: Moment, geometry: Geometry) {
        while self.fresh.len() < 2 && self.read < geometry.blocks() {
            let entry = ManifestEntry { encoding: Encoding::Stored, hash: hash(BlockIndex(self.read)) };
            let ahead = self.sender.repair_ahead();
            self.fresh.push_back(self.sender.handle_block(entry, ahead));
            self.read += 1;
        }
        if self.read == geometry.blocks() && !std::mem::replace(&mut self.proven, true) {
            self.sender.handle_source_proven(now);
        }
    }

    fn finish_job(&mut self, now: Moment) {
        if let Some((job, first, count)) = self.job.filter(|_| self.free_at <= now) {
            self.job = None;
            self.sender.handle_sent(now, job, first.sequence.plus(count - 1));
        }
    }

    fn note_events(&mut self, now: Moment) {
        while let Some(event) = self.sender.poll_event() {
            self.done += u32::from(matches!(event, SenderEvent::Done(_)));
        }
        if self.sender.verdict().is_some() {
            self.ended.get_or_insert(now);
        }
    }

    /// Begins the next job; returns its first symbol and the number of its symbols.
    fn begin_job(&mut self, now: Moment, geometry: Geometry) -> Option<(SymbolHeader, u32)> {
        let room = JobRoom { repair: true, source: !self.fresh.is_empty() };
        let job = self.sender.poll_job(room)?;
        let block = job.block();
        if matches!(job, Job::Source { .. }) && self.fresh.front() == Some(&block) {
            self.fresh.pop_front();
        }
        let source_symbols = geometry.shape(geometry.block_len(block)).source_symbols();
        let count = job.symbols(source_symbols);
        let first = SymbolHeader {
            tag: self.sender.config().session.tag(),
            sequence: self.sender.take_sequences(To::Everyone, count),
            block,
            esi: job.esi(source_symbols, 0),
            encoded_len: geometry.block_len(block),
        };
        self.occupy(now, count, geometry.datagram_bytes());
        self.job = Some((job, first, count));
        Some((first, count))
    }

    fn occupy(&mut self, now: Moment, count: u32, bytes: usize) -> Moment {
        let bits = frame_bits(bytes) * u64::from(count);
        self.sent_bits += bits;
        let nanos = u128::from(bits) * 1_000_000_000 / u128::from(self.sender.rate().max(1));
        self.free_at = self.free_at.max(now) + Duration::from_nanos(nanos as u64);
        self.free_at
    }
}

/// The address of each sender.
fn sender_address(line: usize) -> SocketAddr {
    ([10, 0, 0, line as u8 + 1], 7_167).into()
}

/// The host of an address.
fn number(at: SocketAddr) -> usize {
    match at.ip() {
        std::net::IpAddr::V4(ip) => {
            let [_, high, middle, low] = ip.octets();
            usize::from(high - 1) << 16 | usize::from(middle) << 8 | usize::from(low)
        }
        std::net::IpAddr::V6(_) => unreachable!("hosts have addresses of IPv4"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pushes_that_begin_together_are_sent_once_each_though_half_of_the_hosts_hear_the_second_one_first()
    {
        for apart in [0, 1, 30] {
            let pair = Pair { apart: Duration::from_millis(apart), ..PAIR };
            let outcome = push(pair);
            println!("{apart} ms apart: {outcome}");
            assert_good(&outcome);
        }
    }

    #[test]
    fn two_pushes_that_begin_together_are_sent_once_each_where_datagrams_are_lost() {
        let outcome = push(Pair { loss: 0.01, ..PAIR });
        println!("{outcome}");
        assert_good(&outcome);
    }

    #[test]
    fn a_push_that_claims_to_have_begun_before_those_at_work_on_another_takes_no_host_from_it() {
        let second = Duration::from_secs(1);
        let outcome = push(Pair { apart: second, behind: 2 * second, ..PAIR });
        println!("{outcome}");
        assert_good(&outcome);
        assert!(outcome.seconds[0] < outcome.seconds[1], "the first one was under way");
    }

    fn assert_good(outcome: &Outcome) {
        assert!(outcome.verdicts.iter().all(|verdict| *verdict == Verdict::Complete), "{outcome}");
        assert!(outcome.done.iter().all(|&done| done == PAIR.hosts), "{outcome}");
        assert!(outcome.sent.iter().sum::<f64>() <= 2.0 * 1.1, "{outcome}");
    }

    const PAIR: Pair = Pair {
        hosts: 20,
        object_bytes: 256 << 20,
        line: 1_000_000_000,
        apart: Duration::ZERO,
        behind: Duration::ZERO,
        delays: [Duration::from_micros(100), Duration::from_millis(40)],
        loss: 0.0,
        seed: 1,
    };
}
