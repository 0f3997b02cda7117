//! Signatures. Every host has the group key, and with it the key of every datagram. Datagrams of the sender that could
//! mislead the whole group are therefore signed too (Ed25519, RFC 8032), so that no host can speak for the sender.
//!
//! A host signs likewise what makes it known to a sender, and what it says at the end: hello, receipt, answer.
//!
//! A signature covers a context, the group's id, the session's id, the clear header with the datagram's version and
//! number, and the body: it is valid for that one datagram of that one group. Symbols are not signed, as the signed root
//! and manifest prove what they amount to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::hex::{self, Hex};
use crate::ids::{GroupId, SessionId};

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// The secret key of a sender or of a host. Clones share one copy of it, which is zeroed when the last clone is dropped.
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

    /// The public half, by which others know its holder.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes"))
    }

    /// Signs the datagrams of one session with this key.
    pub fn within(&self, scope: Scope) -> Signer<'_> {
        Signer { key: self, scope }
    }

    pub(crate) fn sign_message(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }
}

/// What a signature is for: one session of one group. What was signed for one group is worth nothing in another, also
/// where both list the same sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The group.
    pub group: GroupId,
    /// The session.
    pub session: SessionId,
}

/// A key with the scope that it signs for.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    key: &'a SigningKey,
    scope: Scope,
}

impl Signer<'_> {
    /// The public half of the key.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// What it signs for.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    pub(crate) fn sign(&self, header: &[u8], body: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.key.sign_message(&message(self.scope, header, body))
    }
}

/// A public key with the scope that its signatures have to be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// The key.
    pub key: PublicKey,
    /// The scope.
    pub scope: Scope,
}

impl Verifier {
    pub(crate) fn verify(&self, header: &[u8], body: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        self.key.verify_message(&message(self.scope, header, body), signature)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// A public key, with which signatures are checked. As text: `ed25519:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; PublicKey::BYTES]);

impl PublicKey {
    /// Length of a public key.
    pub const BYTES: usize = 32;

    /// The beginning of its text.
    pub const PREFIX: &str = "ed25519:";

    /// Checks signatures of this key for one session.
    pub const fn within(self, scope: Scope) -> Verifier {
        Verifier { key: self, scope }
    }

    pub(crate) fn verify_message(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
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
#[error("not a public key, which is `ed25519:` and 64 hex digits")]
pub struct PublicKeyError;

fn message(scope: Scope, header: &[u8], body: &[u8]) -> Vec<u8> {
    [CONTEXT, &scope.group.0, &scope.session.0, header, body].concat()
}

/// Keeps these signatures apart from any that the same key may make elsewhere.
const CONTEXT: &[u8] = b"glancecast v2 signed datagram: group id, session id, header, body\0";

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope = Scope { group: GroupId([4; 32]), session: SessionId([5; 16]) };

    #[test]
    fn a_signature_is_good_for_one_group_one_session_one_header_and_one_body() {
        let key = signing_key(1);
        let here = key.public().within(SCOPE);
        let signature = key.within(SCOPE).sign(b"header", b"body");
        assert!(here.verify(b"header", b"body", &signature));
        let elsewhere =
            [Scope { group: GroupId([3; 32]), ..SCOPE }, Scope { session: SessionId([6; 16]), ..SCOPE }];
        for scope in elsewhere {
            assert!(!key.public().within(scope).verify(b"header", b"body", &signature), "{scope:?}");
        }
        assert!(!here.verify(b"Header", b"body", &signature));
        assert!(!here.verify(b"header", b"Body", &signature));
        assert!(!signing_key(2).public().within(SCOPE).verify(b"header", b"body", &signature));
        for byte in 0..SIGNATURE_BYTES {
            let mut bent = signature;
            bent[byte] ^= 1;
            assert!(!here.verify(b"header", b"body", &bent), "byte {byte}");
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
