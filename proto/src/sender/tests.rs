use super::testing::{Host, K, at, config, drain, kept, passed, proven, reading, report, states};
use super::*;
use crate::wire::{CommandOutcome, DeficitRun, Done, Header, Kind, Outcome, Report, Totals, Up};

#[test]
fn no_symbol_leaves_before_the_expected_hosts_were_heard() {
    let mut sender = reading(config(Expected::Count(2)));
    greet(&mut sender, Host::new(1));
    assert!(sender.holds_symbols_back() && sender.poll_job(JobRoom::ANY).is_none());
    greet(&mut sender, Host::new(2));
    assert!(matches!(sender.poll_job(JobRoom::ANY), Some(Job::Source { block: BlockIndex(0), .. })));
}

#[test]
fn hosts_that_are_not_heard_hold_symbols_back_until_the_timer_that_says_so() {
    let mut sender = reading(config(Expected::Count(2)));
    let mut timers = Vec::new();
    while sender.holds_symbols_back() {
        let (now, timer) = sender.poll_timeout().expect("it goes on");
        timers.push((now, timer));
        sender.handle_timeout(now);
        drain(&mut sender, now);
    }
    assert_eq!(timers.last(), Some(&(at(50), SenderTimer::FirstWait)));
    assert!(sender.poll_job(JobRoom::ANY).is_some());
}

#[test]
fn where_nobody_is_expected_nobody_is_waited_for() {
    let mut sender = reading(config(Expected::Anyone));
    sender.handle_timeout(at(0));
    assert!(sender.poll_job(JobRoom::ANY).is_some());
}

#[test]
fn an_outage_costs_the_push_its_time_and_its_hosts_nothing() {
    let mut sender = proven(config(Expected::Count(2)));
    greet(&mut sender, Host::new(1));
    greet(&mut sender, Host::new(2));
    drain(&mut sender, at(1));
    // The machine's time stood still for 20 s, of the 60 s that the push has.
    sender.handle_outage(at(2), Duration::from_secs(20));
    let (mut acks, mut announced, mut out) = (0, 0, Vec::new());
    while let Some(transmit) = sender.poll_transmit(at(2), &mut out) {
        acks += u32::from(transmit.kind == Kind::Ack);
        announced += u32::from(transmit.kind == Kind::Announce);
    }
    assert_eq!((acks, announced), (2, 1), "hosts learn of another hardware address at once");
    assert!(sender.rows().iter().all(|row| row.state != HostState::Silent));
    sender.handle_timeout(at(39_999));
    assert_eq!(sender.verdict(), None);
    sender.handle_timeout(at(40_000));
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete));
}

#[test]
fn short_outages_make_no_announcements() {
    let mut sender = reading(config(Expected::Anyone));
    drain(&mut sender, at(0));
    let mut out = Vec::new();
    for us in 0..100 {
        let now = Moment::from_micros(us);
        sender.handle_outage(now, Duration::from_millis(2));
        assert_eq!(sender.poll_transmit(now, &mut out), None);
    }
}

#[test]
fn another_address_to_answer_to_is_announced_at_once() {
    let mut sender = reading(config(Expected::Anyone));
    drain(&mut sender, at(0));
    let other = ([10, 0, 0, 9], 7167).into();
    sender.handle_reply_to(at(0), other);
    let mut out = Vec::new();
    assert_eq!(sender.poll_transmit(at(0), &mut out).map(|transmit| transmit.kind), Some(Kind::Announce));
    let announced = crate::wire::Announce::open(&sender.config().key, &out).expect("ours");
    assert_eq!(announced.announce.reply_to, other);
}

#[test]
fn symbols_are_held_back_while_all_hosts_are_busy() {
    let mut sender = reading(config(Expected::Count(1)));
    let mut host = Host::new(1);
    host.hello.busy = Some("other".to_owned());
    greet(&mut sender, host.clone());
    assert!(sender.holds_symbols_back());
    greet(&mut sender, host.restarted(2));
    assert!(!sender.holds_symbols_back());
}

#[test]
fn a_block_that_every_host_kept_is_skipped_and_one_that_is_lacking_is_sent() {
    let mut sender = reading(config(Expected::Count(1)));
    let mut host = Host::new(1);
    host.hello.kept = kept(0);
    greet(&mut sender, host);
    assert!(sender.is_resuming() && !sender.needs_pass(BlockIndex(0)) && sender.needs_pass(BlockIndex(1)));
    assert_eq!(sender.poll_skip(at(1)), Some(BlockIndex(0)));
    assert_eq!(sender.poll_skip(at(1)), None);
    assert_eq!(sender.blocks_skipped(), 1);
    assert!(matches!(sender.poll_job(JobRoom::ANY), Some(Job::Source { block: BlockIndex(1), .. })));
}

#[test]
fn an_acknowledgement_goes_to_its_host_and_leaves_no_gap_in_the_groups_numbers() {
    let mut sender = reading(config(Expected::Count(1)));
    drain(&mut sender, at(0));
    let next = sender.sequences.next();
    greet(&mut sender, Host::new(1));
    let mut out = Vec::new();
    let transmit = sender.poll_transmit(at(0), &mut out).expect("an acknowledgement");
    assert_eq!((transmit.to, transmit.kind), (To::Host(Host::new(1).from), Kind::Ack));
    let number = Header::parse(&out).expect("ours").sequence;
    assert!(number.value() > 1 << 38, "{number:?}");
    assert_eq!(sender.sequences.next(), next);
}

#[test]
fn what_is_not_proven_is_aborted_and_what_hosts_may_have_published_is_given_up() {
    let mut sender = reading(config(Expected::Count(1)));
    sender.handle_abort(at(1), "no");
    assert_eq!(sender.verdict(), Some(&Verdict::Aborted("no".into())));
    let mut sender = proven(config(Expected::Count(1)));
    sender.handle_abort(at(1), "no");
    assert_eq!(sender.verdict(), Some(&Verdict::GivenUp("no".into())));
    sender.handle_abort(at(2), "again");
    assert_eq!(sender.verdict(), Some(&Verdict::GivenUp("no".into())), "the first verdict stands");
}

#[test]
fn a_push_that_lasts_too_long_ends_by_what_was_read_of_it() {
    let mut sender = reading(config(Expected::Count(1)));
    sender.handle_timeout(at(59_999));
    assert_eq!(sender.verdict(), None);
    sender.handle_timeout(at(60_000));
    assert!(matches!(sender.verdict(), Some(Verdict::Aborted(_))));
    let mut sender = proven(config(Expected::Count(1)));
    sender.handle_timeout(at(60_000));
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete));
}

#[test]
fn a_push_is_complete_when_the_expected_host_is_done_and_over_when_that_was_said() {
    let mut sender = proven(config(Expected::Count(1)));
    let mut host = Host::new(1);
    host.greet(&mut sender, at(0)).expect("it joins");
    while let Some(job) = sender.poll_job(JobRoom::ANY) {
        let last = sender.take_sequences(To::Everyone, job.symbols(K));
        sender.handle_sent(at(1), job, last);
    }
    drain(&mut sender, at(1));
    let done = host.done(&sender);
    host.say(&mut sender, at(1), &done).expect("its own");
    assert_eq!(sender.verdict(), Some(&Verdict::Complete));
    assert!(!sender.is_finished(), "hosts are to hear of it");
    while let Some((now, timer)) = sender.poll_timeout() {
        assert_eq!(timer, SenderTimer::End);
        drain(&mut sender, now);
    }
    assert!(sender.is_finished());
}

#[test]
fn a_host_that_has_proven_another_root_is_not_done() {
    let mut sender = proven(config(Expected::Count(1)));
    let mut host = Host::new(1);
    host.greet(&mut sender, at(0)).expect("it joins");
    let other = Root([9; 32]);
    let receipt = host.receipt(Outcome::Published(other));
    let command = CommandOutcome::None;
    let done = Done { root: other, existing: false, totals: Totals::default(), receipt, command };
    assert_eq!(host.say(&mut sender, at(1), &Up::Done(done)), Err(Discard::Malformed));
    assert_eq!(sender.verdict(), None);
    let done = host.done(&sender);
    host.say(&mut sender, at(1), &done).expect("its own");
    assert_eq!(states(&sender), [("compute-1".to_owned(), HostState::Done)]);
}

#[test]
fn a_host_that_claims_to_hold_less_than_before_is_not_believed() {
    let mut sender = passed(config(Expected::Count(1)));
    let mut host = Host::new(1);
    host.greet(&mut sender, at(60)).expect("it joins");
    for (second, blocks_held, verdict) in
        [(1, 2, Ok(())), (2, 1, Err(Discard::Implausible)), (3, 2, Ok(())), (4, 3, Ok(()))]
    {
        drain(&mut sender, at(1_000 * second));
        let report = Report { round: sender.polls.rounds(), blocks_held, ..report() };
        assert_eq!(host.say(&mut sender, at(1_000 * second), &Up::Report(report)), verdict, "{blocks_held}");
    }
}

#[test]
fn a_host_that_nothing_reaches_is_probed_with_a_few_symbols_of_one_block() {
    let mut sender = passed(config(Expected::Count(1)));
    let mut host = Host::new(1);
    host.greet(&mut sender, at(60)).expect("it joins");
    assert_eq!(asked(&mut sender, &mut host, 1).len(), 2, "all that it lacks");
    send_in_vain(&mut sender);
    let probe = asked(&mut sender, &mut host, 2);
    assert!(matches!(probe[..], [Job::Repair { block: BlockIndex(0), count: 1..=4, .. }]), "{probe:?}");
}

#[test]
fn a_host_that_nothing_reaches_is_not_probed_while_another_one_lacks_something() {
    let mut sender = passed(config(Expected::Count(2)));
    let mut hosts = [1, 2].map(Host::new);
    hosts.iter_mut().for_each(|host| host.greet(&mut sender, at(60)).expect("it joins"));
    asked(&mut sender, &mut hosts[0], 1);
    send_in_vain(&mut sender);
    assert_eq!(asked(&mut sender, &mut hosts[1], 2).len(), 2, "it was not heard before");
    assert_eq!(asked(&mut sender, &mut hosts[0], 2), []);
}

/// Has a host report that it lacks 100 symbols of each of two blocks, and sends what comes of it.
fn asked(sender: &mut Sender, host: &mut Host, second: u64) -> Vec<Job> {
    let now = at(1_000 * second);
    drain(sender, now);
    let deficits = vec![DeficitRun { first: BlockIndex(0), blocks: 2, symbols: 100 }];
    let (round, highest) = (sender.polls.rounds(), sender.sequences.last());
    host.say(sender, now, &Up::Report(Report { round, highest, covered: 4, deficits, ..report() }))
        .expect("due");
    let mut jobs = Vec::new();
    while let Some(job) = sender.poll_job(JobRoom::ANY) {
        let last = sender.take_sequences(To::Everyone, job.symbols(K));
        sender.handle_sent(now, job, last);
        jobs.push(job);
    }
    jobs
}

/// Sends 20 MiB to the group: a host whose deficits do not shrink meanwhile is reached by nothing.
fn send_in_vain(sender: &mut Sender) {
    sender.take_sequences(To::Everyone, (20 << 20) / 8_192);
    sender.symbols_sent += (20 << 20) / 8_192;
}

fn greet(sender: &mut Sender, mut host: Host) {
    host.greet(sender, at(0)).expect("it joins");
}
