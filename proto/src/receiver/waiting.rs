//! Announced sessions that this host is not in: their senders learn that it is busy, or why it refuses.

use std::net::SocketAddr;
use std::time::Duration;

use super::uplink::Uplink;
use crate::ids::{HostName, SessionId};
use crate::repeat::Repeat;
use crate::time::Moment;
use crate::wire::{Failed, FailureKind, Hello, KeptRun, Totals, Up};

/// One of these sessions.
pub(super) struct Waiting {
    uplink: Uplink,
    /// Whether it is about the object of the session that this host is in.
    same_object: bool,
    hello: Repeat,
    heard: Moment,
    refusal: Option<Refusal>,
}

/// Why this host never takes part in a session.
struct Refusal {
    reason: String,
    /// It is the next to be sent, after a hello.
    is_due: bool,
}

impl Waiting {
    /// Returns a session whose sender learns from `hello_at` on that this host is busy, or, with `refusal`, why it
    /// never takes part.
    pub(super) fn new(
        now: Moment,
        uplink: Uplink,
        hello_at: Moment,
        same_object: bool,
        refusal: Option<String>,
    ) -> Self {
        let gap_max = if refusal.is_some() { REFUSAL_GAP_MAX } else { BUSY_HELLO_GAP };
        Self {
            uplink,
            same_object,
            hello: Repeat::new(hello_at, BUSY_HELLO_GAP, gap_max),
            heard: now,
            refusal: refusal.map(|reason| Refusal { reason, is_due: false }),
        }
    }

    /// Returns what is due to the sender now. `kept` returns the blocks held of the object of the current session.
    fn next_up(
        &mut self,
        now: Moment,
        name: &HostName,
        software: &str,
        kept: impl Fn() -> Vec<KeptRun>,
    ) -> Option<Up> {
        if let Some(refusal) = &mut self.refusal
            && std::mem::take(&mut refusal.is_due)
        {
            let (kind, reason, totals) = (FailureKind::Refused, refusal.reason.clone(), Totals::default());
            return Some(Up::Failed(Failed { kind, reason, totals }));
        }
        if !self.hello.take_due(now) {
            return None;
        }
        self.refusal.iter_mut().for_each(|refusal| refusal.is_due = true);
        // The current session may end soon, and this one resume from what it kept.
        let kept = if self.same_object { kept() } else { Vec::new() };
        Some(Up::Hello(Hello { name: name.clone(), software: software.to_owned(), busy: true, kept }))
    }
}

/// The waiting sessions: at most [`WAITING_MAX`] whose senders learn that this host is busy, and as many that are
/// refused. Further ones are considered if they are still announced later.
#[derive(Default)]
pub(super) struct WaitingList(Vec<Waiting>);

impl WaitingList {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Notes that a session is still announced. Returns whether it is in the list.
    pub(super) fn note_heard(&mut self, now: Moment, session: SessionId) -> bool {
        let known = self.0.iter_mut().find(|waiting| waiting.uplink.session() == session);
        known.map(|waiting| waiting.heard = now).is_some()
    }

    /// Whether there is room for another session. Refused sessions do not use the places of those that wait.
    pub(super) fn has_room(&self, is_refused: bool) -> bool {
        self.0.iter().filter(|waiting| waiting.refusal.is_some() == is_refused).count() < WAITING_MAX
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.0.push(waiting);
    }

    /// Removes a session that is joined, and returns its uplink, whose numbers continue.
    pub(super) fn take(&mut self, session: SessionId) -> Option<Uplink> {
        let at = self.0.iter().position(|waiting| waiting.uplink.session() == session)?;
        Some(self.0.swap_remove(at).uplink)
    }

    /// Drops sessions that were not announced for `gone_after`.
    pub(super) fn forget_silent(&mut self, now: Moment, gone_after: Duration) {
        self.0.retain(|waiting| now.since(waiting.heard) < gone_after);
    }

    /// Returns when [`WaitingList::send`] has the next datagram.
    pub(super) fn next_at(&self) -> Option<Moment> {
        self.0.iter().map(|waiting| waiting.hello.next_at).min()
    }

    /// Writes the datagram that is due to one of the senders into `out`, and returns its address. `kept` returns
    /// the blocks held of the object of the current session.
    pub(super) fn send(
        &mut self,
        now: Moment,
        name: &HostName,
        software: &str,
        kept: impl Fn() -> Vec<KeptRun>,
        out: &mut Vec<u8>,
    ) -> Option<SocketAddr> {
        self.0.iter_mut().find_map(|waiting| {
            let up = waiting.next_up(now, name, software, &kept)?;
            Some(waiting.uplink.seal(&up, out))
        })
    }
}

/// The number of sessions of each kind in the list.
const WAITING_MAX: usize = 8;
/// The time between two hellos with which a sender learns that this host is busy.
const BUSY_HELLO_GAP: Duration = Duration::from_secs(2);
/// The longest time between two refusals, which grows up to it: a refusal does not change during a push.
const REFUSAL_GAP_MAX: Duration = Duration::from_secs(32);
