//! The content of the file: which host has which key, and the operator's own lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use glancecast_proto::ids::{HostName, NameError};
use glancecast_proto::sign::PublicKey;
use glancecast_proto::time::WallClock;

use crate::clock::utc;

/// Hosts in a file: ten of the largest pushes. A file with more is refused, and none is added to a full one.
pub const KNOWN_HOSTS_MAX: usize = 100_000;

/// Hosts and their keys, with the lines of the file that they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHosts {
    lines: Vec<Line>,
    keys: BTreeMap<HostName, PublicKey>,
}

/// A line of the file, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    text: String,
    /// `None`: a comment or a blank line.
    host: Option<HostName>,
}

/// A host and its public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHost {
    /// Its name.
    pub name: HostName,
    /// Its key.
    pub key: PublicKey,
}

/// Why a host got into the file, and when: the comment on its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Why.
    pub occasion: Occasion,
    /// When.
    pub at: WallClock,
}

/// Why a host got into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It took part in a push, and was not known.
    FirstUse,
    /// The operator has said so.
    Enrolled,
}

/// What became of a host that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addition {
    /// It is in the file.
    Added,
    /// It was, with this key.
    Known,
    /// It was, with this other key, and still is.
    Conflict(PublicKey),
}

/// A host that is known by another key than the one that was to be added. The known one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its name.
    pub name: HostName,
    /// The key in the file.
    pub known: PublicKey,
    /// The key that was not added.
    pub offered: PublicKey,
}

/// A host whose key was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Its name.
    pub name: HostName,
    /// The key that it had; `None` if it was not known.
    pub before: Option<PublicKey>,
    /// The key that it has.
    pub key: PublicKey,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// The hosts that were known, by name, with the keys that they had.
    pub removed: Vec<KnownHost>,
    /// The names that were not known, sorted.
    pub not_known: Vec<HostName>,
}

impl KnownHosts {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// The first line that is neither a host nor a comment, names a host again, or is one host too many.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut hosts = Self::default();
        for (i, text) in text.split_terminator('\n').enumerate() {
            let bad = |error| BadLine { line: i + 1, error };
            let host = parse_line(text).map_err(bad)?;
            if let Some(KnownHost { name, key }) = &host {
                if let Some(first) = hosts.keys.contains_key(name).then(|| hosts.line_of(name)) {
                    return Err(bad(LineError::Again { first }));
                }
                if hosts.keys.len() == KNOWN_HOSTS_MAX {
                    return Err(bad(LineError::TooMany));
                }
                hosts.keys.insert(name.clone(), *key);
            }
            hosts.lines.push(Line { text: text.to_owned(), host: host.map(|host| host.name) });
        }
        Ok(hosts)
    }

    /// Returns the keys by name.
    pub fn keys(&self) -> &BTreeMap<HostName, PublicKey> {
        &self.keys
    }

    /// Adds a host. A key that is there is never replaced.
    ///
    /// # Errors
    /// If there is no room for another host.
    pub fn add(&mut self, host: &KnownHost, note: Note) -> Result<Addition, Full> {
        match self.keys.get(&host.name) {
            Some(known) if *known == host.key => Ok(Addition::Known),
            Some(known) => Ok(Addition::Conflict(*known)),
            None => {
                self.append(host, note)?;
                Ok(Addition::Added)
            }
        }
    }

    /// Sets the keys of hosts, whatever keys they had, and returns those that changed. A host that is given twice gets
    /// the last key.
    ///
    /// # Errors
    /// If there is no room for a host that was not known; some of the others may be set then.
    pub fn replace(&mut self, hosts: &[KnownHost], note: Note) -> Result<Vec<Replaced>, Full> {
        let mut wanted: BTreeMap<&HostName, PublicKey> =
            hosts.iter().map(|host| (&host.name, host.key)).collect();
        wanted.retain(|name, key| self.keys.get(*name) != Some(key));
        let mut replaced = Vec::new();
        for line in &mut self.lines {
            let Some(name) = &line.host else { continue };
            let Some(key) = wanted.remove(name) else { continue };
            let before = self.keys.insert(name.clone(), key);
            let host = KnownHost { name: name.clone(), key };
            line.text = format_line(&host, note);
            replaced.push(Replaced { name: host.name, before, key });
        }
        for (name, key) in wanted {
            self.append(&KnownHost { name: name.clone(), key }, note)?;
            replaced.push(Replaced { name: name.clone(), before: None, key });
        }
        Ok(replaced)
    }

    /// Removes hosts.
    pub fn forget(&mut self, names: &[HostName]) -> Forgotten {
        let mut forgotten = Forgotten::default();
        for name in names.iter().collect::<BTreeSet<_>>() {
            match self.keys.remove(name) {
                Some(key) => forgotten.removed.push(KnownHost { name: name.clone(), key }),
                None => forgotten.not_known.push(name.clone()),
            }
        }
        let keys = &self.keys;
        self.lines.retain(|line| line.host.as_ref().is_none_or(|name| keys.contains_key(name)));
        forgotten
    }

    fn append(&mut self, host: &KnownHost, note: Note) -> Result<(), Full> {
        if self.keys.len() == KNOWN_HOSTS_MAX {
            return Err(Full);
        }
        self.keys.insert(host.name.clone(), host.key);
        self.lines.push(Line { text: format_line(host, note), host: Some(host.name.clone()) });
        Ok(())
    }

    /// Returns the number of a host's line.
    fn line_of(&self, name: &HostName) -> usize {
        self.lines.iter().take_while(|line| line.host.as_ref() != Some(name)).count() + 1
    }
}

/// The text of the file.
impl fmt::Display for KnownHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{}", line.text))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.occasion {
            Occasion::FirstUse => "first use",
            Occasion::Enrolled => "enrolled",
        };
        write!(f, "{why} {}", utc(self.at))
    }
}

fn format_line(host: &KnownHost, note: Note) -> String {
    format!("{} {}  # {note}", host.name, host.key)
}

fn parse_line(text: &str) -> Result<Option<KnownHost>, LineError> {
    let mut words = text.split('#').next().unwrap_or("").split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (None, ..) => Ok(None),
        (Some(name), Some(key), None) => {
            let name = HostName::new(name).map_err(LineError::Name)?;
            let key = key.parse().map_err(|_| LineError::Key)?;
            Ok(Some(KnownHost { name, key }))
        }
        _ => Err(LineError::Words),
    }
}

/// A line that is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong.
    pub error: LineError,
}

/// What is wrong with a line. It does not repeat the line, which may be a secret key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It has one word, or more than two.
    #[error("a line is a host's name and its key, as in: compute-1 ed25519:d75a..")]
    Words,
    /// The first word is no name.
    #[error("not a host's name: {0}")]
    Name(NameError),
    /// The second word is no key.
    #[error("not a host's public key, which is `ed25519:` and 64 hex digits")]
    Key,
    /// The host is named by an earlier line.
    #[error("names the same host as line {first}")]
    Again {
        /// The number of that line.
        first: usize,
    },
    /// There are more hosts than a file may have.
    #[error("one host more than the {KNOWN_HOSTS_MAX} that are possible")]
    TooMany,
}

/// There is no room for another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {KNOWN_HOSTS_MAX} hosts, and no room for another")]
pub struct Full;

#[cfg(test)]
mod tests {
    use glancecast_proto::limits::HOST_NAME_MAX;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_operators_lines_stay() {
        let text = format!("# rack 7\n\n  c1\t{}  # ours\n#c9 {}\nc2 {}#x\n \n", key(1), key(9), key(2));
        let mut hosts = KnownHosts::parse(&text).expect("good");
        assert_eq!(hosts.keys().clone(), [(name("c1"), key(1)), (name("c2"), key(2))].into());
        assert_eq!(hosts.to_string(), text);
        assert_eq!(hosts.add(&host("c3", 3), FIRST), Ok(Addition::Added));
        let added = format!("{text}c3 {}  # first use 2026-11-29T05:00:00Z\n", key(3));
        assert_eq!(hosts.to_string(), added);
        assert_eq!(KnownHosts::parse(&added), Ok(hosts));
        let without_an_end = KnownHosts::parse(added.trim_end()).expect("good").to_string();
        assert_eq!(without_an_end, added, "the last line gets its end");
    }

    #[test]
    fn lines_that_end_as_on_windows_are_read_and_stay() {
        let text = format!("# ours\r\nc1 {}\r\n\r\nc2 {} # by hand\r\n", key(1), key(2));
        let mut hosts = KnownHosts::parse(&text).expect("good");
        assert_eq!(hosts.keys().clone(), [(name("c1"), key(1)), (name("c2"), key(2))].into());
        assert_eq!(hosts.to_string(), text);
        assert_eq!(hosts.add(&host("c3", 3), FIRST), Ok(Addition::Added));
        assert_eq!(hosts.forget(&[name("c1")]).removed.len(), 1);
        let at = "first use 2026-11-29T05:00:00Z";
        let left = format!("# ours\r\n\r\nc2 {} # by hand\r\nc3 {}  # {at}\n", key(2), key(3));
        assert_eq!(hosts.to_string(), left);
        let again = KnownHosts::parse(&format!("# ours\r\nc1 {}\r\nc1 {}\r\n", key(1), key(1)));
        assert_eq!(again, Err(BadLine { line: 3, error: LineError::Again { first: 2 } }));
    }

    #[test]
    fn the_longest_name_and_a_comment_of_any_length_are_read() {
        let longest = "c".repeat(HOST_NAME_MAX);
        let text = format!("{longest} {} # {}\n", key(1), "x".repeat(1 << 20));
        let hosts = KnownHosts::parse(&text).expect("good");
        assert_eq!(hosts.keys().clone(), [(name(&longest), key(1))].into());
        assert_eq!(hosts.to_string(), text);
    }

    #[test]
    fn a_key_that_is_there_is_never_replaced_by_an_addition() {
        let mut hosts = KnownHosts::default();
        assert_eq!(hosts.add(&host("c1", 1), FIRST), Ok(Addition::Added));
        let before = hosts.clone();
        assert_eq!(hosts.add(&host("c1", 1), FIRST), Ok(Addition::Known));
        assert_eq!(hosts.add(&host("c1", 2), FIRST), Ok(Addition::Conflict(key(1))));
        assert_eq!(hosts, before);
    }

    #[test]
    fn names_differ_in_every_letter() {
        let mut hosts = KnownHosts::default();
        for known in ["c1", "C1", "c1.example"] {
            assert_eq!(hosts.add(&host(known, 1), FIRST), Ok(Addition::Added), "{known}");
        }
        assert_eq!(hosts.keys().len(), 3);
    }

    #[test]
    fn a_key_is_set_in_its_place_and_what_changed_is_returned() {
        let text = format!("c1 {} # old\n# between\nc2 {} # stays\n", key(1), key(2));
        let mut hosts = KnownHosts::parse(&text).expect("good");
        let set = [host("c3", 3), host("c1", 8), host("c1", 9), host("c2", 2)];
        let replaced = hosts.replace(&set, ENROLLED).expect("room");
        assert_eq!(
            replaced,
            [
                Replaced { name: name("c1"), before: Some(key(1)), key: key(9) },
                Replaced { name: name("c3"), before: None, key: key(3) },
            ]
        );
        let at = "enrolled 2026-11-29T05:00:00Z";
        assert_eq!(
            hosts.to_string(),
            format!("c1 {}  # {at}\n# between\nc2 {} # stays\nc3 {}  # {at}\n", key(9), key(2), key(3))
        );
        assert_eq!(KnownHosts::parse(&hosts.to_string()), Ok(hosts));
    }

    #[test]
    fn a_forgotten_host_leaves_with_its_line_alone() {
        let text = format!("# c1 is old\nc1 {}\nc2 {}\nc3 {}\n", key(1), key(2), key(3));
        let mut hosts = KnownHosts::parse(&text).expect("good");
        let forgotten = hosts.forget(&[name("c3"), name("c9"), name("c1"), name("c1")]);
        assert_eq!(forgotten.removed, [host("c1", 1), host("c3", 3)]);
        assert_eq!(forgotten.not_known, [name("c9")]);
        assert_eq!(hosts.to_string(), format!("# c1 is old\nc2 {}\n", key(2)));
        assert_eq!(
            hosts.add(&host("c1", 7), FIRST),
            Ok(Addition::Added),
            "it may come back with another key"
        );
    }

    #[test]
    fn a_damaged_line_is_named_by_its_number() {
        let good = format!("c1 {}\n# a comment\n", key(1));
        for (line, says) in [
            ("c2", "as in: compute-1"),
            (&format!("c2 {} {}", key(2), key(2)), "as in: compute-1"),
            (&format!("c/2 {}", key(2)), "not a host's name"),
            ("c2 ed25519:00", "not a host's public key"),
            (&format!("{} c2", key(2)), "not a host's name"),
            ("c2 glancecast-host-secret:00", "not a host's public key"),
            (&format!("c2 {}0", key(2)), "not a host's public key"),
            (&format!("c2 {}{}", PublicKey::PREFIX, "0".repeat(64)), "not a host's public key"),
            (&format!("{} {}", "c".repeat(HOST_NAME_MAX + 1), key(2)), "not a host's name"),
            (&format!("{} {}", "c".repeat(1 << 20), key(2)), "not a host's name"),
            (&format!("c2 {}{}", key(2), "0".repeat(1 << 20)), "not a host's public key"),
            (&format!("c1 {}", key(1)), "same host as line 1"),
            (&format!(" c1\t{} # again", key(2)), "same host as line 1"),
        ] {
            let bad = KnownHosts::parse(&format!("{good}{line}\nc9 {}\n", key(9))).expect_err(line);
            let text = bad.to_string();
            assert!(bad.line == 3 && text.starts_with("line 3: ") && text.contains(says), "{line}: {text}");
            assert!(!text.contains("secret:00") && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn a_file_holds_its_maximum_and_no_host_more() {
        let mut text: String = (0..KNOWN_HOSTS_MAX).map(|number| format!("c{number} {}\n", key(1))).collect();
        let mut hosts = KnownHosts::parse(&text).expect("as many as there may be");
        assert_eq!(hosts.keys().len(), KNOWN_HOSTS_MAX);
        assert_eq!(hosts.add(&host("one-more", 1), FIRST), Err(Full));
        assert_eq!(hosts.replace(&[host("one-more", 1)], FIRST), Err(Full));
        assert_eq!(hosts.add(&host("c7", 1), FIRST), Ok(Addition::Known));
        text += &format!("one-more {}\n", key(1));
        let bad = BadLine { line: KNOWN_HOSTS_MAX + 1, error: LineError::TooMany };
        assert_eq!(KnownHosts::parse(&text), Err(bad));
        assert_eq!(hosts.forget(&[name("c7")]).removed.len(), 1);
        assert_eq!(hosts.add(&host("one-more", 1), FIRST), Ok(Addition::Added));
    }

    fn name(text: &str) -> HostName {
        HostName::new(text).expect("a name")
    }

    fn key(byte: u8) -> PublicKey {
        PublicKey([byte; PublicKey::BYTES])
    }

    fn host(text: &str, byte: u8) -> KnownHost {
        KnownHost { name: name(text), key: key(byte) }
    }

    const AT: WallClock = WallClock(1_795_928_400_000);
    const FIRST: Note = Note { occasion: Occasion::FirstUse, at: AT };
    const ENROLLED: Note = Note { occasion: Occasion::Enrolled, at: AT };
}
