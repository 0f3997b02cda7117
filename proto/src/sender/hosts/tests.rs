use super::host::UNREACHABLE_AFTER_BYTES;
use super::*;
use crate::ids::{BlockIndex, SessionId};
use crate::integrity::Root;
use crate::seal::GroupKey;
use crate::wire::{DeficitRun, FailureKind, Totals};

#[test]
fn a_second_start_takes_the_place_of_the_first() {
    let mut hosts = Hosts::new(named(["a"]), false);
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "a", at(1_000));
    assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
    done(&mut hosts, 2);
    assert!(hosts.settled(at(2_010), at(0)) && hosts.complete());
    assert_eq!(hosts.mark_silent(at(60_000)), [], "nobody waits for the first");
}

#[test]
fn two_living_receivers_of_one_name_are_both_named() {
    let mut hosts = Hosts::new(named(["a"]), false);
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "a", at(0));
    hosts.note_heard(at(1), id(1), sequence(2)).expect("newer");
    let rows = hosts.rows(at(0));
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
    let mut hosts = Hosts::new(named(["a"]), false);
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "a", at(10));
    failed(&mut hosts, 2);
    hosts.note_heard(at(11), id(1), sequence(2)).expect("it was overtaken by the second start's hello");
    assert!(!hosts.settled(at(12), at(0)), "they may both be alive");
    assert_eq!(hosts.mark_silent(at(10_011)), [], "the second one is not silent");
    assert!(hosts.settled(at(10_012), at(0)));
    assert_eq!(states(&hosts), [("a".into(), HostState::Failed)]);
    assert_eq!(hosts.rows(at(0))[0].reason.as_deref(), Some("no space"), "its own reason");
}

#[test]
fn a_late_hello_of_an_earlier_start_takes_nothing_from_a_host_that_is_done() {
    for expected in [named(["a"]), Expected::Count(1)] {
        let mut hosts = Hosts::new(expected, false);
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
    let mut hosts = Hosts::new(Expected::Anyone, false);
    join(&mut hosts, 1, "a", at(0));
    done(&mut hosts, 1);
    failed(&mut hosts, 1);
    join(&mut hosts, 1, "a", at(1));
    hosts.mark_silent(at(60_000));
    assert_eq!(states(&hosts), [("a".into(), HostState::Done)]);
    assert_eq!(hosts.rows(at(0))[0].reason, None);
}

#[test]
fn failed_is_not_taken_back() {
    let mut hosts = Hosts::new(Expected::Anyone, false);
    join(&mut hosts, 1, "a", at(0));
    failed(&mut hosts, 1);
    done(&mut hosts, 1);
    assert_eq!(states(&hosts), [("a".into(), HostState::Failed)]);
    assert!(!hosts.complete());
}

#[test]
fn a_number_that_was_heard_is_refused() {
    let mut hosts = Hosts::new(Expected::Anyone, false);
    join(&mut hosts, 1, "a", at(0));
    assert_eq!(hosts.note_heard(at(1), id(1), sequence(5)), Ok(()));
    assert_eq!(hosts.note_heard(at(2), id(1), sequence(5)), Err(Discard::Replayed));
    assert_eq!(hosts.note_heard(at(3), id(1), sequence(4)), Err(Discard::Replayed));
    assert_eq!(hosts.note_heard(at(4), id(1), sequence(6)), Ok(()));
    assert_eq!(hosts.note_heard(at(5), id(2), sequence(6)), Err(Discard::UnknownHost));
}

#[test]
fn a_silent_host_comes_back() {
    let mut hosts = Hosts::new(Expected::Anyone, false);
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
fn a_host_that_nothing_reached_is_served_again_once_symbols_get_through() {
    let mut hosts = Hosts::new(named(["a"]), false);
    join(&mut hosts, 1, "a", at(0));
    let mut serve = |lacks, group_bytes| hosts.note_report(id(1), &report(lacks), group_bytes);
    assert_eq!(serve(100, 0), Serve::Now);
    assert_eq!(serve(100, UNREACHABLE_AFTER_BYTES), Serve::Now);
    assert_eq!(serve(100, UNREACHABLE_AFTER_BYTES + 1), Serve::Probe);
    assert_eq!(serve(100, UNREACHABLE_AFTER_BYTES + 2), Serve::Probe);
    assert_eq!(serve(99, UNREACHABLE_AFTER_BYTES + 3), Serve::Now, "a probe was heard");
    assert_eq!(serve(99, 2 * UNREACHABLE_AFTER_BYTES + 4), Serve::Probe, "and that was all");
}

#[test]
fn a_host_that_nothing_reaches_keeps_no_sidelined_one_waiting() {
    let mut hosts = Hosts::new(named(["a"]), false);
    join(&mut hosts, 1, "a", at(0));
    hosts.note_report(id(1), &report(100), 0);
    assert!(hosts.somebody_lacks());
    hosts.note_report(id(1), &report(100), UNREACHABLE_AFTER_BYTES + 1);
    assert!(!hosts.somebody_lacks());
}

#[test]
fn few_degraded_hosts_are_judged_beside_each_other_or_not_at_all() {
    let mut hosts = Hosts::new(named(["lossy", "slow"]), false);
    join(&mut hosts, 1, "lossy", at(0));
    join(&mut hosts, 2, "slow", at(0));
    let hear = |hosts: &mut Hosts, host, highest, lost| {
        let totals = Totals { symbols_lost: lost, ..Totals::default() };
        hosts.note_heard(at(highest), id(host), sequence(highest)).expect("newer");
        hosts.note_report(id(host), &Report { highest: sequence(highest), totals, ..report(1) }, 0);
    };
    hear(&mut hosts, 1, 1, 0);
    hear(&mut hosts, 2, 1, 0);
    hear(&mut hosts, 1, 1_001, 300);
    assert_eq!(hosts.end_round(at(1_000)).loss, None, "the slow one may lose less");
    hear(&mut hosts, 2, 1_000, 0);
    let loss = hosts.end_round(at(1_000)).loss.expect("both can be judged");
    assert_eq!((loss.share, loss.since), (0.0, 1));
    hear(&mut hosts, 1, 2_001, 600);
    let loss = hosts.end_round(at(2_001)).loss.expect("nobody waits for one that is silent");
    assert!((loss.share - 0.3).abs() < 1e-9, "{loss:?}");
}

#[test]
fn named_hosts_are_waited_for_and_others_are_not() {
    let mut hosts = Hosts::new(named(["a", "b"]), false);
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 3, "stranger", at(0));
    done(&mut hosts, 1);
    assert!(!hosts.settled(at(1), at(0)), "b has not answered");
    join(&mut hosts, 2, "b", at(2));
    assert!(!hosts.settled(at(3), at(0)));
    failed(&mut hosts, 2);
    assert!(hosts.settled(at(4), at(0)) && !hosts.complete());
    assert_eq!(states(&hosts).len(), 3, "the stranger is in the table");
}

#[test]
fn named_hosts_are_complete_when_all_are_done() {
    let mut hosts = Hosts::new(named(["a", "b"]), false);
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "b", at(0));
    done(&mut hosts, 1);
    assert!(!hosts.complete());
    existing(&mut hosts, 2);
    assert!(hosts.settled(at(1), at(0)) && hosts.complete());
}

#[test]
fn a_named_host_that_never_answers_has_a_row_that_says_so() {
    let hosts = Hosts::new(named(["a"]), false);
    assert_eq!(states(&hosts), [("a".into(), HostState::NeverAnswered)]);
    assert!(hosts.rows(at(0))[0].reason.is_some());
    assert!(!hosts.settled(at(60_000), at(0)) && !hosts.complete());
}

#[test]
fn a_silent_host_that_is_named_is_waited_for() {
    let mut hosts = Hosts::new(named(["a"]), false);
    join(&mut hosts, 1, "a", at(0));
    hosts.mark_silent(at(20_000));
    assert!(!hosts.settled(at(20_000), at(0)));
}

#[test]
fn a_count_is_reached_by_whoever_is_done() {
    let mut hosts = Hosts::new(Expected::Count(2), false);
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
    let mut hosts = Hosts::new(Expected::Count(2), false);
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "b", at(0));
    done(&mut hosts, 1);
    failed(&mut hosts, 2);
    assert!(hosts.settled(at(1), at(0)) && !hosts.complete());
}

#[test]
fn a_failed_start_and_its_replacement_count_as_one_host() {
    let mut hosts = Hosts::new(Expected::Count(2), false);
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "b", at(0));
    join(&mut hosts, 3, "a", at(10));
    hosts
        .note_heard(at(11), id(1), sequence(2))
        .expect("its last word was overtaken by the hello of the next start");
    failed(&mut hosts, 1);
    done(&mut hosts, 3);
    assert!(!hosts.settled(at(5_000), at(0)), "b is at work");
    done(&mut hosts, 2);
    assert!(hosts.settled(at(5_001), at(0)) && hosts.complete(), "two hosts hold it");
}

#[test]
fn two_starts_that_are_done_are_one_host() {
    let mut hosts = Hosts::new(Expected::Count(2), false);
    join(&mut hosts, 1, "a", at(0));
    join(&mut hosts, 2, "a", at(10));
    hosts.note_heard(at(11), id(1), sequence(2)).expect("its last word came late");
    done(&mut hosts, 1);
    existing(&mut hosts, 2);
    assert!(!hosts.settled(at(5_000), at(0)) && !hosts.complete());
}

#[test]
fn with_nobody_expected_all_who_answer_are_waited_for_and_a_moment_longer() {
    let mut hosts = Hosts::new(Expected::Anyone, false);
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
    let hosts = Hosts::new(Expected::Anyone, false);
    assert!(!hosts.settled(at(14_999), at(5_000)));
    assert!(hosts.settled(at(15_000), at(5_000)) && !hosts.complete());
}

#[test]
fn a_host_of_another_version_is_settled_and_not_complete() {
    for expected in [named(["a"]), Expected::Count(1)] {
        let mut hosts = Hosts::new(expected, false);
        assert!(hosts.speaks_other_version(&name("a"), "it speaks version 2"));
        assert!(!hosts.speaks_other_version(&name("a"), "it speaks version 2"), "no news");
        assert_eq!(states(&hosts), [("a".into(), HostState::OtherVersion)]);
        assert!(hosts.settled(at(1), at(0)) && !hosts.complete());
    }
}

#[test]
fn a_host_that_was_upgraded_is_of_another_version_no_more() {
    let mut hosts = Hosts::new(named(["a"]), false);
    hosts.speaks_other_version(&name("a"), "it speaks version 2");
    join(&mut hosts, 1, "a", at(0));
    assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
    assert!(!hosts.speaks_other_version(&name("a"), "it speaks version 2"), "an old notice");
    assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
}

#[test]
fn reports_are_spread_over_those_expected_and_those_known() {
    let mut hosts = Hosts::new(Expected::Count(2), false);
    assert_eq!(hosts.answering(), 2);
    (1..=3).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
    assert_eq!(hosts.answering(), 3);
    let slots: Vec<u32> = (1..=3).map(|host| hosts.get(id(host)).expect("joined").slot()).collect();
    assert_eq!(slots, [0, 1, 2]);
    assert_eq!(Hosts::new(Expected::Anyone, false).answering(), 1);
}

#[test]
fn who_has_said_its_last_word_is_not_given_time_to_answer() {
    let mut hosts = Hosts::new(Expected::Count(4), false);
    (1..=4).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
    let millisecond = Duration::from_millis(1);
    assert_eq!(hosts.asked(), Asked { slots: 4, window: millisecond });
    done(&mut hosts, 1);
    failed(&mut hosts, 2);
    assert_eq!(hosts.asked(), Asked { slots: 2, window: millisecond / 2 });
    done(&mut hosts, 3);
    done(&mut hosts, 4);
    assert_eq!(hosts.asked(), Asked { slots: 1, window: millisecond / 4 });
}

#[test]
fn while_hosts_say_hello_reports_take_little_of_what_all_may_say() {
    let mut hosts = Hosts::new(Expected::Count(40), false);
    let spread = |hosts: &Hosts| hosts.asked().window * 4_000;
    join(&mut hosts, 1, "a", at(0));
    assert_eq!((hosts.asked().slots, spread(&hosts)), (1, Duration::from_secs(8)));
    (2..=20).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
    assert_eq!(
        (hosts.asked().slots, spread(&hosts)),
        (20, Duration::from_secs(40)),
        "no longer than for all"
    );
    (21..=40).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
    assert_eq!((hosts.asked().slots, spread(&hosts)), (40, Duration::from_secs(40)));
}

fn named<const N: usize>(names: [&str; N]) -> Expected {
    Expected::Named(names.into_iter().map(name).collect())
}

fn join(hosts: &mut Hosts, host: u8, called: &str, now: Moment) {
    let hello = Hello { name: name(called), software: String::new(), busy: false, kept: Vec::new() };
    let cipher = || Cipher::upward(&GroupKey::new([1; 32]), SessionId([1; 16]), id(host));
    hosts.join(now, address(host), id(host), cipher, &hello).expect("room");
}

/// Returns the report of a host that lacks `symbols` symbols of the first block and has received nothing.
fn report(symbols: u16) -> Report {
    Report {
        round: 1,
        highest: sequence(1),
        blocks_held: 0,
        covered: 1,
        deficits: vec![DeficitRun { first: BlockIndex(0), blocks: 1, symbols }],
        gaps: Vec::new(),
        kept: Vec::new(),
        totals: Totals::default(),
    }
}

fn done(hosts: &mut Hosts, host: u8) {
    let done = Done { root: Root([0; 32]), existing: false, totals: Totals::default() };
    hosts.note_done(at(1), id(host), &done, 1);
}

fn existing(hosts: &mut Hosts, host: u8) {
    let done = Done { root: Root([0; 32]), existing: true, totals: Totals::default() };
    hosts.note_done(at(1), id(host), &done, 1);
}

fn failed(hosts: &mut Hosts, host: u8) {
    let reason = "no space".to_owned();
    let failed = Failed { kind: FailureKind::NoSpace, reason, totals: Totals::default() };
    hosts.note_failed(at(1), id(host), &failed);
}

fn states(hosts: &Hosts) -> Vec<(String, HostState)> {
    hosts.rows(at(0)).into_iter().map(|row| (row.name.to_string(), row.state)).collect()
}

fn name(text: &str) -> HostName {
    HostName::new(text).expect("plain")
}

fn address(host: u8) -> SocketAddr {
    ([10, 0, 0, host], 1).into()
}

fn id(host: u8) -> ReceiverId {
    ReceiverId([host; 8])
}

fn at(ms: u64) -> Moment {
    Moment::from_micros(ms * 1_000)
}

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).expect("small")
}
