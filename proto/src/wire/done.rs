//! The final report of a host that has published the object.
//!
//! ```text
//!   0  10   header, kind 18                                   clear
//!  10   8   receiver id
//!  18  32   root                                              sealed
//!  50   1   existing: 0 | 1
//!  51  60   totals (totals.rs)
//! 111  ..   receipt (receipt.rs)
//!   +   1   command after the publication: 0 none | 1 succeeded | 2 still runs | 3 failed
//!   +  1+n  if it failed: how, n <= 96
//!   +  16   tag
//! ```

use super::bytes::{Reader, Writer, choice, fields, text};
use super::discard::Discard;
use super::envelope::sealed;
use super::header::UP_CLEAR_BYTES;
use super::receipt::{Outcome, Receipt};
use super::totals::Totals;
use crate::integrity::Root;
use crate::limits::{CONTROL_SMALL, FINDING_MAX};

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
    /// What came of the command that the host ran after the publication.
    pub command: CommandOutcome,
}

/// What came of the command that a host runs after it has published an object (`on_published`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CommandOutcome {
    /// None was to be run.
    #[default]
    None,
    /// It ended with exit code 0.
    Succeeded,
    /// It had not ended yet.
    Running,
    /// It did not succeed: how, at most [`FINDING_MAX`] bytes.
    Failed(String),
}

impl CommandOutcome {
    /// Length of the longest.
    const BYTES_MAX: usize = choice(text(FINDING_MAX));

    fn emit(&self, out: &mut Writer<'_>) {
        match self {
            Self::None => out.u8(0),
            Self::Succeeded => out.u8(1),
            Self::Running => out.u8(2),
            Self::Failed(how) => {
                out.u8(3);
                out.cut_text(how, FINDING_MAX);
            }
        }
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        match body.u8()? {
            0 => Ok(Self::None),
            1 => Ok(Self::Succeeded),
            2 => Ok(Self::Running),
            3 => Ok(Self::Failed(body.printable(FINDING_MAX)?)),
            _ => Err(Discard::Malformed),
        }
    }
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
        self.command.emit(out);
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self {
            root: Root(body.array()?),
            existing: body.bool()?,
            totals: Totals::parse(body)?,
            receipt: Receipt::parse(body)?,
            command: CommandOutcome::parse(body)?,
        })
    }
}

fields! {
    Body {
        ROOT: Root::BYTES,
        EXISTING: 1,
        TOTALS: Totals::BYTES,
        RECEIPT: Receipt::BYTES_MAX,
        COMMAND: CommandOutcome::BYTES_MAX,
    }
}

/// The longest done.
pub(super) const ROOM: usize = sealed(UP_CLEAR_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "a done fits every path");
