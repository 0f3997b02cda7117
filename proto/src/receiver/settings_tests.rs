//! What becomes of sessions when keys and senders change while the host runs.

use super::testing::{announce, at, config};
use super::*;
use crate::ids::Sequence;
use crate::senders::Sender;

type Host = Receiver<(), ()>;

#[test]
fn a_session_whose_signer_is_taken_off_the_list_ends_at_once_with_the_reason() {
    let mut host = listing(&[entry(1, None), entry(2, None)]);
    hear(&mut host, &announce(), 1, 0).expect("a listed sender");
    drain(&mut host);
    host.handle_senders(at(5), Senders::listed(vec![entry(2, None)]));
    let events: Vec<_> = std::iter::from_fn(|| host.poll_event()).collect();
    assert!(
        matches!(&events[..], [ReceiverEvent::Failed { reason, .. }] if reason.contains("taken off the list")),
        "{events:?}"
    );
    let effects: Vec<_> = std::iter::from_fn(|| host.poll_effect(BlockRoom::Free)).collect();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Leave(_))), "{effects:?}");
    let mut out = Vec::new();
    assert!(host.poll_transmit(at(5), &mut out).is_some(), "its sender is told");
    let again = Announce { session: SessionId([2; 16]), ..announce() };
    assert_eq!(hear(&mut host, &again, 1, 0), Err(Discard::UnknownSender));
}

#[test]
fn a_session_of_a_sender_that_stays_goes_on_also_beyond_its_last_day() {
    let mut host = listing(&[entry(1, Some(1_000)), entry(2, None)]);
    hear(&mut host, &announce(), 1, 0).expect("a listed sender");
    drain(&mut host);
    host.handle_senders(at(5), Senders::listed(vec![entry(1, Some(1_000))]));
    assert!(host.poll_event().is_none() && host.session().is_some());
    hear(&mut host, &announce(), 1, 2_000).expect("it is announced on");
    host.handle_senders(at(6), Senders::listed(vec![entry(1, Some(1_000))]));
    assert!(host.poll_event().is_none() && host.session().is_some());
}

#[test]
fn a_push_of_an_expired_sender_is_refused_counted_and_named_with_its_place() {
    let mut host = listing(&[entry(1, Some(1_000))]);
    let late = Announce { time: WallClock(1_000), ..announce() };
    assert_eq!(hear(&mut host, &late, 1, 1_000), Err(Discard::ExpiredSender));
    assert_eq!(host.discards().of(Discard::ExpiredSender), 1);
    let Some(ReceiverEvent::ExpiredSender(_, sender)) = host.poll_event() else { panic!("it is said") };
    assert_eq!(*sender, entry(1, Some(1_000)));
    assert_eq!(hear(&mut host, &late, 1, 1_001), Err(Discard::ExpiredSender));
    assert!(host.poll_event().is_none(), "once");
    host.handle_senders(at(1), Senders::listed(vec![entry(1, None)]));
    hear(&mut host, &late, 1, 1_002).expect("the entry has another date");
    assert!(host.session().is_some());
}

#[test]
fn an_unsigned_session_ends_when_senders_are_listed() {
    let mut host = Receiver::new(config());
    let mut datagram = Vec::new();
    announce().seal(&cipher(7), None, Sequence::default(), &mut datagram);
    host.handle_datagram(at(0), WallClock(0), announce().reply_to, &datagram).expect("anybody");
    drain(&mut host);
    host.handle_senders(at(1), Senders::listed(vec![entry(1, None)]));
    assert!(
        matches!(host.poll_event(), Some(ReceiverEvent::Failed { reason, .. }) if reason.contains("not signed"))
    );
}

#[test]
fn other_group_keys_open_the_next_announcement_and_leave_the_session_alone() {
    let mut host = listing(&[entry(1, None)]);
    hear(&mut host, &announce(), 1, 0).expect("a listed sender");
    drain(&mut host);
    host.handle_keys(vec![GroupKey::new([8; 32])]);
    assert!(host.session().is_some() && host.poll_event().is_none());
    assert_eq!(hear(&mut host, &announce(), 1, 0), Err(Discard::WrongKey), "the old key opens nothing new");
    host.handle_stop(at(1));
    let mut host = listing(&[entry(1, None)]);
    host.handle_keys(vec![GroupKey::new([8; 32]), GroupKey::new([7; 32])]);
    hear(&mut host, &announce(), 1, 0).expect("both are accepted");
}

#[test]
fn a_push_that_was_refused_is_joined_once_its_sender_is_listed() {
    let mut host = listing(&[entry(2, None)]);
    assert_eq!(hear(&mut host, &announce(), 1, 0), Err(Discard::UnknownSender));
    host.handle_senders(at(1), Senders::listed(vec![entry(1, None)]));
    hear(&mut host, &announce(), 1, 0).expect("it is listed now");
    assert!(host.session().is_some());
}

fn hear(host: &mut Host, announce: &Announce, signer: u8, wall: u64) -> Result<(), Discard> {
    let mut datagram = Vec::new();
    let signer = signing_key(signer);
    let scope = GroupKey::new([7; 32]).scope(announce.session);
    let cipher = Cipher::downward(&GroupKey::new([7; 32]), announce.session);
    announce.seal(&cipher, Some(signer.within(scope)), Sequence::default(), &mut datagram);
    host.handle_datagram(at(0), WallClock(wall), announce.reply_to, &datagram)
}

fn drain(host: &mut Host) {
    let mut out = Vec::new();
    while host.poll_transmit(at(0), &mut out).is_some() {}
    while host.poll_effect(BlockRoom::Free).is_some() {}
    while host.poll_event().is_some() {}
}

fn listing(senders: &[Sender]) -> Host {
    Receiver::new(ReceiverConfig { senders: Senders::listed(senders.to_vec()), ..config() })
}

fn entry(number: u8, expires: Option<u64>) -> Sender {
    let expires = expires.map(WallClock);
    Sender { key: signing_key(number).public(), expires, listed: format!("senders line {number}") }
}

fn cipher(group: u8) -> Cipher {
    Cipher::downward(&GroupKey::new([group; 32]), announce().session)
}

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32].into())
}
