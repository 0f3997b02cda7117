//! A host's part in a diagnosis.

use super::tests::{hear, listing_sender};
use super::*;
use crate::doctor::{Counters, Gauge, Refusal, Way};
use crate::ids::{ReceiverId, Sequence, SessionId};
use crate::limits::{PASSED_ON_MAX, PROBES_MAX, TRAINS_MAX};
use crate::query::testing::{
    ID, STARTED, address, ask, at, group, host_config, host_key, querier_address, sealed_ask, sender_key,
};
use crate::seal::Cipher;
use crate::wire::{Answer, Discard, Page, Probe, Step, UpHeader};

#[test]
fn probes_are_counted_by_way_once_each_and_reported() {
    let mut host = Responder::new(host_config(1));
    begin(&mut host, ID, Step::Snapshot, 7);
    for index in [0, 1, 2, 2, 5] {
        let _ = host.handle_probe(Way::Group, &probe(ID, 7, index, 100));
    }
    assert_eq!(host.handle_probe(Way::Unicast, &probe(ID, 7, 2, 100)), Ok(Probed::Counted));
    assert_eq!(host.discards().of(Discard::Duplicate), 1);
    let report = SessionId([9; 16]);
    let counters = begin(&mut host, report, Step::Report, 7);
    assert_eq!((counters.tally.by(Way::Group), counters.tally.by(Way::Unicast)), (4, 1));
    assert!(counters.is(Gauge::TrainKnown) && counters.get(Gauge::Mtu) == Some(1500));
}

#[test]
fn a_few_probes_to_the_host_itself_are_passed_on_once_each_where_the_shell_relays() {
    let mut host = Responder::new(host_config(1));
    begin(&mut host, ID, Step::Snapshot, 7);
    assert_eq!(host.handle_probe(Way::Unicast, &probe(ID, 7, 0, 100)), Ok(Probed::Counted), "nobody asked");
    let asked = ask(SessionId([8; 16]), Query::Diagnose { step: Step::PassOn, train: 7 });
    hear(&mut host, &sealed_ask(&asked, None, 1)).expect("anybody may ask");
    let Some(Lookup::Examine(_, examination)) = host.poll_lookup() else { panic!("it is looked into") };
    assert_eq!(host.handle_probe(Way::Unicast, &probe(ID, 7, 1, 100)), Ok(Probed::Counted), "not a relay");
    for _ in 0..2 {
        host.handle_passing_on(examination.train.expect("known"));
    }
    let all =
        (2..2 + 2 * PASSED_ON_MAX).map(|index| host.handle_probe(Way::Unicast, &probe(ID, 7, index, 100)));
    let passed_on = all.filter(|probed| *probed == Ok(Probed::ToPassOn)).count();
    assert_eq!(passed_on, usize::from(PASSED_ON_MAX));
    assert_eq!(host.handle_probe(Way::Unicast, &probe(ID, 7, 2, 100)), Err(Discard::Duplicate));
    assert_eq!(
        host.handle_probe(Way::Group, &probe(ID, 7, 90, 100)),
        Ok(Probed::Counted),
        "never what came by it"
    );
    let counters = begin(&mut host, SessionId([9; 16]), Step::Report, 7);
    let told = [Gauge::PassedOn, Gauge::FirstHeard, Gauge::LastHeard].map(|gauge| counters.get(gauge));
    assert_eq!(told, [Some(PASSED_ON_MAX.into()), Some(90), Some(90)]);
}

#[test]
fn probes_of_no_train_of_another_number_or_beyond_the_limit_are_dropped() {
    let mut host = Responder::new(host_config(1));
    assert_eq!(host.handle_probe(Way::Group, &probe(ID, 7, 0, 100)), Err(Discard::OtherSession));
    begin(&mut host, ID, Step::Snapshot, 7);
    assert_eq!(host.handle_probe(Way::Group, &probe(ID, 8, 0, 100)), Err(Discard::OtherSession));
    let mut forged = probe(ID, 7, 0, 100);
    *forged.last_mut().expect("a tag") ^= 1;
    assert_eq!(host.handle_probe(Way::Group, &forged), Err(Discard::Forged));
    let beyond = probe(ID, 7, PROBES_MAX as u16, 100);
    assert_eq!(host.handle_probe(Way::Group, &beyond), Err(Discard::TooMany));
    let counters = begin(&mut host, SessionId([9; 16]), Step::Report, 7);
    assert_eq!(counters.tally.by(Way::Group), 0);
}

#[test]
fn the_oldest_train_makes_room_and_a_report_of_it_says_that_it_is_not_known() {
    let mut host = Responder::new(host_config(1));
    for number in 0..=TRAINS_MAX as u16 {
        begin(&mut host, SessionId([10 + number as u8; 16]), Step::Snapshot, number);
    }
    let known = |host: &mut Responder, number: u16| {
        begin(host, SessionId([50 + number as u8; 16]), Step::Report, number).get(Gauge::TrainKnown)
    };
    assert_eq!((known(&mut host, 0), known(&mut host, 1)), (Some(0), Some(1)));
}

#[test]
fn a_sender_that_is_not_listed_is_refused_in_words_a_few_times_and_gets_no_train() {
    let mut host = listing_sender(1);
    let mut answers = 0;
    for number in 0..20_u8 {
        let id = SessionId([number + 1; 16]);
        let asked = ask(id, Query::Diagnose { step: Step::JoinAgain, train: 7 });
        let sealed = sealed_ask(&asked, Some(&sender_key(2)), 1);
        assert_eq!(hear(&mut host, &sealed), Err(Discard::UnknownSender));
        assert_eq!(host.poll_lookup(), None);
        if let Some((_, answer)) = said(&mut host, id) {
            answers += 1;
            let Page::About(about) = &answer.page else { panic!("it is about the host") };
            assert!(matches!(&about.state, AnswerState::Failed(why) if why.contains("does not list")));
        }
        assert_eq!(host.handle_probe(Way::Group, &probe(id, 7, 0, 100)), Err(Discard::OtherSession));
    }
    assert_eq!(answers, 3);
    let unpin = ask(SessionId([77; 16]), Query::Hosts);
    assert_eq!(hear(&mut host, &sealed_ask(&unpin, Some(&sender_key(2)), 1)), Err(Discard::UnknownSender));
    assert!(said(&mut host, SessionId([77; 16])).is_none(), "other queries stay without an answer");
}

#[test]
fn a_refused_query_is_answered_once_though_its_rounds_go_on() {
    let mut host = listing_sender(1);
    let asked = ask(ID, Query::Diagnose { step: Step::Snapshot, train: 7 });
    for round in 1..5 {
        let sealed = sealed_ask(&asked, Some(&sender_key(2)), round);
        assert_eq!(hear(&mut host, &sealed), Err(Discard::UnknownSender));
        assert_eq!(said(&mut host, ID).is_some(), round == 1);
        host.open.clear(); // as if it were acknowledged
    }
}

#[test]
fn a_host_whose_clock_is_wrong_says_by_how_much() {
    for (wall, ahead) in [(STARTED.0 + 400_000, true), (STARTED.0 - 400_000, false)] {
        let mut host = Responder::new(host_config(1));
        let asked = ask(ID, Query::Diagnose { step: Step::Snapshot, train: 7 });
        let sealed = sealed_ask(&asked, None, 1);
        let heard = host.handle_datagram(at(0), WallClock(wall), address(66), &sealed);
        assert_eq!(heard, Err(Discard::Stale));
        let (_, answer) = said(&mut host, ID).expect("a refusal");
        let Page::About(about) = &answer.page else { panic!("it is about the host") };
        let AnswerState::Failed(why) = &about.state else { panic!("refused") };
        assert!(why.contains("400 s") && why.contains(if ahead { "ahead" } else { "behind" }), "{why}");
        assert_eq!(answer.pages, 2, "a page of numbers follows");
    }
}

#[test]
fn a_forged_signature_on_an_old_query_is_not_answered() {
    let mut host = listing_sender(1);
    let asked = ask(ID, Query::Diagnose { step: Step::Snapshot, train: 7 });
    let mut sealed = sealed_ask(&asked, Some(&sender_key(1)), 1);
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    let wall = WallClock(STARTED.0 + 400_000);
    assert!(host.handle_datagram(at(0), wall, address(66), &sealed).is_err());
    assert!(said(&mut host, ID).is_none());
}

#[test]
fn why_a_host_refuses_is_a_number_too() {
    for refusal in Refusal::ALL {
        let mut counters = Counters::default();
        counters.set(Gauge::Refused, refusal as u64);
        assert_eq!(Counters::from_wire(&counters.to_wire()).refusal(), Some(refusal));
    }
}

/// Has a host take a step, as its shell would, and returns what it says.
fn begin(host: &mut Responder, id: SessionId, step: Step, train: u16) -> Counters {
    let asked = ask(id, Query::Diagnose { step, train });
    hear(host, &sealed_ask(&asked, None, 1)).expect("anybody may ask");
    let Some(Lookup::Examine(lookup, examination)) = host.poll_lookup() else { panic!("it is looked into") };
    assert_eq!((examination.step, examination.asker), (step, querier_address()));
    let mut measured = Counters::default();
    measured.set(Gauge::Mtu, 1500);
    host.handle_measured(at(0), lookup, examination, measured);
    let (receiver, first) = said(host, id).expect("the first page");
    hear(host, &heard(id, receiver, &first, 2)).expect("ours");
    let (_, second) = said(host, id).expect("the page of counters");
    hear(host, &heard(id, receiver, &second, 3)).expect("ours");
    let Page::Counters { counters, .. } = second.page else { panic!("counters") };
    Counters::from_wire(&counters)
}

/// Returns the page that a host sends next in answer to this query.
fn said(host: &mut Responder, id: SessionId) -> Option<(ReceiverId, Answer)> {
    let mut datagram = Vec::new();
    host.poll_transmit(at(0), &mut datagram)?;
    let up = UpHeader::parse(&datagram).expect("ours");
    let cipher = Cipher::upward(&group(), id, up.receiver);
    let answer = Answer::open(&cipher, group().scope(id), Some(host_key(1).public()), up, &datagram);
    Some((up.receiver, answer.expect("ours")))
}

fn heard(id: SessionId, receiver: ReceiverId, page: &Answer, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let sequence = Sequence::new(number).expect("small");
    page.heard(receiver).seal(&Cipher::downward(&group(), id), None, id.tag(), sequence, &mut out);
    out
}

fn probe(id: SessionId, train: u16, index: u16, bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let sequence = Sequence::new((1 << 39) + u64::from(index)).expect("small");
    let probe = Probe { train, index, count: u16::MAX, ttl: 1 };
    probe.seal(&Cipher::downward(&group(), id), id.tag(), sequence, bytes, &mut out);
    out
}
