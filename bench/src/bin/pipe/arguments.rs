//! The command line.

use clap::Parser;
use glancecast_bench::lab::arguments::{Common, bytes};

/// Sends an image unshaped, and tells where the time goes. Needs root, but for --loopback.
#[derive(Debug, Parser)]
#[command(name = "pipe")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,

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
}
