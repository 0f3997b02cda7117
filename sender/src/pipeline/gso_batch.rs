//! A GSO batch: datagrams of one length in one buffer, sealed in place and sent with one system call.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use glancecast_platform::socket::GroupSender;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{Sequence, SessionTag};
use glancecast_proto::seal::Cipher;
use glancecast_proto::wire::SymbolHeader;

use super::load::Symbol;

/// Datagrams that the kernel takes in one call: `UDP_MAX_SEGMENTS` was 64 before Linux 6.9 (net/ipv4/udp.c), and all of
/// them together fit one IP packet's length.
const SEGMENTS_MAX: usize = 64;
const TRAIN_BYTES_MAX: usize = 65_535 - 48;

/// The buffer, built and sent again and again.
pub(crate) struct GsoBatch {
    bytes: Vec<u8>,
    datagram_bytes: usize,
}

impl GsoBatch {
    pub(crate) fn new(geometry: Geometry) -> Self {
        Self { bytes: Vec::with_capacity(TRAIN_BYTES_MAX), datagram_bytes: geometry.datagram_bytes() }
    }

    /// Datagrams that fit.
    pub(crate) fn capacity(&self) -> usize {
        SEGMENTS_MAX.min(TRAIN_BYTES_MAX / self.datagram_bytes)
    }

    /// Empties it.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Seals one more symbol into it.
    ///
    /// # Panics
    /// If it is full.
    pub(crate) fn push(&mut self, cipher: &Cipher, tag: SessionTag, sequence: Sequence, symbol: Symbol<'_>) {
        let header = SymbolHeader {
            tag,
            sequence,
            block: symbol.block,
            esi: symbol.esi,
            encoded_len: symbol.encoded_len,
        };
        let at = self.bytes.len();
        assert!(at + self.datagram_bytes <= self.bytes.capacity());
        self.bytes.resize(at + self.datagram_bytes, 0);
        header.seal(cipher, symbol.bytes, &mut self.bytes[at..]);
    }

    /// Bytes of its datagrams.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Sends what was loaded to the group, or to one host, waiting as long as the socket's buffer or the queue below it is full.
    ///
    /// # Errors
    /// What the system says for good.
    pub(crate) fn send(&self, socket: &mut GroupSender, to: Option<SocketAddr>) -> io::Result<()> {
        let send = |socket: &GroupSender, bytes: &[u8]| match to {
            None => socket.send_to_group(bytes),
            // Where the system does not let it through to one host, the group's way is still there.
            Some(host) => socket
                .send_to(bytes, host)
                .or_else(|error| if is_passing(&error) { Err(error) } else { socket.send_to_group(bytes) }),
        };
        if socket.has_segmentation() {
            match patiently(|| send(socket, &self.bytes)) {
                // Devices without checksum offload and some tunnels refuse GSO batches only when they come: one by one then.
                Err(error) if is_no_segmentation(&error) => socket.disable_segmentation(),
                result => return result,
            }
        }
        self.bytes.chunks(self.datagram_bytes).try_for_each(|datagram| patiently(|| send(socket, datagram)))
    }
}

/// A full socket buffer (EAGAIN) or device queue (ENOBUFS) empties itself; nothing is lost by waiting.
pub(crate) fn patiently(mut send: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match send() {
            Err(error) if is_full(&error) => std::thread::sleep(FULL_WAIT),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(ENOBUFS)
}

/// Whether it is about this call, and not about where to.
fn is_passing(error: &io::Error) -> bool {
    is_full(error) || is_no_segmentation(error) || error.kind() == io::ErrorKind::Interrupted
}

fn is_no_segmentation(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EIO | EINVAL | EMSGSIZE | EOPNOTSUPP))
}

/// Some frames at 1 Gbit/s.
const FULL_WAIT: Duration = Duration::from_micros(50);

/// errno(3) on Linux.
const EIO: i32 = 5;
const EINVAL: i32 = 22;
const EMSGSIZE: i32 = 90;
const EOPNOTSUPP: i32 = 95;
const ENOBUFS: i32 = 105;
