//! How far ahead of the sender's progress a host collects blocks.

use crate::ids::BlockIndex;
use crate::limits::INTERLEAVED_BLOCKS;
use crate::wire::Discard;

/// The first block that gets no buffer.
///
/// Without it, one forged symbol for each free buffer, of blocks that are still to come, leaves a host without a buffer
/// until the pass gets there. It follows what the sender has signed: polls, and the entries of the manifest, which
/// leave with the first symbols of their blocks. A push that is not signed has none, as whoever can forge symbols can
/// forge its progress too; nor has one with a base, in which any block may come next.
pub(super) struct Horizon {
    end: u32,
    /// How many blocks the symbols may be ahead.
    slack: u32,
}

impl Horizon {
    /// Returns a horizon that no block is beyond.
    pub(super) fn none() -> Self {
        Self { end: u32::MAX, slack: 0 }
    }

    /// Returns the horizon of a push of which nothing is known, on a host with `buffers` buffers.
    pub(super) fn new(buffers: u32) -> Self {
        let slack = (buffers / 2).clamp(SLACK_MIN, SLACK_MAX);
        Self { end: slack, slack }
    }

    /// Notes that the sender is with the blocks below `end`.
    pub(super) fn reach(&mut self, end: u32) {
        self.end = self.end.max(end.saturating_add(self.slack));
    }

    /// Checks that a block is not beyond.
    ///
    /// # Errors
    /// [`Discard::FarAhead`] if it is.
    pub(super) fn check(&self, block: BlockIndex) -> Result<(), Discard> {
        if block.0 < self.end { Ok(()) } else { Err(Discard::FarAhead) }
    }
}

/// Blocks by which symbols are ahead of the manifest at least: those that are interleaved, as entries wait for each
/// other in batches of as many.
const SLACK_MIN: u32 = INTERLEAVED_BLOCKS as u32;
/// The same when several datagrams of the manifest were lost in a row.
const SLACK_MAX: u32 = 8 * SLACK_MIN;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_follows_the_sender_and_never_recedes() {
        let mut horizon = Horizon::new(16);
        assert_eq!(beyond(&horizon), 8);
        horizon.reach(100);
        horizon.reach(50);
        assert_eq!(beyond(&horizon), 108);
        horizon.reach(u32::MAX);
        assert_eq!(horizon.check(BlockIndex(u32::MAX - 1)), Ok(()));
    }

    #[test]
    fn a_host_with_few_buffers_collects_what_is_interleaved() {
        assert_eq!(beyond(&Horizon::new(4)), SLACK_MIN);
        assert_eq!(beyond(&Horizon::new(10_000)), SLACK_MAX);
    }

    fn beyond(horizon: &Horizon) -> u32 {
        (0..).find(|&block| horizon.check(BlockIndex(block)) == Err(Discard::FarAhead)).expect("somewhere")
    }
}
