//! The hello: a host takes part.
//!
//! ```text
//!   0  10     header, kind 16                                 clear
//!  10   8     receiver id
//!  18   1+n   host name, n <= 128                             sealed
//!   +   1+n   software, n <= 32
//!   +   1     busy: 0 | 1
//!   +   1     number of kept runs m, <= 16
//!   +   8m    kept runs, each: 4 first block, 4 blocks
//!   +  16     tag
//! ```

use super::bytes::{Reader, Writer, fields, list, text};
use super::discard::Discard;
use super::envelope::sealed;
use super::header::UP_CLEAR_BYTES;
use super::runs::KeptRun;
use crate::geometry::Geometry;
use crate::ids::HostName;
use crate::limits::{CONTROL_SMALL, HELD_RUNS_MAX, HOST_NAME_MAX, SOFTWARE_MAX};

/// A host that takes part, or will as soon as it is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its name.
    pub name: HostName,
    /// Name and version of its program, for the table.
    pub software: String,
    /// The host is at work on another session and joins this one afterwards.
    pub busy: bool,
    /// What it kept of an earlier session of the same object, ascending.
    pub kept: Vec<KeptRun>,
}

impl Hello {
    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        out.text(self.name.as_str());
        out.cut_text(&self.software, SOFTWARE_MAX);
        out.bool(self.busy);
        KeptRun::emit_all(&self.kept, HELD_RUNS_MAX, out);
    }

    pub(super) fn parse(geometry: Geometry, body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self {
            name: body.host_name()?,
            software: body.printable(SOFTWARE_MAX)?,
            busy: body.bool()?,
            kept: KeptRun::parse_all(geometry, HELD_RUNS_MAX, body)?,
        })
    }
}

fields! {
    Body {
        NAME: text(HOST_NAME_MAX),
        SOFTWARE: text(SOFTWARE_MAX),
        BUSY: 1,
        KEPT: list(HELD_RUNS_MAX, KeptRun::BYTES),
    }
}

/// The longest hello.
pub(super) const ROOM: usize = sealed(UP_CLEAR_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "a hello fits every path");
