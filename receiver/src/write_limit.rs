//! A cap on what the store writes, so that the guests of this host keep their disk. All workers share it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use glancecast_host::args::Rate;

/// A schedule of writes: each moves it on by the time that it takes at the rate.
#[derive(Debug)]
pub(crate) struct WriteLimit {
    rate: Option<Rate>,
    schedule: Mutex<Schedule>,
    given_up: Condvar,
}

#[derive(Debug)]
struct Schedule {
    /// When the next write may begin.
    due: Instant,
    /// Nothing is written any more for attempts up to this one.
    given_up: Option<u64>,
}

impl WriteLimit {
    /// `None`: no limit.
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        let schedule = Mutex::new(Schedule { due: Instant::now(), given_up: None });
        Self { rate, schedule, given_up: Condvar::new() }
    }

    /// Waits until an attempt may write so many bytes. False if it was given up meanwhile, or before.
    pub(crate) fn wait(&self, attempt: u64, bytes: u64) -> bool {
        let mut schedule = self.lock();
        let now = Instant::now();
        let turn = schedule.due.max(now.checked_sub(LATE_MAX).unwrap_or(now));
        if let Some(rate) = self.rate {
            schedule.due = turn + rate.time_for(bytes);
        }
        loop {
            let left = turn.saturating_duration_since(Instant::now());
            if schedule.given_up >= Some(attempt) {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            schedule = self.given_up.wait_timeout(schedule, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether nobody waits for an attempt any more.
    pub(crate) fn is_given_up(&self, attempt: u64) -> bool {
        self.lock().given_up >= Some(attempt)
    }

    /// Nobody waits for this attempt, or an earlier one, from now on.
    pub(crate) fn give_up(&self, attempt: u64) {
        let mut schedule = self.lock();
        schedule.given_up = schedule.given_up.max(Some(attempt));
        schedule.due = Instant::now(); // what was to be written for it is not written
        self.given_up.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that comes late is made good up to this, so that the rate is reached although sleeps are too long.
const LATE_MAX: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn all_workers_together_keep_to_the_rate() {
        let limit = WriteLimit::new(Some("80mbit".parse().expect("10 MB/s")));
        let started = Instant::now();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| assert!(limit.wait(1, 100_000))));
            }
        });
        // Forty writes of 10 ms each; the first need not wait, and 50 ms may be made good.
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
