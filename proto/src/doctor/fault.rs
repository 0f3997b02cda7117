//! A fault of one host, and those that follow from one number of it alone.

use super::counters::{Counters, Gauge};
use super::finding::{FindingId, Mend};
use crate::limits::ANNOUNCE_SKEW_MAX;

/// A fault of one host.
pub(super) struct Fault {
    pub(super) id: FindingId,
    pub(super) evidence: String,
    pub(super) mends: Vec<Mend>,
    /// Whether hosts are one row only if the evidence is the same, too.
    pub(super) is_apart: bool,
}

impl Fault {
    pub(super) fn new(id: FindingId, evidence: impl Into<String>, mends: Vec<Mend>) -> Self {
        Self { id, evidence: evidence.into(), mends, is_apart: false }
    }
}

/// Returns what is wrong with a clock that differs by so many milliseconds.
pub(super) fn clock(difference_ms: Option<i64>) -> Fault {
    let ms = difference_ms.unwrap_or(0);
    let direction = if ms < 0 { "behind" } else { "ahead of" };
    // Hosts whose clocks differ by about the same are one row.
    let minutes = ms.unsigned_abs() / 60_000;
    let most = ANNOUNCE_SKEW_MAX.as_secs() / 60;
    let evidence = format!(
        "their clocks are {minutes} minutes {direction} this one, and {most} are the most that is taken"
    );
    let mends = vec![Mend::new("on the hosts", "chronyc makestep (systemd: timedatectl set-ntp true)")];
    Fault { is_apart: true, ..Fault::new(FindingId::Key, evidence, mends) }
}

/// Returns that the check of sources drops the sender.
pub(super) fn reverse_path(evidence: String) -> Fault {
    let mends = vec![
        Mend::new("on the hosts", "sysctl -w net.ipv4.conf.IF.rp_filter=2 (the larger of all and IF counts)"),
        Mend::new("on the hosts", "or a route to the sender's network through the interface with the group"),
    ];
    Fault::new(FindingId::ReversePath, evidence, mends)
}

/// Returns that the interface drops packets. `of` says how many of the group's probes came.
pub(super) fn ring(counters: &Counters, of: &str) -> Fault {
    let dropped = counters.or_zero(Gauge::NicMissed) + counters.or_zero(Gauge::NicDropped);
    let evidence = format!("{of} came; the interface dropped {dropped}");
    Fault::new(FindingId::Ring, evidence, vec![Mend::new("on the hosts", "ethtool -G IF rx 4096")])
}

/// Returns that sockets had no room.
pub(super) fn full_buffer(counters: &Counters, of: &str) -> Fault {
    let dropped = counters.or_zero(Gauge::SocketDrops).max(counters.or_zero(Gauge::UdpBufferErrors));
    let wanted = counters.or_zero(Gauge::BufferWanted).max(BUFFER_BYTES);
    Fault::new(
        FindingId::Buffer,
        format!("{of} came; the receive buffer had no room for {dropped}"),
        larger_buffer(wanted),
    )
}

/// Returns whether the receive buffer of a host is smaller than it should be.
pub(super) fn buffer(newest: &Counters) -> Option<Fault> {
    let (granted, wanted) = (newest.get(Gauge::BufferGranted)?, newest.get(Gauge::BufferWanted)?);
    (granted < wanted).then(|| {
        let evidence = format!("the receive buffer is {} KiB instead of {} KiB", granted >> 10, wanted >> 10);
        Fault::new(FindingId::Buffer, evidence, larger_buffer(wanted))
    })
}

fn larger_buffer(wanted: u64) -> Vec<Mend> {
    vec![
        Mend::new("on the hosts", format!("sysctl -w net.core.rmem_max={}", wanted / 2)),
        Mend::new(
            "on the hosts",
            "or start glancecastd by its unit, which has AmbientCapabilities=CAP_NET_ADMIN",
        ),
    ]
}

/// Clocks that differ by half of what is taken are a fault that is on its way.
pub(super) const CLOCK_MS_MAX: u64 = ANNOUNCE_SKEW_MAX.as_millis() as u64 / 2;

/// What a receiver asks for, if it does not say.
const BUFFER_BYTES: u64 = 32 << 20;
