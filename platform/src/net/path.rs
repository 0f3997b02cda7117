//! What the kernel knows of the way to a sender's destinations: how long a packet may be, and whether the interface has
//! a carrier.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use super::interface::{Interface, InterfaceError, on_link};
use super::multicast;
use super::options;
use super::socket::open;

/// Returns the length of the longest IP packet that reaches every one of these addresses through `interface` as far as
/// this machine knows, in bytes: the smallest of the device's MTU and those of the routes and tunnels on top of it.
/// `None` if the kernel does not say, as without a route.
pub fn path_mtu(to: impl IntoIterator<Item = SocketAddr>, interface: &Interface) -> Option<u32> {
    to.into_iter().filter_map(|to| mtu_to(on_link(to, interface.index), interface)).min()
}

fn mtu_to(to: SocketAddr, interface: &Interface) -> Option<u32> {
    // Connecting a UDP socket sends nothing: it looks up the route.
    let socket = open(to).ok()?;
    multicast::send_through(&socket, interface, 1).ok()?;
    socket.bind(&interface.socket_addr(0).into()).ok()?;
    socket.connect(&to.into()).ok()?;
    options::mtu(&socket, to.is_ipv4()).ok()
}

/// Returns the interface `before` as it is at present: the one of its name, or what the operator `named`, or if it was
/// renamed the one with its index. It keeps its address as long as it has it, whatever other addresses it has. An
/// interface that the routing table chose stays the one that it chose then: while its link is down, the routes may lead
/// into another network.
///
/// # Errors
/// Those of [`Interface::find`].
pub fn at_present(
    before: &Interface,
    named: Option<&str>,
    to: SocketAddr,
) -> Result<Interface, InterfaceError> {
    let chosen = before.chosen;
    let by_address = |index| {
        let found = Interface::find(&before.addr.to_string(), to).ok();
        found.filter(|same| same.index == index)
    };
    let found = match Interface::find(named.unwrap_or(&before.name), to) {
        Ok(found) if found.addr == before.addr => found,
        Ok(found) => by_address(found.index).unwrap_or(found),
        Err(error) => by_address(before.index).ok_or(error)?,
    };
    Ok(Interface { chosen, ..found })
}

/// Whether the interface with this index is there, and is taken down.
pub fn is_down(index: u32) -> bool {
    flags(index).is_some_and(|flags| !flags.contains(InterfaceFlags::IFF_UP))
}

/// Watches an interface for the loss of its carrier. Without one the kernel takes datagrams and drops them, so that no
/// send fails (net/sched/sch_generic.c, `noop_qdisc`).
#[derive(Debug)]
pub struct CarrierWatch {
    /// News of links (rtnetlink(7)); `None` where they cannot be had: then no loss is noticed.
    news: Option<OwnedFd>,
    /// Whether the interface had a carrier at some time. One that never had any, such as a bridge without a port, may
    /// have receivers on this machine.
    had: bool,
    is_lost: bool,
}

impl CarrierWatch {
    /// Begins to watch the interface with this index.
    pub fn start(index: u32) -> Self {
        let news = listen().ok();
        Self { news, had: has_carrier(index) == Some(true), is_lost: false }
    }

    /// Whether the interface with this index, which may have changed since the last call, had a carrier and is up
    /// without one. As long as there is no news this costs one system call.
    pub fn is_lost(&mut self, index: u32) -> bool {
        if self.has_news() {
            let carrier = has_carrier(index);
            self.had |= carrier == Some(true);
            self.is_lost = self.had && carrier == Some(false);
        }
        self.is_lost
    }

    /// Reads the news that have come. What they say is not parsed: they are a reason to look.
    fn has_news(&self) -> bool {
        let Some(news) = &self.news else { return false };
        let mut buffer = [0; NEWS_BYTES];
        let mut came = false;
        for _ in 0..NEWS_MAX {
            match recv(news.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(_) => came = true,
                Err(Errno::ENOBUFS) => came = true, // more than the socket's buffer holds
                Err(_) => break,
            }
        }
        came
    }
}

/// Opens a socket for news of links.
fn listen() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, libc::RTMGRP_LINK as u32))?;
    Ok(fd)
}

/// Whether the interface with this index has a carrier; `None` if it is down, or there is none.
fn has_carrier(index: u32) -> Option<bool> {
    let flags = flags(index)?;
    flags.contains(InterfaceFlags::IFF_UP).then_some(flags.contains(InterfaceFlags::IFF_RUNNING))
}

fn flags(index: u32) -> Option<InterfaceFlags> {
    let is_it = |entry: &InterfaceAddress| {
        let link = entry.address.as_ref().and_then(|address| address.as_link_addr());
        link.is_some_and(|link| link.ifindex() == index as usize)
    };
    Some(getifaddrs().ok()?.find(is_it)?.flags)
}

/// Bytes for one message: what is beyond them is not needed.
const NEWS_BYTES: usize = 64;
/// Messages read at a time; what is left is read the next time.
const NEWS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::multicast::Group;

    #[test]
    fn the_path_to_a_group_on_loopback_is_as_wide_as_its_interface() {
        let group: Group = Group::DEFAULT.parse().expect("a group");
        let lo = Interface::find("lo", group).expect("loopback");
        // The kernel counts no packet longer than 65 535 bytes (include/net/ip.h, IP_MAX_MTU).
        assert_eq!(path_mtu([group.addr()], &lo), Some(lo.mtu.min(0xffff)));
    }

    #[test]
    fn an_interface_keeps_its_address_among_others() {
        let group: Group = Group::DEFAULT.parse().expect("a group");
        let lo = Interface::find("lo", group).expect("loopback");
        let same = at_present(&lo, None, group.addr()).expect("it is there");
        assert_eq!(same, lo);
        let moved = Interface { addr: "192.0.2.1".parse().expect("an address"), index: 77, ..lo.clone() };
        assert_eq!(at_present(&moved, Some("lo"), group.addr()).expect("it is there"), lo);
        let renamed = Interface { name: "gone0".into(), ..lo.clone() };
        assert_eq!(at_present(&renamed, Some("gone0"), group.addr()).expect("by its index"), lo);
        assert!(at_present(&moved, Some("192.0.2.1"), group.addr()).is_err());
    }

    #[test]
    fn an_interface_that_nothing_happens_to_keeps_its_carrier() {
        let group: Group = Group::DEFAULT.parse().expect("a group");
        let lo = Interface::find("lo", group).expect("loopback");
        let mut watch = CarrierWatch::start(lo.index);
        assert!(watch.had && !watch.is_lost(lo.index));
    }
}
