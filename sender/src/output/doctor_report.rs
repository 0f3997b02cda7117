//! What a diagnosis has found, for people and for scripts. docs/json.md describes the fields.

use std::collections::BTreeSet;

use glancecast_proto::doctor::{Finding, Gauge, HostEvidence, Island, Member, Mend, Stage, Trial, Way};
use glancecast_proto::ids::HostName;
use glancecast_proto::query::Standing;
use glancecast_proto::ranges::fold;
use glancecast_proto::wire::printable;
use serde::Serialize;

use super::columns::Room;
use super::width::wrap;
use super::{SCHEMA, seconds};
use crate::request::{DoctorResult, DoctorRun};

/// Returns what a diagnosis will send, before it does.
pub(crate) fn announcement(run: &DoctorRun) -> String {
    let (datagrams, bytes) = run.bounds;
    let whom = match run.are_counted {
        true => format!("to {} and the group", hosts(run.bounds_hosts as usize)),
        false => format!("if no more than {} answer", hosts(run.bounds_hosts as usize)),
    };
    let megabytes = bytes as f64 / 1e6;
    format!(
        "examines the path from {}: at most {datagrams} datagrams, {megabytes:.1} MB, {whom}",
        run.interface
    )
}

/// Returns what a diagnosis is at, for a person who waits.
pub(crate) fn stage(stage: Stage) -> Option<String> {
    Some(match stage {
        Stage::Reach => "asks who is there".to_owned(),
        Stage::Ladder => "sends probes to the group and to each host".to_owned(),
        Stage::JoinAgain => "has the hosts that hear nothing join the group again".to_owned(),
        Stage::Islands => {
            "has a host of each network that the group does not reach send to the group there".to_owned()
        }
        Stage::Control => "sends probes by both ways to hosts that lose some".to_owned(),
        Stage::Rate(rate) => format!("sends probes at {} Mbit/s", rate / 1_000_000),
        Stage::Done => return None,
    })
}

/// Returns a paragraph for each finding, and what is well. On a terminal lines are broken at its width; of many
/// findings only the first mend of each is shown, so that all of them fit a screen.
pub(crate) fn table(result: &DoctorResult, room: Room) -> String {
    let mut lines = Lines { text: String::new(), room };
    let mends = match room {
        Room::Columns(_) if result.findings.len() > FINDINGS_IN_FULL => 1,
        Room::Columns(_) | Room::Unbounded => usize::MAX,
    };
    for finding in &result.findings {
        lines.add_finding(finding, mends);
    }
    let sick: BTreeSet<&HostName> = result.findings.iter().flat_map(|finding| &finding.hosts).collect();
    let well: Vec<&HostEvidence> =
        result.evidence.hosts.iter().filter(|host| !sick.contains(&host.name)).collect();
    if !well.is_empty() {
        let names = shown(well.iter().map(|host| &host.name));
        lines.add_titled("ok", &format!("{}: {names}", hosts(well.len())));
        summary(&well).into_iter().for_each(|summary| lines.add(&summary));
    }
    let (datagrams, bytes) = result.evidence.sent;
    let findings = match result.findings.len() {
        0 => "nothing is wrong".to_owned(),
        1 => format!("1 finding on {}", hosts(sick.len())),
        count => format!("{count} findings on {}", hosts(sick.len())),
    };
    let more = if mends == 1 { "; docs/doctor.md has more, and a pipe gets all" } else { "" };
    let (megabytes, seconds) = (bytes as f64 / 1e6, result.time.as_secs_f64());
    let sent = format!("{datagrams} datagrams, {megabytes:.2} MB sent in {seconds:.1} s");
    lines.add_line(&format!("{findings}; {sent}{more}"), "");
    lines.text
}

/// Lines that fit the room.
struct Lines {
    text: String,
    room: Room,
}

impl Lines {
    fn add_finding(&mut self, finding: &Finding, mends: usize) {
        let Finding { id, hosts: names, evidence, mends: all } = finding;
        let whom = match names.len() {
            0 => "this machine".to_owned(),
            count => format!("{}: {}", hosts(count), shown(names)),
        };
        self.add_titled(id.name(), &format!("{}   {whom}", id.title()));
        self.add(&printable(evidence));
        for Mend { place, command } in all.iter().take(mends) {
            self.add(&format!("{place}: {}", printable(command)));
        }
        if mends > 1 {
            self.add(&id.anchor());
        }
    }

    fn add_titled(&mut self, title: &str, line: &str) {
        self.add_line(line, &format!("{title:<5}"));
    }

    fn add(&mut self, line: &str) {
        self.add_line(line, INDENT);
    }

    /// Adds a line after `first`. The rest of one that is too long goes below it.
    fn add_line(&mut self, line: &str, first: &str) {
        let parts = match self.room {
            Room::Columns(columns) => wrap(line, columns.saturating_sub(INDENT.len())),
            Room::Unbounded => vec![line.to_owned()],
        };
        for (at, part) in parts.iter().enumerate() {
            self.text.push_str(if at == 0 { first } else { INDENT });
            self.text.push_str(part);
            self.text.push('\n');
        }
    }
}

fn hosts(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

/// Returns folded names, cut to a few lines of a terminal.
fn shown<'a>(names: impl IntoIterator<Item = &'a HostName>) -> String {
    let mut all = fold(names);
    if all.len() > NAMES_CHARS_MAX {
        all.truncate(all.floor_char_boundary(NAMES_CHARS_MAX));
        all.push_str("...");
    }
    all
}

/// Returns what hosts without a finding have in common.
fn summary(well: &[&HostEvidence]) -> Option<String> {
    let trials: Vec<&Trial> = well.iter().filter_map(|host| host.first.as_ref()).collect();
    let worst =
        trials.iter().map(|trial| trial.heard(Way::Group)).max_by_key(|heard| heard.lost_percent())?;
    let mtus: Vec<u64> = trials.iter().filter_map(|trial| trial.counters.get(Gauge::Mtu)).collect();
    let mtu = match (mtus.iter().min(), mtus.iter().max()) {
        (Some(min), Some(max)) if min == max => format!(", MTU {min}"),
        (Some(min), Some(max)) => format!(", MTU {min} to {max}"),
        _ => String::new(),
    };
    Some(format!("{} of {} probes of the group came to the worst of them{mtu}", worst.came, worst.sent))
}

const NAMES_CHARS_MAX: usize = 160;
const INDENT: &str = "     ";
/// Findings of which all mends are shown on a terminal.
const FINDINGS_IN_FULL: usize = 2;

/// The JSON report.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    schema: u32,
    glancecast: &'static str,
    outcome: &'static str,
    exit_code: u8,
    seconds: f64,
    interface: &'a str,
    address: Option<String>,
    group: Option<String>,
    sent_datagrams: u64,
    sent_bytes: u64,
    findings: Vec<FindingReport<'a>>,
    islands: Vec<IslandReport<'a>>,
    hosts: Vec<HostReport<'a>>,
}

#[derive(Serialize)]
struct FindingReport<'a> {
    id: &'static str,
    title: &'static str,
    hosts: Vec<&'a str>,
    hosts_folded: String,
    evidence: &'a str,
    mends: Vec<MendReport<'a>>,
    docs: String,
}

#[derive(Serialize)]
struct MendReport<'a> {
    place: &'static str,
    command: &'a str,
}

/// A network that the group does not reach.
#[derive(Serialize)]
struct IslandReport<'a> {
    network: String,
    multicast: Option<bool>,
    relays: Vec<&'a str>,
    alone: Vec<&'a str>,
}

impl<'a> IslandReport<'a> {
    fn new(island: &'a Island) -> Self {
        let names = |members: &'a [Member]| members.iter().map(|member| member.name.as_str()).collect();
        Self {
            network: island.network.to_string(),
            multicast: island.carries_multicast(),
            relays: names(&island.relays),
            alone: names(&island.alone),
        }
    }
}

#[derive(Serialize)]
struct HostReport<'a> {
    name: &'a str,
    expected: bool,
    state: &'static str,
    reason: Option<&'a str>,
    address: Option<String>,
    answered_group: bool,
    group_sent: Option<u32>,
    group_heard: Option<u32>,
    unicast_sent: Option<u32>,
    unicast_heard: Option<u32>,
    clock_ms: Option<i64>,
    mtu: Option<u64>,
    counters: serde_json::Map<String, serde_json::Value>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(result: &'a DoctorResult) -> Self {
        let sender = &result.evidence.sender;
        let finding = |finding: &'a Finding| FindingReport {
            id: finding.id.name(),
            title: finding.id.title(),
            hosts: finding.hosts.iter().map(HostName::as_str).collect(),
            hosts_folded: fold(&finding.hosts),
            evidence: &finding.evidence,
            mends: finding
                .mends
                .iter()
                .map(|mend| MendReport { place: mend.place, command: &mend.command })
                .collect(),
            docs: finding.id.anchor(),
        };
        Self {
            schema: SCHEMA,
            glancecast: env!("CARGO_PKG_VERSION"),
            outcome: if result.findings.is_empty() { "sound" } else { "findings" },
            exit_code: result.exit_code(),
            seconds: seconds(result.time),
            interface: &sender.interface,
            address: sender.reply_to.map(|to| to.to_string()),
            group: sender.group.map(|group| group.to_string()),
            sent_datagrams: result.evidence.sent.0,
            sent_bytes: result.evidence.sent.1,
            findings: result.findings.iter().map(finding).collect(),
            islands: result.islands.iter().map(IslandReport::new).collect(),
            hosts: result.evidence.hosts.iter().map(HostReport::new).collect(),
        }
    }
}

impl<'a> HostReport<'a> {
    fn new(host: &'a HostEvidence) -> Self {
        let heard = |way| host.first.as_ref().map(|first| first.heard(way));
        let newest = host.newest();
        let gauges = Gauge::ALL
            .into_iter()
            .filter_map(|gauge| Some((gauge.name().to_owned(), newest?.get(gauge)?.into())));
        Self {
            name: host.name.as_str(),
            expected: host.expected,
            state: if host.standing == Standing::Answered { "answered" } else { host.standing.name() },
            reason: host.reason.as_deref(),
            address: host.address.map(|address| address.to_string()),
            answered_group: host.answered_the_group,
            group_sent: heard(Way::Group).map(|heard| heard.sent),
            group_heard: heard(Way::Group).map(|heard| heard.came),
            unicast_sent: heard(Way::Unicast).map(|heard| heard.sent),
            unicast_heard: heard(Way::Unicast).map(|heard| heard.came),
            clock_ms: newest.and_then(glancecast_proto::doctor::Counters::clock_difference_ms),
            mtu: newest.and_then(|newest| newest.get(Gauge::Mtu)),
            counters: gauges.collect(),
        }
    }
}
