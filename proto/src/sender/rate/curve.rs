//! How one more TCP flow would go on beside others.

use std::time::Duration;

use crate::time::Moment;

/// The rate after a loss: as CUBIC (RFC 9438 §4.2), and no slower than Reno (§4.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    from: f64,
    pub(super) since: Moment,
    /// Time to the ceiling.
    takes: f64,
    /// What Reno gains, in bits per second each second.
    slope: f64,
}

impl Curve {
    /// From a rate on, where a round-trip takes so long; with datagrams of `bits`.
    pub(super) fn new(since: Moment, from: f64, ceiling: f64, round_trip: Duration, bits: u64) -> Self {
        let (round_trip, bits) = (round_trip.max(ROUND_TRIP_MIN).as_secs_f64(), bits as f64);
        let takes = ((ceiling - from) * round_trip / bits / CUBIC_SCALE).max(0.0).cbrt();
        Self { from, since, takes: takes.max(CURVE_MIN), slope: RENO_GAIN * bits / round_trip.powi(2) }
    }

    /// The rate at this time, for a ceiling that may be passed.
    pub(super) fn at(&self, now: Moment, ceiling: f64) -> f64 {
        let after = now.since(self.since).as_secs_f64();
        let cubic = ceiling - (ceiling - self.from) * (1.0 - after / self.takes).powi(3);
        cubic.max(self.from + self.slope * after)
    }
}

/// C of RFC 9438, and what Reno with a fall like CUBIC's gains in a round-trip, in packets.
const CUBIC_SCALE: f64 = 0.4;
const RENO_GAIN: f64 = 0.53;
/// Answers take longer than acknowledgements, and rounds are no shorter.
const ROUND_TRIP_MIN: Duration = Duration::from_millis(5);
const CURVE_MIN: f64 = 0.5;
