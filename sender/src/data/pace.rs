//! Pacing: when the next datagrams may leave so that the rate is held, however long the thread slept.

use std::time::Duration;

use glancecast_host::args::Rate;

/// A schedule in nanoseconds of the drive's clock. Each send moves it on by its time on the wire; being late is made
/// good up to [`CATCH_UP`], so that no burst is longer than that.
#[derive(Debug)]
pub(crate) struct Pacer {
    rate: Rate,
    next_ns: u64,
}

/// As much as one timer is late on a busy machine; at a shaped link it must fit the shaper's queue.
const CATCH_UP: Duration = Duration::from_millis(1);

/// What one train may take of the line: short enough for shallow switch buffers, long enough for one system call to
/// pay.
const TRAIN: Duration = Duration::from_millis(1);

impl Pacer {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, next_ns: 0 }
    }

    /// How long to wait before the next datagram; zero: now.
    pub(crate) fn wait(&self, now_ns: u64) -> Duration {
        Duration::from_nanos(self.next_ns.saturating_sub(now_ns))
    }

    /// So many bytes of frames were sent.
    pub(crate) fn sent(&mut self, now_ns: u64, frame_bytes: u64) {
        let earliest = now_ns.saturating_sub(CATCH_UP.as_nanos() as u64);
        self.next_ns = self.next_ns.max(earliest) + self.rate.time_for(frame_bytes).as_nanos() as u64;
    }

    /// Datagrams of so many frame bytes that one train may hold, at least one.
    pub(crate) fn train(&self, frame_bytes: u64) -> usize {
        (TRAIN.as_nanos() / self.rate.time_for(frame_bytes).as_nanos().max(1)).clamp(1, usize::MAX as u128)
            as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 1510;

    #[test]
    fn the_rate_is_held_over_time_at_any_rate() {
        for text in ["10mbit", "390mbit", "1gbit", "20gbit"] {
            let rate: Rate = text.parse().expect("a rate");
            let mut pacer = Pacer::new(rate);
            let (mut now, mut sent) = (0u64, 0u64);
            while now < 2_000_000_000 {
                let wait = pacer.wait(now).as_nanos() as u64;
                // The thread wakes up to 80 us late, as real ones do.
                now += if wait > 0 { wait + now % 80_000 } else { 300 };
                let train = pacer.train(FRAME).min(44) as u64;
                if pacer.wait(now).is_zero() {
                    pacer.sent(now, train * FRAME);
                    sent += train * FRAME;
                }
            }
            let measured = sent as f64 * 8.0 / (now as f64 / 1e9);
            let ratio = measured / rate.bits() as f64;
            println!("{text}: {ratio:.4} of the rate");
            assert!((0.98..1.01).contains(&ratio), "{text}: {ratio}");
        }
    }

    #[test]
    fn a_long_sleep_brings_no_long_burst() {
        let rate: Rate = "1gbit".parse().expect("a rate");
        let mut pacer = Pacer::new(rate);
        pacer.sent(0, FRAME);
        let now = 5_000_000_000;
        let mut burst = 0;
        while pacer.wait(now).is_zero() {
            pacer.sent(now, FRAME);
            burst += FRAME;
        }
        assert!(rate.time_for(burst) <= CATCH_UP + rate.time_for(2 * FRAME), "{burst} bytes at once");
    }
}
