//! How long the receiving thread leaves its sockets alone when they are empty. Waking for each GSO batch costs more than all
//! that is done with it; what comes during a nap is taken in together. Naps are as long as little comes, and never so long
//! that the receive buffer could overflow or a sender would wait for a report.

use std::time::Duration;

use glancecast_platform::transport::Buffer;

/// The next nap, by what the last one brought.
#[derive(Debug)]
pub(crate) struct Nap {
    length: Duration,
    longest: Duration,
}

impl Nap {
    /// Naps that fit this receive buffer.
    pub(crate) fn new(buffer: Buffer) -> Self {
        Self::up_to(LONGEST.mul_f64((buffer.bytes as f64 / buffer.wanted as f64).min(1.0)))
    }

    fn up_to(longest: Duration) -> Self {
        Self { length: longest / 4, longest }
    }

    /// The nap to take now, when the last batch had so many bytes and all hosts together take so long to answer a poll.
    pub(crate) fn take(&mut self, bytes: usize, window: Duration) -> Duration {
        let many = window.as_secs_f64() / MANY_HOSTS.as_secs_f64();
        let longest = self.longest.mul_f64((2.0 * many).clamp(1.0, 2.0));
        self.length = match bytes {
            0..FEW_BYTES => (self.length * 2).min(longest),
            MANY_BYTES.. => (self.length / 2).max(self.longest / SHORTEST_PART),
            _ => self.length,
        };
        self.length
    }
}

/// A fifth of the time in which 10 Gbit/s fill the receive buffer that we ask for; all that a report loses by it.
const LONGEST: Duration = Duration::from_millis(4);
const SHORTEST_PART: u32 = 8;

/// Where a hundred hosts answer in turn nobody waits for one of them: the sender takes the fastest answer for the time that
/// the network needs, and asks again 10 ms after the last turn. Their naps may be twice as long: in the window of 128 hosts.
const MANY_HOSTS: Duration = Duration::from_millis(32);

/// A nap that brought less than a short batch was too short; one that brought more than fits a cache was too long.
const FEW_BYTES: usize = 64 << 10;
const MANY_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naps_grow_while_little_comes_and_shrink_while_much_does() {
        let mut nap = Nap::up_to(LONGEST);
        assert!((0..10).map(|_| nap.take(1_500, FEW_HOSTS)).is_sorted());
        assert_eq!(nap.take(1_500, FEW_HOSTS), LONGEST);
        (0..10).for_each(|_| {
            nap.take(1 << 20, FEW_HOSTS);
        });
        assert_eq!(nap.take(1 << 20, FEW_HOSTS), LONGEST / SHORTEST_PART);
    }

    #[test]
    fn naps_are_longer_where_many_hosts_answer_in_turn_and_little_comes() {
        let mut nap = Nap::up_to(LONGEST);
        (0..10).for_each(|_| {
            nap.take(1_500, 8 * LONGEST);
        });
        assert_eq!(nap.take(1_500, 8 * LONGEST), 2 * LONGEST);
        assert_eq!(nap.take(1_500, Duration::from_secs(2)), 2 * LONGEST);
        assert_eq!(nap.take(1_500, FEW_HOSTS), LONGEST, "from the next poll on");
        (0..10).for_each(|_| {
            nap.take(1 << 20, 8 * LONGEST);
        });
        assert_eq!(nap.take(1 << 20, 8 * LONGEST), LONGEST / SHORTEST_PART);
    }

    #[test]
    fn a_small_receive_buffer_has_short_naps() {
        let mut nap = Nap::up_to(Duration::from_micros(25));
        assert!((0..10).all(|_| nap.take(0, FEW_HOSTS) <= Duration::from_micros(25)));
    }

    /// Eight of them have a window of 2 ms.
    const FEW_HOSTS: Duration = Duration::from_millis(2);
}
