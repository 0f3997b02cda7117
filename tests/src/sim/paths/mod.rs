//! Pushes over paths of any kind and to any number of hosts, with the real machines and symbols without bytes: round
//! trips, reordering, shared bottlenecks, stores that are slower than the line, hosts that come late, crowds.
//!
//! ```text
//! Sender --poll_job--> jobs, in turn --> chunk --> Fabric: bottleneck --> Stream --> Member: delay, loss, Receiver, store
//!    ^                                                                                 |
//!    +----------------------------- delay, loss <-- poll_transmit ---------------------+
//! ```
//!
//! Two things make it fast, and both keep the time exact. Hosts read what is sent to the group when something happens to
//! them that may make them speak (`stream`), at the time at which it arrived. And a [chunk](Chunks) of symbols is one
//! entry of that stream, of which each host draws at once how many it loses.
//!
//! **What a chunk hides.** All its symbols arrive when its last one does, so every figure is wrong by up to a chunk, and
//! the symbols that are lost are its last ones: losses are spread over chunks, and not within them. A chunk waits in a
//! queue as a whole. One of 0.1 ms of the line is far shorter than the 2 ms train of the real sender; one that is longer
//! than such a train would look like a queue to the rate control. A burst of losses ends with its chunk. Chunks of
//! whole jobs ([`Chunks::Jobs`]) also hide that blocks are interleaved, so a host has one block begun, and not four.

mod cells;
mod fabric;
pub mod grid;
mod member;
pub mod pair;
mod push;
mod stream;
mod words;

use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName};
use glancecast_proto::integrity::BlockHash;
use glancecast_proto::sender::Verdict;
use glancecast_proto::time::Moment;

/// One push and the path that it takes. Rates are in bits per second of whole frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// Receivers.
    pub hosts: u32,
    /// Which of them the push is for.
    pub choice: Choice,
    /// Length of the object in bytes.
    pub object_bytes: u64,
    /// Length of a block, as a power of two.
    pub block_log2: u8,
    /// What the sender's line carries: the fixed rate, or the cap of the adaptive one.
    pub line: u64,
    /// Whether the rate adapts.
    pub auto: bool,
    /// What is one event.
    pub chunks: Chunks,
    /// Time of a round trip, half of it each way.
    pub round_trip: Duration,
    /// The most by which a datagram is delayed on top of that, drawn for each datagram and host.
    pub jitter: Duration,
    /// The same for what hosts send.
    pub up_jitter: Duration,
    /// The share of datagrams that each host loses.
    pub loss: f64,
    /// The share of what hosts send that is lost.
    pub feedback_loss: f64,
    /// The number of hosts that lose the same datagrams; 0 if each loses on its own.
    pub rack: u32,
    /// The number of datagrams that are lost in a row.
    pub burst: u32,
    /// A bottleneck that all datagrams pass, and the time that its full queue takes.
    pub bottleneck: Option<(u64, Duration)>,
    /// The rate at which a host writes; `None` is at once.
    pub store: Option<u64>,
    /// Hosts that write at a rate of their own.
    pub slow: Option<(u32, u64)>,
    /// The share of hosts that start late, and when: a share of the object's time on the line.
    pub late: Option<(f64, f64)>,
    /// Chooses the losses and delays.
    pub seed: u64,
}

impl Default for Path {
    /// Returns a push of 512 MiB to one host over 1 Gbit/s, at an adaptive rate, with nothing in its way.
    fn default() -> Self {
        Self {
            hosts: 1,
            choice: Choice::default(),
            object_bytes: 512 << 20,
            block_log2: 20,
            line: 1_000_000_000,
            auto: true,
            chunks: Chunks::Short,
            round_trip: Duration::from_micros(200),
            jitter: Duration::ZERO,
            up_jitter: Duration::ZERO,
            loss: 0.0,
            feedback_loss: 0.0,
            rack: 0,
            burst: 1,
            bottleneck: None,
            store: None,
            slow: None,
            late: None,
            seed: 1,
        }
    }
}

/// Which datagrams are one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// Symbols of 0.1 ms of the line, of four blocks in turn. Where delays vary, each datagram is an event, so that any may
    /// overtake any other.
    Short,
    /// The source symbols of a block, or its repair symbols, one block after the other.
    Jobs,
}

/// Which hosts a push is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The number of hosts that it is for by name, the first of all; `None` if it is for everyone.
    pub named: Option<u32>,
    /// When the last of the named hosts starts.
    pub late: Duration,
    /// Whether the last of the hosts that the push is not for has been renamed to the name of none.
    pub renamed: bool,
    /// Whether no host can answer.
    pub one_way: bool,
}

/// What a push over a path took.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The verdict of the push.
    pub verdict: Verdict,
    /// Frames sent, relative to those of the object alone.
    pub sent: f64,
    /// The time to the verdict, relative to that of the object alone on the narrowest part: line, bottleneck or store.
    pub time: f64,
    /// The same time.
    pub lasted: Duration,
    /// When the first, the median and the last host were done, relative to the same time.
    pub done: [f64; 3],
    /// Hosts that were done.
    pub done_count: u32,
    /// Datagrams from hosts in the busiest second.
    pub feedback_peak: u32,
    /// Bits from hosts, as a share of the bits to them.
    pub feedback_share: f64,
    /// Bits from hosts in the busiest second, as a share of what the line carries in a second. In a push that is shorter
    /// than the hellos of its hosts, `feedback_share` is larger than that, as little is sent.
    pub feedback_of_line: f64,
    /// Datagrams from hosts that the sender refused as too many: all hosts are honest, so there should be none.
    pub refused: u32,
    /// The lowest and the highest rate.
    pub rates: [u64; 2],
    /// Hosts that were side-lined, and hosts that were called silent.
    pub blamed: [u32; 2],
    /// Who they are.
    pub accused: Vec<HostName>,
    /// What became of the hosts that the push was for, and of the others.
    pub chosen: Chosen,
}

/// What became of a push for some of the hosts.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The verdict of the push.
    pub verdict: Verdict,
    /// The time to the verdict.
    pub time: Duration,
    /// Bytes of datagrams sent.
    pub sent_bytes: u64,
    /// Hosts that have published the object.
    pub published: u32,
    /// Hosts that the push was not for and that began any work for it: opened their store, or wrote.
    pub touched: u32,
    /// Datagrams that they sent.
    pub said_by_others: u32,
    /// Hosts that have counted a push that was not for them.
    pub not_for_us: u32,
}

/// Simulates one push. With `trace` it prints the rate every 25 ms.
pub fn push(path: Path, trace: bool) -> Outcome {
    push::Push::new(path, trace).run()
}

impl Path {
    /// Returns how the object is cut.
    fn geometry(&self) -> Geometry {
        Geometry::new(self.object_bytes, self.block_log2, SYMBOL_SIZE).expect("in range")
    }

    /// Returns the time of the object alone on the narrowest part of the path. A store writes only what frames carry.
    pub fn least_time(&self) -> Duration {
        let slow = self.slow.filter(|&(count, _)| count > 0).map(|(_, rate)| rate);
        let bottleneck = self.bottleneck.map(|(rate, _)| rate);
        let line = [Some(self.line), bottleneck].into_iter().flatten().min().expect("there is a line");
        let store = [self.store, slow].into_iter().flatten().min();
        let written = store.map(|rate| seconds(self.object_bytes * 8, rate));
        line_time(self.geometry(), line).max(written.unwrap_or_default())
    }
}

/// Returns the datagrams of the object alone.
fn datagrams(geometry: Geometry) -> u64 {
    let symbols = |block| u64::from(geometry.shape(geometry.block_len(block)).source_symbols());
    geometry.indices().map(symbols).sum()
}

fn line_time(geometry: Geometry, rate: u64) -> Duration {
    seconds(datagrams(geometry) * frame_bits(geometry.datagram_bytes()), rate)
}

fn seconds(bits: u64, rate: u64) -> Duration {
    Duration::from_secs_f64(bits as f64 / rate as f64)
}

fn frame_bits(datagram: usize) -> u64 {
    8 * (datagram as u64 + HEADER_BYTES)
}

fn address(host: usize) -> SocketAddr {
    ([10, (host >> 16) as u8 + 1, (host >> 8) as u8, host as u8], 40_000).into()
}

/// Returns the host that has this address.
fn host_at(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else { unreachable!("hosts have addresses of IPv4") };
    let [_, high, middle, low] = address.ip().octets();
    usize::from(high - 1) << 16 | usize::from(middle) << 8 | usize::from(low)
}

pub(crate) fn hash(block: BlockIndex) -> BlockHash {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&block.0.to_be_bytes());
    BlockHash(hash)
}

const NEVER: Moment = Moment::from_micros(u64::MAX);
/// The headers of Ethernet, IPv4 and UDP.
const HEADER_BYTES: u64 = 42;
const SYMBOL_SIZE: u16 = 1432;
