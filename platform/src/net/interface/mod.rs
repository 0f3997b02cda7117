//! Network interfaces: found by name, by address, or by the route to the destinations; never guessed silently.
//!
//! A name may be that of a link, another name of it (`altname`), or the label of an address (`eth0:1`). What follows
//! from the link, such as the MTU, is looked up by its index.

mod error;

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;

use glancecast_proto::doctor::{Bond, Layer};
use glancecast_proto::wire::printable;
use socket2::{Domain, Protocol, Socket, Type};

pub use error::{Hint, InterfaceError};

use super::links::{self, Address, Link, LinkState};
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

/// What an interface is good for at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether its link carries anything.
    pub state: LinkState,
    /// What gets all that arrives at this one, because this one is a port of it.
    pub port_of: Option<PortOf>,
}

/// What an interface is a port of. `Display` says what to give in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortOf {
    /// This bridge, bond or team.
    Link(String),
    /// A bridge of Open vSwitch, which only Open vSwitch knows.
    OpenVSwitch,
}

impl fmt::Display for PortOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(of) => write!(f, "a port of {of}, which gets all that arrives: give {of}", of = printable(of)),
            Self::OpenVSwitch => f.write_str(
                "a port of Open vSwitch, which gets all that arrives: give the interface of its bridge, such as br-ex",
            ),
        }
    }
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

    /// Returns the interface with this name or address, with an address of the family of `to`. The address may be
    /// written with its prefix length (`10.0.0.2/24`) or link (`fe80::1%eth0`).
    ///
    /// # Errors
    /// [`InterfaceError`], which lists the existing names, or names the interface that has the address.
    pub fn find(text: &str, to: impl Into<SocketAddr>) -> Result<Self, InterfaceError> {
        let to = to.into();
        let addresses = links::addresses(to).map_err(InterfaceError::List)?;
        if let Some((ip, zone)) = address(text) {
            return Self::with_address(text, ip, zone, to, &addresses);
        }
        let (link, labelled) = named(text)?;
        let labelled = labelled.filter(|ip| ip.is_ipv4() == to.is_ipv4());
        let addr = match labelled {
            Some(ip) => ip,
            None => best(text, &link, to, &addresses)?,
        };
        let mut interface = Self::describe(&link, addr, Chosen::Named);
        if !addr.is_ipv4() {
            // If there are several IPv6 addresses, the kernel prefers one of the destination's scope (RFC 6724 §5).
            interface.addr = own_address(to, link.index).unwrap_or(addr);
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
        let route = links::route(to.ip()).map_err(|_| InterfaceError::NoRoute { to })?;
        let link = links::by_index(route.link).map_err(InterfaceError::List)?;
        let addr = match route.from {
            Some(addr) => addr,
            None => best(&link.name, &link, to, &links::addresses(to).map_err(InterfaceError::List)?)?,
        };
        Ok(Self::describe(&link, addr, Chosen::ByRoute))
    }

    /// Returns the number of bits of the network that the interface's address is in; `None` where the kernel does not
    /// tell.
    pub fn prefix(&self) -> Option<u8> {
        let like = SocketAddr::new(self.addr, 0);
        let all = links::addresses(like).ok()?;
        all.iter()
            .find(|address| (address.link, address.ip) == (self.index, self.addr))
            .map(|address| address.prefix)
    }

    /// Returns what the interface is, if it is a macvlan or an ipvlan; `None` where the kernel does not tell.
    pub fn layer(&self) -> Option<Layer> {
        links::by_index(self.index).ok()?.layer
    }

    /// Returns the name of the interface that this one lies on, where that is in the same network namespace.
    pub fn below(&self) -> Option<String> {
        Some(links::by_index(links::by_index(self.index).ok()?.lies_on?).ok()?.name)
    }

    /// Returns the bond that the interface is, if it is one that sends each flow through one of its members.
    pub fn bond(&self) -> Option<Bond> {
        bond(Path::new(SYSFS), &self.name)
    }

    /// Returns what the interface is good for at the moment.
    ///
    /// # Errors
    /// The system's, ENODEV if the interface is gone.
    pub fn standing(&self) -> io::Result<Standing> {
        let link = links::by_index(self.index)?;
        let port_of = match &link.port_of {
            Some((_, kind)) if kind == OPEN_VSWITCH => Some(PortOf::OpenVSwitch),
            Some((above, kind)) if takes_all(kind) => Some(PortOf::Link(links::by_index(*above)?.name)),
            _ => None,
        };
        Ok(Standing { state: link.state, port_of })
    }

    /// Returns the interface under the name that it has at the moment, if it is still there and has its address.
    pub fn under_its_name(&self) -> Option<Self> {
        let link = links::by_index(self.index).ok()?;
        let addresses = links::addresses(self.socket_addr(0)).ok()?;
        let has_it = addresses
            .iter()
            .any(|address| address.link == self.index && address.ip == self.addr && address.is_usable);
        has_it.then(|| Self::describe(&link, self.addr, self.chosen))
    }

    /// Returns the address with a port, and with the link if it is link-local.
    pub fn socket_addr(&self, port: u16) -> SocketAddr {
        on_link(SocketAddr::new(self.addr, port), self.index)
    }

    /// Whether this is a loopback interface.
    pub fn is_loopback(&self) -> bool {
        self.addr.is_loopback()
    }

    fn with_address(
        text: &str,
        ip: IpAddr,
        zone: Option<&str>,
        to: SocketAddr,
        addresses: &[Address],
    ) -> Result<Self, InterfaceError> {
        if ip.is_ipv4() != to.is_ipv4() {
            return Err(InterfaceError::NoAddress {
                name: text.to_owned(),
                family: family(to),
                hint: Hint::None,
            });
        }
        let zone = zone.map(|zone| named(zone).map(|(link, _)| link.index)).transpose()?;
        let is_it = |address: &&Address| address.ip == ip && zone.is_none_or(|zone| address.link == zone);
        let found = addresses.iter().find(is_it).ok_or_else(|| InterfaceError::unknown(text))?;
        if !found.is_usable {
            return Err(InterfaceError::not_ready(text, found));
        }
        let link = links::by_index(found.link).map_err(InterfaceError::List)?;
        Ok(Self::describe(&link, ip, Chosen::Named))
    }

    fn describe(link: &Link, addr: IpAddr, chosen: Chosen) -> Self {
        let mtu = match addr {
            IpAddr::V4(_) => link.mtu,
            IpAddr::V6(_) => link.mtu_v6.unwrap_or(link.mtu).min(link.mtu),
        };
        Self { name: link.name.clone(), index: link.index, addr, mtu, speed: speed(&link.name), chosen }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, MTU {}, ", printable(&self.name), self.addr, self.mtu)?;
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
pub(super) fn needs_link(ip: &Ipv6Addr) -> bool {
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

/// Reads an address, as people write it for an interface.
fn address(text: &str) -> Option<(IpAddr, Option<&str>)> {
    let (text, _) = text.split_once('/').unwrap_or((text, ""));
    match text.split_once('%') {
        Some((ip, zone)) => Some((ip.parse().ok()?, Some(zone))),
        None => Some((text.parse().ok()?, None)),
    }
}

/// Returns the link with this name, and the address if the name is the label of one.
fn named(text: &str) -> Result<(Link, Option<IpAddr>), InterfaceError> {
    // `ip link` writes `eth0@if7`.
    let before_at = text.split_once('@').map(|(name, _)| name);
    for name in [Some(text), before_at].into_iter().flatten() {
        if let Some(link) = links::by_name(name).map_err(InterfaceError::List)? {
            return Ok((link, None));
        }
    }
    let all = links::addresses(([0; 4], 0).into()).map_err(InterfaceError::List)?;
    match all.iter().find(|address| address.is_called(text)) {
        Some(found) => {
            let link = links::by_index(found.link).map_err(InterfaceError::List)?;
            Ok((link, Some(found.ip)))
        }
        None => Err(InterfaceError::unknown(text)),
    }
}

/// Returns the address of the link that is used for `to`.
fn best(text: &str, link: &Link, to: SocketAddr, all: &[Address]) -> Result<IpAddr, InterfaceError> {
    let own = || all.iter().filter(|address| address.link == link.index);
    let usable = own().filter(|address| address.is_usable).min_by_key(|address| address.is_second_choice);
    match (usable, own().next()) {
        (Some(best), _) => Ok(best.ip),
        (None, Some(unready)) => Err(InterfaceError::not_ready(text, unready)),
        (None, None) => {
            let links = links::all().unwrap_or_default();
            let hint = Hint::of(link, all, &links).unwrap_or(Hint::None);
            Err(InterfaceError::NoAddress { name: text.to_owned(), family: family(to), hint })
        }
    }
}

/// Whether links of this kind get all that arrives at their ports. A VRF leaves it to them.
fn takes_all(kind: &str) -> bool {
    matches!(kind, "bridge" | "bond" | "team")
}

/// Returns the speed of a device, if its driver knows it: of a bond, that of one of its members, through which all that
/// goes to a group leaves.
fn speed(name: &str) -> Option<Rate> {
    let sysfs = Path::new(SYSFS);
    Rate::from_bits(bond(sysfs, name).map(|bond| bond.member_bits).or_else(|| bits_per_second(sysfs, name))?)
}

/// Returns the speed of a device in bits per second. Its driver tells it in Mbit/s, or -1 or an error if it does not
/// know it.
fn bits_per_second(sysfs: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(sysfs.join(name).join("speed")).ok()?;
    text.trim().parse::<u64>().ok()?.checked_mul(1_000_000)
}

/// Returns the bond of this name. One that spreads each flow over its members (balance-rr, broadcast) is as fast as it
/// says, and counts as none.
fn bond(sysfs: &Path, name: &str) -> Option<Bond> {
    let setting = |setting: &str| fs::read_to_string(sysfs.join(name).join("bonding").join(setting)).ok();
    let (mode, slaves) = (setting("mode")?, setting("slaves")?);
    let spreads = ["balance-rr", "broadcast"].iter().any(|mode_name| mode.starts_with(mode_name));
    let member_bits = slaves.split_whitespace().filter_map(|slave| bits_per_second(sysfs, slave)).min()?;
    let members = slaves.split_whitespace().count();
    (members > 1 && !spreads).then_some(Bond { members, member_bits })
}

fn family(addr: SocketAddr) -> &'static str {
    if addr.is_ipv4() { "IPv4" } else { "IPv6" }
}

const OPEN_VSWITCH: &str = "openvswitch";
const SYSFS: &str = "/sys/class/net";

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
    fn an_address_may_have_its_prefix_length_or_its_link() {
        let to = group(Group::DEFAULT);
        let plain = Interface::find("127.0.0.1", to).expect("every machine has it");
        for text in ["127.0.0.1/8", "127.0.0.1%lo", "lo@if7"] {
            assert_eq!(Interface::find(text, to).expect(text), plain, "{text}");
        }
        let error = Interface::find("127.0.0.1%eth77", to).expect_err("no such link").to_string();
        assert!(error.contains("eth77"), "{error}");
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
    fn a_bond_is_as_fast_as_its_slowest_member_unless_it_spreads_each_flow() {
        let sysfs = tempfile::tempdir().expect("a directory");
        let write = |path: &str, text: &str| {
            let path = sysfs.path().join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
            fs::write(path, text).expect("a file");
        };
        write("eth0/speed", "10000\n");
        write("eth1/speed", "1000\n");
        write("eth2/speed", "-1\n");
        write("bond0/speed", "11000\n");
        write("bond0/bonding/slaves", "eth0 eth1 eth2\n");
        let found = |mode: &str| {
            write("bond0/bonding/mode", mode);
            bond(sysfs.path(), "bond0")
        };
        let one = Some(Bond { members: 3, member_bits: 1_000_000_000 });
        assert_eq!((found("802.3ad 4\n"), found("balance-xor 2\n")), (one, one));
        assert_eq!(found("balance-rr 0\n"), None);
        write("bond0/bonding/slaves", "eth0\n");
        assert_eq!((found("802.3ad 4\n"), bond(sysfs.path(), "eth0")), (None, None));
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
