//! How fast a push is: what was sent in the last seconds, and when all of it will be. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// How far a push was at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    at: Duration,
    /// Bytes of the image.
    done: u64,
    /// Bytes on the wire, of all copies.
    wire: u64,
}

/// What a push did lately.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Samples of the last [`WINDOW`], one each [`SAMPLE_GAP`], and the newest one.
    samples: VecDeque<Sample>,
}

impl Meter {
    /// Notes how far the push is at a time since its start: bytes of the image, and bytes on the wire.
    pub(crate) fn note(&mut self, at: Duration, done: u64, wire: u64) {
        let sample = Sample { at, done, wire };
        let last_but_one = self.samples.len().checked_sub(2).map(|i| self.samples[i].at);
        let replaces = last_but_one.is_some_and(|before| at.saturating_sub(before) <= SAMPLE_GAP);
        if replaces {
            self.samples.pop_back();
        }
        self.samples.push_back(sample);
        while self.samples.len() > 2 && at.saturating_sub(self.samples[1].at) >= WINDOW {
            self.samples.pop_front();
        }
    }

    /// Returns the time until all of `total` bytes of the image were sent, at the speed of the last seconds; `None` before
    /// that is known, and while nothing is sent.
    pub(crate) fn left(&self, total: u64) -> Option<Duration> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let (time, done) = (last.at.saturating_sub(first.at), last.done.saturating_sub(first.done));
        if time < SPEED_TIME_MIN || done == 0 {
            return None;
        }
        let left = total.saturating_sub(last.done) as f64 * time.as_secs_f64() / done as f64;
        Duration::try_from_secs_f64(left).ok().filter(|&left| left < LEFT_MAX)
    }

    /// Returns the bits per second on the wire in the last seconds, of all copies.
    pub(crate) fn rate(&self) -> u64 {
        let Some(last) = self.samples.back() else { return 0 };
        let is_old = |sample: &&Sample| last.at.saturating_sub(sample.at) >= RATE_TIME;
        let Some(first) = self.samples.iter().rev().find(is_old).or(self.samples.front()) else { return 0 };
        let time = last.at.saturating_sub(first.at).as_secs_f64();
        match time > 0.0 {
            true => (last.wire.saturating_sub(first.wire) as f64 * 8.0 / time) as u64,
            false => 0,
        }
    }
}

/// Long enough to smooth rounds of repair, and short enough to follow rate control.
const WINDOW: Duration = Duration::from_secs(10);
const SAMPLE_GAP: Duration = Duration::from_millis(200);
/// The rate that is shown is that of this time.
const RATE_TIME: Duration = Duration::from_secs(2);
/// No time is told of less than this.
const SPEED_TIME_MIN: Duration = Duration::from_millis(500);
/// A longer time is no estimate.
const LEFT_MAX: Duration = Duration::from_secs(100 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_steady_push_has_a_steady_rate_and_end() {
        let mut meter = Meter::default();
        assert_eq!((meter.rate(), meter.left(100)), (0, None));
        for tick in 0..=300 {
            meter.note(ms(100 * tick), 1_000 * tick, 1_250 * tick);
        }
        assert_eq!(meter.rate(), 100_000);
        assert_eq!(meter.left(600_000), Some(Duration::from_secs(30)));
        assert!(meter.samples.len() <= 53, "{}", meter.samples.len());
    }

    #[test]
    fn nothing_is_told_of_the_first_moment() {
        let mut meter = Meter::default();
        meter.note(ms(0), 0, 0);
        meter.note(ms(100), 5_000, 5_000);
        assert_eq!(meter.left(1_000_000), None);
    }

    #[test]
    fn a_rate_of_the_past_is_forgotten() {
        let mut meter = Meter::default();
        for tick in 0..100 {
            meter.note(ms(100 * tick), 1_000 * tick, 1_000 * tick);
        }
        for tick in 100..300 {
            meter.note(ms(100 * tick), 100_000, 100_000);
        }
        assert_eq!((meter.rate(), meter.left(200_000)), (0, None));
    }

    #[test]
    fn a_push_that_got_slower_is_told_by_its_new_speed() {
        let mut meter = Meter::default();
        for tick in 0..100 {
            meter.note(ms(100 * tick), 10_000 * tick, 0);
        }
        for tick in 100..250 {
            meter.note(ms(100 * tick), 1_000_000 + 1_000 * (tick - 100), 0);
        }
        let left = meter.left(1_149_000 + 100_000).expect("it is known");
        assert!((9..=11).contains(&left.as_secs()), "{left:?}");
    }
}
