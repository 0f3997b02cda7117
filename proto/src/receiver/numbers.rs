//! The sequences of datagrams to the group: which arrived, how many were lost, which are replays, and which cannot
//! be the sender's.
//!
//! In a signed session, a number that is only sealed is not believed if it is far beyond the last signed one: any
//! host that has the group key can forge sealed numbers. The next signed number corrects what a forged one has
//! done.

use std::ops::Range;

use crate::limits::{REPLAY_WINDOW, SEQUENCES_AHEAD_MAX};

/// The numbers of one session.
pub(crate) struct Numbers {
    first: Option<u64>,
    highest: u64,
    received: u64,
    /// Of those, how many came after higher ones.
    late: u64,
    /// The highest signed number, in a signed session.
    signed: Option<u64>,
    /// The last [`REPLAY_WINDOW`] numbers up to `highest`, a bit each, in a ring.
    seen: Box<[u64; (REPLAY_WINDOW / 64) as usize]>,
}

/// How the number of a datagram compares to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is higher than all of them.
    Newest,
    /// It was overtaken by a higher one.
    Late,
    /// It came before, or is older than the first one.
    Known,
}

impl Numbers {
    /// Returns an empty record. `signed` is the announcement's number if the announcement is signed.
    pub(crate) fn new(signed: Option<u64>) -> Self {
        let seen = Box::new([0; (REPLAY_WINDOW / 64) as usize]);
        Self { first: None, highest: 0, received: 0, late: 0, signed, seen }
    }

    /// Whether a datagram of this number can be the sender's.
    #[inline]
    pub(super) fn is_plausible(&self, number: u64) -> bool {
        self.signed.is_none_or(|signed| number <= signed + SEQUENCES_AHEAD_MAX)
    }

    /// Whether a datagram of this number came before. A number older than the window counts as new.
    #[inline]
    pub(crate) fn came(&self, number: u64) -> bool {
        let known = self.first.is_some() && number <= self.highest && self.highest - number < REPLAY_WINDOW;
        known && self.bit(number)
    }

    /// Counts an opened datagram; returns how its number compares to those before.
    pub(crate) fn note(&mut self, number: u64) -> Arrival {
        let first = *self.first.get_or_insert(number);
        if number < first || self.came(number) {
            return Arrival::Known; // overtaken by the first one counted, or a replay
        }
        let newer = self.received == 0 || number > self.highest;
        if newer {
            self.forget_up_to(number);
            self.highest = number;
        }
        if self.highest - number < REPLAY_WINDOW {
            self.seen[Self::word(number)] |= 1 << (number % 64);
        }
        self.received += 1;
        self.late += u64::from(!newer);
        if newer { Arrival::Newest } else { Arrival::Late }
    }

    /// Counts a signed datagram: the sender has sent nothing with a number much above it. Returns whether the numbers
    /// so far were forged, and are forgotten.
    pub(super) fn note_signed(&mut self, number: u64) -> bool {
        let were_forged = self.first.is_some() && self.highest > number + OVERTAKEN_MAX;
        if were_forged {
            // The losses counted so far come from forged numbers, which made all others late.
            (self.first, self.highest, self.received, self.late) = (None, 0, 0, 0);
            self.seen.fill(0);
        }
        self.note(number);
        self.signed = self.signed.max(Some(number));
        were_forged
    }

    /// Returns the highest number that is the sender's beyond doubt, for reports. In a signed session it is a
    /// signed one, which is nearly as high, as reports answer polls.
    pub(super) fn highest(&self) -> u64 {
        self.signed.unwrap_or(self.highest)
    }

    /// Returns the number of the first datagram that was noted: of those below it nothing is known.
    pub(crate) fn first(&self) -> Option<u64> {
        self.first
    }

    /// Returns the highest number, whether it is the sender's or not.
    pub(crate) fn newest(&self) -> u64 {
        self.highest
    }

    /// The number of datagrams that came after later ones, and were counted as lost until then.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    /// The number of datagrams up to the number `settled` that never arrived.
    pub(crate) fn lost(&self, settled: u64) -> u64 {
        let Some(first) = self.first else { return 0 };
        let all = (self.highest - first + 1).saturating_sub(self.received);
        all.saturating_sub(self.missing_above(settled.max(first)))
    }

    /// The number of datagrams above the number `settled` that have not come, as far as the window reaches back.
    fn missing_above(&self, settled: u64) -> u64 {
        let mut number = settled.max(self.highest.saturating_sub(REPLAY_WINDOW - 1)) + 1;
        let mut missing = 0;
        while number <= self.highest {
            let bits = (64 - number % 64).min(self.highest + 1 - number);
            let mask = (u64::MAX >> (64 - bits)) << (number % 64);
            missing += u64::from((!self.seen[Self::word(number)] & mask).count_ones());
            number += bits;
        }
        missing
    }

    /// Clears the bits of the numbers above the highest up to this one: they belong to earlier numbers.
    fn forget_up_to(&mut self, number: u64) {
        if self.received == 0 || number - self.highest >= REPLAY_WINDOW {
            self.seen.fill(0);
            return;
        }
        self.clear(self.highest + 1..number + 1);
    }

    /// Clears the bits of `numbers`, which are fewer than a window.
    fn clear(&mut self, numbers: Range<u64>) {
        self.change(numbers, |word, bits| *word &= !bits);
    }

    /// Applies `change` word by word to the bits of `numbers`, which are fewer than a window.
    fn change(&mut self, numbers: Range<u64>, change: impl Fn(&mut u64, u64)) {
        let mut number = numbers.start;
        while number < numbers.end {
            let bits = (64 - number % 64).min(numbers.end - number);
            change(&mut self.seen[Self::word(number)], (u64::MAX >> (64 - bits)) << (number % 64));
            number += bits;
        }
    }

    fn bit(&self, number: u64) -> bool {
        self.seen[Self::word(number)] >> (number % 64) & 1 == 1
    }

    fn word(number: u64) -> usize {
        (number % REPLAY_WINDOW / 64) as usize
    }
}

#[cfg(any(test, feature = "simulation"))]
impl Numbers {
    /// Counts `count` datagrams of consecutive numbers; returns how many of them are new, and how the last compares to
    /// those before.
    pub(crate) fn note_run(&mut self, first: u64, count: u32) -> (u64, Arrival) {
        let (before, end) = (self.received, first + u64::from(count));
        if before == 0 || first <= self.highest || end - self.highest >= REPLAY_WINDOW {
            let last = (first..end).map(|number| self.note(number)).last();
            return (self.received - before, last.unwrap_or(Arrival::Known));
        }
        self.clear(self.highest + 1..first);
        self.change(first..end, |word, bits| *word |= bits);
        (self.highest, self.received) = (end - 1, before + u64::from(count));
        (u64::from(count), Arrival::Newest)
    }
}

/// The number of later datagrams that may overtake one on its way. If more do, the count of losses starts anew,
/// with no other effect.
const OVERTAKEN_MAX: u64 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn what_comes_twice_counts_once() {
        let mut numbers = Numbers::new(None);
        for number in [10, 12, 12, 10, 13] {
            numbers.note(number);
        }
        assert_eq!((numbers.lost(numbers.newest()), numbers.highest()), (1, 13));
        assert!(numbers.came(12) && !numbers.came(11));
        numbers.note(11);
        assert_eq!(numbers.lost(numbers.newest()), 0, "it was only late");
    }

    #[test]
    fn what_is_not_settled_is_not_lost() {
        let mut numbers = Numbers::new(None);
        for number in [10, 12, 13, 17] {
            numbers.note(number);
        }
        assert_eq!([17, 16, 14, 13, 11, 10, 3].map(|settled| numbers.lost(settled)), [4, 4, 2, 1, 1, 0, 0]);
        numbers.note(17 + 10 * REPLAY_WINDOW);
        assert!(numbers.lost(12) >= 9 * REPLAY_WINDOW, "what is older than the window is lost");
    }

    #[test]
    fn a_run_counts_as_its_numbers_one_by_one() {
        let (mut at_once, mut one_by_one) = (Numbers::new(None), Numbers::new(None));
        for (first, count) in
            [(7, 1), (8, 60), (68, 3), (75, 1_000), (1_070, 300), (1_370, 70_000), (71_370, 64)]
        {
            let before = one_by_one.received;
            for number in first..first + u64::from(count) {
                one_by_one.note(number);
            }
            assert_eq!(at_once.note_run(first, count).0, one_by_one.received - before, "{first}");
            assert_eq!(
                (at_once.lost(at_once.newest()), at_once.highest()),
                (one_by_one.lost(one_by_one.newest()), one_by_one.highest())
            );
            assert!(at_once.seen == one_by_one.seen, "{first}");
        }
    }

    #[test]
    fn a_number_is_remembered_for_as_long_as_the_window() {
        let mut numbers = Numbers::new(None);
        (0..3 * REPLAY_WINDOW).step_by(3).for_each(|number| {
            numbers.note(number);
        });
        let highest = numbers.highest();
        for number in highest + 1 - REPLAY_WINDOW..=highest {
            assert_eq!(numbers.came(number), number % 3 == 0, "{number}");
        }
        assert!(!numbers.came(highest - REPLAY_WINDOW), "older than the window");
        numbers.note(highest + 10 * REPLAY_WINDOW);
        assert!(!numbers.came(highest), "a leap forgets all");
    }

    #[test]
    fn numbers_far_above_the_signed_ones_are_not_believed() {
        let numbers = Numbers::new(Some(100));
        assert!(numbers.is_plausible(100 + SEQUENCES_AHEAD_MAX));
        assert!(!numbers.is_plausible(101 + SEQUENCES_AHEAD_MAX));
        assert!(Numbers::new(None).is_plausible(1 << 40));
    }

    #[test]
    fn a_signed_number_puts_right_what_a_forged_one_has_done() {
        let mut numbers = Numbers::new(Some(0));
        (0..50).for_each(|number| {
            numbers.note(number);
        });
        numbers.note(20_000_000);
        assert_eq!(numbers.lost(numbers.newest()), 20_000_001 - 51);
        numbers.note_signed(60);
        assert_eq!((numbers.highest(), numbers.lost(numbers.newest())), (60, 0));
        numbers.note(2_000);
        assert_eq!(numbers.highest(), 60, "nobody has signed more");
        numbers.note_signed(61);
        numbers.note(63);
        assert_eq!(numbers.lost(numbers.newest()), 1);
    }

    #[test]
    fn a_number_older_than_the_window_leaves_no_trace_in_it() {
        let mut numbers = Numbers::new(None);
        numbers.note(0);
        numbers.note(2 * REPLAY_WINDOW + 5);
        numbers.note(7);
        assert!(!numbers.came(7) && !numbers.came(REPLAY_WINDOW + 7), "they share a bit");
        assert!(numbers.came(2 * REPLAY_WINDOW + 5));
    }

    #[test]
    fn a_leap_costs_no_more_than_a_window() {
        // Number by number, or word by word, this would take years.
        let leap = 1 << 60;
        let mut numbers = Numbers::new(None);
        numbers.note(1);
        numbers.note(leap);
        assert_eq!(numbers.note_run(2 * leap, 3).0, 3);
        assert_eq!(numbers.highest(), 2 * leap + 2);
        let mut numbers = Numbers::new(None);
        assert_eq!(numbers.note_run(leap, 3).0, 3);
        assert_eq!(numbers.lost(numbers.newest()), 0, "they are counted from the first");
    }

    #[test]
    fn a_run_marks_its_own_numbers_and_no_others() {
        for first in 1..200 {
            for count in 1..140 {
                let mut numbers = Numbers::new(None);
                numbers.note(0);
                numbers.note_run(first, count);
                let run = first..first + u64::from(count);
                let marked = (0..512).filter(|&number| numbers.bit(number));
                assert!(marked.eq(std::iter::once(0).chain(run)), "{first}, {count}");
            }
        }
    }

    #[test]
    fn a_signed_number_puts_right_what_is_farther_ahead_than_a_datagram_may_be_overtaken() {
        for (ahead, puts_right) in
            [(OVERTAKEN_MAX - 1, false), (OVERTAKEN_MAX, false), (OVERTAKEN_MAX + 1, true)]
        {
            let mut numbers = Numbers::new(Some(0));
            numbers.note(10);
            numbers.note(500 + ahead);
            numbers.note_signed(500);
            assert_eq!(numbers.came(500 + ahead), !puts_right, "{ahead}");
            assert!(numbers.came(500));
        }
        let mut numbers = Numbers::new(Some(0));
        numbers.note_signed(5);
        assert_eq!(
            (numbers.highest(), numbers.lost(numbers.newest()), numbers.came(5)),
            (5, 0, true),
            "the first of all"
        );
    }

    #[test]
    fn numbers_are_remembered_as_a_set_of_them_would_be() {
        for seed in 0..40 {
            println!("seed {seed}");
            let mut rng = Rng::new(&[seed; 32]);
            let mut below = |bound: u64| u64::from_be_bytes(rng.bytes()) % bound;
            let mut numbers = Numbers::new(None);
            let mut slow = Slow::default();
            // A full window comes first, so that each bit was used before.
            for number in 0..REPLAY_WINDOW + 100 {
                numbers.note(number);
                slow.note(number);
            }
            for _ in 0..60 {
                let edge = slow.highest.saturating_sub(REPLAY_WINDOW);
                let ahead = match below(6) {
                    0 => REPLAY_WINDOW - 70 + below(140),
                    1 => 64,
                    _ => 1 + below(300),
                };
                let number = match below(3) {
                    0 => (edge + below(140)).saturating_sub(70),
                    _ => slow.highest + ahead,
                };
                match below(3) {
                    0 => {
                        let is_newest = numbers.note(number) == Arrival::Newest;
                        assert_eq!(is_newest, slow.note(number), "{number}");
                    }
                    1 => {
                        let count = 1 + below(200);
                        let new = (number..number + count).filter(|&number| slow.count(number)).count();
                        assert_eq!(numbers.note_run(number, count as u32).0, new as u64, "{number}, {count}");
                    }
                    _ => {
                        let number = slow.highest.saturating_sub(OVERTAKEN_MAX - 2 + below(5));
                        numbers.note_signed(number);
                        slow.note_signed(number);
                    }
                }
                assert_eq!(numbers.lost(numbers.newest()), slow.lost());
                let edge = slow.highest.saturating_sub(REPLAY_WINDOW);
                let looked_at = (edge.saturating_sub(130)..edge + 130)
                    .chain(slow.highest.saturating_sub(200)..slow.highest + 130)
                    .chain((0..50).map(|_| below(slow.highest + 1)));
                for number in looked_at {
                    assert_eq!(numbers.came(number), slow.came(number), "{number}");
                }
            }
        }
    }

    /// A slow model of `Numbers` that keeps a set.
    #[derive(Default)]
    struct Slow {
        first: Option<u64>,
        highest: u64,
        came: BTreeSet<u64>,
        received: u64,
    }

    impl Slow {
        fn came(&self, number: u64) -> bool {
            number <= self.highest && self.highest - number < REPLAY_WINDOW && self.came.contains(&number)
        }

        /// Counts a number. Returns whether it was new.
        fn count(&mut self, number: u64) -> bool {
            if number < *self.first.get_or_insert(number) || self.came(number) {
                return false;
            }
            self.received += 1;
            self.highest = self.highest.max(number);
            self.came.insert(number);
            true
        }

        /// Counts a number. Returns whether it was higher than all before.
        fn note(&mut self, number: u64) -> bool {
            let highest = self.highest;
            let is_first = self.received == 0;
            self.count(number) && (is_first || number > highest)
        }

        fn note_signed(&mut self, number: u64) {
            if self.first.is_some() && self.highest > number + OVERTAKEN_MAX {
                *self = Self::default();
            }
            self.count(number);
        }

        fn lost(&self) -> u64 {
            let Some(first) = self.first else { return 0 };
            (self.highest + 1 - first).saturating_sub(self.received)
        }
    }
}
