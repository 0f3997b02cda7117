//! A signed push beside an insider, which has the group's key and a host key of its own, compared with one in quiet.

use std::time::Duration;

use glancecast_platform::clock::wall;
use glancecast_proto::agree::{AgreementKey, AgreementPublic};
use glancecast_proto::ids::{HostName, ObjectName, ReceiverId, SessionId};
use glancecast_proto::integrity::Root;
use glancecast_proto::wire::{
    Announce, Ask, Audience, CommandOutcome, Done, Down, End, Outcome, Query, Sought, Totals, Up,
};
use glancecast_tests::attacker::{Attack, Attacker, Insider};
use glancecast_tests::image::Seed;
use glancecast_tests::measured;
use glancecast_tests::testbed::Testbed;

use super::attackers::{Crowd, lie};
use super::{SenderKeys, push_of};

#[test]
fn no_insider_takes_a_third_of_a_signed_push() {
    let testbed = Testbed::loopback();
    let keys = SenderKeys::of(&testbed);
    let receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    let options = ["--hosts", "r1", "--rate", "24mbit", "--sender-key", &keys.secret];
    let push = |name: &str| push_of(&testbed, name, BYTES, Seed::draw(), &options);
    // The first push makes the host's key known.
    push("first.raw").complete(&receiver);
    let (_, quiet) = push("quiet.raw").complete(&receiver);
    let mut slow = Vec::new();
    let mut judge = |what: &str, seconds: f64, said: u64| {
        measured!("{what}: {said} datagrams, {:.2} times as long", seconds / quiet.seconds);
        if seconds > 1.3 * quiet.seconds {
            slow.push(what.to_owned());
        }
    };
    for (number, Mischief { what, burst, act }) in MISCHIEF.into_iter().enumerate() {
        let push = push(&format!("image-{number}.raw"));
        let insider = Attacker::join(&testbed).with_key(testbed.key());
        let attack = Attack::start((insider, 0), Duration::from_millis(1), move |(insider, said)| {
            for _ in 0..burst {
                *said += 1;
                act(insider, *said);
            }
        });
        let (_, report) = push.complete(&receiver);
        let (_, said) = attack.stop();
        report.assert_hosts(&[("r1", "done")]);
        assert!(said > 1_000, "{what}: {said}");
        judge(what, report.seconds, said);
    }
    let push = push("crowd.raw");
    let crowd = Crowd::start(&testbed);
    let (_, report) = push.complete(&receiver);
    judge("hosts that lack everything", report.seconds, crowd.stop().number);
    assert!(slow.is_empty(), "{slow:?}");
}

/// Something that an insider does over and over.
struct Mischief {
    what: &'static str,
    /// How often, in each millisecond.
    burst: u32,
    act: fn(&mut Insider, u64),
}

const MISCHIEF: [Mischief; 7] = [
    Mischief { what: "is the host, and done", burst: 2, act: claim_done },
    Mischief { what: "says hello as the host, and as hosts that are none", burst: 5, act: greet },
    Mischief { what: "speaks as the sender", burst: 2, act: lie },
    Mischief { what: "signs as the sender", burst: 10, act: sign },
    Mischief { what: "announces pushes", burst: 10, act: announce },
    Mischief { what: "asks", burst: 10, act: ask },
    Mischief { what: "signs what it asks", burst: 10, act: ask_signed },
];

fn claim_done(insider: &mut Insider, number: u64) {
    let (name, id) = (host("r1"), ReceiverId(number.to_be_bytes()));
    insider.greet(&name, id, 1);
    let root = Root([9; 32]);
    let receipt = insider.receipt(&name, Outcome::Published(root));
    let command = CommandOutcome::None;
    let done = Done { root, existing: false, totals: Totals::default(), receipt, command };
    insider.say_up(&Up::Done(done), id, 2);
}

fn greet(insider: &mut Insider, number: u64) {
    let name = if number.is_multiple_of(2) { "r1".to_owned() } else { format!("made-up-{number}") };
    insider.greet(&host(&name), ReceiverId(number.to_be_bytes()), 1);
}

fn sign(insider: &mut Insider, number: u64) {
    insider.sign_down(&Down::End(End::Aborted("forged".into())), 1 << 30 | number);
}

fn announce(insider: &mut Insider, number: u64) {
    let genuine = &insider.announced.announce;
    let name = ObjectName::new("theirs.raw").expect("plain");
    let own = Announce { session: session(number), name, time: wall(), ..genuine.clone() };
    insider.announce(&own, 1);
}

fn ask(insider: &mut Insider, number: u64) {
    insider.ask(&query(insider, number), false);
}

fn ask_signed(insider: &mut Insider, number: u64) {
    insider.ask(&query(insider, number), true);
}

/// A query of an insider: each of the kinds that cost a host something, in turn.
fn query(insider: &Insider, number: u64) -> Ask {
    let name = ObjectName::new("quiet.raw").expect("plain");
    let sought = || Sought::new(Some(name.clone()), None).expect("a name");
    let query = match number % 4 {
        0 => Query::Hosts,
        1 => Query::Verify(sought()),
        2 => Query::Unpin(sought()),
        _ => Query::Remove(sought()),
    };
    Ask {
        id: session(number),
        time: wall(),
        round: 1,
        reply_to: insider.attacker.address(),
        spread: Duration::ZERO,
        answer_bytes_max: 1_200,
        audience: Audience::Everyone,
        agreement: agreement(),
        query,
    }
}

fn agreement() -> AgreementPublic {
    AgreementKey::from_seed(&[0xA8; AgreementKey::SEED_BYTES].into()).public()
}

fn session(number: u64) -> SessionId {
    let mut id = [0xA9; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    SessionId(id)
}

fn host(name: &str) -> HostName {
    HostName::new(name).expect("plain")
}

/// What 24 Mbit/s carry in some two seconds.
const BYTES: u64 = 6 << 20;
