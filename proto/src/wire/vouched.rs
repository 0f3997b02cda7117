//! Who vouches for an announcement, a query or a route: the group's key alone, or a signature whose public key stands
//! before it.
//!
//! ```text
//!   +   1    scheme: 0 group key | 1 Ed25519
//!   +  32    the signer's public key                          scheme 1 only
//!   +  64    signature                                        scheme 1 only
//! ```

use super::bytes::{Reader, Writer, choice};
use super::discard::Discard;
use super::header::SESSION_CLEAR_BYTES;
use crate::sign::{PublicKey, SIGNATURE_BYTES, Scope, Signer};

/// A signature that came with a datagram and was not checked yet. Looking up the signer comes first, as it is far
/// cheaper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    signature: Option<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    signer: PublicKey,
    header: [u8; SESSION_CLEAR_BYTES],
    signed: Vec<u8>,
    bytes: [u8; SIGNATURE_BYTES],
}

impl Vouched {
    /// Who claims to have signed it; `None` where it is not signed.
    pub fn signer(&self) -> Option<PublicKey> {
        self.signature.as_ref().map(|signature| signature.signer)
    }

    /// Checks the signature, if there is one.
    ///
    /// # Errors
    /// [`Discard::BadSignature`]
    pub fn verify(&self, scope: Scope) -> Result<(), Discard> {
        let Some(signature) = &self.signature else { return Ok(()) };
        let Signature { signer, header, signed, bytes } = signature;
        let good = signer.within(scope).verify(header, signed, bytes);
        if good { Ok(()) } else { Err(Discard::BadSignature) }
    }

    /// Writes what comes before the signature.
    pub(super) fn emit(signer: Option<Signer<'_>>, out: &mut Writer<'_>) {
        match signer {
            None => out.u8(SCHEME_GROUP_KEY),
            Some(signer) => {
                out.u8(SCHEME_ED25519);
                out.bytes(&signer.public().0);
            }
        }
    }

    /// Reads the rest of `body`, the plaintext of `datagram`, which was read up to the scheme.
    pub(super) fn parse(mut rest: Reader<'_>, body: &[u8], datagram: &[u8]) -> Result<Self, Discard> {
        let signer = match rest.u8()? {
            SCHEME_GROUP_KEY => {
                rest.end()?;
                return Ok(Self { signature: None });
            }
            SCHEME_ED25519 => PublicKey(rest.array()?),
            _ => return Err(Discard::Malformed),
        };
        let bytes = rest.array()?;
        rest.end()?;
        let header = *datagram.first_chunk().ok_or(Discard::TooShort)?;
        let signed = body[..body.len() - SIGNATURE_BYTES].to_vec();
        Ok(Self { signature: Some(Signature { signer, header, signed, bytes }) })
    }
}

/// Largest length of what names the signer; the signature itself is counted with the envelope.
pub(super) const VOUCHED: usize = choice(PublicKey::BYTES);

const SCHEME_GROUP_KEY: u8 = 0;
const SCHEME_ED25519: u8 = 1;
