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
        !self.has_small_order()
            && UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }

    /// Whether this is a point of small order. Such a key is nobody's: anybody can write signatures that are good for
    /// it.
    fn has_small_order(&self) -> bool {
        let mut y = self.0;
        y[31] &= 0x7F; // without the sign of x
        SMALL_ORDER.contains(&y)
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
        hex::parse(digits).map(Self).filter(|key| !key.has_small_order()).ok_or(PublicKeyError)
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

/// The encodings of all points whose order divides 8, without the sign of x: (0, 1), (0, -1), those with y = 0, and those
/// of order 8. The last two encode 0 and 1 a second time, with p added.
const SMALL_ORDER: [[u8; PublicKey::BYTES]; 7] = [
    ONE,
    beside_p(0xEC),
    [0; PublicKey::BYTES],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    beside_p(0xED),
    beside_p(0xEE),
];

const ONE: [u8; PublicKey::BYTES] = {
    let mut one = [0; PublicKey::BYTES];
    one[0] = 1;
    one
};

/// Returns a number close to p = 2^255 - 19, whose lowest byte is 0xED.
const fn beside_p(lowest: u8) -> [u8; PublicKey::BYTES] {
    let mut number = [0xFF; PublicKey::BYTES];
    number[0] = lowest;
    number[PublicKey::BYTES - 1] = 0x7F;
    number
}

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
    fn a_key_of_small_order_is_nobodys_and_has_no_good_signature() {
        // The point (0, 1), and a signature that is good for it whatever the message: R = (0, 1), S = 0.
        let (key, mut forged) = (PublicKey(ONE), [0; SIGNATURE_BYTES]);
        forged[0] = 1;
        let by_the_formula = UnparsedPublicKey::new(&ED25519, &key.0).verify(b"any message", &forged);
        assert!(by_the_formula.is_ok(), "the library does not look for such keys");
        assert!(!key.verify_message(b"any message", &forged));
        for y in SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut key = PublicKey(y);
                key.0[31] |= sign;
                assert!(key.has_small_order(), "{key}");
                assert_eq!(key.to_string().parse::<PublicKey>(), Err(PublicKeyError), "{key}");
            }
        }
        let two = PublicKey(beside_p(0xEF));
        assert!(!two.has_small_order() && two.to_string().parse() == Ok(two), "y = 2");
    }

    #[test]
    fn a_signing_key_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", signing_key(0xAB)), "SigningKey(..)");
    }

    fn signing_key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Zeroizing::new([seed; 32]))
    }
}
