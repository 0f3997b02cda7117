//! The datagrams, byte by byte. All numbers are big-endian.
//!
//! Each kind has a file, which begins with a picture of the datagram: a line for each field with its offset from the
//! front of the datagram, its length in bytes and its meaning, and on the right what protects it from there on. `+` is
//! the offset behind the line before, `1+n` a text of n bytes (UTF-8) behind a byte that holds n, `a | b` one or the
//! other. No field is optional or padded unless the picture says so, and nothing may stand behind the last one.
//!
//! ```text
//!  kind         from      to          clear, behind the 10 bytes of the header   sealed for, signed
//!   1 symbol    sender    group       block, ESI, encoded length                 group, no: the root proves it
//!   2 announce  sender    group       session id                                 group, by the sender
//!   3 manifest  sender    group                                                  group, by the sender
//!   4 poll      sender    group                                                  group, by the sender
//!   5 end       sender    group                                                  group, by the sender
//!   6 ack       sender    one host                                               this host, no
//!   7 audience  sender    group                                                  group, by the sender
//!   8 ask       querier   group       query id                                   group, by the sender's key
//!   9 heard     querier   one host                                               group, by the sender's key
//!  10 route     sender    one host    session id                                 group, by the sender
//!  11 probe     querier   group       zeros, as many as the length needs         group, no
//!  12 proofs    sender    group                                                  group, by the sender
//!  13 new key   querier   one host                                               this host, by the sender's key
//!  16 hello     host      sender      receiver id                                group, by the host
//!  17 report    host      sender      receiver id                                this sender, no
//!  18 done      host      sender      receiver id                                this sender, receipt by the host
//!  19 failed    host      sender      receiver id                                this sender, receipt by the host
//!  20 answer    host      querier     receiver id                                group, by the host
//!  21 route ack host      sender      receiver id                                group, by the host
//!  31 notice    host      sender      salt in place of the sequence              group, no, frozen across versions
//! ```
//!
//! Every datagram is clear header, sealed body, tag ([`seal`](crate::seal)): the header is authenticated, the body
//! encrypted and authenticated. Where the sender has a key, a [signature](crate::sign) of 64 bytes at the end of the body
//! covers the ids of the group and the session, the clear header and the body before it. A host always has a key. What
//! is sealed for one host or one sender alone needs no signature, as the agreement keys that it is sealed under are
//! signed ([`agree`](crate::agree)).
//!
//! Parsing is total: any bytes give a value or a [`Discard`]. `ROOM` in each file is the length of the longest datagram
//! of its kind, with its signature; that it fits every path is proved at compile time. Manifests and reports fill what
//! the session's datagrams have room for, up to [`CONTROL_MAX`](crate::limits::CONTROL_MAX).

mod ack;
mod announce;
mod answer;
mod ask;
mod audience;
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
mod new_key;
mod notice;
mod poll;
mod probe;
mod proofs;
mod receipt;
mod report;
mod route;
mod route_ack;
mod runs;
mod signed_up;
mod symbol;
#[cfg(test)]
mod tests;
mod totals;
mod up;
mod vouched;

pub use ack::Ack;
pub use announce::{Announce, Announced};
pub use answer::{About, Answer, AnswerState, Counter, HeldDigest, Page, page_breaks};
pub use ask::{Ask, Query, Sought, Step};
pub use audience::{Audience, AudiencePage, Meant, NameHash, names_in};
pub use discard::{Discard, DiscardCounts};
pub use done::{CommandOutcome, Done};
pub use down::Down;
pub use end::End;
pub use failed::{Failed, FailureKind};
pub use header::{Header, UpHeader, VERSION, foreign_version};
pub use heard::Heard;
pub use held::{Finding, Held, Kept};
pub use hello::{Greeting, Hello};
pub use keeping::{DiskFormat, Pin, PinTime};
pub use kind::Kind;
pub(crate) use manifest::manifest_bytes;
pub use manifest::{Encoding, Listed, ManifestEntry, ManifestRun, manifest_room};
pub use new_key::NewKey;
pub use notice::Notice;
pub use poll::{Part, Poll};
pub use probe::Probe;
pub use proofs::{Proofs, SymbolHash, proofs_in};
pub use receipt::{Outcome, Receipt};
pub use report::{Report, report_runs_in};
pub use route::Route;
pub use route_ack::RouteAck;
pub use runs::{DeficitRun, GapRun, KeptRun};
pub(crate) use symbol::open_unread;
pub use symbol::{Opened, SymbolHeader};
pub use totals::Totals;
pub use up::Up;
pub use vouched::Vouched;

pub use crate::geometry::SYMBOL_OVERHEAD;
pub use crate::ids::{BaseName, is_image_id};
pub use crate::text::printable;
