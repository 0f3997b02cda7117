//! A holder of the group key can seal any datagram, and a host signs with its own key. These tests show how far that
//! gets against hosts that list their senders: the machines from outside, with real datagrams between them.
//! `impostor.rs` and `greedy.rs` have what is tried against a sender.

mod crypto;
mod pair;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::agree::AgreementKey;
use glancecast_proto::echo::Echo;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, Sequence, SessionId};
use glancecast_proto::integrity::{BlockHash, Root};
use glancecast_proto::limits::{CONTROL_SMALL, CORRUPT_TRIES_MAX, SEQUENCES_AHEAD_MAX};
use glancecast_proto::receiver::{
    Admission, BlockOutcome, Effect, Leftover, Receiver, ReceiverConfig, ReceiverEvent, Returned, Work,
};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::{Expected, HostState, Sender, SenderConfig};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{
    Ack, AudiencePage, Discard, Down, Encoding, End, Greeting, Hello, Kind, ManifestEntry, ManifestRun, Part,
    Poll, Report, SymbolHeader, Up, UpHeader, VERSION,
};
use pair::{
    HOST, SENDER, WALL, announcement, at, deliver, effect, group_key, host_config, key, left, open, push_of,
    said, wall,
};

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
        let told = ReceiverEvent::UnknownSender(SENDER, signer.map(|seed| key(seed).public()));
        assert_eq!(host.poll_event(), Some(told));
        assert_eq!(host.poll_event(), None, "told once");
        assert!(host.session().is_none());
        assert_eq!(host.discards().of(Discard::UnknownSender), 2);

        answer(&mut host, &mut sender, at(10));
        let row = &sender.rows()[0];
        assert_eq!((row.name.as_str(), row.state), ("compute-1", HostState::Failed));
        let reason = row.reason.clone().expect("said");
        assert!(reason.contains(says), "{reason}");
        // The advice names the sender's own key alone, in its own words: a key that a host names could be anybody's.
        let named = signer.map(|seed| key(seed).public().to_string());
        assert!(named.is_none_or(|own| reason.matches("ed25519:").count() == 1 && reason.contains(&own)));
    }
}

#[test]
fn an_announcement_that_names_a_listed_sender_and_is_not_signed_by_it_is_refused() {
    let mut host = listing(&[1]);
    let listed = announcement(&mut sender(Some(1)), at(0));
    let mut forged = Sealed::of(&group_key(), SESSION, &listed);
    // The name of the image is changed, so the signature does not match.
    let at_name = forged.plain.windows(5).position(|window| window == b"image").expect("its name");
    forged.plain[at_name] = b'I';
    let forged = forged.under(&group_key(), SESSION);
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
    // Signed in another session, and sealed again for this one.
    let mut host = listing(&[1]);
    deliver(&mut sender(Some(1)), &mut host, at(0));
    let other = Sealed::end(&group_key(), SessionId([8; 16]), Some(1));
    let replayed = other.under(&group_key(), SESSION);
    assert_eq!(host.handle_datagram(at(1), WALL, SENDER, &replayed), Err(Discard::BadSignature));
    assert!(host.session().is_some());
}

#[test]
fn a_signed_word_is_good_for_its_own_group_alone() {
    // The same sender pushes to another group, under the same session id even.
    let mut host = listing(&[1]);
    deliver(&mut sender(Some(1)), &mut host, at(0));
    let other = Sealed::end(&other_group(), SESSION, Some(1));
    let replayed = other.under(&group_key(), SESSION);
    assert_eq!(host.handle_datagram(at(1), WALL, SENDER, &replayed), Err(Discard::BadSignature));
    let genuine = Sealed::end(&group_key(), SESSION, Some(1)).under(&group_key(), SESSION);
    assert_eq!(host.handle_datagram(at(2), WALL, SENDER, &genuine), Ok(()));
}

#[test]
fn a_signed_announcement_of_one_group_is_worth_nothing_in_another() {
    // The insider is in both groups, and hosts of both list the sender.
    let config = SenderConfig { key: other_group(), signer: Some(key(1)), ..sender_config() };
    let announced =
        Sealed::of(&other_group(), SESSION, &announcement(&mut Sender::new(at(0), config), at(0)));
    let mut there: Receiver =
        Receiver::new(ReceiverConfig { keys: vec![other_group()], ..listing_config(&[1]) });
    let genuine = announced.under(&other_group(), SESSION);
    assert_eq!(there.handle_datagram(at(0), WALL, SENDER, &genuine), Ok(()));
    assert!(there.session().is_some());

    let (mut here, replayed) = (listing(&[1]), announced.under(&group_key(), SESSION));
    assert_eq!(here.handle_datagram(at(0), WALL, SENDER, &replayed), Err(Discard::BadSignature));
    assert!(here.session().is_none() && here.poll_event().is_none() && said(&mut here, at(100)).is_none());
}

#[test]
fn an_announcement_of_somebody_elses_session_lends_it_neither_its_address_nor_its_key() {
    // The insider hears the announcement, and announces the session itself before a host has heard it.
    let genuine = announcement(&mut sender(Some(1)), at(0));
    let thief = SenderConfig { reply_to: THIEF, agreement: agreement(66), ..sender_config() };
    let stolen = announcement(&mut Sender::new(at(0), thief), at(0));
    let mut host = listing(&[1]);
    assert_eq!(host.handle_datagram(at(0), WALL, THIEF, &stolen), Err(Discard::UnknownSender));
    assert_eq!(host.handle_datagram(at(1), WALL, SENDER, &genuine), Ok(()));
    let (mut known, mut reports) = (None, 0);
    for (ms, round) in (50..5_000).step_by(50).zip(1..) {
        assert_eq!(
            hear_at(&mut host, at(ms), 100 + u64::from(round), &Down::Poll(poll(round, None)), Some(1)),
            Ok(())
        );
        while let Some((to, datagram)) = said(&mut host, at(ms + 20)) {
            let up = UpHeader::parse(&datagram).expect("ours");
            if to == THIEF {
                assert!(matches!(up.header.kind, Kind::Hello | Kind::Failed), "it is refused, and no more");
            } else if up.header.kind == Kind::Hello {
                known = Some(opened_hello(up, &datagram).hello.agreement);
            } else {
                reports += 1;
                let of_both =
                    agreement(66).agree(&known.expect("a hello comes first")).expect("a host's key");
                let cipher = Cipher::private_up(&group_key(), SESSION, up.receiver, &of_both);
                assert_eq!(Up::open(&cipher, geometry(), up, &datagram), Err(Discard::Forged));
            }
        }
    }
    assert!(reports > 10, "{reports}");
}

#[test]
fn nobody_acknowledges_in_the_senders_name() {
    let (mut sender, mut host) = (sender(Some(1)), listing(&[1]));
    let announced = announcement(&mut sender, at(0));
    host.handle_datagram(at(0), WALL, SENDER, &announced).expect("a sender of this host");
    let (_, hello) = said(&mut host, at(50)).expect("a hello");
    let up = UpHeader::parse(&hello).expect("ours");
    let greeting = opened_hello(up, &hello);
    let ack = Ack { receiver: up.receiver, kind: Kind::Hello, slot: 7, echo: Echo::default() };
    let own = agreement(66).agree(&greeting.hello.agreement).expect("a host's key");
    for cipher in [
        Cipher::downward(&group_key(), SESSION),
        Cipher::upward(&group_key(), SESSION, up.receiver),
        Cipher::private_down(&group_key(), SESSION, up.receiver, &own),
        Cipher::private_up(&group_key(), SESSION, up.receiver, &own),
    ] {
        let mut forged = Vec::new();
        ack.seal(&cipher, SESSION.tag(), sequence(1 << 39), &mut forged);
        assert_eq!(host.handle_datagram(at(60), WALL, SENDER, &forged), Err(Discard::Forged));
    }
    assert!((60..2_000).any(|ms| said(&mut host, at(ms)).is_some()), "it goes on asking for its own");

    sender.handle_datagram(at(2_000), HOST, &hello).expect("a hello");
    deliver(&mut sender, &mut host, at(2_000));
    let hellos = (2_000..60_000).step_by(100).filter_map(|ms| said(&mut host, at(ms)));
    assert_eq!(hellos.filter(|(_, datagram)| datagram[1] == Kind::Hello as u8).count(), 0);
}

#[test]
fn an_announcement_whose_key_nothing_can_follow_from_is_none() {
    let config = SenderConfig { signer: Some(key(1)), ..sender_config() };
    let mut announced =
        Sealed::of(&group_key(), SESSION, &announcement(&mut Sender::new(at(0), config), at(0)));
    // Signed by a sender of this host, whose program is broken: all zeros are a point of small order.
    let own = sender_config().agreement.public().0;
    let at_key = announced.plain.windows(32).position(|window| window == own).expect("its key");
    announced.plain[at_key..at_key + 32].fill(0);
    announced.sign(1);
    let mut host = listing(&[1]);
    let broken = announced.under(&group_key(), SESSION);
    assert_eq!(host.handle_datagram(at(0), WALL, SENDER, &broken), Err(Discard::Malformed));
    assert!(host.session().is_none() && effect(&mut host).is_none());
}

#[test]
fn nobody_but_its_sender_says_whom_a_push_is_for() {
    let config =
        SenderConfig { signer: Some(key(1)), expected: named(["compute-1", "b"]), ..sender_config() };
    let (mut sender, mut host) = (Sender::new(at(0), config), listing(&[1]));
    let announced = announcement(&mut sender, at(0));
    host.handle_datagram(at(0), WALL, SENDER, &announced).expect("it may be for this host");
    for (names, signer) in [(["b", "c"], None), (["b", "c"], Some(2)), (["b", "compute-1"], Some(2))] {
        assert_eq!(hear(&mut host, 50, &page(names), signer), Err(Discard::BadSignature));
    }
    assert!(host.session().is_none(), "neither kept out nor drawn in");
    deliver(&mut sender, &mut host, at(1));
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
    future[0] = VERSION + 1;
    for ms in [1_000, 1_001] {
        assert_eq!(host.handle_datagram(at(ms), WALL, SENDER, &future), Err(Discard::OtherVersion));
    }
    let mut said = std::iter::from_fn(|| said(&mut host, at(3_000)));
    let kinds = [said.next(), said.next()].map(|said| said.expect("a notice").1[1]);
    assert_eq!(kinds, [Kind::Notice as u8; 2]);
}

#[test]
fn a_block_that_is_wrong_again_and_again_ends_with_a_reason() {
    // Its sender does not say which symbols are forged.
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
        for ms in (0..=1_500).step_by(250) {
            let now = at(10 + 2_000 * u64::from(tries) + ms);
            number += 1;
            let poll = Down::Poll(poll(number as u32, None));
            assert_eq!(hear_at(&mut host, now, number, &poll, Some(1)), Ok(()));
        }
    }
    assert_eq!(host.corrupt_blocks(), u64::from(CORRUPT_TRIES_MAX));
    answer(&mut host, &mut sender, at(60_000));
    let row = &sender.rows()[0];
    assert_eq!(row.state, HostState::Failed);
    assert!(row.reason.as_ref().is_some_and(|reason| reason.contains("bad symbols")), "{row:?}");
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
    let (mut reports, mut shared) = (Vec::new(), None);
    // By then the hello is due again.
    while let Some((_, datagram)) = said(host, now + Duration::from_millis(200)) {
        let up = UpHeader::parse(&datagram).expect("ours");
        if up.header.kind == Kind::Hello {
            let greeting = opened_hello(up, &datagram);
            shared = sender_config().agreement.agree(&greeting.hello.agreement);
        } else if let Some(shared) = &shared {
            let cipher = Cipher::private_up(&group_key(), SESSION, up.receiver, shared);
            if let Ok(Up::Report(report)) = Up::open(&cipher, geometry(), up, &datagram) {
                reports.push(report);
            }
        }
    }
    reports.pop().expect("it answers")
}

fn opened_hello(up: UpHeader, datagram: &[u8]) -> Greeting {
    Hello::open(&Cipher::upward(&group_key(), SESSION, up.receiver), geometry(), up, datagram)
        .expect("a hello")
}

/// A datagram, opened as a holder of its group's key can, to be sealed again elsewhere.
struct Sealed {
    clear: Vec<u8>,
    plain: Vec<u8>,
}

impl Sealed {
    fn of(group: &GroupKey, session: SessionId, datagram: &[u8]) -> Self {
        let clear = if datagram[1] == Kind::Announce as u8 { 26 } else { 10 };
        let mut plain = vec![0; datagram.len() - clear - 16];
        let cipher = Cipher::downward(group, session);
        cipher
            .open(number_of(datagram), &datagram[..clear], &datagram[clear..], &mut plain)
            .expect("of this group");
        Self { clear: datagram[..clear].to_vec(), plain }
    }

    /// Returns the end of a session.
    fn end(group: &GroupKey, session: SessionId, signer: Option<u8>) -> Self {
        let (mut out, cipher) = (Vec::new(), Cipher::downward(group, session));
        let key = signer.map(key);
        let signer = key.as_ref().map(|key| key.within(group.scope(session)));
        Down::End(End::Over).seal(&cipher, signer, session, sequence(50), &mut out);
        Self::of(group, session, &out)
    }

    /// Signs it anew, with the key of this sender.
    fn sign(&mut self, seed: u8) {
        let at = self.plain.len() - 64;
        let signature =
            crypto::SecretKey::of(&[seed; 32]).sign(&GROUP, &SESSION.0, &self.clear, &self.plain[..at]);
        self.plain[at..].copy_from_slice(&signature);
    }

    /// Returns the datagram with this content in a session of a group.
    fn under(&self, group: &GroupKey, session: SessionId) -> Vec<u8> {
        let mut out = self.clear.clone();
        out[2..5].copy_from_slice(&session.tag().0);
        let mut sealed = vec![0; self.plain.len() + 16];
        Cipher::downward(group, session).seal(number_of(&out), &out, &self.plain, &mut sealed);
        out.extend(sealed);
        out
    }
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
    let (cipher, key) = (Cipher::downward(&group_key(), SESSION), signer.map(key));
    let signer = key.as_ref().map(|key| key.within(group_key().scope(SESSION)));
    down.seal(&cipher, signer, SESSION, sequence(number), &mut out);
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

fn poll(round: u32, root: Option<Root>) -> Poll {
    let window = Duration::from_millis(1);
    Poll { round, blocks_sent: 0, manifest_sent: 0, window, slots: 1, part: Part::ALL, root }
}

fn entry(hash: u8) -> ManifestEntry {
    ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([hash; 32]) }
}

fn number_of(datagram: &[u8]) -> Sequence {
    sequence(datagram[5..10].iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn sender(signer: Option<u8>) -> Sender {
    Sender::new(at(0), SenderConfig { signer: signer.map(key), ..sender_config() })
}

fn sender_config() -> SenderConfig {
    push_of(6, 2 << 20)
}

/// Returns a host that lists these senders.
fn listing(senders: &[u8]) -> Receiver {
    Receiver::new(listing_config(senders))
}

fn listing_config(senders: &[u8]) -> ReceiverConfig {
    let senders = senders.iter().map(|&seed| key(seed).public()).collect();
    ReceiverConfig { senders, ..host_config() }
}

/// Returns the page of an audience of these hosts.
fn page<const N: usize>(names: [&str; N]) -> Down {
    let names = names.map(|name| HostName::new(name).expect("plain"));
    Down::Audience(AudiencePage::pages(SESSION, &names, CONTROL_SMALL).swap_remove(0))
}

fn named<const N: usize>(names: [&str; N]) -> Expected {
    Expected::Named(names.into_iter().map(|name| HostName::new(name).expect("plain")).collect())
}

fn agreement(seed: u8) -> AgreementKey {
    AgreementKey::from_seed(&[seed; 32].into())
}

fn other_group() -> GroupKey {
    GroupKey::new([9; 32])
}

fn geometry() -> Geometry {
    sender_config().geometry
}

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).expect("40 bits")
}

const SESSION: SessionId = SessionId([6; 16]);
const GROUP: [u8; 32] = [7; 32];
/// Where an insider waits for what is meant for the sender.
const THIEF: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 66)), 7167);
