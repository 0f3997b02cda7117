//! The cap on what the store writes, so that the guests of this host keep their disk. All workers share it.

use std::sync::atomic::{AtomicU64, Ordering};

use glancecast_platform::units::Rate;

use crate::rate_limit::RateLimit;

/// A schedule of writes. The writes of an attempt that is given up leave it at once.
#[derive(Debug)]
pub(crate) struct WriteLimit {
    limit: RateLimit,
    /// Writes for attempts up to this number are refused; 0 for none.
    given_up: AtomicU64,
}

impl WriteLimit {
    /// Returns a schedule for `rate`; `None` means no limit.
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self { limit: RateLimit::new(rate), given_up: AtomicU64::new(0) }
    }

    /// Puts another rate in the place of the old one.
    pub(crate) fn set(&self, rate: Option<Rate>) {
        self.limit.set(rate);
    }

    /// Waits until an attempt may write `bytes` bytes. Returns false if it is given up, before or meanwhile.
    pub(crate) fn wait(&self, attempt: u64, bytes: u64) -> bool {
        debug_assert!(attempt > 0, "attempts are counted from 1");
        self.limit.wait(bytes, || !self.is_given_up(attempt))
    }

    /// Whether an attempt was given up.
    pub(crate) fn is_given_up(&self, attempt: u64) -> bool {
        self.given_up.load(Ordering::Acquire) >= attempt
    }

    /// Gives up this attempt and all earlier ones.
    pub(crate) fn give_up(&self, attempt: u64) {
        self.given_up.fetch_max(attempt, Ordering::AcqRel);
        self.limit.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn all_workers_together_keep_to_the_rate() {
        let limit = WriteLimit::new(Some("80mbit".parse().expect("10 MB/s")));
        let started = Instant::now();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| assert!(limit.wait(1, 100_000))));
            }
        });
        // Forty writes of 10 ms each; the first need not wait, and a delay of 50 ms may be caught up.
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(330), "{took:?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let limit = WriteLimit::new(None);
        let started = Instant::now();
        assert!((0..1000).all(|_| limit.wait(1, u64::MAX / 1000)));
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn an_attempt_that_is_given_up_is_not_waited_for_and_the_next_one_begins_at_once() {
        let limit = WriteLimit::new(Some("8mbit".parse().expect("1 MB/s")));
        assert!(limit.wait(1, 1_000_000_000));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| limit.wait(1, 1_000_000_000));
            thread::sleep(Duration::from_millis(20));
            limit.give_up(1);
            assert!(!waiting.join().expect("no panic"));
        });
        assert!(!limit.wait(1, 1) && limit.is_given_up(1));
        assert!(limit.wait(2, 1) && !limit.is_given_up(2));
    }
}
