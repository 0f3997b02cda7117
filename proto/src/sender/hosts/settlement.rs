//! Which starts of which hosts the push counts, in what state each is, and whether everything that it waits for has
//! ended.
//!
//! A host is known by its name, a start of its receiver by an id. Usually one start of a name counts: the latest. If
//! two machines have the same name, each start that is heard counts, and the host is settled when all of them are.
//!
//! The sums (how many starts are in which state, which names are awaited, which are settled) follow from the starts.
//! They are updated with each change of one start, so that a datagram costs no more with ten thousand hosts than with
//! one. Only this file changes a start. `recount` computes the sums anew and compares them, in tests after each change.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::results::{Expected, HostRow, HostState, Tally};
use crate::ids::{HostName, ReceiverId};
use crate::limits::{HOSTS_MAX, REPORTS_PER_SECOND_MAX};
use crate::time::Moment;

/// The standing of one start of one receiver.
pub(super) struct Start {
    name: HostName,
    state: HostState,
    /// Whether another start of its name counts in its place.
    is_superseded: bool,
    /// Whether another start of its name was heard while this one counted.
    is_twin: bool,
}

impl Start {
    pub(super) fn name(&self) -> &HostName {
        &self.name
    }

    pub(super) fn state(&self) -> HostState {
        self.state
    }

    pub(super) fn is_twin(&self) -> bool {
        self.is_twin
    }

    /// Whether it counts and takes part in the push.
    pub(super) fn is_receiving(&self) -> bool {
        self.state == HostState::Receiving && !self.is_superseded
    }

    /// Whether it counts and is expected to send more.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.state, HostState::Receiving | HostState::Busy) && !self.is_superseded
    }
}

/// All starts that were heard, and the hosts that are expected.
pub(super) struct Settlement {
    expected: Expected,
    /// Whether hosts that are not expected by name are refused.
    only_listed: bool,
    starts: BTreeMap<ReceiverId, Start>,
    /// The starts of each name that count: one, or several that are all alive. Never none.
    by_name: BTreeMap<HostName, Vec<ReceiverId>>,
    /// Hosts that speak another version of the protocol, with the text about it. None of them has a start.
    other_versions: BTreeMap<HostName, String>,
    /// Starts that were done when a later hello of their name superseded them.
    done_before: BTreeMap<HostName, ReceiverId>,
    /// Starts that were superseded before they were settled, and when that was.
    superseded_at: BTreeMap<ReceiverId, Moment>,
    last_joined: Option<Moment>,
    /// Names that are expected and not settled.
    awaited: BTreeSet<HostName>,
    /// Names of which all starts that count are settled. If a number of hosts is expected, each name counts once: a
    /// start that failed and the one that superseded it are one host.
    settled_names: BTreeSet<HostName>,
    /// The starts that count, by state. `expected` and `sidelined` are not kept here.
    tally: Tally,
}

impl Settlement {
    /// Returns a state in which no host was heard.
    pub(super) fn new(expected: Expected, only_listed: bool) -> Self {
        let awaited = match &expected {
            Expected::Named(names) => names.clone(),
            Expected::Count(_) | Expected::Anyone => BTreeSet::new(),
        };
        Self {
            expected,
            only_listed,
            starts: BTreeMap::new(),
            by_name: BTreeMap::new(),
            other_versions: BTreeMap::new(),
            done_before: BTreeMap::new(),
            superseded_at: BTreeMap::new(),
            last_joined: None,
            awaited,
            settled_names: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    pub(super) fn get(&self, id: ReceiverId) -> Option<&Start> {
        self.starts.get(&id)
    }

    /// The starts that count, by name.
    pub(super) fn counted(&self) -> impl Iterator<Item = (ReceiverId, &Start)> {
        self.by_name.values().flatten().map(|&id| (id, &self.starts[&id]))
    }

    /// The starts that count and take part, by id.
    pub(super) fn receiving(&self) -> impl Iterator<Item = ReceiverId> {
        self.starts.iter().filter(|(_, start)| start.is_receiving()).map(|(&id, _)| id)
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
        let known = if self.only_listed { 0 } else { self.starts.len() as u32 };
        known.max(self.expected_count()).clamp(1, HOSTS_MAX as u32)
    }

    /// Whether a host of this name may answer.
    pub(super) fn is_listed(&self, name: &HostName) -> bool {
        match &self.expected {
            Expected::Named(names) if self.only_listed => names.contains(name),
            Expected::Named(_) | Expected::Count(_) | Expected::Anyone => true,
        }
    }

    /// Whether every host was heard that is to have the object; at least one, if no particular host is expected.
    pub(super) fn are_all_heard(&self) -> bool {
        match &self.expected {
            Expected::Named(names) => names.iter().all(|name| self.by_name.contains_key(name)),
            Expected::Count(count) => self.tally.heard >= *count,
            Expected::Anyone => self.tally.heard > 0,
        }
    }

    /// Adds a start that was not known. It supersedes earlier starts of its name. Should one of those be heard again,
    /// all that are alive count, and each of them has a row.
    pub(super) fn join(&mut self, now: Moment, id: ReceiverId, name: &HostName, state: HostState) {
        for earlier in self.by_name.remove(name).unwrap_or_default() {
            self.count(earlier, Counting::Out);
            let start = self.start_mut(earlier);
            start.is_superseded = true;
            let state = start.state;
            if !state.is_settled() {
                self.superseded_at.insert(earlier, now);
            }
            if state.is_done() {
                self.done_before.insert(name.clone(), earlier);
            }
        }
        self.other_versions.remove(name);
        self.last_joined = Some(now);
        self.starts.insert(id, Start { name: name.clone(), state, is_superseded: false, is_twin: false });
        self.by_name.insert(name.clone(), vec![id]);
        self.count(id, Counting::In);
        self.settle_name(name);
    }

    /// Notes that a start has sent something new: it is not silent, and it counts.
    pub(super) fn note_heard(&mut self, id: ReceiverId) {
        if self.starts[&id].state == HostState::Silent {
            self.set_state(id, HostState::Receiving);
        }
        if self.starts[&id].is_superseded {
            self.revive(id);
        }
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

    /// Marks starts as silent, each of which is awaited and was not heard for too long. Returns the names of the hosts
    /// that are silent. A start that was late or left over is dropped, and its name is not returned.
    pub(super) fn silence(&mut self, ids: Vec<ReceiverId>) -> Vec<HostName> {
        ids.iter().for_each(|&id| self.set_state(id, HostState::Silent));
        let silent: Vec<ReceiverId> = ids.into_iter().filter(|&id| !self.drop_echo(id)).collect();
        silent.iter().map(|id| self.starts[id].name.clone()).collect()
    }

    /// Notes that a host speaks another version; returns whether that is news. It is not if the host takes part.
    pub(super) fn note_other_version(&mut self, name: &HostName, what: &str) -> bool {
        let is_news = self.other_versions.len() < HOSTS_MAX
            && self.is_listed(name)
            && !self.other_versions.contains_key(name)
            && !self.by_name.contains_key(name);
        if is_news {
            self.awaited.remove(name);
            self.other_versions.insert(name.clone(), what.to_owned());
        }
        is_news
    }

    /// Whether everything that the push waits for has ended. If no particular host is expected, the push waits for
    /// [`JOIN_LINGER`] after the last host joined, as others may follow, and for [`NOBODY_AFTER`] if no host answers.
    pub(super) fn is_settled(&self, now: Moment, pass_ended: Moment) -> bool {
        let Tally { heard, done, failed, silent, .. } = self.tally;
        // A start that was alive gets the time to show that it still is: a host's name alone must not end a push for
        // it.
        let grace = JOIN_LINGER + 2 * Duration::from_secs(1) * self.answering() / REPORTS_PER_SECOND_MAX;
        if self.superseded_at.values().any(|&at| now.since(at) < grace) {
            return false;
        }
        match &self.expected {
            Expected::Named(_) => self.awaited.is_empty(),
            Expected::Count(count) => {
                (self.settled_names.len() + self.other_versions.len()) as u64 >= u64::from(*count)
            }
            Expected::Anyone => match self.last_joined {
                None => now.since(pass_ended) >= NOBODY_AFTER,
                Some(joined) => {
                    now.since(joined.max(pass_ended)) >= JOIN_LINGER && done + failed + silent == heard
                }
            },
        }
    }

    /// Whether every expected host holds a proven copy.
    pub(super) fn is_complete(&self) -> bool {
        let is_done = |id: &ReceiverId| self.starts[id].state.is_done();
        match &self.expected {
            Expected::Named(names) => names.iter().all(|name| {
                let starts = self.starts_of(name);
                !starts.is_empty() && starts.iter().all(is_done)
            }),
            Expected::Count(count) => {
                let done = self.by_name.values().filter(|starts| starts.iter().any(is_done));
                done.count() as u64 >= u64::from(*count)
            }
            Expected::Anyone => {
                let Tally { heard, done, .. } = self.tally;
                heard > 0 && done == heard && self.other_versions.is_empty()
            }
        }
    }

    /// Returns one row for each host without a start: those of another version, and those that are expected and were
    /// never heard.
    pub(super) fn absent_rows(&self) -> Vec<HostRow> {
        let other = self.other_versions.iter();
        let mut rows: Vec<HostRow> =
            other.map(|(name, what)| HostRow::absent(name, HostState::OtherVersion, what)).collect();
        if let Expected::Named(names) = &self.expected {
            let is_unheard = |name: &&HostName| {
                !self.by_name.contains_key(*name) && !self.other_versions.contains_key(*name)
            };
            let unheard = names.iter().filter(is_unheard);
            rows.extend(unheard.map(|name| HostRow::absent(name, HostState::NeverAnswered, NEVER_ANSWERED)));
        }
        rows
    }

    /// Drops a start that has become silent, if its name has several: it was not alive, and what was heard of it after
    /// it had been superseded was late. Returns whether it was dropped, or a start that was done counts again in its
    /// place.
    fn drop_echo(&mut self, id: ReceiverId) -> bool {
        let name = self.starts[&id].name.clone();
        let starts = self.by_name.get_mut(&name).expect("a start that counts has a name");
        if starts.len() < 2 {
            return self.restore_done(id, &name);
        }
        starts.retain(|&start| start != id);
        if let [only] = starts[..] {
            self.start_mut(only).is_twin = false;
        }
        self.count(id, Counting::Out);
        self.start_mut(id).is_superseded = true;
        self.settle_name(&name);
        true
    }

    /// Counts a start that was done again in place of `silent`, which superseded it and was never heard again: its
    /// hello was an old one that came late, or the host is gone and has left its copy. Returns whether there is a start
    /// that was done.
    fn restore_done(&mut self, silent: ReceiverId, name: &HostName) -> bool {
        let Some(done) = self.done_before.remove(name).filter(|done| self.starts[done].is_superseded) else {
            return false;
        };
        self.count(silent, Counting::Out);
        self.start_mut(silent).is_superseded = true;
        self.start_mut(done).is_superseded = false;
        self.by_name.insert(name.clone(), vec![done]);
        self.count(done, Counting::In);
        self.settle_name(name);
        true
    }

    /// Counts a start again that was superseded and is heard again: two machines have the same name.
    fn revive(&mut self, id: ReceiverId) {
        self.superseded_at.remove(&id);
        let start = self.start_mut(id);
        start.is_superseded = false;
        let name = start.name.clone();
        self.count(id, Counting::In);
        let starts = self.by_name.entry(name.clone()).or_default();
        starts.push(id);
        for id in starts.clone() {
            self.start_mut(id).is_twin = true;
        }
        self.settle_name(&name);
    }

    /// Updates `awaited` and `settled_names` for one name that has a start.
    fn settle_name(&mut self, name: &HostName) {
        if self.are_settled(self.starts_of(name)) {
            self.awaited.remove(name);
            self.settled_names.insert(name.clone());
        } else {
            self.settled_names.remove(name);
            if self.is_expected(name) {
                self.awaited.insert(name.clone());
            }
        }
        #[cfg(test)]
        self.recount();
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
            HostState::Receiving | HostState::NeverAnswered | HostState::OtherVersion => {}
        }
    }

    fn starts_of(&self, name: &HostName) -> &[ReceiverId] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    fn are_settled(&self, starts: &[ReceiverId]) -> bool {
        starts.iter().all(|id| self.starts[id].state.is_settled())
    }

    fn is_expected(&self, name: &HostName) -> bool {
        matches!(&self.expected, Expected::Named(names) if names.contains(name))
    }

    fn start_mut(&mut self, id: ReceiverId) -> &mut Start {
        self.starts.get_mut(&id).expect("no start is forgotten")
    }

    /// Computes the sums anew from the starts and compares them.
    ///
    /// # Panics
    /// If one of them is wrong.
    #[cfg(test)]
    pub(super) fn recount(&self) {
        let mut tally = Tally::default();
        for (id, start) in &self.starts {
            assert_eq!(self.starts_of(&start.name).contains(id), !start.is_superseded, "{id:?} counts once");
            if start.is_superseded {
                continue;
            }
            tally.heard += 1;
            tally.done += u32::from(start.state.is_done());
            tally.failed += u32::from(start.state == HostState::Failed);
            tally.silent += u32::from(start.state == HostState::Silent);
            tally.busy += u32::from(start.state == HostState::Busy);
        }
        assert_eq!(self.tally, tally);
        assert!(self.by_name.values().all(|starts| !starts.is_empty()));
        let settled: BTreeSet<&HostName> = self
            .by_name
            .iter()
            .filter(|(_, starts)| self.are_settled(starts))
            .map(|(name, _)| name)
            .collect();
        assert!(self.settled_names.iter().eq(settled.iter().copied()), "{:?}", self.settled_names);
        if let Expected::Named(names) = &self.expected {
            let is_open =
                |name: &&HostName| !settled.contains(name) && !self.other_versions.contains_key(*name);
            assert!(self.awaited.iter().eq(names.iter().filter(is_open)), "{:?}", self.awaited);
        } else {
            assert!(self.awaited.is_empty());
        }
    }
}

#[derive(Clone, Copy)]
enum Counting {
    In,
    Out,
}

const NEVER_ANSWERED: &str = "never answered: is glancecastd up there, with this group and this key?";

/// If no particular host is expected: time after the last hello in which another may still come.
const JOIN_LINGER: Duration = Duration::from_secs(1);

/// If no particular host is expected: time to go on announcing when no host answers.
const NOBODY_AFTER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Runs hellos, messages of superseded starts, silences and final reports in any order, of three names.
    #[test]
    fn the_sums_are_those_of_the_starts_whatever_happens() {
        for seed in 0..200 {
            let mut rng = Rng::new(&[seed; 32]);
            let mut draw = |below: u64| rng.below(Duration::from_micros(below)).as_micros() as u64;
            let expected = match seed % 3 {
                0 => Expected::Named(["a", "b"].map(name).into()),
                1 => Expected::Count(2),
                _ => Expected::Anyone,
            };
            let mut settlement = Settlement::new(expected, false);
            for step in 0..200 {
                let (now, id) = (Moment::from_micros(step), ReceiverId([draw(9) as u8; 8]));
                let name = name(["a", "b", "c"][usize::from(id.0[0] % 3)]);
                let state = settlement.get(id).map(|start| start.state());
                match (draw(6), state) {
                    (0, _) => {
                        settlement.note_other_version(&name, "it speaks version 2");
                    }
                    (_, None) => settlement.join(now, id, &name, HostState::Receiving),
                    (1, Some(_)) => {
                        let is_awaited = |start: &Start| start.is_awaited();
                        let awaited = settlement.get(id).is_some_and(is_awaited).then_some(id);
                        settlement.silence(awaited.into_iter().collect());
                    }
                    (kind, Some(state)) => {
                        settlement.note_heard(id);
                        let states =
                            [HostState::Busy, HostState::Done, HostState::Failed, HostState::Existing];
                        if !state.is_settled() {
                            settlement.set_state(id, states[kind as usize - 2]);
                        }
                    }
                }
                settlement.recount();
            }
        }
    }

    fn name(text: &str) -> HostName {
        HostName::new(text).expect("plain")
    }
}
