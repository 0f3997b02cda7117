//! The symbols of one block: which were handed out, and how many more are asked for.
//!
//! A report states how many symbols a host lacked when it had seen everything up to sequence `highest`. Symbols sent
//! later may fill that deficit, so each block remembers its **epoch**: everything sent since `base`. A report from
//! within the epoch asks only for what the epoch has not sent. A report that has seen the whole epoch begins a new one.
//! A report from before the epoch is out of date. So a deficit is served once, however many hosts share it and however
//! slowly their reports come in.

use glancecast_fec::Esi;

use super::job::Job;
use crate::ids::{BlockIndex, Sequence};
use crate::limits::SOURCE_SYMBOLS_MAX;

/// One block.
pub(super) struct BlockState {
    /// K; 0 for a zero block.
    source_symbols: u32,
    /// Repair symbols that follow the source symbols of the first pass.
    ahead: u32,
    next_esi: u32,
    /// Whether the first pass was sent, or is not going to be.
    is_passed: bool,
    /// Whether symbols of it were handed out.
    is_touched: bool,
    /// Whether a job of it is handed out.
    is_busy: bool,
    /// Number of the last datagram before the epoch.
    base: Sequence,
    /// Number of its last symbol; meaningless while `is_busy`.
    last: Sequence,
    /// Symbols handed out in this epoch.
    in_epoch: u32,
    /// Symbols that are asked for and not handed out yet.
    demand: u32,
}

impl BlockState {
    /// Returns a block of which nothing was sent. If `is_passed`, it has no first pass.
    pub(super) fn new(source_symbols: u32, ahead: u32, is_passed: bool) -> Self {
        Self {
            source_symbols,
            ahead,
            next_esi: source_symbols,
            is_passed,
            is_touched: false,
            is_busy: false,
            base: Sequence::default(),
            last: Sequence::default(),
            in_epoch: 0,
            demand: 0,
        }
    }

    pub(super) fn source_symbols(&self) -> u32 {
        self.source_symbols
    }

    /// Returns all symbols of the block that a host may hold: the source symbols, and the last repair symbols that were
    /// handed out, as many as a host collects and as many again.
    pub(super) fn handed_out(&self, block: BlockIndex) -> Job {
        let k = self.source_symbols;
        let repair = (self.next_esi - k).min(2 * k);
        let first = Esi::new(self.next_esi - repair).expect("ids are handed out in range");
        Job::Source { block, first, repair }
    }

    pub(super) fn is_passed(&self) -> bool {
        self.is_passed
    }

    pub(super) fn is_touched(&self) -> bool {
        self.is_touched
    }

    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Handles the report of a host that lacked `symbols` symbols when it had seen everything up to `highest`. Returns
    /// how many are to be sent for it now, or `None` if as many are on their way or asked for already.
    pub(super) fn ask(&mut self, symbols: u32, highest: Sequence) -> Option<u32> {
        if !self.is_passed || self.source_symbols == 0 {
            return None;
        }
        if !self.is_busy && highest >= self.last {
            self.base = self.last;
            self.in_epoch = 0;
        } else if highest < self.base {
            return None;
        }
        let lacking = symbols.saturating_sub(self.in_epoch);
        (lacking > self.demand).then(|| {
            self.demand = lacking;
            lacking
        })
    }

    /// Drops what is asked for.
    pub(super) fn forget_demand(&mut self) {
        self.demand = 0;
    }

    /// Hands out the first pass, or one of the further passes that send all of it.
    pub(super) fn begin_pass(&mut self, block: BlockIndex) -> Job {
        self.source_job(block, self.ahead)
    }

    /// Hands out the repair symbols that are asked for.
    pub(super) fn begin_repair(&mut self, block: BlockIndex) -> Job {
        let count = std::mem::take(&mut self.demand).min(SOURCE_SYMBOLS_MAX);
        self.in_epoch += count;
        self.hand_out();
        Job::Repair { block, first: self.take_esis(count), count }
    }

    /// Hands out the source symbols once more, as all of the block is asked for.
    pub(super) fn begin_whole(&mut self, block: BlockIndex) -> Job {
        // A host that lacks all of it asks for K + 1 symbols. It needs that many repair symbols, but only K source
        // symbols.
        let demand = std::mem::take(&mut self.demand);
        self.in_epoch += demand;
        self.source_job(block, demand.saturating_sub(self.source_symbols + 1).min(SOURCE_SYMBOLS_MAX))
    }

    /// Notes that the job's symbols have left; `last` is the number of the last one. Returns whether it was the first
    /// pass.
    pub(super) fn finish(&mut self, last: Sequence) -> bool {
        self.is_busy = false;
        self.last = last;
        let is_first = !self.is_passed;
        if is_first {
            self.is_passed = true;
            self.base = last;
        }
        is_first
    }

    /// Skips the first pass, as every host held the block when datagram `last` was sent.
    pub(super) fn skip(&mut self, last: Sequence) {
        (self.base, self.last, self.is_passed) = (last, last, true);
    }

    fn source_job(&mut self, block: BlockIndex, repair: u32) -> Job {
        self.hand_out();
        Job::Source { block, first: self.take_esis(repair), repair }
    }

    fn hand_out(&mut self) {
        (self.is_busy, self.is_touched) = (true, true);
    }

    /// Takes the ids of `count` repair symbols that were not sent before; returns the first.
    fn take_esis(&mut self, count: u32) -> Esi {
        let first = Esi::new(self.next_esi)
            .filter(|first| first.plus(count).is_some())
            .or_else(|| Esi::new(self.source_symbols)) // all 2^24 ids were used: begin again
            .expect("K is far below 2^24");
        self.next_esi = first.value() + count;
        first
    }
}
