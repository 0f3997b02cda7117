//! The leases of relays: when each is sent again, what its relay has answered, and when a relay is given up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::ids::{ReceiverId, Sequence};
use crate::sender::event::RelayFault;
use crate::time::Moment;
use crate::wire::RouteAck;

/// The leases.
#[derive(Default)]
pub(super) struct Leases {
    by_id: BTreeMap<ReceiverId, Lease>,
    /// The generation of the newest lease.
    generation: u32,
    /// No lease is due before this.
    due: Moment,
}

/// What is leased to one relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) addr: SocketAddr,
    pub(super) parent: SocketAddr,
    pub(super) group: Option<SocketAddr>,
    pub(super) children: Vec<SocketAddr>,
}

/// The lease of one relay.
pub(super) struct Lease {
    pub(super) terms: Terms,
    pub(super) generation: u32,
    /// The number of its last acknowledgement.
    last: Option<Sequence>,
    /// When it was leased first, or acknowledged a lease last.
    alive: Moment,
    /// When these terms were acknowledged first.
    pub(super) acked: Option<Moment>,
    /// When the relay's address has refused something, if it has acknowledged nothing since then.
    refused: Option<Moment>,
    next_at: Moment,
    ack: RouteAck,
    /// Acknowledgements in a row that show a loss on the way to it, or that it drops.
    losing: u32,
    dropping: u32,
    loss: f64,
}

impl Leases {
    pub(super) fn get(&self, id: ReceiverId) -> Option<&Lease> {
        self.by_id.get(&id)
    }

    /// Whether every relay has acknowledged its present terms.
    pub(super) fn are_acked(&self) -> bool {
        self.by_id.values().all(|lease| lease.acked.is_some())
    }

    /// Leases on these terms.
    pub(super) fn lease(&mut self, now: Moment, id: ReceiverId, terms: Terms) {
        if self.by_id.get(&id).is_some_and(|lease| lease.terms == terms) {
            return;
        }
        self.generation += 1;
        let generation = self.generation;
        self.due = self.due.min(now);
        match self.by_id.get_mut(&id) {
            Some(lease) => {
                (lease.terms, lease.generation, lease.acked, lease.next_at) = (terms, generation, None, now);
            }
            None => {
                self.by_id.insert(id, Lease::new(now, terms, generation));
            }
        }
    }

    /// Ends the leases of all but these relays: they expire.
    pub(super) fn retain(&mut self, is_leased: impl Fn(ReceiverId) -> bool) {
        self.by_id.retain(|&id, _| is_leased(id));
    }

    /// Returns the next lease that is due.
    pub(super) fn next(&mut self, now: Moment) -> Option<(ReceiverId, &Lease)> {
        if now < self.due {
            return None;
        }
        let Some((&id, _)) = self.by_id.iter().find(|(_, lease)| now >= lease.next_at) else {
            self.due = self.by_id.values().map(|lease| lease.next_at).min()?;
            return None;
        };
        let lease = self.by_id.get_mut(&id).expect("just found");
        lease.next_at = now + if lease.acked.is_some() { RENEWAL } else { RETRY };
        Some((id, lease))
    }

    pub(super) fn next_at(&self) -> Option<Moment> {
        (!self.by_id.is_empty()).then_some(self.due)
    }

    /// Handles an acknowledgement with the number `sequence`; returns false if it is not newer than the last one.
    pub(super) fn take_ack(
        &mut self,
        now: Moment,
        id: ReceiverId,
        sequence: Sequence,
        ack: RouteAck,
    ) -> bool {
        let Some(lease) = self.by_id.get_mut(&id) else { return false };
        if lease.last.is_some_and(|last| sequence <= last) {
            return false;
        }
        lease.last = Some(sequence);
        lease.note(now, ack);
        true
    }

    /// Notes that the address of a relay refuses what is sent to it. Anybody can forge that: the relay is asked soon, and is
    /// given up if it does not answer either.
    pub(super) fn note_refusal(&mut self, now: Moment, addr: SocketAddr) {
        let of_it = |lease: &&mut Lease| lease.terms.addr == addr && lease.refused.is_none();
        if let Some(lease) = self.by_id.values_mut().find(of_it) {
            lease.refused = Some(now);
            lease.next_at = lease.next_at.min(now + RETRY);
            self.due = self.due.min(lease.next_at);
        }
    }

    /// Returns the relays that are to be given up, and why. A relay that loses counts only if its siblings lose far less.
    pub(super) fn faults(&self, now: Moment) -> Vec<(ReceiverId, RelayFault)> {
        let mut losses: Vec<f64> = self.by_id.values().map(|lease| lease.loss).collect();
        losses.sort_by(f64::total_cmp);
        let usual = losses.get(losses.len() / 2).copied().unwrap_or(0.0);
        let fault = |lease: &Lease| {
            let refuses = lease.refused.is_some_and(|at| now.since(at) >= REFUSED_AFTER);
            if refuses || now.since(lease.alive) >= SILENT_AFTER {
                Some(RelayFault::Silent)
            } else if lease.dropping >= BAD_ACKS {
                Some(RelayFault::Overloaded)
            } else if lease.losing >= BAD_ACKS
                && (self.by_id.len() < 2 || lease.loss > 3.0 * usual + LOSS_MIN)
            {
                Some(RelayFault::Loses)
            } else {
                None
            }
        };
        self.by_id.iter().filter_map(|(&id, lease)| Some((id, fault(lease)?))).collect()
    }

    /// Has the losses and drops of a relay count from now on, as there is nobody to take its place.
    pub(super) fn forgive(&mut self, id: ReceiverId) {
        if let Some(lease) = self.by_id.get_mut(&id) {
            (lease.losing, lease.dropping) = (0, 0);
        }
    }
}

impl Lease {
    fn new(now: Moment, terms: Terms, generation: u32) -> Self {
        Self {
            terms,
            generation,
            last: None,
            alive: now,
            acked: None,
            refused: None,
            next_at: now,
            ack: RouteAck::default(),
            losing: 0,
            dropping: 0,
            loss: 0.0,
        }
    }

    /// Datagrams that the relay has forwarded.
    pub(super) fn forwarded(&self) -> u64 {
        self.ack.forwarded
    }

    fn note(&mut self, now: Moment, ack: RouteAck) {
        (self.alive, self.refused) = (now, None);
        if ack.generation == self.generation {
            self.acked.get_or_insert(now);
        }
        let grown = |count: fn(&RouteAck) -> u64| count(&ack).saturating_sub(count(&self.ack));
        let (came, gaps) = (grown(|ack| ack.came), grown(|ack| ack.parent_gaps));
        let dropped = grown(|ack| ack.dropped_queue) + grown(|ack| ack.dropped_rate);
        if came + gaps >= COUNTED_MIN {
            self.loss = gaps as f64 / (came + gaps) as f64;
            self.losing = if self.loss > LOSS_MIN { self.losing + 1 } else { 0 };
            let is_dropping = dropped as f64 > LOSS_MIN * came as f64;
            self.dropping = if is_dropping { self.dropping + 1 } else { 0 };
            self.ack = ack;
        }
        (self.ack.forwarded, self.ack.generation) = (ack.forwarded, ack.generation);
    }
}

/// Time between two leases to one relay: five of them must be lost before it stops.
const RENEWAL: Duration = Duration::from_millis(500);
/// The same until it has acknowledged its terms.
const RETRY: Duration = Duration::from_millis(100);
/// A relay acknowledges every half second, and each lease.
const SILENT_AFTER: Duration = Duration::from_millis(1_500);
/// The same for a relay whose address refuses what is sent to it: some leases and answers may be lost.
const REFUSED_AFTER: Duration = Duration::from_millis(500);
/// Acknowledgements in a row that show something wrong before the relay is given up.
const BAD_ACKS: u32 = 3;
/// The share of losses from which a relay loses, if its siblings do not.
const LOSS_MIN: f64 = 0.05;
/// Datagrams between two acknowledgements that show anything.
const COUNTED_MIN: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_repeated_quickly_until_it_is_acknowledged_and_slowly_afterwards() {
        let mut leases = leased();
        let mut sent = Vec::new();
        for ms in 0..2_000 {
            if ms == 250 {
                assert!(leases.take_ack(
                    at(ms),
                    ID,
                    number(1),
                    RouteAck { generation: 1, ..RouteAck::default() }
                ));
            }
            while leases.next(at(ms)).is_some() {
                sent.push(ms);
            }
        }
        assert_eq!(sent, [0, 100, 200, 300, 800, 1_300, 1_800]);
    }

    #[test]
    fn an_acknowledgement_counts_once() {
        let mut leases = leased();
        let ack = RouteAck { generation: 1, ..RouteAck::default() };
        let taken = [3, 3, 2, 4].map(|nr| leases.take_ack(at(1), ID, number(nr), ack));
        assert_eq!(taken, [true, false, false, true]);
        assert!(!leases.take_ack(at(1), ReceiverId([9; 8]), number(9), ack), "it has no lease");
    }

    #[test]
    fn a_relay_that_is_silent_for_three_acknowledgements_is_given_up() {
        let mut leases = leased();
        let ack = RouteAck { generation: 1, ..RouteAck::default() };
        assert!(leases.take_ack(at(500), ID, number(1), ack));
        assert_eq!(leases.faults(at(1_999)), []);
        assert_eq!(leases.faults(at(2_000)), [(ID, RelayFault::Silent)]);
    }

    #[test]
    fn a_relay_whose_address_refuses_is_asked_soon_and_given_up_unless_it_answers() {
        let addr = leased().get(ID).expect("leased").terms.addr;
        for answers in [true, false] {
            let mut leases = leased();
            let ack = RouteAck { generation: 1, ..RouteAck::default() };
            assert!(leases.next(at(0)).is_some() && leases.take_ack(at(1), ID, number(1), ack));
            assert!(leases.next(at(101)).is_some() && leases.next(at(200)).is_none(), "not before 601");
            // Forged ones cost no more than a lease in a while.
            (200..300).for_each(|ms| leases.note_refusal(at(ms), addr));
            assert!(leases.next(at(299)).is_none() && leases.next(at(300)).is_some());
            if answers {
                assert!(leases.take_ack(at(310), ID, number(2), ack));
            }
            assert_eq!(leases.faults(at(699)), []);
            let faults: &[_] = if answers { &[] } else { &[(ID, RelayFault::Silent)] };
            assert_eq!(leases.faults(at(700)), faults);
            leases.note_refusal(at(700), ([10, 0, 0, 9], 7167).into());
        }
    }

    #[test]
    fn a_relay_that_drops_or_loses_again_and_again_is_given_up() {
        for (gaps, dropped, fault) in [(200, 0, RelayFault::Loses), (0, 300, RelayFault::Overloaded)] {
            let mut leases = leased();
            for nr in 1..=3 {
                assert_eq!(leases.faults(at(500 * nr)), []);
                let ack = RouteAck {
                    generation: 1,
                    came: 1_000 * nr,
                    parent_gaps: gaps * nr,
                    dropped_queue: dropped * nr,
                    ..RouteAck::default()
                };
                assert!(leases.take_ack(at(500 * nr), ID, number(nr), ack));
            }
            assert_eq!(leases.faults(at(1_600)), [(ID, fault)]);
            leases.forgive(ID);
            assert_eq!(leases.faults(at(1_600)), []);
        }
    }

    #[test]
    fn new_terms_are_of_a_new_generation_and_the_same_ones_are_not() {
        let mut leases = leased();
        let terms = leases.get(ID).expect("leased").terms.clone();
        leases.lease(at(1), ID, terms.clone());
        assert_eq!(leases.get(ID).map(|lease| lease.generation), Some(1));
        leases.lease(at(1), ID, Terms { children: vec![], ..terms });
        assert_eq!(leases.get(ID).map(|lease| lease.generation), Some(2));
        assert!(!leases.are_acked());
    }

    fn leased() -> Leases {
        let mut leases = Leases::default();
        let addr = |host: u8| SocketAddr::from(([10, 0, 0, host], 7167));
        let terms = Terms { addr: addr(2), parent: addr(1), group: None, children: vec![addr(3)] };
        leases.lease(at(0), ID, terms);
        leases
    }

    fn number(value: u64) -> Sequence {
        Sequence::new(value).expect("small")
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    const ID: ReceiverId = ReceiverId([1; 8]);
}
