//! A query of a diagnosis under way: it goes to the group, and its first rounds are copied to the addresses of hosts
//! that have not answered, each with the page of the audience that the host is on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::examiner::Outgoing;
use super::plans::{Place, ROUNDS_COPIED_MAX};
use crate::ids::HostName;
use crate::limits::HOSTS_MAX;
use crate::query::Querier;
use crate::sender::To;
use crate::time::Moment;
use crate::wire::{Discard, Kind, Step};

/// A query, and to whom it is copied.
pub(super) struct Asking {
    pub(super) querier: Querier,
    pub(super) step: Step,
    pub(super) place: Place,
    /// When hosts that have not answered are asked at their own addresses.
    unicast_from: Moment,
    /// Those that had answered by then.
    pub(super) before: Option<BTreeSet<HostName>>,
    /// The hosts whose addresses are known.
    pub(super) targets: BTreeMap<HostName, SocketAddr>,
    /// Datagrams to the group that go to hosts, too, and to whom.
    copies: VecDeque<(Vec<u8>, Kind, Vec<SocketAddr>)>,
    copies_at: Moment,
    rounds_copied: u64,
    reply_to: SocketAddr,
    ttl: u8,
}

impl Asking {
    /// Returns a query that begins now. From `unicast_from` on it is copied to those of the targets that have not
    /// answered.
    pub(super) fn new(
        now: Moment,
        querier: Querier,
        (step, place): (Step, Place),
        unicast_from: Moment,
        targets: BTreeMap<HostName, SocketAddr>,
        (reply_to, ttl): (SocketAddr, u8),
    ) -> Self {
        let (before, copies, rounds_copied) = (None, VecDeque::new(), 0);
        let copies_at = now;
        Self {
            querier,
            step,
            place,
            unicast_from,
            before,
            targets,
            copies,
            copies_at,
            rounds_copied,
            reply_to,
            ttl,
        }
    }

    /// Handles a datagram that came in at the examiner's address.
    ///
    /// # Errors
    /// The reason why it was dropped.
    pub(super) fn handle_datagram(
        &mut self,
        now: Moment,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        self.querier.handle_datagram(now, from, datagram)
    }

    /// Writes the next datagram into `out`.
    pub(super) fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Outgoing> {
        if let Some(copy) = self.next_copy(now, out) {
            return Some(copy);
        }
        let is_copied = now >= self.unicast_from && !self.targets.is_empty();
        if is_copied && self.before.is_none() {
            self.before = Some(self.heard());
            // A round begins at once.
            self.querier.handle_reply_to(now, self.reply_to);
        }
        let transmit = self.querier.poll_transmit(now, out)?;
        if let To::Host(to) = transmit.to {
            return Some(self.outgoing(Some(to), transmit.kind));
        }
        if is_copied {
            self.copy(now, transmit.kind, out);
        }
        Some(self.outgoing(None, transmit.kind))
    }

    /// Has a datagram to the group go to hosts that have not answered, too: a page only to those that are on it.
    fn copy(&mut self, now: Moment, kind: Kind, datagram: &[u8]) {
        self.rounds_copied += u64::from(kind == Kind::Ask);
        if self.rounds_copied > ROUNDS_COPIED_MAX || self.copies.len() >= COPIES_MAX {
            return;
        }
        let heard = self.heard();
        let is_for = |name: &HostName| {
            !heard.contains(name) && (kind == Kind::Ask || self.querier.is_on_last_page(name))
        };
        let silent = self.targets.iter().filter(|(name, _)| is_for(name));
        let to: Vec<SocketAddr> = silent.map(|(_, &to)| to).take(HOSTS_MAX).collect();
        if !to.is_empty() {
            self.copies.push_back((datagram.to_vec(), kind, to));
            self.copies_at = self.copies_at.max(now);
        }
    }

    /// Returns when to drain again.
    pub(super) fn poll_timeout(&self, now: Moment) -> Moment {
        let unicast = (self.before.is_none() && !self.targets.is_empty()).then_some(self.unicast_from);
        let copies = (!self.copies.is_empty()).then_some(self.copies_at);
        [self.querier.poll_timeout(now), unicast, copies].into_iter().flatten().min().unwrap_or(now)
    }

    /// Whether no more answers are waited for.
    pub(super) fn is_finished(&self, now: Moment) -> bool {
        self.querier.is_finished(now)
    }

    fn heard(&self) -> BTreeSet<HostName> {
        self.querier.heard().map(|(name, _)| name.clone()).collect()
    }

    fn next_copy(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Outgoing> {
        if now < self.copies_at {
            return None;
        }
        let (datagram, kind, to) = self.copies.front_mut()?;
        let (kind, host) = (*kind, to.pop()?);
        out.clear();
        out.extend_from_slice(datagram);
        if to.is_empty() {
            self.copies.pop_front();
        }
        self.copies_at = self.copies_at + COPY_GAP;
        Some(self.outgoing(Some(host), kind))
    }

    fn outgoing(&self, to: Option<SocketAddr>, kind: Kind) -> Outgoing {
        Outgoing { to, ttl: self.ttl, kind, is_followed: false }
    }
}

/// Queries to hosts' own addresses: ten thousand a second.
const COPY_GAP: Duration = Duration::from_micros(100);
/// Datagrams of a query that wait to be copied: a round with the pages of the largest audience. Further ones go to the
/// group alone.
const COPIES_MAX: usize = 256;
