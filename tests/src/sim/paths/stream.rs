//! What the sender says to the group, in the order in which it leaves.
//!
//! Hosts read it at times of their own: most of it makes no host say anything, so a host that is caught up with it later
//! has the same state, and says the same. That is what makes thousands of hosts cheap: each reads many entries in a row.
//! An entry that may make a host speak is **prompt**, and read when it arrives.

use std::collections::VecDeque;

use glancecast_proto::time::Moment;
use glancecast_proto::wire::SymbolHeader;

/// The entries that some host has not read yet.
#[derive(Default)]
pub(super) struct Stream {
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
}

/// Something that was sent to the group.
pub(super) struct Entry {
    /// When it arrives, if nothing but the way delays it.
    pub(super) at: Moment,
    pub(super) what: What,
    pub(super) is_prompt: bool,
}

pub(super) enum What {
    /// Symbols of one block in a row, the first of which is this one.
    Symbols(SymbolHeader, u32),
    Datagram(Vec<u8>),
}

impl Stream {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds what arrives at `at`, no earlier than everything before.
    pub(super) fn push(&mut self, at: Moment, what: What, is_prompt: bool) {
        assert!(self.entries.back().is_none_or(|last| last.at <= at), "the way keeps the order");
        self.entries.push_back(Entry { at, what, is_prompt });
    }

    /// Returns the entry of this number if it has arrived.
    pub(super) fn arrived(&self, number: u64, now: Moment) -> Option<&Entry> {
        self.entries.get(number.checked_sub(self.first)? as usize).filter(|entry| entry.at <= now)
    }

    /// Returns the entry of this number, which some host has not read yet.
    pub(super) fn get(&self, number: u64) -> &Entry {
        &self.entries[(number - self.first) as usize]
    }

    /// Makes everything that has not arrived prompt; returns when that arrives which was not.
    pub(super) fn make_prompt(&mut self, now: Moment) -> Vec<Moment> {
        let mut news = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.at > now && !entry.is_prompt) {
            entry.is_prompt = true;
            news.push(entry.at);
        }
        news
    }

    /// Drops the entries below this number: every host has read them.
    pub(super) fn forget(&mut self, below: u64) {
        let count = below.saturating_sub(self.first).min(self.entries.len() as u64);
        self.entries.drain(..count as usize);
        self.first += count;
    }
}
