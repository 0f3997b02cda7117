use super::testing::{Host, at, config, drain, events, kept, name, named, passed, reading, states};
use super::*;
use crate::wire::FailureKind;

#[test]
fn nothing_is_sent_before_a_host_has_joined_that_lacks_it() {
    for expected in [Expected::Anyone, Expected::Count(2), named(2)] {
        let mut sender = reading(patient(expected));
        sender.handle_timeout(at(5_000));
        assert!(sender.holds_symbols_back() && sender.poll_job(JobRoom::ANY).is_none());
        Host::new(1).greet(&mut sender, at(5_000)).expect("room");
        assert!(sender.poll_job(JobRoom::ANY).is_some());
    }
}

#[test]
fn a_push_that_nobody_answers_ends_without_having_sent_anything() {
    for (expected, ends) in [(named(2), 30_000), (Expected::Count(1), 30_000), (Expected::Anyone, 10_000)] {
        let mut sender = reading(patient(expected));
        sender.handle_timeout(at(0));
        sender.handle_timeout(at(ends - 1));
        assert_eq!(sender.verdict(), None);
        sender.handle_timeout(at(ends));
        assert_eq!(sender.verdict(), Some(&Verdict::Incomplete));
        assert_eq!(sender.blocks_sent(), 0);
    }
}

#[test]
fn a_push_that_nobody_answers_is_incomplete_also_where_its_own_time_ends_first() {
    let mut sender = reading(SenderConfig { timeout: Duration::from_secs(2), ..patient(named(2)) });
    sender.handle_timeout(at(1_999));
    assert_eq!(sender.verdict(), None);
    sender.handle_timeout(at(2_000));
    assert_eq!((sender.verdict(), sender.blocks_sent()), (Some(&Verdict::Incomplete), 0));
}

#[test]
fn a_host_that_was_never_heard_is_given_up_after_the_image_was_sent_and_not_before() {
    let mut sender = passed(patient(named(2)));
    let mut host = Host::new(1);
    host.greet(&mut sender, at(51)).expect("room");
    send_all(&mut sender, at(60));
    let done = host.done(&sender);
    host.say(&mut sender, at(70), &done).expect("its own");
    sender.handle_timeout(at(30_059));
    assert_eq!(sender.verdict(), None, "for 30 s after the last block");
    sender.handle_timeout(at(30_060));
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete));
    let states = states(&sender);
    assert_eq!(states[0], ("compute-1".to_owned(), HostState::Done));
    assert_eq!(states[1], ("compute-2".to_owned(), HostState::NeverAnswered));
}

#[test]
fn a_host_that_takes_part_is_waited_for_beyond_that_time() {
    let mut sender = passed(patient(named(2)));
    Host::new(1).greet(&mut sender, at(51)).expect("room");
    send_all(&mut sender, at(60));
    sender.handle_timeout(at(50_000));
    assert_eq!(sender.verdict(), None);
    sender.handle_timeout(at(60_000));
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete), "until the push's own timeout");
}

#[test]
fn a_host_that_is_dead_does_not_have_those_that_hold_the_image_receive_it_again() {
    let mut sender = reading(patient(named(2)));
    let mut host = Host::new(1);
    host.hello.kept = kept(0);
    host.greet(&mut sender, at(1)).expect("room");
    assert_eq!(sender.poll_skip(at(1)), None, "the other one may be about to say hello");
    sender.handle_timeout(at(50));
    assert_eq!(sender.poll_skip(at(50)), Some(BlockIndex(0)));
    assert!(matches!(sender.poll_job(JobRoom::ANY), Some(Job::Source { block: BlockIndex(1), .. })));
}

#[test]
fn a_push_ends_when_all_that_were_heard_have_failed_and_nobody_is_left_to_send_to() {
    let mut sender = reading(patient(Expected::Anyone));
    let mut host = Host::new(1);
    host.greet(&mut sender, at(1)).expect("room");
    let failed = host.failed(FailureKind::NoSpace);
    host.say(&mut sender, at(2), &failed).expect("its own");
    assert!(sender.holds_symbols_back());
    sender.handle_timeout(at(1_002));
    assert_eq!((sender.verdict(), sender.blocks_sent()), (Some(&Verdict::Incomplete), 0));
}

#[test]
fn hosts_that_were_not_heard_are_named_after_two_seconds_and_with_the_end_of_the_wait_once_all_is_sent() {
    let mut sender = passed(patient(named(2)));
    Host::new(1).greet(&mut sender, at(51)).expect("room");
    send_all(&mut sender, at(60));
    sender.handle_timeout(at(1_999));
    assert_eq!(unheard(&mut sender), []);
    let both = |ms| [None, Some(Duration::from_millis(ms))].map(|left| (vec![name("compute-2")], left));
    sender.handle_timeout(at(2_000));
    assert_eq!(unheard(&mut sender), both(0)[..1]);
    sender.handle_timeout(at(2_060));
    assert_eq!(unheard(&mut sender), both(28_000)[1..]);
    sender.handle_timeout(at(20_000));
    assert_eq!(unheard(&mut sender), [], "once");
}

#[test]
fn nobody_is_named_where_all_are_heard() {
    let mut sender = reading(patient(named(1)));
    Host::new(1).greet(&mut sender, at(1)).expect("room");
    sender.handle_timeout(at(10_000));
    assert_eq!(unheard(&mut sender), []);
}

fn unheard(sender: &mut Sender) -> Vec<(Vec<crate::ids::HostName>, Option<Duration>)> {
    let events = events(sender).into_iter();
    let of_unheard = events.filter_map(|event| match event {
        SenderEvent::Unheard { hosts, given_up_in } => Some((hosts, given_up_in)),
        _ => None,
    });
    of_unheard.collect()
}

fn patient(expected: Expected) -> SenderConfig {
    SenderConfig { join_timeout: Some(Duration::from_secs(30)), ..config(expected) }
}

/// Sends what is left of the first pass.
fn send_all(sender: &mut Sender, now: Moment) {
    drain(sender, now);
    while let Some(job) = sender.poll_job(JobRoom::ANY) {
        let last = sender.take_sequences(To::Everyone, job.symbols(super::testing::K));
        sender.handle_sent(now, job, last);
    }
}
