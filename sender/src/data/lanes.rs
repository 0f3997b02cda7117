//! The blocks that are being sent at the moment, their symbols taken in turn: a burst of losses then costs each of them
//! a few symbols instead of one of them many, and all hosts together ask for less.

use glancecast_fec::Esi;
use glancecast_proto::ids::{BlockIndex, Sequence};
use glancecast_proto::sender::Job;

/// Blocks sent in turn. Measured with eight hosts that each lose 1 % of the batches of 44 datagrams: what is sent on top
/// of the image is 5.7 % with one, 4.4 with two, 3.2 with four, 2.7 with eight, and each is a buffer more on every host.
pub(crate) const LANES: usize = 4;

/// Symbols of one block that are to be sent.
pub(crate) struct Load {
    pub(crate) job: Job,
    /// The job's symbols, in its order.
    pub(crate) symbols: Vec<u8>,
    pub(crate) encoded_len: u32,
    /// K.
    pub(crate) source_symbols: u32,
    /// Who made the symbols, and gets their memory back.
    pub(crate) from: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Reader,
    Encoder,
}

/// One symbol, ready to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Symbol<'a> {
    pub(crate) block: BlockIndex,
    pub(crate) esi: Esi,
    pub(crate) encoded_len: u32,
    pub(crate) is_repair: bool,
    pub(crate) bytes: &'a [u8],
}

struct Lane {
    load: Load,
    sent: u32,
    /// Symbols of the load that are sent.
    end: u32,
    /// Number of the datagram of the last symbol taken.
    last: Sequence,
}

/// At most [`LANES`] loads.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    /// Whose turn it is.
    turn: usize,
    symbol_size: usize,
}

impl Lanes {
    pub(crate) fn new(symbol_size: usize) -> Self {
        Self { lanes: Vec::with_capacity(LANES), turn: 0, symbol_size }
    }

    /// Whether another load may begin. Blocks that began together would end together: every host would have all of them to
    /// prove at once, with nothing to do before, and need the buffers for it. So a block begins when the one before it has
    /// sent its part of a lane's time; nothing is late for it, as the lanes that are there take the whole rate.
    pub(crate) fn has_room(&self) -> bool {
        let is_young =
            |lane: &Lane| matches!(lane.load.job, Job::Source { .. }) && lane.sent < lane.end / LANES as u32;
        self.lanes.len() < LANES && !self.lanes.iter().any(is_young)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Takes a load that has at least one symbol.
    pub(crate) fn put(&mut self, load: Load) {
        assert!(self.lanes.len() < LANES);
        assert_eq!(load.symbols.len(), load.job.symbols(load.source_symbols) as usize * self.symbol_size);
        assert!(!load.symbols.is_empty());
        let end = load.job.symbols(load.source_symbols);
        self.lanes.push(Lane { load, sent: 0, end, last: Sequence::default() });
    }

    /// Leaves away what is left of the source symbols of blocks that nobody needs.
    pub(crate) fn cut(&mut self, is_needed: impl Fn(BlockIndex) -> bool) {
        for lane in &mut self.lanes {
            if matches!(lane.load.job, Job::Source { block, .. } if !is_needed(block)) {
                lane.end = lane.sent;
            }
        }
    }

    /// Symbols that are there.
    pub(crate) fn symbols(&self) -> usize {
        self.lanes.iter().map(|lane| lane.left() as usize).sum()
    }

    /// Hands the next `count` symbols, one of each block in turn, to `seal` under the numbers from `first` on.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn take(&mut self, count: usize, first: Sequence, mut seal: impl FnMut(Sequence, Symbol<'_>)) {
        assert!(count <= self.symbols());
        for i in 0..count {
            let lane = loop {
                self.turn = (self.turn + 1) % self.lanes.len();
                if self.lanes[self.turn].left() > 0 {
                    break &mut self.lanes[self.turn];
                }
            };
            let (job, at) = (lane.load.job, lane.sent);
            lane.last = first.plus(i as u32);
            lane.sent += 1;
            let symbol = Symbol {
                block: job.block(),
                esi: job.esi(lane.load.source_symbols, at),
                encoded_len: lane.load.encoded_len,
                is_repair: matches!(job, Job::Repair { .. }) || at >= lane.load.source_symbols,
                bytes: &lane.load.symbols[at as usize * self.symbol_size..][..self.symbol_size],
            };
            seal(lane.last, symbol);
        }
    }

    /// A load whose symbols have all been taken, with the number of the last.
    pub(crate) fn next_finished(&mut self) -> Option<(Load, Sequence)> {
        let at = self.lanes.iter().position(|lane| lane.left() == 0)?;
        let lane = self.lanes.remove(at);
        Some((lane.load, lane.last))
    }
}

impl Lane {
    fn left(&self) -> u32 {
        self.end - self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: usize = 8;

    #[test]
    fn blocks_that_are_sent_in_turn_end_one_after_the_other() {
        let mut lanes = Lanes::new(T);
        let (mut block, mut sent, mut ends) = (0, 0, Vec::new());
        while ends.len() < 20 {
            while lanes.has_room() {
                lanes.put(source(block, 700, 0));
                block += 1;
            }
            lanes.take(1, sequence(sent), |_, _| {});
            sent += 1;
            while let Some((load, last)) = lanes.next_finished() {
                ends.push((load.job.block().0, last.value()));
            }
        }
        assert!(ends.iter().map(|end| end.0).eq(0..20), "{ends:?}");
        let gaps: Vec<u64> = ends.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
        assert!(gaps[4..].iter().all(|gap| (680..=720).contains(gap)), "{gaps:?}");
    }

    #[test]
    fn repairs_hold_no_block_up() {
        let mut lanes = Lanes::new(T);
        lanes.put(repair(7, 40, 2));
        assert!(lanes.has_room());
        lanes.put(source(0, 4, 0));
        assert!(!lanes.has_room(), "the block has only begun");
        lanes.take(1, sequence(0), |_, _| {});
        lanes.take(1, sequence(1), |_, _| {});
        assert!(lanes.has_room());
    }

    #[test]
    fn blocks_take_turns_and_each_keeps_its_order() {
        let mut lanes = Lanes::new(T);
        lanes.put(source(0, 3, 1));
        lanes.put(repair(7, 40, 2));
        let mut taken = Vec::new();
        lanes.take(6, sequence(100), |number, symbol| {
            assert!(symbol.bytes.iter().all(|&byte| byte == symbol.bytes[0]) && symbol.bytes.len() == T);
            taken.push((number.value(), symbol.block.0, symbol.esi.value(), symbol.is_repair));
        });
        assert_eq!(
            taken,
            [
                (100, 7, 40, true),
                (101, 0, 0, false),
                (102, 7, 41, true),
                (103, 0, 1, false),
                (104, 0, 2, false),
                (105, 0, 90, true),
            ]
        );
        let mut finished = Vec::new();
        while let Some((load, last)) = lanes.next_finished() {
            finished.push((load.job.block().0, last.value()));
        }
        assert_eq!(finished, [(0, 105), (7, 102)]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn a_load_is_finished_only_when_all_of_it_was_taken() {
        let mut lanes = Lanes::new(T);
        lanes.put(source(0, 3, 0));
        lanes.take(2, sequence(0), |_, _| {});
        assert!(lanes.next_finished().is_none());
        assert_eq!(lanes.symbols(), 1);
        lanes.take(1, sequence(2), |_, _| {});
        assert!(lanes.next_finished().is_some());
    }

    #[test]
    fn a_block_that_nobody_needs_is_finished_at_once_and_repairs_go_on() {
        let mut lanes = Lanes::new(T);
        lanes.put(source(0, 3, 1));
        lanes.put(source(1, 3, 0));
        lanes.put(repair(0, 40, 2));
        lanes.take(3, sequence(0), |_, _| {});
        lanes.cut(|block| block.0 != 0);
        let (load, _) = lanes.next_finished().expect("block 0");
        assert_eq!(load.job.block(), BlockIndex(0));
        assert_eq!(lanes.symbols(), 2 + 1);
    }

    fn source(block: u32, k: u32, repair: u32) -> Load {
        load(Job::Source { block: BlockIndex(block), first: esi(90), repair }, k)
    }

    fn repair(block: u32, first: u32, count: u32) -> Load {
        load(Job::Repair { block: BlockIndex(block), first: esi(first), count }, 3)
    }

    fn load(job: Job, source_symbols: u32) -> Load {
        let symbols = (0..job.symbols(source_symbols)).flat_map(|i| [i as u8; T]).collect();
        Load { job, symbols, encoded_len: source_symbols * T as u32, source_symbols, from: Origin::Encoder }
    }

    fn esi(value: u32) -> Esi {
        Esi::new(value).expect("small")
    }

    fn sequence(value: u64) -> Sequence {
        Sequence::new(value).expect("small")
    }
}
