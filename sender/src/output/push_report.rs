//! The JSON report of a push: one object, for scripts. docs/json.md describes its fields.

use std::collections::BTreeMap;

use glancecast_platform::stages::StageTime;
use glancecast_proto::hex::Hex;
use glancecast_proto::ids::HostName;
use glancecast_proto::ranges::fold;
use glancecast_proto::sender::{Expected, HostReceipt, HostRow, Pace, Verdict, Via};
use glancecast_proto::wire::{BaseName, CommandOutcome, Outcome, Pin};
use serde::Serialize;

use super::crowd::Cause;
use super::plan::PlanReport;
use super::push_table::{causes, spread};
use super::query_report::{after, rfc3339};
use super::{HintReport, Outages, SCHEMA, Skipped, seconds};
use crate::pipeline::content::{ContentCounts, Spared};
use crate::pipeline::relays::LostRelay;
use crate::pipeline::wire_counts::WireCounts;
use crate::request::{Confirmation, PushPlan, PushResult};

#[derive(Serialize)]
pub(crate) struct Report<'a> {
    schema: u32,
    glancecast: &'static str,
    outcome: &'static str,
    exit_code: u8,
    reason: Option<String>,
    session: String,
    group_id: String,
    signed_by: Option<String>,
    group: Option<String>,
    interface: &'a str,
    address: String,
    mtu: u16,
    ttl: u8,
    dscp: u8,
    object: Object<'a>,
    content: ContentCounts,
    base: Option<&'a str>,
    spared: Spared,
    root: Option<String>,
    seconds: f64,
    started: Option<String>,
    finished: Option<String>,
    rate_bits_per_second: u64,
    rate_adapts: bool,
    wire: Wire,
    stages: Vec<Stage>,
    outages: Outages<'a>,
    plan: PlanReport,
    lost_relays: Vec<Lost<'a>>,
    summary: Summary<'a>,
    hosts: Vec<Host<'a>>,
    skipped: Vec<Skipped<'a>>,
    confirm: Option<&'a [Confirmation]>,
}

#[derive(Serialize)]
struct Stage {
    stage: &'static str,
    seconds: f64,
    bytes: u64,
}

#[derive(Serialize)]
struct Object<'a> {
    name: &'a str,
    image_id: Option<&'a str>,
    format: &'static str,
    pin: Option<Keep>,
    bytes: u64,
    verified_by: Option<&'a str>,
    blocks: u32,
    block_bytes: u64,
    symbol_bytes: u16,
    datagram_bytes: usize,
}

/// A pin in JSON: seconds, or a word.
#[derive(Serialize)]
#[serde(untagged)]
enum Keep {
    Seconds(u64),
    Forever(&'static str),
}

impl Keep {
    fn of(pin: Pin) -> Option<Self> {
        match pin {
            Pin::None => None,
            Pin::For(time) => Some(Self::Seconds(time.as_secs())),
            Pin::Forever => Some(Self::Forever("forever")),
        }
    }
}

#[derive(Serialize)]
struct Wire {
    datagrams: u64,
    bytes: u64,
    frame_bytes: u64,
    kinds: WireCounts,
}

/// A relay that was given up.
#[derive(Serialize)]
struct Lost<'a> {
    relay: &'a str,
    segment: Option<&'a str>,
    children: u32,
    seconds: f64,
    reason: String,
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct Host<'a> {
    name: &'a str,
    expected: bool,
    address: Option<String>,
    state: &'static str,
    reason: Option<&'a str>,
    on_published: Option<Command<'a>>,
    hint: Option<HintReport<'a>>,
    sidelined: Option<&'static str>,
    seconds: Option<f64>,
    blocks_held: u32,
    symbols_lost: u64,
    symbols_repaired: u64,
    bytes_received: u64,
    socket_drops: u64,
    store_drops: u64,
    symbols_late: u64,
    symbols_forged: u64,
    blocks_reused: u32,
    key: Option<String>,
    software: Option<&'a str>,
    via: Option<&'static str>,
    via_host: Option<&'a str>,
    via_address: Option<String>,
    receipt: Option<Receipt>,
}

/// What came of the command that a host ran after the publication.
#[derive(Serialize)]
struct Command<'a> {
    outcome: &'static str,
    reason: Option<&'a str>,
}

impl<'a> Command<'a> {
    fn of(command: &'a CommandOutcome) -> Option<Self> {
        let (outcome, reason) = match command {
            CommandOutcome::None => return None,
            CommandOutcome::Succeeded => ("succeeded", None),
            CommandOutcome::Running => ("running", None),
            CommandOutcome::Failed(how) => ("failed", Some(how.as_str())),
        };
        Some(Self { outcome, reason })
    }
}

/// What a host has signed at the end. docs/security.md says how it is checked.
#[derive(Serialize)]
struct Receipt {
    outcome: &'static str,
    failure: Option<&'static str>,
    root: Option<String>,
    time_ms: u64,
    signature: String,
}

impl Receipt {
    fn new(of: &HostReceipt) -> Self {
        let (outcome, failure, root) = match of.outcome {
            Outcome::Published(root) => ("published", None, Some(root.to_string())),
            Outcome::Existing(root) => ("existing", None, Some(root.to_string())),
            Outcome::Failed(kind) => ("failed", Some(kind.name()), None),
        };
        let signature = Hex(of.receipt.signature()).to_string();
        Self { outcome, failure, root, time_ms: of.receipt.time.0, signature }
    }
}

impl<'a> Report<'a> {
    pub(crate) fn new(result: &'a PushResult) -> Self {
        let PushResult { plan, outcome, confirmations, .. } = result;
        let PushPlan { config, network, interface, .. } = plan;
        let geometry = config.geometry;
        let total = outcome.counts.total();
        Self {
            schema: SCHEMA,
            glancecast: env!("CARGO_PKG_VERSION"),
            outcome: word(&outcome.verdict),
            exit_code: result.exit_code(),
            reason: result.reason(),
            session: config.session.to_string(),
            group_id: config.key.id().to_string(),
            signed_by: config.signer.as_ref().map(|key| key.public().to_string()),
            group: network.destinations.group().map(|group| group.to_string()),
            interface: &interface.name,
            address: interface.addr.to_string(),
            mtu: plan.mtu,
            ttl: network.marking.ttl,
            dscp: network.marking.dscp,
            object: Object {
                name: config.name.as_str(),
                image_id: config.image_id.as_deref(),
                format: config.format.name(),
                pin: Keep::of(config.pin),
                bytes: geometry.object_bytes(),
                verified_by: plan.verified_by.as_deref(),
                blocks: geometry.blocks(),
                block_bytes: geometry.block_bytes(),
                symbol_bytes: geometry.symbol_size(),
                datagram_bytes: geometry.datagram_bytes(),
            },
            content: outcome.content,
            base: config.base.as_ref().map(BaseName::as_str),
            spared: outcome.spared,
            root: outcome.root.map(|root| root.to_string()),
            seconds: seconds(outcome.time),
            started: rfc3339(config.started),
            finished: rfc3339(after(config.started, outcome.time)),
            rate_bits_per_second: config.pace.cap().bits(),
            rate_adapts: matches!(config.pace, Pace::Auto { .. }),
            wire: Wire {
                datagrams: total.datagrams,
                bytes: total.bytes,
                frame_bytes: total.bytes + total.datagrams * config.header_bytes,
                kinds: outcome.counts,
            },
            stages: outcome.stages.iter().map(Stage::new).collect(),
            outages: Outages::of(&outcome.outages),
            plan: PlanReport::of(&outcome.reached.plan),
            lost_relays: outcome.reached.lost.iter().map(Lost::new).collect(),
            summary: Summary::new(result),
            hosts: outcome.rows.iter().map(|row| Host::new(row, result)).collect(),
            skipped: Skipped::of(&plan.targets.left_out),
            confirm: confirmations.as_deref(),
        }
    }
}

/// The hosts in a few numbers.
#[derive(Serialize)]
struct Summary<'a> {
    expected: Option<usize>,
    holding: usize,
    holding_unexpected: usize,
    answered: usize,
    missing: String,
    states: BTreeMap<&'static str, usize>,
    median_seconds: Option<f64>,
    slowest_seconds: Option<f64>,
    slowest_host: Option<&'a str>,
    causes: Vec<Cause>,
}

impl<'a> Summary<'a> {
    fn new(result: &'a PushResult) -> Self {
        let (rows, standing) = (&result.outcome.rows, result.standing());
        let mut states = BTreeMap::new();
        for row in rows {
            *states.entry(row.state.name()).or_default() += 1;
        }
        let spread = spread(rows);
        Self {
            expected: standing.expected,
            holding: standing.holding,
            holding_unexpected: standing.more,
            answered: standing.answered,
            missing: fold(&standing.missing),
            states,
            median_seconds: spread.as_ref().map(|spread| seconds(spread.median)),
            slowest_seconds: spread.as_ref().map(|spread| seconds(spread.slowest)),
            slowest_host: spread.map(|spread| spread.host),
            causes: causes(result),
        }
    }
}

impl Stage {
    fn new(time: &StageTime) -> Self {
        Self { stage: time.name, seconds: time.nanos as f64 / 1e9, bytes: time.bytes }
    }
}

impl<'a> Host<'a> {
    fn new(row: &'a HostRow, result: &'a PushResult) -> Self {
        let hints = &result.hints;
        Self {
            name: row.name.as_str(),
            expected: matches!(&result.plan.config.expected, Expected::Named(names) if names.contains(&row.name)),
            address: row.addr.map(|addr| addr.ip().to_string()),
            state: row.state.name(),
            reason: row.reason.as_deref(),
            on_published: Command::of(&row.command),
            hint: hints.get(&row.name).map(HintReport::of),
            sidelined: row.sidelined.map(|sideline| sideline.cause.name()),
            seconds: row.time.map(seconds),
            blocks_held: row.blocks_held,
            symbols_lost: row.totals.symbols_lost,
            symbols_repaired: row.totals.symbols_repaired,
            bytes_received: row.totals.bytes_received,
            socket_drops: row.totals.socket_drops,
            store_drops: row.totals.store_drops,
            symbols_late: row.totals.symbols_late,
            symbols_forged: row.totals.symbols_forged,
            blocks_reused: row.totals.blocks_reused,
            key: row.key.map(|key| key.to_string()),
            software: row.software.as_deref(),
            via: row.served.as_ref().map(way),
            via_host: row.served.as_ref().and_then(way_host),
            via_address: row.via.map(|via| via.to_string()),
            receipt: row.receipt.as_ref().map(Receipt::new),
        }
    }
}

impl<'a> Lost<'a> {
    fn new(lost: &'a LostRelay) -> Self {
        Self {
            relay: lost.relay.as_str(),
            segment: lost.segment.as_deref(),
            children: lost.children,
            seconds: seconds(lost.at),
            reason: lost.fault.to_string(),
            next: lost.next.as_ref().map(HostName::as_str),
        }
    }
}

/// Returns the word for the way by which a host was served.
fn way(via: &Via) -> &'static str {
    match via {
        Via::Group => "group",
        Via::Relay(_) => "relay",
        Via::Unicast => "unicast",
        Via::Parent(_) => "parent",
    }
}

/// Returns the host on this way.
fn way_host(via: &Via) -> Option<&str> {
    match via {
        Via::Relay(name) | Via::Parent(name) => Some(name.as_str()),
        Via::Group | Via::Unicast => None,
    }
}

/// Returns the word for a verdict.
pub(super) fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Complete => "complete",
        Verdict::Unknown => "unknown",
        Verdict::Incomplete | Verdict::GivenUp(_) => "incomplete",
        Verdict::Aborted(_) => "failed",
    }
}
