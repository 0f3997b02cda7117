//! The goals: a row, one figure of it, and its bound.

use Figure::{Crowd, KernelPath, LineTime, Memory, Rate, ReceiverCpu, SentBytes, Sick};
use glancecast_bench::goal::Limit::{self, AtLeast, AtMost};
use glancecast_bench::lab::network::{GBIT, MBIT, Network};

/// One goal.
#[derive(Debug, Clone)]
pub(crate) struct Aim {
    pub(crate) name: &'static str,
    pub(crate) figure: Figure,
    pub(crate) network: Network,
    pub(crate) image_bytes: u64,
    pub(crate) limit: Limit,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Seconds until the last receiver has exited, divided by those that the line alone needs.
    LineTime,
    /// Seconds that the kernel's path alone needs, divided by those of the push.
    KernelPath,
    /// Gbit/s of the image to each receiver.
    Rate,
    /// Seconds of a receiver's processor time per GiB, at a rate that leaves processors idle.
    ReceiverCpu,
    /// The sender's bytes, divided by those of the image in full datagrams.
    SentBytes,
    /// Seconds for many receivers, divided by those for [`FEW`].
    Crowd,
    /// Seconds until the healthy receivers are done, divided by those of a push to healthy receivers alone.
    Sick,
    /// MiB of the sender or of a receiver, whichever is larger.
    Memory,
}

impl Figure {
    pub(crate) fn unit(self) -> &'static str {
        match self {
            LineTime => "x line time",
            KernelPath => "x kernel path",
            Rate => "Gbit/s",
            ReceiverCpu => "s/GiB",
            SentBytes => "x least bytes",
            Crowd => "x 4 receivers",
            Sick => "x all healthy",
            Memory => "MiB",
        }
    }

    /// Returns what a row of it measures, to precede the description of its network.
    fn words(self) -> &'static str {
        match self {
            LineTime | Rate | Crowd => "",
            KernelPath => "beside the bare kernel path: ",
            ReceiverCpu => "receiver's CPU for 1 GiB at 3 Gbit/s: ",
            SentBytes => "sender's bytes: ",
            Sick => "healthy hosts beside one with 30 % loss and one with a disk of 5 MB/s: ",
            Memory => "peak memory of sender or receiver at 3 Gbit/s: ",
        }
    }
}

impl Aim {
    /// Returns a description for people.
    pub(crate) fn work(&self) -> String {
        format!("{}{}", self.figure.words(), self.network.title(self.image_bytes))
    }
}

/// Returns all goals, in the order in which they are measured.
pub(crate) fn all() -> Vec<Aim> {
    let whole = |receivers, line, loss| Network::shaped(receivers, line, true, loss);
    let single = |receivers, line, loss| Network::shaped(receivers, line, false, loss);
    let lossy = || Network { loss_per_mille: 10, ..Network::unshaped(1) };
    [
        ("8x1g-offload", LineTime, whole(8, GBIT, 0), 256, AtMost(1.06)),
        ("8x1g-offload-loss", LineTime, whole(8, GBIT, 10), 256, AtMost(1.15)),
        ("4x400m", LineTime, single(4, 400 * MBIT, 0), 256, AtMost(1.05)),
        ("4x400m-loss", LineTime, single(4, 400 * MBIT, 10), 256, AtMost(1.08)),
        ("8x1g-kernel", KernelPath, single(8, GBIT, 0), 256, AtLeast(0.6)),
        ("16x200m", LineTime, single(16, 200 * MBIT, 0), 64, AtMost(1.06)),
        ("16x200m-loss", LineTime, single(16, 200 * MBIT, 10), 64, AtMost(1.10)),
        ("1-unshaped", Rate, Network::unshaped(1), 1024, AtLeast(8.0)),
        ("4-unshaped", Rate, Network::unshaped(4), 1024, AtLeast(4.0)),
        ("cpu", ReceiverCpu, Network::unshaped(1), 1024, AtMost(1.0)),
        ("cpu-loss", ReceiverCpu, lossy(), 1024, AtMost(1.2)),
        ("bytes-1", SentBytes, single(1, 200 * MBIT, 10), 64, AtMost(1.02)),
        ("bytes-8", SentBytes, single(8, 200 * MBIT, 10), 64, AtMost(1.03)),
        ("bytes-64", SentBytes, single(64, 50 * MBIT, 10), 64, AtMost(1.04)),
        ("crowd", Crowd, whole(128, 50 * MBIT, 0), 32, AtMost(1.1)),
        ("sick", Sick, single(8, 200 * MBIT, 0), 256, AtMost(1.1)),
        ("memory", Memory, lossy(), 8192, AtMost(256.0)),
    ]
    .map(|(name, figure, network, mib, limit)| Aim { name, figure, network, image_bytes: mib << 20, limit })
    .into()
}

/// The number of receivers that a crowd is compared with.
pub(crate) const FEW: usize = 4;
