//! The hosts of a push: who was heard, who is done, who is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::health::{Health, Sideline, quantile};
use super::rate::RoundLoss;
use super::roster::{Expected, HostRow, HostState, Tally};
use crate::ids::{BlockIndex, HostName, ReceiverId, Sequence};
use crate::limits::{HOSTS_MAX, REPORTS_PER_SECOND_MAX};
use crate::seal::Cipher;
use crate::time::Moment;
use crate::wire::{Discard, Done, Failed, Hello, KeptRun, Report, Totals};

/// One start of one receiver.
pub(super) struct Host {
    pub(super) name: HostName,
    pub(super) cipher: Cipher,
    pub(super) slot: u32,
    pub(super) blocks_held: u32,
    pub(super) totals: Totals,
    state: HostState,
    reason: Option<String>,
    last_sequence: Sequence,
    heard: Moment,
    /// Where its hello came from. It stays, so that nobody who catches a report on its way can lead what is sent to this
    /// host alone to somebody else.
    addr: SocketAddr,
    health: Health,
    /// What it kept of an earlier session, as far as it has said so last.
    kept: Vec<KeptRun>,
    /// Its last report named something that it lacks; true before the first one.
    lacking: bool,
    /// Bytes that had gone to the group, and of them to this host, when it was last seen to get symbols, or first heard.
    offered_since: Option<(u64, u64)>,
    /// Symbols that it lacked at its last report.
    lacks: u64,
    /// Nothing of what is sent reaches it.
    deaf: bool,
    /// A later start of the same name has taken its place.
    superseded: bool,
    /// Another start of the same name is alive, too.
    is_twin: bool,
}

/// All hosts that were heard, and those that are expected. What the push waits for is kept up to date with each word of
/// a host, so that ten thousand hosts cost no more per datagram than one.
pub(super) struct Hosts {
    expected: Expected,
    /// Only those expected by name may answer.
    only_listed: bool,
    by_id: BTreeMap<ReceiverId, Host>,
    /// The starts of each name that count: one, or several that are all alive.
    by_name: BTreeMap<HostName, Vec<ReceiverId>>,
    other_versions: BTreeMap<HostName, String>,
    /// Starts that were done when a later hello of their name took their place.
    done_before: BTreeMap<HostName, ReceiverId>,
    /// Expected by name, and not settled.
    awaited: BTreeSet<HostName>,
    /// Names all of whose starts that count have said their last word. Where a number is expected each counts once: a start
    /// that failed and the one that replaced it are one host.
    settled_names: BTreeSet<HostName>,
    tally: Tally,
    last_joined: Option<Moment>,
    /// Some host has kept something.
    resuming: bool,
    /// Starts that had not said their last word when they were taken for over because of another, and when that was.
    superseded: BTreeMap<ReceiverId, Moment>,
    /// The share that the quantile of the hosts loses on the way, smoothed.
    usual_loss: f64,
    /// Nothing was known of losses so far.
    is_ignorant: bool,
    /// Reports in this round.
    reports: u32,
    /// The shortest time from a poll to its answer in this round, the slot aside.
    fastest: Option<Duration>,
}

/// Who is asked by a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Hosts that answer.
    pub(super) slots: u32,
    /// Time that they spread their answers over.
    pub(super) window: Duration,
}

/// Whether what a host asks for is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serve {
    /// With everybody else.
    Now,
    /// When nobody else lacks anything: it is side-lined.
    Afterwards,
    /// Nothing reaches it: more would load the network and not help. When nobody else lacks anything it is probed, as
    /// its path may be whole again.
    Probe,
    /// It has said its last word.
    Never,
}

impl Hosts {
    pub(super) fn new(expected: Expected, only_listed: bool) -> Self {
        let awaited = match &expected {
            Expected::Named(names) => names.clone(),
            Expected::Count(_) | Expected::Anyone => BTreeSet::new(),
        };
        Self {
            expected,
            only_listed,
            by_id: BTreeMap::new(),
            by_name: BTreeMap::new(),
            other_versions: BTreeMap::new(),
            done_before: BTreeMap::new(),
            awaited,
            settled_names: BTreeSet::new(),
            tally: Tally::default(),
            last_joined: None,
            resuming: false,
            superseded: BTreeMap::new(),
            usual_loss: 0.0,
            is_ignorant: true,
            reports: 0,
            fastest: None,
        }
    }

    pub(super) fn get(&self, id: ReceiverId) -> Option<&Host> {
        self.by_id.get(&id)
    }

    pub(super) fn expected_count(&self) -> u32 {
        match &self.expected {
            Expected::Named(names) => names.len() as u32,
            Expected::Count(count) => *count,
            Expected::Anyone => 0,
        }
    }

    /// Hosts that may say hello: the larger of those expected and those known.
    pub(super) fn answering(&self) -> u32 {
        let known = if self.only_listed { 0 } else { self.by_id.len() as u32 };
        known.max(self.expected_count()).clamp(1, HOSTS_MAX as u32)
    }

    /// Who answers a poll: how many, and the time that they spread their answers over, so that all hosts together keep
    /// [`REPORTS_PER_SECOND_MAX`]. Who has said its last word answers none. Nor does who has not said hello; but while hosts do
    /// that they take nearly all of what all together may say.
    pub(super) fn asked(&self) -> Asked {
        let Tally { heard, done, failed, .. } = self.tally;
        let slots = heard.saturating_sub(done + failed).max(1);
        let missing = self.expected_count().saturating_sub(heard);
        let turns = if missing == 0 { slots } else { (HELLO_SHARE * slots).min(slots + missing) };
        Asked { slots, window: Duration::from_secs(1) * turns / REPORTS_PER_SECOND_MAX }
    }

    pub(super) fn tally(&self) -> Tally {
        Tally { expected: self.expected_count().max(self.tally.heard), ..self.tally }
    }

    /// Whether a host of this name may answer.
    fn is_listed(&self, name: &HostName) -> bool {
        match &self.expected {
            Expected::Named(names) if self.only_listed => names.contains(name),
            Expected::Named(_) | Expected::Count(_) | Expected::Anyone => true,
        }
    }

    /// Whether a report says less than one before it did: then it is not this host's own.
    pub(super) fn falls_back(&self, id: ReceiverId, report: &Report) -> bool {
        let Some(host) = self.by_id.get(&id) else { return false };
        let (new, old) = (report.totals, host.totals);
        report.blocks_held < host.blocks_held
            || new.bytes_received < old.bytes_received
            || new.symbols_repaired < old.symbols_repaired
            || new.store_drops < old.store_drops
    }

    /// A host's hello under a key that opened it. True if it is a new one; of a known one nothing changes, as the hello
    /// may be an old one that is repeated.
    ///
    /// A second start of a name takes the place of the first; should the first be heard again, both are alive, and
    /// both are named.
    pub(super) fn join(
        &mut self,
        now: Moment,
        from: SocketAddr,
        id: ReceiverId,
        cipher: impl FnOnce() -> Cipher,
        hello: &Hello,
    ) -> Result<bool, Discard> {
        if self.by_id.contains_key(&id) {
            return Ok(false);
        }
        if !self.is_listed(&hello.name) {
            return Err(Discard::Unlisted);
        }
        if self.by_id.len() >= HOSTS_MAX {
            return Err(Discard::UnknownHost);
        }
        for earlier in self.by_name.remove(&hello.name).unwrap_or_default() {
            self.count(earlier, Counting::Out);
            let host = self.by_id.get_mut(&earlier).expect("named ones are known");
            host.superseded = true;
            if !host.state.is_settled() {
                self.superseded.insert(earlier, now);
            }
            if host.state.is_done() {
                self.done_before.insert(hello.name.clone(), earlier);
            }
        }
        self.other_versions.remove(&hello.name);
        self.last_joined = Some(now);
        let host = Host {
            name: hello.name.clone(),
            cipher: cipher(),
            state: HostState::of(hello),
            reason: None,
            slot: self.by_id.len() as u32,
            blocks_held: 0,
            totals: Totals::default(),
            last_sequence: Sequence::default(),
            heard: now,
            addr: from,
            health: Health::default(),
            kept: Vec::new(),
            lacking: true,
            offered_since: None,
            lacks: 0,
            deaf: false,
            superseded: false,
            is_twin: false,
        };
        self.by_id.insert(id, host);
        self.by_name.insert(hello.name.clone(), vec![id]);
        self.count(id, Counting::In);
        self.await_again(&hello.name);
        Ok(true)
    }

    /// Notes that a host spoke; refuses what is not newer than its last word.
    pub(super) fn heard(&mut self, now: Moment, id: ReceiverId, sequence: Sequence) -> Result<(), Discard> {
        let host = self.by_id.get_mut(&id).ok_or(Discard::UnknownHost)?;
        if sequence <= host.last_sequence {
            return Err(Discard::Replayed);
        }
        host.last_sequence = sequence;
        if !host.state.is_settled() {
            host.heard = now;
            if host.state == HostState::Silent {
                self.set_state(id, HostState::Receiving);
            }
        }
        if self.by_id[&id].superseded {
            self.revive(id);
        }
        Ok(())
    }

    /// What a host says of itself in a hello that is newer than its last word.
    pub(super) fn greet(&mut self, id: ReceiverId, hello: &Hello) {
        if self.by_id.get(&id).is_some_and(|host| !host.state.is_settled()) {
            self.set_state(id, HostState::of(hello));
            self.note_kept(id, &hello.kept);
        }
    }

    /// What a host says of itself in a report, when `group_bytes` have gone to the group so far.
    pub(super) fn progress(&mut self, id: ReceiverId, report: &Report, group_bytes: u64) -> Serve {
        let Some(host) = self.by_id.get_mut(&id).filter(|host| !host.state.is_settled()) else {
            return Serve::Never;
        };
        let lacks = report.deficits.iter().map(|run| u64::from(run.blocks) * u64::from(run.symbols)).sum();
        if report.blocks_held > host.blocks_held || lacks < host.lacks {
            // Symbols get through: whether enough of them do is counted from here on.
            host.offered_since = None;
        }
        host.lacks = lacks;
        host.blocks_held = report.blocks_held;
        host.totals = report.totals;
        host.lacking = !report.deficits.is_empty() || !report.gaps.is_empty();
        host.health.note(report.highest, report.totals);
        self.reports += 1;
        let received = report.totals.bytes_received;
        let (group_before, received_before) = *host.offered_since.get_or_insert((group_bytes, received));
        let offered = group_bytes - group_before;
        let deaf = offered > DEAF_AFTER_BYTES && received.saturating_sub(received_before) < offered / 50;
        host.reason =
            if deaf { Some(DEAF.to_owned()) } else { host.reason.take().filter(|reason| reason != DEAF) };
        host.deaf = deaf;
        let sidelined = host.health.sidelined().is_some();
        self.set_state(id, HostState::Receiving);
        if self.is_ignorant && self.reports == SAMPLE {
            self.guess_loss();
        }
        self.note_kept(id, &report.kept);
        match () {
            () if deaf => Serve::Probe,
            () if sidelined => Serve::Afterwards,
            () => Serve::Now,
        }
    }

    /// Whether everybody who is to have the object has said that it holds this block already.
    pub(super) fn all_hold(&self, block: BlockIndex) -> bool {
        if !self.resuming || !self.are_all_heard() {
            return false;
        }
        let mut counted = self.by_name.values().flatten().map(|id| &self.by_id[id]);
        counted.all(|host| host.state.is_settled() || host.holds(block))
    }

    /// Whether everybody was heard who is to have the object; somebody, where nobody is named.
    pub(super) fn are_all_heard(&self) -> bool {
        match &self.expected {
            Expected::Named(names) => names.iter().all(|name| self.by_name.contains_key(name)),
            Expected::Count(count) => self.tally.heard >= *count,
            Expected::Anyone => self.tally.heard > 0,
        }
    }

    pub(super) fn is_resuming(&self) -> bool {
        self.resuming
    }

    /// Whether hosts answer, and each of them is at work on another push.
    pub(super) fn are_all_busy(&self) -> bool {
        self.tally.busy > 0 && self.live().next().is_none()
    }

    fn note_kept(&mut self, id: ReceiverId, kept: &[KeptRun]) {
        self.resuming |= !kept.is_empty();
        if let Some(host) = self.by_id.get_mut(&id) {
            host.kept.clear();
            host.kept.extend_from_slice(kept);
        }
    }

    /// An answer to a poll came so long after it, of which `slot` was waited for the host's turn.
    pub(super) fn answered(&mut self, id: ReceiverId, after: Duration, Asked { slots, window }: Asked) {
        let Some(slot) = self.by_id.get(&id).map(|host| host.slot % slots) else { return };
        let delay = after.saturating_sub(window.mul_f64(f64::from(slot) / f64::from(slots)));
        self.fastest = Some(self.fastest.map_or(delay, |fastest| fastest.min(delay)));
    }

    /// A round of reports is in: judges each host beside the others. Gives what the quantile of them lost, and who was
    /// side-lined.
    ///
    /// Where little is sent, most reports come too soon after the one before to say anything. Then nothing is judged until
    /// three quarters of the hosts can be compared: of a few sick ones now this one, now that one would be the quantile, and
    /// the rate follow them down to nothing.
    pub(super) fn end_round(&mut self, now: Moment) -> (Option<RoundLoss>, Vec<(HostName, Sideline)>) {
        let receiving = |host: &&Host| host.state == HostState::Receiving && !host.superseded;
        let all = || self.by_id.values().filter(receiving);
        let losses: Vec<f64> = all().filter_map(|host| host.health.loss()).collect();
        self.is_ignorant &= losses.is_empty();
        self.usual_loss = quantile(losses, |&loss| loss).unwrap_or(self.usual_loss);
        self.reports = 0;
        let fresh = all().filter(|host| host.health.latest.is_some()).count();
        let unknown = |host: &&Host| host.health.latest.is_none() && now.since(host.heard) < COMPARED_WITHIN;
        if fresh < QUANTILE_OF * all().filter(unknown).count() {
            return (None, Vec::new());
        }
        let useless = all().filter_map(|host| host.health.useless()).collect();
        let usual = quantile(useless, |&share| share).unwrap_or(0.0);
        let (mut latest, mut news) = (Vec::new(), Vec::new());
        self.tally.sidelined = 0;
        for host in self.by_id.values_mut() {
            let interval = host.health.latest.take();
            if host.state != HostState::Receiving || host.superseded {
                continue;
            }
            if let Some(interval) = interval {
                latest.push(RoundLoss {
                    share: (interval.lost + interval.refused.min(REFUSED_MAX)).min(1.0),
                    datagrams: interval.datagrams,
                    since: interval.since,
                    delay: self.fastest,
                });
                if host.health.judge(usual) {
                    news.extend(host.health.sidelined().map(|sideline| (host.name.clone(), sideline)));
                }
            }
            self.tally.sidelined += u32::from(host.health.sidelined().is_some());
        }
        self.fastest = None;
        (quantile(latest, |loss| loss.share), news)
    }

    /// The first round of thousands of hosts takes seconds. Until it is over, what the first of them say of the time since
    /// they joined will do.
    fn guess_loss(&mut self) {
        let first = |host: &Host| host.health.loss_since_joining();
        let losses: Vec<f64> = self.by_id.values().filter_map(first).collect();
        self.is_ignorant &= losses.is_empty();
        self.usual_loss = quantile(losses, |&loss| loss).unwrap_or(self.usual_loss);
    }

    /// The share of datagrams that the quantile of the hosts loses.
    pub(super) fn usual_loss(&self) -> f64 {
        self.usual_loss
    }

    /// The share of repair symbols that will be lost on their way: during the pass what is usual; in the tail, where each
    /// round costs time and few blocks are left, what this host loses.
    pub(super) fn loss_for(&self, id: ReceiverId, tail: bool) -> f64 {
        let own = || self.by_id.get(&id).and_then(|host| host.health.loss());
        if tail { own().unwrap_or(self.usual_loss).max(self.usual_loss) } else { self.usual_loss }
    }

    /// Whether a host that is served with everybody else lacks something, as far as it has said.
    pub(super) fn somebody_lacks(&self) -> bool {
        self.live().any(|host| host.lacking && !host.deaf && host.health.sidelined().is_none())
    }

    /// The address of the host that is the only one still receiving, of several.
    pub(super) fn last_one(&self) -> Option<SocketAddr> {
        let mut live = self.live();
        let last = live.next().filter(|_| self.tally.heard > 1)?;
        live.next().is_none().then_some(last.addr)
    }

    fn live(&self) -> impl Iterator<Item = &Host> {
        self.by_id.values().filter(|host| host.state == HostState::Receiving && !host.superseded)
    }

    /// A host holds a proven copy of all `blocks`. False if that was known, or it gave up before.
    pub(super) fn done(&mut self, now: Moment, id: ReceiverId, done: &Done, blocks: u32) -> bool {
        let Some(host) = self.by_id.get_mut(&id).filter(|host| !host.state.is_settled()) else {
            return false;
        };
        host.heard = now;
        host.blocks_held = blocks;
        host.totals = done.totals;
        self.set_state(id, if done.existing { HostState::Existing } else { HostState::Done });
        true
    }

    /// A host gave up. False if that was known, or it was done before.
    pub(super) fn failed(&mut self, now: Moment, id: ReceiverId, failed: &Failed) -> bool {
        let Some(host) = self.by_id.get_mut(&id).filter(|host| !host.state.is_settled()) else {
            return false;
        };
        host.heard = now;
        host.reason = Some(failed.reason.clone());
        host.totals = failed.totals;
        self.set_state(id, HostState::Failed);
        true
    }

    /// Notes that a host speaks another version; true if that is news. A host that takes part is not one of them.
    pub(super) fn speaks_other_version(&mut self, name: &HostName, what: &str) -> bool {
        let news = self.other_versions.len() < HOSTS_MAX
            && self.is_listed(name)
            && !self.other_versions.contains_key(name)
            && !self.by_name.contains_key(name);
        if news {
            self.awaited.remove(name);
            self.other_versions.insert(name.clone(), what.to_owned());
        }
        news
    }

    /// Marks hosts that were not heard for [`SILENT_AFTER`]; gives their names.
    pub(super) fn mark_silent(&mut self, now: Moment) -> Vec<HostName> {
        let silent = |host: &Host| {
            matches!(host.state, HostState::Receiving | HostState::Busy)
                && !host.superseded
                && now.since(host.heard) >= SILENT_AFTER
        };
        let ids: Vec<ReceiverId> =
            self.by_id.iter().filter(|(_, host)| silent(host)).map(|(&id, _)| id).collect();
        ids.iter().for_each(|&id| self.set_state(id, HostState::Silent));
        let news: Vec<ReceiverId> = ids.into_iter().filter(|&id| !self.forget_echo(id)).collect();
        news.iter().map(|id| self.by_id[id].name.clone()).collect()
    }

    /// Of several starts of a name, one that has become silent was not alive: what was heard of it after it had been
    /// replaced was late. True if it was one.
    fn forget_echo(&mut self, id: ReceiverId) -> bool {
        let name = self.by_id[&id].name.clone();
        let starts = self.by_name.get_mut(&name).expect("heard ones are named");
        if starts.len() < 2 {
            return self.restore_done(id, &name);
        }
        starts.retain(|&start| start != id);
        if let [only] = starts[..] {
            self.by_id.get_mut(&only).expect("named ones are known").is_twin = false;
        }
        self.count(id, Counting::Out);
        self.by_id.get_mut(&id).expect("just seen").superseded = true;
        self.await_again(&name);
        true
    }

    /// A start that was never heard again took the place of one that was done: its hello was an old one that came late, or
    /// it is gone and has left its copy. True if so.
    fn restore_done(&mut self, silent: ReceiverId, name: &HostName) -> bool {
        let Some(done) = self.done_before.remove(name).filter(|done| self.by_id[done].superseded) else {
            return false;
        };
        self.count(silent, Counting::Out);
        self.by_id.get_mut(&silent).expect("it was just heard").superseded = true;
        self.by_id.get_mut(&done).expect("none is forgotten").superseded = false;
        self.by_name.insert(name.clone(), vec![done]);
        self.count(done, Counting::In);
        self.await_again(name);
        true
    }

    /// Whether all that the push waits for has come to its end. With nobody expected, it waits a moment after the
    /// last host joined, as others may follow, and for a while where nobody answers.
    pub(super) fn settled(&self, now: Moment, pass_ended: Moment) -> bool {
        let Tally { heard, done, failed, silent, .. } = self.tally;
        // A start that was alive gets the time to say that it still is: nobody ends a push for a host by its name alone.
        let grace = JOIN_LINGER + 2 * Duration::from_secs(1) * self.answering() / REPORTS_PER_SECOND_MAX;
        if self.superseded.values().any(|&at| now.since(at) < grace) {
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
    pub(super) fn complete(&self) -> bool {
        let Tally { heard, done, .. } = self.tally;
        match &self.expected {
            Expected::Named(names) => names.iter().all(|name| {
                let starts = self.by_name.get(name).map_or(&[][..], Vec::as_slice);
                !starts.is_empty() && starts.iter().all(|id| self.by_id[id].state.is_done())
            }),
            Expected::Count(count) => {
                let is_done =
                    |starts: &&Vec<ReceiverId>| starts.iter().any(|id| self.by_id[id].state.is_done());
                self.by_name.values().filter(is_done).count() as u64 >= u64::from(*count)
            }
            Expected::Anyone => heard > 0 && done == heard && self.other_versions.is_empty(),
        }
    }

    /// One row for each host that was heard or is expected, by name.
    pub(super) fn rows(&self, start: Moment) -> Vec<HostRow> {
        let live = self.by_name.values().flatten().map(|id| self.by_id[id].row(start));
        let other =
            self.other_versions.iter().map(|(name, what)| absent(name, HostState::OtherVersion, what));
        let mut rows: Vec<HostRow> = live.chain(other).collect();
        if let Expected::Named(names) = &self.expected {
            let unheard = |name: &&HostName| {
                !self.by_name.contains_key(*name) && !self.other_versions.contains_key(*name)
            };
            let missing = names.iter().filter(unheard);
            rows.extend(missing.map(|name| absent(name, HostState::NeverAnswered, NEVER_ANSWERED)));
        }
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }

    fn set_state(&mut self, id: ReceiverId, state: HostState) {
        let host = &self.by_id[&id];
        if host.state == state {
            return;
        }
        let (name, counted) = (host.name.clone(), !host.superseded);
        if counted {
            self.count(id, Counting::Out);
        }
        self.by_id.get_mut(&id).expect("just seen").state = state;
        if counted {
            self.count(id, Counting::In);
            self.await_again(&name);
        }
    }

    /// Keeps [`Hosts::awaited`] and [`Hosts::settled_names`] right for one name.
    fn await_again(&mut self, name: &HostName) {
        let starts = self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        if starts.iter().all(|id| self.by_id[id].state.is_settled()) {
            self.awaited.remove(name);
            self.settled_names.insert(name.clone());
        } else {
            self.settled_names.remove(name);
            if matches!(&self.expected, Expected::Named(names) if names.contains(name)) {
                self.awaited.insert(name.clone());
            }
        }
    }

    fn count(&mut self, id: ReceiverId, counting: Counting) {
        let tally = &mut self.tally;
        let add = |count: &mut u32| match counting {
            Counting::In => *count += 1,
            Counting::Out => *count -= 1,
        };
        add(&mut tally.heard);
        match self.by_id[&id].state {
            HostState::Done | HostState::Existing => add(&mut tally.done),
            HostState::Failed => add(&mut tally.failed),
            HostState::Silent => add(&mut tally.silent),
            HostState::Busy => add(&mut tally.busy),
            HostState::Receiving | HostState::NeverAnswered | HostState::OtherVersion => {}
        }
    }

    /// A start that was thought to be over is heard again: two machines bear one name.
    fn revive(&mut self, id: ReceiverId) {
        let host = self.by_id.get_mut(&id).expect("it was just heard");
        host.superseded = false;
        self.superseded.remove(&id);
        let name = host.name.clone();
        self.count(id, Counting::In);
        let starts = self.by_name.entry(name.clone()).or_default();
        starts.push(id);
        for id in starts.clone() {
            self.by_id.get_mut(&id).expect("named ones are known").is_twin = true;
        }
        self.await_again(&name);
    }
}

#[derive(Clone, Copy)]
enum Counting {
    In,
    Out,
}

impl Host {
    fn holds(&self, block: BlockIndex) -> bool {
        let after = self.kept.partition_point(|run| run.first <= block);
        after > 0 && block.0 < self.kept[after - 1].end()
    }

    fn row(&self, start: Moment) -> HostRow {
        let reason = match (&self.reason, self.state) {
            _ if self.is_twin => {
                Some(format!("two receivers call themselves {}: give each its own --name", self.name))
            }
            (Some(reason), _) => Some(reason.clone()),
            (None, HostState::Receiving | HostState::Done) if self.health.was_sidelined.is_some() => {
                self.health.was_sidelined.map(|sideline| format!("served after the others: {sideline}"))
            }
            (None, HostState::Silent) => Some("it stopped answering".to_owned()),
            (None, HostState::Receiving) => Some("not complete when the push ended".to_owned()),
            (None, HostState::Busy) => Some("it was at work on another push".to_owned()),
            (None, _) => None,
        };
        HostRow {
            name: self.name.clone(),
            state: self.state,
            reason,
            time: Some(self.heard.since(start)),
            blocks_held: self.blocks_held,
            sidelined: self.health.was_sidelined,
            totals: self.totals,
        }
    }
}

fn absent(name: &HostName, state: HostState, reason: &str) -> HostRow {
    HostRow {
        name: name.clone(),
        state,
        reason: Some(reason.to_owned()),
        time: None,
        blocks_held: 0,
        sidelined: None,
        totals: Totals::default(),
    }
}

/// While hosts say hello, so many times as long as else is given to reports.
const HELLO_SHARE: u32 = 8;

/// Reports that the first guess of the losses is made from.
const SAMPLE: u32 = 32;

/// So many hosts that can be judged for each that cannot.
const QUANTILE_OF: usize = 3;
/// Longer than most rounds, and soon enough to notice that a host answers no more.
const COMPARED_WITHIN: Duration = Duration::from_secs(1);

/// Of what found no buffer, for the rate: when the last buffer is full nearly everything is refused, and the store writes
/// on.
const REFUSED_MAX: f64 = 0.3;

const NEVER_ANSWERED: &str = "never answered: is glancecastd up there, with this group and this key?";

const DEAF: &str = "it hears announcements and no data: is the MTU of the path smaller? try --mtu 1500";

/// Bytes to the group of which a host must have got a fiftieth, or it is not served any more: a few blocks.
const DEAF_AFTER_BYTES: u64 = 16 << 20;

/// A host that was not heard for so long is called silent: many polls, and longer than any disk stalls.
const SILENT_AFTER: Duration = Duration::from_secs(10);

/// With no host expected by name or number: how long after the last hello another may still come.
const JOIN_LINGER: Duration = Duration::from_secs(1);

/// With no host expected by name or number: how long to call when nobody answers.
const NOBODY_AFTER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BlockIndex, SessionId};
    use crate::integrity::Root;
    use crate::seal::GroupKey;
    use crate::wire::{DeficitRun, FailureKind};

    #[test]
    fn a_second_start_takes_the_place_of_the_first() {
        let mut hosts = Hosts::new(named(["a"]), false);
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 2, "a", at(1_000));
        assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
        done(&mut hosts, 2);
        assert!(hosts.settled(at(2_010), at(0)) && hosts.complete());
        assert_eq!(hosts.mark_silent(at(60_000)), [], "nobody waits for the first");
    }

    #[test]
    fn two_living_receivers_of_one_name_are_both_named() {
        let mut hosts = Hosts::new(named(["a"]), false);
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 2, "a", at(0));
        hosts.heard(at(1), id(1), sequence(2)).expect("newer");
        let rows = hosts.rows(at(0));
        assert_eq!(rows.len(), 2);
        for row in rows {
            let reason = row.reason.expect("said of both");
            assert!(reason.contains("two receivers call themselves a"), "{reason}");
        }
        done(&mut hosts, 1);
        assert!(!hosts.settled(at(2), at(0)) && !hosts.complete());
        done(&mut hosts, 2);
        assert!(hosts.settled(at(2), at(0)) && hosts.complete());
    }

    #[test]
    fn a_late_word_of_a_start_that_was_replaced_keeps_nobody_waiting() {
        let mut hosts = Hosts::new(named(["a"]), false);
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 2, "a", at(10));
        failed(&mut hosts, 2);
        hosts.heard(at(11), id(1), sequence(2)).expect("it was overtaken by the second start's hello");
        assert!(!hosts.settled(at(12), at(0)), "they may both be alive");
        assert_eq!(hosts.mark_silent(at(10_011)), [], "the second one is not silent");
        assert!(hosts.settled(at(10_012), at(0)));
        assert_eq!(states(&hosts), [("a".into(), HostState::Failed)]);
        assert_eq!(hosts.rows(at(0))[0].reason.as_deref(), Some("no space"), "its own reason");
    }

    #[test]
    fn a_late_hello_of_an_earlier_start_takes_nothing_from_a_host_that_is_done() {
        for expected in [named(["a"]), Expected::Count(1)] {
            let mut hosts = Hosts::new(expected, false);
            join(&mut hosts, 2, "a", at(0));
            done(&mut hosts, 2);
            join(&mut hosts, 1, "a", at(100));
            assert!(!hosts.settled(at(5_000), at(0)), "it may have begun anew");
            assert_eq!(hosts.mark_silent(at(10_100)), [], "nothing was heard of it");
            assert!(hosts.settled(at(10_100), at(0)) && hosts.complete());
            assert_eq!(states(&hosts), [("a".into(), HostState::Done)]);
            hosts.heard(at(10_200), id(1), sequence(2)).expect("newer");
            assert!(!hosts.settled(at(10_200), at(0)), "it lives after all");
        }
    }

    #[test]
    fn done_is_not_taken_back() {
        let mut hosts = Hosts::new(Expected::Anyone, false);
        join(&mut hosts, 1, "a", at(0));
        done(&mut hosts, 1);
        failed(&mut hosts, 1);
        join(&mut hosts, 1, "a", at(1));
        hosts.mark_silent(at(60_000));
        assert_eq!(states(&hosts), [("a".into(), HostState::Done)]);
        assert_eq!(hosts.rows(at(0))[0].reason, None);
    }

    #[test]
    fn failed_is_not_taken_back() {
        let mut hosts = Hosts::new(Expected::Anyone, false);
        join(&mut hosts, 1, "a", at(0));
        failed(&mut hosts, 1);
        done(&mut hosts, 1);
        assert_eq!(states(&hosts), [("a".into(), HostState::Failed)]);
        assert!(!hosts.complete());
    }

    #[test]
    fn a_number_that_was_heard_is_refused() {
        let mut hosts = Hosts::new(Expected::Anyone, false);
        join(&mut hosts, 1, "a", at(0));
        assert_eq!(hosts.heard(at(1), id(1), sequence(5)), Ok(()));
        assert_eq!(hosts.heard(at(2), id(1), sequence(5)), Err(Discard::Replayed));
        assert_eq!(hosts.heard(at(3), id(1), sequence(4)), Err(Discard::Replayed));
        assert_eq!(hosts.heard(at(4), id(1), sequence(6)), Ok(()));
        assert_eq!(hosts.heard(at(5), id(2), sequence(6)), Err(Discard::UnknownHost));
    }

    #[test]
    fn a_silent_host_comes_back() {
        let mut hosts = Hosts::new(Expected::Anyone, false);
        join(&mut hosts, 1, "a", at(0));
        assert_eq!(hosts.mark_silent(at(9_999)), []);
        assert_eq!(hosts.mark_silent(at(10_000)), [name("a")]);
        assert_eq!(hosts.mark_silent(at(10_001)), [], "told once");
        assert_eq!(states(&hosts), [("a".into(), HostState::Silent)]);
        hosts.heard(at(20_000), id(1), sequence(9)).expect("newer");
        assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
        assert_eq!(hosts.mark_silent(at(29_999)), []);
    }

    #[test]
    fn a_host_that_nothing_reached_is_served_again_once_symbols_get_through() {
        let mut hosts = Hosts::new(named(["a"]), false);
        join(&mut hosts, 1, "a", at(0));
        let mut serve = |lacks, group_bytes| hosts.progress(id(1), &report(lacks), group_bytes);
        assert_eq!(serve(100, 0), Serve::Now);
        assert_eq!(serve(100, DEAF_AFTER_BYTES), Serve::Now);
        assert_eq!(serve(100, DEAF_AFTER_BYTES + 1), Serve::Probe);
        assert_eq!(serve(100, DEAF_AFTER_BYTES + 2), Serve::Probe);
        assert_eq!(serve(99, DEAF_AFTER_BYTES + 3), Serve::Now, "a probe was heard");
        assert_eq!(serve(99, 2 * DEAF_AFTER_BYTES + 4), Serve::Probe, "and that was all");
    }

    #[test]
    fn a_host_that_nothing_reaches_keeps_no_sidelined_one_waiting() {
        let mut hosts = Hosts::new(named(["a"]), false);
        join(&mut hosts, 1, "a", at(0));
        hosts.progress(id(1), &report(100), 0);
        assert!(hosts.somebody_lacks());
        hosts.progress(id(1), &report(100), DEAF_AFTER_BYTES + 1);
        assert!(!hosts.somebody_lacks());
    }

    #[test]
    fn few_sick_hosts_are_judged_beside_each_other_or_not_at_all() {
        let mut hosts = Hosts::new(named(["lossy", "slow"]), false);
        join(&mut hosts, 1, "lossy", at(0));
        join(&mut hosts, 2, "slow", at(0));
        let hear = |hosts: &mut Hosts, host, highest, lost| {
            let totals = Totals { symbols_lost: lost, ..Totals::default() };
            hosts.heard(at(highest), id(host), sequence(highest)).expect("newer");
            hosts.progress(id(host), &Report { highest: sequence(highest), totals, ..report(1) }, 0);
        };
        hear(&mut hosts, 1, 1, 0);
        hear(&mut hosts, 2, 1, 0);
        hear(&mut hosts, 1, 1_001, 300);
        assert_eq!(hosts.end_round(at(1_000)).0, None, "the slow one may lose less");
        hear(&mut hosts, 2, 1_000, 0);
        let loss = hosts.end_round(at(1_000)).0.expect("both can be judged");
        assert_eq!((loss.share, loss.since), (0.0, 1));
        hear(&mut hosts, 1, 2_001, 600);
        let loss = hosts.end_round(at(2_001)).0.expect("nobody waits for one that is silent");
        assert!((loss.share - 0.3).abs() < 1e-9, "{loss:?}");
    }

    #[test]
    fn named_hosts_are_waited_for_and_others_are_not() {
        let mut hosts = Hosts::new(named(["a", "b"]), false);
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 3, "stranger", at(0));
        done(&mut hosts, 1);
        assert!(!hosts.settled(at(1), at(0)), "b has not answered");
        join(&mut hosts, 2, "b", at(2));
        assert!(!hosts.settled(at(3), at(0)));
        failed(&mut hosts, 2);
        assert!(hosts.settled(at(4), at(0)) && !hosts.complete());
        assert_eq!(states(&hosts).len(), 3, "the stranger is in the table");
    }

    #[test]
    fn named_hosts_are_complete_when_all_are_done() {
        let mut hosts = Hosts::new(named(["a", "b"]), false);
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 2, "b", at(0));
        done(&mut hosts, 1);
        assert!(!hosts.complete());
        existing(&mut hosts, 2);
        assert!(hosts.settled(at(1), at(0)) && hosts.complete());
    }

    #[test]
    fn a_named_host_that_never_answers_has_a_row_that_says_so() {
        let hosts = Hosts::new(named(["a"]), false);
        assert_eq!(states(&hosts), [("a".into(), HostState::NeverAnswered)]);
        assert!(hosts.rows(at(0))[0].reason.is_some());
        assert!(!hosts.settled(at(60_000), at(0)) && !hosts.complete());
    }

    #[test]
    fn a_silent_host_that_is_named_is_waited_for() {
        let mut hosts = Hosts::new(named(["a"]), false);
        join(&mut hosts, 1, "a", at(0));
        hosts.mark_silent(at(20_000));
        assert!(!hosts.settled(at(20_000), at(0)));
    }

    #[test]
    fn a_count_is_reached_by_whoever_is_done() {
        let mut hosts = Hosts::new(Expected::Count(2), false);
        for (host, name) in [(1, "a"), (2, "b"), (3, "c")] {
            join(&mut hosts, host, name, at(0));
        }
        done(&mut hosts, 1);
        assert!(!hosts.settled(at(1), at(0)));
        done(&mut hosts, 3);
        assert!(hosts.settled(at(2), at(0)) && hosts.complete());
    }

    #[test]
    fn a_count_with_a_failed_host_is_settled_and_not_complete() {
        let mut hosts = Hosts::new(Expected::Count(2), false);
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 2, "b", at(0));
        done(&mut hosts, 1);
        failed(&mut hosts, 2);
        assert!(hosts.settled(at(1), at(0)) && !hosts.complete());
    }

    #[test]
    fn a_failed_start_and_its_replacement_count_as_one_host() {
        let mut hosts = Hosts::new(Expected::Count(2), false);
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 2, "b", at(0));
        join(&mut hosts, 3, "a", at(10));
        hosts
            .heard(at(11), id(1), sequence(2))
            .expect("its last word was overtaken by the hello of the next start");
        failed(&mut hosts, 1);
        done(&mut hosts, 3);
        assert!(!hosts.settled(at(5_000), at(0)), "b is at work");
        done(&mut hosts, 2);
        assert!(hosts.settled(at(5_001), at(0)) && hosts.complete(), "two hosts hold it");
    }

    #[test]
    fn two_starts_that_are_done_are_one_host() {
        let mut hosts = Hosts::new(Expected::Count(2), false);
        join(&mut hosts, 1, "a", at(0));
        join(&mut hosts, 2, "a", at(10));
        hosts.heard(at(11), id(1), sequence(2)).expect("its last word came late");
        done(&mut hosts, 1);
        existing(&mut hosts, 2);
        assert!(!hosts.settled(at(5_000), at(0)) && !hosts.complete());
    }

    #[test]
    fn with_nobody_expected_all_who_answer_are_waited_for_and_a_moment_longer() {
        let mut hosts = Hosts::new(Expected::Anyone, false);
        join(&mut hosts, 1, "a", at(0));
        done(&mut hosts, 1);
        assert!(!hosts.settled(at(5_999), at(5_000)), "a second after the pass");
        assert!(hosts.settled(at(6_000), at(5_000)));
        join(&mut hosts, 2, "b", at(5_900));
        assert!(!hosts.settled(at(10_000), at(5_000)));
        hosts.mark_silent(at(20_000));
        assert!(hosts.settled(at(20_000), at(5_000)), "a silent one is not waited for");
        assert!(!hosts.complete());
    }

    #[test]
    fn with_nobody_expected_and_nobody_there_the_push_ends_incomplete() {
        let hosts = Hosts::new(Expected::Anyone, false);
        assert!(!hosts.settled(at(14_999), at(5_000)));
        assert!(hosts.settled(at(15_000), at(5_000)) && !hosts.complete());
    }

    #[test]
    fn a_host_of_another_version_is_settled_and_not_complete() {
        for expected in [named(["a"]), Expected::Count(1)] {
            let mut hosts = Hosts::new(expected, false);
            assert!(hosts.speaks_other_version(&name("a"), "it speaks version 2"));
            assert!(!hosts.speaks_other_version(&name("a"), "it speaks version 2"), "no news");
            assert_eq!(states(&hosts), [("a".into(), HostState::OtherVersion)]);
            assert!(hosts.settled(at(1), at(0)) && !hosts.complete());
        }
    }

    #[test]
    fn a_host_that_was_upgraded_is_of_another_version_no_more() {
        let mut hosts = Hosts::new(named(["a"]), false);
        hosts.speaks_other_version(&name("a"), "it speaks version 2");
        join(&mut hosts, 1, "a", at(0));
        assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
        assert!(!hosts.speaks_other_version(&name("a"), "it speaks version 2"), "an old notice");
        assert_eq!(states(&hosts), [("a".into(), HostState::Receiving)]);
    }

    #[test]
    fn reports_are_spread_over_those_expected_and_those_known() {
        let mut hosts = Hosts::new(Expected::Count(2), false);
        assert_eq!(hosts.answering(), 2);
        (1..=3).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
        assert_eq!(hosts.answering(), 3);
        let slots: Vec<u32> = (1..=3).map(|host| hosts.get(id(host)).expect("joined").slot).collect();
        assert_eq!(slots, [0, 1, 2]);
        assert_eq!(Hosts::new(Expected::Anyone, false).answering(), 1);
    }

    #[test]
    fn who_has_said_its_last_word_is_not_given_time_to_answer() {
        let mut hosts = Hosts::new(Expected::Count(4), false);
        (1..=4).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
        let millisecond = Duration::from_millis(1);
        assert_eq!(hosts.asked(), Asked { slots: 4, window: millisecond });
        done(&mut hosts, 1);
        failed(&mut hosts, 2);
        assert_eq!(hosts.asked(), Asked { slots: 2, window: millisecond / 2 });
        done(&mut hosts, 3);
        done(&mut hosts, 4);
        assert_eq!(hosts.asked(), Asked { slots: 1, window: millisecond / 4 });
    }

    #[test]
    fn while_hosts_say_hello_reports_take_little_of_what_all_may_say() {
        let mut hosts = Hosts::new(Expected::Count(40), false);
        let spread = |hosts: &Hosts| hosts.asked().window * 4_000;
        join(&mut hosts, 1, "a", at(0));
        assert_eq!((hosts.asked().slots, spread(&hosts)), (1, Duration::from_secs(8)));
        (2..=20).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
        assert_eq!(
            (hosts.asked().slots, spread(&hosts)),
            (20, Duration::from_secs(40)),
            "no longer than for all"
        );
        (21..=40).for_each(|host| join(&mut hosts, host, &format!("h{host}"), at(0)));
        assert_eq!((hosts.asked().slots, spread(&hosts)), (40, Duration::from_secs(40)));
    }

    fn named<const N: usize>(names: [&str; N]) -> Expected {
        Expected::Named(names.into_iter().map(name).collect())
    }

    fn join(hosts: &mut Hosts, host: u8, called: &str, now: Moment) {
        let hello = Hello { name: name(called), software: String::new(), busy: false, kept: Vec::new() };
        let cipher = || Cipher::upward(&GroupKey::new([1; 32]), SessionId([1; 16]), id(host));
        hosts.join(now, address(host), id(host), cipher, &hello).expect("room");
    }

    /// Of a host that lacks so many symbols of the first block and has got nothing.
    fn report(symbols: u16) -> Report {
        Report {
            round: 1,
            highest: sequence(1),
            blocks_held: 0,
            covered: 1,
            deficits: vec![DeficitRun { first: BlockIndex(0), blocks: 1, symbols }],
            gaps: Vec::new(),
            kept: Vec::new(),
            totals: Totals::default(),
        }
    }

    fn done(hosts: &mut Hosts, host: u8) {
        let done = Done { root: Root([0; 32]), existing: false, totals: Totals::default() };
        hosts.done(at(1), id(host), &done, 1);
    }

    fn existing(hosts: &mut Hosts, host: u8) {
        let done = Done { root: Root([0; 32]), existing: true, totals: Totals::default() };
        hosts.done(at(1), id(host), &done, 1);
    }

    fn failed(hosts: &mut Hosts, host: u8) {
        let reason = "no space".to_owned();
        let failed = Failed { kind: FailureKind::NoSpace, reason, totals: Totals::default() };
        hosts.failed(at(1), id(host), &failed);
    }

    fn states(hosts: &Hosts) -> Vec<(String, HostState)> {
        hosts.rows(at(0)).into_iter().map(|row| (row.name.to_string(), row.state)).collect()
    }

    fn name(text: &str) -> HostName {
        HostName::new(text).expect("plain")
    }

    fn address(host: u8) -> SocketAddr {
        ([10, 0, 0, host], 1).into()
    }

    fn id(host: u8) -> ReceiverId {
        ReceiverId([host; 8])
    }

    fn at(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number).expect("small")
    }
}
