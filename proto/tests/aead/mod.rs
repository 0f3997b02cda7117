//! Sealing and opening by hand, without the crate under test: golden files are checked with it, and it writes what
//! any holder of the group key can send.
#![allow(dead_code, reason = "each test uses some of it")]

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

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

/// Returns a notice of this version about a datagram with this session tag, as `Notice::seal` writes those of its
/// own version.
pub(crate) fn notice(group_key: [u8; 32], version: u8, tag: [u8; 3], host: &str) -> Vec<u8> {
    let salt = [5; 16];
    let software = "glancecastd 2.0";
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
