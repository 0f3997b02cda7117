//! Key agreement (X25519, RFC 7748): a secret that one host and the sender of one session share, and no other holder of
//! the group key.
//!
//! The sender draws a key for each session, a host one for each start and session. The public halves travel in the
//! announcement and in the hello, which are signed. Keys of reports, final reports and acknowledgements follow from the
//! secret ([`Cipher::private_up`](crate::seal::Cipher::private_up)), so that nothing of what follows a hello needs a
//! signature of its own.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use zeroize::{Zeroize, Zeroizing};

use crate::echo::EchoKey;
use crate::hex::shown_as_hex;
use crate::ids::{ReceiverId, SessionId};

/// The secret half of a key for one session.
#[derive(Clone)]
pub struct AgreementKey {
    private: Arc<PrivateKey>,
    echo: EchoKey,
}

impl AgreementKey {
    /// Length of the seed that a key is made from.
    pub const SEED_BYTES: usize = 32;

    /// Makes the key from its seed: 32 random bytes.
    pub fn from_seed(seed: &Zeroizing<[u8; Self::SEED_BYTES]>) -> Self {
        let key = PrivateKey::from_private_key(&X25519, &**seed).expect("any 32 bytes are an X25519 key");
        let mut echo = Zeroizing::new([0; EchoKey::BYTES]);
        let mut hasher = blake3::Hasher::new_derive_key("glancecast v2 echo key: seed of an agreement key");
        hasher.update(&**seed);
        hasher.finalize_xof().fill(&mut *echo);
        hasher.zeroize();
        Self { private: Arc::new(key), echo: EchoKey::new(echo) }
    }

    /// Derives the key of one start of one receiver for one session.
    pub fn derive(secret: &StartSecret, session: SessionId, receiver: ReceiverId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(
            "glancecast v2 agreement key: secret of a start, session id, receiver id",
        );
        hasher.update(&*secret.0).update(&session.0).update(&receiver.0);
        let mut seed = Zeroizing::new([0; Self::SEED_BYTES]);
        hasher.finalize_xof().fill(&mut *seed);
        hasher.zeroize();
        Self::from_seed(&seed)
    }

    /// The public half.
    pub fn public(&self) -> AgreementPublic {
        let public = self.private.compute_public_key().expect("an X25519 key has a public half");
        AgreementPublic(public.as_ref().try_into().expect("an X25519 public key has 32 bytes"))
    }

    /// The key of the echoes in the session of this key.
    pub(crate) fn echo_key(&self) -> &EchoKey {
        &self.echo
    }

    /// The secret that this key and the holder of the other one share. `None` if the other one is no point that a secret
    /// can follow from: all zero, or another of small order (RFC 7748 section 6.1).
    pub fn agree(&self, other: &AgreementPublic) -> Option<SharedSecret> {
        let other = UnparsedPublicKey::new(&X25519, &other.0);
        let shared = |bytes: &[u8]| {
            let mut secret = Zeroizing::new([0; SharedSecret::BYTES]);
            secret.copy_from_slice(bytes);
            Ok(SharedSecret(secret))
        };
        agree(&self.private, other, (), shared).ok()
    }
}

impl AgreementKey {
    /// Returns a seed that nobody can derive who has not this key.
    pub(crate) fn seed(&self, context: &str) -> [u8; 32] {
        let own = self.agree(&self.public()).expect("a secret follows from an honest public half");
        blake3::derive_key(context, own.bytes())
    }
}

impl fmt::Debug for AgreementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgreementKey(..)")
    }
}

/// What the agreement keys of one start of one receiver are derived from. Clones are zeroed when they are dropped.
#[derive(Clone)]
pub struct StartSecret(Zeroizing<[u8; Self::BYTES]>);

impl StartSecret {
    /// Its length.
    pub const BYTES: usize = 32;

    /// Takes over 32 random bytes, drawn at this start of the program.
    pub fn new(mut bytes: [u8; Self::BYTES]) -> Self {
        let secret = Self(Zeroizing::new(bytes));
        bytes.zeroize();
        secret
    }
}

impl fmt::Debug for StartSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StartSecret(..)")
    }
}

/// The public half of an [`AgreementKey`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgreementPublic(pub [u8; Self::BYTES]);

impl AgreementPublic {
    /// Length on the wire.
    pub const BYTES: usize = 32;
}

shown_as_hex!(AgreementPublic);

/// What two keys share. It is zeroed when it is dropped.
pub struct SharedSecret(Zeroizing<[u8; SharedSecret::BYTES]>);

impl SharedSecret {
    const BYTES: usize = 32;

    pub(crate) fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    #[test]
    fn keys_and_secrets_are_those_of_rfc_7748() {
        // Section 6.1.
        let bob = of("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        assert_eq!(
            bob.public().to_string(),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
        );
        let alice = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
        let shared = bob.agree(&AgreementPublic(hex::parse(alice).expect("hex"))).expect("a point");
        let expected = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
        assert_eq!(hex::Hex(shared.bytes()).to_string(), expected);
    }

    #[test]
    fn two_holders_share_a_secret_that_a_third_does_not_have() {
        let [a, b, c] = [1, 2, 3].map(key);
        let ours = a.agree(&b.public()).expect("a point");
        assert_eq!(ours.bytes(), b.agree(&a.public()).expect("a point").bytes());
        assert_ne!(ours.bytes(), c.agree(&a.public()).expect("a point").bytes());
        assert_ne!(ours.bytes(), c.agree(&b.public()).expect("a point").bytes());
    }

    #[test]
    fn a_point_of_small_order_gives_no_secret() {
        let mut one = [0; 32];
        one[0] = 1;
        for point in [[0; 32], one] {
            assert!(key(1).agree(&AgreementPublic(point)).is_none());
        }
    }

    #[test]
    fn a_start_has_another_key_for_each_session_and_each_link() {
        let secret = |byte| StartSecret::new([byte; 32]);
        let (session, receiver) = (SessionId([1; 16]), ReceiverId([1; 8]));
        let key = AgreementKey::derive(&secret(1), session, receiver).public();
        assert_eq!(key, AgreementKey::derive(&secret(1), session, receiver).public());
        assert_ne!(key, AgreementKey::derive(&secret(2), session, receiver).public());
        assert_ne!(key, AgreementKey::derive(&secret(1), SessionId([2; 16]), receiver).public());
        assert_ne!(key, AgreementKey::derive(&secret(1), session, ReceiverId([2; 8])).public());
    }

    #[test]
    fn keys_and_secrets_do_not_show_in_debug_output() {
        let secret = key(1).agree(&key(2).public()).expect("a point");
        let shown = format!("{:?} {secret:?} {:?}", key(1), StartSecret::new([7; 32]));
        assert_eq!(shown, "AgreementKey(..) SharedSecret(..) StartSecret(..)");
    }

    fn key(seed: u8) -> AgreementKey {
        AgreementKey::from_seed(&Zeroizing::new([seed; 32]))
    }

    fn of(hex: &str) -> AgreementKey {
        AgreementKey::from_seed(&Zeroizing::new(hex::parse(hex).expect("32 bytes of hex")))
    }
}
