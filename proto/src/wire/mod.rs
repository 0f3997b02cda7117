//! The datagrams: what they say, byte by byte. All numbers are big-endian.
//!
//! ```text
//! every datagram       0 version | 1 kind | 2..5 session tag | 5..10 sequence | more in clear | sealed body | tag
//!   symbol             10..14 block | 14..17 ESI | 17..20 encoded length        | T bytes of the symbol
//!   announce           10..26 session id                                        | the object, how to answer
//!   manifest, poll, end, ack (no more in clear)                                 | see their files
//!   hello, report, done, failed     10..18 receiver id                          | see their files
//!   ask                10..26 question id                                       | what is asked, how to answer
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
mod keeping;
mod manifest;
mod notice;
mod report;
mod symbol;
mod up;

pub use announce::{Announce, Announced, BaseName, is_image_id};
pub use answer::{About, Answer, AnswerState, Finding, Held, Kept, Page, page_breaks};
pub use ask::{Ask, Heard, Question, Sought};
pub use bytes::printable;
pub use discard::{Discard, DiscardCounts};
pub use down::{Ack, Down, End, Poll};
pub use keeping::{DiskFormat, Pin};
pub(crate) use manifest::manifest_bytes;
pub use manifest::{Encoding, Listed, ManifestEntry, ManifestRun};
pub use notice::Notice;
pub use report::{DeficitRun, GapRun, KeptRun, Report, Totals};
pub use symbol::{SYMBOL_OVERHEAD, SymbolHeader};
pub use up::{Done, Failed, FailureKind, Hello, Up, UpHeader};

use crate::ids::{Sequence, SessionId, SessionTag};
use crate::sign::SigningKey;
use bytes::Writer;

/// Version of everything after the first five bytes.
pub const VERSION: u8 = 1;

/// Length of what every datagram begins with, in bytes.
pub(crate) const HEADER_BYTES: usize = 10;

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// An encoding symbol of a block. Sender to group.
    Symbol = 1,
    /// What is being sent, and how to take part. Sender to group, repeated.
    Announce = 2,
    /// Encodings and hashes of a run of blocks. Sender to group.
    Manifest = 3,
    /// How far the pass is; asks for reports; vouches for the source. Sender to group.
    Poll = 4,
    /// The session is over. Sender to group.
    End = 5,
    /// A hello, done or failed was heard. Sender to one host.
    Ack = 6,
    /// What do the hosts hold? Asker to group, repeated.
    Ask = 8,
    /// A page of an answer was heard. Asker to one host.
    Heard = 9,
    /// A host takes part. Host to sender.
    Hello = 16,
    /// What a host lacks. Host to sender.
    Report = 17,
    /// A host has published the object. Host to sender.
    Done = 18,
    /// A host gives up. Host to sender.
    Failed = 19,
    /// A page of what a host answers. Host to asker.
    Answer = 20,
    /// A host speaks another version. Host to sender, frozen across versions.
    Notice = 31,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        use Kind::{
            Ack, Announce, Answer, Ask, Done, End, Failed, Heard, Hello, Manifest, Notice, Poll, Report,
            Symbol,
        };
        [Symbol, Announce, Manifest, Poll, End, Ack, Ask, Heard, Hello, Report, Done, Failed, Answer, Notice]
            .into_iter()
            .find(|&kind| kind as u8 == byte)
    }
}

/// What every datagram but a notice begins with, in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What follows.
    pub kind: Kind,
    /// Which session's keys to try.
    pub tag: SessionTag,
    /// Its number under its writer's key.
    pub sequence: Sequence,
}

impl Header {
    /// Reads the first ten bytes.
    ///
    /// # Errors
    /// Too short, of another version, or of no known kind.
    pub fn parse(datagram: &[u8]) -> Result<Self, Discard> {
        let Some(&[version, kind, t0, t1, t2, ref sequence @ ..]) = datagram.first_chunk::<HEADER_BYTES>()
        else {
            return Err(Discard::TooShort);
        };
        if version != VERSION {
            return Err(Discard::OtherVersion);
        }
        let kind = Kind::from_byte(kind).ok_or(Discard::UnknownKind)?;
        let value = sequence.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
        let sequence = Sequence::new(value).expect("five bytes are 40 bits");
        Ok(Self { kind, tag: SessionTag([t0, t1, t2]), sequence })
    }

    fn emit(self, out: &mut Writer<'_>) {
        out.u8(VERSION);
        out.u8(self.kind as u8);
        out.bytes(&self.tag.0);
        out.uint(self.sequence.value(), 5);
    }
}

/// The version and session tag of a datagram of whatever version, from the five bytes that never change.
pub fn foreign_version(datagram: &[u8]) -> Option<(u8, SessionTag)> {
    match datagram.first_chunk::<5>() {
        Some(&[version, _, t0, t1, t2]) if version != VERSION => Some((version, SessionTag([t0, t1, t2]))),
        _ => None,
    }
}

/// Opens what follows the clear header of `header_len` bytes into `plain` and gives the plaintext.
fn open_body<'p>(
    cipher: &crate::seal::Cipher,
    sequence: Sequence,
    datagram: &[u8],
    header_len: usize,
    plain: &'p mut [u8; crate::limits::CONTROL_MAX],
) -> Result<&'p [u8], Discard> {
    if datagram.len() > crate::limits::CONTROL_MAX {
        return Err(Discard::TooLong);
    }
    let Some(len) = datagram.len().checked_sub(header_len + crate::seal::TAG_BYTES) else {
        return Err(Discard::TooShort);
    };
    let (header, sealed) = datagram.split_at(header_len);
    let plain = &mut plain[..len];
    cipher.open(sequence, header, sealed, plain).map_err(|_| Discard::Forged)?;
    Ok(plain)
}

/// Writes header and body through `emit` and seals the body; gives the whole datagram in `out`.
///
/// # Panics
/// If the datagram would be longer than [`crate::limits::CONTROL_MAX`]: what we emit is bounded by its fields.
fn seal_datagram(
    cipher: &crate::seal::Cipher,
    sequence: Sequence,
    out: &mut Vec<u8>,
    header: impl FnOnce(&mut Writer<'_>),
    body: impl FnOnce(&mut Writer<'_>),
) {
    let mut plain = Vec::with_capacity(crate::limits::CONTROL_MAX);
    body(&mut Writer::new(&mut plain));
    out.clear();
    header(&mut Writer::new(out));
    let header_len = out.len();
    out.resize(header_len + plain.len() + crate::seal::TAG_BYTES, 0);
    assert!(out.len() <= crate::limits::CONTROL_MAX, "a control datagram of {} bytes", out.len());
    let (header, sealed) = out.split_at_mut(header_len);
    cipher.seal(sequence, header, &plain, sealed);
}

/// The same with a signature at the end of the body.
fn seal_signed(
    cipher: &crate::seal::Cipher,
    key: &SigningKey,
    session: SessionId,
    sequence: Sequence,
    out: &mut Vec<u8>,
    header: impl Fn(&mut Writer<'_>),
    body: impl FnOnce(&mut Writer<'_>),
) {
    let (mut clear, mut signed) = (Vec::new(), Vec::with_capacity(crate::limits::CONTROL_MAX));
    header(&mut Writer::new(&mut clear));
    body(&mut Writer::new(&mut signed));
    let signature = key.sign(session, &clear, &signed);
    signed.extend_from_slice(&signature);
    seal_datagram(cipher, sequence, out, header, |out| out.bytes(&signed));
}
