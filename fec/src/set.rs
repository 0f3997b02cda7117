//! The symbols of a block that are held: a bitmap with a count.

use std::ops::Range;

/// A set of symbol indices below a fixed bound, with its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolSet {
    words: Vec<u64>,
    bound: u32,
    count: u32,
}

impl SymbolSet {
    /// Creates an empty set of indices of `0..bound`.
    pub fn empty(bound: u32) -> Self {
        Self { words: vec![0; words_for(bound)], bound, count: 0 }
    }

    /// Creates the set of all indices of `0..bound`.
    pub fn full(bound: u32) -> Self {
        let mut set = Self::empty(bound);
        (0..bound).for_each(|index| {
            set.insert(index);
        });
        set
    }

    /// Empties the set and sets a new bound. Allocates only if the bound is larger than any before.
    pub fn reset(&mut self, bound: u32) {
        self.words.clear();
        self.words.resize(words_for(bound), 0);
        self.bound = bound;
        self.count = 0;
    }

    /// Adds an index. Returns false if the set already contains it.
    ///
    /// # Panics
    /// If `index` is not below the bound.
    pub fn insert(&mut self, index: u32) -> bool {
        assert!(index < self.bound, "index {index} of {}", self.bound);
        let (word, bit) = place(index);
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u32::from(new);
        new
    }

    /// Adds every index of `range`, which the set must contain none of. Returns false, and adds none, if it contains any.
    ///
    /// # Panics
    /// If the range ends above the bound.
    pub fn insert_range(&mut self, range: Range<u32>) -> bool {
        assert!(range.end <= self.bound, "indices to {} of {}", range.end, self.bound);
        let words = (range.start / 64) as usize..words_for(range.end);
        let bits = |word: usize| {
            let (from, to) = (range.start.max(word as u32 * 64), range.end.min(word as u32 * 64 + 64));
            (u64::MAX >> (64 - (to - from))) << (from % 64)
        };
        if range.is_empty() || words.clone().any(|word| self.words[word] & bits(word) != 0) {
            return range.is_empty();
        }
        words.for_each(|word| self.words[word] |= bits(word));
        self.count += range.end - range.start;
        true
    }

    /// Removes an index. Returns false if the set does not contain it.
    ///
    /// # Panics
    /// If `index` is not below the bound.
    pub fn remove(&mut self, index: u32) -> bool {
        assert!(index < self.bound, "index {index} of {}", self.bound);
        let (word, bit) = place(index);
        let there = self.words[word] & bit != 0;
        self.words[word] &= !bit;
        self.count -= u32::from(there);
        there
    }

    /// Whether the set contains an index; false for one past the bound.
    pub fn contains(&self, index: u32) -> bool {
        let (word, bit) = place(index);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Returns the number of indices in the set.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Returns the bound.
    pub fn bound(&self) -> u32 {
        self.bound
    }

    /// Whether the set contains all of `0..bound`.
    pub fn is_full(&self) -> bool {
        self.count == self.bound
    }

    /// Returns the indices that are not in the set, ascending.
    pub fn missing(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.bound).filter(|&index| !self.contains(index))
    }

    /// Returns the first index at or after `from` that is not in the set, or the bound.
    pub fn first_missing(&self, from: u32) -> u32 {
        let mut index = from;
        while index < self.bound {
            let (word, _) = place(index);
            let absent = !self.words[word] >> (index % 64);
            if absent != 0 {
                return (index + absent.trailing_zeros()).min(self.bound);
            }
            index = (index / 64 + 1) * 64;
        }
        self.bound
    }
}

fn words_for(bound: u32) -> usize {
    bound.div_ceil(64) as usize
}

fn place(index: u32) -> (usize, u64) {
    ((index / 64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_inserts_and_removes() {
        let mut set = SymbolSet::empty(130);
        assert!(set.insert(0) && set.insert(129) && !set.insert(129));
        assert_eq!(set.count(), 2);
        assert!(set.remove(0) && !set.remove(0));
        assert_eq!(set.count(), 1);
        assert!(!set.contains(4_000_000));
        set.reset(3);
        assert_eq!((set.count(), set.bound()), (0, 3));
    }

    #[test]
    fn a_range_is_added_as_its_indices_one_by_one() {
        for range in [0..0, 0..1, 3..64, 60..70, 64..128, 5..130] {
            let (mut at_once, mut one_by_one) = (SymbolSet::empty(130), SymbolSet::empty(130));
            assert!(at_once.insert_range(range.clone()), "{range:?}");
            range.clone().for_each(|index| assert!(one_by_one.insert(index)));
            assert_eq!(at_once, one_by_one, "{range:?}");
            assert_eq!(at_once.insert_range(range.clone()), range.is_empty(), "it is there already");
            assert_eq!(at_once, one_by_one, "{range:?}");
        }
    }

    #[test]
    fn first_missing_agrees_with_a_plain_scan() {
        for hole in [0, 1, 63, 64, 65, 127, 128, 199] {
            let mut set = SymbolSet::full(200);
            set.remove(hole);
            for from in 0..=200 {
                let plain = (from..200).find(|&i| !set.contains(i)).unwrap_or(200);
                assert_eq!(set.first_missing(from), plain, "hole {hole}, from {from}");
            }
        }
        assert!(SymbolSet::full(200).is_full());
        assert_eq!(SymbolSet::full(128).first_missing(5), 128);
    }
}
