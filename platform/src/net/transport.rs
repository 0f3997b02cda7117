//! Transport of a push's datagrams to the hosts ([`Downlink`]), and of a receiver's answers back ([`Uplink`]).
//!
//! The machines decide for whom a datagram is ([`To`](glancecast_proto::sender::To)), and this module how it is sent:
//! by multicast to a group, by unicast to each of some destinations, or both. All copies of a datagram are equal.
//! Nothing here allocates per datagram.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::{setsockopt, sockopt};

use super::batch::Batch;
pub use super::downlink::{Downlink, Followed, Refusal};
use super::interface::{Interface, on_link};
use super::multicast::{Group, GroupReceiver, Membership};
use super::socket;
pub use super::socket::{Buffer, Offload, SocketError};

/// The destinations of a push's datagrams: a group, unicast destinations, or both. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    group: Option<Group>,
    unicast: Vec<SocketAddr>,
}

impl Destinations {
    /// Creates destinations. A unicast destination that is listed twice gets its datagrams once.
    ///
    /// # Errors
    /// [`DestinationsError`] if there is no destination, or an invalid one.
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

    /// Returns the first destination. All are of its family, and its route decides the interface if none is given.
    pub fn first(&self) -> SocketAddr {
        self.all().next().expect("there is one")
    }

    /// Returns the address of the group, if there is one.
    pub fn group(&self) -> Option<SocketAddr> {
        self.group.map(Group::addr)
    }

    /// Returns the unicast destinations.
    pub fn unicast(&self) -> &[SocketAddr] {
        &self.unicast
    }

    /// Returns the number of copies of each datagram that the interface sends.
    pub fn copies(&self) -> usize {
        self.all().count()
    }

    /// Whether hosts have to name the sender as their source, because the group is source-specific.
    pub fn need_source(&self) -> bool {
        self.group.is_some_and(Group::is_source_specific)
    }

    /// Returns the length of a datagram's IP header in bytes.
    pub fn ip_header(&self) -> u16 {
        if self.first().is_ipv4() { 20 } else { 40 }
    }

    /// Returns the length of one copy's Ethernet frame in bytes as tc(8) counts it: with IP and Ethernet headers,
    /// without the check sequence.
    pub fn frame_bytes(&self, datagram: usize) -> u64 {
        const ETHERNET: u64 = 14;
        const UDP: u64 = 8;
        datagram as u64 + UDP + u64::from(self.ip_header()) + ETHERNET
    }

    pub(super) fn all(&self) -> impl Iterator<Item = SocketAddr> {
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

/// Invalid destinations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationsError {
    /// There is neither a group nor a host.
    #[error("there is no destination: name a group, hosts, or both")]
    Nowhere,
    /// There are more unicast destinations than a sender serves.
    #[error("{0} unicast destinations are more than the {max} that a sender serves", max = UNICAST_MAX)]
    TooMany(usize),
    /// The address is not that of one host, or the port is 0.
    #[error("{0} is not the address and port of one host")]
    NotAHost(SocketAddr),
    /// The families differ.
    #[error("{0} and {1} are not of one family: one is IPv4, one IPv6")]
    Family(SocketAddr, SocketAddr),
}

/// The marking of a sender's datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Marking {
    /// Hops for datagrams to the group: 1 stays in the interface's network. Datagrams to single hosts have the system's
    /// TTL.
    pub ttl: u8,
    /// Differentiated services code point (RFC 2474), 0 to 63.
    pub dscp: u8,
}

/// A receiver's sockets: one for datagrams to everyone, and one for those to this host, which also sends answers.
///
/// They are opened once, with their buffers, and put on an interface as often as that is needed: it may be there only
/// later, be made anew, or get another address.
#[derive(Debug)]
pub struct Uplink {
    everyone: GroupReceiver,
    host: UdpSocket,
    membership: Membership,
    dscp: u8,
    offload: Offload,
    /// The address that `host` is bound to, without its port; `None` if it is bound to none.
    own: Option<SocketAddr>,
    interface: u32,
}

/// For whom a received datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inlet {
    /// Every host.
    Everyone,
    /// This host alone: acknowledgements, and symbols if it is the last unfinished host.
    Host,
}

impl Uplink {
    /// Opens the sockets, and puts them on the interface.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn open(
        membership: Membership,
        interface: &Interface,
        dscp: u8,
        offload: Offload,
    ) -> Result<Self, SocketError> {
        let mut uplink = Self::detached(membership, dscp, offload)?;
        uplink.attach(interface)?;
        Ok(uplink)
    }

    /// Opens the sockets, which neither receive nor send before they are [put on an interface](Self::attach). Answers
    /// have the code point `dscp`, 0 to 63, and the system's TTL.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn detached(membership: Membership, dscp: u8, offload: Offload) -> Result<Self, SocketError> {
        let everyone = GroupReceiver::open(membership, offload)?;
        let host = host_socket(membership, dscp, offload)?;
        Ok(Self { everyone, host, membership, dscp, offload, own: None, interface: 0 })
    }

    /// Joins the group on the interface, as if never before. Answers come from the interface's address, so that an
    /// acknowledgement reaches only this host; its port stays the same while the address does.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn attach(&mut self, interface: &Interface) -> Result<(), SocketError> {
        self.interface = interface.index;
        self.everyone.join_on(interface.index)?;
        let own = interface.socket_addr(0);
        if self.own == Some(own) {
            return Ok(());
        }
        if self.own.take().is_some() {
            // Dissolving an association, of which there is none, gives the port back (`__udp_disconnect` in
            // net/ipv4/udp.c); then the socket can be bound again, and keeps its buffer.
            let rebound =
                rustix::net::connect_unspec(&self.host).and_then(|()| rustix::net::bind(&self.host, &own));
            if rebound.is_ok() {
                self.own = Some(own);
                return Ok(());
            }
            self.host = host_socket(self.membership, self.dscp, self.offload)?;
        }
        rustix::net::bind(&self.host, &own)
            .map_err(|error| SocketError::at("bind to the interface's address")(error.into()))?;
        self.own = Some(own);
        Ok(())
    }

    /// Opens the sockets anew, as [`detached`](Self::detached), for when the system has closed them.
    ///
    /// # Errors
    /// [`SocketError`] with the failed step.
    pub fn reopen(&mut self) -> Result<(), SocketError> {
        *self = Self::detached(self.membership, self.dscp, self.offload)?;
        Ok(())
    }

    /// Returns the size of the receive buffer for datagrams to everyone.
    pub fn buffer(&self) -> Buffer {
        self.everyone.buffer()
    }

    /// Returns the only source whose datagrams to everyone are received; `None` for any. Datagrams to this host alone are
    /// received from all.
    pub fn source(&self) -> Option<IpAddr> {
        self.membership.source()
    }

    /// Returns the sockets to sleep on.
    pub fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        [self.everyone.as_fd(), self.host.as_fd()]
    }

    /// Receives queued datagrams without blocking. Returns the number of messages.
    ///
    /// # Errors
    /// Those of [`Batch::receive`].
    pub fn receive(&self, inlet: Inlet, batch: &mut Batch) -> io::Result<usize> {
        batch.receive(match inlet {
            Inlet::Everyone => self.everyone.as_fd(),
            Inlet::Host => self.host.as_fd(),
        })
    }

    /// Sends one datagram to a sender. A link-local address is taken as one of this interface's link, because only that
    /// link could have carried it, and a link has another index on each host.
    ///
    /// # Errors
    /// The error of sendto(2); `NotConnected` while the sockets are on no interface.
    pub fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        if self.own.is_none() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.host.send_to(datagram, on_link(to, self.interface)).map(|_| ())
    }
}

/// Opens the socket of one host, which is not bound yet.
fn host_socket(membership: Membership, dscp: u8, offload: Offload) -> Result<UdpSocket, SocketError> {
    let like = membership.group().addr();
    let socket = socket::open(like)?;
    socket::mark(&socket, like, dscp)?;
    // The last host of a push gets its symbols here.
    socket::enlarge_receive_buffer(&socket, HOST_BUFFER);
    if offload == Offload::Used {
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
    }
    socket.set_nonblocking(true).map_err(SocketError::at("set non-blocking"))?;
    Ok(socket.into())
}

/// Maximum number of unicast destinations of one sender.
const UNICAST_MAX: usize = 1024;

/// Holds what a sender sends to a single host between two of its polls.
const HOST_BUFFER: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;
    use std::time::Duration;

    use glancecast_proto::sender::To;

    #[test]
    fn every_receiver_of_a_machine_hears_the_group() {
        let (group, lo) = loopback("239.255.71.67:47167");
        let receivers =
            [(); 3].map(|()| Uplink::open(everyone_of(group), &lo, 0, Offload::Used).expect("joined"));
        let mut sender = downlink(group.into(), &lo);
        sender.send_batch(&[7; 2500], To::Everyone).expect("sent");
        for receiver in &receivers {
            let got = drain(receiver.everyone.as_fd());
            assert_eq!(got, [1000, 1000, 500].map(|len| (sender.local_addr(), vec![7; len])));
        }
    }

    #[test]
    fn the_group_and_each_unicast_destination_get_every_datagram() {
        let (group, lo) = loopback("239.255.71.67:47169");
        let member = Uplink::open(everyone_of(group), &lo, 0, Offload::Used).expect("joined");
        let hosts = [bound(), bound()];
        let addrs = hosts.each_ref().map(|host| host.local_addr().expect("bound"));
        for group in [Some(group), None] {
            let destinations = Destinations::new(group, addrs.to_vec()).expect("possible");
            for offload in [Offload::Used, Offload::Avoided] {
                let mut sender = open(destinations.clone(), &lo, offload);
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
            }
            let (copies, sender) = (2 + u64::from(group.is_some()), downlink(destinations, &lo));
            assert_eq!(sender.frame_bytes(To::Everyone, 1000), copies * (1000 + 42));
            assert_eq!(sender.frame_bytes(To::Host(addrs[0]), 1000), 1000 + 42);
        }
    }

    #[test]
    fn a_destination_out_of_reach_keeps_nothing_from_the_others() {
        // From a loopback address the kernel sends nothing to other machines (EINVAL).
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
            let receiver = Uplink::open(membership, &lo, 0, Offload::Used).expect("joined");
            let senders = [1, 2, 3].map(|last| {
                lo.addr = IpAddr::from([127, 0, 0, last]);
                let mut sender = downlink(group.into(), &lo);
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
        open(destinations, interface, Offload::Used)
    }

    fn open(destinations: Destinations, interface: &Interface, offload: Offload) -> Downlink {
        let marking = Marking { ttl: 1, dscp: 8 };
        Downlink::open(destinations, interface, 0, marking, 1000, offload).expect("opened")
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
