//! What is not sent: images with holes, zeros and redundancy. glancecast, udpcast through `zstd -1`, and (bytes only)
//! `zstd -1` alone are compared, and images of which hosts already hold most are pushed. Each image crosses one network
//! of one receiver, the last images one of two receivers. Copies are compared.
//!
//! It needs root for network namespaces, and has no effect outside them.

mod goals;
mod reuse;
mod ways;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use glancecast_bench::case::{Case, Way};
use glancecast_bench::content::Content;
use glancecast_bench::goal::Goal;
use glancecast_bench::harness::{self, Bench};
use glancecast_bench::lab::arguments::Common;
use glancecast_bench::lab::network::{GBIT, Network};
use glancecast_bench::record::{Row, Run, Runs};
use glancecast_bench::render::Cell::{Middle, Text};
use glancecast_bench::render::{Column, decimals};

/// Measures what need not be sent. Needs root.
#[derive(Debug, Parser)]
#[command(name = "bytes")]
struct Bytes {
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    harness::main::<Bytes>()
}

impl Bench for Bytes {
    const NAME: &'static str = "bytes";
    const HEAD: &'static str = "\
# What need not be sent

Times are from the start of the sender to the whole copy, the middle of the repetitions, and bytes are those of the same
run. Images, copies and spools are in memory. `make bench-bytes` measures it.";
    const COLUMNS: &'static [Column] = &[
        Column::new("s", Middle("seconds", 2)),
        Column::new("bytes sent", Middle("wire_bytes", 0)),
        Column::new("image / sent", Text(|row, runs| decimals(image_by_sent(row, runs), 1))),
        Column::new("copy on the disk", Middle("allocated_bytes", 0)),
    ];

    fn common(&self) -> &Common {
        &self.common
    }

    fn cases(&self) -> Result<Vec<Case>> {
        let auto = || ways::glancecast(goals::AUTO, "auto");
        let off = || ways::glancecast(goals::OFF, "off");
        let on_line = |name, receivers, work: &str, content, ways: Vec<Way>| Case {
            work: format!("{work}; 1 Gbit/s"),
            content,
            ..Case::random(name, Network::shaped(receivers, GBIT, false, 0), 0, ways)
        };
        let random = |mib: u64| Content::Random { bytes: mib << 20 };
        let sparse = |gib: u64, pieces| Content::Sparse { bytes: gib << 30, pieces };
        let all = || vec![auto(), ways::udpcast(), ways::zstd()];
        let pieces = "8 GiB, 256 MiB of random bytes in it in pieces of 1 MiB";
        let dense = "256 MiB of random bytes, for comparison with `sparse`";
        let older = "1 GiB of random bytes to two receivers that hold it but for 5 % of its blocks, in an older image";
        let rest = "1 GiB of random bytes to two receivers, one of which has it, and the other all but 10 random blocks of an \
                    interrupted push";
        let mut ext4 = all();
        ext4.insert(1, off());
        let ext4 =
            on_line("ext4", 1, "a file system filled from /usr", Content::Ext4 { data: 2 << 30 }, ext4);
        Ok(vec![
            on_line("sparse", 1, pieces, sparse(8, 256), all()),
            on_line("dense", 1, dense, random(256), vec![auto()]),
            Case { qcow2: true, ..ext4 },
            Case { rounds: 5, ..Case::random("random", Network::unshaped(1), 1 << 30, vec![auto(), off()]) },
            on_line("zeros", 1, "4 GiB of zeros", sparse(4, 0), all()),
            on_line("changed", 2, older, random(1024), vec![Way::new(goals::BASE, reuse::changed)]),
            on_line("missing", 2, rest, random(1024), vec![Way::new(goals::AGAIN, reuse::missing)]),
        ])
    }

    fn goals(rows: &[Row]) -> Vec<Goal> {
        goals::judge(rows)
    }
}

fn image_by_sent(row: &Row, runs: &Runs) -> Option<f64> {
    Some(row.image_bytes as f64 / runs.middle()?.figure("wire_bytes")?.max(1.0))
}

/// Returns a run with its time, its bytes and the disk space of the copy.
fn run(seconds: f64, wire_bytes: u64, allocated_bytes: Option<u64>, details: &str) -> Run {
    let details = format!("{seconds:>7.2} s {wire_bytes:>13} bytes; {details}");
    let mut run = Run::new([("seconds", seconds), ("wire_bytes", wire_bytes as f64)], details);
    run.figures.extend(allocated_bytes.map(|bytes| ("allocated_bytes".to_owned(), bytes as f64)));
    run
}
