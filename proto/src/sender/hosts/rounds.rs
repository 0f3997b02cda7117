//! How many reports of one start are taken: one for each poll.
//!
//! A host answers each poll once, also where the poll is repeated, and names its round. So a report of a round that the
//! host has named before, or that was not begun, is not an honest host's.

use crate::wire::Discard;

/// The rounds in which one start has reported.
#[derive(Default)]
pub(super) struct Rounds {
    /// The latest of them; 0 before the first report.
    last: u32,
    /// The round in which the last report came, and the number of reports that came in it.
    now: u32,
    taken: u32,
}

impl Rounds {
    /// Takes a report that names the round `named` while the round `now` is under way.
    ///
    /// # Errors
    /// [`Discard::OverBudget`] if the host has reported in this round or a later one, if the round was not begun, or if
    /// too many of its reports come at once.
    pub(super) fn take(&mut self, named: u32, now: u32) -> Result<(), Discard> {
        if self.now != now {
            (self.now, self.taken) = (now, 0);
        }
        if named <= self.last || named > now || self.taken == AT_ONCE_MAX {
            return Err(Discard::OverBudget);
        }
        (self.last, self.taken) = (named, self.taken + 1);
        Ok(())
    }
}

/// Reports of one host that are taken in one round. More than one comes where a queue on the way holds several rounds'
/// answers. A host that answers no poll for long must not be able to send all of those answers at once.
const AT_ONCE_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_reports_once_in_each_round() {
        let mut rounds = Rounds::default();
        for (named, now, result) in [
            (1, 1, Ok(())),
            (1, 1, OVER),
            (2, 2, Ok(())),
            (1, 2, OVER),
            (4, 5, Ok(())),
            (5, 5, Ok(())),
            (4, 5, OVER),
            (6, 5, OVER),
            (u32::MAX, 5, OVER),
            (6, 6, Ok(())),
        ] {
            assert_eq!(rounds.take(named, now), result, "{named} in {now}");
        }
    }

    #[test]
    fn before_the_first_poll_nobody_reports() {
        assert_eq!(Rounds::default().take(0, 0), OVER);
        assert_eq!(Rounds::default().take(1, 0), OVER);
    }

    #[test]
    fn answers_that_were_saved_up_are_not_all_taken_at_once() {
        let mut rounds = Rounds::default();
        let taken = (1..=1_000).filter(|&named| rounds.take(named, 1_000).is_ok()).count();
        assert_eq!(taken, AT_ONCE_MAX as usize);
        assert_eq!(rounds.take(1_001, 1_001), Ok(()), "the next round is taken");
    }

    const OVER: Result<(), Discard> = Err(Discard::OverBudget);
}
