//! Whose name is whose: by the keys that are known, and within a push by the first key that a name came with.

use std::collections::BTreeMap;

use crate::ids::HostName;
use crate::known::{FirstUse, KnownHosts, Standing};
use crate::sign::PublicKey;

/// The keys that names belong to in this push.
pub(super) struct Owners {
    known: KnownHosts,
    /// Names that were not known, with the key of their first start: no more than there are names with a start.
    first_uses: BTreeMap<HostName, First>,
    /// Known names that have a start.
    present: usize,
}

/// The key of the first start of a name that was not known.
#[derive(Clone, Copy)]
struct First {
    key: PublicKey,
    /// Whether the holder of another key has claimed the name, too.
    is_contested: bool,
}

impl Owners {
    pub(super) fn new(known: KnownHosts) -> Self {
        Self { known, first_uses: BTreeMap::new(), present: 0 }
    }

    /// Whether a key was known for this name before the push.
    pub(super) fn knows(&self, name: &HostName) -> bool {
        self.known.keys.contains_key(name)
    }

    /// The number of names that were known before the push and have no start yet.
    pub(super) fn absent(&self) -> usize {
        self.known.keys.len() - self.present
    }

    /// Returns what `key` is for `name`. Nothing is proven yet by it.
    pub(super) fn standing(&self, name: &HostName, key: PublicKey) -> Standing {
        match (self.known.standing(name, key), self.first_uses.get(name)) {
            (Standing::FirstUse, Some(first)) if first.key == key => Standing::Known,
            (Standing::FirstUse, Some(first)) => Standing::Changed(first.key),
            (standing, _) => standing,
        }
    }

    /// Notes that a name has its first start, whose key is `key`.
    pub(super) fn note_first_start(&mut self, name: &HostName, key: PublicKey) {
        if self.knows(name) {
            self.present += 1;
        } else {
            self.first_uses.insert(name.clone(), First { key, is_contested: false });
        }
    }

    /// Notes that the holder of another key has claimed this name.
    pub(super) fn note_claim(&mut self, name: &HostName) {
        if let Some(first) = self.first_uses.get_mut(name) {
            first.is_contested = true;
        }
    }

    /// Returns the names that were not known and that one key alone has claimed, sorted.
    pub(super) fn first_uses(&self) -> Vec<FirstUse> {
        let undisputed = self.first_uses.iter().filter(|(_, first)| !first.is_contested);
        undisputed.map(|(name, first)| FirstUse { name: name.clone(), key: first.key }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_a_push_a_name_belongs_to_the_key_that_it_came_with_first() {
        let (a, b) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let name = HostName::new("a").expect("plain");
        let mut owners = Owners::new(KnownHosts::default());
        assert_eq!(owners.standing(&name, b), Standing::FirstUse);
        owners.note_first_start(&name, a);
        assert_eq!(owners.standing(&name, a), Standing::Known);
        assert_eq!(owners.standing(&name, b), Standing::Changed(a));
        assert!(!owners.knows(&name), "not from before");
        assert_eq!(owners.first_uses(), [FirstUse { name: name.clone(), key: a }]);
        owners.note_claim(&name);
        assert_eq!(owners.first_uses(), [], "nobody can tell whose it is");
    }
}
