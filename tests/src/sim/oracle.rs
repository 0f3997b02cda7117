//! The rules that hold after every step and at the end of every push.

use std::collections::VecDeque;
use std::time::Duration;

use glancecast_proto::ids::SessionId;
use glancecast_proto::limits::REPORTS_PER_SECOND_MAX;
use glancecast_proto::sender::{HostRow, Verdict};
use glancecast_proto::time::Moment;

use super::host::Host;
use super::object::Object;
use super::plan::{Expecting, Leaving, Plan};

/// The outcome of a push.
pub(crate) struct Ended {
    pub(crate) session: SessionId,
    pub(crate) verdict: Verdict,
    pub(crate) rows: Vec<HostRow>,
}

/// Counts the reports, whose rate is limited.
#[derive(Default)]
pub(crate) struct Oracle {
    /// The times of the reports of the last second.
    reports: VecDeque<Moment>,
}

impl Oracle {
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
    let of = |row: &HostRow| hosts.iter().find(|host| host.name == row.name).expect("no other names");
    for row in &ended.rows {
        if row.state.is_done() && !of(row).disk.holds(object) {
            return Err(format!("{} is called {} and holds nothing", row.name, row.state.name()));
        }
        if !row.state.is_done() && row.reason.is_none() {
            return Err(format!("{} is {} without a reason", row.name, row.state.name()));
        }
    }
    let holding = hosts.iter().filter(|host| host.disk.holds(object)).count();
    let needed = if plan.expecting == Expecting::Anyone { 1 } else { hosts.len() };
    if ended.verdict == Verdict::Complete && holding < needed {
        return Err(format!("the push is called complete and {holding} of {needed} hosts hold the object"));
    }
    check_liveness(plan, object, hosts, ended)
}

/// Checks that every host able to hold the object holds it and the sender knows, if the network was good in the end.
fn check_liveness(plan: &Plan, object: &Object, hosts: &[Host], ended: &Ended) -> Result<(), String> {
    let had_time = plan.timeout > plan.calm && plan.interrupted.is_none() && !plan.source_wrong;
    if plan.one_way.is_some() || plan.expecting == Expecting::Anyone || !had_time {
        return Ok(());
    }
    let could = |host: &&Host| is_able(host, ended.session) && host.plan.lists.accepts(plan.signed);
    for host in hosts.iter().filter(could) {
        if !host.disk.holds(object) {
            return Err(format!("{} could hold the object and does not; {:?}", host.name, ended.verdict));
        }
        let known = ended.rows.iter().filter(|row| row.name == host.name);
        if let Some(row) = known.into_iter().find(|row| !row.state.is_done()) {
            return Err(format!("{} holds the object and is called {}", host.name, row.state.name()));
        }
    }
    if hosts.iter().all(|host| could(&host)) && ended.verdict != Verdict::Complete {
        return Err(format!("all hosts hold the object and the push is {:?}", ended.verdict));
    }
    for host in hosts.iter().filter(|host| host.is_up() && host.failed_in == Some(ended.session)) {
        let said = ended.rows.iter().any(|row| row.name == host.name && row.reason.is_some());
        if !said {
            return Err(format!("{} failed and nobody says why", host.name));
        }
    }
    Ok(())
}

fn is_able(host: &Host, session: SessionId) -> bool {
    host.is_up()
        && host.plan.disk.is_good()
        && host.failed_in != Some(session)
        && host.plan.outages.iter().all(|outage| outage.how != Leaving::Stop && outage.back_after.is_some())
}
