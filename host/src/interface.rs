//! Network interfaces: found by name, by address, or by the route to the group; never guessed silently.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;

use crate::args::{Group, Rate};

/// An interface with an address of the group's family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// As in `ip link`.
    pub name: String,
    /// The kernel's number of it.
    pub index: u32,
    /// Its first address of the group's family.
    pub addr: IpAddr,
    /// In bytes of IP packet.
    pub mtu: u32,
    /// What the driver says, where it says anything.
    pub speed: Option<Rate>,
}

impl Interface {
    /// The interface with that name or address.
    ///
    /// # Errors
    /// [`InterfaceError`] with the names that there are.
    pub fn find(text: &str, group: Group) -> Result<Self, InterfaceError> {
        let all = addresses().map_err(InterfaceError::List)?;
        let wanted: Option<IpAddr> = text.parse().ok();
        let known = all.iter().any(|(name, addr)| name == text || Some(*addr) == wanted);
        if !known {
            let mut names: Vec<String> = all.into_iter().map(|(name, _)| name).collect();
            names.dedup();
            return Err(InterfaceError::Unknown { name: text.to_owned(), known: names.join(", ") });
        }
        let same_family = |addr: &IpAddr| addr.is_ipv4() == group.addr().is_ipv4();
        all.into_iter()
            .find(|(name, addr)| same_family(addr) && (name == text || Some(*addr) == wanted))
            .ok_or_else(|| InterfaceError::NoAddress { name: text.to_owned(), family: family(group) })
            .and_then(|(name, addr)| Self::describe(name, addr))
    }

    /// The interface that the routing table sends the group's datagrams to.
    ///
    /// # Errors
    /// [`InterfaceError::NoRoute`] where there is none.
    pub fn by_route(group: Group) -> Result<Self, InterfaceError> {
        let any: SocketAddr = if group.addr().is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        // Connecting a UDP socket sends nothing: it looks up the route and the source address.
        let local = UdpSocket::bind(any)
            .and_then(|socket| socket.connect(group.addr()).and_then(|()| socket.local_addr()))
            .map_err(|_| InterfaceError::NoRoute { group })?;
        let all = addresses().map_err(InterfaceError::List)?;
        let (name, addr) =
            all.into_iter().find(|(_, addr)| *addr == local.ip()).ok_or(InterfaceError::NoRoute { group })?;
        Self::describe(name, addr)
    }

    fn describe(name: String, addr: IpAddr) -> Result<Self, InterfaceError> {
        let index = if_nametoindex(name.as_str()).map_err(|error| InterfaceError::List(error.into()))?;
        let read = |what: &str| fs::read_to_string(format!("/sys/class/net/{name}/{what}"));
        let mtu = read("mtu").ok().and_then(|text| text.trim().parse().ok()).unwrap_or(ETHERNET_MTU);
        // In Mbit/s; -1 or an error where the driver does not know.
        let speed = read("speed").ok().and_then(|text| text.trim().parse::<u64>().ok());
        let speed = speed.and_then(|mbit| Rate::from_bits(mbit.checked_mul(1_000_000)?));
        Ok(Self { name, index, addr, mtu, speed })
    }
}

/// All addresses of all interfaces that are up, by interface.
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

fn family(group: Group) -> &'static str {
    if group.addr().is_ipv4() { "IPv4" } else { "IPv6" }
}

/// Where the kernel does not say.
const ETHERNET_MTU: u32 = 1500;

/// Why there is no interface.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// No such name or address.
    #[error("interface {name:?} does not exist here; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// It has no address of the group's family.
    #[error("interface {name:?} has no {family} address")]
    NoAddress {
        /// The interface.
        name: String,
        /// IPv4 or IPv6.
        family: &'static str,
    },
    /// The routing table has nothing for the group.
    #[error("no route leads to {group}: say which interface with --interface")]
    NoRoute {
        /// The group.
        group: Group,
    },
    /// The kernel did not list them.
    #[error("the interfaces cannot be listed: {0}")]
    List(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_by_name_and_by_address() {
        let group: Group = Group::DEFAULT.parse().expect("group");
        let by_name = Interface::find("lo", group).expect("every machine has it");
        let by_addr = Interface::find("127.0.0.1", group).expect("every machine has it");
        assert_eq!(by_name, by_addr);
        assert!(by_name.index > 0 && by_name.mtu >= 1500);
    }

    #[test]
    fn an_unknown_interface_is_answered_with_those_there_are() {
        let group: Group = Group::DEFAULT.parse().expect("group");
        let message = Interface::find("eth77", group).expect_err("no such").to_string();
        assert!(message.contains("eth77") && message.contains("lo"), "{message}");
    }
}
