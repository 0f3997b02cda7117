//! When everything that the push waits for has ended, and how.

use std::time::Duration;

use super::Settlement;
use crate::ids::{HostName, ReceiverId};
use crate::sender::hosts::results::{Expected, HostRow, HostState, Tally};
use crate::time::Moment;

impl Settlement {
    /// Whether every host was heard that is to have the object; at least one, if no particular host is expected.
    pub(in crate::sender::hosts) fn are_all_heard(&self) -> bool {
        match &self.expected {
            Expected::Named(names) => self.places.len() == names.len(),
            Expected::Count(count) => self.tally.heard >= *count,
            Expected::Anyone => self.tally.heard > 0,
        }
    }

    /// Whether everything that the push waits for has ended. If no particular host is expected, the push waits for
    /// [`JOIN_LINGER`] after the last host joined, as others may follow, and for [`NOBODY_AFTER`] if no host answers.
    ///
    /// Names under which only strangers were heard are waited for until their hosts would have been heard. They never
    /// end a push for a host that is at work.
    pub(in crate::sender::hosts) fn is_settled(&self, now: Moment, pass_ended: Moment) -> bool {
        let Tally { heard, done, failed, silent, .. } = self.tally;
        if self.may_be_a_copy_alive(now) {
            return false;
        }
        let given_up = self.strangers.given_up(now, pass_ended, self.cycle());
        let is_late = self
            .join_timeout
            .is_some_and(|timeout| now.since(pass_ended) >= timeout.max(HELLO_TURNS * self.cycle()));
        match &self.expected {
            Expected::Named(_) if is_late => self.awaited.len() == given_up + self.unheard().count(),
            Expected::Named(_) => self.awaited.len() == given_up,
            Expected::Count(count) => {
                let (count, ended) = (*count as usize, self.settled_names.len());
                let have_all_ended = done + failed + silent == heard;
                ended >= count || (ended + given_up >= count || is_late && silent == 0) && have_all_ended
            }
            Expected::Anyone => match self.last_joined {
                None => now.since(pass_ended) >= NOBODY_AFTER,
                Some(joined) => {
                    now.since(joined.max(pass_ended)) >= JOIN_LINGER && done + failed + silent == heard
                }
            },
        }
    }

    /// Whether every expected host holds a proven copy.
    pub(in crate::sender::hosts) fn is_complete(&self) -> bool {
        let is_done = |id: &ReceiverId| self.starts[id].state.is_done();
        let done = || self.places.values().filter(|place| place.counted.iter().all(is_done)).count();
        match &self.expected {
            Expected::Named(names) => done() == names.len(),
            Expected::Count(count) => done() >= *count as usize,
            Expected::Anyone => {
                let Tally { heard, done, .. } = self.tally;
                heard > 0 && done == heard && self.strangers.is_empty()
            }
        }
    }

    /// Returns one row for each host without a start: those under whose name only strangers were heard, and those that
    /// are expected and were never heard.
    pub(in crate::sender::hosts) fn absent_rows(&self) -> Vec<HostRow> {
        let mut rows: Vec<HostRow> = self.strangers.rows().collect();
        let absent = |name| HostRow::absent(name, HostState::NeverAnswered, NEVER_ANSWERED);
        rows.extend(self.unheard().map(absent));
        rows
    }

    /// The hosts that are expected by name and under whose name nobody was heard.
    pub(in crate::sender::hosts) fn unheard(&self) -> impl Iterator<Item = &HostName> {
        let names = match &self.expected {
            Expected::Named(names) => Some(names),
            Expected::Count(_) | Expected::Anyone => None,
        };
        let is_heard = |name: &HostName| self.places.contains_key(name) || self.strangers.contains(name);
        names.into_iter().flatten().filter(move |name| !is_heard(name))
    }

    /// Whether a start that was superseded while it was alive may still be: then it is a copy of the host that took its
    /// place, and the push waits for both.
    fn may_be_a_copy_alive(&self, now: Moment) -> bool {
        self.missed.last().is_some_and(|&(since, _)| now.since(since) < SILENCE_MAX + 2 * self.cycle())
    }
}

const NEVER_ANSWERED: &str = "never answered. Look on it, in this order: systemctl status glancecastd; its log, which names a wrong key or clock; its group \
     and interface";

/// Turns of all hosts in which one that was never heard may still be: some hellos may be lost.
const HELLO_TURNS: u32 = 6;

/// The longest silence of a living host, besides its turn among all hosts: one that is at work on another push says
/// hello every two seconds, and one of these hellos may be lost.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// If no particular host is expected: time after the last hello in which another may still come.
const JOIN_LINGER: Duration = Duration::from_secs(1);

/// If no particular host is expected: time to go on announcing when no host answers.
const NOBODY_AFTER: Duration = Duration::from_secs(10);
