//! The datagrams: what they say, byte by byte. All numbers are big-endian.
//!
//! ```text
//! every datagram       0 version | 1 kind | 2..5 session tag | 5..10 sequence | more in clear | sealed body | tag
//!   symbol             10..14 block | 14..17 ESI | 17..20 encoded length        | T bytes of the symbol
//!   announce           10..26 session id                                        | the object, how to answer
//!   manifest, poll, end, ack (no more in clear)                                 | see their files
//!   hello, report, done, failed     10..18 receiver id                          | see their files
//!   ask                10..26 query id                                       | what is asked, how to answer
//!   heard (no more in clear)                                                    | which page of which answer
//!   answer             10..18 receiver id                                       | a page of it
//!   notice             0 version | 1 kind | 2..5 session tag | 5..21 salt       | frozen across versions
//! ```
//!
//! What stands in clear is authenticated with the body. Where the announcement is signed, so are manifest, poll and end:
//! 64 bytes at the end of their bodies, over the session id, all that stands in clear, and the body before them.
//! A symbol is not, as the root proves it, nor an ack, which is said to one host. The first five bytes and the notice mean the same in every
//! version, so that two versions can tell each other apart. Parsing is total: any bytes give a value or a [`Discard`].

mod announce;
mod answer;
mod ask;
mod bytes;
mod discard;
mod down;
mod envelope;
mod header;
mod keeping;
mod manifest;
mod notice;
mod report;
mod symbol;
mod up;

pub use announce::{Announce, Announced, BaseName};
pub use answer::{About, Answer, AnswerState, Finding, Held, Kept, Page, page_breaks};
pub use ask::{Ask, Heard, Query, Sought};
pub use bytes::printable;
pub use discard::{Discard, DiscardCounts};
pub use down::{Ack, Down, End, Poll};
pub use header::{Header, Kind, VERSION, foreign_version};
pub use keeping::{DiskFormat, Pin};
pub(crate) use manifest::manifest_bytes;
pub use manifest::{Encoding, Listed, ManifestEntry, ManifestRun, manifest_room};
pub use notice::Notice;
pub use report::{DeficitRun, GapRun, KeptRun, Report, Totals, report_runs_in};
pub use symbol::SymbolHeader;
pub use up::{Done, Failed, FailureKind, Hello, Up, UpHeader};

pub use crate::geometry::SYMBOL_OVERHEAD;
pub use crate::ids::is_image_id;
