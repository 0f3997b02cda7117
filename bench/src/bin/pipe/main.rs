//! Profiles glancecast's data path from file to file without a line rate: a sender and receivers in network namespaces,
//! or on the loopback interface without root. `docs/performance.md` explains the result.

mod profile;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use glancecast_bench::case::{Case, Way};
use glancecast_bench::glancecast::{Glancecast, Programs};
use glancecast_bench::harness::{self, Bench};
use glancecast_bench::lab::arguments::{Common, bytes};
use glancecast_bench::lab::network::Network;
use glancecast_bench::lab::supervisor;
use glancecast_bench::record::Row;
use glancecast_bench::render::Column;
use glancecast_bench::run::Site;

/// Sends an image unshaped, and shows where the time goes. Needs root, but for --loopback.
#[derive(Debug, Parser)]
#[command(name = "pipe")]
struct Pipe {
    #[command(flatten)]
    common: Common,

    /// Use the loopback interface instead of network namespaces
    #[arg(long, conflicts_with_all = ["loss", "one_packet_a_call"])]
    loopback: bool,

    /// The number of receivers
    #[arg(long, value_name = "N", default_value_t = 1)]
    receivers: usize,

    /// Packets of a thousand that each receiver loses; a packet is a whole batch
    #[arg(long, value_name = "PERMILLE", default_value_t = 0)]
    loss: u32,

    /// Each datagram crosses as a packet of its own
    #[arg(long)]
    one_packet_a_call: bool,

    /// Bytes of the image, with k, m or g for a power of 1024
    #[arg(long, value_name = "BYTES", default_value = "1g", value_parser = bytes)]
    size: u64,

    /// The sender's --rate
    #[arg(long, value_name = "RATE", default_value = "auto:20gbit")]
    rate: String,
}

fn main() -> ExitCode {
    harness::main::<Pipe>()
}

impl Bench for Pipe {
    const NAME: &'static str = "pipe";
    const HEAD: &'static str = "\
# From file to file

Written by `make bench-pipe`; `docs/performance.md` explains stages and threads. They are those of the run in the middle.";
    const COLUMNS: &'static [Column] = &[];
    const STOPS: bool = true;

    fn common(&self) -> &Common {
        &self.common
    }

    fn cases(&self) -> Result<Vec<Case>> {
        if self.receivers == 0 {
            bail!("a push needs a receiver");
        }
        let network = Network {
            receivers: self.receivers,
            line_bits_per_second: None,
            offload: !self.one_packet_a_call,
            loss_per_mille: self.loss,
            routed: None,
        };
        let crossing = match (self.loopback, self.one_packet_a_call) {
            (true, _) => "loopback",
            (false, false) => "namespaces, batches cross whole",
            (false, true) => "namespaces, one packet a call",
        };
        let (size, receivers, loss, rate) = (self.size >> 20, self.receivers, self.loss, &self.rate);
        let work = format!("{size} MiB to {receivers}, {crossing}, {loss} per mille lost, rate {rate}");
        let push = Glancecast { profile: true, ..Glancecast::new(&Programs::ours(), rate) };
        let loopback = self.loopback;
        let way = Way::new("glancecast", move |ground| {
            let site = if loopback { Site::loopback(ground, ground.directory)? } else { ground.site()? };
            profile::run(&push.push(&site)?)
        });
        Ok(vec![Case { work, ..Case::random("pipe", network, self.size, vec![way]) }])
    }

    fn check(&self) -> Result<()> {
        if self.loopback {
            return Ok(());
        }
        supervisor::need_root(Self::NAME)
            .context("--loopback does without, where a datagram is as long as 9000 bytes")
    }

    fn section(row: &Row) -> String {
        profile::section(row).unwrap_or_else(|error| format!("{error:#}\n"))
    }
}
