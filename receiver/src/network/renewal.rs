//! When the membership is reported to the network once more.
//!
//! A switch that snoops forgets a host that it has not heard of for some minutes (260 s by RFC 3376 §8.4, less where an
//! operator says so), and hosts speak only when a querier asks. Where there is none, a host that reports its membership
//! unasked is not forgotten.

use std::time::Duration;

use glancecast_proto::time::Moment;

/// The times of one membership.
#[derive(Debug)]
pub(super) struct Renewal {
    gap: Option<Duration>,
    renewed: Moment,
    heard: Moment,
}

impl Renewal {
    /// Renews every `gap`; with `None` only in [silence](SILENCE).
    pub(super) fn new(gap: Option<Duration>) -> Self {
        Self { gap, renewed: Moment::default(), heard: Moment::default() }
    }

    pub(super) fn note_renewed(&mut self, now: Moment) {
        self.renewed = now;
    }

    pub(super) fn note_heard(&mut self, now: Moment) {
        self.heard = now;
    }

    /// Whether it is time. In a session the group's datagrams are awaited: where none come, something on the way may
    /// have forgotten this host.
    pub(super) fn is_due(&self, now: Moment, in_session: bool) -> bool {
        let ago = now.since(self.renewed);
        let is_old = self.gap.is_some_and(|gap| ago >= gap);
        is_old || in_session && now.since(self.heard) >= SILENCE && ago >= SILENCE_GAP
    }
}

/// A sender polls several times a second. After this time without any datagram of the group, it is not loss.
const SILENCE: Duration = Duration::from_secs(2);

/// Time between two renewals in a silence.
const SILENCE_GAP: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_is_renewed_in_its_time_whatever_is_heard() {
        let mut renewal = Renewal::new(Some(Duration::from_secs(60)));
        renewal.note_renewed(at(100));
        renewal.note_heard(at(159));
        assert!(
            !renewal.is_due(at(159), true) && renewal.is_due(at(160), true) && renewal.is_due(at(160), false)
        );
        renewal.note_renewed(at(160));
        assert!(!renewal.is_due(at(219), false));
    }

    #[test]
    fn a_silence_in_a_session_renews_it_now_and_then() {
        let mut renewal = Renewal::new(None);
        renewal.note_renewed(at(100));
        renewal.note_heard(at(110));
        assert!(!renewal.is_due(at(111), true), "that may be loss");
        assert!(renewal.is_due(at(112), true) && !renewal.is_due(at(1_000), false));
        renewal.note_renewed(at(112));
        assert!(!renewal.is_due(at(115), true) && renewal.is_due(at(116), true));
    }

    fn at(second: u64) -> Moment {
        Moment::from_micros(second * 1_000_000)
    }
}
