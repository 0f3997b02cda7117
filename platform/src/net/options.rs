//! Socket options that neither `nix` nor `socket2` has: the join of a group for one source by interface index, for both
//! families, and the ban on fragmentation.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use nix::sys::socket::{SockaddrStorage, setsockopt};
use nix::{setsockopt_impl, sockopt_impl};

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
