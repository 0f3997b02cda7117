//! A query for some of many hosts, with the real machines: who looks into it, and what it costs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::ids::{HostName, ObjectName, SessionId};
use glancecast_proto::integrity::Root;
use glancecast_proto::keyring::Keyring;
use glancecast_proto::known::KnownHosts;
use glancecast_proto::limits::CONTROL_SMALL;
use glancecast_proto::query::{Lookup, Querier, QuerierConfig, Reply, Responder, ResponderConfig, Standing};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{Expected, To};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{AnswerState, Discard, Finding, Held, HeldDigest, Kept, Query, Sought};

use super::dice::Dice;
use super::host::{KEY, SENDER, WALL};
use super::identity::host_key;
use super::overhear;
use super::pusher::signing_key;

/// A query for the first `named` of `hosts` hosts, signed by a sender that all of them list.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The number of hosts of the group.
    pub hosts: u32,
    /// How many of them the query is for.
    pub named: u32,
    /// The query.
    pub what: What,
    /// The share of datagrams that each host loses, in both directions.
    pub loss: f64,
}

/// What hosts are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// To read a copy back.
    Verify,
    /// To let a copy go.
    Unpin,
}

/// What became of a query.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    /// The time until nothing more was waited for.
    pub time: Duration,
    /// Bytes of datagrams from the querier, and from hosts.
    pub down: u64,
    /// Bytes of datagrams from hosts.
    pub up: u64,
    /// Hosts that looked into the query and that it was for.
    pub looked_into: u32,
    /// Hosts whose whole answer came.
    pub answered: u32,
    /// Hosts that looked into the query and that it was not for.
    pub touched: u32,
    /// Datagrams that they sent.
    pub said_by_others: u32,
    /// Hosts that have counted a query that was not for them.
    pub not_for_us: u32,
}

impl Answered {
    /// Bytes of all datagrams.
    pub fn bytes(&self) -> u64 {
        self.down + self.up
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, down, up, answered, .. } = self;
        write!(f, "{answered} answers in {:.3} s, {down} bytes to hosts, {up} from them", time.as_secs_f64())
    }
}

/// Simulates one query.
pub fn ask(asked: Asked) -> Answered {
    Survey::new(asked).run()
}

struct Survey {
    asked: Asked,
    now: Moment,
    querier: Querier,
    hosts: Vec<Responder>,
    /// Datagrams under way, by their time; ties in the order of sending.
    mail: BinaryHeap<Reverse<(Moment, u64)>>,
    letters: BTreeMap<u64, (To, Option<usize>, Vec<u8>)>,
    dice: Dice,
    result: Answered,
}

impl Survey {
    fn new(asked: Asked) -> Self {
        let about = Sought::new(Some(image()), None).expect("a name");
        let config = QuerierConfig {
            id: SessionId([3; 16]),
            key: GroupKey::new(KEY),
            signer: Some(signing_key()),
            agreement: overhear::sender_agreement(),
            known: KnownHosts {
                keys: (0..asked.named).map(|host| (name(host), key(host).public())).collect(),
                ..KnownHosts::default()
            },
            query: match asked.what {
                What::Verify => Query::Verify(about),
                What::Unpin => Query::Unpin(about),
            },
            new_key: None,
            reply_to: SENDER,
            answer_bytes_max: CONTROL_SMALL as u16,
            started: WALL,
            wait: Duration::from_secs(5),
            expected: Expected::Named((0..asked.named).map(name).collect()),
        };
        Self {
            now: Moment::default(),
            querier: Querier::new(Moment::default(), config),
            hosts: (0..asked.hosts).map(responder).collect(),
            mail: BinaryHeap::new(),
            letters: BTreeMap::new(),
            dice: Dice::new(u64::from(asked.hosts)),
            result: Answered::default(),
            asked,
        }
    }

    fn run(mut self) -> Answered {
        loop {
            self.turn_querier();
            if self.querier.is_finished(self.now) {
                break;
            }
            for host in 0..self.hosts.len() {
                if self.hosts[host].poll_timeout().is_some_and(|at| at <= self.now) {
                    self.turn_host(host);
                }
            }
            let mail = self.mail.peek().map(|&Reverse((at, _))| at);
            let hosts = self.hosts.iter().filter_map(Responder::poll_timeout).min();
            let next = [mail, hosts, self.querier.poll_timeout(self.now)].into_iter().flatten().min();
            self.now = next.unwrap_or(self.now).max(self.now + STEP);
            while self.mail.peek().is_some_and(|&Reverse((at, _))| at <= self.now) {
                let Reverse((_, letter)) = self.mail.pop().expect("just seen");
                self.deliver(letter);
            }
        }
        self.result.time = self.now.since(Moment::default());
        let whole = self.querier.rows().into_iter().filter(|row| row.standing == Standing::Answered);
        self.result.answered = whole.filter(|row| row.objects.len() == 1).count() as u32;
        let counted = self.hosts.iter().filter(|host| host.discards().of(Discard::NotForUs) > 0);
        self.result.not_for_us = counted.count() as u32;
        self.result
    }

    fn turn_querier(&mut self) {
        let mut out = Vec::new();
        while let Some(transmit) = self.querier.poll_transmit(self.now, &mut out) {
            self.result.down += out.len() as u64;
            self.post(transmit.to, None, out.clone());
        }
    }

    fn turn_host(&mut self, host: usize) {
        let (now, is_named) = (self.now, host < self.asked.named as usize);
        self.hosts[host].handle_timeout(now);
        while let Some(lookup) = self.hosts[host].poll_lookup() {
            if let Lookup::Open(id, _, _) = lookup {
                *(if is_named { &mut self.result.looked_into } else { &mut self.result.touched }) += 1;
                self.hosts[host].handle_reply(now, id, reply(self.asked.what));
            }
        }
        let mut out = Vec::new();
        while self.hosts[host].poll_transmit(now, &mut out).is_some() {
            self.result.up += out.len() as u64;
            self.result.said_by_others += u32::from(!is_named);
            self.post(To::Host(SENDER), Some(host), out.clone());
        }
    }

    fn deliver(&mut self, letter: u64) {
        let (to, from, bytes) = self.letters.remove(&letter).expect("put there with it");
        if let Some(from) = from {
            if !self.dice.chance(self.asked.loss) {
                let _ = self.querier.handle_datagram(self.now, address(from), &bytes);
            }
            return;
        }
        for host in 0..self.hosts.len() {
            let is_for_it = to.host().is_none_or(|to| to == address(host));
            if is_for_it && !self.dice.chance(self.asked.loss) && self.hosts[host].is_for(&bytes) {
                let wall = WallClock(WALL.0 + self.now.micros() / 1000);
                let _ = self.hosts[host].handle_datagram(self.now, wall, SENDER, &bytes);
                self.turn_host(host);
            }
        }
    }

    fn post(&mut self, to: To, from: Option<usize>, bytes: Vec<u8>) {
        let number = self.letters.last_key_value().map_or(0, |(&last, _)| last + 1);
        self.letters.insert(number, (to, from, bytes));
        self.mail.push(Reverse((self.now + DELAY, number)));
    }
}

fn responder(number: u32) -> Responder {
    Responder::new(ResponderConfig {
        name: name(number),
        software: "simulated".into(),
        keys: Keyring::of(vec![GroupKey::new(KEY)]),
        host_key: key(number),
        secret: overhear::start_secret(),
        senders: vec![signing_key().public()].into(),
        start: std::array::from_fn(|i| (number >> (8 * (i % 4))) as u8),
        seed: std::array::from_fn(|i| (number >> (8 * (i % 4))) as u8 ^ 0x5A),
        started: WallClock(WALL.0 - 1_000),
    })
}

fn reply(what: What) -> Reply {
    let object = Held {
        name: image(),
        image_id: None,
        bytes: 1 << 30,
        root: Root([1; 32]),
        proven: WALL,
        kept: Kept::ByRule,
        finding: match what {
            What::Verify => Finding::Intact,
            What::Unpin => Finding::LetGo(Kept::Forever),
        },
    };
    Reply {
        store: "directory:/srv".into(),
        free_bytes: Some(1 << 40),
        held: 1,
        pinned: 0,
        digest: HeldDigest::of([]),
        objects: vec![object],
        state: AnswerState::Final,
    }
}

fn image() -> ObjectName {
    ObjectName::new("image").expect("plain")
}

fn name(number: u32) -> HostName {
    HostName::new(&format!("compute-{number}")).expect("plain")
}

fn key(number: u32) -> glancecast_proto::sign::SigningKey {
    host_key(&format!("compute-{number}"))
}

fn address(host: usize) -> SocketAddr {
    ([10, (host >> 16) as u8 + 1, (host >> 8) as u8, host as u8], 40_000).into()
}

/// One way: a round trip takes a millisecond.
const DELAY: Duration = Duration::from_micros(500);
/// What happens within this time happens at once.
const STEP: Duration = Duration::from_micros(100);
