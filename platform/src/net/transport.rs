//! Transport of a push's datagrams to the hosts ([`Downlink`]), and of a receiver's answers back ([`Uplink`]). Here are
//! the destinations and the marking of a sender's datagrams.
//!
//! The machines decide for whom a datagram is ([`To`](glancecast_proto::sender::To)), and this module how it is sent:
//! by multicast to a group, by unicast to each of some destinations, or both. All copies of a datagram are equal.
//! Nothing here allocates per datagram.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use glancecast_proto::limits::PATHS_MAX;

pub use super::downlink::{Downlink, Followed, Refusal};
use super::multicast::Group;
pub use super::socket::{Buffer, Offload, SocketError};
pub use super::trains::Destination;
pub use super::uplink::{Inlet, Listen, Listening, Uplink};

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

    /// Returns the group, if there is one.
    pub fn group(&self) -> Option<Group> {
        self.group
    }

    /// Returns all destinations, the group first.
    pub fn all(&self) -> impl Iterator<Item = SocketAddr> {
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

/// Maximum number of unicast destinations of one sender, beside a group: each is a path.
const UNICAST_MAX: usize = PATHS_MAX as usize - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::thread::sleep;
    use std::time::Duration;

    use glancecast_proto::sender::To;

    use crate::net::batch::Batch;
    use crate::net::interface::Interface;
    use crate::net::multicast::Membership;

    #[test]
    fn every_receiver_of_a_machine_hears_the_group() {
        let (group, lo) = loopback("239.255.71.67:47167");
        let receivers = [(); 3].map(|()| uplink(everyone_of(group), &lo).expect("joined"));
        let mut sender = downlink(group.into(), &lo);
        sender.send_batch(&[7; 2500], To::Everyone).expect("sent");
        for receiver in &receivers {
            let got = drain(receiver.sockets()[0]);
            assert_eq!(got, [1000, 1000, 500].map(|len| (sender.local_addr(), vec![7; len])));
        }
    }

    #[test]
    fn the_group_and_each_unicast_destination_get_every_datagram() {
        let (group, lo) = loopback("239.255.71.67:47169");
        let member = uplink(everyone_of(group), &lo).expect("joined");
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
                assert_eq!(heard(member.sockets()[0]), if group.is_some() { &expected[..] } else { &[] });
                assert_eq!(heard(hosts[0].as_fd()), expected);
                assert_eq!(heard(hosts[1].as_fd()), [&expected[..], &[b"to one"]].concat());
            }
            let (copies, sender) = (2 + u64::from(group.is_some()), downlink(destinations, &lo));
            assert_eq!((sender.copies(To::Everyone), sender.copies(To::Host(addrs[0]))), (copies, 1));
            assert_eq!(sender.frame_bytes(1000), 1000 + 42);
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
            let receiver = uplink(membership, &lo).expect("joined");
            let senders = [1, 2, 3].map(|last| {
                lo.addr = IpAddr::from([127, 0, 0, last]);
                let mut sender = downlink(group.into(), &lo);
                sender.send(&[last; 100], To::Everyone).expect("sent");
                sender.local_addr()
            });
            assert_eq!(drain(receiver.sockets()[0]), [(senders[1], vec![2; 100])]);
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

    fn uplink(membership: Membership, interface: &Interface) -> Result<Uplink, SocketError> {
        Uplink::open(membership, interface, 0, Offload::Used, Listen::AnyPort)
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
