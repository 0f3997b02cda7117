//! The relays that a push has lost, for its report.

use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::sender::{RelayFault, SenderEvent};
use glancecast_proto::time::Moment;

/// A relay that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRelay {
    /// The relay.
    pub relay: HostName,
    /// The segment in which it multicast, if it did.
    pub segment: Option<String>,
    /// The number of hosts that it sent to by unicast.
    pub children: u32,
    /// Time from the start of the push.
    pub at: Duration,
    /// Why it was given up.
    pub fault: RelayFault,
    /// The host that has relayed in its place, if there was one.
    pub next: Option<HostName>,
}

/// The relays that were lost so far.
#[derive(Debug, Default)]
pub(super) struct Relays {
    pub(super) lost: Vec<LostRelay>,
}

impl Relays {
    /// Notes an event, at a time since the start.
    pub(super) fn note(&mut self, at: Moment, event: &SenderEvent) {
        let SenderEvent::RelayLost { served, fault, next } = event else { return };
        if self.lost.len() < LOST_MAX {
            self.lost.push(LostRelay {
                relay: served.relay.clone(),
                segment: served.segment.clone(),
                children: served.children,
                at: at.since(Moment::default()),
                fault: *fault,
                next: next.clone(),
            });
        }
    }
}

/// Relays that a report names. A report that is longer tells nobody more; the log has them all.
const LOST_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use glancecast_proto::sender::Relaying;

    use super::*;

    #[test]
    fn a_report_names_the_relays_that_were_lost_and_is_bounded() {
        let name = |name: &str| HostName::new(name).expect("a name");
        let served = Relaying { relay: name("c1"), segment: Some("r12".into()), children: 2 };
        let lost = SenderEvent::RelayLost {
            served: served.clone(),
            fault: RelayFault::Silent,
            next: Some(name("c2")),
        };
        let mut relays = Relays::default();
        relays.note(Moment::default(), &SenderEvent::Relaying(served));
        assert_eq!(relays.lost, []);
        let second = Moment::default() + Duration::from_secs(1);
        (0..2 * LOST_MAX).for_each(|_| relays.note(second, &lost));
        assert_eq!(relays.lost.len(), LOST_MAX);
        let LostRelay { relay, at, next, .. } = &relays.lost[0];
        assert_eq!((relay, *at, next), (&name("c1"), Duration::from_secs(1), &Some(name("c2"))));
    }
}
