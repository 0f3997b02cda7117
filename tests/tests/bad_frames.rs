//! A sender with the group's key whose zstd frames do not match the manifest: one claims a tebibyte, one is truncated,
//! one requires a dictionary. The receiver rejects each block, reports it, needs no more memory, and publishes nothing.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use glancecast_platform::batch::Batch;
use glancecast_platform::clock::{Clock, wall};
use glancecast_platform::interface::Interface;
use glancecast_platform::multicast::Group;
use glancecast_platform::transport::{Downlink, Marking, Offload};
use glancecast_platform::{keyfile, random};
use glancecast_proto::agree::AgreementKey;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, ObjectName, SessionId};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::known::KnownHosts;
use glancecast_proto::sender::{Expected, Job, JobRoom, Pace, Reach, Sender, SenderConfig, To};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{DiskFormat, Encoding, ManifestEntry, Pin, SymbolHeader};
use glancecast_tests::measured;
use glancecast_tests::process::Process;
use glancecast_tests::testbed::Testbed;
use nix::sys::signal::Signal;
use zeroize::Zeroizing;

#[test]
fn frames_that_are_no_blocks_are_refused_and_nothing_is_published() {
    let testbed = Testbed::loopback();
    let mut receiver = testbed.receiver("r1", &[]);
    let plain = plain();
    let frames = [claims_a_tebibyte(&plain), cut_short(&plain), for_a_dictionary(&plain)];
    let refused = push(&testbed, &frames, &plain, &receiver.process);

    receiver.process.signal(Signal::SIGTERM);
    let end = receiver.process.wait(SOON);
    assert_eq!(end.code(), Some(0));
    assert!(receiver.stored().iter().all(|name| name != "image"), "{:?}", receiver.stored());
    assert!(end.resident_bytes_max <= MEMORY_MAX, "{} MiB resident", end.resident_bytes_max >> 20);
    measured!("{refused} blocks refused, {} MiB resident", end.resident_bytes_max >> 20);
}

/// Sends blocks `frames` with the hashes of `plain`, until each was rejected more than once.
fn push(testbed: &Testbed, frames: &[Vec<u8>], plain: &[u8], receiver: &Process) -> usize {
    let group: Group = testbed.group().to_string().parse().expect("a group");
    let interface = Interface::choose(Some("lo"), group).expect("a loopback interface");
    let geometry = Geometry::new((frames.len() * BLOCK) as u64, 20, 1432).expect("in range");
    let marking = Marking { ttl: 1, dscp: 8 };
    let mut downlink =
        Downlink::open(group.into(), &interface, 0, marking, geometry.datagram_bytes(), Offload::Used)
            .expect("a downlink");
    let clock = Clock::start();
    let mut machine = Sender::new(clock.now(), config(geometry, &mut downlink, testbed.key()));
    for (block, frame) in geometry.indices().zip(frames) {
        let encoding = Encoding::Zstd { encoded_len: frame.len() as u32 };
        let hash = BlockHash::of(geometry, block, plain);
        let _: BlockIndex = machine.handle_block(ManifestEntry { encoding, hash }, 0);
    }
    machine.handle_source_proven(clock.now());
    let (mut out, mut batch) = (Vec::new(), Batch::default());
    loop {
        let now = clock.now();
        assert!(now.micros() < SOON.as_micros() as u64, "each block was not refused in time");
        batch.receive(downlink.as_fd()).expect("a downlink");
        for (from, datagram) in batch.datagrams() {
            let _ = machine.handle_datagram(now, from, datagram);
        }
        machine.handle_timeout(now);
        while let Some(transmit) = machine.poll_transmit(now, &mut out) {
            downlink.send(&out, transmit.to).expect("a way");
        }
        if let Some(job @ Job::Source { block, .. }) = machine.poll_job(JobRoom::ANY) {
            send(&mut machine, &mut downlink, job, &frames[block.index()], geometry);
        }
        let refusals = |block: usize| {
            let words = format!("block={block}");
            let lines = receiver.log_lines();
            let of_it = |line: &&String| line.contains("does not match its hash") && line.contains(&words);
            lines.iter().filter(of_it).count()
        };
        let refused: Vec<usize> = (0..frames.len()).map(refusals).collect();
        if refused.iter().all(|&times| times >= 2) {
            return refused.iter().sum();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn send(machine: &mut Sender, downlink: &mut Downlink, job: Job, frame: &[u8], geometry: Geometry) {
    let shape = geometry.shape(frame.len() as u32);
    let mut symbols = frame.to_vec();
    symbols.resize(shape.source_bytes(), 0);
    let mut datagram = vec![0; geometry.datagram_bytes()];
    let mut last = machine.take_sequences(To::Everyone, 0);
    for (at, symbol) in (0..).zip(symbols.chunks_exact(shape.symbol_size())) {
        last = machine.take_sequences(To::Everyone, 1);
        let header = SymbolHeader {
            tag: machine.config().session.tag(),
            sequence: last,
            block: job.block(),
            esi: job.esi(shape.source_symbols(), at),
            encoded_len: frame.len() as u32,
        };
        header.seal(machine.cipher(), symbol, &mut datagram);
        downlink.send(&datagram, To::Everyone).expect("a way");
    }
    machine.handle_sent(Clock::start().now(), job, last);
}

fn config(geometry: Geometry, downlink: &mut Downlink, key: &Path) -> SenderConfig {
    SenderConfig {
        session: SessionId(random::bytes().expect("randomness")),
        key: keyfile::load(key).expect("the testbed's key"),
        geometry,
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: downlink.local_addr(),
        reach: Reach::default(),
        expected: Expected::Count(1),
        timeout: SOON,
        join_timeout: None,
        started: wall(),
        pace: Pace::Fixed(Rate::mbit(100)),
        header_bytes: 42,
        one_way: None,
        base: None,
        signer: None,
        known: KnownHosts::default(),
        agreement: AgreementKey::from_seed(&Zeroizing::new(random::bytes().expect("randomness"))),
        data_bytes: None,
    }
}

/// RFC 8878 §3.1.1: magic, descriptor, window, and a content size of 4 bytes here. With the two highest bits of the
/// descriptor set, the content size has 8 bytes.
fn claims_a_tebibyte(plain: &[u8]) -> Vec<u8> {
    let mut frame = frame(plain);
    frame[4] |= 0xC0;
    frame.splice(6..10, (1u64 << 40).to_le_bytes());
    frame
}

fn cut_short(plain: &[u8]) -> Vec<u8> {
    let mut frame = frame(plain);
    frame.truncate(frame.len() / 2);
    frame
}

/// With the lowest bit of the descriptor set, a dictionary's id follows the window.
fn for_a_dictionary(plain: &[u8]) -> Vec<u8> {
    let mut frame = frame(plain);
    frame[4] |= 1;
    frame.insert(6, 77);
    frame
}

fn frame(plain: &[u8]) -> Vec<u8> {
    let frame = zstd::bulk::compress(plain, 1).expect("memory");
    assert_eq!((frame[4], &frame[6..10]), (0x80, &(BLOCK as u32).to_le_bytes()[..]), "a header as told here");
    frame
}

/// Returns a block of text.
fn plain() -> Vec<u8> {
    (0u32..).flat_map(|i| format!("line {i} of many\n").into_bytes()).take(BLOCK).collect()
}

const BLOCK: usize = 1 << 20;
const MEMORY_MAX: u64 = 128 << 20;
const SOON: Duration = Duration::from_secs(30);
