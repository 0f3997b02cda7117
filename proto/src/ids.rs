//! The names of things: sessions, hosts, objects, blocks, datagrams.

use std::fmt;

use crate::hex::{Hex, shown_as_hex};
use crate::limits::{BASE_NAME_MAX, HOST_NAME_MAX, OBJECT_NAME_MAX};
pub use crate::text::is_unprintable;

/// One push or one query. Drawn at random by whoever starts it; every key of the session is derived from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub [u8; Self::BYTES]);

impl SessionId {
    /// Length on the wire.
    pub const BYTES: usize = 16;

    /// What each datagram shows of the session in clear: enough to choose the key to try.
    pub const fn tag(self) -> SessionTag {
        SessionTag([self.0[0], self.0[1], self.0[2]])
    }
}

/// The first three bytes of a [`SessionId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionTag(pub [u8; Self::BYTES]);

impl SessionTag {
    /// Length on the wire.
    pub const BYTES: usize = 3;
}

/// Which group: what its key hashes to. It says nothing about the key, and no two groups have the same one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(pub [u8; Self::BYTES]);

impl GroupId {
    /// Its length.
    pub const BYTES: usize = 32;

    /// Returns the first 16 hexadecimal digits, by which people compare the keys of two machines.
    pub fn fingerprint(&self) -> String {
        Hex(&self.0[..8]).to_string()
    }
}

/// One start of one receiver. Its upward key is derived from this, so that two starts never share a nonce.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceiverId(pub [u8; Self::BYTES]);

impl ReceiverId {
    /// Length on the wire.
    pub const BYTES: usize = 8;

    /// Derives the id from the host's name and 16 random bytes drawn at its start.
    pub fn derive(name: &HostName, start: &[u8; 16]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("glancecast v2 receiver id: start, host name");
        hasher.update(start).update(name.as_str().as_bytes());
        let mut id = [0; Self::BYTES];
        hasher.finalize_xof().fill(&mut id);
        Self(id)
    }
}

/// Position of a block in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockIndex(pub u32);

impl BlockIndex {
    /// Length on the wire.
    pub const BYTES: usize = 4;

    /// As an index into a table by block.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of a datagram under its key, and its nonce: 40 bits, counted up by whoever seals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(u64);

impl Sequence {
    /// Length on the wire.
    pub const BYTES: usize = 5;

    /// Largest number of the 40-bit field: 1.5 PB of datagrams at an MTU of 1500.
    pub const MAX: u64 = (1 << (8 * Self::BYTES)) - 1;

    /// The first number of a sender's datagrams that do not go to everyone.
    pub const FOR_SOME: u64 = 1 << 39;

    /// Whether a sender's datagram of this number does not go to everyone: what it misses says nothing about losses.
    #[inline]
    pub const fn is_for_some(self) -> bool {
        self.0 >= Self::FOR_SOME
    }

    /// Returns the number, or `None` past [`Sequence::MAX`].
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX { Some(Self(value)) } else { None }
    }

    /// Returns the number `count` datagrams further on.
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
        check(name, HOST_NAME_MAX, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))?;
        Ok(Self(name.into()))
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
        if name.starts_with('.') && name.len() <= OBJECT_NAME_MAX {
            return Err(NameError::Hidden);
        }
        check(name, OBJECT_NAME_MAX, |c| c != '/' && !is_unprintable(c))?;
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How stores name an older object: its id in Glance, or the name of its file, at most [`BASE_NAME_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseName(ObjectName);

impl BaseName {
    /// Checks that the name is an object's and that an announcement has room for it.
    ///
    /// # Errors
    /// [`NameError`] says which rule is broken.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.len() > BASE_NAME_MAX {
            return Err(NameError::TooLong { bytes: name.len(), max: BASE_NAME_MAX });
        }
        ObjectName::new(name).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name as an id in Glance, if it is one.
    pub fn image_id(&self) -> Option<&str> {
        Some(self.as_str()).filter(|name| is_image_id(name))
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

fn check(name: &str, max: usize, is_allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > max {
        return Err(NameError::TooLong { bytes: name.len(), max });
    }
    name.chars().find(|&c| !is_allowed(c)).map_or(Ok(()), |character| Err(NameError::Character { character }))
}

/// `Display` of what is inside.
macro_rules! shown_plainly {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

macro_rules! debug_as_display {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}

shown_as_hex!(SessionId, SessionTag, GroupId, ReceiverId);
shown_plainly!(BlockIndex, Sequence, HostName, ObjectName, BaseName);
debug_as_display!(HostName, ObjectName);

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
