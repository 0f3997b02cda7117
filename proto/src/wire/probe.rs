//! One of a train of datagrams of a diagnosis, of a chosen length.
//!
//! ```text
//!   0  10    header, kind 11                                  clear
//!  10   n    zeros, up to the chosen length
//!   +   2    train                                            sealed
//!   +   2    index in the train, below the number
//!   +   2    number of probes in the train, > 0
//!   +   1    TTL (hop limit) that it was sent with
//!   +  16    tag
//! ```

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;
use super::envelope::{read_all, sealed};
use super::header::{HEADER_BYTES, Header};
use super::kind::Kind;
use crate::ids::{Sequence, SessionTag};
use crate::limits::DATAGRAM_MAX;
use crate::seal::{Cipher, TAG_BYTES};

/// One datagram of a train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Which train of the diagnosis.
    pub train: u16,
    /// Its place in the train.
    pub index: u16,
    /// Number of probes in the train.
    pub count: u16,
    /// The TTL or hop limit that it was sent with.
    pub ttl: u8,
}

impl Probe {
    /// Length of the shortest probe.
    pub const BYTES_MIN: usize = sealed(HEADER_BYTES, Body::BYTES);

    /// Writes the sealed datagram of `len` bytes: at least [`Probe::BYTES_MIN`], at most [`DATAGRAM_MAX`].
    ///
    /// # Panics
    /// If it cannot have this length.
    pub fn seal(&self, cipher: &Cipher, tag: SessionTag, sequence: Sequence, len: usize, out: &mut Vec<u8>) {
        assert!((Self::BYTES_MIN..=DATAGRAM_MAX).contains(&len));
        out.clear();
        Header { kind: Kind::Probe, tag, sequence }.emit(&mut Writer::new(out));
        out.resize(len, 0);
        let (clear, body) = out.split_at_mut(len - Body::BYTES - TAG_BYTES);
        let mut plain = Vec::with_capacity(Body::BYTES);
        self.emit(&mut Writer::new(&mut plain));
        cipher.seal(sequence, clear, &plain, body);
    }

    /// Opens and reads a probe.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(cipher: &Cipher, datagram: &[u8]) -> Result<Self, Discard> {
        let header = Header::parse_of(Kind::Probe, datagram)?;
        if datagram.len() > DATAGRAM_MAX {
            return Err(Discard::TooLong);
        }
        let clear =
            datagram.len().checked_sub(Body::BYTES + TAG_BYTES).filter(|&clear| clear >= HEADER_BYTES);
        let (clear, body) = datagram.split_at(clear.ok_or(Discard::TooShort)?);
        let mut plain = [0; Body::BYTES];
        cipher.open(header.sequence, clear, body, &mut plain).map_err(|_| Discard::Forged)?;
        if clear[HEADER_BYTES..].iter().any(|&byte| byte != 0) {
            return Err(Discard::Malformed);
        }
        read_all(&plain, Self::parse)
    }

    fn emit(&self, out: &mut Writer<'_>) {
        out.u16(self.train);
        out.u16(self.index);
        out.u16(self.count);
        out.u8(self.ttl);
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        let probe = Self { train: body.u16()?, index: body.u16()?, count: body.u16()?, ttl: body.u8()? };
        if probe.index < probe.count { Ok(probe) } else { Err(Discard::Malformed) }
    }
}

fields! {
    Body {
        TRAIN: 2,
        INDEX: 2,
        COUNT: 2,
        TTL: 1,
    }
}
