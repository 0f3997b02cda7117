//! Every maximum of the protocol in one place: where it comes from, and what happens when it is reached.
//!
//! Relations between the maxima are proved at compile time at the end of the file. What a datagram has room for under
//! them is proved next to its format, in [`wire`](crate::wire).

use std::time::Duration;

/// Bytes in an object (8 TiB). A longer image is refused before the push begins.
pub const OBJECT_BYTES_MAX: u64 = 8 << 40;

/// log2 of a block's logical size: 512 KiB to 4 MiB. Geometry doubles the default while there would be too many blocks.
pub const BLOCK_LOG2_MIN: u8 = 19;
/// See [`BLOCK_LOG2_MIN`].
pub const BLOCK_LOG2_MAX: u8 = 22;
/// 1 MiB, the default.
pub const BLOCK_LOG2_DEFAULT: u8 = 20;

/// Blocks in an object. A host keeps some 40 bytes for each, and must stay below 256 MiB in all.
pub const BLOCKS_MAX: u32 = 1 << 21;

/// Source symbols in a block (K). Larger blocks decode more slowly and save no overhead.
pub const SOURCE_SYMBOLS_MAX: u32 = 4096;

/// The number of blocks that are sent in turn. Measured with eight hosts that each lose 1 % of the batches of 44
/// datagrams, the overhead is 5.7 % with one block, 4.4 with two, 3.2 with four, 2.7 with eight. Each block is one more
/// buffer on every host.
pub const INTERLEAVED_BLOCKS: usize = 4;

/// Repair symbols kept for one block beyond K. Each further symbol divides the chance that the block cannot be decoded
/// by 256, so these always suffice; more are dropped and counted.
pub const REPAIR_SURPLUS_MAX: u32 = 8;

/// Smallest MTU: what every IPv4 host must accept (RFC 791 §3.2).
pub const MTU_MIN: u16 = 576;
/// Largest MTU: jumbo frames.
pub const MTU_MAX: u16 = 9000;
/// Largest UDP payload at [`MTU_MAX`]; datagrams above it are dropped unread.
pub const DATAGRAM_MAX: usize = MTU_MAX as usize - 28;
/// Largest control datagram: what fits an MTU of 1500. If the session's own datagrams are shorter, they are the limit.
pub const CONTROL_MAX: usize = 1_472;
/// Largest control datagram that fits every path: an IPv4 datagram at [`MTU_MIN`]. No IPv6 path is that narrow: its
/// smallest MTU is 1280 (RFC 8200 section 5). Announcements, hellos and acks stay below it.
pub const CONTROL_SMALL: usize = MTU_MIN as usize - 28;

/// Hosts that a sender keeps track of. Further ones are not answered, and appear in no table.
pub const HOSTS_MAX: usize = 10_000;

/// Bytes of a host's name (RFC 1035 §2.3.4 allows a domain name 255; Linux a host name 64).
pub const HOST_NAME_MAX: usize = 128;
/// Bytes of an object's name: a file name (Linux `NAME_MAX`) with room for the prefix and suffix of our temporary
/// files.
pub const OBJECT_NAME_MAX: usize = 200;
/// Bytes of the name of a base: what is left in an announcement that has the longest object name. An id in Glance has
/// 36.
pub const BASE_NAME_MAX: usize = 76;
/// Bytes of the text that explains a failure; longer ones are cut off.
pub const REASON_MAX: usize = 200;
/// Bytes of a software version's text.
pub const SOFTWARE_MAX: usize = 32;
/// Bytes of the name with which a busy host says what it is at work on: what a hello has room for on every path.
pub const BUSY_WITH_MAX: usize = 48;

/// Objects that a host lists in an answer; the others are only counted.
pub const HELD_MAX: usize = 1_000;
/// Bytes of the text that names a host's store; longer ones are cut off.
pub const STORE_TEXT_MAX: usize = 80;
/// Bytes of the text that explains why a query failed; longer ones are cut off.
pub const FINDING_MAX: usize = 96;

/// Blocks in one manifest datagram. A zero block takes one bit, so many more would fit, but a host that learns of 2048
/// at once already has work for a tenth of a second.
pub const MANIFEST_BLOCKS_MAX: usize = 1 << 11;
/// Different blocks among which a host looks for equal ones if the push has a base, at some 40 bytes each. In larger
/// objects, blocks beyond them are not built from each other.
pub const FIRSTS_MAX: usize = 1 << 18;

/// Runs of unknown manifest entries in one report; further ones come with the next report.
pub const REPORT_GAPS_MAX: usize = 4;

/// Runs of blocks kept of an earlier session, in a hello; further ones come with the reports, which hold as many as
/// they have room for.
pub const HELD_RUNS_MAX: usize = 16;

/// Datagrams that all hosts together send in a second, hellos, reports and final reports: less than one per cent of
/// 1 Gbit/s, and a round of ten thousand hosts in less than 3 s. The spread of the hellos and the window of each poll are
/// as long as this and [`FEEDBACK_SHARE_MAX`] need.
pub const REPORTS_PER_SECOND_MAX: u32 = 4_000;

/// The same as a share of the bits that the push sends at its present rate. Below some 400 Mbit/s it is the narrower
/// limit.
pub const FEEDBACK_SHARE_MAX: f64 = 0.02;

/// The longest time over which all hosts send one datagram each, whatever the rate: ten thousand hosts at 10 Mbit/s. A
/// host accepts no longer one.
pub const FEEDBACK_CYCLE_MAX: Duration = Duration::from_secs(120);

/// Answers to one query per second, approximately: hosts spread their first pages, and the querier asks for further
/// pages one by one. During a push they come at half the rate of its reports.
pub const ANSWERS_PER_SECOND_MAX: u32 = 2_000;

/// Difference between an announcement's time and the host's at which it is refused. NTP keeps the clocks of a cloud far
/// closer together, and a recorded session must not be replayed later.
pub const ANNOUNCE_SKEW_MAX: Duration = Duration::from_secs(300);

/// The longest outage of the sender's own network that a push or a query waits for. Hosts give a silent sender up after
/// as long (`SENDER_GONE_AFTER`).
pub const OUTAGE_MAX: Duration = Duration::from_secs(30);
/// The same once the push has its verdict: hosts that miss its end wait for their own timer.
pub const END_OUTAGE_MAX: Duration = Duration::from_secs(3);

/// Queries that a host answers at one time; further ones are refused until one is done.
pub const QUERIES_OPEN_MAX: usize = 8;
/// Queries that a host remembers, so that none is answered twice, until they are refused for their age alone. When the
/// memory is full, further ones are refused.
pub const QUERIES_REMEMBERED_MAX: usize = 4_096;
/// Objects that a querier keeps from all answers, some 120 MB; further ones are only counted.
pub const OBJECTS_KEPT_MAX: usize = 400_000;

/// Ended sessions that a host remembers, so that it does not join them again while their announcements are fresh.
pub const ENDED_SESSIONS_MAX: usize = 64;

/// Hosts whose keys a sender knows. Keys of further hosts are not remembered, and the sender says so.
pub const KNOWN_HOSTS_MAX: usize = 100_000;

/// Hosts that a push or a query can be for if it is not for all: as many as a sender keeps track of.
pub const AUDIENCE_MAX: u32 = HOSTS_MAX as u32;

/// Blocks of which a host asks for the hashes of their symbols in one report; further ones come with the next report.
pub const SUSPECTS_MAX: usize = 4;

/// Blocks whose hashes of symbols are asked for and not made yet. Hosts ask again for further ones.
pub const PROOFS_QUEUED_MAX: usize = 64;
/// Blocks in a second whose hashes are made because one host has asked: half of what can leave. Further ones are not
/// answered in this second.
pub const PROOFS_PER_HOST_MAX: u32 = 48;
/// Datagrams in a second with hashes of symbols, some hundred blocks of 1 MiB: a quarter of the signatures that a host
/// checks. They take a tenth of the rate at most; what is due later waits.
pub const PROOF_DATAGRAMS_PER_SECOND_MAX: u32 = SENDER_CHECKS_PER_SECOND_MAX / 4;

/// Paths of a push: the group, and destinations to which the sender itself sends by unicast. More hosts than that are
/// served by relays; where no host relays, further ones are not served.
pub const PATHS_MAX: u32 = 64;

/// Destinations to which a relay copies what it receives.
pub const ROUTE_CHILDREN_MAX: usize = 16;
/// Bytes that wait at a relay to be forwarded: 7 ms at 10 Gbit/s. Further datagrams are dropped and counted.
pub const RELAY_QUEUE_BYTES_MAX: usize = 8 << 20;
/// The longest time that a datagram waits there. What has waited longer is dropped and counted: on a slow line 8 MiB would
/// outlast the lease.
pub const RELAY_QUEUE_TIME_MAX: Duration = Duration::from_millis(250);

/// The longest time for which a relay forwards without a new lease.
pub const LEASE_MAX: Duration = Duration::from_secs(3);

/// Counters of a host's network in one finding of a diagnosis.
pub const COUNTERS_MAX: usize = 48;
/// Trains of probes that a host counts at a time; the oldest makes room.
pub const TRAINS_MAX: usize = 4;
/// Probes of a train that a host counts by each way; further ones are dropped.
pub const PROBES_MAX: usize = 4_096;
/// Probes of a train that a host passes on to the group; further ones are only counted.
pub const PASSED_ON_MAX: u16 = 8;

/// Group keys that a host is configured with, and that it was given over the wire: the old and the new one while a key
/// is being replaced. Each costs an attempt to open an announcement of another group.
pub const GROUP_KEYS_MAX: usize = 2;

/// Ids of retired group keys that a host remembers; the oldest makes room. A host that is configured with a key that was
/// retired so many replacements ago accepts it again.
pub const RETIRED_KEYS_MAX: usize = 64;

/// Senders that a host lists.
pub const SENDERS_MAX: usize = 64;

/// The number of times that a block is asked for again if it did not match the manifest. Datagrams are sealed, so only
/// a holder of the group key can cause this. After these tries the host gives up and reports it.
pub const CORRUPT_TRIES_MAX: u32 = 16;

/// Signatures in a second that a host checks of datagrams from the address of its session's sender: 8 % of a core. A
/// sender at 10 Gbit/s signs some 1 200; what is not checked is lost, and repeated as any lost datagram.
pub const SENDER_CHECKS_PER_SECOND_MAX: u32 = 2_000;
/// The same of datagrams from all other addresses together, and of announcements of other sessions. What is not checked
/// is dropped.
pub const OTHER_CHECKS_PER_SECOND_MAX: u32 = 200;

/// How far the number of an unsigned datagram may be ahead of the last signed one: what a sender at 10 Gbit/s sends in
/// half a minute, in which several signed polls are due.
pub const SEQUENCES_AHEAD_MAX: u64 = 1 << 25;

/// Datagrams to the group, counted back from the highest number, of which a host remembers whether they arrived.
pub const REPLAY_WINDOW: u64 = 1 << 16;

/// Acknowledgements that a sender sends in a tenth of a second: five times the rate at which all hosts together may
/// report. A host that gets none repeats its message.
pub const ACKS_PER_TENTH_MAX: u32 = REPORTS_PER_SECOND_MAX / 2;

/// Manifest repeats that a sender keeps queued; hosts ask again for what does not fit.
pub const MANIFEST_REPEATS_MAX: usize = 1_024;

/// Events that a machine keeps for its shell; further ones are dropped, as events only inform.
pub const EVENTS_MAX: usize = 4 * HOSTS_MAX;

const _: () = {
    assert!(OBJECT_BYTES_MAX >> BLOCK_LOG2_MAX <= BLOCKS_MAX as u64);
    assert!(BLOCK_LOG2_MIN <= BLOCK_LOG2_DEFAULT && BLOCK_LOG2_DEFAULT <= BLOCK_LOG2_MAX);
    assert!(
        (1 << BLOCK_LOG2_DEFAULT) / (MTU_MIN as u32 - 100) < SOURCE_SYMBOLS_MAX,
        "a block of 1 MiB is possible at any MTU"
    );
    assert!(1 << BLOCK_LOG2_MAX < 1 << 24, "an encoded length fits 24 bits");
    assert!(CONTROL_SMALL <= CONTROL_MAX && CONTROL_MAX <= DATAGRAM_MAX);
    assert!(HELD_MAX < u16::MAX as usize, "a page's number fits 16 bits");
    assert!(2 * SOURCE_SYMBOLS_MAX <= u16::MAX as u32, "a deficit fits 16 bits");
};
