//! The text of a signing key in a file: a prefix that names the kind of key, the seed in hex, and a line feed. By the
//! prefix no kind of key is taken for another, for a public key, or for a group key.

use std::io;

use glancecast_proto::hex;
use glancecast_proto::sign::SigningKey;
use zeroize::Zeroizing;

/// A kind of signing key, by the prefix of its line.
pub(crate) struct SecretLine {
    /// The beginning of the line.
    pub(crate) prefix: &'static str,
}

/// A key that was drawn, and its line.
pub(crate) struct Drawn {
    pub(crate) key: SigningKey,
    pub(crate) text: Zeroizing<Vec<u8>>,
}

impl SecretLine {
    /// Returns the length of the file.
    pub(crate) const fn bytes(&self) -> usize {
        self.prefix.len() + 2 * SigningKey::SEED_BYTES + 1
    }

    /// Parses the content of a file; `None` if it is no key of this kind.
    pub(crate) fn parse(&self, file: &[u8]) -> Option<SigningKey> {
        let text = std::str::from_utf8(file).ok().filter(|text| text.len() == self.bytes())?;
        let seed = text.trim_end().strip_prefix(self.prefix).and_then(hex::parse).map(Zeroizing::new)?;
        Some(SigningKey::from_seed(&seed))
    }

    /// Draws a new key.
    pub(crate) fn draw(&self) -> io::Result<Drawn> {
        let seed = Zeroizing::new(crate::random::bytes::<{ SigningKey::SEED_BYTES }>()?);
        let mut text = Zeroizing::new(Vec::with_capacity(self.bytes()));
        text.extend_from_slice(self.prefix.as_bytes());
        for byte in seed.iter() {
            text.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        }
        text.push(b'\n');
        Ok(Drawn { key: SigningKey::from_seed(&seed), text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_by_its_own_kind_alone() {
        let (ours, other) = (SecretLine { prefix: "ours:" }, SecretLine { prefix: "mine:" });
        let Drawn { key, text } = ours.draw().expect("random numbers");
        assert_eq!(
            (text.len(), ours.parse(&text).map(|key| key.public())),
            (ours.bytes(), Some(key.public()))
        );
        assert!(other.parse(&text).is_none());
        assert_ne!(ours.draw().expect("random numbers").key.public(), key.public());
        for len in [0, 5, text.len() - 1] {
            assert!(ours.parse(&text[..len]).is_none(), "{len}");
        }
        assert!(ours.parse(&[&text[..], b"\n"].concat()).is_none());
        assert!(ours.parse(&text.iter().map(|_| b' ').collect::<Vec<_>>()).is_none());
    }
}
