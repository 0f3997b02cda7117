//! The starts of one name, and which of them makes room for another.

use super::Settlement;
use super::start::Start;
use crate::ids::{HostName, ReceiverId};
use crate::limits::HOSTS_MAX;
use crate::sender::hosts::results::Expected;
use crate::wire::Discard;

/// The starts of one name: at most [`STARTS_MAX`].
#[derive(Default)]
pub(super) struct Place {
    /// Those that count: one, or several of which all are alive or have failed for good. Never none.
    pub(super) counted: Vec<ReceiverId>,
    /// Those in whose place others count, the oldest first.
    pub(super) superseded: Vec<ReceiverId>,
    /// The start that was done when a later hello superseded it.
    pub(super) done_before: Option<ReceiverId>,
}

impl Place {
    fn len(&self) -> usize {
        self.counted.len() + self.superseded.len()
    }

    /// Returns the start that is missed least. A start that was done is the last to go: it may count again.
    fn dispensable(&self) -> Option<ReceiverId> {
        let others = self.superseded.iter().copied().find(|&id| Some(id) != self.done_before);
        others.or(self.done_before)
    }
}

impl Settlement {
    /// Whether there is room for another start of this name. The start that has to be forgotten for it once the new one
    /// has joined is returned, if there is one: of the same name, and one that does not count by then.
    ///
    /// `known` is how many hosts with a known key have no start yet.
    ///
    /// # Errors
    /// If there is no room.
    pub(in crate::sender::hosts) fn room_for(
        &self,
        name: &HostName,
        known: Known,
    ) -> Result<Option<ReceiverId>, Discard> {
        let kept = self.kept(known.absent);
        let Some(place) = self.places.get(name) else {
            let is_kept_for = self.is_expected(name) || known.this_one;
            let kept = if is_kept_for { 0 } else { kept };
            return if self.starts.len() + kept < HOSTS_MAX { Ok(None) } else { Err(Discard::UnknownHost) };
        };
        let has_room = self.starts.len() + kept < HOSTS_MAX;
        if place.len() < STARTS_MAX && has_room {
            return Ok(None);
        }
        let superseded_next = |id: &&ReceiverId| !self.starts[*id].has_failed_for_good();
        let next = || place.counted.iter().find(superseded_next).copied().filter(|_| !has_room);
        place.dispensable().or_else(next).map(Some).ok_or(Discard::UnknownHost)
    }

    /// Forgets a start that does not count.
    pub(in crate::sender::hosts) fn forget(&mut self, id: ReceiverId) {
        let Start { name, is_superseded, missed_since, .. } = self.starts.remove(&id).expect("it is known");
        assert!(is_superseded, "a start that counts is not forgotten");
        if let Some(since) = missed_since {
            self.missed.remove(&(since, id));
        }
        let place = self.place_mut(&name);
        place.superseded.retain(|&superseded| superseded != id);
        place.done_before.take_if(|done| *done == id);
        #[cfg(test)]
        self.recount_few();
    }

    /// The number of places that are kept for names without a start: for all that are expected, or, where any name may
    /// take part, for those that are known.
    fn kept(&self, known: usize) -> usize {
        match &self.expected {
            Expected::Named(names) => names.len() - self.places.len(),
            Expected::Count(_) | Expected::Anyone => known.min(KNOWN_KEPT_MAX),
        }
    }
}

/// Which hosts are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sender::hosts) struct Known {
    /// Whether the host in question is.
    pub(in crate::sender::hosts) this_one: bool,
    /// The number of those that have no start yet.
    pub(in crate::sender::hosts) absent: usize,
}

/// Starts of one name that are kept: a host that begins anew again and again takes the places of its own starts.
const STARTS_MAX: usize = 4;

/// Places that are kept for known hosts where any name may take part: a list of known hosts may be longer than a push
/// is wide, and hosts that are not in it take part too.
const KNOWN_KEPT_MAX: usize = HOSTS_MAX / 2;
