//! A new group key for one host, in answer to what it has said to the query `rekey`. It is sealed under a key that only
//! this host and the querier have, so that it reaches no other holder of the old group key.
//!
//! ```text
//!   0  10    header, kind 13                                  clear, signed
//!  10   8    receiver id                                      sealed, signed
//!  18  32    the new group key
//!  50  64    signature                                        sealed
//! 114  16    tag
//! ```

use std::fmt;

use zeroize::Zeroizing;

use super::bytes::fields;
use super::discard::Discard;
use super::envelope::{Envelope, check_signature, open, read_all, sealed_signed, split_signature};
use super::header::{HEADER_BYTES, Header};
use super::kind::Kind;
use crate::ids::{ReceiverId, Sequence};
use crate::limits::{CONTROL_MAX, CONTROL_SMALL};
use crate::seal::{Cipher, GroupKey};
use crate::sign::{Signer, Verifier};

/// A new group key for one host.
#[derive(Clone, PartialEq, Eq)]
pub struct NewKey {
    /// The host.
    pub receiver: ReceiverId,
    /// The key.
    pub key: Zeroizing<[u8; GroupKey::BYTES]>,
}

impl NewKey {
    /// Writes the datagram, sealed under the cipher that the querier and this host share, and signed.
    pub fn seal(&self, private: &Cipher, signer: Signer<'_>, sequence: Sequence, out: &mut Vec<u8>) {
        let header = Header { kind: Kind::NewKey, tag: signer.scope().session.tag(), sequence };
        let envelope = Envelope { cipher: private, sequence, signer: Some(signer) };
        envelope.seal(
            out,
            |out| header.emit(out),
            |out| {
                out.bytes(&self.receiver.0);
                out.bytes(&*self.key);
            },
        );
    }

    /// Opens and reads a datagram under the cipher that this host and the querier share.
    ///
    /// # Errors
    /// Why it is none.
    pub fn open(private: &Cipher, verifier: Verifier, datagram: &[u8]) -> Result<Self, Discard> {
        let header = Header::parse_of(Kind::NewKey, datagram)?;
        let mut plain = Zeroizing::new([0; CONTROL_MAX]);
        let body = open(private, header.sequence, datagram, HEADER_BYTES, &mut plain)?;
        let (body, signature) = split_signature(body)?;
        check_signature(verifier, datagram, HEADER_BYTES, body, signature)?;
        read_all(body, |body| {
            Ok(Self { receiver: ReceiverId(body.array()?), key: Zeroizing::new(body.array()?) })
        })
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({}, ..)", self.receiver)
    }
}

fields! {
    Body {
        RECEIVER: ReceiverId::BYTES,
        KEY: GroupKey::BYTES,
    }
}

/// The length of such a datagram.
pub(super) const ROOM: usize = sealed_signed(HEADER_BYTES, Body::BYTES);

const _: () = assert!(ROOM <= CONTROL_SMALL, "it fits every path");
