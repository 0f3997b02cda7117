//! The clear header that every datagram but a notice begins with.
//!
//! ```text
//!   0   1   version                                           clear
//!   1   1   kind
//!   2   3   session tag: the first three bytes of the session id
//!   5   5   sequence
//!  10   8   receiver id, in what hosts send
//! ```
//!
//! The first five bytes mean the same in every version, so that two versions can tell each other apart.

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;
use super::kind::Kind;
use crate::ids::{ReceiverId, Sequence, SessionId, SessionTag};

/// Version of everything after the first five bytes.
pub const VERSION: u8 = 2;

fields! {
    Clear {
        VERSION: 1,
        KIND: 1,
        TAG: SessionTag::BYTES,
        SEQUENCE: Sequence::BYTES,
    }
}

/// Length of the clear header.
pub(super) const HEADER_BYTES: usize = Clear::BYTES;

/// Length of the beginning that is the same in every version.
pub(super) const FROZEN_BYTES: usize = Clear::VERSION + Clear::KIND + Clear::TAG;

/// Length of what a host sends in clear: the header and its receiver id.
pub(super) const UP_CLEAR_BYTES: usize = HEADER_BYTES + ReceiverId::BYTES;

/// Length of what an announcement and a query show in clear: the header and the whole session id.
pub(super) const SESSION_CLEAR_BYTES: usize = HEADER_BYTES + SessionId::BYTES;

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
        let Some(&[version, kind, t0, t1, t2, s0, s1, s2, s3, s4]) = datagram.first_chunk::<HEADER_BYTES>()
        else {
            return Err(Discard::TooShort);
        };
        if version != VERSION {
            return Err(Discard::OtherVersion);
        }
        let kind = Kind::from_byte(kind).ok_or(Discard::UnknownKind)?;
        let value = u64::from_be_bytes([0, 0, 0, s0, s1, s2, s3, s4]);
        let sequence = Sequence::new(value).expect("five bytes are 40 bits");
        Ok(Self { kind, tag: SessionTag([t0, t1, t2]), sequence })
    }

    /// Reads the header of a datagram of this kind.
    pub(super) fn parse_of(kind: Kind, datagram: &[u8]) -> Result<Self, Discard> {
        let header = Self::parse(datagram)?;
        if header.kind == kind { Ok(header) } else { Err(Discard::UnknownKind) }
    }

    /// Reads the header of a datagram of this kind, and the session id in clear behind it; nothing is proven yet.
    pub(super) fn parse_with_session(kind: Kind, datagram: &[u8]) -> Result<(Self, SessionId), Discard> {
        let header = Self::parse_of(kind, datagram)?;
        let id = Reader::new(&datagram[HEADER_BYTES..]).array().map_err(|_| Discard::TooShort)?;
        let session = SessionId(id);
        if session.tag() == header.tag { Ok((header, session)) } else { Err(Discard::Malformed) }
    }

    pub(super) fn emit(self, out: &mut Writer<'_>) {
        out.u8(VERSION);
        out.u8(self.kind as u8);
        out.bytes(&self.tag.0);
        out.uint(self.sequence.value(), Sequence::BYTES);
    }
}

/// The clear header of a host's datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpHeader {
    /// Kind, session, number.
    pub header: Header,
    /// Who wrote it; its key follows from this.
    pub receiver: ReceiverId,
}

impl UpHeader {
    /// Reads the clear header of a host's datagram.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(datagram: &[u8]) -> Result<Self, Discard> {
        let header = Header::parse(datagram)?;
        if !Kind::UP.contains(&header.kind) {
            return Err(Discard::UnknownKind);
        }
        let id = Reader::new(&datagram[HEADER_BYTES..]).array().map_err(|_| Discard::TooShort)?;
        Ok(Self { header, receiver: ReceiverId(id) })
    }

    pub(super) fn emit(self, out: &mut Writer<'_>) {
        self.header.emit(out);
        out.bytes(&self.receiver.0);
    }
}

/// The version and session tag of a datagram of another version, from the five bytes that never change.
pub fn foreign_version(datagram: &[u8]) -> Option<(u8, SessionTag)> {
    match datagram.first_chunk::<FROZEN_BYTES>() {
        Some(&[version, _, t0, t1, t2]) if version != VERSION => Some((version, SessionTag([t0, t1, t2]))),
        _ => None,
    }
}
