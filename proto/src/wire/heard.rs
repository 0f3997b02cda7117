//! The acknowledgement of a page of an answer, which asks for the next one.
//!
//! ```text
//!   0  10   header, kind 9                                    clear, signed
//!  10   8   receiver id                                       sealed, signed
//!  18   4   edition
//!  22   2   page
//!  24  64   signature                                         sealed, where the query is signed
//!   +  16   tag
//! ```

use super::bytes::{Reader, fields};
use super::discard::Discard;
use super::envelope::{Envelope, check_signature, open, read_all, sealed_signed, split_signature};
use super::header::{HEADER_BYTES, Header};
use super::kind::Kind;
use crate::ids::{ReceiverId, Sequence, SessionTag};
use crate::limits::{CONTROL_MAX, CONTROL_SMALL};
use crate::seal::Cipher;
use crate::sign::{Signer, Verifier};

/// Acknowledges a page of an answer, and asks for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The host that answered.
    pub receiver: ReceiverId,
    /// Which of its answers.
    pub edition: u32,
    /// Which page.
    pub page: u16,
}

impl Heard {
    /// Writes the sealed datagram, signed if the query is.
    pub fn seal(
        &self,
        cipher: &Cipher,
        signer: Option<Signer<'_>>,
        tag: SessionTag,
        sequence: Sequence,
        out: &mut Vec<u8>,
    ) {
        let header = Header { kind: Kind::Heard, tag, sequence };
        Envelope { cipher, sequence, signer }.seal(
            out,
            |out| header.emit(out),
            |out| {
                out.bytes(&self.receiver.0);
                out.u32(self.edition);
                out.u16(self.page);
            },
        );
    }

    /// Opens and reads a datagram of this query. Where the query is signed, `wanted` decides by what the datagram says
    /// whether its signature is worth checking.
    ///
    /// # Errors
    /// Why it is none; the reason of `wanted` where it is not wanted.
    pub fn open(
        cipher: &Cipher,
        signer: Option<Verifier>,
        datagram: &[u8],
        wanted: impl FnOnce(&Self) -> Result<(), Discard>,
    ) -> Result<Self, Discard> {
        let header = Header::parse_of(Kind::Heard, datagram)?;
        let mut plain = [0; CONTROL_MAX];
        let body = open(cipher, header.sequence, datagram, HEADER_BYTES, &mut plain)?;
        let Some(verifier) = signer else { return read_all(body, Self::parse) };
        let (body, signature) = split_signature(body)?;
        let heard = read_all(body, Self::parse)?;
        wanted(&heard)?;
        check_signature(verifier, datagram, HEADER_BYTES, body, signature)?;
        Ok(heard)
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self { receiver: ReceiverId(body.array()?), edition: body.u32()?, page: body.u16()? })
    }
}

fields! {
    Body {
        RECEIVER: ReceiverId::BYTES,
        EDITION: 4,
        PAGE: 2,
    }
}

/// The length of a heard.
pub(super) const ROOM: usize = sealed_signed(HEADER_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "a heard fits every path");
