//! Random numbers from a seed: the same seed, the same run.

use std::collections::BTreeMap;

pub(crate) use glancecast_testkit::Rng as Dice;

/// A binomial distribution: how many of a number of tries succeed, each with the same probability. The distribution is
/// computed once for each number of tries.
pub(crate) struct Binomial {
    probability: f64,
    /// By the number of tries: the probabilities of at most 0, 1, 2, ... successes.
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

/// Returns the cumulative distribution, cut off where the rest is below the resolution of 53 random bits.
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
    chances.pop(); // draws above all others are the last count
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
}
