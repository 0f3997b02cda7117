//! The sockets: one that sends to a group and hears its hosts, one that hears the group, one that answers.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::args::Group;
use crate::interface::Interface;

/// Sends to a group through one interface, and hears what is said to its own address.
#[derive(Debug)]
pub struct GroupSender {
    socket: UdpSocket,
    group: SocketAddr,
    local: SocketAddr,
    segmentation: bool,
}

/// How a sender's datagrams are marked.
#[derive(Clone, Copy, Debug)]
pub struct Marking {
    /// Hops that they may go: 1 stays in the network of the interface.
    pub ttl: u8,
    /// Differentiated services code point (RFC 2474), 0 to 63.
    pub dscp: u8,
}

impl GroupSender {
    /// A socket for datagrams of `segment` bytes, and shorter ones, to the group. Hosts answer to `port`, 0: any.
    ///
    /// # Errors
    /// [`SocketError`] says which step failed.
    pub fn open(
        group: Group,
        interface: &Interface,
        port: u16,
        marking: Marking,
        segment: usize,
    ) -> Result<Self, SocketError> {
        let socket = new_socket(group)?;
        let step = |what| move |error| SocketError::Step { what, error };
        let index = interface.index;
        if group.addr().is_ipv4() {
            let IpAddr::V4(addr) = interface.addr else { unreachable!("of the group's family") };
            socket.set_multicast_if_v4(&addr).map_err(step("choose the interface"))?;
            socket.set_multicast_ttl_v4(marking.ttl.into()).map_err(step("set the TTL"))?;
            socket.set_tos_v4(u32::from(marking.dscp) << 2).map_err(step("set the DSCP"))?;
        } else {
            socket.set_multicast_if_v6(index).map_err(step("choose the interface"))?;
            socket.set_multicast_hops_v6(marking.ttl.into()).map_err(step("set the hop limit"))?;
            socket.set_tclass_v6(u32::from(marking.dscp) << 2).map_err(step("set the DSCP"))?;
        }
        socket
            .bind(&SocketAddr::new(interface.addr, port).into())
            .map_err(step("bind to the interface's address"))?;
        // A larger buffer does not speed anything up, but the default holds only some batches.
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        enlarge_receive_buffer(&socket, FEEDBACK_BUFFER);
        socket.set_nonblocking(true).map_err(step("set non-blocking"))?;
        let segmentation = setsockopt(&socket, sockopt::UdpGsoSegment, &(segment as i32)).is_ok();
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr().map_err(step("read back the address"))?;
        Ok(Self { socket, group: group.addr(), local, segmentation })
    }

    /// Where hosts reach this sender.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether the kernel cuts a train of datagrams itself (`UDP_SEGMENT`).
    pub fn has_segmentation(&self) -> bool {
        self.segmentation
    }

    /// Does without `UDP_SEGMENT` from now on: some devices refuse it only when it is used.
    pub fn disable_segmentation(&mut self) {
        let _ = setsockopt(&self.socket, sockopt::UdpGsoSegment, &0);
        self.segmentation = false;
    }

    /// Sends one datagram, or with segmentation a train of them, to the group.
    ///
    /// # Errors
    /// What sendto(2) says; [`io::ErrorKind::WouldBlock`] when the socket's buffer is full.
    pub fn send_to_group(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, self.group).map(|_| ())
    }

    /// Sends one datagram to one host.
    ///
    /// # Errors
    /// What sendto(2) says.
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket.send_to(bytes, to).map(|_| ())
    }
}

impl AsFd for GroupSender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Hears a group on one interface. Several on one machine each hear everything.
#[derive(Debug)]
pub struct GroupReceiver {
    socket: Socket,
    buffer: usize,
}

impl GroupReceiver {
    /// Joins the group.
    ///
    /// # Errors
    /// [`SocketError`] says which step failed.
    pub fn join(group: Group, interface: &Interface) -> Result<Self, SocketError> {
        let socket = new_socket(group)?;
        let step = |what| move |error| SocketError::Step { what, error };
        socket.set_reuse_address(true).map_err(step("share the port"))?;
        // Bound to the group's address, not to all: datagrams to others on this port never reach us.
        socket.bind(&group.addr().into()).map_err(step("bind to the group's address"))?;
        match group.addr().ip() {
            IpAddr::V4(ip) => {
                socket.set_multicast_all_v4(false).map_err(step("hear only this group"))?;
                let interface = InterfaceIndexOrAddress::Index(interface.index);
                socket.join_multicast_v4_n(&ip, &interface).map_err(step("join the group"))?;
            }
            IpAddr::V6(ip) => {
                socket.set_multicast_all_v6(false).map_err(step("hear only this group"))?;
                socket.join_multicast_v6(&ip, interface.index).map_err(step("join the group"))?;
            }
        }
        let buffer = enlarge_receive_buffer(&socket, GROUP_BUFFER);
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        let _ = setsockopt(&socket, sockopt::RxqOvfl, &1);
        socket.set_nonblocking(true).map_err(step("set non-blocking"))?;
        Ok(Self { socket, buffer })
    }

    /// Its receive buffer.
    pub fn buffer(&self) -> ReceiveBuffer {
        ReceiveBuffer { bytes: self.buffer, wanted: GROUP_BUFFER }
    }
}

/// A receive buffer as the kernel counts it, its own overhead included. Where it is less than wanted,
/// `net.core.rmem_max` is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveBuffer {
    /// What it is.
    pub bytes: usize,
    /// What it should be.
    pub wanted: usize,
}

impl AsFd for GroupReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Answers a sender: its own address, so that an acknowledgement reaches this host and no other.
#[derive(Debug)]
pub struct Answerer(UdpSocket);

impl Answerer {
    /// A socket on the interface's address.
    ///
    /// # Errors
    /// [`SocketError`] says which step failed.
    pub fn open(interface: &Interface) -> Result<Self, SocketError> {
        let step = |what| move |error| SocketError::Step { what, error };
        let socket = UdpSocket::bind(SocketAddr::new(interface.addr, 0))
            .map_err(step("bind to the interface's address"))?;
        // The last host of a push gets its symbols here.
        enlarge_receive_buffer(&socket, UNICAST_BUFFER);
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        socket.set_nonblocking(true).map_err(step("set non-blocking"))?;
        Ok(Self(socket))
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// What sendto(2) says.
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.0.send_to(bytes, to).map(|_| ())
    }
}

impl AsFd for Answerer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn new_socket(group: Group) -> Result<Socket, SocketError> {
    let domain = if group.addr().is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))
        .map_err(|error| SocketError::Step { what: "open a UDP socket", error })
}

/// Asks for a receive buffer, past `net.core.rmem_max` where we may (CAP_NET_ADMIN); gives what came of it. The kernel
/// doubles what is asked for to account for its own overhead (socket(7)).
fn enlarge_receive_buffer(socket: &impl AsFd, bytes: usize) -> usize {
    let ask = bytes / 2;
    if setsockopt(socket, sockopt::RcvBufForce, &ask).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &ask);
    }
    getsockopt(socket, sockopt::RcvBuf).unwrap_or(0)
}

/// Some milliseconds at 10 Gbit/s.
const SEND_BUFFER: usize = 4 << 20;
/// 20 ms at 10 Gbit/s with the kernel's overhead: longer than any thread is kept from the CPU on a busy host.
const GROUP_BUFFER: usize = 32 << 20;
/// What a sender sends to a single host between two of its polls.
const UNICAST_BUFFER: usize = 8 << 20;
/// Hellos of 10 000 hosts at once.
const FEEDBACK_BUFFER: usize = 8 << 20;

/// A socket that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A step of it failed.
    #[error("cannot {what}: {error}")]
    Step {
        /// Which.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn every_receiver_of_a_machine_hears_the_group() {
        let group: Group = "239.255.71.67:47167".parse().expect("group");
        let lo = Interface::find("lo", group).expect("loopback");
        let receivers = [(); 3].map(|()| GroupReceiver::join(group, &lo).expect("joined"));
        let sender = GroupSender::open(group, &lo, 0, Marking { ttl: 1, dscp: 8 }, 1000).expect("opened");
        assert!(sender.has_segmentation(), "Linux 4.18");
        sender.send_to_group(&[7; 2500]).expect("sent");
        sleep(Duration::from_millis(20));
        for receiver in &receivers {
            let mut batch = Batch::default();
            let mut got = Vec::new();
            while batch.receive(receiver.as_fd()).expect("open") > 0 {
                got.extend(batch.datagrams().map(|(from, datagram)| (from, datagram.len())));
            }
            assert_eq!(got, [1000, 1000, 500].map(|len| (sender.local_addr(), len)));
        }
    }
}
