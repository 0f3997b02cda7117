//! What the shell is to send.

use glancecast_fec::Esi;

use crate::ids::BlockIndex;

/// Symbols of one block that are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// All K source symbols, then repair symbols that no host has asked for yet.
    Source {
        /// The block.
        block: BlockIndex,
        /// The first of the repair symbols.
        first: Esi,
        /// The number of repair symbols; may be 0.
        repair: u32,
    },
    /// Repair symbols that were not sent before.
    Repair {
        /// The block.
        block: BlockIndex,
        /// The first of them.
        first: Esi,
        /// The number of them, one to [`SOURCE_SYMBOLS_MAX`](crate::limits::SOURCE_SYMBOLS_MAX).
        count: u32,
    },
}

impl Job {
    /// The block whose symbols are sent.
    pub fn block(self) -> BlockIndex {
        match self {
            Self::Source { block, .. } | Self::Repair { block, .. } => block,
        }
    }

    /// The number of its symbols, for a block of K source symbols.
    pub fn symbols(self, source_symbols: u32) -> u32 {
        match self {
            Self::Source { repair, .. } => source_symbols + repair,
            Self::Repair { count, .. } => count,
        }
    }

    /// Returns the id of its symbol number `at`.
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
