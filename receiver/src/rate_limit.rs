//! Rate caps on the store's reads and writes, so that the guests of this host keep their disk: the schedule of a rate,
//! and which readers share one. `write_limit` has the one for writing.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_platform::locks::lock;
use glancecast_platform::units::Rate;

/// A schedule of transfers; each transfer moves it on by the time that it takes at the rate.
#[derive(Debug)]
pub(crate) struct RateLimit {
    rate: Mutex<Option<Rate>>,
    /// When the next transfer may begin; shared by the limits of all that share a rate.
    due: Arc<Mutex<Instant>>,
}

impl RateLimit {
    /// Returns a schedule for `rate`; `None` means no limit.
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self { rate: Mutex::new(rate), due: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Puts another rate in the place of the old one. What had a turn keeps it, and what comes next begins at once.
    pub(crate) fn set(&self, rate: Option<Rate>) {
        let before = std::mem::replace(&mut *lock(&self.rate), rate);
        if before != rate {
            self.clear();
        }
    }

    /// Waits for the turn of a transfer of `bytes` bytes. Returns false as soon as `is_wanted` does, which is called at
    /// least every 20 ms.
    pub(crate) fn wait(&self, bytes: u64, is_wanted: impl Fn() -> bool) -> bool {
        let turn = self.take_turn(bytes);
        loop {
            if !is_wanted() {
                return false;
            }
            let left = turn.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(LOOK_GAP));
        }
    }

    fn take_turn(&self, bytes: u64) -> Instant {
        let now = Instant::now();
        let Some(rate) = *lock(&self.rate) else { return now };
        let mut due = lock(&self.due);
        let turn = (*due).max(now.checked_sub(LATE_MAX).unwrap_or(now));
        *due = turn + rate.time_for(bytes);
        turn
    }

    /// Lets the next transfer begin at once, as those that had a turn will not happen.
    pub(crate) fn clear(&self) {
        *lock(&self.due) = Instant::now();
    }
}

/// The cap on reads that hash data again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadRate {
    /// [`ReadRate::VERIFY`] for verifications, which anyone may request at any time. No cap for what a push reads, an
    /// existing file or a base, as its sender waits for that.
    #[default]
    Verifications,
    /// This rate for everything that is hashed again.
    All(Rate),
    /// No cap.
    Unlimited,
}

impl ReadRate {
    /// 50 MB/s: a third of a hard disk's sequential reads, a tenth of a SATA SSD's; 10 GiB take 215 s.
    pub const VERIFY: &str = "400mbit";
}

/// The schedules of reads.
#[derive(Clone, Debug)]
pub(crate) struct ReadLimits {
    /// For reads that a query asks for.
    pub(crate) verifications: Arc<RateLimit>,
    /// For reads that a push needs.
    pub(crate) pushes: Arc<RateLimit>,
}

impl ReadLimits {
    pub(crate) fn new(rate: ReadRate) -> Self {
        let due = Arc::new(Mutex::new(Instant::now()));
        let limit = || Arc::new(RateLimit { rate: Mutex::new(None), due: Arc::clone(&due) });
        let limits = Self { verifications: limit(), pushes: limit() };
        limits.set(rate);
        limits
    }

    /// Puts another rate in the place of the old one.
    pub(crate) fn set(&self, rate: ReadRate) {
        let (verifications, pushes) = match rate {
            ReadRate::Verifications => (Some(ReadRate::VERIFY.parse().expect("a rate")), None),
            ReadRate::All(rate) => (Some(rate), Some(rate)),
            ReadRate::Unlimited => (None, None),
        };
        self.verifications.set(verifications);
        self.pushes.set(pushes);
    }
}

/// How far late transfers may catch up, so that the rate is reached although sleeps overrun.
const LATE_MAX: Duration = Duration::from_millis(50);

/// How often a waiting transfer checks whether it is still wanted.
const LOOK_GAP: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_was_set_is_shared_by_all_that_reads_and_the_default_one_is_for_verifications() {
        let mbit = "80mbit".parse().expect("10 MB/s");
        for (rate, verifications, pushes) in [
            (ReadRate::Verifications, true, false),
            (ReadRate::All(mbit), true, true),
            (ReadRate::Unlimited, false, false),
        ] {
            let limits = ReadLimits::new(rate);
            let caps = |limit: &RateLimit| {
                limit.take_turn(1 << 30);
                limit.take_turn(1) > Instant::now() + Duration::from_secs(10)
            };
            assert_eq!(
                (caps(&limits.verifications), caps(&limits.pushes)),
                (verifications, pushes),
                "{rate:?}"
            );
        }
    }

    #[test]
    fn reads_that_share_a_rate_take_turns_also_after_it_was_set_anew() {
        let rate = || "8mbit".parse().expect("1 MB/s");
        for limits in [ReadLimits::new(ReadRate::All(rate())), ReadLimits::new(ReadRate::Unlimited)] {
            limits.set(ReadRate::All(rate()));
            limits.pushes.take_turn(100_000_000);
            assert!(limits.verifications.take_turn(1) > Instant::now() + Duration::from_secs(50));
            limits.set(ReadRate::Unlimited);
            assert!(limits.verifications.take_turn(1 << 40) <= Instant::now());
            limits.set(ReadRate::Verifications);
            limits.verifications.take_turn(1 << 30);
            assert!(limits.pushes.take_turn(1) <= Instant::now(), "a push does not wait for a query");
        }
    }

    #[test]
    fn a_read_that_nobody_wants_any_more_ends_within_its_turn() {
        let limit = RateLimit::new(Some("8mbit".parse().expect("1 MB/s")));
        assert!(limit.wait(1_000_000_000, || true), "the first need not wait");
        let started = Instant::now();
        assert!(!limit.wait(1, || started.elapsed() < Duration::from_millis(30)));
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
