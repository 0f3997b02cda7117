//! A GSO batch: datagrams of one length in one buffer, sealed in place and sent with one system call.

use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{Sequence, SessionTag};
use glancecast_proto::seal::Cipher;
use glancecast_proto::wire::SymbolHeader;

use super::load::Symbol;

/// Limits of one call: `UDP_MAX_SEGMENTS` was 64 before Linux 6.9 (net/ipv4/udp.c), and all datagrams together must fit
/// the length of one IP packet.
const SEGMENTS_MAX: usize = 64;
const TRAIN_BYTES_MAX: usize = 65_535 - 48;

/// The buffer of a batch, reused for each.
pub(crate) struct GsoBatch {
    bytes: Vec<u8>,
    datagram_bytes: usize,
}

impl GsoBatch {
    pub(crate) fn new(geometry: Geometry) -> Self {
        Self { bytes: Vec::with_capacity(TRAIN_BYTES_MAX), datagram_bytes: geometry.datagram_bytes() }
    }

    /// Returns the maximum number of datagrams in a batch.
    pub(crate) fn capacity(&self) -> usize {
        SEGMENTS_MAX.min(TRAIN_BYTES_MAX / self.datagram_bytes)
    }

    /// Removes all datagrams.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Seals one more symbol into the batch.
    ///
    /// # Panics
    /// If the batch is full.
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

    /// Returns the datagrams, one after the other.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
