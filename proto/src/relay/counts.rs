//! Why a relay does not forward a datagram or does not take a lease, and how often for each reason.

use std::fmt;

crate::named_enum! {
    /// Why a relay does not forward a datagram, or does not take a lease. Its name is the one in logs and metrics.
    pub enum Refused {
        /// This host does not relay.
        Off => "off",
        /// No lease is held for this session.
        NoLease => "no_lease",
        /// The lease has expired.
        Expired => "expired",
        /// It came from another address than that of the lease's parent.
        ForeignParent => "foreign_parent",
        /// Its number came before, or is too old to tell.
        Replayed => "replayed",
        /// It is of a kind that is never forwarded, such as what is for one host alone.
        Kind => "kind",
        /// The session's key does not open it.
        Unopened => "unopened",
        /// It is above the relay's own rate.
        OverRate => "over_rate",
        /// It is no datagram, or of another version.
        Malformed => "malformed",
        /// A lease for a session that this host does not take part in.
        NotInSession => "not_in_session",
        /// A lease that is not signed by the session's sender.
        BadSignature => "bad_signature",
        /// A lease whose time is too far from this host's.
        Stale => "stale",
        /// A lease that is older than the one that is held.
        Outdated => "outdated",
        /// A lease with a parent that this host's configuration does not allow.
        ParentNotAllowed => "parent_not_allowed",
        /// A lease that would send to an address that is none of a host, or back to the parent.
        BadChild => "bad_child",
        /// More leases than are checked in this time, or than are held.
        TooMany => "too_many",
    }
}

/// How often a relay refused for each reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedCounts([u64; Refused::ALL.len()]);

impl RefusedCounts {
    /// Counts one more.
    pub(super) fn count(&mut self, reason: Refused) {
        self.0[reason as usize] += 1;
    }

    /// The count of one reason.
    pub fn of(&self, reason: Refused) -> u64 {
        self.0[reason as usize]
    }

    /// The reasons that occurred, with their counts.
    pub fn seen(&self) -> impl Iterator<Item = (Refused, u64)> + '_ {
        Refused::ALL.into_iter().map(|reason| (reason, self.of(reason))).filter(|&(_, count)| count > 0)
    }
}

impl fmt::Display for RefusedCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seen().next().is_none() {
            return f.write_str("none");
        }
        self.seen().enumerate().try_for_each(|(i, (reason, count))| {
            write!(f, "{}{reason}={count}", if i == 0 { "" } else { " " })
        })
    }
}

/// What a relay has done since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayCounts {
    /// Leases that were taken, renewals included.
    pub leases: u64,
    /// Datagrams that came under a lease and opened.
    pub came: u64,
    /// Of those, datagrams that left, each counted once whatever the number of its copies.
    pub forwarded: u64,
    /// Copies that left.
    pub copies: u64,
    /// Datagrams that were dropped as the queue was full.
    pub dropped_queue: u64,
    /// Datagrams that were dropped as they were above the relay's own rate.
    pub dropped_rate: u64,
    /// What was refused.
    pub refused: RefusedCounts,
}
