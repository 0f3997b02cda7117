//! The state machine of a host: joins announced sessions, reports what it lacks, and has blocks proven and the
//! object published.
//!
//! Control datagrams go to [`Receiver::handle_datagram`]. Symbols take a shorter path: [`Receiver::admit`] returns
//! the place of a datagram's symbol, the shell opens the datagram into it, and [`Receiver::accept`] counts it.
//! Heavy work comes out of [`Receiver::poll_effect`], and its outcome goes into the `handle_*` function of that
//! effect. A host takes part in one session at a time: other senders learn that it is busy, and their sessions are
//! joined afterwards.
//!
//! Files belong to the shell; the machine only keeps them for it. A session's file arrives with [`Opened`] and
//! leaves with the work on it, so only the current holder writes, publishes, compares or puts it away.

#[cfg(test)]
mod announcement_tests;
mod announcements;
#[cfg(test)]
mod audience_tests;
mod candidates;
mod checks;
mod effects;
mod final_report;
mod inbox;
mod inlet;
mod intake;
mod notices;
mod numbers;
#[cfg(test)]
mod order_tests;
mod placement;
mod precedence;
mod refusals;
mod reordering;
mod session;
mod settings;
#[cfg(test)]
mod settings_tests;
#[cfg(feature = "simulation")]
mod simulation;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod uplink;
mod waiting;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

pub use effects::{
    Admission, Attempt, BlockOutcome, BlockRoom, Effect, Failure, Leftover, Opened, Proof, Published,
    ReceiverEvent, ReceiverTimer, Returned,
};
pub use inlet::Inlet;
pub use intake::{GaveUp, Intake, Phase};
pub(crate) use numbers::Numbers;
pub use session::buffer_bytes;
pub use table::{BaseIndex, BufferId, Collected, Origin, Place, Sifted, SymbolHashes, Work, buffer_symbols};

use crate::agree::StartSecret;
use crate::ids::{BlockIndex, HostName, SessionId};
use crate::limits::{CORRUPT_TRIES_MAX, ENDED_SESSIONS_MAX, EVENTS_MAX};
use crate::rng::Rng;
use crate::seal::{Cipher, GroupKey};
use crate::senders::Senders;
use crate::sign::SigningKey;
use crate::time::{Moment, WallClock};
use crate::told::Told;
use crate::wire::{Announce, CommandOutcome, Discard, DiscardCounts, FailureKind, SymbolHeader};
use candidates::Candidates;
use checks::Checks;
use final_report::{FINAL_REPORTS_MAX, FinalReport};
use notices::Notices;
use placement::{Found, Placement};
use refusals::RefusalsTold;
use session::{Conclusion, Expired, Session, Stage};
use table::Tries;
use waiting::WaitingList;

/// The identity and the limits of this host.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// The name of this host in the sender's table.
    pub name: HostName,
    /// The name and version of the program.
    pub software: String,
    /// The group keys: at least one, and more than one while a key is being replaced.
    pub keys: Vec<GroupKey>,
    /// The key of this host, by which senders know it.
    pub host_key: SigningKey,
    /// What the keys that it shares with senders follow from, drawn at this start of the program.
    pub secret: StartSecret,
    /// MTU of the interface in bytes; `None` where it is not known yet.
    pub mtu: Option<u16>,
    /// The senders whose pushes this host takes part in.
    pub senders: Senders,
    /// 16 random bytes, drawn at this start of the program.
    pub start: [u8; 16],
    /// The seed of all randomness in the machine.
    pub seed: [u8; 32],
    /// Memory in bytes for blocks that are being collected. It holds at least four blocks, whatever the value.
    pub buffer_bytes: usize,
    /// Whether this host forwards to others if a sender asks it to: see [`relay`](crate::relay).
    pub can_relay: bool,
}

/// The machine of one host. `U` is the shell's handle of an unfinished file, `E` that of a file that existed
/// before.
pub struct Receiver<U = (), E = ()> {
    config: ReceiverConfig,
    rng: Rng,
    session: Option<Box<Session>>,
    placement: Placement<U, E>,
    /// Sessions that are announced while this host takes part in another, or that it refuses.
    waiting: WaitingList,
    /// Sessions of which it is not known yet whether they are for this host.
    candidates: Candidates,
    ended: VecDeque<SessionId>,
    /// The last sessions whose senders fell silent while this host was in them: they come after all others.
    silent: VecDeque<SessionId>,
    /// The last sessions that are for other hosts.
    not_for_us: VecDeque<SessionId>,
    /// The civil time, as it was when the last datagram came.
    clock: (Moment, WallClock),
    /// Unacknowledged final reports.
    final_reports: VecDeque<FinalReport>,
    /// The number of receiver ids derived so far: one for each session, whether joined or waiting.
    links: u64,
    attempts: u64,
    effects: VecDeque<Effect<U, E>>,
    /// By which way the datagram came that is being handled.
    inlet: Inlet,
    checks: Checks,
    notices: Notices,
    wrong_keys: Told<SessionId>,
    stale: Told<SessionId>,
    refused: RefusalsTold,
    /// The number of blocks that did not match the manifest.
    corrupt: u64,
    /// The program is about to end: no session is joined.
    stopping: bool,
    events: VecDeque<ReceiverEvent>,
    discards: DiscardCounts,
}

impl<U: Clone, E> Receiver<U, E> {
    /// Returns a host that takes part in no session yet.
    pub fn new(config: ReceiverConfig) -> Self {
        Self {
            rng: Rng::new(&config.seed),
            checks: Checks::new(&config.seed),
            inlet: Inlet::Group,
            notices: Notices::new(&config),
            config,
            session: None,
            placement: Placement::new(),
            waiting: WaitingList::default(),
            candidates: Candidates::default(),
            ended: VecDeque::new(),
            silent: VecDeque::new(),
            not_for_us: VecDeque::new(),
            clock: (Moment::default(), WallClock(0)),
            final_reports: VecDeque::new(),
            links: 0,
            attempts: 0,
            effects: VecDeque::new(),
            wrong_keys: Told::default(),
            stale: Told::default(),
            refused: RefusalsTold::default(),
            corrupt: 0,
            stopping: false,
            events: VecDeque::new(),
            discards: DiscardCounts::default(),
        }
    }

    /// Returns where the symbol of a datagram belongs. Changes no state except counters: the datagram is not proven
    /// yet.
    ///
    /// # Errors
    /// The reason why the datagram is dropped unopened; it is counted already.
    #[inline]
    pub fn admit(&mut self, header: &SymbolHeader) -> Result<Admission, Discard> {
        let verdict = match &self.session {
            Some(session) => session.place_for(header),
            None => Err(Discard::OtherSession),
        };
        match verdict {
            Ok(place) => Ok(Admission::To(place)),
            Err(
                reason @ (Discard::Duplicate
                | Discard::NotNeeded
                | Discard::Surplus
                | Discard::NoBuffer
                | Discard::FarAhead),
            ) => {
                // A replayed datagram of no use is not even opened: a flood of recorded datagrams costs little.
                let came = self.session.as_ref().is_some_and(|session| session.came(header.sequence));
                if came { Err(self.count_discard(Discard::Replayed)) } else { Ok(Admission::Spare(reason)) }
            }
            Err(reason) => Err(self.count_discard(reason)),
        }
    }

    /// Returns the cipher that opens this session's symbols.
    #[inline]
    pub fn cipher(&self) -> Option<&Cipher> {
        self.session.as_ref().map(|session| session.cipher())
    }

    /// Counts a symbol that was opened into the place that [`Receiver::admit`] returned just before.
    ///
    /// # Panics
    /// If there is no session, as nothing was admitted then.
    #[inline]
    pub fn accept(&mut self, now: Moment, header: &SymbolHeader, place: Place, datagram_bytes: usize) {
        let session = self.session.as_mut().expect("admitted to a session");
        session.accept(now, header, place, datagram_bytes);
    }

    /// Notes that a symbol of no use was opened: it arrived, so it is not lost.
    pub fn note_spare(&mut self, now: Moment, header: &SymbolHeader, datagram_bytes: usize, reason: Discard) {
        self.discards.count(reason);
        if let Some(session) = &mut self.session {
            session.note_spare(now, header, datagram_bytes, reason);
        }
    }

    /// Notes the address that an opened symbol came from. It is named in the log if the symbols of a block turn out to
    /// be forged.
    #[inline]
    pub fn note_source(&mut self, from: SocketAddr) {
        if let Some(session) = &mut self.session {
            session.note_source(from);
        }
    }

    /// Counts a datagram that is dropped for `reason`, and returns `reason`.
    pub fn count_discard(&mut self, reason: Discard) -> Discard {
        self.discards.count(reason);
        reason
    }

    /// Notes that the socket itself has dropped `drops` datagrams since the session began.
    pub fn note_socket_drops(&mut self, drops: u64) {
        if let Some(session) = &mut self.session {
            session.note_socket_drops(drops);
        }
    }

    /// Handles a datagram that came by the group and is not a symbol.
    ///
    /// # Errors
    /// The reason why it was dropped; it is counted already.
    pub fn handle_datagram(
        &mut self,
        now: Moment,
        wall: WallClock,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        self.clock = (now, wall);
        self.take_datagram(now, wall, from, datagram).map_err(|reason| self.count_discard(reason))
    }

    /// Handles the store's answer to [`Effect::Open`].
    pub fn handle_opened(&mut self, now: Moment, attempt: Attempt, result: Result<Opened<U, E>, Failure>) {
        if !self.placement.is_sought_by(attempt) {
            let late = self.placement.put_late(result);
            self.effects.extend(late.map(|file| Effect::PutAway(file, Leftover::Kept)));
            return;
        }
        let active = self.session.as_mut().expect("a place is sought for a session");
        match result {
            Ok(Opened::Unfinished { file, kept }) => {
                self.placement.put(Found::Unfinished(file));
                let base = active.announce().base.clone();
                self.effects.extend(base.map(|base| Effect::LookThrough(attempt, base)));
                active.receive(&kept);
            }
            Ok(Opened::Existing(file)) => {
                self.placement.put(Found::Existing(file));
                active.wait_for_root();
            }
            Err(Failure { kind, reason }) => {
                self.placement.put(Found::Nothing);
                self.fail(now, kind, &reason);
            }
        }
        self.advance();
    }

    /// Handles the store's answer to [`Effect::PutAway`]: the file has no holder now.
    ///
    /// # Panics
    /// If no file was being put away.
    pub fn handle_put_away(&mut self) {
        self.placement.settle();
    }

    /// Handles the index of the base; it is empty if this host has no such base. Until it arrives, the host asks
    /// for no blocks, for ten minutes at most.
    pub fn handle_base(&mut self, attempt: Attempt, base: BaseIndex) {
        if let Some(active) = self.active(attempt) {
            active.take_base(base);
        }
    }

    /// Handles the end of the work on a block.
    pub fn handle_block(
        &mut self,
        now: Moment,
        attempt: Attempt,
        block: BlockIndex,
        returned: Option<Returned>,
        outcome: BlockOutcome,
    ) {
        let Some(active) = self.active(attempt) else { return };
        match (outcome, returned) {
            (BlockOutcome::Undecodable, Some(Returned { buffer, collected })) => {
                active.collect_more(block, buffer, collected);
            }
            (BlockOutcome::Corrupt, Some(Returned { buffer, collected })) => {
                let tries = active.suspect(block, buffer, collected);
                self.note_corrupt(now, block, tries);
            }
            (BlockOutcome::Sifted(sifted), Some(Returned { buffer, collected })) => {
                active.take_sifted(block, buffer, collected, &sifted);
                self.note_sifted(block, sifted);
            }
            (outcome, returned) => {
                if let Some(Returned { buffer, collected }) = returned {
                    active.release(buffer, collected);
                }
                self.settle_block(now, attempt, block, outcome);
            }
        }
        self.advance();
    }

    /// Notes what came of the command that the host has run after it had published the file of this attempt. It comes
    /// before [`Receiver::handle_published`], and goes with the final report.
    pub fn note_command(&mut self, attempt: Attempt, command: CommandOutcome) {
        if let Some(active) = self.active(attempt) {
            active.note_command(command);
        }
    }

    /// Handles the store's answer to [`Effect::Publish`] or [`Effect::Compare`].
    pub fn handle_published(&mut self, now: Moment, attempt: Attempt, result: Result<Published, Failure>) {
        let at_it = |active: &&mut Session| matches!(active.stage(), Stage::Publishing | Stage::Comparing);
        let Some(active) = self.active(attempt).filter(at_it) else {
            return; // it was stopped while it compared
        };
        let published = match result {
            Ok(published) => published,
            Err(Failure { kind, reason }) => return self.fail(now, kind, &reason),
        };
        let session = active.id();
        let wall = self.wall(now);
        let active = self.session.as_mut().expect("it is at it");
        let intake = Box::new(active.intake(now));
        let root = active.close_done(now, wall, &self.config, published);
        self.leave_place(attempt, Leftover::Discarded);
        let existing = published == Published::Existing;
        self.event(ReceiverEvent::Published { session, root, existing, intake });
        self.leave_if_one_way();
    }

    /// Handles the timers that are due at `now`.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.waiting.forget_silent(now, SENDER_GONE_AFTER);
        let gone_after = self.gone_after();
        let Some(active) = &mut self.session else { return };
        active.expire_base(now);
        if active.take_unanswered_news(now) {
            let (session, sender) = (active.id(), active.announce().reply_to);
            self.event(ReceiverEvent::Unanswered { session, sender });
        }
        let Some(active) = &mut self.session else { return };
        if active.take_deaf_news(now) {
            let (session, mtu) = (active.id(), self.config.mtu);
            self.event(ReceiverEvent::Deaf { session, mtu });
        }
        let Some(active) = &mut self.session else { return };
        match active.expired(now, gone_after) {
            Some(Expired::FinalReport) => self.leave_unheard(),
            Some(Expired::Sender) => {
                let session = active.id();
                self.note_silent(session);
                self.abandon(now, GaveUp::SenderSilent, "the sender was not heard any more");
            }
            None => {}
        }
    }

    /// Takes over the MTU of the interface in bytes. Hellos name it from then on.
    pub fn handle_mtu(&mut self, mtu: Option<u16>) {
        self.config.mtu = mtu;
    }

    /// Gives up the session because the program stops: reports that to the sender, and puts away what was received.
    /// A file that is being published cannot be taken back: that session ends with its own final report.
    pub fn handle_stop(&mut self, now: Moment) {
        self.stopping = true;
        self.waiting.clear();
        self.candidates.clear();
        self.final_reports.clear();
        if self.session.as_ref().is_some_and(|active| !matches!(active.stage(), Stage::Publishing)) {
            self.fail(now, FailureKind::Stopping, "the receiver was stopped");
        }
    }

    /// Writes the next datagram to a sender into `out`, and returns its address.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<SocketAddr> {
        if let Some(to) = self.notices.send(now, &self.config, &mut self.rng, out) {
            return Some(to);
        }
        if let Some(active) = &mut self.session
            && let Some(to) = active.send(now, &self.config, out)
        {
            return Some(to);
        }
        let (me, wall) = (&self.config, self.wall(now));
        if let Some(to) = self.final_reports.iter_mut().find_map(|report| report.next(now, me, out)) {
            return Some(to);
        }
        self.waiting.send(now, wall, me, &self.session, out)
    }

    /// Returns the next work for the shell. Work on blocks comes out only if `room` is [`BlockRoom::Free`].
    #[must_use]
    pub fn poll_effect(&mut self, room: BlockRoom) -> Option<Effect<U, E>> {
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        if let Some((attempt, announce)) = self.placement.next_search() {
            return Some(Effect::Open(attempt, announce));
        }
        let active = self.session.as_mut().filter(|_| room == BlockRoom::Free)?;
        let work = active.next_work()?;
        Some(Effect::Block(active.attempt(), work, self.placement.unfinished()))
    }

    /// Returns when to call [`Receiver::handle_timeout`] and drain the outputs again, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Moment, ReceiverTimer)> {
        let (session, gone_after) = (self.session.as_ref(), self.gone_after());
        let reports = self.final_reports.iter().filter_map(FinalReport::next_at).min();
        let timers = [
            (session.and_then(|active| active.next_at()), ReceiverTimer::Session),
            (session.and_then(|active| active.expires_at(gone_after)), ReceiverTimer::Expiry),
            (self.waiting.next_at(), ReceiverTimer::Waiting),
            (reports, ReceiverTimer::FinalReport),
            (self.notices.next_at(), ReceiverTimer::Notice),
        ];
        timers.into_iter().filter_map(|(at, timer)| Some((at?, timer))).min_by_key(|&(at, _)| at)
    }

    /// Returns the next event to log.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<ReceiverEvent> {
        self.events.pop_front()
    }

    /// Returns the numbers of datagrams dropped since the start, by reason.
    pub fn discards(&self) -> &DiscardCounts {
        &self.discards
    }

    /// The number of blocks since the start that did not match the manifest.
    pub fn corrupt_blocks(&self) -> u64 {
        self.corrupt
    }

    /// Returns the session that this host takes part in, until its final report is acknowledged.
    pub fn session(&self) -> Option<&Announce> {
        self.session.as_ref().map(|active| active.announce())
    }

    /// The number of blocks of this session that are proven and written.
    pub fn blocks_held(&self) -> u32 {
        self.session.as_ref().map_or(0, |active| active.held())
    }

    /// Whether the store is publishing this session's file, which must not be interrupted.
    pub fn is_publishing(&self) -> bool {
        self.session.as_ref().is_some_and(|active| matches!(active.stage(), Stage::Publishing))
    }

    /// The time in which all hosts answer the last poll in turn.
    pub fn window(&self) -> Duration {
        self.session.as_ref().map_or(Duration::ZERO, |active| active.window())
    }

    /// The number of blocks of this session that were made from bytes this host already held, in a base or in the
    /// object itself.
    pub fn reused(&self) -> u32 {
        self.session.as_ref().map_or(0, |active| active.reused())
    }

    /// The civil time at `now`.
    fn wall(&self, now: Moment) -> WallClock {
        let (then, wall) = self.clock;
        WallClock(wall.0.saturating_add(u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX)))
    }

    fn settle_block(&mut self, now: Moment, attempt: Attempt, block: BlockIndex, outcome: BlockOutcome) {
        let Some(active) = self.active(attempt) else { return };
        match outcome {
            BlockOutcome::Written { repaired } => {
                active.hold(block, repaired);
            }
            BlockOutcome::Zeros(hash) => {
                active.hold_zeros(block, hash);
                self.check_root(now);
            }
            // Without its buffer, nothing is left of the block.
            BlockOutcome::Undecodable | BlockOutcome::Corrupt | BlockOutcome::Sifted(_) => {
                let tries = active.start_over(block);
                self.note_corrupt(now, block, tries);
            }
            BlockOutcome::NotKept => active.ask_anew(block),
            BlockOutcome::Failed(Failure { kind, reason }) => self.fail(now, kind, &reason),
        }
    }

    fn note_corrupt(&mut self, now: Moment, block: BlockIndex, tries: Tries) {
        self.corrupt += 1;
        let session = self.session.as_ref().expect("it was at work on a block").id();
        self.event(ReceiverEvent::Corrupt(session, block));
        if tries == Tries::Exhausted {
            let reason = format!(
                "block {block} was not what the sender says {CORRUPT_TRIES_MAX} times: \
                 somebody with the group key sends bad symbols, or this host's memory is failing"
            );
            self.fail(now, FailureKind::Corrupt, &reason);
        }
    }

    fn note_sifted(&mut self, block: BlockIndex, sifted: Sifted) {
        if sifted.is_clean() {
            return;
        }
        let active = self.session.as_ref().expect("it was at work on a block");
        let (session, strangers) = (active.id(), active.strangers());
        let Sifted { forged, unproven, first_forged } = sifted;
        self.event(ReceiverEvent::Forged { session, block, forged, unproven, first_forged, strangers });
    }

    /// How long a sender may be silent: shorter while another sender waits, as a live sender announces ten times a
    /// second, and nothing is lost if this one comes back. A sender of thousands of hosts polls once in a window.
    fn gone_after(&self) -> Duration {
        if self.waiting.has_one_to_join() {
            (SUPERSEDED_AFTER_WINDOWS * self.window()).clamp(SENDER_SUPERSEDED_AFTER, SENDER_GONE_AFTER)
        } else {
            SENDER_GONE_AFTER
        }
    }

    /// Fails the session if the manifest does not amount to the vouched root. This is checked as soon as both are
    /// known, before the last block arrives.
    fn check_root(&mut self, now: Moment) {
        if self.session.as_mut().is_some_and(|active| active.belies_root()) {
            self.fail(
                now,
                FailureKind::Root,
                "the manifest does not amount to the root: nothing was published",
            );
        }
    }

    /// Enters the next stage if everything for it is there.
    fn advance(&mut self) {
        let Some(active) = &mut self.session else { return };
        let (attempt, conclusion) = (active.attempt(), active.advance());
        self.effects.extend(conclusion.map(|conclusion| match conclusion {
            Conclusion::Publish(proof) => Effect::Publish(attempt, self.placement.give_unfinished(), proof),
            Conclusion::Compare(root) => Effect::Compare(attempt, self.placement.give_existing(), root),
        }));
    }

    /// Ends all work on the file of an attempt, and has it put away.
    fn leave_place(&mut self, attempt: Attempt, leftover: Leftover) {
        self.effects.push_back(Effect::Leave(attempt));
        self.effects.extend(self.placement.leave().map(|file| Effect::PutAway(file, leftover)));
    }

    /// Gives up the session and sends the reason in the final report, unless a final report is being sent already.
    fn fail(&mut self, now: Moment, kind: FailureKind, reason: &str) {
        let wall = self.wall(now);
        let Some(active) = &mut self.session else { return };
        if matches!(active.stage(), Stage::Closing { .. }) {
            return;
        }
        let (session, attempt) = (active.id(), active.attempt());
        let intake = Box::new(active.intake(now));
        active.close_failed(now, wall, &self.config, &Failure::new(kind, reason));
        let leftover = match kind {
            // What was written is proven, whatever spoiled the rest.
            FailureKind::Stopping | FailureKind::Corrupt => Leftover::Kept,
            FailureKind::Exists
            | FailureKind::NoSpace
            | FailureKind::Store
            | FailureKind::Root
            | FailureKind::Refused
            | FailureKind::UnknownSender => Leftover::Discarded,
        };
        self.leave_place(attempt, leftover);
        let (reason, why) = (reason.to_owned(), GaveUp::Failed(kind));
        self.event(ReceiverEvent::Failed { session, reason, why, intake });
        self.leave_if_one_way();
    }

    /// Leaves a one-way session at once: nobody would receive the final report.
    fn leave_if_one_way(&mut self) {
        if self.session.as_ref().is_some_and(|active| active.announce().one_way) {
            self.leave(Rejoin::Never);
        }
    }

    /// Leaves the session without a final report: the sender knows the reason, or is gone. A host joins the session of a
    /// sender that was silent again when it is announced.
    fn abandon(&mut self, now: Moment, why: GaveUp, reason: &str) {
        if let Some(active) = &self.session {
            let (session, attempt) = (active.id(), active.attempt());
            let (reason, intake) = (reason.to_owned(), Box::new(active.intake(now)));
            self.leave_place(attempt, Leftover::Kept);
            self.event(ReceiverEvent::Failed { session, reason, why, intake });
            self.leave(if why == GaveUp::SenderSilent { Rejoin::WhenAnnounced } else { Rejoin::Never });
        }
    }

    /// Leaves a session whose final report was not acknowledged in time. The host keeps the report, and is free for
    /// other sessions.
    fn leave_unheard(&mut self) {
        let Some(session) = self.session.take() else { return };
        if self.final_reports.len() == FINAL_REPORTS_MAX {
            self.final_reports.pop_front();
        }
        self.note_ended(session.id());
        self.event(ReceiverEvent::Unacknowledged {
            session: session.id(),
            sender: session.announce().reply_to,
        });
        self.final_reports.push_back(session.into_final_report());
    }

    fn leave(&mut self, rejoin: Rejoin) {
        if let Some(active) = self.session.take()
            && rejoin == Rejoin::Never
        {
            self.note_ended(active.id());
        }
    }

    fn note_silent(&mut self, session: SessionId) {
        if self.silent.len() == ENDED_SESSIONS_MAX {
            self.silent.pop_front();
        }
        self.silent.push_back(session);
    }

    fn note_ended(&mut self, session: SessionId) {
        if self.ended.len() == ENDED_SESSIONS_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(session);
    }

    fn active(&mut self, attempt: Attempt) -> Option<&mut Session> {
        self.session.as_deref_mut().filter(|active| active.attempt() == attempt)
    }

    fn event(&mut self, event: ReceiverEvent) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        }
    }
}

/// Whether a session that is announced again is joined again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rejoin {
    /// It ended, or this host has sent its final report in it.
    Never,
    /// The network was cut: the host joins again from the beginning.
    WhenAnnounced,
}

/// The silence after which a sender is gone; what was received of its object is put away.
const SENDER_GONE_AFTER: Duration = Duration::from_secs(30);
/// The same, while another sender waits for this host, and the windows of the last poll that the silence has to last if
/// they are longer.
const SENDER_SUPERSEDED_AFTER: Duration = Duration::from_secs(1);
const SUPERSEDED_AFTER_WINDOWS: u32 = 3;
