//! The notice of a host that speaks another version: the one datagram that must never change, so that a sender of any
//! version can name in its table what would otherwise be silence.
//!
//! ```text
//!   0   1     the host's version                              clear
//!   1   1     kind 31
//!   2   3     session tag of what the host heard
//!   5  16     salt
//!  21   1+n   host name, n <= 128                             sealed
//!   +   1+n   software, n <= 32
//!   +  16     tag
//! ```
//!
//! The key is derived from the group key and the salt; the sequence number is 0.

use super::bytes::{Writer, fields, text};
use super::discard::Discard;
use super::envelope::{Envelope, open, read_all, sealed};
use super::header::{FROZEN_BYTES, VERSION};
use super::kind::Kind;
use crate::ids::{HostName, Sequence, SessionTag};
use crate::limits::{CONTROL_MAX, CONTROL_SMALL, HOST_NAME_MAX, SOFTWARE_MAX};
use crate::seal::{Cipher, GroupKey};

/// A host that heard a datagram of a version that it does not speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The version that the host speaks.
    pub version: u8,
    /// The session tag of what it heard.
    pub tag: SessionTag,
    /// The host's name.
    pub name: HostName,
    /// Name and version of its program.
    pub software: String,
}

impl Notice {
    /// Writes this program's notice about a datagram with this tag. The salt is 16 random bytes, used once.
    pub fn seal(
        name: &HostName,
        software: &str,
        tag: SessionTag,
        salt: [u8; 16],
        key: &GroupKey,
        out: &mut Vec<u8>,
    ) {
        Self::seal_of(VERSION, name, software, tag, salt, key, out);
    }

    /// Writes the notice of a program of another version, for simulations. The programs do not contain this.
    #[cfg(feature = "simulation")]
    pub fn seal_as(
        version: u8,
        name: &HostName,
        software: &str,
        tag: SessionTag,
        salt: [u8; 16],
        key: &GroupKey,
        out: &mut Vec<u8>,
    ) {
        Self::seal_of(version, name, software, tag, salt, key, out);
    }

    fn seal_of(
        version: u8,
        name: &HostName,
        software: &str,
        tag: SessionTag,
        salt: [u8; 16],
        key: &GroupKey,
        out: &mut Vec<u8>,
    ) {
        let clear = |out: &mut Writer<'_>| {
            out.u8(version);
            out.u8(Kind::Notice as u8);
            out.bytes(&tag.0);
            out.bytes(&salt);
        };
        let cipher = Cipher::notice(key, &salt);
        let envelope = Envelope { cipher: &cipher, sequence: Sequence::default(), signer: None };
        envelope.seal(out, clear, |out| {
            out.text(name.as_str());
            out.cut_text(software, SOFTWARE_MAX);
        });
    }

    /// Whether a datagram of any version is a notice.
    pub fn is(datagram: &[u8]) -> bool {
        Kind::peek(datagram) == Some(Kind::Notice)
    }

    /// Whether a notice of this version has this tag. Nothing is proven: the tag is in clear, and any key may seal the
    /// rest.
    pub fn has_tag(datagram: &[u8], tag: SessionTag) -> bool {
        Self::is(datagram) && datagram.first() == Some(&VERSION) && datagram.get(2..5) == Some(&tag.0[..])
    }

    /// Opens and reads a notice of any version.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(key: &GroupKey, datagram: &[u8]) -> Result<Self, Discard> {
        if !Self::is(datagram) {
            return Err(Discard::UnknownKind);
        }
        let Some(&[version, _, t0, t1, t2, ref salt @ ..]) = datagram.first_chunk::<CLEAR_BYTES>() else {
            return Err(Discard::TooShort);
        };
        let cipher = Cipher::notice(key, salt);
        let mut plain = [0; CONTROL_MAX];
        let body = open(&cipher, Sequence::default(), datagram, CLEAR_BYTES, &mut plain)?;
        let tag = SessionTag([t0, t1, t2]);
        read_all(body, |body| {
            Ok(Self { version, tag, name: body.host_name()?, software: body.printable(SOFTWARE_MAX)? })
        })
    }
}

/// What keys of notices are drawn from, besides the group key.
const SALT_BYTES: usize = 16;

const CLEAR_BYTES: usize = FROZEN_BYTES + SALT_BYTES;

fields! {
    Body {
        NAME: text(HOST_NAME_MAX),
        SOFTWARE: text(SOFTWARE_MAX),
    }
}

/// The longest notice.
pub(super) const ROOM: usize = sealed(CLEAR_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "a notice fits every path");
