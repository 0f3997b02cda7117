use super::testing::{Host, at, config, drain, events, kept, name, named, passed, reading, states};
use super::*;
use crate::seal::GroupKey;
use crate::wire::{FailureKind, Notice};

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
fn the_deadline_is_that_of_the_join_timeout_once_only_hosts_that_were_never_heard_are_waited_for() {
    let mut sender = passed(patient(named(2)));
    let mut host = Host::new(1);
    host.greet(&mut sender, at(51)).expect("room");
    send_all(&mut sender, at(60));
    sender.handle_timeout(at(61));
    assert_eq!(
        sender.deadline(),
        at(60_000),
        "a host that takes part is waited for until the push's own end"
    );
    let done = host.done(&sender);
    host.say(&mut sender, at(70), &done).expect("its own");
    sender.handle_timeout(at(71));
    assert_eq!(sender.deadline(), at(30_060));
    let mut nobody = reading(patient(named(1)));
    nobody.handle_timeout(at(0));
    assert_eq!(nobody.deadline(), at(30_000), "nobody is there, and nothing is sent");
}

#[test]
fn where_nobody_is_heard_that_is_told_also_if_nobody_is_expected_by_name() {
    for expected in [Expected::Anyone, Expected::Count(3)] {
        let mut sender = reading(patient(expected));
        sender.handle_timeout(at(2_000));
        let told = events(&mut sender);
        let unheard = told.iter().filter_map(|event| match event {
            SenderEvent::Unheard { hosts, heard, .. } => Some((hosts.len(), *heard)),
            _ => None,
        });
        assert_eq!(unheard.collect::<Vec<_>>(), [(0, 0)], "{told:?}");
    }
}

#[test]
fn a_busy_host_is_shown_with_what_it_is_at_work_on() {
    let mut sender = reading(patient(named(1)));
    let mut host = Host::new(1);
    host.hello.busy = Some("debian-12".to_owned());
    host.greet(&mut sender, at(1)).expect("room");
    let reason = |sender: &Sender| sender.rows()[0].reason.clone().unwrap_or_default();
    assert!(reason(&sender).starts_with("at work on the push of debian-12"), "{}", reason(&sender));
    let watch = sender.watch();
    assert!(format!("{:?}", watch.hosts[0].cause).contains("debian-12"), "{watch:?}");
    host.hello.busy = Some(String::new());
    host.greet(&mut sender, at(2)).expect("newer");
    assert!(reason(&sender).starts_with("at work on another push"), "{}", reason(&sender));
}

#[test]
fn a_host_with_another_group_key_is_told_of_once_by_its_address() {
    let mut sender = reading(patient(named(1)));
    let (tag, other) = (sender.config().session.tag(), GroupKey::new([9; 32]));
    let mut notice = Vec::new();
    Notice::seal(&name("compute-1"), "test", tag, [1; 16], &other, &mut notice);
    let from = ([10, 0, 1, 7], 7167).into();
    for _ in 0..2 {
        assert_eq!(sender.handle_datagram(at(1), from, &notice), Err(Discard::Forged));
    }
    let told: Vec<_> =
        events(&mut sender).into_iter().filter(|event| matches!(event, SenderEvent::OtherKey(_))).collect();
    assert_eq!(told, [SenderEvent::OtherKey([10, 0, 1, 7].into())]);
    assert_eq!(sender.rows()[0].state, HostState::NeverAnswered, "it changes nothing");
    for host in 0..100 {
        let _ = sender.handle_datagram(at(2), ([10, 0, 2, host], 7167).into(), &notice);
    }
    assert!(events(&mut sender).len() < 20, "anybody can make such notices");
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
        SenderEvent::Unheard { hosts, given_up_in, .. } => Some((hosts, given_up_in)),
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
