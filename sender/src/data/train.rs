//! A train: datagrams of one length in one buffer, sealed in place and sent with one system call.

use std::io;
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_host::socket::GroupSender;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, Sequence, SessionTag};
use glancecast_proto::seal::Cipher;
use glancecast_proto::wire::SymbolHeader;

/// Datagrams that the kernel takes in one call: `UDP_MAX_SEGMENTS` was 64 before Linux 6.9 (net/ipv4/udp.c), and all of
/// them together fit one IP packet's length.
const SEGMENTS_MAX: usize = 64;
const TRAIN_BYTES_MAX: usize = 65_535 - 48;

/// Symbols of one block, consecutive from `first`.
#[derive(Clone, Copy)]
pub(crate) struct Cargo<'a> {
    pub(crate) block: BlockIndex,
    pub(crate) encoded_len: u32,
    pub(crate) first: Esi,
    pub(crate) symbols: &'a [u8],
}

/// The buffer, built and sent again and again.
pub(crate) struct Train {
    bytes: Vec<u8>,
    datagram_bytes: usize,
    symbol_size: usize,
}

impl Train {
    pub(crate) fn new(geometry: Geometry) -> Self {
        Self {
            bytes: Vec::with_capacity(TRAIN_BYTES_MAX),
            datagram_bytes: geometry.datagram_bytes(),
            symbol_size: usize::from(geometry.symbol_size()),
        }
    }

    /// Datagrams that fit.
    pub(crate) fn capacity(&self) -> usize {
        SEGMENTS_MAX.min(TRAIN_BYTES_MAX / self.datagram_bytes)
    }

    /// Seals the cargo, which is at most [`Train::capacity`] symbols, under consecutive numbers from `number` on.
    pub(crate) fn load(&mut self, cipher: &Cipher, tag: SessionTag, number: Sequence, cargo: Cargo<'_>) {
        let count = cargo.symbols.len() / self.symbol_size;
        assert!(count <= self.capacity());
        self.bytes.resize(count * self.datagram_bytes, 0);
        let datagrams = self.bytes.chunks_exact_mut(self.datagram_bytes);
        for (i, (symbol, datagram)) in cargo.symbols.chunks_exact(self.symbol_size).zip(datagrams).enumerate()
        {
            let header = SymbolHeader {
                tag,
                sequence: number.plus(i as u32),
                block: cargo.block,
                esi: cargo.first.plus(i as u32).expect("ids of a job are in range"),
                encoded_len: cargo.encoded_len,
            };
            header.seal(cipher, symbol, datagram);
        }
    }

    /// Sends what was loaded, waiting as long as the socket's buffer or the queue below it is full.
    ///
    /// # Errors
    /// What the system says for good.
    pub(crate) fn send(&self, socket: &mut GroupSender) -> io::Result<()> {
        if socket.has_segmentation() {
            match patiently(|| socket.send_to_group(&self.bytes)) {
                // Devices without checksum offload and some tunnels refuse trains only when they come: one by one then.
                Err(error) if is_no_segmentation(&error) => socket.disable_segmentation(),
                result => return result,
            }
        }
        self.bytes
            .chunks(self.datagram_bytes)
            .try_for_each(|datagram| patiently(|| socket.send_to_group(datagram)))
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
