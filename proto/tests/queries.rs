//! One querier and many hosts: the real machines, in virtual time, on a seeded network that loses, doubles and
//! delays.

mod aead;
mod dice;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use dice::Dice;
use glancecast_proto::ids::{HostName, ObjectName, ReceiverId, Sequence, SessionId};
use glancecast_proto::integrity::Root;
use glancecast_proto::limits::{CONTROL_SMALL, HELD_MAX, QUERIES_OPEN_MAX};
use glancecast_proto::query::{
    HostAnswer, Lookup, LookupId, Querier, QuerierConfig, Reply, Responder, ResponderConfig, Standing,
};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::Expected;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    About, Answer, AnswerState, Ask, Discard, Finding, Held, Kept, Kind, Page, Query, Sought, VERSION,
};

#[test]
fn every_host_answers_in_full_whatever_is_lost() {
    for (seed, loss) in [0.0, 0.1, 0.4].into_iter().enumerate() {
        let mut world = World::new(seed as u64, loss, asking(Query::Hosts, named(20)));
        (0..20).for_each(|host| world.start(host, Answering::Holds(64)));
        let rows = world.run();
        println!("loss {loss}: {} after {}", rows.len(), world.now);
        assert_eq!(rows.len(), 20);
        for row in rows {
            assert_eq!((row.standing, row.expected), (Standing::Answered, true), "{}", row.name);
            assert_eq!(row.objects, objects(64), "{}", row.name);
        }
    }
}

#[test]
fn asking_ends_as_soon_as_all_who_should_have_answered() {
    for expected in [named(5), Expected::Count(5)] {
        let mut world = World::new(1, 0.0, asking(Query::Hosts, expected));
        (0..5).for_each(|host| world.start(host, Answering::Holds(3)));
        world.run();
        assert!(world.now < at(Duration::from_millis(500)), "{}", world.now);
    }
}

#[test]
fn without_expected_hosts_a_query_lasts_as_long_as_its_timeout() {
    let mut world = World::new(2, 0.0, asking(Query::Hosts, Expected::Anyone));
    (0..5).for_each(|host| world.start(host, Answering::Holds(0)));
    assert_eq!(world.run().len(), 5);
    assert!((at(WAIT)..at(WAIT + Duration::from_millis(20))).contains(&world.now), "{}", world.now);
}

#[test]
fn a_dead_host_is_named_and_no_more_than_waited_for() {
    let mut world = World::new(3, 0.0, asking(Query::Hosts, named(3)));
    (0..2).for_each(|host| world.start(host, Answering::Holds(1)));
    let standings: Vec<_> = world.run().into_iter().map(|row| row.standing).collect();
    assert_eq!(standings, [Standing::Answered, Standing::Answered, Standing::NeverAnswered]);
    assert!(world.now < at(WAIT + Duration::from_millis(20)), "{}", world.now);
}

#[test]
fn first_answers_are_spread_below_two_thousand_a_second() {
    let mut world = World::new(4, 0.0, asking(Query::Hosts, named(1000)));
    (0..1000).for_each(|host| world.start(host, Answering::Holds(0)));
    assert_eq!(world.run().len(), 1000);
    let most = world.answers_by_tenth.values().max().copied().expect("answers");
    assert!(most < 300, "{most} answers in 100 ms");
    let all = world.answers_by_tenth.values().sum::<u32>();
    assert!(all < 1_100, "{all}: the network doubles one in 20, and nobody has to say it again");
}

#[test]
fn further_pages_come_as_fast_as_the_querier_takes_them() {
    let mut world = World::new(5, 0.0, asking(Query::Hosts, named(100)));
    (0..100).for_each(|host| world.start(host, Answering::Holds(100)));
    assert_eq!(world.run().len(), 100);
    let most = world.answers_by_tenth.values().max().copied().expect("answers");
    assert!(most < 500, "{most} answers in 100 ms");
}

#[test]
fn a_verification_is_waited_for_however_long_it_takes() {
    let mut world = World::new(6, 0.1, asking(Query::Verify(sought("image-0")), named(3)));
    world.start(0, Answering::Verifies(Duration::from_secs(90), Finding::Intact));
    world.start(1, Answering::Verifies(Duration::from_secs(3), Finding::Differs(Root([9; 32]))));
    world.start(2, Answering::Holds(0));
    let rows = world.run();
    assert!(world.now > at(Duration::from_secs(90)), "{}", world.now);
    assert!(rows.iter().all(|row| row.standing == Standing::Answered), "{rows:?}");
    assert_eq!(rows[0].objects[0].finding, Finding::Intact);
    assert_eq!(rows[1].objects[0].finding, Finding::Differs(Root([9; 32])));
    assert!(rows[2].objects.is_empty());
}

#[test]
fn a_host_that_dies_while_it_verifies_is_given_up() {
    let mut world = World::new(7, 0.0, asking(Query::Verify(sought("image-0")), named(1)));
    world.start(0, Answering::Verifies(Duration::from_secs(90), Finding::Intact));
    world.settle(Duration::from_secs(5));
    world.hosts.clear();
    assert_eq!(world.run()[0].standing, Standing::Verifying);
    assert!(world.now < at(Duration::from_secs(20)), "{}", world.now);
}

#[test]
fn a_host_forgets_what_nobody_waits_for() {
    let mut world = World::new(8, 0.0, asking(Query::Verify(sought("image-0")), named(1)));
    world.start(0, Answering::Verifies(Duration::from_secs(90), Finding::Intact));
    world.settle(Duration::from_secs(1));
    world.querier.handle_stop();
    world.mute = true;
    world.settle(Duration::from_secs(20));
    assert_eq!(world.hosts[&0].forgotten, 1);
}

#[test]
fn an_unpin_is_done_once_however_often_it_is_heard() {
    let mut world = World::new(9, 0.3, asking(Query::Unpin(sought("image-0")), named(4)));
    (0..4).for_each(|host| world.start(host, Answering::Holds(1)));
    world.run();
    assert!(world.hosts.values().all(|host| host.looked_into == 1));
    let said = world.said.clone();
    let host = &mut world.hosts.get_mut(&0).expect("started").responder;
    host.handle_timeout(at(WAIT * 20)); // the last acknowledgement may have been lost
    while host.poll_lookup().is_some() {}
    for (seconds, verdict) in
        [(0, Ok(())), (299, Ok(())), (301, Err(Discard::Stale)), (9999, Err(Discard::Stale))]
    {
        for datagram in said.iter().filter(|datagram| datagram[1] == Kind::Ask as u8) {
            let wall = WallClock(STARTED.0 + 1000 * seconds);
            assert_eq!(host.handle_datagram(at(WAIT * 20), wall, datagram), verdict, "{seconds} s");
            assert_eq!(host.poll_lookup(), None, "after {seconds} s");
        }
    }
}

#[test]
fn an_unpin_from_before_this_start_is_refused_and_a_listing_is_not() {
    let mut host = Responder::new(config(0, WallClock(STARTED.0 + 1)));
    let unpin = sealed_ask(1, STARTED, Query::Unpin(sought("image-0")));
    assert_eq!(host.handle_datagram(at(WAIT), STARTED, &unpin), Err(Discard::Stale));
    let listing = sealed_ask(2, STARTED, Query::Hosts);
    assert_eq!(host.handle_datagram(at(WAIT), STARTED, &listing), Ok(()));
    assert!(matches!(host.poll_lookup(), Some(Lookup::Open(_, Query::Hosts))));
    assert_eq!(host.poll_lookup(), None);
}

#[test]
fn a_host_answers_no_more_queries_at_once_than_it_has_room_for() {
    let mut host = Responder::new(config(0, STARTED));
    for id in 0..QUERIES_OPEN_MAX {
        assert_eq!(
            host.handle_datagram(at(WAIT), STARTED, &sealed_ask(id as u8, STARTED, Query::Hosts)),
            Ok(())
        );
    }
    let one_more = sealed_ask(200, STARTED, Query::Hosts);
    assert_eq!(host.handle_datagram(at(WAIT), STARTED, &one_more), Err(Discard::TooMany));
    host.handle_timeout(at(WAIT + Duration::from_secs(15)));
    assert_eq!(host.handle_datagram(at(WAIT * 9), STARTED, &one_more), Ok(()), "the others are forgotten");
    assert_eq!(host.discards().of(Discard::TooMany), 1);
}

#[test]
fn a_query_said_again_by_somebody_else_keeps_nothing_alive() {
    let mut host = Responder::new(config(0, STARTED));
    let ask = sealed_ask(1, STARTED, Query::Hosts);
    assert_eq!(host.handle_datagram(at(Duration::ZERO), STARTED, &ask), Ok(()));
    for second in 1..15 {
        let verdict = host.handle_datagram(at(Duration::from_secs(second)), STARTED, &ask);
        assert_eq!(verdict, Err(Discard::Replayed));
    }
    host.handle_timeout(at(Duration::from_secs(15)));
    assert!(matches!(host.poll_lookup(), Some(Lookup::Open(..))));
    assert!(matches!(host.poll_lookup(), Some(Lookup::Forget(_))));
}

#[test]
fn queries_of_another_group_or_time_are_dropped() {
    let mut host =
        Responder::new(ResponderConfig { keys: vec![GroupKey::new([8; 32])], ..config(0, STARTED) });
    let ask = sealed_ask(1, STARTED, Query::Hosts);
    assert_eq!(host.handle_datagram(at(WAIT), STARTED, &ask), Err(Discard::WrongKey));
    let mut host = Responder::new(config(0, STARTED));
    let skewed = WallClock(STARTED.0 - 301_000);
    assert_eq!(host.handle_datagram(at(WAIT), skewed, &ask), Err(Discard::Stale));
    assert_eq!(host.poll_lookup(), None);
}

#[test]
fn a_host_of_another_version_is_named() {
    let mut world = World::new(10, 0.0, asking(Query::Hosts, named(1)));
    let same = aead::notice([7; 32], VERSION, world.id.tag().0, "compute-0000");
    assert_eq!(world.querier.handle_datagram(world.now, address(0), &same), Err(Discard::OtherSession));
    let other = aead::notice([7; 32], VERSION + 1, world.id.tag().0, "compute-0000");
    assert_eq!(world.querier.handle_datagram(world.now, address(0), &other), Ok(()));
    let rows = world.run();
    assert_eq!((rows.len(), rows[0].standing), (1, Standing::OtherVersion));
    assert!(rows[0].reason.as_ref().expect("why").contains("version 2"), "{rows:?}");
}

#[test]
fn what_a_host_holds_beyond_the_limit_is_counted_and_not_listed() {
    let mut world = World::new(11, 0.0, asking(Query::Hosts, named(1)));
    world.start(0, Answering::Holds(HELD_MAX + 5));
    let rows = world.run();
    assert_eq!(rows[0].objects.len(), HELD_MAX);
    assert_eq!(rows[0].about.as_ref().expect("heard").held as usize, HELD_MAX + 5);
}

#[test]
fn answers_of_another_query_are_dropped() {
    let mut world = World::new(12, 0.0, asking(Query::Hosts, named(1)));
    world.start(0, Answering::Holds(1));
    world.run();
    let answer = world.heard.first().expect("one").clone();
    let mut other =
        Querier::new(world.now, QuerierConfig { id: SessionId([99; 16]), ..asking(Query::Hosts, named(1)) });
    assert_eq!(other.handle_datagram(world.now, address(0), &answer), Err(Discard::OtherSession));
    assert_eq!(world.querier.handle_datagram(world.now, address(0), &answer), Err(Discard::Replayed));
    let mut bent = answer;
    *bent.last_mut().expect("a tag") ^= 1;
    assert_eq!(world.querier.handle_datagram(world.now, address(0), &bent), Err(Discard::Forged));
}

#[test]
fn both_machines_survive_datagrams_that_were_changed_on_their_way() {
    let mut world = World::new(13, 0.0, asking(Query::Verify(sought("image-0")), named(2)));
    (0..2).for_each(|host| world.start(host, Answering::Holds(30)));
    world.run();
    let mut dice = Dice::of("changes", 13);
    let genuine: Vec<Vec<u8>> = world.said.iter().chain(&world.heard).cloned().collect();
    let host = &mut world.hosts.get_mut(&0).expect("started").responder;
    for round in 0..20_000u64 {
        let len = dice.below(1_600) as usize;
        let datagram = match round % 8 {
            0 => dice.bytes(len),
            _ => {
                let datagram = dice.pick(&genuine).clone();
                dice.mutated(&datagram)
            }
        };
        let now = at(WAIT + Duration::from_millis(round));
        let _ = host.handle_datagram(now, STARTED, &datagram);
        let _ = world.querier.handle_datagram(now, address(0), &datagram);
    }
    assert_eq!(world.querier.rows().len(), 2);
}

#[test]
fn an_insider_that_answers_at_random_fills_no_memory_and_breaks_nothing() {
    let mut dice = Dice::of("insider", 14);
    let now = at(Duration::ZERO);
    let mut querier = Querier::new(now, asking(Query::Hosts, named(2)));
    let id = SessionId([3; 16]);
    let (mut taken, mut out) = (0, Vec::new());
    for round in 1..50_000u64 {
        let receiver = ReceiverId([dice.below(3) as u8; 8]);
        let edition = 1 + dice.below(3) as u32;
        let pages = 1 + dice.below(4) as u16;
        let number = dice.below(u64::from(pages)) as u16;
        let page = match number {
            0 => Page::About(about(dice.below(4))),
            _ => Page::Objects { number, objects: objects(1 + dice.below(3) as usize) },
        };
        let sequence = Sequence::new(round - dice.below(2)).expect("small");
        let cipher = Cipher::upward(&key(), id, receiver);
        Answer { edition, pages, page }.seal(&cipher, id.tag(), receiver, sequence, &mut out);
        taken += u32::from(querier.handle_datagram(now, address(1), &out).is_ok());
        while querier.poll_transmit(now + Duration::from_secs(round), &mut out).is_some() {}
    }
    println!("{taken} answers were taken");
    assert!(taken > 100);
    assert!(querier.rows().iter().all(|row| row.objects.len() <= 9), "three pages of three");
}

/// A querier, hosts, and the network between them.
struct World {
    now: Moment,
    id: SessionId,
    querier: Querier,
    hosts: BTreeMap<usize, Host>,
    loss: f64,
    /// Whether all datagrams of the querier are lost.
    mute: bool,
    mail: BTreeMap<(Moment, u64), Mail>,
    mailed: u64,
    dice: Dice,
    said: Vec<Vec<u8>>,
    heard: Vec<Vec<u8>>,
    answers_by_tenth: BTreeMap<u64, u32>,
}

struct Host {
    responder: Responder,
    answering: Answering,
    looked_into: u32,
    forgotten: u32,
    /// The verification that is in progress.
    pending: Option<(LookupId, Moment)>,
}

#[derive(Clone)]
enum Answering {
    Holds(usize),
    Verifies(Duration, Finding),
}

enum Mail {
    Down(usize, Vec<u8>),
    Up(usize, Vec<u8>),
}

impl World {
    fn new(seed: u64, loss: f64, config: QuerierConfig) -> Self {
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

    fn start(&mut self, host: usize, answering: Answering) {
        let responder = Responder::new(config(host, STARTED));
        self.hosts.insert(host, Host { responder, answering, looked_into: 0, forgotten: 0, pending: None });
    }

    fn run(&mut self) -> Vec<HostAnswer> {
        while !self.querier.is_finished(self.now) {
            self.step();
            assert!(self.now < at(Duration::from_secs(300)), "the query does not end");
        }
        self.querier.rows()
    }

    fn settle(&mut self, time: Duration) {
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
                        let _ = host.responder.handle_datagram(self.now, wall, &bytes);
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
            (Lookup::Open(id, _), Answering::Holds(count)) => {
                self.looked_into += 1;
                self.responder.handle_reply(now, id, reply(objects(*count), AnswerState::Final));
            }
            (Lookup::Open(id, _), Answering::Verifies(time, _)) => {
                self.looked_into += 1;
                self.pending = Some((id, now + *time));
                let state = AnswerState::Verifying { done: 0, of: 1 << 30 };
                self.responder.handle_reply(now, id, reply(objects_with(1, &Finding::Pending), state));
            }
        }
    }
}

fn about(state: u64) -> About {
    About {
        name: name(0),
        software: "test".into(),
        store: "directory:/srv".into(),
        free_bytes: None,
        held: 1,
        pinned: 0,
        state: match state {
            0 => AnswerState::Final,
            1 => AnswerState::Verifying { done: u64::MAX, of: u64::MAX },
            2 => AnswerState::Busy,
            _ => AnswerState::Failed("no".into()),
        },
    }
}

fn reply(objects: Vec<Held>, state: AnswerState) -> Reply {
    let held = objects.len() as u32;
    Reply { store: "directory:/srv".into(), free_bytes: Some(1), held, pinned: 0, objects, state }
}

fn objects(count: usize) -> Vec<Held> {
    objects_with(count, &Finding::Listed)
}

fn objects_with(count: usize, finding: &Finding) -> Vec<Held> {
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

fn asking(query: Query, expected: Expected) -> QuerierConfig {
    QuerierConfig {
        id: SessionId([3; 16]),
        key: key(),
        query,
        reply_to: QUERIER,
        answer_bytes_max: CONTROL_SMALL as u16,
        started: STARTED,
        wait: WAIT,
        expected,
    }
}

fn sealed_ask(id: u8, time: WallClock, query: Query) -> Vec<u8> {
    let id = SessionId([id; 16]);
    let spread = Duration::ZERO;
    let answer_bytes_max = CONTROL_SMALL as u16;
    let ask = Ask { id, time, round: 1, reply_to: QUERIER, spread, answer_bytes_max, query };
    let mut out = Vec::new();
    let sequence = Sequence::new(1).expect("small");
    ask.seal(&Cipher::downward(&key(), id), sequence, &mut out);
    out
}

fn config(host: usize, started: WallClock) -> ResponderConfig {
    ResponderConfig {
        name: name(host),
        software: "test".into(),
        keys: vec![key()],
        start: [host as u8; 16],
        seed: *blake3::hash(&host.to_be_bytes()).as_bytes(),
        started,
    }
}

fn named(count: usize) -> Expected {
    Expected::Named((0..count).map(name).collect::<BTreeSet<_>>())
}

fn name(host: usize) -> HostName {
    HostName::new(&format!("compute-{host:04}")).expect("plain")
}

fn sought(name: &str) -> Sought {
    Sought::new(Some(ObjectName::new(name).expect("plain")), None).expect("a name")
}

fn address(host: usize) -> SocketAddr {
    ([10, 0, 1 + (host / 200) as u8, (host % 200) as u8], 40_000).into()
}

fn at(time: Duration) -> Moment {
    Moment::default() + time
}

fn key() -> GroupKey {
    GroupKey::new([7; 32])
}

const QUERIER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 7168);
const STARTED: WallClock = WallClock(1_000_000_000);
const WAIT: Duration = Duration::from_secs(2);
