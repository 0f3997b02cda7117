//! Runs of symbols, by which simulations feed thousands of hosts, are what their symbols are one by one.

use std::net::SocketAddr;
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, Sequence, SessionId};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::receiver::{Admission, Effect, Opened, Receiver, ReceiverConfig};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{Expected, Pace, Sender, SenderConfig};
use glancecast_proto::time::{Moment, WallClock};
use glancecast_proto::units::Rate;
use glancecast_proto::wire::{DiskFormat, Encoding, ManifestEntry, Pin, SymbolHeader};

#[test]
fn a_run_of_symbols_is_taken_in_as_its_symbols_one_by_one() {
    let (mut at_once, mut one_by_one) = (Side::new(), Side::new());
    let mut sequence = 10;
    // K is 72: source symbols; the same again; some that are new; repair symbols until there are more than enough.
    let runs = [
        (0, 0),
        (0, 50),
        (0, 50),
        (45, 20),
        (100, 2),
        (100, 3),
        (110, 2),
        (105, 1),
        (200, 20),
        (300, 3),
        (0, 9),
    ];
    for (esi, count) in runs {
        let first = SymbolHeader {
            tag: at_once.sender.config().session.tag(),
            sequence: Sequence::new(sequence).expect("small"),
            block: BlockIndex(0),
            esi: Esi::new(esi).expect("small"),
            encoded_len: BYTES as u32,
        };
        at_once.host.accept_run(NOW, &first, count, DATAGRAM);
        (0..count).for_each(|n| one_by_one.take(&first, n));
        sequence += u64::from(count) + 2;
        assert_eq!(at_once.state(sequence), one_by_one.state(sequence), "{count} symbols from {esi} on");
    }
    assert!(at_once.host.poll_effect(true).is_some() && one_by_one.host.poll_effect(true).is_some());
}

struct Side {
    sender: Sender,
    host: Receiver,
}

impl Side {
    /// A host that has joined and knows the manifest.
    fn new() -> Self {
        let mut side = Self { sender: sender(), host: receiver() };
        side.deliver(Moment::default());
        let Some(Effect::Open(attempt, ..)) = side.host.poll_effect(true) else { panic!("it joins") };
        side.host.handle_opened(Moment::default(), attempt, Ok(Opened::New));
        let entry = ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([1; 32]) };
        side.sender.handle_block(entry, 0);
        side.deliver(Moment::default());
        // Who has not said hello answers no poll.
        let mut out = Vec::new();
        while side.host.poll_transmit(NOW + Duration::from_secs(1), &mut out).is_some() {}
        side
    }

    fn deliver(&mut self, now: Moment) {
        let mut out = Vec::new();
        while self.sender.poll_transmit(now, &mut out).is_some() {
            let _ = self.host.handle_datagram(now, WALL, SENDER, &out);
        }
    }

    fn take(&mut self, first: &SymbolHeader, n: u32) {
        let esi = first.esi.plus(n).expect("small");
        let header = SymbolHeader { sequence: first.sequence.plus(n), esi, ..*first };
        match self.host.admit(&header) {
            Ok(Admission::To(place)) => self.host.accept(NOW, &header, place, DATAGRAM),
            Ok(Admission::Spare(reason)) => self.host.note_spare(NOW, &header, DATAGRAM, reason),
            Err(_) => {}
        }
    }

    /// What it has dropped, and all that it says: both sides have drawn the same random numbers.
    fn state(&mut self, round: u64) -> (String, Vec<Vec<u8>>) {
        let now = Moment::default() + Duration::from_secs(round);
        self.deliver(now);
        let mut said = Vec::new();
        let mut out = Vec::new();
        while self.host.poll_transmit(now + Duration::from_secs(1), &mut out).is_some() {
            said.push(std::mem::take(&mut out));
        }
        assert!(said.len() > 1 || round > 20, "a hello and a report");
        (self.host.discards().to_string(), said)
    }
}

fn sender() -> Sender {
    let config = SenderConfig {
        session: SessionId([1; 16]),
        key: GroupKey::new([7; 32]),
        geometry: Geometry::for_path(BYTES, 1500, 20).expect("in range"),
        name: ObjectName::new("image").expect("plain"),
        image_id: None,
        format: DiskFormat::Raw,
        pin: Pin::None,
        reply_to: SENDER,
        expected: Expected::Count(1),
        timeout: Duration::from_secs(6_000),
        started: WALL,
        pace: Pace::Fixed(Rate::mbit(1_000)),
        header_bytes: 42,
        one_way: None,
        base: None,
        signer: None,
        only_listed: false,
    };
    Sender::new(Moment::default(), config)
}

fn receiver() -> Receiver {
    Receiver::new(ReceiverConfig {
        name: HostName::new("compute-1").expect("plain"),
        software: "glancecastd 1.0".into(),
        keys: vec![GroupKey::new([7; 32])],
        senders: Vec::new(),
        start: [1; 16],
        seed: [2; 32],
        buffer_bytes: 1 << 20,
    })
}

const BYTES: u64 = 100 << 10;
const DATAGRAM: usize = 1_468;
const NOW: Moment = Moment::from_micros(1_000);
const WALL: WallClock = WallClock(1_700_000_000_000);
const SENDER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 7167);
