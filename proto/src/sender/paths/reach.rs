//! By which ways a push may reach its hosts.

use std::net::SocketAddr;

use crate::ids::HostName;

/// By which ways a push may reach its hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The multicast group; `None` where the push uses none.
    pub group: Option<SocketAddr>,
    /// Addresses that get a copy of everything for the whole push, whoever is there.
    pub fixed: Vec<SocketAddr>,
    /// Addresses of named hosts, with the group's port. A host that the group does not reach is found there.
    pub hosts: Vec<(HostName, SocketAddr)>,
    /// Segments that are known beforehand.
    pub segments: Vec<Segment>,
    /// Bits in a second that the sender's interface bears; 0 where that is not known.
    pub line: u64,
    /// Whether hosts may relay. If not, each host that the group does not reach gets a copy of its own.
    pub relays: bool,
}

impl Reach {
    /// Returns the reach of a push to this group alone.
    pub fn by_group(group: SocketAddr) -> Self {
        Self { group: Some(group), ..Self::default() }
    }
}

/// A network segment in which a relay serves the hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its name in tables and messages.
    pub name: String,
    /// The hosts that may relay for it, the preferred one first.
    pub relays: Vec<SocketAddr>,
    /// Bits in a second that the way to the segment bears, if that is known.
    pub uplink: Option<u64>,
    /// Whether the segment carries multicast.
    pub multicast: bool,
    /// The hosts of the segment that are known beforehand.
    pub hosts: Vec<SocketAddr>,
}
