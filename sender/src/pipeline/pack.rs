//! A worker's steps for a block that was read, while it is in the core's cache: zero test, hash, compression, the copy
//! for repairs, and the repair symbols that are expected to be needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use glancecast_fec::{Codec, Esi};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::{BlockHash, Fingerprint};
use glancecast_proto::wire::{Encoding, ManifestEntry};

use super::compress::Compressor;
use super::encode::append_repair;
use super::policy::{Policy, Purpose};
use super::spool::{Spool, SpoolError};
use super::stages::{Clocks, Stage};

/// A block's K source symbols, the last one zero-padded, followed by the first repair symbols.
pub(crate) struct Symbols {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ahead: u32,
}

/// A block that is ready for the send loop.
pub(crate) struct Packed {
    pub(crate) entry: ManifestEntry,
    /// The hash by which hosts find the block in a base; `None` for zeros.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// `None` for zeros.
    pub(crate) symbols: Option<Symbols>,
}

/// A block as it was read.
pub(crate) enum Content {
    /// A hole in the source.
    Hole,
    /// Bytes from the source.
    Bytes(Vec<u8>),
}

/// The tools of one worker.
pub(crate) struct Packer {
    geometry: Geometry,
    spool: Spool,
    policy: Arc<Policy>,
    clocks: Clocks,
    ahead: Arc<AtomicU32>,
    purpose: Purpose,
    codec: Codec,
    compressor: Compressor,
    /// Memory for the next frame.
    frame: Vec<u8>,
    /// Zeros from which holes are hashed; never written, so never resident.
    zeros: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(
        geometry: Geometry,
        spool: Spool,
        policy: Arc<Policy>,
        clocks: Clocks,
        ahead: Arc<AtomicU32>,
        purpose: Purpose,
    ) -> std::io::Result<Self> {
        let longest = geometry.block_bytes().min(geometry.object_bytes()) as usize;
        Ok(Self {
            geometry,
            spool,
            policy,
            clocks,
            ahead,
            purpose,
            codec: Codec::new(),
            compressor: Compressor::new()?,
            frame: Vec::new(),
            zeros: vec![0; longest],
        })
    }

    /// Packs a block for the send loop. A block of zeros has no symbols.
    pub(crate) fn pack(&mut self, block: BlockIndex, content: Content) -> Result<Packed, SpoolError> {
        let packed = match content {
            Content::Hole => {
                let len = self.geometry.block_len(block) as usize;
                Ok(self.zero(block, len))
            }
            Content::Bytes(bytes) => self.bytes(block, bytes),
        };
        self.policy.packed();
        packed
    }

    fn zero(&self, block: BlockIndex, len: usize) -> Packed {
        let hash = || BlockHash::of(self.geometry, block, &self.zeros[..len]);
        let hash = self.clocks.time(Stage::Hash as usize, len, hash);
        let entry = ManifestEntry { encoding: Encoding::Zero, hash };
        Packed { entry, fingerprint: None, symbols: None }
    }

    fn bytes(&mut self, block: BlockIndex, bytes: Vec<u8>) -> Result<Packed, SpoolError> {
        let len = bytes.len();
        if is_zero(&bytes) {
            return Ok(self.zero(block, len));
        }
        let hash = || BlockHash::of(self.geometry, block, &bytes);
        let hash = self.clocks.time(Stage::Hash as usize, len, hash);
        let fingerprint = || Fingerprint::of(&bytes);
        let fingerprint = match self.purpose {
            Purpose::Send => None,
            Purpose::Offer => Some(self.clocks.time(Stage::Hash as usize, 0, fingerprint)),
        };
        let (encoding, symbols) = match self.frame_of(block, &bytes) {
            Some(frame) => {
                let encoding = Encoding::Zstd { encoded_len: frame.len() as u32 };
                self.frame = bytes; // its memory is reused for the next frame
                (encoding, frame)
            }
            None => {
                let keep = || self.spool.keep(block, &bytes);
                self.clocks.time(Stage::Spool as usize, len, keep)?;
                (Encoding::Stored, bytes)
            }
        };
        let entry = ManifestEntry { encoding, hash };
        let symbols = match self.purpose {
            Purpose::Send => self.symbols(symbols),
            Purpose::Offer => Symbols { bytes: symbols, ahead: 0 },
        };
        Ok(Packed { entry, fingerprint, symbols: Some(symbols) })
    }

    /// Returns the block's zstd frame, which is then in the spool, or `None` if the block is to travel as it is.
    fn frame_of(&mut self, block: BlockIndex, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut frame = std::mem::take(&mut self.frame);
        let start = Instant::now();
        let smaller = self.compressor.compress(&self.policy, bytes, &mut frame);
        self.clocks.add(Stage::Compress as usize, start, if smaller { bytes.len() } else { 0 });
        let keep = || self.spool.keep_frame(block, &frame);
        // If the frame cannot be kept, the block travels as it is: the source may still have it for repairs.
        if smaller && self.clocks.time(Stage::Spool as usize, frame.len(), keep).is_ok() {
            return Some(frame);
        }
        self.frame = frame;
        None
    }

    fn symbols(&mut self, mut bytes: Vec<u8>) -> Symbols {
        let len = bytes.len();
        let shape = self.geometry.shape(len as u32);
        bytes.resize(shape.source_bytes(), 0);
        let wanted = self.ahead.load(Ordering::Relaxed) * shape.source_symbols();
        let ahead = wanted.div_ceil(self.geometry.symbols_max());
        let start = Instant::now();
        append_repair(&mut self.codec, shape, &mut bytes, Esi::first_repair(shape), ahead);
        self.clocks.add(Stage::Encode as usize, start, if ahead > 0 { len } else { 0 });
        Symbols { bytes, ahead }
    }
}

/// Whether all bytes are zero. `memcmp` compares pieces at memory speed; most blocks differ in the first one.
fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|piece| piece == &ZEROS[..piece.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_makes_a_block_not_zero() {
        let mut bytes = vec![0; 10_000];
        assert!(is_zero(&bytes) && is_zero(&[]));
        for at in [0, 4095, 4096, 9_999] {
            bytes[at] = 1;
            assert!(!is_zero(&bytes), "{at}");
            bytes[at] = 0;
        }
    }
}
