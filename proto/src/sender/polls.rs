//! When to ask for reports: steadily during the pass, quickly after it while something is lacking, rarely while nothing
//! is.

use std::collections::VecDeque;
use std::time::Duration;

use super::hosts::Asked;
use super::rate::SEARCH_ROUND;
use crate::time::Moment;

/// Where the push is, as far as polling goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// First passes are being sent, at a rate that is still being searched for.
    Search,
    /// First passes are still being sent.
    Pass,
    /// All was sent once. What hosts lack is sent again.
    Tail,
}

impl Phase {
    /// The time between two polls of the same hosts, where their buffers are filled within `filled`; `None` in the tail, in
    /// which it depends on what is lacking.
    pub(super) fn gap(self, filled: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Search => Some(SEARCH_ROUND),
            Self::Pass => {
                Some(filled.map_or(PASS_POLL, |filled| (filled / 4).clamp(SEARCH_ROUND, PASS_POLL)))
            }
            Self::Tail => None,
        }
    }
}

/// The clock of the polls.
pub(super) struct Polls {
    round: u32,
    next_at: Moment,
    last_at: Moment,
    /// When the last polls were sent and whom they asked, the newest last.
    sent: VecDeque<(Moment, Asked)>,
    /// Time to the next poll; in the tail it doubles while nothing is lacking.
    interval: Duration,
    /// A report since the last poll named something that its host lacks.
    lacking: bool,
    /// Time over which the hosts answer the last poll.
    window: Duration,
    /// The number of times that the last poll is still to be repeated; `repeat_at` is the next time.
    repeats: u32,
    repeat_at: Moment,
    /// A poll was put off until the end of the pass.
    is_put_off: bool,
}

impl Polls {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            round: 0,
            next_at: now + PASS_POLL,
            last_at: now,
            sent: VecDeque::with_capacity(POLLS_KEPT),
            interval: TAIL_POLL,
            lacking: false,
            window: Duration::ZERO,
            repeats: 0,
            repeat_at: now,
            is_put_off: false,
        }
    }

    /// Returns when the next poll is due: a new one, or a repeat of the last one.
    pub(super) fn next_at(&self) -> Moment {
        if self.repeats > 0 { self.next_at.min(self.repeat_at) } else { self.next_at }
    }

    /// Whether a new poll is due.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        now >= self.next_at
    }

    /// Puts the next round off to `until`, the end of the pass; returns whether it was put off. It is put off only once
    /// in a push, so that a source that stalls holds nothing up.
    pub(super) fn put_off(&mut self, until: Moment) -> bool {
        let put_off = !std::mem::replace(&mut self.is_put_off, true);
        if put_off {
            self.next_at = until;
        }
        put_off
    }

    /// Repeats the last poll; returns its round. Where a round takes long, a host that missed the poll would wait as
    /// long for the next one. A host that has received the poll does not answer twice.
    pub(super) fn again(&mut self, now: Moment) -> u32 {
        self.repeats -= 1;
        self.repeat_at = now + REPEAT_GAP;
        self.round
    }

    /// The number of rounds so far.
    pub(super) fn rounds(&self) -> u32 {
        self.round
    }

    /// Returns how long ago the poll of `round` was sent and whom it asked, if it is one of the last [`POLLS_KEPT`]. On a
    /// long way, or behind a full queue, an answer comes when further polls were sent already.
    pub(super) fn answered(&self, now: Moment, round: u32) -> Option<(Duration, Asked)> {
        let back = self.round.checked_sub(round)? as usize;
        let at = self.sent.len().checked_sub(1 + back)?;
        let (sent, asked) = self.sent[at];
        Some((now.since(sent), asked))
    }

    pub(super) fn note_report(&mut self, lacking: bool) {
        self.lacking |= lacking;
    }

    /// Brings the next poll forward, as the last repair has just left: to now, or to when all hosts have answered the
    /// last poll.
    pub(super) fn soon(&mut self, now: Moment) {
        self.interval = TAIL_POLL;
        self.next_at = self.next_at.min(now.max(self.last_at + self.window.max(REPOLL_MIN)));
    }

    /// Notes that a poll is sent now; returns its round. The next one comes `gap` later, or in the tail as soon as what is
    /// lacking asks for it. The answers come within the window of `asked`, so the next poll is not sent earlier.
    pub(super) fn next_round(&mut self, now: Moment, gap: Option<Duration>, asked: Asked) -> u32 {
        let window = asked.window;
        self.interval = match (gap, self.lacking) {
            (Some(gap), _) => gap,
            (None, true) => TAIL_POLL,
            (None, false) => (self.interval * 2).min(IDLE_POLL),
        };
        self.lacking = false;
        self.window = window;
        self.round += 1;
        self.last_at = now;
        self.repeats = if window >= LONG_WINDOW { REPEATS } else { 0 };
        self.repeat_at = now + REPEAT_GAP;
        if self.sent.len() == POLLS_KEPT {
            self.sent.pop_front();
        }
        self.sent.push_back((now, asked));
        // One part follows the other. All hosts are asked again when their answers were acted upon.
        let gap =
            if asked.is_all() { self.interval.max(window + TAIL_POLL) } else { window + window / PART_SLACK };
        self.next_at = now + gap;
        self.round
    }
}

/// Polls whose answers are timed.
const POLLS_KEPT: usize = 256;
/// Interval during the pass: a block is repaired about this long after it was sent.
const PASS_POLL: Duration = Duration::from_millis(50);
/// Interval after the pass while something is lacking: some round-trips of a local network.
const TAIL_POLL: Duration = Duration::from_millis(10);
/// The share of the window of a part that is left between it and the next one, for hellos and final reports.
const PART_SLACK: u32 = 16;
/// The longest interval.
const IDLE_POLL: Duration = Duration::from_millis(500);
/// A poll with at least this window is repeated [`REPEATS`] times: at a loss of 5 % one host in 160 000 receives none
/// of them.
const LONG_WINDOW: Duration = Duration::from_millis(100);
const REPEATS: u32 = 3;
const REPEAT_GAP: Duration = Duration::from_millis(20);
/// Shortest time between a poll and one that is sent early because its repairs have left.
const REPOLL_MIN: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Part;

    #[test]
    fn polls_become_rare_while_nothing_is_lacking_and_quick_again_when_something_is() {
        let mut polls = Polls::new(Moment::default());
        let mut now = Moment::default();
        let mut gap = |polls: &mut Polls| {
            polls.next_round(now, None, asked(Duration::ZERO));
            let gap = polls.next_at().since(now);
            now = polls.next_at();
            gap
        };
        let gaps: Vec<Duration> = (0..8).map(|_| gap(&mut polls)).collect();
        assert!(gaps.is_sorted() && gaps[7] == IDLE_POLL, "{gaps:?}");
        polls.note_report(true);
        assert_eq!(gap(&mut polls), TAIL_POLL);
    }

    #[test]
    fn a_poll_that_is_answered_for_long_is_said_several_times() {
        let mut polls = Polls::new(Moment::default());
        let now = polls.next_at();
        let round = polls.next_round(now, Some(PASS_POLL), asked(Duration::from_secs(2)));
        let mut said = Vec::new();
        while polls.next_at() < now + Duration::from_secs(2) {
            let at = polls.next_at();
            assert!(!polls.is_due(at), "that is no new one");
            assert_eq!(polls.again(at), round);
            said.push(at.since(now).as_millis());
        }
        assert_eq!(said, [20, 40, 60]);
        polls.next_round(polls.next_at(), Some(PASS_POLL), asked(Duration::from_millis(99)));
        assert!(polls.is_due(polls.next_at()), "a short round is not worth it");
    }

    #[test]
    fn a_poll_waits_for_the_end_of_the_pass_once() {
        let mut polls = Polls::new(Moment::default());
        let now = polls.next_at();
        let second = Duration::from_secs(1);
        assert!(polls.put_off(now + second));
        assert_eq!(polls.next_at(), now + second);
        assert!(!polls.put_off(now + 2 * second));
        polls.soon(now + second / 2);
        assert_eq!(polls.next_at(), now + second / 2, "the pass is over");
    }

    #[test]
    fn no_poll_comes_before_the_answers_to_the_last_one() {
        let mut polls = Polls::new(Moment::default());
        let window = Duration::from_secs(5);
        polls.next_round(Moment::default(), Some(PASS_POLL), asked(window));
        assert!(!polls.is_due(Moment::default() + window));
        polls.soon(Moment::default() + window / 2);
        assert!(!polls.is_due(Moment::default() + window * 99 / 100), "whatever has just been sent");
    }

    fn asked(window: Duration) -> Asked {
        Asked { slots: 1, part: Part::ALL, window, is_for_rate: true }
    }
}
