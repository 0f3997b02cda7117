//! Socket options that neither `nix` nor `socket2` has: the join of a group for one source by interface index, for both
//! families, sending to IPv4 groups by interface index, the MTU of a route, and the ban on fragmentation.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use nix::sys::socket::{SockaddrStorage, getsockopt, setsockopt, sockopt};
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};

/// Receives only what `source` sends to the group on the interface (RFC 3678 §5.1).
///
/// # Errors
/// The error of setsockopt(2).
pub(crate) fn join_source(
    socket: &impl AsFd,
    group: SocketAddr,
    source: IpAddr,
    interface: u32,
) -> io::Result<()> {
    let request = GroupSourceRequest {
        interface,
        group: SocketAddr::new(group.ip(), 0).into(),
        source: SocketAddr::new(source, 0).into(),
    };
    match group {
        SocketAddr::V4(_) => setsockopt(socket, JoinSourceV4, &request)?,
        SocketAddr::V6(_) => setsockopt(socket, JoinSourceV6, &request)?,
    }
    Ok(())
}

/// Makes the kernel refuse datagrams longer than the interface's MTU (EMSGSIZE) instead of fragmenting them, because
/// one lost fragment would lose the whole datagram. They are marked Don't Fragment for routers. Path MTU messages of
/// ICMP are ignored, because anybody can forge them.
///
/// # Errors
/// The error of setsockopt(2).
pub(crate) fn never_fragment(socket: &impl AsFd, is_ipv4: bool) -> io::Result<()> {
    if is_ipv4 {
        setsockopt(socket, MtuDiscoverV4, &libc::IP_PMTUDISC_PROBE)?;
    } else {
        setsockopt(socket, MtuDiscoverV6, &libc::IPV6_PMTUDISC_PROBE)?;
    }
    Ok(())
}

/// Returns the MTU of the route that a connected socket has, in bytes.
///
/// # Errors
/// The error of getsockopt(2).
pub(crate) fn mtu(socket: &impl AsFd, is_ipv4: bool) -> io::Result<u32> {
    let mtu = if is_ipv4 { getsockopt(socket, sockopt::IpMtu)? } else { getsockopt(socket, MtuV6)? };
    u32::try_from(mtu).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Makes a socket send to IPv4 groups through the interface with this index. Unlike an address, an index is one
/// interface's alone, and the source stays the address that the socket is bound to.
///
/// # Errors
/// The error of setsockopt(2).
pub(crate) fn send_through_v4(socket: &impl AsFd, interface: u32) -> io::Result<()> {
    let any = libc::in_addr { s_addr: libc::INADDR_ANY };
    let index = i32::try_from(interface).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let request =
        MulticastInterface(libc::ip_mreqn { imr_multiaddr: any, imr_address: any, imr_ifindex: index });
    setsockopt(socket, MulticastInterfaceV4, &request)?;
    Ok(())
}

/// `struct ip_mreqn` (linux/in.h).
#[derive(Clone, Copy)]
#[repr(transparent)]
#[expect(unreachable_pub, reason = "the macros make public options, whose values have to be public too")]
pub struct MulticastInterface(libc::ip_mreqn);

/// `struct group_source_req` (linux/in.h).
#[derive(Clone, Copy)]
#[repr(C)]
#[expect(unreachable_pub, reason = "the macros make public options, whose values have to be public too")]
pub struct GroupSourceRequest {
    interface: u32,
    group: SockaddrStorage,
    source: SockaddrStorage,
}

sockopt_impl!(
    /// MCAST_JOIN_SOURCE_GROUP.
    JoinSourceV4,
    SetOnly,
    libc::IPPROTO_IP,
    libc::MCAST_JOIN_SOURCE_GROUP,
    GroupSourceRequest
);
sockopt_impl!(
    /// MCAST_JOIN_SOURCE_GROUP.
    JoinSourceV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::MCAST_JOIN_SOURCE_GROUP,
    GroupSourceRequest
);
sockopt_impl!(
    /// IP_MULTICAST_IF.
    MulticastInterfaceV4,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MULTICAST_IF,
    MulticastInterface
);
sockopt_impl!(
    /// IPV6_MTU.
    MtuV6,
    GetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU,
    i32
);
sockopt_impl!(
    /// IP_MTU_DISCOVER.
    MtuDiscoverV4,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    i32
);
sockopt_impl!(
    /// IPV6_MTU_DISCOVER.
    MtuDiscoverV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    i32
);

const _: () = assert!(size_of::<GroupSourceRequest>() == size_of::<libc::group_source_req>());
