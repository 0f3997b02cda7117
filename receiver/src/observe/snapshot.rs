//! What this host is at, at one moment: plain data, as `glancecastd status --json` prints it (docs/json.md).

use std::collections::BTreeMap;

use serde::Serialize;

/// The number of the form of the JSON. It changes when a field goes or means something else.
pub(super) const SCHEMA: u32 = 1;

/// Finished pushes that are remembered.
pub(super) const LAST_MAX: usize = 8;

/// The state of this host at one moment. Times are in milliseconds since 1970, as the machine's clock has them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// The number of the form of the JSON.
    pub schema: u32,
    /// The host's name.
    pub name: String,
    /// The program's version.
    pub version: &'static str,
    /// The protocol's version.
    pub protocol: u8,
    /// The host's public key.
    pub host_key: String,
    /// Fingerprints of the group keys.
    pub keys: Vec<String>,
    /// The number of listed senders; `None` where every sender is accepted.
    pub senders: Option<usize>,
    /// When the program was started.
    pub started_ms: u64,
    /// When this was true.
    pub at_ms: u64,
    /// Whether the last reload took the settings; `None` before the first one.
    pub reload: Option<Reload>,
    /// The network.
    pub network: NetworkState,
    /// The push that the host takes part in.
    pub push: Option<Push>,
    /// The last finished pushes, the newest first.
    pub last: Vec<PastPush>,
    /// Counters since the start.
    pub counters: Counters,
    /// The relay.
    pub relay: RelayState,
    /// The store.
    pub store: StoreState,
}

/// The outcome of the last reload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reload {
    /// When it was.
    pub at_ms: u64,
    /// Why the settings stay as they were; `None` if they were taken.
    pub refused: Option<String>,
}

/// How the host is connected.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NetworkState {
    /// The group.
    pub group: String,
    /// Whether the group is joined on an interface that carries something.
    pub listening: bool,
    /// The interface with its address, if there is one.
    pub interface: Option<String>,
    /// Why the host hears nothing.
    pub trouble: Option<String>,
    /// Where pushes reach the host by unicast.
    pub unicast: String,
    /// When something of the group was heard last.
    pub heard_ms: Option<u64>,
}

/// A push under way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Push {
    /// The session's id.
    pub session: String,
    /// The image's name.
    pub name: String,
    /// The image's length.
    pub bytes: u64,
    /// Where its sender is answered.
    pub sender: String,
    /// What the host is at.
    pub phase: &'static str,
    /// The number of blocks.
    pub blocks: u32,
    /// The number of blocks that are proven and written.
    pub blocks_held: u32,
    /// Seconds since the host joined.
    pub seconds: f64,
    /// What came of it.
    pub taken: Taken,
}

/// A push that is over on this host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PastPush {
    /// The session's id.
    pub session: String,
    /// The image's name.
    pub name: String,
    /// The image's length.
    pub bytes: u64,
    /// `published`, `existing`, or why nothing was published.
    pub result: &'static str,
    /// The reason in words, where nothing was published.
    pub reason: Option<String>,
    /// When it was over.
    pub at_ms: u64,
    /// Seconds from joining to the end.
    pub seconds: f64,
    /// The number of blocks.
    pub blocks: u32,
    /// The number of blocks that were proven and written.
    pub blocks_held: u32,
    /// What came of it.
    pub taken: Taken,
}

/// What came of one push, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Bytes of the datagrams that were taken in.
    pub received_bytes: u64,
    /// Datagrams that did not come.
    pub lost: u64,
    /// Source symbols that were computed instead.
    pub repaired: u64,
    /// Blocks that were copied from what was here.
    pub reused: u64,
    /// Datagrams that the socket dropped.
    pub socket_drops: u64,
    /// Symbols that came while the store was behind.
    pub store_drops: u64,
    /// Symbols that were not the sender's.
    pub forged: u64,
}

/// Counters since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counters {
    /// Finished pushes by result.
    pub pushes: BTreeMap<&'static str, u64>,
    /// Datagrams that the program read.
    pub datagrams: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Of these datagrams, those that were dropped, by reason.
    pub discarded: BTreeMap<&'static str, u64>,
    /// Datagrams of queries that were dropped, by reason.
    pub discarded_queries: BTreeMap<&'static str, u64>,
    /// Datagrams that the kernel dropped as the program was behind.
    pub socket_drops: u64,
    /// Blocks that were proven and written.
    pub blocks_proven: u64,
    /// Blocks that did not match their hash.
    pub blocks_corrupt: u64,
    /// What came of all finished pushes.
    pub taken: Taken,
    /// Seconds and bytes of each stage of the data path.
    pub stages: Vec<StageCount>,
}

/// What one stage of the data path took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StageCount {
    /// Its name.
    pub stage: &'static str,
    /// Seconds, summed over all threads.
    pub seconds: f64,
    /// Bytes that went through it.
    pub bytes: u64,
}

/// The relay's counters since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RelayState {
    /// Whether the host relays if a sender asks it to.
    pub allowed: bool,
    /// Whether it relays at the moment.
    pub active: bool,
    /// Leases that were taken, renewals included.
    pub leases: u64,
    /// Datagrams that came to be forwarded.
    pub came: u64,
    /// Of these, datagrams that left.
    pub forwarded: u64,
    /// Copies that left.
    pub copies: u64,
    /// Datagrams that found the queue full.
    pub dropped_queue: u64,
    /// Datagrams above the relay's own rate.
    pub dropped_rate: u64,
    /// What was refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

/// The store.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoreState {
    /// As the operator writes it.
    pub store: String,
    /// What it holds; `None` until it was looked at.
    pub facts: Option<StoreFacts>,
}

/// What the store held when it was looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoreFacts {
    /// When that was.
    pub at_ms: u64,
    /// Bytes that can still be written; `None` if the system does not say.
    pub free_bytes: Option<u64>,
    /// The number of published images.
    pub images: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of pinned ones.
    pub pinned: u64,
}
