use super::host::UNREACHABLE_AFTER_BYTES;
use super::testing::*;
use super::*;
use crate::sender::feedback::Budget;
use crate::wire::{Part, Totals};

#[test]
fn a_number_that_was_heard_is_refused() {
    let mut hosts = hosts_of(Expected::Anyone);
    join(&mut hosts, 1, "a", at(0));
    assert_eq!(hosts.note_heard(at(1), id(1), sequence(5)), Ok(()));
    assert_eq!(hosts.note_heard(at(2), id(1), sequence(5)), Err(Discard::Replayed));
    assert_eq!(hosts.note_heard(at(3), id(1), sequence(4)), Err(Discard::Replayed));
    assert_eq!(hosts.note_heard(at(4), id(1), sequence(6)), Ok(()));
    assert_eq!(hosts.note_heard(at(5), id(2), sequence(6)), Err(Discard::UnknownHost));
}

#[test]
fn a_silent_host_comes_back() {
    let mut hosts = hosts_of(Expected::Anyone);
    join(&mut hosts, 1, "a", at(0));
    assert_eq!(hosts.mark_silent(at(9_999)), []);
    assert_eq!(hosts.mark_silent(at(10_000)), [name("a")]);
    assert_eq!(hosts.mark_silent(at(10_001)), [], "told once");
    assert_eq!(states(&hosts), [("a".into(), HostState::Silent)]);
    hosts.note_heard(at(20_000), id(1), sequence(9)).expect("newer");
    assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
    assert_eq!(hosts.mark_silent(at(29_999)), []);
}

#[test]
fn of_thousands_of_hosts_each_is_looked_at_in_its_turn() {
    let mut hosts = hosts_of(Expected::Anyone);
    for host in 0..2_500_u64 {
        let hello = hello(&format!("compute-{host}"));
        let id = ReceiverId(host.to_be_bytes());
        hosts.join(at(0), address(1), id, link(1), &hello).expect("room");
    }
    let mut looked = || hosts.mark_silent(at(10_000)).len();
    assert_eq!([looked(), looked(), looked(), looked()], [1_000, 1_000, 500, 0]);
    assert_eq!(hosts.looks(), 3);
}

#[test]
fn a_host_that_nothing_reached_is_served_again_once_symbols_get_through() {
    let mut hosts = hosts_of(named(["a"]));
    join(&mut hosts, 1, "a", at(0));
    let mut serve = |lacks, group_bytes| hosts.note_report(at(0), id(1), &report(lacks), None, group_bytes);
    assert_eq!(serve(100, 0), Serve::Now);
    assert_eq!(serve(100, UNREACHABLE_AFTER_BYTES), Serve::Now);
    assert_eq!(serve(100, UNREACHABLE_AFTER_BYTES + 1), Serve::Probe);
    assert_eq!(serve(100, UNREACHABLE_AFTER_BYTES + 2), Serve::Probe);
    assert_eq!(serve(99, UNREACHABLE_AFTER_BYTES + 3), Serve::Now, "a probe was heard");
    assert_eq!(serve(99, 2 * UNREACHABLE_AFTER_BYTES + 4), Serve::Probe, "and that was all");
}

#[test]
fn a_host_that_nothing_reaches_keeps_no_sidelined_one_waiting() {
    let mut hosts = hosts_of(named(["a"]));
    join(&mut hosts, 1, "a", at(0));
    hosts.note_heard(at(1), id(1), sequence(1)).expect("newer");
    hosts.note_report(at(1), id(1), &report(100), None, 0);
    assert!(hosts.somebody_lacks());
    hosts.note_heard(at(2), id(1), sequence(2)).expect("newer");
    hosts.note_report(at(2), id(1), &report(100), None, UNREACHABLE_AFTER_BYTES + 1);
    assert!(!hosts.somebody_lacks());
}

#[test]
fn few_degraded_hosts_are_judged_beside_each_other_or_not_at_all() {
    let mut hosts = hosts_of(named(["lossy", "slow"]));
    join(&mut hosts, 1, "lossy", at(0));
    join(&mut hosts, 2, "slow", at(0));
    let hear = |hosts: &mut Hosts, host, highest, lost| {
        let totals = Totals { symbols_lost: lost, ..Totals::default() };
        hosts.note_heard(at(highest), id(host), sequence(highest)).expect("newer");
        let report = Report { highest: sequence(highest), totals, ..report(1) };
        hosts.note_report(at(highest), id(host), &report, None, 0);
    };
    hear(&mut hosts, 1, 1, 0);
    hear(&mut hosts, 2, 1, 0);
    hear(&mut hosts, 1, 1_001, 300);
    assert_eq!(hosts.end_round(at(1_000), hosts.asked()).loss, None, "the slow one may lose less");
    hear(&mut hosts, 2, 1_000, 0);
    let loss = hosts.end_round(at(1_000), hosts.asked()).loss.expect("both can be judged");
    assert_eq!((loss.share, loss.since), (0.0, 1));
    hear(&mut hosts, 1, 2_001, 600);
    let loss = hosts.end_round(at(2_001), hosts.asked()).loss.expect("nobody waits for one that is silent");
    assert!((loss.share - 0.3).abs() < 1e-9, "{loss:?}");
}

#[test]
fn named_hosts_are_waited_for_and_others_do_not_take_part() {
    let mut hosts = hosts_of(named(["a", "b"]));
    join(&mut hosts, 1, "a", at(0));
    assert_eq!(hosts.may_join(&name("stranger")), Err(Discard::Unlisted));
    done(&mut hosts, 1);
    assert!(!hosts.settled(at(1), at(0)), "b has not answered");
    join(&mut hosts, 2, "b", at(2));
    assert!(!hosts.settled(at(3), at(0)));
    failed(&mut hosts, 2);
    assert!(hosts.settled(at(4), at(0)) && !hosts.complete());
    assert_eq!(states(&hosts), [("a".into(), HostState::Done), ("b".into(), HostState::Failed)]);
}

#[test]
fn named_hosts_are_complete_when_all_are_done() {
    let mut hosts = hosts_of(named(["a", "b"]));
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "b", at(0));
    done(&mut hosts, 1);
    assert!(!hosts.complete());
    existing(&mut hosts, 2);
    assert!(hosts.settled(at(1), at(0)) && hosts.complete());
}

#[test]
fn a_named_host_that_never_answers_has_a_row_that_says_so() {
    let hosts = hosts_of(named(["a"]));
    assert_eq!(states(&hosts), [("a".into(), HostState::NeverAnswered)]);
    assert!(hosts.rows(at(0), 1)[0].reason.is_some());
    assert!(!hosts.settled(at(60_000), at(0)) && !hosts.complete());
}

#[test]
fn a_silent_host_that_is_named_is_waited_for() {
    let mut hosts = hosts_of(named(["a"]));
    join(&mut hosts, 1, "a", at(0));
    hosts.mark_silent(at(20_000));
    assert!(!hosts.settled(at(20_000), at(0)));
}

#[test]
fn a_count_is_reached_by_whoever_is_done() {
    let mut hosts = hosts_of(Expected::Count(2));
    for (host, name) in [(1, "a"), (2, "b"), (3, "c")] {
        join(&mut hosts, host, name, at(0));
    }
    done(&mut hosts, 1);
    assert!(!hosts.settled(at(1), at(0)));
    done(&mut hosts, 3);
    assert!(hosts.settled(at(2), at(0)) && hosts.complete());
}

#[test]
fn a_count_with_a_failed_host_is_settled_and_not_complete() {
    let mut hosts = hosts_of(Expected::Count(2));
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "b", at(0));
    done(&mut hosts, 1);
    failed(&mut hosts, 2);
    assert!(hosts.settled(at(1), at(0)) && !hosts.complete());
}

#[test]
fn with_nobody_expected_all_who_answer_are_waited_for_and_a_moment_longer() {
    let mut hosts = hosts_of(Expected::Anyone);
    join(&mut hosts, 1, "a", at(0));
    done(&mut hosts, 1);
    assert!(!hosts.settled(at(5_999), at(5_000)), "a second after the pass");
    assert!(hosts.settled(at(6_000), at(5_000)));
    join(&mut hosts, 2, "b", at(5_900));
    assert!(!hosts.settled(at(10_000), at(5_000)));
    hosts.mark_silent(at(20_000));
    assert!(hosts.settled(at(20_000), at(5_000)), "a silent one is not waited for");
    assert!(!hosts.complete());
}

#[test]
fn with_nobody_expected_and_nobody_there_the_push_ends_incomplete() {
    let hosts = hosts_of(Expected::Anyone);
    assert!(!hosts.settled(at(14_999), at(5_000)));
    assert!(hosts.settled(at(15_000), at(5_000)) && !hosts.complete());
}

#[test]
fn a_host_of_another_version_is_settled_and_not_complete() {
    for expected in [named(["a"]), Expected::Count(1)] {
        let mut hosts = hosts_of(expected);
        assert!(hosts.speaks_other_version(&name("a"), "it speaks version 3"));
        assert!(!hosts.speaks_other_version(&name("a"), "it speaks version 3"), "no news");
        assert_eq!(states(&hosts), [("a".into(), HostState::OtherVersion)]);
        assert!(!hosts.settled(at(4_999), at(0)), "anybody can say so of a host that is about to speak");
        assert!(hosts.settled(at(5_000), at(0)) && !hosts.complete());
    }
}

#[test]
fn a_host_that_was_upgraded_is_of_another_version_no_more() {
    let mut hosts = hosts_of(named(["a"]));
    hosts.speaks_other_version(&name("a"), "it speaks version 3");
    join(&mut hosts, 1, "a", at(0));
    assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
    assert!(!hosts.speaks_other_version(&name("a"), "it speaks version 3"), "an old notice");
    assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
}

#[test]
fn reports_are_spread_over_those_expected_and_those_known() {
    let mut hosts = hosts_of(Expected::Count(2));
    assert_eq!(hosts.answering(), 2);
    (1..=3).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
    assert_eq!(hosts.answering(), 3);
    let slots: Vec<u32> = (1..=3).map(|host| hosts.get(id(host)).expect("joined").slot()).collect();
    assert_eq!(slots, [0, 1, 2]);
    assert_eq!(hosts_of(Expected::Anyone).answering(), 1);
}

/// A poll to all hosts, with `slots` slots in the time that `turns` datagrams take.
fn all(slots: u32, turns: u32) -> Asked {
    Asked { slots, part: Part::ALL, window: Budget::default().time_for(turns), is_for_rate: true }
}

#[test]
fn who_has_said_its_last_word_is_not_given_time_to_answer() {
    let mut hosts = hosts_of(Expected::Count(4));
    (1..=4).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
    assert_eq!(hosts.asked(), all(4, 4));
    done(&mut hosts, 1);
    failed(&mut hosts, 2);
    assert_eq!(hosts.asked(), all(2, 2));
    done(&mut hosts, 3);
    done(&mut hosts, 4);
    assert_eq!(hosts.asked(), all(1, 1));
}

#[test]
fn while_hosts_say_hello_reports_take_little_of_what_all_may_say() {
    let mut hosts = hosts_of(Expected::Count(40));
    join(&mut hosts, 1, "a", at(0));
    assert_eq!(hosts.asked(), all(1, 8));
    (2..=20).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
    assert_eq!(hosts.asked(), all(20, 40), "no longer than for all");
    (21..=40).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
    assert_eq!(hosts.asked(), all(40, 40));
}
