//! Hosts and their keys: known ones, unknown ones and changed ones.

use super::testing::*;
use super::*;
use crate::agree::AgreementPublic;
use crate::known::UnknownHosts;
use crate::wire::{FailureKind, Report, Up};

#[test]
fn the_first_key_of_an_unknown_name_is_told_and_owns_the_name() {
    let mut sender = proven(config(Expected::Anyone));
    let (mut host, mut other) = (Host::called("a", 1, 1), Host::called("a", 2, 2));
    host.greet(&mut sender, at(0)).expect("it joins");
    assert_eq!(
        events(&mut sender),
        [SenderEvent::Joined(name("a")), SenderEvent::FirstUse(name("a"), host.key.public())]
    );
    host.restarted(3).greet(&mut sender, at(1)).expect("it is the same host");
    assert_eq!(events(&mut sender), [SenderEvent::Joined(name("a"))]);
    assert_eq!(other.greet(&mut sender, at(2)), Err(Discard::KeyChanged));
    assert_eq!(events(&mut sender), [SenderEvent::KeyChanged(name("a"), other.key.public())]);
    assert_eq!(states(&sender), [("a".into(), HostState::Receiving)]);
    assert_eq!(sender.first_uses(), [], "two keys came with this name");
}

#[test]
fn a_known_host_is_no_first_use() {
    let mut host = Host::new(1);
    let mut sender = proven(knowing(named(1), &[&host]));
    host.greet(&mut sender, at(0)).expect("it joins");
    assert_eq!(events(&mut sender), [SenderEvent::Joined(host.name())]);
    assert_eq!(sender.first_uses(), []);
    assert_eq!(sender.rows()[0].key, Some(host.key.public()));
    assert_eq!(sender.rows()[0].software.as_deref(), Some("test 1.0"));
}

#[test]
fn a_host_with_a_changed_key_has_a_row_that_tells_what_to_do_and_nothing_else() {
    for expected in [named(1), Expected::Count(1), Expected::Anyone] {
        let (host, mut stranger) = (Host::new(1), Host::called("compute-1", 9, 9));
        let mut sender = passed(knowing(expected, &[&host]));
        drain(&mut sender, at(50));
        assert_eq!(stranger.greet(&mut sender, at(60)), Err(Discard::KeyChanged));
        assert_eq!(events(&mut sender), [SenderEvent::KeyChanged(host.name(), stranger.key.public())]);
        let report = Up::Report(report());
        assert_eq!(stranger.say(&mut sender, at(61), &report), Err(Discard::UnknownHost));
        assert!(acks(&mut sender, at(61)).is_empty());

        let [row] = &sender.rows()[..] else { panic!("{:?}", sender.rows()) };
        assert_eq!((row.state, row.state.name()), (HostState::KeyChanged, "key_changed"));
        assert_eq!(row.key, Some(stranger.key.public()));
        let (new, old) = (stranger.key.public(), host.key.public());
        let expected = format!(
            "its key is {new}, and known_hosts has {old}: if the host was made anew, run: \
             glancecast hosts --forget compute-1; if it was not, somebody else uses its name"
        );
        assert_eq!(row.reason.as_ref(), Some(&expected));
        assert_eq!((sender.tally().heard, sender.tally().done), (0, 0));
    }
}

#[test]
fn a_push_waits_for_the_host_itself_until_it_would_have_been_heard() {
    for expected in [named(1), Expected::Count(1)] {
        let (host, mut stranger) = (Host::new(1), Host::called("compute-1", 9, 9));
        let mut sender = passed(knowing(expected, &[&host]));
        stranger.greet(&mut sender, at(60)).expect_err("another key");
        sender.handle_timeout(at(5_049));
        assert_eq!(sender.verdict(), None);
        sender.handle_timeout(at(5_050));
        assert_eq!(sender.verdict(), Some(&Verdict::Incomplete));
    }
}

#[test]
fn where_known_hosts_alone_take_part_others_have_a_row_that_says_how_they_become_known() {
    let (mut host, mut unknown) = (Host::new(1), Host::new(2));
    let mut config = knowing(named(2), &[&host]);
    config.known.unknown = UnknownHosts::Refused;
    let mut sender = passed(config);
    host.greet(&mut sender, at(60)).expect("it is known");
    assert_eq!(unknown.greet(&mut sender, at(60)), Err(Discard::UnknownKey));
    assert_eq!(
        events(&mut sender),
        [SenderEvent::Joined(host.name()), SenderEvent::UnknownKey(unknown.name(), unknown.key.public())]
    );
    let row = &sender.rows()[1];
    assert_eq!((row.state, row.state.name()), (HostState::UnknownKey, "unknown_key"));
    let reason = row.reason.as_deref().expect("said");
    assert!(reason.contains(&unknown.key.public().to_string()), "{reason}");
    assert!(reason.contains("glancecast hosts --enroll"), "{reason}");
    assert_eq!(sender.first_uses(), [], "who takes no part is not remembered");
    let done = host.done(&sender);
    host.say(&mut sender, at(61), &done).expect("its own");
    sender.handle_timeout(at(5_050));
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete));
}

#[test]
fn a_start_keeps_its_key_its_agreement_key_and_its_name() {
    let mut host = Host::new(1);
    let mut sender = proven(config(Expected::Anyone));
    host.greet(&mut sender, at(0)).expect("it joins");
    let ahead = Host { sequence: 50, ..host.clone() };
    let mut other_key = Host { key: key(9), ..ahead.clone() };
    assert_eq!(other_key.greet(&mut sender, at(1)), Err(Discard::KeyChanged));
    let mut other_agreement = ahead.clone();
    other_agreement.hello.agreement = agreement(77).public();
    assert_eq!(other_agreement.greet(&mut sender, at(1)), Err(Discard::Implausible));
    let mut other_name = ahead;
    other_name.hello.name = name("b");
    assert_eq!(other_name.greet(&mut sender, at(1)), Err(Discard::Implausible));
    assert_eq!(host.greet(&mut sender, at(1)), Ok(()), "none of this has used up a number");
    host.sequence -= 1;
    assert_eq!(host.greet(&mut sender, at(1)), Err(Discard::Replayed));
}

#[test]
fn a_host_whose_agreement_key_is_no_point_does_not_join() {
    let mut host = Host::new(1);
    host.hello.agreement = AgreementPublic([0; 32]);
    let mut sender = proven(config(named(1)));
    assert_eq!(host.greet(&mut sender, at(0)), Err(Discard::Malformed));
    assert_eq!((events(&mut sender), sender.tally().heard), (vec![], 0));
}

#[test]
fn a_later_start_of_a_failed_host_is_a_row_beside_it() {
    let mut host = Host::new(1);
    let mut sender = passed(knowing(named(2), &[&host]));
    host.greet(&mut sender, at(60)).expect("it joins");
    let failed = host.failed(FailureKind::NoSpace);
    host.say(&mut sender, at(61), &failed).expect("its own");
    let mut again = host.restarted(2);
    again.greet(&mut sender, at(62)).expect("it joins again");
    let done = again.done(&sender);
    again.say(&mut sender, at(63), &done).expect("its own");
    let of_it = &sender.rows()[..2];
    assert_eq!([of_it[0].state, of_it[1].state], [HostState::Failed, HostState::Done]);
    assert_eq!(of_it[0].reason.as_deref(), Some("its own words"));
    assert!(of_it[1].reason.as_deref().is_some_and(|reason| reason.contains("has failed in this push")));
}

#[test]
fn a_clone_of_a_host_is_a_row_beside_it_and_both_must_be_done() {
    let (mut host, mut clone) = (Host::new(1), Host::new(1).restarted(2));
    let mut sender = passed(knowing(named(1), &[&host]));
    host.greet(&mut sender, at(60)).expect("it joins");
    clone.greet(&mut sender, at(61)).expect("it has the key");
    let report = Up::Report(report());
    host.say(&mut sender, at(62), &report).expect("it is alive");
    for row in sender.rows() {
        let reason = row.reason.expect("said of both");
        assert!(reason.contains("two receivers call themselves compute-1"), "{reason}");
    }
    let done = clone.done(&sender);
    clone.say(&mut sender, at(63), &done).expect("its own");
    assert_eq!(sender.verdict(), None);
    let done = host.done(&sender);
    host.say(&mut sender, at(64), &done).expect("its own");
    assert_eq!(sender.verdict(), Some(&Verdict::Complete));
}

#[test]
fn a_refused_sender_says_in_its_own_words_what_the_host_is_to_list() {
    for (signer, expected) in [
        (
            Some(key(5)),
            format!("it does not list this sender: add {} (sender.pub) to its senders", key(5).public()),
        ),
        (None, "it takes signed pushes only: send with --sender-key, and list that key at the host".into()),
    ] {
        let mut host = Host::new(1);
        let mut sender = passed(SenderConfig { signer, ..config(named(1)) });
        host.greet(&mut sender, at(60)).expect("it joins");
        let failed = host.failed(FailureKind::UnknownSender);
        host.say(&mut sender, at(61), &failed).expect("its own");
        assert_eq!(sender.rows()[0].reason.as_ref(), Some(&expected));
        assert_eq!(events(&mut sender).last(), Some(&SenderEvent::Failed(host.name(), expected)));
    }
}

#[test]
fn one_name_takes_a_few_places_however_often_it_begins_anew() {
    let host = Host::new(1);
    let mut sender = proven(knowing(Expected::Anyone, &[&host]));
    for start in 1..200 {
        let now = at(1_000 * u64::from(start));
        host.restarted(start).greet(&mut sender, now).expect("it joins");
    }
    assert_eq!(states(&sender), [("compute-1".into(), HostState::Receiving)]);
    let report = Up::Report(report());
    let mut first = Host { sequence: 50, ..host.restarted(1) };
    assert_eq!(first.say(&mut sender, at(200_000), &report), Err(Discard::UnknownHost), "it is forgotten");
}

#[test]
fn a_start_that_was_forgotten_is_not_acknowledged() {
    let host = Host::new(1);
    let mut sender = proven(knowing(Expected::Anyone, &[&host]));
    drain(&mut sender, at(0));
    for start in 1..=6 {
        Host { from: host.from, ..host.restarted(start) }.greet(&mut sender, at(0)).expect("it joins");
    }
    assert_eq!(acks(&mut sender, at(0)).len(), 4);
}

#[test]
fn the_table_tells_what_a_host_reports_about_itself() {
    let mut host = Host::new(1);
    let mut sender = proven(config(named(1)));
    host.greet(&mut sender, at(0)).expect("it joins");
    assert_eq!((sender.rows()[0].via, sender.rows()[0].buffers), (None, None));
    drain(&mut sender, at(1_000));
    let report = Report { round: sender.polls.rounds(), ..report() };
    host.say(&mut sender, at(1_001), &Up::Report(report.clone())).expect("its own");
    assert_eq!((sender.rows()[0].via, sender.rows()[0].buffers), (report.via, Some(64)));
}
