//! Whose queries a host takes, for whom they are, and how much room each asker has.

use super::tests::{hear, held, listing_sender, reply, said, sealed_heard};
use super::*;
use crate::ids::{SessionId, SessionTag};
use crate::limits::QUERIES_OPEN_MAX;
use crate::query::testing::{
    ID, STARTED, address, ask, at, group, host_config, pages, sealed_ask, sealed_page, sender, sender_key,
    sequence, sought,
};
use crate::seal::{Cipher, GroupKey};
use crate::wire::{Ask, Audience};

#[test]
fn a_host_with_senders_takes_no_query_of_others_and_remembers_none() {
    let mut host = listing_sender(1);
    let ask = ask(ID, Query::Unpin(sought("image")));
    let elsewhere = sealed_ask(&Ask { id: SessionId([4; 16]), ..ask.clone() }, Some(&sender_key(1)), 1);
    let claimed = resealed(&ask, &elsewhere, 1);
    assert_eq!(hear(&mut host, &sealed_ask(&ask, None, 1)), Err(Discard::UnknownSender));
    assert_eq!(hear(&mut host, &sealed_ask(&ask, Some(&sender_key(2)), 1)), Err(Discard::UnknownSender));
    assert_eq!(hear(&mut host, &claimed), Err(Discard::BadSignature));
    assert_eq!(host.poll_lookup(), None);
    assert_eq!(hear(&mut host, &sealed_ask(&ask, Some(&sender_key(1)), 1)), Ok(()), "nothing is in its way");
    assert!(matches!(host.poll_lookup(), Some(Lookup::Open(_, Query::Unpin(_), _))));
    assert_eq!(host.discards().of(Discard::UnknownSender), 2);
    assert_eq!(host.discards().of(Discard::BadSignature), 1);
}

#[test]
fn a_query_that_was_signed_for_another_group_is_none_here() {
    let other = GroupKey::new([8; 32]);
    let mut host =
        Responder::new(ResponderConfig { keys: Keyring::of(vec![other, group()]), ..listing(&[1]) });
    // Whoever has both keys seals it again under the other one.
    let sealed = sealed_ask(&ask(ID, Query::Hosts), Some(&sender_key(1)), 1);
    let body = opened(&Cipher::downward(&group(), ID), &sealed, 26);
    let moved = sealed_with(&Cipher::downward(&GroupKey::new([8; 32]), ID), &sealed[..26], &body, 1);
    assert_eq!(hear(&mut host, &moved), Err(Discard::BadSignature));
    assert_eq!(host.poll_lookup(), None);
}

#[test]
fn only_its_signer_keeps_a_query_alive_and_asks_for_more() {
    let mut host = listing_sender(1);
    let ask = ask(ID, Query::Hosts);
    hear(&mut host, &sealed_ask(&ask, Some(&sender_key(1)), 1)).expect("a sender of this host");
    reply(&mut host, held(20));
    let first = said(&mut host, at(0)).expect("the first page");
    for forged in [None, Some(&sender_key(2))] {
        let heard = sealed_heard(&first, forged, 9);
        assert_eq!(hear(&mut host, &heard), Err(Discard::BadSignature));
    }
    assert_eq!(hear(&mut host, &sealed_ask(&ask, Some(&sender_key(2)), 9)), Err(Discard::UnknownSender));
    assert_eq!(said(&mut host, at(0)), None, "no page was asked for");
    assert_eq!(hear(&mut host, &sealed_heard(&first, Some(&sender_key(1)), 2)), Ok(()));
    assert_eq!(said(&mut host, at(0)).expect("the second page").answer.page_number(), 1);
    let mut replayed = sealed_heard(&first, Some(&sender_key(1)), 2);
    assert_eq!(hear(&mut host, &replayed), Err(Discard::Replayed));
    *replayed.last_mut().expect("a tag") ^= 1;
    assert_eq!(hear(&mut host, &replayed), Err(Discard::Forged));
}

#[test]
fn another_signer_that_is_listed_does_not_take_over_a_query() {
    let mut host = Responder::new(listing(&[1, 2]));
    let ask = ask(ID, Query::Hosts);
    hear(&mut host, &sealed_ask(&ask, Some(&sender_key(1)), 1)).expect("a sender of this host");
    assert_eq!(hear(&mut host, &sealed_ask(&ask, Some(&sender_key(2)), 9)), Err(Discard::BadSignature));
    assert_eq!(hear(&mut host, &sealed_ask(&ask, Some(&sender_key(1)), 2)), Ok(()));
}

#[test]
fn signatures_that_are_none_are_checked_a_few_times_and_a_sender_is_still_heard() {
    let mut host = listing_sender(1);
    let ask = ask(ID, Query::Hosts);
    let genuine = sealed_ask(&ask, Some(&sender_key(1)), 1);
    let forged = resealed(&ask, &sealed_ask(&Ask { round: 2, ..ask.clone() }, Some(&sender_key(1)), 2), 1);
    for _ in 0..1_000 {
        let _ = host.handle_datagram(at(1_000), STARTED, address(66), &forged);
    }
    assert_eq!(host.discards().of(Discard::BadSignature), 10);
    assert_eq!(host.discards().of(Discard::OverBudget), 990);
    assert_eq!(host.handle_datagram(at(1_000), STARTED, address(1), &genuine), Ok(()));
}

#[test]
fn nothing_is_looked_into_before_the_page_with_the_hosts_name_has_come() {
    let mut host = Responder::new(host_config(1));
    let unpin = named_ask(Query::Unpin(sought("image")), 2);
    hear(&mut host, &sealed_ask(&unpin, None, 1)).expect("it may be for this host");
    hear(&mut host, &sealed_ask(&unpin, None, 2)).expect("a further round");
    assert_eq!((host.poll_lookup(), host.poll_timeout()), (None, None));
    let page = sealed_page(ID, &pages(ID, &[1, 2])[0], None, 3);
    assert!(host.is_for(&page));
    hear(&mut host, &page).expect("it is");
    assert!(matches!(host.poll_lookup(), Some(Lookup::Open(_, Query::Unpin(_), _))));
    assert_eq!(hear(&mut host, &page), Ok(()), "the same page in the next round");
    assert_eq!(host.poll_lookup(), None);
}

#[test]
fn a_host_that_is_not_meant_lets_nothing_go_and_counts_each_round() {
    let mut host = Responder::new(host_config(1));
    let unpin = sealed_ask(&named_ask(Query::Unpin(sought("image")), 2), None, 1);
    let page = sealed_page(ID, &pages(ID, &[2, 3])[0], None, 2);
    hear(&mut host, &unpin).expect("it may be for this host");
    assert_eq!(hear(&mut host, &page), Err(Discard::NotForUs));
    assert_eq!(hear(&mut host, &unpin), Err(Discard::NotForUs));
    assert!(host.is_for(&page), "it is not taken for a page of a push");
    assert_eq!(hear(&mut host, &page), Err(Discard::NotForUs));
    // Not even a page that names it changes that.
    let other = sealed_page(ID, &pages(ID, &[1])[0], None, 3);
    assert_eq!(hear(&mut host, &other), Err(Discard::NotForUs));
    assert_eq!((host.poll_lookup(), host.poll_timeout()), (None, None));
    assert_eq!(host.discards().of(Discard::NotForUs), 4);
}

#[test]
fn nobody_but_the_signer_says_whom_a_signed_query_is_for() {
    let mut host = listing_sender(1);
    let page = &pages(ID, &[1])[0];
    hear(&mut host, &sealed_ask(&named_ask(Query::Hosts, 1), Some(&sender_key(1)), 1)).expect("a sender");
    for forged in [None, Some(&sender_key(2))] {
        assert_eq!(hear(&mut host, &sealed_page(ID, page, forged, 2)), Err(Discard::BadSignature));
    }
    let without = &pages(ID, &[2])[0];
    assert_eq!(
        hear(&mut host, &sealed_page(ID, without, Some(&sender_key(2)), 2)),
        Err(Discard::BadSignature)
    );
    assert_eq!(host.poll_lookup(), None);
    assert_eq!(hear(&mut host, &sealed_page(ID, page, Some(&sender_key(1)), 2)), Ok(()));
    assert!(host.poll_lookup().is_some());
}

#[test]
fn a_page_that_was_held_back_begins_nothing() {
    let mut host = Responder::new(host_config(1));
    hear(&mut host, &sealed_ask(&named_ask(Query::Unpin(sought("image")), 1), None, 1)).expect("fresh");
    let page = sealed_page(ID, &pages(ID, &[1])[0], None, 2);
    let later = WallClock(STARTED.0 + 301_000);
    assert_eq!(host.handle_datagram(at(301_000), later, address(1), &page), Err(Discard::Stale));
    assert_eq!(host.poll_lookup(), None);
}

#[test]
fn pages_of_pushes_are_left_to_the_receiver() {
    let mut host = Responder::new(host_config(1));
    let push = SessionId([9; 16]);
    let page = sealed_page(push, &pages(push, &[1])[0], None, 1);
    assert!(!host.is_for(&page));
    // Not even a query with the tag of the push takes them away from it.
    let mut same_tag = [1; 16];
    same_tag[..SessionTag::BYTES].copy_from_slice(&push.tag().0);
    let query = Ask { audience: Audience::Named { names: 1 }, ..ask(SessionId(same_tag), Query::Hosts) };
    hear(&mut host, &sealed_ask(&query, None, 1)).expect("a query");
    assert!(!host.is_for(&page));
    assert_eq!(hear(&mut host, &page), Err(Discard::OtherSession));
    let of_query = sealed_page(query.id, &pages(query.id, &[1])[0], None, 2);
    assert!(host.is_for(&of_query));
}

#[test]
fn candidates_are_few_and_a_new_one_still_finds_room() {
    let mut host = Responder::new(host_config(1));
    for number in 0..200 {
        let id = SessionId([number; 16]);
        let query = Ask { audience: Audience::Named { names: 1 }, ..ask(id, Query::Hosts) };
        let from = address(number % 7);
        assert_eq!(host.handle_datagram(at(0), STARTED, from, &sealed_ask(&query, None, 1)), Ok(()));
    }
    let id = SessionId([199; 16]);
    assert_eq!(hear(&mut host, &sealed_page(id, &pages(id, &[1])[0], None, 2)), Ok(()));
    assert!(host.poll_lookup().is_some());
    let first = SessionId([0; 16]);
    assert!(!host.is_for(&sealed_page(first, &pages(first, &[1])[0], None, 2)), "it made room");
}

#[test]
fn one_address_takes_two_of_the_places_where_anybody_may_ask() {
    let mut host = Responder::new(host_config(1));
    let ask_from = |host: &mut Responder, id: u8, from: u8| {
        let datagram = sealed_ask(&ask(SessionId([id; 16]), Query::Hosts), None, 1);
        host.handle_datagram(at(0), STARTED, address(from), &datagram)
    };
    assert_eq!(ask_from(&mut host, 1, 66), Ok(()));
    assert_eq!(ask_from(&mut host, 2, 66), Ok(()));
    assert_eq!(ask_from(&mut host, 3, 66), Err(Discard::TooMany));
    assert_eq!(ask_from(&mut host, 4, 1), Ok(()), "somebody else");
}

#[test]
fn a_listed_sender_may_take_all_places() {
    let mut host = listing_sender(1);
    for id in 0..QUERIES_OPEN_MAX as u8 {
        let query = ask(SessionId([id; 16]), Query::Hosts);
        assert_eq!(hear(&mut host, &sealed_ask(&query, Some(&sender_key(1)), 1)), Ok(()));
    }
    let one_more = ask(SessionId([99; 16]), Query::Hosts);
    assert_eq!(hear(&mut host, &sealed_ask(&one_more, Some(&sender_key(1)), 1)), Err(Discard::TooMany));
}

#[test]
fn a_host_answers_eight_queries_at_a_time_whoever_asks() {
    let mut host = Responder::new(host_config(1));
    for number in 0..12 {
        let ask = sealed_ask(&ask(SessionId([number; 16]), Query::Hosts), None, 1);
        let taken = host.handle_datagram(at(0), STARTED, address(number), &ask);
        assert_eq!(taken.is_ok(), usize::from(number) < QUERIES_OPEN_MAX, "{number}: {taken:?}");
    }
}

#[test]
fn a_listed_sender_that_asks_on_is_heard_each_time() {
    let mut host = listing_sender(1);
    for number in 1..=200 {
        let again = sealed_ask(&ask(ID, Query::Hosts), Some(&sender_key(1)), number);
        assert_eq!(hear(&mut host, &again), Ok(()), "{number}");
    }
}

#[test]
fn a_query_is_as_old_as_clocks_may_differ_and_no_older() {
    let mut host = Responder::new(ResponderConfig { started: WallClock(0), ..host_config(1) });
    for (ms, result) in [(300_000, Ok(())), (300_001, Err(Discard::Stale))] {
        let old = sealed_ask(&ask(SessionId([ms as u8; 16]), Query::Hosts), None, 1);
        let wall = WallClock(STARTED.0 + ms);
        assert_eq!(host.handle_datagram(at(0), wall, address(9), &old), result, "{ms} ms");
    }
}

#[test]
fn an_address_that_asks_on_and_on_leaves_room_in_the_memory_for_others() {
    let mut host = Responder::new(host_config(1));
    let (mut taken, mut id) = (0, [0; 16]);
    for number in 0..2_000u16 {
        id[..2].copy_from_slice(&number.to_be_bytes());
        let query = ask(SessionId(id), Query::Hosts);
        if host.handle_datagram(at(0), STARTED, address(66), &sealed_ask(&query, None, 1)).is_ok() {
            taken += 1;
            reply(&mut host, held(0));
            let page = said(&mut host, at(0)).expect("an answer");
            hear(&mut host, &sealed_heard(&page, None, 2)).expect("acknowledged");
        }
    }
    assert_eq!(taken, 512);
    assert_eq!(hear(&mut host, &sealed_ask(&ask(ID, Query::Hosts), None, 1)), Ok(()));
}

fn listing(senders: &[u8]) -> ResponderConfig {
    ResponderConfig { senders: senders.iter().map(|&number| sender(number)).collect(), ..host_config(1) }
}

fn named_ask(query: Query, names: u32) -> Ask {
    Ask { audience: Audience::Named { names }, ..ask(ID, query) }
}

/// Returns the query with the signature of another datagram.
fn resealed(ask: &Ask, other: &[u8], number: u64) -> Vec<u8> {
    let other_id = Ask::id_of(other).expect("a query");
    let other_number = Header::parse(other).expect("ours").sequence.value();
    let signature = opened_at(&Cipher::downward(&group(), other_id), other, 26, other_number);
    let genuine = sealed_ask(ask, Some(&sender_key(1)), number);
    let mut body = opened_at(&Cipher::downward(&group(), ask.id), &genuine, 26, number);
    let (at, from) = (body.len() - 64, signature.len() - 64);
    body[at..].copy_from_slice(&signature[from..]);
    sealed_with(&Cipher::downward(&group(), ask.id), &genuine[..26], &body, number)
}

fn opened(cipher: &Cipher, datagram: &[u8], clear: usize) -> Vec<u8> {
    opened_at(cipher, datagram, clear, 1)
}

fn opened_at(cipher: &Cipher, datagram: &[u8], clear: usize, number: u64) -> Vec<u8> {
    let mut body = vec![0; datagram.len() - clear - 16];
    cipher.open(sequence(number), &datagram[..clear], &datagram[clear..], &mut body).expect("sealed so");
    body
}

fn sealed_with(cipher: &Cipher, clear: &[u8], body: &[u8], number: u64) -> Vec<u8> {
    let mut datagram = clear.to_vec();
    datagram.resize(clear.len() + body.len() + 16, 0);
    let (header, sealed) = datagram.split_at_mut(clear.len());
    cipher.seal(sequence(number), header, body, sealed);
    datagram
}
