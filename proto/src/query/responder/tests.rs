//! How often a host sends its pages, and what is on them.

use super::*;
use crate::ids::{ObjectName, SessionId, SessionTag};
use crate::integrity::Root;
use crate::query::testing::{
    ID, STARTED, address, agreement, ask, at, group, host_config, host_key, name, querier_address,
    sealed_ask, sender, sender_key, sequence, sought,
};
use crate::seal::{Cipher, GroupKey};
use crate::wire::{Answer, Ask, Finding, Heard, Kept, Page, UpHeader};

#[test]
fn an_unsigned_query_is_answered_five_times_until_its_querier_is_heard_again() {
    let mut host = Responder::new(host_config(1));
    hear(&mut host, &sealed_ask(&ask(ID, Query::Hosts), None, 1)).expect("anybody may ask");
    reply(&mut host, held(20));
    assert_eq!(sends(&mut host, 0..14_000), 5);
    assert!(host.poll_timeout().is_some_and(|at| at > self::at(14_000)), "nothing else is due");
    let again = sealed_ask(&ask(ID, Query::Hosts), None, 2);
    assert_eq!(host.handle_datagram(at(14_000), STARTED, address(1), &again), Ok(()));
    assert_eq!(sends(&mut host, 14_000..20_000), 1, "a page for a datagram");
    assert_eq!(host.handle_datagram(at(20_000), STARTED, address(1), &again), Err(Discard::Replayed));
    assert_eq!(sends(&mut host, 20_000..28_000), 0);
}

#[test]
fn a_querier_that_got_another_address_is_answered_there() {
    let mut host = Responder::new(host_config(1));
    hear(&mut host, &sealed_ask(&ask(ID, Query::Hosts), None, 1)).expect("anybody may ask");
    reply(&mut host, held(1));
    let mut out = Vec::new();
    assert_eq!(host.poll_transmit(at(0), &mut out), Some(querier_address()));
    let elsewhere = Ask { reply_to: address(9), ..ask(ID, Query::Hosts) };
    let again = sealed_ask(&elsewhere, None, 2);
    assert_eq!(host.handle_datagram(at(500), STARTED, address(9), &again), Ok(()));
    assert_eq!(host.poll_transmit(at(500), &mut out), Some(address(9)));
}

#[test]
fn a_signed_query_is_answered_as_often_as_fits_its_time() {
    let mut host = listing_sender(1);
    hear(&mut host, &sealed_ask(&ask(ID, Query::Hosts), Some(&sender_key(1)), 1)).expect("a sender");
    reply(&mut host, held(20));
    let sent = sends(&mut host, 0..20_000);
    assert!((15..=17).contains(&sent), "{sent}");
}

#[test]
fn progress_that_nobody_hears_is_not_sent_on_and_on() {
    let mut host = Responder::new(host_config(1));
    hear(&mut host, &sealed_ask(&ask(ID, Query::Verify(sought("image"))), None, 1)).expect("anybody may ask");
    let Some(Lookup::Open(id, _, _)) = host.poll_lookup() else { panic!("it is looked into") };
    let mut sent = 0;
    for ms in (0..14_000).step_by(500) {
        let state = AnswerState::Verifying { done: ms, of: 14_000 };
        host.handle_reply(at(ms), id, Reply { state, ..held(1) });
        sent += sends(&mut host, ms..ms + 500);
    }
    assert_eq!(sent, 5);
}

#[test]
fn every_page_is_signed_by_the_host_for_this_query() {
    let mut host = Responder::new(host_config(1));
    hear(&mut host, &sealed_ask(&ask(ID, Query::Hosts), None, 1)).expect("anybody may ask");
    reply(&mut host, held(20));
    let first = said(&mut host, at(0)).expect("the first page");
    let Page::About(about) = &first.answer.page else { panic!("it is about the host") };
    assert_eq!((about.key, &about.name), (host_key(1).public(), &name(1)));
    assert_eq!(about.digest, HeldDigest([9; 16]), "of all that it holds, as the shell has found it");
    assert!(agreement().agree(&about.agreement).is_some());
    hear(&mut host, &sealed_heard(&first, None, 2)).expect("ours");
    let second = said(&mut host, at(0)).expect("the second page");
    for page in [first, second] {
        let cipher = Cipher::upward(&group(), ID, page.up.receiver);
        let open = |scope, key| Answer::open(&cipher, scope, Some(key), page.up, &page.datagram);
        assert!(open(group().scope(ID), host_key(1).public()).is_ok());
        let other_group = GroupKey::new([8; 32]).scope(ID);
        assert_eq!(open(other_group, host_key(1).public()), Err(Discard::BadSignature));
        assert_eq!(open(group().scope(ID), host_key(2).public()), Err(Discard::BadSignature));
    }
}

#[test]
fn each_query_has_a_receiver_id_and_an_agreement_key_of_its_own() {
    let mut host = Responder::new(host_config(1));
    let mut of = |number: u8| {
        let id = SessionId([number; 16]);
        hear(&mut host, &sealed_ask(&ask(id, Query::Hosts), None, 1)).expect("anybody may ask");
        reply(&mut host, held(0));
        let page = said(&mut host, at(0)).expect("an answer");
        let Page::About(about) = page.answer.page else { panic!("it is about the host") };
        (page.up.receiver, about.agreement)
    };
    let (first, second) = (of(3), of(4));
    assert!(first.0 != second.0 && first.1 != second.1);
}

#[test]
fn a_host_that_awaits_a_new_key_says_so_until_it_has_it() {
    let mut host = Responder::new(host_config(1));
    hear(&mut host, &sealed_ask(&ask(ID, Query::Hosts), None, 1)).expect("anybody may ask");
    reply(&mut host, Reply { state: AnswerState::AwaitingKey, ..held(0) });
    let first = said(&mut host, at(0)).expect("an answer");
    hear(&mut host, &sealed_heard(&first, None, 2)).expect("ours");
    assert_eq!(said(&mut host, at(1_999)), None);
    assert_eq!(said(&mut host, at(2_000)).expect("it still does").answer.edition, 2);
}

/// A page of an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    pub(super) up: UpHeader,
    pub(super) answer: Answer,
    pub(super) datagram: Vec<u8>,
}

pub(super) fn listing_sender(number: u8) -> Responder {
    Responder::new(ResponderConfig { senders: vec![sender(number)].into(), ..host_config(1) })
}

pub(super) fn hear(host: &mut Responder, datagram: &[u8]) -> Result<(), Discard> {
    host.handle_datagram(at(0), STARTED, address(1), datagram)
}

pub(super) fn reply(host: &mut Responder, reply: Reply) {
    let Some(Lookup::Open(id, _, _)) = host.poll_lookup() else { panic!("it is looked into") };
    host.handle_reply(at(0), id, reply);
}

pub(super) fn said(host: &mut Responder, now: Moment) -> Option<Said> {
    let mut datagram = Vec::new();
    assert_eq!(host.poll_transmit(now, &mut datagram)?, querier_address());
    let up = UpHeader::parse(&datagram).expect("ours");
    let id = [3, 4].map(|byte| SessionId([byte; 16])).into_iter().find(|id| id.tag() == up.header.tag);
    let Some(id) = id else { return Some(Said { answer: any_answer(), up, datagram }) };
    let cipher = Cipher::upward(&group(), id, up.receiver);
    let answer = Answer::open(&cipher, group().scope(id), Some(host_key(1).public()), up, &datagram);
    Some(Said { up, answer: answer.expect("ours"), datagram })
}

/// The acknowledgement of any first page needs no more of it.
pub(super) fn any_answer() -> Answer {
    Answer { edition: 1, pages: 2, page: Page::Counters { number: 0, counters: Vec::new() } }
}

/// Returns how many pages are sent in this time, in milliseconds.
pub(super) fn sends(host: &mut Responder, time: std::ops::Range<u64>) -> usize {
    let mut sent = 0;
    for ms in time {
        host.handle_timeout(at(ms));
        sent += std::iter::from_fn(|| said(host, at(ms))).count();
    }
    sent
}

pub(super) fn sealed_heard(page: &Said, signer: Option<&SigningKey>, number: u64) -> Vec<u8> {
    let heard =
        Heard { receiver: page.up.receiver, edition: page.answer.edition, page: page.answer.page_number() };
    let mut id = ID;
    if page.up.header.tag != ID.tag() {
        id.0[..SessionTag::BYTES].copy_from_slice(&page.up.header.tag.0);
        id.0[SessionTag::BYTES..].fill(0);
    }
    let mut out = Vec::new();
    let signer = signer.map(|key| key.within(group().scope(id)));
    heard.seal(&Cipher::downward(&group(), id), signer, id.tag(), sequence(number), &mut out);
    out
}

/// What a host finds that holds `count` objects.
pub(super) fn held(count: usize) -> Reply {
    let held = |at| Held {
        name: ObjectName::new(&format!("image-{at}")).expect("plain"),
        image_id: None,
        bytes: 1,
        root: Root([1; 32]),
        proven: STARTED,
        kept: Kept::Forever,
        finding: Finding::Listed,
    };
    Reply {
        store: "directory:/srv".into(),
        free_bytes: Some(1),
        held: count as u32,
        pinned: 0,
        digest: HeldDigest([9; 16]),
        objects: (0..count).map(held).collect(),
        state: AnswerState::Final,
    }
}
