//! Sealing and opening what stands behind the clear header of a control datagram.
//!
//! ```text
//! +-------------------------------+--------------------+------------------------+----------+
//! | clear header                  | body               | signature, where there | tag      |
//! |                               |                    | is one: 64             | 16       |
//! +-------------------------------+--------------------+------------------------+----------+
//! |<----- signed, with the session id in front ------->|
//! |<- authenticated ------------->|<- encrypted and authenticated ------------->|
//! ```

use super::bytes::{Reader, Writer};
use super::discard::Discard;
use super::header::SESSION_CLEAR_BYTES;
use crate::ids::{Sequence, SessionId};
use crate::limits::CONTROL_MAX;
use crate::seal::{Cipher, GroupKey, TAG_BYTES};
use crate::sign::{SIGNATURE_BYTES, SigningKey};

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

/// What seals one datagram.
pub(super) struct Envelope<'a> {
    pub(super) cipher: &'a Cipher,
    pub(super) sequence: Sequence,
    /// Who signs it, and the session that the signature is for.
    pub(super) signer: Option<(&'a SigningKey, SessionId)>,
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
        let mut plain = Vec::with_capacity(CONTROL_MAX);
        body(&mut Writer::new(&mut plain));
        if let Some((key, session)) = self.signer {
            let signature = key.sign(session, out, &plain);
            plain.extend_from_slice(&signature);
        }
        out.resize(sealed(clear, plain.len()), 0);
        assert!(out.len() <= CONTROL_MAX, "a control datagram of {} bytes", out.len());
        let (header, sealed) = out.split_at_mut(clear);
        self.cipher.seal(self.sequence, header, &plain, sealed);
    }
}
