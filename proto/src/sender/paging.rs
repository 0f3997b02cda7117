//! When the pages leave that say for which hosts the push is.
//!
//! A host that is named hears its page before it says hello, and one that begins late hears it as soon as an
//! announcement. All pages therefore follow the first announcement, and from then on each page comes as often as
//! announcements do, as far as pages are few.

use std::time::Duration;

use crate::audience::Pages;
use crate::time::Moment;
use crate::wire::{Audience, AudiencePage};

/// The pages, and which of them are due.
pub(super) struct Paging {
    pages: Pages,
    /// Pages that are still to follow the last announcement.
    due: usize,
    /// When the next of them may leave.
    next_at: Moment,
    /// When the last round of all pages in one go began.
    round_at: Option<Moment>,
    sent: usize,
}

/// When and in which company an announcement leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced {
    pub(super) now: Moment,
    /// The time until the next announcement.
    pub(super) gap: Duration,
    /// The time that a page takes at the rate of the push.
    pub(super) page: Duration,
    /// Whether nothing but announcements leaves, in the lead of one-way mode.
    pub(super) is_leading: bool,
}

impl Paging {
    pub(super) fn new(now: Moment, pages: Pages) -> Self {
        Self { pages, due: 0, next_at: now, round_at: None, sent: 0 }
    }

    /// What announcements say about the audience.
    pub(super) fn audience(&self) -> Audience {
        self.pages.audience()
    }

    /// Notes that an announcement leaves.
    pub(super) fn note_announced(&mut self, announced: Announced) {
        let Announced { now, is_leading, .. } = announced;
        let is_round_due = self.round_at.is_none_or(|at| is_leading && now.since(at) >= LEAD_ROUND_GAP);
        if self.due == 0 && is_round_due {
            self.round_at = Some(now);
            self.due = self.pages.len();
        }
        self.due = self.due.max(self.in_turn(announced)).min(self.pages.len());
    }

    /// Returns the next page if it may leave now; it takes `time` at the rate of the push. All pages may be due at
    /// once, which would be too much for any socket.
    pub(super) fn next(&mut self, now: Moment, time: Duration) -> Option<AudiencePage> {
        if self.due == 0 || now < self.next_at {
            return None;
        }
        self.due -= 1;
        self.sent += 1;
        self.next_at = now + time;
        self.pages.next()
    }

    /// Returns the page that left last.
    pub(super) fn last(&self) -> Option<&AudiencePage> {
        self.pages.last()
    }

    /// Returns when the next page may leave, if one is due.
    pub(super) fn next_at(&self) -> Option<Moment> {
        (self.due > 0).then_some(self.next_at)
    }

    /// Whether the pages were sent as often as one-way mode needs before its first symbol.
    pub(super) fn has_led(&self) -> bool {
        self.sent >= LEAD_ROUNDS * self.pages.len()
    }

    /// The number of pages that follow an announcement when it is nothing but one of many.
    fn in_turn(&self, announced: Announced) -> usize {
        let (pages, gap) = (self.pages.len(), announced.gap.as_micros());
        if pages <= PAGES_FEW {
            return pages.min(1);
        }
        let wanted = (pages as u128 * gap).div_ceil(ROUND_MAX.as_micros());
        let possible = gap / (SHARE * announced.page.as_micros().max(1));
        wanted.min(possible).max(1) as usize
    }
}

/// Pages of which one follows each announcement, however few of these there are.
const PAGES_FEW: usize = 4;

/// The time in which each of more pages is sent once: a host that begins late waits no longer for its page.
const ROUND_MAX: Duration = Duration::from_millis(500);

/// The part of the rate that more pages take at most: 1 / 50.
const SHARE: u128 = 50;

/// In the lead of one-way mode: the time between two rounds of all pages, so that no burst of losses hits both, and the
/// number of rounds that the first symbol waits for. No host can ask for the page that it missed.
const LEAD_ROUND_GAP: Duration = Duration::from_millis(100);
const LEAD_ROUNDS: usize = 3;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ids::{HostName, SessionId};
    use crate::limits::CONTROL_SMALL;

    #[test]
    fn all_pages_follow_the_first_announcement_one_by_one() {
        let mut paging = paging_of(500);
        let pages = paging.pages.len();
        paging.note_announced(announced(0, 1));
        assert_eq!(paging.next_at(), Some(at(0)));
        assert!(paging.next(at(0), ms(1)).is_some());
        assert!(paging.next(at(0), ms(1)).is_none(), "the first one is still leaving");
        assert_eq!(paging.next_at(), Some(at(1)));
        let left: Vec<_> = (1..).map_while(|now| paging.next(at(now), ms(1))).collect();
        assert_eq!(left.len(), pages - 1);
        assert_eq!(paging.next_at(), None);
    }

    #[test]
    fn a_few_pages_follow_each_announcement_in_turn() {
        let mut paging = paging_of(100);
        assert_eq!(paging.pages.len(), 2);
        paging.note_announced(announced(0, 1));
        drain(&mut paging, 0);
        let sent: Vec<Vec<AudiencePage>> = (1..=4)
            .map(|now| {
                paging.note_announced(announced(100 * now, 100));
                drain(&mut paging, 100 * now)
            })
            .collect();
        assert!(sent.iter().all(|pages| pages.len() == 1));
        assert!(sent[0] != sent[1] && sent[0] == sent[2], "each in its turn");
    }

    #[test]
    fn many_pages_come_around_twice_a_second() {
        let mut paging = paging_of(10_000);
        paging.note_announced(announced(0, 1));
        drain(&mut paging, 0);
        let mut heard = BTreeSet::new();
        for now in 1..=5 {
            paging.note_announced(announced(100 * now, 100));
            heard.extend(drain(&mut paging, 100 * now).iter().map(|page| format!("{page:?}")));
        }
        assert_eq!(heard.len(), paging.pages.len());
    }

    #[test]
    fn at_a_low_rate_pages_take_a_fiftieth_of_it() {
        let mut paging = paging_of(10_000);
        paging.note_announced(announced(0, 1));
        drain(&mut paging, 0);
        let slow = |now, gap| Announced { page: Duration::from_micros(500), ..announced(now, gap) };
        paging.note_announced(slow(1_000, 100));
        assert_eq!(drain(&mut paging, 1_000).len(), 4);
        paging.note_announced(slow(1_100, 1));
        assert_eq!(drain(&mut paging, 1_100).len(), 1, "some progress");
    }

    #[test]
    fn in_the_lead_of_one_way_mode_all_pages_are_sent_several_times_with_pauses() {
        let mut paging = paging_of(500);
        let pages = paging.pages.len();
        let mut rounds = Vec::new();
        for now in (0..500).step_by(20) {
            paging.note_announced(Announced { is_leading: true, ..announced(now, 20) });
            if drain(&mut paging, now).len() == pages {
                rounds.push(now);
            }
        }
        assert_eq!(rounds, [0, 100, 200, 300, 400]);
        assert!(paging.has_led());
    }

    #[test]
    fn a_push_for_everyone_has_nothing_to_say_about_that() {
        let mut paging = Paging::new(at(0), Pages::new(SESSION, NOBODY, CONTROL_SMALL));
        paging.note_announced(Announced { is_leading: true, ..announced(0, 1) });
        assert_eq!((paging.next_at(), paging.has_led()), (None, true));
    }

    fn paging_of(names: usize) -> Paging {
        let names: Vec<HostName> =
            (0..names).map(|at| HostName::new(&format!("compute-{at}")).expect("plain")).collect();
        Paging::new(at(0), Pages::new(SESSION, Some(names.iter()), CONTROL_SMALL))
    }

    fn announced(now: u64, gap: u64) -> Announced {
        Announced { now: at(now), gap: ms(gap), page: Duration::from_micros(5), is_leading: false }
    }

    /// The pages that leave from `now` on at a rate without limit.
    fn drain(paging: &mut Paging, now: u64) -> Vec<AudiencePage> {
        std::iter::from_fn(|| paging.next(at(now), Duration::ZERO)).collect()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    const NOBODY: Option<std::slice::Iter<'_, HostName>> = None;
    const SESSION: SessionId = SessionId([5; 16]);
}
