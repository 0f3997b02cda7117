//! Sealing and opening what stands behind the clear header of a control datagram.
//!
//! ```text
//! +-------------------------------+--------------------+------------------------+----------+
//! | clear header                  | body               | signature, where there | tag      |
//! |                               |                    | is one: 64             | 16       |
//! +-------------------------------+--------------------+------------------------+----------+
//! |<----- signed, behind the ids of group and session ->|
//! |<- authenticated ------------->|<- encrypted and authenticated ------------->|
//! ```

use zeroize::Zeroizing;

use super::bytes::{Reader, Writer};
use super::discard::Discard;
use super::header::SESSION_CLEAR_BYTES;
use crate::ids::{Sequence, SessionId};
use crate::limits::CONTROL_MAX;
use crate::seal::{Cipher, GroupKey, TAG_BYTES};
use crate::sign::{SIGNATURE_BYTES, Signer, Verifier};

/// Length of a datagram with `clear` and `body` bytes.
pub(super) const fn sealed(clear: usize, body: usize) -> usize {
    clear + body + TAG_BYTES
}

/// Length of a datagram with `clear` and `body` bytes that is signed.
pub(super) const fn sealed_signed(clear: usize, body: usize) -> usize {
    sealed(clear, body + SIGNATURE_BYTES)
}

/// Where the plaintext of a control datagram goes.
pub(super) type Plain = [u8; CONTROL_MAX];

/// Opens what follows the clear header of `clear` bytes into `plain`; returns the plaintext.
pub(super) fn open<'p>(
    cipher: &Cipher,
    sequence: Sequence,
    datagram: &[u8],
    clear: usize,
    plain: &'p mut Plain,
) -> Result<&'p [u8], Discard> {
    if datagram.len() > CONTROL_MAX {
        return Err(Discard::TooLong);
    }
    let Some(len) = datagram.len().checked_sub(sealed(clear, 0)) else {
        return Err(Discard::TooShort);
    };
    let (header, sealed) = datagram.split_at(clear);
    let plain = &mut plain[..len];
    cipher.open(sequence, header, sealed, plain).map_err(|_| Discard::Forged)?;
    Ok(plain)
}

/// Opens an announcement or a query: the session is in clear, and the group's key decides whether it is for this group.
pub(super) fn open_for_group<'p>(
    key: &GroupKey,
    session: SessionId,
    sequence: Sequence,
    datagram: &[u8],
    plain: &'p mut Plain,
) -> Result<&'p [u8], Discard> {
    open(&Cipher::downward(key, session), sequence, datagram, SESSION_CLEAR_BYTES, plain)
        .map_err(|reason| if reason == Discard::Forged { Discard::WrongKey } else { reason })
}

/// Reads a whole body.
pub(super) fn read_all<T>(
    body: &[u8],
    parse: impl FnOnce(&mut Reader<'_>) -> Result<T, Discard>,
) -> Result<T, Discard> {
    let mut body = Reader::new(body);
    let value = parse(&mut body)?;
    body.end()?;
    Ok(value)
}

/// Splits a signed body into what the signature covers and the signature.
pub(super) fn split_signature(body: &[u8]) -> Result<(&[u8], &[u8; SIGNATURE_BYTES]), Discard> {
    body.split_last_chunk().ok_or(Discard::BadSignature)
}

/// Checks the signature behind the clear header of `clear` bytes and the body of a datagram.
pub(super) fn check_signature(
    verifier: Verifier,
    datagram: &[u8],
    clear: usize,
    body: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<(), Discard> {
    if verifier.verify(&datagram[..clear], body, signature) { Ok(()) } else { Err(Discard::BadSignature) }
}

/// What seals one datagram.
pub(super) struct Envelope<'a> {
    pub(super) cipher: &'a Cipher,
    pub(super) sequence: Sequence,
    /// Who signs it.
    pub(super) signer: Option<Signer<'a>>,
}

impl Envelope<'_> {
    /// Writes the datagram into `out`: the header in clear, the body and its signature sealed.
    ///
    /// # Panics
    /// If the datagram would be longer than [`CONTROL_MAX`]: bodies are bounded by their fields.
    pub(super) fn seal(
        &self,
        out: &mut Vec<u8>,
        header: impl FnOnce(&mut Writer<'_>),
        body: impl FnOnce(&mut Writer<'_>),
    ) {
        out.clear();
        header(&mut Writer::new(out));
        let clear = out.len();
        let mut plain = Zeroizing::new(Vec::with_capacity(CONTROL_MAX));
        body(&mut Writer::new(&mut plain));
        if let Some(signer) = self.signer {
            let signature = signer.sign(out, &plain);
            plain.extend_from_slice(&signature);
        }
        out.resize(sealed(clear, plain.len()), 0);
        assert!(out.len() <= CONTROL_MAX, "a control datagram of {} bytes", out.len());
        let (header, sealed) = out.split_at_mut(clear);
        self.cipher.seal(self.sequence, header, &plain, sealed);
    }
}
