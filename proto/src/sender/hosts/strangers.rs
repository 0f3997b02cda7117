//! Names under which no start takes part, and somebody was heard who does not count: with another key than the one of
//! this name, with a key that is not known where only known ones take part, or in another version of the protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::results::{HostRow, HostState};
use crate::ids::HostName;
use crate::known::Standing;
use crate::limits::HOSTS_MAX;
use crate::sign::PublicKey;
use crate::time::Moment;

/// Whoever was heard and does not count.
#[derive(Default)]
pub(super) struct Strangers {
    /// The row of each name that has no start. At most [`HOSTS_MAX`].
    by_name: BTreeMap<HostName, Stranger>,
    /// Names that somebody has claimed with a wrong key: each is told once. At most [`HOSTS_MAX`].
    claimed: BTreeSet<HostName>,
}

/// Somebody who does not count.
pub(super) struct Stranger {
    state: HostState,
    reason: String,
    key: Option<PublicKey>,
}

impl Stranger {
    /// Returns the holder of a key with this standing under `name`; `None` if it takes part.
    pub(super) fn with_key(name: &HostName, key: PublicKey, standing: Standing) -> Option<Self> {
        let state = match standing {
            Standing::Changed(_) => HostState::KeyChanged,
            Standing::Unknown => HostState::UnknownKey,
            Standing::Known | Standing::FirstUse => return None,
        };
        let reason = standing.advice(name, key)?;
        Some(Self { state, reason, key: Some(key) })
    }

    /// Returns a host of another version, with the text about it.
    pub(super) fn of_other_version(what: &str) -> Self {
        Self { state: HostState::OtherVersion, reason: what.to_owned(), key: None }
    }
}

impl Strangers {
    /// Whether it was told before that somebody claims this name with a wrong key.
    pub(super) fn is_claimed(&self, name: &HostName) -> bool {
        self.claimed.contains(name)
    }

    /// Notes that somebody claims this name with a wrong key; returns whether that is to be told.
    pub(super) fn note_claim(&mut self, name: &HostName) -> bool {
        self.claimed.len() < HOSTS_MAX && self.claimed.insert(name.clone())
    }

    /// Gives a name without a start its row, in place of the one that it has. Without room there is none.
    pub(super) fn show(&mut self, name: &HostName, stranger: Stranger) {
        if self.by_name.len() < HOSTS_MAX || self.by_name.contains_key(name) {
            self.by_name.insert(name.clone(), stranger);
        }
    }

    /// Drops the row of a name that has a start.
    pub(super) fn hide(&mut self, name: &HostName) {
        self.by_name.remove(name);
    }

    pub(super) fn contains(&self, name: &HostName) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The number of names that the push does not wait for. Every host has its turn once in a `cycle`.
    pub(super) fn given_up(&self, now: Moment, pass_ended: Moment, cycle: Duration) -> usize {
        if now.since(pass_ended) >= OWNER_HEARD_AFTER.max(OWNER_TURNS * cycle) { self.len() } else { 0 }
    }

    /// The names that have a row.
    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &HostName> {
        self.by_name.keys()
    }

    /// The names that have a row, with the reason why whoever was heard does not take part.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (&HostName, &str)> {
        self.by_name.iter().map(|(name, stranger)| (name, stranger.reason.as_str()))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = HostRow> {
        self.by_name.iter().map(|(name, Stranger { state, reason, key })| HostRow {
            key: *key,
            ..HostRow::absent(name, *state, reason)
        })
    }
}

/// Time after the pass in which the host that a name belongs to may still be heard. A living host says hello within
/// seconds of an announcement, also one that is at work on another push, which repeats it every two seconds. Until then nobody ends a push for it: whoever has the group key can claim a name, or send a notice
/// of another version.
const OWNER_HEARD_AFTER: Duration = Duration::from_secs(5);
/// The same in turns of all hosts, where these come rarely: some hellos may be lost.
const OWNER_TURNS: u32 = 6;
