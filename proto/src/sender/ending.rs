//! The end of a push. It is sent several times, as no host acknowledges it.

use std::time::Duration;

use super::event::Verdict;
use crate::time::Moment;
use crate::wire::End;

/// The end as it is being sent.
pub(super) struct Ending {
    verdict: Verdict,
    since: Moment,
    said: u32,
    next_at: Moment,
}

impl Ending {
    pub(super) fn new(now: Moment, verdict: Verdict) -> Self {
        Self { verdict, since: now, said: 0, next_at: now }
    }

    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// When the verdict was reached.
    pub(super) fn since(&self) -> Moment {
        self.since
    }

    /// Whether it was sent as often as it is going to be.
    pub(super) fn is_said(&self) -> bool {
        self.said >= self.times()
    }

    pub(super) fn next_at(&self) -> Option<Moment> {
        (!self.is_said()).then_some(self.next_at)
    }

    /// Returns the end if it is due to be sent.
    pub(super) fn next(&mut self, now: Moment) -> Option<End> {
        if self.is_said() || now < self.next_at {
            return None;
        }
        self.next_at = now + GAP * (1 << self.said);
        self.said += 1;
        Some(match &self.verdict {
            Verdict::Aborted(reason) => End::Aborted(reason.clone()),
            Verdict::Complete | Verdict::Incomplete | Verdict::Unknown | Verdict::GivenUp(_) => End::Over,
        })
    }

    /// The number of times that it is sent. After a complete push only hosts that were not expected need it. After any
    /// other push, hosts at work that miss it wait for their own timer.
    fn times(&self) -> u32 {
        match self.verdict {
            Verdict::Complete => 2,
            Verdict::Incomplete | Verdict::Unknown | Verdict::GivenUp(_) | Verdict::Aborted(_) => 5,
        }
    }
}

/// Gap between the first two times; each further gap is twice as long.
const GAP: Duration = Duration::from_millis(10);
