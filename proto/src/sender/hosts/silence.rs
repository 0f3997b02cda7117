//! Hosts of which nothing is heard, and hosts that hear nothing.

use std::time::Duration;

use super::{FIRST, Host, Hosts};
use crate::ids::{HostName, ReceiverId};
use crate::time::Moment;

impl Hosts {
    /// Marks hosts as silent that were not heard for [`SILENT_AFTER`] or [`CYCLES_SILENT`] cycles; returns their names.
    ///
    /// Of thousands of hosts, each call looks at [`LOOKED_AT_MAX`] in turn, so that none takes long.
    pub(in crate::sender) fn mark_silent(&mut self, now: Moment) -> Vec<HostName> {
        let silent_after = SILENT_AFTER.max(CYCLES_SILENT * self.settlement.cycle());
        let is_silent = |id: ReceiverId, host: &Host| {
            now.since(host.last_heard()) >= silent_after
                && self.settlement.get(id).is_some_and(|start| start.is_awaited())
        };
        let mut hosts = self.by_id.range(self.look_from..);
        let silent = hosts.by_ref().take(LOOKED_AT_MAX).filter(|&(&id, host)| is_silent(id, host));
        let silent = silent.map(|(&id, _)| id).collect();
        self.look_from = hosts.next().map(|(&id, _)| id).unwrap_or(FIRST);
        self.settlement.silence(silent)
    }

    /// The number of calls of [`Hosts::mark_silent`] that look at every host.
    pub(in crate::sender) fn looks(&self) -> u32 {
        self.by_id.len().div_ceil(LOOKED_AT_MAX).max(1) as u32
    }

    /// Returns the name of a host that has just been found to hear polls and next to no symbols.
    pub(in crate::sender) fn take_deaf_news(&mut self, id: ReceiverId) -> Option<HostName> {
        let is_news = self.by_id.get_mut(&id).is_some_and(Host::take_deaf_news);
        self.name(id).filter(|_| is_news).cloned()
    }

    /// Whether no host holds the object, and each that takes part has heard next to no symbols for [`DEAF_MAX`].
    pub(in crate::sender) fn are_all_deaf(&self, now: Moment) -> bool {
        let is_deaf = |id: ReceiverId| {
            let since = self.by_id.get(&id).and_then(Host::deaf_since);
            since.is_some_and(|since| now.since(since) >= DEAF_MAX)
        };
        let mut receiving = self.settlement.receiving().peekable();
        self.settlement.tally().done == 0 && receiving.peek().is_some() && receiving.all(is_deaf)
    }
}

/// Hosts that a search for silent ones looks at: a tenth of a millisecond's.
const LOOKED_AT_MAX: usize = 1_000;

/// Time for which a push goes on that reaches no host with its symbols.
const DEAF_MAX: Duration = Duration::from_secs(8);

/// Time after which a host that was not heard is called silent: many polls, and longer than any disk stalls.
const SILENT_AFTER: Duration = Duration::from_secs(10);
/// The same in turns of this host, where these come rarely.
const CYCLES_SILENT: u32 = 4;
