//! The hosts of a push: what each has reported, which of them count, and what is to be done for them.
//!
//! `asking` says whom a poll asks and how long their answers take, `silence` who is not heard or hears nothing.
//! `owners` decides whose name is whose, and `checks` how many proofs of that are looked at. `settlement` decides which
//! starts of which names count, and whether the push has to wait for them; `strangers` are names without a start, under
//! which somebody was heard who does not count. `host` is what one start reported, `health` how well it receives what
//! is sent. `judge` compares the hosts with each other, `spared` finds the blocks that all of them hold already, and
//! `results` is the outcome of a push as shown to a person, and `watch` what holds it back while it runs.
//! [`Hosts`] keeps them together: it has a [`Host`] for each start of the [`Settlement`].

mod address;
mod asking;
mod checks;
mod health;
mod host;
mod judge;
mod lately;
mod owners;
mod parts;
mod results;
mod rounds;
mod settlement;
mod silence;
mod spared;
#[cfg(test)]
mod spared_tests;
mod strangers;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin_tests;
mod watch;

#[cfg(test)]
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

pub use health::{Cause, Sideline};
pub(super) use host::{Host, Link, UNREACHABLE};
pub use results::{Expected, HostReceipt, HostRow, HostState, Tally};
pub use watch::{Lag, LagCause, Lagging, Watch};

use super::flow::{self, Begun, Window};
use super::rate::RoundLoss;
use crate::ids::{BlockIndex, HostName, ReceiverId, Sequence};
use crate::known::{FirstUse, KnownHosts, Standing};
use crate::sign::PublicKey;
use crate::time::Moment;
use crate::wire::{Discard, Done, Failed, Hello, KeptRun, Report};
use checks::{Checks, Claim};
use judge::{Judge, Judgement};
use owners::Owners;
pub(super) use parts::Asked;
use parts::Parts;
use settlement::{Known, Settlement};
use spared::{Holds, Spared};

/// All hosts that were heard, and those that are expected.
pub(super) struct Hosts {
    by_id: BTreeMap<ReceiverId, Host>,
    settlement: Settlement,
    owners: Owners,
    checks: Checks,
    judge: Judge,
    parts: Parts,
    /// All starts that take part, are served with the others, and lack something by their last report; and starts that
    /// did, which are removed when they are come across.
    lacking: BTreeSet<ReceiverId>,
    spared: Spared,
    /// The slot of the next start.
    next_slot: u32,
    /// Where the search for silent hosts goes on.
    look_from: ReceiverId,
    /// Some host has kept something of an earlier session.
    is_resuming: bool,
    /// How often a host was looked at to find out what all of them lack or hold.
    #[cfg(test)]
    visits: Cell<u32>,
}

/// When a host is sent what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serve {
    /// Together with all other hosts.
    Now,
    /// When no other host lacks anything: it is side-lined.
    Afterwards,
    /// Not now, as nothing reaches it: more would load the network and not help. When no other host lacks anything it
    /// is probed, as its path may be whole again.
    Probe,
    /// Never: it is settled.
    Never,
}

/// What a round of reports showed.
#[derive(Debug, PartialEq)]
pub(super) struct Round {
    /// What the quantile of the hosts lost, if enough of them can be compared.
    pub(super) loss: Option<RoundLoss>,
    /// Hosts that were just side-lined.
    pub(super) sidelined: Vec<(HostName, Sideline)>,
}

impl Hosts {
    /// Returns a state in which no host was heard. If hosts are expected by name, the push is for them alone. Blocks have
    /// `block_symbols` symbols at most. `seed` is known to the sender alone.
    pub(super) fn new(
        now: Moment,
        expected: Expected,
        known: KnownHosts,
        block_symbols: u32,
        seed: &[u8; 32],
    ) -> Self {
        Self {
            by_id: BTreeMap::new(),
            settlement: Settlement::new(expected),
            owners: Owners::new(known),
            checks: Checks::new(now, seed),
            judge: Judge::new(block_symbols),
            parts: Parts::default(),
            lacking: BTreeSet::new(),
            spared: Spared::default(),
            next_slot: 0,
            look_from: FIRST,
            is_resuming: false,
            #[cfg(test)]
            visits: Cell::new(0),
        }
    }

    /// Gives up hosts that were never heard after this time.
    pub(super) fn giving_up_after(mut self, join_timeout: Option<Duration>) -> Self {
        self.settlement.set_join_timeout(join_timeout);
        self
    }

    /// The hosts that are expected by name and were never heard.
    pub(super) fn unheard(&self) -> impl Iterator<Item = HostName> {
        self.settlement.unheard().cloned()
    }

    pub(super) fn get(&self, id: ReceiverId) -> Option<&Host> {
        self.by_id.get(&id)
    }

    pub(super) fn name(&self, id: ReceiverId) -> Option<&HostName> {
        self.settlement.get(id).map(|start| start.name())
    }

    /// The number of hosts that are expected, by name or by count; 0 if no particular host is.
    pub(super) fn expected_count(&self) -> u32 {
        self.settlement.expected_count()
    }

    /// The number of hosts that may send a hello: the larger of those expected and those known.
    pub(super) fn answering(&self) -> u32 {
        self.settlement.answering()
    }

    pub(super) fn tally(&self) -> Tally {
        Tally { sidelined: self.judge.sidelined(), ..self.settlement.tally() }
    }

    /// Whether a report claims less than an earlier one did: then it is not this host's own.
    pub(super) fn falls_back(&self, id: ReceiverId, report: &Report) -> bool {
        self.by_id.get(&id).is_some_and(|host| host.falls_back(report))
    }

    /// Whether a host of this name may take part: the push is for it, and there is a place for another start of it.
    ///
    /// # Errors
    /// The reason why it may not.
    pub(super) fn may_join(&self, name: &HostName) -> Result<(), Discard> {
        if !self.settlement.is_meant(name) {
            return Err(Discard::Unlisted);
        }
        self.room_for(name).map(|_| ())
    }

    /// Takes one check for a hello in this name, which came from `from`.
    ///
    /// # Errors
    /// If there is none left.
    pub(super) fn take_check_of_hello(
        &mut self,
        now: Moment,
        from: SocketAddr,
        name: &HostName,
    ) -> Result<(), Discard> {
        let claim = if self.is_proven_at(name, from) {
            Claim::Proven
        } else if self.settlement.is_expected(name)
            || self.owners.knows(name)
            || self.settlement.has_start(name)
        {
            Claim::Named
        } else {
            Claim::Other
        };
        self.take_check(now, from, name, claim)
    }

    /// Takes one check for a receipt in this name, which came under the key that a start of it shares with the sender.
    ///
    /// # Errors
    /// If there is none left.
    pub(super) fn take_check_of_receipt(
        &mut self,
        now: Moment,
        from: SocketAddr,
        name: &HostName,
    ) -> Result<(), Discard> {
        self.take_check(now, from, name, Claim::Own)
    }

    fn take_check(
        &mut self,
        now: Moment,
        from: SocketAddr,
        name: &HostName,
        claim: Claim,
    ) -> Result<(), Discard> {
        if self.checks.take(now, from.ip(), name, claim) { Ok(()) } else { Err(Discard::OverBudget) }
    }

    /// Whether the hello of a start of this name came from there, and was proven.
    fn is_proven_at(&self, name: &HostName, from: SocketAddr) -> bool {
        let is_there = |id| self.by_id.get(&id).is_some_and(|host| host.addr().is_at(from.ip()));
        self.settlement.starts_of(name).any(is_there)
    }

    /// Returns what `key` is for `name`. Nothing is proven yet by it.
    pub(super) fn standing(&self, name: &HostName, key: PublicKey) -> Standing {
        self.owners.standing(name, key)
    }

    /// Whether it was told before that somebody claims this name with a wrong key.
    pub(super) fn is_claimed(&self, name: &HostName) -> bool {
        self.settlement.is_claimed(name)
    }

    /// Notes that somebody who has proven to hold a key with this standing claims `name`; returns whether that is to be
    /// told.
    pub(super) fn note_stranger(&mut self, name: &HostName, key: PublicKey, standing: Standing) -> bool {
        self.owners.note_claim(name);
        self.settlement.note_stranger(name, key, standing)
    }

    /// Returns the hosts that took part, whose keys were not known, and whose names nobody else has claimed.
    pub(super) fn first_uses(&self) -> Vec<FirstUse> {
        self.owners.first_uses()
    }

    /// Adds a start that was not known, whose hello was proven and came from `from`.
    ///
    /// # Errors
    /// If there is no place for it.
    pub(super) fn join(
        &mut self,
        now: Moment,
        from: SocketAddr,
        id: ReceiverId,
        link: Link,
        hello: &Hello,
    ) -> Result<(), Discard> {
        let old = self.room_for(&hello.name)?;
        if !self.settlement.has_start(&hello.name) {
            self.owners.note_first_start(&hello.name, link.key);
        }
        self.settlement.join(now, id, &hello.name, HostState::of(hello));
        if let Some(old) = old {
            self.settlement.forget(old);
            self.by_id.remove(&old);
        }
        self.by_id.insert(id, Host::new(now, from, self.next_slot, link));
        self.next_slot = self.next_slot.wrapping_add(1);
        self.spared.note_heard(id);
        Ok(())
    }

    /// Notes that a datagram of a host came.
    ///
    /// # Errors
    /// If the host is unknown, or has sent this number or a later one before.
    pub(super) fn note_heard(
        &mut self,
        now: Moment,
        id: ReceiverId,
        sequence: Sequence,
    ) -> Result<(), Discard> {
        let host = self.by_id.get_mut(&id).ok_or(Discard::UnknownHost)?;
        host.note_sequence(sequence)?;
        if !is_settled(&self.settlement, id) {
            host.note_heard(now);
        }
        self.settlement.note_heard(id);
        self.lacking.insert(id);
        self.spared.note_heard(id);
        Ok(())
    }

    /// Handles a hello that is newer than the last datagram of its host.
    pub(super) fn note_hello(&mut self, id: ReceiverId, hello: &Hello) {
        if let Some(host) = self.unsettled(id) {
            host.note_busy(hello.busy.as_deref());
            self.settlement.set_state(id, HostState::of(hello));
            self.note_kept(id, &hello.kept);
        }
    }

    /// Notes that a report was taken which came from the address `from`, and whether it has the echo of what was sent
    /// there.
    pub(super) fn note_reported_from(&mut self, id: ReceiverId, from: SocketAddr, is_echoed: bool) {
        if let Some(host) = self.by_id.get_mut(&id) {
            host.addr_mut().note_report(from, is_echoed);
        }
    }

    /// Takes a report that names the round `named` while the round `now` is under way.
    ///
    /// # Errors
    /// If the host is unknown, or may send no report at this time.
    pub(super) fn take_round(&mut self, id: ReceiverId, named: u32, now: u32) -> Result<(), Discard> {
        self.by_id.get_mut(&id).ok_or(Discard::UnknownHost)?.take_round(named, now)
    }

    /// Handles a report that came now, as an answer to a poll of `asked`, when `group_bytes` had been sent to the group;
    /// returns when its host is served.
    pub(super) fn note_report(
        &mut self,
        now: Moment,
        id: ReceiverId,
        report: &Report,
        asked: Option<Asked>,
        group_bytes: u64,
    ) -> Serve {
        let Some(host) = self.unsettled(id) else { return Serve::Never };
        host.note_report(now, report, group_bytes);
        let slot = host.slot();
        match asked {
            Some(asked) if asked.is_all() => {}
            Some(asked) if self.parts.note_answer(id, slot, asked) => {}
            Some(_) | None => self.judge_alone(now, id),
        }
        let Some(host) = self.unsettled(id) else { return Serve::Never };
        let (is_unreachable, is_sidelined) = (host.is_unreachable(), host.health.sidelined().is_some());
        self.settlement.set_state(id, HostState::Receiving);
        self.judge.note_report(&self.by_id);
        self.note_kept(id, &report.kept);
        if is_unreachable {
            Serve::Probe
        } else if is_sidelined {
            Serve::Afterwards
        } else {
            Serve::Now
        }
    }

    /// Judges a host by its report, where hosts are asked in parts and it is not of the panel.
    fn judge_alone(&mut self, now: Moment, id: ReceiverId) {
        if self.parts.members().is_empty() || self.parts.is_member(id) {
            return;
        }
        if let Some(host) = self.by_id.get_mut(&id) {
            self.judge.judge_alone(now, id, host);
        }
    }

    /// Notes that a host holds a proven copy of all `blocks`. Returns false if that was known, or if it gave up before.
    pub(super) fn note_done(&mut self, now: Moment, id: ReceiverId, done: &Done, blocks: u32) -> bool {
        let Some(host) = self.unsettled(id) else { return false };
        host.note_done(now, done, blocks);
        self.settlement.set_state(id, if done.existing { HostState::Existing } else { HostState::Done });
        true
    }

    /// Notes that a host gave up. Returns false if that was known, or if it was done before.
    pub(super) fn note_failed(&mut self, now: Moment, id: ReceiverId, failed: &Failed) -> bool {
        let Some(host) = self.unsettled(id) else { return false };
        host.note_failed(now, failed);
        self.settlement.fail(id, failed.kind);
        true
    }

    /// Notes that a host speaks another version; returns whether that is news. It is not if the host takes part.
    pub(super) fn speaks_other_version(&mut self, name: &HostName, what: &str) -> bool {
        self.settlement.note_other_version(name, what)
    }

    /// Notes for how many blocks a host has room; see [`Host::note_window`].
    pub(super) fn note_window(&mut self, now: Moment, id: ReceiverId, report: &Report, begun: Begun) {
        if let Some(host) = self.unsettled(id) {
            host.note_window(now, report, begun);
        }
    }

    /// The room of the hosts that count: those that receive and are not side-lined. `share` of them hold nobody back.
    pub(super) fn room(&self, now: Moment, share: f64) -> Option<Window> {
        let receiving = self.settlement.receiving().filter_map(|id| self.by_id.get(&id));
        flow::bound(now, receiving.filter(|host| host.counts()).map(Host::window).collect(), share)
    }

    /// The same of the panel; `None` while it is forming.
    pub(super) fn panel_room(&self, now: Moment, share: f64) -> Option<Option<Window>> {
        let counting =
            self.parts.members().iter().filter_map(|id| self.by_id.get(id)).filter(|host| host.counts());
        let windows: Vec<_> = counting.map(Host::window).collect();
        (!self.parts.is_forming(now) && !windows.is_empty()).then(|| flow::bound(now, windows, share))
    }

    /// The number of blocks that the hosts of the panel, or else some host, can collect at a time.
    pub(super) fn buffers(&self) -> Option<u16> {
        let panel = self.parts.members().iter().filter_map(|id| self.by_id.get(id)?.buffers()).min();
        panel.or_else(|| self.by_id.values().find_map(Host::buffers))
    }

    /// Ends a round of reports to a poll of `asked`: judges each host that has answered by comparison with the others.
    pub(super) fn end_round(&mut self, now: Moment, asked: Asked) -> Round {
        let settlement = &self.settlement;
        let Judgement { loss, sidelined } = if asked.is_all() {
            self.judge.end_round(now, &mut self.by_id, settlement.receiving())
        } else {
            let is_receiving =
                |id: &ReceiverId| settlement.get(*id).is_some_and(|start| start.is_receiving());
            let members: Vec<ReceiverId> =
                self.parts.members().iter().copied().filter(is_receiving).collect();
            let is_forming = self.parts.is_forming(now);
            self.judge.end_round_of_panel(now, &mut self.by_id, &members, settlement.receiving(), is_forming)
        };
        let named = |(id, sideline)| settlement.get(id).map(|start| (start.name().clone(), sideline));
        Round { loss, sidelined: sidelined.into_iter().filter_map(named).collect() }
    }

    /// Ignores what these hosts have lost of the datagrams before the one with this number: what served them has failed.
    pub(super) fn excuse(&mut self, hosts: impl Iterator<Item = ReceiverId>, until: Sequence) {
        for id in hosts {
            if let Some(host) = self.by_id.get_mut(&id) {
                host.health.excuse(until);
            }
        }
    }

    /// The share of datagrams that the quantile of the hosts loses.
    pub(super) fn usual_loss(&self) -> f64 {
        self.judge.usual_loss()
    }

    /// The share of datagrams that this host loses, or the usual share if that is more. Repair symbols are sent for
    /// this loss in the tail, where each round costs time and few blocks are left.
    pub(super) fn loss_of(&self, id: ReceiverId) -> f64 {
        let (usual, own) = (self.usual_loss(), self.by_id.get(&id).and_then(|host| host.health.loss()));
        own.unwrap_or(usual).max(usual)
    }

    /// Whether a host that is served with the others lacks something, by its last report. A host that was side-lined
    /// and is not any more counts from its next report on.
    pub(super) fn somebody_lacks(&mut self) -> bool {
        while let Some(&id) = self.lacking.first() {
            #[cfg(test)]
            self.visits.set(self.visits.get() + 1);
            let is_receiving = self.settlement.get(id).is_some_and(|start| start.is_receiving());
            if is_receiving && self.by_id[&id].is_served_and_lacking() {
                return true;
            }
            self.lacking.pop_first();
        }
        false
    }

    /// Returns the address of the only host that still receives, if there were several and symbols may be sent to it
    /// alone.
    pub(super) fn last_one(&self) -> Option<SocketAddr> {
        let mut receiving = self.settlement.receiving();
        let last = receiving.next().filter(|_| self.settlement.tally().heard > 1)?;
        if receiving.next().is_none() { self.by_id[&last].addr().proven() } else { None }
    }

    /// Whether hosts answer, and each of them is at work on another push.
    pub(super) fn are_all_busy(&self) -> bool {
        self.settlement.are_all_busy()
    }

    /// Returns the starts that have not sent their final report, with the addresses that their hellos came from.
    pub(super) fn unsettled_starts(&self) -> impl Iterator<Item = (ReceiverId, SocketAddr, &Host)> {
        let starts = self.by_id.iter().filter(|&(&id, _)| !is_settled(&self.settlement, id));
        starts.map(|(&id, host)| (id, host.addr().claimed(), host))
    }

    /// Whether some host has kept something of an earlier session.
    pub(super) fn is_resuming(&self) -> bool {
        self.is_resuming
    }

    /// Whether every host that is to have the object has reported that it holds this block already. If those that were
    /// heard are `enough`, the others do not count.
    pub(super) fn all_hold(&mut self, block: BlockIndex, enough: bool) -> bool {
        if !self.is_resuming || !(enough || self.are_all_heard()) {
            return false;
        }
        let (by_id, settlement) = (&self.by_id, &self.settlement);
        let holds = |id: ReceiverId, block: BlockIndex| {
            #[cfg(test)]
            self.visits.set(self.visits.get() + 1);
            let wants = settlement.get(id).is_some_and(|start| start.counts() && !start.state().is_settled());
            by_id.get(&id).filter(|_| wants).map_or(Holds::Uncounted, |host| host.holds(block))
        };
        self.spared.all_hold(block, holds, |after| settlement.counted_after(after))
    }

    /// Whether every host was heard that is to have the object; at least one, if no particular host is expected.
    pub(super) fn are_all_heard(&self) -> bool {
        self.settlement.are_all_heard()
    }

    /// Whether everything that the push waits for has ended; see [`Settlement::is_settled`].
    pub(super) fn settled(&self, now: Moment, pass_ended: Moment) -> bool {
        self.settlement.is_settled(now, pass_ended)
    }

    /// Whether every expected host holds a proven copy.
    pub(super) fn complete(&self) -> bool {
        self.settlement.is_complete()
    }

    /// Returns one row for each host that was heard or is expected, sorted by name. The push of `blocks` blocks began at
    /// `start`.
    pub(super) fn rows(&self, start: Moment, blocks: u32) -> Vec<HostRow> {
        let row = |(id, standing)| self.by_id[&id].row(standing, start, blocks);
        let present = self.settlement.counted().map(row);
        let mut rows: Vec<HostRow> = present.chain(self.settlement.absent_rows()).collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }

    /// The place for another start of this name; see [`Settlement::room_for`].
    fn room_for(&self, name: &HostName) -> Result<Option<ReceiverId>, Discard> {
        let known = Known { this_one: self.owners.knows(name), absent: self.owners.absent() };
        self.settlement.room_for(name, known)
    }

    fn note_kept(&mut self, id: ReceiverId, kept: &[KeptRun]) {
        self.is_resuming |= !kept.is_empty();
        if let Some(host) = self.by_id.get_mut(&id) {
            host.note_kept(kept);
        }
    }

    /// Whether a host has sent its final report.
    pub(super) fn is_settled(&self, id: ReceiverId) -> bool {
        is_settled(&self.settlement, id)
    }

    /// Returns a host that has not sent its final report.
    fn unsettled(&mut self, id: ReceiverId) -> Option<&mut Host> {
        let settlement = &self.settlement;
        self.by_id.get_mut(&id).filter(|_| !is_settled(settlement, id))
    }
}

fn is_settled(settlement: &Settlement, id: ReceiverId) -> bool {
    settlement.get(id).is_some_and(|start| start.state().is_settled())
}

/// The lowest id that a start may have.
const FIRST: ReceiverId = ReceiverId([0; ReceiverId::BYTES]);
