//! The manifest entries that have arrived.

use super::block_set::BlockSet;
use crate::geometry::Geometry;
use crate::ids::BlockIndex;
use crate::integrity::{BlockHash, Root};
use crate::limits::REPORT_GAPS_MAX;
use crate::wire::{GapRun, Listed, ManifestEntry, ManifestRun};

/// The entries of all blocks. The first entry of a block counts; later ones are ignored.
pub(super) struct Manifest {
    geometry: Geometry,
    entries: Vec<Option<Known>>,
    /// The number of blocks whose hash is known.
    hashes: u32,
    /// The blocks without an entry.
    missing: BlockSet,
}

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Data(ManifestEntry),
    Zero,
    /// It is zero, and this is its computed hash.
    ZeroOf(BlockHash),
}

impl Known {
    pub(super) fn is_zero(&self) -> bool {
        matches!(self, Self::Zero | Self::ZeroOf(_))
    }

    /// The number of bytes that travel as symbols.
    fn encoded_len(&self, geometry: Geometry, block: BlockIndex) -> u32 {
        match self {
            Self::Data(entry) => entry.encoded_len(geometry, block),
            Self::Zero | Self::ZeroOf(_) => 0,
        }
    }

    fn hash(&self) -> Option<BlockHash> {
        match self {
            Self::Data(entry) => Some(entry.hash),
            Self::Zero => None,
            Self::ZeroOf(hash) => Some(*hash),
        }
    }
}

impl Manifest {
    /// Returns a manifest without entries.
    pub(super) fn new(geometry: Geometry) -> Self {
        let blocks = geometry.blocks();
        Self { geometry, entries: vec![None; blocks as usize], hashes: 0, missing: BlockSet::first(blocks) }
    }

    pub(super) fn get(&self, block: BlockIndex) -> Option<Known> {
        self.entries[block.index()]
    }

    /// Whether all these entries are known.
    pub(super) fn knows(&self, run: &ManifestRun) -> bool {
        let first = run.first.index();
        self.entries[first..first + run.blocks.len()].iter().all(Option::is_some)
    }

    /// Takes in the entry of a block. Returns whether it is new.
    pub(super) fn learn(&mut self, block: BlockIndex, listed: Listed) -> bool {
        if self.entries[block.index()].is_some() {
            return false;
        }
        let known = match listed {
            Listed::Zero => Known::Zero,
            Listed::Data(entry) => Known::Data(entry),
        };
        self.entries[block.index()] = Some(known);
        self.hashes += u32::from(known.hash().is_some());
        self.missing.set(block, false);
        true
    }

    /// Records the computed hash of a zero block.
    ///
    /// # Panics
    /// If the block is not zero, or its hash is known.
    pub(super) fn learn_zero_hash(&mut self, block: BlockIndex, hash: BlockHash) {
        let known = self.entries[block.index()].replace(Known::ZeroOf(hash));
        assert_eq!(known, Some(Known::Zero), "block {block}");
        self.hashes += 1;
    }

    /// Whether nothing travels for a block.
    pub(super) fn is_zero(&self, block: BlockIndex) -> bool {
        self.get(block).is_some_and(|known| known.is_zero())
    }

    /// The number of bytes that travel for a block, if known.
    pub(super) fn encoded_len(&self, block: BlockIndex) -> Option<u32> {
        self.get(block).map(|known| known.encoded_len(self.geometry, block))
    }

    /// Whether a block may travel as `encoded_len` bytes.
    pub(super) fn fits(&self, block: BlockIndex, encoded_len: u32) -> bool {
        match self.encoded_len(block) {
            Some(known) => encoded_len > 0 && encoded_len == known,
            None => (1..=self.geometry.block_len(block)).contains(&encoded_len),
        }
    }

    /// Returns the missing entries below `end`, from the front, at most what one report holds.
    pub(super) fn gaps(&self, end: u32) -> Vec<GapRun> {
        let runs = self.missing.runs_from(0).take_while(|run| run.first < end);
        let parts = runs.flat_map(|run| {
            let end = run.end.min(end);
            (run.first..end).step_by(usize::from(u16::MAX)).map(move |first| (first, end - first))
        });
        let gap = |(first, left): (u32, u32)| GapRun {
            first: BlockIndex(first),
            blocks: left.min(u32::from(u16::MAX)) as u16,
        };
        parts.take(REPORT_GAPS_MAX).map(gap).collect()
    }

    /// Computes the root of the manifest, once all of it and the hashes of zero blocks are known.
    pub(super) fn root(&self) -> Option<Root> {
        if self.hashes < self.geometry.blocks() {
            return None;
        }
        let hashes: Option<Vec<BlockHash>> =
            self.entries.iter().map(|known| known.and_then(|known| known.hash())).collect();
        hashes.map(|hashes| Root::of(self.geometry, &hashes))
    }
}
