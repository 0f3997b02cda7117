//! glancecast beside what people use today, over the same image, network, shaping and loss: udpcast, UFTP, HTTP
//! (nginx and curl) and BitTorrent (aria2 and opentracker), and beside what the kernel's path alone carries.
//!
//! It needs root for network namespaces, and nothing of it leaves them. `docs/comparison.md` tells what is measured, how,
//! and why each tool has the options that it has.

mod plot;

use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use glancecast_bench::case::Case;
use glancecast_bench::content::Content;
use glancecast_bench::harness::{self, Bench};
use glancecast_bench::lab::arguments::Common;
use glancecast_bench::lab::network::{GBIT, MBIT, Network};
use glancecast_bench::lab::supervisor;
use glancecast_bench::record::{Record, Row, Runs};
use glancecast_bench::render::{Column, decimals};
use glancecast_bench::tools::{Extra, install};
use glancecast_bench::ways::{self, KERNEL_PATH, LINE};

/// Runs udpcast, UFTP, HTTP and BitTorrent beside glancecast in network namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(name = "versus")]
struct Versus {
    #[command(flatten)]
    common: Common,

    /// The tools to run; all of them when not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    tools: Vec<String>,

    /// More options for a tool's last process on the sender, to try whether it can do better: `uftp=-R 500000`
    #[arg(long, value_name = "TOOL=OPTIONS")]
    sender_options: Vec<String>,

    /// More options for a tool's receivers
    #[arg(long, value_name = "TOOL=OPTIONS")]
    receiver_options: Vec<String>,

    /// Name the packages that are missing instead of installing them
    #[arg(long)]
    no_install: bool,
}

fn main() -> ExitCode {
    harness::main::<Versus>()
}

impl Bench for Versus {
    const NAME: &'static str = "versus";
    const HEAD: &'static str = "\
# glancecast and what people use today

Written by `make bench-versus`; `docs/comparison.md` explains the columns and the options. Seconds until the last receiver
had a file equal to the image. Only glancecast encrypts and authenticates what it sends.";
    const COLUMNS: &'static [Column] = &[
        Column { title: "seconds", cell: |_, runs| decimals(runs.median("seconds"), 2) },
        Column { title: "x line", cell: |row, runs| times(row, runs, LINE) },
        Column { title: "x kernel path", cell: |row, runs| times(row, runs, KERNEL_PATH) },
        Column {
            title: "sent, MiB",
            cell: |_, runs| decimals(runs.median("sent_bytes").map(|bytes| bytes / f64::from(1 << 20)), 0),
        },
        Column { title: "CPU s, sender", cell: |_, runs| decimals(runs.median("sender_cpu_seconds"), 2) },
        Column {
            title: "CPU s, all receivers",
            cell: |_, runs| decimals(runs.median("receivers_cpu_seconds"), 2),
        },
        Column {
            title: "failed",
            cell: |_, runs| Some(format!("{} of {}", runs.failures(), runs.runs.len())),
        },
    ];
    /// All tools run once, then all of them run again.
    const ALTERNATES: bool = false;

    fn common(&self) -> &Common {
        &self.common
    }

    fn cases(&self) -> Result<Vec<Case>> {
        self.check_names()?;
        let case = |(name, network, mib): (&'static str, Network, u64)| {
            let mut ways = ways::references(&network);
            for tool in TOOLS.into_iter().filter(|tool| self.runs(tool)) {
                ways.push(ways::tool(tool, self.extra(tool)));
            }
            let (work, content) = (network.title(mib << 20), Content::Random { bytes: mib << 20 });
            Case { name, work, network, content, ways, rounds: 1, qcow2: false }
        };
        Ok([
            ("8x1g", Network::shaped(8, GBIT, false, 0), 256),
            ("8x1g-loss", Network::shaped(8, GBIT, false, 10), 256),
            ("8x1g-offload", Network::shaped(8, GBIT, true, 0), 256),
            ("8x1g-offload-loss", Network::shaped(8, GBIT, true, 10), 256),
            ("4x400m", Network::shaped(4, 400 * MBIT, false, 0), 256),
            ("4x400m-loss", Network::shaped(4, 400 * MBIT, false, 10), 256),
            ("16x200m", Network::shaped(16, 200 * MBIT, false, 0), 64),
            ("16x200m-loss", Network::shaped(16, 200 * MBIT, false, 10), 64),
            ("1-unshaped", Network::unshaped(1), 1024),
            ("4-unshaped", Network::unshaped(4), 1024),
        ]
        .map(case)
        .into())
    }

    fn check(&self) -> Result<()> {
        supervisor::need_root(Self::NAME)?;
        install::install(self.no_install)
    }

    fn plot(record: &Record) -> Option<String> {
        Some(plot::plot(record))
    }
}

impl Versus {
    fn check_names(&self) -> Result<()> {
        let known = |name: &str| {
            ensure!(TOOLS.contains(&name), "there is no tool {name}; there are {}", TOOLS.join(", "));
            Ok(())
        };
        self.tools.iter().try_for_each(|name| known(name))?;
        for text in self.sender_options.iter().chain(&self.receiver_options) {
            let Some((name, _)) = text.split_once('=') else { bail!("{text}: give it as TOOL=OPTIONS") };
            known(name)?;
        }
        Ok(())
    }

    fn runs(&self, tool: &str) -> bool {
        self.tools.is_empty() || self.tools.iter().any(|wanted| wanted == tool)
    }

    fn extra(&self, tool: &str) -> Extra {
        let of_tool = |options: &[String]| {
            let options =
                options.iter().filter_map(|text| text.split_once('=')).filter(|(name, _)| *name == tool);
            options.flat_map(|(_, options)| options.split_whitespace().map(str::to_owned)).collect()
        };
        Extra { sender: of_tool(&self.sender_options), receiver: of_tool(&self.receiver_options) }
    }
}

/// The seconds of a way by those of a reference.
fn times(row: &Row, runs: &Runs, reference: &str) -> Option<String> {
    decimals(Some(runs.median("seconds")? / row.way(reference)?.median("seconds")?), 2)
}

/// glancecast first.
const TOOLS: [&str; 5] = ["glancecast", "udpcast", "uftp", "http", "bittorrent"];
