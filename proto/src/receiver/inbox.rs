//! Incoming datagrams: control datagrams of sessions, and other protocol versions. The former are proven before they
//! change any state.

use std::net::SocketAddr;

use super::final_report::FinalReport;
use super::notices::Foreign;
use super::session::Stage;
use super::{GaveUp, Receiver, ReceiverEvent, Rejoin};
use crate::time::{Moment, WallClock};
use crate::wire::{Discard, Down, End, Header, Kind, Notice, VERSION, foreign_version};

impl<U: Clone, E> Receiver<U, E> {
    /// Handles a query or an announcement that none of this host's keys opens. Its sender gets a notice, which its key
    /// does not open either, so that it learns that a host with another key is at this address. The limits are those of
    /// all notices.
    pub fn handle_other_key(&mut self, now: Moment, from: SocketAddr, datagram: &[u8]) {
        if let Ok(header) = Header::parse(datagram) {
            let foreign = Foreign { source: from, version: VERSION, tag: header.tag, bytes: datagram.len() };
            self.notices.heard(now, &foreign, &mut self.rng);
        }
    }

    pub(super) fn take_datagram(
        &mut self,
        now: Moment,
        wall: WallClock,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        if Notice::is(datagram) {
            return Err(Discard::UnknownKind); // of any version: two hosts would answer each other forever
        }
        if let Some((version, tag)) = foreign_version(datagram) {
            let foreign = Foreign { source: from, version, tag, bytes: datagram.len() };
            if self.notices.heard(now, &foreign, &mut self.rng) {
                self.event(ReceiverEvent::OtherVersion(from, version));
            }
            return Err(Discard::OtherVersion);
        }
        let header = Header::parse(datagram)?;
        match header.kind {
            Kind::Announce => self.take_announce(now, wall, from, datagram),
            Kind::Audience if !self.is_in(header) => self.take_audience(now, from, header, datagram),
            Kind::Manifest | Kind::Poll | Kind::End | Kind::Audience | Kind::Proofs => {
                self.take_down(now, from, header, datagram)
            }
            Kind::Ack => self.take_ack(now, from, header, datagram),
            // Queries go to the responder, which is independent of sessions.
            Kind::Ask | Kind::Heard | Kind::Answer | Kind::Probe | Kind::NewKey => Err(Discard::UnknownKind),
            Kind::Symbol
            | Kind::Hello
            | Kind::Report
            | Kind::Done
            | Kind::Failed
            | Kind::Route
            | Kind::RouteAck
            | Kind::Notice => Err(Discard::UnknownKind),
        }
    }

    /// Whether a datagram has the tag of the session that this host takes part in.
    fn is_in(&self, header: Header) -> bool {
        self.session.as_ref().is_some_and(|active| active.id().tag() == header.tag)
    }

    fn take_down(
        &mut self,
        now: Moment,
        from: SocketAddr,
        header: Header,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let Some(active) = self.session.as_mut().filter(|a| a.id().tag() == header.tag) else {
            return self.take_afterwards(now, from, header, datagram);
        };
        let (cipher, geometry) = (active.cipher(), active.announce().geometry);
        let opened = Down::open(cipher, geometry, active.signer(), datagram, |down| {
            if !active.misses_sender(now, header.sequence) {
                active.check_news(down)?;
            }
            self.checks.take(now, from)
        });
        let is_first = active.is_plausible(header.sequence) && !active.came(header.sequence);
        if opened == Err(Discard::Replayed) && is_first {
            active.note(now, header.sequence, datagram.len()); // repeated for other hosts
            return Ok(());
        }
        let (_, down) = opened?;
        active.note_proven(now, header.sequence, self.inlet.via(from), datagram.len());
        self.checks.note_proven(from, active.announce().reply_to);
        match down {
            Down::Manifest(run) => active.learn(&run),
            Down::Poll(poll) => active.take_poll(now, poll, &mut self.rng),
            Down::End(end) => {
                self.take_end(now, &end);
                return Ok(());
            }
            Down::Proofs(proofs) => active.take_proofs(&proofs),
            Down::Audience(_) => {}
        }
        self.check_root(now);
        self.advance();
        Ok(())
    }

    fn take_ack(
        &mut self,
        now: Moment,
        from: SocketAddr,
        header: Header,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let Some(active) = self.session.as_mut().filter(|active| active.id().tag() == header.tag) else {
            return self.take_afterwards(now, from, header, datagram);
        };
        let ack = active.open_ack(datagram)?;
        if active.take_ack(now, &ack) {
            self.leave(Rejoin::Never);
        }
        Ok(())
    }

    /// Handles a datagram of a session that this host has left: it may acknowledge the final report.
    fn take_afterwards(
        &mut self,
        now: Moment,
        from: SocketAddr,
        header: Header,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let of_it = |report: &FinalReport| report.session.tag() == header.tag;
        let at = self.final_reports.iter().position(of_it).ok_or(Discard::OtherSession)?;
        if self.final_reports[at].take(header, datagram, || self.checks.take(now, from))? {
            self.final_reports.remove(at);
        }
        Ok(())
    }

    fn take_end(&mut self, now: Moment, end: &End) {
        let Some(active) = &self.session else { return };
        match (active.stage(), end) {
            // The end cannot fail the session here: what is published is proven, and what is being published is
            // vouched for.
            (Stage::Closing { .. }, _) => self.leave(Rejoin::Never),
            (Stage::Publishing | Stage::Comparing, _) => {}
            (Stage::Opening | Stage::Receiving | Stage::Existing, End::Over) if active.has_all() => {}
            (Stage::Opening | Stage::Receiving | Stage::Existing, End::Over) => {
                let reason = format!(
                    "the sender ended the push before this host was complete: it lacks {}",
                    active.lacking()
                );
                self.abandon(now, GaveUp::SenderEnded, &reason);
            }
            (Stage::Opening | Stage::Receiving | Stage::Existing, End::Aborted(reason)) => {
                let reason = format!("the sender gave up: {reason}");
                self.abandon(now, GaveUp::SenderEnded, &reason);
            }
        }
    }
}
