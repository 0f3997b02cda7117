//! Sealing, signing and agreeing by hand, without the crate under test: golden files are checked with it, and it writes
//! what any holder of the group key can send.
#![allow(dead_code, reason = "each test uses some of it")]

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

/// An AES-256-GCM key.
pub(crate) struct Key(LessSafeKey);

impl Key {
    /// Derives the key from this material with BLAKE3.
    pub(crate) fn derive(context: &str, material: &[u8]) -> Self {
        let key = blake3::derive_key(context, material);
        Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).expect("32 bytes")))
    }

    /// Returns a whole datagram: the clear header, the sealed body, the tag.
    pub(crate) fn seal(&self, sequence: u64, clear: &[u8], mut body: Vec<u8>) -> Vec<u8> {
        self.0.seal_in_place_append_tag(nonce(sequence), Aad::from(clear), &mut body).expect("short");
        [clear, &body].concat()
    }

    /// Returns the body of a datagram whose first `clear` bytes are in clear.
    pub(crate) fn open(&self, sequence: u64, clear: usize, datagram: &[u8]) -> Vec<u8> {
        let (clear, sealed) = datagram.split_at(clear);
        let mut body = sealed.to_vec();
        let opened = self.0.open_in_place(nonce(sequence), Aad::from(clear), &mut body);
        let len = opened.expect("sealed like this").len();
        body.truncate(len);
        body
    }
}

/// Returns the id of the group that has this key.
pub(crate) fn group_id(group_key: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key("glancecast v2 group id: group key", group_key)
}

/// An Ed25519 key.
pub(crate) struct SecretKey(Ed25519KeyPair);

impl SecretKey {
    pub(crate) fn of(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed"))
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().expect("32 bytes")
    }

    /// Returns the signature of a datagram of this session of the group with this key.
    pub(crate) fn sign(
        &self,
        group_key: &[u8; 32],
        session: &[u8; 16],
        clear: &[u8],
        body: &[u8],
    ) -> [u8; 64] {
        let message = [SIGNED, &group_id(group_key), session, clear, body].concat();
        self.0.sign(&message).as_ref().try_into().expect("64 bytes")
    }
}

/// Returns the public half of an X25519 key.
pub(crate) fn agreement_public(seed: &[u8; 32]) -> [u8; 32] {
    let key = PrivateKey::from_private_key(&X25519, seed).expect("any 32 bytes are a key");
    key.compute_public_key().expect("it has one").as_ref().try_into().expect("32 bytes")
}

/// Returns what the holders of two X25519 keys share.
pub(crate) fn shared(seed: &[u8; 32], other: &[u8; 32]) -> [u8; 32] {
    let key = PrivateKey::from_private_key(&X25519, seed).expect("any 32 bytes are a key");
    let take = |bytes: &[u8]| Ok(bytes.try_into().expect("32 bytes"));
    agree(&key, UnparsedPublicKey::new(&X25519, other), (), take).expect("not of small order")
}

/// Returns a notice of this version about a datagram with this session tag, as `Notice::seal` writes those of its
/// own version.
pub(crate) fn notice(group_key: [u8; 32], version: u8, tag: [u8; 3], host: &str) -> Vec<u8> {
    let salt = [5; 16];
    let software = "glancecastd 9.0";
    let clear = [&[version, 31], &tag[..], &salt].concat();
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let key = Key::derive("glancecast version notice: group key, salt", &[&group_key[..], &salt].concat());
    key.seal(0, &clear, [text(host), text(software)].concat())
}

fn nonce(sequence: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&sequence.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

const SIGNED: &[u8] = b"glancecast v2 signed datagram: group id, session id, header, body\0";
