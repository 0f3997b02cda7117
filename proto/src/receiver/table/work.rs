//! The work on blocks for other threads.

use super::collect::{BufferId, Collected};
use super::reuse::Origin;
use super::sift::SymbolHashes;
use crate::ids::BlockIndex;
use crate::wire::ManifestEntry;

/// A block that another thread can prove now.
#[derive(Debug)]
pub enum Work {
    /// Decode, decompress, verify and write.
    Rebuild {
        /// The block.
        block: BlockIndex,
        /// Its manifest entry.
        entry: ManifestEntry,
        /// Where its symbols are.
        buffer: BufferId,
        /// Which symbols they are.
        collected: Box<Collected>,
    },
    /// Compare the symbols of a block that did not match the manifest with their hashes, by [`Collected::sift`].
    Sift {
        /// The block.
        block: BlockIndex,
        /// Where its symbols are.
        buffer: BufferId,
        /// Which symbols they are.
        collected: Box<Collected>,
        /// The hashes that the sender gave.
        hashes: Box<SymbolHashes>,
    },
    /// Read and verify what an earlier session wrote.
    Recheck {
        /// The block.
        block: BlockIndex,
        /// Its manifest entry.
        entry: ManifestEntry,
    },
    /// Read the bytes from another place on this host, verify them, and write them.
    Reuse {
        /// The block.
        block: BlockIndex,
        /// Its manifest entry.
        entry: ManifestEntry,
        /// The place where it may lie.
        origin: Origin,
    },
    /// Compute the hash of a block of zeros, which the manifest does not contain, and leave a hole.
    Zero {
        /// The block.
        block: BlockIndex,
    },
}
