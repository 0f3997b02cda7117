//! Whom a poll asks, the time in which the answers come, and what their delay shows.

use std::time::Duration;

use super::{Asked, Hosts, Tally};
use crate::ids::ReceiverId;
use crate::sender::feedback::Budget;
use crate::time::Moment;
use crate::wire::Part;

impl Hosts {
    /// Returns whom the next poll asks; see [`Parts::next`](super::parts::Parts::next).
    pub(in crate::sender) fn ask(&mut self, now: Moment, within: Option<Duration>) -> Asked {
        let all = self.asked();
        if within.is_none_or(|within| all.window <= within) {
            return self.parts.next(now, all, None);
        }
        // A host keeps its part as others are done.
        let slots = self.next_slot.clamp(all.slots, 2 * all.slots);
        self.parts.next(now, Asked { slots, window: all.window * slots / all.slots, ..all }, within)
    }

    /// Takes over what all hosts together may send.
    pub(in crate::sender) fn set_budget(&mut self, budget: Budget) {
        self.settlement.set_budget(budget);
    }

    /// The time in which all hosts send one datagram each.
    pub(in crate::sender) fn cycle(&self) -> Duration {
        self.settlement.cycle()
    }

    /// Returns the time over which hosts spread their hellos, which leaves some of the budget to the reports of those
    /// that have joined.
    pub(in crate::sender) fn hello_spread(&self) -> Duration {
        self.settlement.budget().time_for((HELLO_SPREAD_FACTOR * f64::from(self.answering())) as u32)
    }

    /// Returns how many hosts answer a poll to all of them, and the time over which they spread their answers so that all hosts
    /// together keep the budget.
    ///
    /// Hosts that are settled and hosts that have not joined answer none. While hosts are still joining, their hellos
    /// use most of that rate, so the window is longer.
    pub(in crate::sender) fn asked(&self) -> Asked {
        let Tally { heard, done, failed, .. } = self.settlement.tally();
        let slots = heard.saturating_sub(done + failed).max(1);
        let missing = self.expected_count().saturating_sub(heard);
        let turns = if missing == 0 { slots } else { (HELLO_SHARE * slots).min(slots + missing) };
        let window = self.settlement.budget().time_for(turns);
        Asked { slots, part: Part::ALL, window, is_for_rate: true }
    }

    /// Notes that a host is told its slot, after the poll of `round` was sent.
    pub(in crate::sender) fn note_slot_told(&mut self, id: ReceiverId, round: u32) {
        if let Some(host) = self.by_id.get_mut(&id) {
            host.note_slot_told(round);
        }
    }

    /// Notes that an answer to the poll of `round` came `after` it. For part of this time the host waited for its turn, as
    /// `asked` describes. A host that did not know its turn has answered at any time, which shows nothing.
    pub(in crate::sender) fn note_answer(
        &mut self,
        id: ReceiverId,
        round: u32,
        after: Duration,
        asked: Asked,
    ) {
        let host = self.by_id.get(&id).filter(|host| host.knew_its_slot(round));
        if let Some(turn) = host.and_then(|host| asked.turn(host.slot())) {
            self.judge.note_delay(after.saturating_sub(turn));
        }
    }
}

/// Factor by which the window for reports grows while hosts are still joining.
const HELLO_SHARE: u32 = 8;

/// Factor by which the spread of the hellos is longer than they need alone: with the reports of the hosts that have
/// joined, which take one part in [`HELLO_SHARE`], they stay below the budget.
const HELLO_SPREAD_FACTOR: f64 = 1.25;
