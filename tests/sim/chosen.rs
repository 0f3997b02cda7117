//! Pushes and queries for some of many hosts: what they cost, and that nothing happens on the others.

use std::time::Duration;

use glancecast_proto::sender::Verdict;
use glancecast_tests::measured;
use glancecast_tests::sim::asked::{self, Asked, What};
use glancecast_tests::sim::paths::{Choice, Chosen};
use glancecast_tests::sim::scale::{self, Scale};

/// One host of thousands that loses its hello and its last word ends a push a third of a second later. So the time is the
/// median of three pushes.
#[test]
fn a_push_for_1500_of_2000_hosts_costs_what_one_for_1500_does_and_touches_no_other() {
    let mut times = LOSSES.map(|loss| {
        let cell = |hosts| Scale { hosts, loss, object_bytes: OBJECT_BYTES };
        let some = Choice { named: Some(1_500), ..Choice::default() };
        let chosen = scale::push_to(cell(2_000), Choice { renamed: true, ..some });
        let alone = scale::push_to(cell(1_500), some);
        report("1 500 of 2 000 hosts", &chosen, &alone);
        assert_eq!((chosen.published, alone.published), (1_500, 1_500));
        assert_eq!((chosen.touched, chosen.said_by_others), (0, 0), "the others");
        assert_eq!((chosen.not_for_us, &chosen.verdict), (500, &Verdict::Complete));
        assert_same_bytes(&chosen, &alone);
        [chosen.time, alone.time]
    });
    let [chosen, alone] = [0, 1].map(|of| {
        times.sort_by_key(|pair| pair[of]);
        times[1][of]
    });
    assert_same_time(chosen, alone);
}

#[test]
fn a_push_for_3_of_100_hosts_costs_what_one_for_3_does_and_touches_no_other() {
    let chosen = push(100, Choice { named: Some(3), renamed: true, ..Choice::default() });
    let alone = push(3, Choice { named: Some(3), ..Choice::default() });
    report("3 of 100 hosts", &chosen, &alone);
    assert_eq!((chosen.published, alone.published), (3, 3));
    assert_eq!((chosen.touched, chosen.said_by_others), (0, 0), "the others");
    assert_eq!((chosen.not_for_us, chosen.verdict.clone()), (97, Verdict::Complete));
    assert_same_bytes(&chosen, &alone);
    assert_same_time(chosen.time, alone.time);
}

#[test]
fn a_named_host_that_starts_late_gets_the_object_and_the_others_do_not() {
    let late = Duration::from_millis(700);
    let chosen = push(100, Choice { named: Some(3), late, ..Choice::default() });
    let prompt = push(100, Choice { named: Some(3), ..Choice::default() });
    report("3 of 100 hosts, one of them late", &chosen, &prompt);
    assert_eq!((chosen.published, chosen.verdict.clone()), (3, Verdict::Complete));
    assert_eq!((chosen.touched, chosen.said_by_others), (0, 0), "the others");
    assert!(chosen.sent_bytes > prompt.sent_bytes, "what it missed is sent again");
}

#[test]
fn a_one_way_push_for_some_hosts_is_published_by_these_alone() {
    for (hosts, named) in [(100, 3), (2_000, 1_500)] {
        let chosen = push(hosts, Choice { named: Some(named), one_way: true, ..Choice::default() });
        let everyone = push(hosts, Choice { one_way: true, ..Choice::default() });
        report(&format!("{named} of {hosts} hosts, one-way"), &chosen, &everyone);
        assert_eq!((chosen.published, everyone.published), (named, hosts));
        assert_eq!((chosen.touched, chosen.said_by_others), (0, 0), "the others");
        assert_eq!(chosen.not_for_us, hosts - named);
    }
}

#[test]
fn a_verification_and_a_removal_of_a_pin_reach_those_that_they_are_for_and_no_other() {
    for what in [What::Verify, What::Unpin] {
        for (hosts, named) in [(100, 3), (2_000, 1_500)] {
            let asked = asked::ask(Asked { hosts, named, what, loss: LOSS });
            let alone = asked::ask(Asked { hosts: named, named, what, loss: LOSS });
            measured!("{what:?} for {named} of {hosts} hosts: {asked}; for {named} alone: {alone}");
            assert_eq!((asked.looked_into, asked.answered), (named, named));
            assert_eq!((asked.touched, asked.said_by_others), (0, 0), "the others");
            // A host that has lost a page of so short a query does not know whether it was meant, and does nothing.
            assert!(asked.not_for_us >= (hosts - named) * 9 / 10, "{}", asked.not_for_us);
            let ratio = asked.bytes() as f64 / alone.bytes() as f64;
            assert!((0.9..=1.1).contains(&ratio), "{ratio} x the bytes");
            assert!(asked.time <= alone.time + Duration::from_millis(300), "{:?}", asked.time);
        }
    }
}

fn push(hosts: u32, choice: Choice) -> Chosen {
    // One-way hosts cannot ask for what they miss.
    let loss = if choice.one_way { 0.0 } else { LOSS };
    scale::push_to(Scale { hosts, loss, object_bytes: OBJECT_BYTES }, choice)
}

fn report(what: &str, chosen: &Chosen, other: &Chosen) {
    let show =
        |of: &Chosen| format!("{:.3} s, {:.1} MB sent", of.time.as_secs_f64(), of.sent_bytes as f64 / 1e6);
    measured!("{what}: {}; to compare: {}", show(chosen), show(other));
}

/// Checks that two pushes send as much, but for the losses, which are drawn for each of them.
fn assert_same_bytes(chosen: &Chosen, alone: &Chosen) {
    let bytes = chosen.sent_bytes as f64 / alone.sent_bytes as f64;
    assert!((0.98..=1.02).contains(&bytes), "{bytes} x the bytes");
}

fn assert_same_time(chosen: Duration, alone: Duration) {
    let time = chosen.as_secs_f64() / alone.as_secs_f64();
    assert!((0.95..=1.05).contains(&time), "{time} x the time");
}

const LOSS: f64 = 0.01;
/// Each chooses other draws.
const LOSSES: [f64; 3] = [LOSS, 0.0101, 0.0102];
const OBJECT_BYTES: u64 = 256 << 20;
