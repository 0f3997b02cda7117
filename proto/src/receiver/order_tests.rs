//! Several pushes at once: which one a host takes part in first.

use super::testing::{announce, at, config};
use super::*;
use crate::ids::Sequence;
use crate::seal::TAG_BYTES;
use crate::wire::{Down, End, Kind, UpHeader};
use glancecast_fec::Esi;

type Host = Receiver<(), ()>;

#[test]
fn of_two_pushes_a_host_takes_part_in_the_earlier_one_whichever_it_hears_first() {
    for order in [[1, 2], [2, 1]] {
        let mut host = host(&[]);
        order.iter().for_each(|&started| hear(&mut host, 5, &push(started), None).expect("ours"));
        assert_eq!(at_work_on(&host), Some(1), "heard as {order:?}");
    }
}

#[test]
fn the_sender_of_the_later_push_learns_that_the_host_is_busy_and_comes_next() {
    let mut host = host(&[]);
    hear(&mut host, 0, &push(2), None).expect("ours");
    let first = said(&mut host, 0);
    assert_eq!(first.iter().map(|said| said.0).collect::<Vec<_>>(), [2]);
    hear(&mut host, 20, &push(1), None).expect("ours");
    drop(host.poll_event());
    let yielded = ReceiverEvent::Yielded { session: push(2).session, to: push(1).session };
    assert_eq!(host.poll_event(), Some(yielded));
    let both = said(&mut host, 20);
    assert!(both.contains(&(1, Kind::Hello)) && both.contains(&(2, Kind::Hello)), "{both:?}");
    end(&mut host, 30, &push(1));
    hear(&mut host, 40, &push(2), None).expect("ours");
    assert_eq!(at_work_on(&host), Some(2));
}

#[test]
fn a_host_that_has_begun_a_push_stays_with_it() {
    let mut host = host(&[]);
    hear(&mut host, 0, &push(2), None).expect("ours");
    receive(&mut host, 10, 2);
    hear(&mut host, 310, &push(1), None).expect("ours");
    assert_eq!(at_work_on(&host), Some(2));
}

#[test]
fn a_host_goes_to_an_earlier_push_that_it_hears_of_at_once_or_while_it_is_sent_nothing() {
    let mut sent = host(&[]);
    hear(&mut sent, 0, &push(2), None).expect("ours");
    receive(&mut sent, 10, 2);
    hear(&mut sent, 290, &push(1), None).expect("ours");
    assert_eq!(at_work_on(&sent), Some(1));
    let mut held_back = host(&[]);
    hear(&mut held_back, 0, &push(2), None).expect("ours");
    hear(&mut held_back, 20_000, &push(1), None).expect("ours");
    assert_eq!(at_work_on(&held_back), Some(1), "all other hosts may be at work on that one");
}

#[test]
fn what_nobody_has_signed_takes_no_place_of_what_is_signed() {
    let mut host = host(&[]);
    hear(&mut host, 0, &push(2), Some(1)).expect("ours");
    hear(&mut host, 1, &push(1), None).expect("it is waited for");
    assert_eq!(at_work_on(&host), Some(2));
    let mut listing = self::host(&[1]);
    hear(&mut listing, 0, &push(2), Some(1)).expect("listed");
    assert_eq!(hear(&mut listing, 1, &push(1), Some(2)), Err(Discard::UnknownSender));
    assert_eq!(at_work_on(&listing), Some(2));
    let forged = hear_with_a_bad_signature(&mut listing);
    assert_eq!((forged, at_work_on(&listing)), (Err(Discard::BadSignature), Some(2)));
}

#[test]
fn a_free_host_waits_for_the_earliest_push_and_a_second_at_most() {
    for silent in [false, true] {
        let mut host = host(&[]);
        hear(&mut host, 0, &push(1), None).expect("ours");
        receive(&mut host, 1, 1);
        [3, 2].iter().for_each(|&started| hear(&mut host, 400, &push(started), None).expect("ours"));
        end(&mut host, 500, &push(1));
        hear(&mut host, 501, &push(3), None).expect("ours");
        assert_eq!(at_work_on(&host), None, "push 2 was heard of a tenth of a second ago");
        if silent {
            hear(&mut host, 1_400, &push(3), None).expect("ours");
            assert_eq!(at_work_on(&host), Some(3));
        } else {
            hear(&mut host, 510, &push(2), None).expect("ours");
            assert_eq!(at_work_on(&host), Some(2));
        }
    }
}

#[test]
fn a_push_that_fell_silent_comes_first_no_more() {
    let mut host = host(&[]);
    hear(&mut host, 0, &push(1), None).expect("ours");
    hear(&mut host, 1, &push(2), None).expect("ours");
    host.handle_timeout(at(1_100));
    assert_eq!(at_work_on(&host), None, "another sender waits, so a second of silence suffices");
    hear(&mut host, 1_101, &push(2), None).expect("ours");
    // Somebody repeats the announcement of push 1, which nobody sends any more.
    hear(&mut host, 1_102, &push(1), None).expect("fresh");
    assert_eq!(at_work_on(&host), Some(2));
}

/// Delivers an earlier push that claims to be of the listed sender, and is not signed by it.
fn hear_with_a_bad_signature(host: &mut Host) -> Result<(), Discard> {
    let mut datagram = Vec::new();
    seal(&push(1), Some(1), &mut datagram);
    // The signature is the last thing that is sealed: whoever has the group key can seal another one.
    let cipher = Cipher::downward(&key(), push(1).session);
    let (clear, sealed) = datagram.split_at_mut(CLEAR_BYTES);
    let mut plain = vec![0; sealed.len() - TAG_BYTES];
    cipher.open(Sequence::default(), clear, sealed, &mut plain).expect("under the group key");
    *plain.last_mut().expect("the signature") ^= 1;
    cipher.seal(Sequence::default(), clear, &plain, sealed);
    host.handle_datagram(at(2), WallClock(100), push(1).reply_to, &datagram)
}

/// Returns the announcement of a push that was started at this time, in ms; its session is of the same number.
fn push(started: u8) -> Announce {
    Announce {
        session: SessionId([started; 16]),
        time: WallClock(100),
        started: WallClock(started.into()),
        ..announce()
    }
}

fn hear(host: &mut Host, ms: u64, announce: &Announce, signer: Option<u8>) -> Result<(), Discard> {
    let mut datagram = Vec::new();
    seal(announce, signer, &mut datagram);
    host.handle_datagram(at(ms), WallClock(100), announce.reply_to, &datagram)
}

fn seal(announce: &Announce, signer: Option<u8>, out: &mut Vec<u8>) {
    let signer = signer.map(signing_key);
    let scope = key().scope(announce.session);
    let cipher = Cipher::downward(&key(), announce.session);
    announce.seal(&cipher, signer.as_ref().map(|signer| signer.within(scope)), Sequence::default(), out);
}

/// Delivers the end of a push.
fn end(host: &mut Host, ms: u64, announce: &Announce) {
    let (session, mut datagram) = (announce.session, Vec::new());
    let sequence = Sequence::new(1 << 16).expect("small");
    let down = Down::End(End::Aborted("no".into()));
    down.seal(&Cipher::downward(&key(), session), None, session, sequence, &mut datagram);
    host.handle_datagram(at(ms), WallClock(100), announce.reply_to, &datagram).expect("it is at work on it");
}

/// Delivers a symbol of a push.
fn receive(host: &mut Host, ms: u64, started: u8) {
    let header = SymbolHeader {
        tag: push(started).session.tag(),
        sequence: Sequence::new(1).expect("small"),
        block: BlockIndex(0),
        esi: Esi::new(0).expect("small"),
        encoded_len: 1 << 20,
    };
    match host.admit(&header) {
        Ok(Admission::To(place)) => host.accept(at(ms), &header, place, 1_468),
        other => panic!("{other:?}"),
    }
}

/// The number of the push that the host is at work on.
fn at_work_on(host: &Host) -> Option<u8> {
    host.session().map(|announce| announce.session.0[0])
}

/// Returns what the host sends, by the number of the push.
fn said(host: &mut Host, ms: u64) -> Vec<(u8, Kind)> {
    let (mut said, mut out) = (Vec::new(), Vec::new());
    while host.poll_transmit(at(ms), &mut out).is_some() {
        let header = UpHeader::parse(&out).expect("ours").header;
        let pushes = [1, 2, 3].into_iter().filter(|&n| push(n).session.tag() == header.tag);
        said.extend(pushes.map(|n| (n, header.kind)));
    }
    said
}

fn host(listed: &[u8]) -> Host {
    let entries = listed.iter().map(|&seed| crate::senders::Sender {
        key: signing_key(seed).public(),
        expires: None,
        listed: format!("senders line {seed}"),
    });
    let senders = if listed.is_empty() { Senders::any() } else { Senders::listed(entries.collect()) };
    Receiver::new(ReceiverConfig { senders, ..config() })
}

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32].into())
}

fn key() -> GroupKey {
    GroupKey::new([7; 32])
}

/// The bytes of an announcement that are not sealed: the header and the session id.
const CLEAR_BYTES: usize = 26;
