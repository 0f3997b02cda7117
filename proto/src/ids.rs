//! The names of things: sessions, hosts, objects, blocks, datagrams.

use std::fmt;

use crate::hex::{debug_as_display, display_as_hex};
use crate::limits::{HOST_NAME_MAX, OBJECT_NAME_MAX};

/// One push. Drawn at random by the sender; every key of the session is derived from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// What each datagram shows of the session in clear: enough to choose the key to try.
    pub const fn tag(self) -> SessionTag {
        SessionTag([self.0[0], self.0[1], self.0[2]])
    }
}

/// The first three bytes of a [`SessionId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionTag(pub [u8; 3]);

/// One start of one receiver: its upward key is derived from this, so that two starts never share a nonce.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceiverId(pub [u8; 8]);

impl ReceiverId {
    /// From the host's name and 16 random bytes drawn at its start.
    pub fn derive(name: &HostName, start: &[u8; 16]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("glancecast v1 receiver id: start, host name");
        hasher.update(start).update(name.as_str().as_bytes());
        let mut id = [0; 8];
        hasher.finalize_xof().fill(&mut id);
        Self(id)
    }
}

/// Position of a block in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockIndex(pub u32);

impl BlockIndex {
    /// As an index into a table by block.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of a datagram under its key, and its nonce: 40 bits, counted up by whoever seals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(u64);

impl Sequence {
    /// Largest number of the 40-bit field: 1.5 PB of datagrams at an MTU of 1500.
    pub const MAX: u64 = (1 << 40) - 1;

    /// The number, or `None` past [`Sequence::MAX`].
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX { Some(Self(value)) } else { None }
    }

    /// The number `count` datagrams further on.
    ///
    /// # Panics
    /// Past [`Sequence::MAX`].
    pub const fn plus(self, count: u32) -> Self {
        let value = self.0 + count as u64;
        assert!(value <= Self::MAX);
        Self(value)
    }

    /// The plain number.
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// A host as the operator and Nova call it: letters, digits, `.`, `-`, `_`, at most [`HOST_NAME_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostName(Box<str>);

impl HostName {
    /// Checks the characters and the length.
    ///
    /// # Errors
    /// [`NameError`] says which rule is broken.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > HOST_NAME_MAX {
            return Err(NameError::TooLong { bytes: name.len(), max: HOST_NAME_MAX });
        }
        match name.chars().find(|&c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))) {
            Some(character) => Err(NameError::Character { character }),
            None => Ok(Self(name.into())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An object's name: a plain file name, so that a store can use it as it is. No `/`, no control character, no leading
/// dot, at most [`OBJECT_NAME_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName(Box<str>);

impl ObjectName {
    /// Checks the characters and the length.
    ///
    /// # Errors
    /// [`NameError`] says which rule is broken.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > OBJECT_NAME_MAX {
            return Err(NameError::TooLong { bytes: name.len(), max: OBJECT_NAME_MAX });
        }
        if name.starts_with('.') {
            return Err(NameError::Hidden);
        }
        match name.chars().find(|&c| c == '/' || is_unprintable(c)) {
            Some(character) => Err(NameError::Character { character }),
            None => Ok(Self(name.into())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Length of a UUID as text, 8-4-4-4-12 lower-case hex digits as Glance prints it.
pub(crate) const IMAGE_ID_BYTES: usize = 36;

/// Whether a text is an image id as Glance prints it.
pub fn is_image_id(text: &str) -> bool {
    text.len() == IMAGE_ID_BYTES
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Whether a character does something to a terminal besides showing: control characters, and the format characters
/// that are invisible or turn the direction of writing (Unicode category Cf, as far as it matters).
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No character at all.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than its limit.
    #[error("a name of {bytes} bytes; at most {max} are possible")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A leading dot: such files are hidden and reserved for work in progress.
    #[error("a name cannot begin with a dot")]
    Hidden,
    /// A character that has no place in a name.
    #[error("the character {character:?} is not possible in a name")]
    Character {
        /// The first such character.
        character: char,
    },
}

macro_rules! plain_display {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

display_as_hex!(SessionId, SessionTag, ReceiverId);
debug_as_display!(SessionId, ReceiverId, HostName, ObjectName);
plain_display!(BlockIndex, Sequence, HostName, ObjectName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_name_can_be_no_path() {
        for bad in [
            "",
            "/etc/passwd",
            "a/b",
            ".hidden",
            "..",
            "new\nline",
            "nul\0",
            "gpj.\u{202e}raw",
            &"x".repeat(201),
        ] {
            assert!(ObjectName::new(bad).is_err(), "{bad:?}");
        }
        for good in ["ubuntu-24.04.raw", "Ubuntu 24.04 (März)", "a..b", "*"] {
            assert_eq!(ObjectName::new(good).expect("good").as_str(), good);
        }
    }

    #[test]
    fn host_names_are_plain() {
        assert!(HostName::new("compute-1.rack_2.example").is_ok());
        for bad in ["", "a b", "a,b", "ü", &"x".repeat(129)] {
            assert!(HostName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn receivers_differ_by_name_and_by_start() {
        let (a, b) = (HostName::new("a").expect("name"), HostName::new("b").expect("name"));
        let ids = [
            ReceiverId::derive(&a, &[1; 16]),
            ReceiverId::derive(&a, &[2; 16]),
            ReceiverId::derive(&b, &[1; 16]),
        ];
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    }
}
