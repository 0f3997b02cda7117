//! Random numbers from a seed: the same seed, the same run.

use std::collections::BTreeMap;
use std::time::Duration;

/// xorshift64*, begun by a mix of the seed (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // SplitMix64, so that neighbouring seeds have nothing in common.
        let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Evenly in 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// Evenly in `0..bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.number() >> 11) % bound
    }

    pub(crate) fn within(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// As often in each power of ten.
    pub(crate) fn log_within(&mut self, from: f64, to: f64) -> f64 {
        (from.ln() + (to.ln() - from.ln()) * self.unit()).exp()
    }

    /// Evenly in no time to `longest`.
    pub(crate) fn time(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.unit())
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| (self.number() >> 24) as u8)
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.number().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// How many of a number of tries come true, each with the same probability: drawn from the distribution itself, which
/// is worked out once for each number of tries.
pub(crate) struct Binomial {
    probability: f64,
    /// By the number of tries: the chance that at most so many come true.
    cumulative: BTreeMap<u32, Vec<f64>>,
}

impl Binomial {
    pub(crate) fn new(probability: f64) -> Self {
        Self { probability, cumulative: BTreeMap::new() }
    }

    pub(crate) fn draw(&mut self, dice: &mut Dice, tries: u32) -> u32 {
        if tries == 0 || self.probability <= 0.0 {
            return 0;
        }
        let probability = self.probability;
        let chances = self.cumulative.entry(tries).or_insert_with(|| cumulative(tries, probability));
        let at = dice.unit();
        chances.partition_point(|&chance| chance <= at) as u32
    }
}

/// As far as it makes a difference to a number of 53 bits.
fn cumulative(tries: u32, probability: f64) -> Vec<f64> {
    let odds = (probability / (1.0 - probability)).ln();
    let mut log_chance = f64::from(tries) * (1.0 - probability).ln();
    let (mut sum, mut chances) = (0.0, Vec::new());
    for count in 0..=tries {
        sum += log_chance.exp();
        chances.push(sum);
        if sum > 1.0 - 1e-15 {
            break;
        }
        log_chance += odds + (f64::from(tries - count) / f64::from(count + 1)).ln();
    }
    chances.pop(); // whatever is above all others is the last
    chances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_come_as_often_as_they_should() {
        let mut dice = Dice::new(1);
        let mut losses = Binomial::new(0.01);
        let counts: Vec<f64> = (0..20_000).map(|_| f64::from(losses.draw(&mut dice, 733))).collect();
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        let spread = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / counts.len() as f64;
        println!("mean {mean}, variance {spread}");
        assert!((mean - 7.33).abs() < 0.1 && (spread - 7.26).abs() < 0.4);
    }

    #[test]
    fn neighbouring_seeds_have_nothing_in_common() {
        let first = |seed| Dice::new(seed).unit();
        let mean = (0..1_000).map(first).sum::<f64>() / 1_000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
    }
}
