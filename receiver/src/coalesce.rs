//! Receive coalescing: how long the receive loop leaves empty sockets alone. Waking for each GSO batch costs more than
//! processing it, so datagrams that arrive during a delay are read together. Delays grow while little arrives. They are
//! never so long that the receive buffer could overflow or a sender would wait for a report.

use std::time::Duration;

use glancecast_platform::transport::Buffer;

/// Chooses the next delay by what arrived during the last one.
#[derive(Debug)]
pub(crate) struct Coalescer {
    delay: Duration,
    longest: Duration,
}

impl Coalescer {
    /// Returns a coalescer with delays that fit `buffer`.
    pub(crate) fn new(buffer: Buffer) -> Self {
        Self::up_to(LONGEST.mul_f64((buffer.bytes as f64 / buffer.wanted as f64).min(1.0)))
    }

    fn up_to(longest: Duration) -> Self {
        Self { delay: longest / 4, longest }
    }

    /// Returns the next delay, if the last batch had `bytes` bytes and all hosts together take `window` to answer a
    /// poll.
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

/// A fifth of the time in which 10 Gbit/s fill the receive buffer that is asked for; it also bounds a report's delay.
const LONGEST: Duration = Duration::from_millis(4);
const SHORTEST_PART: u32 = 8;

/// The poll window of 128 hosts. With that many, a round does not wait for a single host, so delays may be twice as
/// long.
const MANY_HOSTS: Duration = Duration::from_millis(32);

/// A delay that brought less than this, a short batch, was too short. One that brought more than `MANY_BYTES`, which no
/// longer fit a cache, was too long.
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

    /// The poll window of eight hosts.
    const FEW_HOSTS: Duration = Duration::from_millis(2);
}
