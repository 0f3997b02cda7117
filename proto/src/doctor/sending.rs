//! A train under way: which probe goes out next, and when.

use std::net::SocketAddr;
use std::time::Duration;

use super::examiner::Outgoing;
use super::plans::TICK;
use super::train::{PlannedProbe, TrainPlan};
use crate::ids::{Sequence, SessionId};
use crate::seal::Cipher;
use crate::time::Moment;
use crate::wire::{Kind, Probe};

/// A train to the group and to hosts.
pub(super) struct Sending {
    train: TrainToSend,
    next_group: u16,
    /// The index of the next probe to hosts, and the next host.
    next_unicast: (u16, usize),
    next_at: Moment,
    /// What is left of this tick: probes to the group, and to hosts.
    left: (u16, usize),
}

/// What a train is, and how it is sent.
pub(super) struct TrainToSend {
    /// The query that began it, under whose keys its probes are sealed.
    pub(super) query: SessionId,
    pub(super) cipher: Cipher,
    /// Its number in the diagnosis.
    pub(super) number: u16,
    pub(super) by_group: TrainPlan,
    pub(super) by_unicast: TrainPlan,
    /// The hosts to whose own addresses it goes.
    pub(super) to: Vec<SocketAddr>,
    pub(super) pace: Pace,
    pub(super) indices: Indices,
}

/// How fast a train is sent.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Probes to the group in a [`TICK`], where a batch counts as one.
    pub(super) group: u16,
    /// Probes to hosts in a [`TICK`].
    pub(super) unicast: usize,
    pub(super) order: Order,
}

/// Which probes of a train come first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Both ways at the same time.
    Together,
    /// Those to the group, so that no more than the rate is sent.
    InTurn,
}

/// How the probes to hosts are numbered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Indices {
    /// Each host gets the same ones.
    Shared,
    /// Each host gets its own, so that whatever hears one of them knows which host it was for.
    Own,
}

impl Sending {
    /// Returns a train that begins now.
    pub(super) fn new(now: Moment, train: TrainToSend) -> Self {
        Self { train, next_group: 0, next_unicast: (0, 0), next_at: now, left: (0, 0) }
    }

    /// Writes the next probe that is due.
    pub(super) fn next(&mut self, now: Moment, sequence: Sequence, out: &mut Vec<u8>) -> Option<Outgoing> {
        while now >= self.next_at && !self.is_over() {
            if self.left.0 > 0 && !self.is_group_over() {
                let planned = self.train.by_group.probe(self.next_group).expect("the index is of the plan");
                self.left.0 -= u16::from(!planned.is_followed);
                self.next_group += 1;
                self.seal(planned, (self.next_group - 1, self.train.by_group.count()), sequence, out);
                let (ttl, is_followed) = (planned.ttl, planned.is_followed);
                return Some(Outgoing { to: None, ttl, kind: Kind::Probe, is_followed });
            }
            if self.left.1 > 0 && !self.is_unicast_over() {
                self.left.1 -= 1;
                return Some(self.next_to_host(sequence, out));
            }
            let is_unicasts_turn = self.train.pace.order == Order::Together || self.is_group_over();
            self.left = (self.train.pace.group, if is_unicasts_turn { self.train.pace.unicast } else { 0 });
            // After a pause of this thread the pace goes on, and what was missed is not sent in a burst.
            self.next_at = (self.next_at + TICK).max(now);
        }
        None
    }

    fn next_to_host(&mut self, sequence: Sequence, out: &mut Vec<u8>) -> Outgoing {
        let Self { train, next_unicast: (index, at), .. } = self;
        let (planned, count) =
            (train.by_unicast.probe(*index).expect("the index is of the plan"), train.by_unicast.count());
        let (to, hosts) = (train.to[*at], train.to.len() as u16);
        let place = match train.indices {
            Indices::Shared => (*index, count),
            Indices::Own => (*at as u16 * count + *index, hosts * count),
        };
        self.next_unicast = if *at + 1 == train.to.len() { (*index + 1, 0) } else { (*index, *at + 1) };
        self.seal(planned, place, sequence, out);
        Outgoing { to: Some(to), ttl: planned.ttl, kind: Kind::Probe, is_followed: false }
    }

    fn seal(
        &self,
        PlannedProbe { bytes, ttl, .. }: PlannedProbe,
        (index, count): (u16, u16),
        sequence: Sequence,
        out: &mut Vec<u8>,
    ) {
        let TrainToSend { query, cipher, number, .. } = &self.train;
        let probe = Probe { train: *number, index, count, ttl };
        probe.seal(cipher, query.tag(), sequence, bytes.into(), out);
    }

    /// Returns when the next probe is due.
    pub(super) fn next_at(&self) -> Moment {
        self.next_at
    }

    /// Whether all probes were sent.
    pub(super) fn is_over(&self) -> bool {
        self.is_group_over() && self.is_unicast_over()
    }

    fn is_group_over(&self) -> bool {
        self.next_group == self.train.by_group.count()
    }

    fn is_unicast_over(&self) -> bool {
        self.train.to.is_empty() || self.next_unicast.0 == self.train.by_unicast.count()
    }
}

impl Pace {
    /// One probe to the group and so many to hosts at the same time.
    pub(super) fn slow(unicast: usize) -> Self {
        Self { group: 1, unicast, order: Order::Together }
    }
}

const _: () = assert!(TICK.as_millis() == Duration::from_millis(1).as_millis(), "a thousand probes a second");
