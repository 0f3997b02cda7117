//! What the UDP sockets of both directions have in common.

use std::io;
use std::net::SocketAddr;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// The size of a socket buffer as the kernel counts it, including the kernel's overhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The actual size in bytes.
    pub bytes: usize,
    /// The wanted size in bytes.
    pub wanted: usize,
    /// The kernel setting that limits it.
    pub limit: &'static str,
}

impl Buffer {
    /// Whether the buffer is smaller than wanted.
    pub fn is_short(self) -> bool {
        self.bytes < self.wanted
    }

    /// Returns the command that makes the buffer as large as wanted.
    pub fn remedy(self) -> String {
        // The kernel doubles the requested size.
        format!("sysctl -w {}={}, or start with CAP_NET_ADMIN", self.limit, self.wanted / 2)
    }
}

/// Whether the kernel may send and receive several datagrams as one packet: generic segmentation offload (GSO) and
/// generic receive offload (GRO) of UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offload {
    /// Where the kernel can.
    #[default]
    Used,
    /// Never: for drivers and virtual networks that damage or drop such packets.
    Avoided,
}

/// A socket could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A step failed.
    #[error("cannot {what}: {error}")]
    Step {
        /// The step.
        what: &'static str,
        /// The system's error.
        error: io::Error,
    },
}

impl SocketError {
    /// Returns a closure for `map_err` that names the failed step.
    pub fn at(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Step { what, error }
    }
}

/// Opens a UDP socket of the address family of `like`.
pub(crate) fn open(like: SocketAddr) -> Result<Socket, SocketError> {
    Socket::new(Domain::for_address(like), Type::DGRAM, Some(Protocol::UDP))
        .map_err(SocketError::at("open a UDP socket"))
}

/// Sets the differentiated services code point of outgoing datagrams, 0 to 63 (RFC 2474).
pub(crate) fn mark(socket: &Socket, like: SocketAddr, dscp: u8) -> Result<(), SocketError> {
    // The upper six bits of the octet; the others are for ECN (RFC 2474 §3, RFC 3168 §5).
    let octet = u32::from(dscp) << 2;
    let marked = if like.is_ipv4() { socket.set_tos_v4(octet) } else { socket.set_tclass_v6(octet) };
    marked.map_err(SocketError::at("set the DSCP"))
}

/// Requests a receive buffer of `bytes` and returns the resulting one. With CAP_NET_ADMIN the size may exceed
/// `net.core.rmem_max`. The kernel doubles the requested size to account for its own overhead (socket(7)).
pub(crate) fn enlarge_receive_buffer(socket: &Socket, bytes: usize) -> Buffer {
    let ask = bytes / 2;
    if setsockopt(socket, sockopt::RcvBufForce, &ask).is_err() {
        let _ = socket.set_recv_buffer_size(ask);
    }
    Buffer { bytes: socket.recv_buffer_size().unwrap_or(0), wanted: bytes, limit: "net.core.rmem_max" }
}

/// Does the same for a send buffer and `net.core.wmem_max`.
pub(crate) fn enlarge_send_buffer(socket: &Socket, bytes: usize) -> Buffer {
    let ask = bytes / 2;
    if setsockopt(socket, sockopt::SndBufForce, &ask).is_err() {
        let _ = socket.set_send_buffer_size(ask);
    }
    Buffer { bytes: socket.send_buffer_size().unwrap_or(0), wanted: bytes, limit: "net.core.wmem_max" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_buffer_says_which_setting_is_in_the_way() {
        let buffer = Buffer { bytes: 425_984, wanted: 32 << 20, limit: "net.core.rmem_max" };
        assert!(buffer.is_short());
        assert_eq!(buffer.remedy(), "sysctl -w net.core.rmem_max=16777216, or start with CAP_NET_ADMIN");
    }
}
