//! Multicast: groups, memberships with an optional source, and the socket options for both.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};
use std::str::FromStr;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{InterfaceIndexOrAddress, Socket};

use super::interface::{Interface, on_link};
use super::options;
use super::socket::{self, Buffer, Offload, SocketError};

/// A multicast group: address and UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(SocketAddr);

impl Group {
    /// 239.255.71.67:7167, in the range for local use (RFC 2365 §6.1).
    pub const DEFAULT: &'static str = "239.255.71.67:7167";

    /// Returns the address and port.
    pub fn addr(self) -> SocketAddr {
        self.0
    }

    /// Whether the group is in a range for source-specific multicast, 232.0.0.0/8 or ff3x::/32 (RFC 4607 §1). Networks
    /// carry such a group only to hosts that name the source, and only from that source.
    pub fn is_source_specific(self) -> bool {
        match self.0.ip() {
            IpAddr::V4(ip) => ip.octets()[0] == 232,
            IpAddr::V6(ip) => ip.segments()[0] & 0xfff0 == 0xff30 && ip.segments()[1] == 0,
        }
    }
}

impl FromStr for Group {
    type Err = GroupError;

    fn from_str(text: &str) -> Result<Self, GroupError> {
        let addr: SocketAddr = text.parse().map_err(|_| GroupError::Form(text.to_owned()))?;
        if !addr.ip().is_multicast() {
            return Err(GroupError::NotMulticast(addr.ip()));
        }
        if addr.port() == 0 {
            return Err(GroupError::Form(text.to_owned()));
        }
        match addr {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => Err(GroupError::Scope(text.to_owned())),
            _ => Ok(Self(addr)),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Group> for SocketAddr {
    fn from(group: Group) -> Self {
        group.0
    }
}

/// A host's membership in a group: for the datagrams of one source, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    group: Group,
    source: Option<IpAddr>,
}

impl Membership {
    /// Creates a membership for the datagrams of `source`, or of all sources if it is `None`.
    ///
    /// # Errors
    /// If `source` cannot be a sender of the group, or if a source-specific group has no source.
    pub fn new(group: Group, source: Option<IpAddr>) -> Result<Self, GroupError> {
        match source {
            None if group.is_source_specific() => Err(GroupError::NoSource(group.0.ip())),
            Some(source) if source.is_multicast() || source.is_unspecified() => {
                Err(GroupError::NotASource(source))
            }
            Some(source) if source.is_ipv4() != group.0.is_ipv4() => {
                Err(GroupError::SourceFamily { group: group.0.ip(), from: source })
            }
            _ => Ok(Self { group, source }),
        }
    }

    /// Returns the group.
    pub fn group(self) -> Group {
        self.group
    }

    /// Returns the only source whose datagrams are received; `None` for any.
    pub fn source(self) -> Option<IpAddr> {
        self.source
    }
}

/// An unusable group or source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The text is not an address and a port.
    #[error("{0:?} is not ADDRESS:PORT, as in {default}", default = Group::DEFAULT)]
    Form(String),
    /// The address is not multicast.
    #[error("{0} is not a multicast address: use one of 239.0.0.0/8 or ff00::/8, as in {default}", default = Group::DEFAULT)]
    NotMulticast(IpAddr),
    /// The group names an interface.
    #[error("{0:?} names an interface: write the group without it, and give --interface")]
    Scope(String),
    /// A source-specific group lacks a source.
    #[error(
        "group {0} is source-specific (232.0.0.0/8 or ff3x::/32): give the sender's address with --source"
    )]
    NoSource(IpAddr),
    /// The source cannot be a sender's address.
    #[error("source {0} is no address that a sender can have")]
    NotASource(IpAddr),
    /// The families differ.
    #[error("source {from} and group {group} are not of one family: one is IPv4, one IPv6")]
    SourceFamily {
        /// The group.
        group: IpAddr,
        /// The source.
        from: IpAddr,
    },
}

/// Makes `socket` send to groups of its family through `interface`, with a time to live of `ttl` hops.
pub(super) fn send_through(socket: &Socket, interface: &Interface, ttl: u8) -> Result<(), SocketError> {
    let choose = SocketError::at("choose the interface");
    match interface.addr {
        IpAddr::V4(_) => {
            options::send_through_v4(socket, interface.index).map_err(choose)?;
            socket.set_multicast_ttl_v4(ttl.into()).map_err(SocketError::at("set the TTL"))
        }
        IpAddr::V6(_) => {
            socket.set_multicast_if_v6(interface.index).map_err(choose)?;
            socket.set_multicast_hops_v6(ttl.into()).map_err(SocketError::at("set the hop limit"))
        }
    }
}

/// A socket that receives what is sent to a group on one interface. Each of several on one machine receives everything.
///
/// It is opened once, while the process has the right to a large receive buffer, and joins on any interface afterwards.
#[derive(Debug)]
pub struct GroupReceiver {
    socket: Socket,
    buffer: Buffer,
    membership: Membership,
    /// Index of the interface on which the group is joined.
    joined: Option<u32>,
    is_bound: bool,
}

impl GroupReceiver {
    /// Opens a socket and joins the group on the interface.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn join(
        membership: Membership,
        interface: &Interface,
        offload: Offload,
    ) -> Result<Self, SocketError> {
        let mut receiver = Self::open(membership, offload)?;
        receiver.join_on(interface.index)?;
        Ok(receiver)
    }

    /// Opens a socket that receives nothing before it has [joined](Self::join_on).
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn open(membership: Membership, offload: Offload) -> Result<Self, SocketError> {
        let group = membership.group.0;
        let socket = socket::open(group)?;
        socket.set_reuse_address(true).map_err(SocketError::at("share the port"))?;
        let only_joined = match group {
            SocketAddr::V4(_) => socket.set_multicast_all_v4(false),
            SocketAddr::V6(_) => socket.set_multicast_all_v6(false),
        };
        only_joined.map_err(SocketError::at("hear only this group"))?;
        let buffer = socket::enlarge_receive_buffer(&socket, GROUP_BUFFER);
        if offload == Offload::Used {
            let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        }
        let _ = setsockopt(&socket, sockopt::RxqOvfl, &1);
        socket.set_nonblocking(true).map_err(SocketError::at("set non-blocking"))?;
        Ok(Self { socket, buffer, membership, joined: None, is_bound: false })
    }

    /// Joins the group on the interface with this index, after leaving it where it was joined before, which may be the
    /// same interface. The kernel then reports the membership to the network: by IGMPv3 and MLDv2 it reports the new one
    /// alone, since a membership that is back within a tick of its clock was never left (`igmpv3_del_delrec` in
    /// net/ipv4/igmp.c). Between the two nothing is received, for some 50 us.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step. The group is not joined then.
    pub fn join_on(&mut self, index: u32) -> Result<(), SocketError> {
        let group = on_link(self.membership.group.0, index);
        if !self.is_bound {
            // Bound to the group's address: datagrams to other addresses on this port are not received.
            self.socket.bind(&group.into()).map_err(SocketError::at("bind to the group's address"))?;
            self.is_bound = true;
        }
        let before = self.joined.take();
        if let Some(before) = before {
            // The interface may be gone, and the membership with it.
            let _ = leave(&self.socket, group, before);
        }
        if group.is_ipv6() && before != Some(index) {
            hear_only(&self.socket, index).map_err(SocketError::at("hear only this interface"))?;
        }
        join(&self.socket, group, self.membership.source, index)
            .map_err(SocketError::at("join the group"))?;
        self.joined = Some(index);
        Ok(())
    }

    /// Returns the size of the receive buffer.
    pub fn buffer(&self) -> Buffer {
        self.buffer
    }
}

impl AsFd for GroupReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Receives only what comes in on this interface. Unlike IPv4, the kernel does not check on which interface an IPv6
/// socket has joined (`inet6_mc_check`).
fn hear_only(socket: &Socket, interface: u32) -> io::Result<()> {
    // A socket that is bound to an interface takes another one only from a process with CAP_NET_RAW. Dissolving an
    // association, of which there is none, unbinds it (`__udp_disconnect` in net/ipv4/udp.c) and keeps its address.
    rustix::net::connect_unspec(socket)?;
    socket.bind_device_by_index_v6(NonZeroU32::new(interface))
}

/// Leaves a group on an interface, for all sources.
fn leave(socket: &Socket, group: SocketAddr, interface: u32) -> io::Result<()> {
    match group.ip() {
        IpAddr::V4(ip) => socket.leave_multicast_v4_n(&ip, &InterfaceIndexOrAddress::Index(interface)),
        IpAddr::V6(ip) => socket.leave_multicast_v6(&ip, interface),
    }
}

fn join(socket: &Socket, group: SocketAddr, source: Option<IpAddr>, interface: u32) -> io::Result<()> {
    match (group.ip(), source) {
        (_, Some(source)) => options::join_source(socket, group, source, interface),
        (IpAddr::V4(ip), None) => socket.join_multicast_v4_n(&ip, &InterfaceIndexOrAddress::Index(interface)),
        (IpAddr::V6(ip), None) => socket.join_multicast_v6(&ip, interface),
    }
}

/// 20 ms at 10 Gbit/s with the kernel's overhead: longer than a thread waits for the CPU on a busy host.
pub(super) const GROUP_BUFFER: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_multicast_address_with_a_port() {
        assert!(Group::DEFAULT.parse::<Group>().is_ok());
        assert!("[ff15::1]:7167".parse::<Group>().is_ok());
        for text in
            ["", "239.1.1.1", "10.0.0.1:7167", "239.1.1.1:0", "239.1.1.1:99999", "host:1", "[ff02::1%2]:7167"]
        {
            assert!(text.parse::<Group>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_source_specific_group_wants_a_source_of_its_family() {
        for (group, specific) in [
            ("232.1.1.1:7167", true),
            ("239.1.1.1:7167", false),
            ("[ff35::1]:7167", true),
            ("[ff3e::8000:1]:7167", true),
            ("[ff35:40::1]:7167", false), // RFC 3306: of a prefix, not of a source
            ("[ff15::1]:7167", false),
        ] {
            let parsed: Group = group.parse().expect("a group");
            assert_eq!(parsed.is_source_specific(), specific, "{group}");
            assert_eq!(Membership::new(parsed, None).is_err(), specific, "{group}");
            let (v4, v6) = ("10.0.0.1", "fd00::1");
            let (own, other) = if parsed.addr().is_ipv4() { (v4, v6) } else { (v6, v4) };
            let check = |source: &str| Membership::new(parsed, Some(source.parse().expect("an address")));
            assert!(check(own).is_ok(), "{group}");
            for bad in [other, "239.1.1.1", "ff02::1", "0.0.0.0", "::"] {
                assert!(check(bad).is_err(), "{group} {bad}");
            }
        }
    }
}
