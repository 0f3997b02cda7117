//! Options that several commands share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use glancecast_platform::multicast::Group;
use glancecast_platform::transport::{Marking, Offload};
use glancecast_proto::ids::HostName;
use glancecast_proto::known::UnknownHosts;
use glancecast_proto::limits::HOSTS_MAX;

use crate::openstack::{CloudChoice, Namesakes};
use crate::request::{
    self, HostAddress, HostList, KeySource, KnownHostsOptions, Listed, MissingHosts, RequestError, Signing,
    Targets,
};

/// The hosts that are meant.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Hosts [default: --everyone]")]
pub(crate) struct Hosts {
    /// All hosts of the group; none has to answer
    #[arg(long, group = "expected")]
    everyone: bool,
    /// Names of the hosts, separated by commas; ranges as in compute-[1-40,44] or compute-[001-040], those of a file as in
    /// @nodes.txt, ! before what is left out. Others neither write nor answer, here and with the next three options
    #[arg(long, value_name = "A,B", value_parser = HostList::from_str, group = "expected")]
    hosts: Vec<HostList>,
    /// File with the names of the hosts, - for standard input: a name or a range a line, with an address after a name if it has one, ! before what
    /// is left out, # starts a comment
    #[arg(long, value_name = "FILE", group = "expected")]
    hosts_file: Option<PathBuf>,
    /// All hosts of the group, of which so many have to answer
    #[arg(
        long, value_name = "N", group = "expected",
        value_parser = clap::value_parser!(u32).range(1..=HOSTS_MAX as i64)
    )]
    expect: Option<u32>,
    /// The hosts of this Nova aggregate, except those that are disabled or down; can be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "expected")]
    aggregate: Vec<String>,
    /// The same for an availability zone of Nova; with --aggregate: the hosts of both
    #[arg(long, value_name = "NAME", conflicts_with = "expected")]
    availability_zone: Vec<String>,
    /// Hosts that are left out of those, separated by commas; ranges and @FILE as above
    #[arg(long, value_name = "A,B", value_parser = HostList::from_str)]
    exclude: Vec<HostList>,
}

impl Hosts {
    /// Whether they are chosen by name, here, in a file or in Nova; otherwise every host of the group is meant.
    pub(super) fn are_named(&self) -> bool {
        let in_nova = !self.aggregate.is_empty() || !self.availability_zone.is_empty();
        !self.hosts.is_empty() || self.hosts_file.is_some() || in_nova
    }

    /// Reads the hosts file, if there is one.
    pub(super) fn targets(self) -> Result<Targets, RequestError> {
        Ok(self.with_addresses(Listed::default())?.0)
    }

    /// Reads the hosts file, if there is one. Returns the hosts that are meant, those of `to` among them, and the addresses
    /// that are given for some.
    pub(super) fn with_addresses(
        self,
        to: Listed,
    ) -> Result<(Targets, BTreeMap<HostName, HostAddress>), RequestError> {
        let Self { everyone: _, hosts, hosts_file, expect, exclude, .. } = self;
        let (aggregates, zones) = (self.aggregate, self.availability_zone);
        let except = joined(exclude)?;
        let mut listed = to;
        if let Some(path) = &hosts_file {
            let of_file = Listed::from_file(path)?;
            if of_file.hosts.hosts.is_empty() {
                return Err(RequestError::HostsFileEmpty(path.clone()));
            }
            listed.add(of_file)?;
        }
        for list in hosts {
            listed.hosts.add(list)?;
        }
        let Listed { hosts, addresses } = listed.with_files()?;
        let all = match expect {
            Some(count) => Ok(Targets::Count(count)),
            None if hosts != HostList::default() => Targets::of_list(hosts),
            None if aggregates.is_empty() && zones.is_empty() => Ok(Targets::Anyone),
            None => Ok(Targets::Nova { aggregates, zones }),
        };
        // A host after a ! is left out of what is excluded.
        Ok((all?.except(except.names().into_iter().collect())?, addresses))
    }
}

/// Returns all hosts of an option that was given several times, those of the files that it names among them. An
/// exception that takes none of them away is a mistake: these lists leave hosts out, forget them, or keep keys from
/// them.
pub(crate) fn joined(lists: Vec<HostList>) -> Result<HostList, RequestError> {
    let mut all = Listed::default();
    for list in lists {
        all.hosts.add(list)?;
    }
    let hosts = all.with_files()?.hosts;
    let idle = hosts.idle_exceptions().next().cloned();
    idle.map_or(Ok(hosts), |host| Err(RequestError::ExceptsNothing(host)))
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
    /// Send each datagram with a call and as a packet of its own: for drivers and virtual networks that damage batches
    #[arg(long)]
    no_offload: bool,
}

impl Network {
    pub(super) fn marked(self, dscp: u8) -> request::Network {
        let Self { group, interface, reply_port, ttl, no_offload } = self;
        let (destinations, marking) = (group.into(), Marking { ttl, dscp });
        let offload = if no_offload { Offload::Avoided } else { Offload::Used };
        request::Network { destinations, interface, reply_port, marking, offload }
    }
}

/// What becomes of hosts that did not answer.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Afterwards {
    /// Do not examine hosts that did not answer: without it, the first step of `glancecast doctor` is taken at their
    /// addresses at the end, which takes one to three seconds
    #[arg(long)]
    no_diagnosis: bool,
}

impl Afterwards {
    pub(super) fn missing(&self) -> MissingHosts {
        if self.no_diagnosis { MissingHosts::LeftAlone } else { MissingHosts::Examined }
    }
}

/// The group's key.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Keys")]
pub(crate) struct GroupKey {
    /// File with the group key; if given more than once, the first is used
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    key: Vec<PathBuf>,
    /// Use the key that everybody knows, for a lab only
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

/// The key that signs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Keys")]
pub(crate) struct SigningArgs {
    /// File with the sender key that signs; hosts that list it (--sender there) take nothing that is not signed by one
    /// of their senders
    #[arg(long, value_name = "FILE")]
    sender_key: Option<PathBuf>,
    /// Do not warn that nothing is signed: for hosts that accept everybody who has the group key
    #[arg(long, conflicts_with = "sender_key")]
    unsigned: bool,
}

impl SigningArgs {
    pub(super) fn signing(self) -> Signing {
        match (self.sender_key, self.unsigned) {
            (Some(path), _) => Signing::Key(path),
            (None, true) => Signing::Unsigned,
            (None, false) => Signing::Unset,
        }
    }
}

/// The hosts that are known by their keys.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Keys")]
pub(crate) struct Known {
    /// File with the public keys of known hosts [default: /etc/glancecast/known_hosts for root, else
    /// glancecast/known_hosts in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<PathBuf>,
    /// Count no host that is not in that file [default: the first key of a new host is taken and kept]
    #[arg(long)]
    strict_hosts: bool,
}

impl Known {
    pub(crate) fn options(&self) -> KnownHostsOptions {
        let unknown = if self.strict_hosts { UnknownHosts::Refused } else { UnknownHosts::Taken };
        KnownHostsOptions { file: self.known_hosts.clone(), unknown }
    }
}

/// The cloud that is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Cloud {
    /// Cloud of clouds.yaml to use [default: OS_CLOUD, the OS_* variables, or the only cloud]
    #[arg(long, value_name = "CLOUD")]
    os_cloud: Option<String>,
    /// Region of the cloud [default: OS_REGION_NAME, or the one of clouds.yaml]
    #[arg(long, value_name = "REGION")]
    os_region_name: Option<String>,
}

impl Cloud {
    pub(crate) fn choice(&self) -> CloudChoice {
        // The openstack command takes an empty value for none.
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        CloudChoice { cloud: set(&self.os_cloud), region: set(&self.os_region_name) }
    }
}

/// Returns the rule for images of one name, by `--latest`.
pub(super) fn namesakes(latest: bool) -> Namesakes {
    if latest { Namesakes::Latest } else { Namesakes::Refused }
}

/// What is printed at the end.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Print one JSON object on standard output instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}
