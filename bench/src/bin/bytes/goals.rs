//! What is to be reached, by the medians of what was measured.

use serde::{Deserialize, Serialize};

use crate::record::Row;

/// One goal, and what came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Goal {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) limit: Limit,
    /// None where something that it needs was not measured, or failed.
    pub(crate) measured: Option<f64>,
    pub(crate) is_reached: bool,
}

/// The side from which a figure must keep to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Limit {
    fn is_kept_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::AtMost(bound) => format!("<= {bound}"),
            Self::AtLeast(bound) => format!(">= {bound}"),
        }
    }
}

/// All goals, in the order of the page.
pub(crate) fn judge(rows: &[Row]) -> Vec<Goal> {
    let way = |row: &str, way: &str| rows.iter().find(|each| each.name == row)?.median(way);
    let seconds = |row, of| way(row, of)?.seconds;
    let sent = |row, of| Some(way(row, of)?.wire_bytes as f64);
    let of_least = |row, of| Some(sent(row, of)? / way(row, of)?.least_bytes? as f64);
    let ratio = |one: Option<f64>, other: Option<f64>| Some(one? / other?);
    let sparse = rows.iter().find(|row| row.name == "sparse");
    let ext4 = rows.iter().find(|row| row.name == "ext4");
    let copy = || Some(way("sparse", AUTO)?.allocated_bytes? as f64 / sparse?.data_bytes? as f64);
    [
        (
            "sparse bytes",
            "bytes sent, by those of full datagrams of the data",
            Limit::AtMost(1.02),
            of_least("sparse", AUTO),
        ),
        ("sparse copy", "what the copy takes of its disk, by the data", Limit::AtMost(260.0 / 256.0), copy()),
        (
            "sparse time",
            "seconds, by those of the data alone (`dense`)",
            Limit::AtMost(1.1),
            ratio(seconds("sparse", AUTO), seconds("dense", AUTO)),
        ),
        (
            "ext4 bytes",
            "bytes sent, by what `zstd -1` makes of the image",
            Limit::AtMost(1.03),
            ratio(sent("ext4", AUTO), sent("ext4", ZSTD)),
        ),
        (
            "ext4 time",
            "seconds with `--compress off`, by those with `auto`",
            Limit::AtLeast(2.5),
            ratio(seconds("ext4", OFF), seconds("ext4", AUTO)),
        ),
        (
            "ext4 qcow2",
            "bytes sent, by the length of the compressed qcow2",
            Limit::AtMost(1.0),
            ratio(sent("ext4", AUTO), ext4.and_then(|row| Some(row.qcow2_bytes? as f64))),
        ),
        (
            "random time",
            "seconds with `--compress auto`, by those with `off`",
            Limit::AtMost(1.03),
            ratio(seconds("random", AUTO), seconds("random", OFF)),
        ),
        (
            "zeros bytes",
            "MiB sent",
            Limit::AtMost(1.0),
            sent("zeros", AUTO).map(|bytes| bytes / f64::from(1 << 20)),
        ),
        ("zeros time", "seconds", Limit::AtMost(5.0), seconds("zeros", AUTO)),
        (
            "changed bytes",
            "bytes sent, by those of full datagrams of the changed blocks",
            Limit::AtMost(1.06),
            of_least("changed", BASE),
        ),
        (
            "missing bytes",
            "bytes sent, by those of full datagrams of the missing blocks",
            Limit::AtMost(1.1),
            of_least("missing", AGAIN),
        ),
    ]
    .map(|(name, what, limit, measured)| Goal {
        name: name.to_owned(),
        what: what.to_owned(),
        limit,
        measured,
        is_reached: measured.is_some_and(|value| limit.is_kept_by(value)),
    })
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
    fn a_limit_is_kept_from_its_side() {
        assert!(Limit::AtMost(1.05).is_kept_by(1.05) && !Limit::AtMost(1.05).is_kept_by(1.06));
        assert!(Limit::AtLeast(2.5).is_kept_by(2.5) && !Limit::AtLeast(2.5).is_kept_by(2.4));
    }

    #[test]
    fn a_goal_of_which_something_was_not_measured_is_not_reached() {
        assert!(judge(&[]).iter().all(|goal| goal.measured.is_none() && !goal.is_reached));
    }
}
