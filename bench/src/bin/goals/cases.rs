//! What is to be reached: a row, one figure of it, and its bound.

use glancecast_bench::content::Content;
use glancecast_bench::goal::Limit;
use glancecast_bench::lab::network::{GBIT, MBIT, Network};

/// One goal.
#[derive(Debug, Clone)]
pub(crate) struct Aim {
    pub(crate) name: &'static str,
    pub(crate) work: &'static str,
    pub(crate) figure: Figure,
    pub(crate) network: Network,
    pub(crate) image_mib: u64,
    pub(crate) limit: Limit,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Seconds until the last receiver has ended, by those that the line alone needs.
    LineTime,
    /// Seconds that the kernel's path alone needs, by those of the push.
    KernelPath,
    /// Gbit/s of the image to each receiver.
    Rate,
    /// Seconds of a receiver's processor time for a GiB, at a rate that leaves processors free.
    ReceiverCpu,
    /// The sender's bytes, by those of the image in full datagrams.
    SentBytes,
    /// Seconds of many receivers, by those of [`FEW`].
    Crowd,
    /// Seconds until the healthy receivers are done, by those of a push to healthy receivers alone.
    Sick,
    /// MiB of the sender or of a receiver, whichever is more.
    Memory,
}

impl Figure {
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::LineTime => "x line time",
            Self::KernelPath => "x kernel path",
            Self::Rate => "Gbit/s",
            Self::ReceiverCpu => "s/GiB",
            Self::SentBytes => "x least bytes",
            Self::Crowd => "x 4 receivers",
            Self::Sick => "x all healthy",
            Self::Memory => "MiB",
        }
    }
}

impl Aim {
    pub(crate) fn content(&self) -> Content {
        Content::Random { bytes: self.image_mib << 20 }
    }
}

/// All goals, in the order in which they are measured.
pub(crate) fn all() -> Vec<Aim> {
    use Figure::{Crowd, KernelPath, LineTime, Memory, Rate, ReceiverCpu, SentBytes, Sick};
    use Limit::{AtLeast, AtMost};
    let shaped = Network::shaped;
    let lossy = Network { loss_per_mille: 10, ..Network::unshaped(1) };
    let line = |receivers, mbit, loss| shaped(receivers, mbit * MBIT, false, loss);
    [
        (
            "8x1g-offload",
            "8 receivers, 1 Gbit/s, batches cross whole",
            (LineTime, shaped(8, GBIT, true, 0), 256, AtMost(1.06)),
        ),
        (
            "8x1g-offload-loss",
            "8 receivers, 1 Gbit/s, 1 % of the batches lost at each",
            (LineTime, shaped(8, GBIT, true, 10), 256, AtMost(1.15)),
        ),
        (
            "4x400m",
            "4 receivers, 400 Mbit/s, one packet a call",
            (LineTime, line(4, 400, 0), 256, AtMost(1.05)),
        ),
        ("4x400m-loss", "the same, 1 % lost at each", (LineTime, line(4, 400, 10), 256, AtMost(1.08))),
        (
            "8x1g-kernel",
            "8 receivers, 1 Gbit/s, one packet a call, beside the bare kernel path",
            (KernelPath, line(8, 1000, 0), 256, AtLeast(0.6)),
        ),
        (
            "16x200m",
            "16 receivers, 200 Mbit/s, one packet a call, 64 MiB",
            (LineTime, line(16, 200, 0), 64, AtMost(1.06)),
        ),
        ("16x200m-loss", "the same, 1 % lost at each", (LineTime, line(16, 200, 10), 64, AtMost(1.10))),
        ("1-unshaped", "1 receiver, unshaped", (Rate, Network::unshaped(1), 1024, AtLeast(8.0))),
        ("4-unshaped", "4 receivers, unshaped", (Rate, Network::unshaped(4), 1024, AtLeast(4.0))),
        ("cpu", "receiver's CPU for 1 GiB, 3 Gbit/s", (ReceiverCpu, Network::unshaped(1), 1024, AtMost(1.0))),
        ("cpu-loss", "the same, 1 % of the batches lost", (ReceiverCpu, lossy.clone(), 1024, AtMost(1.2))),
        (
            "bytes-1",
            "sender's bytes, 1 % lost, 1 receiver, 200 Mbit/s",
            (SentBytes, line(1, 200, 10), 64, AtMost(1.02)),
        ),
        (
            "bytes-8",
            "sender's bytes, 1 % lost at each of 8, 200 Mbit/s",
            (SentBytes, line(8, 200, 10), 64, AtMost(1.03)),
        ),
        (
            "bytes-64",
            "sender's bytes, 1 % lost at each of 64, 50 Mbit/s",
            (SentBytes, line(64, 50, 10), 64, AtMost(1.04)),
        ),
        (
            "crowd",
            "128 receivers, 50 Mbit/s, batches cross whole, 32 MiB",
            (Crowd, shaped(128, 50 * MBIT, true, 0), 32, AtMost(1.1)),
        ),
        (
            "sick",
            "8 receivers, 200 Mbit/s, one with 30 % loss, one with a disk of 5 MB/s: the others",
            (Sick, line(8, 200, 0), 256, AtMost(1.1)),
        ),
        (
            "memory",
            "peak memory of sender or receiver, 8 GiB, 3 Gbit/s, 1 % of the batches lost",
            (Memory, lossy, 8192, AtMost(256.0)),
        ),
    ]
    .map(|(name, work, (figure, network, image_mib, limit))| Aim {
        name,
        work,
        figure,
        network,
        image_mib,
        limit,
    })
    .into()
}

/// What a crowd is compared with.
pub(crate) const FEW: usize = 4;
