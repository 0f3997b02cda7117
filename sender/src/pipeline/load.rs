//! The symbols of a job, ready to be sent.

use glancecast_fec::Esi;
use glancecast_proto::ids::BlockIndex;
use glancecast_proto::sender::NextSymbol;

/// Symbols of one block that are to be sent.
pub(crate) struct Load {
    /// The job's symbols, in its order.
    pub(crate) symbols: Vec<u8>,
    pub(crate) encoded_len: u32,
    /// The thread that made the symbols, and gets their memory back.
    pub(crate) from: MadeBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MadeBy {
    Reader,
    Encoder,
}

/// One symbol, ready to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Symbol<'a> {
    pub(crate) block: BlockIndex,
    pub(crate) esi: Esi,
    pub(crate) encoded_len: u32,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Symbol<'a> {
    /// Returns the symbol that `next` describes, of `symbol_size` bytes.
    pub(crate) fn of(next: &NextSymbol<'a, Load>, symbol_size: usize) -> Self {
        Self {
            block: next.block,
            esi: next.esi,
            encoded_len: next.load.encoded_len,
            bytes: &next.load.symbols[next.position as usize * symbol_size..][..symbol_size],
        }
    }
}
