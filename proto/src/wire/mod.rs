//! The datagrams, byte by byte. All numbers are big-endian.
//!
//! Each kind has a file, which begins with a picture of the datagram: a line for each field with its offset from the
//! front of the datagram, its length in bytes and its meaning, and on the right what protects it from there on. `+` is
//! the offset behind the line before, `1+n` a text of n bytes (UTF-8) behind a byte that holds n, `a | b` one or the
//! other. No field is optional or padded unless the picture says so, and nothing may stand behind the last one.
//!
//! ```text
//!  kind         from      to          clear, behind the 10 bytes of the header   signed
//!   1 symbol    sender    group       block, ESI, encoded length                 no: the root proves it
//!   2 announce  sender    group       session id                                 yes
//!   3 manifest  sender    group                                                  yes
//!   4 poll      sender    group                                                  yes
//!   5 end       sender    group                                                  yes
//!   6 ack       sender    one host                                               no: it concerns one host only
//!   8 ask       querier   group       query id                                   no
//!   9 heard     querier   one host                                               no
//!  16 hello     host      sender      receiver id                                no
//!  17 report    host      sender      receiver id                                no
//!  18 done      host      sender      receiver id                                no
//!  19 failed    host      sender      receiver id                                no
//!  20 answer    host      querier     receiver id                                no
//!  31 notice    host      sender      salt in place of the sequence              no, frozen across versions
//! ```
//!
//! Every datagram is clear header, sealed body, tag ([`seal`](crate::seal)): the header is authenticated, the body
//! encrypted and authenticated. Where the announcement is signed, so are manifests, polls and ends: a
//! [signature](crate::sign) of 64 bytes at the end of the body covers the session id, the clear header and the body
//! before it.
//!
//! Parsing is total: any bytes give a value or a [`Discard`]. `ROOM` in each file is the length of the longest datagram
//! of its kind, with its signature; that it fits every path is proved at compile time. Manifests and reports fill what
//! the session's datagrams have room for, up to [`CONTROL_MAX`](crate::limits::CONTROL_MAX).

mod ack;
mod announce;
mod answer;
mod ask;
mod bytes;
mod discard;
mod done;
mod down;
mod end;
mod envelope;
mod failed;
mod header;
mod heard;
mod held;
mod hello;
mod keeping;
mod kind;
mod manifest;
mod notice;
mod poll;
mod report;
mod runs;
mod symbol;
#[cfg(test)]
mod tests;
mod totals;
mod up;

pub use ack::Ack;
pub use announce::{Announce, Announced};
pub use answer::{About, Answer, AnswerState, Page, page_breaks};
pub use ask::{Ask, Query, Sought};
pub use discard::{Discard, DiscardCounts};
pub use done::Done;
pub use down::Down;
pub use end::End;
pub use failed::{Failed, FailureKind};
pub use header::{Header, UpHeader, VERSION, foreign_version};
pub use heard::Heard;
pub use held::{Finding, Held, Kept};
pub use hello::Hello;
pub use keeping::{DiskFormat, Pin};
pub use kind::Kind;
pub(crate) use manifest::manifest_bytes;
pub use manifest::{Encoding, Listed, ManifestEntry, ManifestRun, manifest_room};
pub use notice::Notice;
pub use poll::Poll;
pub use report::{Report, report_runs_in};
pub use runs::{DeficitRun, GapRun, KeptRun};
pub use symbol::SymbolHeader;
pub use totals::Totals;
pub use up::Up;

pub use crate::geometry::SYMBOL_OVERHEAD;
pub use crate::ids::{BaseName, is_image_id};
pub use crate::text::printable;
