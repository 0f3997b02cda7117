//! Which of the ways to compute the same is the fastest, by what was measured (`make bench-crossovers`).

use crate::BlockShape;
use crate::kernel::Kernel;

/// The bounds between the ways.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    /// Whatever the block: at most this many symbols dense, at most this many lost ones by syndromes.
    Fixed { dense: usize, syndromes: usize },
    /// As many symbols dense at K = 1024.
    Measured { dense: usize },
}

impl Choice {
    /// What is the fastest with an instruction set.
    pub(crate) fn of(kernel: Kernel) -> Self {
        Self::Measured { dense: kernel.dense_max() }
    }

    pub(crate) fn fixed(dense: u32, syndromes: u32) -> Self {
        Self::Fixed { dense: dense as usize, syndromes: syndromes as usize }
    }

    /// Whether `count` encoding symbols are made from their coefficients in the source symbols rather than by way of
    /// the intermediate symbols.
    pub(crate) fn is_dense(self, shape: BlockShape, count: usize) -> bool {
        match self {
            Self::Fixed { dense, .. } => count <= dense,
            Self::Measured { dense } => {
                let factor = match shape.source_symbols() {
                    ..512 => 2,
                    _ => 1,
                };
                count <= dense * factor
            }
        }
    }

    /// Whether `lost` symbols are brought back by syndromes rather than by solving for all symbols.
    pub(crate) fn is_by_syndromes(self, shape: BlockShape, lost: usize) -> bool {
        match self {
            Self::Fixed { syndromes, .. } => lost <= syndromes,
            Self::Measured { .. } => lost <= shape.source_symbols().isqrt() as usize * 11 / 2,
        }
    }
}
