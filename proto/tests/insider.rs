//! A holder of the group key can seal any datagram. These tests show how far that gets against hosts that list
//! their senders, and against a sender: the machines from outside, with real datagrams between them.

mod pair;

use std::collections::BTreeSet;
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ReceiverId, Sequence, SessionId};
use glancecast_proto::integrity::{BlockHash, Fingerprint, Root};
use glancecast_proto::limits::{ACKS_PER_TENTH_MAX, CORRUPT_TRIES_MAX, SEQUENCES_AHEAD_MAX};
use glancecast_proto::receiver::{
    Admission, BlockOutcome, Effect, Leftover, Receiver, ReceiverConfig, ReceiverEvent, Returned, Work,
};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::{Expected, HostState, Job, JobRoom, Sender, SenderConfig, Verdict};
use glancecast_proto::sign::SigningKey;
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    BaseName, DeficitRun, Discard, Done, Down, Encoding, End, Failed, FailureKind, Hello, Kind,
    ManifestEntry, ManifestRun, Poll, Report, SymbolHeader, Totals, Up,
};
use pair::{
    HOST, SENDER, WALL, announcement, at, deliver, effect, group_key, host_config, left, open, push_of, said,
    wall,
};
use zeroize::Zeroizing;

#[test]
fn a_receiver_joins_a_push_of_a_listed_sender() {
    let (mut sender, mut host) = (sender(Some(1)), listing(&[1]));
    deliver(&mut sender, &mut host, at(0));
    assert!(matches!(host.poll_event(), Some(ReceiverEvent::Joined(_))));
}

#[test]
fn while_a_senders_key_is_replaced_both_are_accepted() {
    for key in [1, 2] {
        let mut host = listing(&[1, 2]);
        deliver(&mut sender(Some(key)), &mut host, at(0));
        assert!(host.session().is_some(), "key {key}");
    }
}

#[test]
fn a_push_that_is_not_signed_or_by_somebody_else_is_refused_and_its_sender_told_why() {
    for (signer, says) in [(None, "--sender-key"), (Some(2), "add ed25519:")] {
        let (mut sender, mut host) = (sender(signer), listing(&[1]));
        let announcement = announcement(&mut sender, at(0));
        let heard = |host: &mut Receiver, now| host.handle_datagram(now, wall(now), SENDER, &announcement);
        assert_eq!(heard(&mut host, at(0)), Err(Discard::UnknownSender));
        assert_eq!(heard(&mut host, at(1)), Err(Discard::UnknownSender));
        let told = ReceiverEvent::UnknownSender(SENDER, signer.map(|seed| signing_key(seed).public()));
        assert_eq!(host.poll_event(), Some(told));
        assert_eq!(host.poll_event(), None, "told once");
        assert!(host.session().is_none());
        assert_eq!(host.discards().of(Discard::UnknownSender), 2);

        answer(&mut host, &mut sender, at(10));
        let row = &sender.rows()[0];
        assert_eq!((row.name.as_str(), row.state), ("compute-1", HostState::Failed));
        let reason = row.reason.clone().expect("said");
        assert!(reason.contains(says), "{reason}");
    }
}

#[test]
fn an_announcement_that_names_a_listed_sender_and_is_not_signed_by_it_is_refused() {
    let mut host = listing(&[1]);
    let listed = announcement(&mut sender(Some(1)), at(0));
    let mut plain = opened(&listed);
    // The name of the image is changed, so the signature does not match.
    let at_name = plain.windows(5).position(|window| window == b"image").expect("its name");
    plain[at_name] = b'I';
    let forged = resealed(&listed, &plain);
    assert_eq!(host.handle_datagram(at(0), WALL, SENDER, &forged), Err(Discard::BadSignature));
    assert!(host.session().is_none());
    assert_eq!(host.handle_datagram(at(0), WALL, SENDER, &listed), Ok(()), "the true one");
}

#[test]
fn a_signed_announcement_is_refused_when_it_is_old() {
    let listed = announcement(&mut sender(Some(1)), at(0));
    let later = WallClock(WALL.0 + 301_000);
    assert_eq!(listing(&[1]).handle_datagram(at(0), later, SENDER, &listed), Err(Discard::Stale));
}

#[test]
fn a_host_without_a_list_holds_a_signed_session_to_its_signer() {
    let (mut sender, mut host) = (sender(Some(1)), Receiver::new(host_config()));
    deliver(&mut sender, &mut host, at(0));
    assert_eq!(hear(&mut host, 50, &Down::End(End::Over), None), Err(Discard::BadSignature));
    assert!(host.session().is_some());
}

#[test]
fn the_root_the_manifest_and_the_end_are_taken_from_the_signer_alone() {
    let run = ManifestRun::plain(BlockIndex(0), vec![entry(9); 2]);
    for down in [
        Down::Poll(poll(1, Some(Root([9; 32])))),
        Down::Poll(poll(u32::MAX, None)),
        Down::Manifest(run),
        Down::End(End::Over),
        Down::End(End::Aborted("no".into())),
    ] {
        for signer in [None, Some(2)] {
            let (mut sender, mut host) = (sender(Some(1)), listing(&[1]));
            deliver(&mut sender, &mut host, at(0));
            let refused = hear(&mut host, 50, &down, signer).expect_err("not the sender's");
            assert_eq!(refused, Discard::BadSignature, "{down:?}");
            assert!(host.session().is_some(), "it goes on");
        }
        let mut host = listing(&[1]);
        deliver(&mut self::sender(Some(1)), &mut host, at(0));
        assert_eq!(hear(&mut host, 50, &down, Some(1)), Ok(()), "{down:?}");
    }
}

#[test]
fn a_signed_word_is_good_for_its_own_session_alone() {
    let mut host = listing(&[1]);
    deliver(&mut sender(Some(1)), &mut host, at(0));
    // Signed in another session, and sealed again for this one.
    let mut other = Vec::new();
    let (key, session) = (group_key(), SessionId([8; 16]));
    let cipher = Cipher::downward(&key, session);
    Down::End(End::Over).seal(&cipher, Some(&signing_key(1)), session, sequence(50), &mut other);
    let mut plain = vec![0; other.len() - 10 - 16];
    cipher.open(sequence(50), &other[..10], &other[10..], &mut plain).expect("ours");
    let mut replayed = Vec::new();
    Down::End(End::Over).seal(&Cipher::downward(&key, SESSION), None, SESSION, sequence(50), &mut replayed);
    let replayed = resealed(&replayed, &plain);
    assert_eq!(host.handle_datagram(at(1), WALL, SENDER, &replayed), Err(Discard::BadSignature));
    assert!(host.session().is_some());
}

#[test]
fn recorded_polls_are_not_checked_again() {
    let (mut sender, mut host) = (sender(Some(1)), listing(&[1]));
    deliver(&mut sender, &mut host, at(0));
    let down = Down::Poll(poll(1, None));
    assert_eq!(hear(&mut host, 50, &down, Some(1)), Ok(()));
    assert_eq!(hear(&mut host, 50, &down, Some(1)), Err(Discard::Replayed));
    // The same holds with a broken signature, which is not even checked.
    assert_eq!(hear(&mut host, 50, &down, Some(2)), Err(Discard::Replayed));
}

#[test]
fn forged_numbers_neither_end_a_session_nor_blind_it_for_long() {
    let (mut sender, mut host) = (sender(Some(1)), listing(&[1]));
    deliver(&mut sender, &mut host, at(0));
    assert_eq!(admit(&mut host, SEQUENCES_AHEAD_MAX + 100), Err(Discard::Implausible));
    let Ok(Admission::To(place)) = admit(&mut host, 1_000_000) else { panic!("it may be the sender's") };
    host.accept(at(1), &symbol(1_000_000), place, 1_468);
    assert_eq!(hear_at(&mut host, at(100), 60, &Down::Poll(poll(1, None)), Some(1)), Ok(()));
    while said(&mut host, at(200)).is_some() {}
    let report = said_report(&mut host, at(300));
    assert_eq!(report.highest, sequence(60), "that of the poll");
    assert_eq!(report.totals.symbols_lost, 0);
    // Forged datagrams are no signs of life.
    for seconds in 1..40 {
        let _ = admit(&mut host, 1_000_000 + seconds).map(|admission| match admission {
            Admission::To(place) => {
                host.accept(at(1_000 * seconds), &symbol(1_000_000 + seconds), place, 1_468);
            }
            Admission::Spare(_) => {}
        });
        host.handle_timeout(at(1_000 * seconds));
    }
    assert!(host.session().is_none(), "its sender is gone");
}

#[test]
fn while_a_group_key_is_replaced_both_are_accepted() {
    let keys = vec![GroupKey::new([9; 32]), group_key()];
    let (mut sender, mut host) = (sender(None), Receiver::new(ReceiverConfig { keys, ..host_config() }));
    deliver(&mut sender, &mut host, at(0));
    answer(&mut host, &mut sender, at(50));
    assert_eq!(sender.tally().heard, 1, "it answers under the same key");
    // A sender of another version gets a notice under each key, as it is unknown which one it has.
    let mut future = announcement(&mut sender, at(1_000));
    future[0] = 2;
    assert_eq!(host.handle_datagram(at(1_000), WALL, SENDER, &future), Err(Discard::OtherVersion));
    let said =
        [said(&mut host, at(1_000)), said(&mut host, at(1_000))].map(|said| said.expect("a notice").1[1]);
    assert_eq!(said, [Kind::Notice as u8; 2]);
}

#[test]
fn a_block_that_is_wrong_again_and_again_ends_with_a_reason() {
    let (mut sender, mut host) = (sender(Some(1)), listing(&[1]));
    deliver(&mut sender, &mut host, at(0));
    let attempt = open(&mut host, at(1));
    let run = ManifestRun::plain(BlockIndex(0), vec![entry(1), entry(2)]);
    assert_eq!(hear(&mut host, 10, &Down::Manifest(run), Some(1)), Ok(()));
    let mut number = 100;
    for tries in 1.. {
        assert!(tries <= CORRUPT_TRIES_MAX, "it ends");
        for esi in 0..geometry().shape(1 << 20).source_symbols() {
            number += 1;
            let header = SymbolHeader { esi: Esi::new(esi).expect("small"), ..symbol(number) };
            let Ok(Admission::To(place)) = host.admit(&header) else { panic!("a place") };
            host.accept(at(2), &header, place, 1_468);
        }
        let Some(Effect::Block(_, Work::Rebuild { block, buffer, collected, .. }, ())) = effect(&mut host)
        else {
            panic!("work")
        };
        let returned = Some(Returned { buffer, collected });
        host.handle_block(at(3), attempt, block, returned, BlockOutcome::Corrupt);
        if let Some(left) = left(&mut host) {
            assert_eq!((left, tries), ((attempt, Some(Leftover::Kept)), CORRUPT_TRIES_MAX));
            break;
        }
    }
    assert_eq!(host.corrupt_blocks(), u64::from(CORRUPT_TRIES_MAX));
    answer(&mut host, &mut sender, at(50));
    let row = &sender.rows()[0];
    assert_eq!(row.state, HostState::Failed);
    assert!(row.reason.as_ref().is_some_and(|reason| reason.contains("bad symbols")), "{row:?}");
}

#[test]
fn a_listed_push_hears_the_hosts_on_its_list_alone() {
    let mut sender = sender_to(named(["a"]), true);
    let hello = |name| {
        Up::Hello(Hello { name: self::name(name), software: String::new(), busy: false, kept: Vec::new() })
    };
    assert_eq!(speak(&mut sender, 1, 1, &hello("a")), Ok(()));
    assert_eq!(speak(&mut sender, 2, 1, &hello("b")), Err(Discard::Unlisted));
    assert_eq!(speak(&mut sender, 2, 2, &Up::Report(report(1_000))), Err(Discard::UnknownHost));
    let names: Vec<String> = sender.rows().into_iter().map(|row| row.name.to_string()).collect();
    assert_eq!(names, ["a"]);
}

#[test]
fn a_recorded_report_does_not_count() {
    let mut sender = sender_to(Expected::Anyone, false);
    join(&mut sender, 1, "a");
    assert_eq!(speak(&mut sender, 1, 5, &Up::Report(report(1_000))), Ok(()));
    assert_eq!(speak(&mut sender, 1, 5, &Up::Report(report(1_000))), Err(Discard::Replayed));
    assert_eq!(speak(&mut sender, 1, 4, &Up::Report(report(2_000))), Err(Discard::Replayed));
}

#[test]
fn a_report_that_cannot_be_does_not_count() {
    let mut sender = sender_to(Expected::Anyone, false);
    join(&mut sender, 1, "a");
    assert_eq!(speak(&mut sender, 1, 5, &Up::Report(report(1_000))), Ok(()));
    assert_eq!(speak(&mut sender, 1, 6, &Up::Report(report(999))), Err(Discard::Implausible), "it fell");
    assert_eq!(speak(&mut sender, 1, 8, &Up::Report(report(2_000))), Ok(()));
}

#[test]
fn a_host_that_was_told_forged_numbers_is_served() {
    let mut sender = sender_to(Expected::Anyone, false);
    join(&mut sender, 1, "a");
    (0..2).for_each(|block| {
        sender.handle_block(entry(block), 0);
    });
    for _ in 0..2 {
        let job = sender.poll_job(JobRoom::ANY).expect("the first pass");
        let last = sender.take_sequences(job.symbols(700));
        sender.handle_sent(at(1), job, last);
    }
    let deficits = vec![DeficitRun { first: BlockIndex(0), blocks: 1, symbols: 3 }];
    let report = Report { covered: 2, deficits, highest: sequence(1 << 30), ..report(2_000) };
    assert_eq!(speak(&mut sender, 1, 7, &Up::Report(report)), Ok(()));
    assert!(matches!(sender.poll_job(JobRoom::ANY), Some(Job::Repair { block: BlockIndex(0), .. })));
}

#[test]
fn nobody_ends_a_push_in_the_name_of_a_host_that_is_alive() {
    let mut sender = sender_to(named(["a"]), false);
    read_all(&mut sender);
    join(&mut sender, 1, "a");
    join(&mut sender, 2, "a");
    let no = Up::Failed(Failed { kind: FailureKind::Store, reason: "no".into(), totals: Totals::default() });
    assert_eq!(speak(&mut sender, 2, 2, &no), Ok(()));
    sender.handle_timeout(at(500));
    assert_eq!(sender.verdict(), None, "the first one may still be there");
    speak_at(&mut sender, at(600), 1, 2, &Up::Report(report(10))).expect("and is");
    sender.handle_timeout(at(5_000));
    assert_eq!(sender.verdict(), None);
    let root = sender.root().expect("vouched for");
    let done =
        Up::Done(Done { root, existing: false, totals: Totals { bytes_received: 10, ..Totals::default() } });
    speak_at(&mut sender, at(5_100), 1, 3, &done).expect("its last word");
    sender.handle_timeout(at(6_000));
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete), "and the forged one is named");
    assert_eq!(sender.rows().len(), 2);
}

#[test]
fn a_host_that_asks_for_ever_does_not_keep_the_first_pass_from_its_end() {
    let mut sender = sender_to(Expected::Anyone, false);
    join(&mut sender, 1, "a");
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
        let highest = sequence(sender.take_sequences(1).value());
        let report = Report { covered, deficits, highest, ..report(10 * number) };
        speak(&mut sender, 1, number, &Up::Report(report)).expect("possible");
        let job = sender.poll_job(JobRoom::ANY).expect("something is to be sent");
        source += u32::from(matches!(job, Job::Source { .. }));
        repair += u32::from(matches!(job, Job::Repair { .. }));
        let last = sender.take_sequences(job.symbols(700));
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
    let mut sender = Sender::new(at(0), SenderConfig { base, ..sender_config() });
    announcement(&mut sender, at(0));
    join(&mut sender, 1, "greedy");
    join(&mut sender, 2, "honest");
    let blocks = geometry().blocks();
    (0..blocks).for_each(|block| {
        sender.handle_fingerprinted(entry(block as u8), Some(Fingerprint([block as u8; 16])));
    });
    sender.handle_timeout(at(1));
    let symbols = geometry().shape(1 << 20).source_symbols() as u16;
    let lacks = |first, blocks: u32, symbols| {
        vec![DeficitRun { first: BlockIndex(first), blocks: blocks as u16, symbols }]
    };
    let honest = Report { covered: blocks, deficits: lacks(1, blocks - 1, symbols + 1), ..report(10) };
    speak(&mut sender, 2, 2, &Up::Report(honest)).expect("possible");
    let mut whole = 0;
    for number in 2..2 + 4 * u64::from(blocks) {
        let highest = sequence(sender.take_sequences(1).value());
        let greedy =
            Report { covered: blocks, deficits: lacks(0, 1, symbols - 1), highest, ..report(10 * number) };
        speak(&mut sender, 1, number, &Up::Report(greedy)).expect("possible");
        let Some(job) = sender.poll_job(JobRoom { repair: true, source: false }) else { break };
        whole += u32::from(matches!(job, Job::Source { .. }));
        let last = sender.take_sequences(job.symbols(700));
        sender.handle_sent(at(1), job, last);
    }
    assert_eq!(whole, blocks - 1);
}

#[test]
fn acknowledgements_are_bounded_whoever_asks_for_them() {
    let mut sender = sender_to(Expected::Anyone, false);
    join(&mut sender, 1, "a");
    let hello = Up::Hello(Hello { name: name("a"), software: String::new(), busy: false, kept: Vec::new() });
    (2..20_000).for_each(|number| speak(&mut sender, 1, number, &hello).expect("newer"));
    let mut out = Vec::new();
    let said = std::iter::from_fn(|| sender.poll_transmit(at(1), &mut out));
    assert_eq!(said.filter(|said| said.kind == Kind::Ack).count(), ACKS_PER_TENTH_MAX as usize);
}

/// Delivers the host's due datagrams to the sender.
fn answer(host: &mut Receiver, sender: &mut Sender, now: Moment) {
    while let Some((_, datagram)) = said(host, now) {
        sender.handle_datagram(now, HOST, &datagram).expect("under its own key");
    }
}

/// Returns the host's answer to a poll, opened.
fn said_report(host: &mut Receiver, now: Moment) -> Report {
    let (poll, forged) = (Down::Poll(poll(2, None)), 1_000_001);
    if let Ok(Admission::To(place)) = admit(host, forged) {
        host.accept(now, &symbol(forged), place, 1_468);
    }
    assert_eq!(hear_at(host, now, 60, &poll, Some(1)), Ok(()));
    let mut reports = Vec::new();
    while let Some((_, datagram)) = said(host, now + Duration::from_millis(100)) {
        let up = glancecast_proto::wire::UpHeader::parse(&datagram).expect("ours");
        let cipher = Cipher::upward(&group_key(), SESSION, up.receiver);
        if let Ok(Up::Report(report)) = Up::open(&cipher, geometry(), up, &datagram) {
            reports.push(report);
        }
    }
    reports.pop().expect("it answers")
}

fn hear(host: &mut Receiver, number: u64, down: &Down, signer: Option<u8>) -> Result<(), Discard> {
    hear_at(host, at(1), number, down, signer)
}

fn hear_at(
    host: &mut Receiver,
    now: Moment,
    number: u64,
    down: &Down,
    signer: Option<u8>,
) -> Result<(), Discard> {
    let mut out = Vec::new();
    let cipher = Cipher::downward(&group_key(), SESSION);
    down.seal(&cipher, signer.map(signing_key).as_ref(), SESSION, sequence(number), &mut out);
    host.handle_datagram(now, wall(now), SENDER, &out)
}

fn admit(host: &mut Receiver, number: u64) -> Result<Admission, Discard> {
    host.admit(&symbol(number))
}

/// Returns the header of a symbol of block 0 whose id follows from its number.
fn symbol(number: u64) -> SymbolHeader {
    SymbolHeader {
        tag: SESSION.tag(),
        sequence: sequence(number),
        block: BlockIndex(0),
        esi: Esi::new((number % 700) as u32).expect("small"),
        encoded_len: 1 << 20,
    }
}

fn join(sender: &mut Sender, host: u8, called: &str) {
    let hello = Hello { name: name(called), software: String::new(), busy: false, kept: Vec::new() };
    speak(sender, host, 1, &Up::Hello(hello)).expect("room");
}

fn speak(sender: &mut Sender, host: u8, number: u64, up: &Up) -> Result<(), Discard> {
    speak_at(sender, at(1), host, number, up)
}

fn speak_at(sender: &mut Sender, now: Moment, host: u8, number: u64, up: &Up) -> Result<(), Discard> {
    let mut out = Vec::new();
    let id = ReceiverId([host; 8]);
    up.seal(&Cipher::upward(&group_key(), SESSION, id), SESSION.tag(), id, sequence(number), &mut out);
    sender.handle_datagram(now, HOST, &out)
}

fn report(bytes_received: u64) -> Report {
    Report {
        round: 1,
        highest: sequence(0),
        blocks_held: 0,
        covered: 0,
        deficits: Vec::new(),
        gaps: Vec::new(),
        kept: Vec::new(),
        totals: Totals { bytes_received, ..Totals::default() },
    }
}

fn poll(round: u32, root: Option<Root>) -> Poll {
    let window = Duration::from_millis(1);
    Poll { round, blocks_sent: 0, manifest_sent: 0, window, slots: 1, root }
}

fn entry(hash: u8) -> ManifestEntry {
    ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([hash; 32]) }
}

/// Reads the whole source, which is all zeros, and sends what is due.
fn read_all(sender: &mut Sender) {
    let blocks = geometry().blocks();
    (0..blocks).for_each(|block| {
        sender
            .handle_block(ManifestEntry { encoding: Encoding::Zero, hash: BlockHash([block as u8; 32]) }, 0);
    });
    sender.handle_source_proven(at(0));
    let mut out = Vec::new();
    while sender.poll_transmit(at(0), &mut out).is_some() {}
}

/// Returns the plaintext of an announcement.
fn opened(announcement: &[u8]) -> Vec<u8> {
    let number = number_of(announcement);
    let mut plain = vec![0; announcement.len() - 26 - 16];
    let cipher = Cipher::downward(&group_key(), SESSION);
    cipher.open(number, &announcement[..26], &announcement[26..], &mut plain).expect("ours");
    plain
}

/// Returns a datagram's clear header with another body, sealed as a holder of the group key can.
fn resealed(datagram: &[u8], plain: &[u8]) -> Vec<u8> {
    let clear = if datagram[1] == Kind::Announce as u8 { 26 } else { 10 };
    let mut out = datagram[..clear].to_vec();
    let mut sealed = vec![0; plain.len() + 16];
    Cipher::downward(&group_key(), SESSION).seal(number_of(datagram), &out, plain, &mut sealed);
    out.extend(sealed);
    out
}

fn number_of(datagram: &[u8]) -> Sequence {
    sequence(datagram[5..10].iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn sender(signer: Option<u8>) -> Sender {
    Sender::new(at(0), SenderConfig { signer: signer.map(signing_key), ..sender_config() })
}

fn sender_to(expected: Expected, only_listed: bool) -> Sender {
    let mut sender = Sender::new(at(0), SenderConfig { expected, only_listed, ..sender_config() });
    announcement(&mut sender, at(0));
    sender
}

fn sender_config() -> SenderConfig {
    push_of(6, 2 << 20)
}

/// Returns a host that lists these senders.
fn listing(senders: &[u8]) -> Receiver {
    let senders = senders.iter().map(|&seed| signing_key(seed).public()).collect();
    Receiver::new(ReceiverConfig { senders, ..host_config() })
}

fn geometry() -> Geometry {
    sender_config().geometry
}

fn named<const N: usize>(names: [&str; N]) -> Expected {
    Expected::Named(names.into_iter().map(name).collect::<BTreeSet<_>>())
}

fn name(text: &str) -> HostName {
    HostName::new(text).expect("plain")
}

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).expect("40 bits")
}

const SESSION: SessionId = SessionId([6; 16]);
