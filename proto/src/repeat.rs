//! Repeating a message until it is acknowledged.

use std::time::Duration;

use crate::time::Moment;

/// Times a message that is repeated until it is acknowledged, in gaps that double up to a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeat {
    pub(crate) next_at: Moment,
    gap: Duration,
    gap_max: Duration,
    was_sent: bool,
}

impl Repeat {
    pub(crate) fn new(next_at: Moment, gap: Duration, gap_max: Duration) -> Self {
        Self { next_at, gap, gap_max, was_sent: false }
    }

    /// Whether the message was sent at least once.
    pub(crate) fn was_sent(&self) -> bool {
        self.was_sent
    }

    /// Puts the next time off to `at` if it is earlier.
    pub(crate) fn put_off(&mut self, at: Moment) {
        self.next_at = self.next_at.max(at);
    }

    /// Returns whether the message is due, and if so moves the next time on by the gap.
    pub(crate) fn take_due(&mut self, now: Moment) -> bool {
        if now < self.next_at {
            return false;
        }
        self.was_sent = true;
        self.next_at = now + self.gap;
        self.gap = (self.gap * 2).min(self.gap_max);
        true
    }
}
