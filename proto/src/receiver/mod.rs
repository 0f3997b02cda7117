//! A host's side: joins what is announced, says what it lacks, has blocks proven and the whole published.
//!
//! Control datagrams go to [`Receiver::handle_datagram`]. Symbols take the short way: [`Receiver::admit`] says where a
//! datagram's symbol belongs, the shell opens it to there, [`Receiver::accept`] counts it. Heavy work comes out of
//! [`Receiver::poll_effect`], and its end goes into the `handle_*` of that effect. One session at a time: others are
//! told that this host is busy, and joined afterwards.

mod collect;
mod session;
mod table;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

pub use collect::{BufferId, Collected, Place, buffer_symbols};
pub use session::buffer_bytes;
pub use table::Work;

use crate::ids::{BlockIndex, HostName, ReceiverId, SessionId, SessionTag};
use crate::integrity::Root;
use crate::limits::{ANNOUNCE_SKEW_MAX, ENDED_SESSIONS_MAX, EVENTS_MAX};
use crate::rng::Rng;
use crate::seal::{Cipher, GroupKey};
use crate::time::{Moment, WallClock};
use crate::wire::{
    Announce, Discard, DiscardCounts, Done, Down, End, FailureKind, Header, Hello, Kind, Notice,
    SymbolHeader, Up, foreign_version,
};
use session::{Link, Repeat, Session, Stage};

/// Who this host is.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Its name in the sender's table.
    pub name: HostName,
    /// Name and version of the program.
    pub software: String,
    /// The group's secret.
    pub key: GroupKey,
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
    waiting: Vec<Waiting>,
    ended: VecDeque<SessionId>,
    /// Ids that were derived: one for each session, whether joined or waited for.
    links: u64,
    attempts: u64,
    effects: VecDeque<Effect>,
    notice: Option<(SocketAddr, SessionTag)>,
    notice_after: Moment,
    wrong_key_told: bool,
    /// The program is about to end: nothing is joined any more.
    stopping: bool,
    events: VecDeque<ReceiverEvent>,
    discards: DiscardCounts,
}

struct Waiting {
    link: Link,
    hello: Repeat,
    heard: Moment,
}

/// One attempt of this host at a session. Effects and their answers bear its number, as a session that is lost and
/// joined again must not take answers from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(u64);

/// Work that the machine asks for.
#[derive(Debug)]
pub enum Effect {
    /// Prepare a place for this object, and so many buffers of [`buffer_bytes`]. Answer: [`Receiver::handle_opened`].
    Open(Attempt, Box<Announce>, u16),
    /// Prove and write a block. Answer: [`Receiver::handle_block`].
    Block(Attempt, Work),
    /// Publish: every block is written and the root is what the sender vouches for. Answer:
    /// [`Receiver::handle_published`].
    Publish(Attempt, Proof),
    /// Hash the file that is there and say whether this is its root. Answer: [`Receiver::handle_published`].
    Compare(Attempt, Root),
    /// Throw away what was written in this attempt. No answer.
    Discard(Attempt),
}

/// Every block of an object is proven and written, and their root is the one that the sender vouches for. Only the
/// machine makes one, and a store publishes nothing without it.
#[derive(Debug)]
pub struct Proof {
    root: Root,
}

impl Proof {
    /// What is proven.
    pub fn root(&self) -> Root {
        self.root
    }
}

/// What the store found when it was asked for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A place was made.
    New,
    /// A file of this name and length is there.
    Existing,
}

/// How the work on a block ended.
#[derive(Debug)]
pub enum BlockOutcome {
    /// Proven and written; so many source symbols were rebuilt.
    Written {
        /// Source symbols that did not come themselves.
        repaired: u32,
    },
    /// The symbols do not determine it yet.
    Undecodable,
    /// It is not what the manifest says.
    Corrupt,
    /// The store failed.
    Store(FailureKind, String),
}

/// The buffer that a block's work gives back.
pub type Returned = Option<(BufferId, Box<Collected>)>;

/// How publishing ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// The file is there, under its name.
    New,
    /// The same bytes were there before.
    Existing,
    /// It is not there.
    Failed(FailureKind, String),
}

/// Where a datagram's symbol goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Open it to here, then [`Receiver::accept`].
    To(Place),
    /// It is of no use. Open it to a scratch place, then [`Receiver::note_spare`]: only what opens counts as received.
    Spare(Discard),
}

/// Something worth telling a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverEvent {
    /// This host takes part in a session.
    Joined(Box<Announce>),
    /// A block was not what the manifest says and is asked for again.
    Corrupt(SessionId, BlockIndex),
    /// The object is published.
    Published {
        /// Of which session.
        session: SessionId,
        /// What it is.
        root: Root,
        /// It was there before.
        existing: bool,
    },
    /// This host gave up or was told to; nothing is left.
    Failed(SessionId, String),
    /// Announcements of another group key come in here. Told once.
    WrongKey(SocketAddr),
    /// A sender speaks another version.
    OtherVersion(SocketAddr, u8),
}

impl Receiver {
    /// A host that takes part in nothing yet.
    pub fn new(config: ReceiverConfig) -> Self {
        Self {
            rng: Rng::new(&config.seed),
            config,
            session: None,
            waiting: Vec::new(),
            ended: VecDeque::new(),
            links: 0,
            attempts: 0,
            effects: VecDeque::new(),
            notice: None,
            notice_after: Moment::default(),
            wrong_key_told: false,
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
            Some(session) if session.announce.session.tag() == header.tag => match session.stage {
                Stage::Opening | Stage::Receiving => session.table.place_for(header),
                Stage::Existing | Stage::Comparing | Stage::Publishing | Stage::Closing { .. } => {
                    Err(Discard::NotNeeded)
                }
            },
            _ => Err(Discard::OtherSession),
        };
        match verdict {
            Ok(place) => Ok(Admission::To(place)),
            Err(
                reason @ (Discard::Duplicate | Discard::NotNeeded | Discard::Surplus | Discard::NoBuffer),
            ) => Ok(Admission::Spare(reason)),
            Err(reason) => Err(self.drop(reason)),
        }
    }

    /// What opens this session's symbols.
    #[inline]
    pub fn cipher(&self) -> Option<&Cipher> {
        self.session.as_ref().map(|session| &session.cipher)
    }

    /// The symbol was opened to the place that [`Receiver::admit`] gave just before.
    ///
    /// # Panics
    /// If there is no session: then nothing was admitted.
    #[inline]
    pub fn accept(&mut self, now: Moment, header: &SymbolHeader, place: Place, datagram_bytes: usize) {
        let session = self.session.as_mut().expect("admitted to a session");
        session.note(now, header.sequence, datagram_bytes);
        session.table.insert(header, place);
    }

    /// A symbol of no use was opened: it came, so it is not lost.
    pub fn note_spare(&mut self, now: Moment, header: &SymbolHeader, datagram_bytes: usize, reason: Discard) {
        self.discards.count(reason);
        if let Some(session) = &mut self.session {
            session.note(now, header.sequence, datagram_bytes);
        }
    }

    /// The shell dropped a datagram for this reason.
    pub fn drop(&mut self, reason: Discard) -> Discard {
        self.discards.count(reason);
        reason
    }

    /// The socket itself dropped so many datagrams since the session began.
    pub fn note_socket_drops(&mut self, drops: u64) {
        if let Some(session) = &mut self.session {
            session.totals.socket_drops = drops;
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
        let Some(active) = self.active(attempt).filter(|active| matches!(active.stage, Stage::Opening))
        else {
            return; // it was given up meanwhile
        };
        match result {
            Ok(Opened::New) => active.stage = Stage::Receiving,
            Ok(Opened::Existing) => active.stage = Stage::Existing,
            Err((kind, reason)) => self.fail(now, kind, &reason),
        }
        self.advance();
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
                active.table.collect_more(block, buffer, collected);
            }
            (outcome, returned) => {
                if let Some((buffer, collected)) = returned {
                    active.table.release(buffer, collected);
                }
                self.settle_block(now, attempt, block, outcome);
            }
        }
        self.advance();
    }

    /// The store answered [`Effect::Publish`] or [`Effect::Compare`].
    pub fn handle_published(&mut self, now: Moment, attempt: Attempt, result: Published) {
        let at_it = |active: &&mut Session| matches!(active.stage, Stage::Publishing | Stage::Comparing);
        let Some(active) = self.active(attempt).filter(at_it) else {
            return; // it was told to stop while it compared
        };
        let existing = match result {
            Published::New => false,
            Published::Existing => true,
            Published::Failed(kind, reason) => return self.fail(now, kind, &reason),
        };
        let root = active.root.expect("published under a root");
        let session = active.announce.session;
        let done = Done { root, existing, totals: active.totals };
        active.close(now, Up::Done(done));
        self.event(ReceiverEvent::Published { session, root, existing });
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.waiting.retain(|waiting| now.since(waiting.heard) < SENDER_GONE_AFTER);
        let Some(active) = &self.session else { return };
        match active.stage {
            Stage::Closing { until, .. } if now >= until => self.leave(Rejoin::Never),
            // All that is needed is here: this ends with the store's answer, however long a disk takes.
            Stage::Closing { .. } | Stage::Comparing | Stage::Publishing => {}
            Stage::Opening | Stage::Receiving | Stage::Existing => {
                if now.since(active.heard) >= SENDER_GONE_AFTER {
                    self.abandon("the sender was not heard any more", Rejoin::WhenAnnounced);
                }
            }
        }
    }

    /// The program is told to stop: says so to the sender, and drops what was received. What is being published
    /// already cannot be taken back: it ends with its own last word.
    pub fn handle_stop(&mut self, now: Moment) {
        self.stopping = true;
        self.waiting.clear();
        if self.session.as_ref().is_some_and(|active| !matches!(active.stage, Stage::Publishing)) {
            self.fail(now, FailureKind::Stopping, "the receiver was stopped");
        }
    }

    /// The next datagram to a sender, written into `out`; gives its address.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<SocketAddr> {
        if let Some((to, tag)) = self.notice.take() {
            let salt = self.rng.bytes();
            Notice::seal(&self.config.name, &self.config.software, tag, salt, &self.config.key, out);
            return Some(to);
        }
        if let Some(active) = &mut self.session
            && let Some(up) = active.next_up(now, &self.config.name, &self.config.software)
        {
            return Some(active.link.seal(&up, out));
        }
        let waiting = self.waiting.iter_mut().find_map(|w| w.hello.take_due(now).then_some(&mut w.link))?;
        let (name, software) = (self.config.name.clone(), self.config.software.clone());
        Some(waiting.seal(&Up::Hello(Hello { name, software, busy: true }), out))
    }

    /// The next work to do. Work on blocks comes out only when `room` says that there is a place for it.
    #[must_use]
    pub fn poll_effect(&mut self, room: bool) -> Option<Effect> {
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        let active =
            self.session.as_mut().filter(|active| room && matches!(active.stage, Stage::Receiving))?;
        active.table.next_work().map(|work| Effect::Block(active.attempt, work))
    }

    /// When to call [`Receiver::handle_timeout`] and drain again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let waiting = self.waiting.iter().map(|waiting| waiting.hello.next_at);
        let active = self.session.iter().flat_map(|active| {
            let ends_at = match active.stage {
                Stage::Closing { until, .. } => Some(until),
                Stage::Comparing | Stage::Publishing => None,
                Stage::Opening | Stage::Receiving | Stage::Existing => Some(active.heard + SENDER_GONE_AFTER),
            };
            [ends_at, active.next_at()].into_iter().flatten()
        });
        waiting.chain(active).min()
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

    /// What this host takes part in, with the blocks held so far, until its last word is acknowledged.
    pub fn session(&self) -> Option<(&Announce, u32)> {
        self.session.as_ref().map(|active| (&active.announce, active.table.held()))
    }

    fn take_datagram(
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
        if self.stopping || self.ended.contains(&id) {
            return Ok(()); // it goes on without us
        }
        if announce.time.distance(wall) > ANNOUNCE_SKEW_MAX {
            return Err(Discard::Stale);
        }
        match &self.session {
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
            self.waiting.push(Waiting { link, hello, heard: now });
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
            return Err(Discard::OtherSession);
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

    fn take_end(&mut self, end: &End) {
        let Some(active) = &self.session else { return };
        match (&active.stage, end) {
            // Whatever the sender says now: what is published is proven, and what is being published is vouched for.
            (Stage::Closing { .. }, _) => self.leave(Rejoin::Never),
            (Stage::Publishing | Stage::Comparing, _) => {}
            (Stage::Opening | Stage::Receiving | Stage::Existing, End::Over) => {
                self.abandon("the sender ended the push before this host was complete", Rejoin::Never);
            }
            (Stage::Opening | Stage::Receiving | Stage::Existing, End::Aborted(reason)) => {
                let reason = format!("the sender gave up: {reason}");
                self.abandon(&reason, Rejoin::Never);
            }
        }
    }

    fn settle_block(&mut self, now: Moment, attempt: Attempt, block: BlockIndex, outcome: BlockOutcome) {
        let Some(active) = self.active(attempt) else { return };
        match outcome {
            BlockOutcome::Written { repaired } => {
                active.totals.symbols_repaired += u64::from(repaired);
                active.table.hold(block);
            }
            BlockOutcome::Undecodable | BlockOutcome::Corrupt if active.table.is_zero(block) => {
                let reason = format!("block {block} travels as zeros and its hash is not theirs");
                self.fail(now, FailureKind::Root, &reason);
            }
            BlockOutcome::Undecodable | BlockOutcome::Corrupt => {
                active.table.start_over(block);
                let session = active.announce.session;
                self.event(ReceiverEvent::Corrupt(session, block));
            }
            BlockOutcome::Store(kind, reason) => self.fail(now, kind, &reason),
        }
    }

    /// The manifest and the vouched root must go together: checked as soon as both are here, before the last block.
    fn check_root(&mut self, now: Moment) {
        let Some(active) = &mut self.session else { return };
        if let (Stage::Opening | Stage::Receiving, Some(vouched), None) =
            (&active.stage, active.root, active.proven)
        {
            active.proven = active.table.root();
            if active.proven.is_some_and(|root| root != vouched) {
                self.fail(
                    now,
                    FailureKind::Root,
                    "the manifest does not amount to the root: nothing was published",
                );
            }
        }
    }

    /// Goes on to the next stage if all is there for it.
    fn advance(&mut self) {
        let Some(active) = &mut self.session else { return };
        let attempt = active.attempt;
        match (&active.stage, active.root) {
            (Stage::Receiving, Some(root)) if active.table.is_complete() && active.proven == Some(root) => {
                active.stage = Stage::Publishing;
                self.effects.push_back(Effect::Publish(attempt, Proof { root }));
            }
            (Stage::Existing, Some(root)) => {
                active.stage = Stage::Comparing;
                self.effects.push_back(Effect::Compare(attempt, root));
            }
            _ => {}
        }
    }

    fn take_foreign(&mut self, now: Moment, from: SocketAddr, version: u8, tag: SessionTag) {
        if now >= self.notice_after {
            self.notice_after = now + NOTICE_GAP;
            self.notice = Some((from, tag));
            self.event(ReceiverEvent::OtherVersion(from, version));
        }
    }

    /// Gives up on our side, unless the last word is said already: the sender hears why.
    fn fail(&mut self, now: Moment, kind: FailureKind, reason: &str) {
        let Some(active) = &mut self.session else { return };
        if matches!(active.stage, Stage::Closing { .. }) {
            return;
        }
        let (session, attempt) = (active.announce.session, active.attempt);
        let last_word = active.failed(kind, reason);
        active.close(now, last_word);
        self.effects.push_back(Effect::Discard(attempt));
        self.event(ReceiverEvent::Failed(session, reason.to_owned()));
    }

    /// The session is over for a reason that the sender knows, or nobody is there to tell.
    fn abandon(&mut self, reason: &str, rejoin: Rejoin) {
        if let Some(active) = &self.session {
            let session = active.announce.session;
            self.effects.push_back(Effect::Discard(active.attempt));
            self.event(ReceiverEvent::Failed(session, reason.to_owned()));
            self.leave(rejoin);
        }
    }

    fn leave(&mut self, rejoin: Rejoin) {
        if let Some(active) = self.session.take()
            && rejoin == Rejoin::Never
        {
            if self.ended.len() == ENDED_SESSIONS_MAX {
                self.ended.pop_front();
            }
            self.ended.push_back(active.announce.session);
        }
    }

    fn active(&mut self, attempt: Attempt) -> Option<&mut Session> {
        self.session.as_deref_mut().filter(|active| active.attempt == attempt)
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

/// A sender that was not heard for so long is gone; what was received of it is thrown away.
const SENDER_GONE_AFTER: Duration = Duration::from_secs(30);

/// Fewer would stop the pipeline; more would be no help.
const BUFFERS_MIN: usize = 4;
const BUFFERS_MAX: usize = 1_024;

/// Sessions that are told that this host is busy. The others learn it when they are still announced afterwards.
const WAITING_MAX: usize = 8;
const BUSY_HELLO_GAP: Duration = Duration::from_secs(2);

/// A sender of another version is answered so often at most.
const NOTICE_GAP: Duration = Duration::from_secs(1);
