//! A host's side: joins what is announced, says what it lacks, has blocks proven and the whole published.
//!
//! Control datagrams go to [`Receiver::handle_datagram`]. Symbols take the short way: [`Receiver::admit`] says where a
//! datagram's symbol belongs, the shell opens it to there, [`Receiver::accept`] counts it. Heavy work comes out of
//! [`Receiver::poll_effect`], and its end goes into the `handle_*` of that effect. One session at a time: others are
//! told that this host is busy, and joined afterwards.

mod afterword;
mod effects;
mod inbox;
mod numbers;
mod session;
mod table;
mod uplink;
mod waiting;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

pub use effects::{
    Admission, Attempt, BlockOutcome, Effect, Opened, Proof, Published, ReceiverEvent, Returned,
};
pub use session::buffer_bytes;
pub use table::{BaseIndex, BufferId, Collected, Origin, Place, Work, buffer_symbols};

use crate::ids::{BlockIndex, HostName, SessionId, SessionTag};
use crate::limits::{CORRUPT_TRIES_MAX, ENDED_SESSIONS_MAX, EVENTS_MAX};
use crate::rng::Rng;
use crate::seal::{Cipher, GroupKey};
use crate::sign::PublicKey;
use crate::time::{Moment, WallClock};
use crate::wire::{Announce, Discard, DiscardCounts, FailureKind, Notice, SymbolHeader};
use afterword::{AFTERWORDS_MAX, Afterword};
use session::{Expired, Session, Stage};
use waiting::WaitingList;

/// Who this host is.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Its name in the sender's table.
    pub name: HostName,
    /// Name and version of the program.
    pub software: String,
    /// The group's secret; more than one while it is being replaced. One at least.
    pub keys: Vec<GroupKey>,
    /// Whose pushes this host takes part in; if empty, everybody's who has a group key.
    pub senders: Vec<PublicKey>,
    /// 16 random bytes, drawn at this start of the program.
    pub start: [u8; 16],
    /// Seed of all randomness in the machine.
    pub seed: [u8; 32],
    /// Memory for blocks that are being collected, in bytes; at least four blocks are.
    pub buffer_bytes: usize,
}

/// One host.
pub struct Receiver {
    config: ReceiverConfig,
    rng: Rng,
    session: Option<Box<Session>>,
    /// Sessions that are announced while another is at work.
    waiting: WaitingList,
    ended: VecDeque<SessionId>,
    /// Last words that nobody has acknowledged.
    afterwords: VecDeque<Afterword>,
    /// Ids that were derived: one for each session, whether joined or waited for.
    links: u64,
    attempts: u64,
    effects: VecDeque<Effect>,
    /// A notice to be sent under each of the keys from this one on: it is not known which one the sender has.
    notice: Option<(SocketAddr, SessionTag, usize)>,
    notice_after: Moment,
    wrong_key_told: bool,
    stale_told: bool,
    /// Senders that were refused, as far as that was told.
    refused_told: Vec<Option<PublicKey>>,
    /// Blocks that were not what the manifest says.
    corrupt: u64,
    /// The program is about to end: nothing is joined any more.
    stopping: bool,
    events: VecDeque<ReceiverEvent>,
    discards: DiscardCounts,
}

impl Receiver {
    /// A host that takes part in nothing yet.
    pub fn new(config: ReceiverConfig) -> Self {
        Self {
            rng: Rng::new(&config.seed),
            config,
            session: None,
            waiting: WaitingList::default(),
            ended: VecDeque::new(),
            afterwords: VecDeque::new(),
            links: 0,
            attempts: 0,
            effects: VecDeque::new(),
            notice: None,
            notice_after: Moment::default(),
            wrong_key_told: false,
            stale_told: false,
            refused_told: Vec::new(),
            corrupt: 0,
            stopping: false,
            events: VecDeque::new(),
            discards: DiscardCounts::default(),
        }
    }

    /// Where the symbol of a datagram belongs. Changes nothing: the datagram is not proven yet.
    ///
    /// # Errors
    /// Why it is dropped unread; it is counted already.
    #[inline]
    pub fn admit(&mut self, header: &SymbolHeader) -> Result<Admission, Discard> {
        let verdict = match &self.session {
            Some(session) => session.place_for(header),
            None => Err(Discard::OtherSession),
        };
        match verdict {
            Ok(place) => Ok(Admission::To(place)),
            Err(
                reason @ (Discard::Duplicate | Discard::NotNeeded | Discard::Surplus | Discard::NoBuffer),
            ) => {
                // What came before and is of no use is not even opened: a flood of recorded datagrams costs little.
                let came = self.session.as_ref().is_some_and(|session| session.came(header.sequence));
                if came { Err(self.drop(Discard::Replayed)) } else { Ok(Admission::Spare(reason)) }
            }
            Err(reason) => Err(self.drop(reason)),
        }
    }

    /// What opens this session's symbols.
    #[inline]
    pub fn cipher(&self) -> Option<&Cipher> {
        self.session.as_ref().map(|session| session.cipher())
    }

    /// The symbol was opened to the place that [`Receiver::admit`] gave just before.
    ///
    /// # Panics
    /// If there is no session: then nothing was admitted.
    #[inline]
    pub fn accept(&mut self, now: Moment, header: &SymbolHeader, place: Place, datagram_bytes: usize) {
        let session = self.session.as_mut().expect("admitted to a session");
        session.accept(now, header, place, datagram_bytes);
    }

    /// `count` symbols of one block came one after the other, from `first` on, numbers and ids counting up: the same as
    /// admitting each and accepting it or noting that it is spare. For simulations of thousands of hosts, where symbols have no bytes.
    pub fn accept_run(&mut self, now: Moment, first: &SymbolHeader, count: u32, datagram_bytes: usize) {
        let nth = |n: u32| {
            let esi = first.esi.plus(n).expect("ids are handed out in range");
            SymbolHeader { sequence: first.sequence.plus(n), esi, ..*first }
        };
        if count == 0 {
            return;
        }
        let admission = match self.admit(first) {
            Ok(admission) => admission,
            Err(reason) => return self.discards.count_times(reason, u64::from(count - 1)),
        };
        if let Admission::Spare(reason @ (Discard::NotNeeded | Discard::NoBuffer)) = admission {
            self.discards.count_times(reason, u64::from(count));
        }
        let session = self.session.as_mut().expect("admitted to a session");
        let taken = session.accept_run(now, first, count, datagram_bytes, admission);
        if taken > 0 {
            if taken < count {
                self.accept_run(now, &nth(taken), count - taken, datagram_bytes);
            }
            return;
        }
        for header in (0..count).map(nth) {
            match self.admit(&header) {
                Ok(Admission::To(place)) => self.accept(now, &header, place, datagram_bytes),
                Ok(Admission::Spare(reason)) => self.note_spare(now, &header, datagram_bytes, reason),
                Err(_) => {}
            }
        }
    }

    /// A symbol of no use was opened: it came, so it is not lost.
    pub fn note_spare(&mut self, now: Moment, header: &SymbolHeader, datagram_bytes: usize, reason: Discard) {
        self.discards.count(reason);
        if let Some(session) = &mut self.session {
            session.note_spare(now, header, datagram_bytes, reason);
        }
    }

    /// The shell dropped a datagram for this reason.
    pub fn drop(&mut self, reason: Discard) -> Discard {
        self.discards.count(reason);
        reason
    }

    /// The socket itself dropped `drops` datagrams since the session began.
    pub fn note_socket_drops(&mut self, drops: u64) {
        if let Some(session) = &mut self.session {
            session.note_socket_drops(drops);
        }
    }

    /// A datagram that is no symbol came in.
    ///
    /// # Errors
    /// Why it was dropped; it is counted already.
    pub fn handle_datagram(
        &mut self,
        now: Moment,
        wall: WallClock,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        self.take_datagram(now, wall, from, datagram).map_err(|reason| self.drop(reason))
    }

    /// The store answered [`Effect::Open`].
    pub fn handle_opened(
        &mut self,
        now: Moment,
        attempt: Attempt,
        result: Result<Opened, (FailureKind, String)>,
    ) {
        let Some(active) = self.active(attempt).filter(|active| matches!(active.stage(), Stage::Opening))
        else {
            return; // it was given up meanwhile
        };
        match result {
            Ok(opened) => active.opened(opened),
            Err((kind, reason)) => self.fail(now, kind, &reason),
        }
        self.advance();
    }

    /// The base that the announcement names was looked through; where there is none here, nothing is in it. Before that nothing
    /// is asked for, for ten minutes at most.
    pub fn handle_base(&mut self, attempt: Attempt, base: BaseIndex) {
        if let Some(active) = self.active(attempt) {
            active.take_base(base);
        }
    }

    /// The work on a block ended.
    pub fn handle_block(
        &mut self,
        now: Moment,
        attempt: Attempt,
        block: BlockIndex,
        returned: Returned,
        outcome: BlockOutcome,
    ) {
        let Some(active) = self.active(attempt) else { return };
        match (outcome, returned) {
            (BlockOutcome::Undecodable, Some((buffer, collected))) => {
                active.collect_more(block, buffer, collected);
            }
            (outcome, returned) => {
                if let Some((buffer, collected)) = returned {
                    active.release(buffer, collected);
                }
                self.settle_block(now, attempt, block, outcome);
            }
        }
        self.advance();
    }

    /// The store answered [`Effect::Publish`] or [`Effect::Compare`].
    pub fn handle_published(&mut self, now: Moment, attempt: Attempt, result: Published) {
        let at_it = |active: &&mut Session| matches!(active.stage(), Stage::Publishing | Stage::Comparing);
        let Some(active) = self.active(attempt).filter(at_it) else {
            return; // it was told to stop while it compared
        };
        let existing = match result {
            Published::New => false,
            Published::Existing => true,
            Published::Failed(kind, reason) => return self.fail(now, kind, &reason),
        };
        let (session, root) = (active.id(), active.close_done(now, existing));
        self.event(ReceiverEvent::Published { session, root, existing });
        self.leave_if_one_way();
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.waiting.forget_silent(now, SENDER_GONE_AFTER);
        let gone_after = self.gone_after();
        let Some(active) = &mut self.session else { return };
        active.expire_base(now);
        match active.expired(now, gone_after) {
            Some(Expired::LastWord) => self.leave_unheard(),
            Some(Expired::Sender) => {
                self.abandon("the sender was not heard any more", Rejoin::WhenAnnounced);
            }
            None => {}
        }
    }

    /// The program is told to stop: says so to the sender, and puts away what was received. What is being published
    /// already cannot be taken back: it ends with its own last word.
    pub fn handle_stop(&mut self, now: Moment) {
        self.stopping = true;
        self.waiting.clear();
        self.afterwords.clear();
        if self.session.as_ref().is_some_and(|active| !matches!(active.stage(), Stage::Publishing)) {
            self.fail(now, FailureKind::Stopping, "the receiver was stopped");
        }
    }

    /// The next datagram to a sender, written into `out`; returns its address.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<SocketAddr> {
        if let Some((to, tag, at)) = self.notice.take() {
            let salt = self.rng.bytes();
            Notice::seal(&self.config.name, &self.config.software, tag, salt, &self.config.keys[at], out);
            self.notice = (at + 1 < self.config.keys.len()).then_some((to, tag, at + 1));
            return Some(to);
        }
        if let Some(active) = &mut self.session
            && let Some(to) = active.send(now, &self.config.name, &self.config.software, out)
        {
            return Some(to);
        }
        let (name, software) = (&self.config.name, &self.config.software);
        if let Some(to) = self.afterwords.iter_mut().find_map(|word| word.next(now, name, software, out)) {
            return Some(to);
        }
        let kept = || self.session.as_ref().map_or(Vec::new(), |active| active.held_runs());
        self.waiting.send(now, name, software, kept, out)
    }

    /// The next work to do. Work on blocks comes out only when `room` says that there is a place for it.
    #[must_use]
    pub fn poll_effect(&mut self, room: bool) -> Option<Effect> {
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        let active = self.session.as_mut().filter(|_| room)?;
        active.next_work().map(|work| Effect::Block(active.attempt(), work))
    }

    /// When to call [`Receiver::handle_timeout`] and drain again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let afterwords = self.afterwords.iter().filter_map(Afterword::next_at);
        let gone_after = self.gone_after();
        let active = self.session.iter();
        let active = active.flat_map(|active| [active.expires_at(gone_after), active.next_at()]).flatten();
        self.waiting.next_at().into_iter().chain(afterwords).chain(active).min()
    }

    /// Something worth telling.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<ReceiverEvent> {
        self.events.pop_front()
    }

    /// Datagrams dropped since the start, by reason.
    pub fn discards(&self) -> &DiscardCounts {
        &self.discards
    }

    /// Blocks since the start that were not what the manifest says.
    pub fn corrupt_blocks(&self) -> u64 {
        self.corrupt
    }

    /// What this host takes part in, with the blocks held so far, until its last word is acknowledged.
    pub fn session(&self) -> Option<(&Announce, u32)> {
        self.session.as_ref().map(|active| (active.announce(), active.held()))
    }

    /// How long all hosts together take to answer the last poll.
    pub fn window(&self) -> Duration {
        self.session.as_ref().map_or(Duration::ZERO, |active| active.window())
    }

    /// Blocks of this session that were made of what this host held already: of a base, or of the object itself.
    pub fn reused(&self) -> u32 {
        self.session.as_ref().map_or(0, |active| active.reused())
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
            BlockOutcome::Undecodable | BlockOutcome::Corrupt => {
                let (session, hope) = (active.id(), active.start_over(block));
                self.corrupt += 1;
                self.event(ReceiverEvent::Corrupt(session, block));
                if !hope {
                    let reason = format!(
                        "block {block} was not what the sender says {CORRUPT_TRIES_MAX} times: \
                         somebody with the group key sends bad symbols, or this host's memory is failing"
                    );
                    self.fail(now, FailureKind::Corrupt, &reason);
                }
            }
            BlockOutcome::NotKept => active.ask_anew(block),
            BlockOutcome::Store(kind, reason) => self.fail(now, kind, &reason),
        }
    }

    /// How long a sender may be silent. Where another one waits, less: a sender that lives announces ten times a second,
    /// and nothing is lost if this one comes back.
    fn gone_after(&self) -> Duration {
        if self.waiting.is_empty() { SENDER_GONE_AFTER } else { SENDER_SUPERSEDED_AFTER }
    }

    /// The manifest and the vouched root must go together: checked as soon as both are here, before the last block.
    fn check_root(&mut self, now: Moment) {
        if self.session.as_mut().is_some_and(|active| active.belies_root()) {
            self.fail(
                now,
                FailureKind::Root,
                "the manifest does not amount to the root: nothing was published",
            );
        }
    }

    /// Goes on to the next stage if all is there for it.
    fn advance(&mut self) {
        self.effects.extend(self.session.as_mut().and_then(|active| active.advance()));
    }

    /// Gives up on our side, unless the last word is said already: the sender hears why.
    fn fail(&mut self, now: Moment, kind: FailureKind, reason: &str) {
        let Some(active) = &mut self.session else { return };
        if matches!(active.stage(), Stage::Closing { .. }) {
            return;
        }
        let (session, attempt) = (active.id(), active.attempt());
        active.close_failed(now, kind, reason);
        self.effects.push_back(match kind {
            // What was written is proven, whoever spoiled the rest.
            FailureKind::Stopping | FailureKind::Corrupt => Effect::Suspend(attempt),
            FailureKind::Exists
            | FailureKind::NoSpace
            | FailureKind::Store
            | FailureKind::Root
            | FailureKind::Refused => Effect::Discard(attempt),
        });
        self.event(ReceiverEvent::Failed(session, reason.to_owned()));
        self.leave_if_one_way();
    }

    /// Where nobody hears the last word, it is not said.
    fn leave_if_one_way(&mut self) {
        if self.session.as_ref().is_some_and(|active| active.announce().one_way) {
            self.leave(Rejoin::Never);
        }
    }

    /// The session is over for a reason that the sender knows, or nobody is there to tell.
    fn abandon(&mut self, reason: &str, rejoin: Rejoin) {
        if let Some(active) = &self.session {
            let session = active.id();
            self.effects.push_back(Effect::Suspend(active.attempt()));
            self.event(ReceiverEvent::Failed(session, reason.to_owned()));
            self.leave(rejoin);
        }
    }

    /// Nobody has acknowledged the last word for long: the host is free for other sessions, and remembers it.
    fn leave_unheard(&mut self) {
        let Some(session) = self.session.take() else { return };
        if self.afterwords.len() == AFTERWORDS_MAX {
            self.afterwords.pop_front();
        }
        self.note_ended(session.id());
        self.afterwords.push_back(session.into_afterword());
    }

    fn leave(&mut self, rejoin: Rejoin) {
        if let Some(active) = self.session.take()
            && rejoin == Rejoin::Never
        {
            self.note_ended(active.id());
        }
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
    /// It ended, or this host has said its last word in it.
    Never,
    /// The network was cut; whoever was cut off begins anew.
    WhenAnnounced,
}

/// A sender that was not heard for this long is gone; what was received of it is put away.
const SENDER_GONE_AFTER: Duration = Duration::from_secs(30);
/// The same, while another sender waits for this host.
const SENDER_SUPERSEDED_AFTER: Duration = Duration::from_secs(1);
