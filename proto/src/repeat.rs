//! Saying something again until it is acknowledged.

use std::time::Duration;

use crate::time::Moment;

/// A datagram that is repeated in growing gaps until it is acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeat {
    pub(crate) next_at: Moment,
    gap: Duration,
    gap_max: Duration,
    is_said: bool,
}

impl Repeat {
    pub(crate) fn new(next_at: Moment, gap: Duration, gap_max: Duration) -> Self {
        Self { next_at, gap, gap_max, is_said: false }
    }

    /// If it was not said yet, it is at this time at the latest.
    pub(crate) fn begin_by(&mut self, at: Moment) {
        if !self.is_said {
            self.next_at = self.next_at.min(at);
        }
    }

    /// Whether it is due; if so, it is put off.
    pub(crate) fn take_due(&mut self, now: Moment) -> bool {
        if now < self.next_at {
            return false;
        }
        self.is_said = true;
        self.next_at = now + self.gap;
        self.gap = (self.gap * 2).min(self.gap_max);
        true
    }
}
