//! The plan of a push, as it is shown to a person.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ids::HostName;

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
