//! By how much datagrams overtake each other on their way to this host, and which numbers are therefore settled: those
//! that have come, or will not come any more.
//!
//! Bonds and equal-cost paths reorder without losing anything. A host that counted each gap as a loss at once would have
//! the rate fall, and symbols sent again, for datagrams that are still on their way. So a report is about the numbers
//! that were highest one *allowance* ago. The allowance is the longest time by which a datagram has come late; on a path
//! that keeps the order it is zero.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Moment;

/// The record of one session.
#[derive(Default)]
pub(super) struct Reordering {
    /// When the highest number was which, at most one mark for each [`MARK_GAP`], the newest last.
    marks: VecDeque<Mark>,
    allowance: Duration,
    /// When a datagram last used up at least half of the allowance, or the allowance was last halved.
    used_at: Moment,
    /// The settled number never falls.
    settled: u64,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Moment,
    highest: u64,
}

impl Reordering {
    /// Notes a number that is higher than all before.
    #[inline]
    pub(super) fn note_newest(&mut self, now: Moment, number: u64) {
        if self.marks.back().is_some_and(|mark| now.since(mark.at) < MARK_GAP) {
            return;
        }
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark { at: now, highest: number });
    }

    /// Notes a datagram that came after ones with higher numbers.
    pub(super) fn note_late(&mut self, now: Moment, number: u64) {
        let overtaken = self.marks.partition_point(|mark| mark.highest <= number);
        let Some(mark) = self.marks.get(overtaken) else { return };
        let late = (now.since(mark.at) + MARK_GAP).min(ALLOWANCE_MAX);
        if late >= self.allowance / 2 {
            self.used_at = now;
        }
        self.allowance = self.allowance.max(late);
    }

    /// Returns the highest number that is settled, where `highest` is the highest of all.
    pub(super) fn settled(&mut self, now: Moment, highest: u64) -> u64 {
        if now.since(self.used_at) >= HALVED_AFTER {
            self.allowance = if self.allowance > MARK_GAP { self.allowance / 2 } else { Duration::ZERO };
            self.used_at = now;
        }
        let settled = match self.allowance {
            Duration::ZERO => highest,
            allowance => self.highest_before(now, allowance).unwrap_or(highest),
        };
        self.settled = self.settled.max(settled);
        self.settled
    }

    /// Forgets all numbers, as they were forged.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Returns the number that was the highest `allowance` ago; `None` if nothing was overtaken since.
    fn highest_before(&self, now: Moment, allowance: Duration) -> Option<u64> {
        let newer = self.marks.partition_point(|mark| now.since(mark.at) >= allowance);
        if newer == self.marks.len() {
            return None;
        }
        Some(newer.checked_sub(1).map_or(0, |older| self.marks[older].highest))
    }
}

/// Shortest time between two marks.
const MARK_GAP: Duration = Duration::from_millis(1);
/// The longest allowance. What comes later is taken for lost until it comes.
const ALLOWANCE_MAX: Duration = Duration::from_millis(50);
/// Marks that reach back for the longest allowance, and a few more.
const MARKS_MAX: usize = 64;
/// An allowance of which no more than half was used for this time is halved.
const HALVED_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::testing::at;

    #[test]
    fn on_a_path_that_keeps_the_order_every_number_is_settled_at_once() {
        let mut reordering = Reordering::default();
        (0..100).for_each(|ms| reordering.note_newest(at(ms), ms * 10));
        assert_eq!(reordering.settled(at(99), 995), 995);
    }

    #[test]
    fn what_may_still_come_is_not_settled() {
        let mut reordering = Reordering::default();
        (0..100).for_each(|ms| reordering.note_newest(at(ms), ms * 10));
        reordering.note_late(at(99), 905);
        let settled = reordering.settled(at(99), 999);
        assert!((880..=905).contains(&settled), "8 ms late, and a mark for each ms: {settled}");
        assert_eq!(reordering.settled(at(120), 999), 999, "nothing more has come for long");
    }

    #[test]
    fn a_settled_number_stays_settled() {
        let mut reordering = Reordering::default();
        (0..100).for_each(|ms| reordering.note_newest(at(ms), ms * 10));
        assert_eq!(reordering.settled(at(99), 999), 999);
        reordering.note_late(at(99), 600);
        assert_eq!(reordering.settled(at(99), 999), 999);
    }

    #[test]
    fn an_allowance_that_is_not_used_goes_away() {
        let mut reordering = Reordering::default();
        reordering.note_newest(at(0), 0);
        reordering.note_newest(at(5), 50);
        reordering.note_late(at(6), 30);
        let mut highest = 50;
        for ms in (10..60_000).step_by(10) {
            highest += 10;
            reordering.note_newest(at(ms), highest);
            reordering.settled(at(ms), highest);
        }
        assert_eq!(reordering.settled(at(60_000), highest), highest);
    }

    #[test]
    fn nothing_is_waited_for_longer_than_the_longest_allowance() {
        let mut reordering = Reordering::default();
        (0..1_000).for_each(|ms| reordering.note_newest(at(ms), ms * 10));
        reordering.note_late(at(999), 1);
        let settled = reordering.settled(at(999), 9_999);
        assert!(settled >= 9_999 - 10 * (ALLOWANCE_MAX.as_millis() as u64 + 2), "{settled}");
    }
}
