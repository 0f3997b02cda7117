//! What other threads are asked to do with a block.

use super::collect::{BufferId, Collected};
use super::reuse::Origin;
use crate::ids::BlockIndex;
use crate::wire::ManifestEntry;

/// A block that can be proven now: work for another thread.
#[derive(Debug)]
pub enum Work {
    /// Decode, decompress, verify and write.
    Rebuild {
        /// The block.
        block: BlockIndex,
        /// What the manifest says of it.
        entry: ManifestEntry,
        /// Where its symbols are.
        buffer: BufferId,
        /// Which symbols they are.
        collected: Box<Collected>,
    },
    /// Read and verify what an earlier session wrote.
    Recheck {
        /// The block.
        block: BlockIndex,
        /// What the manifest says of it.
        entry: ManifestEntry,
    },
    /// Read what lies elsewhere on this host, verify it, and write it.
    Reuse {
        /// The block.
        block: BlockIndex,
        /// What the manifest says of it.
        entry: ManifestEntry,
        /// Where it may lie.
        origin: Origin,
    },
    /// Work out the hash of a block of zeros, which the manifest does not say, and leave a hole.
    Zero {
        /// The block.
        block: BlockIndex,
    },
}
