//! Which key belongs to which host, as far as a sender knows.
//!
//! A host has a key of its own. The sender remembers the key that a name came with first, and from then on takes what is
//! said under this name from the holder of that key alone.

use std::collections::BTreeMap;

use crate::ids::HostName;
use crate::sign::PublicKey;

/// The keys that a sender knows, and what it does with others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHosts {
    /// The key of each host.
    pub keys: BTreeMap<HostName, PublicKey>,
    /// What becomes of a host whose name is not in the list.
    pub unknown: UnknownHosts,
}

/// What becomes of a host whose key is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownHosts {
    /// It takes part, and its key is known from then on.
    #[default]
    Taken,
    /// It does not take part.
    Refused,
}

/// What a key is for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The key that is known.
    Known,
    /// The name is not known, and may come with any key.
    FirstUse,
    /// The name is not known, and only known ones are taken.
    Unknown,
    /// Another key is known for this name.
    Changed(PublicKey),
}

/// A host that came with a key, where none is known for its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstUse {
    /// Its name.
    pub name: HostName,
    /// Its key.
    pub key: PublicKey,
}

impl Standing {
    /// Returns what a person is told of a host that came under `name` with `key`, if it does not count for its key: what
    /// was compared, and what to do.
    pub fn advice(self, name: &HostName, key: PublicKey) -> Option<String> {
        match self {
            Self::Known | Self::FirstUse => None,
            Self::Changed(known) => Some(format!(
                "its key is {key}, and known_hosts has {known}: if the host was made anew, run: \
                 glancecast hosts --forget {name}; if it was not, somebody else uses its name"
            )),
            Self::Unknown => Some(format!(
                "its key is {key}, and known_hosts has none: if that is the key of the host, run: \
                 glancecast hosts --enroll"
            )),
        }
    }
}

impl KnownHosts {
    /// Returns what `key` is for `name`.
    pub fn standing(&self, name: &HostName, key: PublicKey) -> Standing {
        match (self.keys.get(name), self.unknown) {
            (Some(&known), _) if known == key => Standing::Known,
            (Some(&known), _) => Standing::Changed(known),
            (None, UnknownHosts::Taken) => Standing::FirstUse,
            (None, UnknownHosts::Refused) => Standing::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_the_key_that_is_known_for_it() {
        let known = KnownHosts { keys: [(host("a"), key(1))].into(), unknown: UnknownHosts::Taken };
        assert_eq!(known.standing(&host("a"), key(1)), Standing::Known);
        assert_eq!(known.standing(&host("a"), key(2)), Standing::Changed(key(1)));
        assert_eq!(known.standing(&host("b"), key(1)), Standing::FirstUse);
        let strict = KnownHosts { unknown: UnknownHosts::Refused, ..known };
        assert_eq!(strict.standing(&host("a"), key(1)), Standing::Known);
        assert_eq!(strict.standing(&host("b"), key(1)), Standing::Unknown);
    }

    #[test]
    fn who_does_not_count_for_its_key_is_told_with_both_keys_and_what_to_do() {
        let advice = |standing: Standing| standing.advice(&host("a"), key(2));
        assert_eq!((advice(Standing::Known), advice(Standing::FirstUse)), (None, None));
        let [changed, unknown] =
            [Standing::Changed(key(1)), Standing::Unknown].map(|standing| advice(standing).expect("a text"));
        assert!(changed.contains(&key(2).to_string()) && changed.contains(&key(1).to_string()), "{changed}");
        assert!(changed.contains("glancecast hosts --forget a;"), "{changed}");
        assert!(unknown.contains(&key(2).to_string()) && unknown.ends_with("--enroll"), "{unknown}");
    }

    fn host(name: &str) -> HostName {
        HostName::new(name).expect("plain")
    }

    fn key(byte: u8) -> PublicKey {
        PublicKey([byte; 32])
    }
}
