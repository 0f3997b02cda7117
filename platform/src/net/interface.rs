//! Network interfaces: found by name, by address, or by the route to the destinations; never guessed silently.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};

use crate::units::Rate;

/// An interface with an address of the destinations' family. `Display` shows what an operator needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The name as in `ip link`.
    pub name: String,
    /// The kernel's index.
    pub index: u32,
    /// The address: the requested one, otherwise the kernel's source address.
    pub addr: IpAddr,
    /// Maximum length of an IP packet in bytes, for the family of `addr`.
    pub mtu: u32,
    /// The speed, if the driver reports one.
    pub speed: Option<Rate>,
    /// How the interface was chosen.
    pub chosen: Chosen,
}

/// How an interface was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// By the operator.
    Named,
    /// By the routing table.
    ByRoute,
}

impl Interface {
    /// Returns the interface `name`, or the one of the route to `to` if no name is given.
    ///
    /// # Errors
    /// Those of [`Interface::find`] and [`Interface::by_route`].
    pub fn choose(name: Option<&str>, to: impl Into<SocketAddr>) -> Result<Self, InterfaceError> {
        match name {
            Some(name) => Self::find(name, to),
            None => Self::by_route(to),
        }
    }

    /// Returns the interface with this name or address, with an address of the family of `to`.
    ///
    /// # Errors
    /// [`InterfaceError`], which lists the existing names.
    pub fn find(text: &str, to: impl Into<SocketAddr>) -> Result<Self, InterfaceError> {
        let to = to.into();
        let all = addresses().map_err(InterfaceError::List)?;
        let wanted: Option<IpAddr> = text.parse().ok();
        let known = all.iter().any(|(name, addr)| name == text || Some(*addr) == wanted);
        if !known {
            let mut names: Vec<String> = all.into_iter().map(|(name, _)| name).collect();
            names.dedup();
            return Err(InterfaceError::Unknown { name: text.to_owned(), known: names.join(", ") });
        }
        let same_family = |addr: &IpAddr| addr.is_ipv4() == to.is_ipv4();
        let (name, addr) = all
            .into_iter()
            .find(|(name, addr)| same_family(addr) && (name == text || Some(*addr) == wanted))
            .ok_or_else(|| InterfaceError::NoAddress { name: text.to_owned(), family: family(to) })?;
        let mut interface = Self::describe(name, addr, Chosen::Named)?;
        if wanted.is_none() && !addr.is_ipv4() {
            // If there are several IPv6 addresses, the kernel prefers one of the destination's scope (RFC 6724 §5).
            interface.addr = own_address(to, interface.index).unwrap_or(addr);
        }
        Ok(interface)
    }

    /// Returns the interface through which the routing table sends datagrams to `to`.
    ///
    /// # Errors
    /// [`InterfaceError::NoRoute`] without a route, [`InterfaceError::LinkLocal`] if `to` exists on every link.
    pub fn by_route(to: impl Into<SocketAddr>) -> Result<Self, InterfaceError> {
        let to = to.into();
        if matches!(to, SocketAddr::V6(v6) if needs_link(v6.ip())) {
            return Err(InterfaceError::LinkLocal { to });
        }
        let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        // Connecting a UDP socket sends nothing: it looks up the route and the source address.
        let local = UdpSocket::bind(any)
            .and_then(|socket| socket.connect(to).and_then(|()| socket.local_addr()))
            .map_err(|_| InterfaceError::NoRoute { to })?;
        let scope = if let SocketAddr::V6(local) = local { local.scope_id() } else { 0 };
        let all = addresses().map_err(InterfaceError::List)?;
        let is_it = |(name, addr): &(String, IpAddr)| {
            // Several interfaces may have the same link-local address.
            *addr == local.ip() && (scope == 0 || if_nametoindex(name.as_str()) == Ok(scope))
        };
        let (name, addr) = all.into_iter().find(is_it).ok_or(InterfaceError::NoRoute { to })?;
        Self::describe(name, addr, Chosen::ByRoute)
    }

    /// Returns the address with a port, and with the link if it is link-local.
    pub fn socket_addr(&self, port: u16) -> SocketAddr {
        on_link(SocketAddr::new(self.addr, port), self.index)
    }

    /// Whether this is a loopback interface.
    pub fn is_loopback(&self) -> bool {
        self.addr.is_loopback()
    }

    fn describe(name: String, addr: IpAddr, chosen: Chosen) -> Result<Self, InterfaceError> {
        let index = if_nametoindex(name.as_str()).map_err(|error| InterfaceError::List(error.into()))?;
        let number = |path: String| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let device = number(format!("/sys/class/net/{name}/mtu")).unwrap_or(ETHERNET_MTU);
        // A router may announce a smaller MTU for IPv6 (RFC 4861 §4.6.4).
        let announced = match addr {
            IpAddr::V4(_) => None,
            IpAddr::V6(_) => number(format!("/proc/sys/net/ipv6/conf/{name}/mtu")),
        };
        let mtu = announced.unwrap_or(device).min(device).try_into().unwrap_or(u32::MAX);
        // In Mbit/s; -1 or an error if the driver does not know.
        let speed = number(format!("/sys/class/net/{name}/speed"));
        let speed = speed.and_then(|mbit| Rate::from_bits(mbit.checked_mul(1_000_000)?));
        Ok(Self { name, index, addr, mtu, speed, chosen })
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, MTU {}, ", self.name, self.addr, self.mtu)?;
        match self.speed {
            Some(speed) => write!(f, "{speed}, ")?,
            None => f.write_str("speed unknown, ")?,
        }
        write!(f, "{})", self.chosen)
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named => "as given",
            Self::ByRoute => "by the routing table",
        })
    }
}

/// Returns `addr` with the link `index` if it is meaningless without one.
pub(crate) fn on_link(addr: SocketAddr, index: u32) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) if needs_link(v6.ip()) => {
            SocketAddrV6::new(*v6.ip(), v6.port(), v6.flowinfo(), index).into()
        }
        other => other,
    }
}

/// Whether an address needs a link: link-local addresses and groups (`__ipv6_addr_needs_scope_id` in net/ipv6.h).
fn needs_link(ip: &Ipv6Addr) -> bool {
    ip.is_unicast_link_local() || ip.is_multicast() && matches!(ip.segments()[0] & 0xf, 1 | 2)
}

/// Returns the address from which the kernel sends to the IPv6 address `to` on this interface.
fn own_address(to: SocketAddr, index: u32) -> io::Result<IpAddr> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_multicast_if_v6(index)?;
    socket.connect(&on_link(to, index).into())?;
    let local = UdpSocket::from(socket).local_addr()?.ip();
    if local.is_unspecified() { Err(io::ErrorKind::AddrNotAvailable.into()) } else { Ok(local) }
}

/// Returns all addresses of all interfaces that are up, by interface.
fn addresses() -> io::Result<Vec<(String, IpAddr)>> {
    let all = getifaddrs()?.filter_map(|entry| {
        let address = entry.address?;
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::from(v4.ip()),
            (_, Some(v6)) => IpAddr::from(v6.ip()),
            _ => return None,
        };
        Some((entry.interface_name, ip))
    });
    let mut all: Vec<(String, IpAddr)> = all.collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

fn family(addr: SocketAddr) -> &'static str {
    if addr.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// The MTU that is assumed if the kernel does not report one.
const ETHERNET_MTU: u64 = 1500;

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
    #[error("interface {name:?} has no {family} address")]
    NoAddress {
        /// The interface.
        name: String,
        /// IPv4 or IPv6.
        family: &'static str,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::multicast::Group;

    #[test]
    fn loopback_is_found_by_name_and_by_address() {
        let to = group(Group::DEFAULT);
        let by_name = Interface::find("lo", to).expect("every machine has it");
        let by_addr = Interface::find("127.0.0.1", to).expect("every machine has it");
        assert_eq!(by_name, by_addr);
        assert!(by_name.index > 0 && by_name.mtu >= 1500 && by_name.is_loopback());
        assert!(by_name.to_string().starts_with("lo (127.0.0.1, MTU "), "{by_name}");
    }

    #[test]
    fn no_route_decides_for_a_link_local_group() {
        for group in ["[ff02::1]:7167", "[ff12::1]:7167", "[ff32::1]:7167", "[ff01::1]:7167"] {
            let message = Interface::by_route(self::group(group)).expect_err("on every link").to_string();
            assert!(message.contains("link-local") && message.contains("--interface"), "{message}");
        }
    }

    #[test]
    fn what_means_nothing_without_a_link_gets_one() {
        for (addr, scope) in [
            ("[fe80::1]:7", 3),
            ("[ff02::1]:7", 3),
            ("[ff12::1]:7", 3),
            ("[ff01::1]:7", 3),
            ("[ff32::1]:7", 3),
            ("[ff05::1]:7", 0),
            ("[ff15::2]:7", 0),
            ("[fd00::1]:7", 0),
        ] {
            let SocketAddr::V6(got) = on_link(addr.parse().expect("an address"), 3) else { unreachable!() };
            assert_eq!(got.scope_id(), scope, "{addr}");
        }
        assert_eq!(on_link(([10, 0, 0, 1], 7).into(), 3), ([10, 0, 0, 1], 7).into());
    }

    #[test]
    fn an_unknown_interface_is_answered_with_those_there_are() {
        let message = Interface::find("eth77", group(Group::DEFAULT)).expect_err("no such").to_string();
        assert!(message.contains("eth77") && message.contains("lo"), "{message}");
    }

    fn group(text: &str) -> SocketAddr {
        text.parse().expect("an address and a port")
    }
}
