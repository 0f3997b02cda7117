//! What is not sent: images with holes, zeros and redundancy, pushed by glancecast, by udpcast through `zstd -1`, and, as far
//! as bytes go, compressed by `zstd -1` alone; and images of which hosts hold most already. Each image crosses one network of
//! one receiver, the last ones of two; copies are compared.
//!
//! It needs root for network namespaces, and nothing of it leaves them.

mod goals;
mod images;
mod record;
mod reuse;
mod ways;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use glancecast_bench::lab::arguments::Common;
use glancecast_bench::lab::supervisor;
use glancecast_bench::lab::turn::Turn;

use crate::images::Kind;
use crate::record::{Bytes, Row};
use crate::ways::{Ground, Way};

/// Measures what need not be sent. Needs root.
#[derive(Debug, Parser)]
#[command(name = "bytes")]
struct Arguments {
    #[command(flatten)]
    common: Common,

    /// The rows to measure, by name; all of them when not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,

    /// Once, of an eighth of each image: to see that everything works
    #[arg(long)]
    quick: bool,

    /// List the rows
    #[arg(long)]
    list: bool,
}

/// What is measured of one image.
pub(crate) struct Plan {
    name: &'static str,
    work: &'static str,
    image: Kind,
    line: Option<u64>,
    offload: bool,
    ways: &'static [Way],
    /// Repetitions for each that was asked for: where runs differ more than the ways do.
    repeats: usize,
    /// Whether a qcow2 that qemu-img compresses is made of it, to compare its length.
    qcow2: bool,
}

/// In the order of the page.
const PLANS: &[Plan] = &[
    Plan {
        name: "sparse",
        work: "8 GiB, 256 MiB of random bytes in it in pieces of 1 MiB; 1 Gbit/s",
        image: Kind::Sparse { bytes: 8 << 30, pieces: 256 },
        line: Some(1_000_000_000),
        offload: false,
        ways: &[Way::Glancecast("auto"), Way::Udpcast, Way::Zstd],
        repeats: 1,
        qcow2: false,
    },
    Plan {
        name: "dense",
        work: "256 MiB of random bytes, for comparison with `sparse`; 1 Gbit/s",
        image: Kind::Random { bytes: 256 << 20 },
        line: Some(1_000_000_000),
        offload: false,
        ways: &[Way::Glancecast("auto")],
        repeats: 1,
        qcow2: false,
    },
    Plan {
        name: "ext4",
        work: "an ext4 file system filled from /usr; 1 Gbit/s",
        image: Kind::Ext4 { data: 2 << 30 },
        line: Some(1_000_000_000),
        offload: false,
        ways: &[Way::Glancecast("auto"), Way::Glancecast("off"), Way::Udpcast, Way::Zstd],
        repeats: 1,
        qcow2: true,
    },
    Plan {
        name: "random",
        work: "1 GiB of random bytes, which nothing makes smaller; unshaped, batches cross whole",
        image: Kind::Random { bytes: 1 << 30 },
        line: None,
        offload: true,
        ways: &[Way::Glancecast("auto"), Way::Glancecast("off")],
        repeats: 5,
        qcow2: false,
    },
    Plan {
        name: "zeros",
        work: "4 GiB of zeros; 1 Gbit/s",
        image: Kind::Sparse { bytes: 4 << 30, pieces: 0 },
        line: Some(1_000_000_000),
        offload: false,
        ways: &[Way::Glancecast("auto"), Way::Udpcast, Way::Zstd],
        repeats: 1,
        qcow2: false,
    },
    Plan {
        name: "changed",
        work: "1 GiB of random bytes to two receivers that hold it but for 5 % of its blocks, in an older image; 1 Gbit/s",
        image: Kind::Random { bytes: 1 << 30 },
        line: Some(1_000_000_000),
        offload: false,
        ways: &[Way::Base],
        repeats: 1,
        qcow2: false,
    },
    Plan {
        name: "missing",
        work: "1 GiB of random bytes to two receivers, one of which has it, and the other all but 10 random blocks of an \
               interrupted push; 1 Gbit/s",
        image: Kind::Random { bytes: 1 << 30 },
        line: Some(1_000_000_000),
        offload: false,
        ways: &[Way::Resumed],
        repeats: 1,
        qcow2: false,
    },
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        PLANS.iter().for_each(|plan| println!("{:<8} {}", plan.name, plan.work));
        return ExitCode::SUCCESS;
    }
    let result = match arguments.common.work_in() {
        None => supervise(&arguments),
        Some(directory) => supervisor::become_worker().and_then(|()| measure(&arguments, directory)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("bytes: {error:#}");
        ExitCode::FAILURE
    })
}

fn supervise(arguments: &Arguments) -> Result<ExitCode> {
    supervisor::need_root("bench-bytes")?;
    if let Some(name) = arguments.only.iter().find(|name| PLANS.iter().all(|plan| plan.name != **name)) {
        bail!("there is no row {name}; --list names them");
    }
    supervisor::supervise("bytes", &arguments.common.memory)
}

/// Measures every row that was asked for, and writes the results after each of them.
fn measure(arguments: &Arguments, directory: &Path) -> Result<ExitCode> {
    let mut bytes = Bytes::read(&arguments.common.output)?;
    let mut turn = arguments.common.turn();
    let begin = Instant::now();
    let wanted =
        |plan: &&Plan| arguments.only.is_empty() || arguments.only.iter().any(|name| name == plan.name);
    let plans: Vec<&Plan> = PLANS.iter().filter(wanted).collect();
    for (number, plan) in plans.iter().enumerate() {
        println!(
            "\n{}: {} (row {} of {}, after {:.0} s)",
            plan.name,
            plan.work,
            number + 1,
            plans.len(),
            begin.elapsed().as_secs_f64()
        );
        bytes.put(row(plan, arguments, directory, &mut turn)?);
        bytes.write(&arguments.common.output)?;
    }
    let (output, seconds) = (arguments.common.output.display(), begin.elapsed().as_secs_f64());
    println!("\n{}\nWritten after {seconds:.0} s: {output}/bytes.{{json,md}}", bytes.goals());
    Ok(ExitCode::SUCCESS)
}

/// Measures the ways of one image, by turns.
fn row(plan: &Plan, arguments: &Arguments, directory: &Path, turn: &mut Turn) -> Result<Row> {
    let shrink = if arguments.quick { 8 } else { 1 };
    let kind = plan.image.smaller(shrink);
    let image = kind.make(directory, arguments.common.seed)?;
    let mut row = Row::new(plan.name, plan.work, &image);
    row.data_bytes = kind.data_bytes();
    if plan.qcow2 {
        row.qcow2_bytes = Some(images::qcow2_bytes(&image, directory)?);
    }
    let repeat =
        arguments.common.repetitions(arguments.quick) * if arguments.quick { 1 } else { plan.repeats };
    for repetition in 0..repeat {
        turn.take()?;
        let mut ways: Vec<&Way> = plan.ways.iter().filter(|way| repetition == 0 || way.varies()).collect();
        if repetition % 2 == 1 {
            ways.reverse(); // whatever the one before leaves behind is not always the same one's
        }
        for way in ways {
            let ground = Ground {
                plan,
                image: &image,
                data_bytes: row.data_bytes,
                directory,
                limit: arguments.common.limit(),
            };
            let run = way.run(&ground);
            println!("  {}/{repeat} {:<19} {}", repetition + 1, way.name(), run.summary());
            row.put(&way.name(), run);
        }
    }
    std::fs::remove_file(&image.path)?;
    Ok(row)
}
