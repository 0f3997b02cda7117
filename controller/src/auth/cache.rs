//! A bounded map of values that hold for a time. Pure: the time is a parameter.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// Values by their keys, each until its time.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    values: HashMap<K, (V, Instant)>,
    /// The same keys by the ends of their values.
    ends: BTreeSet<(Instant, K)>,
    most: usize,
}

impl<K: Copy + Eq + Hash + Ord, V: Clone> Cache<K, V> {
    /// Returns an empty map for at most `most` values.
    pub(super) fn new(most: usize) -> Self {
        Self { values: HashMap::new(), ends: BTreeSet::new(), most }
    }

    /// Returns the value of a key, if it still holds.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        self.values.get(key).filter(|(_, end)| *end > now).map(|(value, _)| value.clone())
    }

    /// Keeps a value until `end`. If there is no room, values that no longer hold go, or else the one that ends first.
    pub(super) fn put(&mut self, key: K, value: V, end: Instant) {
        if let Some((_, before)) = self.values.insert(key, (value, end)) {
            self.ends.remove(&(before, key));
        }
        self.ends.insert((end, key));
        while self.values.len() > self.most {
            let Some((_, first)) = self.ends.pop_first() else { break };
            self.values.remove(&first);
        }
    }

    /// Returns the number of values, those that no longer hold among them.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_value_holds_until_its_time_and_the_first_to_end_makes_room() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut cache = Cache::new(2);
        cache.put(1, "one", start + 5 * second);
        cache.put(2, "two", start + 3 * second);
        assert_eq!((cache.get(&1, start), cache.get(&2, start + 3 * second)), (Some("one"), None));
        cache.put(3, "three", start + 9 * second);
        assert_eq!((cache.get(&1, start), cache.get(&2, start), cache.len()), (Some("one"), None, 2));
        cache.put(1, "uno", start + second);
        cache.put(4, "four", start + 2 * second);
        assert_eq!(cache.get(&1, start), None, "its end is the one of its last value");
        assert_eq!((cache.len(), cache.ends.len()), (2, 2));
    }
}
