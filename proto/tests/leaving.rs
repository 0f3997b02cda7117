//! How a host leaves a session: at its end, without its sender, done, failed or stopped. The machines from outside, with
//! real datagrams between them.

mod pair;

use glancecast_proto::integrity::BlockHash;
use glancecast_proto::receiver::{Effect, Leftover, Opened, Published, Receiver, ReceiverConfig};
use glancecast_proto::sender::{Expected, HostState, Sender, SenderConfig, Verdict};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::Discard;
use pair::{
    HOST, SENDER, WALL, announcement, at, deliver, effect, host_config, join, left, pass_on, push_of,
    read_zeros, said, search, take_zeros, wall, zeros,
};

#[test]
fn an_ended_session_is_not_joined_again() {
    let mut sender = sender(1, 1);
    let mut host = receiver();
    let attempt = join(&mut host, &mut sender, at(0));
    let announcement = announcement(&mut sender, at(100));
    sender.handle_abort(at(200), "no");
    deliver(&mut sender, &mut host, at(200));
    assert_eq!(left(&mut host), Some((attempt, Some(Leftover::Kept))));
    assert!(host.session().is_none());

    assert_eq!(host.handle_datagram(at(300), WALL, SENDER, &announcement), Ok(()));
    assert!(host.session().is_none() && effect(&mut host).is_none());
}

#[test]
fn a_session_that_was_cut_off_is_joined_again_as_another_receiver() {
    let mut sender = sender(1, 1);
    let mut host = receiver();
    let first = join(&mut host, &mut sender, at(0));
    let (_, hello) = said(&mut host, at(10)).expect("a hello");
    host.handle_timeout(at(31_000));
    assert_eq!(left(&mut host), Some((first, Some(Leftover::Kept))));
    let second = join(&mut host, &mut sender, at(31_000));
    assert_ne!(first, second);
    let (_, again) = said(&mut host, at(31_010)).expect("a hello");
    assert_ne!(hello[10..18], again[10..18], "its numbers begin anew, so its key must be another");
}

#[test]
fn a_sender_that_is_silent_while_another_waits_is_given_up_sooner() {
    let (mut first, mut second) = (sender(1, 1), sender(2, 1));
    let mut host = receiver();
    let attempt = join(&mut host, &mut first, at(0));
    let datagram = announcement(&mut second, at(500));
    host.handle_datagram(at(500), WALL, SENDER, &datagram).expect("fresh");
    host.handle_timeout(at(990));
    assert!(effect(&mut host).is_none());
    host.handle_timeout(at(1_010));
    assert_eq!(left(&mut host), Some((attempt, Some(Leftover::Kept))));
    let _ = join(&mut host, &mut second, at(1_200));
}

#[test]
fn a_stopped_host_says_so_and_joins_nothing_more() {
    let (mut first, mut second) = (sender(1, 1), sender(2, 1));
    let mut host = receiver();
    let _ = join(&mut host, &mut first, at(0));
    host.handle_stop(at(10));
    pass_on(&mut host, [&mut first, &mut second], at(10));
    assert_eq!(first.rows()[0].state, HostState::Failed);
    deliver(&mut first, &mut host, at(11));
    assert!(host.session().is_none(), "its last word is acknowledged");
    let datagram = announcement(&mut second, at(12));
    host.handle_datagram(at(12), WALL, SENDER, &datagram).expect("fresh");
    assert!(host.session().is_none() && said(&mut host, at(60)).is_none());
}

#[test]
fn a_place_that_is_ready_too_late_is_not_written_to() {
    let mut sender = sender(1, 1);
    let mut host = receiver();
    let datagram = announcement(&mut sender, at(0));
    host.handle_datagram(at(0), WALL, SENDER, &datagram).expect("fresh");
    let attempt = search(&mut host);
    host.handle_stop(at(1));
    assert_eq!(left(&mut host), Some((attempt, None)));
    host.handle_opened(at(2), attempt, Ok(Opened::Unfinished { file: (), kept: Vec::new() }));
    assert!(matches!(effect(&mut host), Some(Effect::PutAway((), Leftover::Kept))));
    read_zeros(&mut sender, at(3));
    deliver(&mut sender, &mut host, at(3));
    assert!(effect(&mut host).is_none(), "the zero block is not asked for");
}

#[test]
fn a_zero_block_that_the_root_does_not_mean_ends_the_session_with_its_reason() {
    let mut sender = sender(1, 1);
    let mut host = receiver();
    let attempt = join(&mut host, &mut sender, at(0));
    read_zeros(&mut sender, at(1));
    deliver(&mut sender, &mut host, at(50));
    take_zeros(&mut host, at(51), BlockHash([9; 32]));
    assert_eq!(left(&mut host), Some((attempt, Some(Leftover::Discarded))));
    pass_on(&mut host, [&mut sender], at(100));
    let row = &sender.rows()[0];
    assert_eq!(row.state, HostState::Failed);
    assert!(row.reason.as_ref().is_some_and(|reason| reason.contains("does not amount to the root")));
}

#[test]
fn what_is_being_published_is_waited_for_however_long_it_takes() {
    let mut sender = sender(1, 1);
    let mut host = receiver();
    let attempt = join(&mut host, &mut sender, at(0));
    read_zeros(&mut sender, at(1));
    deliver(&mut sender, &mut host, at(50));
    take_zeros(&mut host, at(51), zeros(&sender));
    deliver(&mut sender, &mut host, at(120));
    let Some(Effect::Publish(_, (), proof)) = effect(&mut host) else { panic!("all is proven") };
    assert_eq!(Some(proof.root()), sender.root());
    host.handle_timeout(at(100_000));
    host.handle_stop(at(100_001));
    pass_on(&mut host, [&mut sender], at(100_001));
    assert!(effect(&mut host).is_none(), "it is not taken back");
    host.handle_published(at(100_002), attempt, Ok(Published::New));
    pass_on(&mut host, [&mut sender], at(100_002));
    assert_eq!(sender.rows()[0].state, HostState::Done);
}

#[test]
fn a_last_word_that_nobody_acknowledged_is_said_again_while_the_session_is_announced() {
    let (mut sender, mut host) = (sender(1, 1), receiver());
    let attempt = join(&mut host, &mut sender, at(0));
    read_zeros(&mut sender, at(1));
    deliver(&mut sender, &mut host, at(200));
    take_zeros(&mut host, at(200), zeros(&sender));
    assert!(matches!(effect(&mut host), Some(Effect::Publish(..))));
    host.handle_published(at(200), attempt, Ok(Published::New));
    // The path to the sender is cut: not even the hello arrives, and the host leaves the session.
    for ms in (200..20_000).step_by(10) {
        host.handle_timeout(at(ms));
        while said(&mut host, at(ms)).is_some() {}
    }
    assert!(host.session().is_none());

    // Announcements continue, and the path works again.
    let announced = announcement(&mut sender, at(20_000));
    host.handle_datagram(at(20_000), wall(at(20_000)), SENDER, &announced).expect("fresh");
    pass_on(&mut host, [&mut sender], at(20_100));
    assert_eq!(sender.rows()[0].state, HostState::Done);
    deliver(&mut sender, &mut host, at(20_100));
    let announced = announcement_of(1, at(25_000));
    host.handle_datagram(at(25_000), wall(at(25_000)), SENDER, &announced).expect("fresh");
    assert_eq!(said(&mut host, at(26_000)), None, "it was acknowledged");
}

#[test]
fn a_host_that_comes_after_the_verdict_changes_nothing_in_the_table() {
    let (mut sender, mut host) = (sender(1, 1), receiver());
    let attempt = join(&mut host, &mut sender, at(0));
    read_zeros(&mut sender, at(1));
    deliver(&mut sender, &mut host, at(200));
    take_zeros(&mut host, at(200), zeros(&sender));
    let _ = effect(&mut host);
    host.handle_published(at(200), attempt, Ok(Published::New));
    pass_on(&mut host, [&mut sender], at(201));
    assert_eq!(sender.verdict(), Some(&Verdict::Complete));

    // The host's next start hears an announcement that was in flight.
    let mut again = Receiver::new(ReceiverConfig { start: [9; 16], ..host_config() });
    let announced = announcement_of(1, at(0));
    again.handle_datagram(at(202), wall(at(202)), SENDER, &announced).expect("fresh");
    let (_, hello) = said(&mut again, at(400)).expect("a hello");
    assert_eq!(sender.handle_datagram(at(400), HOST, &hello), Err(Discard::UnknownHost));
    assert_eq!(sender.rows()[0].state, HostState::Done);
}

/// Returns the first announcement of a sender of this session.
fn announcement_of(session: u8, now: Moment) -> Vec<u8> {
    announcement(&mut sender(session, 1), now)
}

fn sender(session: u8, hosts: u32) -> Sender {
    Sender::new(at(0), SenderConfig { expected: Expected::Count(hosts), ..push_of(session, 4_096) })
}

fn receiver() -> Receiver {
    Receiver::new(host_config())
}
