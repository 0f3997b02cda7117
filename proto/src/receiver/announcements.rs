//! Announcements: which sessions this host takes part in, waits for, refuses, or has nothing to do with. An announcement
//! is proven before it changes any state.

use std::net::SocketAddr;
use std::time::Duration;

use super::candidates::Settled;
use super::precedence::Precedence;
use super::session::{Session, buffer_bytes};
use super::uplink::Uplink;
use super::waiting::Waiting;
use super::{Attempt, Effect, Leftover, Receiver, ReceiverEvent};
use crate::ids::{ReceiverId, SessionId};
use crate::keyring::open_under_any;
use crate::limits::{ANNOUNCE_SKEW_MAX, ENDED_SESSIONS_MAX};
use crate::senders::{Acceptance, Sender};
use crate::time::{Moment, WallClock};
use crate::wire::{Announce, Announced, Discard, FailureKind, Header};

impl<U: Clone, E> Receiver<U, E> {
    pub(super) fn take_announce(
        &mut self,
        now: Moment,
        wall: WallClock,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let id = Announce::session_of(datagram)?;
        let via = self.inlet.via(from);
        let (key, announced) = open_under_any(&self.config.keys, |key| Announce::open(key, datagram))
            .inspect_err(|&reason| {
                if reason == Discard::WrongKey {
                    self.note_wrong_key(now, from, id, datagram);
                }
            })?;
        if let Some(active) = self.session.as_deref_mut().filter(|active| active.id() == id) {
            // The first announcement counts, whatever a later one contains and whoever sends it, except for the address
            // that is answered to: the sender may have got another one.
            if !active.is_plausible(announced.sequence) {
                return Err(Discard::Implausible);
            }
            if active.is_answered_elsewhere(&announced) {
                self.checks.take(now, from)?;
                announced.verify()?;
                active.note_proven(now, announced.sequence, via, datagram.len());
                active.answer_to(announced.announce.reply_to, announced.sequence);
                self.checks.note_proven(from, announced.announce.reply_to);
                return Ok(());
            }
            if active.misses_sender(now, announced.sequence) && active.claims_signer(&announced) {
                self.checks.take(now, from)?;
                announced.verify()?;
                active.note_proven(now, announced.sequence, via, datagram.len());
            } else {
                active.note(now, announced.sequence, datagram.len());
            }
            return Ok(());
        }
        if self.stopping {
            return Ok(());
        }
        if self.not_for_us.contains(&id) {
            return Err(Discard::NotForUs);
        }
        let skew = announced.announce.time.distance(wall);
        if self.ended.contains(&id) {
            // The session goes on without this host, but its sender may wait for the final report.
            if let Some(report) = self.final_reports.iter_mut().find(|report| report.session == id)
                && skew <= ANNOUNCE_SKEW_MAX
            {
                let spread = announced.announce.spread;
                report.announced(now, self.rng.below(spread), spread);
            }
            return Ok(());
        }
        if skew > ANNOUNCE_SKEW_MAX {
            self.refuse_stale(now, from, key, &announced, skew)?;
            return Err(Discard::Stale);
        }
        self.take_new(now, from, key, announced)
    }

    /// Handles the announcement of a session that this host is not in.
    fn take_new(
        &mut self,
        now: Moment,
        from: SocketAddr,
        key: usize,
        announced: Announced,
    ) -> Result<(), Discard> {
        let id = announced.announce.session;
        let refused = match self.config.senders.judge(announced.signer(), self.wall(now)) {
            Acceptance::Accepted => None,
            Acceptance::Unknown => Some((Discard::UnknownSender, None)),
            Acceptance::Expired(sender) => Some((Discard::ExpiredSender, Some(sender.clone()))),
        };
        if let Some((discard, expired)) = refused {
            if !self.waiting.note_heard(now, id, true) && self.is_refusal_told(now, &announced) {
                // Who claims to have signed it is not named to anybody before that is proven.
                self.checks.verify(now, from, &announced)?;
                self.refuse(now, from, key, &announced, expired)?;
            }
            return Err(discard);
        }
        if self.session.is_some() && self.waiting.note_heard(now, id, false)
            || self.candidates.note_heard(now, id)
        {
            return Ok(());
        }
        // A one-way sender does not listen, so nothing is waited for.
        if self.session.is_some() && announced.announce.one_way {
            return Ok(());
        }
        self.checks.verify(now, from, &announced)?;
        let (group, name) = (&self.config.keys[key], &self.config.name);
        if let Some(announced) = self.candidates.consider(now, from, announced, key, group, name) {
            self.take_part(now, from, key, announced)?;
        }
        Ok(())
    }

    /// Handles a page of the audience of a session whose announcement was heard before.
    pub(super) fn take_audience(
        &mut self,
        now: Moment,
        from: SocketAddr,
        header: Header,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        match self.candidates.take_page(header.tag, datagram, || self.checks.take(now, from))? {
            Some(Settled::Included(candidate)) => {
                self.take_part(now, candidate.from, candidate.key, candidate.announced)
            }
            Some(Settled::Excluded(session)) => {
                self.note_not_for_us(session);
                Err(Discard::NotForUs)
            }
            None => Ok(()),
        }
    }

    /// Takes part in a session that is for this host: at once if it comes first, or once this host is free.
    fn take_part(
        &mut self,
        now: Moment,
        from: SocketAddr,
        key: usize,
        announced: Announced,
    ) -> Result<(), Discard> {
        let announce = &announced.announce;
        match &self.session {
            // A one-way sender does not listen: its session is joined if it is still announced afterwards.
            Some(_) if announce.one_way => Ok(()),
            // Whoever repeats what a silent sender announced before draws no host from its push.
            Some(active) if !self.silent.contains(&announce.session) && active.yields_to(now, &announced) => {
                self.yield_session(now, &announced);
                self.join(now, from, key, announced)
            }
            None if announce.one_way || !self.is_preceded(now, announce) => {
                self.join(now, from, key, announced)
            }
            None | Some(_) => self.wait(now, key, &announced, None),
        }
    }

    /// Whether a session that this host waits for comes before the one that is announced.
    fn is_preceded(&self, now: Moment, announce: &Announce) -> bool {
        self.waiting.has_earlier(now, Precedence::of(announce), |session| !self.silent.contains(&session))
    }

    /// Leaves the session for the one that is announced by `first`, and waits for it.
    fn yield_session(&mut self, now: Moment, first: &Announced) {
        let Some(active) = self.session.take() else { return };
        let session = active.id();
        self.leave_place(active.attempt(), Leftover::Kept);
        self.event(ReceiverEvent::Yielded { session, to: first.announce.session });
        let signer = active.signer().map(|signer| signer.key);
        let (announce, same_object) = (active.announce().clone(), active.is_of(&first.announce));
        // The spread of the busy hellos begins with this host's next turn.
        let hello_at = active.next_turn(now) + self.rng.below(announce.spread);
        if let Some(uplink) = active.into_uplink()
            && self.waiting.has_room(false)
        {
            self.waiting.push(Waiting::new(now, uplink, &announce, hello_at, same_object, signer, None));
        }
    }

    /// Whether anybody is told that this announcement is refused; otherwise its signature need not be checked. A
    /// one-way sender does not listen.
    fn is_refusal_told(&self, now: Moment, announced: &Announced) -> bool {
        self.refused.has_news(now, announced.announce.session, announced.signer())
            || !announced.announce.one_way && self.waiting.has_room(true)
    }

    /// Handles an announcement under another group key: reports it here once, and has its sender get a notice. That
    /// sender cannot open it, and so learns that a host with another key is at this address.
    fn note_wrong_key(&mut self, now: Moment, from: SocketAddr, session: SessionId, datagram: &[u8]) {
        if self.wrong_keys.is_news(now, session) {
            self.event(ReceiverEvent::WrongKey(from));
        }
        self.handle_other_key(now, from, datagram);
    }

    /// Refuses the push of a sender that this host does not accept, or of one whose entry has `expired`: reports it here,
    /// and to the sender. The sender is told no key, as a message that names one is read as advice to add it.
    fn refuse(
        &mut self,
        now: Moment,
        from: SocketAddr,
        key: usize,
        announced: &Announced,
        expired: Option<Sender>,
    ) -> Result<(), Discard> {
        let signer = announced.signer();
        let reason = match (&expired, signer) {
            (Some(_), _) => "its entry for the key that signs this push has expired",
            (None, Some(_)) => "it does not list the key that signs this push",
            (None, None) => "it takes signed pushes only",
        };
        if self.refused.is_news(now, announced.announce.session, signer) {
            self.event(match expired {
                Some(sender) => ReceiverEvent::ExpiredSender(from, Box::new(sender)),
                None => ReceiverEvent::UnknownSender(from, signer),
            });
        }
        if announced.announce.one_way {
            return Ok(());
        }
        self.wait(now, key, announced, Some((FailureKind::UnknownSender, reason.to_owned())))
    }

    /// Refuses a push whose sender has another time than this host: reports it here once, and to the sender if this host
    /// would accept it otherwise. It is no failure for good: whoever replays an old announcement puts no host out of a
    /// push.
    fn refuse_stale(
        &mut self,
        now: Moment,
        from: SocketAddr,
        key: usize,
        announced: &Announced,
        skew: Duration,
    ) -> Result<(), Discard> {
        let (announce, wall) = (&announced.announce, self.wall(now));
        if self.stale.is_news(now, announce.session) {
            self.event(ReceiverEvent::Stale(from, skew));
        }
        let is_accepted = self.config.senders.judge(announced.signer(), wall) == Acceptance::Accepted;
        if !is_accepted
            || announce.one_way
            || self.waiting.note_heard(now, announce.session, true)
            || !self.waiting.has_room(true)
        {
            return Ok(());
        }
        self.checks.verify(now, from, announced)?;
        let which = if announce.time.0 > wall.0 { "behind" } else { "ahead of" };
        let reason = format!("its clock is {} s {which} the sender's: set the clocks", skew.as_secs());
        self.wait(now, key, announced, Some((FailureKind::Stopping, reason)))
    }

    fn join(
        &mut self,
        now: Moment,
        from: SocketAddr,
        key: usize,
        announced: Announced,
    ) -> Result<(), Discard> {
        let announce = announced.announce.clone();
        let waited = self.waiting.take(announce.session);
        let uplink = waited.or_else(|| self.new_uplink(&announce, key)).ok_or(Discard::Malformed)?;
        let buffers = (self.config.buffer_bytes / buffer_bytes(&announce).max(1))
            .clamp(BUFFERS_MIN, BUFFERS_MAX)
            .min((announce.geometry.blocks() as usize).max(1)) as u16;
        self.checks.note_joined(from);
        self.attempts += 1;
        let attempt = Attempt(self.attempts);
        let key = &self.config.keys[key];
        let mut session = Session::new(now, attempt, announced, key, uplink, buffers, &mut self.rng);
        session.note_via(self.inlet.via(from));
        self.session = Some(Box::new(session));
        self.event(ReceiverEvent::Joined(Box::new(announce.clone())));
        self.effects.push_back(Effect::Prepare(attempt, Box::new(announce.clone()), buffers));
        self.placement.join(attempt, announce);
        Ok(())
    }

    /// Puts a session on the waiting list, so that its sender learns that this host is busy, or its `refusal`.
    fn wait(
        &mut self,
        now: Moment,
        key: usize,
        announced: &Announced,
        refusal: Option<(FailureKind, String)>,
    ) -> Result<(), Discard> {
        let (announce, signer) = (&announced.announce, announced.signer());
        if self.waiting.note_heard(now, announce.session, refusal.is_some())
            || !self.waiting.has_room(refusal.is_some())
        {
            return Ok(());
        }
        let hello_at = now + self.rng.below(announce.spread);
        let same_object = self.session.as_ref().is_some_and(|active| active.is_of(announce));
        let uplink = self.new_uplink(announce, key).ok_or(Discard::Malformed)?;
        self.waiting.push(Waiting::new(now, uplink, announce, hello_at, same_object, signer, refusal));
        Ok(())
    }

    /// Returns a channel to the sender of this announcement; `None` if its agreement key is none.
    fn new_uplink(&mut self, announce: &Announce, key: usize) -> Option<Uplink> {
        // Each uplink has its own id, as the numbers under its key begin at 1 again.
        let mut start = self.config.start;
        start.iter_mut().zip(self.links.to_be_bytes()).for_each(|(byte, link)| *byte ^= link);
        self.links += 1;
        let receiver = ReceiverId::derive(&self.config.name, &start);
        Uplink::new(announce, receiver, &self.config.keys[key], &self.config)
    }

    fn note_not_for_us(&mut self, session: SessionId) {
        if self.not_for_us.len() == ENDED_SESSIONS_MAX {
            self.not_for_us.pop_front();
        }
        self.not_for_us.push_back(session);
    }
}

/// Bounds of the number of buffers: fewer would stall the pipeline, more would not help.
const BUFFERS_MIN: usize = 4;
const BUFFERS_MAX: usize = 1_024;
