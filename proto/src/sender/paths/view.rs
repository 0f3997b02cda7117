//! The plan of a push, as it is shown to a person.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Paths;
use super::members::Member;
use crate::ids::{HostName, ReceiverId};
use crate::sender::event::RelayFault;

/// By which way each relay and each host without multicast is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanView {
    /// Copies of each datagram that the sender's interface sends.
    pub copies: u32,
    /// Bits in a second that each path bears by the plan; 0 where no line is known.
    pub rate: u64,
    /// The time that the plan takes for the whole object; `None` where no line is known.
    pub time: Option<Duration>,
    /// Levels of the tree: 1 if all are served by the sender itself, 0 if there is nobody to serve.
    pub depth: u32,
    /// Relays, and hosts without multicast, parents before their children.
    pub rows: Vec<PlanRow>,
}

/// One relay, or one host that gets its datagrams by unicast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRow {
    /// The host's name, if it is known.
    pub name: Option<HostName>,
    /// Its address.
    pub addr: SocketAddr,
    /// The address of the host that sends to it; `None` for the sender itself.
    pub parent: Option<SocketAddr>,
    /// Its level in the tree, 1 below the sender.
    pub depth: u32,
    /// The number of hosts to which it sends by unicast.
    pub children: u32,
    /// The segment that it multicasts in, if it does.
    pub segment: Option<SegmentView>,
}

/// A segment with a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentView {
    /// Its name: of the configuration, or its network prefix.
    pub name: String,
    /// The number of hosts that hear its relay, the relay included.
    pub hosts: u32,
}

/// By which way a host gets what is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// It hears the sender's own multicast.
    Group,
    /// It hears the multicast of this relay.
    Relay(HostName),
    /// The sender sends to it by unicast.
    Unicast,
    /// This host sends to it by unicast.
    Parent(HostName),
}

impl Paths {
    /// Returns the plan.
    pub(in crate::sender) fn view(&self) -> PlanView {
        let levels = self.tree.by_level();
        let row = |&(id, depth): &(ReceiverId, u32)| {
            let node = self.tree.get(id)?;
            let segment = node.segment.map(|at| SegmentView {
                name: self.segments.get(at).name.clone(),
                hosts: 1 + self.members.iter().filter(|&(other, _)| self.relay_of(other) == Some(id)).count()
                    as u32,
            });
            Some(PlanRow {
                name: self.members.get(id).map(|member| member.name.clone()),
                addr: node.addr,
                parent: node.parent.and_then(|parent| self.tree.get(parent)).map(|parent| parent.addr),
                depth,
                children: node.children.len() as u32,
                segment,
            })
        };
        PlanView {
            copies: self.copies(),
            rate: self.tree.rate(),
            time: Some(self.tree.time()).filter(|time| !time.is_zero()),
            depth: levels.last().map_or(0, |&(_, level)| level),
            rows: levels.iter().filter_map(row).collect(),
        }
    }

    /// Returns by which way each host is served, as far as it is not the group, and why one is not served any more.
    pub(in crate::sender) fn ways(&self) -> BTreeMap<HostName, Way> {
        let name = |id: ReceiverId| self.members.get(id).map(|member| member.name.clone());
        let way = |(id, member): (ReceiverId, &Member)| {
            let via = match (self.relay_of(id), self.tree.get(id)) {
                (Some(relay), _) => name(relay).map(Via::Relay),
                (None, Some(node)) => match node.parent {
                    None => Some(Via::Unicast),
                    Some(parent) => name(parent).map(Via::Parent),
                },
                (None, None) => None,
            };
            (member.name.clone(), Way { via, lost: self.lost.get(&id).copied() })
        };
        self.members.iter().map(way).collect()
    }
}

/// The way of one host that the group does not reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sender) struct Way {
    /// By which way it is served.
    pub(in crate::sender) via: Option<Via>,
    /// Why it has lost its relay, if nobody has taken its place.
    pub(in crate::sender) lost: Option<RelayFault>,
}
