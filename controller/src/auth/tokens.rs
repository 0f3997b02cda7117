//! Tokens of a file, for a controller without Keystone.
//!
//! ```text
//! # USER ROLE[,ROLE...] sha256:64 HEX DIGITS
//! ann admin sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! ```
//!
//! The file has digests: who reads it cannot ask. Where no file is named, the controller makes a token at its first start and
//! keeps it, readable for its own user alone, in the state directory.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use glancecast_platform::random;
use glancecast_proto::wire::printable;

use super::identity::Identity;
use crate::settings::{Secret, read_text};

/// The file of the token that is made at the first start.
pub const TOKENS_FILE: &str = "admin.token";

/// The tokens that are accepted, by their digests.
#[derive(Debug, Default)]
pub struct Tokens(HashMap<[u8; 32], Identity>);

impl Tokens {
    /// Reads a file with a line for each user.
    ///
    /// # Errors
    /// One line that names the file, the line and what to write.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = read_text(path).map_err(|reason| format!("tokens {}: {reason}", path.display()))?;
        Self::parse(&text).map_err(|reason| format!("tokens {} {reason}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (digest, identity) = entry(line)
                .ok_or_else(|| format!("line {}: write USER ROLE[,ROLE] sha256:HEX", number + 1))?;
            if tokens.0.insert(digest, identity).is_some() {
                return Err(format!("line {}: two users have the same token", number + 1));
            }
        }
        match tokens.0.is_empty() {
            true => {
                Err("has no user; `glancecast-controller --new-token USER` prints a line for it".to_owned())
            }
            false => Ok(tokens),
        }
    }

    /// Reads the token of the state directory, and makes it if there is none. Returns whether it was made.
    ///
    /// # Errors
    /// One line that names the file.
    pub fn load_or_make(state: &Path) -> Result<(Self, bool), String> {
        let path = state.join(TOKENS_FILE);
        let fault = |reason: String| format!("{}: {reason}", path.display());
        let text = new_token().map_err(|error| fault(error.to_string()))?;
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let is_made = match made {
            Ok(mut file) => {
                let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
                written.map_err(|error| fault(error.to_string()))?;
                true
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(fault(error.to_string())),
        };
        let secret = Secret::read(&path)?;
        let identity = Identity::administrator("admin");
        Ok((Self(HashMap::from([(sha256(secret.expose()), identity)])), is_made))
    }

    /// Returns the user of a token.
    pub(super) fn identify(&self, token: &str) -> Option<Identity> {
        // The digest is compared, of which nobody can choose the bytes: the time of the comparison gives nothing away.
        self.0.get(&sha256(token)).cloned()
    }
}

/// Returns a new token: 43 characters with 256 random bits.
///
/// # Errors
/// If the system has no randomness.
pub fn new_token() -> std::io::Result<String> {
    let bits: [u8; 32] = random::bytes()?;
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut token = String::with_capacity(43);
    for three in bits.chunks(3) {
        let mut group = 0_u32;
        for (at, byte) in three.iter().enumerate() {
            group |= u32::from(*byte) << (16 - 8 * at);
        }
        for at in 0..=three.len() {
            token.push(char::from(LETTERS[(group >> (18 - 6 * at)) as usize & 63]));
        }
    }
    Ok(token)
}

/// Returns the line for the file of tokens that accepts a token.
pub fn line(user: &str, roles: &[String], token: &str) -> String {
    let digits: String = sha256(token).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {} sha256:{digits}", printable(user), printable(&roles.join(",")))
}

fn entry(line: &str) -> Option<([u8; 32], Identity)> {
    let mut words = line.split_whitespace();
    let (user, roles, hash) = (words.next()?, words.next()?, words.next()?.strip_prefix("sha256:")?);
    if words.next().is_some() || hash.len() != 64 || !hash.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, digits) in digest.iter_mut().zip(hash.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    let roles: Vec<String> = roles.split(',').filter(|role| !role.is_empty()).map(str::to_owned).collect();
    (!roles.is_empty()).then(|| (digest, Identity::with_roles(user, roles)))
}

/// Returns the SHA-256 of a token.
pub(super) fn sha256(token: &str) -> [u8; 32] {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_line_accepts_its_token_with_its_roles_and_no_other() {
        let token = new_token().expect("randomness");
        assert_eq!(token.len(), 43);
        let roles = ["reader".to_owned(), "Service".to_owned()];
        let tokens =
            Tokens::parse(&format!("# users\n\n{}  # of CI\n", line("ci", &roles, &token))).expect("a file");
        let user = tokens.identify(&token).expect("a user");
        assert_eq!(user.user_name, "ci");
        assert_eq!(user.roles, BTreeSet::from(["reader".to_owned(), "service".to_owned()]));
        assert_eq!(tokens.identify("guess"), None);
    }

    #[test]
    fn a_mistake_names_its_line() {
        let digits = "0".repeat(64);
        for (text, says) in [
            ("", "no user"),
            ("# nobody\n", "no user"),
            ("\nann admin", "line 2"),
            ("ann admin sha256:12", "line 1"),
            (&format!("ann , sha256:{digits}"), "line 1"),
            (&format!("ann admin sha256:{digits} x"), "line 1"),
            (&format!("ann admin sha256:{}", "ä".repeat(32)), "line 1"),
            (&format!("ann admin sha256:{digits}\nbob admin sha256:{digits}"), "same token"),
        ] {
            let mistake = Tokens::parse(text).expect_err(text);
            assert!(mistake.contains(says), "{text}: {mistake}");
        }
    }

    #[test]
    fn the_token_of_the_first_start_stays_and_is_the_owners_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let (_, is_made) = Tokens::load_or_make(dir.path()).expect("made");
        let path = dir.path().join(TOKENS_FILE);
        let token = std::fs::read_to_string(&path).expect("readable");
        assert!(is_made);
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let (tokens, is_made) = Tokens::load_or_make(dir.path()).expect("read");
        assert!(!is_made && tokens.identify(token.trim()).expect("a user").roles.contains("admin"));
    }
}
