//! Insiders, who have the group key and a key of their own, against the word of a host.

use super::testing::*;
use super::*;
use crate::ids::ReceiverId;
use crate::seal::TAG_BYTES;
use crate::sign::PublicKey;
use crate::time::WallClock;
use crate::wire::{Ack, FailureKind, Kind, Outcome, Receipt, Report, Up};

#[test]
fn strangers_end_no_push_for_hosts_that_are_at_work() {
    let mut hosts: Vec<Host> = (1..=3).map(Host::new).collect();
    let mut sender = passed(knowing(Expected::Count(2), &hosts.iter().collect::<Vec<_>>()));
    hosts[0].greet(&mut sender, at(60)).expect("it joins");
    for stranger in 2..=3 {
        Host::called(&format!("compute-{stranger}"), 9, 90 + stranger)
            .greet(&mut sender, at(60))
            .expect_err("another key");
    }
    for second in 1..20 {
        drain(&mut sender, at(1_000 * second));
        let report = Report { round: sender.polls.rounds(), ..report() };
        hosts[0].say(&mut sender, at(1_000 * second), &Up::Report(report)).expect("it is alive");
        sender.handle_timeout(at(1_000 * second));
        assert_eq!(sender.verdict(), None, "{second} s");
    }
}

#[test]
fn whoever_claims_a_name_takes_nothing_from_its_host_and_is_told_once() {
    for stranger_first in [true, false] {
        let (mut host, mut stranger) = (Host::new(1), Host::called("compute-1", 9, 9));
        let mut sender = passed(knowing(named(1), &[&host]));
        if !stranger_first {
            host.greet(&mut sender, at(59)).expect("it joins");
        }
        for step in 0..100 {
            assert_eq!(stranger.greet(&mut sender, at(60)), Err(Discard::KeyChanged), "{step}");
        }
        if stranger_first {
            host.greet(&mut sender, at(60)).expect("it joins");
        }
        let told = events(&mut sender);
        let claims = told.iter().filter(|event| matches!(event, SenderEvent::KeyChanged(..)));
        assert_eq!(claims.count(), 1, "{told:?}");
        assert_eq!(states(&sender), [("compute-1".into(), HostState::Receiving)]);
        assert_eq!(sender.discards().of(Discard::KeyChanged), 100);
        let done = host.done(&sender);
        host.say(&mut sender, at(61), &done).expect("its own");
        assert_eq!(sender.verdict(), Some(&Verdict::Complete));
    }
}

#[test]
fn a_hello_that_its_key_has_not_signed_changes_nothing() {
    let (mut host, mut insider) = (Host::new(1), Host::called("compute-1", 9, 9));
    let mut sender = proven(knowing(named(1), &[&host]));
    // Of a new start, and of the start that takes part, with a number far ahead.
    let forged = in_the_name_of(host.key.public(), &mut insider);
    assert_eq!(sender.handle_datagram(at(0), insider.from, &forged), Err(Discard::BadSignature));
    assert_eq!((events(&mut sender), sender.tally().heard), (vec![], 0));

    host.greet(&mut sender, at(1)).expect("it joins");
    events(&mut sender);
    let mut copy = Host { id: host.id, hello: host.hello.clone(), sequence: 1_000, ..insider };
    let forged = in_the_name_of(host.key.public(), &mut copy);
    assert_eq!(sender.handle_datagram(at(2), copy.from, &forged), Err(Discard::BadSignature));
    host.greet(&mut sender, at(3)).expect("its number is still the next");
    assert_eq!(events(&mut sender), []);
}

#[test]
fn a_failed_host_is_made_done_by_nobody() {
    let (mut host, mut insider) = (Host::new(1), Host::called("compute-1", 9, 9));
    let mut sender = passed(knowing(named(1), &[&host]));
    host.greet(&mut sender, at(60)).expect("it joins");
    let failed = host.failed(FailureKind::Exists);
    host.say(&mut sender, at(61), &failed).expect("its own");
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete));

    let mut sender = passed(knowing(named(2), &[&host, &Host::new(2)]));
    host.sequence = 0;
    host.greet(&mut sender, at(60)).expect("it joins");
    host.say(&mut sender, at(61), &failed).expect("its own");
    let done = insider.done(&sender);
    assert_eq!(insider.greet(&mut sender, at(62)), Err(Discard::KeyChanged));
    assert_eq!(insider.say(&mut sender, at(63), &done), Err(Discard::UnknownHost));
    // With the host's own id, under every key that the insider can derive.
    let mut copy = Host { id: host.id, sequence: 50, ..insider.clone() };
    assert_eq!(copy.say(&mut sender, at(64), &done), Err(Discard::Forged));
    assert_eq!(
        sender.handle_datagram(at(65), copy.from, &under_the_group_key(&copy, &done)),
        Err(Discard::Forged)
    );
    assert_eq!(states(&sender)[0], ("compute-1".into(), HostState::Failed));
    let repeated = host.say(&mut sender, at(66), &failed);
    assert_eq!(repeated, Ok(()), "its numbers are still its own");
}

#[test]
fn final_reports_count_with_a_receipt_that_the_host_has_signed() {
    let (mut host, other) = (Host::new(1), Host::new(2));
    let mut sender = passed(knowing(named(1), &[&host]));
    host.greet(&mut sender, at(60)).expect("it joins");
    let root = sender.root().expect("proven");
    let with = |receipt: Receipt| match host.done(&sender) {
        Up::Done(mut done) => {
            done.receipt = receipt;
            Up::Done(done)
        }
        _ => unreachable!("it is done"),
    };
    let bad = [
        with(other.receipt(Outcome::Published(root))),
        with(Host { key: key(9), ..host.clone() }.receipt(Outcome::Published(root))),
        with(host.receipt(Outcome::Existing(root))),
        with(host.receipt(Outcome::Failed(FailureKind::Store))),
        with(Host { key: host.key.clone(), ..other.clone() }.receipt(Outcome::Published(root))),
    ];
    let (good, row) = (host.done(&sender), |sender: &Sender| sender.rows()[0].clone());
    for bad in bad {
        assert_eq!(host.say(&mut sender, at(61), &bad), Err(Discard::BadSignature), "{bad:?}");
        assert_eq!((row(&sender).state, row(&sender).receipt), (HostState::Receiving, None));
    }
    host.say(&mut sender, at(62), &good).expect("its own");
    let row = row(&sender);
    let HostReceipt { outcome, receipt } = row.receipt.expect("kept");
    assert_eq!((outcome, receipt.time), (Outcome::Published(root), WallClock(7)));
    let (key, scope) = (row.key.expect("known"), group_key().scope(SESSION));
    assert!(receipt.verify(key, scope, outcome), "whoever has the public key can check it");
}

#[test]
fn a_failed_host_leaves_its_receipt_too() {
    let mut host = Host::new(1);
    let mut sender = passed(config(named(1)));
    host.greet(&mut sender, at(60)).expect("it joins");
    let failed = host.failed(FailureKind::Corrupt);
    host.say(&mut sender, at(61), &failed).expect("its own");
    let row = sender.rows().remove(0);
    let HostReceipt { outcome, receipt } = row.receipt.expect("kept");
    assert_eq!(outcome, Outcome::Failed(FailureKind::Corrupt));
    assert!(receipt.verify(host.key.public(), group_key().scope(SESSION), outcome));
}

#[test]
fn bad_receipts_are_checked_a_few_times_a_second() {
    let (mut host, other) = (Host::new(1), Host::new(2));
    let mut sender = passed(knowing(named(1), &[&host]));
    host.greet(&mut sender, at(60)).expect("it joins");
    let Up::Done(mut done) = host.done(&sender) else { unreachable!("it is done") };
    done.receipt = Host { key: other.key, ..host.clone() }.receipt(done.outcome());
    let done = Up::Done(done);
    let mut results: Vec<_> = (0..1_000).map(|_| host.say(&mut sender, at(61), &done)).collect();
    results.dedup();
    assert_eq!(results, [Err(Discard::BadSignature), Err(Discard::OverBudget)]);
    assert!(sender.discards().of(Discard::BadSignature) < 10);
}

#[test]
fn a_flood_of_forged_hellos_in_the_name_of_a_host_does_not_keep_it_out() {
    let (mut host, mut insider) = (Host::new(1), Host::called("compute-1", 9, 9));
    let mut sender = proven(knowing(named(1), &[&host]));
    for step in 0..1_000u64 {
        insider.id = ReceiverId(step.to_be_bytes());
        let forged = in_the_name_of(host.key.public(), &mut insider);
        sender.handle_datagram(at(0), insider.from, &forged).expect_err("not its key");
    }
    assert!(sender.discards().of(Discard::BadSignature) < 110, "{}", sender.discards());
    host.greet(&mut sender, at(0)).expect("it joins");
}

#[test]
fn hellos_from_three_forged_addresses_at_the_start_of_each_second_do_not_keep_a_host_out() {
    let (mut host, mut insider) = (Host::new(1), Host::called("compute-1", 9, 9));
    let mut sender = proven(knowing(named(1), &[&host]));
    flood(&mut sender, 0, host.key.public(), &mut insider, 9);
    host.greet(&mut sender, at(500)).expect("it joins");

    flood(&mut sender, 1_000, host.key.public(), &mut insider, 9);
    host.greet(&mut sender, at(1_001)).expect("its address is known");
    flood(&mut sender, 2_000, host.key.public(), &mut insider, 9);
    let mut restarted = host.restarted(2);
    restarted.from = host.from;
    restarted.greet(&mut sender, at(2_001)).expect("it was proven from there");
}

#[test]
fn whoever_claims_a_name_from_many_addresses_uses_up_no_check_of_a_receipt() {
    let (mut host, mut insider) = (Host::new(1), Host::called("compute-1", 9, 9));
    let mut sender = passed(knowing(named(1), &[&host]));
    host.greet(&mut sender, at(60)).expect("it joins");
    for network in 2..=255 {
        flood(&mut sender, 61, host.key.public(), &mut insider, network);
    }
    assert!(sender.discards().of(Discard::OverBudget) > 5_000);
    let done = host.done(&sender);
    host.say(&mut sender, at(62), &done).expect("its own");
    assert_eq!(sender.verdict(), Some(&Verdict::Complete));
}

#[test]
fn made_up_hosts_of_an_insider_take_no_place_of_those_that_are_expected() {
    let mut hosts: Vec<Host> = (1..=3).map(Host::new).collect();
    let mut sender = proven(config(named(3)));
    let mut made_up = Host::called("made-up", 9, 9);
    for step in 0..10_000 {
        assert_eq!(greet_as(&mut made_up, step, &mut sender), Err(Discard::Unlisted));
    }
    hosts.iter_mut().for_each(|host| host.greet(&mut sender, at(0)).expect("it joins"));
    assert_eq!(sender.rows().len(), 3);
}

#[test]
fn made_up_hosts_of_an_insider_take_no_place_of_those_that_are_known() {
    let mut hosts: Vec<Host> = (1..=3).map(Host::new).collect();
    let mut sender = proven(knowing(Expected::Anyone, &hosts.iter().collect::<Vec<_>>()));
    let mut made_up = Host::called("made-up", 9, 9);
    let joined = (0..10_100).filter(|&step| greet_as(&mut made_up, step, &mut sender).is_ok());
    assert_eq!(joined.count(), crate::limits::HOSTS_MAX - 3);
    assert!(sender.discards().of(Discard::UnknownHost) > 0);
    hosts.iter_mut().for_each(|host| host.greet(&mut sender, at(0)).expect("it joins"));
}

#[test]
fn an_acknowledgement_is_for_one_start_alone() {
    let (mut host, other) = (Host::new(1), Host::new(2));
    let mut sender = proven(config(Expected::Anyone));
    drain(&mut sender, at(0));
    host.greet(&mut sender, at(0)).expect("it joins");
    let acks = acks(&mut sender, at(0));
    let [datagram] = &acks[..] else { panic!("{} acks", acks.len()) };
    let echo = sender.config.agreement.echo_key().of(host.id, host.from);
    let expected = Ack { receiver: host.id, kind: Kind::Hello, slot: 0, echo };
    assert_eq!(host.open_ack(datagram), Ok(expected));
    assert_eq!(other.open_ack(datagram), Err(Discard::Forged));
    assert_eq!(Ack::open(&Cipher::downward(&group_key(), SESSION), datagram), Err(Discard::Forged));
}

/// Has a host of this insider say hello, whose name and id are made up of `number`, a millisecond after the last one.
fn greet_as(insider: &mut Host, number: u64, sender: &mut Sender) -> Result<(), Discard> {
    insider.id = ReceiverId((1 << 32 | number).to_be_bytes());
    insider.hello = hello(&format!("made-up-{number}"), insider.hello.agreement);
    insider.sequence = 0;
    insider.greet(sender, at(number))
}

/// Has an insider say hello in the name of the holder of this key: eight times from each of three addresses that it
/// forges, in the network 10.`network`.0.0.
fn flood(sender: &mut Sender, ms: u64, victim: PublicKey, insider: &mut Host, network: u8) {
    for step in 0..24u8 {
        insider.id = ReceiverId([9, 9, 9, 9, (ms >> 8) as u8, ms as u8, network, step]);
        let from = ([10, network, 0, step / 8], 9).into();
        let forged = in_the_name_of(victim, insider);
        sender.handle_datagram(at(ms), from, &forged).expect_err("not its key");
    }
}

/// The next hello of an insider, which names the key of somebody else.
fn in_the_name_of(victim: PublicKey, insider: &mut Host) -> Vec<u8> {
    let genuine = insider.greeting();
    let cipher = Cipher::upward(&group_key(), SESSION, insider.id);
    let sequence = Sequence::new(insider.sequence).expect("small");
    let (header, sealed) = genuine.split_at(CLEAR);
    let mut plain = vec![0; sealed.len() - TAG_BYTES];
    cipher.open(sequence, header, sealed, &mut plain).expect("the group's key opens it");
    plain[..PublicKey::BYTES].copy_from_slice(&victim.0);
    let mut forged = genuine.clone();
    cipher.seal(sequence, header, &plain, &mut forged[CLEAR..]);
    forged
}

/// What a host says, sealed under the key that every holder of the group key can derive.
fn under_the_group_key(host: &Host, up: &Up) -> Vec<u8> {
    let mut out = Vec::new();
    let sequence = Sequence::new(host.sequence + 1).expect("small");
    up.seal(&Cipher::upward(&group_key(), SESSION, host.id), SESSION.tag(), host.id, sequence, &mut out);
    out
}

/// Length of the clear header of a hello.
const CLEAR: usize = 18;
