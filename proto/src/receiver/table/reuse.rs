//! Where a block's bytes may lie on this host already: in a base, or elsewhere in the object. Fingerprints are only
//! hints: bytes found by them are verified like those of any other block.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::geometry::Geometry;
use crate::ids::BlockIndex;
use crate::integrity::Fingerprint;
use crate::limits::{BLOCKS_MAX, FIRSTS_MAX};

/// A place whose bytes may be those of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the base, at the offset that this block would have there.
    Base(BlockIndex),
    /// In the object: this block is held, and may be equal.
    Object(BlockIndex),
}

/// The pieces of a base, each as long as a block, by their fingerprints.
#[derive(Debug, Default)]
pub struct BaseIndex(Vec<(Fingerprint, BlockIndex)>);

impl BaseIndex {
    /// Returns the index of `pieces`, which may be in any order. Pieces beyond the largest number of blocks are
    /// left out.
    pub fn new(mut pieces: Vec<(Fingerprint, BlockIndex)>) -> Self {
        pieces.truncate(BLOCKS_MAX as usize);
        pieces.sort_unstable();
        pieces.dedup_by_key(|&mut (fingerprint, _)| fingerprint);
        Self(pieces)
    }

    /// The number of different pieces.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the index is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, fingerprint: Fingerprint) -> Option<BlockIndex> {
        let at = self.0.binary_search_by_key(&fingerprint, |&(of, _)| of).ok()?;
        Some(self.0[at].1)
    }
}

/// The fingerprints of the object's blocks and of the base.
pub(super) struct Reuse {
    /// `None` while the base is being indexed.
    base: Option<BaseIndex>,
    /// The fingerprint of each block, if it is known and the block is not zero.
    fingerprints: Vec<Option<Fingerprint>>,
    /// The first missing block of each fingerprint that the base does not have.
    firsts: BTreeMap<Fingerprint, BlockIndex>,
    /// The blocks that wait for such a block, to be made from it.
    followers: BTreeMap<BlockIndex, Vec<BlockIndex>>,
    following: BTreeSet<BlockIndex>,
}

impl Reuse {
    pub(super) fn new(geometry: Geometry) -> Self {
        Self {
            base: None,
            fingerprints: vec![None; geometry.blocks() as usize],
            firsts: BTreeMap::new(),
            followers: BTreeMap::new(),
            following: BTreeSet::new(),
        }
    }

    pub(super) fn is_preparing(&self) -> bool {
        self.base.is_none()
    }

    pub(super) fn take_base(&mut self, base: BaseIndex) {
        self.base = Some(base);
    }

    pub(super) fn note(&mut self, block: BlockIndex, fingerprint: Fingerprint) {
        self.fingerprints[block.index()] = Some(fingerprint);
    }

    /// Forgets the fingerprint of a block that did not lie where it led: the block is not looked for again.
    pub(super) fn forget(&mut self, block: BlockIndex) {
        self.fingerprints[block.index()] = None;
    }

    /// Returns where a missing block may lie. If it equals a block that must arrive first, it waits for that one.
    pub(super) fn find(&mut self, block: BlockIndex, is_held: impl Fn(BlockIndex) -> bool) -> Option<Origin> {
        let (base, fingerprint) = (self.base.as_ref()?, self.fingerprints[block.index()]?);
        if let Some(piece) = base.find(fingerprint) {
            return Some(Origin::Base(piece));
        }
        let full = self.firsts.len() >= FIRSTS_MAX;
        match self.firsts.entry(fingerprint) {
            Entry::Vacant(_) if full => None,
            Entry::Vacant(first) => {
                first.insert(block);
                None
            }
            Entry::Occupied(first) if *first.get() == block => None,
            Entry::Occupied(first) if is_held(*first.get()) => Some(Origin::Object(*first.get())),
            Entry::Occupied(first) => {
                if self.following.insert(block) {
                    self.followers.entry(*first.get()).or_default().push(block);
                }
                None
            }
        }
    }

    /// Whether a block waits for another one that is most likely equal, and so is not asked for.
    pub(super) fn is_following(&self, block: BlockIndex) -> bool {
        self.following.contains(&block)
    }

    /// Returns the blocks that waited for a block that is held now.
    pub(super) fn take_followers(&mut self, first: BlockIndex) -> Vec<BlockIndex> {
        let followers = self.followers.remove(&first).unwrap_or_default();
        for block in &followers {
            self.following.remove(block);
        }
        followers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_the_base_is_found_wherever_it_lies() {
        let mut reuse = reuse(&[1, 2, 3]);
        assert_eq!(reuse.find(BlockIndex(0), |_| false), None, "it is not known yet what there is");
        reuse.take_base(BaseIndex::new(vec![(print(3), BlockIndex(7)), (print(1), BlockIndex(9))]));
        let found: Vec<_> = (0..3).map(|block| reuse.find(BlockIndex(block), |_| false)).collect();
        assert_eq!(found, [Some(Origin::Base(BlockIndex(9))), None, Some(Origin::Base(BlockIndex(7)))]);
    }

    #[test]
    fn of_equal_blocks_all_wait_for_the_first() {
        let mut reuse = reuse(&[5, 5, 6, 5]);
        reuse.take_base(BaseIndex::default());
        for block in 0..3 {
            assert_eq!(reuse.find(BlockIndex(block), |_| false), None);
        }
        let following: Vec<bool> = (0..4).map(|block| reuse.is_following(BlockIndex(block))).collect();
        assert_eq!(following, [false, true, false, false]);
        assert_eq!(reuse.take_followers(BlockIndex(0)), [BlockIndex(1)]);
        assert!(!reuse.is_following(BlockIndex(1)));
        let late = reuse.find(BlockIndex(3), |block| block.0 == 0);
        assert_eq!(late, Some(Origin::Object(BlockIndex(0))));
    }

    fn reuse(fingerprints: &[u8]) -> Reuse {
        let geometry = Geometry::new((fingerprints.len() as u64) << 20, 20, 1432).expect("in range");
        let mut reuse = Reuse::new(geometry);
        (0..).zip(fingerprints).for_each(|(block, &of)| reuse.note(BlockIndex(block), print(of)));
        reuse
    }

    fn print(of: u8) -> Fingerprint {
        Fingerprint([of; 16])
    }
}
