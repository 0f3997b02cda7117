//! Options about networks that carry no multicast, or not everywhere.

use std::path::PathBuf;
use std::str::FromStr;

use glancecast_proto::relay::Prefix;

use super::common::Hosts;
use super::units;
use crate::request::{Listed, ReachOptions, Relaying, RequestError, Targets, Ways};

/// Where hosts are reached that the group may not reach.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Networks without multicast")]
pub(crate) struct AddressArgs {
    /// Hosts that are meant, as with --hosts, and the address of each: compute-1=10.0.0.11,compute-2=10.0.1.12.
    /// Without =ADDR the address is that of Nova or of DNS. Can be repeated
    #[arg(
        long, value_name = "HOST[=ADDR]", value_parser = Listed::from_str,
        conflicts_with_all = ["everyone", "expect", "aggregate", "availability_zone"]
    )]
    to: Vec<Listed>,
    /// Of several addresses of a host, in Nova or DNS, take the one in this network
    #[arg(long, value_name = "CIDR")]
    network: Option<Prefix>,
}

impl AddressArgs {
    /// Reads the hosts file, if there is one. Returns the hosts that are meant, and where they are reached.
    pub(super) fn with(self, hosts: Hosts) -> Result<(Targets, ReachOptions), RequestError> {
        let mut to = Listed::default();
        for listed in self.to {
            to.add(listed)?;
        }
        let (targets, addresses) = hosts.with_addresses(to)?;
        Ok((targets, ReachOptions { addresses, network: self.network, ..ReachOptions::default() }))
    }
}

/// By which ways hosts are reached.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Networks without multicast")]
pub(crate) struct ReachArgs {
    #[command(flatten)]
    addresses: AddressArgs,
    /// auto: multicast, and unicast to a relay in each network that the group does not reach, or to single hosts;
    /// multicast: the group alone; unicast: addresses of hosts alone
    #[arg(long, value_name = "auto|multicast|unicast", default_value = "auto", value_parser = units::ways)]
    reach: Ways,
    /// File that names racks and the hosts that may relay in each (docs/networks.md) [default: the sender finds both]
    #[arg(long, value_name = "FILE", conflicts_with = "no_relays")]
    relays: Option<PathBuf>,
    /// Let no host relay: each host that the group does not reach gets a copy of its own
    #[arg(long)]
    no_relays: bool,
}

impl ReachArgs {
    /// Reads the hosts file, if there is one. Returns the hosts that are meant, and by which ways they are reached.
    pub(super) fn with(self, hosts: Hosts) -> Result<(Targets, ReachOptions), RequestError> {
        let (targets, reach) = self.addresses.with(hosts)?;
        let relaying = match (self.relays, self.no_relays) {
            (Some(path), _) => Relaying::Racks(path),
            (None, true) => Relaying::Nobody,
            (None, false) => Relaying::Found,
        };
        Ok((targets, ReachOptions { ways: self.reach, relaying, ..reach }))
    }
}
