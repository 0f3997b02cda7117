//! How an object is divided into blocks and a block into symbols. One value answers every question of offset and
//! length, so that no other code multiplies.

use glancecast_fec::BlockShape;

use crate::ids::BlockIndex;
use crate::limits::{
    BLOCK_LOG2_DEFAULT, BLOCK_LOG2_MAX, BLOCK_LOG2_MIN, BLOCKS_MAX, CONTROL_MAX, CONTROL_SMALL, DATAGRAM_MAX,
    MTU_MAX, MTU_MIN, OBJECT_BYTES_MAX, SOURCE_SYMBOLS_MAX,
};

/// Length of an object, size of its blocks, size of its symbols. All are in range, and the codec takes the
/// [`BlockShape`] of every block of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    object_bytes: u64,
    block_log2: u8,
    symbol_size: u16,
}

impl Geometry {
    /// Checks that the three numbers are in range and possible together.
    ///
    /// # Errors
    /// [`GeometryError`] names the number that is out of range.
    pub fn new(object_bytes: u64, block_log2: u8, symbol_size: u16) -> Result<Self, GeometryError> {
        if object_bytes > OBJECT_BYTES_MAX {
            return Err(GeometryError::Object { bytes: object_bytes });
        }
        if !(BLOCK_LOG2_MIN..=BLOCK_LOG2_MAX).contains(&block_log2) {
            return Err(GeometryError::Block { log2: block_log2 });
        }
        let smallest = CONTROL_SMALL - SYMBOL_OVERHEAD;
        if usize::from(symbol_size) < smallest / 8 * 8
            || usize::from(symbol_size) + SYMBOL_OVERHEAD > DATAGRAM_MAX
        {
            return Err(GeometryError::Symbol { bytes: symbol_size });
        }
        let geometry = Self { object_bytes, block_log2, symbol_size };
        if object_bytes.div_ceil(geometry.block_bytes()) > u64::from(BLOCKS_MAX) {
            return Err(GeometryError::Blocks { bytes: object_bytes, log2: block_log2 });
        }
        let symbols = geometry.symbols_for(geometry.block_bytes().min(object_bytes) as u32);
        if symbols > SOURCE_SYMBOLS_MAX {
            return Err(GeometryError::Symbols { symbols });
        }
        Ok(geometry)
    }

    /// The geometry for an object on a path of this MTU: symbols that fill a datagram; blocks of 1 MiB, or larger where
    /// that would be too many blocks.
    ///
    /// # Errors
    /// [`GeometryError`] for an MTU or an object out of range.
    pub fn for_path(object_bytes: u64, mtu: u16, ip_header: u16) -> Result<Self, GeometryError> {
        if !(MTU_MIN..=MTU_MAX).contains(&mtu) {
            return Err(GeometryError::Mtu { mtu });
        }
        let payload = usize::from(mtu - ip_header) - UDP_HEADER;
        let symbol_size = (payload - SYMBOL_OVERHEAD) / 8 * 8;
        let mut block_log2 = BLOCK_LOG2_DEFAULT;
        while block_log2 < BLOCK_LOG2_MAX && object_bytes >> block_log2 >= u64::from(BLOCKS_MAX) {
            block_log2 += 1;
        }
        Self::new(object_bytes, block_log2, symbol_size as u16)
    }

    /// Length of the object in bytes.
    pub const fn object_bytes(self) -> u64 {
        self.object_bytes
    }

    /// Logical size of each block but the last, in bytes.
    pub const fn block_bytes(self) -> u64 {
        1 << self.block_log2
    }

    /// log2 of [`Geometry::block_bytes`].
    pub const fn block_log2(self) -> u8 {
        self.block_log2
    }

    /// T in bytes.
    pub const fn symbol_size(self) -> u16 {
        self.symbol_size
    }

    /// Length of a symbol's datagram in bytes (the UDP payload).
    pub const fn datagram_bytes(self) -> usize {
        self.symbol_size as usize + SYMBOL_OVERHEAD
    }

    /// Longest control datagram of a session with this geometry, in bytes.
    pub const fn control_bytes(self) -> usize {
        if self.datagram_bytes() < CONTROL_MAX { self.datagram_bytes() } else { CONTROL_MAX }
    }

    /// Number of blocks; 0 for an empty object.
    pub const fn blocks(self) -> u32 {
        self.object_bytes.div_ceil(self.block_bytes()) as u32
    }

    /// The blocks, in order.
    pub fn indices(self) -> impl Iterator<Item = BlockIndex> {
        (0..self.blocks()).map(BlockIndex)
    }

    /// Whether there is such a block.
    pub const fn contains(self, block: BlockIndex) -> bool {
        block.0 < self.blocks()
    }

    /// Where a block begins in the object, in bytes.
    pub const fn offset(self, block: BlockIndex) -> u64 {
        (block.0 as u64) << self.block_log2
    }

    /// Logical length of a block in bytes: [`Geometry::block_bytes`] but for the last one.
    ///
    /// # Panics
    /// If there is no such block.
    pub fn block_len(self, block: BlockIndex) -> u32 {
        assert!(self.contains(block), "block {block} of {}", self.blocks());
        (self.object_bytes - self.offset(block)).min(self.block_bytes()) as u32
    }

    /// The source block that carries `encoded_len` bytes (at least one, at most a block).
    ///
    /// # Panics
    /// If `encoded_len` is 0 or above the size of a block.
    pub fn shape(self, encoded_len: u32) -> BlockShape {
        assert!(
            encoded_len > 0 && u64::from(encoded_len) <= self.block_bytes(),
            "{encoded_len} bytes encoded"
        );
        BlockShape::new(self.symbols_for(encoded_len), self.symbol_size)
            .expect("within the codec's limits by new()")
    }

    /// The largest number of source symbols of any block of this object, 0 for an empty one.
    pub const fn symbols_max(self) -> u32 {
        let longest =
            if self.object_bytes < self.block_bytes() { self.object_bytes } else { self.block_bytes() };
        self.symbols_for(longest as u32)
    }

    const fn symbols_for(self, encoded_len: u32) -> u32 {
        encoded_len.div_ceil(self.symbol_size as u32)
    }
}

/// RFC 768.
const UDP_HEADER: usize = 8;

/// Bytes of a symbol's datagram besides the symbol: header, block, ESI, encoded length, tag. The format in
/// [`wire`](crate::wire) proves that they add up to this.
pub const SYMBOL_OVERHEAD: usize = 36;

const _: () = assert!(SOURCE_SYMBOLS_MAX <= glancecast_fec::K_MAX);

/// Why three numbers are no geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// Longer than [`OBJECT_BYTES_MAX`].
    #[error("an object of {bytes} bytes; at most {OBJECT_BYTES_MAX} are possible")]
    Object {
        /// Its length.
        bytes: u64,
    },
    /// A block size that is not offered.
    #[error("blocks of 2^{log2} bytes; 2^{BLOCK_LOG2_MIN} to 2^{BLOCK_LOG2_MAX} are possible")]
    Block {
        /// log2 of the size.
        log2: u8,
    },
    /// A symbol that does not go with a datagram.
    #[error("symbols of {bytes} bytes do not fit a datagram")]
    Symbol {
        /// T.
        bytes: u16,
    },
    /// An MTU out of range.
    #[error("an MTU of {mtu}; {MTU_MIN} to {MTU_MAX} are possible")]
    Mtu {
        /// The MTU.
        mtu: u16,
    },
    /// Too many blocks for this object at this block size.
    #[error("{bytes} bytes in blocks of 2^{log2} are more than {BLOCKS_MAX} blocks")]
    Blocks {
        /// The object's length.
        bytes: u64,
        /// log2 of the block size.
        log2: u8,
    },
    /// Too many symbols in a block: large blocks on a path of small datagrams.
    #[error("{symbols} symbols in a block; at most {SOURCE_SYMBOLS_MAX} are possible: use a larger MTU")]
    Symbols {
        /// K.
        symbols: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_payload_is_at_least_92_percent_of_the_ethernet_bytes() {
        const ETHERNET: u16 = 14 + 4; // header and frame check sequence
        for ip_header in [20, 40] {
            let geometry = Geometry::for_path(MIB, 1500, ip_header).expect("in range");
            let share = f64::from(geometry.symbol_size()) / f64::from(1500 + ETHERNET);
            println!(
                "MTU 1500, IP header {ip_header}: T = {}, {:.2} %",
                geometry.symbol_size(),
                100.0 * share
            );
            assert!(share >= 0.92);
        }
    }

    #[test]
    fn blocks_tile_the_object() {
        for bytes in [0, 1, 1432, MIB - 1, MIB, MIB + 1, 5 * MIB + 77] {
            let geometry = Geometry::for_path(bytes, 1500, 20).expect("in range");
            let total: u64 = geometry.indices().map(|b| u64::from(geometry.block_len(b))).sum();
            assert_eq!(total, bytes);
            for block in geometry.indices() {
                let shape = geometry.shape(geometry.block_len(block));
                assert!(shape.source_symbols() <= geometry.symbols_max());
                assert!(shape.source_bytes() >= geometry.block_len(block) as usize);
            }
        }
    }

    #[test]
    fn large_objects_get_larger_blocks() {
        assert_eq!(Geometry::for_path(MIB << 20, 1500, 20).map(|g| g.block_log2()), Ok(20));
        let largest = Geometry::for_path(OBJECT_BYTES_MAX, 1500, 20).expect("in range");
        assert_eq!((largest.block_log2(), largest.blocks()), (22, BLOCKS_MAX));
    }

    #[test]
    fn numbers_from_the_network_are_checked() {
        assert!(Geometry::new(OBJECT_BYTES_MAX + 1, 22, 1432).is_err());
        assert!(Geometry::new(MIB, 18, 1432).is_err());
        assert!(Geometry::new(MIB, 63, 1432).is_err());
        assert!(Geometry::new(MIB, 20, 0).is_err());
        assert!(Geometry::new(MIB, 20, u16::MAX).is_err());
        assert!(Geometry::new(OBJECT_BYTES_MAX, 20, 1432).is_err());
        assert!(Geometry::new(8 * MIB, 22, 488).is_err(), "8595 symbols in a block");
        assert!(Geometry::for_path(MIB, MTU_MIN - 1, 20).is_err());
        assert!(Geometry::for_path(MIB, MTU_MIN, 20).is_ok());
        assert!(Geometry::for_path(MIB, MTU_MIN, 40).is_err(), "no IPv6 path is that narrow");
        assert!(Geometry::for_path(MIB, 1_280, 40).is_ok());
    }
}
