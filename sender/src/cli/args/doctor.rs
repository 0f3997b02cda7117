//! The options of `glancecast doctor`.

use std::path::PathBuf;

use glancecast_platform::units::Rate;

use super::common::{Cloud, GroupKey, Hosts, Known, Network, Output, SigningArgs};
use super::reach::AddressArgs;
use crate::cli::racks_file::RacksFile;
use crate::request::{DoctorRequest, RequestError};

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Send probes at up to this rate, too, as 1gbit: a quarter, a half and all of it, 0.2 s each [default: 100 kB in all]
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    #[command(flatten)]
    cloud: Cloud,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    addresses: AddressArgs,
    /// Write the networks that the group does not reach, and hosts that may relay there, into this file for `send --relays`
    #[arg(long, value_name = "FILE", help_heading = "Networks without multicast")]
    write: Option<PathBuf>,
    /// Replace that file if it is there
    #[arg(long, requires = "write", help_heading = "Networks without multicast")]
    force: bool,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    key: GroupKey,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    known: Known,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl DoctorArgs {
    /// Returns the file that the networks are written into, if they are to be.
    pub(crate) fn racks_file(&self) -> Option<RacksFile> {
        self.write.clone().map(|path| RacksFile { path, is_replaced: self.force })
    }

    pub(crate) fn request(self) -> Result<DoctorRequest, RequestError> {
        let (targets, reach) = self.addresses.with(self.hosts)?;
        Ok(DoctorRequest {
            targets,
            cloud: self.cloud.choice(),
            network: self.network.marked(BEST_EFFORT),
            reach,
            key: self.key.source()?,
            signing: self.signing.signing(),
            known_hosts: self.known.options(),
            rate: self.rate,
        })
    }
}

/// The DSCP of probes: they are few.
const BEST_EFFORT: u8 = 0;
