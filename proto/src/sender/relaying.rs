//! What the sender says to relays and to hosts that the group does not reach, and what it hears of them.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Sender;
use super::event::{To, Transmit};
use super::hosts::HostRow;
use super::paths::{Reported, Via, Word};
use crate::echo::Echo;
use crate::ids::{HostName, ReceiverId};
use crate::limits::LEASE_MAX;
use crate::time::{Moment, WallClock};
use crate::wire::{AudiencePage, Discard, Hello, Kind, Meant, NameHash, Report, Route, RouteAck, UpHeader};

impl Sender {
    /// Writes the next datagram for a relay, or for a host that nothing else reaches, into `out`.
    pub(super) fn next_relayed(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<Transmit> {
        if self.ending.is_none()
            && let Some(due) = self.paths.next_lease(now)
        {
            let age = now.since(self.start);
            let route = Route {
                session: self.config.session,
                time: WallClock(self.config.started.0 + age.as_millis() as u64),
                generation: due.generation,
                expires: LEASE_MAX,
                parent: due.parent,
                group: due.group,
                children: due.children,
            };
            let sequence = self.sequences.take_unicast();
            route.seal(&self.cipher, self.signer(), sequence, out);
            return Some(Transmit { to: To::Host(due.to), kind: Kind::Route });
        }
        let beacon = self.paths.next_beacon(now)?;
        out.clear();
        out.extend_from_slice(&beacon.bytes);
        Some(Transmit { to: To::Host(beacon.to), kind: beacon.kind })
    }

    /// Notes that `datagram` is sent to everyone, for the hosts that this does not reach.
    pub(super) fn note_said(&mut self, now: Moment, kind: Kind, datagram: &[u8]) {
        match kind {
            Kind::Audience => self.said_pages.note(datagram, self.paging.last()),
            Kind::Announce | Kind::Poll | Kind::End => {
                let (session, pages) = (self.config.session, &self.said_pages);
                let page = |name: &HostName| pages.of(NameHash::of(session, name));
                self.paths.repeat(now, kind, datagram, page);
            }
            _ => {}
        }
    }

    /// Notes where a host hears the group from, by its hello.
    pub(super) fn note_way_of_hello(&mut self, now: Moment, from: SocketAddr, id: ReceiverId, hello: &Hello) {
        if hello.busy.is_some() {
            return;
        }
        self.paths.note(now, id, &hello.name, Word { addr: from, via: hello.via, report: None });
        self.paths.note_hello(now, id, &hello.name, hello.can_relay);
    }

    /// Notes where a host hears the group from, by its report.
    pub(super) fn note_way_of_report(&mut self, now: Moment, id: ReceiverId, said: Said) {
        let (Some(host), Some(name)) = (self.hosts.get(id), self.hosts.name(id)) else { return };
        let addr = host.addr();
        let (forged, bytes) = (said.forged, said.bytes);
        let reported = Reported { is_proven: addr.proven().is_some(), forged, bytes };
        let word = Word { addr: addr.claimed(), via: said.via, report: Some(reported) };
        self.paths.note(now, id, name, word);
    }

    /// Handles the acknowledgement of a relay.
    pub(super) fn take_route_ack(
        &mut self,
        now: Moment,
        up: UpHeader,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let host = self.hosts.get(up.receiver).ok_or(Discard::UnknownHost)?;
        if !self.paths.is_leased(up.receiver) {
            return Err(Discard::UnknownHost);
        }
        let (ack, key) = RouteAck::open(&host.link().hello, self.scope, up, datagram)?;
        if key != host.link().key {
            return Err(Discard::BadSignature);
        }
        let is_new = self.paths.take_ack(now, up.receiver, up.header.sequence, ack);
        if is_new { Ok(()) } else { Err(Discard::Replayed) }
    }

    /// Notes that the address of a path refuses what is sent to it: by this machine, by a router, or by its host. Anybody
    /// may have forged that.
    pub fn handle_refusal(&mut self, now: Moment, addr: SocketAddr) {
        self.paths.note_refusal(now, addr);
    }

    /// Draws the conclusions from what hosts have said about where they hear.
    pub(super) fn handle_paths(&mut self, now: Moment) {
        let is_tail = self.is_tail();
        self.paths.handle_timeout(now, self.hosts.tally().heard, is_tail);
        self.rate.limit(self.paths.rate());
        if self.paths.take_disturbed() {
            let next = self.sequences.next();
            self.rate.absolve(now, next.value());
            self.hosts.excuse(self.paths.member_ids(), next);
        }
        while let Some(event) = self.paths.next_event() {
            self.event(event);
        }
    }

    /// Fills in by which way the hosts are served.
    pub(super) fn add_ways(&self, rows: &mut [HostRow]) {
        if !self.paths.has_members() {
            return;
        }
        let mut ways = self.paths.ways();
        for row in rows {
            match ways.remove(&row.name) {
                Some(way) => {
                    row.served = way.via;
                    if let Some(fault) = way.lost.filter(|_| !row.state.is_done()) {
                        row.reason.get_or_insert_with(|| format!("its relay is given up: {fault}"));
                    }
                }
                None => row.served = row.via.map(|_| Via::Group),
            }
        }
    }
}

/// What a report says about the way to its host.
#[derive(Clone, Copy)]
pub(super) struct Said {
    pub(super) echo: Echo,
    via: Option<SocketAddr>,
    forged: u64,
    bytes: u64,
}

impl Said {
    pub(super) fn of(report: &Report) -> Self {
        let totals = report.totals;
        Self {
            echo: report.echo,
            via: report.via,
            forged: totals.symbols_forged,
            bytes: totals.bytes_received,
        }
    }
}

/// The pages of the audience as they were sealed last: a host that is told by unicast gets the one that it is on.
#[derive(Default)]
pub(super) struct SaidPages(Vec<(AudiencePage, Arc<[u8]>)>);

impl SaidPages {
    fn note(&mut self, datagram: &[u8], page: Option<&AudiencePage>) {
        let Some(page) = page else { return };
        match self.0.iter_mut().find(|(there, _)| there == page) {
            Some((_, bytes)) => *bytes = datagram.into(),
            None => self.0.push((page.clone(), datagram.into())),
        }
    }

    fn of(&self, hash: NameHash) -> Option<Arc<[u8]>> {
        let is_on = |page: &AudiencePage| page.says(hash) == Meant::Yes;
        self.0.iter().find(|(page, _)| is_on(page)).map(|(_, bytes)| Arc::clone(bytes))
    }
}
