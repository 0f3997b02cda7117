//! Why a datagram is dropped, and how often each reason came up.

use std::fmt;

/// The reason for which a datagram is dropped. Dropping is never more than counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discard {
    /// Shorter than its header and tag.
    TooShort,
    /// Longer than any datagram of its kind.
    TooLong,
    /// Another version of the protocol.
    OtherVersion,
    /// A kind that does not exist, or that does not travel in this direction.
    UnknownKind,
    /// Of a session that this side does not take part in.
    OtherSession,
    /// An announcement that our group key does not open: another group on the same address, or a forgery.
    WrongKey,
    /// It bears our session's tag and our key does not open it.
    Forged,
    /// An announcement whose time is too far from ours.
    Stale,
    /// It opened, and says something that is not possible.
    Malformed,
    /// Its number was seen from this writer before.
    Replayed,
    /// A symbol that is held already.
    Duplicate,
    /// A symbol of a block that is complete or being rebuilt.
    NotNeeded,
    /// More repair symbols than a block can use.
    Surplus,
    /// A symbol of a new block while all buffers are in use.
    NoBuffer,
    /// Of a host above the number of hosts that a sender keeps track of, or of one that was never greeted.
    UnknownHost,
    /// A query while as many are open or remembered as a host keeps.
    TooMany,
    /// An announcement that is not signed, or by somebody whom this host does not list.
    UnknownSender,
    /// Sealed under the group key, and not signed by the session's sender: made by somebody else who has the key.
    BadSignature,
    /// A number far above those that the session's sender has signed.
    Implausible,
    /// Of a host that the push does not list, where only those on the list may answer.
    Unlisted,
}

impl Discard {
    const ALL: [Self; 20] = [
        Self::TooShort,
        Self::TooLong,
        Self::OtherVersion,
        Self::UnknownKind,
        Self::OtherSession,
        Self::WrongKey,
        Self::Forged,
        Self::Stale,
        Self::Malformed,
        Self::Replayed,
        Self::Duplicate,
        Self::NotNeeded,
        Self::Surplus,
        Self::NoBuffer,
        Self::UnknownHost,
        Self::TooMany,
        Self::UnknownSender,
        Self::BadSignature,
        Self::Implausible,
        Self::Unlisted,
    ];

    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::OtherVersion => "other_version",
            Self::UnknownKind => "unknown_kind",
            Self::OtherSession => "other_session",
            Self::WrongKey => "wrong_key",
            Self::Forged => "forged",
            Self::Stale => "stale",
            Self::Malformed => "malformed",
            Self::Replayed => "replayed",
            Self::Duplicate => "duplicate",
            Self::NotNeeded => "not_needed",
            Self::Surplus => "surplus",
            Self::NoBuffer => "no_buffer",
            Self::UnknownHost => "unknown_host",
            Self::TooMany => "too_many",
            Self::UnknownSender => "unknown_sender",
            Self::BadSignature => "bad_signature",
            Self::Implausible => "implausible",
            Self::Unlisted => "unlisted",
        }
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

    /// Counts so many more.
    pub fn count_times(&mut self, reason: Discard, times: u64) {
        self.0[reason as usize] += times;
    }

    /// Those of one reason.
    pub fn of(&self, reason: Discard) -> u64 {
        self.0[reason as usize]
    }

    /// The reasons that came up, with their counts.
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
            write!(f, "{}{}={count}", if i == 0 { "" } else { " " }, reason.name())
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
    }
}
