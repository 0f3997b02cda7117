//! When this host sends in a session: its hello until that is acknowledged, then an answer to each poll in its
//! slot, then its last word.
//!
//! All hosts together may send only so much. So each has one turn in a *cycle*, the time in which all of them send one
//! datagram each: after its hello that is the spread of the hellos, after a report the window of the polls. Whatever a
//! host has to say waits for that turn. Hosts that have no slot yet draw their turns at random.

use std::time::Duration;

use crate::repeat::Repeat;
use crate::rng::Rng;
use crate::time::Moment;
use crate::wire::Poll;

/// The times at which this host sends.
pub(super) struct Turns {
    /// The hello, until it is acknowledged: the sender accepts nothing else from an unknown host.
    hello: Option<Repeat>,
    /// When the first hello was sent.
    first_greeted_at: Option<Moment>,
    /// When the last hello was sent.
    greeted_at: Option<Moment>,
    /// Whether the hello was sent more than once.
    was_repeated: bool,
    /// The time over which all hosts spread their hellos, as [`apart`] counts it.
    spread: Duration,
    /// The time from the hello to its acknowledgement, once that is here.
    round_trip: Option<Duration>,
    /// When all hosts have had a turn since this host's last hello.
    after_hello: Moment,
    /// This host's turn in which it sent its last report.
    reported: Option<Moment>,
    report_at: Option<Moment>,
    /// The round of the last poll that has asked this host.
    asked_in: u32,
    /// The last poll.
    poll: Option<Poll>,
    /// When it came.
    polled_at: Moment,
    /// This host's slot in the windows of the polls, once it is known.
    slot: Option<u32>,
}

impl Turns {
    /// Returns the state before any poll. The hello is due at `hello_at`, as all hosts spread theirs over `spread`; if
    /// it is `None`, nothing is ever sent.
    pub(super) fn new(now: Moment, spread: Duration, hello_at: Option<Moment>) -> Self {
        let (gap, gap_max) = (HELLO_GAP.max(spread), HELLO_GAP_MAX.max(spread));
        let spread = apart(spread);
        Self {
            hello: hello_at.map(|at| Repeat::new(at, gap, gap_max)),
            first_greeted_at: None,
            greeted_at: None,
            was_repeated: false,
            spread,
            round_trip: None,
            after_hello: now,
            reported: None,
            report_at: None,
            asked_in: 0,
            poll: None,
            polled_at: now,
            slot: None,
        }
    }

    /// The last poll.
    pub(super) fn poll(&self) -> Option<&Poll> {
        self.poll.as_ref()
    }

    /// The round of the last poll that has asked this host.
    pub(super) fn asked_in(&self) -> u32 {
        self.asked_in
    }

    /// Whether the hello was acknowledged, or nothing is ever sent.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.hello.is_none()
    }

    /// Whether several hellos were sent, and none was acknowledged in all that time.
    pub(super) fn is_unanswered(&self, now: Moment) -> bool {
        let patience = UNANSWERED_AFTER.max(UNANSWERED_SPREADS * self.spread);
        self.hello.is_some() && self.first_greeted_at.is_some_and(|first| now.since(first) >= patience)
    }

    /// Whether a poll is newer than the last one.
    pub(super) fn is_next(&self, poll: &Poll) -> bool {
        self.poll.as_ref().is_none_or(|last| poll.round > last.round)
    }

    /// Records a poll that is not answered.
    pub(super) fn note_poll(&mut self, poll: Poll) {
        self.poll = Some(poll);
    }

    /// Records a poll. This host answers it in its slot of the window, if it is asked. Before it has said hello it answers
    /// none: the sender would drop that. A host without a slot may be known already, as the acknowledgement of its hello is
    /// on its way or lost; it answers, once in a cycle, at random.
    pub(super) fn take_poll(&mut self, now: Moment, poll: Poll, rng: &mut Rng) {
        let turn = match self.slot {
            Some(slot) => poll.turn(slot).map(|offset| now + offset),
            None if self.greeted_at.is_none() || self.report_at.is_some() => None,
            None => Some(now.max(self.next_cycle()) + rng.below(self.spread.max(poll.cycle()))),
        };
        self.asked_in = if turn.is_some() { poll.round } else { self.asked_in };
        self.report_at = match (self.report_at, turn) {
            (Some(earlier), Some(turn)) => Some(earlier.min(turn)),
            (earlier, turn) => turn.or(earlier),
        };
        self.poll = Some(poll);
        self.polled_at = now;
    }

    /// The time in which all hosts answer the last poll in turn.
    pub(super) fn window(&self) -> Duration {
        self.poll.as_ref().map_or(Duration::ZERO, Poll::cycle)
    }

    /// The time in which all hosts have a turn: the window of the last poll, and before the first one the spread of the
    /// hellos.
    pub(super) fn cycle(&self) -> Duration {
        self.poll.as_ref().map_or(self.spread, Poll::cycle)
    }

    /// When all hosts have had a turn since this one has sent something.
    fn next_cycle(&self) -> Moment {
        let window = if self.slot.is_some() { self.window() } else { self.window().max(self.spread) };
        self.after_hello.max(self.reported.map_or(Moment::default(), |at| at + window))
    }

    /// Returns this host's next turn for its last word, so that thousands of hosts that finish at once do not speak at
    /// once. Before this host has said hello it has none: the sender would drop what it says.
    pub(super) fn last_word_at(&self, now: Moment) -> Option<Moment> {
        if self.hello.is_some() && self.greeted_at.is_none() {
            return None;
        }
        let earliest = now.max(self.next_cycle());
        let (Some(poll), Some(slot)) = (&self.poll, self.slot) else { return Some(earliest) };
        let cycle = poll.cycle();
        let mut turn = self.polled_at + slot_offset(poll, slot);
        if turn < earliest && !cycle.is_zero() {
            let cycles = earliest.since(turn).as_micros().div_ceil(cycle.as_micros().max(1));
            turn = turn + cycle * u32::try_from(cycles).unwrap_or(u32::MAX);
        }
        Some(turn.max(earliest))
    }

    /// Returns the gap in which a message is repeated for which `gap` suffices on a network without delay: the
    /// acknowledgement can be here before, and all hosts have had a turn.
    pub(super) fn repeat_gap(&self, gap: Duration) -> Duration {
        (gap + self.round_trip.unwrap_or(HELLO_GAP) * 3 / 2).max(self.cycle())
    }

    /// Handles an acknowledgement, which names this host's slot. Returns whether it is the first one of a hello that was
    /// repeated: the sender may have dropped what was sent in between.
    pub(super) fn acknowledged(&mut self, now: Moment, slot: u32) -> bool {
        let is_first = self.hello.take().is_some();
        if is_first {
            // Which of several hellos it is for is not known (RFC 6298 section 3). Most likely the others were lost. Otherwise
            // the round trip is longer than this, and the gaps of what this host repeats double up to it.
            let least = if self.was_repeated { ROUND_TRIP_GUESSED } else { Duration::ZERO };
            self.round_trip = self.greeted_at.map(|greeted_at| now.since(greeted_at).max(least));
        }
        self.slot = Some(slot);
        is_first && self.was_repeated
    }

    /// Whether the hello is due; if so, it is postponed.
    pub(super) fn take_hello_due(&mut self, now: Moment) -> bool {
        let is_due = self.hello.as_mut().is_some_and(|hello| hello.take_due(now));
        if is_due {
            self.was_repeated = self.greeted_at.is_some();
            self.greeted_at = Some(now);
            self.first_greeted_at = self.first_greeted_at.or(Some(now));
            self.after_hello = now + self.spread;
            self.report_at = self.report_at.map(|at| at.max(self.after_hello));
        }
        is_due
    }

    /// Whether a report is due; if so, the next one is due after the next poll.
    pub(super) fn take_report_due(&mut self, now: Moment) -> bool {
        // It counts from the turn, not from when a busy host came to it: the next turn is one cycle later.
        let turn = self.report_at.take_if(|at| now >= *at);
        self.reported = turn.or(self.reported);
        turn.is_some()
    }

    /// Whether a report was sent.
    pub(super) fn has_reported(&self) -> bool {
        self.reported.is_some()
    }

    /// Cancels a report that is due.
    pub(super) fn forget_report(&mut self) {
        self.report_at = None;
    }

    pub(super) fn next_hello_at(&self) -> Option<Moment> {
        self.hello.map(|hello| hello.next_at)
    }

    pub(super) fn next_report_at(&self) -> Option<Moment> {
        self.report_at
    }
}

/// Returns how far apart a hello and what follows it are, of hosts that spread their hellos over this time. Where it is
/// short, all of them together have less to say than a second allows, and nobody waits.
pub(in crate::receiver) fn apart(spread: Duration) -> Duration {
    if spread < SHORT_SPREAD { Duration::ZERO } else { spread }
}

/// Returns when the turn of a host with this slot comes in the cycle that begins with a poll.
fn slot_offset(poll: &Poll, slot: u32) -> Duration {
    poll.cycle().mul_f64(f64::from(slot % poll.slots) / f64::from(poll.slots))
}

/// The spread of the hellos of 150 hosts at a high rate, and of fewer at a low one.
const SHORT_SPREAD: Duration = Duration::from_millis(50);

/// The time between two hellos until one is acknowledged, which grows up to the maximum. The first is longer than any
/// round trip on a path that the rate is made for, and than the spread of the hellos.
const HELLO_GAP: Duration = Duration::from_millis(250);
const HELLO_GAP_MAX: Duration = Duration::from_secs(2);

/// The time without an acknowledgement after which something is wrong: four hellos by then. Where hosts spread their
/// hellos over a longer time, as many spreads.
const UNANSWERED_AFTER: Duration = Duration::from_secs(3);
const UNANSWERED_SPREADS: u32 = 3;

/// The least round trip that is assumed after several hellos: that of most networks.
const ROUND_TRIP_GUESSED: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::testing::at;
    use crate::wire::Part;

    #[test]
    fn the_last_word_comes_a_cycle_after_the_hello() {
        let mut turns = Turns::new(at(0), ms(3_000), Some(at(2_000)));
        assert_eq!(turns.last_word_at(at(500)), None, "nobody knows this host");
        assert!(turns.take_hello_due(at(2_000)));
        assert_eq!(turns.last_word_at(at(2_001)), Some(at(5_000)));
        turns.acknowledged(at(2_010), 5);
        assert_eq!(turns.last_word_at(at(2_011)), Some(at(5_000)), "there was no poll");
        turns.take_poll(at(2_020), poll(1, 1_000), &mut rng());
        assert_eq!(turns.last_word_at(at(2_021)), Some(at(5_520)), "slot 5 of 10");
    }

    #[test]
    fn few_hosts_do_not_wait_for_each_other() {
        let mut turns = Turns::new(at(0), ms(49), Some(at(3)));
        assert!(turns.take_hello_due(at(3)));
        assert_eq!(turns.last_word_at(at(4)), Some(at(4)));
    }

    #[test]
    fn the_last_word_comes_a_cycle_after_the_report() {
        let mut turns = Turns::new(at(0), ms(5), Some(at(0)));
        assert!(turns.take_hello_due(at(0)));
        turns.acknowledged(at(1), 3);
        turns.take_poll(at(100), poll(1, 1_000), &mut rng());
        assert_eq!(turns.last_word_at(at(200)), Some(at(400)));
        assert!(turns.take_report_due(at(417)), "a little late");
        assert_eq!(turns.last_word_at(at(420)), Some(at(1_400)));
    }

    #[test]
    fn a_hello_that_nobody_acknowledges_is_unanswered_after_four_of_them() {
        let mut turns = Turns::new(at(0), ms(5), Some(at(10)));
        assert!(!turns.is_unanswered(at(60_000)), "none was sent");
        let said = (0..3_010).filter(|&ms| turns.take_hello_due(at(ms))).count();
        assert!(said == 4 && !turns.is_unanswered(at(3_009)), "{said}");
        assert!(turns.is_unanswered(at(3_010)));
        turns.acknowledged(at(3_020), 0);
        assert!(!turns.is_unanswered(at(60_000)));
        let mut many = Turns::new(at(0), ms(5_000), Some(at(0)));
        assert!(many.take_hello_due(at(0)));
        assert!(!many.is_unanswered(at(14_999)) && many.is_unanswered(at(15_000)));
    }

    #[test]
    fn a_hello_is_not_repeated_before_all_hosts_have_said_theirs() {
        let mut turns = Turns::new(at(0), ms(5_000), Some(at(10)));
        let said: Vec<u64> = (0..20_000).filter(|&ms| turns.take_hello_due(at(ms))).collect();
        assert_eq!(said, [10, 5_010, 10_010, 15_010]);
    }

    #[test]
    fn a_host_without_a_slot_reports_once_in_a_cycle_however_many_polls_it_hears() {
        let mut turns = Turns::new(at(0), ms(1_000), Some(at(0)));
        assert!(turns.take_hello_due(at(0)));
        let mut said = Vec::new();
        for ms in 1..20_000 {
            if ms % 10 == 0 {
                turns.take_poll(at(ms), poll(ms as u32, 5), &mut rng());
            }
            if turns.take_report_due(at(ms)) {
                said.push(ms);
            }
        }
        assert!(said[0] >= 1_000 && said.len() > 5, "{said:?}");
        assert!(said.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{said:?}");
    }

    #[test]
    fn what_is_repeated_leaves_its_acknowledgement_the_measured_time() {
        let mut turns = Turns::new(at(0), ms(5), Some(at(0)));
        assert_eq!(turns.repeat_gap(ms(20)), ms(395), "nothing is measured yet");
        assert!(turns.take_hello_due(at(0)));
        assert!(!turns.acknowledged(at(200), 0));
        assert_eq!(turns.repeat_gap(ms(20)), ms(320));
        turns.acknowledged(at(9_000), 0);
        assert_eq!(turns.repeat_gap(ms(20)), ms(320), "a later ack answers no hello");
        turns.take_poll(at(9_000), poll(1, 700), &mut rng());
        assert_eq!(turns.repeat_gap(ms(20)), ms(700), "a turn of all hosts");
    }

    #[test]
    fn hellos_that_were_lost_are_no_part_of_the_round_trip() {
        let mut turns = Turns::new(at(0), ms(5), Some(at(0)));
        let said = (0..4_000).filter(|&ms| turns.take_hello_due(at(ms)));
        assert_eq!(said.last(), Some(3_750));
        assert!(turns.acknowledged(at(3_751), 0), "the sender may not have known this host");
        assert_eq!(turns.repeat_gap(ms(20)), ms(95));
    }

    fn poll(round: u32, window: u64) -> Poll {
        Poll {
            round,
            blocks_sent: 0,
            manifest_sent: 0,
            window: ms(window),
            slots: 10,
            part: Part::ALL,
            root: None,
        }
    }

    fn rng() -> Rng {
        Rng::new(&[1; 32])
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
}
