//! Forged symbols of a host that has the group's key: one for each block, and one for each free buffer.

use std::collections::BTreeSet;
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::ids::{BlockIndex, Sequence};
use glancecast_proto::wire::{SYMBOL_OVERHEAD, SymbolHeader};
use glancecast_tests::attacker::{Attack, Attacker, Insider};
use glancecast_tests::image::Seed;
use glancecast_tests::measured;
use glancecast_tests::testbed::{SOON, Testbed};

use super::{SenderKeys, push_of, told_corrupt};

#[test]
fn one_forged_symbol_in_each_block_does_not_stop_a_push() {
    let testbed = Testbed::loopback();
    let keys = SenderKeys::of(&testbed);
    let mut receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    let options = ["--hosts", "r1", "--rate", "100mbit", "--sender-key", &keys.secret];
    let push = push_of(&testbed, "image.raw", BLOCKS << 20, Seed::draw(), &options);
    let forger =
        Forger { insider: Attacker::join(&testbed).with_key(testbed.key()), spoiled: BTreeSet::new() };
    let address = forger.insider.attacker.address();
    let attack = Attack::start(forger, Duration::from_micros(200), Forger::step);
    let (_, report) = push.complete(&receiver);
    let forger = attack.stop();
    receiver.process.terminate(SOON);
    let (bad, forged) = (told_corrupt(&receiver.process), report.host("r1").symbols_forged);
    measured!(
        "{} of {BLOCKS} blocks got a forged symbol: {bad} were bad, {forged} symbols forged, {:.2} s, {:.3} times the least \
         on the wire",
        forger.spoiled.len(),
        report.seconds,
        report.overhead()
    );
    assert!(
        bad >= BLOCKS / 2,
        "{bad} of {} forged symbols did harm, or this shows nothing",
        forger.spoiled.len()
    );
    assert!(forged >= bad, "each is told");
    assert!(report.overhead() < 1.2, "no block is sent again: {}", report.overhead());
    let log = receiver.process.log_lines();
    let named = log.iter().find(|line| line.contains("symbols are not the sender's")).expect("it is logged");
    assert!(named.contains(&address.to_string()), "{named}");
}

#[test]
fn symbols_of_blocks_to_come_leave_a_host_its_buffers() {
    let testbed = Testbed::loopback();
    let keys = SenderKeys::of(&testbed);
    let mut receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    let options = ["--hosts", "r1", "--rate", "300mbit", "--sender-key", &keys.secret];
    let push = push_of(&testbed, "image.raw", 128 << 20, Seed::draw(), &options);
    let insider = Attacker::join(&testbed).with_key(testbed.key());
    // From the last block backwards: one datagram for each buffer, again and again.
    let attack = Attack::start(insider, Duration::from_millis(5), |insider| {
        (32..128).rev().for_each(|block| hoard(insider, block));
    });
    let (_, report) = push.complete(&receiver);
    attack.stop();
    receiver.process.terminate(SOON);
    let log = receiver.process.log_lines();
    let discarded =
        log.iter().rev().find(|line| line.contains("discarded datagrams")).expect("said at its end");
    measured!(
        "{:.2} s, {:.3} times the least on the wire; {}",
        report.seconds,
        report.overhead(),
        discarded.split_once("discarded").expect("just found").1
    );
    assert!(discarded.contains("far_ahead"), "{discarded}");
    assert!(report.overhead() < 1.3, "the pass is not lost: {}", report.overhead());
}

/// Sends one bad symbol of each block of which it hears an early one, before the correct one.
struct Forger {
    insider: Insider,
    spoiled: BTreeSet<u32>,
}

impl Forger {
    fn step(&mut self) {
        let geometry = self.insider.announced.announce.geometry;
        for (_, datagram) in self.insider.attacker.hear() {
            let Ok(heard) = SymbolHeader::parse(&datagram) else { continue };
            let last = geometry.shape(heard.encoded_len).source_symbols() - 1;
            if heard.esi.value() < last / 2 && self.spoiled.insert(heard.block.0) {
                let sequence = Sequence::new(heard.sequence.value() + 2_000).expect("40 bits");
                let esi = Esi::new(last).expect("small");
                say_symbol(&self.insider, &SymbolHeader { sequence, esi, ..heard });
            }
        }
    }
}

/// Sends a symbol of a block that the sender has not begun.
fn hoard(insider: &Insider, block: u32) {
    let header = SymbolHeader {
        tag: insider.announced.announce.session.tag(),
        sequence: Sequence::new(insider.announced.sequence.value() + u64::from(block)).expect("40 bits"),
        block: BlockIndex(block),
        esi: Esi::new(7).expect("small"),
        encoded_len: 1 << 20,
    };
    say_symbol(insider, &header);
}

fn say_symbol(insider: &Insider, header: &SymbolHeader) {
    let symbol = vec![0xBD; usize::from(insider.announced.announce.geometry.symbol_size())];
    let mut out = vec![0; symbol.len() + SYMBOL_OVERHEAD];
    header.seal(insider.cipher(), &symbol, &mut out);
    insider.attacker.say(&out);
}

/// Blocks of the image.
const BLOCKS: u64 = 24;
