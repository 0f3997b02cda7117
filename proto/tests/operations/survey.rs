//! A querier, hosts with their shells, the network between them, and insiders that send on it.

mod rekey;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use glancecast_proto::agree::{AgreementKey, AgreementPublic, StartSecret};
use glancecast_proto::doctor::Counters;
use glancecast_proto::ids::{HostName, ObjectName, ReceiverId, Sequence, SessionId};
use glancecast_proto::integrity::Root;
use glancecast_proto::keyring::Keyring;
use glancecast_proto::known::{KnownHosts, UnknownHosts};
use glancecast_proto::limits::{CONTROL_MAX, CONTROL_SMALL, QUERIES_OPEN_MAX};
use glancecast_proto::query::{
    HostAnswer, Lookup, LookupId, Querier, QuerierConfig, Reply, Responder, ResponderConfig, Standing,
};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::Expected;
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    About, Answer, AnswerState, Ask, Audience, Finding, Header, Heard, Held, HeldDigest, Kept, Page, PinTime,
    Query, Sought, UpHeader,
};

use self::rekey::{Keys, new_key};
use super::{Scene, address, insider, name};
use crate::dice::Dice;
use crate::vectors::{KEY, KEYS, SENDER_AGREEMENT, SESSION, Signed, scope, signing_key};

/// A query, the hosts that it is for, and insiders. Where a group key is replaced, several queries follow each other.
pub(crate) struct Survey {
    scene: Arc<Scene>,
    dice: Dice,
    now: Moment,
    config: QuerierConfig,
    querier: Querier,
    hosts: Vec<Host>,
    /// Datagrams of the querier, to be delivered in any order, repeatedly or never; `answered` has those of the
    /// hosts.
    asked: Vec<Vec<u8>>,
    answered: Vec<Vec<u8>>,
    /// The last number that an insider has used.
    sequence: u64,
    /// Whether insiders also send in the names of others.
    forging: bool,
    /// Whether one has done so for a host or the querier, where nothing but the group key vouches for them: datagrams
    /// in their names may not be theirs.
    forged: bool,
    /// Whether the querier signs what it says, and hosts take nothing else.
    signed: Signed,
    /// Whether the querier knows the keys of the hosts.
    is_known: bool,
    /// The number of queries so far.
    queries: u32,
    /// Whether hosts were asked to retire the old group key.
    has_retired: bool,
}

/// A host that answers, and its shell.
struct Host {
    responder: Responder,
    /// Queries that are being answered.
    open: BTreeMap<LookupId, Query>,
    newest: Option<LookupId>,
    /// The objects that queries were about, each of one query.
    sought: BTreeSet<Option<String>>,
    replies: Vec<(Query, Reply)>,
    keys: Keys,
}

impl Survey {
    /// Begins a query; `seed` chooses its configuration.
    pub(crate) fn new(scene: Arc<Scene>, dice: Dice, seed: u8) -> Self {
        let about = sought("image");
        let query = match seed & 3 {
            0 if seed % 24 == 20 => Query::Rekey, // these are signed, see below
            0 => Query::Hosts,
            1 => Query::Status(about),
            2 => Query::Verify(about),
            _ => changing(about, u64::from(seed >> 4)),
        };
        let expected = match seed >> 2 & 3 {
            0 => Expected::Named((0..3).map(host_name).collect()),
            1 => Expected::Named((0..HOSTS).map(host_name).collect()),
            2 => Expected::Count(HOSTS as u32),
            _ => Expected::Anyone,
        };
        let signed = if seed % 3 == 2 { Signed::Yes } else { Signed::No };
        let is_known = seed % 5 == 4 || query == Query::Rekey;
        let answer_bytes_max = if seed & 16 == 0 { CONTROL_SMALL } else { CONTROL_MAX };
        let config = QuerierConfig {
            id: SESSION,
            key: GroupKey::new(KEY),
            signer: (signed == Signed::Yes).then(|| signing_key().clone()),
            agreement: AgreementKey::from_seed(&SENDER_AGREEMENT.into()),
            known: KnownHosts {
                keys: (0..HOSTS)
                    .filter(|_| is_known)
                    .map(|host| (host_name(host), host_key(host).public()))
                    .collect(),
                unknown: if seed % 7 == 6 { UnknownHosts::Refused } else { UnknownHosts::Taken },
            },
            new_key: (query == Query::Rekey).then(new_key),
            query,
            reply_to: address(1),
            answer_bytes_max: answer_bytes_max as u16,
            started: STARTED,
            wait: Duration::from_millis(if seed & 32 == 0 { 2_000 } else { 100 }),
            expected,
        };
        Self {
            scene,
            dice,
            now: Moment::default(),
            querier: Querier::new(Moment::default(), config.clone()),
            config,
            hosts: (0..HOSTS).map(|host| Host::new(host, seed & 64 != 0, signed)).collect(),
            asked: Vec::new(),
            answered: Vec::new(),
            sequence: 0,
            forging: seed & 128 != 0,
            forged: false,
            signed,
            is_known,
            queries: 1,
            has_retired: false,
        }
    }

    /// Whether the dice are used up.
    pub(crate) fn is_at_end(&self) -> bool {
        self.dice.is_at_end()
    }

    /// Performs the next random operation.
    pub(crate) fn operate(&mut self) {
        match self.dice.below(100) {
            0..28 => self.deliver_query(),
            28..56 => self.deliver_answer(),
            56..68 => self.reply(),
            68..76 => self.answer_as_insider(),
            76..82 => self.ask_as_insider(),
            82..84 => self.hear_as_insider(),
            84..87 if self.forging => self.say_sealed_nonsense(),
            87 => {
                let datagram = self.scene.notice(&host_name(self.dice.below(3) as usize));
                let _ = self.querier.handle_datagram(self.now, address(9), &datagram);
            }
            88..98 => {
                let micros =
                    *self.dice.pick(&[5_000, 60_000, 60_000, 400_000, 2_000_000, 16_000_000, 310_000_000]);
                self.now = self.now + Duration::from_micros(self.dice.below(micros));
            }
            98 => {
                self.look();
            }
            99 if self.is_replacing() => self.go_on(),
            _ if self.dice.below(8) == 0 => self.querier.handle_stop(),
            _ => {}
        }
        self.drain();
    }

    /// Checks the table of hosts. Returns how many of them have answered in full; what insiders say in names of their own
    /// does not count.
    ///
    /// # Panics
    /// If the table has an answer that a host did not send.
    pub(crate) fn look(&mut self) -> usize {
        let (rows, tally) = (self.querier.rows(), self.querier.tally());
        assert!(rows.is_sorted_by(|a, b| a.name <= b.name));
        assert_eq!(rows.iter().filter(|row| row.about.is_some()).count(), tally.heard as usize);
        assert!(tally.verifying <= tally.heard && tally.settled <= tally.heard);
        let whole = |row: &&HostAnswer| {
            row.about.is_some() && !matches!(row.standing, Standing::Partial | Standing::Twice)
        };
        // Where hosts take what is signed, and their keys are known, nobody can speak for either side.
        if !self.forged || self.signed == Signed::Yes && self.is_known {
            rows.iter().filter(whole).for_each(|row| self.assert_answered(row));
        }
        let is_a_hosts = |row: &&HostAnswer| (0..HOSTS).any(|host| row.name == host_name(host));
        rows.iter().filter(whole).filter(is_a_hosts).count()
    }

    fn assert_answered(&self, row: &HostAnswer) {
        let Some(host) = (0..HOSTS).find(|&host| row.name == host_name(host)) else { return };
        let about = row.about.as_ref().expect("it has answered");
        if self.is_replacing() {
            return self.assert_replaced(host, &about.state);
        }
        let said = |(query, reply): &&(Query, Reply)| {
            *query == self.config.query && reply.state == about.state && reply.objects == row.objects
        };
        assert!(self.hosts[host].replies.iter().any(|reply| said(&reply)), "{row:?}");
    }

    fn deliver_query(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let datagram = recent(&mut self.dice, &self.asked);
        let host = self.dice.below(HOSTS as u64) as usize;
        self.ask(address(1), host, &datagram);
    }

    fn deliver_answer(&mut self) {
        if self.answered.is_empty() {
            return;
        }
        let datagram = recent(&mut self.dice, &self.answered);
        let _ = self.querier.handle_datagram(self.now, address(2), &datagram);
    }

    fn ask(&mut self, from: SocketAddr, host: usize, datagram: &[u8]) {
        let wall = WallClock(STARTED.0 + self.now.micros() / 1_000);
        let _ = self.hosts[host].responder.handle_datagram(self.now, wall, from, datagram);
    }

    /// Has a host's shell answer a query, report its progress, or end a write of the keyring.
    fn reply(&mut self) {
        let host = &mut self.hosts[self.dice.below(HOSTS as u64) as usize];
        if host.keys.is_keeping() {
            return host.keep(self.now, self.dice.below(8) == 0);
        }
        if host.open.is_empty() {
            return;
        }
        let at = self.dice.below(host.open.len() as u64) as usize;
        let (id, query) = host.open.iter().nth(at).map(|(id, query)| (*id, query.clone())).expect("open");
        let state = match self.dice.below(16) {
            7 => AnswerState::Failed("no".into()),
            _ if query == Query::Rekey => AnswerState::AwaitingKey,
            0..6 => AnswerState::Verifying { done: u64::MAX / 2, of: u64::MAX },
            6 => AnswerState::Busy,
            _ => AnswerState::Final,
        };
        if !matches!(state, AnswerState::Verifying { .. }) {
            host.open.remove(&id);
        }
        let objects = objects(self.dice.below(16), host.replies.len());
        let held = objects.len() as u32;
        let reply = Reply {
            store: "directory:/srv".into(),
            free_bytes: Some(1),
            held,
            pinned: 0,
            digest: HeldDigest::of([]),
            objects,
            state,
        };
        host.replies.push((query, reply.clone()));
        host.responder.handle_reply(self.now, id, reply);
    }

    /// Has an insider answer, in its own name or that of a host.
    fn answer_as_insider(&mut self) {
        let (receiver, called) = self.somebody();
        let pages = 1 + self.dice.below(4) as u16;
        let key = SigningKey::from_seed(&[66; 32].into());
        let page = match self.dice.below(u64::from(pages)) as u16 {
            0 => Page::About(About {
                key: key.public(),
                agreement: AgreementPublic([9; 32]),
                name: called,
                software: String::new(),
                store: String::new(),
                free_bytes: None,
                held: 1,
                pinned: 0,
                digest: HeldDigest([0; HeldDigest::BYTES]),
                state: match self.dice.below(3) {
                    0 => AnswerState::Final,
                    1 => AnswerState::Verifying { done: u64::MAX, of: u64::MAX },
                    _ => AnswerState::Busy,
                },
            }),
            number => Page::Objects { number, objects: objects(1 + self.dice.below(3), 0) },
        };
        let answer = Answer { edition: 1 + self.dice.below(3) as u32, pages, page };
        let (sequence, mut datagram) = (self.next_sequence(), Vec::new());
        let cipher = Cipher::upward(&KEYS.group, SESSION, receiver);
        answer.seal(&cipher, key.within(scope()), receiver, sequence, &mut datagram);
        let _ = self.querier.handle_datagram(self.now, address(3), &datagram);
    }

    /// Has an insider send another query, or this one in the name of its querier.
    fn ask_as_insider(&mut self) {
        let number = self.dice.below(2 * QUERIES_OPEN_MAX as u64);
        let as_querier = self.forging && number == 0;
        let (id, called) = if as_querier {
            (SESSION, "image".to_owned())
        } else {
            (SessionId([number as u8; 16]), format!("other-{number}"))
        };
        self.forged |= as_querier;
        let about = sought(&called);
        let query = match self.dice.below(12) {
            0..4 => Query::Status(about),
            4..7 => Query::Verify(about),
            7..10 => changing(about, self.dice.below(6)),
            10 => Query::Rekey,
            _ => Query::Retire,
        };
        let ask = Ask {
            id,
            time: WallClock(STARTED.0 + 100_000 * number),
            round: 1,
            reply_to: address(if as_querier { 1 } else { 4 }),
            spread: Duration::from_millis(self.dice.below(100)),
            answer_bytes_max: self.config.answer_bytes_max,
            audience: Audience::Everyone,
            agreement: AgreementPublic([9; 32]),
            query,
        };
        let (sequence, mut datagram) = (self.next_sequence(), Vec::new());
        ask.seal(&Cipher::downward(&KEYS.group, id), None, sequence, &mut datagram);
        let host = self.dice.below(HOSTS as u64) as usize;
        self.ask(address(4), host, &datagram);
    }

    /// Has an insider acknowledge an answer that the querier may not have heard.
    fn hear_as_insider(&mut self) {
        let (receiver, _) = self.somebody_of_us();
        let (edition, page) = (self.dice.below(4) as u32, self.dice.below(4) as u16);
        let (sequence, mut datagram) = (self.next_sequence(), Vec::new());
        Heard { receiver, edition, page }.seal(&KEYS.down, None, SESSION.tag(), sequence, &mut datagram);
        let host = self.dice.below(HOSTS as u64) as usize;
        self.ask(address(4), host, &datagram);
    }

    fn say_sealed_nonsense(&mut self) {
        self.forged = true;
        let datagram = self.scene.nonsense_about_queries(&mut self.dice);
        let _ = self.querier.handle_datagram(self.now, address(5), &datagram);
        (0..HOSTS).for_each(|host| self.ask(address(4), host, &datagram));
    }

    /// Returns whom an insider claims to be, by its id and its name.
    fn somebody(&mut self) -> (ReceiverId, HostName) {
        if !self.forging || self.dice.below(4) > 0 {
            return (insider(self.dice.below(3) as u8), name("insider"));
        }
        self.forged = true;
        self.somebody_of_us()
    }

    /// Returns the host of the newest answer, if there is one, or else an insider that claims a host's name.
    fn somebody_of_us(&mut self) -> (ReceiverId, HostName) {
        let newest = self.answered.last().and_then(|datagram| UpHeader::parse(datagram).ok());
        (newest.map_or(insider(0), |up| up.receiver), host_name(0))
    }

    fn next_sequence(&mut self) -> Sequence {
        self.sequence += self.dice.below(3);
        let number = if self.dice.below(200) == 0 { Sequence::MAX } else { self.sequence };
        Sequence::new(number).expect("40 bits")
    }

    /// Collects all datagrams that are due.
    fn drain(&mut self) {
        let mut out = Vec::new();
        for said in 0.. {
            let Some(transmit) = self.querier.poll_transmit(self.now, &mut out) else { break };
            assert!(said < 16, "acknowledgements are paced");
            assert!(out.len() <= CONTROL_SMALL && transmit.kind == Header::parse(&out).expect("ours").kind);
            keep(&mut self.asked, &out);
        }
        let deadline = self.querier.poll_timeout(self.now);
        assert!(deadline.is_none_or(|at| at > self.now), "a deadline in the past");
        assert!(deadline.is_some() || self.querier.is_finished(self.now), "it would be waited for for ever");
        for host in &mut self.hosts {
            host.drain(self.now, self.forged, |to, datagram| {
                let here = to == address(1);
                assert!(!here || self.forged || datagram.len() <= self.config.answer_bytes_max.into());
                if here {
                    keep(&mut self.answered, datagram);
                }
            });
        }
        self.assert_keys();
    }
}

impl Host {
    /// Returns a host. If `restarted`, it started after the query was asked, and its group key is being replaced.
    fn new(number: usize, restarted: bool, signed: Signed) -> Self {
        let mut keys = vec![GroupKey::new(KEY)];
        if restarted {
            keys.insert(0, GroupKey::insecure());
        }
        let config = ResponderConfig {
            name: host_name(number),
            software: "test".into(),
            keys: Keyring::of(keys.clone()),
            host_key: host_key(number),
            secret: StartSecret::new([number as u8; 32]),
            senders: (signed == Signed::Yes).then(|| signing_key().public()).into_iter().collect(),
            start: [number as u8; 16],
            seed: [number as u8; 32],
            started: WallClock(if restarted { STARTED.0 + 1 } else { STARTED.0 }),
        };
        Self {
            responder: Responder::new(config),
            open: BTreeMap::new(),
            newest: None,
            sought: BTreeSet::new(),
            replies: Vec::new(),
            keys: Keys::new(keys),
        }
    }

    fn drain(&mut self, now: Moment, forged: bool, mut said: impl FnMut(SocketAddr, &[u8])) {
        self.responder.handle_timeout(now);
        while let Some(lookup) = self.responder.poll_lookup() {
            match lookup {
                Lookup::Open(id, query, _) => {
                    assert!(self.newest.is_none_or(|newest| newest < id), "each has an id of its own");
                    self.newest = Some(id);
                    let about = query.sought().and_then(Sought::name).map(|name| name.as_str().to_owned());
                    self.keys.rekeys += u32::from(query == Query::Rekey);
                    let is_new = query == Query::Rekey || self.sought.insert(about);
                    assert!(is_new || forged, "a query is looked into once");
                    self.open.insert(id, query);
                }
                Lookup::Examine(id, examination) => {
                    self.newest = Some(id);
                    self.responder.handle_measured(now, id, examination, Counters::default());
                }
                Lookup::Keep(id, keys) => self.keys.begin_to_keep(id, keys),
                Lookup::Forget(id) => {
                    assert!(self.newest.is_some_and(|newest| id <= newest), "it was asked");
                    self.open.remove(&id);
                }
            }
        }
        let mut out = Vec::new();
        for count in 0.. {
            let Some(to) = self.responder.poll_transmit(now, &mut out) else { break };
            assert!(count < QUERIES_OPEN_MAX && out.len() <= CONTROL_MAX, "a page of each query");
            said(to, &out);
        }
        assert!(self.responder.poll_timeout().is_none_or(|at| at > now), "a deadline in the past");
    }
}

/// Returns one of the last datagrams, mostly unchanged.
fn recent(dice: &mut Dice, said: &[Vec<u8>]) -> Vec<u8> {
    let choice = dice.below(32) as usize;
    let datagram = &said[said.len() - 1 - (choice % 8) % said.len()];
    if choice < 28 { datagram.clone() } else { dice.mutated(datagram) }
}

fn keep(said: &mut Vec<Vec<u8>>, datagram: &[u8]) {
    if said.len() == 16 {
        said.remove(0);
    }
    said.push(datagram.to_vec());
}

/// Returns what a host holds; the lengths encode the number of its reply.
fn objects(count: u64, reply: usize) -> Vec<Held> {
    let held = |i| Held {
        name: ObjectName::new(if i % 2 == 0 { "image" } else { "an image with a rather longer name" })
            .expect("plain"),
        image_id: None,
        bytes: reply as u64,
        root: Root([i as u8; 32]),
        proven: STARTED,
        kept: Kept::ByRule,
        finding: if i % 2 == 0 { Finding::Listed } else { Finding::Differs(Root([9; 32])) },
    };
    (0..count).map(held).collect()
}

/// Returns one of the queries that change what is kept of an object.
fn changing(about: Sought, which: u64) -> Query {
    match which % 6 {
        0 => Query::Pin(about, PinTime::Forever),
        1 => Query::Pin(about, PinTime::For(Duration::from_secs(60))),
        2 => Query::Remove(about),
        3 => Query::RemovePinned(about),
        4 => Query::SetAside(about),
        _ => Query::Unpin(about),
    }
}

fn sought(name: &str) -> Sought {
    Sought::new(Some(ObjectName::new(name).expect("plain")), None).expect("a name")
}

fn host_key(host: usize) -> SigningKey {
    SigningKey::from_seed(&[host as u8; 32].into())
}

fn host_name(host: usize) -> HostName {
    name(&format!("host-{host}"))
}

const HOSTS: usize = 2;
/// The time of the queries in the vectors.
const STARTED: WallClock = WallClock(1_767_225_600_000);
