use super::testing::{announce, at, config};
use super::*;
use crate::geometry::Geometry;
use crate::ids::{ReceiverId, Sequence};
use crate::integrity::Root;
use crate::seal::GroupKey;
use crate::wire::{BaseName, Down, End, Notice, Part, Poll, UpHeader, VERSION};

type Host = Receiver<&'static str, &'static str>;
type Asked = Effect<&'static str, &'static str>;

#[test]
fn a_session_has_its_buffers_before_its_place_is_looked_for() {
    let mut host = host();
    hear_announcement(&mut host, &announce());
    assert!(matches!(effect(&mut host), Some(Effect::Prepare(Attempt(1), _, 4))));
    assert!(matches!(effect(&mut host), Some(Effect::Open(Attempt(1), _))));
    assert!(effect(&mut host).is_none());
}

#[test]
fn the_next_place_is_looked_for_when_the_file_before_it_is_put_away() {
    let mut host = opened(&announce(), "first");
    hear(&mut host, 5, &Down::End(End::Aborted("no".into())));
    hear_announcement(&mut host, &Announce { session: SessionId([2; 16]), ..announce() });
    assert!(matches!(effect(&mut host), Some(Effect::Leave(Attempt(1)))));
    assert!(matches!(effect(&mut host), Some(Effect::PutAway("first", Leftover::Kept))));
    assert!(matches!(effect(&mut host), Some(Effect::Prepare(Attempt(2), ..))));
    assert!(effect(&mut host).is_none());
    host.handle_put_away();
    assert!(matches!(effect(&mut host), Some(Effect::Open(Attempt(2), _))));
}

#[test]
fn a_base_is_looked_through_where_a_file_is_written_and_not_where_one_is_there() {
    let base = BaseName::new("older").expect("plain");
    let announce = Announce { base: Some(base.clone()), ..announce() };
    let mut host = opened(&announce, "file");
    assert!(matches!(effect(&mut host), Some(Effect::LookThrough(Attempt(1), name)) if name == base));
    let mut host = sought(&announce);
    host.handle_opened(at(0), Attempt(1), Ok(Opened::Existing("old")));
    assert!(effect(&mut host).is_none());
}

#[test]
fn what_was_proven_is_kept_where_the_file_is_not_to_blame() {
    for (kind, leftover) in [
        (FailureKind::Stopping, Leftover::Kept),
        (FailureKind::Corrupt, Leftover::Kept),
        (FailureKind::NoSpace, Leftover::Discarded),
        (FailureKind::Store, Leftover::Discarded),
    ] {
        let mut host = opened(&announce(), "file");
        let outcome = BlockOutcome::Failed(Failure::new(kind, "no"));
        host.handle_block(at(1), Attempt(1), BlockIndex(0), None, outcome);
        assert!(matches!(effect(&mut host), Some(Effect::Leave(Attempt(1)))));
        assert!(matches!(effect(&mut host), Some(Effect::PutAway("file", of)) if of == leftover), "{kind:?}");
    }
}

#[test]
fn a_store_that_finds_no_place_leaves_nothing_to_put_away() {
    let mut host = sought(&announce());
    host.handle_opened(at(0), Attempt(1), Err(Failure::new(FailureKind::NoSpace, "full")));
    assert!(matches!(effect(&mut host), Some(Effect::Leave(Attempt(1)))));
    assert!(effect(&mut host).is_none());
    assert!(matches!(host.poll_event(), Some(ReceiverEvent::Joined(_))));
    let Some(ReceiverEvent::Failed { session, reason, why, intake }) = host.poll_event() else {
        panic!("it failed")
    };
    assert_eq!((session, reason.as_str()), (announce().session, "full"));
    assert_eq!((why.name(), intake.name, intake.blocks_held), ("no_space", announce().name, 0));
}

#[test]
fn what_is_being_published_is_not_left_before_the_store_has_answered() {
    for result in [Ok(Published::New), Err(Failure::new(FailureKind::Store, "no"))] {
        let mut host = opened(&empty(), "file");
        hear(&mut host, 5, &vouching());
        let Some(Effect::Publish(attempt, "file", proof)) = effect(&mut host) else { panic!("all is there") };
        assert_eq!(proof.root(), root());
        host.handle_stop(at(2));
        hear(&mut host, 6, &Down::End(End::Over));
        assert!(host.is_publishing() && effect(&mut host).is_none());
        host.handle_published(at(3), attempt, result.clone());
        assert!(!host.is_publishing());
        assert!(matches!(effect(&mut host), Some(Effect::Leave(Attempt(1)))));
        assert!(effect(&mut host).is_none(), "the store has the file");
        let events: Vec<_> = std::iter::from_fn(|| host.poll_event()).collect();
        assert_eq!(matches!(events[1], ReceiverEvent::Published { existing: false, .. }), result.is_ok());
    }
}

#[test]
fn a_file_that_is_there_is_compared_once_the_sender_vouches() {
    let mut host = sought(&empty());
    host.handle_opened(at(0), Attempt(1), Ok(Opened::Existing("old")));
    assert!(effect(&mut host).is_none(), "with what?");
    hear(&mut host, 5, &vouching());
    assert!(matches!(effect(&mut host), Some(Effect::Compare(Attempt(1), "old", of)) if of == root()));
    host.handle_stop(at(1));
    assert!(matches!(effect(&mut host), Some(Effect::Leave(Attempt(1)))), "that need not be waited for");
    host.handle_published(at(2), Attempt(1), Ok(Published::Existing));
    let events: Vec<_> = std::iter::from_fn(|| host.poll_event()).collect();
    assert!(!events.iter().any(|event| matches!(event, ReceiverEvent::Published { .. })), "it has stopped");
}

#[test]
fn the_end_fails_a_host_that_lacks_something_and_not_one_that_has_all() {
    let mut host = opened(&announce(), "file");
    hear(&mut host, 5, &Down::End(End::Over));
    assert!(host.session().is_none());
    let events: Vec<_> = std::iter::from_fn(|| host.poll_event()).collect();
    assert!(
        matches!(&events[..], [_, ReceiverEvent::Failed { reason, why: GaveUp::SenderEnded, .. }] if reason.contains("before this host was complete")),
        "{events:?}"
    );
    let mut host = sought(&empty());
    hear(&mut host, 5, &vouching());
    hear(&mut host, 6, &Down::End(End::Over));
    assert!(host.session().is_some(), "all it lacks is a place");
    host.handle_opened(at(2), Attempt(1), Ok(Opened::Unfinished { file: "file", kept: Vec::new() }));
    assert!(matches!(effect(&mut host), Some(Effect::Publish(..))));
}

#[test]
fn a_deadline_says_what_it_is_for() {
    let mut host = host();
    assert_eq!(host.poll_timeout(), None);
    hear_announcement(&mut host, &announce());
    assert_eq!(host.poll_timeout(), Some((at(0), ReceiverTimer::Session)), "a hello");
    // The sender is silent, and does not acknowledge it.
    let mut timers = Vec::new();
    while let Some((now, timer)) = host.poll_timeout() {
        timers.push(timer);
        host.handle_timeout(now);
        say(&mut host, now);
    }
    assert_eq!(timers.last(), Some(&ReceiverTimer::Expiry));
    assert!(host.session().is_none());
}

#[test]
fn a_final_report_that_nobody_acknowledged_is_due_again_when_the_session_is_announced() {
    let mut host = opened(&announce(), "file");
    host.handle_block(at(1), Attempt(1), BlockIndex(0), None, BlockOutcome::Failed(failure()));
    while let Some((now, _)) = host.poll_timeout() {
        host.handle_timeout(now);
        say(&mut host, now);
    }
    assert!(host.session().is_none());
    hear_announcement(&mut host, &announce());
    assert!(matches!(host.poll_timeout(), Some((_, ReceiverTimer::FinalReport))));
    assert!(!say(&mut host, at(0)).is_empty());
    assert!(host.session().is_none() && host.poll_timeout().is_none());
}

#[test]
fn a_host_answers_to_the_address_of_the_newest_announcement() {
    let mut host = host();
    let mut out = Vec::new();
    let mut answered_to = |host: &mut Host, number, last: u8, now| {
        let announce = Announce { reply_to: ([10, 0, 0, last], 7167).into(), ..announce() };
        let mut datagram = Vec::new();
        announce.seal(&Cipher::downward(&key(), announce.session), None, sequence(number), &mut datagram);
        host.handle_datagram(now, WallClock(0), announce.reply_to, &datagram).expect("plausible");
        host.handle_timeout(now);
        std::iter::from_fn(|| host.poll_transmit(now, &mut out)).last()
    };
    assert_eq!(answered_to(&mut host, 0, 1, at(0)), Some(([10, 0, 0, 1], 7167).into()));
    assert_eq!(answered_to(&mut host, 7, 9, at(500)), Some(([10, 0, 0, 9], 7167).into()));
    // An old announcement that somebody repeats.
    assert_eq!(answered_to(&mut host, 3, 1, at(3_000)), Some(([10, 0, 0, 9], 7167).into()));
}

#[test]
fn only_the_signer_moves_where_a_host_of_its_push_answers() {
    let mut host = host();
    let signer = SigningKey::from_seed(&[6; 32].into());
    let other = SigningKey::from_seed(&[8; 32].into());
    let mut hear = |by: Option<&SigningKey>, number, last: u8, now| {
        let announce = Announce { reply_to: ([10, 0, 0, last], 7167).into(), ..announce() };
        let signer = by.map(|by| by.within(key().scope(announce.session)));
        let mut datagram = Vec::new();
        announce.seal(&Cipher::downward(&key(), announce.session), signer, sequence(number), &mut datagram);
        let _ = host.handle_datagram(now, WallClock(0), announce.reply_to, &datagram);
        host.handle_timeout(now);
        let mut out = Vec::new();
        std::iter::from_fn(|| host.poll_transmit(now, &mut out)).last()
    };
    let at_first = Some(([10, 0, 0, 1], 7167).into());
    assert_eq!(hear(Some(&signer), 0, 1, at(0)), at_first);
    assert_eq!(hear(None, 7, 66, at(500)), at_first);
    assert_eq!(hear(Some(&other), 8, 66, at(3_000)), at_first);
    assert_eq!(hear(Some(&signer), 9, 9, at(6_000)), Some(([10, 0, 0, 9], 7167).into()));
}

#[test]
fn a_sender_that_waits_is_told_by_its_own_timer() {
    let mut host = opened(&announce(), "file");
    let us = say(&mut host, at(0));
    hear_announcement(&mut host, &Announce { session: SessionId([2; 16]), ..announce() });
    assert_eq!(host.poll_timeout(), Some((at(0), ReceiverTimer::Waiting)));
    let them = say(&mut host, at(0));
    assert_ne!(us, them, "another id in another session");
}

fn host() -> Host {
    Receiver::new(config())
}

/// Returns a host that has joined and whose store searches for a place.
fn sought(announce: &Announce) -> Host {
    let mut host = host();
    hear_announcement(&mut host, announce);
    assert!(matches!(effect(&mut host), Some(Effect::Prepare(..))));
    assert!(matches!(effect(&mut host), Some(Effect::Open(..))));
    host
}

/// Returns a host that has a new place.
fn opened(announce: &Announce, file: &'static str) -> Host {
    let mut host = sought(announce);
    host.handle_opened(at(0), Attempt(1), Ok(Opened::Unfinished { file, kept: Vec::new() }));
    host
}

fn effect(host: &mut Host) -> Option<Asked> {
    host.poll_effect(BlockRoom::Free)
}

fn hear_announcement(host: &mut Host, announce: &Announce) {
    let mut datagram = Vec::new();
    announce.seal(&Cipher::downward(&key(), announce.session), None, sequence(0), &mut datagram);
    host.handle_datagram(at(0), WallClock(0), announce.reply_to, &datagram).expect("fresh");
}

/// Delivers `down` from the sender of the first session to the group.
fn hear(host: &mut Host, number: u64, down: &Down) {
    hear_at(host, at(1), number, down);
}

fn hear_at(host: &mut Host, now: Moment, number: u64, down: &Down) {
    let (session, mut datagram) = (announce().session, Vec::new());
    down.seal(&Cipher::downward(&key(), session), None, session, sequence(number), &mut datagram);
    host.handle_datagram(now, WallClock(0), announce().reply_to, &datagram).expect("it makes sense");
}

/// Returns the ids in all datagrams that this host sends now.
fn say(host: &mut Host, now: Moment) -> Vec<ReceiverId> {
    let (mut said, mut out) = (Vec::new(), Vec::new());
    while host.poll_transmit(now, &mut out).is_some() {
        said.push(UpHeader::parse(&out).expect("ours").receiver);
    }
    said
}

/// Returns the announcement of an object without blocks, which is complete at once.
fn empty() -> Announce {
    Announce { geometry: Geometry::new(0, 20, 1432).expect("in range"), ..announce() }
}

fn root() -> Root {
    Root::of(empty().geometry, &[])
}

fn vouching() -> Down {
    let window = Duration::from_millis(1);
    Down::Poll(Poll {
        round: 1,
        blocks_sent: 0,
        manifest_sent: 0,
        window,
        slots: 1,
        part: Part::ALL,
        root: Some(root()),
    })
}

fn failure() -> Failure {
    Failure::new(FailureKind::Store, "no")
}

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).expect("small")
}

fn key() -> GroupKey {
    GroupKey::new([7; 32])
}

#[test]
fn a_sender_that_answers_no_hello_is_reported_once() {
    let mut host = opened(&announce(), "file");
    let mut told = Vec::new();
    for ms in 0..20_000 {
        let _ = host.poll_transmit(at(ms), &mut Vec::new());
        host.handle_timeout(at(ms));
        let events = std::iter::from_fn(|| host.poll_event());
        told.extend(
            events.filter(|event| matches!(event, ReceiverEvent::Unanswered { .. })).map(|event| (ms, event)),
        );
    }
    let event = ReceiverEvent::Unanswered { session: announce().session, sender: announce().reply_to };
    assert_eq!(told, [(3_000, event)]);
}

#[test]
fn a_host_that_hears_polls_and_no_data_reports_that_once() {
    let polls = |host: &mut Host, blocks_sent: u32| {
        for second in 0..10 {
            let Down::Poll(poll) = vouching() else { unreachable!() };
            let poll = Poll { round: second + 1, blocks_sent, root: None, ..poll };
            hear_at(host, at(1_000 * u64::from(second)), 10 + u64::from(second), &Down::Poll(poll));
            host.handle_timeout(at(1_000 * u64::from(second)));
        }
        let events = std::iter::from_fn(|| host.poll_event());
        events.filter(|event| matches!(event, ReceiverEvent::Deaf { mtu: Some(1_500), .. })).count()
    };
    assert_eq!(polls(&mut opened(&announce(), "file"), 2), 1);
    assert_eq!(polls(&mut opened(&announce(), "file"), 0), 0, "nothing was sent");
    let mut resumed = sought(&announce());
    let kept = vec![BlockIndex(0)];
    resumed.handle_opened(at(0), Attempt(1), Ok(Opened::Unfinished { file: "file", kept }));
    assert_eq!(polls(&mut resumed, 2), 0, "what it kept need not be sent");
    let base = Announce { base: Some(BaseName::new("older").expect("plain")), ..announce() };
    assert_eq!(polls(&mut opened(&base, "file"), 2), 0, "nothing is sent that is not asked for");
}

#[test]
fn a_query_under_another_key_gets_a_notice_like_one_of_another_version() {
    let mut host = host();
    let (asker, short) = (([10, 0, 0, 9], 7168).into(), [VERSION, 8, 1, 2, 3, 0, 0, 0, 0, 0]);
    host.handle_other_key(at(0), asker, &short);
    assert!(host.poll_transmit(at(3_000), &mut Vec::new()).is_none(), "no more bytes go out than came in");
    let mut query = short.to_vec();
    query.resize(200, 0);
    let (mut notices, mut out) = (0, Vec::new());
    for ms in 0..50_000 {
        host.handle_other_key(at(ms), asker, &query);
        while let Some(to) = host.poll_transmit(at(ms), &mut out) {
            assert!(to == asker && Notice::is(&out));
            assert!(Notice::open(&GroupKey::new([8; 32]), &out).is_err(), "the asker's key does not open it");
            assert_eq!(Notice::open(&config().keys[0], &out).expect("ours").tag.0, [1, 2, 3]);
            notices += 1;
        }
    }
    assert_eq!(notices, 1, "once a minute");
}
