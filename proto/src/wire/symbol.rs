//! The symbol datagram, of which a push mostly consists. Its place is in clear, so that a receiver decrypts it straight
//! to where it belongs.
//!
//! ```text
//!   0  10   header, kind 1                                    clear
//!  10   4   block
//!  14   3   ESI, the symbol's number in the block
//!  17   3   length of the block's encoded bytes
//!  20   T   the symbol                                        sealed
//!   +  16   tag
//! ```

use std::ops::Range;

use glancecast_fec::Esi;

use super::discard::Discard;
use super::header::{HEADER_BYTES, Header, SESSION_CLEAR_BYTES, VERSION};
use super::kind::Kind;
use crate::geometry::SYMBOL_OVERHEAD;
use crate::ids::{BlockIndex, Sequence, SessionTag};
use crate::seal::{Cipher, TAG_BYTES};

/// Which symbol of which block a datagram carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymbolHeader {
    /// Which session's keys to try.
    pub tag: SessionTag,
    /// The datagram's number.
    pub sequence: Sequence,
    /// The block.
    pub block: BlockIndex,
    /// The symbol.
    pub esi: Esi,
    /// Length of the block's encoded bytes, from which K follows: a receiver needs it before the manifest comes.
    pub encoded_len: u32,
}

/// Says that a session's key has opened the datagram with this tag and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    tag: SessionTag,
    sequence: Sequence,
}

impl Opened {
    /// Whether it is about the datagram with this tag and number.
    #[inline]
    pub(crate) fn is(self, tag: SessionTag, sequence: Sequence) -> bool {
        self == Self { tag, sequence }
    }
}

/// Opens a sender's datagram of any kind whose content is not read, into `scratch`.
///
/// # Errors
/// [`Discard::TooLong`] or [`Discard::TooShort`] where the length does not fit the kind or the scratch,
/// [`Discard::Forged`] for what does not open.
pub(crate) fn open_unread(cipher: &Cipher, datagram: &[u8], scratch: &mut [u8]) -> Result<Opened, Discard> {
    let Header { kind, tag, sequence } = Header::parse(datagram)?;
    let clear = match kind {
        Kind::Symbol => CLEAR_BYTES,
        Kind::Announce => SESSION_CLEAR_BYTES,
        _ => HEADER_BYTES,
    };
    let len = datagram.len().checked_sub(clear + TAG_BYTES).ok_or(Discard::TooShort)?;
    let plain = scratch.get_mut(..len).ok_or(Discard::TooLong)?;
    let (header, sealed) = datagram.split_at(clear);
    cipher.open(sequence, header, sealed, plain).map_err(|_| Discard::Forged)?;
    Ok(Opened { tag, sequence })
}

impl SymbolHeader {
    /// Reads the clear header of a symbol datagram.
    ///
    /// # Errors
    /// [`Discard`] for what is no symbol datagram.
    pub fn parse(datagram: &[u8]) -> Result<Self, Discard> {
        let header = Header::parse_of(Kind::Symbol, datagram)?;
        let Some(&[.., b0, b1, b2, b3, e0, e1, e2, l0, l1, l2]) = datagram.first_chunk::<CLEAR_BYTES>()
        else {
            return Err(Discard::TooShort);
        };
        Ok(Self {
            tag: header.tag,
            sequence: header.sequence,
            block: BlockIndex(u32::from_be_bytes([b0, b1, b2, b3])),
            esi: Esi::new(u32::from_be_bytes([0, e0, e1, e2])).expect("three bytes are 24 bits"),
            encoded_len: u32::from_be_bytes([0, l0, l1, l2]),
        })
    }

    /// Writes a whole datagram into `out`: header, the symbol sealed in one pass, tag.
    ///
    /// # Panics
    /// If `out` is not [`SYMBOL_OVERHEAD`] longer than `symbol`.
    pub fn seal(&self, cipher: &Cipher, symbol: &[u8], out: &mut [u8]) {
        let header = self.to_bytes();
        let (clear, sealed) = out.split_at_mut(CLEAR_BYTES);
        clear.copy_from_slice(&header);
        cipher.seal(self.sequence, &header, symbol, sealed);
    }

    /// Opens a datagram's symbol into `place`, which is T bytes long.
    ///
    /// # Errors
    /// [`Discard::Malformed`] for a symbol of another length, [`Discard::Forged`] for one that does not open.
    pub fn open(&self, cipher: &Cipher, datagram: &[u8], place: &mut [u8]) -> Result<Opened, Discard> {
        if datagram.len() != place.len() + SYMBOL_OVERHEAD {
            return Err(Discard::Malformed);
        }
        let (clear, sealed) = datagram.split_at(CLEAR_BYTES);
        cipher.open(self.sequence, clear, sealed, place).map_err(|_| Discard::Forged)?;
        Ok(Opened { tag: self.tag, sequence: self.sequence })
    }

    fn to_bytes(self) -> [u8; CLEAR_BYTES] {
        let mut bytes = [0; CLEAR_BYTES];
        bytes[at::VERSION_AND_KIND].copy_from_slice(&[VERSION, Kind::Symbol as u8]);
        bytes[at::TAG].copy_from_slice(&self.tag.0);
        bytes[at::SEQUENCE].copy_from_slice(&self.sequence.value().to_be_bytes()[3..]);
        bytes[at::BLOCK].copy_from_slice(&self.block.0.to_be_bytes());
        bytes[at::ESI].copy_from_slice(&self.esi.value().to_be_bytes()[1..]);
        bytes[at::ENCODED_LEN].copy_from_slice(&self.encoded_len.to_be_bytes()[1..]);
        bytes
    }
}

/// Where the fields of the clear header are.
mod at {
    use super::Range;

    pub(super) const VERSION_AND_KIND: Range<usize> = 0..2;
    pub(super) const TAG: Range<usize> = 2..5;
    pub(super) const SEQUENCE: Range<usize> = 5..10;
    pub(super) const BLOCK: Range<usize> = 10..14;
    pub(super) const ESI: Range<usize> = 14..17;
    pub(super) const ENCODED_LEN: Range<usize> = 17..20;
}

/// Bytes before the sealed symbol.
const CLEAR_BYTES: usize = at::ENCODED_LEN.end;

const _: () = {
    assert!(at::SEQUENCE.end == HEADER_BYTES && at::SEQUENCE.end - at::SEQUENCE.start == Sequence::BYTES);
    assert!(SYMBOL_OVERHEAD == CLEAR_BYTES + TAG_BYTES);
};
