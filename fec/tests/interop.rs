//! Each implementation decodes what the other one encoded, and both find the same sets of symbols insufficient.

mod common;

use common::{Block, named, their_decode, their_symbols};
use glancecast_fec::{Codec, DecodeError, Esi, RepairSymbol, SymbolSet};
use glancecast_testkit::Rng;

/// Loses `lost` symbols, receives `lost + extra` repair symbols with random ids, and compares what both make of it.
/// Returns whether the block came back.
fn trial(codec: &mut Codec, block: &Block, lost: u32, extra: u32, numbers: &mut Rng) -> bool {
    let (shape, k) = (block.shape, block.shape.source_symbols());
    let mut held = SymbolSet::full(k);
    while k - held.count() < lost {
        held.remove(numbers.below_u32(k));
    }
    // Ids may have gaps, and come in any order.
    let mut offsets: Vec<u32> = Vec::new();
    let range = if numbers.below_u32(2) == 0 { 2 * (lost + extra) } else { block.offset_max() };
    while offsets.len() < (lost + extra) as usize {
        let offset = numbers.below_u32(range);
        if !offsets.contains(&offset) {
            offsets.push(offset);
        }
    }
    let theirs = block.theirs();
    let repair: Vec<u8> = offsets.iter().flat_map(|&offset| their_symbols(&theirs, offset, 1)).collect();
    let ours: Vec<u8> = offsets.iter().flat_map(|&offset| block.ours(codec, offset, 1)).collect();
    assert!(ours == repair);
    let esis: Vec<Esi> = offsets.iter().map(|&offset| block.esi(offset)).collect();

    let mut received = block.source.clone();
    held.missing().for_each(|index| {
        received[index as usize * shape.symbol_size()..][..shape.symbol_size()].fill(0xA5);
    });
    let before = received.clone();
    let verdict = codec.decode(shape, &mut received, &held, &named(shape, &esis, &repair));

    let sources =
        (0..k).filter(|&index| held.contains(index)).map(|index| (index, block.symbol(index).to_vec()));
    let repairs = esis
        .iter()
        .zip(ours.chunks_exact(shape.symbol_size()))
        .map(|(esi, bytes)| (esi.value(), bytes.to_vec()));
    let theirs = their_decode(shape, sources.chain(repairs));
    let case = format!("K = {k}, {lost} lost, offsets {offsets:?}");
    match verdict {
        Ok(()) => {
            assert!(received == block.source, "{case}");
            assert!(theirs.as_ref() == Some(&block.source), "{case}");
            true
        }
        Err(error) => {
            assert_eq!(error, DecodeError::Singular { have: k + extra }, "{case}");
            assert_eq!(received, before, "{case}");
            assert!(theirs.is_none(), "{case}");
            false
        }
    }
}

#[test]
fn verdicts_are_the_same_at_overheads_of_0_1_and_2() {
    let (mut codec, mut numbers) = (Codec::new(), Rng::new(4));
    let mut failed = [0; 3];
    for round in 0..1_500 {
        let k = 1 + numbers.below_u32(60);
        let block = Block::new(k, 5);
        let lost = 1 + numbers.below_u32(k);
        let extra = round % 3;
        failed[extra as usize] += u32::from(!trial(&mut codec, &block, lost, extra, &mut numbers));
    }
    assert!(failed[0] > 0, "sets that do not determine the block were among them");
    assert!(failed[2] == 0);
}

#[test]
fn blocks_come_back_at_every_share_of_loss() {
    let (mut codec, mut numbers) = (Codec::new(), Rng::new(5));
    for k in [1, 2, 9, 10, 11, 63, 100, 255, 700, 1_024, 1_032] {
        for percent in [0, 1, 5, 12, 20, 25, 40, 60, 100] {
            let block = Block::new(k, 1 + (k % 97) as u16);
            trial(&mut codec, &block, (k * percent).div_ceil(100), numbers.below_u32(4), &mut numbers);
        }
    }
}

/// With any input, a block is restored or left unchanged.
#[test]
fn hostile_intake_never_makes_a_wrong_block() {
    let (mut codec, mut numbers) = (Codec::new(), Rng::new(6));
    let (mut back, mut refused) = (0, 0);
    for _ in 0..3_000 {
        let block = Block::new(1 + numbers.below_u32(70), 1 + numbers.below_u32(90) as u16);
        let (shape, k, t) = (block.shape, block.shape.source_symbols(), block.shape.symbol_size());
        let mut held = SymbolSet::full(k);
        let lost = 1 + numbers.below_u32(k);
        (0..lost).for_each(|_| {
            held.remove(numbers.below_u32(k));
        });
        let made = block.ours(&mut codec, 0, 2 * k as usize + 3);
        let mut repair = Vec::new();
        for _ in 0..numbers.below_u32(3 * lost + 4) {
            let offset = numbers.below_u32(2 * k + 3);
            let bytes = &made[offset as usize * t..][..t];
            // Valid symbols, often repeated and in any order; too short or long ones; ids of source symbols.
            repair.push(match numbers.below_u32(10) {
                0 => RepairSymbol {
                    esi: block.esi(offset),
                    bytes: &made[..numbers.below_u32(t as u32) as usize],
                },
                1 => RepairSymbol { esi: block.esi(offset), bytes: &made[..t + 1] },
                2 => RepairSymbol { esi: Esi::new(numbers.below_u32(k)).expect("small"), bytes },
                _ => RepairSymbol { esi: block.esi(offset), bytes },
            });
        }
        let mut received = block.source.clone();
        held.missing().for_each(|index| received[index as usize * t..][..t].fill(0x5A));
        let before = received.clone();
        match codec.decode(shape, &mut received, &held, &repair) {
            Ok(()) => {
                assert!(received == block.source, "K = {k}, T = {t}");
                back += 1;
            }
            Err(_) => {
                assert!(received == before, "K = {k}, T = {t}");
                refused += 1;
            }
        }
    }
    assert!(back > 500 && refused > 500, "{back} came back, {refused} did not");
}

#[test]
fn the_first_and_the_last_symbol_can_be_lost() {
    let mut codec = Codec::new();
    for (k, t) in [(1, 1), (1, 9_000), (2, 64), (50, 65), (1_024, 128)] {
        let block = Block::new(k, t);
        let repair = block.ours(&mut codec, 0, 6);
        let esis: Vec<Esi> = (0..6).map(|offset| block.esi(offset)).collect();
        for lost in [0, k - 1] {
            let mut held = SymbolSet::full(k);
            held.remove(lost);
            let mut received = block.source.clone();
            received[lost as usize * usize::from(t)..][..usize::from(t)].fill(1);
            codec
                .decode(block.shape, &mut received, &held, &named(block.shape, &esis, &repair))
                .expect("5 to spare");
            assert!(received == block.source, "K = {k}, T = {t}, symbol {lost}");
        }
    }
}
