//! The symbols of a block that are held: a bitmap with a count.

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

    /// Empties the set and adds every index of `0..end`.
    ///
    /// # Panics
    /// If `end` is above the bound.
    pub fn fill_to(&mut self, end: u32) {
        assert!(end <= self.bound, "index {end} of {}", self.bound);
        let (last, bits) = (end as usize / 64, end % 64);
        for (at, word) in self.words.iter_mut().enumerate() {
            *word = match at.cmp(&last) {
                std::cmp::Ordering::Less => u64::MAX,
                std::cmp::Ordering::Equal => (1 << bits) - 1,
                std::cmp::Ordering::Greater => 0,
            };
        }
        self.count = end;
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
