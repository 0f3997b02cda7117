//! Sets of paths, and the addresses that they stand for.

use std::net::SocketAddr;

use crate::limits::PATHS_MAX;

/// A set of paths: bit i is the path with the number i.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathSet(u64);

impl PathSet {
    /// The set without a path.
    pub const NONE: Self = Self(0);

    /// Returns the set of this path alone.
    ///
    /// # Panics
    /// If there is no path of this number: it is not below [`PATHS_MAX`].
    pub const fn of(path: u32) -> Self {
        assert!(path < PATHS_MAX);
        Self(1 << path)
    }

    /// Whether the path is in the set.
    pub const fn contains(self, path: u32) -> bool {
        path < PATHS_MAX && self.0 >> path & 1 == 1
    }

    /// The number of paths.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the paths of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the paths that are in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the paths that are not in the other set.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the numbers of the paths, ascending.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let path = left.checked_ilog2().map(|_| left.trailing_zeros())?;
            left &= left - 1;
            Some(path)
        })
    }
}

impl FromIterator<u32> for PathSet {
    fn from_iter<I: IntoIterator<Item = u32>>(paths: I) -> Self {
        paths.into_iter().fold(Self::NONE, |set, path| set.union(Self::of(path)))
    }
}

/// The paths of a push, each with the address that its datagrams go to. A path keeps its number for as long as it is
/// there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathAddrs {
    addrs: Vec<Option<SocketAddr>>,
    version: u32,
}

impl PathAddrs {
    /// Returns all paths.
    pub fn all(&self) -> PathSet {
        (0..).zip(&self.addrs).filter(|(_, addr)| addr.is_some()).map(|(path, _)| path).collect()
    }

    /// Returns the address of a path, if the path is there.
    pub fn addr(&self, path: u32) -> Option<SocketAddr> {
        self.addrs.get(path as usize).copied().flatten()
    }

    /// Returns the addresses of the paths of a set that are there, in the order of their numbers.
    pub fn of(&self, set: PathSet) -> impl Iterator<Item = SocketAddr> {
        set.iter().filter_map(|path| self.addr(path))
    }

    /// Returns the path that goes to this address.
    pub fn find(&self, addr: SocketAddr) -> Option<u32> {
        let at = self.addrs.iter().position(|&there| there == Some(addr))?;
        Some(at as u32)
    }

    /// Counted up with each change, so that a shell keeps what it derives from the paths.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Adds a path to this address; returns its number, or `None` if there are [`PATHS_MAX`] paths.
    pub(super) fn add(&mut self, addr: SocketAddr) -> Option<u32> {
        if let Some(path) = self.find(addr) {
            return Some(path);
        }
        let free = self.addrs.iter().position(Option::is_none).unwrap_or(self.addrs.len());
        if free >= PATHS_MAX as usize {
            return None;
        }
        if free == self.addrs.len() {
            self.addrs.push(None);
        }
        self.addrs[free] = Some(addr);
        self.version += 1;
        Some(free as u32)
    }

    /// Removes a path.
    pub(super) fn remove(&mut self, path: u32) {
        if let Some(addr) = self.addrs.get_mut(path as usize) {
            *addr = None;
            self.version += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_paths_that_were_put_in() {
        let set: PathSet = [0, 5, 63].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 5, 63]);
        assert_eq!((set.len(), set.contains(5), set.contains(6), set.contains(64)), (3, true, false, false));
        assert_eq!(set.without(PathSet::of(5)).iter().collect::<Vec<_>>(), [0, 63]);
        assert_eq!(set.intersection(PathSet::of(63)), PathSet::of(63));
        assert_eq!(PathSet::NONE.union(set), set);
        assert!(PathSet::NONE.is_empty() && PathSet::NONE.iter().next().is_none());
    }

    #[test]
    fn a_path_keeps_its_number_while_others_go() {
        let addr = |last: u8| SocketAddr::from(([10, 0, 0, last], 7167));
        let mut paths = PathAddrs::default();
        assert_eq!([1, 2, 3].map(|last| paths.add(addr(last))), [Some(0), Some(1), Some(2)]);
        assert_eq!(paths.add(addr(2)), Some(1), "it is there");
        let version = paths.version();
        paths.remove(1);
        assert!(paths.version() > version);
        assert_eq!((paths.addr(1), paths.find(addr(3))), (None, Some(2)));
        assert_eq!(paths.all().iter().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(paths.of(paths.all()).collect::<Vec<_>>(), [addr(1), addr(3)]);
        assert_eq!(paths.add(addr(4)), Some(1), "a number that is free");
    }

    #[test]
    fn there_are_no_more_paths_than_a_set_holds() {
        let mut paths = PathAddrs::default();
        let added = (0..200u8).filter_map(|last| paths.add(([10, 0, 0, last], 7167).into())).count();
        assert_eq!(added, PATHS_MAX as usize);
    }
}
