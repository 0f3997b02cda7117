//! Why a datagram is dropped, and how often for each reason.

use std::fmt;

crate::named_enum! {
    /// Why a datagram is dropped. Its name is the one in logs and metrics. Dropping does nothing but count.
    pub enum Discard {
        /// Shorter than its header and tag.
        TooShort => "too_short",
        /// Longer than any datagram of its kind.
        TooLong => "too_long",
        /// Of another version of the protocol.
        OtherVersion => "other_version",
        /// Of a kind that does not exist, or that is not sent in this direction.
        UnknownKind => "unknown_kind",
        /// Of a session that this side does not take part in.
        OtherSession => "other_session",
        /// An announcement that our group key does not open: another group on the same address, or a forgery.
        WrongKey => "wrong_key",
        /// It bears our session's tag and our key does not open it.
        Forged => "forged",
        /// An announcement whose time is too far from ours.
        Stale => "stale",
        /// It opened, and a field has an impossible value.
        Malformed => "malformed",
        /// Its number was seen from this writer before.
        Replayed => "replayed",
        /// A symbol that is held already.
        Duplicate => "duplicate",
        /// A symbol of a block that is complete or being rebuilt.
        NotNeeded => "not_needed",
        /// More repair symbols than a block can use.
        Surplus => "surplus",
        /// A symbol of a new block while all buffers are in use.
        NoBuffer => "no_buffer",
        /// A symbol of a block far ahead of what the session's sender has signed.
        FarAhead => "far_ahead",
        /// From a host beyond the number that a sender keeps track of, or from one whose hello was never accepted.
        UnknownHost => "unknown_host",
        /// A query while as many are open or remembered as a host keeps.
        TooMany => "too_many",
        /// An announcement that is not signed, or signed by a sender that this host does not list.
        UnknownSender => "unknown_sender",
        /// An announcement or a query signed by a sender whose entry in this host's list has expired.
        ExpiredSender => "expired_sender",
        /// A group key, or the end of one, from a sender that does not have this host's newest key.
        OldKey => "old_key",
        /// Sealed under the group key, and not signed by the session's sender: somebody else with the key made it.
        BadSignature => "bad_signature",
        /// A number far above those that the session's sender has signed.
        Implausible => "implausible",
        /// From a host that the push or the query is not for.
        Unlisted => "unlisted",
        /// More than one writer may send, or have checked, in this time.
        OverBudget => "over_budget",
        /// A push or a query for other hosts.
        NotForUs => "not_for_us",
        /// From a host whose key is not the one that the sender knows for its name.
        KeyChanged => "key_changed",
        /// From a host whose key the sender does not know, where it takes known hosts only.
        UnknownKey => "unknown_key",
    }
}

/// How many datagrams were dropped for each reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscardCounts([u64; Discard::ALL.len()]);

impl DiscardCounts {
    /// Counts one more.
    pub fn count(&mut self, reason: Discard) {
        self.0[reason as usize] += 1;
    }

    /// Counts `times` more.
    pub fn count_times(&mut self, reason: Discard, times: u64) {
        self.0[reason as usize] += times;
    }

    /// The count of one reason.
    pub fn of(&self, reason: Discard) -> u64 {
        self.0[reason as usize]
    }

    /// Returns what was counted after `earlier`, which is an older state of these counts.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at].saturating_sub(earlier.0[at])))
    }

    /// The reasons that occurred, with their counts.
    pub fn seen(&self) -> impl Iterator<Item = (Discard, u64)> + '_ {
        Discard::ALL.into_iter().map(|reason| (reason, self.of(reason))).filter(|&(_, count)| count > 0)
    }
}

impl fmt::Display for DiscardCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.seen().next().is_none() {
            return f.write_str("none");
        }
        self.seen().enumerate().try_for_each(|(i, (reason, count))| {
            write!(f, "{}{reason}={count}", if i == 0 { "" } else { " " })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place_and_name() {
        for (place, reason) in Discard::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
        let mut counts = DiscardCounts::default();
        assert_eq!(counts.to_string(), "none");
        counts.count(Discard::Forged);
        counts.count(Discard::Forged);
        counts.count(Discard::TooShort);
        assert_eq!(counts.to_string(), "too_short=1 forged=2");
        counts.count_times(Discard::TooShort, 2);
        counts.count_times(Discard::Replayed, 0);
        assert_eq!(counts.of(Discard::TooShort), 3);
        assert!(counts.seen().eq([(Discard::TooShort, 3), (Discard::Forged, 2)]));
    }
}
