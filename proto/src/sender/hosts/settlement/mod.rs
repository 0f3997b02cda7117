//! Which starts of which hosts the push counts, in what state each is, and whether everything that it waits for has
//! ended.
//!
//! A host is known by its name, which belongs to one key, and a start of its receiver by an id. Usually one start of a
//! name counts: the latest. If two machines have the same name and key, each start that is heard counts, and the host
//! is settled when all of them are. A start that has failed counts beside later ones (`twins`). Places are kept for
//! hosts that have no start yet (`place`).
//!
//! The sums (how many starts are in which state, which names are awaited, which are settled) follow from the starts.
//! They are updated with each change of one start, so that a datagram costs no more with ten thousand hosts than with
//! one. Only this folder changes a start. `recount` computes the sums anew and compares them, in tests after each
//! change.

mod over;
mod place;
mod start;
#[cfg(test)]
mod tests;
mod twins;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use super::results::{Expected, HostState, Tally};
use super::strangers::{Stranger, Strangers};
use crate::ids::{HostName, ReceiverId};
use crate::known::Standing;
use crate::limits::{AUDIENCE_MAX, HOSTS_MAX};
use crate::sender::feedback::Budget;
use crate::sign::PublicKey;
use crate::time::Moment;
pub(super) use place::Known;
use place::Place;
pub(super) use start::Start;

/// All starts that were heard, and the hosts that are expected.
pub(super) struct Settlement {
    expected: Expected,
    starts: BTreeMap<ReceiverId, Start>,
    /// The starts of each name that has some. If hosts are expected by name, there are no others.
    places: BTreeMap<HostName, Place>,
    /// Starts that were superseded before they were settled and were not heard since, by the time.
    missed: BTreeSet<(Moment, ReceiverId)>,
    last_joined: Option<Moment>,
    /// Time after which hosts that were never heard are given up.
    join_timeout: Option<Duration>,
    /// Names without a start under which somebody was heard who does not count.
    strangers: Strangers,
    /// Names that are expected and not settled. If hosts are expected by name, all strangers are among them.
    awaited: BTreeSet<HostName>,
    /// Names of which all starts that count are settled. If a number of hosts is expected, each name counts once: a
    /// start that failed and the one that superseded it are one host.
    settled_names: BTreeSet<HostName>,
    /// The starts that count, by state. `expected` and `sidelined` are not kept here.
    tally: Tally,
    /// What all hosts together may send.
    budget: Budget,
}

impl Settlement {
    /// Returns a state in which no host was heard.
    ///
    /// # Panics
    /// If more than [`AUDIENCE_MAX`] hosts are expected by name, or none.
    pub(super) fn new(expected: Expected) -> Self {
        let awaited = match &expected {
            Expected::Named(names) => {
                assert!((1..=AUDIENCE_MAX as usize).contains(&names.len()));
                names.clone()
            }
            Expected::Count(_) | Expected::Anyone => BTreeSet::new(),
        };
        Self {
            expected,
            starts: BTreeMap::new(),
            places: BTreeMap::new(),
            missed: BTreeSet::new(),
            last_joined: None,
            join_timeout: None,
            strangers: Strangers::default(),
            awaited,
            settled_names: BTreeSet::new(),
            tally: Tally::default(),
            budget: Budget::default(),
        }
    }

    pub(super) fn set_join_timeout(&mut self, join_timeout: Option<Duration>) {
        self.join_timeout = join_timeout;
    }

    pub(super) fn get(&self, id: ReceiverId) -> Option<&Start> {
        self.starts.get(&id)
    }

    /// Whether a start of this name was heard.
    pub(super) fn has_start(&self, name: &HostName) -> bool {
        self.places.contains_key(name)
    }

    /// The starts of this name that were heard, whether they count or not.
    pub(super) fn starts_of(&self, name: &HostName) -> impl Iterator<Item = ReceiverId> {
        let places = self.places.get(name).into_iter();
        places.flat_map(|place| place.counted.iter().chain(&place.superseded)).copied()
    }

    /// The starts that count, by name.
    pub(super) fn counted(&self) -> impl Iterator<Item = (ReceiverId, &Start)> {
        self.places.values().flat_map(|place| &place.counted).map(|&id| (id, &self.starts[&id]))
    }

    /// The starts that count, by id: all, or those after `id`.
    pub(super) fn counted_after(&self, id: Option<ReceiverId>) -> impl Iterator<Item = ReceiverId> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        let starts = self.starts.range((from, Bound::Unbounded));
        starts.filter(|(_, start)| start.counts()).map(|(&id, _)| id)
    }

    /// The starts that count and take part, by id.
    pub(super) fn receiving(&self) -> impl Iterator<Item = ReceiverId> {
        self.starts.iter().filter(|(_, start)| start.is_receiving()).map(|(&id, _)| id)
    }

    /// Whether hosts answer, and each of them is at work on another push.
    pub(super) fn are_all_busy(&self) -> bool {
        let Tally { heard, done, failed, silent, busy, .. } = self.tally;
        busy > 0 && heard == done + failed + silent + busy
    }

    /// The starts that count, by state, and the hosts that are expected.
    pub(super) fn tally(&self) -> Tally {
        Tally { expected: self.expected_count().max(self.tally.heard), ..self.tally }
    }

    /// The number of hosts that are expected, by name or by count; 0 if no particular host is.
    pub(super) fn expected_count(&self) -> u32 {
        match &self.expected {
            Expected::Named(names) => names.len() as u32,
            Expected::Count(count) => *count,
            Expected::Anyone => 0,
        }
    }

    /// The number of hosts that may send a hello: the larger of those expected and those known.
    pub(super) fn answering(&self) -> u32 {
        let known = match &self.expected {
            Expected::Named(_) => 0,
            Expected::Count(_) | Expected::Anyone => self.starts.len() as u32,
        };
        known.max(self.expected_count()).clamp(1, HOSTS_MAX as u32)
    }

    /// What all hosts together may send.
    pub(super) fn budget(&self) -> Budget {
        self.budget
    }

    pub(super) fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// The time in which all hosts that may send a hello send one datagram each.
    pub(super) fn cycle(&self) -> Duration {
        self.budget.time_for(self.answering())
    }

    /// Whether the push is for a host of this name.
    pub(super) fn is_meant(&self, name: &HostName) -> bool {
        match &self.expected {
            Expected::Named(names) => names.contains(name),
            Expected::Count(_) | Expected::Anyone => true,
        }
    }

    /// Whether a host of this name is expected.
    pub(super) fn is_expected(&self, name: &HostName) -> bool {
        matches!(&self.expected, Expected::Named(names) if names.contains(name))
    }

    /// Sets the state that a start has reported, or in which it has ended.
    pub(super) fn set_state(&mut self, id: ReceiverId, state: HostState) {
        let start = &self.starts[&id];
        if start.state == state {
            return;
        }
        let (name, is_counted) = (start.name.clone(), !start.is_superseded);
        if is_counted {
            self.count(id, Counting::Out);
        }
        self.start_mut(id).state = state;
        if is_counted {
            self.count(id, Counting::In);
            self.settle_name(&name);
        }
    }

    /// Whether it was told before that somebody claims this name with a wrong key.
    pub(super) fn is_claimed(&self, name: &HostName) -> bool {
        self.strangers.is_claimed(name)
    }

    /// Notes that the holder of a key with this standing claims `name`; returns whether that is to be told. The name
    /// has a row that says so for as long as it has no start.
    pub(super) fn note_stranger(&mut self, name: &HostName, key: PublicKey, standing: Standing) -> bool {
        let Some(stranger) = Stranger::with_key(name, key, standing) else { return false };
        let is_news = self.strangers.note_claim(name);
        if is_news && !self.has_start(name) {
            self.strangers.show(name, stranger);
        }
        is_news
    }

    /// Notes that a host speaks another version; returns whether that is news. It is not if the host takes part.
    pub(super) fn note_other_version(&mut self, name: &HostName, what: &str) -> bool {
        if !self.is_meant(name) || self.has_start(name) || self.strangers.contains(name) {
            return false;
        }
        self.strangers.show(name, Stranger::of_other_version(what));
        self.strangers.contains(name)
    }

    /// Updates `awaited` and `settled_names` for one name that has a start.
    fn settle_name(&mut self, name: &HostName) {
        if self.counted_of(name).iter().all(|id| self.starts[id].state.is_settled()) {
            self.awaited.remove(name);
            self.settled_names.insert(name.clone());
        } else {
            self.settled_names.remove(name);
            if self.is_expected(name) {
                self.awaited.insert(name.clone());
            }
        }
        #[cfg(test)]
        self.recount_few();
    }

    /// Adds a start to `tally` or removes it.
    fn count(&mut self, id: ReceiverId, counting: Counting) {
        let tally = &mut self.tally;
        let add = |count: &mut u32| match counting {
            Counting::In => *count += 1,
            Counting::Out => *count -= 1,
        };
        add(&mut tally.heard);
        match self.starts[&id].state {
            HostState::Done | HostState::Existing => add(&mut tally.done),
            HostState::Failed => add(&mut tally.failed),
            HostState::Silent => add(&mut tally.silent),
            HostState::Busy => add(&mut tally.busy),
            HostState::Receiving
            | HostState::NeverAnswered
            | HostState::OtherVersion
            | HostState::KeyChanged
            | HostState::UnknownKey => {}
        }
    }

    fn counted_of(&self, name: &HostName) -> &[ReceiverId] {
        self.places.get(name).map_or(&[], |place| &place.counted)
    }

    fn start_mut(&mut self, id: ReceiverId) -> &mut Start {
        self.starts.get_mut(&id).expect("it is known")
    }

    fn place_mut(&mut self, name: &HostName) -> &mut Place {
        self.places.get_mut(name).expect("a name with a start has a place")
    }
}

#[derive(Clone, Copy)]
enum Counting {
    In,
    Out,
}
