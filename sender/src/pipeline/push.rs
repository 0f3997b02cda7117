//! A push from the outside: what it needs, how far it is, how it ended.

use std::path::PathBuf;
use std::time::Duration;

use glancecast_platform::stages::StageTime;
use glancecast_platform::transport::Downlink;
use glancecast_proto::integrity::Root;
use glancecast_proto::sender::{HostRow, SenderConfig, Tally, Verdict};
use glancecast_proto::wire::DiscardCounts;

use super::compress::Compression;
use super::content::{ContentCounts, Spared};
use super::running::Running;
use super::source::Source;
use super::wire_counts::WireCounts;

/// What a push needs.
pub struct Setup {
    /// The session.
    pub sender: SenderConfig,
    /// The way to its hosts.
    pub downlink: Downlink,
    /// The image.
    pub source: Box<dyn Source>,
    /// Directory for what repairs are made from: compressed blocks, and all others where the source cannot be read
    /// again.
    pub spool: PathBuf,
    /// Whether and how hard blocks are compressed.
    pub compression: Compression,
}

/// How far a push is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Blocks whose first pass was sent.
    pub blocks_sent: u32,
    /// What the blocks that were read consist of.
    pub content: ContentCounts,
    /// Bytes of datagrams sent.
    pub wire_bytes: u64,
    /// Repair symbols sent.
    pub repairs: u64,
    /// Bits per second of whole frames at the moment.
    pub rate: u64,
    /// The source was read to its end and is right.
    pub proven: bool,
    /// The hosts so far.
    pub hosts: Tally,
}

/// How a push ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The object's root, if its source was proven.
    pub root: Option<Root>,
    /// Every host that was heard or expected.
    pub rows: Vec<HostRow>,
    /// What was put on the wire.
    pub counts: WireCounts,
    /// What the blocks that were read consist of.
    pub content: ContentCounts,
    /// What of it was not sent, as all hosts held it.
    pub spared: Spared,
    /// Datagrams from hosts that were dropped, by reason.
    pub discards: DiscardCounts,
    /// From the start to the end.
    pub time: Duration,
    /// Where the time of its threads went.
    pub stages: Vec<StageTime>,
}

/// A push that is under way in its own threads.
pub type RunningPush = Running<Progress, Outcome>;
