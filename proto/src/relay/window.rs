//! Which numbers of a session came, so that nothing is forwarded twice.

use crate::ids::Sequence;
use crate::limits::REPLAY_WINDOW;
use crate::receiver::Numbers;

/// The numbers of one session, of which there are two rows: what goes to everyone, and what goes to some alone.
pub(super) struct Window {
    everyone: Numbers,
    some: Numbers,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { everyone: Numbers::new(None), some: Numbers::new(None) }
    }

    /// Whether a datagram of this number is the first one. Of a number that is too old to tell, it is not: one that has left
    /// the window, or that is below the first one that came.
    pub(super) fn is_first(&self, sequence: Sequence) -> bool {
        let (row, number) = (self.row(sequence), sequence.value());
        let is_noted =
            number + REPLAY_WINDOW > row.newest() && row.first().is_none_or(|first| number >= first);
        is_noted && !row.came(number)
    }

    /// Notes the number of a datagram that was opened.
    pub(super) fn note(&mut self, sequence: Sequence) {
        let number = sequence.value();
        if sequence.is_for_some() {
            self.some.note(number)
        } else {
            self.everyone.note(number)
        };
    }

    /// The numbers of datagrams to everyone that did not come, beyond those that may be late.
    pub(super) fn gaps(&self) -> u64 {
        self.everyone.lost(self.everyone.newest().saturating_sub(LATE_MAX))
    }

    /// Notes `count` numbers from `first` on.
    #[cfg(feature = "simulation")]
    pub(super) fn note_run(&mut self, first: Sequence, count: u32) {
        let row = if first.is_for_some() { &mut self.some } else { &mut self.everyone };
        row.note_run(first.value(), count);
    }

    fn row(&self, sequence: Sequence) -> &Numbers {
        if sequence.is_for_some() { &self.some } else { &self.everyone }
    }
}

/// Datagrams by which another one may be overtaken on the way from a parent.
const LATE_MAX: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_passes_once_and_an_old_one_never() {
        let mut window = Window::new();
        for value in [10, 11, 13] {
            assert!(window.is_first(number(value)), "{value}");
            window.note(number(value));
            assert!(!window.is_first(number(value)), "{value}");
        }
        assert!(window.is_first(number(12)), "it is only late");
        window.note(number(11 + REPLAY_WINDOW));
        assert!(!window.is_first(number(11)) && window.is_first(number(12)));
    }

    #[test]
    fn a_number_below_the_first_one_never_passes_as_it_would_pass_again() {
        let mut window = Window::new();
        window.note(number(90));
        assert!(!window.is_first(number(87)) && window.is_first(number(91)));
    }

    #[test]
    fn what_goes_to_some_hosts_alone_has_numbers_of_its_own() {
        let mut window = Window::new();
        let some = number(Sequence::FOR_SOME + 5);
        window.note(some);
        assert!(!window.is_first(some) && window.is_first(number(5)));
        assert_eq!(window.gaps(), 0);
    }

    #[test]
    fn gaps_count_once_they_cannot_be_late_any_more() {
        let mut window = Window::new();
        [0, 1, 4].into_iter().for_each(|value| window.note(number(value)));
        assert_eq!(window.gaps(), 0);
        (5..400).for_each(|value| window.note(number(value)));
        assert_eq!(window.gaps(), 2);
    }

    fn number(value: u64) -> Sequence {
        Sequence::new(value).expect("small")
    }
}
