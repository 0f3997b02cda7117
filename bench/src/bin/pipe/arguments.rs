//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use glancecast_bench::lab::arguments::bytes;

/// Sends an image unshaped, and tells where the time goes. Needs root, but for --loopback.
#[derive(Debug, Parser)]
#[command(name = "pipe")]
pub(crate) struct Arguments {
    /// Where pipe.json is written
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    pub(crate) output: PathBuf,

    /// Use the loopback interface instead of network namespaces
    #[arg(long, conflicts_with_all = ["loss", "one_packet_a_call"])]
    pub(crate) loopback: bool,

    /// How many receivers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) receivers: usize,

    /// Packets of a thousand that each receiver loses; a packet is a whole batch
    #[arg(long, value_name = "PERMILLE", default_value_t = 0)]
    pub(crate) loss: u32,

    /// Each datagram crosses as a packet of its own
    #[arg(long)]
    pub(crate) one_packet_a_call: bool,

    /// Bytes of the image, with k, m or g for a power of 1024
    #[arg(long, value_name = "BYTES", default_value = "1g", value_parser = bytes)]
    pub(crate) size: u64,

    /// The sender's --rate
    #[arg(long, value_name = "RATE", default_value = "auto:20gbit")]
    pub(crate) rate: String,

    /// How often; the profile is that of the run in the middle
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) repeat: usize,

    /// Seconds after which a run has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    limit: u64,

    /// Where the image and the copies are kept while it runs: memory, so that no disk decides
    #[arg(long, value_name = "DIRECTORY", default_value = "/dev/shm")]
    pub(crate) memory: PathBuf,

    /// A lock file to hold during each repetition, if the machine is shared with somebody who holds it too
    #[arg(long, value_name = "FILE")]
    pub(crate) lock: Option<PathBuf>,

    /// The number that the image's bytes come from
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) seed: u64,

    /// Set by the supervisor for the process that measures
    #[arg(long, hide = true)]
    pub(crate) work_in: Option<PathBuf>,
}

impl Arguments {
    /// When a run has failed.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }
}
