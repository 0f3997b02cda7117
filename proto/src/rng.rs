//! Randomness from a seed that the shell draws: the machines have no other source of it.

use std::time::Duration;

/// A stream of random bytes: BLAKE3 in keyed mode as an extendable output.
pub(crate) struct Rng(blake3::OutputReader);

impl Rng {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self(blake3::Hasher::new_keyed(seed).finalize_xof())
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    /// Returns a duration from 0 up to `bound`, evenly distributed.
    pub(crate) fn below(&mut self, bound: Duration) -> Duration {
        let share = f64::from(u32::from_be_bytes(self.bytes())) / (f64::from(u32::MAX) + 1.0);
        bound.mul_f64(share)
    }
}
