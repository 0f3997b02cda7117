//! Incoming datagrams: announcements, control datagrams to the group, and other protocol versions. All but the last
//! are proven before they change any state.

use std::net::SocketAddr;
use std::time::Duration;

use super::final_report::FinalReport;
use super::session::{Session, Stage, buffer_bytes};
use super::uplink::Uplink;
use super::waiting::Waiting;
use super::{Attempt, Effect, Receiver, ReceiverEvent, Rejoin};
use crate::ids::{ReceiverId, SessionTag};
use crate::limits::ANNOUNCE_SKEW_MAX;
use crate::sign::PublicKey;
use crate::time::{Moment, WallClock};
use crate::wire::{Announce, Announced, Discard, Down, End, Header, Kind, Notice, foreign_version};

impl<U: Clone, E> Receiver<U, E> {
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
            self.take_foreign(now, from, version, tag);
            return Err(Discard::OtherVersion);
        }
        let header = Header::parse(datagram)?;
        match header.kind {
            Kind::Announce => self.take_announce(now, wall, from, datagram),
            Kind::Manifest | Kind::Poll | Kind::End | Kind::Ack => self.take_down(now, header, datagram),
            // Queries go to the responder, which is independent of sessions.
            Kind::Ask | Kind::Heard | Kind::Answer => Err(Discard::UnknownKind),
            Kind::Symbol | Kind::Hello | Kind::Report | Kind::Done | Kind::Failed | Kind::Notice => {
                Err(Discard::UnknownKind)
            }
        }
    }

    fn take_announce(
        &mut self,
        now: Moment,
        wall: WallClock,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let id = Announce::session_of(datagram)?;
        let (key, announced) = self.open_announce(datagram).inspect_err(|&reason| {
            if reason == Discard::WrongKey && !self.wrong_key_told {
                self.wrong_key_told = true;
                self.events.push_back(ReceiverEvent::WrongKey(from));
            }
        })?;
        if let Some(active) = self.session.as_deref_mut().filter(|active| active.id() == id) {
            // The first announcement counts, whatever a later one contains and whoever sends it.
            if !active.is_plausible(announced.sequence) {
                return Err(Discard::Implausible);
            }
            active.note(now, announced.sequence, datagram.len());
            return Ok(());
        }
        if self.stopping {
            return Ok(());
        }
        let skew = announced.announce.time.distance(wall);
        if self.ended.contains(&id) {
            // The session goes on without this host, but its sender may wait for the final report.
            if let Some(report) = self.final_reports.iter_mut().find(|report| report.session == id)
                && skew <= ANNOUNCE_SKEW_MAX
            {
                report.announced(now, self.rng.below(announced.announce.spread));
            }
            return Ok(());
        }
        if skew > ANNOUNCE_SKEW_MAX {
            if !self.stale_told {
                self.stale_told = true;
                self.event(ReceiverEvent::Stale(from, skew));
            }
            return Err(Discard::Stale);
        }
        if !self.accepts(announced.signer) {
            self.refuse(now, from, key, &announced);
            return Err(Discard::UnknownSender);
        }
        announced.verify()?;
        match &self.session {
            // A one-way sender does not listen: its session is joined if it is still announced afterwards.
            Some(_) if announced.announce.one_way => {}
            None => self.join(now, key, announced),
            Some(_) => self.wait(now, key, &announced.announce, None),
        }
        Ok(())
    }

    /// Opens an announcement under any of the host's keys, and returns that key's index in the configuration.
    fn open_announce(&self, datagram: &[u8]) -> Result<(usize, Announced), Discard> {
        let mut reason = Discard::WrongKey;
        for (at, key) in self.config.keys.iter().enumerate() {
            match Announce::open(key, datagram) {
                Ok(announced) => return Ok((at, announced)),
                Err(Discard::WrongKey) => {}
                Err(other) => reason = other,
            }
        }
        Err(reason)
    }

    /// Whether this host takes part in sessions with this signer.
    fn accepts(&self, signer: Option<PublicKey>) -> bool {
        let senders = &self.config.senders;
        senders.is_empty() || signer.is_some_and(|signer| senders.contains(&signer))
    }

    /// Refuses the push of a sender that this host does not accept: reports it here, and to the sender.
    fn refuse(&mut self, now: Moment, from: SocketAddr, key: usize, announced: &Announced) {
        let told = &mut self.refused_told;
        if told.len() < REFUSED_TOLD_MAX && !told.contains(&announced.signer) {
            told.push(announced.signer);
            self.event(ReceiverEvent::UnknownSender(from, announced.signer));
        }
        if announced.announce.one_way {
            return;
        }
        let reason = match announced.signer {
            Some(signer) => format!("it does not accept this sender: add {signer} to its senders"),
            None => {
                "it accepts signed pushes only: send with --sender-key, and list that key at the host".into()
            }
        };
        self.wait(now, key, &announced.announce, Some(reason));
    }

    fn join(&mut self, now: Moment, key: usize, announced: Announced) {
        let announce = announced.announce.clone();
        let waited = self.waiting.take(announce.session);
        let uplink = waited.unwrap_or_else(|| self.new_uplink(&announce, key));
        let buffers = (self.config.buffer_bytes / buffer_bytes(&announce).max(1))
            .clamp(BUFFERS_MIN, BUFFERS_MAX)
            .min((announce.geometry.blocks() as usize).max(1)) as u16;
        self.attempts += 1;
        let attempt = Attempt(self.attempts);
        let key = &self.config.keys[key];
        let session = Session::new(now, attempt, announced, key, uplink, buffers, &mut self.rng);
        self.session = Some(Box::new(session));
        self.event(ReceiverEvent::Joined(Box::new(announce.clone())));
        self.effects.push_back(Effect::Prepare(attempt, Box::new(announce.clone()), buffers));
        self.placement.join(attempt, announce);
    }

    /// Puts a session on the waiting list, so that its sender learns that this host is busy, or its `refusal`.
    fn wait(&mut self, now: Moment, key: usize, announce: &Announce, refusal: Option<String>) {
        if self.waiting.note_heard(now, announce.session) || !self.waiting.has_room(refusal.is_some()) {
            return;
        }
        let hello_at = now + self.rng.below(announce.spread);
        let uplink = self.new_uplink(announce, key);
        let same_object = self.session.as_ref().is_some_and(|active| active.is_of(announce));
        self.waiting.push(Waiting::new(now, uplink, hello_at, same_object, refusal));
    }

    fn new_uplink(&mut self, announce: &Announce, key: usize) -> Uplink {
        // Each uplink has its own id, as the numbers under its key begin at 1 again.
        let mut start = self.config.start;
        start.iter_mut().zip(self.links.to_be_bytes()).for_each(|(byte, link)| *byte ^= link);
        self.links += 1;
        Uplink::new(announce, ReceiverId::derive(&self.config.name, &start), &self.config.keys[key])
    }

    fn take_down(&mut self, now: Moment, header: Header, datagram: &[u8]) -> Result<(), Discard> {
        let Some(active) = self.session.as_mut().filter(|a| a.id().tag() == header.tag) else {
            return self.take_afterwards(header, datagram);
        };
        let (cipher, geometry) = (active.cipher(), active.announce().geometry);
        let opened = Down::open(cipher, geometry, active.signer(), datagram, |down| active.is_news(down));
        let is_first = active.is_plausible(header.sequence) && !active.came(header.sequence);
        if opened == Err(Discard::Replayed) && is_first {
            active.note(now, header.sequence, datagram.len()); // repeated for other hosts
            return Ok(());
        }
        let (_, down) = opened?;
        if header.kind != Kind::Ack {
            active.note_proven(now, header.sequence, datagram.len());
        }
        match down {
            Down::Manifest(run) => active.learn(&run),
            Down::Poll(poll) => active.take_poll(now, poll, &mut self.rng),
            Down::Ack(ack) => {
                if active.take_ack(&ack) {
                    self.leave(Rejoin::Never);
                }
                return Ok(());
            }
            Down::End(end) => {
                self.take_end(&end);
                return Ok(());
            }
        }
        self.check_root(now);
        self.advance();
        Ok(())
    }

    /// Handles a datagram of a session that this host has left: it may acknowledge the final report.
    fn take_afterwards(&mut self, header: Header, datagram: &[u8]) -> Result<(), Discard> {
        let of_it = |report: &FinalReport| report.session.tag() == header.tag;
        let at = self.final_reports.iter().position(of_it).ok_or(Discard::OtherSession)?;
        if self.final_reports[at].take(datagram)? {
            self.final_reports.remove(at);
        }
        Ok(())
    }

    fn take_end(&mut self, end: &End) {
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
                self.abandon(&reason, Rejoin::Never);
            }
            (Stage::Opening | Stage::Receiving | Stage::Existing, End::Aborted(reason)) => {
                let reason = format!("the sender gave up: {reason}");
                self.abandon(&reason, Rejoin::Never);
            }
        }
    }

    fn take_foreign(&mut self, now: Moment, from: SocketAddr, version: u8, tag: SessionTag) {
        if now >= self.notice_after {
            self.notice_after = now + NOTICE_GAP;
            self.notice = Some((from, tag, 0));
            self.event(ReceiverEvent::OtherVersion(from, version));
        }
    }
}

/// Bounds of the number of buffers: fewer would stall the pipeline, more would not help.
const BUFFERS_MIN: usize = 4;
const BUFFERS_MAX: usize = 1_024;

/// The number of refused senders that are logged.
const REFUSED_TOLD_MAX: usize = 8;

/// The shortest time between two notices to senders of other versions.
const NOTICE_GAP: Duration = Duration::from_secs(1);
