//! Signatures. Every host has the group key, and with it the key of every datagram. Datagrams of the sender that could
//! mislead the whole group are therefore signed too (Ed25519, RFC 8032), so that no host can speak for the sender.
//!
//! A signature covers a context, the session's id, the clear header with the datagram's number, and the body: it is
//! valid for that one datagram. Symbols are not signed, as the signed root and manifest prove what they amount to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::hex::{self, Hex};
use crate::ids::SessionId;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// A sender's secret key. Clones share one copy of it, which is zeroed when the last clone is dropped.
#[derive(Clone)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

impl SigningKey {
    /// Length of the seed that a key is made from.
    pub const SEED_BYTES: usize = 32;

    /// Makes the key from its seed: 32 random bytes.
    pub fn from_seed(seed: &Zeroizing<[u8; Self::SEED_BYTES]>) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&**seed).expect("any 32 bytes are a seed");
        Self(Arc::new(pair))
    }

    /// The public half, by which hosts know this sender.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes"))
    }

    pub(crate) fn sign(&self, session: SessionId, header: &[u8], body: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let signature = self.0.sign(&message(session, header, body));
        signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// A sender's public key, with which its signatures are checked. As text: `ed25519:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; PublicKey::BYTES]);

impl PublicKey {
    /// Length of a public key.
    pub const BYTES: usize = 32;

    /// The beginning of its text.
    pub const PREFIX: &str = "ed25519:";

    pub(crate) fn verify(
        &self,
        session: SessionId,
        header: &[u8],
        body: &[u8],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(&message(session, header, body), signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(PublicKeyError)?;
        hex::parse(digits).map(Self).ok_or(PublicKeyError)
    }
}

/// A text that is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sender's public key, which is `ed25519:` and 64 hex digits")]
pub struct PublicKeyError;

fn message(session: SessionId, header: &[u8], body: &[u8]) -> Vec<u8> {
    [CONTEXT, &session.0, header, body].concat()
}

/// Keeps these signatures apart from any that the same key may make elsewhere.
const CONTEXT: &[u8] = b"glancecast v1 signed datagram: session id, header, body\0";

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId([5; 16]);

    #[test]
    fn a_signature_is_good_for_one_session_one_header_and_one_body() {
        let key = signing_key(1);
        let public = key.public();
        let signature = key.sign(SESSION, b"header", b"body");
        assert!(public.verify(SESSION, b"header", b"body", &signature));
        assert!(!public.verify(SessionId([6; 16]), b"header", b"body", &signature));
        assert!(!public.verify(SESSION, b"Header", b"body", &signature));
        assert!(!public.verify(SESSION, b"header", b"Body", &signature));
        assert!(!signing_key(2).public().verify(SESSION, b"header", b"body", &signature));
        for byte in 0..SIGNATURE_BYTES {
            let mut bent = signature;
            bent[byte] ^= 1;
            assert!(!public.verify(SESSION, b"header", b"body", &bent), "byte {byte}");
        }
    }

    #[test]
    fn keys_are_those_of_rfc_8032() {
        // Section 7.1, test 1.
        let seed =
            hex::parse("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").expect("hex");
        let public = SigningKey::from_seed(&Zeroizing::new(seed)).public();
        assert_eq!(
            public.to_string(),
            "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }

    #[test]
    fn a_public_key_is_read_as_it_is_written() {
        let public = signing_key(3).public();
        assert_eq!(public.to_string().parse(), Ok(public));
        let text = public.to_string();
        for bad in [
            "",
            "ed25519:",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}0"),
            &text.replace(':', "="),
        ] {
            assert_eq!(bad.parse::<PublicKey>(), Err(PublicKeyError), "{bad}");
        }
        assert_eq!(text.replace("ed25519:", "ed25519:g")[..72].parse::<PublicKey>(), Err(PublicKeyError));
    }

    #[test]
    fn a_signing_key_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", signing_key(0xAB)), "SigningKey(..)");
    }

    fn signing_key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Zeroizing::new([seed; 32]))
    }
}
