//! What the datagrams have in common that a host signs by its own key, and that all who have the group key can open: hello,
//! answer, route ack.

use super::bytes::Writer;
use super::discard::Discard;
use super::envelope::{Envelope, Plain, check_signature, open, split_signature};
use super::header::{Header, UP_CLEAR_BYTES, UpHeader};
use super::kind::Kind;
use crate::ids::{ReceiverId, Sequence};
use crate::seal::Cipher;
use crate::sign::{PublicKey, SIGNATURE_BYTES, Scope, Signer};

/// What seals such a datagram.
pub(super) struct SignedUp<'a> {
    pub(super) kind: Kind,
    pub(super) cipher: &'a Cipher,
    pub(super) signer: Signer<'a>,
    pub(super) receiver: ReceiverId,
    pub(super) sequence: Sequence,
}

impl SignedUp<'_> {
    /// Writes the sealed datagram.
    pub(super) fn seal(&self, out: &mut Vec<u8>, body: impl FnOnce(&mut Writer<'_>)) {
        let &Self { kind, cipher, signer, receiver, sequence } = self;
        let tag = signer.scope().session.tag();
        let header = UpHeader { header: Header { kind, tag, sequence }, receiver };
        Envelope { cipher, sequence, signer: Some(signer) }.seal(out, |out| header.emit(out), body);
    }
}

/// Such a datagram, opened. Its signature is not checked yet.
pub(super) struct Opened<'a> {
    datagram: &'a [u8],
    /// What is signed, behind the clear header.
    pub(super) body: &'a [u8],
    pub(super) signature: &'a [u8; SIGNATURE_BYTES],
}

impl<'a> Opened<'a> {
    /// Opens a datagram of this kind, whose header was read before, into `plain`.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn of(
        kind: Kind,
        cipher: &Cipher,
        up: UpHeader,
        datagram: &'a [u8],
        plain: &'a mut Plain,
    ) -> Result<Self, Discard> {
        if up.header.kind != kind {
            return Err(Discard::UnknownKind);
        }
        let body = open(cipher, up.header.sequence, datagram, UP_CLEAR_BYTES, plain)?;
        let (body, signature) = split_signature(body)?;
        Ok(Self { datagram, body, signature })
    }

    /// Checks that the holder of this key has signed it, for this session of this group.
    ///
    /// # Errors
    /// [`Discard::BadSignature`]
    pub(super) fn check(&self, key: PublicKey, scope: Scope) -> Result<(), Discard> {
        check_signature(key.within(scope), self.datagram, UP_CLEAR_BYTES, self.body, self.signature)
    }
}
