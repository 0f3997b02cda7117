//! What comes in: announcements, what the sender says to the group, other versions. Each is proven before it changes
//! anything.

use std::net::SocketAddr;
use std::time::Duration;

use super::afterword::Afterword;
use super::session::{Link, Session, Stage, buffer_bytes};
use super::{Attempt, Effect, Receiver, ReceiverEvent, Rejoin};
use crate::ids::{ReceiverId, SessionTag};
use crate::limits::ANNOUNCE_SKEW_MAX;
use crate::repeat::Repeat;
use crate::time::{Moment, WallClock};
use crate::wire::{Announce, Discard, Down, End, Header, Kind, Notice, foreign_version};

/// A session that is announced while another is at work: its sender is told that this host is busy.
pub(super) struct Waiting {
    pub(super) link: Link,
    /// It is about the object that this host is at work on.
    pub(super) same_object: bool,
    pub(super) hello: Repeat,
    pub(super) heard: Moment,
}

impl Receiver {
    pub(super) fn take_datagram(
        &mut self,
        now: Moment,
        wall: WallClock,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        if Notice::is(datagram) {
            return Err(Discard::UnknownKind); // of whatever version: two hosts would answer each other for ever
        }
        if let Some((version, tag)) = foreign_version(datagram) {
            self.take_foreign(now, from, version, tag);
            return Err(Discard::OtherVersion);
        }
        let header = Header::parse(datagram)?;
        match header.kind {
            Kind::Announce => self.take_announce(now, wall, from, datagram),
            Kind::Manifest | Kind::Poll | Kind::End | Kind::Ack => self.take_down(now, header, datagram),
            // Questions go to the respondent, which knows of no session.
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
        let announce = Announce::open(&self.config.key, datagram).inspect_err(|&reason| {
            if reason == Discard::WrongKey && !self.wrong_key_told {
                self.wrong_key_told = true;
                self.events.push_back(ReceiverEvent::WrongKey(from));
            }
        })?;
        if let Some(active) = self.session.as_deref_mut().filter(|active| active.announce.session == id) {
            let sequence = Header::parse(datagram)?.sequence;
            active.note(now, sequence, datagram.len());
            return Ok(());
        }
        if self.stopping {
            return Ok(());
        }
        let skew = announce.time.distance(wall);
        if self.ended.contains(&id) {
            // It goes on without us; but perhaps it waits for our last word.
            if let Some(word) = self.afterwords.iter_mut().find(|word| word.session == id)
                && skew <= ANNOUNCE_SKEW_MAX
            {
                word.announced(now, self.rng.below(announce.spread));
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
        match &self.session {
            // Nobody would hear that we are busy: it is joined if it is still announced afterwards.
            Some(_) if announce.one_way => {}
            None => self.join(now, announce),
            Some(_) => self.wait(now, &announce),
        }
        Ok(())
    }

    fn join(&mut self, now: Moment, announce: Announce) {
        let waited = self.waiting.iter().position(|waiting| waiting.link.session == announce.session);
        let link = match waited {
            Some(at) => self.waiting.swap_remove(at).link,
            None => self.new_link(&announce),
        };
        let buffers = (self.config.buffer_bytes / buffer_bytes(&announce).max(1))
            .clamp(BUFFERS_MIN, BUFFERS_MAX)
            .min((announce.geometry.blocks() as usize).max(1)) as u16;
        self.attempts += 1;
        let attempt = Attempt(self.attempts);
        let session =
            Session::new(now, attempt, announce.clone(), &self.config.key, link, buffers, &mut self.rng);
        self.session = Some(Box::new(session));
        self.event(ReceiverEvent::Joined(Box::new(announce.clone())));
        self.effects.push_back(Effect::Open(attempt, Box::new(announce), buffers));
    }

    fn wait(&mut self, now: Moment, announce: &Announce) {
        if let Some(waiting) = self.waiting.iter_mut().find(|w| w.link.session == announce.session) {
            waiting.heard = now;
            return;
        }
        if self.waiting.len() < WAITING_MAX {
            let hello = Repeat::new(now + self.rng.below(announce.spread), BUSY_HELLO_GAP, BUSY_HELLO_GAP);
            let link = self.new_link(announce);
            let same_object = self.session.as_ref().is_some_and(|active| active.is_of(announce));
            self.waiting.push(Waiting { link, same_object, hello, heard: now });
        }
    }

    fn new_link(&mut self, announce: &Announce) -> Link {
        // An id of its own for each link: its key's numbers begin at 1 again.
        let mut start = self.config.start;
        start.iter_mut().zip(self.links.to_be_bytes()).for_each(|(byte, link)| *byte ^= link);
        self.links += 1;
        Link::new(announce, ReceiverId::derive(&self.config.name, &start), &self.config.key)
    }

    fn take_down(&mut self, now: Moment, header: Header, datagram: &[u8]) -> Result<(), Discard> {
        let Some(active) = self.session.as_mut().filter(|a| a.announce.session.tag() == header.tag) else {
            return self.take_afterwards(header, datagram);
        };
        let (_, down) = Down::open(&active.cipher, active.announce.geometry, datagram)?;
        if header.kind != Kind::Ack {
            active.note(now, header.sequence, datagram.len());
        }
        match down {
            Down::Manifest(run) => active.table.learn(&run),
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

    /// Something of a session that was left, which may be what its last word has waited for.
    fn take_afterwards(&mut self, header: Header, datagram: &[u8]) -> Result<(), Discard> {
        let of_it = |word: &Afterword| word.session.tag() == header.tag;
        let at = self.afterwords.iter().position(of_it).ok_or(Discard::OtherSession)?;
        if self.afterwords[at].take(datagram)? {
            self.afterwords.remove(at);
        }
        Ok(())
    }

    fn take_end(&mut self, end: &End) {
        let Some(active) = &self.session else { return };
        match (&active.stage, end) {
            // Whatever the sender says now: what is published is proven, and what is being published is vouched for.
            (Stage::Closing { .. }, _) => self.leave(Rejoin::Never),
            (Stage::Publishing | Stage::Comparing, _) => {}
            (Stage::Opening | Stage::Receiving | Stage::Existing, End::Over) if active.has_all() => {}
            (Stage::Opening | Stage::Receiving | Stage::Existing, End::Over) => {
                self.abandon("the sender ended the push before this host was complete", Rejoin::Never);
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
            self.notice = Some((from, tag));
            self.event(ReceiverEvent::OtherVersion(from, version));
        }
    }
}

/// Fewer would stop the pipeline; more would be no help.
const BUFFERS_MIN: usize = 4;
const BUFFERS_MAX: usize = 1_024;

/// Sessions that are told that this host is busy. The others learn it when they are still announced afterwards.
const WAITING_MAX: usize = 8;
const BUSY_HELLO_GAP: Duration = Duration::from_secs(2);

/// A sender of another version is answered so often at most.
const NOTICE_GAP: Duration = Duration::from_secs(1);
