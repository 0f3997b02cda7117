//! Hosts of the group that want more than their share, in their own name or in made-up ones: how much of a sender's
//! time and of its datagrams they get, and what is left to the others.

mod node;
mod pair;

use std::collections::BTreeMap;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, ReceiverId, Sequence};
use glancecast_proto::integrity::{BlockHash, Fingerprint};
use glancecast_proto::known::{KnownHosts, UnknownHosts};
use glancecast_proto::limits::{ACKS_PER_TENTH_MAX, HOSTS_MAX, PROOFS_PER_HOST_MAX};
use glancecast_proto::receiver::Receiver;
use glancecast_proto::seal::Cipher;
use glancecast_proto::sender::{Expected, HostState, Job, JobRoom, Sender, SenderConfig, To, Verdict};
use glancecast_proto::wire::{
    BaseName, CommandOutcome, DeficitRun, Discard, Done, Down, Encoding, Failed, FailureKind, Kind,
    ManifestEntry, Outcome, Report, SymbolHash, Totals, Up, UpHeader,
};
use node::{Node, SESSION, THIEF, THIEF_KEY, known_hosts, named, report, said_by, states};
use pair::{HOST_KEY, announcement, at, deliver, group_key, host_config, key, pass_on, push_of};

#[test]
fn a_push_for_named_hosts_hears_these_alone() {
    let mut sender = sender_to(named(["a"]));
    let (mut a, mut b) = (Node::new("a", 1), Node::new("b", 2));
    assert_eq!(a.greet(&mut sender), Ok(()));
    assert_eq!(b.greet(&mut sender), Err(Discard::Unlisted));
    assert_eq!(b.say(&mut sender, &Up::Report(report(1_000))), Err(Discard::UnknownHost));
    assert_eq!(states(&sender), [("a".into(), HostState::Receiving)].into());
}

#[test]
fn a_recorded_report_does_not_count() {
    let (mut sender, mut a) = joined();
    a.number = 4;
    assert_eq!(tell(&mut a, &mut sender, report(1_000)), Ok(()));
    a.number = 4;
    assert_eq!(tell(&mut a, &mut sender, report(1_000)), Err(Discard::Replayed));
    a.number = 3;
    assert_eq!(tell(&mut a, &mut sender, report(2_000)), Err(Discard::Replayed));
}

#[test]
fn a_report_that_cannot_be_does_not_count() {
    let (mut sender, mut a) = joined();
    assert_eq!(tell(&mut a, &mut sender, report(1_000)), Ok(()));
    assert_eq!(tell(&mut a, &mut sender, report(999)), Err(Discard::Implausible), "it fell");
    assert_eq!(tell(&mut a, &mut sender, report(2_000)), Ok(()));
}

#[test]
fn a_host_that_was_told_forged_numbers_is_served() {
    let (mut sender, mut a) = joined();
    (0..2).for_each(|block| {
        sender.handle_block(entry(block), 0);
    });
    for _ in 0..2 {
        let job = sender.poll_job(JobRoom::ANY).expect("the first pass");
        let last = sender.take_sequences(To::Everyone, job.symbols(700));
        sender.handle_sent(at(1), job, last);
    }
    let deficits = vec![DeficitRun { first: BlockIndex(0), blocks: 1, symbols: 3 }];
    let report = Report { covered: 2, deficits, highest: sequence(1 << 30), ..report(2_000) };
    assert_eq!(tell(&mut a, &mut sender, report), Ok(()));
    assert!(matches!(sender.poll_job(JobRoom::ANY), Some(Job::Repair { block: BlockIndex(0), .. })));
}

#[test]
fn a_copy_of_a_host_with_its_key_does_not_end_the_push_for_it() {
    // The copy may be a cloned node, or somebody who was root on the host.
    let mut sender = sender_to(named(["a"]));
    read_all(&mut sender);
    let (mut a, mut copy) = (Node::new("a", 1), Node::new("a", 1));
    copy.id = ReceiverId([2; 8]);
    a.greet(&mut sender).expect("room");
    copy.greet(&mut sender).expect("room");
    let (kind, reason) = (FailureKind::Store, "no".into());
    let receipt = copy.receipt(Outcome::Failed(kind));
    let no = Up::Failed(Failed { kind, reason, totals: Totals::default(), receipt });
    assert_eq!(copy.say(&mut sender, &no), Ok(()));
    sender.handle_timeout(at(500));
    assert_eq!(sender.verdict(), None, "the first one may still be there");
    let round = ask(&mut sender);
    a.say_at(&mut sender, at(600), &Up::Report(Report { round, ..report(10) })).expect("and is");
    sender.handle_timeout(at(5_000));
    assert_eq!(sender.verdict(), None);
    let root = sender.root().expect("vouched for");
    let (totals, receipt) = (report(10).totals, a.receipt(Outcome::Published(root)));
    let done = Up::Done(Done { root, existing: false, totals, receipt, command: CommandOutcome::None });
    a.say_at(&mut sender, at(5_100), &done).expect("its last word");
    sender.handle_timeout(at(6_000));
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete), "and the copy is named");
    assert_eq!(sender.rows().len(), 2);
}

#[test]
fn a_host_that_asks_for_ever_does_not_keep_the_first_pass_from_its_end() {
    let (mut sender, mut a) = joined();
    let blocks = geometry().blocks();
    (0..blocks).for_each(|block| {
        sender.handle_block(entry(block as u8), 0);
    });
    let (mut source, mut repair) = (0, 0);
    for number in 2..2 + 3 * u64::from(blocks) {
        let covered = sender.blocks_sent();
        let symbols = geometry().shape(1 << 20).source_symbols() as u16 - 1;
        let run = DeficitRun { first: BlockIndex(0), blocks: covered as u16, symbols };
        let deficits = if covered == 0 { Vec::new() } else { vec![run] };
        let highest = sequence(sender.take_sequences(To::Everyone, 1).value());
        let report = Report { covered, deficits, highest, ..report(10 * number) };
        tell(&mut a, &mut sender, report).expect("possible");
        let job = sender.poll_job(JobRoom::ANY).expect("something is to be sent");
        source += u32::from(matches!(job, Job::Source { .. }));
        repair += u32::from(matches!(job, Job::Repair { .. }));
        let last = sender.take_sequences(To::Everyone, job.symbols(700));
        sender.handle_sent(at(1), job, last);
        if source == blocks {
            break;
        }
    }
    println!("{source} blocks of the first pass, {repair} repairs between them");
    assert_eq!(source, blocks);
    assert!(repair <= 3 * blocks);
}

#[test]
fn with_a_base_a_host_that_asks_for_ever_does_not_keep_others_from_what_they_lack() {
    let base = Some(BaseName::new("older").expect("plain"));
    let mut sender = Sender::new(at(0), SenderConfig { base, ..config(Expected::Anyone) });
    announcement(&mut sender, at(0));
    let (mut greedy, mut honest) = (Node::new("greedy", 1), Node::new("honest", 2));
    greedy.greet(&mut sender).expect("room");
    honest.greet(&mut sender).expect("room");
    let blocks = geometry().blocks();
    (0..blocks).for_each(|block| {
        sender.handle_fingerprinted(entry(block as u8), Some(Fingerprint([block as u8; 16])));
    });
    sender.handle_timeout(at(1));
    let symbols = geometry().shape(1 << 20).source_symbols() as u16;
    let lacks = |first, blocks: u32, symbols| {
        vec![DeficitRun { first: BlockIndex(first), blocks: blocks as u16, symbols }]
    };
    let wanted = Report { covered: blocks, deficits: lacks(1, blocks - 1, symbols + 1), ..report(10) };
    tell(&mut honest, &mut sender, wanted).expect("possible");
    let mut whole = 0;
    for number in 2..2 + 4 * u64::from(blocks) {
        let highest = sequence(sender.take_sequences(To::Everyone, 1).value());
        let more =
            Report { covered: blocks, deficits: lacks(0, 1, symbols - 1), highest, ..report(10 * number) };
        tell(&mut greedy, &mut sender, more).expect("possible");
        let Some(job) = sender.poll_job(JobRoom { repair: true, source: false }) else { break };
        whole += u32::from(matches!(job, Job::Source { .. }));
        let last = sender.take_sequences(To::Everyone, job.symbols(700));
        sender.handle_sent(at(1), job, last);
    }
    assert_eq!(whole, blocks - 1);
}

#[test]
fn a_host_that_suspects_every_block_is_answered_up_to_a_budget_and_others_are_too() {
    let mut sender = Sender::new(at(0), push_of(SESSION.0[0], 256 << 20));
    announcement(&mut sender, at(0));
    let (mut greedy, mut honest) = (Node::new("greedy", 1), Node::new("honest", 2));
    greedy.greet(&mut sender).expect("room");
    honest.greet(&mut sender).expect("room");
    (0..=255).for_each(|block| {
        sender.handle_block(entry(block), 0);
    });
    let k = sender.config().geometry.shape(1 << 20).source_symbols();
    let hash = |sender: &mut Sender| {
        let hashed = std::iter::from_fn(|| sender.poll_proofs(at(1))).collect::<Vec<_>>();
        for &job in &hashed {
            let hashes = vec![SymbolHash([1; 8]); job.symbols(k) as usize];
            sender.handle_hashes(job, Some(&hashes));
        }
        hashed
    };
    let mut hashed = 0;
    for number in 0..60 {
        let suspects = (0..4).map(|n| BlockIndex(4 * number + n)).collect();
        let report = Report { suspects, ..report(10 * u64::from(number + 2)) };
        tell(&mut greedy, &mut sender, report).expect("possible");
        hashed += hash(&mut sender).len();
    }
    println!("{hashed} blocks of 240 are hashed; {}", sender.discards());
    assert!((20..=PROOFS_PER_HOST_MAX as usize).contains(&hashed));
    assert!(sender.discards().of(Discard::OverBudget) > 100);
    let suspects = vec![BlockIndex(255)];
    tell(&mut honest, &mut sender, Report { suspects, ..report(10) }).expect("possible");
    let is_answered = (0..40).any(|_| {
        ask(&mut sender);
        hash(&mut sender).iter().any(|job| job.block() == BlockIndex(255))
    });
    assert!(is_answered);
}

#[test]
fn the_hellos_of_a_host_are_checked_and_acknowledged_up_to_a_budget() {
    let (mut sender, mut a) = joined();
    said_by(&mut sender, at(1));
    let heard: Vec<_> = (2..20_000).map(|_| a.greet(&mut sender)).collect();
    let taken = heard.iter().filter(|heard| heard.is_ok()).count();
    assert!(heard.iter().all(|heard| matches!(heard, Ok(()) | Err(Discard::OverBudget))));
    let acks = said_by(&mut sender, at(1)).iter().filter(|said| said[1] == Kind::Ack as u8).count();
    println!("{taken} taken, {acks} acknowledged");
    assert!(acks <= taken && taken <= 120 && acks <= ACKS_PER_TENTH_MAX as usize);
    assert_eq!(a.greet_at(&mut sender, at(1_100)), Ok(()), "a second later it is heard again");
}

#[test]
fn ten_thousand_made_up_hosts_keep_no_listed_host_out() {
    let mut sender = sender_to(named(["compute-1", "compute-2"]));
    let mut hello = Vec::new();
    for number in 0..10_000 {
        Node::new(&format!("made-up-{number}"), THIEF_KEY).hello_into(number, &mut hello);
        assert_eq!(sender.handle_datagram(at(1), THIEF, &hello), Err(Discard::Unlisted));
    }
    assert_eq!(sender.rows().len(), 2);
    assert_eq!(Node::new("compute-1", 1).greet_at(&mut sender, at(2)), Ok(()));
    assert_eq!(states(&sender)["compute-1"], HostState::Receiving);
}

#[test]
fn ten_thousand_made_up_hosts_keep_no_known_host_out_of_a_push_for_anybody() {
    let config = SenderConfig { known: known_hosts(UnknownHosts::Taken), ..config(Expected::Anyone) };
    let mut sender = Sender::new(at(0), config);
    let (mut hello, mut checked) = (Vec::new(), BTreeMap::new());
    for number in 0..20_000u64 {
        // Six thousand in each second.
        let now = at(number / 6);
        Node::new(&format!("made-up-{number}"), THIEF_KEY).hello_into(number, &mut hello);
        match sender.handle_datagram(now, THIEF, &hello) {
            Ok(()) => *checked.entry(number / 6_000).or_insert(0) += 1,
            Err(refused) => {
                assert!(matches!(refused, Discard::OverBudget | Discard::UnknownHost), "{refused:?}");
            }
        }
    }
    println!("taken in each second: {checked:?}; {}", sender.discards());
    assert!(checked.values().all(|&count| count <= 4_000), "signatures are checked up to a budget");
    assert!(sender.discards().of(Discard::OverBudget) > 2_000);
    assert!(sender.rows().len() <= HOSTS_MAX);
    assert_eq!(
        Node::new("compute-1", HOST_KEY).greet_at(&mut sender, at(3_334)),
        Ok(()),
        "its place is kept"
    );
    assert_eq!(states(&sender)["compute-1"], HostState::Receiving);
}

#[test]
fn thousands_of_hellos_in_a_hosts_name_keep_it_out_no_longer_than_a_lost_datagram() {
    for known in [KnownHosts::default(), known_hosts(UnknownHosts::Taken)] {
        let mut sender = Sender::new(at(0), SenderConfig { known, ..config(named(["compute-1"])) });
        let (mut host, mut hello) = (Receiver::new(host_config()), Vec::new());
        deliver(&mut sender, &mut host, at(0));
        let joined = (0..5_000u64).find(|&ms| {
            // Five a millisecond with a signature of nobody, under the host's name and in the name of its key.
            for number in 0..5 {
                forged_hello(5 * ms + number, &mut hello);
                assert!(sender.handle_datagram(at(ms), THIEF, &hello).is_err());
            }
            pass_on(&mut host, [&mut sender], at(ms));
            sender.rows()[0].state == HostState::Receiving
        });
        println!("it joined after {joined:?} ms; {}", sender.discards());
        assert!(joined.is_some_and(|ms| ms <= 1_000));
        assert_eq!(sender.rows()[0].key, Some(key(HOST_KEY).public()));
    }
}

/// Writes a hello in the name of compute-1 and of its key, which somebody else has signed.
fn forged_hello(start: u64, out: &mut Vec<u8>) {
    Node::new("compute-1", THIEF_KEY).hello_into(start, out);
    let up = UpHeader::parse(out).expect("a header");
    let cipher = Cipher::upward(&group_key(), SESSION, up.receiver);
    let mut plain = vec![0; out.len() - 18 - 16];
    cipher.open(up.header.sequence, &out[..18], &out[18..], &mut plain).expect("its own");
    plain[..32].copy_from_slice(&key(HOST_KEY).public().0);
    let (clear, sealed) = out.split_at_mut(18);
    cipher.seal(up.header.sequence, clear, &plain, sealed);
}

/// Returns a push for anybody, and a host that takes part in it.
fn joined() -> (Sender, Node) {
    let (mut sender, mut host) = (sender_to(Expected::Anyone), Node::new("a", 1));
    host.greet(&mut sender).expect("room");
    (sender, host)
}

/// Reads the whole source, which is all zeros, and sends what is due.
fn read_all(sender: &mut Sender) {
    let blocks = geometry().blocks();
    (0..blocks).for_each(|block| {
        let hash = BlockHash([block as u8; 32]);
        sender.handle_block(ManifestEntry { encoding: Encoding::Zero, hash }, 0);
    });
    sender.handle_source_proven(at(0));
    said_by(sender, at(0));
}

fn sender_to(expected: Expected) -> Sender {
    let mut sender = Sender::new(at(0), config(expected));
    announcement(&mut sender, at(0));
    sender
}

fn config(expected: Expected) -> SenderConfig {
    SenderConfig { expected, ..push_of(SESSION.0[0], 2 << 20) }
}

fn geometry() -> Geometry {
    config(Expected::Anyone).geometry
}

fn entry(hash: u8) -> ManifestEntry {
    ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([hash; 32]) }
}

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).expect("40 bits")
}

/// Has a host answer the sender's next poll with this report.
fn tell(node: &mut Node, sender: &mut Sender, report: Report) -> Result<(), Discard> {
    let round = ask(sender);
    node.say(sender, &Up::Report(Report { round, ..report }))
}

/// Has the sender ask for reports; returns the round.
fn ask(sender: &mut Sender) -> u32 {
    let (cipher, mut out) = (Cipher::downward(&group_key(), SESSION), Vec::new());
    let geometry = sender.config().geometry;
    loop {
        let (now, _) = sender.poll_timeout().expect("it goes on");
        sender.handle_timeout(now);
        while sender.poll_transmit(now, &mut out).is_some() {
            if let Ok((_, Down::Poll(poll))) = Down::open(&cipher, geometry, None, &out, |_| Ok(())) {
                return poll.round;
            }
        }
    }
}
