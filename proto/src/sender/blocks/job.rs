//! What the shell is given to send.

use glancecast_fec::Esi;

use crate::ids::BlockIndex;

/// Symbols to be sent of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// All K source symbols, then repair symbols that nobody has asked for yet.
    Source {
        /// Of this block.
        block: BlockIndex,
        /// The first of the repair symbols.
        first: Esi,
        /// Number of repair symbols, also none.
        repair: u32,
    },
    /// Repair symbols that were not sent before.
    Repair {
        /// Of this block.
        block: BlockIndex,
        /// The first of them.
        first: Esi,
        /// Number of them, one to [`SOURCE_SYMBOLS_MAX`](crate::limits::SOURCE_SYMBOLS_MAX).
        count: u32,
    },
}

impl Job {
    /// The block that the job is about.
    pub fn block(self) -> BlockIndex {
        match self {
            Self::Source { block, .. } | Self::Repair { block, .. } => block,
        }
    }

    /// Number of its symbols, of a block of K source symbols.
    pub fn symbols(self, source_symbols: u32) -> u32 {
        match self {
            Self::Source { repair, .. } => source_symbols + repair,
            Self::Repair { count, .. } => count,
        }
    }

    /// The id of its symbol number `at`.
    ///
    /// # Panics
    /// If it has no such symbol.
    pub fn esi(self, source_symbols: u32, at: u32) -> Esi {
        let id = match self {
            Self::Source { .. } if at < source_symbols => Esi::new(at),
            Self::Source { first, .. } => first.plus(at - source_symbols),
            Self::Repair { first, .. } => first.plus(at),
        };
        id.expect("ids are handed out in range")
    }
}
