//! Which new keys a host takes, from whom, and when it says that it has one.

use super::tests::{Said, hear, said};
use super::*;
use crate::ids::{GroupId, SessionId};
use crate::query::testing::{
    ID, agreement, ask, at, group, host_config, sealed_ask, sender, sender_key, sequence,
};
use crate::seal::{Cipher, GroupKey};
use crate::wire::{AnswerState, NewKey, Page};
use zeroize::Zeroizing;

#[test]
fn a_new_key_is_kept_before_the_host_says_that_it_has_it() {
    let mut host = listing();
    let page = asked_for_key(&mut host, ID);
    hear(&mut host, &sealed_key(&page, 1, key(8), 2)).expect("ours");
    let Some(Lookup::Keep(id, keys)) = host.poll_lookup() else { panic!("it is to be kept") };
    assert_eq!(ids(&keys), [key(8).id(), group().id()]);
    assert_eq!(host.poll_keys().map(|keys| keys.len()), None, "nothing has changed before that");
    host.handle_timeout(at(100));
    assert!(!matches!(state_said(&mut host, 100), Some(AnswerState::Final)));
    host.handle_kept(at(200), id, Ok(keys));
    assert_eq!(host.poll_keys().expect("it has two").len(), 2);
    assert_eq!(host.poll_keys().map(|keys| keys.len()), None, "it is said once");
    assert_eq!(state_said(&mut host, 200), Some(AnswerState::Final));
}

#[test]
fn a_key_that_cannot_be_kept_is_not_used() {
    let mut host = listing();
    let page = asked_for_key(&mut host, ID);
    hear(&mut host, &sealed_key(&page, 1, key(8), 2)).expect("ours");
    let Some(Lookup::Keep(id, _)) = host.poll_lookup() else { panic!("it is to be kept") };
    host.handle_kept(at(0), id, Err("the disk is full".to_owned()));
    assert!(host.poll_keys().is_none());
    assert_eq!(state_said(&mut host, 0), Some(AnswerState::Failed("the disk is full".to_owned())));
}

#[test]
fn a_key_is_taken_once_however_often_it_comes() {
    let mut host = listing();
    let page = asked_for_key(&mut host, ID);
    let datagram = sealed_key(&page, 1, key(8), 2);
    hear(&mut host, &datagram).expect("ours");
    assert_eq!(hear(&mut host, &datagram), Err(Discard::NotNeeded), "repeated");
    assert_eq!(hear(&mut host, &sealed_key(&page, 1, key(9), 3)), Err(Discard::NotNeeded), "another one");
    assert!(matches!(host.poll_lookup(), Some(Lookup::Keep(..))) && host.poll_lookup().is_none());
}

#[test]
fn a_key_of_anybody_but_the_signer_of_the_query_is_refused_and_counted() {
    let mut host = listing();
    let page = asked_for_key(&mut host, ID);
    let of_another = sealed_key(&page, 2, key(8), 2);
    assert_eq!(hear(&mut host, &of_another), Err(Discard::BadSignature));
    let mut for_another = Vec::new();
    let new = NewKey { receiver: ReceiverId([9; 8]), key: Zeroizing::new([8; 32]) };
    let signer = sender_key(1);
    new.seal(&private(&page), signer.within(group().scope(ID)), sequence(2), &mut for_another);
    assert_eq!(hear(&mut host, &for_another), Err(Discard::NotNeeded), "for another host");
    // Every host of the group has the group key, and none has what follows from the agreement.
    let mut of_a_host = Vec::new();
    let new = NewKey { receiver: page.up.receiver, key: Zeroizing::new([8; 32]) };
    new.seal(&Cipher::downward(&group(), ID), signer.within(group().scope(ID)), sequence(2), &mut of_a_host);
    assert_eq!(hear(&mut host, &of_a_host), Err(Discard::Forged));
    assert_eq!(host.discards().of(Discard::BadSignature), 1);
    assert!(host.poll_lookup().is_none() && host.poll_keys().is_none());
}

#[test]
fn a_host_that_accepts_every_sender_takes_a_key_from_none() {
    for (senders, signer) in [(Senders::any(), Some(1)), (Senders::any(), None)] {
        let mut host = Responder::new(ResponderConfig { senders, ..host_config(1) });
        let signer = signer.map(sender_key);
        hear(&mut host, &sealed_ask(&ask(ID, Query::Rekey), signer.as_ref(), 1)).expect("anybody may ask");
        assert!(host.poll_lookup().is_none());
        let state = state_said(&mut host, 0);
        assert!(
            matches!(&state, Some(AnswerState::Failed(reason)) if reason.contains("list senders")),
            "{state:?}"
        );
    }
    let mut host = listing();
    let refused = hear(&mut host, &sealed_ask(&ask(ID, Query::Rekey), Some(&sender_key(2)), 1));
    assert_eq!(refused, Err(Discard::UnknownSender), "one that it does not list");
}

#[test]
fn an_older_key_after_a_newer_one_is_refused_and_said() {
    let mut host = listing();
    take_key(&mut host, ID, key(8));
    let page = asked_for_key(&mut host, OTHER);
    let late = sealed_key_in(OTHER, &page, 1, key(9), 2);
    assert_eq!(hear(&mut host, &late), Err(Discard::OldKey));
    assert_eq!(host.discards().of(Discard::OldKey), 1);
    let state = state_said(&mut host, 3_000);
    assert!(matches!(&state, Some(AnswerState::Failed(reason)) if reason.contains("newer")), "{state:?}");
}

#[test]
fn the_old_key_is_retired_by_the_new_one_alone() {
    let mut host = listing();
    take_key(&mut host, ID, key(8));
    hear(&mut host, &sealed_ask(&ask(OTHER, Query::Retire), Some(&sender_key(1)), 1)).expect("a sender");
    assert!(host.poll_lookup().is_none(), "under the old key");
    assert_eq!(host.discards().of(Discard::OldKey), 1);
    let under_new = SessionId([6; 16]);
    let mut datagram = Vec::new();
    let (new, signer) = (key(8), sender_key(1));
    ask(under_new, Query::Retire).seal(
        &Cipher::downward(&new, under_new),
        Some(signer.within(new.scope(under_new))),
        sequence(1),
        &mut datagram,
    );
    hear(&mut host, &datagram).expect("a sender");
    let Some(Lookup::Keep(id, keys)) = host.poll_lookup() else { panic!("it is to be kept") };
    assert_eq!(ids(&keys), [new.id()]);
    host.handle_kept(at(0), id, Ok(keys));
    assert_eq!(host.poll_keys().expect("one").len(), 1);
    let ask = sealed_ask(&ask(SessionId([5; 16]), Query::Hosts), Some(&sender_key(1)), 1);
    assert_eq!(hear(&mut host, &ask), Err(Discard::WrongKey), "nothing opens under the old key");
}

#[test]
fn a_configuration_that_is_read_while_a_key_is_kept_loses_neither() {
    let mut host = listing();
    let page = asked_for_key(&mut host, ID);
    hear(&mut host, &sealed_key(&page, 1, key(8), 2)).expect("ours");
    let Some(Lookup::Keep(id, keys)) = host.poll_lookup() else { panic!("it is to be kept") };
    assert!(host.handle_configured_keys(vec![group(), key(4)]));
    host.handle_kept(at(0), id, Ok(keys));
    let keys: Vec<GroupId> = host.poll_keys().expect("three").iter().map(GroupKey::id).collect();
    assert_eq!(keys, [key(8).id(), group().id(), key(4).id()]);
}

#[test]
fn a_sender_that_is_taken_off_the_list_is_answered_no_longer() {
    let mut host = listing();
    let page = asked_for_key(&mut host, ID);
    host.handle_senders(vec![sender(2)].into());
    assert!(matches!(host.poll_lookup(), Some(Lookup::Forget(_))));
    assert_eq!(hear(&mut host, &sealed_key(&page, 1, key(8), 2)), Err(Discard::OtherSession));
    let again = sealed_ask(&ask(OTHER, Query::Hosts), Some(&sender_key(1)), 1);
    assert_eq!(hear(&mut host, &again), Err(Discard::UnknownSender));
}

/// Has a host take this key, as a whole replacement does.
fn take_key(host: &mut Responder, id: SessionId, new: GroupKey) {
    let page = asked_for_key(host, id);
    hear(host, &sealed_key_in(id, &page, 1, new, 2)).expect("ours");
    let Some(Lookup::Keep(lookup, keys)) = host.poll_lookup() else { panic!("it is to be kept") };
    host.handle_kept(at(0), lookup, Ok(keys));
    host.poll_keys().expect("others");
    while said(host, at(0)).is_some() {}
}

/// Asks a host to make ready for a key, and returns the page that says it is.
fn asked_for_key(host: &mut Responder, id: SessionId) -> Said {
    hear(host, &sealed_ask(&ask(id, Query::Rekey), Some(&sender_key(1)), 1)).expect("a sender");
    let Some(Lookup::Open(lookup, Query::Rekey, _)) = host.poll_lookup() else { panic!("it is looked into") };
    host.handle_reply(at(0), lookup, Reply { state: AnswerState::AwaitingKey, ..refusal("") });
    said(host, at(0)).expect("it is ready")
}

fn sealed_key(page: &Said, signer: u8, key: GroupKey, number: u64) -> Vec<u8> {
    sealed_key_in(ID, page, signer, key, number)
}

fn sealed_key_in(id: SessionId, page: &Said, signer: u8, key: GroupKey, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let new = NewKey { receiver: page.up.receiver, key: Zeroizing::new(*key.bytes()) };
    let signer = sender_key(signer);
    new.seal(&private_in(id, page), signer.within(group().scope(id)), sequence(number), &mut out);
    out
}

fn private(page: &Said) -> Cipher {
    private_in(ID, page)
}

/// The cipher that the querier and the host of this page share.
fn private_in(id: SessionId, page: &Said) -> Cipher {
    let Page::About(about) = &page.answer.page else { panic!("it is about the host") };
    let shared = agreement().agree(&about.agreement).expect("a key");
    Cipher::private_down(&group(), id, page.up.receiver, &shared)
}

/// Returns the state of what the host says last at this time.
fn state_said(host: &mut Responder, ms: u64) -> Option<AnswerState> {
    let pages = std::iter::from_fn(|| said(host, at(ms)));
    pages
        .filter_map(|page| match page.answer.page {
            Page::About(about) => Some(about.state),
            _ => None,
        })
        .last()
}

fn listing() -> Responder {
    Responder::new(ResponderConfig { senders: vec![sender(1)].into(), ..host_config(1) })
}

fn ids(keys: &Keyring) -> Vec<GroupId> {
    keys.keys().map(GroupKey::id).collect()
}

fn key(number: u8) -> GroupKey {
    GroupKey::new([number; 32])
}

const OTHER: SessionId = SessionId([4; 16]);
