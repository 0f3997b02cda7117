//! Links and their addresses, as the kernel has them: by index, with every name that a link goes by.
//!
//! A link is known by its index. Its name may change, it may have others (`ip link property add ... altname`), and
//! addresses may have labels of their own (`eth0:1`), which are no links.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use glancecast_proto::doctor::Layer;

use super::netlink::{Attributes, Message, Notices, Question, number};

/// A link: a device of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    /// The name as in `ip link`. The kernel allows any byte in it but a few.
    pub(super) name: String,
    pub(super) other_names: Vec<String>,
    /// MTU of the device in bytes.
    pub(super) mtu: u32,
    /// MTU for IPv6, which a router may have lowered (RFC 4861 §4.6.4); `None` where IPv6 is off.
    pub(super) mtu_v6: Option<u32>,
    /// The link that this one is a port of, and what that is: "bridge", "bond", "openvswitch", ...
    pub(super) port_of: Option<(u32, String)>,
    /// The link that this one lies on, as a VLAN does.
    pub(super) lies_on: Option<u32>,
    /// What this link is, if it is a macvlan or an ipvlan.
    pub(super) layer: Option<Layer>,
    pub(super) state: LinkState,
    /// `net.ipv4.conf.LINK.rp_filter`.
    pub(super) rp_filter: u32,
}

/// Whether a link carries anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// It does.
    #[default]
    Up,
    /// It is switched on, and has no carrier: no cable, or nothing at its other end.
    NoCarrier,
    /// It is switched off.
    Down,
}

/// An address of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) link: u32,
    pub(super) ip: IpAddr,
    /// Bits of the network that the address is in.
    pub(super) prefix: u8,
    /// The name of the address: that of the link, or one of its own.
    pub(super) label: Option<String>,
    /// Whether it can be sent from. An IPv6 address cannot while the kernel looks for duplicates (RFC 4862 §5.4), nor
    /// if it has found one.
    pub(super) is_usable: bool,
    /// Whether the kernel has found that another machine has it, too.
    pub(super) is_duplicate: bool,
    /// Whether it is one that the kernel avoids: secondary or deprecated.
    pub(super) is_second_choice: bool,
}

impl Link {
    /// Whether the link goes by this name.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.other_names.iter().any(|other| other == name)
    }

    fn parse(message: Message<'_>) -> Option<Self> {
        let (index, flags) = (message.u32(4)?, message.u32(8)?);
        let attributes = message.attributes(LINK_HEADER);
        let other_names = attributes.find(IFLA_PROP_LIST).into_iter().flat_map(|list| {
            Attributes::within(list).filter(|(kind, _)| *kind == IFLA_ALT_IFNAME).map(|(_, name)| text(name))
        });
        let info = Attributes::within(attributes.find(IFLA_LINKINFO).unwrap_or(&[]));
        let kind = info.find(IFLA_INFO_KIND).map(text).unwrap_or_default();
        let master = attributes.find(IFLA_MASTER).and_then(number).filter(|&master| master != 0);
        let families = Attributes::within(attributes.find(IFLA_AF_SPEC).unwrap_or(&[]));
        let of = |family: i32, kind: u16| Attributes::within(families.find(family as u16)?).find(kind);
        let state = match flags {
            _ if flags & libc::IFF_UP as u32 == 0 => LinkState::Down,
            _ if flags & libc::IFF_RUNNING as u32 == 0 => LinkState::NoCarrier,
            _ => LinkState::Up,
        };
        Some(Self {
            index,
            name: attributes.find(IFLA_IFNAME).map(text)?,
            other_names: other_names.collect(),
            mtu: attributes.find(IFLA_MTU).and_then(number).unwrap_or(ETHERNET_MTU),
            mtu_v6: of(libc::AF_INET6, IFLA_INET6_CONF)
                .and_then(|conf| number(conf.get(4 * DEVCONF_MTU6..)?)),
            port_of: master
                .map(|master| (master, info.find(IFLA_INFO_SLAVE_KIND).map(text).unwrap_or_default())),
            // Of a veth, this is the other end, in whatever namespace that is.
            lies_on: attributes.find(IFLA_LINK).and_then(number).filter(|_| LAYERS.contains(&kind.as_str())),
            layer: layer(&kind, info.find(IFLA_INFO_DATA)),
            state,
            rp_filter: of(libc::AF_INET, IFLA_INET_CONF)
                .and_then(|conf| number(conf.get(4 * (DEVCONF_RP_FILTER - 1)..)?))
                .unwrap_or(0),
        })
    }
}

impl Address {
    /// Whether the address goes by this name, and the link has another one.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.label.as_deref() == Some(name)
    }

    /// Returns an address that is on no link.
    #[cfg(test)]
    pub(super) fn of(ip: IpAddr) -> Self {
        Self {
            link: 0,
            ip,
            prefix: 32,
            label: None,
            is_usable: true,
            is_duplicate: false,
            is_second_choice: false,
        }
    }

    fn parse(message: Message<'_>) -> Option<Self> {
        let (family, prefix, link) = (message.byte(0)?, message.byte(1)?, message.u32(4)?);
        let attributes = message.attributes(ADDRESS_HEADER);
        // Of a point-to-point link, IFA_ADDRESS is the other end's.
        let ip = ip(family, attributes.find(IFA_LOCAL).or_else(|| attributes.find(IFA_ADDRESS))?)?;
        let flags = attributes.find(IFA_FLAGS).and_then(number).or(message.byte(2).map(u32::from))?;
        let is_duplicate = flags & IFA_F_DADFAILED != 0;
        let is_checked = flags & IFA_F_TENTATIVE == 0 || flags & IFA_F_OPTIMISTIC != 0;
        let is_usable = is_checked && !is_duplicate;
        let is_second_choice = flags & (IFA_F_SECONDARY | IFA_F_DEPRECATED) != 0;
        Some(Self {
            link,
            ip,
            prefix,
            label: attributes.find(IFA_LABEL).map(text),
            is_usable,
            is_duplicate,
            is_second_choice,
        })
    }
}

/// Returns the link with this index.
///
/// # Errors
/// ENODEV if there is none.
pub(super) fn by_index(index: u32) -> io::Result<Link> {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&native(index));
    one_link(Question::one(libc::RTM_GETLINK, &header))
}

/// Returns the link that goes by this name, `None` if there is none.
///
/// # Errors
/// The system's.
pub(super) fn by_name(name: &str) -> io::Result<Option<Link>> {
    // Of the two ways to ask, each refuses what is longer than its names are (IFNAMSIZ, ALTIFNAMSIZ).
    for (kind, max) in [(IFLA_IFNAME, 16), (IFLA_ALT_IFNAME, 128)] {
        if name.is_empty() || name.len() >= max || name.contains('\0') {
            continue;
        }
        let named = [name.as_bytes(), b"\0"].concat();
        match one_link(Question::one(libc::RTM_GETLINK, &[0; LINK_HEADER]).with(kind, &named)) {
            // A kernel before Linux 5.5 knows no other names, and gives EINVAL.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EINVAL)) => {}
            found => return found.map(|link| Some(link).filter(|link| link.is_called(name))),
        }
    }
    Ok(None)
}

/// Returns all links, by index.
///
/// # Errors
/// The system's.
pub(super) fn all() -> io::Result<Vec<Link>> {
    let mut links = Vec::new();
    brief(Question::all(libc::RTM_GETLINK, &[0; LINK_HEADER])).ask(|message| {
        links.extend(Link::parse(message).filter(|_| message.kind == libc::RTM_NEWLINK));
    })?;
    links.sort_by_key(|link| link.index);
    Ok(links)
}

/// Returns all addresses of the family of `like`, in the kernel's order: each link's own preference comes first.
///
/// # Errors
/// The system's.
pub(super) fn addresses(like: SocketAddr) -> io::Result<Vec<Address>> {
    let mut header = [0; ADDRESS_HEADER];
    header[0] = family(like.ip());
    let mut addresses = Vec::new();
    Question::all(libc::RTM_GETADDR, &header).ask(|message| {
        addresses.extend(Address::parse(message).filter(|_| message.kind == libc::RTM_NEWADDR));
    })?;
    Ok(addresses)
}

/// How the kernel sends to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Index of the link.
    pub(super) link: u32,
    /// The address that it sends from.
    pub(super) from: Option<IpAddr>,
}

/// Returns the route to `to`.
///
/// # Errors
/// ENETUNREACH or another error of the system if there is none.
pub(super) fn route(to: IpAddr) -> io::Result<Route> {
    let mut header = [0; ROUTE_HEADER];
    header[0] = family(to);
    let octets = match to {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    header[1] = octets.len() as u8 * 8;
    let mut found = None;
    Question::one(libc::RTM_GETROUTE, &header).with(libc::RTA_DST, &octets).ask(|message| {
        let attributes = message.attributes(ROUTE_HEADER);
        let link = attributes.find(libc::RTA_OIF).and_then(number);
        let from = attributes.find(libc::RTA_PREFSRC).and_then(|from| ip(header[0], from));
        found = found.or(link.map(|link| Route { link, from }));
    })?;
    found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENETUNREACH))
}

/// Returns `net.ipv4.conf.all.rp_filter`. /proc/sys is hidden from a service with `ProcSubset=pid`.
///
/// # Errors
/// The system's.
pub(super) fn rp_filter_of_all() -> io::Result<u32> {
    let mut value = None;
    let header = [libc::AF_INET as u8, 0, 0, 0];
    Question::one(libc::RTM_GETNETCONF, &header).with(NETCONFA_IFINDEX, &native(NETCONFA_IFINDEX_ALL)).ask(
        |message| {
            value = value.or(message.attributes(header.len()).find(NETCONFA_RP_FILTER).and_then(number));
        },
    )?;
    value.ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Watches links and addresses.
#[derive(Debug)]
pub struct LinkWatch {
    notices: Notices,
    buffer: Box<[u8]>,
}

/// What has happened to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing.
    None,
    /// Something of it, its addresses, or of links that are not known.
    Touched,
    /// It was removed, or may have been: its memberships are gone, also if it is there again.
    Removed,
}

impl LinkWatch {
    /// Starts to watch.
    ///
    /// # Errors
    /// The system's.
    pub fn start() -> io::Result<Self> {
        Ok(Self { notices: Notices::open()?, buffer: vec![0; super::netlink::BUFFER].into_boxed_slice() })
    }

    /// Returns what has happened to the link with this index since the last call; without one, to any.
    pub fn changes(&mut self, index: Option<u32>) -> Change {
        let mut change = Change::None;
        let taken = self.notices.take(&mut self.buffer, |message| {
            let is_it = |other: Option<u32>| index.is_none() || other == index;
            // A bridge's notices of its ports have the links' kinds, too.
            let of_bridge = message.byte(0) == Some(libc::AF_BRIDGE as u8);
            change = change.max(match message.kind {
                libc::RTM_DELLINK if is_it(message.u32(4)) && !of_bridge => Change::Removed,
                libc::RTM_NEWADDR | libc::RTM_DELADDR if is_it(message.u32(4)) => Change::Touched,
                // Another link may have taken over the name.
                libc::RTM_NEWLINK if !of_bridge => Change::Touched,
                _ => Change::None,
            });
        });
        // Notices were lost.
        if taken.is_err() { Change::Removed } else { change }
    }
}

fn one_link(question: Question) -> io::Result<Link> {
    let mut found = None;
    brief(question).ask(|message| {
        if message.kind == libc::RTM_NEWLINK {
            found = Link::parse(message);
        }
    })?;
    found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

/// Leaves statistics out of the answer.
fn brief(question: Question) -> Question {
    question.with(IFLA_EXT_MASK, &native(RTEXT_FILTER_SKIP_STATS))
}

fn family(ip: IpAddr) -> u8 {
    (if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

fn ip(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
        libc::AF_INET6 => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
        _ => None,
    }
}

/// Returns what a link of this kind is, by its own attributes: `IFLA_MACVLAN_MODE` is a number of 32 bits,
/// `IFLA_IPVLAN_MODE` of 16.
fn layer(kind: &str, data: Option<&[u8]>) -> Option<Layer> {
    let mode = Attributes::within(data?).find(IFLA_LAYER_MODE)?;
    match (kind, *mode.first()?) {
        ("macvlan" | "macvtap", 1) => Some(Layer::MacvlanPrivate),
        ("macvlan" | "macvtap", 2) => Some(Layer::MacvlanVepa),
        ("macvlan" | "macvtap", 4) => Some(Layer::MacvlanBridge),
        ("macvlan" | "macvtap", 8) => Some(Layer::MacvlanPassthru),
        ("macvlan" | "macvtap", 16) => Some(Layer::MacvlanSource),
        ("ipvlan", 0) => Some(Layer::IpvlanL2),
        ("ipvlan", 1) => Some(Layer::IpvlanL3),
        ("ipvlan", 2) => Some(Layer::IpvlanL3s),
        _ => None,
    }
}

/// Returns a name without the zero at its end.
fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name.split(|&byte| byte == 0).next().unwrap_or(&[])).into_owned()
}

#[allow(clippy::host_endian_bytes, reason = "netlink is in the byte order of the machine")]
fn native(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

/// Kinds of links that lie on another one.
const LAYERS: [&str; 4] = ["vlan", "macvlan", "macvtap", "ipvlan"];

/// The MTU that is assumed if the kernel does not report one.
const ETHERNET_MTU: u32 = 1500;

// Lengths of `ifinfomsg`, `ifaddrmsg` and `rtmsg`, and numbers of linux/if_link.h, if_addr.h, rtnetlink.h, ip.h, ipv6.h
// and netconf.h.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
/// `IFLA_MACVLAN_MODE` and `IFLA_IPVLAN_MODE`.
const IFLA_LAYER_MODE: u16 = 1;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_CONF: u16 = 2;
const DEVCONF_MTU6: usize = 2;
const DEVCONF_RP_FILTER: usize = 8;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_FLAGS: u16 = 8;
const IFA_F_SECONDARY: u32 = 0x01;
const IFA_F_OPTIMISTIC: u32 = 0x04;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;
const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_RP_FILTER: u16 = 3;
const NETCONFA_IFINDEX_ALL: u32 = u32::MAX; // -1

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_link_is_there_by_name_and_by_index() {
        let lo = by_name("lo").expect("a list").expect("every machine has it");
        assert_eq!(by_index(lo.index).expect("as before"), lo);
        assert!(lo.mtu >= 1500 && lo.port_of.is_none() && lo.is_called("lo"), "{lo:?}");
        assert!(all().expect("a list").contains(&lo));
        let here = addresses(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a list");
        let one =
            here.iter().find(|address| address.ip == IpAddr::from([127, 0, 0, 1])).expect("its address");
        assert!(one.link == lo.index && one.is_usable && one.is_called("lo"), "{one:?}");
    }

    #[test]
    fn the_route_to_this_machine_is_the_loopback_link() {
        let lo = by_name("lo").expect("a list").expect("every machine has it");
        let here = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(route(here).expect("it is there"), Route { link: lo.index, from: Some(here) });
    }

    #[test]
    fn no_name_is_too_odd_to_be_asked_for() {
        let long = "x".repeat(300);
        for name in ["", "none-such", "eth0:1", "a\0b", "name-of-sixteen!", &long, "\u{1b}[2J", "eth/0"] {
            assert_eq!(by_name(name).expect("an answer"), None, "{name:?}");
        }
    }

    #[test]
    fn a_layer_is_known_by_its_kind_and_its_mode() {
        let macvlan = [8, 0, 1, 0, 2, 0, 0, 0];
        let ipvlan = [6, 0, 1, 0, 1, 0, 0, 0];
        assert_eq!(layer("macvlan", Some(&macvlan)), Some(Layer::MacvlanVepa));
        assert_eq!(layer("ipvlan", Some(&ipvlan)), Some(Layer::IpvlanL3));
        for (kind, data) in
            [("vlan", Some(&macvlan[..])), ("macvlan", None), ("macvlan", Some(&[4, 0, 1, 0]))]
        {
            assert_eq!(layer(kind, data), None, "{kind}");
        }
    }

    #[test]
    fn the_check_of_sources_is_read() {
        assert!(rp_filter_of_all().expect("Linux 3.9") <= 2);
    }
}
