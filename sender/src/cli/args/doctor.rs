//! The options of `glancecast doctor`.

use std::str::FromStr;

use glancecast_platform::units::Rate;
use glancecast_proto::relay::Prefix;

use super::common::{Cloud, GroupKey, Hosts, Known, Network, Output, SigningArgs};
use crate::request::{DoctorRequest, Listed, ReachOptions, RequestError};

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Send probes at up to this rate, too, as 1gbit: a quarter, a half and all of it, 0.2 s each [default: 100 kB in all]
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// Hosts to examine, as with --hosts, and the address of each: compute-1=10.0.0.11. Without =ADDR the address is that of
    /// Nova or of DNS. Hosts whose address is known are examined where the group does not reach them. Can be repeated
    #[arg(
        long, value_name = "HOST[=ADDR]", value_parser = Listed::from_str,
        conflicts_with_all = ["everyone", "expect", "aggregate", "availability_zone"]
    )]
    to: Vec<Listed>,
    /// Of several addresses of a host, in Nova or DNS, take the one in this network
    #[arg(long, value_name = "CIDR")]
    network_of_hosts: Option<Prefix>,
    #[command(flatten)]
    cloud: Cloud,
    #[command(flatten)]
    hosts: Hosts,
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
    pub(crate) fn request(self) -> Result<DoctorRequest, RequestError> {
        let mut to = Listed::default();
        for listed in self.to {
            to.add(listed)?;
        }
        let (targets, addresses) = self.hosts.with_addresses(to)?;
        Ok(DoctorRequest {
            targets,
            cloud: self.cloud.choice(),
            network: self.network.marked(BEST_EFFORT),
            reach: ReachOptions { addresses, network: self.network_of_hosts, ..ReachOptions::default() },
            key: self.key.source()?,
            signing: self.signing.signing(),
            known_hosts: self.known.options(),
            rate: self.rate,
        })
    }
}

/// The DSCP of probes: they are few.
const BEST_EFFORT: u8 = 0;
