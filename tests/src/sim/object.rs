//! The pushed object: real bytes, real symbols and real hashes, in blocks small enough for thousands of runs.
//!
//! In an object of several blocks each is a full block of the geometry, "compressed" to a few symbols of random bytes.
//! Its hash is of these bytes and its position, and a disk keeps only these bytes: to hash half a megabyte for each
//! block would take nearly all the time of a run, and the machines never look into a block.

use std::rc::Rc;

use glancecast_fec::{BlockShape, Codec};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::{BlockHash, Fingerprint, Root};
use glancecast_proto::sender::Job;
use glancecast_proto::wire::{Encoding, ManifestEntry};

use super::dice::Dice;
use super::plan::ObjectPlan;

pub(crate) struct Object {
    pub(crate) geometry: Geometry,
    pub(crate) root: Root,
    pub(crate) blocks: Vec<Block>,
}

pub(crate) struct Block {
    pub(crate) entry: ManifestEntry,
    /// The encoded bytes; empty for a zero block.
    pub(crate) encoded: Rc<[u8]>,
}

impl Object {
    pub(crate) fn draw(dice: &mut Dice, plan: &ObjectPlan) -> Self {
        let object_bytes = match plan.blocks[..] {
            [] => 0,
            [only] => u64::from(only),
            _ => ((plan.blocks.len() as u64 - 1) << BLOCK_LOG2) + LAST_BLOCK_BYTES,
        };
        let geometry = Geometry::new(object_bytes, BLOCK_LOG2, plan.symbol_size).expect("in range");
        let mut blocks: Vec<Block> = Vec::new();
        for (block, &len) in geometry.indices().zip(&plan.blocks) {
            let encoded = match plan.equals.get(&block.0) {
                Some(&earlier) => Rc::clone(&blocks[earlier as usize].encoded),
                None => {
                    let mut encoded = vec![0; len as usize];
                    dice.fill(&mut encoded);
                    encoded.into()
                }
            };
            let encoding = match (len, plan.blocks.len()) {
                (0, _) => Encoding::Zero,
                (_, 1) => Encoding::Stored,
                _ => Encoding::Zstd { encoded_len: len },
            };
            let entry = ManifestEntry { encoding, hash: hash(block, &encoded) };
            blocks.push(Block { entry, encoded });
        }
        let hashes: Vec<BlockHash> = blocks.iter().map(|block| block.entry.hash).collect();
        Self { geometry, root: Root::of(geometry, &hashes), blocks }
    }

    pub(crate) fn entry(&self, block: BlockIndex) -> ManifestEntry {
        self.blocks[block.index()].entry
    }

    /// Returns the fingerprint; zero blocks have none.
    pub(crate) fn fingerprint(&self, block: BlockIndex) -> Option<Fingerprint> {
        let encoded = &self.blocks[block.index()].encoded;
        (!encoded.is_empty()).then(|| Fingerprint::of(encoded))
    }

    pub(crate) fn shape(&self, block: BlockIndex) -> BlockShape {
        self.geometry.shape(self.encoded_len(block))
    }

    pub(crate) fn encoded_len(&self, block: BlockIndex) -> u32 {
        self.entry(block).encoded_len(self.geometry, block)
    }

    /// Returns the symbols of a job, in its order.
    pub(crate) fn symbols(&self, codec: &mut Codec, job: Job) -> Vec<u8> {
        let shape = self.shape(job.block());
        let mut source = self.blocks[job.block().index()].encoded.to_vec();
        source.resize(shape.source_bytes(), 0);
        let (first, count) = match job {
            Job::Source { first, repair, .. } => (first, repair),
            Job::Repair { first, count, .. } => (first, count),
        };
        let mut repair = vec![0; count as usize * shape.symbol_size()];
        codec.encode(shape, &source, first, &mut repair);
        match job {
            Job::Source { .. } => [source, repair].concat(),
            Job::Repair { .. } => repair,
        }
    }
}

/// Returns the hash of a block's encoded bytes at its position.
pub(crate) fn hash(block: BlockIndex, encoded: &[u8]) -> BlockHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&block.0.to_be_bytes()).update(encoded);
    BlockHash(*hasher.finalize().as_bytes())
}

/// Returns other bytes of the same length.
pub(crate) fn torn(bytes: &[u8]) -> Rc<[u8]> {
    let mut other = bytes.to_vec();
    if let Some(last) = other.last_mut() {
        *last ^= 0xFF;
    }
    other.into()
}

/// 512 KiB, the smallest block size.
const BLOCK_LOG2: u8 = 19;
/// Longer than any block's encoded bytes.
const LAST_BLOCK_BYTES: u64 = 400_000;
