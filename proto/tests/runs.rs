//! Runs of symbols, which simulations feed to thousands of hosts, have the effect of their symbols one by one.

mod pair;

use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::ids::{BlockIndex, Sequence};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::receiver::{Admission, Receiver};
use glancecast_proto::sender::{Sender, SenderConfig};
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{Encoding, ManifestEntry, SymbolHeader};
use pair::{at, deliver, effect, host_config, open, push_of};

#[test]
fn a_run_of_symbols_is_taken_in_as_its_symbols_one_by_one() {
    let (mut at_once, mut one_by_one) = (Side::new(), Side::new());
    let mut sequence = 10;
    // K is 72: source symbols; the same again; some new ones, also on both sides of K; repair symbols until there are more than enough.
    let runs = [
        (0, 0),
        (0, 50),
        (0, 50),
        (45, 20),
        (66, 5),
        (68, 10),
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
    assert!(effect(&mut at_once.host).is_some() && effect(&mut one_by_one.host).is_some());
}

struct Side {
    sender: Sender,
    host: Receiver,
}

impl Side {
    /// Returns a host that has joined and knows the manifest.
    fn new() -> Self {
        let config = SenderConfig { timeout: Duration::from_secs(6_000), ..push_of(1, BYTES) };
        let mut side = Self { sender: Sender::new(at(0), config), host: Receiver::new(host_config()) };
        deliver(&mut side.sender, &mut side.host, at(0));
        open(&mut side.host, at(0));
        let entry = ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([1; 32]) };
        side.sender.handle_block(entry, 0);
        deliver(&mut side.sender, &mut side.host, at(0));
        // A host that has not sent its hello answers no poll.
        let mut out = Vec::new();
        while side.host.poll_transmit(NOW + Duration::from_secs(1), &mut out).is_some() {}
        side
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

    /// Returns what the host dropped and all that it sends: both sides have drawn the same random numbers.
    fn state(&mut self, round: u64) -> (String, Vec<Vec<u8>>) {
        let now = at(1_000 * round);
        deliver(&mut self.sender, &mut self.host, now);
        let mut said = Vec::new();
        let mut out = Vec::new();
        while self.host.poll_transmit(now + Duration::from_secs(1), &mut out).is_some() {
            said.push(std::mem::take(&mut out));
        }
        assert!(said.len() > 1 || round > 20, "a hello and a report");
        (self.host.discards().to_string(), said)
    }
}

const BYTES: u64 = 100 << 10;
const DATAGRAM: usize = 1_468;
const NOW: Moment = Moment::from_micros(1_000);
