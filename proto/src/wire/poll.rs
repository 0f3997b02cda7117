//! The poll: asks every host for a report and tells how far the push is.
//!
//! ```text
//!   0  10       header, kind 4                                clear, signed
//!  10   4       round                                         sealed, signed
//!  14   4       blocks sent
//!  18   4       manifest entries sent
//!  22   4       window in microseconds, <= 2 min
//!  26   4       slots in the window, > 0
//!  30   1 | 33  0: not proven yet | 1, then the root
//!   +  64       signature                                     sealed, where the session is signed
//!   +  16       tag
//! ```

use std::time::Duration;

use super::bytes::{Reader, Writer, choice, fields};
use super::discard::Discard;
use super::envelope::sealed_signed;
use super::header::HEADER_BYTES;
use crate::geometry::Geometry;
use crate::ids::BlockIndex;
use crate::integrity::Root;
use crate::limits::{CONTROL_SMALL, FEEDBACK_CYCLE_MAX};

/// Asks every host for a report and tells how far the push is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Counted up; a host answers each round once.
    pub round: u32,
    /// The first pass has sent all symbols of all blocks below this one.
    pub blocks_sent: u32,
    /// All manifest entries below this block were sent.
    pub manifest_sent: u32,
    /// Time over which the hosts spread their reports.
    pub window: Duration,
    /// Number of slots in the window.
    pub slots: u32,
    /// Set once the source was read to its end and proven: the object may be published under this root.
    pub root: Option<Root>,
}

impl Poll {
    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        out.u32(self.round);
        out.u32(self.blocks_sent);
        out.u32(self.manifest_sent);
        out.u32(u32::try_from(self.window.as_micros()).unwrap_or(u32::MAX));
        out.u32(self.slots);
        out.bool(self.root.is_some());
        self.root.iter().for_each(|root| out.bytes(&root.0));
    }

    pub(super) fn parse(geometry: Geometry, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let poll = Self {
            round: body.u32()?,
            blocks_sent: body.u32()?,
            manifest_sent: body.u32()?,
            window: Duration::from_micros(u64::from(body.u32()?)),
            slots: body.u32()?,
            root: if body.bool()? { Some(Root(body.array()?)) } else { None },
        };
        let possible = poll.blocks_sent <= geometry.blocks()
            && poll.manifest_sent <= geometry.blocks()
            && poll.slots > 0
            && poll.window <= FEEDBACK_CYCLE_MAX;
        if possible { Ok(poll) } else { Err(Discard::Malformed) }
    }
}

fields! {
    Body {
        ROUND: 4,
        BLOCKS_SENT: BlockIndex::BYTES,
        MANIFEST_SENT: BlockIndex::BYTES,
        WINDOW: 4,
        SLOTS: 4,
        ROOT: choice(Root::BYTES),
    }
}

/// The longest poll.
pub(super) const ROOM: usize = sealed_signed(HEADER_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "a poll fits every path");
