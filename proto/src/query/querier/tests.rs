//! What a querier sends and when, how long it waits, and what it keeps.

use std::time::Duration;

use super::*;
use crate::ids::{ObjectName, ReceiverId};
use crate::integrity::Root;
use crate::known::UnknownHosts;
use crate::limits::COUNTERS_MAX;
use crate::query::Standing;
use crate::query::testing::{
    ID, STARTED, address, agreement, at, group, host_key, known, name, named, querier_config, sender_key,
    sequence,
};
use crate::sign::SigningKey;
use crate::wire::{
    About, AnswerState, Audience, Counter, Finding, Heard, Held, HeldDigest, Kept, Page, Vouched,
};

#[test]
fn many_hosts_are_heard_for_twice_the_time_over_which_they_spread_their_answers() {
    let hosts: Vec<u8> = (0..=255).collect();
    let config = QuerierConfig { wait: Duration::ZERO, ..querier_config(named(&hosts)) };
    let mut querier = Querier::new(at(0), QuerierConfig { expected: Expected::Count(1_000), ..config });
    drain(&mut querier, at(0));
    assert!(!querier.is_finished(at(999)), "1000 hosts take half a second");
    assert!(querier.is_finished(at(1_000)));
}

#[test]
fn query_pages_and_acknowledgements_are_signed_where_there_is_a_key() {
    let config = QuerierConfig { signer: Some(sender_key(1)), ..querier_config(named(&[1, 2])) };
    let mut querier = Querier::new(at(0), config);
    answer_pages(&mut querier, &speaker(1), 2, 0, 1).expect("the first page");
    let said: Vec<Said> = (0..5).flat_map(|ms| drain(&mut querier, at(ms))).collect();
    assert_eq!(
        said.iter().map(|said| said.kind).collect::<Vec<_>>(),
        [Kind::Heard, Kind::Ask, Kind::Audience]
    );
    let (cipher, scope) = (Cipher::downward(&group(), ID), group().scope(ID));
    let verifier = sender_key(1).public().within(scope);
    let other = sender_key(2).public().within(scope);
    let (ask, vouched): (Ask, Vouched) = Ask::open(&group(), &said[1].datagram).expect("ours");
    assert_eq!((vouched.signer(), vouched.verify(scope)), (Some(sender_key(1).public()), Ok(())));
    assert_eq!((ask.audience, ask.agreement), (Audience::Named { names: 2 }, agreement().public()));
    let heard = |verifier| Heard::open(&cipher, Some(verifier), &said[0].datagram, |_| Ok(()));
    assert_eq!(heard(verifier).map(|heard| heard.page), Ok(0));
    assert_eq!(heard(other), Err(Discard::BadSignature));
    let geometry = crate::geometry::Geometry::for_path(0, 1_500, 20).expect("usual");
    let page =
        |verifier| Down::open(&cipher, geometry, Some(verifier), &said[2].datagram, |_| Ok(())).map(|_| ());
    assert_eq!((page(verifier), page(other)), (Ok(()), Err(Discard::BadSignature)));
}

#[test]
fn a_query_for_no_particular_host_has_no_pages() {
    let mut querier = Querier::new(at(0), querier_config(Expected::Count(3)));
    let said: Vec<Said> = (0..2_000).flat_map(|ms| drain(&mut querier, at(ms))).collect();
    assert!(!said.is_empty() && said.iter().all(|said| said.kind == Kind::Ask));
    let (ask, vouched) = Ask::open(&group(), &said[0].datagram).expect("ours");
    assert_eq!((ask.audience, vouched.signer()), (Audience::Everyone, None));
}

#[test]
fn a_query_for_nobody_is_sent_to_nobody() {
    let mut querier = Querier::new(at(0), querier_config(named(&[])));
    assert_eq!(drain(&mut querier, at(0)).len(), 0);
    assert!(querier.is_finished(at(0)));
}

#[test]
fn a_host_that_falls_silent_is_reminded_and_given_up_after_ten_seconds() {
    let config = QuerierConfig { known: known(&[1], UnknownHosts::Taken), ..querier_config(named(&[1])) };
    let mut querier = Querier::new(at(0), config);
    answer_pages(&mut querier, &speaker(1), 3, 0, 1).expect("the first page");
    let mut reminded = Vec::new();
    for ms in 0..10_000 {
        assert!(!querier.is_finished(at(ms)), "after {ms} ms");
        let due = querier.poll_timeout(at(ms)).expect("something is awaited");
        reminded.extend(heards(&mut querier, at(ms)).into_iter().map(|heard| (ms, heard.page)));
        assert!(due <= at(ms + 3_000));
    }
    assert_eq!(reminded[..3], [(0, 0), (500, 0), (1_000, 0)]);
    assert!((15..=20).contains(&reminded.len()), "{reminded:?}");
    drain(&mut querier, at(10_000));
    assert!(querier.is_finished(at(10_000)));
    assert_eq!(standings(&querier.rows()), [Standing::Partial]);
}

#[test]
fn a_page_that_is_repeated_is_acknowledged_once_at_a_time() {
    let mut querier = Querier::new(at(0), querier_config(named(&[1])));
    for number in 1..=50 {
        answer_pages(&mut querier, &speaker(1), 3, 0, number).expect("again");
    }
    assert_eq!(heards(&mut querier, at(0)).len(), 1);
}

#[test]
fn a_host_that_awaits_a_new_key_is_waited_for() {
    let config = QuerierConfig { known: known(&[1], UnknownHosts::Taken), ..querier_config(named(&[1])) };
    let mut querier = Querier::new(at(0), config);
    let awaiting = Speaker { state: AnswerState::AwaitingKey, ..speaker(1) };
    answer(&mut querier, at(0), &awaiting, 1).expect("known");
    drain(&mut querier, at(3_000));
    assert!(!querier.is_finished(at(3_000)));
    assert_eq!(standings(&querier.rows()), [Standing::AwaitingKey]);
}

#[test]
fn counters_are_kept_up_to_their_limit() {
    let mut querier = Querier::new(at(0), querier_config(named(&[1])));
    answer_pages(&mut querier, &speaker(1), 4, 0, 1).expect("the first page");
    for number in 1..4 {
        let counters = (0..20).map(|id| Counter { id, value: number.into() }).collect();
        let page = Page::Counters { number, counters };
        let answer = Answer { edition: 1, pages: 4, page };
        let datagram = sealed(&speaker(1), &answer, 1 + u64::from(number));
        querier.handle_datagram(at(0), address(1), &datagram).expect("a page");
    }
    let row = &querier.rows()[0];
    assert_eq!((row.counters.len(), row.left_out as usize), (COUNTERS_MAX, 60 - COUNTERS_MAX));
    assert_eq!(row.standing, Standing::Answered);
}

#[test]
fn no_host_has_more_objects_kept_than_a_host_can_list() {
    let mut querier = Querier::new(at(0), querier_config(named(&[1])));
    answer_pages(&mut querier, &speaker(1), 301, 0, 1).expect("the first page");
    for page in 1..301 {
        answer_pages(&mut querier, &speaker(1), 301, page, 1 + u64::from(page)).expect("a page");
        heards(&mut querier, at(0));
    }
    let row = &querier.rows()[0];
    assert_eq!((row.objects.len(), row.left_out), (1_000, 200));
}

#[test]
fn the_tally_follows_whatever_hosts_claim() {
    let mut querier = Querier::new(at(0), querier_config(named(&[1, 2])));
    let hashing = |done| AnswerState::Verifying { done, of: u64::MAX };
    for number in [1, 2] {
        let speaker = Speaker { state: hashing(u64::MAX), ..speaker(number) };
        answer(&mut querier, at(0), &speaker, 1).expect("new");
    }
    let tally = querier.tally();
    assert_eq!((tally.verifying, tally.hashed, tally.to_hash), (2, u64::MAX, u64::MAX));
    let next = Speaker { state: hashing(7), edition: 2, ..speaker(1) };
    answer(&mut querier, at(1), &next, 2).expect("the next edition");
    let last = Speaker { edition: 2, ..speaker(2) };
    answer(&mut querier, at(1), &last, 2).expect("the next edition");
    let tally = querier.tally();
    assert_eq!((tally.heard, tally.settled, tally.verifying, tally.hashed), (2, 1, 1, 7));
}

/// Somebody who answers.
pub(super) struct Speaker {
    pub(super) name: HostName,
    pub(super) key: SigningKey,
    pub(super) scope: Scope,
    pub(super) receiver: ReceiverId,
    pub(super) edition: u32,
    pub(super) state: AnswerState,
}

pub(super) struct Said {
    pub(super) kind: Kind,
    pub(super) datagram: Vec<u8>,
}

/// The host with this number.
pub(super) fn speaker(number: u8) -> Speaker {
    Speaker {
        name: name(number),
        key: host_key(number),
        scope: group().scope(ID),
        receiver: ReceiverId([number; 8]),
        edition: 1,
        state: AnswerState::Final,
    }
}

/// Has somebody answer with one page.
pub(super) fn answer(
    querier: &mut Querier,
    now: Moment,
    speaker: &Speaker,
    number: u64,
) -> Result<(), Discard> {
    answer_from(querier, now, address(1), speaker, number)
}

pub(super) fn answer_from(
    querier: &mut Querier,
    now: Moment,
    from: SocketAddr,
    speaker: &Speaker,
    number: u64,
) -> Result<(), Discard> {
    querier.handle_datagram(now, from, &sealed(speaker, &page(speaker, 1, 0), number))
}

/// Has somebody send this page of an answer of `pages` pages.
pub(super) fn answer_pages(
    querier: &mut Querier,
    speaker: &Speaker,
    pages: u16,
    number: u16,
    sequence: u64,
) -> Result<(), Discard> {
    querier.handle_datagram(at(0), address(1), &sealed(speaker, &page(speaker, pages, number), sequence))
}

pub(super) fn page(speaker: &Speaker, pages: u16, number: u16) -> Answer {
    let page = match number {
        0 => Page::About(About {
            key: speaker.key.public(),
            agreement: agreement().public(),
            name: speaker.name.clone(),
            software: "test".into(),
            store: "directory:/srv".into(),
            free_bytes: None,
            held: 1,
            pinned: 0,
            digest: HeldDigest([9; 16]),
            state: speaker.state.clone(),
        }),
        number => Page::Objects { number, objects: (0..4).map(|_| held()).collect() },
    };
    Answer { edition: speaker.edition, pages, page }
}

pub(super) fn held() -> Held {
    Held {
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        bytes: 1,
        root: Root([1; 32]),
        proven: STARTED,
        kept: Kept::Forever,
        finding: Finding::Listed,
    }
}

pub(super) fn sealed(speaker: &Speaker, answer: &Answer, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let cipher = Cipher::upward(&group(), ID, speaker.receiver);
    answer.seal(&cipher, speaker.key.within(speaker.scope), speaker.receiver, sequence(number), &mut out);
    out
}

/// Returns all that the querier sends now.
pub(super) fn drain(querier: &mut Querier, now: Moment) -> Vec<Said> {
    let mut said = Vec::new();
    let mut datagram = Vec::new();
    while let Some(transmit) = querier.poll_transmit(now, &mut datagram) {
        said.push(Said { kind: transmit.kind, datagram: datagram.clone() });
    }
    said
}

/// Returns the acknowledgements that the querier sends now.
pub(super) fn heards(querier: &mut Querier, now: Moment) -> Vec<Heard> {
    let said = drain(querier, now).into_iter().filter(|said| said.kind == Kind::Heard);
    let cipher = Cipher::downward(&group(), ID);
    said.map(|said| Heard::open(&cipher, None, &said.datagram, |_| Ok(())).expect("ours")).collect()
}

pub(super) fn standings(rows: &[HostAnswer]) -> Vec<Standing> {
    rows.iter().map(|row| row.standing).collect()
}
