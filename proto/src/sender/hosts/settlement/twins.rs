//! Which starts of one name count. Usually that is the latest.
//!
//! Only the holder of the name's key can begin another start, so a second start is the host itself, which has begun
//! anew, or a copy of it: a machine that was cloned with its key. Messages can come late, and hellos can be repeated by
//! whoever has recorded them.

use super::start::{Failure, Start};
use super::{Counting, Settlement};
use crate::ids::{HostName, ReceiverId};
use crate::sender::hosts::results::HostState;
use crate::time::Moment;
use crate::wire::FailureKind;

impl Settlement {
    /// Adds a start that was not known. It supersedes earlier starts of its name. Should one of those be heard again,
    /// all that are alive count, and each of them has a row. A start that has failed for good goes on counting.
    ///
    /// # Panics
    /// If the push is not for a host of this name.
    pub(in crate::sender::hosts) fn join(
        &mut self,
        now: Moment,
        id: ReceiverId,
        name: &HostName,
        state: HostState,
    ) {
        assert!(self.is_meant(name));
        let mut follows_failure = false;
        for earlier in self.counted_of(name).to_vec() {
            let start = &self.starts[&earlier];
            if start.has_failed_for_good() {
                follows_failure = true;
                continue;
            }
            let state = start.state;
            self.take_out(earlier);
            if !state.is_settled() {
                self.start_mut(earlier).missed_since = Some(now);
                self.missed.insert((now, earlier));
            }
            if state.is_done() {
                self.place_mut(name).done_before = Some(earlier);
            }
        }
        self.strangers.hide(name);
        self.last_joined = Some(now);
        self.starts.insert(id, Start::new(name.clone(), state, follows_failure));
        self.places.entry(name.clone()).or_default().counted.push(id);
        self.count(id, Counting::In);
        self.settle_name(name);
    }

    /// Notes that a start has sent something new: it is not silent, and it counts.
    pub(in crate::sender::hosts) fn note_heard(&mut self, id: ReceiverId) {
        if self.starts[&id].state == HostState::Silent {
            self.set_state(id, HostState::Receiving);
        }
        if self.starts[&id].is_superseded && !self.starts[&id].is_gone() {
            self.revive(id);
        }
    }

    /// Notes that a start has given up. If that concerns this start alone, it does not count beside another one.
    pub(in crate::sender::hosts) fn fail(&mut self, id: ReceiverId, kind: FailureKind) {
        self.start_mut(id).failure = Some(Failure::of(kind));
        self.set_state(id, HostState::Failed);
        let name = self.starts[&id].name.clone();
        if self.starts[&id].is_gone() && !self.starts[&id].is_superseded {
            if self.counted_of(&name).len() > 1 {
                self.drop_one(id, &name);
            } else {
                self.restore_done(id, &name);
            }
        }
    }

    /// Marks starts as silent, each of which is awaited and was not heard for too long. Returns the names of the hosts
    /// that are silent. A start that was late or left over is dropped, and its name is not returned.
    pub(in crate::sender::hosts) fn silence(&mut self, ids: Vec<ReceiverId>) -> Vec<HostName> {
        ids.iter().for_each(|&id| self.set_state(id, HostState::Silent));
        let silent: Vec<ReceiverId> = ids.into_iter().filter(|&id| !self.drop_echo(id)).collect();
        silent.iter().map(|id| self.starts[id].name.clone()).collect()
    }

    /// Drops a start that has become silent, if its name has several: it was not alive, and what was heard of it after
    /// it had been superseded was late. Returns whether it was dropped, or a start that was done counts again in its
    /// place.
    fn drop_echo(&mut self, id: ReceiverId) -> bool {
        let name = self.starts[&id].name.clone();
        if self.counted_of(&name).len() < 2 {
            return self.restore_done(id, &name);
        }
        self.drop_one(id, &name);
        true
    }

    /// Drops one of several starts of a name.
    fn drop_one(&mut self, id: ReceiverId, name: &HostName) {
        self.take_out(id);
        if let [only] = self.alive_of(name)[..] {
            self.start_mut(only).is_twin = false;
        }
        self.settle_name(name);
    }

    /// Counts a start that was done again in place of `other`, which superseded it and was never heard again, or did
    /// not take part: its hello was an old one that came late, or the host is gone and has left its copy. Returns
    /// whether there is a start that was done.
    fn restore_done(&mut self, other: ReceiverId, name: &HostName) -> bool {
        let Some(done) = self.place_mut(name).done_before.take() else { return false };
        if !self.starts[&done].is_superseded {
            return false;
        }
        self.take_out(other);
        self.bring_back(done);
        self.settle_name(name);
        true
    }

    /// Counts a start again that was superseded and is heard again: there are two machines with this name and key.
    fn revive(&mut self, id: ReceiverId) {
        self.bring_back(id);
        let name = self.starts[&id].name.clone();
        for other in self.counted_of(&name).to_vec() {
            if self.starts[&other].is_gone() && other != id {
                self.take_out(other);
            }
        }
        let alive = self.alive_of(&name);
        if alive.len() > 1 {
            alive.into_iter().for_each(|id| self.start_mut(id).is_twin = true);
        }
        self.settle_name(&name);
    }

    /// The starts of a name that count and have not failed for good.
    fn alive_of(&self, name: &HostName) -> Vec<ReceiverId> {
        let counted = self.counted_of(name).iter().copied();
        counted.filter(|id| !self.starts[id].has_failed_for_good()).collect()
    }

    /// Moves a start from those that count to those that do not.
    fn take_out(&mut self, id: ReceiverId) {
        self.count(id, Counting::Out);
        let start = self.start_mut(id);
        start.is_superseded = true;
        let name = start.name.clone();
        let place = self.place_mut(&name);
        place.counted.retain(|&counted| counted != id);
        place.superseded.push(id);
    }

    /// Moves a start from those that do not count to those that do.
    fn bring_back(&mut self, id: ReceiverId) {
        let start = self.start_mut(id);
        start.is_superseded = false;
        let (name, missed_since) = (start.name.clone(), start.missed_since.take());
        if let Some(since) = missed_since {
            self.missed.remove(&(since, id));
        }
        let place = self.place_mut(&name);
        place.superseded.retain(|&superseded| superseded != id);
        place.counted.push(id);
        self.count(id, Counting::In);
    }
}
