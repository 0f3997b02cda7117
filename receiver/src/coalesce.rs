//! Receive coalescing: how long the receiving thread leaves its sockets alone when they are empty. Waking for each GSO batch costs
//! more than all that is done with it; what comes during a delay is taken in together. Delays grow while little comes, and are
//! never so long that the receive buffer could overflow or a sender would wait for a report.

use std::time::Duration;

use glancecast_platform::transport::Buffer;

/// Chooses the next delay by what came during the last one.
#[derive(Debug)]
pub(crate) struct Coalescer {
    delay: Duration,
    longest: Duration,
}

impl Coalescer {
    /// Delays that fit this receive buffer.
    pub(crate) fn new(buffer: Buffer) -> Self {
        Self::up_to(LONGEST.mul_f64((buffer.bytes as f64 / buffer.wanted as f64).min(1.0)))
    }

    fn up_to(longest: Duration) -> Self {
        Self { delay: longest / 4, longest }
    }

    /// The next delay, where the last batch had `bytes` bytes and all hosts together take `window` to answer a poll.
    pub(crate) fn next_delay(&mut self, bytes: usize, window: Duration) -> Duration {
        let many = window.as_secs_f64() / MANY_HOSTS.as_secs_f64();
        let longest = self.longest.mul_f64((2.0 * many).clamp(1.0, 2.0));
        self.delay = match bytes {
            0..FEW_BYTES => (self.delay * 2).min(longest),
            MANY_BYTES.. => (self.delay / 2).max(self.longest / SHORTEST_PART),
            _ => self.delay,
        };
        self.delay
    }
}

/// A fifth of the time in which 10 Gbit/s fill the receive buffer that we ask for. A report is late by no more than this.
const LONGEST: Duration = Duration::from_millis(4);
const SHORTEST_PART: u32 = 8;

/// The window of 128 hosts. Where so many answer in turn, the round does not wait for one of them: delays may be twice as long.
const MANY_HOSTS: Duration = Duration::from_millis(32);

/// A delay that brought less than a short batch was too short; one that brought more than fits a cache was too long.
const FEW_BYTES: usize = 64 << 10;
const MANY_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_while_little_comes_and_shrink_while_much_does() {
        let mut coalescer = Coalescer::up_to(LONGEST);
        assert!((0..10).map(|_| coalescer.next_delay(1_500, FEW_HOSTS)).is_sorted());
        assert_eq!(coalescer.next_delay(1_500, FEW_HOSTS), LONGEST);
        (0..10).for_each(|_| {
            coalescer.next_delay(1 << 20, FEW_HOSTS);
        });
        assert_eq!(coalescer.next_delay(1 << 20, FEW_HOSTS), LONGEST / SHORTEST_PART);
    }

    #[test]
    fn delays_are_longer_where_many_hosts_answer_in_turn_and_little_comes() {
        let mut coalescer = Coalescer::up_to(LONGEST);
        (0..10).for_each(|_| {
            coalescer.next_delay(1_500, 8 * LONGEST);
        });
        assert_eq!(coalescer.next_delay(1_500, 8 * LONGEST), 2 * LONGEST);
        assert_eq!(coalescer.next_delay(1_500, Duration::from_secs(2)), 2 * LONGEST);
        assert_eq!(coalescer.next_delay(1_500, FEW_HOSTS), LONGEST, "from the next poll on");
        (0..10).for_each(|_| {
            coalescer.next_delay(1 << 20, 8 * LONGEST);
        });
        assert_eq!(coalescer.next_delay(1 << 20, 8 * LONGEST), LONGEST / SHORTEST_PART);
    }

    #[test]
    fn a_small_receive_buffer_has_short_delays() {
        let mut coalescer = Coalescer::up_to(Duration::from_micros(25));
        assert!((0..10).all(|_| coalescer.next_delay(0, FEW_HOSTS) <= Duration::from_micros(25)));
    }

    /// Eight of them have a window of 2 ms.
    const FEW_HOSTS: Duration = Duration::from_millis(2);
}
