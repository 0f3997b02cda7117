//! Compares glancecast with the usual tools over the same image, network, shaping and loss: udpcast, UFTP, HTTP (nginx
//! and curl) and BitTorrent (aria2 and opentracker), and with what the kernel's path alone carries.
//! Behind a router that forwards no multicast only those take part that reach all receivers.
//!
//! It needs root for network namespaces, and has no effect outside them. `docs/comparison.md` explains what is
//! measured, how, and why each tool has its options.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use glancecast_bench::case::Case;
use glancecast_bench::harness::{self, Bench};
use glancecast_bench::lab::arguments::Common;
use glancecast_bench::lab::network::{GBIT, MBIT, Network, Routed};
use glancecast_bench::lab::supervisor;
use glancecast_bench::plot::{Scale, plot};
use glancecast_bench::record::{Record, Row, Runs};
use glancecast_bench::render::Cell::{Median, Text};
use glancecast_bench::render::{Column, MIB, decimals};
use glancecast_bench::tools::{Extra, install};
use glancecast_bench::ways::{self, KERNEL_PATH, LINE};

/// Runs udpcast, UFTP, HTTP and BitTorrent beside glancecast in network namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(name = "versus")]
struct Versus {
    #[command(flatten)]
    common: Common,

    /// The tools to run; all of them when not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = TOOLS)]
    tools: Vec<String>,

    /// More options for a tool's last process on the sender, to try whether it can do better: `uftp=-R 500000`
    #[arg(long, value_name = "TOOL=OPTIONS", value_parser = options)]
    sender_options: Vec<(String, String)>,

    /// More options for a tool's receivers
    #[arg(long, value_name = "TOOL=OPTIONS", value_parser = options)]
    receiver_options: Vec<(String, String)>,

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
        Column::new("seconds", Median("seconds", 1.0, 2)),
        Column::new("x line", Text(|row, runs| times(row, runs, LINE))),
        Column::new("x kernel path", Text(|row, runs| times(row, runs, KERNEL_PATH))),
        Column::new("sent, MiB", Median("sent_bytes", MIB, 0)),
        Column::new("CPU s, sender", Median("sender_cpu_seconds", 1.0, 2)),
        Column::new("CPU s, all receivers", Median("receivers_cpu_seconds", 1.0, 2)),
        Column::new("failed", Text(|_, runs| Some(format!("{} of {}", runs.failures(), runs.runs.len())))),
    ];
    /// All tools run once, then all of them run again.
    const ALTERNATES: bool = false;

    fn common(&self) -> &Common {
        &self.common
    }

    fn cases(&self) -> Result<Vec<Case>> {
        let case = |(name, network, mib): (&'static str, Network, u64)| {
            let mut ways = ways::references(&network);
            let able = |tool: &&str| self.runs(tool) && ways::reaches(tool, &network);
            for tool in TOOLS.into_iter().filter(able) {
                ways.push(ways::tool(tool, self.extra(tool)));
            }
            Case::random(name, network, mib << 20, ways)
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
            ("2x4-200m-routed", Network::routed(8, 200 * MBIT, Routed::Racks(2)), 64),
            ("8x200m-unicast", Network::routed(8, 200 * MBIT, Routed::UnicastOnly), 64),
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
        let title = "Seconds until the last host has the image (each row on a scale of its own)";
        Some(plot(title, record, Scale::Row))
    }
}

impl Versus {
    fn runs(&self, tool: &str) -> bool {
        self.tools.is_empty() || self.tools.iter().any(|wanted| wanted == tool)
    }

    fn extra(&self, tool: &str) -> Extra {
        let of_tool = |options: &[(String, String)]| {
            let options = options.iter().filter(|(name, _)| name == tool);
            options.flat_map(|(_, options)| options.split_whitespace().map(str::to_owned)).collect()
        };
        Extra { sender: of_tool(&self.sender_options), receiver: of_tool(&self.receiver_options) }
    }
}

/// Parses `TOOL=OPTIONS`.
fn options(text: &str) -> Result<(String, String), String> {
    let (name, options) = text.split_once('=').ok_or("give it as TOOL=OPTIONS")?;
    let known = TOOLS.contains(&name);
    known
        .then(|| (name.into(), options.into()))
        .ok_or(format!("there is no tool {name}; there are {}", TOOLS.join(", ")))
}

/// Returns the seconds of a way divided by those of a reference.
fn times(row: &Row, runs: &Runs, reference: &str) -> Option<String> {
    decimals(Some(runs.median("seconds")? / row.way(reference)?.median("seconds")?), 2)
}

/// glancecast first.
const TOOLS: [&str; 5] = ["glancecast", "udpcast", "uftp", "http", "bittorrent"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_added_to_the_tool_they_name() {
        let versus = Versus::parse_from([
            "versus",
            "--tools",
            "uftp,http",
            "--sender-options",
            "uftp=-R 500000 -b 1300",
        ]);
        assert_eq!(versus.extra("uftp").sender, ["-R", "500000", "-b", "1300"]);
        assert!(versus.extra("http").sender.is_empty() && versus.runs("http") && !versus.runs("glancecast"));
        for wrong in [["--receiver-options", "scp=-C"], ["--receiver-options", "uftp"], ["--tools", "scp"]] {
            assert!(Versus::try_parse_from([&["versus"][..], &wrong].concat()).is_err(), "{wrong:?}");
        }
    }
}
