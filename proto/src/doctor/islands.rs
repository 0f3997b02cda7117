//! Islands: networks that this machine's multicast does not reach, and which hosts hear each other there.
//!
//! ```text
//! sender --- probe for r2 ---> r2 === passes it on, TTL 1 ===> r3 reports: heard that of r2        one island: r2, r3
//!       '--- probe for r5 ---> r5 === passes it on, TTL 1         r6 reports: heard nothing       r6 is alone
//! ```
//!
//! A host that was asked to pass probes on stands for its network; a host that hears the one of another network belongs
//! there, too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::evidence::{HostEvidence, Passing};
use super::examiner::agenda::network_of;
use crate::ids::HostName;
use crate::relay::Prefix;

/// Hosts that are reached together, or not at all, by the multicast of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Island {
    /// The network of its first host.
    pub network: Prefix,
    /// Hosts that may relay, the one that was tried first; none if it does not pass anything on.
    pub relays: Vec<Member>,
    /// Hosts that do not hear what the first relay passes on.
    pub alone: Vec<Member>,
}

/// A host of an island.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: HostName,
    /// Where it is reached by unicast.
    pub address: SocketAddr,
}

impl Island {
    /// Whether multicast reaches some host from another one there; `None` where there is only one.
    pub fn carries_multicast(&self) -> Option<bool> {
        match (self.relays.len(), self.alone.len()) {
            (0 | 1, 0) => None,
            (relays, _) => Some(relays > 1),
        }
    }
}

/// Returns the islands that the evidence shows, by network.
pub fn islands(hosts: &[HostEvidence]) -> Vec<Island> {
    let tried: Vec<Tried<'_>> = hosts.iter().filter_map(Tried::of).collect();
    let mut chief = chiefs(&tried);
    // A host that hears the chiefs of two networks is in both, which are one.
    for host in &tried {
        let mut heard = host.heard().map(|name| root(&chief, name)).collect::<Vec<_>>();
        heard.extend(host.is_asked().then(|| root(&chief, host.name)));
        if let Some(&first) = heard.iter().min() {
            chief.extend(heard.iter().map(|&other| (other, first)));
        }
    }
    let of_network: BTreeMap<Prefix, &HostName> =
        tried.iter().filter(|host| host.is_asked()).map(|host| (host.network(), host.name)).collect();
    let mut islands: BTreeMap<&HostName, Island> = BTreeMap::new();
    // Chiefs come first, then those that hear one, then those that hear none.
    let mut ordered: Vec<&Tried<'_>> = tried.iter().collect();
    ordered.sort_by_key(|host| (!host.is_asked(), host.heard().next().is_none()));
    for host in ordered {
        let own = host.is_asked().then_some(host.name);
        let hears = own.or_else(|| host.heard().next());
        let Some(of) = hears.or_else(|| of_network.get(&host.network()).copied()) else { continue };
        let of = root(&chief, of);
        let island = islands.entry(of).or_insert_with(|| Island {
            network: host.network(),
            relays: Vec::new(),
            alone: Vec::new(),
        });
        let member = Member { name: host.name.clone(), address: host.address };
        let is_relay = match host.passing.passed_on {
            Some(passed_on) => passed_on > 0,
            None => hears.is_some(),
        };
        if is_relay { island.relays.push(member) } else { island.alone.push(member) }
    }
    let mut islands: Vec<Island> = islands.into_values().collect();
    islands.sort_by_key(|island| island.network);
    islands
}

/// A host that was asked what it hears of others.
struct Tried<'a> {
    name: &'a HostName,
    address: SocketAddr,
    passing: &'a Passing,
}

impl<'a> Tried<'a> {
    fn of(host: &'a HostEvidence) -> Option<Self> {
        Some(Self { name: &host.name, address: host.address?, passing: host.passing.as_ref()? })
    }

    /// Whether it was asked to pass probes on.
    fn is_asked(&self) -> bool {
        self.passing.passed_on.is_some()
    }

    fn network(&self) -> Prefix {
        network_of(self.address)
    }

    fn heard(&self) -> impl Iterator<Item = &'a HostName> {
        self.passing.heard.iter()
    }
}

/// Returns for each host that was asked to pass probes on the one that stands for its island: itself, at first.
fn chiefs<'a>(tried: &[Tried<'a>]) -> BTreeMap<&'a HostName, &'a HostName> {
    let asked: BTreeSet<&HostName> =
        tried.iter().filter(|host| host.is_asked()).map(|host| host.name).collect();
    let heard = tried.iter().flat_map(Tried::heard);
    asked.into_iter().chain(heard).map(|name| (name, name)).collect()
}

/// Follows chiefs to the one that is its own.
fn root<'a>(chief: &BTreeMap<&'a HostName, &'a HostName>, name: &'a HostName) -> &'a HostName {
    let mut at = name;
    while let Some(&next) = chief.get(at)
        && next != at
    {
        at = next;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_hear_the_one_of_their_network_are_an_island_and_those_that_do_not_are_alone() {
        let hosts = [
            host("r2", 1, Some(4), &[]),
            host("r3", 1, None, &["r2"]),
            host("r4", 1, None, &[]),
            host("r5", 2, Some(4), &[]),
            host("r6", 2, None, &[]),
            host("r7", 3, Some(4), &[]),
        ];
        let found = islands(&hosts);
        assert_eq!(
            found.iter().map(told).collect::<Vec<_>>(),
            ["10.0.1.0/24: r2 r3, alone r4", "10.0.2.0/24: r5, alone r6", "10.0.3.0/24: r7, alone"]
        );
        let carried: Vec<_> = found.iter().map(Island::carries_multicast).collect();
        assert_eq!(carried, [Some(true), Some(false), None]);
    }

    #[test]
    fn two_networks_of_one_segment_are_one_island() {
        let hosts = [
            host("r1", 1, Some(4), &["r3"]),
            host("r2", 1, None, &["r1", "r3"]),
            host("r3", 2, Some(4), &["r1"]),
            host("r4", 2, None, &["r1", "r3"]),
        ];
        assert_eq!(islands(&hosts).iter().map(told).collect::<Vec<_>>(), ["10.0.1.0/24: r1 r3 r2 r4, alone"]);
    }

    #[test]
    fn a_network_whose_host_passes_nothing_on_has_no_relay() {
        let hosts = [host("r1", 1, Some(0), &[]), host("r2", 1, None, &[])];
        let found = islands(&hosts);
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), ["10.0.1.0/24:, alone r1 r2"]);
        assert_eq!(found[0].carries_multicast(), Some(false));
    }

    #[test]
    fn hosts_that_were_not_asked_are_on_no_island() {
        assert_eq!(islands(&[HostEvidence::new(name("r1"))]), []);
    }

    fn told(island: &Island) -> String {
        let list =
            |members: &[Member]| members.iter().map(|member| format!(" {}", member.name)).collect::<String>();
        format!("{}:{}, alone{}", island.network, list(&island.relays), list(&island.alone))
    }

    fn host(text: &str, network: u8, passed_on: Option<u64>, heard: &[&str]) -> HostEvidence {
        let last = text[1..].parse().expect("a number");
        let passing = Passing { passed_on, heard: heard.iter().map(|text| name(text)).collect() };
        HostEvidence {
            address: Some(([10, 0, network, last], 7167).into()),
            passing: Some(passing),
            ..HostEvidence::new(name(text))
        }
    }

    fn name(text: &str) -> HostName {
        HostName::new(text).expect("a name")
    }
}
