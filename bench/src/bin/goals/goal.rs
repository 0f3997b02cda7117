//! What is to be reached.

use glancecast_bench::lab::network::{GBIT, MBIT, Network};
use serde::{Deserialize, Serialize};

/// One line: a piece of work, one figure of it, and what that is to be.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    pub(crate) work: &'static str,
    pub(crate) figure: Figure,
    pub(crate) network: Network,
    pub(crate) image_bytes: u64,
    pub(crate) limit: Limit,
    pub(crate) unit: &'static str,
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
    /// Seconds until those are done that nothing ails, by those of a run in which nothing ails any.
    Sick,
    /// MiB of the sender or a receiver, whoever had more.
    Memory,
}

/// What a figure may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// And not more.
    AtMost(f64),
    /// And not less.
    AtLeast(f64),
}

impl Limit {
    /// Whether a value is within it.
    pub(crate) fn is_reached_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    /// In words.
    pub(crate) fn shown(self, unit: &str) -> String {
        match self {
            Self::AtMost(limit) => format!("<= {limit} {unit}"),
            Self::AtLeast(limit) => format!(">= {limit} {unit}"),
        }
    }
}

/// All of them, in the order in which they are measured.
pub(crate) fn all() -> Vec<Goal> {
    let mut goals = line_times();
    goals.extend(rates());
    goals.extend(sent_bytes());
    goals.extend(hosts());
    goals
}

fn line_times() -> Vec<Goal> {
    let line_time = |name, work, network, limit| Goal {
        name,
        work,
        figure: Figure::LineTime,
        network,
        image_bytes: 256 * MIB,
        limit: Limit::AtMost(limit),
        unit: "x line time",
    };
    let small = |goal: Goal| Goal { image_bytes: 64 * MIB, ..goal };
    vec![
        line_time(
            "8x1g-offload",
            "8 receivers, 1 Gbit/s, batches cross whole",
            network(8, GBIT, true, 0),
            1.06,
        ),
        line_time(
            "8x1g-offload-loss",
            "8 receivers, 1 Gbit/s, 1 % of the batches lost at each",
            network(8, GBIT, true, 10),
            1.15,
        ),
        line_time(
            "4x400m",
            "4 receivers, 400 Mbit/s, one packet a call",
            network(4, 400 * MBIT, false, 0),
            1.05,
        ),
        line_time("4x400m-loss", "the same, 1 % lost at each", network(4, 400 * MBIT, false, 10), 1.08),
        Goal {
            name: "8x1g-kernel",
            work: "8 receivers, 1 Gbit/s, one packet a call, beside the bare kernel path",
            figure: Figure::KernelPath,
            network: network(8, GBIT, false, 0),
            image_bytes: 256 * MIB,
            limit: Limit::AtLeast(0.6),
            unit: "x kernel path",
        },
        small(line_time(
            "16x200m",
            "16 receivers, 200 Mbit/s, one packet a call, 64 MiB",
            network(16, 200 * MBIT, false, 0),
            1.06,
        )),
        small(line_time(
            "16x200m-loss",
            "the same, 1 % lost at each",
            network(16, 200 * MBIT, false, 10),
            1.10,
        )),
    ]
}

fn rates() -> Vec<Goal> {
    let whole = |receivers, loss_per_mille| Network {
        receivers,
        line_bits_per_second: None,
        offload: true,
        loss_per_mille,
    };
    let gib = |name, work, figure, network, limit, unit| Goal {
        name,
        work,
        figure,
        network,
        image_bytes: 1024 * MIB,
        limit,
        unit,
    };
    let (cpu, cpu_unit) = (Figure::ReceiverCpu, "s/GiB");
    vec![
        gib("1-unshaped", "1 receiver, unshaped", Figure::Rate, whole(1, 0), Limit::AtLeast(8.0), "Gbit/s"),
        gib("4-unshaped", "4 receivers, unshaped", Figure::Rate, whole(4, 0), Limit::AtLeast(4.0), "Gbit/s"),
        gib("cpu", "receiver's CPU for 1 GiB, 3 Gbit/s", cpu, whole(1, 0), Limit::AtMost(1.0), cpu_unit),
        gib("cpu-loss", "the same, 1 % of the batches lost", cpu, whole(1, 10), Limit::AtMost(1.2), cpu_unit),
    ]
}

fn sent_bytes() -> Vec<Goal> {
    let bytes = |name, work, receivers, line, limit| Goal {
        name,
        work,
        figure: Figure::SentBytes,
        network: network(receivers, line, false, 10),
        image_bytes: 64 * MIB,
        limit: Limit::AtMost(limit),
        unit: "x least bytes",
    };
    vec![
        bytes("bytes-1", "sender's bytes, 1 % lost, 1 receiver, 200 Mbit/s", 1, 200 * MBIT, 1.02),
        bytes("bytes-8", "sender's bytes, 1 % lost at each of 8, 200 Mbit/s", 8, 200 * MBIT, 1.03),
        bytes("bytes-64", "sender's bytes, 1 % lost at each of 64, 50 Mbit/s", 64, 50 * MBIT, 1.04),
    ]
}

fn hosts() -> Vec<Goal> {
    vec![
        Goal {
            name: "crowd",
            work: "128 receivers, 50 Mbit/s, batches cross whole, 32 MiB",
            figure: Figure::Crowd,
            network: network(128, 50 * MBIT, true, 0),
            image_bytes: 32 * MIB,
            limit: Limit::AtMost(1.1),
            unit: "x 4 receivers",
        },
        Goal {
            name: "sick",
            work: "8 receivers, 200 Mbit/s, one with 30 % loss, one with a disk of 5 MB/s: the others",
            figure: Figure::Sick,
            network: network(8, 200 * MBIT, false, 0),
            image_bytes: 256 * MIB,
            limit: Limit::AtMost(1.1),
            unit: "x all healthy",
        },
        Goal {
            name: "memory",
            work: "peak memory of sender or receiver, 8 GiB, 3 Gbit/s, 1 % of the batches lost",
            figure: Figure::Memory,
            network: Network { receivers: 1, line_bits_per_second: None, offload: true, loss_per_mille: 10 },
            image_bytes: 8192 * MIB,
            limit: Limit::AtMost(256.0),
            unit: "MiB",
        },
    ]
}

fn network(receivers: usize, line: u64, offload: bool, loss_per_mille: u32) -> Network {
    Network { receivers, line_bits_per_second: Some(line), offload, loss_per_mille }
}

/// What a crowd is compared with.
pub(crate) const FEW: usize = 4;
const MIB: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = all().iter().map(|goal| goal.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
    }

    #[test]
    fn a_limit_is_reached_from_its_side() {
        assert!(Limit::AtMost(1.05).is_reached_by(1.05) && !Limit::AtMost(1.05).is_reached_by(1.06));
        assert!(Limit::AtLeast(8.0).is_reached_by(8.0) && !Limit::AtLeast(8.0).is_reached_by(7.9));
    }
}
