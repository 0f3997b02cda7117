//! By which ways a push reaches its hosts: the options, and what becomes of them once the addresses are known.
//!
//! The machine decides who relays and which host gets a copy of its own (`proto::sender`, paths). Here is found out what it
//! has to know for that: the addresses of hosts, and the racks that an operator describes.

mod address;
mod addresses;
mod relays_file;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use glancecast_platform::multicast::Group;
use glancecast_platform::transport::{Destinations, DestinationsError};
use glancecast_platform::units::Rate;
use glancecast_proto::ids::HostName;
use glancecast_proto::limits::PATHS_MAX;
use glancecast_proto::relay::Prefix;
use glancecast_proto::sender::{Expected, OneWay, Reach, Segment};
use tokio::time::timeout;

pub use address::{HostAddress, HostAddressError};
pub(crate) use addresses::{Addresses, NoAddress};
pub use relays_file::{Rack, RackError, RelaysFileError};

use super::{RequestError, ResolvedTargets};
use crate::openstack::{Cloud, Nova};
use addresses::Known;

/// By which ways a push may reach its hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReachOptions {
    /// The ways.
    pub ways: Ways,
    /// Addresses of hosts, as an operator gives them.
    pub addresses: BTreeMap<HostName, HostAddress>,
    /// The network in which other addresses have to be, for hosts that have several.
    pub network: Option<Prefix>,
    /// Who may relay.
    pub relaying: Relaying,
}

/// The ways by which datagrams go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ways {
    /// The multicast group, and unicast to relays or to hosts that it does not reach.
    #[default]
    Auto,
    /// The multicast group alone.
    Multicast,
    /// Unicast alone.
    Unicast,
}

/// Who relays to hosts that the group does not reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Relaying {
    /// Hosts that can, as the sender finds them.
    #[default]
    Found,
    /// Those of the racks in this file first.
    Racks(PathBuf),
    /// Nobody: each host gets a copy of its own.
    Nobody,
}

/// What is known of the network when addresses are looked for.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// The group of the hosts.
    pub(super) group: Group,
    /// The interface's address, where the interface is known already.
    pub(super) own: Option<IpAddr>,
    pub(super) one_way: Option<OneWay>,
    pub(super) targets: &'a ResolvedTargets,
    pub(super) cloud: Option<&'a Cloud>,
}

/// By which ways a push reaches its hosts, and the addresses that were found.
#[derive(Clone, Debug)]
pub(super) struct ResolvedReach {
    pub(super) reach: Reach,
    pub(super) missing: BTreeMap<HostName, NoAddress>,
}

impl ReachOptions {
    /// Checks what can be checked without the network; `names_hosts` tells whether hosts are named.
    pub(super) fn fault(&self, names_hosts: bool) -> Option<RequestError> {
        let is_plain = self.network.is_none() && self.relaying == Relaying::Found;
        match self.ways {
            Ways::Multicast if !is_plain => Some(RequestError::OnlyTheGroup),
            Ways::Unicast if !names_hosts => Some(RequestError::UnicastWhom),
            Ways::Auto | Ways::Multicast | Ways::Unicast => None,
        }
    }

    /// Finds the addresses of hosts and reads the racks.
    ///
    /// # Errors
    /// The file of racks is wrong; or a host has no address, in a push that has no other way to it.
    pub(super) async fn resolve(&self, around: Surroundings<'_>) -> Result<ResolvedReach, RequestError> {
        let group = SocketAddr::from(around.group);
        if self.ways == Ways::Multicast || (self.ways == Ways::Auto && around.one_way.is_some()) {
            return Ok(ResolvedReach { reach: Reach::by_group(group), missing: BTreeMap::new() });
        }
        let segments = self.segments(group.port())?;
        let Addresses { found, missing } = self.addresses(around).await;
        let has_group = self.ways == Ways::Auto;
        if !has_group && !missing.is_empty() {
            return Err(no_address(&missing));
        }
        let relays = self.relaying != Relaying::Nobody && around.one_way.is_none();
        let (fixed, hosts) = match around.one_way {
            None => (Vec::new(), found.into_iter().collect()),
            // Nobody answers: each host gets its copy from the start.
            Some(_) => (found.into_values().collect(), Vec::new()),
        };
        let alone: usize = if around.one_way.is_some() {
            fixed.len()
        } else if relays {
            0
        } else {
            hosts.len()
        };
        if !has_group && alone > PATHS_MAX as usize {
            return Err(RequestError::TooManyCopies(alone));
        }
        let group = has_group.then_some(group);
        let reach = Reach { group, fixed, hosts, segments, relays, ..Reach::default() };
        Ok(ResolvedReach { reach, missing })
    }

    fn segments(&self, port: u16) -> Result<Vec<Segment>, RequestError> {
        let Relaying::Racks(path) = &self.relaying else { return Ok(Vec::new()) };
        let addrs = |all: &[HostAddress]| all.iter().map(|address| address.with_port(port)).collect();
        let segment = |rack: Rack| Segment {
            relays: addrs(&rack.relays),
            uplink: rack.uplink.map(Rate::bits),
            multicast: rack.multicast,
            hosts: addrs(&rack.unicast),
            name: rack.name,
        };
        Ok(Rack::from_file(path)?.into_iter().map(segment).collect())
    }

    async fn addresses(&self, around: Surroundings<'_>) -> Addresses {
        let Expected::Named(names) = &around.targets.expected else { return Addresses::default() };
        let patience = if self.ways == Ways::Unicast { PATIENCE } else { PATIENCE_AUTO };
        let nova = match (around.targets.nova_addresses(), around.cloud) {
            (Some(addresses), _) => addresses.clone(),
            (None, Some(cloud)) if !names.iter().all(|name| self.addresses.contains_key(name)) => {
                timeout(patience, of_nova(cloud)).await.unwrap_or_default()
            }
            (None, _) => BTreeMap::new(),
        };
        let group = SocketAddr::from(around.group);
        let known = Known {
            given: &self.addresses,
            nova: &nova,
            network: self.network,
            like: around.own.unwrap_or(group.ip()),
            port: group.port(),
        };
        known.find(names.iter(), patience, addresses::ask).await
    }
}

impl ResolvedReach {
    /// Returns the destinations by which the interface and the family are chosen: the group, or if none is used the first
    /// addresses of hosts.
    pub(super) fn destinations(&self, group: Group) -> Result<Destinations, DestinationsError> {
        match self.reach.group {
            Some(_) => Ok(group.into()),
            None => Destinations::new(None, self.hosts().take(PATHS_MAX as usize - 1).collect()),
        }
    }

    /// Returns the addresses of hosts that may get datagrams.
    pub(super) fn hosts(&self) -> impl Iterator<Item = SocketAddr> {
        let Reach { fixed, hosts, segments, .. } = &self.reach;
        let of_racks = segments.iter().flat_map(|segment| segment.relays.iter().chain(&segment.hosts));
        fixed.iter().chain(hosts.iter().map(|(_, addr)| addr)).chain(of_racks).copied()
    }
}

/// Returns the addresses that Nova has, as far as the user of these credentials may see them.
async fn of_nova(cloud: &Cloud) -> BTreeMap<String, IpAddr> {
    match Nova::of(cloud) {
        Ok(nova) => nova.addresses().await,
        Err(error) => {
            tracing::info!("Nova has no address of a host: {error}");
            BTreeMap::new()
        }
    }
}

/// Returns the addresses that the name service has of hosts, within `patience`. Those of no use to `like`, the interface's
/// address, are left out.
pub(super) async fn addresses_of(
    names: &[HostName],
    like: IpAddr,
    port: u16,
    patience: Duration,
) -> BTreeMap<HostName, SocketAddr> {
    let (given, nova) = (BTreeMap::new(), BTreeMap::new());
    let known = Known { given: &given, nova: &nova, network: None, like, port };
    known.find(names.iter(), patience, addresses::ask).await.found
}

fn no_address(missing: &BTreeMap<HostName, NoAddress>) -> RequestError {
    let first: Vec<&str> = missing.keys().take(NAMED_MAX).map(HostName::as_str).collect();
    let more = missing.len() - first.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let why = missing.values().next().map(ToString::to_string).unwrap_or_default();
    RequestError::NoAddress { hosts: format!("{}{more}", first.join(", ")), why }
}

/// How long Nova and the name service are each waited for, where the group may do without.
const PATIENCE_AUTO: Duration = Duration::from_secs(2);
/// How long, where nothing can be sent without.
const PATIENCE: Duration = Duration::from_secs(20);
/// The maximum number of names in a message.
const NAMED_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_to_the_group_alone_takes_nothing_else_and_one_by_unicast_names_its_hosts() {
        let plain = |ways| ReachOptions { ways, ..ReachOptions::default() };
        for ways in [Ways::Auto, Ways::Multicast] {
            assert!(plain(ways).fault(false).is_none(), "{ways:?}");
        }
        assert!(matches!(plain(Ways::Unicast).fault(false), Some(RequestError::UnicastWhom)));
        assert!(plain(Ways::Unicast).fault(true).is_none());
        let network = Some("10.0.0.0/8".parse().expect("a network"));
        for more in [
            ReachOptions { network, ..ReachOptions::default() },
            ReachOptions { relaying: Relaying::Racks("r.toml".into()), ..ReachOptions::default() },
            ReachOptions { relaying: Relaying::Nobody, ..ReachOptions::default() },
        ] {
            assert!(more.fault(true).is_none(), "{more:?}");
            let only = ReachOptions { ways: Ways::Multicast, ..more };
            assert!(matches!(only.fault(true), Some(RequestError::OnlyTheGroup)), "{only:?}");
        }
    }

    #[test]
    fn hosts_without_an_address_are_named_where_there_is_no_other_way_to_them() {
        let options = |ways| ReachOptions {
            ways,
            addresses: [(host("c1"), "10.0.0.1".parse().expect("an address"))].into(),
            ..ReachOptions::default()
        };
        let error = resolve(&options(Ways::Unicast), &["c1", "c2.invalid"], None).expect_err("c2 has none");
        assert!(error.to_string().starts_with("c2.invalid: no address ("), "{error}");
        let found =
            resolve(&options(Ways::Auto), &["c1", "c2.invalid"], None).expect("the group may reach it");
        assert_eq!(found.reach.hosts, [(host("c1"), addr("10.0.0.1:7167"))]);
        assert_eq!(found.reach.group, Some(addr(Group::DEFAULT)));
        assert_eq!(found.missing.keys().collect::<Vec<_>>(), [&host("c2.invalid")]);
    }

    #[test]
    fn where_nobody_answers_every_host_gets_a_copy_from_the_start() {
        let options = ReachOptions {
            ways: Ways::Unicast,
            addresses: [(host("c1"), "10.0.0.1:9".parse().expect("an address"))].into(),
            ..ReachOptions::default()
        };
        let one_way = Some(OneWay { overhead: 0.1, passes: 1 });
        let reach = resolve(&options, &["c1"], one_way).expect("an address").reach;
        assert_eq!((reach.fixed, reach.hosts.len(), reach.relays), (vec![addr("10.0.0.1:9")], 0, false));
        let auto = ReachOptions { ways: Ways::Auto, ..options };
        assert_eq!(
            resolve(&auto, &["c1"], one_way).expect("the group").reach,
            Reach::by_group(addr(Group::DEFAULT))
        );
    }

    fn resolve(
        options: &ReachOptions,
        names: &[&str],
        one_way: Option<OneWay>,
    ) -> Result<ResolvedReach, RequestError> {
        let expected = Expected::Named(names.iter().map(|name| host(name)).collect());
        let around = Surroundings {
            group: Group::DEFAULT.parse().expect("a group"),
            own: None,
            one_way,
            targets: &ResolvedTargets { expected, ..ResolvedTargets::default() },
            cloud: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(options.resolve(around))
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn host(name: &str) -> HostName {
        HostName::new(name).expect("a name")
    }
}
