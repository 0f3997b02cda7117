//! Holds back the first symbols of a push until the hosts that are expected were heard.

use std::time::Duration;

use crate::time::Moment;

/// Shut until the hosts that the first symbols wait for were heard, or the longest wait is over.
pub(super) struct Gate {
    /// When the wait for hellos ends.
    first_wait: Option<Moment>,
    /// Whether all expected hosts are awaited, in a push with a base: other hosts will lack what the first host asks
    /// for.
    gathering: bool,
    /// Whether all hosts that answer are at work on another push.
    are_all_busy: bool,
    /// When the wait ends for those that are still at work on it after the first of them has come.
    return_wait: Option<Moment>,
}

/// Whether a push sends anything that no host has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sends {
    /// All of it: a host that was not heard yet receives it as well.
    Everything,
    /// Nothing: hosts have a base, and ask for what they lack.
    WhatIsAskedFor,
    /// All of it, to hosts that cannot answer.
    Unheard,
}

/// Which of the hosts that answer are at work on another push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// None of them.
    None,
    /// Some, and others are not.
    Some,
    /// Each of them: they would receive nothing.
    All,
}

impl Gate {
    pub(super) fn new(now: Moment, sends: Sends) -> Self {
        Self {
            first_wait: (sends != Sends::Unheard).then_some(now + FIRST_WAIT),
            gathering: sends == Sends::WhatIsAskedFor,
            are_all_busy: false,
            return_wait: None,
        }
    }

    /// Ends the wait for hellos: all expected hosts were heard, or no particular host is expected.
    pub(super) fn end_first_wait(&mut self) {
        self.first_wait = None;
    }

    /// Ends the wait for a push with a base: every host that is to ask for something was heard.
    pub(super) fn end_gathering(&mut self) {
        self.gathering = false;
    }

    /// Notes which hosts are at work on another push. When the first of them comes from it, the others are about to: all
    /// say their last words there within `cycle`.
    pub(super) fn note_busy(&mut self, now: Moment, busy: Busy, cycle: Duration) {
        let were_all_busy = std::mem::replace(&mut self.are_all_busy, busy == Busy::All);
        match busy {
            Busy::Some if were_all_busy => self.return_wait = Some(now + RETURN_WAIT + cycle),
            Busy::Some => {}
            Busy::None | Busy::All => self.return_wait = None,
        }
    }

    /// Handles the passing of time; `read` is when the source was read and all that was asked for was sent.
    pub(super) fn handle_timeout(&mut self, now: Moment, read: Option<Moment>) {
        self.first_wait.take_if(|until| now >= *until);
        self.return_wait.take_if(|until| now >= *until);
        self.gathering &= read.is_none_or(|read| now.since(read) < GATHERING_MAX);
    }

    /// Returns when the next wait ends that ends at a time.
    pub(super) fn next_at(&self) -> Option<Moment> {
        self.first_wait.into_iter().chain(self.return_wait).min()
    }

    /// Whether the first hellos are still waited for.
    pub(super) fn awaits_hellos(&self) -> bool {
        self.first_wait.is_some()
    }

    /// Whether hosts are still awaited.
    pub(super) fn is_shut(&self) -> bool {
        self.first_wait.is_some() || self.gathering || self.are_all_busy || self.return_wait.is_some()
    }
}

/// The longest time that the first symbols wait for hellos: round-trips on any local network, and the start of a
/// receiver's thread.
///
/// A hello names what the host kept of an earlier push. What is sent before it may be blocks that no host lacks.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The longest time, besides a turn of all hosts, that the hosts that have come from another push wait for those that have
/// not: what is sent before is sent to these again.
const RETURN_WAIT: Duration = Duration::from_millis(50);

/// The longest time after the source was read that hosts that were never heard delay those that were.
const GATHERING_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hellos_are_waited_for_until_the_time_that_the_timer_names() {
        let mut gate = Gate::new(at(100), Sends::Everything);
        let until = gate.next_at().expect("it waits");
        assert_eq!(until, at(150));
        gate.handle_timeout(at(149), None);
        assert!(gate.is_shut());
        gate.handle_timeout(until, None);
        assert!(!gate.is_shut() && gate.next_at().is_none());
    }

    #[test]
    fn a_gate_opens_when_all_were_heard() {
        let mut gate = Gate::new(at(0), Sends::Everything);
        gate.end_first_wait();
        assert!(!gate.is_shut());
    }

    #[test]
    fn hosts_that_cannot_answer_are_not_waited_for() {
        assert!(!Gate::new(at(0), Sends::Unheard).is_shut());
    }

    #[test]
    fn with_a_base_hosts_are_waited_for_until_all_are_heard() {
        let mut gate = Gate::new(at(0), Sends::WhatIsAskedFor);
        gate.handle_timeout(at(60_000), None);
        assert!(gate.is_shut(), "the source is still being read");
        gate.end_gathering();
        assert!(!gate.is_shut());
    }

    #[test]
    fn with_a_base_hosts_that_are_never_heard_are_waited_for_ten_seconds_after_the_source_was_read() {
        let mut gate = Gate::new(at(0), Sends::WhatIsAskedFor);
        gate.handle_timeout(at(69_999), Some(at(60_000)));
        assert!(gate.is_shut());
        gate.handle_timeout(at(70_000), Some(at(60_000)));
        assert!(!gate.is_shut());
    }

    #[test]
    fn the_first_hosts_that_come_from_another_push_wait_a_little_for_the_others() {
        let cycle = Duration::from_millis(10);
        for (others, opens) in [(Busy::Some, 160), (Busy::None, 120)] {
            let mut gate = Gate::new(at(0), Sends::Everything);
            gate.end_first_wait();
            gate.note_busy(at(0), Busy::All, cycle);
            assert!(gate.is_shut() && gate.next_at().is_none(), "they would receive nothing");
            gate.note_busy(at(100), Busy::Some, cycle);
            gate.note_busy(at(120), others, cycle);
            gate.handle_timeout(at(opens - 1), None);
            assert_eq!(gate.is_shut(), others == Busy::Some);
            gate.handle_timeout(at(opens), None);
            assert!(!gate.is_shut() && gate.next_at().is_none());
        }
    }

    #[test]
    fn a_busy_host_beside_others_holds_nothing_back() {
        let mut gate = Gate::new(at(0), Sends::Everything);
        gate.end_first_wait();
        gate.note_busy(at(0), Busy::Some, Duration::ZERO);
        assert!(!gate.is_shut());
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }
}
