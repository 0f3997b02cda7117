//! The gap between datagrams of one kind.

use std::time::Duration;

use crate::limits::ANSWERS_PER_SECOND_MAX;
use crate::time::Moment;

/// Spaces out datagrams: one a [`GAP`], and after a pause as many as would have left in [`SAVED_UP`] together.
#[derive(Clone, Copy)]
pub(super) struct Spacing {
    /// When the next one may leave.
    pub(super) next_at: Moment,
}

impl Spacing {
    pub(super) fn new(now: Moment) -> Self {
        Self { next_at: now }
    }

    pub(super) fn is_over(self, now: Moment) -> bool {
        now >= self.next_at
    }

    /// Notes that a datagram leaves.
    pub(super) fn note(&mut self, now: Moment) {
        let saved_up = Moment::from_micros(now.micros().saturating_sub(SAVED_UP));
        self.next_at = self.next_at.max(saved_up) + GAP;
    }

    /// Lets none leave for this time.
    pub(super) fn delay(&mut self, now: Moment, time: Duration) {
        self.next_at = self.next_at.max(now + time);
    }
}

/// Each acknowledgement lets another page come.
const GAP: Duration = Duration::from_micros(1_000_000 / ANSWERS_PER_SECOND_MAX as u64);

/// In microseconds: 10 datagrams at once.
const SAVED_UP: u64 = 5_000;
