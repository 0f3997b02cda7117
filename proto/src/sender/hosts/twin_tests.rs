//! Several starts of one host, one after the other and at the same time.

use super::testing::*;
use super::*;
use crate::wire::FailureKind;

#[test]
fn a_second_start_takes_the_place_of_the_first() {
    let mut hosts = hosts_of(named(["a"]));
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "a", at(1_000));
    assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
    done(&mut hosts, 2);
    assert!(!hosts.settled(at(5_999), at(0)), "the first one may be another machine, and alive");
    assert!(hosts.settled(at(6_001), at(0)) && hosts.complete());
    assert_eq!(hosts.mark_silent(at(60_000)), [], "nobody waits for the first");
}

#[test]
fn two_living_receivers_of_one_name_are_both_named() {
    let mut hosts = hosts_of(named(["a"]));
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "a", at(0));
    hosts.note_heard(at(1), id(1), sequence(2)).expect("newer");
    let rows = hosts.rows(at(0), 1);
    assert_eq!(rows.len(), 2);
    for row in rows {
        let reason = row.reason.expect("said of both");
        assert!(reason.contains("two receivers call themselves a"), "{reason}");
    }
    done(&mut hosts, 1);
    assert!(!hosts.settled(at(2), at(0)) && !hosts.complete());
    done(&mut hosts, 2);
    assert!(hosts.settled(at(2), at(0)) && hosts.complete());
}

#[test]
fn a_late_word_of_a_start_that_was_replaced_keeps_nobody_waiting() {
    let mut hosts = hosts_of(named(["a"]));
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "a", at(10));
    failed(&mut hosts, 2);
    hosts.note_heard(at(11), id(1), sequence(2)).expect("it was overtaken by the second start's hello");
    assert!(!hosts.settled(at(12), at(0)), "they may both be alive");
    assert_eq!(hosts.mark_silent(at(10_011)), [], "the second one is not silent");
    assert!(hosts.settled(at(10_012), at(0)));
    assert_eq!(states(&hosts), [("a".into(), HostState::Failed)]);
    assert_eq!(hosts.rows(at(0), 1)[0].reason.as_deref(), Some("no space"), "its own reason");
}

#[test]
fn a_late_hello_of_an_earlier_start_takes_nothing_from_a_host_that_is_done() {
    for expected in [named(["a"]), Expected::Count(1)] {
        let mut hosts = hosts_of(expected);
        join(&mut hosts, 2, "a", at(0));
        done(&mut hosts, 2);
        join(&mut hosts, 1, "a", at(100));
        assert!(!hosts.settled(at(5_000), at(0)), "it may have begun anew");
        assert_eq!(hosts.mark_silent(at(10_100)), [], "nothing was heard of it");
        assert!(hosts.settled(at(10_100), at(0)) && hosts.complete());
        assert_eq!(states(&hosts), [("a".into(), HostState::Done)]);
        hosts.note_heard(at(10_200), id(1), sequence(2)).expect("newer");
        assert!(!hosts.settled(at(10_200), at(0)), "it lives after all");
    }
}

#[test]
fn done_is_not_taken_back() {
    let mut hosts = hosts_of(Expected::Anyone);
    join(&mut hosts, 1, "a", at(0));
    done(&mut hosts, 1);
    failed(&mut hosts, 1);
    hosts.note_hello(id(1), &hello("a"));
    hosts.mark_silent(at(60_000));
    assert_eq!(states(&hosts), [("a".into(), HostState::Done)]);
    assert_eq!(hosts.rows(at(0), 1)[0].reason, None);
}

#[test]
fn failed_is_not_taken_back() {
    let mut hosts = hosts_of(Expected::Anyone);
    join(&mut hosts, 1, "a", at(0));
    failed(&mut hosts, 1);
    done(&mut hosts, 1);
    assert_eq!(states(&hosts), [("a".into(), HostState::Failed)]);
    assert!(!hosts.complete());
}

#[test]
fn a_start_that_was_stopped_and_its_replacement_count_as_one_host() {
    let mut hosts = hosts_of(Expected::Count(2));
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "b", at(0));
    join(&mut hosts, 3, "a", at(10));
    hosts
        .note_heard(at(11), id(1), sequence(2))
        .expect("its last word was overtaken by the hello of the next start");
    failed_with(&mut hosts, 1, FailureKind::Stopping);
    done(&mut hosts, 3);
    assert!(!hosts.settled(at(5_020), at(0)), "b is at work");
    done(&mut hosts, 2);
    assert!(hosts.settled(at(5_020), at(0)) && hosts.complete(), "two hosts hold it");
}

#[test]
fn a_host_that_has_failed_stays_failed_whatever_a_later_start_of_it_says() {
    for expected in [named(["a"]), Expected::Count(1), Expected::Anyone] {
        let mut hosts = hosts_of(expected);
        join(&mut hosts, 1, "a", at(0));
        failed(&mut hosts, 1);
        join(&mut hosts, 2, "a", at(10));
        done(&mut hosts, 2);
        assert_eq!(states(&hosts), [("a".into(), HostState::Failed), ("a".into(), HostState::Done)]);
        let rows = hosts.rows(at(0), 1);
        assert_eq!(rows[0].reason.as_deref(), Some("no space"));
        assert!(
            rows[1].reason.as_deref().is_some_and(|reason| reason.contains("an earlier start")),
            "{rows:?}"
        );
        assert!(hosts.settled(at(5_100), at(0)) && !hosts.complete());
    }
}

#[test]
fn a_start_that_was_stopped_makes_room_for_the_next_one() {
    let mut hosts = hosts_of(named(["a"]));
    join(&mut hosts, 1, "a", at(0));
    failed_with(&mut hosts, 1, FailureKind::Stopping);
    assert!(hosts.settled(at(1), at(0)) && !hosts.complete());
    join(&mut hosts, 2, "a", at(10));
    hosts.note_heard(at(11), id(1), sequence(2)).expect("it repeats its last word");
    done(&mut hosts, 2);
    assert_eq!(states(&hosts), [("a".into(), HostState::Done)]);
    assert!(hosts.settled(at(12), at(0)) && hosts.complete(), "the first one is gone");
}

#[test]
fn a_refusal_counts_only_while_nothing_else_of_the_host_does() {
    // Somebody has repeated the session's id in an announcement of its own, which the host refuses beside the push.
    for refused_first in [true, false] {
        let mut hosts = hosts_of(named(["a"]));
        let (refusing, taking_part) = if refused_first { (1, 2) } else { (2, 1) };
        join(&mut hosts, 1, "a", at(0));
        if refused_first {
            failed_with(&mut hosts, 1, FailureKind::UnknownSender);
            assert!(hosts.settled(at(1), at(0)) && !hosts.complete());
        }
        join(&mut hosts, 2, "a", at(10));
        for step in 1..4 {
            hosts.note_heard(at(10 + step), id(refusing), sequence(step)).expect("newer");
            failed_with(&mut hosts, refusing, FailureKind::UnknownSender);
            hosts.note_heard(at(10 + step), id(taking_part), sequence(step)).expect("newer");
        }
        assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)], "{refused_first}");
        assert!(hosts.rows(at(0), 1)[0].reason.as_deref().is_some_and(|reason| !reason.contains("two")));
        done(&mut hosts, taking_part);
        assert!(hosts.settled(at(20), at(0)) && hosts.complete());
    }
}

#[test]
fn a_refusal_takes_nothing_from_a_host_that_is_done() {
    let mut hosts = hosts_of(named(["a"]));
    join(&mut hosts, 1, "a", at(0));
    done(&mut hosts, 1);
    join(&mut hosts, 2, "a", at(10));
    assert!(!hosts.settled(at(11), at(0)), "it may have begun anew");
    failed_with(&mut hosts, 2, FailureKind::UnknownSender);
    assert_eq!(states(&hosts), [("a".into(), HostState::Done)]);
    assert!(hosts.settled(at(12), at(0)) && hosts.complete());
}

#[test]
fn two_starts_that_are_done_are_one_host() {
    let mut hosts = hosts_of(Expected::Count(2));
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "a", at(10));
    hosts.note_heard(at(11), id(1), sequence(2)).expect("its last word came late");
    done(&mut hosts, 1);
    existing(&mut hosts, 2);
    assert!(!hosts.settled(at(5_000), at(0)) && !hosts.complete());
}
