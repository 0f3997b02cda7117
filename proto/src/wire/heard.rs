//! The acknowledgement of a page of an answer, which asks for the next one.
//!
//! ```text
//!   0  10   header, kind 9                                    clear
//!  10   8   receiver id                                       sealed
//!  18   4   edition
//!  22   2   page
//!  24  16   tag
//! ```

use super::bytes::fields;
use super::discard::Discard;
use super::envelope::{Envelope, open, read_all, sealed};
use super::header::{HEADER_BYTES, Header};
use super::kind::Kind;
use crate::ids::{ReceiverId, Sequence, SessionTag};
use crate::limits::{CONTROL_MAX, CONTROL_SMALL};
use crate::seal::Cipher;

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
    /// Writes the sealed datagram.
    pub fn seal(&self, cipher: &Cipher, tag: SessionTag, sequence: Sequence, out: &mut Vec<u8>) {
        let header = Header { kind: Kind::Heard, tag, sequence };
        Envelope { cipher, sequence, signer: None }.seal(
            out,
            |out| header.emit(out),
            |out| {
                out.bytes(&self.receiver.0);
                out.u32(self.edition);
                out.u16(self.page);
            },
        );
    }

    /// Opens and reads a datagram of this query.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(cipher: &Cipher, datagram: &[u8]) -> Result<Self, Discard> {
        let header = Header::parse_of(Kind::Heard, datagram)?;
        let mut plain = [0; CONTROL_MAX];
        let body = open(cipher, header.sequence, datagram, HEADER_BYTES, &mut plain)?;
        read_all(body, |body| {
            Ok(Self { receiver: ReceiverId(body.array()?), edition: body.u32()?, page: body.u16()? })
        })
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
pub(super) const ROOM: usize = sealed(HEADER_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "a heard fits every path");
