//! The acknowledgement of a hello, a done or a failed, sealed under the key that the sender and this host share.
//!
//! ```text
//!   0  10   header, kind 6                                    clear
//!  10   8   receiver id                                       sealed
//!  18   1   kind of what is acknowledged: 16 | 18 | 19
//!  19   4   slot
//!  23   4   echo (echo.rs)
//!  27  16   tag
//! ```

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;
use super::envelope::{Envelope, open, read_all, sealed};
use super::header::{HEADER_BYTES, Header};
use super::kind::Kind;
use crate::echo::Echo;
use crate::ids::{ReceiverId, Sequence, SessionTag};
use crate::limits::{CONTROL_MAX, CONTROL_SMALL};
use crate::seal::Cipher;

/// Ends a host's repetitions of its hello, done or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The host that it answers.
    pub receiver: ReceiverId,
    /// What it answers: hello, done or failed.
    pub kind: Kind,
    /// The host's slot in the window of a poll.
    pub slot: u32,
    /// What the host repeats in its reports.
    pub echo: Echo,
}

impl Ack {
    /// Writes the datagram, sealed under the cipher of what the sender tells this host alone.
    pub fn seal(self, private: &Cipher, tag: SessionTag, sequence: Sequence, out: &mut Vec<u8>) {
        let header = Header { kind: Kind::Ack, tag, sequence };
        let envelope = Envelope { cipher: private, sequence, signer: None };
        envelope.seal(out, |out| header.emit(out), |out| self.emit(out));
    }

    /// Opens and reads a datagram under the cipher of what the sender tells this host alone.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(private: &Cipher, datagram: &[u8]) -> Result<(Sequence, Self), Discard> {
        let header = Header::parse_of(Kind::Ack, datagram)?;
        let mut plain = [0; CONTROL_MAX];
        let body = open(private, header.sequence, datagram, HEADER_BYTES, &mut plain)?;
        Ok((header.sequence, read_all(body, Self::parse)?))
    }

    fn emit(self, out: &mut Writer<'_>) {
        out.bytes(&self.receiver.0);
        out.u8(self.kind as u8);
        out.u32(self.slot);
        out.bytes(&self.echo.0);
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        let receiver = ReceiverId(body.array()?);
        let kind = Kind::from_byte(body.u8()?)
            .filter(|kind| matches!(kind, Kind::Hello | Kind::Done | Kind::Failed))
            .ok_or(Discard::Malformed)?;
        Ok(Self { receiver, kind, slot: body.u32()?, echo: Echo(body.array()?) })
    }
}

fields! {
    Body {
        RECEIVER: ReceiverId::BYTES,
        KIND: 1,
        SLOT: 4,
        ECHO: Echo::BYTES,
    }
}

/// The length of an ack.
pub(super) const ROOM: usize = sealed(HEADER_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "an ack fits every path");
