//! Chooses the fastest of several ways to the same result, as measured by `make bench-crossovers`.

use crate::BlockShape;
use crate::kernel::Kernel;

/// The bounds between the ways.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    /// Fixed bounds for every block: at most this many symbols dense, at most this many lost ones by syndromes.
    Fixed { dense: usize, syndromes: usize },
    /// The kernel's bound for dense symbols, which hardly depends on K; for lost symbols a share of the block.
    Measured { dense: usize },
}

impl Choice {
    /// Returns the fastest bounds for an instruction set.
    pub(crate) fn of(kernel: Kernel) -> Self {
        Self::Measured { dense: kernel.dense_max() }
    }

    pub(crate) fn fixed(dense: u32, syndromes: u32) -> Self {
        Self::Fixed { dense: dense as usize, syndromes: syndromes as usize }
    }

    /// Whether to make `count` encoding symbols from their coefficients in the source symbols instead of from the
    /// intermediate symbols.
    pub(crate) fn is_dense(self, count: usize) -> bool {
        match self {
            Self::Fixed { dense, .. } | Self::Measured { dense } => count <= dense,
        }
    }

    /// Whether to restore `lost` symbols by syndromes instead of by solving for all symbols.
    pub(crate) fn is_by_syndromes(self, shape: BlockShape, lost: usize) -> bool {
        match self {
            Self::Fixed { syndromes, .. } => lost <= syndromes,
            // Measured: 105 at K = 256, 215 at 1024, 270 at 2048, 430 at 8192.
            Self::Measured { .. } => {
                let k = shape.source_symbols() as usize;
                lost <= (k.isqrt() * 13 / 2).min(200 + k / 32)
            }
        }
    }
}
