use super::reports::Due;
use super::*;
use crate::agree::AgreementKey;
use crate::echo::Echo;
use crate::ids::ReceiverId;
use crate::integrity::BlockHash;
use crate::receiver::effects::Failure;
use crate::receiver::testing::{announce, at, config, sender_agreement};
use crate::time::WallClock;
use crate::wire::{Encoding, FailureKind, ManifestEntry, Part, Report};

#[test]
fn a_report_is_due_in_the_hosts_slot() {
    let mut session = session();
    acknowledge(&mut session, Kind::Hello, 13);
    session.take_poll(at(100), poll(1), &mut rng());
    assert_eq!(session.next_at(), Some(at(130)), "slot 13 of 10 is slot 3");
    assert_eq!(said(&mut session, 129), None);
    assert!(matches!(said(&mut session, 130), Some(Due::Up(Up::Report(Report { round: 1, .. })))));
    assert_eq!(said(&mut session, 131), None, "once");
}

#[test]
fn a_host_without_a_slot_answers_somewhere_in_the_window() {
    let mut rng = rng();
    for _ in 0..100 {
        let mut session = session();
        assert!(matches!(said(&mut session, 0), Some(Due::Hello(_))));
        session.take_poll(at(100), poll(1), &mut rng);
        let due = session.turns.next_report_at().expect("it answers");
        assert!(due >= at(100) && due < at(200), "{due}");
    }
}

#[test]
fn a_host_that_has_not_said_hello_answers_no_poll() {
    let mut session = session();
    session.turns = Turns::new(at(0), Duration::ZERO, Some(at(500)));
    session.take_poll(at(100), poll(1), &mut rng());
    assert_eq!(said(&mut session, 400), None, "nobody would take it");
    assert!(matches!(said(&mut session, 500), Some(Due::Hello(_))));
    session.take_poll(at(600), poll(2), &mut rng());
    assert!(matches!(said(&mut session, 700), Some(Due::Up(Up::Report(_)))));
}

#[test]
fn a_host_that_was_known_as_busy_answers_polls() {
    let mut session = session();
    acknowledge(&mut session, Kind::Hello, 0);
    session.take_poll(at(100), poll(1), &mut rng());
    assert!(matches!(said(&mut session, 100), Some(Due::Up(Up::Report(_)))));
}

#[test]
fn nothing_is_asked_for_before_the_store_has_said_what_it_kept() {
    let mut session = session();
    acknowledge(&mut session, Kind::Hello, 0);
    let entries = vec![ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([0; 32]) }; 4];
    session.table.learn(&ManifestRun::plain(BlockIndex(0), entries));
    let deficits = |session: &mut Session, round| {
        session.take_poll(at(0), Poll { blocks_sent: 4, manifest_sent: 4, ..poll(round) }, &mut rng());
        match said(session, 0) {
            Some(Due::Up(Up::Report(report))) => report.deficits,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(deficits(&mut session, 1), []);
    session.stage = Stage::Receiving;
    session.table.keep(&[BlockIndex(1), BlockIndex(2)]);
    let asked: Vec<u32> = deficits(&mut session, 2).iter().map(|run| run.first.0).collect();
    assert_eq!(asked, [0, 3]);
}

#[test]
fn a_round_is_answered_once_and_an_earlier_one_not_at_all() {
    let mut session = session();
    acknowledge(&mut session, Kind::Hello, 0);
    session.take_poll(at(1), poll(5), &mut rng());
    assert!(said(&mut session, 1).is_some());
    session.take_poll(at(2), poll(5), &mut rng());
    session.take_poll(at(3), poll(4), &mut rng());
    assert_eq!(said(&mut session, 500), None);
}

#[test]
fn a_report_that_is_due_is_not_put_off_by_the_next_poll() {
    let mut session = session();
    acknowledge(&mut session, Kind::Hello, 9);
    session.take_poll(at(0), poll(1), &mut rng());
    session.take_poll(at(50), poll(2), &mut rng());
    assert!(matches!(said(&mut session, 90), Some(Due::Up(Up::Report(Report { round: 2, .. })))));
}

#[test]
fn only_the_part_that_a_poll_asks_answers_it() {
    let mut session = session();
    acknowledge(&mut session, Kind::Hello, 9);
    let poll = |round, number| Poll { part: Part { number, of: 4 }, ..poll(round) };
    session.take_poll(at(0), poll(1, 0), &mut rng());
    assert_eq!(said(&mut session, 500), None, "slot 9 is not of this part");
    session.take_poll(at(600), poll(2, 1), &mut rng());
    session.take_poll(at(610), poll(3, 2), &mut rng());
    // The third of the three places of its part.
    assert_eq!(said(&mut session, 665), None);
    let report = said(&mut session, 667);
    assert!(matches!(report, Some(Due::Up(Up::Report(Report { round: 2, .. })))), "{report:?}");
}

#[test]
fn the_first_root_that_the_sender_vouches_for_counts() {
    let mut session = session();
    for (round, root) in [(1, None), (2, Some(Root([1; 32]))), (3, None), (4, Some(Root([2; 32])))] {
        session.take_poll(at(round.into()), Poll { root, ..poll(round) }, &mut rng());
    }
    assert_eq!(session.root, Some(Root([1; 32])));
}

#[test]
fn a_hello_is_said_in_growing_gaps_until_it_is_acknowledged() {
    let mut session = session();
    let mut times = Vec::new();
    for ms in 0..10_000 {
        if let Some(Due::Hello(_)) = said(&mut session, ms) {
            times.push(ms);
        }
    }
    assert_eq!(times, [0, 250, 750, 1750, 3750, 5750, 7750, 9750]);
    acknowledge(&mut session, Kind::Hello, 0);
    assert_eq!(said(&mut session, 20_000), None);
}

#[test]
fn the_last_word_is_said_until_it_is_acknowledged() {
    let mut session = session();
    assert!(matches!(said(&mut session, 0), Some(Due::Hello(_))));
    acknowledge(&mut session, Kind::Hello, 0);
    let final_report = close(&mut session, 0);
    assert_eq!(said(&mut session, 0), Some(Due::Up(final_report.clone())));
    assert_eq!(said(&mut session, 19), None);
    assert_eq!(said(&mut session, 20), Some(Due::Up(final_report)));
    assert!(!acknowledge(&mut session, Kind::Hello, 0), "an ack of the hello may be late");
    assert!(acknowledge(&mut session, Kind::Failed, 0));
}

#[test]
fn the_last_word_waits_for_the_hosts_slot() {
    for (closed, said_at) in [(100, 130), (130, 130), (131, 230), (570, 630)] {
        let mut session = session();
        acknowledge(&mut session, Kind::Hello, 3);
        session.take_poll(at(100), poll(1), &mut rng());
        close(&mut session, closed);
        assert_eq!(session.next_at(), Some(at(said_at)), "closed at {closed}");
    }
}

#[test]
fn the_last_word_is_said_in_the_slot_of_a_shorter_round_that_comes_before_its_turn() {
    let mut session = session();
    assert!(matches!(said(&mut session, 0), Some(Due::Hello(_))));
    acknowledge(&mut session, Kind::Hello, 3);
    session.take_poll(at(100), Poll { window: Duration::from_secs(10), ..poll(1) }, &mut rng());
    close(&mut session, 3_101);
    assert_eq!(session.next_at(), Some(at(13_100)));
    session.take_poll(at(10_110), Poll { slots: 2, ..poll(2) }, &mut rng());
    assert_eq!(session.next_at(), Some(at(10_160)));
    assert!(said(&mut session, 10_160).is_some());
    session.take_poll(at(10_161), poll(3), &mut rng());
    assert_eq!(session.next_at(), Some(at(10_260)), "from then on it keeps to its own gaps");
}

#[test]
fn a_poll_gives_the_last_word_another_turn_and_none_beside_it() {
    let mut session = session();
    acknowledge(&mut session, Kind::Hello, 8);
    session.take_poll(at(100), Poll { window: Duration::from_secs(1), ..poll(1) }, &mut rng());
    close(&mut session, 1_000);
    assert_eq!(session.next_at(), Some(at(1_900)), "as its report of this window was not sent");
    session.take_poll(at(1_110), Poll { window: Duration::from_secs(1), ..poll(2) }, &mut rng());
    assert_eq!(session.next_at(), Some(at(1_910)), "later than before: all hosts have turns in this window");
}

#[test]
fn the_last_word_is_said_again_once_the_sender_knows_this_host() {
    let mut session = session();
    session.turns = Turns::new(at(0), Duration::from_millis(50), Some(at(0)));
    assert!(matches!(said(&mut session, 0), Some(Due::Hello(_))));
    let final_report = close(&mut session, 10);
    assert_eq!(said(&mut session, 49), None, "all other hosts have a turn first");
    assert_eq!(said(&mut session, 50), Some(Due::Up(final_report.clone())), "the hello may have arrived");
    assert!(matches!(said(&mut session, 250), Some(Due::Hello(_))));
    session.take_ack(at(260), &Ack { receiver: US, kind: Kind::Hello, slot: 0, echo: Echo([5; 4]) });
    assert_eq!(session.next_at(), Some(at(300)), "it had not: the sender has dropped the first one");
    assert_eq!(said(&mut session, 300), Some(Due::Up(final_report)));
}

#[test]
fn a_hello_and_a_last_word_are_not_said_in_one_turn() {
    let mut session = session();
    session.turns = Turns::new(at(0), Duration::from_millis(400), Some(at(0)));
    close(&mut session, 10);
    let said: Vec<u64> = (0..5_000).filter(|&ms| said(&mut session, ms).is_some()).collect();
    assert!(said.windows(2).all(|pair| pair[1] - pair[0] >= 400), "{said:?}");
}

#[test]
fn a_host_that_closes_says_hello_first_where_nobody_knows_it_yet() {
    let mut session = session();
    let final_report = close(&mut session, 0);
    assert!(matches!(said(&mut session, 0), Some(Due::Hello(_))));
    assert_eq!(said(&mut session, 0), Some(Due::Up(final_report)));
}

#[test]
fn an_ack_opens_only_if_the_sender_has_made_it_for_this_host() {
    let session = session();
    let shared = AgreementKey::derive(&config().secret, session.id(), US)
        .agree(&sender_agreement().public())
        .expect("a point");
    let ack = |cipher: &Cipher, receiver| {
        let (ack, mut datagram) =
            (Ack { receiver, kind: Kind::Hello, slot: 0, echo: Echo::default() }, Vec::new());
        ack.seal(cipher, session.id().tag(), sequence(1), &mut datagram);
        session.open_ack(&datagram).map(|ack| ack.receiver)
    };
    let (group, id) = (GroupKey::new([1; 32]), session.id());
    let private = |receiver| Cipher::private_down(&group, id, receiver, &shared);
    assert_eq!(ack(&private(US), US), Ok(US));
    assert_eq!(ack(&private(US), ReceiverId([8; 8])), Err(Discard::Malformed));
    assert_eq!(ack(&private(ReceiverId([8; 8])), US), Err(Discard::Forged));
    assert_eq!(ack(&Cipher::downward(&group, id), US), Err(Discard::Forged), "another host");
}

fn session() -> Session {
    let announce = announce();
    let key = GroupKey::new([1; 32]);
    let uplink = Uplink::new(&announce, US, &key, &config()).expect("a point");
    let mut datagram = Vec::new();
    let cipher = Cipher::downward(&key, announce.session);
    announce.seal(&cipher, None, sequence(0), &mut datagram);
    let announced = Announce::open(&key, &datagram).expect("ours");
    Session::new(at(0), Attempt(1), announced, &key, uplink, 4, &mut rng())
}

fn said(session: &mut Session, ms: u64) -> Option<Due> {
    session.next_due(at(ms))
}

/// Has the host give up, and returns its final report.
fn close(session: &mut Session, ms: u64) -> Up {
    session.close_failed(at(ms), WallClock(ms), &config(), &Failure::new(FailureKind::Store, "no"));
    match session.stage() {
        Stage::Closing { final_report, .. } => Up::clone(final_report),
        other => panic!("{other:?}"),
    }
}

fn acknowledge(session: &mut Session, kind: Kind, slot: u32) -> bool {
    session.take_ack(at(0), &Ack { receiver: US, kind, slot, echo: Echo([5; 4]) })
}

fn poll(round: u32) -> Poll {
    let window = Duration::from_millis(100);
    Poll { round, blocks_sent: 0, manifest_sent: 0, window, slots: 10, part: Part::ALL, root: None }
}

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).expect("small")
}

fn rng() -> Rng {
    Rng::new(&[3; 32])
}

const US: ReceiverId = ReceiverId([7; 8]);
