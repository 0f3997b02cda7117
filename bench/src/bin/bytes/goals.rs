//! What is to be reached, by the middle runs of what was measured.

use glancecast_bench::goal::Goal;
use glancecast_bench::goal::Limit::{AtLeast, AtMost};
use glancecast_bench::record::{Row, Run};

/// All goals, in the order of the page.
pub(crate) fn judge(rows: &[Row]) -> Vec<Goal> {
    let row = |name: &str| rows.iter().find(|row| row.name == name);
    let way = |name, way| -> Option<&Run> { row(name)?.way(way)?.middle() };
    let seconds = |name, of| way(name, of)?.figure("seconds");
    let sent = |name, of| way(name, of)?.figure("wire_bytes");
    let of_least = |name, of| Some(sent(name, of)? / way(name, of)?.figure("least_bytes")?);
    let ratio = |one: Option<f64>, other: Option<f64>| Some(one? / other?);
    let copy = way("sparse", AUTO).and_then(|run| run.figure("allocated_bytes"));
    let data = row("sparse").and_then(|row| Some(row.data_bytes? as f64));
    let qcow2 = row("ext4").and_then(|row| Some(row.qcow2_bytes? as f64));
    [
        (
            "sparse bytes",
            "bytes sent, by those of full datagrams of the data",
            AtMost(1.02),
            "",
            of_least("sparse", AUTO),
        ),
        (
            "sparse copy",
            "what the copy takes of its disk, by the data",
            AtMost(260.0 / 256.0),
            "",
            ratio(copy, data),
        ),
        (
            "sparse time",
            "seconds, by those of the data alone (`dense`)",
            AtMost(1.1),
            "",
            ratio(seconds("sparse", AUTO), seconds("dense", AUTO)),
        ),
        (
            "ext4 bytes",
            "bytes sent, by what `zstd -1` makes of the image",
            AtMost(1.03),
            "",
            ratio(sent("ext4", AUTO), sent("ext4", ZSTD)),
        ),
        (
            "ext4 time",
            "seconds with `--compress off`, by those with `auto`",
            AtLeast(2.5),
            "",
            ratio(seconds("ext4", OFF), seconds("ext4", AUTO)),
        ),
        (
            "ext4 qcow2",
            "bytes sent, by the length of the compressed qcow2",
            AtMost(1.0),
            "",
            ratio(sent("ext4", AUTO), qcow2),
        ),
        (
            "random time",
            "seconds with `--compress auto`, by those with `off`",
            AtMost(1.03),
            "",
            ratio(seconds("random", AUTO), seconds("random", OFF)),
        ),
        (
            "zeros bytes",
            "bytes sent",
            AtMost(1.0),
            "MiB",
            sent("zeros", AUTO).map(|bytes| bytes / f64::from(1 << 20)),
        ),
        ("zeros time", "seconds", AtMost(5.0), "s", seconds("zeros", AUTO)),
        (
            "changed bytes",
            "bytes sent, by those of full datagrams of the changed blocks",
            AtMost(1.06),
            "",
            of_least("changed", BASE),
        ),
        (
            "missing bytes",
            "bytes sent, by those of full datagrams of the missing blocks",
            AtMost(1.1),
            "",
            of_least("missing", AGAIN),
        ),
    ]
    .map(|(name, what, limit, unit, measured)| Goal::new(name, what, limit, unit, measured))
    .into()
}

/// Names of ways.
pub(crate) const AUTO: &str = "glancecast, auto";
pub(crate) const OFF: &str = "glancecast, off";
pub(crate) const BASE: &str = "glancecast, --base";
pub(crate) const AGAIN: &str = "glancecast, again";
pub(crate) const ZSTD: &str = "zstd -1 alone";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_of_which_something_was_not_measured_is_not_reached() {
        assert!(judge(&[]).iter().all(|goal| goal.measured.is_none() && !goal.is_reached));
    }
}
