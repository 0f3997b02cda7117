//! No number is used twice under one key: across starts and uplinks of hosts, sessions, queries, groups whose key
//! is being replaced, senders of one session id, and clocks that step. Two datagrams under one key and number would
//! reveal both of them, and the key that authenticates them. Seeded; the seed is printed.

mod dice;
mod pair;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use dice::Dice;
use glancecast_proto::agree::{AgreementKey, AgreementPublic, StartSecret};
use glancecast_proto::echo::Echo;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{HostName, ObjectName, ReceiverId, Sequence, SessionId};
use glancecast_proto::keyring::Keyring;
use glancecast_proto::known::KnownHosts;
use glancecast_proto::limits::CONTROL_SMALL;
use glancecast_proto::query::{Lookup, Querier, QuerierConfig, Reply, Responder, ResponderConfig};
use glancecast_proto::receiver::{
    Attempt, BlockRoom, Effect, Failure, Opened, Receiver, ReceiverConfig, ReceiverEvent,
};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::{Expected, Sender};
use glancecast_proto::sign::{PublicKey, SigningKey};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    Ack, Announce, Answer, AnswerState, Ask, Audience, AudiencePage, DiskFormat, Down, End, FailureKind,
    Header, Heard, HeldDigest, Hello, Kind, Notice, Page, Part, Pin, Poll, Query, Up, UpHeader,
};

#[test]
fn no_number_is_used_twice_under_one_key() {
    let mut seen = Seen::default();
    for seed in 0..60 {
        let mut group = Group::new(Dice::of("nonces", seed));
        (0..4_000).for_each(|_| group.operate());
        seen.add(&group.ledger.seen);
    }
    println!("{seen:?}");
    assert!(seen.starts > 1_000 && seen.under_each_key.iter().all(|&said| said > 1_000));
    assert!(seen.notices > 100, "so many versions meet");
    assert!(seen.again > 100, "a start that comes back to a session is what this is about");
    assert!(seen.asked_again > 20, "as is a query that a step of the clock has made new");
    assert!(seen.alone > 1_000, "what only one sender can open has keys of its own");
    assert!(seen.agreements > 1_000);
}

#[test]
fn a_senders_numbers_to_the_group_and_to_its_hosts_never_meet() {
    let mut sender = Sender::new(pair::at(0), pair::push_of(1, 4_096));
    let (mut numbers, mut acks, mut out) = (BTreeMap::new(), 0, Vec::new());
    let mut hosts: Vec<Receiver> = (0..20).map(host_of_a_push).collect();
    for ms in 0..3_000 {
        let now = pair::at(ms);
        sender.handle_timeout(now);
        while let Some(transmit) = sender.poll_transmit(now, &mut out) {
            let number = Header::parse(&out).expect("ours").sequence;
            assert_eq!(numbers.insert(number, out.clone()), None, "number {number} twice");
            acks += u32::from(transmit.kind == Kind::Ack);
            // Every third acknowledgement is lost, so that hosts go on asking for theirs.
            if transmit.kind != Kind::Ack || acks % 3 > 0 {
                for host in &mut hosts {
                    let _ = host.handle_datagram(now, pair::wall(now), pair::SENDER, &out);
                }
            }
        }
        for (host, at) in hosts.iter_mut().zip(0..) {
            while let Some((_, datagram)) = pair::said(host, now) {
                let _ = sender.handle_datagram(now, ([10, 0, 1, at], 7167).into(), &datagram);
            }
        }
    }
    println!("{} datagrams, {acks} of them to one host alone", numbers.len());
    assert!(acks > 20 && sender.tally().heard == 20);
}

#[test]
fn a_queriers_numbers_to_the_group_and_to_its_hosts_never_meet() {
    let names: BTreeSet<HostName> = (0..3).map(name_of).collect();
    let config = QuerierConfig {
        id: QUERIES[0],
        key: GroupKey::new(KEYS[0]),
        signer: Some(SigningKey::from_seed(&[8; 32].into())),
        agreement: sender_agreement(0),
        known: KnownHosts::default(),
        query: Query::Hosts,
        new_key: None,
        reply_to: SENDER,
        answer_bytes_max: 1_232,
        started: WALL,
        wait: Duration::from_secs(3),
        expected: Expected::Named(names),
    };
    let mut dice = Dice::of("querier", 1);
    let mut hosts: Vec<Host> = (0..2).map(|number| Host::start(number, &mut dice)).collect();
    let mut querier = Querier::new(Moment::default(), config);
    let (mut numbers, mut kinds, mut out) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let mut now = Moment::default();
    while !querier.is_finished(now) {
        while let Some(transmit) = querier.poll_transmit(now, &mut out) {
            let number = Header::parse(&out).expect("ours").sequence;
            assert_eq!(numbers.insert(number, out.clone()), None, "number {number} twice");
            *kinds.entry(transmit.kind as u8).or_insert(0) += 1;
            hosts.iter_mut().for_each(|host| host.hear(WALL, &out));
        }
        for host in &mut hosts {
            host.now = now;
            host.answer(&mut dice);
            for datagram in host.said() {
                let _ = querier.handle_datagram(now, SENDER, &datagram);
            }
        }
        now = now + Duration::from_millis(7);
    }
    println!("{kinds:?}");
    assert_eq!(
        kinds.keys().copied().collect::<Vec<_>>(),
        [Kind::Audience as u8, Kind::Ask as u8, Kind::Heard as u8]
    );
}

#[test]
fn a_thousand_links_of_one_start_have_a_thousand_keys() {
    for seed in 0..3 {
        let mut dice = Dice::of("links", seed);
        let mut host = Host::start(0, &mut dice);
        let mut ids = BTreeSet::new();
        for _ in 0..1_000 {
            let wall = WallClock(WALL.0 + host.now.micros() / 1_000);
            host.hear(wall, &announcement(0, SESSIONS[0], wall, 1, Announcer::First, Audience::Everyone));
            let hello = host.said().into_iter().find_map(|datagram| UpHeader::parse(&datagram).ok());
            assert!(ids.insert(hello.expect("a hello").receiver), "link {} of seed {seed}", ids.len());
            host.now = host.now + Duration::from_secs(31);
            host.said();
        }
    }
}

/// Hosts that share keys, and the senders and queriers that they hear.
struct Group {
    dice: Dice,
    wall: WallClock,
    hosts: Vec<Host>,
    ledger: Ledger,
    /// The last number used in datagrams to the hosts.
    sequence: u64,
}

/// One start of a host, with both of its machines.
struct Host {
    number: usize,
    /// Its own clock, since this start.
    now: Moment,
    receiver: Receiver,
    responder: Responder,
    lookups: Vec<Lookup>,
    opening: Vec<Attempt>,
    /// Its id and the session or query of its last datagram, which are in clear.
    us: Option<(ReceiverId, SessionId)>,
    joined: BTreeMap<SessionId, u32>,
    asked: BTreeMap<SessionId, BTreeSet<ReceiverId>>,
}

/// All datagrams sent, by their key and number.
#[derive(Default)]
struct Ledger {
    said: BTreeMap<(Writer, u64), Vec<u8>>,
    /// The agreement key of each start in each session, as its hello or its answer has it, and whose it is.
    agreements: BTreeMap<(SessionId, ReceiverId), AgreementPublic>,
    owners: BTreeMap<AgreementPublic, (SessionId, ReceiverId)>,
    seen: Seen,
}

/// What a key is derived from, in addition to the group key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Writer {
    Up(usize, SessionId, ReceiverId),
    /// To this sender alone.
    PrivateUp(usize, SessionId, ReceiverId, Announcer),
    Notice(usize, [u8; 16]),
}

/// Who announces a session. Whoever has the group key can announce the session of another sender, with its own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Announcer {
    First,
    Second,
}

/// How often the cases under test occurred.
#[derive(Debug, Default)]
struct Seen {
    starts: u32,
    /// Sessions joined again by the same start.
    again: u32,
    /// Queries answered again by the same start.
    asked_again: u32,
    notices: u32,
    /// Datagrams to one sender alone.
    alone: u32,
    agreements: u32,
    under_each_key: [u32; KEYS.len()],
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.starts += other.starts;
        self.again += other.again;
        self.asked_again += other.asked_again;
        self.notices += other.notices;
        self.alone += other.alone;
        self.agreements += other.agreements;
        self.under_each_key.iter_mut().zip(other.under_each_key).for_each(|(sum, more)| *sum += more);
    }
}

impl Ledger {
    /// # Panics
    /// If another datagram was sent under this key and number before.
    fn note(&mut self, datagram: &[u8]) {
        let (writer, number) = self.writer(datagram);
        let before = self.said.entry((writer, number)).or_insert_with(|| datagram.to_vec());
        assert!(before == datagram, "two datagrams of number {number} under one key");
    }

    fn writer(&mut self, datagram: &[u8]) -> (Writer, u64) {
        if Notice::is(datagram) {
            let key = KEYS.iter().position(|&key| Notice::open(&GroupKey::new(key), datagram).is_ok());
            self.seen.notices += 1;
            let salt = *datagram[5..].first_chunk().expect("its salt");
            return (Writer::Notice(key.expect("under a key of ours"), salt), 0);
        }
        let up = UpHeader::parse(datagram).expect("hosts say nothing else");
        let mut sessions = SESSIONS.iter().chain(&QUERIES);
        let session = *sessions.find(|id| id.tag() == up.header.tag).expect("of one that there is");
        let id = (session, up.receiver);
        let under = match up.header.kind {
            Kind::Hello | Kind::Answer => {
                let (key, agreement) = upward(session, up, datagram);
                agreement.into_iter().for_each(|agreement| self.note_agreement(id, agreement));
                Writer::Up(key, session, up.receiver)
            }
            _ => {
                let agreement = self.agreements[&id];
                let (key, announcer) = private(session, up, agreement, datagram);
                self.seen.alone += 1;
                Writer::PrivateUp(key, session, up.receiver, announcer)
            }
        };
        let (Writer::Up(key, ..) | Writer::PrivateUp(key, ..) | Writer::Notice(key, _)) = under;
        self.seen.under_each_key[key] += 1;
        (under, up.header.sequence.value())
    }

    /// # Panics
    /// If a start has two keys in a session, or two have the same one.
    fn note_agreement(&mut self, id: (SessionId, ReceiverId), agreement: AgreementPublic) {
        self.seen.agreements += u32::from(!self.agreements.contains_key(&id));
        assert_eq!(*self.agreements.entry(id).or_insert(agreement), agreement);
        assert_eq!(*self.owners.entry(agreement).or_insert(id), id);
    }
}

/// Returns which group key opens a hello or an answer, and the agreement key in it.
fn upward(session: SessionId, up: UpHeader, datagram: &[u8]) -> (usize, Option<AgreementPublic>) {
    let opened = |key: &[u8; 32]| {
        let group = GroupKey::new(*key);
        let cipher = Cipher::upward(&group, session, up.receiver);
        if up.header.kind == Kind::Hello {
            let greeting = Hello::open(&cipher, geometry(), up, datagram).ok()?;
            greeting.verify(group.scope(session)).expect("signed by the host");
            return Some(Some(greeting.hello.agreement));
        }
        let open =
            |host| Answer::open(&cipher, group.scope(session), Some(host_key(host).public()), up, datagram);
        let answer = (0..HOSTS).find_map(|host| open(host).ok())?;
        Some(match answer.page {
            Page::About(about) => Some(about.agreement),
            _ => None,
        })
    };
    let opened: Vec<_> = KEYS.iter().map(opened).collect();
    let key = opened.iter().position(Option::is_some).expect("under a key of ours");
    (key, opened[key].expect("it opens"))
}

/// Returns which group key and whose agreement key open what a host tells a sender alone.
fn private(
    session: SessionId,
    up: UpHeader,
    agreement: AgreementPublic,
    datagram: &[u8],
) -> (usize, Announcer) {
    for announcer in [Announcer::First, Announcer::Second] {
        let shared = sender_agreement(announcer as usize).agree(&agreement).expect("a host's key");
        for (at, key) in KEYS.iter().enumerate() {
            let cipher = Cipher::private_up(&GroupKey::new(*key), session, up.receiver, &shared);
            if Up::open(&cipher, geometry(), up, datagram).is_ok() {
                return (at, announcer);
            }
        }
    }
    panic!("it is for none of the senders")
}

impl Group {
    fn new(mut dice: Dice) -> Self {
        let hosts: Vec<Host> = (0..HOSTS).map(|number| Host::start(number, &mut dice)).collect();
        let ledger = Ledger::default();
        Self { dice, wall: WALL, hosts, ledger, sequence: 0 }
    }

    /// Performs the next random operation.
    fn operate(&mut self) {
        let host = self.dice.below(self.hosts.len() as u64) as usize;
        let (key, session) = (self.dice.below(2) as usize, *self.dice.pick(&SESSIONS));
        match self.dice.below(1_000) {
            0..400 => {
                let announcer = *self.dice.pick(&[Announcer::First, Announcer::First, Announcer::Second]);
                let audience = *self.dice.pick(&[Audience::Everyone, Audience::Everyone, NAMED]);
                let datagram = announcement(key, session, self.wall, self.next(), announcer, audience);
                self.hosts[host].hear(self.wall, &datagram);
            }
            400..500 => {
                let down = self.down(session);
                let mut datagram = Vec::new();
                let cipher = Cipher::downward(&GroupKey::new(KEYS[key]), session);
                down.seal(&cipher, None, session, number(self.next()), &mut datagram);
                self.hosts[host].hear(self.wall, &datagram);
            }
            500..560 => self.acknowledge(host, key),
            560..660 => self.ask(host, key),
            660..700 => {
                let mut stranger = [0; 200];
                stranger[..5].copy_from_slice(&[9 + self.dice.below(200) as u8, 200, 1, 2, 3]);
                self.hosts[host].hear(self.wall, &stranger);
            }
            700..760 => self.hosts[host].open(&mut self.dice),
            760..860 => self.hosts[host].answer(&mut self.dice),
            860..960 => {
                let millis = *self.dice.pick(&[5, 150, 150, 1_200, 3_000, 16_000, 31_000]);
                let time = Duration::from_millis(self.dice.below(2 * millis));
                self.pass(time);
            }
            960..980 => {
                let days = self.dice.below(5);
                self.wall = WallClock(self.wall.0 + days * DAY_MS - 2 * DAY_MS);
            }
            980..984 => {
                let now = self.hosts[host].now;
                self.hosts[host].receiver.handle_stop(now);
            }
            _ => {
                self.note_seen(host);
                self.hosts[host] = Host::start(self.hosts[host].number, &mut self.dice);
            }
        }
        for host in &mut self.hosts {
            host.said().iter().for_each(|datagram| self.ledger.note(datagram));
        }
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn pass(&mut self, time: Duration) {
        self.wall = WallClock(self.wall.0 + time.as_millis() as u64);
        self.hosts.iter_mut().for_each(|host| host.now = host.now + time);
    }

    fn down(&mut self, session: SessionId) -> Down {
        match self.dice.below(16) {
            0 => Down::End(End::Over),
            1 => Down::End(End::Aborted("no".into())),
            2..6 => {
                let first = self.dice.below(2) as usize;
                let names: Vec<HostName> = (first..HOSTS).map(name_of).collect();
                Down::Audience(AudiencePage::pages(session, &names, CONTROL_SMALL).swap_remove(0))
            }
            _ => Down::Poll(Poll {
                round: self.dice.below(1_000) as u32,
                blocks_sent: 0,
                manifest_sent: 0,
                window: Duration::from_millis(self.dice.below(200)),
                slots: 1 + self.dice.below(4) as u32,
                part: Part::ALL,
                root: None,
            }),
        }
    }

    /// Acknowledges the host's last datagram.
    fn acknowledge(&mut self, host: usize, key: usize) {
        let Some((receiver, id)) = self.hosts[host].us else { return };
        let (group, sequence) = (GroupKey::new(KEYS[key]), number(self.next()));
        let mut datagram = Vec::new();
        if QUERIES.contains(&id) {
            let (page, cipher) = (self.dice.below(2) as u16, Cipher::downward(&group, id));
            Heard { receiver, edition: 1, page }.seal(&cipher, None, id.tag(), sequence, &mut datagram);
        } else {
            let kind = *self.dice.pick(&[Kind::Hello, Kind::Hello, Kind::Done, Kind::Failed]);
            let (slot, announcer) = (self.dice.below(4) as u32, self.dice.below(3) as usize / 2);
            let Some(agreement) = self.ledger.agreements.get(&(id, receiver)) else { return };
            let shared = sender_agreement(announcer).agree(agreement).expect("a host's key");
            let cipher = Cipher::private_down(&group, id, receiver, &shared);
            Ack { receiver, kind, slot, echo: Echo::default() }.seal(
                &cipher,
                id.tag(),
                sequence,
                &mut datagram,
            );
        }
        self.hosts[host].hear(self.wall, &datagram);
    }

    fn ask(&mut self, host: usize, key: usize) {
        let id = *self.dice.pick(&QUERIES);
        let ask = Ask {
            id,
            time: self.wall,
            round: 1,
            reply_to: SENDER,
            spread: Duration::from_millis(self.dice.below(50)),
            answer_bytes_max: 1_400,
            audience: Audience::Everyone,
            agreement: sender_agreement(0).public(),
            query: Query::Hosts,
        };
        let mut datagram = Vec::new();
        ask.seal(&Cipher::downward(&GroupKey::new(KEYS[key]), id), None, number(self.next()), &mut datagram);
        self.hosts[host].hear(self.wall, &datagram);
    }

    /// Counts the cases of a start that ends.
    fn note_seen(&mut self, host: usize) {
        let (host, seen) = (&self.hosts[host], &mut self.ledger.seen);
        seen.starts += 1;
        seen.again += host.joined.values().map(|joined| joined - 1).sum::<u32>();
        seen.asked_again += host.asked.values().map(|links| links.len() as u32 - 1).sum::<u32>();
    }
}

impl Host {
    fn start(number: usize, dice: &mut Dice) -> Self {
        let start = |dice: &mut Dice| *dice.bytes(16).first_chunk().expect("16 bytes");
        let seed = |dice: &mut Dice| *dice.bytes(32).first_chunk().expect("32 bytes");
        let name = name_of(number);
        let keys = || KEYS.map(GroupKey::new).to_vec();
        // One host accepts no sender, so that it refuses: refusals are datagrams too.
        let senders = if number == 0 { vec![PublicKey([1; 32])] } else { Vec::new() };
        let senders = if dice.below(4) == 0 { senders } else { Vec::new() };
        Self {
            number,
            now: Moment::default(),
            receiver: Receiver::new(ReceiverConfig {
                name: name.clone(),
                software: "test".into(),
                keys: keys(),
                // The host's key is the same at each start, unlike all that is drawn.
                host_key: host_key(number),
                secret: StartSecret::new(seed(dice)),
                mtu: None,
                senders: senders.into(),
                start: start(dice),
                seed: seed(dice),
                buffer_bytes: 0,
                can_relay: false,
            }),
            responder: Responder::new(ResponderConfig {
                name,
                software: "test".into(),
                keys: Keyring::of(keys()),
                host_key: host_key(number),
                secret: StartSecret::new(seed(dice)),
                senders: Vec::new().into(),
                start: start(dice),
                seed: seed(dice),
                started: WALL,
            }),
            lookups: Vec::new(),
            opening: Vec::new(),
            us: None,
            joined: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    fn hear(&mut self, wall: WallClock, datagram: &[u8]) {
        match Header::parse(datagram).map(|header| header.kind) {
            Ok(Kind::Ask | Kind::Heard) => {
                let _ = self.responder.handle_datagram(self.now, wall, SENDER, datagram);
            }
            Ok(Kind::Audience) if self.responder.is_for(datagram) => {
                let _ = self.responder.handle_datagram(self.now, wall, SENDER, datagram);
            }
            _ => {
                let _ = self.receiver.handle_datagram(self.now, wall, SENDER, datagram);
            }
        }
    }

    /// Has the store find a place, or not.
    fn open(&mut self, dice: &mut Dice) {
        while let Some(effect) = self.receiver.poll_effect(BlockRoom::Free) {
            match effect {
                Effect::Open(attempt, _) => self.opening.push(attempt),
                Effect::PutAway(..) => self.receiver.handle_put_away(),
                _ => {}
            }
        }
        for attempt in self.opening.drain(..) {
            let result = match dice.below(3) {
                0 => Err(Failure::new(FailureKind::NoSpace, "full")),
                1 => Ok(Opened::Existing(())),
                _ => Ok(Opened::Unfinished { file: (), kept: Vec::new() }),
            };
            self.receiver.handle_opened(self.now, attempt, result);
        }
    }

    /// Answers a query, or reports its progress.
    fn answer(&mut self, dice: &mut Dice) {
        while let Some(lookup) = self.responder.poll_lookup() {
            self.lookups.push(lookup);
        }
        if self.lookups.is_empty() {
            return;
        }
        let state = match dice.below(3) {
            0 => AnswerState::Verifying { done: 1, of: 2 },
            _ => AnswerState::Final,
        };
        if let Lookup::Open(id, _, _) = *dice.pick(&self.lookups) {
            let reply = Reply {
                store: "directory:/srv".into(),
                free_bytes: None,
                held: 0,
                pinned: 0,
                digest: HeldDigest::of([]),
                objects: Vec::new(),
                state,
            };
            self.responder.handle_reply(self.now, id, reply);
        }
    }

    /// Returns all datagrams that are due now.
    fn said(&mut self) -> Vec<Vec<u8>> {
        self.receiver.handle_timeout(self.now);
        self.responder.handle_timeout(self.now);
        let (mut said, mut out) = (Vec::new(), Vec::new());
        while self.receiver.poll_transmit(self.now, &mut out).is_some() {
            said.push(out.clone());
        }
        while self.responder.poll_transmit(self.now, &mut out).is_some() {
            said.push(out.clone());
        }
        while let Some(event) = self.receiver.poll_event() {
            if let ReceiverEvent::Joined(announce) = event {
                *self.joined.entry(announce.session).or_default() += 1;
            }
        }
        for up in said.iter().filter_map(|datagram| UpHeader::parse(datagram).ok()) {
            let mut ids = SESSIONS.into_iter().chain(QUERIES);
            let id = ids.find(|id| id.tag() == up.header.tag).expect("of one that there is");
            self.us = Some((up.receiver, id));
            if QUERIES.contains(&id) {
                self.asked.entry(id).or_default().insert(up.receiver);
            }
        }
        said
    }
}

fn announcement(
    key: usize,
    session: SessionId,
    wall: WallClock,
    sequence: u64,
    announcer: Announcer,
    audience: Audience,
) -> Vec<u8> {
    let announce = Announce {
        session,
        time: wall,
        started: wall,
        geometry: geometry(),
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: SENDER,
        spread: Duration::ZERO,
        audience,
        agreement: sender_agreement(announcer as usize).public(),
        one_way: false,
        base: None,
        data_bytes: None,
    };
    let mut datagram = Vec::new();
    let cipher = Cipher::downward(&GroupKey::new(KEYS[key]), session);
    announce.seal(&cipher, None, number(sequence), &mut datagram);
    datagram
}

/// Returns the host of this number in a push of the pair's sender.
fn host_of_a_push(number: usize) -> Receiver {
    Receiver::new(ReceiverConfig {
        name: name_of(number),
        host_key: host_key(number),
        secret: StartSecret::new([number as u8; 32]),
        start: [number as u8; 16],
        ..pair::host_config()
    })
}

fn name_of(host: usize) -> HostName {
    HostName::new(&format!("compute-{host}")).expect("plain")
}

fn host_key(host: usize) -> SigningKey {
    SigningKey::from_seed(&[host as u8; 32].into())
}

/// Returns the half of a sender of the keys that it shares with hosts.
fn sender_agreement(number: usize) -> AgreementKey {
    AgreementKey::from_seed(&[100 + number as u8; 32].into())
}

fn number(value: u64) -> Sequence {
    Sequence::new(value).expect("40 bits")
}

fn geometry() -> Geometry {
    Geometry::new(3 << 20, 20, 1432).expect("in range")
}

/// The hosts of a group.
const HOSTS: usize = 3;
/// An audience that pages have to say more about.
const NAMED: Audience = Audience::Named { names: 3 };
/// The group key, and the one that is to replace it.
const KEYS: [[u8; 32]; 2] = [[7; 32], [8; 32]];
const SESSIONS: [SessionId; 3] = [SessionId([1; 16]), SessionId([2; 16]), SessionId([3; 16])];
const QUERIES: [SessionId; 2] = [SessionId([4; 16]), SessionId([5; 16])];
const WALL: WallClock = WallClock(1_767_225_600_000);
const DAY_MS: u64 = 86_400_000;
const SENDER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 7167);
