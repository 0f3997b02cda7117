//! The time of a push and of separate downloads, for increasing numbers of hosts: README's picture.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use glancecast_bench::case::Case;
use glancecast_bench::harness::{self, Bench};
use glancecast_bench::lab::arguments::Common;
use glancecast_bench::lab::network::{MBIT, Network};
use glancecast_bench::plot::{Scale, plot};
use glancecast_bench::record::Record;
use glancecast_bench::render::Cell::Median;
use glancecast_bench::render::{Column, MIB};
use glancecast_bench::tools::Extra;
use glancecast_bench::ways::{self, LINE};

/// Pushes an image to 1, 4 and 16 hosts, and has each of as many hosts download it. Needs root, nginx and curl.
#[derive(Debug, Parser)]
#[command(name = "push")]
struct Push {
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    harness::main::<Push>()
}

impl Bench for Push {
    const NAME: &'static str = "push";
    const HEAD: &'static str = "\
# One push beside as many downloads

Written by `make bench-push`, and drawn again from the JSON by `make picture`. Seconds until the last host had a file equal
to the image; HTTP is nginx on the sender and one curl on each host.";
    const COLUMNS: &'static [Column] = &[
        Column::new("seconds", Median("seconds", 1.0, 2)),
        Column::new("sent, MiB", Median("sent_bytes", MIB, 0)),
    ];

    fn common(&self) -> &Common {
        &self.common
    }

    fn cases(&self) -> Result<Vec<Case>> {
        let case = |(name, hosts): (&'static str, usize)| {
            let network = Network::shaped(hosts, 200 * MBIT, false, 0);
            let mut ways: Vec<_> =
                ways::references(&network).into_iter().filter(|way| way.name == LINE).collect();
            ways.extend(["glancecast", "http"].map(|tool| ways::tool(tool, Extra::default())));
            let plural = if hosts == 1 { "" } else { "s" };
            let work = format!("{hosts} host{plural}, {} MiB over a line of 200 Mbit/s", IMAGE_BYTES >> 20);
            Case { work, ..Case::random(name, network, IMAGE_BYTES, ways) }
        };
        Ok([("1-host", 1), ("4-hosts", 4), ("16-hosts", 16)].map(case).into())
    }

    fn plot(record: &Record) -> Option<String> {
        Some(plot("Seconds until the last host has the image (shorter is better)", record, Scale::Common))
    }
}

const IMAGE_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use glancecast_tests::places;

    use super::*;

    #[test]
    fn the_committed_picture_is_the_one_of_the_committed_record() {
        let docs = places::workspace().join("docs");
        let record = Record::read(&docs, Push::NAME).expect("docs/push.json");
        let drawn = fs::read_to_string(docs.join("push.svg")).expect("docs/push.svg");
        assert_eq!(Push::plot(&record), Some(drawn), "make picture");
    }
}
