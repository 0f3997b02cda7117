//! The acknowledgement of a hello, a done or a failed. It is never signed: it concerns one host, and a forged one can
//! take from that host no more than its slot, or the repetitions of its final report.
//!
//! ```text
//!   0  10   header, kind 6                                    clear
//!  10   8   receiver id                                       sealed
//!  18   1   kind of what is acknowledged: 16 | 18 | 19
//!  19   4   slot
//!  23  16   tag
//! ```

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;
use super::envelope::sealed;
use super::header::HEADER_BYTES;
use super::kind::Kind;
use crate::ids::ReceiverId;
use crate::limits::CONTROL_SMALL;

/// Ends a host's repetitions of its hello, done or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The host that it answers.
    pub receiver: ReceiverId,
    /// What it answers: hello, done or failed.
    pub kind: Kind,
    /// The host's slot in the window of a poll.
    pub slot: u32,
}

impl Ack {
    pub(super) fn emit(self, out: &mut Writer<'_>) {
        out.bytes(&self.receiver.0);
        out.u8(self.kind as u8);
        out.u32(self.slot);
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        let receiver = ReceiverId(body.array()?);
        let kind = Kind::from_byte(body.u8()?)
            .filter(|kind| matches!(kind, Kind::Hello | Kind::Done | Kind::Failed))
            .ok_or(Discard::Malformed)?;
        Ok(Self { receiver, kind, slot: body.u32()? })
    }
}

fields! {
    Body {
        RECEIVER: ReceiverId::BYTES,
        KIND: 1,
        SLOT: 4,
    }
}

/// The length of an ack.
pub(super) const ROOM: usize = sealed(HEADER_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "an ack fits every path");
