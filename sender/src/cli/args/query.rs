//! The options of `glancecast hosts`, `status`, `verify` and `unpin`.

use std::time::Duration;

use glancecast_platform::units::parse_duration;

use super::common::{Cloud, GroupKey, Hosts, Network, Output};
use crate::request::{QueryKind, QueryRequest, RequestError};

#[derive(Debug, clap::Args)]
pub(crate) struct QueryArgs {
    /// How long to ask; hosts that have begun to answer, or that verify, are waited for longer
    #[arg(long, value_name = "DUR", default_value = "2s", value_parser = parse_duration)]
    wait: Duration,
    #[command(flatten)]
    cloud: Cloud,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    network: Network,
    /// Differentiated services code point (DSCP) of the datagrams [default: 0, best effort, as they are few]
    #[arg(
        long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = "Network",
        value_parser = clap::value_parser!(u8).range(0..64)
    )]
    dscp: u8,
    #[command(flatten)]
    key: GroupKey,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImageQueryArgs {
    /// The image: its name on the hosts or in Glance, or its id in Glance
    pub(crate) image: String,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
}

impl QueryArgs {
    pub(crate) fn request(self, kind: QueryKind) -> Result<QueryRequest, RequestError> {
        Ok(QueryRequest {
            kind,
            targets: self.hosts.targets()?,
            os_cloud: self.cloud.os_cloud,
            network: self.network.marked(self.dscp),
            wait: self.wait,
            key: self.key.source()?,
        })
    }
}
