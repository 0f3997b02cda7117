//! Announced sessions that this host is not in: their senders learn that it is busy, or why it refuses.

use std::net::SocketAddr;
use std::time::Duration;

use super::ReceiverConfig;
use super::precedence::{EARLIER_HEARD_FOR, Precedence};
use super::session::{Session, apart};
use super::uplink::{Greeting, Uplink};
use crate::ids::SessionId;
use crate::repeat::Repeat;
use crate::senders::Acceptance;
use crate::sign::PublicKey;
use crate::time::{Moment, WallClock};
use crate::wire::{Announce, Failed, FailureKind, KeptRun, Outcome, Totals, Up};

/// One of these sessions.
pub(super) struct Waiting {
    uplink: Uplink,
    precedence: Precedence,
    /// Whether it is about the object of the session that this host is in.
    same_object: bool,
    hello: Repeat,
    /// The time over which all hosts spread their hellos.
    spread: Duration,
    heard: Moment,
    signer: Option<PublicKey>,
    refusal: Option<Refusal>,
}

/// What the senders of waiting sessions learn of the one that this host is in.
pub(super) trait Current {
    /// The name of its object; empty if this host is in none, as it is between two.
    fn name(&self) -> String;
    /// The blocks that are held of it.
    fn kept(&self) -> Vec<KeptRun>;
}

impl Current for Option<Box<Session>> {
    fn name(&self) -> String {
        self.as_ref().map_or_else(String::new, |active| active.announce().name.to_string())
    }

    fn kept(&self) -> Vec<KeptRun> {
        self.as_ref().map_or(Vec::new(), |active| active.held_runs())
    }
}

/// Why this host never takes part in a session.
struct Refusal {
    kind: FailureKind,
    reason: String,
    /// When it is sent: in this host's next turn after a hello.
    due: Option<Moment>,
}

impl Waiting {
    /// When something is due to its sender.
    fn next_at(&self) -> Moment {
        let refusal_at = self.refusal.as_ref().and_then(|refusal| refusal.due);
        refusal_at.map_or(self.hello.next_at, |at| at.min(self.hello.next_at))
    }

    /// Whether it is this session, as one that is refused or as one that is waited for.
    fn is_of(&self, session: SessionId, is_refused: bool) -> bool {
        self.uplink.session() == session && self.refusal.is_some() == is_refused
    }

    /// Returns a session whose sender learns from `hello_at` on that this host is busy, or, with `refusal`, why it
    /// never takes part.
    pub(super) fn new(
        now: Moment,
        uplink: Uplink,
        announce: &Announce,
        hello_at: Moment,
        same_object: bool,
        signer: Option<PublicKey>,
        refusal: Option<(FailureKind, String)>,
    ) -> Self {
        let spread = announce.spread;
        let (gap, gap_max) = match refusal {
            Some(_) => (BUSY_HELLO_GAP.max(2 * spread), REFUSAL_GAP_MAX.max(2 * spread)),
            None => (BUSY_HELLO_GAP.max(spread), BUSY_HELLO_GAP.max(spread)),
        };
        Self {
            uplink,
            precedence: Precedence::of(announce),
            same_object,
            hello: Repeat::new(hello_at, gap, gap_max),
            spread,
            heard: now,
            signer,
            refusal: refusal.map(|(kind, reason)| Refusal { kind, reason, due: None }),
        }
    }

    /// Writes what is due to the sender now into `out`, and returns its address.
    fn send(
        &mut self,
        now: Moment,
        wall: WallClock,
        me: &ReceiverConfig,
        current: &impl Current,
        out: &mut Vec<u8>,
    ) -> Option<SocketAddr> {
        if let Some(refusal) = &mut self.refusal
            && refusal.due.take_if(|due| now >= *due).is_some()
        {
            let (kind, reason, totals) = (refusal.kind, refusal.reason.clone(), Totals::default());
            let receipt = self.uplink.receipt(me, wall, Outcome::Failed(kind));
            return Some(self.uplink.seal(&Up::Failed(Failed { kind, reason, totals, receipt }), out));
        }
        if !self.hello.take_due(now) {
            return None;
        }
        self.refusal.iter_mut().for_each(|refusal| refusal.due = Some(now + apart(self.spread)));
        // The current session may end soon, and this one resume from what it kept.
        let kept = if self.same_object { current.kept() } else { Vec::new() };
        Some(self.uplink.greet(me, Greeting { busy: Some(current.name()), via: None, kept }, out))
    }
}

/// The waiting sessions: at most [`WAITING_MAX`] whose senders learn that this host is busy, and as many that are
/// refused. Further ones are considered if they are still announced later.
#[derive(Default)]
pub(super) struct WaitingList(Vec<Waiting>);

impl WaitingList {
    /// Whether this host joins one of the sessions once it is free. A refused session is none of them.
    pub(super) fn has_one_to_join(&self) -> bool {
        self.0.iter().any(|waiting| waiting.refusal.is_none())
    }

    /// Whether a session comes before one of this precedence, is still announced, and is joined once this host is free;
    /// `counts` says which ones count.
    pub(super) fn has_earlier(
        &self,
        now: Moment,
        precedence: Precedence,
        counts: impl Fn(SessionId) -> bool,
    ) -> bool {
        let comes_first = |waiting: &Waiting| {
            waiting.refusal.is_none()
                && waiting.precedence < precedence
                && now.since(waiting.heard) < EARLIER_HEARD_FOR
                && counts(waiting.uplink.session())
        };
        self.0.iter().any(comes_first)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets the sessions whose signers are accepted and were refused before, or the other way round: what is still
    /// announced is considered anew.
    pub(super) fn judge_anew<'a>(&mut self, judge: impl Fn(Option<PublicKey>) -> Acceptance<'a>) {
        let is_as_before =
            |waiting: &Waiting| (judge(waiting.signer) == Acceptance::Accepted) == waiting.refusal.is_none();
        self.0.retain(is_as_before);
    }

    /// Notes that a session is still announced, by one that is waited for or by one that is refused. Returns whether it
    /// is in the list. Both may announce under one session id: whoever has the group key can repeat it.
    pub(super) fn note_heard(&mut self, now: Moment, session: SessionId, is_refused: bool) -> bool {
        let of_it = |waiting: &&mut Waiting| waiting.is_of(session, is_refused);
        self.0.iter_mut().find(of_it).map(|waiting| waiting.heard = now).is_some()
    }

    /// Whether there is room for another session. Refused sessions do not use the places of those that wait.
    pub(super) fn has_room(&self, is_refused: bool) -> bool {
        self.0.iter().filter(|waiting| waiting.refusal.is_some() == is_refused).count() < WAITING_MAX
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.0.push(waiting);
    }

    /// Removes a session that is joined, and returns its uplink, whose numbers continue. The uplink of a refused
    /// announcement goes to whoever sent that one, and is never used for another.
    pub(super) fn take(&mut self, session: SessionId) -> Option<Uplink> {
        self.0.retain(|waiting| !waiting.is_of(session, true));
        let at = self.0.iter().position(|waiting| waiting.is_of(session, false))?;
        Some(self.0.swap_remove(at).uplink)
    }

    /// Drops sessions that were not announced for `gone_after`.
    pub(super) fn forget_silent(&mut self, now: Moment, gone_after: Duration) {
        self.0.retain(|waiting| now.since(waiting.heard) < gone_after);
    }

    /// Returns when [`WaitingList::send`] has the next datagram.
    pub(super) fn next_at(&self) -> Option<Moment> {
        self.0.iter().map(Waiting::next_at).min()
    }

    /// Writes the datagram that is due to one of the senders into `out`, and returns its address.
    pub(super) fn send(
        &mut self,
        now: Moment,
        wall: WallClock,
        me: &ReceiverConfig,
        current: &impl Current,
        out: &mut Vec<u8>,
    ) -> Option<SocketAddr> {
        self.0.iter_mut().find_map(|waiting| waiting.send(now, wall, me, current, out))
    }
}

/// The number of sessions of each kind in the list.
pub(super) const WAITING_MAX: usize = 8;
/// The time between two hellos with which a sender learns that this host is busy, unless all hosts need longer for
/// them.
const BUSY_HELLO_GAP: Duration = Duration::from_secs(2);
/// The longest time between two refusals, which grows up to it: a refusal does not change during a push.
const REFUSAL_GAP_MAX: Duration = Duration::from_secs(32);
