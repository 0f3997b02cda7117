//! The options of `glancecast hosts`, `status`, `verify`, `pin`, `unpin` and `remove`.

use std::str::FromStr;
use std::time::Duration;

use glancecast_platform::units::parse_duration;
use glancecast_proto::wire::PinTime;

use super::common::{Afterwards, Cloud, GroupKey, Hosts, Known, Network, SigningArgs, namesakes};
use super::listing::ListArgs;
use super::units;
use crate::openstack::Namesakes;
use crate::request::{HostList, QueryKind, QueryRequest, RequestError};

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
    signing: SigningArgs,
    #[command(flatten)]
    pub(crate) known: Known,
    #[command(flatten)]
    afterwards: Afterwards,
    #[command(flatten)]
    pub(crate) output: ListArgs,
    /// Ask again and again, with so much time between two queries [default: 5s]: on a terminal in place, else one list after
    /// the other. For hosts and status
    #[arg(
        long, value_name = "DUR", num_args = 0..=1, require_equals = true, default_missing_value = "5s",
        value_parser = parse_duration, help_heading = "Output"
    )]
    pub(crate) watch: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HostsArgs {
    /// Ask nobody, and remove these hosts from the file of known hosts: the next key of such a host is taken as that of
    /// a new one. For hosts that were reinstalled or have left; ranges and @FILE as in --hosts; needs no key
    #[arg(
        long, value_name = "NAME", num_args = 1.., value_parser = HostList::from_str,
        conflicts_with_all = ["expected", "aggregate", "availability_zone", "exclude", "strict_hosts"]
    )]
    pub(crate) forget: Vec<HostList>,
    /// Add the keys of the hosts that answer to the file of known hosts; a key that is there is not replaced. For hosts
    /// that a push with --strict-hosts is to reach
    #[arg(long, conflicts_with_all = ["forget", "strict_hosts"])]
    pub(crate) enroll: bool,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImageQueryArgs {
    /// The image: its name on the hosts or in Glance, or its id in Glance
    pub(crate) image: String,
    /// Of several active images of the name in Glance, take the one that was created last [default: refuse them]
    #[arg(long)]
    latest: bool,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// The image: its name on the hosts or in Glance, or its id in Glance [default: list all that lies on the hosts]
    pub(crate) image: Option<String>,
    /// Of several active images of the name in Glance, take the one that was created last [default: refuse them]
    #[arg(long)]
    latest: bool,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
}

impl StatusArgs {
    pub(crate) fn namesakes(&self) -> Namesakes {
        namesakes(self.latest)
    }
}

/// The options of `glancecast verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// Take the names of copies that are damaged, so that nothing starts from them; a copy that something uses keeps its
    /// name. The next push of the image sends what is damaged, and nothing else
    #[arg(long)]
    pub(crate) quarantine: bool,
    #[command(flatten)]
    pub(crate) image: ImageQueryArgs,
}

/// The options of `glancecast pin`.
#[derive(Debug, clap::Args)]
pub(crate) struct PinArgs {
    /// How long to keep it from now on: 7d, or forever (until it is unpinned). It replaces the pin that the image has,
    /// also a longer one
    #[arg(long = "for", value_name = "DUR|forever", default_value = "forever", value_parser = units::pin_time)]
    pub(crate) time: PinTime,
    #[command(flatten)]
    pub(crate) image: ImageQueryArgs,
}

/// The options of `glancecast remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// Remove it also where it is pinned
    #[arg(long)]
    pub(crate) even_pinned: bool,
    /// Do not ask before it is removed from every host of the group
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) image: ImageQueryArgs,
}

impl RemoveArgs {
    /// Whether the hosts are named, one by one or in Nova.
    pub(crate) fn names_hosts(&self) -> bool {
        self.image.query.hosts.are_named()
    }
}

impl ImageQueryArgs {
    pub(crate) fn namesakes(&self) -> Namesakes {
        namesakes(self.latest)
    }
}

impl QueryArgs {
    pub(crate) fn request(self, kind: QueryKind, namesakes: Namesakes) -> Result<QueryRequest, RequestError> {
        Ok(QueryRequest {
            kind,
            targets: self.hosts.targets()?,
            cloud: self.cloud.choice(),
            namesakes,
            is_in_glance: false,
            network: self.network.marked(self.dscp),
            wait: self.wait,
            key: self.key.source()?,
            signing: self.signing.signing(),
            known_hosts: self.known.options(),
            missing: self.afterwards.missing(),
        })
    }
}
