//! What proves a block and an object: BLAKE3 subtrees.
//!
//! A block is a whole subtree of the object's BLAKE3 tree (`blake3::hazmat`). Its chaining value can be computed as
//! soon as the block is complete, in any order, and the root of all of them equals `b3sum` of the whole file. An object
//! of a single block has no subtree below the root: there the block's hash is the root itself.

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::geometry::Geometry;
use crate::hex::shown_as_hex;
use crate::ids::BlockIndex;

/// The hash of a whole object: what `b3sum` prints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Root(pub [u8; Self::BYTES]);

/// The hash of one block at its place: its subtree's chaining value, or the root where it is the only block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BlockHash(pub [u8; Self::BYTES]);

impl BlockHash {
    /// Length of a hash.
    pub const BYTES: usize = 32;

    /// Hashes a block's logical bytes.
    ///
    /// # Panics
    /// If `bytes` is not as long as the block.
    pub fn of(geometry: Geometry, block: BlockIndex, bytes: &[u8]) -> Self {
        assert_eq!(bytes.len(), geometry.block_len(block) as usize);
        if geometry.blocks() == 1 {
            return Self(*blake3::hash(bytes).as_bytes());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(geometry.offset(block)).update(bytes);
        Self(hasher.finalize_non_root())
    }
}

/// A hash of a block's bytes that does not depend on their place: equal blocks have equal fingerprints. It is a hint
/// where to look for a block, and proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; Self::BYTES]);

impl Fingerprint {
    /// Length of a fingerprint: half of a BLAKE3 hash, which is enough to find blocks by.
    pub const BYTES: usize = 16;

    /// Fingerprints a block's logical bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let hash = blake3::Hasher::new_derive_key(FINGERPRINT_CONTEXT).update(bytes).finalize();
        Self(*hash.as_bytes().first_chunk().expect("half of 32 bytes"))
    }
}

impl Root {
    /// Length of a root.
    pub const BYTES: usize = 32;

    /// The root of an object from the hashes of all its blocks, in order.
    ///
    /// # Panics
    /// If there is not one hash per block.
    pub fn of(geometry: Geometry, blocks: &[BlockHash]) -> Self {
        assert_eq!(blocks.len(), geometry.blocks() as usize);
        match blocks {
            [] => Self(*blake3::hash(&[]).as_bytes()),
            [only] => Self(only.0),
            many => {
                let (left, right) = many.split_at(left_blocks(many.len()));
                Self(
                    *merge_subtrees_root(&chaining_value(left), &chaining_value(right), Mode::Hash)
                        .as_bytes(),
                )
            }
        }
    }
}

/// Bytes of a block that match its manifest entry: the only thing that a store writes.
#[derive(Debug)]
pub struct VerifiedBlock<'a> {
    block: BlockIndex,
    offset: u64,
    bytes: &'a [u8],
    hash: BlockHash,
}

impl<'a> VerifiedBlock<'a> {
    /// Hashes a block's logical bytes and compares with its manifest entry.
    ///
    /// # Errors
    /// [`Mismatch`] names the block; its bytes must not be used.
    pub fn verify(
        geometry: Geometry,
        block: BlockIndex,
        bytes: &'a [u8],
        expected: BlockHash,
    ) -> Result<Self, Mismatch> {
        if BlockHash::of(geometry, block, bytes) == expected {
            Ok(Self { block, offset: geometry.offset(block), bytes, hash: expected })
        } else {
            Err(Mismatch { block })
        }
    }

    /// A block that the manifest lists as all zero. The manifest carries no hash for it; the hash is computed here, and
    /// the root proves that the block was meant to be zero.
    ///
    /// # Panics
    /// If `zeros` is not as long as the block, or not all zero.
    pub fn zeros(geometry: Geometry, block: BlockIndex, zeros: &'a [u8]) -> Self {
        debug_assert!(zeros.iter().all(|&byte| byte == 0));
        let hash = BlockHash::of(geometry, block, zeros);
        Self { block, offset: geometry.offset(block), bytes: zeros, hash }
    }

    /// The block's index.
    pub fn block(&self) -> BlockIndex {
        self.block
    }

    /// The block's offset in the object, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its hash.
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    /// Its logical bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// A block whose bytes are not those that the manifest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {block} does not match its hash")]
pub struct Mismatch {
    /// Which block.
    pub block: BlockIndex,
}

/// Blocks in the left subtree of a node over `count` blocks: the largest power of two below `count`, as
/// `blake3::hazmat::left_subtree_len` says in bytes.
fn left_blocks(count: usize) -> usize {
    count.next_power_of_two() / 2
}

fn chaining_value(blocks: &[BlockHash]) -> [u8; 32] {
    match blocks {
        [] => unreachable!("a subtree has at least one block"),
        [only] => only.0,
        many => {
            let (left, right) = many.split_at(left_blocks(many.len()));
            merge_subtrees_non_root(&chaining_value(left), &chaining_value(right), Mode::Hash)
        }
    }
}

shown_as_hex!(Root, BlockHash, Fingerprint);

/// Separates fingerprints from all other uses of BLAKE3.
const FINGERPRINT_CONTEXT: &str = "glancecast v1 block fingerprint";

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 1 << 19;

    #[test]
    fn the_root_is_what_b3sum_prints_for_every_number_of_blocks() {
        let bytes: Vec<u8> = (0..9 * BLOCK + 1).map(|i| (i % 251) as u8).collect();
        let lengths = [0, 1, 1023, 1024, 1025, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1024]
            .into_iter()
            .chain((3..=9).map(|n| n * BLOCK + n % 2));
        for len in lengths {
            let object = &bytes[..len];
            let geometry = Geometry::new(len as u64, 19, 1432).expect("in range");
            let hashes = hashes(geometry, object);
            assert_eq!(Root::of(geometry, &hashes).0, *blake3::hash(object).as_bytes(), "{len} bytes");
        }
    }

    #[test]
    fn a_block_with_one_wrong_bit_is_not_verified() {
        let mut object = vec![7; 2 * BLOCK];
        let geometry = Geometry::new(object.len() as u64, 19, 1432).expect("in range");
        let hashes = hashes(geometry, &object);
        let block = BlockIndex(1);
        assert!(VerifiedBlock::verify(geometry, block, &object[BLOCK..], hashes[1]).is_ok());
        object[BLOCK + 77] ^= 1;
        let verdict = VerifiedBlock::verify(geometry, block, &object[BLOCK..], hashes[1]);
        assert_eq!(verdict.err(), Some(Mismatch { block }));
    }

    #[test]
    fn equal_bytes_at_another_place_have_another_hash() {
        let object = vec![7; 2 * BLOCK];
        let geometry = Geometry::new(object.len() as u64, 19, 1432).expect("in range");
        let hashes = hashes(geometry, &object);
        assert_ne!(hashes[0], hashes[1]);
    }

    #[test]
    fn equal_bytes_have_one_fingerprint_and_it_is_no_other_hash() {
        let bytes = vec![7; BLOCK];
        assert_eq!(Fingerprint::of(&bytes), Fingerprint::of(&bytes.clone()));
        assert_ne!(Fingerprint::of(&bytes), Fingerprint::of(&bytes[1..]));
        assert_ne!(Fingerprint::of(&bytes).0, blake3::hash(&bytes).as_bytes()[..Fingerprint::BYTES]);
    }

    #[test]
    fn a_block_of_zeros_gets_the_hash_of_its_place() {
        let geometry = Geometry::new(2 * BLOCK as u64, 19, 1432).expect("in range");
        let zeros = vec![0; BLOCK];
        let hashes = hashes(geometry, &[&zeros[..], &zeros[..]].concat());
        for block in geometry.indices() {
            assert_eq!(VerifiedBlock::zeros(geometry, block, &zeros).hash(), hashes[block.index()]);
        }
    }

    fn hashes(geometry: Geometry, object: &[u8]) -> Vec<BlockHash> {
        geometry
            .indices()
            .map(|block| {
                let start = geometry.offset(block) as usize;
                let len = geometry.block_len(block) as usize;
                BlockHash::of(geometry, block, &object[start..start + len])
            })
            .collect()
    }
}
