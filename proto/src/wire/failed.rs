//! The final report of a host that gives up.
//!
//! ```text
//!   0  10     header, kind 19                                 clear
//!  10   8     receiver id
//!  18   1     kind of the failure                             sealed
//!  19   1+n   reason, n <= 200
//!   +  60     totals (totals.rs)
//!   +  ..     receipt (receipt.rs)
//!   +  16     tag
//! ```

use super::bytes::{Reader, Writer, fields, text};
use super::discard::Discard;
use super::envelope::sealed;
use super::header::UP_CLEAR_BYTES;
use super::receipt::{Outcome, Receipt};
use super::totals::Totals;
use crate::limits::{CONTROL_SMALL, REASON_MAX};

/// A host that has given up and holds nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which kind of thing went wrong.
    pub kind: FailureKind,
    /// What happened, where, and what to do next; at most [`REASON_MAX`] bytes.
    pub reason: String,
    /// Its counters.
    pub totals: Totals,
    /// Its signature under [`Failed::outcome`].
    pub receipt: Receipt,
}

crate::named_enum! {
    /// Why a host gave up.
    pub enum FailureKind: u8 {
        /// A file of this name with other content is there.
        Exists = 1 => "exists",
        /// Not enough space for the object.
        NoSpace = 2 => "no_space",
        /// The store could not be written.
        Store = 3 => "store",
        /// All blocks matched their hashes and the whole did not: the manifest and the root do not go together.
        Root = 4 => "root",
        /// The host does not take part for now: its receiver was told to stop, or its clock is wrong.
        Stopping = 5 => "stopping",
        /// The host's rules do not admit the object.
        Refused = 6 => "refused",
        /// A block was wrong again and again: somebody with the group key sends bad symbols.
        Corrupt = 7 => "corrupt",
        /// The host does not list the key that signs the push, or the push is not signed.
        UnknownSender = 8 => "unknown_sender",
    }
}

impl Failed {
    /// What the receipt is about.
    pub fn outcome(&self) -> Outcome {
        Outcome::Failed(self.kind)
    }

    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        out.u8(self.kind as u8);
        out.cut_text(&self.reason, REASON_MAX);
        self.totals.emit(out);
        self.receipt.emit(out);
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self {
            kind: FailureKind::from_byte(body.u8()?).ok_or(Discard::Malformed)?,
            reason: body.printable(REASON_MAX)?,
            totals: Totals::parse(body)?,
            receipt: Receipt::parse(body)?,
        })
    }
}

fields! {
    Body {
        KIND: 1,
        REASON: text(REASON_MAX),
        TOTALS: Totals::BYTES,
        RECEIPT: Receipt::BYTES_MAX,
    }
}

/// The longest failed.
pub(super) const ROOM: usize = sealed(UP_CLEAR_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "a failed fits every path");
