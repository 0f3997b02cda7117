//! The way of a push's datagrams to the hosts ([`Downlink`]), and a receiver's way back ([`Uplink`]).
//!
//! The machines say who a datagram is for ([`To`]), and this module how it gets there: by multicast to a group, by unicast to
//! each of some destinations, or both. Every copy of a datagram has the same bytes. Nothing here allocates for a datagram.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use glancecast_proto::sender::To;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use super::batch::Batch;
use super::interface::{Interface, on_link};
use super::multicast::{self, Group, GroupReceiver, Membership};
use super::options;
use super::socket;
pub use super::socket::{Buffer, SocketError};

/// Where a push's datagrams go: a group, unicast destinations, or both. Never nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    group: Option<Group>,
    unicast: Vec<SocketAddr>,
}

impl Destinations {
    /// A group, unicast destinations, or both. A destination that is named twice gets its datagrams once.
    ///
    /// # Errors
    /// [`DestinationsError`] where there is none, or one that cannot be.
    pub fn new(group: Option<Group>, mut unicast: Vec<SocketAddr>) -> Result<Self, DestinationsError> {
        unicast.sort_unstable();
        unicast.dedup();
        let first = group.map(Group::addr).or_else(|| unicast.first().copied());
        let first = first.ok_or(DestinationsError::Nowhere)?;
        if unicast.len() > UNICAST_MAX {
            return Err(DestinationsError::TooMany(unicast.len()));
        }
        for &addr in &unicast {
            let broadcast = addr.ip() == IpAddr::from([255; 4]);
            if addr.ip().is_multicast() || addr.ip().is_unspecified() || broadcast || addr.port() == 0 {
                return Err(DestinationsError::NotAHost(addr));
            }
            if addr.is_ipv4() != first.is_ipv4() {
                return Err(DestinationsError::Family(first, addr));
            }
        }
        Ok(Self { group, unicast })
    }

    /// The first of them. All are of its family, and the route to it decides the interface where nobody names one.
    pub fn first(&self) -> SocketAddr {
        self.all().next().expect("there is one")
    }

    /// Copies of each datagram that the interface sends.
    pub fn copies(&self) -> usize {
        self.all().count()
    }

    /// Whether hosts have to name the sender as their source, because the group is source-specific.
    pub fn need_source(&self) -> bool {
        self.group.is_some_and(Group::is_source_specific)
    }

    /// Bytes of a datagram's IP header.
    pub fn ip_header(&self) -> u16 {
        if self.first().is_ipv4() { 20 } else { 40 }
    }

    /// Bytes of the Ethernet frame of one copy of a datagram as tc(8) counts them: IP and Ethernet headers, no check
    /// sequence.
    pub fn frame_bytes(&self, datagram: usize) -> u64 {
        const ETHERNET: u64 = 14;
        const UDP: u64 = 8;
        datagram as u64 + UDP + u64::from(self.ip_header()) + ETHERNET
    }

    fn all(&self) -> impl Iterator<Item = SocketAddr> {
        self.group.map(Group::addr).into_iter().chain(self.unicast.iter().copied())
    }
}

impl From<Group> for Destinations {
    fn from(group: Group) -> Self {
        Self { group: Some(group), unicast: Vec::new() }
    }
}

impl fmt::Display for Destinations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first().fmt(f)?;
        match self.copies() - 1 {
            0 => Ok(()),
            1 => f.write_str(" and another address"),
            others => write!(f, " and {others} other addresses"),
        }
    }
}

/// Destinations that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationsError {
    /// Neither a group nor a host.
    #[error("there is no destination: name a group, hosts, or both")]
    Nowhere,
    /// More than a sender serves.
    #[error("{0} unicast destinations are more than the {max} that a sender serves", max = UNICAST_MAX)]
    TooMany(usize),
    /// An address that is not one host's, or no port.
    #[error("{0} is not the address and port of one host")]
    NotAHost(SocketAddr),
    /// IPv4 and IPv6 mixed.
    #[error("{0} and {1} are not of one family: one is IPv4, one IPv6")]
    Family(SocketAddr, SocketAddr),
}

/// How a sender's datagrams are marked.
#[derive(Clone, Copy, Debug)]
pub struct Marking {
    /// Hops that those to the group may go: 1 stays in the network of the interface. Datagrams to single hosts have the
    /// system's.
    pub ttl: u8,
    /// Differentiated services code point (RFC 2474), 0 to 63.
    pub dscp: u8,
}

/// The way down: one socket that sends to all destinations and receives what hosts send to its own address.
#[derive(Debug)]
pub struct Downlink {
    socket: UdpSocket,
    destinations: Destinations,
    /// The same with the link of the interface where an address needs one.
    addrs: Box<[SocketAddr]>,
    local: SocketAddr,
    /// Bytes of every datagram of a GSO batch but the last.
    segment: usize,
    segmentation: bool,
    receive: Buffer,
    send: Buffer,
}

impl Downlink {
    /// A way to the destinations through the interface. Hosts answer to `reply_port`, 0 for any free one; the datagrams of a
    /// GSO batch have `segment` bytes.
    ///
    /// # Errors
    /// [`SocketError`] says which step failed.
    pub fn open(
        destinations: Destinations,
        interface: &Interface,
        reply_port: u16,
        marking: Marking,
        segment: usize,
    ) -> Result<Self, SocketError> {
        let first = destinations.first();
        let socket = socket::open(first)?;
        multicast::send_through(&socket, interface, marking.ttl)?;
        socket::mark(&socket, first, marking.dscp)?;
        options::never_fragment(&socket, first.is_ipv4()).map_err(SocketError::at("forbid fragments"))?;
        let own = interface.socket_addr(reply_port);
        socket.bind(&own.into()).map_err(SocketError::at("bind to the interface's address"))?;
        let send = socket::enlarge_send_buffer(&socket, SEND_BUFFER);
        let receive = socket::enlarge_receive_buffer(&socket, FEEDBACK_BUFFER);
        socket.set_nonblocking(true).map_err(SocketError::at("set non-blocking"))?;
        let segmentation = setsockopt(&socket, sockopt::UdpGsoSegment, &(segment as i32)).is_ok();
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr().map_err(SocketError::at("read back the address"))?;
        let addrs = destinations.all().map(|addr| on_link(addr, interface.index)).collect();
        Ok(Self { socket, destinations, addrs, local, segment, segmentation, receive, send })
    }

    /// Where it leads.
    pub fn destinations(&self) -> &Destinations {
        &self.destinations
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

    /// Bytes of the Ethernet frames that the interface sends for one datagram, all its copies together.
    pub fn frame_bytes(&self, to: To, datagram: usize) -> u64 {
        let copies = match to {
            To::Everyone => self.addrs.len() as u64,
            To::Host(_) => 1,
        };
        self.destinations.frame_bytes(datagram) * copies
    }

    /// Sends one datagram. To everyone, it waits as long as the socket's buffer or the queue below it is full. To a single
    /// host it tries once, and never fails: a host that is gone must not end a push, and one that is not asks again.
    ///
    /// # Errors
    /// What the system says for good, where no destination took the datagram.
    pub fn send(&self, datagram: &[u8], to: To) -> io::Result<()> {
        match to {
            To::Everyone => {
                any_took_it(self.addrs.iter().map(|&addr| patiently(|| self.send_to(datagram, addr))))
            }
            To::Host(host) => {
                let _ = self.send_to(datagram, host);
                Ok(())
            }
        }
    }

    /// Sends a GSO batch: datagrams of one length, the last of which may be shorter. It waits as long as the socket's buffer
    /// or the queue below it is full.
    ///
    /// # Errors
    /// What the system says for good, where no destination took the batch.
    pub fn send_batch(&mut self, batch: &[u8], to: To) -> io::Result<()> {
        match to {
            To::Host(host) => match self.send_batch_to(batch, host) {
                // Where the system does not let it through to one host, everyone's way is still there.
                Err(_) => self.send_batch(batch, To::Everyone),
                Ok(()) => Ok(()),
            },
            To::Everyone => {
                any_took_it((0..self.addrs.len()).map(|i| self.send_batch_to(batch, self.addrs[i])))
            }
        }
    }

    fn send_batch_to(&mut self, batch: &[u8], addr: SocketAddr) -> io::Result<()> {
        if self.segmentation {
            match patiently(|| self.send_to(batch, addr)) {
                // Devices without checksum offload and some tunnels refuse a batch only when it comes.
                Err(error) if refuses_segmentation(&error) => self.disable_segmentation(),
                result => return result,
            }
        }
        batch.chunks(self.segment).try_for_each(|datagram| patiently(|| self.send_to(datagram, addr)))
    }

    fn disable_segmentation(&mut self) {
        let _ = setsockopt(&self.socket, sockopt::UdpGsoSegment, &0);
        self.segmentation = false;
    }

    fn send_to(&self, bytes: &[u8], addr: SocketAddr) -> io::Result<()> {
        self.socket.send_to(bytes, addr).map(|_| ())
    }
}

impl AsFd for Downlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Tries all destinations. One that cannot be reached keeps nothing from the others; its hosts are missed by the machine.
fn any_took_it(results: impl Iterator<Item = io::Result<()>>) -> io::Result<()> {
    results.reduce(Result::or).expect("there is a destination")
}

/// A full socket buffer (EAGAIN) or device queue (ENOBUFS) empties itself; nothing is lost by waiting.
fn patiently(mut send: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match send() {
            Err(error) if is_full(&error) => std::thread::sleep(FULL_WAIT),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::EAGAIN | Errno::ENOBUFS))
}

fn refuses_segmentation(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE | Errno::EOPNOTSUPP))
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

/// The way up: a socket for what is sent to everyone, and one for what is sent to this host alone, which answers.
#[derive(Debug)]
pub struct Uplink {
    everyone: GroupReceiver,
    host: UdpSocket,
    interface: u32,
}

/// Who a received datagram was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inlet {
    /// Every host.
    Everyone,
    /// This host alone: acknowledgements, and symbols where it is the last one.
    Host,
}

impl Uplink {
    /// Joins the group on the interface. Answers come from the interface's address, so that an acknowledgement reaches this
    /// host and no other; they have the code point `dscp`, 0 to 63, and the system's TTL.
    ///
    /// # Errors
    /// [`SocketError`] says which step failed.
    pub fn open(membership: Membership, interface: &Interface, dscp: u8) -> Result<Self, SocketError> {
        let everyone = GroupReceiver::join(membership, interface)?;
        let own = interface.socket_addr(0);
        let socket = socket::open(own)?;
        socket::mark(&socket, own, dscp)?;
        socket.bind(&own.into()).map_err(SocketError::at("bind to the interface's address"))?;
        // The last host of a push gets its symbols here.
        socket::enlarge_receive_buffer(&socket, HOST_BUFFER);
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        socket.set_nonblocking(true).map_err(SocketError::at("set non-blocking"))?;
        Ok(Self { everyone, host: socket.into(), interface: interface.index })
    }

    /// The receive buffer of what is sent to everyone.
    pub fn buffer(&self) -> Buffer {
        self.everyone.buffer()
    }

    /// The sockets to sleep on.
    pub fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        [self.everyone.as_fd(), self.host.as_fd()]
    }

    /// Takes what has come, without waiting; returns the number of messages.
    ///
    /// # Errors
    /// As [`Batch::receive`].
    pub fn receive(&self, inlet: Inlet, batch: &mut Batch) -> io::Result<usize> {
        batch.receive(match inlet {
            Inlet::Everyone => self.everyone.as_fd(),
            Inlet::Host => self.host.as_fd(),
        })
    }

    /// Sends one datagram to a sender. A link-local address is one of this interface's link: nobody else could have said it,
    /// and a link has another number on each host.
    ///
    /// # Errors
    /// What sendto(2) says.
    pub fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.host.send_to(datagram, on_link(to, self.interface)).map(|_| ())
    }
}

/// Unicast destinations of one sender.
const UNICAST_MAX: usize = 1024;

/// What a full socket buffer holds keeps the link busy until it is looked at again: 3 ms at 10 Gbit/s with the kernel's
/// overhead. A larger one does not speed anything up; the default holds only some batches.
const SEND_BUFFER: usize = 8 << 20;
/// Some frames at 1 Gbit/s.
const FULL_WAIT: Duration = Duration::from_micros(50);
/// What a sender sends to a single host between two of its polls.
const HOST_BUFFER: usize = 8 << 20;
/// Hellos of 10 000 hosts at once.
const FEEDBACK_BUFFER: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    #[test]
    fn every_receiver_of_a_machine_hears_the_group() {
        let (group, lo) = loopback("239.255.71.67:47167");
        let receivers = [(); 3].map(|()| Uplink::open(everyone_of(group), &lo, 0).expect("joined"));
        let mut sender = downlink(group.into(), &lo);
        assert!(sender.segmentation, "Linux 4.18");
        sender.send_batch(&[7; 2500], To::Everyone).expect("sent");
        for receiver in &receivers {
            let got = drain(receiver.everyone.as_fd());
            assert_eq!(got, [1000, 1000, 500].map(|len| (sender.local_addr(), vec![7; len])));
        }
    }

    #[test]
    fn the_group_and_each_unicast_destination_get_every_datagram() {
        let (group, lo) = loopback("239.255.71.67:47169");
        let member = Uplink::open(everyone_of(group), &lo, 0).expect("joined");
        let hosts = [bound(), bound()];
        let addrs = hosts.each_ref().map(|host| host.local_addr().expect("bound"));
        for group in [Some(group), None] {
            let mut sender = downlink(Destinations::new(group, addrs.to_vec()).expect("possible"), &lo);
            for segmentation in [true, false] {
                sender.segmentation &= segmentation;
                let batch: Vec<u8> = (0..2500).map(|i| (i / 1000) as u8).collect();
                sender.send(b"first", To::Everyone).expect("sent");
                sender.send_batch(&batch, To::Everyone).expect("sent");
                sender.send(b"to one", To::Host(addrs[1])).expect("sent");
                let expected: Vec<&[u8]> = [&b"first"[..]].into_iter().chain(batch.chunks(1000)).collect();
                let heard = |socket: BorrowedFd<'_>| {
                    drain(socket).into_iter().map(|(_, datagram)| datagram).collect::<Vec<_>>()
                };
                assert_eq!(heard(member.everyone.as_fd()), if group.is_some() { &expected[..] } else { &[] });
                assert_eq!(heard(hosts[0].as_fd()), expected);
                assert_eq!(heard(hosts[1].as_fd()), [&expected[..], &[b"to one"]].concat());
                sender.disable_segmentation();
            }
            let copies = 2 + u64::from(group.is_some());
            assert_eq!(sender.frame_bytes(To::Everyone, 1000), copies * (1000 + 42));
            assert_eq!(sender.frame_bytes(To::Host(addrs[0]), 1000), 1000 + 42);
        }
    }

    #[test]
    fn a_destination_out_of_reach_keeps_nothing_from_the_others() {
        // From a loopback address the kernel sends nothing out (EINVAL).
        let away: SocketAddr = "192.0.2.1:7167".parse().expect("an address");
        let (_, lo) = loopback("239.255.71.67:47170");
        let host = bound();
        let both = vec![away, host.local_addr().expect("bound")];
        let mut sender = downlink(Destinations::new(None, both).expect("possible"), &lo);
        sender.send(b"one", To::Everyone).expect("taken by one");
        sender.send_batch(b"two", To::Everyone).expect("taken by one");
        assert_eq!(drain(host.as_fd()).len(), 2);
        let mut sender = downlink(Destinations::new(None, vec![away]).expect("possible"), &lo);
        assert!(sender.send(b"one", To::Everyone).is_err());
        assert!(sender.send_batch(b"two", To::Everyone).is_err());
        assert!(sender.send(b"three", To::Host(away)).is_ok(), "it may be gone");
    }

    #[test]
    fn who_joins_for_one_source_hears_no_other() {
        for group in ["232.255.71.68:47168", "239.255.71.68:47168"] {
            let (group, mut lo) = loopback(group);
            let membership = Membership::new(group, Some(IpAddr::from([127, 0, 0, 2]))).expect("possible");
            let receiver = Uplink::open(membership, &lo, 0).expect("joined");
            let senders = [1, 2, 3].map(|last| {
                lo.addr = IpAddr::from([127, 0, 0, last]);
                let sender = downlink(group.into(), &lo);
                sender.send(&[last; 100], To::Everyone).expect("sent");
                sender.local_addr()
            });
            assert_eq!(drain(receiver.everyone.as_fd()), [(senders[1], vec![2; 100])]);
        }
    }

    #[test]
    fn destinations_are_hosts_of_one_family_and_never_none() {
        let group: Group = Group::DEFAULT.parse().expect("a group");
        let new = |group, unicast: &[&str]| {
            Destinations::new(group, unicast.iter().map(|text| text.parse().expect("an address")).collect())
        };
        assert_eq!(new(Some(group), &[]).expect("as ever"), group.into());
        assert_eq!(new(None, &["10.0.0.1:7", "10.0.0.1:7"]).expect("possible").copies(), 1);
        assert_eq!(
            new(Some(group), &["10.0.0.1:7", "10.0.0.2:7"]).expect("possible").to_string(),
            "239.255.71.67:7167 and 2 other addresses"
        );
        for bad in [
            &[][..],
            &["239.1.1.1:7"],
            &["0.0.0.0:7"],
            &["255.255.255.255:7"],
            &["10.0.0.1:0"],
            &["10.0.0.1:7", "[fd00::1]:7"],
        ] {
            assert!(new(None, bad).is_err(), "{bad:?}");
        }
        assert!(new(Some(group), &["[fd00::1]:7"]).is_err());
        let many = (0..=UNICAST_MAX as u16).map(|i| ([10, 0, 0, 1], 1 + i).into()).collect();
        assert!(Destinations::new(None, many).is_err());
    }

    fn loopback(group: &str) -> (Group, Interface) {
        let group: Group = group.parse().expect("a group");
        (group, Interface::find("lo", group).expect("loopback"))
    }

    fn everyone_of(group: Group) -> Membership {
        Membership::new(group, None).expect("not source-specific")
    }

    fn downlink(destinations: Destinations, interface: &Interface) -> Downlink {
        let marking = Marking { ttl: 1, dscp: 8 };
        Downlink::open(destinations, interface, 0, marking, 1000).expect("opened")
    }

    fn bound() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").expect("loopback")
    }

    fn drain(socket: BorrowedFd<'_>) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut batch = Batch::default();
        let mut got = Vec::new();
        sleep(Duration::from_millis(20));
        while batch.receive(socket).expect("open") > 0 {
            got.extend(batch.datagrams().map(|(from, datagram)| (from, datagram.to_vec())));
        }
        got
    }
}
