//! How much all hosts together may send: a number of datagrams a second, and a share of the bits that the push sends.
//!
//! Each host has one turn in a *cycle*: the time in which all hosts send one datagram each. The sender chooses the cycle
//! ([`Budget::time_for`]) and tells it, in announcements as the spread of the hellos and in polls as the window of the
//! reports. Hosts never speak more often than once in a cycle, whatever they have to say.

use std::time::Duration;

use crate::limits::{FEEDBACK_CYCLE_MAX, FEEDBACK_SHARE_MAX, REPORTS_PER_SECOND_MAX};
use crate::units::Rate;

/// The size of what hosts send, as observed.
pub(super) struct Feedback {
    /// The average size of a whole frame in bits, weighted towards the last few.
    bits: f64,
}

/// What all hosts together may send at the present rate of the push.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Budget {
    /// Datagrams a second.
    datagrams: f64,
}

impl Feedback {
    pub(super) fn new() -> Self {
        Self { bits: FRAME_BITS_MIN }
    }

    /// Notes a datagram of a host that takes part, of `bytes` bytes as a whole frame.
    pub(super) fn note(&mut self, bytes: u64) {
        self.bits += (8.0 * bytes as f64 - self.bits) / FRAMES_AVERAGED;
    }

    /// Returns the budget of a push that sends at `rate` and never faster than `cap`.
    pub(super) fn budget(&self, rate: Rate, cap: Rate) -> Budget {
        let rate = rate.bits().max(cap.bits() / CAP_PART) as f64;
        let share = rate * FEEDBACK_SHARE_MAX / self.bits.max(FRAME_BITS_MIN);
        Budget { datagrams: share.min(Budget::default().datagrams) }
    }
}

impl Budget {
    /// The time that `turns` datagrams take, and [`FEEDBACK_CYCLE_MAX`] at most.
    pub(super) fn time_for(self, turns: u32) -> Duration {
        let seconds = f64::from(turns) / self.datagrams;
        Duration::from_secs_f64(seconds.min(FEEDBACK_CYCLE_MAX.as_secs_f64()))
    }
}

impl Default for Budget {
    /// Returns the budget of a push whose rate sets no narrower limit.
    fn default() -> Self {
        Self { datagrams: f64::from(REPORTS_PER_SECOND_MAX) * PLANNED }
    }
}

/// The part of [`REPORTS_PER_SECOND_MAX`] that is planned for: turns that are drawn at random, or come from the windows
/// of two polls, meet. Of 3 800 in a second on average, 4 000 are more than three standard deviations away.
const PLANNED: f64 = 0.95;

/// The size in bits that a frame is taken for at least: a hello or a final report of a host with a name of usual length.
/// Reports are shorter where little is lacking, and make room for these.
const FRAME_BITS_MIN: f64 = 2_200.0;

/// The number of frames that the average is about.
const FRAMES_AVERAGED: f64 = 256.0;

/// An adaptive rate below this part of its cap leaves hosts as much as at this part. A push that has fallen so far needs
/// the reports to recover, and they take 0.03 % of the cap.
const CAP_PART: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_a_high_rate_the_number_of_datagrams_is_the_limit() {
        let budget = Feedback::new().budget(mbits(1_000), mbits(1_000));
        let window = budget.time_for(3_800);
        assert!((window.as_secs_f64() - 1.0).abs() < 1e-9, "{window:?}");
    }

    #[test]
    fn at_a_low_rate_hosts_send_two_per_cent_of_the_bits() {
        let feedback = Feedback::new();
        let window = feedback.budget(mbits(10), mbits(10)).time_for(2_000);
        let rate = 2_000.0 * FRAME_BITS_MIN / window.as_secs_f64();
        assert!((rate - 200_000.0).abs() < 1.0, "{rate} bit/s");
    }

    #[test]
    fn long_reports_come_more_rarely() {
        let mut feedback = Feedback::new();
        let window = |feedback: &Feedback| feedback.budget(mbits(100), mbits(100)).time_for(100);
        let before = window(&feedback);
        (0..2_000).for_each(|_| feedback.note(1_100));
        assert!(window(&feedback) > before * 39 / 10, "{:?}", window(&feedback));
        (0..2_000).for_each(|_| feedback.note(100));
        assert_eq!(window(&feedback), before, "a final report is never shorter than that");
    }

    #[test]
    fn a_rate_that_has_fallen_far_is_still_reported_on() {
        let feedback = Feedback::new();
        let window = feedback.budget(mbits(1), mbits(640)).time_for(100);
        assert_eq!(window, feedback.budget(mbits(10), mbits(640)).time_for(100));
    }

    #[test]
    fn no_cycle_is_longer_than_hosts_accept() {
        let budget = Feedback::new().budget(mbits(1), mbits(1));
        assert_eq!(budget.time_for(10_000), FEEDBACK_CYCLE_MAX);
    }

    fn mbits(mbits: u64) -> Rate {
        Rate::from_bits(mbits * 1_000_000).expect("a rate")
    }
}
