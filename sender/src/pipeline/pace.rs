//! Pacing: decides when the next datagrams may leave. The rate is held even if the thread is called late.

use std::time::Duration;

/// A schedule in nanoseconds of the send loop's clock. Each GSO batch advances it by its time on the wire. A batch that
/// leaves late does not delay the schedule, so that the rate does not drift. The batches after it follow each other
/// closer than the rate until they have caught up, but never without a gap.
#[derive(Debug)]
pub(crate) struct Pacer {
    bits_per_second: u64,
    /// When the next GSO batch is due.
    due_ns: u64,
    /// The earliest time of the next GSO batch, however late it is.
    gap_ends_ns: u64,
}

/// Shorter waits do not sleep: entering the kernel, the timer and the return would take longer.
pub(crate) const SLEEP_MIN: Duration = Duration::from_micros(40);

/// The longest delay that is made up, about as long as a thread may be kept from its CPU. The rest is dropped.
const LATE_MAX: Duration = Duration::from_millis(20);

/// The gap after a GSO batch that left late, as a fraction of its time on the wire. A longer gap would have to be
/// slept. On a busy machine each sleep is some tenths of a millisecond too long, and the rate would never be reached.
const GAP_PART: u64 = 16;

/// The maximum time of one GSO batch on the line. At slow rates it limits a batch to fewer datagrams than a system call
/// takes, so that the pace stays even; above some 260 Mbit/s the system call's 64 KiB are the limit. Twice the time
/// would be too much: a batch for 64 hosts on one machine would then overflow the kernel's queue between virtual links
/// (`net.core.netdev_max_backlog`, 1000 packets).
const BATCH: Duration = Duration::from_millis(2);

impl Pacer {
    pub(crate) fn new(bits_per_second: u64) -> Self {
        Self { bits_per_second: bits_per_second.max(1), due_ns: 0, gap_ends_ns: 0 }
    }

    /// Sets the rate from now on.
    pub(crate) fn set_rate(&mut self, bits_per_second: u64) {
        self.bits_per_second = bits_per_second.max(1);
    }

    /// Returns the time to wait before the next GSO batch; zero means now.
    pub(crate) fn wait(&self, now_ns: u64) -> Duration {
        Duration::from_nanos(self.due_ns.max(self.gap_ends_ns).saturating_sub(now_ns))
    }

    /// Records that there is nothing to send, so that this time is not made up later.
    pub(crate) fn idle(&mut self, now_ns: u64) {
        self.due_ns = self.due_ns.max(now_ns);
    }

    /// Advances the schedule by frames of `frame_bytes` bytes in all that were sent.
    pub(crate) fn sent(&mut self, now_ns: u64, frame_bytes: u64) {
        let takes = self.time_for(frame_bytes);
        self.due_ns = self.due_ns.max(now_ns.saturating_sub(LATE_MAX.as_nanos() as u64)) + takes;
        self.gap_ends_ns = self.gap_ends_ns.max(now_ns) + takes / GAP_PART;
    }

    /// Returns the number of datagrams of `frame_bytes` bytes that one GSO batch may hold, at least one.
    pub(crate) fn batch(&self, frame_bytes: u64) -> usize {
        (BATCH.as_nanos() as u64 / self.time_for(frame_bytes).max(1)).max(1) as usize
    }

    fn time_for(&self, frame_bytes: u64) -> u64 {
        frame_bytes * 8 * 1_000_000_000 / self.bits_per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 1510;

    #[test]
    fn the_rate_is_held_over_time_at_any_rate() {
        for rate in [10_000_000, 390_000_000, 1_000_000_000, 20_000_000_000] {
            let measured = run(rate, |now| now % 80_000);
            println!("{rate}: {:.4} of the rate", measured / rate as f64);
            assert!((0.995..1.002).contains(&(measured / rate as f64)), "{rate}: {measured}");
        }
    }

    #[test]
    fn a_thread_that_is_kept_from_its_cpu_for_milliseconds_still_holds_the_rate() {
        let rate = 1_000_000_000;
        // Every hundredth wait or so is 8 ms too long.
        let measured = run(rate, |now| if now % 101 == 0 { 8_000_000 } else { now % 60_000 });
        println!("{:.4} of the rate", measured / rate as f64);
        assert!((0.98..1.002).contains(&(measured / rate as f64)));
    }

    #[test]
    fn trains_that_are_late_never_leave_without_a_gap() {
        let mut pacer = Pacer::new(1_000_000_000);
        pacer.sent(0, 44 * FRAME);
        let mut now = 10_000_000;
        for _ in 0..10 {
            assert!(pacer.wait(now).is_zero());
            pacer.sent(now, 44 * FRAME);
            let gap = pacer.wait(now);
            assert_eq!(gap, Duration::from_nanos(44 * FRAME * 8 / 16));
            now += gap.as_nanos() as u64;
        }
    }

    #[test]
    fn idleness_is_not_made_good() {
        let mut pacer = Pacer::new(1_000_000_000);
        pacer.sent(0, FRAME);
        pacer.idle(5_000_000_000);
        pacer.sent(5_000_000_000, FRAME);
        assert_eq!(pacer.wait(5_000_000_000), Duration::from_nanos(FRAME * 8));
    }

    /// Sends two seconds of GSO batches, each wait longer by `late`. Returns the bits per second.
    fn run(rate: u64, late: impl Fn(u64) -> u64) -> f64 {
        let mut pacer = Pacer::new(rate);
        let (mut now, mut sent) = (0u64, 0u64);
        while now < 2_000_000_000 {
            let wait = pacer.wait(now);
            now += if wait > SLEEP_MIN { wait.as_nanos() as u64 + late(now) } else { 300 };
            if pacer.wait(now).is_zero() {
                let batch = pacer.batch(FRAME).min(44) as u64;
                pacer.sent(now, batch * FRAME);
                sent += batch * FRAME;
            }
        }
        sent as f64 * 8.0 / (now as f64 / 1e9)
    }
}
