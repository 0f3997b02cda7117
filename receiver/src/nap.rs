//! How long the receiving thread leaves its sockets alone when they are empty. Waking for each train costs more than all
//! that is done with it; what comes during a nap is taken in together. Naps are as long as little comes, and never so long
//! that the receive buffer could overflow or a sender would wait for a report.

use std::time::Duration;

use glancecast_host::socket::GroupReceiver;

/// The next nap, by what the last one brought.
#[derive(Debug)]
pub(crate) struct Nap {
    length: Duration,
    longest: Duration,
}

impl Nap {
    /// Naps that fit this socket's receive buffer.
    pub(crate) fn new(group: &GroupReceiver) -> Self {
        let buffer = group.buffer();
        Self::up_to(LONGEST.mul_f64((buffer.bytes as f64 / buffer.wanted as f64).min(1.0)))
    }

    fn up_to(longest: Duration) -> Self {
        Self { length: longest / 4, longest }
    }

    /// The nap to take now, when the last batch had so many bytes.
    pub(crate) fn take(&mut self, bytes: usize) -> Duration {
        self.length = match bytes {
            0..FEW_BYTES => (self.length * 2).min(self.longest),
            MANY_BYTES.. => (self.length / 2).max(self.longest / SHORTEST_PART),
            _ => self.length,
        };
        self.length
    }
}

/// A fifth of the time in which 10 Gbit/s fill the receive buffer that we ask for; all that a report loses by it.
const LONGEST: Duration = Duration::from_millis(4);
const SHORTEST_PART: u32 = 8;

/// A nap that brought less than a short train was too short; one that brought more than fits a cache was too long.
const FEW_BYTES: usize = 64 << 10;
const MANY_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naps_grow_while_little_comes_and_shrink_while_much_does() {
        let mut nap = Nap::up_to(LONGEST);
        assert!((0..10).map(|_| nap.take(1_500)).is_sorted());
        assert_eq!(nap.take(1_500), LONGEST);
        (0..10).for_each(|_| {
            nap.take(1 << 20);
        });
        assert_eq!(nap.take(1 << 20), LONGEST / SHORTEST_PART);
    }

    #[test]
    fn a_small_receive_buffer_has_short_naps() {
        let mut nap = Nap::up_to(Duration::from_micros(25));
        assert!((0..10).all(|_| nap.take(0) <= Duration::from_micros(25)));
    }
}
