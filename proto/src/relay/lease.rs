//! One lease: what may be forwarded of one session, from where, to where, and until when.

use std::time::Duration;

use super::window::Window;
use super::{Membership, Refused};
use crate::ids::Sequence;
use crate::limits::ANNOUNCE_SKEW_MAX;
use crate::seal::Cipher;
use crate::sign::SigningKey;
use crate::time::{Moment, WallClock};
use crate::wire::{Discard, Route, RouteAck, Vouched};

/// The lease of a session, and what was forwarded under it.
pub(super) struct Leased {
    pub(super) member: Membership,
    /// The lease as it was renewed last.
    pub(super) route: Route,
    /// When it ends without another one.
    pub(super) until: Moment,
    pub(super) window: Window,
    /// Opens the session's datagrams.
    pub(super) down: Cipher,
    /// When the next acknowledgement is due.
    pub(super) ack_at: Moment,
    /// What was forwarded under the leases of this session.
    pub(super) counts: RouteAck,
    /// The number of the datagram with the lease.
    sequence: Sequence,
    /// Seals this relay's acknowledgements.
    up: Cipher,
    acks: u64,
    /// Bytes that left since the last acknowledgement, and when that was.
    sent: u64,
    acked_at: Moment,
}

/// A lease as it came. Its signature is checked by [`Proposal::prove`].
pub(super) struct Proposal {
    pub(super) route: Route,
    pub(super) sequence: Sequence,
    vouched: Vouched,
}

impl Proposal {
    /// Opens the lease that `datagram` is, for a session that this host is in.
    pub(super) fn open(member: &Membership, datagram: &[u8]) -> Result<Self, Refused> {
        let sequence = Route::number_of(datagram).map_err(|_| Refused::Malformed)?;
        let (route, vouched) = Route::open(&member.key, datagram).map_err(|reason| match reason {
            Discard::WrongKey => Refused::Unopened,
            _ => Refused::Malformed,
        })?;
        if vouched.signer() != member.signer {
            return Err(Refused::BadSignature);
        }
        Ok(Self { route, sequence, vouched })
    }

    /// Checks the time and the signature.
    pub(super) fn prove(&self, member: &Membership, wall: WallClock) -> Result<(), Refused> {
        if self.route.time.distance(wall) > ANNOUNCE_SKEW_MAX {
            return Err(Refused::Stale);
        }
        self.vouched.verify(member.scope()).map_err(|_| Refused::BadSignature)
    }
}

impl Leased {
    /// Takes the first lease of a session, which was proven.
    pub(super) fn new(now: Moment, member: Membership, proposal: Proposal) -> Self {
        let Proposal { route, sequence, .. } = proposal;
        Self {
            until: now + route.expires,
            window: Window::new(),
            down: Cipher::downward(&member.key, member.session),
            up: Cipher::upward(&member.key, member.session, member.receiver),
            ack_at: now,
            acks: 0,
            counts: RouteAck { generation: route.generation, ..RouteAck::default() },
            sent: 0,
            acked_at: now,
            member,
            route,
            sequence,
        }
    }

    /// Whether a lease is older than this one: sent before it, or of an earlier generation.
    pub(super) fn outdates(&self, proposal: &Proposal) -> bool {
        proposal.sequence <= self.sequence || proposal.route.generation < self.route.generation
    }

    /// Takes a newer lease, which was proven.
    pub(super) fn renew(&mut self, now: Moment, proposal: Proposal) {
        self.until = now + proposal.route.expires;
        (self.route, self.sequence) = (proposal.route, proposal.sequence);
        self.counts.generation = self.route.generation;
        self.ack_at = self.ack_at.min(now);
    }

    pub(super) fn is_valid(&self, now: Moment) -> bool {
        now < self.until
    }

    /// The number of copies of each datagram.
    pub(super) fn copies(&self) -> u64 {
        self.route.children.len() as u64 + u64::from(self.route.group.is_some())
    }

    pub(super) fn note_sent(&mut self, datagrams: u64, bytes: u64) {
        self.counts.forwarded += datagrams;
        self.sent += bytes * self.copies();
    }

    /// Writes the acknowledgement that is due into `out`. `rate` is the relay's own, in bits a second.
    pub(super) fn acknowledge(
        &mut self,
        now: Moment,
        key: &SigningKey,
        rate: Option<u64>,
        out: &mut Vec<u8>,
    ) {
        let time = now.since(self.acked_at).max(Duration::from_millis(1));
        let share = rate.map_or(0.0, |rate| 8.0 * self.sent as f64 / time.as_secs_f64() / rate.max(1) as f64);
        (self.sent, self.acked_at, self.ack_at) = (0, now, now + ACK_GAP);
        self.acks += 1;
        self.counts.parent_gaps = self.window.gaps();
        let ack = RouteAck { load: (1_000.0 * share.min(60.0)) as u16, ..self.counts };
        let sequence =
            Sequence::new(Sequence::FOR_SOME + self.acks).expect("2^39 acknowledgements take years");
        ack.seal(&self.up, key.within(self.member.scope()), self.member.receiver, sequence, out);
    }
}

/// Time between two acknowledgements, besides those that answer a lease. A sender gives a relay up when three of them
/// are missing.
const ACK_GAP: Duration = Duration::from_millis(500);
