//! An older object on a host's disk that shares many blocks with the pushed one, some at other positions, and some
//! damaged since they were indexed.

use std::collections::BTreeSet;
use std::rc::Rc;

use glancecast_proto::ids::BlockIndex;
use glancecast_proto::integrity::Fingerprint;
use glancecast_proto::receiver::BaseIndex;

use super::dice::Dice;
use super::object::{Object, torn};
use super::plan::BasePlan;

#[derive(Default)]
pub(crate) struct Base(Vec<Piece>);

struct Piece {
    fingerprint: Fingerprint,
    bytes: Rc<[u8]>,
    is_bad: bool,
}

impl Base {
    /// Draws a base that has each piece once: which of several equal pieces a host reads is not specified.
    pub(crate) fn draw(plan: &BasePlan, object: &Object, dice: &mut Dice) -> Self {
        let mut base = Self::default();
        let mut seen = BTreeSet::new();
        for block in &object.blocks {
            let fingerprint = Fingerprint::of(&block.encoded);
            let is_there = !block.encoded.is_empty() && dice.chance(plan.share);
            if is_there && seen.insert(fingerprint) {
                let is_bad = dice.chance(plan.bad);
                let bytes = if is_bad { torn(&block.encoded) } else { Rc::clone(&block.encoded) };
                base.0.push(Piece { fingerprint, bytes, is_bad });
            }
            if dice.chance(0.2) {
                let other: [u8; 16] = dice.bytes();
                base.0.push(Piece {
                    fingerprint: Fingerprint::of(&other),
                    bytes: Rc::from(&other[..]),
                    is_bad: false,
                });
            }
        }
        let offset = dice.below(base.0.len() as u64 + 1) as usize;
        base.0.rotate_left(offset);
        base
    }

    /// Returns the index that a search of the base yields.
    pub(crate) fn index(&self) -> BaseIndex {
        let pieces = (0..).zip(&self.0).map(|(at, piece)| (piece.fingerprint, BlockIndex(at)));
        BaseIndex::new(pieces.collect())
    }

    /// Returns the bytes at a position.
    pub(crate) fn read(&self, at: BlockIndex) -> Rc<[u8]> {
        Rc::clone(&self.0[at.index()].bytes)
    }

    /// Returns the blocks of the object whose bytes the base has undamaged.
    pub(crate) fn right(&self, object: &Object) -> BTreeSet<BlockIndex> {
        let good: BTreeSet<Fingerprint> =
            self.0.iter().filter(|piece| !piece.is_bad).map(|piece| piece.fingerprint).collect();
        let lies_here = |block: &BlockIndex| {
            object.fingerprint(*block).is_some_and(|fingerprint| good.contains(&fingerprint))
        };
        object.geometry.indices().filter(lies_here).collect()
    }
}
