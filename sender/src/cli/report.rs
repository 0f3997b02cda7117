//! The JSON report: one object on standard output, for scripts. Its fields are described in docs/json.md.

use std::time::Duration;

use glancecast_platform::cli;
use glancecast_platform::interface::Interface;
use glancecast_platform::stages::StageTime;
use glancecast_platform::transport::{Destinations, Marking};
use glancecast_proto::sender::{Expected, HostRow, HostState, Pace, SenderConfig, Verdict};
use glancecast_proto::wire::{BaseName, Pin};
use serde::Serialize;

use super::Failure;
use super::confirm::Confirmation;
use super::expected::LeftOut;
use crate::pipeline::content::{ContentCounts, Spared};
use crate::pipeline::push::Outcome;
use crate::pipeline::wire_counts::WireCounts;

#[derive(Serialize)]
pub(super) struct Report<'a> {
    glancecast: &'static str,
    outcome: &'static str,
    exit_code: u8,
    reason: Option<String>,
    session: String,
    signed_by: Option<String>,
    group: String,
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
    rate_bits_per_second: u64,
    rate_adapts: bool,
    wire: Wire,
    stages: Vec<Stage>,
    hosts: Vec<Host<'a>>,
    skipped: Vec<Skipped<'a>>,
    confirm: Option<&'a [Confirmation]>,
}

/// An image that was refused before anything was sent.
#[derive(Serialize)]
pub(super) struct Refused<'a> {
    glancecast: &'static str,
    outcome: &'static str,
    exit_code: u8,
    reason: &'a str,
    rule: &'static str,
}

impl<'a> Refused<'a> {
    /// `None` for what ended early for another reason.
    pub(super) fn new(failure: &'a Failure) -> Option<Self> {
        failure.rule.map(|rule| Self {
            glancecast: env!("CARGO_PKG_VERSION"),
            outcome: "refused",
            exit_code: failure.code,
            reason: &failure.message,
            rule,
        })
    }
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

/// A pin: its seconds, or a word.
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

#[derive(Serialize)]
struct Host<'a> {
    name: &'a str,
    state: &'static str,
    reason: Option<&'a str>,
    sidelined: Option<&'static str>,
    seconds: Option<f64>,
    blocks_held: u32,
    symbols_lost: u64,
    symbols_repaired: u64,
    bytes_received: u64,
    socket_drops: u64,
    store_drops: u64,
    blocks_reused: u32,
}

/// A host that was chosen by its aggregate or zone, and left out for what Nova says of it.
#[derive(Serialize)]
struct Skipped<'a> {
    name: &'a str,
    reason: &'a str,
}

/// What a push has to do with the cloud.
#[derive(Clone, Copy)]
pub(super) struct CloudPart<'a> {
    /// The hash of Glance's record that proved the image.
    pub(super) verified_by: Option<&'a str>,
    /// Hosts of Nova that nobody waits for.
    pub(super) left_out: &'a LeftOut,
    /// `None` when it was not asked for.
    pub(super) confirmations: Option<&'a [Confirmation]>,
}

/// What a push was asked to do, besides its session.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) destinations: &'a Destinations,
    pub(super) interface: &'a Interface,
    pub(super) mtu: u16,
    pub(super) marking: Marking,
    pub(super) pace: Pace,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        config: &'a SenderConfig,
        terms: Terms<'a>,
        cloud: CloudPart<'a>,
        outcome: &'a Outcome,
    ) -> Self {
        let geometry = config.geometry;
        let total = outcome.counts.total();
        let headers = config.header_bytes;
        Self {
            glancecast: env!("CARGO_PKG_VERSION"),
            outcome: word(&outcome.verdict),
            exit_code: exit_code(&outcome.verdict),
            reason: reason(config, cloud.left_out, outcome),
            session: config.session.to_string(),
            signed_by: config.signer.as_ref().map(|key| key.public().to_string()),
            group: terms.destinations.to_string(),
            interface: &terms.interface.name,
            address: terms.interface.addr.to_string(),
            mtu: terms.mtu,
            ttl: terms.marking.ttl,
            dscp: terms.marking.dscp,
            object: Object {
                name: config.name.as_str(),
                image_id: config.image_id.as_deref(),
                format: config.format.name(),
                pin: Keep::of(config.pin),
                bytes: geometry.object_bytes(),
                verified_by: cloud.verified_by,
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
            rate_bits_per_second: terms.pace.cap(),
            rate_adapts: matches!(terms.pace, Pace::Auto { .. }),
            wire: Wire {
                datagrams: total.datagrams,
                bytes: total.bytes,
                frame_bytes: total.bytes + total.datagrams * headers,
                kinds: outcome.counts,
            },
            stages: outcome.stages.iter().map(Stage::new).collect(),
            hosts: outcome.rows.iter().map(Host::new).collect(),
            skipped: cloud.left_out.all().map(|(name, reason)| Skipped { name, reason }).collect(),
            confirm: cloud.confirmations,
        }
    }
}

impl Stage {
    fn new(time: &StageTime) -> Self {
        Self { stage: time.name, seconds: time.nanos as f64 / 1e9, bytes: time.bytes }
    }
}

impl<'a> Host<'a> {
    fn new(row: &'a HostRow) -> Self {
        Self {
            name: row.name.as_str(),
            state: row.state.name(),
            reason: row.reason.as_deref(),
            sidelined: row.sidelined.map(|sideline| sideline.cause.name()),
            seconds: row.time.map(seconds),
            blocks_held: row.blocks_held,
            symbols_lost: row.totals.symbols_lost,
            symbols_repaired: row.totals.symbols_repaired,
            bytes_received: row.totals.bytes_received,
            socket_drops: row.totals.socket_drops,
            store_drops: row.totals.store_drops,
            blocks_reused: row.totals.blocks_reused,
        }
    }
}

/// With milliseconds, and no digits that mean nothing.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

/// The code to exit with.
pub(super) fn exit_code(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Complete | Verdict::Unknown => cli::EXIT_OK,
        Verdict::Incomplete | Verdict::GivenUp(_) => cli::EXIT_INCOMPLETE,
        Verdict::Aborted(_) => cli::EXIT_FAILED,
    }
}

/// Why not every expected host holds a copy, in one sentence.
pub(super) fn reason(config: &SenderConfig, left_out: &LeftOut, outcome: &Outcome) -> Option<String> {
    match &outcome.verdict {
        Verdict::Complete | Verdict::Unknown => None,
        Verdict::Aborted(reason) => Some(reason.clone()),
        Verdict::GivenUp(reason) => {
            Some(format!("{reason}, when {} held a proven copy already", hosts(done(outcome))))
        }
        Verdict::Incomplete if outcome.rows.iter().all(|row| row.state == HostState::NeverAnswered) => Some(
            "no host answered: is glancecastd running on this network, with this group and this key?"
                .to_owned(),
        ),
        Verdict::Incomplete => {
            let impossible = left_out.missing().map_or_else(String::new, |missing| format!("; {missing}"));
            let holds = if done(outcome) <= 1 { "holds" } else { "hold" };
            Some(format!(
                "{} {holds} a proven copy, and {} should{impossible}",
                hosts(done(outcome)),
                wanted(config, left_out, outcome)
            ))
        }
    }
}

/// So many hosts, in words.
pub(super) fn hosts(count: usize) -> String {
    match count {
        0 => "no host".to_owned(),
        1 => "1 host".to_owned(),
        count => format!("{count} hosts"),
    }
}

/// Hosts that hold a proven copy.
pub(super) fn done(outcome: &Outcome) -> usize {
    outcome.rows.iter().filter(|row| row.state.is_done()).count()
}

/// Hosts that should.
pub(super) fn wanted(config: &SenderConfig, left_out: &LeftOut, outcome: &Outcome) -> usize {
    left_out.unnameable.len()
        + match config.expected {
            Expected::Count(count) => outcome.rows.len().max(count as usize),
            Expected::Named(_) | Expected::Anyone => outcome.rows.len(),
        }
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Complete => "complete",
        Verdict::Unknown => "unknown",
        Verdict::Incomplete | Verdict::GivenUp(_) => "incomplete",
        Verdict::Aborted(_) => "failed",
    }
}
