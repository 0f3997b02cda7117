//! Relays that are given up: why, and who takes their place.

use std::collections::BTreeMap;

use super::Paths;
use super::members::Member;
use super::segments::State;
use crate::ids::{HostName, ReceiverId};
use crate::sender::event::{RelayFault, SenderEvent};
use crate::time::Moment;

impl Paths {
    /// Gives up the relays that fail, and has other hosts take their places.
    pub(super) fn find_faults(&mut self, now: Moment) {
        let mut faults = self.leases.faults(now);
        let served = self.served();
        let answering = served.values().flatten().filter(|member| !self.is_silent(now, member)).count();
        for (&id, hosts) in &served {
            let is_leased = self.leases.get(id).is_some_and(|lease| lease.acked.is_some());
            if is_leased && faults.iter().all(|&(other, _)| other != id) {
                faults.extend(self.fault_of_hosts(now, id, hosts, answering).map(|fault| (id, fault)));
            }
        }
        // One that is below another one that fails shows nothing of its own.
        let is_own = |&(id, fault): &(ReceiverId, RelayFault)| {
            fault == RelayFault::Silent
                || !self.has_above(id, |above| faults.iter().any(|&(bad, _)| bad == above))
        };
        let own: Vec<(ReceiverId, RelayFault)> = faults.iter().copied().filter(is_own).collect();
        for (relay, fault) in own {
            self.give_up(now, relay, fault);
        }
    }

    fn has_above(&self, id: ReceiverId, is_it: impl Fn(ReceiverId) -> bool) -> bool {
        let parent = |id: &ReceiverId| self.tree.get(*id).and_then(|node| node.parent);
        std::iter::successors(parent(&id), parent).any(is_it)
    }

    /// Returns the hosts that each relay serves and that still need something.
    fn served(&self) -> BTreeMap<ReceiverId, Vec<&Member>> {
        let mut served: BTreeMap<ReceiverId, Vec<&Member>> = BTreeMap::new();
        for (id, member) in self.members.iter().filter(|(_, member)| !member.is_settled) {
            if let Some(server) = self.server_of(id) {
                served.entry(server).or_default().push(member);
            }
        }
        served
    }

    /// Returns what the hosts that a relay serves show against it. `answering` is the number of hosts that any relay serves
    /// and that answer.
    fn fault_of_hosts(
        &self,
        now: Moment,
        relay: ReceiverId,
        served: &[&Member],
        answering: usize,
    ) -> Option<RelayFault> {
        let relay_answers =
            self.members.get(relay).is_some_and(|member| member.is_settled || !self.is_silent(now, member));
        // What a host said before it went silent speaks neither for the relay nor against it.
        let heard: Vec<&Member> =
            served.iter().copied().filter(|member| !self.is_silent(now, member)).collect();
        if heard.is_empty() {
            // A single host may be gone itself, and hosts that have another way had to be asked by it.
            let is_known = served.len() > 1
                && (answering > 0 || relay_answers)
                && self.was_asked_since(now, self.disturbed_at);
            return is_known.then_some(RelayFault::Unheard);
        }
        let is_spoiled = |member: &&Member| member.forged > member.forged_before + FORGED_MIN;
        let spoiled = heard.iter().copied().filter(is_spoiled).count();
        let spoils = heard.iter().all(|member| member.is_starved()) || 2 * spoiled >= heard.len();
        spoils.then_some(RelayFault::Spoils)
    }

    /// Gives up a relay. A relay that works badly goes on if there is nobody to take its place.
    fn give_up(&mut self, now: Moment, relay: ReceiverId, fault: RelayFault) {
        let Some((segment, served)) = self.tree.get(relay).map(|node| node.segment).zip(self.relaying(relay))
        else {
            return;
        };
        if let Some(member) = self.members.get_mut(relay) {
            member.is_spent = true;
        }
        let silent = |member: &Member| self.is_silent(now, member);
        let next = segment.and_then(|at| self.segments.candidate(at, &self.members, silent));
        let is_bearable = matches!(fault, RelayFault::Loses | RelayFault::Overloaded);
        // Where the way to the whole segment is bad, no host of it does better.
        let was_moved = segment.is_some_and(|at| self.segments.get(at).moves >= MOVES_MAX);
        if is_bearable && segment.is_some() && (next.is_none() || was_moved) {
            if let Some(member) = self.members.get_mut(relay) {
                member.is_spent = false;
            }
            return self.leases.forgive(relay);
        }
        let orphans: Vec<ReceiverId> =
            self.members.iter().map(|(id, _)| id).filter(|&id| self.relay_of(id) == Some(relay)).collect();
        let next_name: Option<HostName> =
            next.and_then(|next| self.members.get(next)).map(|member| member.name.clone());
        match (segment, next) {
            (Some(at), Some(next)) => {
                self.segments.get_mut(at).moves += u32::from(is_bearable);
                self.succeed(relay, next, at);
            }
            (Some(at), None) => {
                self.segments.get_mut(at).state = State::Bare;
                self.tree.detach(relay);
                self.lost.insert(relay, fault);
                orphans.iter().for_each(|&id| {
                    self.lost.insert(id, fault);
                });
            }
            (None, _) => self.tree.detach(relay),
        }
        for (_, member) in self.members.iter_mut() {
            member.forged_before = member.forged;
            (member.fed, member.starved_reports) = (None, 0);
        }
        self.note_disturbed(now);
        self.events.push(SenderEvent::RelayLost { served, fault, next: next_name });
        self.arrange(now);
    }

    /// Has `next` take the place of a relay in its segment and in the tree.
    fn succeed(&mut self, relay: ReceiverId, next: ReceiverId, at: usize) {
        self.segments.get_mut(at).give_to(next);
        if self.tree.get(next).is_some() {
            self.tree.detach(next);
        }
        let Some(node) = self.node(next, Some(at)) else { return };
        self.members.note_relay(node.addr);
        self.tree.replace(relay, next, node);
    }
}

/// How often another host takes the place of a relay that loses or drops.
const MOVES_MAX: u32 = 2;

/// Forged symbols that a host may find before they speak against its relay.
const FORGED_MIN: u64 = 10;
