//! The final report of a host that has published the object.
//!
//! ```text
//!   0  10   header, kind 18                                   clear
//!  10   8   receiver id
//!  18  32   root                                              sealed
//!  50   1   existing: 0 | 1
//!  51  60   totals (totals.rs)
//! 111  ..   receipt (receipt.rs)
//!   +  16   tag
//! ```

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;
use super::envelope::sealed;
use super::header::UP_CLEAR_BYTES;
use super::receipt::{Outcome, Receipt};
use super::totals::Totals;
use crate::integrity::Root;
use crate::limits::CONTROL_SMALL;

/// A host that holds a proven, published copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What it has proven.
    pub root: Root,
    /// It held the same bytes under this name before; nothing was written.
    pub existing: bool,
    /// Its counters.
    pub totals: Totals,
    /// Its signature under [`Done::outcome`].
    pub receipt: Receipt,
}

impl Done {
    /// What the receipt is about.
    pub fn outcome(&self) -> Outcome {
        if self.existing { Outcome::Existing(self.root) } else { Outcome::Published(self.root) }
    }

    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        out.bytes(&self.root.0);
        out.bool(self.existing);
        self.totals.emit(out);
        self.receipt.emit(out);
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self {
            root: Root(body.array()?),
            existing: body.bool()?,
            totals: Totals::parse(body)?,
            receipt: Receipt::parse(body)?,
        })
    }
}

fields! {
    Body {
        ROOT: Root::BYTES,
        EXISTING: 1,
        TOTALS: Totals::BYTES,
        RECEIPT: Receipt::BYTES_MAX,
    }
}

/// The longest done.
pub(super) const ROOM: usize = sealed(UP_CLEAR_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "a done fits every path");
