//! Random numbers from a seed: the same seed gives the same numbers on every machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A random number generator, xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators,
/// scrambled"). It is not for secrets.
///
/// `tests/sim/RECORD.md` and `tests/sim/scale.txt` depend on its sequence, which a test below fixes.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Starts from a mix of the seed, so that neighbouring seeds are unrelated.
    pub fn new(seed: u64) -> Self {
        // One step of SplitMix64.
        let mut mixed = seed.wrapping_add(GOLDEN);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    /// Starts from a product of the seed, for tests whose seeds were chosen with this function.
    pub fn from_product(seed: u64) -> Self {
        Self(seed.wrapping_mul(GOLDEN) | 1)
    }

    /// Returns a seed from the clock; the caller prints it.
    pub fn seed_from_clock() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        u64::from(since.subsec_nanos()) ^ since.as_secs().rotate_left(20)
    }

    /// Returns any number but zero.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Returns a number between 0 and 1, uniformly.
    pub fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a number in `0..bound`, uniformly; `bound` must be small compared with 2^53.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.number() >> 11) % bound
    }

    /// Returns a number in `0..bound`, uniformly.
    pub fn below_u32(&mut self, bound: u32) -> u32 {
        self.below(u64::from(bound)) as u32
    }

    /// Returns an index into a sequence of `len` elements.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True with this probability. Zero draws no number, so that a disabled fault does not shift the other draws.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// True once in `times` on average.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Returns a number between `from` and `to`, uniformly.
    pub fn within(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// Returns a number between `from` and `to`, log-uniformly.
    pub fn log_within(&mut self, from: f64, to: f64) -> f64 {
        (from.ln() + (to.ln() - from.ln()) * self.unit()).exp()
    }

    /// Returns a time between zero and `longest`, uniformly.
    pub fn time(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.unit())
    }

    /// Returns an array of random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| (self.number() >> 24) as u8)
    }

    /// Fills a buffer with incompressible bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.number().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Returns a buffer filled by [`Rng::fill`].
    pub fn noise(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }
}

/// 2^64 divided by the golden ratio, as in SplitMix64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_seeds_keep_their_numbers() {
        let first = |mut rng: Rng| [rng.number(), rng.number()];
        assert_eq!(first(Rng::new(0)), NEW);
        assert_eq!(first(Rng::from_product(1)), PRODUCT);
    }

    #[test]
    fn neighbouring_seeds_have_nothing_in_common() {
        let mean = (0..1_000).map(|seed| Rng::new(seed).unit()).sum::<f64>() / 1_000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
    }

    #[test]
    fn a_buffer_of_any_length_is_filled_from_the_same_numbers() {
        let whole = Rng::new(7).noise(64);
        for len in 0..64 {
            assert_eq!(Rng::new(7).noise(len), whole[..len]);
        }
    }

    const NEW: [u64; 2] = [0x7BBC_B40D_5506_82D0, 0xDE7F_E413_D00C_C9FD];
    const PRODUCT: [u64; 2] = [0x0D83_B3E2_9A21_487A, 0x54C4_4C79_F1FE_9D67];
}
