//! Acknowledgements that are due: no more than [`ACKS_PER_TENTH_MAX`] in a tenth of a second.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::limits::{ACKS_PER_TENTH_MAX, HOSTS_MAX};
use crate::time::Moment;
use crate::wire::Ack;

/// The queue of acknowledgements.
pub(super) struct Acks {
    due: VecDeque<(SocketAddr, Ack)>,
    /// When the current period of the budget began.
    since: Moment,
    /// Acknowledgements that were queued in this period.
    queued: u32,
}

impl Acks {
    pub(super) fn new(now: Moment) -> Self {
        Self { due: VecDeque::new(), since: now, queued: 0 }
    }

    /// Queues an acknowledgement. Without room or budget it is dropped: a host that gets none repeats its message.
    pub(super) fn push(&mut self, now: Moment, to: SocketAddr, ack: Ack) {
        if now.since(self.since) >= BUDGET_TIME {
            (self.since, self.queued) = (now, 0);
        }
        if self.due.len() < HOSTS_MAX && self.queued < ACKS_PER_TENTH_MAX {
            self.queued += 1;
            self.due.push_back((to, ack));
        }
    }

    pub(super) fn pop(&mut self) -> Option<(SocketAddr, Ack)> {
        self.due.pop_front()
    }
}

/// Period over which [`ACKS_PER_TENTH_MAX`] counts.
const BUDGET_TIME: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::Echo;
    use crate::ids::ReceiverId;
    use crate::wire::Kind;

    #[test]
    fn a_flood_of_hellos_is_answered_up_to_the_budget_and_again_a_tenth_of_a_second_later() {
        let start = Moment::from_micros(1);
        let mut acks = Acks::new(start);
        let ack = Ack { receiver: ReceiverId([1; 8]), kind: Kind::Hello, slot: 0, echo: Echo::default() };
        let mut answered = |now| {
            (0..3 * ACKS_PER_TENTH_MAX).for_each(|_| acks.push(now, ([10, 0, 0, 1], 7).into(), ack));
            std::iter::from_fn(|| acks.pop()).count() as u32
        };
        assert_eq!(answered(start), ACKS_PER_TENTH_MAX);
        assert_eq!(answered(start + BUDGET_TIME / 2), 0);
        assert_eq!(answered(start + BUDGET_TIME), ACKS_PER_TENTH_MAX);
    }
}
