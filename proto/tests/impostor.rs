//! A host of the group has the group key and a key of its own, hears all that is sent, and can seal any datagram. These
//! tests show how far that gets against a sender, and against other hosts in its eyes: the machines from outside, with
//! real datagrams between them.

mod crypto;
mod node;
mod pair;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, Sequence, SessionId};
use glancecast_proto::integrity::{BlockHash, Root};
use glancecast_proto::known::{KnownHosts, UnknownHosts};
use glancecast_proto::receiver::{
    BlockOutcome, Effect, Failure, Opened, Published, Receiver, ReceiverConfig, Work,
};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::{Expected, HostRow, HostState, Sender, SenderConfig, SenderEvent, Verdict};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    CommandOutcome, Discard, Done, Encoding, Failed, FailureKind, Greeting, Hello, Kind, ManifestEntry,
    Outcome, Receipt, Totals, Up, UpHeader,
};
use node::{Node, SESSION, THIEF, THIEF_KEY, agreement, known_hosts, name, named, said_by, states};
use pair::{
    HOST, HOST_KEY, announcement, at, deliver, effect, group_key, host_config, join, key, push_of, said,
    search, wall,
};

#[test]
fn nobody_speaks_for_a_host_whatever_it_is_doing() {
    for known in [KnownHosts::default(), known_hosts(UnknownHosts::Refused)] {
        for state in State::ALL {
            let mut scene = Scene::of(state, known.clone());
            let before = scene.sender.rows();
            for (what, forged) in scene.attacks() {
                let refused = scene.sender.handle_datagram(scene.now, THIEF, &forged);
                assert!(refused.is_err(), "{state:?}: {what}");
                assert_eq!(scene.sender.rows(), before, "{state:?}: {what}");
            }
            assert_eq!(scene.sender.verdict(), None, "{state:?}");
            assert!(said_by(&mut scene.sender, scene.now).iter().all(|sent| sent[1] != Kind::Ack as u8));
        }
    }
}

#[test]
fn a_host_that_was_attacked_in_any_state_ends_its_push_as_if_nothing_had_been() {
    for (state, verdict) in [
        (State::Receiving, Verdict::Complete),
        (State::Busy, Verdict::Complete),
        (State::Silent, Verdict::Complete),
        (State::Stopped, Verdict::Complete),
        (State::Failed, Verdict::Incomplete),
    ] {
        let mut scene = Scene::of(state, KnownHosts::default());
        for (_, forged) in scene.attacks() {
            let _ = scene.sender.handle_datagram(scene.now, THIEF, &forged);
        }
        assert_eq!(scene.finish(), verdict, "{state:?}");
        assert_eq!(scene.row().key, Some(key(HOST_KEY).public()), "{state:?}");
        assert!(scene.row().receipt.is_some(), "{state:?}");
    }
}

#[test]
fn nobody_speaks_for_a_host_that_is_known_and_was_never_heard() {
    let mut scene = Scene::unheard(known_hosts(UnknownHosts::Taken));
    for (what, forged) in scene.attacks() {
        assert!(scene.sender.handle_datagram(scene.now, THIEF, &forged).is_err(), "{what}");
    }
    let row = scene.row();
    let claimed = Some(key(THIEF_KEY).public());
    assert_eq!((row.state, row.key, row.receipt), (HostState::KeyChanged, claimed, None));
    let reason = row.reason.expect("said");
    let [own, known] = [THIEF_KEY, HOST_KEY].map(|seed| key(seed).public().to_string());
    assert!(
        reason.contains(&own) && reason.contains(&known) && reason.contains("--forget compute-1"),
        "{reason}"
    );
    assert_eq!(scene.sender.verdict(), None, "the host itself may still come");
    assert_eq!(scene.events(), [SenderEvent::KeyChanged(name("compute-1"), key(THIEF_KEY).public())]);

    // It comes, and takes part as if nobody had claimed its name.
    let mut scene = scene.with_host();
    assert_eq!(scene.row().state, HostState::Receiving);
    assert_eq!(scene.finish(), Verdict::Complete);
}

#[test]
fn a_push_that_only_an_impostor_answers_ends_and_is_not_complete() {
    let known = known_hosts(UnknownHosts::Taken);
    let mut sender = Sender::new(at(0), SenderConfig { known, ..config(named(["compute-1"])) });
    read_all(&mut sender);
    let mut thief = Node::new("compute-1", THIEF_KEY);
    let ended = (0..20_000).step_by(10).find(|&ms| {
        if ms % 500 == 0 {
            let _ = sender.handle_datagram(at(ms), THIEF, &thief.hello());
        }
        sender.handle_timeout(at(ms));
        said_by(&mut sender, at(ms));
        sender.verdict().is_some()
    });
    println!("it ended after {ended:?} ms");
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete));
    assert_eq!(sender.rows()[0].state, HostState::KeyChanged);
}

#[test]
fn a_name_that_nobody_knows_belongs_to_whoever_comes_first_and_the_sender_says_so() {
    let mut sender = sender_to(named(["a"]));
    let (mut first, mut second) = (Node::new("a", 1), Node::new("a", 2));
    assert_eq!(first.greet(&mut sender), Ok(()));
    assert_eq!(second.greet(&mut sender), Err(Discard::KeyChanged));
    let told = [
        SenderEvent::Joined(name("a")),
        SenderEvent::FirstUse(name("a"), key(1).public()),
        SenderEvent::KeyChanged(name("a"), key(2).public()),
    ];
    assert_eq!(events(&mut sender), told);
    assert_eq!(sender.rows().len(), 1);
    assert_eq!(sender.rows()[0].key, Some(key(1).public()));
}

#[test]
fn a_strict_sender_takes_known_hosts_alone() {
    let known = KnownHosts { keys: [(name("a"), key(1).public())].into(), unknown: UnknownHosts::Refused };
    let mut sender = Sender::new(at(0), SenderConfig { known, ..config(named(["a", "b"])) });
    read_all(&mut sender);
    assert_eq!(Node::new("b", 2).greet(&mut sender), Err(Discard::UnknownKey));
    assert_eq!(Node::new("a", 1).greet(&mut sender), Ok(()));
    let states = states(&sender);
    assert_eq!(states, [("a".into(), HostState::Receiving), ("b".into(), HostState::UnknownKey)].into());
    assert!(events(&mut sender).contains(&SenderEvent::UnknownKey(name("b"), key(2).public())));
}

#[test]
fn a_restarting_host_comes_back_and_nobody_takes_its_place_in_between() {
    let mut scene = Scene::of(State::Stopped, KnownHosts::default());
    let (old_hello, thief) = (scene.hello.clone(), Node::new("compute-1", THIEF_KEY).hello());
    assert_eq!(scene.sender.handle_datagram(at(300), THIEF, &thief), Err(Discard::KeyChanged));
    scene.restart(at(400));
    assert_eq!(scene.row().state, HostState::Receiving);
    for forged in [thief, old_hello] {
        assert!(scene.sender.handle_datagram(scene.now, THIEF, &forged).is_err(), "also when it is back");
    }
    assert_eq!(scene.rows().len(), 1);
    assert_eq!(scene.finish(), Verdict::Complete);
}

#[test]
fn a_hello_that_somebody_held_back_gives_way_to_the_start_that_is_alive() {
    // The hello of the first start never reached the sender, but an insider has recorded it.
    let mut scene = Scene::unheard(KnownHosts::default());
    let mut first = receiver(1);
    deliver(&mut scene.sender, &mut first, at(0));
    let (_, held_back) = said(&mut first, at(50)).expect("a hello");
    scene.restart(at(100));
    assert_eq!(scene.sender.handle_datagram(at(200), THIEF, &held_back), Ok(()), "it is genuine");
    assert_eq!(scene.finish(), Verdict::Complete);
    assert_eq!((scene.row().state, scene.rows().len()), (HostState::Done, 1));
}

#[test]
fn what_has_failed_stays_failed_beside_a_later_start() {
    let mut scene = Scene::of(State::Failed, KnownHosts::default());
    scene.restart(at(400));
    assert_eq!(scene.finish(), Verdict::Incomplete);
    let mut states: Vec<HostState> = scene.rows().iter().map(|row| row.state).collect();
    states.sort_by_key(|state| state.name());
    assert_eq!(states, [HostState::Done, HostState::Failed]);
}

#[test]
fn what_is_kept_of_a_host_is_signed_by_it_for_this_push() {
    for (state, outcome) in [
        (State::Receiving, Outcome::Published(root())),
        (State::Failed, Outcome::Failed(FailureKind::NoSpace)),
    ] {
        let mut scene = Scene::of(state, KnownHosts::default());
        scene.finish();
        let signed = scene.row().receipt.expect("signed");
        assert_eq!((signed.outcome, signed.receipt.name.as_str()), (outcome, "compute-1"));
        assert!(signed.receipt.verify(key(HOST_KEY).public(), group_key().scope(SESSION), outcome));
        assert!(!signed.receipt.verify(
            key(HOST_KEY).public(),
            group_key().scope(SessionId([7; 16])),
            outcome
        ));
    }
}

#[test]
fn a_hello_of_another_session_or_another_group_is_worth_nothing() {
    let mut scene = Scene::unheard(KnownHosts::default());
    let elsewhere = [(group_key(), SessionId([7; 16])), (GroupKey::new([9; 32]), SESSION)];
    for (group, session) in elsewhere {
        // The host takes part there; the insider hears its hello and seals it for here.
        let config = SenderConfig { session, key: group.clone(), ..config(Expected::Anyone) };
        let announced = announcement(&mut Sender::new(at(0), config), at(0));
        let mut host: Receiver = Receiver::new(ReceiverConfig { keys: vec![group.clone()], ..host_config() });
        host.handle_datagram(at(0), wall(at(0)), pair::SENDER, &announced).expect("fresh");
        let (_, hello) = said(&mut host, at(50)).expect("a hello");
        let up = UpHeader::parse(&hello).expect("ours");
        let there = Cipher::upward(&group, session, up.receiver);
        let replayed = resealed(&there, &hello, up.header.sequence);
        assert_eq!(scene.sender.handle_datagram(at(60), THIEF, &replayed), Err(Discard::BadSignature));
    }
    assert_eq!(scene.row().state, HostState::NeverAnswered);
}

#[test]
fn a_receipt_is_good_for_its_host_its_session_its_group_and_its_outcome_alone() {
    let mut sender = sender_to(named(["a", "b"]));
    read_all(&mut sender);
    let (mut a, mut b) = (Node::new("a", 1), Node::new("b", 2));
    a.greet(&mut sender).expect("room");
    b.greet(&mut sender).expect("room");
    let root = sender.root().expect("vouched for");
    let (published, here) = (Outcome::Published(root), group_key().scope(SESSION));
    let elsewhere = [group_key().scope(SessionId([7; 16])), GroupKey::new([9; 32]).scope(SESSION)];
    let receipts = [
        ("another host's", Receipt::sign(&key(1), here, name("a"), WallClock(1), published)),
        ("in another host's name", Receipt::sign(&key(2), here, name("a"), WallClock(1), published)),
        ("of another host's key", Receipt::sign(&key(1), here, name("b"), WallClock(1), published)),
        ("of another session", Receipt::sign(&key(2), elsewhere[0], name("b"), WallClock(1), published)),
        ("of another group", Receipt::sign(&key(2), elsewhere[1], name("b"), WallClock(1), published)),
        (
            "of another outcome",
            Receipt::sign(&key(2), here, name("b"), WallClock(1), Outcome::Existing(root)),
        ),
        ("of a failure", Receipt::sign(&key(2), here, name("b"), WallClock(1), NO_SPACE)),
    ];
    for (what, receipt) in receipts {
        let command = CommandOutcome::None;
        let done = Done { root, existing: false, totals: Totals::default(), receipt, command };
        assert_eq!(b.say(&mut sender, &Up::Done(done)), Err(Discard::BadSignature), "{what}");
    }
    let receipt = b.receipt(Outcome::Failed(FailureKind::Store));
    let reason = String::new();
    let failed = Failed { kind: FailureKind::NoSpace, reason, totals: Totals::default(), receipt };
    assert_eq!(b.say(&mut sender, &Up::Failed(failed)), Err(Discard::BadSignature));
    assert_eq!(
        states(&sender),
        [("a".into(), HostState::Receiving), ("b".into(), HostState::Receiving)].into()
    );
}

/// What the host compute-1 is doing in the eyes of the sender.
#[derive(Clone, Copy, Debug)]
enum State {
    Receiving,
    /// It is at work on another push.
    Busy,
    Failed,
    /// It has said that it stops.
    Stopped,
    Silent,
    Done,
}

impl State {
    const ALL: [Self; 6] =
        [Self::Receiving, Self::Busy, Self::Failed, Self::Stopped, Self::Silent, Self::Done];
}

/// A push for two hosts, of which compute-1 is attacked, and the other one is done last.
struct Scene {
    now: Moment,
    sender: Sender,
    host: Receiver,
    /// Its last hello.
    hello: Vec<u8>,
    /// Its last datagram that was no hello.
    last: Option<Vec<u8>>,
}

impl Scene {
    /// Returns a push none of whose hosts was heard yet.
    fn unheard(known: KnownHosts) -> Self {
        let known = with_the_other(known);
        let mut sender = Sender::new(at(0), SenderConfig { known, ..config(named(["compute-1", OTHER])) });
        read_all(&mut sender);
        Self { now: at(100), sender, host: receiver(1), hello: Vec::new(), last: None }
    }

    fn of(state: State, known: KnownHosts) -> Self {
        let mut scene = Self::unheard(known);
        if matches!(state, State::Busy) {
            let _ = join(&mut scene.host, &mut Sender::new(at(0), push_of(1, OBJECT_BYTES)), at(0));
        }
        deliver(&mut scene.sender, &mut scene.host, at(0));
        scene.pass_on();
        scene.enter(state);
        scene
    }

    fn enter(&mut self, state: State) {
        match state {
            State::Receiving | State::Busy | State::Silent => {}
            State::Failed => {
                let attempt = search(&mut self.host);
                let failure = Failure::new(FailureKind::NoSpace, "full");
                self.host.handle_opened(self.now, attempt, Err(failure));
            }
            State::Stopped => self.host.handle_stop(self.now),
            State::Done => (0..100).for_each(|_| {
                self.now = Moment::from_micros(self.now.micros() + 10_000);
                self.sender.handle_timeout(self.now);
                self.work();
                self.pass_on();
            }),
        }
        self.pass_on();
        if matches!(state, State::Silent) {
            self.now = at(12_000);
            self.sender.handle_timeout(self.now);
        }
        let expected = match state {
            State::Receiving => HostState::Receiving,
            State::Busy => HostState::Busy,
            State::Failed | State::Stopped => HostState::Failed,
            State::Silent => HostState::Silent,
            State::Done => HostState::Done,
        };
        assert_eq!(self.row().state, expected);
        // The sender has said all that it has to say.
        said_by(&mut self.sender, self.now);
    }

    /// Has the host start again at `now`, and say hello within the next quarter of a second.
    fn restart(&mut self, now: Moment) {
        self.now = now;
        self.host = receiver(2);
        for _ in 0..25 {
            self.sender.handle_timeout(self.now);
            self.deliver();
            self.pass_on();
            self.now = Moment::from_micros(self.now.micros() + 10_000);
        }
        assert!(self.host.session().is_some());
    }

    /// Has the host come that was not heard so far.
    fn with_host(mut self) -> Self {
        self.restart(self.now);
        self
    }

    /// Lets the push go on to its verdict. A host that has stopped starts again.
    fn finish(&mut self) -> Verdict {
        if self.sender.rows().iter().any(|row| row.reason.as_deref() == Some("the receiver was stopped")) {
            self.restart(self.now);
        }
        let mut other = Node::new(OTHER, 2);
        for tenth in 1..6_000 {
            self.now = Moment::from_micros(self.now.micros() + 10_000);
            self.sender.handle_timeout(self.now);
            self.deliver();
            self.host.handle_timeout(self.now);
            self.work();
            self.pass_on();
            if let Some(verdict) = self.sender.verdict() {
                return verdict.clone();
            }
            if tenth == 200 {
                let root = self.sender.root().expect("vouched for");
                let receipt = other.receipt(Outcome::Published(root));
                let command = CommandOutcome::None;
                let done = Done { root, existing: false, totals: Totals::default(), receipt, command };
                other.greet_at(&mut self.sender, self.now).expect("room");
                other.say_at(&mut self.sender, self.now, &Up::Done(done)).expect("it is");
            }
        }
        panic!("it does not end: {:?}", self.sender.rows());
    }

    fn deliver(&mut self) {
        deliver(&mut self.sender, &mut self.host, self.now);
    }

    /// Delivers what the host says, which an insider hears too.
    fn pass_on(&mut self) {
        while let Some((_, datagram)) = said(&mut self.host, self.now) {
            let _ = self.sender.handle_datagram(self.now, HOST, &datagram);
            if datagram[2] != SESSION.0[0] {
                continue;
            }
            if datagram[1] == Kind::Hello as u8 {
                self.hello = datagram;
            } else {
                self.last = Some(datagram);
            }
        }
    }

    /// Does what the host asks of its store.
    fn work(&mut self) {
        self.deliver();
        while let Some(work) = effect(&mut self.host) {
            match work {
                Effect::Open(attempt, _) => {
                    let place = Opened::Unfinished { file: (), kept: Vec::new() };
                    self.host.handle_opened(self.now, attempt, Ok(place));
                }
                Effect::Block(attempt, Work::Zero { block }, ()) => {
                    self.host.handle_block(self.now, attempt, block, None, BlockOutcome::Zeros(zeros()));
                }
                Effect::Publish(attempt, (), _) => {
                    self.host.handle_published(self.now, attempt, Ok(Published::New));
                }
                Effect::PutAway(..) => self.host.handle_put_away(),
                _ => {}
            }
            self.deliver();
        }
    }

    /// Returns the only or the first row of the host.
    fn row(&self) -> HostRow {
        self.rows().swap_remove(0)
    }

    fn rows(&self) -> Vec<HostRow> {
        self.sender.rows().into_iter().filter(|row| row.name.as_str() == "compute-1").collect()
    }

    fn events(&mut self) -> Vec<SenderEvent> {
        events(&mut self.sender)
    }

    /// Returns all that an insider can say in the host's name, with what it has heard and the keys that it has.
    fn attacks(&mut self) -> Vec<(&'static str, Vec<u8>)> {
        let mut thief = Node::new("compute-1", THIEF_KEY);
        let mut attacks = vec![("a hello with another key", thief.hello())];
        let own_id = thief.id;
        let heard = (!self.hello.is_empty()).then(|| opened(&self.hello));
        let id = heard.as_ref().map_or(own_id, |(up, _)| up.receiver);
        if let Some((up, greeting)) = &heard {
            let later = Sequence::new(up.header.sequence.value() + 10).expect("small");
            let upward = Cipher::upward(&group_key(), SESSION, id);
            attacks.push(("its own hello again", self.hello.clone()));
            attacks.push(("its own hello under a later number", resealed(&upward, &self.hello, later)));
            thief.id = id;
            thief.number = 10;
            attacks.push(("a hello with another key and its id", thief.hello()));
            let halves = [greeting.hello.agreement, config(Expected::Anyone).agreement.public()];
            for half in halves {
                let shared = agreement(THIEF_KEY).agree(&half).expect("a key");
                let private = Cipher::private_up(&group_key(), SESSION, id, &shared);
                attacks.extend(thief.claims(&private, self.sender.root()));
            }
            // With the agreement key of the host, which it does not have, but its own host key.
            attacks.push(("a hello with its agreement key and another host key", {
                thief.hello_with(greeting.hello.agreement)
            }));
        }
        if let Some(last) = &self.last {
            attacks.push(("its own last datagram again", last.clone()));
        }
        for cipher in [Cipher::upward(&group_key(), SESSION, id), Cipher::downward(&group_key(), SESSION)] {
            attacks.extend(thief.claims(&cipher, self.sender.root()));
        }
        thief.id = own_id;
        let shared = agreement(THIEF_KEY).agree(&config(Expected::Anyone).agreement.public()).expect("a key");
        let private = Cipher::private_up(&group_key(), SESSION, own_id, &shared);
        attacks.extend(thief.claims(&private, self.sender.root()));
        attacks
    }
}

/// Returns a hello sealed again for the session of these tests, under another number.
fn resealed(cipher: &Cipher, hello: &[u8], sequence: Sequence) -> Vec<u8> {
    let up = UpHeader::parse(hello).expect("a header");
    let mut plain = vec![0; hello.len() - 18 - 16];
    cipher.open(up.header.sequence, &hello[..18], &hello[18..], &mut plain).expect("all know this key");
    let mut out = hello.to_vec();
    out[2..5].copy_from_slice(&SESSION.tag().0);
    out[5..10].copy_from_slice(&sequence.value().to_be_bytes()[3..]);
    let (clear, sealed) = out.split_at_mut(18);
    Cipher::upward(&group_key(), SESSION, up.receiver).seal(sequence, clear, &plain, sealed);
    out
}

fn opened(hello: &[u8]) -> (UpHeader, Greeting) {
    let up = UpHeader::parse(hello).expect("a header");
    let cipher = Cipher::upward(&group_key(), SESSION, up.receiver);
    (up, Hello::open(&cipher, geometry(), up, hello).expect("all know this key"))
}

fn events(sender: &mut Sender) -> Vec<SenderEvent> {
    std::iter::from_fn(|| sender.poll_event()).collect()
}

/// Reads the whole source, which is one block of zeros.
fn read_all(sender: &mut Sender) {
    sender.handle_block(ManifestEntry { encoding: Encoding::Zero, hash: zeros() }, 0);
    sender.handle_source_proven(at(0));
}

fn sender_to(expected: Expected) -> Sender {
    Sender::new(at(0), config(expected))
}

fn config(expected: Expected) -> SenderConfig {
    SenderConfig { expected, ..push_of(SESSION.0[0], OBJECT_BYTES) }
}

/// Returns a start of the host compute-1.
fn receiver(start: u8) -> Receiver {
    Receiver::new(ReceiverConfig { start: [start; 16], ..host_config() })
}

/// Adds the key of the other host to those that are known, if any is.
fn with_the_other(mut known: KnownHosts) -> KnownHosts {
    if !known.keys.is_empty() {
        known.keys.insert(name(OTHER), key(2).public());
    }
    known
}

fn geometry() -> Geometry {
    config(Expected::Anyone).geometry
}

fn zeros() -> BlockHash {
    BlockHash::of(geometry(), BlockIndex(0), &[0; OBJECT_BYTES as usize])
}

fn root() -> Root {
    Root::of(geometry(), &[zeros()])
}

const OTHER: &str = "compute-2";
const OBJECT_BYTES: u64 = 4_096;
const NO_SPACE: Outcome = Outcome::Failed(FailureKind::NoSpace);
