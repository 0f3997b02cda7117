//! Every maximum of the protocol in one place: where it comes from, and what happens there.
//!
//! Relations between them are proved at compile time at the end of the file. What a datagram has room for under these limits is
//! proved beside its format, in [`wire`](crate::wire).

use std::time::Duration;

/// Bytes in an object (8 TiB). A longer image is refused before the push begins.
pub const OBJECT_BYTES_MAX: u64 = 8 << 40;

/// log2 of a block's logical size: 512 KiB to 4 MiB. Geometry doubles the default where the number of blocks asks
/// for it.
pub const BLOCK_LOG2_MIN: u8 = 19;
/// See [`BLOCK_LOG2_MIN`].
pub const BLOCK_LOG2_MAX: u8 = 22;
/// 1 MiB, the default.
pub const BLOCK_LOG2_DEFAULT: u8 = 20;

/// Blocks in an object. A host keeps some 40 bytes for each, and must stay below 256 MiB in all.
pub const BLOCKS_MAX: u32 = 1 << 21;

/// Source symbols in a block (K). Larger blocks decode slower for no gain in overhead.
pub const SOURCE_SYMBOLS_MAX: u32 = 4096;

/// Repair symbols kept for one block besides K: enough for every undecodable set that ever comes up, as each further
/// symbol divides the chance by 256. Further ones are dropped and counted.
pub const REPAIR_SURPLUS_MAX: u32 = 8;

/// Smallest MTU: what every IPv4 host must take (RFC 791 §3.2).
pub const MTU_MIN: u16 = 576;
/// Largest MTU: jumbo frames.
pub const MTU_MAX: u16 = 9000;
/// Largest UDP payload at [`MTU_MAX`]; datagrams above it are dropped unread.
pub const DATAGRAM_MAX: usize = MTU_MAX as usize - 28;
/// Largest control datagram, as far as the session's own datagrams are not shorter: what fits an MTU of 1500.
pub const CONTROL_MAX: usize = 1_472;
/// What fits every path: an IPv6 datagram at [`MTU_MIN`]. Announcements, hellos and acks stay below it.
pub const CONTROL_SMALL: usize = MTU_MIN as usize - 48;

/// Hosts that a sender keeps track of. Those after it are not answered and named in no table.
pub const HOSTS_MAX: usize = 10_000;

/// Bytes of a host's name (RFC 1035 §2.3.4 allows a domain name 255; Linux a host name 64).
pub const HOST_NAME_MAX: usize = 128;
/// Bytes of an object's name: a file name (Linux `NAME_MAX`) with room for our temporary's prefix and suffix.
pub const OBJECT_NAME_MAX: usize = 200;
/// Bytes of the name of a base: what an announcement has room for besides the longest name of its object. An id in Glance
/// has 36.
pub const BASE_NAME_MAX: usize = 96;
/// Bytes of the text that explains a failure; longer ones are cut.
pub const REASON_MAX: usize = 200;
/// Bytes of a software version's text.
pub const SOFTWARE_MAX: usize = 32;

/// Objects that a host lists in an answer; what it holds besides is counted.
pub const HELD_MAX: usize = 1_000;
/// Bytes of the text that says where a host's store is; longer ones are cut.
pub const STORE_TEXT_MAX: usize = 128;
/// Bytes of the text that explains why something could not be answered; longer ones are cut.
pub const FINDING_MAX: usize = 128;

/// Blocks that one manifest datagram speaks of: zero ones are a bit each, and a host that learns of so many at once has
/// work for a tenth of a second and more.
pub const MANIFEST_BLOCKS_MAX: usize = 1 << 11;
/// Different blocks among which a host looks for equal ones, where the push has a base: some 40 bytes each. In larger
/// objects, blocks that are not among them are not made of each other.
pub const FIRSTS_MAX: usize = 1 << 18;

/// Runs of unknown manifest entries in one report; what does not fit comes with the next one.
pub const REPORT_GAPS_MAX: usize = 4;

/// Runs of blocks that a host kept of an earlier session, in a hello; a report holds as many as it has room for. What does
/// not fit is told as the pass goes on.
pub const HELD_RUNS_MAX: usize = 16;

/// Reports and last words that all hosts together send in a second: half a per cent of 1 Gbit/s, and a round of ten
/// thousand hosts in 2.5 s. The poll's window is as long as this needs.
pub const REPORTS_PER_SECOND_MAX: u32 = 4_000;

/// Answers to one query that come in at its querier in a second, about: hosts spread theirs, and pages are asked for one by
/// one. Beside a push they take half of what its reports may.
pub const ANSWERS_PER_SECOND_MAX: u32 = 2_000;

/// Age or youth at which an announcement's time is refused: clocks in a cloud are kept by NTP, and a recorded session
/// must not be played again later.
pub const ANNOUNCE_SKEW_MAX: Duration = Duration::from_secs(300);

/// Queries that a host is answering at one time; further ones are refused until one is done.
pub const QUERIES_OPEN_MAX: usize = 8;
/// Queries that a host remembers until their time alone would have it refuse them, so that none is answered twice. When
/// it is full, further ones are refused.
pub const QUERIES_REMEMBERED_MAX: usize = 4_096;
/// Objects that a querier keeps of all answers, some 120 MB; further ones are counted.
pub const OBJECTS_KEPT_MAX: usize = 400_000;

/// Sessions that a host remembers as ended, so that they are not joined again while their announcements are fresh.
pub const ENDED_SESSIONS_MAX: usize = 64;

/// Group keys that a host accepts at the same time: the old one and the new one, while a key is being replaced.
pub const GROUP_KEYS_MAX: usize = 2;

/// Senders that a host lists.
pub const SENDERS_MAX: usize = 64;

/// Times that a block is asked for again because it was not what the manifest says. Datagrams are sealed, so this takes
/// somebody with the group key who sends bad symbols; after so many the host gives up and says so.
pub const CORRUPT_TRIES_MAX: u32 = 16;

/// How far ahead of the last signed datagram the number of one may be that is only sealed: what a sender at 10 Gbit/s
/// sends in half a minute, in which several polls are due.
pub const SEQUENCES_AHEAD_MAX: u64 = 1 << 25;

/// Datagrams to the group of which a host remembers whether they came, back from the highest number.
pub const REPLAY_WINDOW: u64 = 1 << 16;

/// Acknowledgements that a sender gives in a tenth of a second: five times what all hosts together may report. Whoever
/// gets none asks again.
pub const ACKS_PER_TENTH_MAX: u32 = REPORTS_PER_SECOND_MAX / 2;

/// Manifest repeats a sender keeps queued; what hosts ask for above it they will ask for again.
pub const MANIFEST_REPEATS_MAX: usize = 1_024;

/// Events a machine keeps for its shell; further ones are dropped, as they only inform.
pub const EVENTS_MAX: usize = 4 * HOSTS_MAX;

const _: () = {
    assert!(OBJECT_BYTES_MAX >> BLOCK_LOG2_MAX <= BLOCKS_MAX as u64);
    assert!(BLOCK_LOG2_MIN <= BLOCK_LOG2_DEFAULT && BLOCK_LOG2_DEFAULT <= BLOCK_LOG2_MAX);
    assert!(
        (1 << BLOCK_LOG2_DEFAULT) / (MTU_MIN as u32 - 100) < SOURCE_SYMBOLS_MAX,
        "1 MiB travels at any MTU"
    );
    assert!(1 << BLOCK_LOG2_MAX < 1 << 24, "an encoded length fits 24 bits");
    assert!(CONTROL_SMALL <= CONTROL_MAX && CONTROL_MAX <= DATAGRAM_MAX);
    assert!(HELD_MAX < u16::MAX as usize, "a page's number fits 16 bits");
    assert!(2 * SOURCE_SYMBOLS_MAX <= u16::MAX as u32, "a deficit fits 16 bits");
};
