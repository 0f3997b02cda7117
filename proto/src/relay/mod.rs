//! A host that forwards a session's datagrams to others: by multicast in its own segment, by unicast to its children, or
//! both.
//!
//! A sender leases the relay for a few seconds at a time. Under the lease, the relay forwards what came from the lease's
//! parent by unicast, belongs to the session, opens under the session's key, and did not come before. What came by
//! multicast is never forwarded. So a relay amplifies nothing that the sender has not sealed, and forgets a sender that
//! is gone.
//!
//! The datagrams are forwarded as they came. The shell drives the machine in this order, for each datagram that came by
//! unicast:
//!
//! 1. [`Relay::expects`] says whether it would be forwarded at all; nothing was opened so far.
//! 2. The datagram is opened: a symbol to its place by the receiver, anything else by [`Relay::open`]. Either gives an
//!    [`Opened`], without which nothing is admitted.
//! 3. [`Relay::admit`] returns where to send it.
//! 4. [`Relay::note_sent`] or [`Relay::note_dropped`] notes what became of it in the shell's queue.

mod counts;
mod lease;
mod prefix;
#[cfg(feature = "simulation")]
mod simulation;
#[cfg(test)]
mod tests;
mod window;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use counts::{Refused, RefusedCounts, RelayCounts};
pub use prefix::{NoPrefix, Prefix};

use crate::bucket::{Allowance, Bucket};
use crate::ids::{ReceiverId, Sequence, SessionId, SessionTag};
use crate::seal::GroupKey;
use crate::sign::{PublicKey, Scope, SigningKey};
use crate::time::{Moment, WallClock};
use crate::wire::{Header, Kind, Opened, Route, open_unread};
use lease::{Leased, Proposal};

/// Whether and for whom a host relays.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Whether it relays at all.
    pub allowed: bool,
    /// Bits in a second of all copies together; `None` for no limit.
    pub rate_max: Option<u64>,
    /// The networks in which parents may be; none at all for any.
    pub parents: Vec<Prefix>,
    /// The host's key, which signs its acknowledgements.
    pub host_key: SigningKey,
}

/// A session that this host takes part in, as the receiver knows it.
#[derive(Clone, Debug)]
pub struct Membership {
    pub(crate) session: SessionId,
    pub(crate) key: GroupKey,
    /// Who signs the session.
    pub(crate) signer: Option<PublicKey>,
    pub(crate) receiver: ReceiverId,
    /// Where the sender is answered.
    pub(crate) reply_to: SocketAddr,
}

impl Membership {
    pub(crate) fn scope(&self) -> Scope {
        self.key.scope(self.session)
    }
}

/// A datagram that is forwarded once it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Candidate {
    tag: SessionTag,
    sequence: Sequence,
    bytes: usize,
}

/// Where a datagram is to be sent, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets<'a> {
    /// The multicast group of the relay's own segment, with a TTL of 1.
    pub group: Option<SocketAddr>,
    /// Further hosts.
    pub children: &'a [SocketAddr],
}

/// A lease, as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct LeaseView<'a> {
    /// The lease.
    pub route: &'a Route,
    /// When it ends without another one.
    pub until: Moment,
}

/// The relay of one host.
pub struct Relay {
    config: RelayConfig,
    /// The sessions that are or were relayed, at most [`SESSIONS_MAX`].
    leases: Vec<Leased>,
    /// What may be sent.
    rate: RateBudget,
    /// Signatures that may be checked.
    checks: Bucket,
    counts: RelayCounts,
}

impl Relay {
    /// Returns a relay without a lease.
    pub fn new(config: RelayConfig) -> Self {
        Self {
            rate: RateBudget::new(config.rate_max),
            config,
            leases: Vec::new(),
            checks: Bucket::default(),
            counts: RelayCounts::default(),
        }
    }

    /// Takes over whether and for whom this host relays, and how fast. A lease that is held ends by itself within three
    /// seconds if it is not allowed any more.
    pub fn set(&mut self, allowed: bool, rate_max: Option<u64>, parents: Vec<Prefix>) {
        if rate_max != self.config.rate_max {
            self.rate = RateBudget::new(rate_max);
        }
        (self.config.allowed, self.config.rate_max, self.config.parents) = (allowed, rate_max, parents);
    }

    /// Whether this host relays if it is asked to.
    pub fn is_allowed(&self) -> bool {
        self.config.allowed
    }

    /// Returns the session that a datagram is a lease for, if it is one: the shell finds the receiver's
    /// [`membership`](crate::receiver::Receiver::membership) by it.
    pub fn session_of(datagram: &[u8]) -> Option<SessionId> {
        Route::session_of(datagram).ok()
    }

    /// Handles a lease. `member` is what the receiver knows of its session, if it takes part in it at present; a session
    /// that is leased already is renewed without it.
    ///
    /// # Errors
    /// Why it is not taken; the reason is counted already.
    pub fn handle_route(
        &mut self,
        now: Moment,
        wall: WallClock,
        member: Option<Membership>,
        datagram: &[u8],
    ) -> Result<(), Refused> {
        self.take_route(now, wall, member, datagram).map_err(|reason| self.refuse(reason))
    }

    fn take_route(
        &mut self,
        now: Moment,
        wall: WallClock,
        member: Option<Membership>,
        datagram: &[u8],
    ) -> Result<(), Refused> {
        if !self.config.allowed {
            return Err(Refused::Off);
        }
        let session = Route::session_of(datagram).map_err(|_| Refused::Malformed)?;
        let member = member.filter(|member| member.session == session);
        let at = self.leases.iter().position(|leased| leased.member.session == session);
        let known = at.map(|at| &self.leases[at]);
        let context = member.as_ref().or(known.map(|leased| &leased.member)).ok_or(Refused::NotInSession)?;
        let proposal = Proposal::open(context, datagram)?;
        if known.is_some_and(|leased| leased.outdates(&proposal)) {
            return Err(Refused::Outdated);
        }
        self.check_addresses(&proposal.route)?;
        if !self.checks.take(now, CHECKS) {
            return Err(Refused::TooMany);
        }
        proposal.prove(context, wall)?;
        match (at, member) {
            (Some(at), member) => {
                let leased = &mut self.leases[at];
                if let Some(member) = member {
                    leased.member.reply_to = member.reply_to;
                }
                leased.renew(now, proposal);
            }
            (None, Some(member)) => {
                self.make_room(now)?;
                self.leases.push(Leased::new(now, member, proposal));
            }
            (None, None) => return Err(Refused::NotInSession),
        }
        self.counts.leases += 1;
        Ok(())
    }

    /// Whether a datagram that came by unicast from the address `from` is one to forward once it was opened.
    ///
    /// # Errors
    /// Why it is not; the reason is counted already.
    #[inline]
    pub fn expects(&mut self, now: Moment, from: SocketAddr, datagram: &[u8]) -> Result<Candidate, Refused> {
        self.check(now, from, datagram).map_err(|reason| self.refuse(reason))
    }

    fn check(&self, now: Moment, from: SocketAddr, datagram: &[u8]) -> Result<Candidate, Refused> {
        let header = Header::parse(datagram).map_err(|_| Refused::Malformed)?;
        self.check_header(now, from, header, datagram.len())
    }

    fn check_header(
        &self,
        now: Moment,
        from: SocketAddr,
        header: Header,
        bytes: usize,
    ) -> Result<Candidate, Refused> {
        let Header { kind, tag, sequence } = header;
        let leased = self.find(tag).ok_or(Refused::NoLease)?;
        if !leased.is_valid(now) {
            return Err(Refused::Expired);
        }
        if from != leased.route.parent {
            return Err(Refused::ForeignParent);
        }
        // What is for some hosts alone are symbols; everything else of such a number is for one host.
        let is_forwarded = if sequence.is_for_some() { kind == Kind::Symbol } else { is_for_all(kind) };
        if !is_forwarded {
            return Err(Refused::Kind);
        }
        if !leased.window.is_first(sequence) {
            return Err(Refused::Replayed);
        }
        Ok(Candidate { tag, sequence, bytes })
    }

    /// Opens a datagram that nobody else has opened. `scratch` is as long as the longest datagram, and holds nothing of
    /// use afterwards.
    ///
    /// # Errors
    /// [`Refused::Unopened`]; it is counted already.
    pub fn open(
        &mut self,
        candidate: &Candidate,
        datagram: &[u8],
        scratch: &mut [u8],
    ) -> Result<Opened, Refused> {
        let leased = self.find(candidate.tag).ok_or(Refused::NoLease)?;
        open_unread(&leased.down, datagram, scratch).map_err(|_| self.refuse(Refused::Unopened))
    }

    /// Notes that a datagram that was expected does not open.
    pub fn note_unopened(&mut self) {
        self.refuse(Refused::Unopened);
    }

    /// Admits a datagram that was opened; returns where to send it.
    ///
    /// # Errors
    /// Why it is not forwarded; the reason is counted already.
    #[inline]
    pub fn admit(
        &mut self,
        now: Moment,
        candidate: Candidate,
        opened: Opened,
    ) -> Result<Targets<'_>, Refused> {
        let Candidate { tag, sequence, bytes } = candidate;
        if !opened.is(tag, sequence) {
            return Err(self.refuse(Refused::Unopened));
        }
        let Some(at) = self.leases.iter().position(|leased| leased.member.session.tag() == tag) else {
            return Err(self.refuse(Refused::NoLease));
        };
        let leased = &mut self.leases[at];
        if !leased.window.is_first(sequence) {
            return Err(self.refuse(Refused::Replayed));
        }
        leased.window.note(sequence);
        leased.counts.came += 1;
        self.counts.came += 1;
        if !self.rate.take(now, leased.copies() * bytes as u64) {
            leased.counts.dropped_rate += 1;
            self.counts.dropped_rate += 1;
            return Err(self.refuse(Refused::OverRate));
        }
        let route = &self.leases[at].route;
        Ok(Targets { group: route.group, children: &route.children })
    }

    /// Notes that datagrams of a session left to all their targets, `bytes` in one copy of all of them.
    pub fn note_sent(&mut self, tag: SessionTag, datagrams: u64, bytes: u64) {
        self.counts.forwarded += datagrams;
        if let Some(leased) = self.find_mut(tag) {
            leased.note_sent(datagrams, bytes);
            let copies = leased.copies();
            self.counts.copies += datagrams * copies;
        }
    }

    /// Notes that datagrams of a session were dropped as the shell's queue was full.
    pub fn note_dropped(&mut self, tag: SessionTag, datagrams: u64) {
        self.counts.dropped_queue += datagrams;
        if let Some(leased) = self.find_mut(tag) {
            leased.counts.dropped_queue += datagrams;
        }
    }

    /// Writes the acknowledgement that is due into `out`, and returns its address.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Moment, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let Self { leases, config, .. } = self;
        let leased = leases.iter_mut().find(|leased| leased.is_valid(now) && now >= leased.ack_at)?;
        leased.acknowledge(now, &config.host_key, config.rate_max, out);
        Some(leased.member.reply_to)
    }

    /// Returns when to call [`Relay::poll_transmit`] again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let due = |leased: &Leased| (leased.ack_at < leased.until).then_some(leased.ack_at);
        self.leases.iter().filter_map(due).min()
    }

    /// What was forwarded and refused since the start.
    pub fn counts(&self) -> &RelayCounts {
        &self.counts
    }

    /// Returns the leases that are valid.
    pub fn leases(&self, now: Moment) -> impl Iterator<Item = LeaseView<'_>> {
        let valid = self.leases.iter().filter(move |leased| leased.is_valid(now));
        valid.map(|leased| LeaseView { route: &leased.route, until: leased.until })
    }

    /// Refuses a lease whose parent is not allowed, or whose datagrams would go where no host is.
    fn check_addresses(&self, route: &Route) -> Result<(), Refused> {
        let parents = &self.config.parents;
        if !parents.is_empty() && !parents.iter().any(|net| net.contains(route.parent.ip())) {
            return Err(Refused::ParentNotAllowed);
        }
        let is_host = |addr: &SocketAddr| is_of_a_host(*addr) && *addr != route.parent;
        if route.children.iter().all(is_host) { Ok(()) } else { Err(Refused::BadChild) }
    }

    /// Forgets a session whose lease has expired if there is no place for another one.
    fn make_room(&mut self, now: Moment) -> Result<(), Refused> {
        if self.leases.len() < SESSIONS_MAX {
            return Ok(());
        }
        let oldest = self.leases.iter().enumerate().min_by_key(|(_, leased)| leased.until);
        match oldest {
            Some((at, leased)) if !leased.is_valid(now) => {
                self.leases.remove(at);
                Ok(())
            }
            _ => Err(Refused::TooMany),
        }
    }

    #[inline]
    fn find(&self, tag: SessionTag) -> Option<&Leased> {
        self.leases.iter().find(|leased| leased.member.session.tag() == tag)
    }

    fn find_mut(&mut self, tag: SessionTag) -> Option<&mut Leased> {
        self.leases.iter_mut().find(|leased| leased.member.session.tag() == tag)
    }

    fn refuse(&mut self, reason: Refused) -> Refused {
        self.counts.refused.count(reason);
        reason
    }
}

/// The kinds of datagram that go to all hosts of a session.
fn is_for_all(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Symbol
            | Kind::Announce
            | Kind::Manifest
            | Kind::Poll
            | Kind::End
            | Kind::Audience
            | Kind::Proofs
    )
}

/// Whether this can be the address of one host.
fn is_of_a_host(addr: SocketAddr) -> bool {
    let ip = addr.ip();
    let is_broadcast = ip == IpAddr::from([255; 4]);
    !ip.is_multicast() && !ip.is_unspecified() && !is_broadcast && addr.port() != 0
}

/// What may be sent within a relay's own rate: a bucket of bytes.
struct RateBudget {
    /// Nanoseconds that a byte takes; 0 for no limit.
    nanos_a_byte: f64,
    /// When all that was admitted has left at this rate, in nanoseconds since the machine's start.
    busy_until: f64,
}

impl RateBudget {
    fn new(rate: Option<u64>) -> Self {
        Self { nanos_a_byte: rate.map_or(0.0, |rate| 8e9 / rate.max(1) as f64), busy_until: 0.0 }
    }

    fn take(&mut self, now: Moment, bytes: u64) -> bool {
        if self.nanos_a_byte == 0.0 {
            return true;
        }
        let now = now.micros() as f64 * 1e3;
        let has_room = self.busy_until <= now + BURST.as_nanos() as f64;
        if has_room {
            self.busy_until = self.busy_until.max(now) + bytes as f64 * self.nanos_a_byte;
        }
        has_room
    }
}

/// Sessions that one host relays at a time. The sessions of further senders wait for the host anyway.
const SESSIONS_MAX: usize = 4;

/// Leases whose signatures are checked: two of each session in a second, and some on top while a plan changes.
const CHECKS: Allowance = Allowance { most: 40, gap: Duration::from_millis(25) };

/// How long a relay's own rate may be exceeded: what one batch of a fast sender takes.
const BURST: Duration = Duration::from_millis(20);
