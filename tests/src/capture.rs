//! The UDP datagrams on a host's interfaces: their IP headers, packet by packet, from a packet socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::netns::Lab;

/// A packet socket on a host of a lab, which buffers packets until they are read.
#[derive(Debug)]
pub struct Capture(OwnedFd);

/// The headers of a UDP datagram as they were on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// The source address.
    pub from: IpAddr,
    /// The destination address.
    pub to: IpAddr,
    /// The upper six bits of the type of service or traffic class.
    pub dscp: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// The length of the IP packet by its header.
    pub bytes: usize,
    /// Whether it is a fragment of a datagram.
    pub fragment: bool,
}

impl Capture {
    /// Starts to buffer packets.
    pub fn start(lab: &Lab, host: &str) -> Self {
        lab.inside(host, || {
            let socket =
                socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
                    .expect("who built the lab may open a packet socket");
            setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).expect("and have a large buffer");
            setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(1)).expect("a timeout");
            Self(socket)
        })
    }

    /// Returns the UDP packets since the last call.
    pub fn packets(&self) -> Vec<Packet> {
        let mut frame = vec![0; 1 << 16];
        let mut packets = Vec::new();
        while let Ok(len) = recv(self.0.as_raw_fd(), &mut frame, MsgFlags::MSG_DONTWAIT) {
            packets.extend(parse(&frame[..len]));
        }
        packets
    }
}

/// Ethernet II, then IPv4 (RFC 791 §3.1) or IPv6 (RFC 8200 §3), then UDP.
fn parse(frame: &[u8]) -> Option<Packet> {
    let (ethernet, ip) = frame.split_at_checked(14)?;
    let length = |at: usize| Some(usize::from(u16::from_be_bytes([*ip.get(at)?, *ip.get(at + 1)?])));
    match ethernet[12..] {
        [0x08, 0x00] if ip.get(9) == Some(&UDP) => Some(Packet {
            from: Ipv4Addr::from(*ip.get(12..)?.first_chunk::<4>()?).into(),
            to: Ipv4Addr::from(*ip.get(16..)?.first_chunk::<4>()?).into(),
            dscp: ip[1] >> 2,
            ttl: ip[8],
            bytes: length(2)?,
            fragment: length(6)? & 0x3fff != 0,
        }),
        [0x86, 0xdd] if matches!(ip.get(6), Some(&(UDP | FRAGMENT))) => Some(Packet {
            from: Ipv6Addr::from(*ip.get(8..)?.first_chunk::<16>()?).into(),
            to: Ipv6Addr::from(*ip.get(24..)?.first_chunk::<16>()?).into(),
            dscp: (u16::from_be_bytes([ip[0], ip[1]]) >> 6) as u8 & 0x3f,
            ttl: ip[7],
            bytes: 40 + length(4)?,
            fragment: ip[6] == FRAGMENT,
        }),
        _ => None,
    }
}

/// Protocol numbers assigned by IANA.
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
/// Enough for some MiB of small frames.
const BUFFER_BYTES: usize = 256 << 20;
