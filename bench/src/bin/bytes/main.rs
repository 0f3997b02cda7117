//! What is not sent: images with holes, zeros and redundancy, pushed by glancecast, by udpcast through `zstd -1`, and, as far
//! as bytes go, compressed by `zstd -1` alone; and images of which hosts hold most already. Each image crosses one network of
//! one receiver, the last ones of two; copies are compared.
//!
//! It needs root for network namespaces, and nothing of it leaves them.

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
use glancecast_bench::record::{Row, Run};
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
        Column { title: "s", cell: |_, runs| decimals(runs.middle()?.figure("seconds"), 2) },
        Column { title: "bytes sent", cell: |_, runs| decimals(runs.middle()?.figure("wire_bytes"), 0) },
        Column {
            title: "image / sent",
            cell: |row, runs| {
                let sent = runs.middle()?.figure("wire_bytes")?.max(1.0);
                decimals(Some(row.image_bytes as f64 / sent), 1)
            },
        },
        Column {
            title: "copy on the disk",
            cell: |_, runs| decimals(runs.middle()?.figure("allocated_bytes"), 0),
        },
    ];

    fn common(&self) -> &Common {
        &self.common
    }

    fn cases(&self) -> Result<Vec<Case>> {
        let auto = || ways::glancecast(goals::AUTO, "auto");
        let off = || ways::glancecast(goals::OFF, "off");
        let on_line = |name, work: &str, content, receivers, ways: Vec<Way>| Case {
            name,
            work: format!("{work}; 1 Gbit/s"),
            network: Network::shaped(receivers, GBIT, false, 0),
            content,
            ways,
            rounds: 1,
            qcow2: false,
        };
        let random = Content::Random { bytes: 1 << 30 };
        Ok(vec![
            on_line(
                "sparse",
                "8 GiB, 256 MiB of random bytes in it in pieces of 1 MiB",
                Content::Sparse { bytes: 8 << 30, pieces: 256 },
                1,
                vec![auto(), ways::udpcast(), ways::zstd()],
            ),
            on_line(
                "dense",
                "256 MiB of random bytes, for comparison with `sparse`",
                Content::Random { bytes: 256 << 20 },
                1,
                vec![auto()],
            ),
            Case {
                qcow2: true,
                ..on_line(
                    "ext4",
                    "an ext4 file system filled from /usr",
                    Content::Ext4 { data: 2 << 30 },
                    1,
                    vec![auto(), off(), ways::udpcast(), ways::zstd()],
                )
            },
            Case {
                name: "random",
                work: "1 GiB of random bytes, which nothing makes smaller; unshaped, batches cross whole"
                    .to_owned(),
                network: Network::unshaped(1),
                content: random,
                ways: vec![auto(), off()],
                rounds: 5,
                qcow2: false,
            },
            on_line(
                "zeros",
                "4 GiB of zeros",
                Content::Sparse { bytes: 4 << 30, pieces: 0 },
                1,
                vec![auto(), ways::udpcast(), ways::zstd()],
            ),
            on_line(
                "changed",
                "1 GiB of random bytes to two receivers that hold it but for 5 % of its blocks, in an older image",
                random,
                2,
                vec![Way::new(goals::BASE, reuse::changed)],
            ),
            on_line(
                "missing",
                "1 GiB of random bytes to two receivers, one of which has it, and the other all but 10 random blocks of an \
                 interrupted push",
                random,
                2,
                vec![Way::new(goals::AGAIN, reuse::missing)],
            ),
        ])
    }

    fn goals(rows: &[Row]) -> Vec<Goal> {
        goals::judge(rows)
    }
}

/// A run with its time, its bytes and what the copy takes of its disk.
fn run(seconds: f64, wire_bytes: u64, allocated_bytes: Option<u64>, details: &str) -> Run {
    let details = format!("{seconds:>7.2} s {wire_bytes:>13} bytes; {details}");
    let mut run = Run::new([("seconds", seconds), ("wire_bytes", wire_bytes as f64)], details);
    run.figures.extend(allocated_bytes.map(|bytes| ("allocated_bytes".to_owned(), bytes as f64)));
    run
}
