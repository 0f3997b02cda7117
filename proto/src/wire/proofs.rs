//! The hashes of symbols of a block that did not match the manifest: with them a host tells the symbols that somebody
//! forged from those of the sender.
//!
//! ```text
//!   0  10    header, kind 12                                  clear, signed
//!  10   4    block                                            sealed, signed
//!  14   3    first ESI
//!  17   2    number of hashes n, > 0
//!  19  8n    the hash of each symbol: the first eight bytes of its BLAKE3 hash
//!   +  64    signature                                        sealed, where the session is signed
//!   +  16    tag
//! ```

use glancecast_fec::Esi;

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;
use super::envelope::sealed_signed;
use super::header::HEADER_BYTES;
use crate::geometry::Geometry;
use crate::ids::BlockIndex;
use crate::limits::{CONTROL_MAX, CONTROL_SMALL};

/// The hash of one symbol. Finding another symbol with the same one takes 2^64 tries, and would only cost one more
/// round: the manifest decides what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymbolHash(pub [u8; Self::BYTES]);

impl SymbolHash {
    /// Length on the wire.
    pub const BYTES: usize = 8;

    /// Hashes the bytes of a symbol.
    pub fn of(symbol: &[u8]) -> Self {
        let hash = blake3::hash(symbol);
        Self(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }
}

/// The hashes of symbols with consecutive ESIs of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proofs {
    /// The block.
    pub block: BlockIndex,
    /// The first symbol.
    pub first: Esi,
    /// The hash of each symbol, at least one.
    pub hashes: Vec<SymbolHash>,
}

impl Proofs {
    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        assert!((1..=proofs_in(CONTROL_MAX)).contains(&self.hashes.len()));
        out.u32(self.block.0);
        out.uint(u64::from(self.first.value()), Fixed::FIRST);
        out.u16(self.hashes.len() as u16);
        self.hashes.iter().for_each(|hash| out.bytes(&hash.0));
    }

    pub(super) fn parse(geometry: Geometry, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let block = BlockIndex(body.u32()?);
        let first = Esi::new(body.u24()?).ok_or(Discard::Malformed)?;
        let count = body.u16()?;
        let possible = block.0 < geometry.blocks()
            && (1..=proofs_in(CONTROL_MAX)).contains(&usize::from(count))
            && first.plus(u32::from(count) - 1).is_some();
        if !possible {
            return Err(Discard::Malformed);
        }
        let hashes = (0..count).map(|_| body.array().map(SymbolHash)).collect::<Result<_, _>>()?;
        Ok(Self { block, first, hashes })
    }
}

/// Hashes in a datagram of `datagram` bytes.
pub const fn proofs_in(datagram: usize) -> usize {
    (datagram - sealed_signed(HEADER_BYTES, Fixed::BYTES)) / SymbolHash::BYTES
}

fields! {
    Fixed {
        BLOCK: BlockIndex::BYTES,
        FIRST: 3,
        COUNT: 2,
    }
}

const _: () = assert!(proofs_in(CONTROL_SMALL) >= 50, "the proofs of a block are far shorter than the block");
