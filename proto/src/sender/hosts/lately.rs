//! Counts that are for one second each, by key.
//!
//! Those of past seconds are forgotten one after the other, as new ones are made: a second that begins with the removal
//! of ten thousand counts would delay what is to be sent by milliseconds.

use std::collections::{BTreeMap, VecDeque};

/// The counts of the current second, and those of past ones that are not removed yet.
pub(super) struct Lately<K, V> {
    second: u64,
    /// With the second that each is for.
    counts: BTreeMap<K, (u64, V)>,
    /// The keys in the order in which their counts were made.
    order: VecDeque<(u64, K)>,
}

impl<K, V> Default for Lately<K, V> {
    fn default() -> Self {
        Self { second: 0, counts: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Ord, V: Default> Lately<K, V> {
    /// Begins the next second: all counts are at their defaults.
    pub(super) fn begin(&mut self) {
        self.second += 1;
    }

    /// Returns the count of a key, if there is one in this second.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.counts.get(key).filter(|(second, _)| *second == self.second).map(|(_, count)| count)
    }

    /// Returns the count of a key, which is made if there is none in this second.
    pub(super) fn of(&mut self, key: &K) -> &mut V {
        self.forget_some();
        if self.get(key).is_none() {
            self.counts.insert(key.clone(), (self.second, V::default()));
            self.order.push_back((self.second, key.clone()));
        }
        &mut self.counts.get_mut(key).expect("it was made before").1
    }

    /// Removes more counts of past seconds than one call can make.
    fn forget_some(&mut self) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            if self.order.front().is_none_or(|(second, _)| *second == self.second) {
                return;
            }
            let (second, key) = self.order.pop_front().expect("just seen");
            if self.counts.get(&key).is_some_and(|(of, _)| *of == second) {
                self.counts.remove(&key);
            }
        }
    }
}

const FORGOTTEN_AT_ONCE: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_for_one_second() {
        let mut counts = Lately::<u32, u32>::default();
        *counts.of(&7) += 1;
        *counts.of(&7) += 1;
        assert_eq!(counts.get(&7), Some(&2));
        counts.begin();
        assert_eq!(counts.get(&7), None);
        *counts.of(&7) += 1;
        assert_eq!(counts.get(&7), Some(&1));
    }

    #[test]
    fn past_counts_are_removed_a_few_at_a_time_and_do_not_pile_up() {
        let mut counts = Lately::<u32, u32>::default();
        for second in 0..5 {
            (0..1_000).for_each(|n| *counts.of(&(1_000 * second + n)) += 1);
            assert!(counts.counts.len() <= 2_000 && counts.order.len() <= 2_000, "in second {second}");
            counts.begin();
        }
        let before = counts.counts.len();
        counts.of(&0);
        assert_eq!(counts.counts.len(), before + 1 - FORGOTTEN_AT_ONCE);
    }

    #[test]
    fn a_count_that_was_made_anew_outlives_the_place_of_the_old_one() {
        let mut counts = Lately::<u32, u32>::default();
        *counts.of(&1) += 1;
        counts.begin();
        *counts.of(&1) += 5;
        *counts.of(&2) += 1;
        assert_eq!(counts.get(&1), Some(&5));
    }
}
