//! What every datagram begins with: its version, its kind, its session, its number.

use super::bytes::Writer;
use super::discard::Discard;
use crate::ids::{Sequence, SessionTag};

/// Version of everything after the first five bytes.
pub const VERSION: u8 = 1;

/// Length of what every datagram begins with, in bytes.
pub(super) const HEADER_BYTES: usize = 10;

/// Length of what a host says in clear: the header and its receiver id.
pub(super) const UP_CLEAR_BYTES: usize = HEADER_BYTES + 8;

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
    /// What do the hosts hold? Querier to group, repeated.
    Ask = 8,
    /// A page of an answer was heard. Querier to one host.
    Heard = 9,
    /// A host takes part. Host to sender.
    Hello = 16,
    /// What a host lacks. Host to sender.
    Report = 17,
    /// A host has published the object. Host to sender.
    Done = 18,
    /// A host gives up. Host to sender.
    Failed = 19,
    /// A page of what a host answers. Host to querier.
    Answer = 20,
    /// A host speaks another version. Host to sender, frozen across versions.
    Notice = 31,
}

impl Kind {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
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

    pub(super) fn emit(self, out: &mut Writer<'_>) {
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
