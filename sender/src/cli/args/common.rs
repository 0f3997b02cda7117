//! Options that several commands share.

use std::path::PathBuf;

use glancecast_platform::multicast::Group;
use glancecast_platform::transport::Marking;
use glancecast_proto::ids::HostName;
use glancecast_proto::limits::HOSTS_MAX;

use crate::request::{self, KeySource, RequestError, Targets};

/// The expected hosts.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Expected hosts [default: every host that answers]")]
pub(crate) struct Hosts {
    /// Names of the expected hosts, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = HostName::new, group = "expected")]
    hosts: Vec<HostName>,
    /// File with the names of the expected hosts: one a line, # starts a comment
    #[arg(long, value_name = "FILE", group = "expected")]
    hosts_file: Option<PathBuf>,
    /// Number of expected hosts, whichever they are
    #[arg(
        long, value_name = "N", group = "expected",
        value_parser = clap::value_parser!(u32).range(1..=HOSTS_MAX as i64)
    )]
    expect: Option<u32>,
    /// Expect the hosts of this Nova aggregate, except those that are disabled or down; can be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "expected")]
    aggregate: Vec<String>,
    /// The same for an availability zone of Nova; with --aggregate: the hosts of both
    #[arg(long, value_name = "NAME", conflicts_with = "expected")]
    availability_zone: Vec<String>,
}

impl Hosts {
    /// Reads the hosts file, if there is one.
    pub(super) fn targets(self) -> Result<Targets, RequestError> {
        let Self { hosts, hosts_file, expect, aggregate: aggregates, availability_zone: zones } = self;
        match (hosts_file, expect) {
            (Some(path), _) => Targets::from_file(&path),
            (None, Some(count)) => Ok(Targets::Count(count)),
            _ if !hosts.is_empty() => Ok(Targets::Named(hosts.into_iter().collect())),
            _ if aggregates.is_empty() && zones.is_empty() => Ok(Targets::Anyone),
            _ => Ok(Targets::Nova { aggregates, zones }),
        }
    }
}

/// The network that a push or a query goes out to.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct Network {
    /// Multicast group and port
    #[arg(long, value_name = "ADDR:PORT", default_value = Group::DEFAULT)]
    group: Group,
    /// Interface to send on: name or address [default: the one that the routing table has for the group]
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    /// UDP port that hosts answer to, for firewalls [default: any free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    reply_port: u16,
    /// TTL of datagrams to the group: 1 stays in the local network, each router takes one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    ttl: u8,
}

impl Network {
    pub(super) fn marked(self, dscp: u8) -> request::Network {
        let Self { group, interface, reply_port, ttl } = self;
        let (destinations, marking) = (group.into(), Marking { ttl, dscp });
        request::Network { destinations, interface, reply_port, marking }
    }
}

/// The group's key.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Keys")]
pub(crate) struct GroupKey {
    /// File with the group key; if given more than once, the first is used
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    key: Vec<PathBuf>,
    /// Use the key that everybody knows: for a lab only
    #[arg(long)]
    insecure: bool,
}

impl GroupKey {
    pub(super) fn source(self) -> Result<KeySource, RequestError> {
        match (self.key.into_iter().next(), self.insecure) {
            (Some(path), _) => Ok(KeySource::File(path)),
            (None, true) => Ok(KeySource::Insecure),
            (None, false) => Err(RequestError::NoKey),
        }
    }
}

/// The cloud that is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Cloud {
    /// Cloud of clouds.yaml to use [default: OS_CLOUD, or the OS_* variables]
    #[arg(long, value_name = "CLOUD")]
    pub(crate) os_cloud: Option<String>,
}

/// What is printed at the end.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Print one JSON object on standard output instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}
