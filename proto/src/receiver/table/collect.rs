//! The symbols collected of each block: which are here, and where further ones go.
//!
//! A buffer holds K source symbols at their places, then repair symbols in order of arrival. The bytes belong to
//! the shell; this module keeps their meaning.

use glancecast_fec::{BlockShape, Esi, SymbolSet};

use crate::limits::{REPAIR_SURPLUS_MAX, SOURCE_SYMBOLS_MAX};
use crate::wire::Discard;

/// The number of one of the session's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BufferId(pub u16);

/// Where a symbol goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The buffer.
    pub buffer: BufferId,
    /// The position in symbols; the offset in bytes is this times T.
    pub symbol: u32,
}

/// Returns the number of symbols that a buffer for a block of K source symbols holds: all K, as many repair symbols
/// for a host that lost every source symbol, and the overhead for an undecodable set.
pub const fn buffer_symbols(source_symbols: u32) -> u32 {
    2 * source_symbols + REPAIR_SURPLUS_MAX
}

/// The symbols of a block that have arrived.
#[derive(Debug)]
pub struct Collected {
    shape: BlockShape,
    encoded_len: u32,
    held: SymbolSet,
    repair: Vec<Esi>,
    /// The highest of them: most repair symbols come in ascending order, and are found to be new without a search.
    highest: Option<Esi>,
    /// Symbols beyond K that the next try waits for: one for each set that could not be decoded, and the overhead.
    failures: u32,
    /// Further symbols that it waits for, as some may be forged.
    margin: u32,
    /// Numbers under which symbols were forged, at most [`BARRED_MAX`]. The block does without the genuine ones: whoever
    /// forges them does so over and over.
    barred: Vec<Esi>,
}

impl Collected {
    /// Returns an empty record with room for every block, so that nothing is allocated later.
    pub(super) fn new(shape: BlockShape) -> Self {
        Self {
            shape,
            encoded_len: 0,
            held: SymbolSet::empty(SOURCE_SYMBOLS_MAX),
            repair: Vec::with_capacity(buffer_symbols(shape.source_symbols()) as usize),
            highest: None,
            failures: 0,
            margin: 0,
            barred: Vec::new(),
        }
    }

    /// Begins another block, whose first try waits for `overhead` symbols beyond K.
    pub(super) fn begin(&mut self, shape: BlockShape, encoded_len: u32, overhead: u32) {
        self.shape = shape;
        self.encoded_len = encoded_len;
        self.held.reset(shape.source_symbols());
        self.repair.clear();
        self.highest = None;
        (self.failures, self.margin) = (overhead, 0);
        self.barred.clear();
    }

    /// Returns K and T.
    pub fn shape(&self) -> BlockShape {
        self.shape
    }

    /// The number of bytes of the block as it travels; the rest of its last symbol is padding.
    pub fn encoded_len(&self) -> u32 {
        self.encoded_len
    }

    /// Returns the source symbols that are here.
    pub fn held(&self) -> &SymbolSet {
        &self.held
    }

    /// Returns the repair symbols that are here; the first is at position K.
    pub fn repair(&self) -> &[Esi] {
        &self.repair
    }

    /// Returns the position for a symbol that is not here yet.
    pub(super) fn place_for(&self, esi: Esi) -> Result<u32, Discard> {
        let k = self.shape.source_symbols();
        if self.barred.contains(&esi) {
            return Err(Discard::NotNeeded);
        }
        if esi.value() < k {
            return if self.held.contains(esi.value()) { Err(Discard::Duplicate) } else { Ok(esi.value()) };
        }
        if self.may_hold(esi) && self.repair.contains(&esi) {
            return Err(Discard::Duplicate);
        }
        let position = k + self.repair.len() as u32;
        if position < buffer_symbols(k) { Ok(position) } else { Err(Discard::Surplus) }
    }

    /// Records a symbol that was written to its place. Returns whether there are enough to try.
    pub(super) fn insert(&mut self, esi: Esi) -> bool {
        if esi.value() < self.shape.source_symbols() {
            self.held.insert(esi.value());
        } else {
            self.repair.push(esi);
            self.highest = self.highest.max(Some(esi));
        }
        self.is_enough()
    }

    /// Whether a repair symbol may be here: it is not beyond all that are.
    fn may_hold(&self, esi: Esi) -> bool {
        Some(esi) <= self.highest
    }

    /// Drops a source symbol.
    pub(super) fn drop_source(&mut self, position: u32) {
        self.held.remove(position);
    }

    /// Drops the repair symbols that `is_kept` refuses, asked in the order of their positions. The others keep their
    /// order; the caller moves their bytes.
    pub(super) fn retain_repair(&mut self, mut is_kept: impl FnMut(Esi) -> bool) {
        self.repair.retain(|&esi| is_kept(esi));
        self.highest = self.repair.iter().copied().max();
    }

    pub(super) fn note_failure(&mut self) {
        self.failures += 1;
    }

    /// Waits for no further symbols: no more will arrive.
    pub(super) fn stop_waiting(&mut self) {
        (self.failures, self.margin) = (0, 0);
    }

    /// Notes that all symbols that are left were proven, after others were `dropped`. If there are too few, the next try
    /// waits for at least as many more, and for more than the last one did: otherwise whoever forges a symbol in each
    /// round would take the place of a genuine one.
    pub(super) fn note_proven(&mut self, dropped: u32, forged: &[Esi]) {
        // A sender takes a host that lacks K symbols for one that holds nothing, and sends the source symbols again: of
        // these, most must be new and welcome.
        let quarter = self.shape.source_symbols() / 4;
        let room = BARRED_MAX.min(quarter as usize).saturating_sub(self.barred.len());
        self.barred.extend(forged.iter().take(room));
        let margin = std::mem::take(&mut self.margin);
        if !self.is_enough() {
            // The buffer has room for K repair symbols and a few: more can only be waited for where source symbols are held.
            let room = (self.held.count() + REPAIR_SURPLUS_MAX / 2).min(quarter);
            self.margin = (2 * margin).max(dropped).min(room);
        }
    }

    /// Whether all source symbols are here and none of them may be forged, or as many symbols as the next try waits for.
    pub(super) fn is_enough(&self) -> bool {
        self.held.is_full() && self.margin == 0 || self.count() >= self.wanted()
    }

    /// The number of symbols to ask for: one more than is likely to be enough, which saves a round trip in one of
    /// 256 blocks.
    pub(super) fn deficit(&self) -> u16 {
        ((self.wanted() + 1).saturating_sub(self.count())).max(1) as u16
    }

    fn wanted(&self) -> u32 {
        self.shape.source_symbols() + self.failures + self.margin
    }

    fn count(&self) -> u32 {
        self.held.count() + self.repair.len() as u32
    }
}

/// Numbers of forged symbols that are remembered of one block. Each is compared with those of its further symbols.
const BARRED_MAX: usize = 8;

#[cfg(feature = "simulation")]
impl Collected {
    /// Inserts up to `count` consecutive source symbols from `first` on, as many as are missing, if none of them is here.
    /// Returns how many.
    pub(super) fn insert_source(&mut self, first: Esi, count: u32) -> u32 {
        let taken = count.min(self.wanted().saturating_sub(self.count()));
        let range = first.value()..first.value() + taken;
        let is_plain =
            self.barred.is_empty() && range.end <= self.shape.source_symbols() && !self.held.is_full();
        if is_plain && self.held.insert_range(range) { taken } else { 0 }
    }

    /// Inserts up to `count` consecutive repair symbols from `first` on, as many as are missing, if neither they
    /// nor any later one came before. Returns how many.
    pub(super) fn insert_repair(&mut self, first: Esi, count: u32) -> u32 {
        let k = self.shape.source_symbols();
        if first.value() < k || self.held.is_full() || self.may_hold(first) {
            return 0;
        }
        let room = buffer_symbols(k) - k - self.repair.len() as u32;
        let taken = count.min(self.wanted().saturating_sub(self.count())).min(room);
        self.repair.extend((0..taken).map(|n| first.plus(n).expect("ids are handed out in range")));
        self.highest = self.repair.last().copied().max(self.highest);
        taken
    }
}

/// All buffers of a session, free or in use. Their number bounds its memory.
pub(super) struct Buffers {
    /// `None` while the block is being rebuilt, or while the buffer is empty.
    used: Vec<Option<Box<Collected>>>,
    idle: Vec<(BufferId, Box<Collected>)>,
    /// The number of buffers whose record is lent to the work on a block.
    lent: u32,
}

impl Buffers {
    pub(super) fn new(count: u16, largest: BlockShape) -> Self {
        Self {
            used: (0..count).map(|_| None).collect(),
            idle: (0..count).rev().map(|id| (BufferId(id), Box::new(Collected::new(largest)))).collect(),
            lent: 0,
        }
    }

    pub(super) fn none() -> Self {
        Self { used: Vec::new(), idle: Vec::new(), lent: 0 }
    }

    pub(super) fn count(&self) -> u32 {
        self.used.len() as u32
    }

    pub(super) fn free(&self) -> u32 {
        self.idle.len() as u32
    }

    /// The number of buffers whose record is lent to the work on a block.
    pub(super) fn lent(&self) -> u32 {
        self.lent
    }

    /// The buffer that [`Buffers::take`] would return.
    pub(super) fn next(&self) -> Option<BufferId> {
        self.idle.last().map(|&(id, _)| id)
    }

    pub(super) fn take(&mut self, shape: BlockShape, encoded_len: u32, overhead: u32) -> Option<BufferId> {
        let (id, mut collected) = self.idle.pop()?;
        collected.begin(shape, encoded_len, overhead);
        self.used[usize::from(id.0)] = Some(collected);
        Some(id)
    }

    pub(super) fn get(&self, id: BufferId) -> &Collected {
        self.used[usize::from(id.0)].as_deref().expect("a collecting block has its buffer")
    }

    pub(super) fn get_mut(&mut self, id: BufferId) -> &mut Collected {
        self.used[usize::from(id.0)].as_deref_mut().expect("a collecting block has its buffer")
    }

    /// Lends the record of a buffer to the work on its block.
    pub(super) fn lend(&mut self, id: BufferId) -> Box<Collected> {
        self.lent += 1;
        self.used[usize::from(id.0)].take().expect("lent once")
    }

    /// Takes a record back for further symbols.
    pub(super) fn give_back(&mut self, id: BufferId, collected: Box<Collected>) {
        let place = &mut self.used[usize::from(id.0)];
        assert!(place.is_none(), "given back once");
        *place = Some(collected);
        self.lent -= 1;
    }

    /// Takes a record back, and frees its buffer for another block.
    pub(super) fn release(&mut self, id: BufferId, collected: Box<Collected>) {
        assert!(self.used[usize::from(id.0)].is_none(), "released once");
        self.idle.push((id, collected));
        self.lent -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_has_one_place_and_is_taken_once() {
        let mut block = collecting(10);
        assert_eq!(block.place_for(esi(3)), Ok(3));
        block.insert(esi(3));
        assert_eq!(block.place_for(esi(3)), Err(Discard::Duplicate));
        assert_eq!(block.place_for(esi(77)), Ok(10));
        block.insert(esi(77));
        assert_eq!(block.place_for(esi(77)), Err(Discard::Duplicate));
        assert_eq!(block.place_for(esi(11)), Ok(11));
    }

    #[test]
    fn only_a_repair_symbol_that_comes_after_a_later_one_is_searched_for() {
        let mut block = collecting(10);
        for number in [10, 12, 13, 20] {
            assert!(!block.may_hold(esi(number)), "{number} is beyond all that are here");
            block.insert(esi(number));
        }
        for (number, place) in [(11, Ok(14)), (12, Err(Discard::Duplicate)), (20, Err(Discard::Duplicate))] {
            assert!(block.may_hold(esi(number)));
            assert_eq!(block.place_for(esi(number)), place, "{number}");
        }
        block.retain_repair(|kept| kept != esi(20));
        assert!(!block.may_hold(esi(20)) && block.may_hold(esi(13)));
    }

    #[test]
    fn a_buffer_never_takes_more_than_it_holds() {
        let mut block = collecting(10);
        (100..).map(esi).take(18).for_each(|esi| {
            block.place_for(esi).expect("room");
            block.insert(esi);
        });
        assert_eq!(block.place_for(esi(1_000)), Err(Discard::Surplus));
        assert_eq!(block.place_for(esi(0)), Ok(0), "a source symbol always has its place");
    }

    #[test]
    fn a_failed_decode_asks_for_one_more() {
        let mut block = collecting(10);
        assert_eq!(block.deficit(), 11);
        assert!((0..9).map(esi).all(|esi| !block.insert(esi)));
        assert!(block.insert(esi(10)), "ten symbols");
        block.note_failure();
        assert!(!block.is_enough());
        assert_eq!(block.deficit(), 2);
        assert!(block.insert(esi(11)));
    }

    #[test]
    fn after_forged_symbols_the_next_try_waits_for_as_many_more() {
        let mut block = collecting(10);
        for number in 0..10 {
            block.insert(esi(number));
        }
        block.drop_source(7);
        block.note_proven(1, &[esi(7)]);
        assert_eq!(block.deficit(), 3);
        assert_eq!(block.place_for(esi(7)), Err(Discard::NotNeeded), "it would be forged again");
        assert!(!block.insert(esi(20)), "so may this one be");
        assert!(block.insert(esi(21)));
        block.retain_repair(|kept| kept == esi(21));
        block.note_proven(1, &[esi(20)]);
        assert!(block.is_enough(), "all that are left are the sender's");
    }

    #[test]
    fn a_block_of_few_symbols_takes_all_of_them_again() {
        for k in 1..4 {
            let mut block = collecting(k);
            for number in 0..k {
                block.insert(esi(number));
            }
            (0..k).for_each(|number| block.drop_source(number));
            block.note_proven(k, &(0..k).map(esi).collect::<Vec<_>>());
            let tried =
                (0..k).map(|number| block.place_for(esi(number)).is_ok() && block.insert(esi(number)));
            assert_eq!(tried.last(), Some(true), "K = {k}");
        }
    }

    #[test]
    fn no_more_is_waited_for_than_the_buffer_has_room_for() {
        for lost in 0..10 {
            let mut block = collecting(10);
            for number in lost..20 - lost {
                block.insert(esi(number));
            }
            for _ in 0..20 {
                block.note_proven(5, &[]);
            }
            for number in 100..200 {
                if block.place_for(esi(number)).is_ok() {
                    block.insert(esi(number));
                }
            }
            assert!(block.is_enough(), "{lost} source symbols are lost");
        }
    }

    fn collecting(k: u32) -> Collected {
        let shape = BlockShape::new(k, 100).expect("in range");
        let mut block = Collected::new(shape);
        block.begin(shape, k * 100, 0);
        block
    }

    fn esi(value: u32) -> Esi {
        Esi::new(value).expect("small")
    }
}
