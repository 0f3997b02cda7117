//! Which of several pushes comes first: an order that all hosts share, so that pushes that begin together do not divide
//! the hosts among them, and are not sent to each part again.
//!
//! The push that was started first comes first, and of two of the same millisecond the one with the lower id. Its sender
//! signs the time where it has a key. A host leaves a push for an earlier one only as long as it has hardly begun, so
//! that a false time gains no more than the next push would.

use std::time::Duration;

use crate::ids::SessionId;
use crate::time::WallClock;
use crate::wire::Announce;

/// The place of a push in that order: the smaller one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence {
    started: WallClock,
    session: SessionId,
}

impl Precedence {
    pub(super) fn of(announce: &Announce) -> Self {
        Self { started: announce.started, session: announce.session }
    }
}

/// Time after which a host stays with a push of which it has received symbols. Announcements come ten times a second or
/// more often, so all hosts hear of pushes that begin together in less, on paths of up to 200 ms too.
pub(super) const BEGUN_AFTER: Duration = Duration::from_millis(300);

/// Time for which a free host waits for the next announcement of an earlier push that it has heard of before it joins a
/// later one: a live sender announces ten times a second.
pub(super) const EARLIER_HEARD_FOR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::testing::announce;

    #[test]
    fn the_earlier_push_comes_first_and_of_two_at_once_the_one_with_the_lower_id() {
        let of = |started, id| {
            Precedence::of(&Announce {
                started: WallClock(started),
                session: SessionId([id; 16]),
                ..announce()
            })
        };
        assert!(of(5, 9) < of(6, 1));
        assert!(of(5, 1) < of(5, 2));
    }
}
