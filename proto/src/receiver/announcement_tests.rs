//! What becomes of announcements that are repeated, of many, or of senders that are taken off the list, and of pages
//! that come late.

use super::testing::{announce, at, config};
use super::*;
use crate::ids::{ReceiverId, Sequence};
use crate::limits::CONTROL_SMALL;
use crate::wire::{Audience, AudiencePage, Down, Notice, UpHeader};

type Host = Receiver<(), ()>;

#[test]
fn what_is_announced_on_is_checked_once() {
    let mut host = listing(&[1]);
    let (ours, next, perhaps) = (session(1), session(2), named(session(3)));
    hear(&mut host, &ours, 1).expect("listed");
    // The budget for signatures of an address that is not the sender's is 12 at once.
    for _ in 0..100 {
        for (announce, relay) in [(&ours, 11), (&next, 22), (&perhaps, 33)] {
            let from = ([10, 0, 0, relay], 7167).into();
            assert_eq!(hear_from(&mut host, from, 0, announce, 1), Ok(()), "{:?}", announce.session);
        }
    }
    assert_eq!(host.session().map(|session| session.session), Some(ours.session));
}

#[test]
fn a_push_whose_sender_is_taken_off_the_list_is_not_joined_when_its_page_comes() {
    let mut host = listing(&[1, 2]);
    let push = named(session(1));
    hear(&mut host, &push, 1).expect("listed");
    host.handle_senders(at(0), listed(&[2]));
    assert_eq!(hear_page(&mut host, &push, &["compute-1"], 1), Err(Discard::OtherSession));
    assert!(host.session().is_none());
}

#[test]
fn a_host_that_stops_joins_no_push_whose_page_comes() {
    let mut host = listing(&[1]);
    let push = named(session(1));
    hear(&mut host, &push, 1).expect("listed");
    host.handle_stop(at(0));
    assert_eq!(hear_page(&mut host, &push, &["compute-1"], 1), Err(Discard::OtherSession));
    assert!(host.session().is_none());
}

#[test]
fn eight_pushes_may_be_for_a_host_and_the_one_that_was_heard_longest_ago_makes_room() {
    let mut host = listing(&[1]);
    let pushes: Vec<Announce> = (1..=9).map(|number| named(session(number))).collect();
    for (ms, push) in pushes.iter().enumerate() {
        hear_at(&mut host, ms as u64, push, 1).expect("listed");
    }
    assert_eq!(hear_page(&mut host, &pushes[0], &["compute-1"], 1), Err(Discard::OtherSession));
    for push in &pushes[1..8] {
        assert_eq!(hear_page(&mut host, push, &["compute-2"], 1), Err(Discard::NotForUs));
    }
    hear_page(&mut host, &pushes[8], &["compute-1"], 1).expect("it is");
    assert!(host.session().is_some());
}

#[test]
fn pushes_for_others_are_remembered_beside_each_other() {
    let mut host = listing(&[1]);
    let pushes = [1, 2, 3].map(|number| named(session(number)));
    for push in &pushes {
        hear(&mut host, push, 1).expect("it may be for this host");
        assert_eq!(hear_page(&mut host, push, &["compute-2"], 1), Err(Discard::NotForUs));
    }
    for push in &pushes {
        assert_eq!(hear(&mut host, push, 1), Err(Discard::NotForUs), "{:?}", push.session);
    }
}

#[test]
fn a_page_that_says_nothing_about_this_host_costs_no_check() {
    let mut host = listing(&[1]);
    let push = named(session(1));
    hear(&mut host, &push, 1).expect("listed");
    let names: Vec<HostName> =
        (0..1_000).map(|number| HostName::new(&format!("other-{number}")).expect("plain")).collect();
    let pages = AudiencePage::pages(push.session, &names, CONTROL_SMALL);
    let verdicts: Vec<_> = pages.into_iter().map(|page| hear_this(&mut host, &push, page, 1)).collect();
    let settled =
        verdicts.iter().position(|&verdict| verdict == Err(Discard::NotForUs)).expect("one has its part");
    assert!(verdicts[..settled].iter().all(|&verdict| verdict == Err(Discard::NotNeeded)), "{verdicts:?}");
    assert!(verdicts[settled + 1..].iter().all(|&verdict| verdict == Err(Discard::OtherSession)));
    assert!(verdicts.len() > 12, "more than may be checked at once");
}

#[test]
fn a_page_of_the_push_that_a_host_is_in_is_a_sign_of_its_sender() {
    let mut host = listing(&[1]);
    let push = named(session(1));
    hear(&mut host, &push, 1).expect("listed");
    hear_page(&mut host, &push, &["compute-1"], 1).expect("it is");
    let joined = host.discards().clone();
    let page = pages(&push, &["compute-1", "compute-2"]).remove(0);
    hear_numbered(&mut host, &push, page, 1, 7).expect("of its own sender");
    assert_eq!(*host.discards(), joined);
}

#[test]
fn a_one_way_push_is_not_waited_for_when_its_page_comes_during_another_one() {
    let mut host = listing(&[1]);
    let one_way = Announce { one_way: true, ..named(session(2)) };
    hear(&mut host, &one_way, 1).expect("it may be for this host");
    hear(&mut host, &session(1), 1).expect("listed");
    let said_before = said(&mut host).len();
    assert_eq!(hear_page(&mut host, &one_way, &["compute-1"], 1), Ok(()));
    assert_eq!((said_before, said(&mut host).len()), (1, 0), "nobody listens");
    assert!(!matches!(host.poll_timeout(), Some((_, ReceiverTimer::Waiting))));
}

#[test]
fn a_host_has_an_id_of_its_own_for_every_sender_that_it_speaks_to() {
    let mut host = listing(&[1]);
    for number in 1..=8 {
        hear(&mut host, &session(number), 1).expect("listed");
    }
    let mut ids = said(&mut host);
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((count, ids.len()), (8, 8));
}

#[test]
fn refused_senders_are_reported_once_each_and_eight_of_them() {
    let mut host = listing(&[1]);
    for _ in 0..2 {
        for number in 2..=12 {
            let from = ([10, 0, 0, number], 7167).into();
            let refused = hear_from(&mut host, from, 0, &session(number), number);
            assert_eq!(refused, Err(Discard::UnknownSender));
        }
    }
    let events: Vec<_> = std::iter::from_fn(|| host.poll_event()).collect();
    let told: Vec<_> = (2..=9).map(|number| Some(signing_key(number).public())).collect();
    let of_senders: Vec<_> = events
        .iter()
        .map(|event| match event {
            ReceiverEvent::UnknownSender(_, signer) => *signer,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(of_senders, told);
}

#[test]
fn each_push_of_a_refused_sender_is_reported() {
    let mut host = listing(&[1]);
    for (ms, number) in [(0, 1), (100, 1), (60_000, 2), (60_100, 2), (120_000, 3)] {
        let _ = hear_from(&mut host, ([10, 0, 0, 2], 7167).into(), ms, &session(number), 2);
    }
    let told = std::iter::from_fn(|| host.poll_event());
    assert_eq!(
        told.filter(|event| matches!(event, ReceiverEvent::UnknownSender(..))).count(),
        3,
        "once for each"
    );
}

#[test]
fn an_announcement_under_another_key_gets_a_notice_that_its_sender_cannot_open() {
    let mut host = Host::new(ReceiverConfig { keys: vec![GroupKey::new([9; 32])], ..config() });
    assert_eq!(hear(&mut host, &session(1), 1), Err(Discard::WrongKey));
    let mut out = Vec::new();
    let to = host.poll_transmit(at(2_000), &mut out).expect("within two seconds");
    assert!(Notice::has_tag(&out, session(1).session.tag()), "about that push, to {to}");
    assert!(Notice::open(&config().keys[0], &out).is_err());
}

#[test]
fn a_clock_that_is_far_off_is_reported_once() {
    let mut host = listing(&[1]);
    let late = Announce { time: WallClock(301_000), ..session(1) };
    for _ in 0..3 {
        assert_eq!(hear(&mut host, &late, 1), Err(Discard::Stale));
    }
    let events: Vec<_> = std::iter::from_fn(|| host.poll_event()).collect();
    assert!(matches!(&events[..], [ReceiverEvent::Stale(_, skew)] if skew.as_secs() == 301), "{events:?}");
    let just = Announce { time: WallClock(300_000), ..session(2) };
    assert_eq!(hear(&mut host, &just, 1), Ok(()), "at the limit");
}

/// A host that lists these senders.
fn listing(senders: &[u8]) -> Host {
    Receiver::new(ReceiverConfig { senders: listed(senders), ..config() })
}

fn listed(senders: &[u8]) -> Senders {
    senders.iter().map(|&seed| signing_key(seed).public()).collect()
}

fn session(number: u8) -> Announce {
    Announce { session: SessionId([number; 16]), ..announce() }
}

fn named(announce: Announce) -> Announce {
    Announce { audience: Audience::Named { names: 1 }, ..announce }
}

/// Delivers an announcement that `signer` has signed, by way of a machine that is not the sender.
fn hear(host: &mut Host, announce: &Announce, signer: u8) -> Result<(), Discard> {
    hear_at(host, 0, announce, signer)
}

fn hear_at(host: &mut Host, ms: u64, announce: &Announce, signer: u8) -> Result<(), Discard> {
    hear_from(host, ([10, 0, 0, 99], 7167).into(), ms, announce, signer)
}

fn hear_from(
    host: &mut Host,
    from: SocketAddr,
    ms: u64,
    announce: &Announce,
    signer: u8,
) -> Result<(), Discard> {
    let (key, mut datagram) = (signing_key(signer), Vec::new());
    let signer = key.within(group().scope(announce.session));
    announce.seal(&Cipher::downward(&group(), announce.session), Some(signer), number(0), &mut datagram);
    host.handle_datagram(at(ms), WallClock(ms), from, &datagram)
}

fn hear_page(host: &mut Host, push: &Announce, names: &[&str], signer: u8) -> Result<(), Discard> {
    let page = pages(push, names).remove(0);
    hear_this(host, push, page, signer)
}

fn hear_this(host: &mut Host, push: &Announce, page: AudiencePage, signer: u8) -> Result<(), Discard> {
    hear_numbered(host, push, page, signer, 1)
}

fn hear_numbered(
    host: &mut Host,
    push: &Announce,
    page: AudiencePage,
    signer: u8,
    sequence: u64,
) -> Result<(), Discard> {
    let (key, mut datagram) = (signing_key(signer), Vec::new());
    let (id, signer) = (push.session, key.within(group().scope(push.session)));
    let cipher = Cipher::downward(&group(), id);
    Down::Audience(page).seal(&cipher, Some(signer), id, number(sequence), &mut datagram);
    host.handle_datagram(at(10), WallClock(0), push.reply_to, &datagram)
}

fn pages(push: &Announce, names: &[&str]) -> Vec<AudiencePage> {
    let names: Vec<HostName> = names.iter().map(|name| HostName::new(name).expect("plain")).collect();
    AudiencePage::pages(push.session, &names, CONTROL_SMALL)
}

/// Returns the ids under which the host speaks now.
fn said(host: &mut Host) -> Vec<ReceiverId> {
    let (mut said, mut out) = (Vec::new(), Vec::new());
    while host.poll_transmit(at(10), &mut out).is_some() {
        said.push(UpHeader::parse(&out).expect("ours").receiver);
    }
    said
}

fn number(number: u64) -> Sequence {
    Sequence::new(number).expect("small")
}

fn group() -> GroupKey {
    GroupKey::new([7; 32])
}

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32].into())
}
