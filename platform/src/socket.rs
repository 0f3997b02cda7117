//! The sockets: one that sends to a group and hears its hosts, one that hears the group, one that answers.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::args::Group;
use crate::interface::{Interface, on_link};
use crate::options;

/// Sends to a group through one interface, and hears what is said to its own address.
#[derive(Debug)]
pub struct GroupSender {
    socket: UdpSocket,
    group: SocketAddr,
    local: SocketAddr,
    segmentation: bool,
    receive: Buffer,
    send: Buffer,
}

/// How a sender's datagrams are marked.
#[derive(Clone, Copy, Debug)]
pub struct Marking {
    /// Hops that those to the group may go: 1 stays in the network of the interface. Acknowledgements to single hosts
    /// have the system's.
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
        if group.addr().is_ipv4() {
            let IpAddr::V4(addr) = interface.addr else { unreachable!("of the group's family") };
            socket.set_multicast_if_v4(&addr).map_err(step("choose the interface"))?;
            socket.set_multicast_ttl_v4(marking.ttl.into()).map_err(step("set the TTL"))?;
        } else {
            socket.set_multicast_if_v6(interface.index).map_err(step("choose the interface"))?;
            socket.set_multicast_hops_v6(marking.ttl.into()).map_err(step("set the hop limit"))?;
        }
        mark(&socket, group, marking.dscp).map_err(step("set the DSCP"))?;
        options::never_fragment(&socket, group.addr().is_ipv4()).map_err(step("forbid fragments"))?;
        socket.bind(&interface.socket_addr(port).into()).map_err(step("bind to the interface's address"))?;
        let send = enlarge_send_buffer(&socket, SEND_BUFFER);
        let receive = enlarge_receive_buffer(&socket, FEEDBACK_BUFFER);
        socket.set_nonblocking(true).map_err(step("set non-blocking"))?;
        let segmentation = setsockopt(&socket, sockopt::UdpGsoSegment, &(segment as i32)).is_ok();
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr().map_err(step("read back the address"))?;
        let group = on_link(group.addr(), interface.index);
        Ok(Self { socket, group, local, segmentation, receive, send })
    }

    /// Where hosts reach this sender.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Its buffer for what hosts answer.
    pub fn receive_buffer(&self) -> Buffer {
        self.receive
    }

    /// Its buffer for what it sends.
    pub fn send_buffer(&self) -> Buffer {
        self.send
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
    buffer: Buffer,
}

impl GroupReceiver {
    /// Joins the group, for datagrams of one source where one is given.
    ///
    /// # Errors
    /// [`SocketError`] says which step failed.
    pub fn join(group: Group, interface: &Interface, source: Option<IpAddr>) -> Result<Self, SocketError> {
        let socket = new_socket(group)?;
        let step = |what| move |error| SocketError::Step { what, error };
        socket.set_reuse_address(true).map_err(step("share the port"))?;
        // Bound to the group's address, not to all: datagrams to others on this port never reach us.
        let addr = on_link(group.addr(), interface.index);
        socket.bind(&addr.into()).map_err(step("bind to the group's address"))?;
        match addr.ip() {
            IpAddr::V4(_) => {
                socket.set_multicast_all_v4(false).map_err(step("hear only this group"))?;
            }
            IpAddr::V6(_) => {
                socket.set_multicast_all_v6(false).map_err(step("hear only this group"))?;
                // Unlike IPv4, the kernel does not ask on which interface this socket has joined (inet6_mc_check).
                socket
                    .bind_device_by_index_v6(NonZeroU32::new(interface.index))
                    .map_err(step("hear only this interface"))?;
            }
        }
        let joined = match (addr.ip(), source) {
            (_, Some(source)) => options::join_source(&socket, addr, source, interface.index),
            (IpAddr::V4(ip), None) => {
                socket.join_multicast_v4_n(&ip, &InterfaceIndexOrAddress::Index(interface.index))
            }
            (IpAddr::V6(ip), None) => socket.join_multicast_v6(&ip, interface.index),
        };
        joined.map_err(step("join the group"))?;
        let buffer = enlarge_receive_buffer(&socket, GROUP_BUFFER);
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        let _ = setsockopt(&socket, sockopt::RxqOvfl, &1);
        socket.set_nonblocking(true).map_err(step("set non-blocking"))?;
        Ok(Self { socket, buffer })
    }

    /// Its receive buffer.
    pub fn buffer(&self) -> Buffer {
        self.buffer
    }
}

/// A socket's buffer as the kernel counts it, its own overhead included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// What it is.
    pub bytes: usize,
    /// What it should be.
    pub wanted: usize,
    /// The setting that is in the way where it is less.
    pub limit: &'static str,
}

impl Buffer {
    /// Whether it is less than wanted.
    pub fn is_short(self) -> bool {
        self.bytes < self.wanted
    }

    /// What to do where it is.
    pub fn remedy(self) -> String {
        // The kernel doubles what is asked for.
        format!("sysctl -w {}={}, or start with CAP_NET_ADMIN", self.limit, self.wanted / 2)
    }
}

impl AsFd for GroupReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Answers a sender: its own address, so that an acknowledgement reaches this host and no other.
#[derive(Debug)]
pub struct Answerer {
    socket: UdpSocket,
    interface: u32,
}

impl Answerer {
    /// A socket on the interface's address, for datagrams with this DSCP and the system's TTL.
    ///
    /// # Errors
    /// [`SocketError`] says which step failed.
    pub fn open(group: Group, interface: &Interface, dscp: u8) -> Result<Self, SocketError> {
        let step = |what| move |error| SocketError::Step { what, error };
        let socket = new_socket(group)?;
        mark(&socket, group, dscp).map_err(step("set the DSCP"))?;
        socket.bind(&interface.socket_addr(0).into()).map_err(step("bind to the interface's address"))?;
        // The last host of a push gets its symbols here.
        enlarge_receive_buffer(&socket, UNICAST_BUFFER);
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        socket.set_nonblocking(true).map_err(step("set non-blocking"))?;
        Ok(Self { socket: socket.into(), interface: interface.index })
    }

    /// Sends one datagram. A link-local address is one of this interface's link: nobody else could have said it, and a
    /// link has another number on each host.
    ///
    /// # Errors
    /// What sendto(2) says.
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket.send_to(bytes, on_link(to, self.interface)).map(|_| ())
    }
}

impl AsFd for Answerer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn new_socket(group: Group) -> Result<Socket, SocketError> {
    let domain = if group.addr().is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))
        .map_err(|error| SocketError::Step { what: "open a UDP socket", error })
}

fn mark(socket: &Socket, group: Group, dscp: u8) -> io::Result<()> {
    // The upper six bits of the octet; the others are for ECN (RFC 2474 §3, RFC 3168 §5).
    let octet = u32::from(dscp) << 2;
    if group.addr().is_ipv4() { socket.set_tos_v4(octet) } else { socket.set_tclass_v6(octet) }
}

/// Asks for a receive buffer, past `net.core.rmem_max` where we may (CAP_NET_ADMIN); gives what came of it. The kernel
/// doubles what is asked for to account for its own overhead (socket(7)).
fn enlarge_receive_buffer(socket: &Socket, bytes: usize) -> Buffer {
    let ask = bytes / 2;
    if setsockopt(socket, sockopt::RcvBufForce, &ask).is_err() {
        let _ = socket.set_recv_buffer_size(ask);
    }
    Buffer { bytes: socket.recv_buffer_size().unwrap_or(0), wanted: bytes, limit: "net.core.rmem_max" }
}

/// The same for sending, and `net.core.wmem_max`.
fn enlarge_send_buffer(socket: &Socket, bytes: usize) -> Buffer {
    let ask = bytes / 2;
    if setsockopt(socket, sockopt::SndBufForce, &ask).is_err() {
        let _ = socket.set_send_buffer_size(ask);
    }
    Buffer { bytes: socket.send_buffer_size().unwrap_or(0), wanted: bytes, limit: "net.core.wmem_max" }
}

/// What a full socket buffer holds keeps the link busy until it is looked at again: 3 ms at 10 Gbit/s with the kernel's
/// overhead. A larger one does not speed anything up; the default holds only some batches.
const SEND_BUFFER: usize = 8 << 20;
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
        let receivers = [(); 3].map(|()| GroupReceiver::join(group, &lo, None).expect("joined"));
        let sender = GroupSender::open(group, &lo, 0, MARKING, 1000).expect("opened");
        assert!(sender.has_segmentation(), "Linux 4.18");
        sender.send_to_group(&[7; 2500]).expect("sent");
        sleep(Duration::from_millis(20));
        for receiver in &receivers {
            assert_eq!(drain(receiver), [1000, 1000, 500].map(|len| (sender.local_addr(), len)));
        }
    }

    #[test]
    fn who_joins_for_one_source_hears_no_other() {
        for group in ["232.255.71.68:47168", "239.255.71.68:47168"] {
            let group: Group = group.parse().expect("group");
            let mut lo = Interface::find("lo", group).expect("loopback");
            let receiver =
                GroupReceiver::join(group, &lo, Some(IpAddr::from([127, 0, 0, 2]))).expect("joined");
            let senders = [1, 2, 3].map(|last| {
                lo.addr = IpAddr::from([127, 0, 0, last]);
                let sender = GroupSender::open(group, &lo, 0, MARKING, 1000).expect("opened");
                sender.send_to_group(&[last; 100]).expect("sent");
                sender.local_addr()
            });
            sleep(Duration::from_millis(20));
            assert_eq!(drain(&receiver), [(senders[1], 100)]);
        }
    }

    #[test]
    fn a_short_buffer_says_which_setting_is_in_the_way() {
        let buffer = Buffer { bytes: 425_984, wanted: 32 << 20, limit: "net.core.rmem_max" };
        assert!(buffer.is_short());
        assert_eq!(buffer.remedy(), "sysctl -w net.core.rmem_max=16777216, or start with CAP_NET_ADMIN");
    }

    fn drain(receiver: &GroupReceiver) -> Vec<(SocketAddr, usize)> {
        let mut batch = Batch::default();
        let mut got = Vec::new();
        while batch.receive(receiver.as_fd()).expect("open") > 0 {
            got.extend(batch.datagrams().map(|(from, datagram)| (from, datagram.len())));
        }
        got
    }

    const MARKING: Marking = Marking { ttl: 1, dscp: 8 };
}
