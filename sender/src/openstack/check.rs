//! The streaming check of an image's bytes against the hash that Glance computed at the upload. Glance itself never
//! checks it again: it serves a file damaged in its store as if it were intact.

use aws_lc_rs::digest;
use glancecast_proto::hex::Hex;
use glancecast_proto::wire::printable;
use md5::{Digest as _, Md5};

use super::error::{CloudError, shown};
use super::image::ImageHash;

/// A check that is fed every byte of the image in order. At the end it reports whether they are the image.
pub(crate) struct ContentCheck {
    algo: String,
    expected_hex: String,
    state: State,
}

enum State {
    Digest(Box<digest::Context>),
    Md5(Md5),
}

impl ContentCheck {
    /// # Errors
    /// `UnsupportedHash` for an algorithm not in `KNOWN`; `NoHash` if Glance keeps none (an image registered by
    /// location). The caller decides whether to go on without proof.
    pub(crate) fn new(hash: &ImageHash) -> Result<Self, CloudError> {
        let (algo, hex) = match hash {
            ImageHash::Multihash { algo, hex } => (algo.as_str(), hex),
            ImageHash::Md5 { hex } => ("md5", hex),
            ImageHash::None => return Err(CloudError::NoHash),
        };
        let algo = algo.to_ascii_lowercase();
        let state = State::new(&algo)
            .ok_or_else(|| CloudError::UnsupportedHash { algo: shown(&algo), known: KNOWN })?;
        Ok(Self { algo, expected_hex: hex.to_ascii_lowercase(), state })
    }

    /// Returns hashlib's name of the hash.
    pub(crate) fn algo(&self) -> &str {
        &self.algo
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Digest(context) => context.update(bytes),
            State::Md5(context) => context.update(bytes),
        }
    }

    /// # Errors
    /// `WrongContent` if the bytes are not those that Glance hashed.
    pub(crate) fn finish(self) -> Result<(), CloudError> {
        let got_hex = match self.state {
            State::Digest(context) => Hex(context.finish().as_ref()).to_string(),
            State::Md5(context) => Hex(&context.finalize()).to_string(),
        };
        if got_hex == self.expected_hex {
            return Ok(());
        }
        Err(CloudError::WrongContent {
            algo: self.algo,
            expected: shortened(&self.expected_hex),
            got: shortened(&got_hex),
        })
    }
}

impl State {
    /// Starts the hash `algo`, a name of Python's hashlib, as in Glance's `hashing_algorithm`; `None` if unsupported.
    fn new(algo: &str) -> Option<Self> {
        let algorithm = match algo {
            "sha512" => &digest::SHA512,
            "sha384" => &digest::SHA384,
            "sha256" => &digest::SHA256,
            "md5" => return Some(Self::Md5(Md5::new())),
            _ => return None,
        };
        Some(Self::Digest(Box::new(digest::Context::new(algorithm))))
    }
}

/// Returns the first 16 hex digits in printable form: enough to compare by eye.
fn shortened(hex: &str) -> String {
    printable(&hex.chars().take(16).collect::<String>())
}

const KNOWN: &str = "sha512, sha384, sha256 and md5";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(algo: &str, hex: &str, bytes: &[u8]) -> Result<(), CloudError> {
        let mut check = ContentCheck::new(&ImageHash::Multihash { algo: algo.into(), hex: hex.into() })?;
        for piece in bytes.chunks(2) {
            check.update(piece);
        }
        check.finish()
    }

    /// Digests of "abc": FIPS 180-4 examples and RFC 1321 A.5.
    const ABC: [(&str, &str); 4] = [
        (
            "sha512",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (
            "sha384",
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("md5", "900150983cd24fb0d6963f7d28e17f72"),
    ];

    #[test]
    fn the_published_digests_pass_and_one_changed_byte_does_not() {
        for (algo, hex) in ABC {
            check(algo, hex, b"abc").unwrap();
            check(algo, &hex.to_uppercase(), b"abc").unwrap();
            let error = check(algo, hex, b"abd").unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&format!("{algo} should be {}..", &hex[..16])), "{text}");
        }
    }

    #[test]
    fn the_old_checksum_is_md5() {
        let hash = ImageHash::Md5 { hex: ABC[3].1.into() };
        let mut check = ContentCheck::new(&hash).unwrap();
        check.update(b"abc");
        check.finish().unwrap();
    }

    #[test]
    fn an_unknown_algorithm_is_named() {
        let error = check("blake2b", "00", b"").unwrap_err();
        assert!(error.to_string().contains("`blake2b`"), "{error}");
    }

    #[test]
    fn a_record_without_hash_proves_nothing() {
        let error = ContentCheck::new(&ImageHash::None).err().unwrap();
        assert!(matches!(error, CloudError::NoHash));
    }

    #[test]
    fn a_hash_that_is_no_hash_fails_without_panic() {
        check("sha256", "", b"abc").unwrap_err();
        check("sha256", "ää", b"abc").unwrap_err();
    }
}
