//! How often K + h random symbols do not determine a block, for h = 0 and 1. RFC 6330 promises about 1 in 256 and 1 in
//! 65 536. Arguments: the number of trials for h = 0 and for h = 1, and the least K (10; blocks have up to 89 symbols
//! more).
//!
//! All symbols are zero, because only the set of symbols matters, not the content.

use anyhow::Context;
use glancecast_bench::micro::Numbers;
use glancecast_fec::{BlockShape, Codec, DecodeError, Esi, RepairSymbol, SymbolSet};

fn main() -> anyhow::Result<()> {
    let mut numbers_given = [100_000, 1_000_000, 10];
    for (number, argument) in numbers_given.iter_mut().zip(std::env::args().skip(1)) {
        *number = argument.parse().context("a number of trials, or K")?;
    }
    let [trials @ .., k_min] = numbers_given;
    let mut numbers = Numbers(1);
    let mut codec = Codec::new();
    for (extra, count) in (0..).zip(trials) {
        let mut failed = 0u32;
        for _ in 0..count {
            failed += u32::from(fails(&mut codec, k_min, extra, &mut numbers)?);
        }
        let one_in = f64::from(count) / f64::from(failed);
        println!(
            "K of {k_min} to {}, K + {extra} symbols: {failed} of {count} sets do not determine the block, 1 in {one_in:.0}",
            k_min + 89
        );
    }
    Ok(())
}

/// Loses some symbols of a small block, and receives as many repair symbols with random ids and `extra` more.
fn fails(codec: &mut Codec, k_min: u32, extra: u32, numbers: &mut Numbers) -> anyhow::Result<bool> {
    let mut below = |bound: u32| numbers.below(bound.into()) as u32;
    let k = k_min + below(90);
    let shape = BlockShape::new(k, 1)?;
    let lost = 1 + below(k / 2);
    let mut held = SymbolSet::full(k);
    while k - held.count() < lost {
        held.remove(below(k));
    }
    let mut esis = Vec::new();
    while esis.len() < (lost + extra) as usize {
        let esi = Esi::new(k + below(1 << 20)).context("24 bits")?;
        if !esis.contains(&esi) {
            esis.push(esi);
        }
    }
    let repair: Vec<RepairSymbol<'_>> =
        esis.into_iter().map(|esi| RepairSymbol { esi, bytes: &[0] }).collect();
    match codec.decode(shape, &mut vec![0; k as usize], &held, &repair) {
        Ok(()) => Ok(false),
        Err(DecodeError::Singular { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
