//! The rules that hold after every step and at the end of every push.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use glancecast_proto::ids::{HostName, SessionId};
use glancecast_proto::known::{KnownHosts, UnknownHosts};
use glancecast_proto::limits::REPORTS_PER_SECOND_MAX;
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::{HostReceipt, HostRow, HostState, Verdict};
use glancecast_proto::sign::PublicKey;
use glancecast_proto::time::Moment;
use glancecast_proto::wire::{FailureKind, Outcome};

use super::host::{Host, KEY};
use super::identity::host_key;
use super::insider;
use super::object::Object;
use super::plan::{Expecting, Leaving, Plan};

/// The outcome of a push.
pub(crate) struct Ended {
    pub(crate) at: Moment,
    pub(crate) session: SessionId,
    pub(crate) verdict: Verdict,
    pub(crate) rows: Vec<HostRow>,
}

/// What a run has shown so far.
#[derive(Default)]
pub(crate) struct Oracle {
    /// The times of the reports of the last second: their rate is limited.
    reports: VecDeque<Moment>,
    /// The names that took part in this push, with the key of the first start.
    pub(crate) joined: BTreeMap<HostName, PublicKey>,
    /// The names that have failed for good in this push, with what they have signed.
    failed: Vec<(HostName, HostReceipt)>,
}

/// What rows are compared with.
pub(crate) struct Seen<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) object: &'a Object,
    pub(crate) hosts: &'a [Host],
    /// The keys that the sender knew before the push.
    pub(crate) known: &'a KnownHosts,
}

impl Oracle {
    pub(crate) fn begin_push(&mut self) {
        self.joined.clear();
        self.failed.clear();
    }

    /// Notes to which key each name belongs that has a start.
    pub(crate) fn note_joined(&mut self, rows: &[HostRow]) {
        for (row, key) in rows.iter().filter_map(|row| row.key.map(|key| (row, key))) {
            if !is_stranger(row.state) {
                self.joined.entry(row.name.clone()).or_insert(key);
            }
        }
    }

    /// Adds the keys that came with the push to those that are known, as the sender does in the end.
    pub(crate) fn remember(&self, known: &mut KnownHosts) {
        for (name, key) in &self.joined {
            known.keys.entry(name.clone()).or_insert(*key);
        }
    }

    /// Notes the hosts that have failed for good; returns how many of them are news and have a later start.
    pub(crate) fn note_failures(&mut self, rows: &[HostRow]) -> u64 {
        for row in rows.iter().filter(|row| row.state == HostState::Failed) {
            let Some(receipt) = &row.receipt else { continue };
            let stays = !matches!(
                receipt.outcome,
                Outcome::Failed(FailureKind::Stopping | FailureKind::UnknownSender)
            );
            let failed = (row.name.clone(), receipt.clone());
            if stays && !self.failed.contains(&failed) {
                self.failed.push(failed);
            }
        }
        let has_more = |(name, _): &&(HostName, HostReceipt)| {
            rows.iter().any(|row| row.name == *name && row.state.is_done())
        };
        self.failed.iter().filter(has_more).count() as u64
    }

    /// Checks that a host that has failed is called so in the end, and that the push is not complete.
    pub(crate) fn check_failures(
        &self,
        plan: &Plan,
        rows: &[HostRow],
        verdict: &Verdict,
    ) -> Result<(), String> {
        for (name, receipt) in &self.failed {
            let is_it = |row: &HostRow| {
                row.name == *name && row.state == HostState::Failed && row.receipt.as_ref() == Some(receipt)
            };
            if !rows.iter().any(is_it) {
                return Err(format!("{name} has failed, and its row does not say so any more"));
            }
            // Where a number of hosts is expected, others may make up the number.
            if *verdict == Verdict::Complete && plan.expecting != Expecting::Number {
                return Err(format!("{name} has failed, and the push is called complete"));
            }
        }
        Ok(())
    }

    /// Checks a report against the limit for all hosts together, over a second and over a tenth of a second. Each host
    /// may be a slot early or late.
    pub(crate) fn note_report(&mut self, now: Moment, hosts: usize) -> Result<(), String> {
        self.reports.push_back(now);
        while self.reports.front().is_some_and(|&at| now.since(at) >= Duration::from_secs(1)) {
            self.reports.pop_front();
        }
        for part in [1, 10] {
            let span = Duration::from_secs(1) / part;
            let count = self.reports.iter().rev().take_while(|&&at| now.since(at) < span).count();
            let bound = (REPORTS_PER_SECOND_MAX / part) as usize + 2 * hosts;
            if count > bound {
                return Err(format!("{count} reports within {span:?}, where {bound} are allowed"));
            }
        }
        Ok(())
    }
}

/// Checks that a disk shows the whole object, or what was there before the push.
pub(crate) fn check_disk(plan: &Plan, object: &Object, host: &Host) -> Result<(), String> {
    if !host.disk.is_truthful(object) {
        return Err(format!("{} has published something else than the object", host.name));
    }
    if plan.source_wrong && host.disk.publications > 0 {
        return Err(format!("{} has published what the sender never vouched for", host.name));
    }
    Ok(())
}

/// Checks that the verdict is true, and that no host was left out that could have been served.
pub(crate) fn check_end(plan: &Plan, object: &Object, hosts: &[Host], ended: &Ended) -> Result<(), String> {
    if let Some(row) = ended.rows.iter().find(|row| !row.state.is_done() && row.reason.is_none()) {
        return Err(format!("{} is {} without a reason", row.name, row.state.name()));
    }
    let is_done = |name: &HostName| ended.rows.iter().any(|row| row.name == *name && row.state.is_done());
    let names: BTreeSet<&HostName> = ended.rows.iter().map(|row| &row.name).collect();
    let done = names.iter().filter(|name| is_done(name)).count();
    let needed = match plan.expecting {
        Expecting::Names => plan.identities.meant.len(),
        Expecting::Number => hosts.len(),
        Expecting::Anyone => 1,
    };
    if ended.verdict == Verdict::Complete && done < needed {
        return Err(format!("the push is called complete and {done} of {needed} hosts are done"));
    }
    check_liveness(plan, object, hosts, ended)
}

/// Checks that each row of a host that is done is that host's own: it has said so with its key, and holds the object.
pub(crate) fn check_rows(seen: &Seen<'_>, session: SessionId, rows: &[HostRow]) -> Result<(), String> {
    for row in rows.iter().filter(|row| row.state.is_done()) {
        let (name, state) = (&row.name, row.state.name());
        let key = row.key.ok_or_else(|| format!("{name} is called {state} without a key"))?;
        if seen.known.keys.get(name).is_some_and(|&known| known != key) {
            return Err(format!("{name} is called {state} with another key than the known one"));
        }
        if seen.known.unknown == UnknownHosts::Refused && !seen.known.keys.contains_key(name) {
            return Err(format!("{name} is called {state} and is not known"));
        }
        let HostReceipt { outcome, receipt } =
            row.receipt.as_ref().ok_or_else(|| format!("{name} is called {state} without a receipt"))?;
        let is_for_it = *outcome == Outcome::Published(seen.object.root)
            || *outcome == Outcome::Existing(seen.object.root);
        let scope = GroupKey::new(KEY).scope(session);
        if !is_for_it || receipt.name != *name || !receipt.verify(key, scope, *outcome) {
            return Err(format!("{name} is called {state} by a receipt that is not its own"));
        }
        // The hostile machine can say of itself what it likes.
        let is_its_own = seen.plan.identities.insider.is_some() && key == host_key(insider::OWN_KEY).public();
        if is_its_own && seen.hosts.iter().all(|host| host.name != *name) {
            continue;
        }
        let is_it = |&number: &usize| seen.plan.identities.has_been(number, name, key);
        // A late done of an earlier start may be a row of its own, so that one machine has two.
        if !(0..seen.hosts.len()).filter(is_it).any(|it| seen.hosts[it].disk.holds(seen.object)) {
            return Err(format!("{name} is called {state} and holds nothing"));
        }
    }
    Ok(())
}

/// Whether a row is about somebody who does not take part.
fn is_stranger(state: HostState) -> bool {
    matches!(
        state,
        HostState::KeyChanged | HostState::UnknownKey | HostState::OtherVersion | HostState::NeverAnswered
    )
}

/// Checks that every host able to hold the object holds it and the sender knows, if the network was good in the end.
fn check_liveness(plan: &Plan, object: &Object, hosts: &[Host], ended: &Ended) -> Result<(), String> {
    let had_time = plan.timeout > plan.calm && plan.interrupted.is_none() && !plan.source_wrong;
    if plan.one_way.is_some() || plan.expecting == Expecting::Anyone || !had_time {
        return Ok(());
    }
    // Where a number of hosts is expected, a hostile machine may be one of them, or a host with two names two of them.
    // The push then ends without another.
    if plan.expecting == Expecting::Number && plan.identities.has_more_names_than_hosts() {
        return Ok(());
    }
    // A hostile machine that claims the name of a host which is down, or cut off, has it given up some seconds after the
    // pass.
    let is_claimable = plan.identities.insider.is_some();
    let is_plain = |host: &Host| {
        let number = hosts.iter().position(|other| other.address == host.address).expect("one of them");
        plan.identities.is_plain(number) && plan.identities.is_meant(plan.expecting, &host.name)
    };
    let could = |host: &&Host| {
        is_able(host, ended.session)
            && host.plan.lists.accepts(plan.signed)
            && is_plain(host)
            && (!is_claimable || ended.at.since(reached_since(plan, host)) >= OWNER_HEARD_AFTER)
    };
    for host in hosts.iter().filter(could) {
        if !host.disk.holds(object) {
            return Err(format!("{} could hold the object and does not; {:?}", host.name, ended.verdict));
        }
        let known = ended.rows.iter().filter(|row| row.name == host.name);
        if let Some(row) = known.into_iter().find(|row| !row.state.is_done()) {
            return Err(format!("{} holds the object and is called {}", host.name, row.state.name()));
        }
    }
    let is_insider_awaited = plan.expecting == Expecting::Names
        && plan.identities.insider.as_ref().is_some_and(|insider| insider.is_meant);
    let is_all = hosts.iter().all(|host| could(&host)) && !is_insider_awaited;
    if is_all && ended.verdict != Verdict::Complete {
        return Err(format!("all hosts hold the object and the push is {:?}", ended.verdict));
    }
    let failed = hosts.iter().filter(|host| host.is_up() && host.failed_in == Some(ended.session));
    for host in failed.filter(|host| is_plain(host)) {
        let said = ended.rows.iter().any(|row| row.name == host.name && row.reason.is_some());
        if !said {
            return Err(format!("{} failed and nobody says why", host.name));
        }
    }
    Ok(())
}

/// Since when a host hears and is heard: since it is up, or since its network is good.
fn reached_since(plan: &Plan, host: &Host) -> Moment {
    let weather = &host.plan.weather;
    let is_fair = weather.partitions.is_empty() && weather.bursts.is_none() && weather.up_loss < FAIR_LOSS;
    if is_fair { host.up_since } else { host.up_since.max(Moment::default() + plan.calm) }
}

fn is_able(host: &Host, session: SessionId) -> bool {
    host.is_up()
        && host.plan.disk.is_good()
        && host.failed_in != Some(session)
        && host.plan.outages.iter().all(|outage| outage.how != Leaving::Stop && outage.back_after.is_some())
}

/// With more loss of what it sends, a host may not be heard for seconds.
const FAIR_LOSS: f64 = 0.2;
/// The time that a host has to be heard when somebody else claims its name, with some of it for a first hello.
const OWNER_HEARD_AFTER: Duration = Duration::from_secs(6);
