//! The sender's own network, which may take nothing for a while: the time of the machine stands still meanwhile, and what
//! was refused is offered again, as `glancecast`'s line does.

use std::time::Duration;

use glancecast_proto::limits::END_OUTAGE_MAX;
use glancecast_proto::outages::Outages;
use glancecast_proto::time::Moment;

use super::pusher::Sent;
use super::road::Road;

/// The line of one push.
pub(crate) struct SenderLine {
    road: Road,
    outages: Outages,
    /// What was refused, and is offered again.
    unsent: Option<Sent>,
}

/// What has become of an outage.
pub(crate) enum Step {
    /// Nothing is to be done before this time.
    Wait(Moment),
    /// The network takes datagrams again, after this time: this one was refused before.
    Over(Duration, Option<Sent>),
    /// It is not waited for any longer.
    GiveUp,
}

impl SenderLine {
    /// Returns the line of a push that is over at `until`.
    pub(crate) fn new(road: &Road, until: Moment) -> Self {
        Self { road: road.clone(), outages: Outages::new(Some(until)), unsent: None }
    }

    /// Returns the time of the machine.
    pub(crate) fn time(&self, now: Moment) -> Moment {
        self.outages.time(now)
    }

    /// Returns the true time of a time of the machine that is to come. The network takes datagrams.
    pub(crate) fn true_time(&self, now: Moment, at: Moment) -> Moment {
        at + now.since(self.time(now))
    }

    /// Whether nothing is sent, read or heard at present.
    pub(crate) fn is_away(&self) -> bool {
        self.outages.is_away()
    }

    /// Whether nothing comes from the network.
    pub(crate) fn is_deaf(&self, now: Moment) -> bool {
        self.is_away() || self.takes_nothing(now)
    }

    fn takes_nothing(&self, now: Moment) -> bool {
        self.road.is_away(now.since(Moment::default()))
    }

    /// Offers a datagram; returns it if the network has taken it.
    pub(crate) fn offer(&mut self, now: Moment, sent: Sent) -> Option<Sent> {
        if self.takes_nothing(now) {
            self.outages.handle_refused(now);
            self.unsent = Some(sent);
            return None;
        }
        Some(sent)
    }

    /// Goes on with the outage. `has_verdict` is whether the push is over but for its last words.
    pub(crate) fn step(&mut self, now: Moment, has_verdict: bool) -> Step {
        if has_verdict {
            self.outages.wait_at_most(END_OUTAGE_MAX);
        }
        if self.outages.is_lost(now) {
            return Step::GiveUp;
        }
        match self.outages.next_try() {
            Some(at) if now < at => Step::Wait(at),
            _ if self.takes_nothing(now) => {
                self.outages.handle_refused(now);
                Step::Wait(self.outages.next_try().expect("it was refused"))
            }
            _ => {
                let lasted = self.outages.handle_taken(now).unwrap_or_default();
                Step::Over(lasted, self.unsent.take())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use glancecast_proto::wire::Kind;

    use super::*;
    use crate::sim::road::Away;

    #[test]
    fn what_is_refused_is_offered_again_and_the_machines_time_stands_still() {
        let (from, to) = (Duration::from_millis(10), Duration::from_millis(500));
        let road = Road { away: vec![Away { from, to }], ..Road::default() };
        let mut line = SenderLine::new(&road, at(60_000));
        assert!(line.offer(at(9), sent()).is_some() && !line.is_away());
        assert!(line.offer(at(20), sent()).is_none() && line.is_away());
        let mut now = at(20);
        let (lasted, unsent) = loop {
            assert_eq!(line.time(now), at(20));
            match line.step(now, false) {
                Step::Wait(until) => now = until,
                Step::Over(lasted, unsent) => break (lasted, unsent),
                Step::GiveUp => panic!("it is over soon"),
            }
        };
        assert!(unsent.is_some() && now >= at(500));
        assert_eq!((now.since(line.time(now)), line.true_time(now, at(21))), (lasted, at(21) + lasted));
    }

    #[test]
    fn no_push_waits_beyond_its_end() {
        let away = Away { from: Duration::ZERO, to: Duration::from_secs(20) };
        let mut line = SenderLine::new(&Road { away: vec![away], ..Road::default() }, at(5_000));
        assert!(line.offer(at(1), sent()).is_none());
        assert!(matches!(line.step(at(4_999), false), Step::Wait(_)));
        assert!(matches!(line.step(at(5_000), false), Step::GiveUp));
        let mut line = SenderLine::new(&Road { away: vec![away], ..Road::default() }, at(60_000));
        assert!(line.offer(at(1), sent()).is_none());
        assert!(matches!(line.step(at(3_500), true), Step::GiveUp), "only its last words are missing");
    }

    fn sent() -> Sent {
        Sent { to: None, kind: Kind::Poll, bytes: [0; 4].into() }
    }

    fn at(ms: u64) -> Moment {
        Moment::default() + Duration::from_millis(ms)
    }
}
