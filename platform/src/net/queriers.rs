//! Who asks for members of multicast groups on a network: a raw socket, which takes CAP_NET_RAW.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use glancecast_proto::doctor::igmp::MembershipQuery;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use socket2::{Domain, Protocol, Socket, Type};

use super::interface::Interface;

/// Listens for queries of IGMP on one interface.
#[derive(Debug)]
pub struct Queriers {
    socket: Socket,
    /// This machine's own address: what it asks itself is no news.
    own: IpAddr,
    heard: BTreeSet<IpAddr>,
}

impl Queriers {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system's: most processes may not.
    pub fn listen(interface: &Interface) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IGMP)))?;
        socket.bind_device(Some(interface.name.as_bytes()))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, own: interface.addr, heard: BTreeSet::new() })
    }

    /// Takes in what has come, at most `PACKETS_IN_A_ROW` packets, without waiting.
    pub fn take(&mut self) {
        let mut packet = [0; PACKET_BYTES];
        for _ in 0..PACKETS_IN_A_ROW {
            match recv(self.socket.as_raw_fd(), &mut packet, MsgFlags::empty()) {
                Ok(len) => self.note(&packet[..len]),
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Returns the addresses from which queries about all groups came, at most `QUERIERS_MAX`.
    pub fn heard(&self) -> &BTreeSet<IpAddr> {
        &self.heard
    }

    fn note(&mut self, packet: &[u8]) {
        let Some(query) = MembershipQuery::parse(packet) else { return };
        let from = IpAddr::V4(query.from);
        if query.group.is_none() && from != self.own && self.heard.len() < QUERIERS_MAX {
            self.heard.insert(from);
        }
    }
}

/// The protocol number.
const IGMP: i32 = 2;
/// A query about all groups is shorter, whatever options its header has.
const PACKET_BYTES: usize = 256;
const PACKETS_IN_A_ROW: usize = 64;
/// A network has one querier, and one that is odd.
const QUERIERS_MAX: usize = 8;
