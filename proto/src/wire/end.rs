//! The end of a session.
//!
//! ```text
//!   0  10         header, kind 5                              clear, signed
//!  10   1 | 2+n   0: over | 1: aborted, then the reason, n <= 200   sealed, signed
//!   +  64         signature                                   sealed, where the session is signed
//!   +  16         tag
//! ```

use super::bytes::{Reader, Writer, choice, fields, text};
use super::discard::Discard;
use super::envelope::sealed_signed;
use super::header::HEADER_BYTES;
use crate::limits::{CONTROL_SMALL, REASON_MAX};

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing more will be sent.
    Over,
    /// The push failed; nothing may be published. The reason is for people.
    Aborted(String),
}

impl End {
    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        match self {
            Self::Over => out.u8(OVER),
            Self::Aborted(reason) => {
                out.u8(ABORTED);
                out.cut_text(reason, REASON_MAX);
            }
        }
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        match body.u8()? {
            OVER => Ok(Self::Over),
            ABORTED => body.printable(REASON_MAX).map(Self::Aborted),
            _ => Err(Discard::Malformed),
        }
    }
}

const OVER: u8 = 0;
const ABORTED: u8 = 1;

fields! {
    Body {
        HOW: choice(text(REASON_MAX)),
    }
}

/// The longest end.
pub(super) const ROOM: usize = sealed_signed(HEADER_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "an end fits every path");
