//! By which ways a push reaches its hosts: before it (`--explain`), and in its report.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use glancecast_platform::cli;
use glancecast_platform::units::Rate;
use glancecast_proto::ranges::fold;
use glancecast_proto::relay::Prefix;
use glancecast_proto::sender::{Expected, PlanRow, PlanView};
use glancecast_proto::wire::printable;
use indicatif::BinaryBytes;
use serde::Serialize;

use super::columns::{Room, Side, columns, fitted};
use super::preflight::Preflight;
use super::{dash, seconds};
use crate::request::PushPlan;

/// Returns the plan of a push that is to begin, for people, in lines that fit the room.
pub(crate) fn explain(plan: &PushPlan, view: &PlanView, room: Room) -> String {
    let reach = &plan.config.reach;
    let mut text = String::new();
    let mut say = |line: String| text.push_str(&fitted(&line, room));
    let bytes = plan.config.geometry.object_bytes();
    say(format!("plan: {}, {} to {}", plan.config.name, BinaryBytes(bytes), ways(plan, view)));
    if let Expected::Named(names) = &plan.config.expected {
        say(format!("for {}: {}", counted(names.len(), "host"), fold(names)));
    }
    if let Some(rate) = Rate::from_bits(view.rate) {
        let time = view.time.map_or_else(String::new, |time| {
            format!(": {} in about {:.1} s", BinaryBytes(bytes), time.as_secs_f64())
        });
        say(format!(
            "{} of each datagram from interface {}, each at up to {rate}{time}",
            copies(view.copies),
            plan.interface.name
        ));
    }
    text.push_str(&columns(room, HEAD, SIDES, &rows(reach.group, view)));
    let mut say = |line: String| text.push_str(&fitted(&line, room));
    if reach.group.is_some() && !reach.hosts.is_empty() {
        let networks = networks(reach.hosts.iter().map(|(_, addr)| addr.ip()));
        let how = if reach.relays { "one relay in each network" } else { "a copy for each host" };
        say(format!(
            "{} in {} have an address, for the case that the group does not reach them: {how}",
            counted(reach.hosts.len(), "host"),
            counted(networks.len(), "network"),
        ));
    }
    for (host, why) in plan.missing_addresses.iter().take(MISSING_MAX) {
        say(format!("no address of {host}: {}", printable(&why.to_string())));
    }
    if plan.missing_addresses.len() > MISSING_MAX {
        say(format!("nor of {} more", plan.missing_addresses.len() - MISSING_MAX));
    }
    text
}

/// Returns by which ways the push goes out, in words.
fn ways(plan: &PushPlan, view: &PlanView) -> String {
    let by_unicast = view.rows.len();
    match plan.config.reach.group {
        Some(group) if by_unicast == 0 => format!("the group {group}"),
        Some(group) => format!("the group {group}, and {} by unicast", counted(by_unicast, "address")),
        None if by_unicast == 0 => {
            format!("{} by unicast", counted(plan.config.reach.hosts.len(), "host"))
        }
        None => format!("{} by unicast", counted(by_unicast, "address")),
    }
}

fn copies(count: u32) -> String {
    if count == 1 { "1 copy".to_owned() } else { format!("{count} copies") }
}

fn counted(count: usize, what: &str) -> String {
    let end = match (count, what.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {what}{end}")
}

fn rows(group: Option<SocketAddr>, view: &PlanView) -> Vec<[String; 5]> {
    if view.rows.is_empty() {
        return Vec::new();
    }
    let group = group.map(|group| [group.to_string(), SENDER.into(), "1".into(), dash(), dash()]);
    group.into_iter().chain(view.rows.iter().map(|row| cells(row, view))).collect()
}

fn cells(row: &PlanRow, view: &PlanView) -> [String; 5] {
    let of = |addr: SocketAddr| {
        let named = view.rows.iter().find(|row| row.addr == addr).and_then(|row| row.name.as_ref());
        named.map_or_else(|| addr.to_string(), |name| format!("{name} ({addr})"))
    };
    [
        of(row.addr),
        row.parent.map_or_else(|| SENDER.to_owned(), of),
        row.depth.to_string(),
        row.children.to_string(),
        row.segment.as_ref().map_or_else(dash, |segment| {
            format!("{}, {}", segment.name, counted(segment.hosts as usize, "host"))
        }),
    ]
}

/// Returns the networks that single addresses are taken for: of the size of a usual segment.
fn networks(addresses: impl Iterator<Item = IpAddr>) -> BTreeSet<Prefix> {
    addresses.map(|ip| Prefix::of(ip, if ip.is_ipv4() { 24 } else { 64 })).collect()
}

const HEAD: [&str; 5] = ["TO", "FROM", "LEVEL", "COPIES ON", "MULTICASTS IN"];
const SIDES: [Side; 5] = [Side::Left, Side::Left, Side::Right, Side::Right, Side::Left];
const SENDER: &str = "this sender";
/// The maximum number of lines about hosts without an address.
const MISSING_MAX: usize = 20;

/// The plan in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct PlanReport {
    copies: u32,
    rate_bits_per_second: Option<u64>,
    seconds: Option<f64>,
    depth: u32,
    paths: Vec<PathReport>,
}

/// A relay, or a host that gets its datagrams by unicast.
#[derive(Debug, Serialize)]
struct PathReport {
    name: Option<String>,
    address: String,
    parent: Option<String>,
    level: u32,
    children: u32,
    segment: Option<SegmentReport>,
}

#[derive(Debug, Serialize)]
struct SegmentReport {
    name: String,
    hosts: u32,
}

impl PlanReport {
    pub(crate) fn of(view: &PlanView) -> Self {
        let path = |row: &PlanRow| PathReport {
            name: row.name.as_ref().map(ToString::to_string),
            address: row.addr.to_string(),
            parent: row.parent.map(|parent| parent.to_string()),
            level: row.depth,
            children: row.children,
            segment: row
                .segment
                .as_ref()
                .map(|segment| SegmentReport { name: segment.name.clone(), hosts: segment.hosts }),
        };
        Self {
            copies: view.copies,
            rate_bits_per_second: Some(view.rate).filter(|&rate| rate > 0),
            seconds: view.time.map(seconds),
            depth: view.depth,
            paths: view.rows.iter().map(path).collect(),
        }
    }
}

/// What `--dry-run --json` prints, and `--explain --json` on standard error.
#[derive(Debug, Serialize)]
pub(crate) struct Planned<'a> {
    glancecast: &'static str,
    outcome: &'static str,
    exit_code: u8,
    object: &'a str,
    bytes: u64,
    group: Option<String>,
    interface: &'a str,
    address: String,
    mtu: u16,
    hosts: Option<usize>,
    plan: PlanReport,
    addresses: BTreeMap<&'a str, String>,
    missing_addresses: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<&'a Preflight>,
}

impl<'a> Planned<'a> {
    /// Returns the plan with what the hosts answered.
    pub(crate) fn with_hosts(plan: &'a PushPlan, view: &PlanView, answers: &'a Preflight) -> Self {
        let exit_code = if answers.is_well() { cli::EXIT_OK } else { cli::EXIT_INCOMPLETE };
        Self { exit_code, answers: Some(answers), ..Self::new(plan, view) }
    }

    pub(crate) fn new(plan: &'a PushPlan, view: &PlanView) -> Self {
        let config = &plan.config;
        let addresses = config.reach.hosts.iter().map(|(name, addr)| (name.as_str(), addr.to_string()));
        let missing = plan.missing_addresses.iter().map(|(name, why)| (name.as_str(), why.to_string()));
        Self {
            glancecast: env!("CARGO_PKG_VERSION"),
            outcome: "planned",
            exit_code: 0,
            object: config.name.as_str(),
            bytes: config.geometry.object_bytes(),
            group: config.reach.group.map(|group| group.to_string()),
            interface: &plan.interface.name,
            address: plan.interface.addr.to_string(),
            mtu: plan.mtu,
            hosts: plan.named(),
            plan: PlanReport::of(view),
            addresses: addresses.collect(),
            missing_addresses: missing.collect(),
            answers: None,
        }
    }
}
