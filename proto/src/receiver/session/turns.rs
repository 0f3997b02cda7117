//! When this host says what in a session: its hello until it is acknowledged, then an answer to each poll in its slot.

use std::time::Duration;

use crate::repeat::Repeat;
use crate::rng::Rng;
use crate::time::Moment;
use crate::wire::Poll;

/// When this host speaks.
pub(super) struct Turns {
    /// The hello, until it is acknowledged: the sender takes no other word from a host that it does not know.
    hello: Option<Repeat>,
    /// The hello was said, or the sender knows this host. Before that nobody would take a report, and hellos are as many as
    /// reports.
    is_introduced: bool,
    report_at: Option<Moment>,
    /// The last poll.
    poll: Option<Poll>,
    /// When it came.
    polled_at: Moment,
    /// This host's slot in the windows of the polls, once it is known.
    slot: Option<u32>,
}

impl Turns {
    /// Nobody was heard. The hello is due at `hello_at`; where that is `None`, nothing is ever said.
    pub(super) fn new(now: Moment, hello_at: Option<Moment>) -> Self {
        Self {
            hello: hello_at.map(|at| Repeat::new(at, HELLO_GAP, HELLO_GAP_MAX)),
            is_introduced: false,
            report_at: None,
            poll: None,
            polled_at: now,
            slot: None,
        }
    }

    /// The last poll.
    pub(super) fn poll(&self) -> Option<&Poll> {
        self.poll.as_ref()
    }

    /// Whether the hello was acknowledged, or nothing is ever said.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.hello.is_none()
    }

    /// Whether a poll is newer than the last one.
    pub(super) fn is_next(&self, poll: &Poll) -> bool {
        self.poll.as_ref().is_none_or(|last| poll.round > last.round)
    }

    /// Takes a poll in that is not answered.
    pub(super) fn note_poll(&mut self, poll: Poll) {
        self.poll = Some(poll);
    }

    /// Takes a poll in. Returns when this host's turn is to answer it, in its slot of the window; `None` before it was
    /// introduced.
    pub(super) fn take_poll(&mut self, now: Moment, poll: Poll, rng: &mut Rng) -> Option<Moment> {
        let turn = self.is_introduced.then(|| {
            let offset = match self.slot {
                Some(slot) => slot_offset(&poll, slot),
                None => rng.below(poll.window),
            };
            now + offset
        });
        if let Some(at) = turn {
            self.report_at = Some(self.report_at.map_or(at, |earlier| earlier.min(at)));
        }
        self.poll = Some(poll);
        self.polled_at = now;
        turn
    }

    /// The time in which all hosts answer the last poll in turn.
    pub(super) fn window(&self) -> Duration {
        self.poll.as_ref().map_or(Duration::ZERO, |poll| poll.window)
    }

    /// This host's next turn in the windows of the polls: thousands of hosts that are done at once do not say so at once.
    pub(super) fn next_turn(&self, now: Moment) -> Moment {
        let (Some(poll), Some(slot)) = (&self.poll, self.slot) else { return now };
        let mut turn = self.polled_at + slot_offset(poll, slot);
        if turn < now && !poll.window.is_zero() {
            let windows = now.since(turn).as_micros().div_ceil(poll.window.as_micros().max(1));
            turn = turn + poll.window * u32::try_from(windows).unwrap_or(u32::MAX);
        }
        turn.max(now)
    }

    /// The sender has acknowledged something, and said which slot this host has.
    pub(super) fn acknowledged(&mut self, slot: u32) {
        self.slot = Some(slot);
        self.hello = None;
        self.is_introduced = true; // also where this host was known as one that is busy
    }

    /// Whether the hello is due; if so, it is put off.
    pub(super) fn take_hello_due(&mut self, now: Moment) -> bool {
        let is_due = self.hello.as_mut().is_some_and(|hello| hello.take_due(now));
        self.is_introduced |= is_due;
        is_due
    }

    /// Whether a report is due; if so, none is until the next poll.
    pub(super) fn take_report_due(&mut self, now: Moment) -> bool {
        self.report_at.take_if(|at| now >= *at).is_some()
    }

    /// No report is due any more.
    pub(super) fn forget_report(&mut self) {
        self.report_at = None;
    }

    pub(super) fn next_hello_at(&self) -> Option<Moment> {
        self.hello.map(|hello| hello.next_at)
    }

    pub(super) fn next_report_at(&self) -> Option<Moment> {
        self.report_at
    }
}

/// When the turn of a host with this slot comes in the window of a poll.
fn slot_offset(poll: &Poll, slot: u32) -> Duration {
    poll.window.mul_f64(f64::from(slot % poll.slots) / f64::from(poll.slots))
}

/// Gaps in which a hello is said until it is acknowledged.
pub(super) const HELLO_GAP: Duration = Duration::from_millis(100);
pub(super) const HELLO_GAP_MAX: Duration = Duration::from_secs(2);
