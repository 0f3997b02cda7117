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

    /// Brings the first time forward to `at` if nothing was sent yet.
    pub(crate) fn begin_by(&mut self, at: Moment) {
        if !self.was_sent {
            self.next_at = self.next_at.min(at);
        }
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
