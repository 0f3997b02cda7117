//! Who is meant, and who is refused: what a host makes of announcements that are for others, or of others.

use super::testing::{announce, at, config};
use super::*;
use crate::audience::Pages;
use crate::ids::{ReceiverId, Sequence};
use crate::limits::CONTROL_MAX;
use crate::sign::Signer;
use crate::wire::{Audience, AudiencePage, Down, Greeting, Hello, Kind, UpHeader};

type Host = Receiver<(), ()>;

#[test]
fn a_host_takes_no_part_before_the_page_with_its_name_has_come() {
    let mut host = host(&[]);
    hear(&mut host, &for_names(2), Signed::No).expect("it may be for this host");
    assert!(host.session().is_none() && is_idle(&mut host), "not a word, not a file");
    hear_page(&mut host, &["compute-1", "compute-2"], Signed::No).expect("it is");
    assert!(host.session().is_some());
    assert!(matches!(host.poll_effect(BlockRoom::Free), Some(Effect::Prepare(..))));
}

#[test]
fn a_host_that_is_not_meant_stays_silent_and_counts_it() {
    let mut host = host(&[]);
    hear(&mut host, &for_names(2), Signed::No).expect("it may be for this host");
    assert_eq!(hear_page(&mut host, &["compute-2", "compute-3"], Signed::No), Err(Discard::NotForUs));
    assert_eq!(hear(&mut host, &for_names(2), Signed::No), Err(Discard::NotForUs), "once and for all");
    assert_eq!(hear_page(&mut host, &["compute-1"], Signed::No), Err(Discard::OtherSession));
    assert!(host.session().is_none() && is_idle(&mut host));
    assert_eq!(host.discards().of(Discard::NotForUs), 2);
}

#[test]
fn nobody_but_the_signer_says_whom_a_signed_push_is_for() {
    let mut host = host(&[1]);
    hear(&mut host, &for_names(2), Signed::By(1)).expect("a sender of this host");
    for forged in [Signed::No, Signed::By(2)] {
        assert_eq!(hear_page(&mut host, &["compute-1"], forged), Err(Discard::BadSignature));
    }
    assert!(host.session().is_none());
    hear_page(&mut host, &["compute-1"], Signed::By(1)).expect("genuine");
    assert!(host.session().is_some());
}

#[test]
fn a_refused_announcement_lends_its_address_to_no_other() {
    let mut host = host(&[1]);
    let elsewhere = ([10, 0, 0, 66], 7167).into();
    let forged = Announce { reply_to: elsewhere, ..announce() };
    assert_eq!(hear(&mut host, &forged, Signed::No), Err(Discard::UnknownSender));
    let refused = said(&mut host);
    assert!(refused.iter().all(|said| said.to == elsewhere && said.kind != Kind::Report), "{refused:?}");
    hear(&mut host, &announce(), Signed::By(1)).expect("a sender of this host");
    assert_eq!(host.session().map(|session| session.reply_to), Some(announce().reply_to));
    let joined = said(&mut host);
    assert_eq!(
        joined.iter().map(|said| (said.to, said.kind)).collect::<Vec<_>>(),
        [(announce().reply_to, Kind::Hello)]
    );
    assert!(refused.iter().all(|before| before.receiver != joined[0].receiver), "nor its id");
}

#[test]
fn who_claims_a_signature_that_it_does_not_have_is_told_nothing_and_named_nowhere() {
    let mut host = host(&[1]);
    let (mut datagram, scope) = (Vec::new(), key().scope(announce().session));
    let stranger = signing_key(2);
    announce().seal(&cipher(), Some(stranger.within(scope)), sequence(0), &mut datagram);
    let at_key = datagram.len();
    datagram.clear();
    // Signed by somebody who names another key: the body says key 3, the signature is of key 2.
    let claimed = Announce { name: announce().name, ..announce() };
    claimed.seal(
        &cipher(),
        Some(stranger.within(crate::sign::Scope { session: SessionId([9; 16]), ..scope })),
        sequence(0),
        &mut datagram,
    );
    assert_eq!(datagram.len(), at_key);
    let result = host.handle_datagram(at(0), WallClock(0), announce().reply_to, &datagram);
    assert_eq!(result, Err(Discard::BadSignature));
    assert!(host.poll_event().is_none() && said(&mut host).is_empty());
}

#[test]
fn the_announcements_of_a_refused_one_way_push_are_checked_once() {
    let mut host = host(&[1]);
    let one_way = Announce { one_way: true, ..announce() };
    for _ in 0..1_000 {
        assert_eq!(hear(&mut host, &one_way, Signed::By(2)), Err(Discard::UnknownSender));
    }
    assert!(said(&mut host).is_empty(), "nobody listens");
}

#[test]
fn a_hello_is_signed_by_the_host_for_this_session_of_this_group() {
    let mut host = host(&[]);
    hear(&mut host, &announce(), Signed::No).expect("ours");
    let greeting = said(&mut host).remove(0).greeting.expect("a hello");
    assert_eq!(greeting.key, config().host_key.public());
    let scope = key().scope(announce().session);
    assert_eq!(greeting.verify(scope), Ok(()));
    let other_group = GroupKey::new([8; 32]).scope(announce().session);
    assert_eq!(greeting.verify(other_group), Err(Discard::BadSignature));
}

#[test]
fn an_agreement_key_from_which_no_secret_follows_is_no_announcement() {
    let mut host = host(&[]);
    let nothing = crate::agree::AgreementPublic([0; 32]);
    let announce = Announce { agreement: nothing, ..announce() };
    assert_eq!(hear(&mut host, &announce, Signed::No), Err(Discard::Malformed));
    assert!(host.session().is_none());
}

/// Who signs a datagram.
#[derive(Clone, Copy)]
enum Signed {
    No,
    By(u8),
}

#[derive(Debug)]
struct Said {
    to: SocketAddr,
    kind: Kind,
    receiver: ReceiverId,
    greeting: Option<Greeting>,
}

/// A host that lists these senders.
fn host(senders: &[u8]) -> Host {
    let senders = senders.iter().map(|&seed| signing_key(seed).public()).collect();
    Receiver::new(ReceiverConfig { senders, ..config() })
}

fn for_names(names: u32) -> Announce {
    Announce { audience: Audience::Named { names }, ..announce() }
}

fn hear(host: &mut Host, announce: &Announce, signed: Signed) -> Result<(), Discard> {
    let mut datagram = Vec::new();
    with_signer(signed, |signer| announce.seal(&cipher(), signer, sequence(0), &mut datagram));
    host.handle_datagram(at(0), WallClock(0), announce.reply_to, &datagram)
}

fn hear_page(host: &mut Host, names: &[&str], signed: Signed) -> Result<(), Discard> {
    let names: Vec<HostName> = names.iter().map(|name| HostName::new(name).expect("plain")).collect();
    let mut pages = Pages::new(announce().session, Some(names.iter()), CONTROL_MAX);
    let page: AudiencePage = pages.next().expect("one");
    let mut datagram = Vec::new();
    let session = announce().session;
    with_signer(signed, |signer| {
        Down::Audience(page.clone()).seal(&cipher(), signer, session, sequence(1), &mut datagram);
    });
    host.handle_datagram(at(0), WallClock(0), announce().reply_to, &datagram)
}

fn with_signer(signed: Signed, mut seal: impl FnMut(Option<Signer<'_>>)) {
    match signed {
        Signed::No => seal(None),
        Signed::By(seed) => seal(Some(signing_key(seed).within(key().scope(announce().session)))),
    }
}

fn said(host: &mut Host) -> Vec<Said> {
    let (mut said, mut out) = (Vec::new(), Vec::new());
    while let Some(to) = host.poll_transmit(at(0), &mut out) {
        let up = UpHeader::parse(&out).expect("ours");
        let cipher = Cipher::upward(&key(), announce().session, up.receiver);
        let greeting = Hello::open(&cipher, announce().geometry, up, &out).ok();
        said.push(Said { to, kind: up.header.kind, receiver: up.receiver, greeting });
    }
    said
}

fn is_idle(host: &mut Host) -> bool {
    host.poll_effect(BlockRoom::Free).is_none() && said(host).is_empty() && host.poll_timeout().is_none()
}

fn cipher() -> Cipher {
    Cipher::downward(&key(), announce().session)
}

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).expect("small")
}

fn key() -> GroupKey {
    GroupKey::new([7; 32])
}

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32].into())
}
