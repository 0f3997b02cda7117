//! When this host sends in a session: its hello until that is acknowledged, then an answer to each poll in its
//! slot.

use std::time::Duration;

use crate::repeat::Repeat;
use crate::rng::Rng;
use crate::time::Moment;
use crate::wire::{Part, Poll};

/// The times at which this host sends.
pub(super) struct Turns {
    /// The hello, until it is acknowledged: the sender accepts nothing else from an unknown host.
    hello: Option<Repeat>,
    /// Whether the hello was sent, or the sender knows this host. Before that the host sends no reports: the sender
    /// would drop them, and the hellos alone are as many datagrams as a round of reports.
    is_introduced: bool,
    report_at: Option<Moment>,
    /// The round of the last poll that has asked this host.
    asked_in: u32,
    /// The last poll.
    poll: Option<Poll>,
    /// When it came.
    polled_at: Moment,
    /// This host's slot in the windows of the polls, once it is known.
    slot: Option<u32>,
}

impl Turns {
    /// Returns the state before any poll. The hello is due at `hello_at`; if that is `None`, nothing is ever sent.
    pub(super) fn new(now: Moment, hello_at: Option<Moment>) -> Self {
        Self {
            hello: hello_at.map(|at| Repeat::new(at, HELLO_GAP, HELLO_GAP_MAX)),
            is_introduced: false,
            report_at: None,
            asked_in: 0,
            poll: None,
            polled_at: now,
            slot: None,
        }
    }

    /// The last poll.
    pub(super) fn poll(&self) -> Option<&Poll> {
        self.poll.as_ref()
    }

    /// The round of the last poll that has asked this host.
    pub(super) fn asked_in(&self) -> u32 {
        self.asked_in
    }

    /// Whether the hello was acknowledged, or nothing is ever sent.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.hello.is_none()
    }

    /// Whether a poll is newer than the last one.
    pub(super) fn is_next(&self, poll: &Poll) -> bool {
        self.poll.as_ref().is_none_or(|last| poll.round > last.round)
    }

    /// Records a poll that is not answered.
    pub(super) fn note_poll(&mut self, poll: Poll) {
        self.poll = Some(poll);
    }

    /// Records a poll. Returns when this host answers it, in its slot of the window; `None` if the poll asks others, and
    /// before this host is introduced. As long as it has no slot, it answers at any time in which all hosts do.
    pub(super) fn take_poll(&mut self, now: Moment, poll: Poll, rng: &mut Rng) -> Option<Moment> {
        let offset = match self.slot {
            _ if !self.is_introduced => None,
            Some(slot) => poll.turn(slot),
            None if poll.part != Part::ALL && self.report_at.is_some() => None,
            None => Some(rng.below(poll.cycle())),
        };
        let turn = offset.map(|offset| now + offset);
        self.asked_in = if turn.is_some() { poll.round } else { self.asked_in };
        if let Some(at) = turn {
            self.report_at = Some(self.report_at.map_or(at, |earlier| earlier.min(at)));
        }
        self.poll = Some(poll);
        self.polled_at = now;
        turn
    }

    /// The time in which all hosts answer the last poll in turn.
    pub(super) fn window(&self) -> Duration {
        self.poll.as_ref().map_or(Duration::ZERO, Poll::cycle)
    }

    /// Returns this host's next turn in the windows of the polls, so that thousands of hosts that finish at once do
    /// not report at once. Before this host is introduced, its turn is when it says hello.
    pub(super) fn next_turn(&self, now: Moment) -> Moment {
        let (Some(poll), Some(slot)) = (&self.poll, self.slot) else {
            let hello = self.hello.filter(|_| !self.is_introduced);
            return hello.map_or(now, |hello| hello.next_at.max(now));
        };
        let cycle = poll.cycle();
        let mut turn = self.polled_at + cycle.mul_f64(f64::from(slot % poll.slots) / f64::from(poll.slots));
        if turn < now && !cycle.is_zero() {
            let windows = now.since(turn).as_micros().div_ceil(cycle.as_micros().max(1));
            turn = turn + cycle * u32::try_from(windows).unwrap_or(u32::MAX);
        }
        turn.max(now)
    }

    /// Handles an acknowledgement, which names this host's slot.
    pub(super) fn acknowledged(&mut self, slot: u32) {
        self.slot = Some(slot);
        self.hello = None;
        self.is_introduced = true; // also if the sender knew this host as busy
    }

    /// Whether the hello is due; if so, it is postponed.
    pub(super) fn take_hello_due(&mut self, now: Moment) -> bool {
        let is_due = self.hello.as_mut().is_some_and(|hello| hello.take_due(now));
        self.is_introduced |= is_due;
        is_due
    }

    /// Whether a report is due; if so, the next one is due after the next poll.
    pub(super) fn take_report_due(&mut self, now: Moment) -> bool {
        self.report_at.take_if(|at| now >= *at).is_some()
    }

    /// Cancels a report that is due.
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

/// The time between two hellos until one is acknowledged, which grows up to the maximum.
pub(super) const HELLO_GAP: Duration = Duration::from_millis(100);
pub(super) const HELLO_GAP_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::testing::at;

    #[test]
    fn the_turn_of_a_host_that_nobody_knows_yet_comes_with_its_hello() {
        let mut turns = Turns::new(at(0), Some(at(2_000)));
        assert_eq!(turns.next_turn(at(500)), at(2_000));
        assert!(turns.take_hello_due(at(2_000)));
        assert_eq!(turns.next_turn(at(2_001)), at(2_001), "it may be known");
    }
}
