//! A querier and many hosts with their shells, in virtual time, on a seeded network that loses, doubles and delays.
#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::agree::{AgreementKey, StartSecret};
use glancecast_proto::doctor::Counters;
use glancecast_proto::ids::{HostName, ObjectName, Sequence, SessionId};
use glancecast_proto::integrity::Root;
use glancecast_proto::keyring::Keyring;
use glancecast_proto::known::{KnownHosts, UnknownHosts};
use glancecast_proto::limits::CONTROL_SMALL;
use glancecast_proto::query::{
    HostAnswer, Lookup, LookupId, Querier, QuerierConfig, Reply, Responder, ResponderConfig,
};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::Expected;
use glancecast_proto::sign::{Scope, SigningKey};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    About, AnswerState, Ask, Audience, Finding, Held, HeldDigest, Kept, Query, Sought,
};

use crate::dice::Dice;

/// A querier, hosts, and the network between them.
pub(crate) struct World {
    pub(crate) now: Moment,
    pub(crate) id: SessionId,
    pub(crate) querier: Querier,
    pub(crate) hosts: BTreeMap<usize, Host>,
    pub(crate) loss: f64,
    /// Whether all datagrams of the querier are lost.
    pub(crate) mute: bool,
    pub(crate) mail: BTreeMap<(Moment, u64), Mail>,
    pub(crate) mailed: u64,
    pub(crate) dice: Dice,
    pub(crate) said: Vec<Vec<u8>>,
    pub(crate) heard: Vec<Vec<u8>>,
    pub(crate) answers_by_tenth: BTreeMap<u64, u32>,
}

pub(crate) struct Host {
    pub(crate) responder: Responder,
    pub(crate) answering: Answering,
    pub(crate) looked_into: u32,
    pub(crate) forgotten: u32,
    /// The verification that is in progress.
    pub(crate) pending: Option<(LookupId, Moment)>,
    /// What is on the disk of its group keys.
    pub(crate) kept: Option<Keyring>,
    /// Whether its disk takes a keyring.
    pub(crate) keeps: bool,
}

#[derive(Clone)]
pub(crate) enum Answering {
    Holds(usize),
    Verifies(Duration, Finding),
}

pub(crate) enum Mail {
    Down(usize, Vec<u8>),
    Up(usize, Vec<u8>),
}

impl World {
    pub(crate) fn new(seed: u64, loss: f64, config: QuerierConfig) -> Self {
        Self {
            now: Moment::default(),
            id: config.id,
            querier: Querier::new(Moment::default(), config),
            hosts: BTreeMap::new(),
            loss,
            mute: false,
            mail: BTreeMap::new(),
            mailed: 0,
            dice: Dice::of("network", seed),
            said: Vec::new(),
            heard: Vec::new(),
            answers_by_tenth: BTreeMap::new(),
        }
    }

    pub(crate) fn start(&mut self, host: usize, answering: Answering) {
        self.start_as(host, config(host, STARTED), answering);
    }

    pub(crate) fn start_listing_the_sender(&mut self, host: usize, answering: Answering) {
        let senders = vec![sender_key().public()].into();
        self.start_as(host, ResponderConfig { senders, ..config(host, STARTED) }, answering);
    }

    pub(crate) fn start_as(&mut self, host: usize, config: ResponderConfig, answering: Answering) {
        let responder = Responder::new(config);
        let started = Host {
            responder,
            answering,
            looked_into: 0,
            forgotten: 0,
            pending: None,
            kept: None,
            keeps: true,
        };
        self.hosts.insert(host, started);
    }

    /// Asks another query of the same hosts.
    pub(crate) fn ask_again(&mut self, config: QuerierConfig) {
        (self.id, self.querier) = (config.id, Querier::new(self.now, config));
    }

    pub(crate) fn run(&mut self) -> Vec<HostAnswer> {
        while !self.querier.is_finished(self.now) {
            self.step();
            assert!(self.now < at(Duration::from_secs(300)), "the query does not end");
        }
        self.querier.rows()
    }

    pub(crate) fn settle(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.step();
        }
    }

    fn step(&mut self) {
        self.deliver();
        let mut out = Vec::new();
        while let Some(transmit) = self.querier.poll_transmit(self.now, &mut out) {
            self.said.push(out.clone());
            let to: Vec<usize> = self
                .hosts
                .keys()
                .copied()
                .filter(|&id| transmit.to.host().is_none_or(|to| to == address(id)))
                .collect();
            to.into_iter()
                .filter(|_| !self.mute)
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|id| self.post(Mail::Down(id, out.clone())));
        }
        let ids: Vec<usize> = self.hosts.keys().copied().collect();
        ids.into_iter().for_each(|id| self.drive_host(id));
        let next = self.mail.keys().next().map_or(Duration::from_millis(5), |&(at, _)| at.since(self.now));
        self.now = self.now + next.clamp(Duration::from_micros(50), Duration::from_millis(5));
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.mail.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Mail::Down(id, bytes) => {
                    let wall = WallClock(STARTED.0 + self.now.micros() / 1000);
                    if let Some(host) = self.hosts.get_mut(&id) {
                        let _ = host.responder.handle_datagram(self.now, wall, QUERIER, &bytes);
                    }
                }
                Mail::Up(id, bytes) => {
                    *self.answers_by_tenth.entry(self.now.micros() / 100_000).or_default() += 1;
                    let _ = self.querier.handle_datagram(self.now, address(id), &bytes);
                    self.heard.push(bytes);
                }
            }
        }
    }

    fn drive_host(&mut self, id: usize) {
        let now = self.now;
        let host = self.hosts.get_mut(&id).expect("started");
        host.responder.handle_timeout(now);
        while let Some(lookup) = host.responder.poll_lookup() {
            host.look_into(now, lookup);
        }
        if let Some((lookup, _)) = host.pending.take_if(|(_, until)| now >= *until) {
            let Answering::Verifies(_, finding) = host.answering.clone() else { unreachable!("pending") };
            host.responder.handle_reply(now, lookup, reply(objects_with(1, &finding), AnswerState::Final));
        }
        let mut out = Vec::new();
        let mut said = Vec::new();
        while let Some(to) = host.responder.poll_transmit(now, &mut out) {
            assert_eq!(to, QUERIER);
            assert!(out.len() <= CONTROL_SMALL, "{} bytes", out.len());
            said.push(out.clone());
        }
        said.into_iter().for_each(|bytes| self.post(Mail::Up(id, bytes)));
    }

    fn post(&mut self, mail: Mail) {
        let mut chance = |probability: f64| (self.dice.below(1_000_000) as f64) < probability * 1e6;
        if chance(self.loss) {
            return;
        }
        let doubled = chance(0.05);
        let (id, bytes, down) = match mail {
            Mail::Down(id, bytes) => (id, bytes, true),
            Mail::Up(id, bytes) => (id, bytes, false),
        };
        for _ in 0..1 + u32::from(doubled) {
            let at = self.now + Duration::from_micros(50 + self.dice.below(200));
            self.mailed += 1;
            let mail = if down { Mail::Down(id, bytes.clone()) } else { Mail::Up(id, bytes.clone()) };
            self.mail.insert((at, self.mailed), mail);
        }
    }
}

impl Host {
    fn look_into(&mut self, now: Moment, lookup: Lookup) {
        match (lookup, &self.answering) {
            (Lookup::Forget(_), _) => self.forgotten += 1,
            (Lookup::Keep(id, keys), _) => {
                if self.keeps {
                    self.kept = Some(keys.clone());
                }
                let result = if self.keeps { Ok(keys) } else { Err("the disk is full".to_owned()) };
                self.responder.handle_kept(now, id, result);
            }
            (Lookup::Examine(id, examination), _) => {
                self.looked_into += 1;
                self.responder.handle_measured(now, id, examination, Counters::default());
            }
            (Lookup::Open(id, Query::Rekey, _), _) => {
                self.responder.handle_reply(now, id, reply(objects(0), AnswerState::AwaitingKey));
            }
            (Lookup::Open(id, _, _), Answering::Holds(count)) => {
                self.looked_into += 1;
                self.responder.handle_reply(now, id, reply(objects(*count), AnswerState::Final));
            }
            (Lookup::Open(id, _, _), Answering::Verifies(time, _)) => {
                self.looked_into += 1;
                self.pending = Some((id, now + *time));
                let state = AnswerState::Verifying { done: 0, of: 1 << 30 };
                self.responder.handle_reply(now, id, reply(objects_with(1, &Finding::Pending), state));
            }
        }
    }
}

pub(crate) fn about(state: u64) -> About {
    About {
        key: host_key(0).public(),
        agreement: agreement().public(),
        name: name(0),
        software: "test".into(),
        store: "directory:/srv".into(),
        free_bytes: None,
        held: 1,
        pinned: 0,
        digest: HeldDigest([0; 16]),
        state: match state {
            0 => AnswerState::Final,
            1 => AnswerState::Verifying { done: u64::MAX, of: u64::MAX },
            2 => AnswerState::Busy,
            _ => AnswerState::Failed("no".into()),
        },
    }
}

pub(crate) fn reply(objects: Vec<Held>, state: AnswerState) -> Reply {
    let held = objects.len() as u32;
    let digest = HeldDigest::of(objects.iter().map(|held| (&held.name, held.root)));
    Reply { store: "directory:/srv".into(), free_bytes: Some(1), held, pinned: 0, digest, objects, state }
}

pub(crate) fn objects(count: usize) -> Vec<Held> {
    objects_with(count, &Finding::Listed)
}

pub(crate) fn objects_with(count: usize, finding: &Finding) -> Vec<Held> {
    let held = |i| Held {
        name: ObjectName::new(&format!("image-{i}")).expect("plain"),
        image_id: None,
        bytes: i as u64,
        root: Root([i as u8; 32]),
        proven: STARTED,
        kept: Kept::Forever,
        finding: finding.clone(),
    };
    (0..count).map(held).collect()
}

pub(crate) fn asking(query: Query, expected: Expected) -> QuerierConfig {
    QuerierConfig {
        id: SessionId([3; 16]),
        key: key(),
        signer: None,
        agreement: agreement(),
        known: KnownHosts::default(),
        query,
        new_key: None,
        reply_to: QUERIER,
        answer_bytes_max: CONTROL_SMALL as u16,
        started: STARTED,
        wait: WAIT,
        expected,
    }
}

pub(crate) fn sealed_ask(id: u8, time: WallClock, query: Query) -> Vec<u8> {
    let id = SessionId([id; 16]);
    let spread = Duration::ZERO;
    let answer_bytes_max = CONTROL_SMALL as u16;
    let (audience, agreement) = (Audience::Everyone, agreement().public());
    let ask =
        Ask { id, time, round: 1, reply_to: QUERIER, spread, answer_bytes_max, audience, agreement, query };
    let mut out = Vec::new();
    let sequence = Sequence::new(1).expect("small");
    ask.seal(&Cipher::downward(&key(), id), None, sequence, &mut out);
    out
}

pub(crate) fn config(host: usize, started: WallClock) -> ResponderConfig {
    ResponderConfig {
        name: name(host),
        software: "test".into(),
        keys: Keyring::of(vec![key()]),
        host_key: host_key(host),
        secret: StartSecret::new([host as u8; 32]),
        senders: Vec::new().into(),
        start: [host as u8; 16],
        seed: *blake3::hash(&host.to_be_bytes()).as_bytes(),
        started,
    }
}

pub(crate) fn named(count: usize) -> Expected {
    Expected::Named((0..count).map(name).collect::<BTreeSet<_>>())
}

pub(crate) fn name(host: usize) -> HostName {
    HostName::new(&format!("compute-{host:04}")).expect("plain")
}

pub(crate) fn sought(name: &str) -> Sought {
    Sought::new(Some(ObjectName::new(name).expect("plain")), None).expect("a name")
}

pub(crate) fn address(host: usize) -> SocketAddr {
    ([10, 0, 1 + (host / 200) as u8, (host % 200) as u8], 40_000).into()
}

pub(crate) fn at(time: Duration) -> Moment {
    Moment::default() + time
}

pub(crate) fn host_key(host: usize) -> SigningKey {
    SigningKey::from_seed(&(*blake3::hash(&host.to_le_bytes()).as_bytes()).into())
}

pub(crate) fn sender_key() -> SigningKey {
    SigningKey::from_seed(&[66; 32].into())
}

pub(crate) fn agreement() -> AgreementKey {
    AgreementKey::from_seed(&[5; 32].into())
}

pub(crate) fn known(hosts: std::ops::Range<usize>) -> KnownHosts {
    let keys = hosts.map(|host| (name(host), host_key(host).public())).collect();
    KnownHosts { keys, unknown: UnknownHosts::Taken }
}

pub(crate) fn key_scope(id: SessionId) -> Scope {
    key().scope(id)
}

pub(crate) fn key() -> GroupKey {
    GroupKey::new([7; 32])
}

pub(crate) const QUERIER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 7168);
pub(crate) const STARTED: WallClock = WallClock(1_000_000_000);
pub(crate) const WAIT: Duration = Duration::from_secs(2);
