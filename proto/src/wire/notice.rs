//! The notice of a host that speaks another version: the one datagram that must never change, so that a sender of any
//! version can name in its table what would otherwise be silence.
//!
//! ```text
//! 0 the host's version | 1 kind = 31 | 2..5 session tag of what it heard | 5..21 salt | sealed: name, software | tag
//! ```
//!
//! The key is derived from the group key and the salt; the sequence number is 0.

use super::bytes::{Reader, Writer, cut};
use super::discard::Discard;
use super::envelope::{open_body, seal_datagram};
use super::header::{Kind, VERSION};
use crate::ids::{HostName, Sequence, SessionTag};
use crate::limits::{CONTROL_MAX, HOST_NAME_MAX, SOFTWARE_MAX};
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
    /// Writes this program's notice about a datagram with that tag. The salt is 16 random bytes, used once.
    pub fn seal(
        name: &HostName,
        software: &str,
        tag: SessionTag,
        salt: [u8; 16],
        key: &GroupKey,
        out: &mut Vec<u8>,
    ) {
        let clear = |out: &mut Writer<'_>| {
            out.u8(VERSION);
            out.u8(Kind::Notice as u8);
            out.bytes(&tag.0);
            out.bytes(&salt);
        };
        seal_datagram(&Cipher::notice(key, &salt), Sequence::default(), out, clear, |out| {
            out.text(name.as_str());
            out.text(cut(software, SOFTWARE_MAX));
        });
    }

    /// Whether a datagram of any version is a notice.
    pub fn is(datagram: &[u8]) -> bool {
        datagram.get(1) == Some(&(Kind::Notice as u8))
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
        let mut plain = [0; CONTROL_MAX];
        let cipher = Cipher::notice(key, salt);
        let mut body =
            Reader::new(open_body(&cipher, Sequence::default(), datagram, CLEAR_BYTES, &mut plain)?);
        let name = HostName::new(body.text(HOST_NAME_MAX)?).map_err(|_| Discard::Malformed)?;
        let software = super::bytes::printable(body.text(SOFTWARE_MAX)?);
        body.end()?;
        Ok(Self { version, tag: SessionTag([t0, t1, t2]), name, software })
    }
}

const CLEAR_BYTES: usize = 5 + 16;
