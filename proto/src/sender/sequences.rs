//! The numbers of the sender's datagrams. No number is used twice under one key.

use crate::ids::Sequence;

/// The next numbers.
pub(super) struct Sequences {
    /// The next number to the group. There are no gaps, so that a host can count what it lost.
    group: u64,
    /// The next number of what does not go to everyone.
    unicast: u64,
    /// Datagrams to some of the paths.
    to_paths: u64,
}

impl Sequences {
    pub(super) fn new() -> Self {
        Self { group: 0, unicast: UNICAST, to_paths: 0 }
    }

    /// Takes `count` consecutive numbers for datagrams to the group; returns the first.
    ///
    /// # Panics
    /// After 2^39 datagrams, some 700 TB: the object's limit is far below.
    pub(super) fn take(&mut self, count: u32) -> Sequence {
        let first = self.next();
        self.group += u64::from(count);
        assert!(self.group < UNICAST);
        first
    }

    /// Takes a number for a datagram to a single host.
    ///
    /// # Panics
    /// After 2^39 datagrams.
    pub(super) fn take_unicast(&mut self) -> Sequence {
        self.take_for_some(1)
    }

    /// Takes `count` consecutive numbers for datagrams to some of the paths; returns the first.
    ///
    /// # Panics
    /// After 2^39 datagrams.
    pub(super) fn take_for_paths(&mut self, count: u32) -> Sequence {
        self.to_paths += u64::from(count);
        self.take_for_some(count)
    }

    /// The number of datagrams to some of the paths.
    pub(super) fn to_paths(&self) -> u64 {
        self.to_paths
    }

    /// Takes `count` consecutive numbers for datagrams that do not go to everyone; returns the first.
    ///
    /// # Panics
    /// After 2^39 datagrams.
    fn take_for_some(&mut self, count: u32) -> Sequence {
        let first = Sequence::new(self.unicast).expect("2^39 datagrams are beyond the object's limit");
        self.unicast += u64::from(count);
        first
    }

    /// The number of the next datagram to the group.
    pub(super) fn next(&self) -> Sequence {
        Sequence::new(self.group).expect("below 2^39")
    }

    /// The number of the last datagram to the group, or the first number if none was sent.
    pub(super) fn last(&self) -> Sequence {
        Sequence::new(self.group.saturating_sub(1)).expect("below 2^39")
    }
}

/// The first number of datagrams that do not go to everyone.
const UNICAST: u64 = Sequence::FOR_SOME;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_to_the_group_have_no_gaps_whoever_else_is_spoken_to() {
        let mut sequences = Sequences::new();
        assert_eq!((sequences.last().value(), sequences.next().value()), (0, 0));
        assert_eq!(sequences.take(5).value(), 0);
        let unicast = sequences.take_unicast();
        assert_eq!(sequences.take(1).value(), 5);
        assert_eq!((sequences.last().value(), sequences.next().value()), (5, 6));
        assert!(unicast.value() > sequences.take_unicast().value() - 2 && unicast.value() >= UNICAST);
    }

    #[test]
    #[should_panic(expected = "UNICAST")]
    fn numbers_to_the_group_never_reach_those_to_single_hosts() {
        let mut sequences = Sequences { group: UNICAST - 3, ..Sequences::new() };
        sequences.take(3);
    }
}
