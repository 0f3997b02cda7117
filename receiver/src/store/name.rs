//! Names in a directory. The store has one open directory, and everything else in it has a plain name: a path that
//! leads elsewhere cannot be expressed.

use std::fmt;
use std::io;

/// A file name without a directory: no `/`, no NUL, not `.` or `..`, and no longer than Linux allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(String);

impl Name {
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if it is none.
    pub(super) fn new(text: impl Into<String>) -> io::Result<Self> {
        let text = text.into();
        let plain = !matches!(text.as_str(), "" | "." | "..") && !text.contains(['/', '\0']);
        if plain && text.len() <= NAME_MAX {
            Ok(Self(text))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{text:?} is not a file name")))
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes of [`Name::short`].
    pub(super) const SHORT: usize = 32;

    /// Returns what stands for it in the names of files that belong to it: a hash, in hexadecimal digits, so that these
    /// names have one length. Finding two names with the same 128 bits is infeasible.
    pub(super) fn short(&self) -> String {
        blake3::hash(self.0.as_bytes()).to_hex()[..Self::SHORT].to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Linux's limit for a name, `NAME_MAX` (limits.h); a few file systems have less.
pub(super) const NAME_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_directory_and_no_other_meaning() {
        let (longest, longer) = ("n".repeat(NAME_MAX), "n".repeat(NAME_MAX + 1));
        for good in ["image", ".hidden", "...", "a b", longest.as_str()] {
            assert_eq!(Name::new(good).expect(good).as_str(), good);
        }
        for bad in ["", ".", "..", "/", "a/b", "/a", "a/", "../a", "a\0b", longer.as_str()] {
            assert_eq!(Name::new(bad).expect_err(bad).kind(), io::ErrorKind::InvalidInput);
        }
    }
}
