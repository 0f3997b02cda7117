//! A host's counters, as they stand in its reports, its done and its failed.
//!
//! ```text
//!   0   8   symbols lost
//!   8   8   symbols repaired
//!  16   8   bytes received
//!  24   8   datagrams dropped by the socket
//!  32   8   symbols dropped for lack of a buffer
//!  40   8   symbols that came late
//!  48   8   symbols that were forged
//!  56   4   blocks reused
//! ```

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;

/// What a host has counted since it joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Datagrams to the group that never came.
    pub symbols_lost: u64,
    /// Source symbols that were rebuilt from repair symbols.
    pub symbols_repaired: u64,
    /// Bytes of the datagrams that were accepted.
    pub bytes_received: u64,
    /// Datagrams that the host's own socket dropped because they were not read in time; 0 where that is not known.
    pub socket_drops: u64,
    /// Symbols that came while the store was behind, and were dropped as no buffer was free for their block.
    pub store_drops: u64,
    /// Datagrams to the group that came after later ones, and were counted as lost until then.
    pub symbols_late: u64,
    /// Symbols that were not what the sender's hashes say, of blocks that did not match the manifest.
    pub symbols_forged: u64,
    /// Blocks that were built from what this host held: from a base, or from the object itself.
    pub blocks_reused: u32,
}

impl Totals {
    /// Length on the wire.
    pub(super) const BYTES: usize = Fields::BYTES;

    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        out.u64(self.symbols_lost);
        out.u64(self.symbols_repaired);
        out.u64(self.bytes_received);
        out.u64(self.socket_drops);
        out.u64(self.store_drops);
        out.u64(self.symbols_late);
        out.u64(self.symbols_forged);
        out.u32(self.blocks_reused);
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self {
            symbols_lost: body.u64()?,
            symbols_repaired: body.u64()?,
            bytes_received: body.u64()?,
            socket_drops: body.u64()?,
            store_drops: body.u64()?,
            symbols_late: body.u64()?,
            symbols_forged: body.u64()?,
            blocks_reused: body.u32()?,
        })
    }
}

fields! {
    Fields {
        SYMBOLS_LOST: 8,
        SYMBOLS_REPAIRED: 8,
        BYTES_RECEIVED: 8,
        SOCKET_DROPS: 8,
        STORE_DROPS: 8,
        SYMBOLS_LATE: 8,
        SYMBOLS_FORGED: 8,
        BLOCKS_REUSED: 4,
    }
}
