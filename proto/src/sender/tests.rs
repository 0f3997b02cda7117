use super::*;
use crate::geometry::Geometry;
use crate::ids::{HostName, ObjectName, ReceiverId, SessionId};
use crate::integrity::BlockHash;
use crate::seal::GroupKey;
use crate::units::Rate;
use crate::wire::{DiskFormat, Done, Header, Hello, KeptRun, Pin, Totals, Up};

#[test]
fn no_symbol_leaves_before_the_expected_hosts_were_heard() {
    let mut sender = reading(Expected::Count(2));
    hear(&mut sender, 1, hello(1, Vec::new()));
    assert!(sender.holds_symbols_back() && sender.poll_job(JobRoom::ANY).is_none());
    hear(&mut sender, 2, hello(2, Vec::new()));
    assert!(matches!(sender.poll_job(JobRoom::ANY), Some(Job::Source { block: BlockIndex(0), .. })));
}

#[test]
fn hosts_that_are_not_heard_hold_symbols_back_until_the_timer_that_says_so() {
    let mut sender = reading(Expected::Count(2));
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
    let mut sender = reading(Expected::Anyone);
    sender.handle_timeout(at(0));
    assert!(sender.poll_job(JobRoom::ANY).is_some());
}

#[test]
fn symbols_are_held_back_while_all_hosts_are_busy() {
    let mut sender = reading(Expected::Count(1));
    let Up::Hello(free) = hello(1, Vec::new()) else { unreachable!() };
    hear(&mut sender, 1, Up::Hello(Hello { busy: true, ..free.clone() }));
    assert!(sender.holds_symbols_back());
    hear(&mut sender, 2, Up::Hello(free));
    assert!(!sender.holds_symbols_back());
}

#[test]
fn a_block_that_every_host_kept_is_skipped_and_one_that_is_lacking_is_sent() {
    let mut sender = reading(Expected::Count(1));
    hear(&mut sender, 1, hello(1, vec![KeptRun { first: BlockIndex(0), blocks: 1 }]));
    assert!(sender.is_resuming() && !sender.needs_pass(BlockIndex(0)) && sender.needs_pass(BlockIndex(1)));
    assert_eq!(sender.poll_skip(at(1)), Some(BlockIndex(0)));
    assert_eq!(sender.poll_skip(at(1)), None);
    assert_eq!(sender.blocks_skipped(), 1);
    assert!(matches!(sender.poll_job(JobRoom::ANY), Some(Job::Source { block: BlockIndex(1), .. })));
}

#[test]
fn an_acknowledgement_goes_to_its_host_and_leaves_no_gap_in_the_groups_numbers() {
    let mut sender = reading(Expected::Count(1));
    drain(&mut sender, at(0));
    let next = sender.sequences.next();
    hear(&mut sender, 1, hello(1, Vec::new()));
    let mut out = Vec::new();
    let transmit = sender.poll_transmit(at(0), &mut out).expect("an acknowledgement");
    assert_eq!((transmit.to, transmit.kind), (To::Host(HOST), Kind::Ack));
    let number = Header::parse(&out).expect("ours").sequence;
    assert!(number.value() > 1 << 38, "{number:?}");
    assert_eq!(sender.sequences.next(), next);
}

#[test]
fn what_is_not_proven_is_aborted_and_what_hosts_may_have_published_is_given_up() {
    let mut sender = reading(Expected::Count(1));
    sender.handle_abort(at(1), "no");
    assert_eq!(sender.verdict(), Some(&Verdict::Aborted("no".into())));
    let mut sender = proven(Expected::Count(1));
    sender.handle_abort(at(1), "no");
    assert_eq!(sender.verdict(), Some(&Verdict::GivenUp("no".into())));
    sender.handle_abort(at(2), "again");
    assert_eq!(sender.verdict(), Some(&Verdict::GivenUp("no".into())), "the first verdict stands");
}

#[test]
fn a_push_that_lasts_too_long_ends_by_what_was_read_of_it() {
    let mut sender = reading(Expected::Count(1));
    sender.handle_timeout(at(59_999));
    assert_eq!(sender.verdict(), None);
    sender.handle_timeout(at(60_000));
    assert!(matches!(sender.verdict(), Some(Verdict::Aborted(_))));
    let mut sender = proven(Expected::Count(1));
    sender.handle_timeout(at(60_000));
    assert_eq!(sender.verdict(), Some(&Verdict::Incomplete));
}

#[test]
fn a_push_is_complete_when_the_expected_host_is_done_and_over_when_that_was_said() {
    let mut sender = proven(Expected::Count(1));
    hear(&mut sender, 1, hello(1, Vec::new()));
    while let Some(job) = sender.poll_job(JobRoom::ANY) {
        let last = sender.take_sequences(job.symbols(K));
        sender.handle_sent(at(1), job, last);
    }
    drain(&mut sender, at(1));
    let root = sender.root().expect("proven");
    hear(&mut sender, 1, Up::Done(Done { root, existing: false, totals: Totals::default() }));
    assert_eq!(sender.verdict(), Some(&Verdict::Complete));
    assert!(!sender.is_finished(), "hosts are to hear of it");
    while let Some((now, timer)) = sender.poll_timeout() {
        assert_eq!(timer, SenderTimer::End);
        drain(&mut sender, now);
    }
    assert!(sender.is_finished());
}

/// A push of four blocks that were read; the source is not proven yet.
fn reading(expected: Expected) -> Sender {
    let mut sender = Sender::new(at(0), config(expected));
    for block in geometry().indices() {
        sender.handle_block(ManifestEntry { encoding: Encoding::Stored, hash: hash(block) }, 0);
    }
    sender
}

fn proven(expected: Expected) -> Sender {
    let mut sender = reading(expected);
    sender.handle_source_proven(at(0));
    sender
}

fn config(expected: Expected) -> SenderConfig {
    SenderConfig {
        session: SESSION,
        key: key(),
        signer: None,
        geometry: geometry(),
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: ([10, 0, 0, 1], 7167).into(),
        expected,
        only_listed: false,
        timeout: Duration::from_secs(60),
        started: WallClock(0),
        pace: Pace::Fixed(Rate::mbit(1_000)),
        header_bytes: 42,
        one_way: None,
        base: None,
    }
}

/// Hands `sender` the message `up` of the host `id`.
fn hear(sender: &mut Sender, id: u8, up: Up) {
    // Each number is used once.
    let number = if matches!(up, Up::Hello(_)) { 1 } else { 2 };
    let (id, mut out) = (ReceiverId([id; 8]), Vec::new());
    let cipher = Cipher::upward(&key(), SESSION, id);
    up.seal(&cipher, SESSION.tag(), id, Sequence::new(number).expect("small"), &mut out);
    sender.handle_datagram(at(0), HOST, &out).expect("it makes sense");
}

fn hello(host: u8, kept: Vec<KeptRun>) -> Up {
    let name = HostName::new(&format!("compute-{host}")).expect("plain");
    Up::Hello(Hello { name, software: "test".into(), busy: false, kept })
}

fn drain(sender: &mut Sender, now: Moment) {
    let mut out = Vec::new();
    while sender.poll_transmit(now, &mut out).is_some() {}
}

fn hash(block: BlockIndex) -> BlockHash {
    BlockHash([block.0 as u8; 32])
}

fn geometry() -> Geometry {
    Geometry::new(4 << 20, 20, 8192).expect("in range")
}

fn key() -> GroupKey {
    GroupKey::new([7; 32])
}

fn at(ms: u64) -> Moment {
    Moment::from_micros(ms * 1_000)
}

const SESSION: SessionId = SessionId([1; 16]);
const HOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 40_000);
/// Symbols of a block.
const K: u32 = 128;
