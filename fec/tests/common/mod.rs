//! Blocks, and the `raptorq` crate as the other implementation.

#![allow(dead_code)] // each test uses its part

use glancecast_fec::{BlockShape, Codec, Esi, RepairSymbol};
use glancecast_testkit::Rng;
use raptorq::{
    EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder, SourceBlockEncoder,
};

/// Returns a block whose bytes depend on its shape.
pub(crate) struct Block {
    pub(crate) shape: BlockShape,
    pub(crate) source: Vec<u8>,
}

impl Block {
    pub(crate) fn new(k: u32, t: u16) -> Self {
        let shape = BlockShape::new(k, t).expect("within bounds");
        let source = Rng::new(u64::from(k) << 16 | u64::from(t)).noise(shape.source_bytes());
        Self { shape, source }
    }

    /// Returns the repair symbols from K + `offset` on, by this crate.
    pub(crate) fn ours(&self, codec: &mut Codec, offset: u32, count: usize) -> Vec<u8> {
        let mut out = vec![0; count * self.shape.symbol_size()];
        codec.encode(self.shape, &self.source, self.esi(offset), &mut out);
        out
    }

    pub(crate) fn theirs(&self) -> SourceBlockEncoder {
        SourceBlockEncoder::new(0, &transmission(self.shape), &self.source)
    }

    pub(crate) fn esi(&self, offset: u32) -> Esi {
        Esi::first_repair(self.shape).plus(offset).expect("in range")
    }

    /// Returns the largest offset of a repair symbol.
    pub(crate) fn offset_max(&self) -> u32 {
        Esi::MAX - self.shape.source_symbols()
    }

    pub(crate) fn symbol(&self, index: u32) -> &[u8] {
        &self.source[index as usize * self.shape.symbol_size()..][..self.shape.symbol_size()]
    }
}

/// Returns the symbols of `encoder` from `offset` on, as one buffer.
pub(crate) fn their_symbols(encoder: &SourceBlockEncoder, offset: u32, count: usize) -> Vec<u8> {
    encoder.repair_packets(offset, count as u32).iter().flat_map(|packet| packet.data().to_vec()).collect()
}

/// Returns the block that `raptorq` decodes from these symbols.
pub(crate) fn their_decode(
    shape: BlockShape,
    symbols: impl Iterator<Item = (u32, Vec<u8>)>,
) -> Option<Vec<u8>> {
    let packets = symbols.map(|(esi, bytes)| EncodingPacket::new(PayloadId::new(0, esi), bytes));
    SourceBlockDecoder::new(0, &transmission(shape), shape.source_bytes() as u64).decode(packets)
}

fn transmission(shape: BlockShape) -> ObjectTransmissionInformation {
    ObjectTransmissionInformation::new(shape.source_bytes() as u64, shape.symbol_size() as u16, 1, 1, 1)
}

/// Returns repair symbols with their ids, from a buffer that holds them one after the other.
pub(crate) fn named<'a>(shape: BlockShape, esis: &[Esi], bytes: &'a [u8]) -> Vec<RepairSymbol<'a>> {
    let symbols = bytes.chunks_exact(shape.symbol_size());
    esis.iter().zip(symbols).map(|(&esi, bytes)| RepairSymbol { esi, bytes }).collect()
}
