//! Sealing and opening what stands behind the header of a control datagram.

use super::bytes::Writer;
use super::discard::Discard;
use crate::ids::{Sequence, SessionId};
use crate::limits::CONTROL_MAX;
use crate::seal::{Cipher, TAG_BYTES};
use crate::sign::SigningKey;

/// Opens what follows the clear header of `header_len` bytes into `plain`; returns the plaintext.
pub(super) fn open_body<'p>(
    cipher: &Cipher,
    sequence: Sequence,
    datagram: &[u8],
    header_len: usize,
    plain: &'p mut [u8; CONTROL_MAX],
) -> Result<&'p [u8], Discard> {
    if datagram.len() > CONTROL_MAX {
        return Err(Discard::TooLong);
    }
    let Some(len) = datagram.len().checked_sub(header_len + TAG_BYTES) else {
        return Err(Discard::TooShort);
    };
    let (header, sealed) = datagram.split_at(header_len);
    let plain = &mut plain[..len];
    cipher.open(sequence, header, sealed, plain).map_err(|_| Discard::Forged)?;
    Ok(plain)
}

/// Writes a datagram into `out`: the header in clear, the body sealed.
///
/// # Panics
/// If the datagram would be longer than [`CONTROL_MAX`]: what is written is bounded by its fields.
pub(super) fn seal_datagram(
    cipher: &Cipher,
    sequence: Sequence,
    out: &mut Vec<u8>,
    header: impl FnOnce(&mut Writer<'_>),
    body: impl FnOnce(&mut Writer<'_>),
) {
    let mut plain = Vec::with_capacity(CONTROL_MAX);
    body(&mut Writer::new(&mut plain));
    out.clear();
    header(&mut Writer::new(out));
    let header_len = out.len();
    out.resize(header_len + plain.len() + TAG_BYTES, 0);
    assert!(out.len() <= CONTROL_MAX, "a control datagram of {} bytes", out.len());
    let (header, sealed) = out.split_at_mut(header_len);
    cipher.seal(sequence, header, &plain, sealed);
}

/// Writes a datagram with a signature at the end of its body; see [`seal_datagram`].
pub(super) fn seal_signed(
    cipher: &Cipher,
    key: &SigningKey,
    session: SessionId,
    sequence: Sequence,
    out: &mut Vec<u8>,
    header: impl Fn(&mut Writer<'_>),
    body: impl FnOnce(&mut Writer<'_>),
) {
    let (mut clear, mut signed) = (Vec::new(), Vec::with_capacity(CONTROL_MAX));
    header(&mut Writer::new(&mut clear));
    body(&mut Writer::new(&mut signed));
    let signature = key.sign(session, &clear, &signed);
    signed.extend_from_slice(&signature);
    seal_datagram(cipher, sequence, out, header, |out| out.bytes(&signed));
}
