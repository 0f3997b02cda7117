//! A push as seen by its caller: its parameters, its progress, its result.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use glancecast_platform::stages::StageTime;
use glancecast_platform::transport::Downlink;
use glancecast_proto::integrity::Root;
use glancecast_proto::known::FirstUse;
use glancecast_proto::sender::{HostRow, PlanView, SenderConfig, Tally, Verdict, Watch};
use glancecast_proto::wire::DiscardCounts;

use super::changes::Changes;
use super::compress::Compression;
use super::content::{ContentCounts, Spared};
use super::line::OutageReport;
use super::relays::LostRelay;
use super::running::Running;
use super::source::Source;
use super::wire_counts::WireCounts;

/// The parameters of a push.
pub struct Setup {
    /// The session's configuration.
    pub sender: SenderConfig,
    /// The sockets to the hosts.
    pub downlink: Downlink,
    /// The interface as the operator named it; `None` where the routing table chose it.
    pub interface_named: Option<String>,
    /// The image.
    pub source: Box<dyn Source>,
    /// The spool's directory: it holds compressed blocks, and all others if the source cannot be read again.
    pub spool: PathBuf,
    /// Whether and how hard blocks are compressed.
    pub compression: Compression,
}

/// The progress of a push.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Blocks whose first pass has been sent.
    pub blocks_sent: u32,
    /// What the blocks that were read consist of.
    pub content: ContentCounts,
    /// Bytes of all datagrams sent.
    pub wire_bytes: u64,
    /// The same with all headers, as the rate counts them.
    pub frame_bytes: u64,
    /// Repair symbols sent.
    pub repairs: u64,
    /// The current rate of one copy, in bits per second of whole frames.
    pub rate: u64,
    /// The number of copies of each datagram that the interface sends.
    pub copies: u32,
    /// Whether the source was read to its end and passed its check.
    pub proven: bool,
    /// The tally of the hosts.
    pub hosts: Tally,
    /// The hosts that hold the push back, as they were at most a second ago.
    pub watch: Arc<Watch>,
    /// Whether the network takes nothing at present.
    pub is_away: bool,
    /// Whether nothing of the image is sent at present, as hosts are waited for.
    pub is_waiting: bool,
    /// Whether the outcome is there, and the hosts get the end of the push.
    pub is_ending: bool,
    /// Time since the start.
    pub time: Duration,
    /// Time until the push ends whatever is missing.
    pub left: Duration,
    /// What has become of hosts.
    pub changes: Changes,
}

/// The result of a push.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The object's root, if its source was proven.
    pub root: Option<Root>,
    /// Every host that was heard or expected.
    pub rows: Vec<HostRow>,
    /// By which ways the hosts were reached.
    pub reached: Reached,
    /// The hosts that took part and whose keys were not known before.
    pub first_uses: Vec<FirstUse>,
    /// The datagrams sent, by kind.
    pub counts: WireCounts,
    /// What the blocks that were read consist of.
    pub content: ContentCounts,
    /// Data blocks that were not sent, as all hosts held them.
    pub spared: Spared,
    /// Discarded datagrams from hosts, by reason.
    pub discards: DiscardCounts,
    /// The time from the start to the end.
    pub time: Duration,
    /// When the sender's own network took nothing.
    pub outages: OutageReport,
    /// The time that the threads spent in each stage.
    pub stages: Vec<StageTime>,
}

/// By which ways the hosts of a push were reached.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// The ways at its end.
    pub plan: PlanView,
    /// The relays that were given up.
    pub lost: Vec<LostRelay>,
}

/// A push that is under way in its own threads.
pub type RunningPush = Running<Progress, Outcome>;
