//! Which way each host is given: segments and their relays, the tree, its leases and paths.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::leases::Terms;
use super::members::Member;
use super::segments::{Home, NEIGHBOURS_WAIT, Relayed, State};
use super::tree::Node;
use super::{PathSet, Paths};
use crate::ids::ReceiverId;
use crate::limits::PATHS_MAX;
use crate::sender::event::{Relaying, SenderEvent};
use crate::time::Moment;

impl Paths {
    /// Gives each host that has none a way.
    pub(super) fn serve(&mut self, now: Moment) {
        self.sort(now);
        for at in 0..self.segments.len() {
            self.serve_segment(now, at);
        }
        self.serve_alone(now);
        self.arrange(now);
        self.is_settling = !self.has_begun && self.has_unplaced(now);
    }

    /// Whether a host gets what is sent to everyone.
    pub(super) fn is_served(&self, id: ReceiverId) -> bool {
        self.tree.get(id).is_some() || self.relay_of(id).is_some()
    }

    /// Returns the relay whose multicast a host hears.
    pub(super) fn relay_of(&self, id: ReceiverId) -> Option<ReceiverId> {
        let member = self.members.get(id)?;
        let relay = self.segments.get(member.segment?).relay()?;
        let is_heard = member.via.is_some() && member.via == self.tree.get(relay).map(|node| node.addr);
        is_heard.then_some(relay)
    }

    /// Returns the host that sends to this one, if one does.
    pub(super) fn server_of(&self, id: ReceiverId) -> Option<ReceiverId> {
        self.relay_of(id).or_else(|| self.tree.get(id)?.parent)
    }

    /// Returns the paths on which a host receives. One that is no member receives by the group, or by a fixed address.
    pub(super) fn paths_to(&self, id: ReceiverId) -> PathSet {
        if self.members.get(id).is_none() {
            return self.fixed;
        }
        let node = self.relay_of(id).unwrap_or(id);
        let branch = self.tree.root_of(node).and_then(|root| self.branches.get(&root));
        branch.map_or(PathSet::NONE, |&path| PathSet::of(path))
    }

    /// Takes a host out of the tree: the group reaches it, or it is gone.
    pub(super) fn leave_tree(&mut self, now: Moment, id: ReceiverId) {
        if self.tree.get(id).is_none() {
            return;
        }
        if let Some(at) = self.tree.get(id).and_then(|node| node.segment) {
            self.segments.get_mut(at).state = State::Bare;
        }
        self.tree.detach(id);
        self.arrange(now);
    }

    /// Takes hosts out of the tree that need nothing more and serve nobody who does: each is a copy less.
    pub(super) fn release(&mut self) {
        if self.members.iter().all(|(_, member)| !member.is_settled) {
            return;
        }
        let unsettled = self.members.iter().filter(|(_, member)| !member.is_settled);
        let needed: BTreeSet<ReceiverId> =
            unsettled.flat_map(|(id, _)| [Some(id), self.relay_of(id)]).flatten().collect();
        let is_idle = |&(id, _): &(ReceiverId, u32)| {
            !needed.contains(&id) && self.tree.get(id).is_some_and(|node| node.children.is_empty())
        };
        let nodes = self.tree.by_level();
        let idle: Vec<ReceiverId> = nodes.iter().filter(|&node| is_idle(node)).map(|&(id, _)| id).collect();
        for id in idle {
            if let Some(at) = self.tree.get(id).and_then(|node| node.segment) {
                self.segments.get_mut(at).state = State::Bare;
            }
            self.tree.detach(id);
        }
    }

    /// Sorts hosts that the sender's group does not reach into segments. One that hears the relay of a segment belongs there.
    fn sort(&mut self, now: Moment) {
        if !self.has_segments() {
            return;
        }
        let relayed = self.segments.iter().filter_map(|(at, segment)| Some((segment.relay()?, at)));
        let heard_at: BTreeMap<SocketAddr, usize> =
            relayed.filter_map(|(relay, at)| Some((self.tree.get(relay)?.addr, at))).collect();
        let is_ready = |member: &Member| member.is_proven && (member.is_deaf() || member.via.is_some());
        let ready = self.members.iter().filter(|(_, member)| is_ready(member));
        let ready: Vec<(ReceiverId, SocketAddr, Option<SocketAddr>, Option<usize>)> =
            ready.map(|(id, member)| (id, member.addr, member.via, member.segment)).collect();
        for (id, addr, via, before) in ready {
            let is_relay = self.tree.get(id).is_some_and(|node| node.segment.is_some());
            let heard = via.and_then(|via| heard_at.get(&via).copied()).filter(|_| !is_relay);
            let segment = heard.or(before).or_else(|| self.home_of(now, addr));
            self.members.get_mut(id).expect("it is a member").segment = segment;
        }
    }

    /// Whether hosts are sorted into segments at all.
    fn has_segments(&self) -> bool {
        self.reach.group.is_some() && self.reach.relays
    }

    /// Returns the segment of a host that hears no relay, which is made if there is none; `None` while a relay that it may
    /// hear had no time to be heard.
    fn home_of(&mut self, now: Moment, addr: SocketAddr) -> Option<usize> {
        match self.segments.home(addr) {
            Home::Segment(at) => Some(at),
            Home::OneOf(some) if some.iter().any(|&at| self.is_untried(now, at)) => None,
            Home::OneOf(_) | Home::Unknown => Some(self.segments.add(now, addr)),
        }
    }

    /// Whether the relay of a segment, or its first candidate, had no time to be heard.
    fn is_untried(&self, now: Moment, at: usize) -> bool {
        let segment = self.segments.get(at);
        match segment.state {
            State::Bare => now.since(segment.since) < NEIGHBOURS_WAIT + self.hearing_wait(),
            State::Relayed(Relayed { since, .. }) => {
                since.is_none_or(|since| now.since(since) < self.hearing_wait())
            }
            State::Mute | State::Part(_) => false,
        }
    }

    fn serve_segment(&mut self, now: Moment, at: usize) {
        match self.segments.get(at).state {
            State::Bare => self.find_relay(now, at),
            State::Relayed(relayed) => self.watch_relay(now, at, relayed),
            State::Mute | State::Part(_) => {}
        }
    }

    /// Has a host relay in a segment in which several hosts wait, or one that is configured.
    fn find_relay(&mut self, now: Moment, at: usize) {
        let of_it = || self.members.iter().filter(|(_, member)| member.segment == Some(at));
        let waits = of_it().any(|(_, member)| !member.is_settled);
        let enough = if self.segments.get(at).is_configured() { 1 } else { 2 };
        if !waits || of_it().count() < enough {
            return;
        }
        let silent = |member: &Member| self.is_silent(now, member);
        let Some(relay) = self.segments.candidate(at, &self.members, silent) else { return };
        self.segments.get_mut(at).give_to(relay);
        self.make_relay(relay, at);
    }

    /// Puts a host into the tree as the relay of a segment.
    fn make_relay(&mut self, relay: ReceiverId, at: usize) {
        if self.tree.get(relay).is_some() {
            self.tree.set_segment(relay, Some(at));
        } else if let Some(node) = self.node(relay, Some(at)) {
            self.put(relay, node);
        }
        if let Some(node) = self.tree.get(relay) {
            self.members.note_relay(node.addr);
        }
    }

    /// Notes whether the neighbours of a relay hear it, or it hears another one.
    fn watch_relay(&mut self, now: Moment, at: usize, relayed: Relayed) {
        let Relayed { relay, since, is_heard } = relayed;
        let Some(addr) = self.tree.get(relay).map(|node| node.addr) else {
            self.segments.get_mut(at).state = State::Bare;
            return;
        };
        let has_forwarded =
            self.leases.get(relay).is_some_and(|lease| lease.acked.is_some() && lease.forwarded() > 0);
        let since = since.or_else(|| has_forwarded.then_some(now));
        let hears =
            |id, member: &Member| id != relay && member.segment == Some(at) && member.via == Some(addr);
        let is_heard = is_heard || self.members.iter().any(|(id, member)| hears(id, member));
        self.segments.get_mut(at).state = State::Relayed(Relayed { relay, since, is_heard });
        if let Some(other) = self.other_relay_heard(relay, addr) {
            return self.merge(at, relay, other);
        }
        if !is_heard && since.is_some_and(|since| now.since(since) >= self.hearing_wait()) {
            self.segments.get_mut(at).state = State::Mute;
            self.tree.set_segment(relay, None);
        }
    }

    /// Returns the segment of an earlier relay whose multicast this relay hears.
    fn other_relay_heard(&self, relay: ReceiverId, addr: SocketAddr) -> Option<usize> {
        let via = self.members.get(relay)?.via.filter(|&via| via != addr)?;
        let generation = |id| self.leases.get(id).map(|lease| lease.generation);
        let is_it = |other: ReceiverId| {
            other != relay
                && self.tree.get(other).is_some_and(|node| node.addr == via)
                && generation(other) < generation(relay)
        };
        self.segments.iter().find(|(_, segment)| segment.relay().is_some_and(is_it)).map(|(at, _)| at)
    }

    /// Withdraws the relay of a segment that is a part of another one.
    fn merge(&mut self, at: usize, relay: ReceiverId, whole: usize) {
        self.segments.get_mut(at).state = State::Part(whole);
        for (_, member) in self.members.iter_mut().filter(|(_, member)| member.segment == Some(at)) {
            member.segment = Some(whole);
        }
        self.tree.set_segment(relay, None);
        self.tree.detach(relay);
    }

    /// How long hosts are given to say that they hear a new relay.
    pub(super) fn hearing_wait(&self) -> Duration {
        HEARING_WAIT + 3 * self.window
    }

    /// Gives each host that hears no relay a place of its own in the tree.
    fn serve_alone(&mut self, now: Moment) {
        let alone = self.members.iter().filter(|&(id, member)| self.is_alone(now, id, member));
        let alone: Vec<ReceiverId> = alone.map(|(id, _)| id).collect();
        for id in alone {
            // A host that has lost its relay must not slow all others down.
            if self.lost.contains_key(&id) && !self.is_tail && !self.tree.has_room() {
                continue;
            }
            if !self.reach.relays && self.tree.len() as u32 + self.fixed.len() >= PATHS_MAX {
                return;
            }
            self.lost.remove(&id);
            if let Some(node) = self.node(id, None) {
                self.put(id, node);
            }
        }
    }

    fn is_alone(&self, now: Moment, id: ReceiverId, member: &Member) -> bool {
        if member.is_settled || !member.is_proven || self.is_served(id) || self.is_silent(now, member) {
            return false;
        }
        let Some(at) = member.segment else {
            return member.is_deaf()
                && !(self.has_segments() && matches!(self.segments.home(member.addr), Home::OneOf(_)));
        };
        match self.segments.get(at).state {
            State::Mute => true,
            State::Bare => now.since(self.segments.get(at).since) >= NEIGHBOURS_WAIT + 2 * self.window,
            State::Relayed(Relayed { since, .. }) => since.is_some_and(|since| {
                let is_told = member.reported.since(since) >= self.hearing_wait() / 2;
                is_told && now.since(since) >= self.hearing_wait()
            }),
            State::Part(_) => false,
        }
    }

    /// Whether a host has not answered the last polls.
    pub(super) fn is_silent(&self, now: Moment, member: &Member) -> bool {
        let [_, _, third] = self.polled;
        member.reported < third && now.since(member.reported) >= self.window + ANSWER_WAIT
    }

    /// Whether hosts had the time to answer three polls that were sent after this moment.
    pub(super) fn was_asked_since(&self, now: Moment, since: Moment) -> bool {
        let [_, _, third] = self.polled;
        third >= since && now.since(third) >= self.window + ANSWER_WAIT
    }

    pub(super) fn node(&self, id: ReceiverId, segment: Option<usize>) -> Option<Node> {
        let member = self.members.get(id)?;
        let (addr, beside) = (member.addr, member.segment.filter(|_| segment.is_none()));
        let line = segment.or(beside).map_or(0, |at| self.segments.get(at).line);
        let relays = self.reach.relays && member.may_relay();
        Some(Node { addr, parent: None, children: Vec::new(), segment, beside, relays, line })
    }

    fn put(&mut self, id: ReceiverId, node: Node) {
        if self.has_begun { self.tree.attach(id, node) } else { self.tree.put(id, node) }
    }

    /// Plans the tree if that costs nothing, and has leases and paths follow it.
    pub(super) fn arrange(&mut self, now: Moment) {
        if self.tree.is_empty() && self.branches.is_empty() && !self.tree.is_changed() {
            return;
        }
        if !self.has_begun && self.tree.is_changed() {
            self.tree.plan();
        }
        self.lease_all(now);
        let roots: BTreeSet<ReceiverId> = self.tree.roots().iter().copied().collect();
        let (addrs, tree) = (&mut self.addrs, &self.tree);
        self.branches.retain(|id, path| {
            let is_there = roots.contains(id) && tree.get(*id).map(|node| node.addr) == addrs.addr(*path);
            if !is_there {
                addrs.remove(*path);
            }
            is_there
        });
        for id in roots {
            let Some(addr) = tree.get(id).map(|node| node.addr).filter(|_| !self.branches.contains_key(&id))
            else {
                continue;
            };
            if let Some(path) = addrs.add(addr) {
                self.branches.insert(id, path);
            }
        }
    }

    fn lease_all(&mut self, now: Moment) {
        let tree = &self.tree;
        let is_inner = |id: ReceiverId| {
            tree.get(id).is_some_and(|node| node.segment.is_some() || !node.children.is_empty())
        };
        self.leases.retain(is_inner);
        let mut news = Vec::new();
        for (id, _) in tree.by_level() {
            let Some(node) = tree.get(id).filter(|_| is_inner(id)) else { continue };
            let addr_of = |id: ReceiverId| tree.get(id).map(|node| node.addr);
            let terms = Terms {
                addr: node.addr,
                parent: node.parent.and_then(addr_of).unwrap_or(self.own),
                group: node.segment.and(self.reach.group),
                children: node.children.iter().filter_map(|&child| addr_of(child)).collect(),
            };
            if self.leases.get(id).is_none() {
                news.extend(self.relaying(id).map(SenderEvent::Relaying));
            }
            self.leases.lease(now, id, terms);
        }
        self.events.extend(news);
    }

    /// Returns what a host relays for.
    pub(super) fn relaying(&self, id: ReceiverId) -> Option<Relaying> {
        let (member, node) = (self.members.get(id)?, self.tree.get(id)?);
        let segment = node.segment.map(|at| self.segments.get(at).name.clone());
        Some(Relaying { relay: member.name.clone(), segment, children: node.children.len() as u32 })
    }

    /// Whether hosts are still being placed, so that the first symbols wait.
    fn has_unplaced(&self, now: Moment) -> bool {
        let age = now.since(self.start);
        if age >= SETTLING_MAX + 8 * self.window {
            return false;
        }
        let is_awaited = self.beacons.has_missing()
            && self.beacons.all_told().is_none_or(|told| now.since(told) < HELLO_WAIT);
        let is_new = |member: &Member| now.since(member.reported) < HELLO_WAIT + 2 * self.window;
        let is_unplaced = |(id, member): (ReceiverId, &Member)| {
            !member.is_settled && is_new(member) && !self.is_served(id) && !self.lost.contains_key(&id)
        };
        let is_tried = |state: State| matches!(state, State::Relayed(Relayed { is_heard: false, .. }));
        is_awaited
            || !self.leases.are_acked()
            || self.segments.iter().any(|(_, segment)| is_tried(segment.state))
            || self.members.iter().any(is_unplaced)
    }
}

/// Shortest time that hosts are given to say that they hear a new relay: a few polls.
const HEARING_WAIT: Duration = Duration::from_millis(250);
/// How long after its poll an answer is awaited, besides the poll's window.
const ANSWER_WAIT: Duration = Duration::from_millis(500);
/// How long hosts that were told by unicast are given to answer.
const HELLO_WAIT: Duration = Duration::from_millis(250);
/// The longest time for which the first symbols wait, besides that of large rounds.
const SETTLING_MAX: Duration = Duration::from_secs(2);
