//! Hosts that were never heard: when they are named, how long they are waited for, and that nothing is sent to nobody.
//!
//! ```text
//!   start --2 s--> named ---> the image is sent, or nobody is left that lacks it --join timeout--> given up
//! ```
//!
//! A push without a join timeout sends to whoever may listen, and waits until its own timeout.

use std::time::Duration;

use super::Sender;
use super::event::SenderEvent;
use super::hosts::Tally;
use crate::time::Moment;

/// What is known of the hosts that were never heard.
#[derive(Default)]
pub(super) struct Joining {
    /// Whether they were named to a person.
    is_told: bool,
    /// The same once all was sent, and they are what the push waits for.
    is_told_at_end: bool,
    /// Since when no host takes part.
    nobody_since: Option<Moment>,
}

impl Sender {
    /// Notes who takes part by now, and names the hosts that do not.
    pub(super) fn note_joining(&mut self, now: Moment) {
        if self.config.one_way.is_some() {
            return;
        }
        let Tally { heard, done, failed, silent, .. } = self.hosts.tally();
        let is_nobody = heard == done + failed + silent;
        self.joining.nobody_since =
            self.joining.nobody_since.filter(|_| is_nobody).or(is_nobody.then_some(now));
        let Some(patience) = self.config.join_timeout else { return };
        let unheard = || self.hosts.unheard();
        if !self.joining.is_told && now >= self.start + UNHEARD_AFTER {
            self.joining.is_told = true;
            let hosts: Vec<_> = unheard().collect();
            if !hosts.is_empty() || heard == 0 {
                self.event(SenderEvent::Unheard { hosts, heard, given_up_in: None });
            }
        }
        if let Some(since) =
            self.waits_since().filter(|&since| self.joining.is_told && now >= since + UNHEARD_AFTER)
            && !self.joining.is_told_at_end
        {
            self.joining.is_told_at_end = true;
            let hosts: Vec<_> = self.hosts.unheard().collect();
            if !hosts.is_empty() {
                let given_up_in = Some((since + patience).since(now));
                self.event(SenderEvent::Unheard { hosts, heard, given_up_in });
            }
        }
    }

    /// Returns since when hosts that were never heard are waited for: since all was sent, or since nobody is left that
    /// lacks it.
    fn waits_since(&self) -> Option<Moment> {
        self.pass_ended().or(self.joining.nobody_since.filter(|_| self.is_for_nobody()))
    }

    /// Returns when hosts that were never heard are given up, if the push waits for no other host. A host that was
    /// heard and is silent is waited for until the push's own time is over.
    pub(super) fn gives_up_at(&self) -> Option<Moment> {
        let Tally { heard, done, failed, .. } = self.hosts.tally();
        let since = self.waits_since().filter(|_| heard == done + failed)?;
        Some(since + self.config.join_timeout?)
    }

    /// Whether nobody who was heard lacks anything: what is sent now would be for hosts that may not be there. One that
    /// comes later asks for what it lacks.
    pub(super) fn is_for_nobody(&self) -> bool {
        self.sends_to_hosts_alone() && self.joining.nobody_since.is_some()
    }

    /// Whether the hosts that were heard decide what is sent, though some were not heard.
    pub(super) fn are_those_heard_enough(&self) -> bool {
        self.sends_to_hosts_alone() && self.joining.nobody_since.is_none() && !self.gate.awaits_hellos()
    }

    /// Ends a push that cannot go on, as nobody takes part, once the hosts that it waits for are given up.
    pub(super) fn settle_for_nobody(&mut self, now: Moment) {
        let since = self.joining.nobody_since.filter(|_| self.is_for_nobody() && self.pass_ended().is_none());
        if since.is_some_and(|since| self.hosts.settled(now, since)) {
            self.end(now, self.verdict_now());
        }
    }

    fn sends_to_hosts_alone(&self) -> bool {
        let Some(_) = self.config.join_timeout else { return false };
        self.config.one_way.is_none() && self.config.base.is_none() && self.config.geometry.blocks() > 0
    }
}

/// Time after the start at which hosts that were not heard are named: a living host says hello at once, and one that is at
/// work on another push within two seconds.
const UNHEARD_AFTER: Duration = Duration::from_secs(2);
