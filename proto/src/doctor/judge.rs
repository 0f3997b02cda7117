//! What follows from the evidence: the faults of each host and of this machine, as rows of hosts with the same fault.

use std::collections::BTreeMap;

use super::answered;
use super::around::Around;
use super::evidence::{Evidence, HostEvidence, SenderEvidence};
use super::fault::Fault;
use super::finding::{Finding, FindingId, Mend};
use super::unanswered;

/// Returns what is wrong, the worst first; nothing where the path is sound.
pub fn findings(evidence: &Evidence) -> Vec<Finding> {
    let around = Around::of(evidence);
    let mut rows = Rows::default();
    own(&around).into_iter().for_each(|fault| rows.add(None, fault));
    for host in &evidence.hosts {
        let faults = match host.answered() {
            true => answered::faults(&around, host),
            false => vec![unanswered::fault(&around, host)],
        };
        faults.into_iter().for_each(|fault| rows.add(Some(host), fault));
    }
    rows.sorted()
}

/// Findings by fault and mend, so that hosts with the same ones are one row.
#[derive(Default)]
struct Rows(BTreeMap<(FindingId, Vec<String>, Option<String>), Finding>);

impl Rows {
    /// Adds a fault of a host, or of this machine.
    fn add(&mut self, host: Option<&HostEvidence>, fault: Fault) {
        let Fault { id, evidence, mends, is_apart } = fault;
        let commands = mends.iter().map(|mend| mend.command.clone()).collect();
        let row = self.0.entry((id, commands, is_apart.then(|| evidence.clone())));
        let row = row.or_insert_with(|| Finding { id, hosts: Vec::new(), evidence, mends });
        row.hosts.extend(host.map(|host| host.name.clone()));
    }

    /// Returns the rows, the worst fault first, and of one fault the one with most hosts.
    fn sorted(self) -> Vec<Finding> {
        let mut rows: Vec<Finding> = self.0.into_values().collect();
        rows.sort_by_key(|row| (row.id, std::cmp::Reverse(row.hosts.len())));
        rows.iter_mut().for_each(|row| row.hosts.dedup());
        rows
    }
}

/// Returns what is wrong with this machine itself, or that nobody is there.
fn own(around: &Around<'_>) -> Vec<Fault> {
    let nobody = (around.hosts == 0).then(|| around.nobody());
    [nobody, short_buffer(around.sender), slow_member(around.sender)].into_iter().flatten().collect()
}

fn short_buffer(sender: &SenderEvidence) -> Option<Fault> {
    let (granted, wanted) = sender.short_buffer?;
    let evidence = format!("the send buffer is {} KiB instead of {} KiB", granted >> 10, wanted >> 10);
    let command = format!("sysctl -w net.core.wmem_max={}", wanted / 2);
    Some(Fault::new(FindingId::Buffer, evidence, vec![Mend::new("here", command)]))
}

/// Returns that a rate was asked for which the bond carries, and none of its members does: all that goes to one address
/// leaves through one member.
fn slow_member(sender: &SenderEvidence) -> Option<Fault> {
    let (bond, rate) = (sender.bond?, sender.rate?);
    let mbit = |bits: u64| bits / 1_000_000;
    (rate > bond.member_bits).then(|| {
        let evidence = format!(
            "{} is a bond of {} interfaces with {} Mbit/s each, and what goes to the group leaves through one of them",
            sender.interface,
            bond.members,
            mbit(bond.member_bits)
        );
        let command = format!("--rate auto, or --rate {}mbit at most", mbit(bond.member_bits));
        Fault::new(FindingId::Bond, evidence, vec![Mend::new("here", command)])
    })
}
