//! What the blocks read so far consist of: how much is data, and how much of that travels.

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::sender::{Sender, Unsent};
use glancecast_proto::wire::{Encoding, ManifestEntry};
use serde::Serialize;

/// Bytes and blocks of the object by encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ContentCounts {
    /// Bytes of the blocks that are not all zero.
    pub data_bytes: u64,
    /// Bytes that travel for these: those of stored blocks and of zstd frames, each once.
    pub encoded_bytes: u64,
    /// Blocks of zeros, of which nothing travels.
    pub zero_blocks: u32,
    /// Blocks that travel unchanged.
    pub stored_blocks: u32,
    /// Blocks that travel as zstd frames.
    pub zstd_blocks: u32,
}

/// Data blocks of which nothing was sent. If all hosts have the object in the end, every host held them already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spared {
    /// Blocks.
    pub blocks: u32,
    /// Bytes of the object in them.
    pub bytes: u64,
}

impl Spared {
    /// Returns the blocks not sent so far.
    pub(crate) fn of(machine: &Sender) -> Self {
        let Unsent { blocks, bytes } = machine.unsent();
        Self { blocks, bytes }
    }
}

impl ContentCounts {
    /// Counts a block that was read.
    pub(crate) fn add(&mut self, geometry: Geometry, block: BlockIndex, entry: &ManifestEntry) {
        let blocks = match entry.encoding {
            Encoding::Zero => &mut self.zero_blocks,
            Encoding::Stored => &mut self.stored_blocks,
            Encoding::Zstd { .. } => &mut self.zstd_blocks,
        };
        *blocks += 1;
        if entry.encoding != Encoding::Zero {
            self.data_bytes += u64::from(geometry.block_len(block));
            self.encoded_bytes += u64::from(entry.encoded_len(geometry, block));
        }
    }
}
