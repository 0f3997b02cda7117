//! Why no interface was found, and which one may be meant.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use glancecast_proto::wire::printable;

use super::OPEN_VSWITCH;
use crate::net::links::{self, Address, Link};

/// Why no interface was found.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// No interface has this name or address.
    #[error("interface {name:?} does not exist here; there are: {known}")]
    Unknown {
        /// The requested name or address.
        name: String,
        /// The existing names.
        known: String,
    },
    /// The interface has no address of the destinations' family.
    #[error("interface {name:?} has no {family} address{hint}")]
    NoAddress {
        /// The interface.
        name: String,
        /// IPv4 or IPv6.
        family: &'static str,
        /// Which interface may be meant.
        hint: Hint,
    },
    /// The kernel looks whether another machine has the interface's address (RFC 4862 §5.4).
    #[error("interface {name:?}: {addr} is being checked for duplicates: try again in a few seconds")]
    NotReady {
        /// The interface.
        name: String,
        /// The address.
        addr: IpAddr,
    },
    /// Another machine has the interface's address.
    #[error(
        "interface {name:?}: another machine has {addr}, too, so that the kernel does not use it: give the interface another one"
    )]
    Duplicate {
        /// The interface.
        name: String,
        /// The address.
        addr: IpAddr,
    },
    /// The routing table has no route to the destination.
    #[error("no route leads to {to}: say which interface with --interface")]
    NoRoute {
        /// The destination.
        to: SocketAddr,
    },
    /// The address exists on every link.
    #[error("{to} is link-local: say on which network with --interface")]
    LinkLocal {
        /// The address.
        to: SocketAddr,
    },
    /// The kernel did not list the interfaces.
    #[error("the interfaces cannot be listed: {0}")]
    List(io::Error),
}

impl InterfaceError {
    /// Returns the error for a name that nothing has.
    pub(super) fn unknown(text: &str) -> Self {
        match links::all() {
            Ok(links) => {
                let mut names: Vec<String> =
                    links.iter().take(NAMES_MAX).map(|link| printable(&link.name)).collect();
                if links.len() > NAMES_MAX {
                    names.push(format!("and {} others", links.len() - NAMES_MAX));
                }
                Self::Unknown { name: text.to_owned(), known: names.join(", ") }
            }
            Err(error) => Self::List(error),
        }
    }

    /// Returns the error for an address that the kernel does not use.
    pub(super) fn not_ready(text: &str, address: &Address) -> Self {
        let (name, addr) = (text.to_owned(), address.ip);
        if address.is_duplicate { Self::Duplicate { name, addr } } else { Self::NotReady { name, addr } }
    }

    /// Whether it may pass by itself: an interface, an address or a route may come later.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::LinkLocal { .. })
    }
}

/// Which interface has the address that another one lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// None is known.
    None,
    /// The interface is a port of `of`; `with`, the same or a further one, has an address.
    PortOf {
        /// What it is a port of.
        of: String,
        /// What has the address.
        with: Option<String>,
    },
    /// The interface is a port of Open vSwitch, where only the switch knows of which bridge.
    PortOfOpenVSwitch,
    /// This one, a VLAN on the interface or its like, has an address.
    Below(String),
}

impl Hint {
    /// Finds the interface that has the address of a link without one: what it is a port of, or what lies on it.
    pub(super) fn of(link: &Link, addresses: &[Address], links: &[Link]) -> Option<Self> {
        let has_address = |link: &&Link| addresses.iter().any(|address| address.link == link.index);
        let lies_on = |below: &Link| {
            links.iter().find(|other| other.lies_on == Some(below.index) && has_address(other))
        };
        let Some((above, kind)) = &link.port_of else {
            return lies_on(link).map(|with| Self::Below(with.name.clone()));
        };
        if kind == OPEN_VSWITCH {
            return Some(Self::PortOfOpenVSwitch);
        }
        // A port of a bond, which is a port of a bridge, on which there is a VLAN, ...
        let by_index = |index: u32| links.iter().find(|other| other.index == index);
        let first = by_index(*above)?;
        let further = |link: &&Link| link.port_of.as_ref().and_then(|(above, _)| by_index(*above));
        let mut chain = std::iter::successors(Some(first), further).take(LAYERS_MAX);
        let with = chain.find_map(|link| Some(link).filter(has_address).or_else(|| lies_on(link)));
        Some(Self::PortOf { of: first.name.clone(), with: with.map(|with| with.name.clone()) })
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::PortOf { of, with: Some(with) } if of == with => {
                write!(f, ": it is a port of {of}, which has one: give that", of = printable(of))
            }
            Self::PortOf { of, with: Some(with) } => {
                let (of, with) = (printable(of), printable(with));
                write!(f, ": it is a port of {of}, and {with} has the address: give that")
            }
            Self::PortOf { of, with: None } => {
                write!(
                    f,
                    ": it is a port of {of}, which has none either: give the interface with the address",
                    of = printable(of)
                )
            }
            Self::PortOfOpenVSwitch => {
                f.write_str(": it is a port of Open vSwitch: give the interface of its bridge, such as br-ex")
            }
            Self::Below(with) => write!(f, ": {with} on it has one: give that", with = printable(with)),
        }
    }
}

/// Names in an error: enough for a host; a node has an interface for each guest.
const NAMES_MAX: usize = 40;
/// Links on top of each other; the kernel allows eight (MAX_NEST_DEV).
const LAYERS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_that_has_the_address_is_found_through_bonds_bridges_and_vlans() {
        let link = |index, name: &str, port_of: Option<(u32, &str)>, lies_on| Link {
            index,
            name: name.to_owned(),
            port_of: port_of.map(|(above, kind)| (above, kind.to_owned())),
            lies_on,
            ..Link::default()
        };
        let links = [
            link(2, "eth0", Some((3, "bond")), None),
            link(3, "bond0", Some((4, "bridge")), None),
            link(4, "br0", None, None),
            link(5, "br0.7", None, Some(4)),
            link(6, "eth1", Some((7, "openvswitch")), None),
            link(8, "eth2", Some((9, "bridge")), None),
            // A circle, as no kernel makes it.
            link(10, "eth3", Some((11, "bridge")), None),
            link(11, "br1", Some((11, "bridge")), None),
        ];
        let hint_with = |of: usize, address_on: u32| {
            let address = Address { link: address_on, ..Address::of([10, 0, 0, 1].into()) };
            Hint::of(&links[of], &[address], &links).unwrap_or(Hint::None).to_string()
        };
        for (of, address_on, says) in [
            (0, 3, ": it is a port of bond0, which has one: give that"),
            (0, 4, ": it is a port of bond0, and br0 has the address: give that"),
            (0, 5, ": it is a port of bond0, and br0.7 has the address: give that"),
            (0, 99, ": it is a port of bond0, which has none either: give the interface with the address"),
            (2, 5, ": br0.7 on it has one: give that"),
            (2, 99, ""),
            (4, 99, ": it is a port of Open vSwitch: give the interface of its bridge, such as br-ex"),
            (5, 99, ""),
            (6, 99, ": it is a port of br1, which has none either: give the interface with the address"),
        ] {
            assert_eq!(hint_with(of, address_on), says, "{} {address_on}", links[of].name);
        }
    }
}
