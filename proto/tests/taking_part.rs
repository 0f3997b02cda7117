//! Which sessions a host takes part in, and which it ignores: the machines from outside, with real datagrams between
//! them. `leaving.rs` has how a host leaves a session.

mod crypto;
mod pair;

use std::collections::BTreeSet;
use std::time::Duration;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::integrity::{BlockHash, Fingerprint};
use glancecast_proto::receiver::{Effect, Receiver, ReceiverConfig, ReceiverEvent, buffer_symbols};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{
    Expected, HostState, JobRoom, OneWay, Sender, SenderConfig, SenderEvent, Verdict,
};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::wire::{BaseName, Discard, Encoding, Kind, ManifestEntry, Notice, VERSION};
use pair::{
    HOST, SENDER, WALL, announcement, at, deliver, effect, host_config, join, key, left, pass_on, push_of,
    read_zeros, said,
};

#[test]
fn a_sender_of_another_version_is_answered_with_a_notice_that_it_can_read() {
    let mut sender = sender(1, 1);
    let mut host = receiver();
    // A sender of the next version: only the first five bytes are the same.
    let mut future = announcement(&mut sender, at(0));
    future[0] = VERSION + 1;
    assert_eq!(host.handle_datagram(at(0), WALL, SENDER, &future), Err(Discard::OtherVersion));
    assert_eq!(host.poll_event(), Some(ReceiverEvent::OtherVersion(SENDER, VERSION + 1)));
    let (to, mut notice) = said(&mut host, at(2_000)).expect("a notice");
    assert_eq!((to, notice[1]), (SENDER, Kind::Notice as u8));

    // That sender can read the notice, whose format is the same in every version, and nobody can alter it.
    let read = Notice::open(&GroupKey::new([7; 32]), &notice).expect("a notice");
    assert_eq!(
        (read.version, read.name.as_str(), read.software.as_str()),
        (VERSION, "compute-1", "glancecastd 1.0")
    );
    assert_eq!(read.tag, sender.config().session.tag());
    assert_eq!(
        sender.handle_datagram(at(1), HOST, &notice),
        Err(Discard::OtherSession),
        "of our own version"
    );
    notice[0] = VERSION + 1;
    assert_eq!(sender.handle_datagram(at(1), HOST, &notice), Err(Discard::Forged), "the version is sealed");
}

#[test]
fn a_senders_table_names_a_host_of_another_version_and_the_push_ends() {
    let mut sender = sender(1, 1);
    let notice = notice_of(&sender);
    sender.handle_datagram(at(1), HOST, &notice).expect("a notice of the next version");
    let row = &sender.rows()[0];
    assert_eq!((row.name.as_str(), row.state), ("compute-1", HostState::OtherVersion));
    let reason = row.reason.clone().expect("said");
    assert!(reason.contains("version 3") && reason.contains("glancecastd 9.0"), "{reason}");
    assert!(matches!(sender.poll_event(), Some(SenderEvent::OtherVersion(..))));
    sender.handle_datagram(at(2), HOST, &notice).expect("again");
    assert_eq!(sender.poll_event(), None, "told once");

    read_zeros(&mut sender, at(3));
    send_all(&mut sender, at(4));
    sender.handle_timeout(at(5_003));
    assert_eq!(
        sender.verdict(),
        None,
        "any host of the group can have sent it: the host itself may still be heard"
    );
    sender.handle_timeout(at(5_004));
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete));
}

#[test]
fn a_version_notice_is_not_answered() {
    let mut host = receiver();
    let notice = notice_of(&sender(1, 1));
    assert_eq!(host.handle_datagram(at(0), WALL, SENDER, &notice), Err(Discard::UnknownKind));
    assert_eq!(said(&mut host, at(0)), None);
}

#[test]
fn announcements_of_another_time_are_refused() {
    let datagram = announcement(&mut sender(1, 1), at(0));
    for (distance, taken) in [(0, true), (300_000, true), (300_001, false), (1 << 40, false)] {
        for wall in [WALL.0.checked_sub(distance), WALL.0.checked_add(distance)].into_iter().flatten() {
            let mut host = receiver();
            let verdict = host.handle_datagram(at(0), WallClock(wall), SENDER, &datagram);
            assert_eq!(verdict, if taken { Ok(()) } else { Err(Discard::Stale) }, "{distance} ms");
            assert_eq!(host.session().is_some(), taken);
        }
    }
}

#[test]
fn announcements_of_another_group_are_told_once() {
    let mut host: Receiver =
        Receiver::new(ReceiverConfig { keys: vec![GroupKey::new([9; 32])], ..host_config() });
    let mut sender = sender(1, 1);
    for ms in [0, 100] {
        let datagram = announcement(&mut sender, at(ms));
        assert_eq!(host.handle_datagram(at(ms), WALL, SENDER, &datagram), Err(Discard::WrongKey));
    }
    assert_eq!(host.poll_event(), Some(ReceiverEvent::WrongKey(SENDER)));
    assert_eq!(host.poll_event(), None);
}

#[test]
fn a_host_at_work_says_that_it_is_busy_and_joins_afterwards() {
    let (mut first, mut second) = (sender(1, 1), sender(2, 1));
    let mut host = receiver();
    let _ = join(&mut host, &mut first, at(0));
    let datagram = announcement(&mut second, at(0));
    host.handle_datagram(at(0), WALL, SENDER, &datagram).expect("fresh");
    pass_on(&mut host, [&mut first, &mut second], at(10));
    assert_eq!(first.rows()[0].state, HostState::Receiving);
    assert_eq!(second.rows()[0].state, HostState::Busy);

    first.handle_abort(at(20), "no");
    deliver(&mut first, &mut host, at(20));
    assert!(left(&mut host).is_some());
    let datagram = announcement(&mut second, at(200));
    host.handle_datagram(at(200), WALL, SENDER, &datagram).expect("fresh");
    assert!(matches!(effect(&mut host), Some(Effect::Prepare(..))));
    pass_on(&mut host, [&mut first, &mut second], at(300));
    assert_eq!(second.rows().len(), 1, "the same receiver");
    assert_eq!(second.rows()[0].state, HostState::Receiving);
}

#[test]
fn a_host_at_work_says_nothing_to_a_push_that_nobody_can_answer() {
    let mut host = receiver();
    let _ = join(&mut host, &mut sender(1, 1), at(0));
    let one_way = Some(OneWay { overhead: 0.1, passes: 1 });
    let config = SenderConfig { one_way, expected: Expected::Anyone, ..sender_config(2, 1) };
    let datagram = announcement(&mut Sender::new(at(0), config), at(0));
    host.handle_datagram(at(0), WALL, SENDER, &datagram).expect("fresh");
    let tags: Vec<u8> = (0..40).flat_map(|i| spoken_to(&mut host, at(i * 100))).collect();
    assert!(tags.contains(&1) && !tags.contains(&2), "{tags:?}");
}

#[test]
fn eight_pushes_are_told_that_a_host_is_busy_and_those_it_refuses_take_none_of_these_places() {
    let announced = |session: u8, signer: u8| {
        let config = SenderConfig { signer: Some(key(signer)), ..sender_config(session, 1) };
        announcement(&mut Sender::new(at(0), config), at(0))
    };
    let mut host = Receiver::new(ReceiverConfig { senders: vec![key(1).public()].into(), ..host_config() });
    for session in 1..30 {
        let signer = if session % 2 == 1 { 1 } else { 2 };
        let from = ([10, 0, 1, session], 7_167).into(); // each sender has signatures of its own checked
        let _ = host.handle_datagram(at(0), WALL, from, &announced(session, signer));
    }
    let told: BTreeSet<u8> = (0..40).flat_map(|i| spoken_to(&mut host, at(i * 100))).collect();
    let busy = told.iter().filter(|&session| session % 2 == 1).count();
    assert_eq!((busy, told.len() - busy), (1 + 8, 8), "the one that it is in, and eight of each: {told:?}");
}

#[test]
fn a_host_has_as_many_buffers_as_its_memory_holds() {
    let announced = |blocks: u64| {
        let geometry = Geometry::for_path(blocks << 20, 1500, 20).expect("in range");
        announcement(&mut Sender::new(at(0), SenderConfig { geometry, ..sender_config(1, 1) }), at(0))
    };
    let one = {
        let geometry = Geometry::for_path(100 << 20, 1500, 20).expect("in range");
        let symbols = buffer_symbols(geometry.symbols_max()) as usize;
        symbols * usize::from(geometry.symbol_size())
    };
    for (buffer_bytes, blocks, expected) in [
        (0, 100, 4),
        (4 * one, 100, 4),
        (5 * one - 1, 100, 4),
        (5 * one, 100, 5),
        (37 * one + 1, 100, 37),
        (37 * one, 20, 20),
        (2_000 * one, 3_000, 1_024),
    ] {
        let mut host = Receiver::new(ReceiverConfig { buffer_bytes, ..host_config() });
        host.handle_datagram(at(0), WALL, SENDER, &announced(blocks)).expect("fresh");
        let Some(Effect::Prepare(_, _, buffers)) = effect(&mut host) else { panic!("it joins") };
        assert_eq!(buffers, expected, "{buffer_bytes} bytes, {blocks} blocks");
    }
}

#[test]
fn an_image_id_that_is_none_is_not_read() {
    let announced = |image_id: &str| {
        let config = SenderConfig { image_id: Some(image_id.to_owned()), ..sender_config(1, 1) };
        announcement(&mut Sender::new(at(0), config), at(0))
    };
    let good = "0f5c2c1e-7d3a-4c58-9b4f-3a1d2e4f5a6b";
    let mut host = receiver();
    for bad in ["0f5c2c1e", &good.replace('-', "_"), &good.replace('0', "g")] {
        let refused = host.handle_datagram(at(0), WALL, SENDER, &announced(bad));
        assert_eq!(refused, Err(Discard::Malformed), "{bad}");
        assert!(host.session().is_none());
    }
    host.handle_datagram(at(0), WALL, SENDER, &announced(good)).expect("an id");
    assert_eq!(host.session().and_then(|announce| announce.image_id.clone()).as_deref(), Some(good));
}

#[test]
fn nothing_is_sent_while_every_host_is_at_work_on_another_push() {
    let (mut first, mut second) = (sender(1, 1), sender(2, 1));
    let mut host = receiver();
    let _ = join(&mut host, &mut first, at(0));
    let datagram = announcement(&mut second, at(0));
    host.handle_datagram(at(0), WALL, SENDER, &datagram).expect("fresh");
    let stored = ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([1; 32]) };
    second.handle_block(stored, 0);
    pass_on(&mut host, [&mut first, &mut second], at(10));
    assert_eq!(second.tally().busy, 1);
    assert!(second.poll_job(JobRoom::ANY).is_none());
    first.handle_abort(at(20), "no");
    deliver(&mut first, &mut host, at(20));
    assert!(left(&mut host).is_some());
    let _ = join(&mut host, &mut second, at(200));
    pass_on(&mut host, [&mut first, &mut second], at(300));
    assert!(second.poll_job(JobRoom::ANY).is_some());
}

#[test]
fn a_clock_that_jumps_in_mid_session_ends_nothing() {
    let mut sender = sender(1, 1);
    let mut host = receiver();
    let _ = join(&mut host, &mut sender, at(0));
    let datagram = announcement(&mut sender, at(100));
    for jumped in [WallClock(0), WallClock(WALL.0 + 86_400_000)] {
        assert_eq!(host.handle_datagram(at(100), jumped, SENDER, &datagram), Ok(()));
    }
    let joined = host.poll_event();
    assert!(matches!(joined, Some(ReceiverEvent::Joined(_))), "{joined:?}");
    assert_eq!(host.poll_event(), None);
    assert!(host.session().is_some());
}

#[test]
fn a_hello_that_is_played_again_changes_nothing() {
    let (mut first, mut second) = (sender(1, 1), sender(2, 1));
    let mut host = receiver();
    let _ = join(&mut host, &mut first, at(0));
    let datagram = announcement(&mut second, at(0));
    host.handle_datagram(at(0), WALL, SENDER, &datagram).expect("fresh");
    let (_, own) = said(&mut host, at(10)).expect("to the first");
    let (_, busy) = said(&mut host, at(10)).expect("to the second");
    first.handle_datagram(at(10), HOST, &own).expect("a hello");
    second.handle_datagram(at(10), HOST, &busy).expect("a hello");
    first.handle_abort(at(20), "no");
    deliver(&mut first, &mut host, at(20));
    let _ = join(&mut host, &mut second, at(200));
    let (_, hello) = said(&mut host, at(300)).expect("a hello");
    second.handle_datagram(at(300), HOST, &hello).expect("a newer one");
    assert_eq!(second.handle_datagram(at(301), HOST, &busy), Err(Discard::Replayed));
    assert_eq!(second.rows()[0].state, HostState::Receiving);
}

#[test]
fn a_base_that_takes_for_ever_is_done_without() {
    let base = Some(BaseName::new("older").expect("plain"));
    let config = SenderConfig { base, timeout: Duration::from_secs(900), ..sender_config(1, 1) };
    let mut sender = Sender::new(at(0), config);
    let mut host = receiver();
    let _ = join(&mut host, &mut sender, at(0));
    pass_on(&mut host, [&mut sender], at(100));
    let entry = ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([1; 32]) };
    sender.handle_fingerprinted(entry, Some(Fingerprint([1; 16])));
    for (ms, asks) in [(200, false), (599_000, false), (600_500, true)] {
        // The sender is alive, and polls for deficits.
        sender.handle_timeout(at(ms));
        deliver(&mut sender, &mut host, at(ms));
        host.handle_timeout(at(ms));
        pass_on(&mut host, [&mut sender], at(ms + 50));
        sender.handle_timeout(at(ms + 50));
        assert_eq!(sender.poll_job(JobRoom { repair: true, source: false }).is_some(), asks, "after {ms} ms");
    }
}

#[test]
fn a_push_times_out_at_the_moment_that_its_timer_names() {
    let mut sender = sender_for(1, 1, Duration::from_nanos(5_000_500));
    read_zeros(&mut sender, at(0));
    let mut now = at(0);
    for _ in 0..20 {
        let Some((next, _)) = sender.poll_timeout() else { break };
        now = now.max(next);
        sender.handle_timeout(now);
        send_all(&mut sender, now);
    }
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete), "it is called until {now}, and not for ever");
}

/// Returns the first byte of each session to whose sender the host sends now.
fn spoken_to(host: &mut Receiver, now: Moment) -> Vec<u8> {
    std::iter::from_fn(|| said(host, now)).map(|(_, datagram)| datagram[2]).collect()
}

fn send_all(sender: &mut Sender, now: Moment) {
    let mut out = Vec::new();
    while sender.poll_transmit(now, &mut out).is_some() {}
}

/// Returns the notice of a host of the next version about this push.
fn notice_of(sender: &Sender) -> Vec<u8> {
    crypto::notice([7; 32], VERSION + 1, sender.config().session.tag().0, "compute-1")
}

fn sender(session: u8, hosts: u32) -> Sender {
    sender_for(session, hosts, Duration::from_secs(600))
}

fn sender_for(session: u8, hosts: u32, timeout: Duration) -> Sender {
    Sender::new(at(0), SenderConfig { timeout, ..sender_config(session, hosts) })
}

fn sender_config(session: u8, hosts: u32) -> SenderConfig {
    SenderConfig { expected: Expected::Count(hosts), ..push_of(session, 4_096) }
}

fn receiver() -> Receiver {
    Receiver::new(host_config())
}
