//! From collected symbols to a verified, written block: decode, decompress, verify, write.

use glancecast_fec::{Codec, RepairSymbol};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::VerifiedBlock;
use glancecast_proto::receiver::{BlockOutcome, Collected};
use glancecast_proto::wire::{Encoding, ManifestEntry};

use crate::store::{PartialFile, StoreError};

/// What a worker keeps between blocks.
pub(crate) struct Rebuilder {
    /// The logical bytes of a compressed block; as long as a block, so that a frame that claims more is refused.
    plain: Vec<u8>,
    /// Zeros to verify zero blocks by; never written, so never resident.
    zeros: Vec<u8>,
    zstd: zstd::bulk::Decompressor<'static>,
    codec: Codec,
}

impl Rebuilder {
    pub(crate) fn new(geometry: Geometry) -> std::io::Result<Self> {
        let block_bytes = geometry.block_bytes().min(geometry.object_bytes()) as usize;
        let zstd = zstd::bulk::Decompressor::new()?;
        Ok(Self { plain: Vec::new(), zeros: vec![0; block_bytes], zstd, codec: Codec::new() })
    }

    /// Makes a block of its symbols and writes it. `buffer` holds what `collected` says.
    pub(crate) fn block(
        &mut self,
        geometry: Geometry,
        block: BlockIndex,
        entry: &ManifestEntry,
        collected: &Collected,
        buffer: &mut [u8],
        file: &PartialFile,
    ) -> BlockOutcome {
        let shape = collected.shape();
        let (source, repair) = buffer.split_at_mut(shape.source_bytes());
        let symbols = repair.chunks_exact(shape.symbol_size());
        let repair: Vec<RepairSymbol<'_>> =
            collected.repair().iter().zip(symbols).map(|(&esi, bytes)| RepairSymbol { esi, bytes }).collect();
        if self.codec.decode(shape, source, collected.held(), &repair).is_err() {
            return BlockOutcome::Undecodable;
        }
        let repaired = shape.source_symbols() - collected.held().count();
        let encoded = &source[..collected.encoded_len() as usize];
        let Some(plain) = self.decompress(geometry, block, entry, encoded) else {
            return BlockOutcome::Corrupt;
        };
        match VerifiedBlock::verify(geometry, block, plain, entry.hash) {
            Err(_) => BlockOutcome::Corrupt,
            Ok(verified) => outcome(file.write(&verified), repaired),
        }
    }

    /// Verifies that a zero block is meant to be one.
    pub(crate) fn zero(
        &self,
        geometry: Geometry,
        block: BlockIndex,
        entry: &ManifestEntry,
        file: &PartialFile,
    ) -> BlockOutcome {
        let zeros = &self.zeros[..geometry.block_len(block) as usize];
        match VerifiedBlock::verify(geometry, block, zeros, entry.hash) {
            Err(_) => BlockOutcome::Corrupt,
            Ok(verified) => {
                file.leave_hole(verified);
                BlockOutcome::Written { repaired: 0 }
            }
        }
    }

    /// The block's logical bytes, or `None` if the encoded ones do not make any.
    fn decompress<'a>(
        &'a mut self,
        geometry: Geometry,
        block: BlockIndex,
        entry: &ManifestEntry,
        encoded: &'a [u8],
    ) -> Option<&'a [u8]> {
        match entry.encoding {
            Encoding::Zero => None,
            Encoding::Stored => Some(encoded),
            Encoding::Zstd { .. } => {
                let len = geometry.block_len(block) as usize;
                self.plain.resize(len, 0);
                let written = self.zstd.decompress_to_buffer(encoded, &mut self.plain[..]).ok()?;
                (written == len).then_some(&self.plain[..len])
            }
        }
    }
}

fn outcome(written: Result<(), StoreError>, repaired: u32) -> BlockOutcome {
    match written {
        Ok(()) => BlockOutcome::Written { repaired },
        Err(error) => BlockOutcome::Store(error.kind(), error.to_string()),
    }
}
