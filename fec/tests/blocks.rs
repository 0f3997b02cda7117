//! A block is sent as source and repair symbols and restored, whatever else arrives with them.

use glancecast_fec::{BlockShape, DecodeError, Encoder, Esi, RepairSymbol, SymbolSet, decode};
use glancecast_testkit::Rng;

#[test]
fn any_k_symbols_and_a_few_more_bring_the_block_back() {
    for (k, t, lost) in [(1, 1, 1), (2, 9_000, 2), (10, 33, 3), (101, 1432, 101), (733, 64, 70)] {
        let block = Sample::new(k, t);
        let mut received = block.source.clone();
        let mut held = SymbolSet::full(k);
        for index in 0..lost {
            let index = index * (k / lost);
            held.remove(index);
            received[index as usize * t..][..t].fill(0xEE);
        }
        let repair = block.repair(0, lost + 3);
        decode(block.shape, &mut received, &held, &block.named(0, &repair)).expect("three to spare");
        assert_eq!(received, block.source, "K = {k}, T = {t}, {lost} lost");
    }
}

#[test]
fn ids_near_the_end_of_their_range_work() {
    let block = Sample::new(12, 16);
    let offset = Esi::MAX - 12 - 15;
    let repair = block.repair(offset, 16);
    let mut received = vec![0; block.source.len()];
    decode(block.shape, &mut received, &SymbolSet::empty(12), &block.named(offset, &repair))
        .expect("four to spare");
    assert_eq!(received, block.source);
}

#[test]
fn the_last_ids_of_all_name_symbols_like_others() {
    for k in [1, 10, 733] {
        let block = Sample::new(k, 24);
        let offset = Esi::MAX - k - 3;
        let repair = block.repair(offset, 4);
        let mut held = SymbolSet::full(k);
        held.remove(0);
        let mut received = block.source.clone();
        received[..24].fill(0xEE);
        decode(block.shape, &mut received, &held, &block.named(offset, &repair)).expect("three to spare");
        assert_eq!(received, block.source, "K = {k}");
    }
}

#[test]
fn hostile_repair_symbols_change_nothing() {
    let block = Sample::new(20, 24);
    let good = block.repair(0, 2);
    let mut held = SymbolSet::full(20);
    held.remove(7);
    held.remove(8);
    let first = Esi::first_repair(block.shape);
    let junk = [0u8; 25];
    let bad = [
        RepairSymbol { esi: first, bytes: &good[..24] },
        RepairSymbol { esi: first, bytes: &good[24..] },
        RepairSymbol { esi: Esi::new(3).expect("small"), bytes: &good[24..] },
        RepairSymbol { esi: first.plus(1).expect("small"), bytes: &junk },
        RepairSymbol { esi: first.plus(1).expect("small"), bytes: &[] },
    ];
    let mut received = block.source.clone();
    received[7 * 24..9 * 24].fill(0);
    let before = received.clone();
    let verdict = decode(block.shape, &mut received, &held, &bad);
    assert_eq!(verdict, Err(DecodeError::TooFew { have: 19, need: 20 }));
    assert_eq!(received, before);
}

struct Sample {
    shape: BlockShape,
    source: Vec<u8>,
}

impl Sample {
    fn new(k: u32, t: usize) -> Self {
        let shape = BlockShape::new(k, t as u16).expect("within bounds");
        let source = Rng::new(u64::from(k) << 32 | t as u64).noise(shape.source_bytes());
        Self { shape, source }
    }

    fn repair(&self, offset: u32, count: u32) -> Vec<u8> {
        let mut out = vec![0; count as usize * self.shape.symbol_size()];
        let first = Esi::first_repair(self.shape).plus(offset).expect("in range");
        Encoder::new(self.shape, &self.source).repair(first, &mut out);
        out
    }

    fn named<'a>(&self, offset: u32, symbols: &'a [u8]) -> Vec<RepairSymbol<'a>> {
        let first = Esi::first_repair(self.shape).plus(offset).expect("in range");
        symbols
            .chunks_exact(self.shape.symbol_size())
            .enumerate()
            .map(|(i, bytes)| RepairSymbol { esi: first.plus(i as u32).expect("in range"), bytes })
            .collect()
    }
}
