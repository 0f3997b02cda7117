//! The goals, with the figures of the median runs.

use glancecast_bench::goal::Goal;
use glancecast_bench::goal::Limit::{AtLeast, AtMost};
use glancecast_bench::record::{Row, Run};

/// Returns all goals, in the order of the page.
pub(crate) fn judge(rows: &[Row]) -> Vec<Goal> {
    let row = |name: &str| rows.iter().find(|row| row.name == name);
    let way = |name, way| -> Option<&Run> { row(name)?.way(way)?.middle() };
    let seconds = |name, of| way(name, of)?.figure("seconds");
    let sent = |name, of| way(name, of)?.figure("wire_bytes");
    let of_least = |name, of| Some(sent(name, of)? / way(name, of)?.figure("least_bytes")?);
    let ratio = |one: Option<f64>, other: Option<f64>| Some(one? / other?);
    let data = row("sparse").and_then(|row| Some(row.data_bytes? as f64));
    let copy = ratio(way("sparse", AUTO).and_then(|run| run.figure("allocated_bytes")), data);
    let qcow2 = row("ext4").and_then(|row| Some(row.qcow2_bytes? as f64));
    let by_dense = ratio(seconds("sparse", AUTO), seconds("dense", AUTO));
    let (by_zstd, by_qcow2) =
        (ratio(sent("ext4", AUTO), sent("ext4", ZSTD)), ratio(sent("ext4", AUTO), qcow2));
    let off_by_auto = ratio(seconds("ext4", OFF), seconds("ext4", AUTO));
    let auto_by_off = ratio(seconds("random", AUTO), seconds("random", OFF));
    let mib = sent("zeros", AUTO).map(|bytes| bytes / f64::from(1 << 20));
    let [data, changed, missing] = ["data", "changed blocks", "missing blocks"]
        .map(|what| format!("bytes sent, by those of full datagrams of the {what}"));
    let goal = |name, what: &str, limit, measured| Goal::new(name, what, limit, "", measured);
    vec![
        goal("sparse bytes", &data, AtMost(1.02), of_least("sparse", AUTO)),
        goal("sparse copy", "what the copy takes of its disk, by the data", AtMost(260.0 / 256.0), copy),
        goal("sparse time", "seconds, by those of the data alone (`dense`)", AtMost(1.1), by_dense),
        goal("ext4 bytes", "bytes sent, by what `zstd -1` makes of the image", AtMost(1.03), by_zstd),
        goal("ext4 time", "seconds with `--compress off`, by those with `auto`", AtLeast(2.5), off_by_auto),
        goal("ext4 qcow2", "bytes sent, by the length of the compressed qcow2", AtMost(1.0), by_qcow2),
        goal("random time", "seconds with `--compress auto`, by those with `off`", AtMost(1.03), auto_by_off),
        Goal::new("zeros bytes", "bytes sent", AtMost(1.0), "MiB", mib),
        Goal::new("zeros time", "seconds", AtMost(5.0), "s", seconds("zeros", AUTO)),
        goal("changed bytes", &changed, AtMost(1.06), of_least("changed", BASE)),
        goal("missing bytes", &missing, AtMost(1.1), of_least("missing", AGAIN)),
    ]
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
