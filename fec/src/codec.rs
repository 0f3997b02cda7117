//! Encoding and decoding, by the `raptorq` crate behind types of our own.
//!
//! That crate panics on lengths and ids it does not like (its issues 173 and 194 call that the caller's duty), so
//! everything is bounded here before it goes in. Nothing of it shows outside this file.

use std::collections::BTreeSet;

use raptorq::{
    EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder, SourceBlockEncoder,
};

use crate::{BlockShape, Esi, SymbolSet};

/// Makes repair symbols of one source block.
pub struct Encoder {
    shape: BlockShape,
    inner: SourceBlockEncoder,
}

impl Encoder {
    /// Prepares the intermediate symbols of `source`, `shape.source_bytes()` bytes with the padding of the last
    /// symbol zero (RFC 6330 §5.3.3). The work that does not depend on the symbol ids is done here, once.
    ///
    /// # Panics
    /// If `source` is not `shape.source_bytes()` long.
    pub fn new(shape: BlockShape, source: &[u8]) -> Self {
        assert_eq!(source.len(), shape.source_bytes());
        Self { shape, inner: SourceBlockEncoder::new(SBN, &transmission(shape), source) }
    }

    /// Writes the repair symbols `first, first + 1, ..` (RFC 6330 §5.3.4) into `out`, as many as fit: `out` is a
    /// whole number of symbols long.
    ///
    /// # Panics
    /// If `first` is a source symbol's id, the last id leaves 24 bits, or `out` is not whole symbols.
    pub fn repair(&self, first: Esi, out: &mut [u8]) {
        let t = self.shape.symbol_size();
        assert!(first >= Esi::first_repair(self.shape), "{first} is a source symbol");
        assert_eq!(out.len() % t, 0, "whole symbols of {t} bytes");
        let count = (out.len() / t) as u32;
        assert!(count == 0 || first.plus(count - 1).is_some(), "{count} ids from {first}");
        let packets = self.inner.repair_packets(first.value() - self.shape.source_symbols(), count);
        for (symbol, packet) in out.chunks_exact_mut(t).zip(packets) {
            symbol.copy_from_slice(packet.data());
        }
    }
}

/// A repair symbol as it was received: its id and its T bytes.
#[derive(Clone, Copy, Debug)]
pub struct RepairSymbol<'a> {
    /// K or above.
    pub esi: Esi,
    /// T bytes.
    pub bytes: &'a [u8],
}

/// Fills the source symbols of `source` that `held` does not name, from those it names and from `repair`.
///
/// Repair symbols of an id seen before, of a source symbol's id or of another length are passed over. Nothing is
/// done when all source symbols are held.
///
/// # Errors
/// [`DecodeError`]: `source` is then unchanged, and further symbols may help.
///
/// # Panics
/// If `source` or `held` are not of `shape`.
pub fn decode(
    shape: BlockShape,
    source: &mut [u8],
    held: &SymbolSet,
    repair: &[RepairSymbol<'_>],
) -> Result<(), DecodeError> {
    assert_eq!(source.len(), shape.source_bytes());
    assert_eq!(held.bound(), shape.source_symbols());
    if held.is_full() {
        return Ok(());
    }
    let repair = usable(shape, repair);
    let (have, need) = (held.count() + repair.len() as u32, shape.source_symbols());
    if have < need {
        return Err(DecodeError::TooFew { have, need });
    }
    let t = shape.symbol_size();
    let packets = (0..need)
        .filter(|&index| held.contains(index))
        .map(|index| packet(index, &source[index as usize * t..][..t]))
        .chain(repair.iter().map(|symbol| packet(symbol.esi.value(), symbol.bytes)));
    let decoded = SourceBlockDecoder::new(SBN, &transmission(shape), shape.source_bytes() as u64)
        .decode(packets)
        .ok_or(DecodeError::Singular { have })?;
    for index in held.missing() {
        let place = index as usize * t..(index as usize + 1) * t;
        source[place.clone()].copy_from_slice(&decoded[place]);
    }
    Ok(())
}

/// Why a block could not be decoded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer than K different symbols.
    #[error("{have} symbols where at least {need} are needed")]
    TooFew {
        /// Different usable symbols.
        have: u32,
        /// K.
        need: u32,
    },
    /// Enough symbols, but they do not determine the block: about 1 in 256 sets of K, 1 in 65 536 of K + 1.
    #[error("{have} symbols that do not determine the block; one more usually does")]
    Singular {
        /// Different usable symbols.
        have: u32,
    },
}

/// Each of our blocks is an RFC 6330 object of its own: source block number 0.
const SBN: u8 = 0;

fn transmission(shape: BlockShape) -> ObjectTransmissionInformation {
    ObjectTransmissionInformation::new(shape.source_bytes() as u64, shape.symbol_size() as u16, 1, 1, 1)
}

fn packet(esi: u32, bytes: &[u8]) -> EncodingPacket {
    EncodingPacket::new(PayloadId::new(SBN, esi), bytes.to_vec())
}

fn usable<'a>(shape: BlockShape, repair: &[RepairSymbol<'a>]) -> Vec<RepairSymbol<'a>> {
    let mut seen = BTreeSet::new();
    let fits = |symbol: &&RepairSymbol<'a>| {
        symbol.esi >= Esi::first_repair(shape) && symbol.bytes.len() == shape.symbol_size()
    };
    repair.iter().filter(fits).filter(|symbol| seen.insert(symbol.esi)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let mut state = u64::from(k) << 32 | t as u64;
            let source = (0..shape.source_bytes())
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
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
}
