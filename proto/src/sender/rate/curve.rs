//! How the rate of one more TCP flow would grow beside others.

use std::time::Duration;

use crate::time::Moment;

/// The rate after a loss: as CUBIC (RFC 9438 §4.2), and no slower than Reno (§4.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    from: f64,
    pub(super) since: Moment,
    /// Seconds until the ceiling is reached.
    takes: f64,
    /// Growth of Reno, in bits per second each second.
    slope: f64,
}

impl Curve {
    /// The curve from the rate `from` towards `ceiling`, both in bits per second, with packets of `packet_bits`.
    pub(super) fn new(
        since: Moment,
        from: f64,
        ceiling: f64,
        round_trip: Duration,
        packet_bits: f64,
    ) -> Self {
        let round_trip = round_trip.max(ROUND_TRIP_MIN).as_secs_f64();
        let takes = ((ceiling - from) * round_trip / packet_bits / CUBIC_SCALE).max(0.0).cbrt();
        let slope = RENO_GAIN * packet_bits / round_trip.powi(2);
        Self { from, since, takes: takes.max(CURVE_MIN), slope }
    }

    /// The rate at this time in bits per second; it may exceed the ceiling.
    pub(super) fn at(&self, now: Moment, ceiling: f64) -> f64 {
        let after = now.since(self.since).as_secs_f64();
        let cubic = ceiling - (ceiling - self.from) * (1.0 - after / self.takes).powi(3);
        cubic.max(self.from + self.slope * after)
    }
}

/// C of RFC 9438 §5.1.
const CUBIC_SCALE: f64 = 0.4;
/// Packets that Reno with CUBIC's decrease gains in a round trip (RFC 9438 §4.3).
const RENO_GAIN: f64 = 0.53;
/// Shortest round trip to reckon with: answers take longer than acknowledgements, and rounds are no shorter.
const ROUND_TRIP_MIN: Duration = Duration::from_millis(5);
/// Shortest time to the ceiling, in seconds.
const CURVE_MIN: f64 = 0.5;
