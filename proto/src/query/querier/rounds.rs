//! When the query is asked again, and the pages of its audience behind each time that it is asked.

use std::time::Duration;

use super::spacing::Spacing;
use crate::audience::Pages;
use crate::repeat::Repeat;
use crate::time::Moment;
use crate::wire::{Audience, AudiencePage};

/// The rounds of a query. A round is the query, and then every page; twice, where they are few, because a host needs
/// both the query and its page.
pub(super) struct Rounds {
    repeat: Repeat,
    /// No round begins later.
    last: Moment,
    round: u16,
    pages: Pages,
    /// Pages of this round that are still to be sent.
    pages_left: usize,
    spacing: Spacing,
}

/// What is sent next.
pub(super) enum Say {
    /// The query, in this round.
    Ask(u16),
    /// A page of its audience.
    Page(AudiencePage),
}

impl Rounds {
    /// Returns the rounds from now on, of which the last one begins at `last` or before.
    pub(super) fn new(now: Moment, last: Moment, pages: Pages) -> Self {
        Self {
            repeat: Repeat::new(now, ASK_GAP, ASK_GAP_MAX),
            last,
            round: 0,
            pages,
            pages_left: 0,
            spacing: Spacing::new(now),
        }
    }

    /// Which hosts the query is for.
    pub(super) fn audience(&self) -> Audience {
        self.pages.audience()
    }

    /// Returns the page that was sent last.
    pub(super) fn last_page(&self) -> Option<&AudiencePage> {
        self.pages.last()
    }

    /// Returns what is due. A round begins once the pages of the one before it are sent.
    pub(super) fn next(&mut self, now: Moment) -> Option<Say> {
        if self.next_at().is_none_or(|at| now < at) {
            return None;
        }
        if self.pages_left > 0 {
            self.pages_left -= 1;
            self.spacing.note(now);
            if self.pages_left == self.pages.len() {
                self.spacing.delay(now, AGAIN_GAP);
            }
            return self.pages.next().map(Say::Page);
        }
        self.repeat.take_due(now);
        self.round = self.round.saturating_add(1);
        let times = if self.pages.len() <= FEW_PAGES { 2 } else { 1 };
        self.pages_left = times * self.pages.len();
        self.spacing.delay(now, PAGES_GAP);
        Some(Say::Ask(self.round))
    }

    /// Has a round begin at `now`, even after the last one.
    pub(super) fn begin_at(&mut self, now: Moment) {
        self.repeat.next_at = now;
        self.last = self.last.max(now);
        self.pages_left = 0;
    }

    /// Returns when something is due; `None` after the last round.
    pub(super) fn next_at(&self) -> Option<Moment> {
        if self.pages_left > 0 {
            return Some(self.spacing.next_at);
        }
        Some(self.repeat.next_at).filter(|&at| at <= self.last)
    }
}

/// Gap between two rounds; it doubles up to [`ASK_GAP_MAX`].
const ASK_GAP: Duration = Duration::from_millis(100);
const ASK_GAP_MAX: Duration = Duration::from_secs(1);

/// Gap between the query and the first page behind it: a page that overtakes its query means nothing to a host.
const PAGES_GAP: Duration = Duration::from_millis(1);
/// Gap before pages are sent again, longer than most bursts of losses.
const AGAIN_GAP: Duration = Duration::from_millis(10);
/// The number of pages up to which each is sent twice in a round.
const FEW_PAGES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{HostName, SessionId};
    use crate::limits::CONTROL_SMALL;

    #[test]
    fn every_page_follows_the_query_in_every_round_and_few_pages_do_so_twice() {
        let mut rounds = rounds(100, at(2_000));
        let mut said = Vec::new();
        for ms in 0..150 {
            while let Some(say) = rounds.next(at(ms)) {
                said.push(match say {
                    Say::Ask(round) => format!("{ms}: ask {round}"),
                    Say::Page(_) => format!("{ms}: page"),
                });
            }
        }
        let first = ["0: ask 1", "1: page", "2: page", "12: page", "13: page"];
        let second = ["100: ask 2", "101: page", "102: page", "112: page", "113: page"];
        assert_eq!(said, [first, second].concat());
    }

    #[test]
    fn many_pages_are_spaced_out_and_the_next_round_waits_for_them() {
        let mut rounds = rounds(10_000, at(2_000));
        let (mut pages, mut second) = (Vec::new(), None);
        for ms in 0..400 {
            let before = pages.len();
            while let Some(say) = rounds.next(at(ms)) {
                match say {
                    Say::Ask(2) => second = second.or(Some((ms, pages.len()))),
                    Say::Ask(_) => {}
                    Say::Page(page) => pages.push(page),
                }
            }
            assert!(pages.len() - before <= 11, "{} in one millisecond", pages.len() - before);
        }
        let (ms, before) = second.expect("a second round");
        assert_eq!(before, rounds.pages.len());
        assert!((91..110).contains(&ms), "{before} pages in {ms} ms");
    }

    #[test]
    fn the_last_round_begins_in_time_for_its_answers() {
        let mut rounds = rounds(1, at(250));
        let asked = (0..3_000).filter(|&ms| {
            let said = std::iter::from_fn(|| rounds.next(at(ms)));
            said.filter(|say| matches!(say, Say::Ask(_))).count() > 0
        });
        assert_eq!(asked.collect::<Vec<_>>(), [0, 100]);
        assert_eq!(rounds.next_at(), None);
    }

    #[test]
    fn hosts_are_asked_once_more_when_the_querier_has_another_address() {
        let mut rounds = rounds(1, at(250));
        while let Some(now) = rounds.next_at() {
            assert!(rounds.next(now).is_some());
        }
        rounds.begin_at(at(400));
        assert!(matches!(rounds.next(at(400)), Some(Say::Ask(3))));
    }

    fn rounds(names: usize, last: Moment) -> Rounds {
        let names: Vec<HostName> =
            (0..names).map(|at| HostName::new(&format!("compute-{at}")).expect("plain")).collect();
        Rounds::new(at(0), last, Pages::new(SessionId([5; 16]), Some(names.iter()), CONTROL_SMALL))
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(1_000_000 + 1_000 * ms)
    }
}
