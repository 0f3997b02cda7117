//! Whom a poll asks: all hosts, or, where a round of all of them would be too long, a part.
//!
//! All hosts together send [`REPORTS_PER_SECOND_MAX`](crate::limits::REPORTS_PER_SECOND_MAX) reports a second, so that a
//! round of thousands takes seconds. The rate has to follow within round trips, and the hosts' buffers at high rates last
//! for some ten milliseconds. So the polls alternate between two kinds of parts. The **panel** is a few dozens of hosts that
//! are asked over and over, as what was lost between two reports is known only of hosts that report twice: the rate and
//! flow control go by it. The **rotation** asks all hosts in turn for what they lack. After a second the next hosts are the
//! panel, or later where a poll is rare: a host shows nothing before two of its reports are many datagrams apart.
//!
//! A part is the hosts whose place has one remainder when divided by a power of two. As further hosts join, the power
//! grows, and the panel becomes a part of what it was.

use std::time::Duration;

use crate::ids::ReceiverId;
use crate::time::Moment;
use crate::wire::Part;

/// The hosts that a poll asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sender) struct Asked {
    /// The number of slots that all hosts share.
    pub(in crate::sender) slots: u32,
    /// The hosts that answer.
    pub(in crate::sender) part: Part,
    /// Time that they spread their answers over.
    pub(in crate::sender) window: Duration,
    /// Whether the rate goes by what they answer.
    pub(in crate::sender) is_for_rate: bool,
}

impl Asked {
    /// Returns how long after the poll a host of this slot answers, if it is asked.
    pub(in crate::sender) fn turn(self, slot: u32) -> Option<Duration> {
        self.part.turn(slot, self.slots, self.window)
    }

    /// Whether all hosts are asked.
    pub(in crate::sender) fn is_all(self) -> bool {
        self.part == Part::ALL
    }

    /// The same time for each host, for this part of all.
    fn only(self, part: Part, is_for_rate: bool) -> Self {
        let window =
            self.window.mul_f64(f64::from(self.slots.div_ceil(u32::from(part.of))) / f64::from(self.slots));
        Self { part, window, is_for_rate, ..self }
    }
}

/// The parts that are asked in turn.
#[derive(Default)]
pub(super) struct Parts {
    /// Where the panel and the rotation are.
    panel: u16,
    rotation: u16,
    /// Hosts of the panel that have answered, ascending.
    members: Vec<ReceiverId>,
    panel_since: Moment,
    /// Polls of this panel.
    panel_polls: u32,
    /// The number of parts of which one is the panel.
    panel_of: u16,
    /// The number of hosts that the panel should have.
    panel_size: u32,
    /// Whether the last poll asked the panel.
    asked_panel: bool,
}

impl Parts {
    /// Returns whom the next poll asks, if all of the hosts were `all`. A panel and a part of the rotation take
    /// `within`; `None` is a round of all.
    pub(super) fn next(&mut self, now: Moment, all: Asked, within: Option<Duration>) -> Asked {
        let Some(within) = within.filter(|&within| all.window > within) else {
            *self = Self::default();
            return all;
        };
        let gap = all.window / all.slots;
        let fit = |time: Duration| (time.as_nanos() / gap.as_nanos().max(1)) as u32;
        let size = fit(within / 2).clamp(PANEL_MIN, PANEL_MAX);
        let panel_of = parts_of(all.slots, size);
        self.asked_panel = !self.asked_panel;
        if self.asked_panel {
            self.renew(now, panel_of, size);
            return all.only(Part { number: self.panel, of: panel_of }, true);
        }
        let left = within.saturating_sub(gap * all.slots.div_ceil(u32::from(panel_of)));
        let of = parts_of(all.slots, fit(left).max(PANEL_MIN));
        self.rotation = (self.rotation + 1) % of;
        all.only(Part { number: self.rotation, of }, false)
    }

    /// Makes other hosts the panel, if this one is old.
    fn renew(&mut self, now: Moment, of: u16, size: u32) {
        self.panel_size = size / 2; // the least that there are, as the number of parts is a power of two
        if now.since(self.panel_since) >= PANEL_LASTS && self.panel_polls >= PANEL_POLLS {
            (self.panel, self.panel_since, self.panel_polls) = (self.panel + 1, now, 0);
            self.members.clear();
        }
        self.panel_polls += 1;
        if of != self.panel_of {
            // Some of them are not asked any more, and would be waited for.
            self.panel_of = of;
            self.members.clear();
        }
        self.panel %= of;
    }

    /// Notes that a host of this slot has answered a poll of `asked`. Returns whether it is of the panel.
    ///
    /// On a long way answers to the panel before this one still come in. A host that does not know its slot answers any poll,
    /// and one that has joined after a poll answers it in the place of another. None of them is asked again soon, so that
    /// the panel would wait for them.
    pub(super) fn note_answer(&mut self, id: ReceiverId, slot: u32, asked: Asked) -> bool {
        let panel = Part { number: self.panel, of: self.panel_of };
        if asked.part != panel || slot >= asked.slots || asked.turn(slot).is_none() {
            return false;
        }
        if let Err(at) = self.members.binary_search(&id)
            && self.members.len() < MEMBERS_MAX
        {
            self.members.insert(at, id);
        }
        true
    }

    /// Whether a host is judged with the panel.
    pub(super) fn is_member(&self, id: ReceiverId) -> bool {
        self.members.binary_search(&id).is_ok()
    }

    /// The hosts of the panel that have answered, ascending.
    pub(super) fn members(&self) -> &[ReceiverId] {
        &self.members
    }

    /// Whether so few of the panel have answered, this early, that the others may be as different as they are slow.
    pub(super) fn is_forming(&self, now: Moment) -> bool {
        now.since(self.panel_since) < PANEL_FORMS && (self.members.len() as u32) < self.panel_size
    }
}

/// The number of parts with at most `size` of `slots` hosts: a power of two.
fn parts_of(slots: u32, size: u32) -> u16 {
    slots.div_ceil(size).next_power_of_two().min(PARTS_MAX) as u16
}

/// Most hosts of a panel: of so many, a quarter is far from both ends.
const PANEL_MAX: u32 = 40;
/// Fewest hosts of a part.
const PANEL_MIN: u32 = 8;
const PARTS_MAX: u32 = 1 << 14;
/// Least time for which the same hosts are the panel, and the fewest polls.
const PANEL_LASTS: Duration = Duration::from_secs(1);
const PANEL_POLLS: u32 = 6;
/// Time for which one waits for most of a panel.
const PANEL_FORMS: Duration = Duration::from_millis(300);
/// Most members: the panel shrinks as hosts join.
const MEMBERS_MAX: usize = 4 * PANEL_MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::testing::at;

    #[test]
    fn few_hosts_are_asked_all_at_once() {
        let mut parts = Parts::default();
        let all = all_of(200);
        assert_eq!(parts.next(at(0), all, Some(Duration::from_millis(50))), all);
        assert_eq!(parts.next(at(0), all_of(10_000), None), all_of(10_000), "the pass is over");
    }

    #[test]
    fn the_panel_is_asked_in_every_second_poll_and_everyone_in_turn() {
        const HOSTS: u32 = 3_000;
        let within = Duration::from_millis(50);
        let (mut parts, mut times, mut now) = (Parts::default(), vec![0; HOSTS as usize], Duration::ZERO);
        let mut polls = 0;
        while now < Duration::from_millis(900) || polls % 2 == 1 {
            let asked = parts.next(at(now.as_millis() as u64), all_of(HOSTS), Some(within));
            polls += 1;
            assert_eq!(asked.is_for_rate, polls % 2 == 1);
            let answer: Vec<u32> = (0..HOSTS).filter(|&slot| asked.turn(slot).is_some()).collect();
            assert!(answer.len() as f64 / asked.window.as_secs_f64() < 4_050.0, "{asked:?}");
            if asked.is_for_rate {
                assert!((20..=40).contains(&answer.len()), "{asked:?}");
            } else {
                answer.iter().for_each(|&slot| times[slot as usize] += 1);
            }
            now += asked.window;
        }
        assert!(times.iter().all(|&times| times >= 1 || now < 2 * Duration::from_millis(750)), "{now:?}");
        println!("{polls} polls in {now:?}");
    }

    #[test]
    fn as_hosts_join_the_panel_shrinks_and_keeps_its_hosts() {
        let mut parts = Parts::default();
        let mut before: Option<Vec<u32>> = None;
        for hosts in [100, 300, 900, 2_000] {
            let asked = parts.next(at(0), all_of(hosts), Some(Duration::from_millis(10)));
            parts.next(at(0), all_of(hosts), Some(Duration::from_millis(10)));
            let panel: Vec<u32> = (0..100).filter(|&slot| asked.turn(slot).is_some()).collect();
            assert!(
                before.iter().flatten().filter(|slot| panel.contains(slot)).count() == panel.len()
                    || before.is_none()
            );
            before = Some(panel);
        }
    }

    #[test]
    fn hosts_that_are_not_of_the_panel_any_more_are_not_waited_for() {
        let mut parts = Parts::default();
        let within = Some(Duration::from_millis(10));
        let asked = parts.next(at(0), all_of(100), within);
        let panel: Vec<u32> = (0..100).filter(|&slot| asked.turn(slot).is_some()).take(9).collect();
        assert!(panel.iter().all(|&slot| parts.note_answer(id_of(slot), slot, asked)));
        parts.next(at(10), all_of(100), within);
        parts.next(at(20), all_of(100), within);
        assert_eq!(parts.members().len(), 9);
        parts.next(at(30), all_of(100), within);
        parts.next(at(40), all_of(1_000), within);
        assert!(parts.members().is_empty(), "only some of them are asked");
    }

    #[test]
    fn only_hosts_that_are_asked_again_are_members() {
        let mut parts = Parts::default();
        let within = Some(Duration::from_millis(10));
        let asked = parts.next(at(0), all_of(1_000), within);
        let slot = (0..1_000).find(|&slot| asked.turn(slot).is_some()).expect("somebody is asked");
        assert!(!parts.note_answer(id_of(1), slot + 1, asked), "it does not know its slot yet");
        assert!(!parts.note_answer(id_of(2), slot + 1_000, asked), "it has joined since");
        assert!(parts.note_answer(id_of(3), slot, asked));
        (0..2 * u64::from(PANEL_POLLS) - 1).for_each(|poll| {
            parts.next(at(5 + poll), all_of(1_000), within);
        });
        parts.next(at(1_000), all_of(1_000), within);
        assert!(!parts.note_answer(id_of(3), slot, asked), "others are the panel");
        assert!(parts.members().is_empty());
    }

    #[test]
    fn after_a_second_and_some_polls_others_are_the_panel() {
        let mut parts = Parts::default();
        let mut panel = |ms| {
            let asked = parts.next(at(ms), all_of(1_000), Some(Duration::from_millis(10)));
            parts.next(at(ms), all_of(1_000), Some(Duration::from_millis(10)));
            asked.part
        };
        let first = panel(0);
        (1..PANEL_POLLS).for_each(|_| assert_eq!(panel(999), first));
        let second = panel(1_000);
        assert_ne!(second, first);
        // Where a poll takes a second, two reports of a host are polls apart.
        (2..u64::from(PANEL_POLLS)).for_each(|poll| assert_eq!(panel(1_000 * poll), second));
    }

    fn id_of(host: u32) -> ReceiverId {
        ReceiverId([host as u8; ReceiverId::BYTES])
    }

    fn all_of(slots: u32) -> Asked {
        let window = Duration::from_secs(1) * slots / 4_000;
        Asked { slots, part: Part::ALL, window, is_for_rate: true }
    }
}
