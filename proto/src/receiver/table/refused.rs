//! Blocks that are arriving and whose first symbols have found no buffer.
//!
//! Where a store is too slow, a buffer becomes free at any moment, and mostly in the middle of some block. If the rest of
//! that block were collected, it would hold the buffer until its first part is sent again, and soon all buffers would be
//! held by halves of blocks, while the store has nothing to write. So the rest of a block is refused as well, and the
//! buffer waits for the next one that begins.

use glancecast_fec::Esi;

use crate::ids::BlockIndex;

/// The last few of these blocks.
#[derive(Default)]
pub(super) struct Refused {
    recent: [Option<Entry>; BLOCKS],
    /// The place of the next one.
    next: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    block: BlockIndex,
    last: Esi,
    symbols: u32,
}

impl Refused {
    /// Notes that `symbols` symbols of a block from `first` to `last` have found no buffer.
    pub(super) fn note(&mut self, block: BlockIndex, first: Esi, last: Esi, symbols: u32) {
        let known = self.recent.iter_mut().flatten().find(|entry| entry.block == block);
        match known {
            Some(entry) => {
                let before = if entry.last < first { entry.symbols } else { 0 };
                (entry.last, entry.symbols) = (last, before + symbols);
            }
            None => {
                self.recent[self.next] = Some(Entry { block, last, symbols });
                self.next = (self.next + 1) % BLOCKS;
            }
        }
    }

    /// Whether a source symbol belongs to the rest of a block of `source_symbols`, of which too many were refused.
    pub(super) fn is_rest(&self, block: BlockIndex, esi: Esi, source_symbols: u32) -> bool {
        esi.value() < source_symbols
            && self.recent.iter().flatten().any(|entry| {
                entry.block == block && entry.last < esi && REFUSED_SHARE * entry.symbols >= source_symbols
            })
    }
}

/// Blocks that are remembered: more than are sent at a time.
const BLOCKS: usize = 8;
/// A block of which less than 1 / [`REFUSED_SHARE`] was refused is collected all the same.
const REFUSED_SHARE: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_refused_block_is_refused_until_it_is_sent_again() {
        let mut refused = Refused::default();
        let block = BlockIndex(7);
        (0..9).for_each(|n| refused.note(block, esi(n), esi(n), 1));
        assert!(!refused.is_rest(block, esi(9), 100), "few are easily sent again");
        refused.note(block, esi(9), esi(19), 11);
        assert!(refused.is_rest(block, esi(20), 100) && refused.is_rest(block, esi(99), 100));
        assert!(!refused.is_rest(block, esi(0), 100), "it is sent again from its beginning");
        assert!(!refused.is_rest(block, esi(100), 100), "repair symbols are for whom they are sent");
        assert!(!refused.is_rest(BlockIndex(8), esi(20), 100));
    }

    #[test]
    fn only_the_last_blocks_are_remembered() {
        let mut refused = Refused::default();
        (0..=BLOCKS as u32).for_each(|block| refused.note(BlockIndex(block), esi(0), esi(50), 51));
        assert!(!refused.is_rest(BlockIndex(0), esi(60), 100));
        assert!(refused.is_rest(BlockIndex(1), esi(60), 100));
    }

    fn esi(value: u32) -> Esi {
        Esi::new(value).expect("small")
    }
}
