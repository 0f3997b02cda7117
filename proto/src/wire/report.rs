//! A host's report: how many symbols it lacks of which blocks, never which ones.
//!
//! ```text
//! body of a report   0..4 round | 4..9 highest | 9..13 blocks held | 13..17 covered | 17..61 totals
//!   deficits         0 number of runs | each: 0..4 first block | 4..6 blocks | 6..8 symbols
//!   gaps             0 number of runs | each: 0..4 first block | 4..6 blocks
//!   kept             0 number of runs | each: 0..4 first block | 4..8 blocks
//! ```

use std::ops::Range;

use super::bytes::{Reader, Writer};
use super::discard::Discard;
use super::header::UP_CLEAR_BYTES;
use crate::geometry::Geometry;
use crate::ids::{BlockIndex, Sequence};
use crate::limits::{CONTROL_MAX, REPORT_GAPS_MAX};
use crate::seal::TAG_BYTES;

/// What a host holds and lacks. It is exhaustive for the blocks below `covered`: those in no run are held or being
/// rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The poll that it answers.
    pub round: u32,
    /// The highest number of a datagram to the group that this host has seen: what was sent after it is still on
    /// its way and not in the deficits.
    pub highest: Sequence,
    /// Blocks proven and written, of the whole object.
    pub blocks_held: u32,
    /// Blocks below this one were looked at for the deficits.
    pub covered: u32,
    /// What is lacking, ascending by block; no block is in two runs.
    pub deficits: Vec<DeficitRun>,
    /// Manifest entries that are lacking, ascending; no entry is in two runs.
    pub gaps: Vec<GapRun>,
    /// Blocks from `covered` on that this host kept of an earlier session, ascending: they need not be sent to it.
    pub kept: Vec<KeptRun>,
    /// Counters since the session began.
    pub totals: Totals,
}

/// Consecutive blocks of which a host lacks the same number of symbols each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeficitRun {
    /// The first of them.
    pub first: BlockIndex,
    /// How many blocks, at least one.
    pub blocks: u16,
    /// Symbols that each lacks, at least one.
    pub symbols: u16,
}

impl DeficitRun {
    /// Whether a block with this deficit can be counted to the run.
    pub(crate) fn continues_with(&self, block: BlockIndex, symbols: u16) -> bool {
        self.symbols == symbols && self.blocks < u16::MAX && self.first.0 + u32::from(self.blocks) == block.0
    }
}

/// Consecutive blocks whose manifest entries a host does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapRun {
    /// The first of them.
    pub first: BlockIndex,
    /// How many, at least one.
    pub blocks: u16,
}

/// Consecutive blocks that a host kept of an earlier session of the same object. It does not ask for them, unless it turns
/// out that they are not what the manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptRun {
    /// The first of them.
    pub first: BlockIndex,
    /// How many, at least one.
    pub blocks: u32,
}

impl KeptRun {
    /// The block after the last of them.
    pub const fn end(self) -> u32 {
        self.first.0 + self.blocks
    }

    /// In a hello or a report, of at most `max` runs.
    pub(super) fn emit_all(runs: &[Self], max: usize, out: &mut Writer<'_>) {
        assert!(runs.len() <= max);
        out.u8(runs.len() as u8);
        for run in runs {
            out.u32(run.first.0);
            out.u32(run.blocks);
        }
    }

    pub(super) fn parse_all(
        geometry: Geometry,
        max: usize,
        body: &mut Reader<'_>,
    ) -> Result<Vec<Self>, Discard> {
        let mut free = 0..geometry.blocks();
        (0..bounded(body.u8()?, max)?)
            .map(|_| {
                let run = Self { first: BlockIndex(body.u32()?), blocks: body.u32()? };
                take_run(&mut free, run.first, run.blocks)?;
                Ok(run)
            })
            .collect()
    }
}

/// What a host has counted since it joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Datagrams to the group that never came.
    pub symbols_lost: u64,
    /// Source symbols that were rebuilt from repair symbols.
    pub symbols_repaired: u64,
    /// Bytes of datagrams taken in.
    pub bytes_received: u64,
    /// Datagrams that the host's own socket dropped because nobody read them in time; 0 where that is not known.
    pub socket_drops: u64,
    /// Symbols that came while the store was behind, and were dropped as no buffer was free for their block.
    pub store_drops: u64,
    /// Blocks that were made of what this host held: of a base, or of the object itself.
    pub blocks_reused: u32,
}

impl Report {
    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        assert!(self.deficits.len() <= REPORT_RUNS_MAX && self.gaps.len() <= REPORT_GAPS_MAX);
        out.u32(self.round);
        out.uint(self.highest.value(), 5);
        out.u32(self.blocks_held);
        out.u32(self.covered);
        self.totals.emit(out);
        out.u8(self.deficits.len() as u8);
        for run in &self.deficits {
            out.u32(run.first.0);
            out.u16(run.blocks);
            out.u16(run.symbols);
        }
        out.u8(self.gaps.len() as u8);
        for run in &self.gaps {
            out.u32(run.first.0);
            out.u16(run.blocks);
        }
        KeptRun::emit_all(&self.kept, REPORT_RUNS_MAX, out);
    }

    pub(super) fn parse(geometry: Geometry, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let round = body.u32()?;
        let highest = Sequence::new(body.u40()?).expect("five bytes are 40 bits");
        let (blocks_held, covered) = (body.u32()?, body.u32()?);
        if blocks_held > geometry.blocks() || covered > geometry.blocks() {
            return Err(Discard::Malformed);
        }
        let totals = Totals::parse(body)?;
        let mut free = 0..covered;
        let deficits = (0..bounded(body.u8()?, REPORT_RUNS_MAX)?)
            .map(|_| {
                let run =
                    DeficitRun { first: BlockIndex(body.u32()?), blocks: body.u16()?, symbols: body.u16()? };
                take_run(&mut free, run.first, u32::from(run.blocks))?;
                if run.symbols > 0 { Ok(run) } else { Err(Discard::Malformed) }
            })
            .collect::<Result<_, _>>()?;
        let mut free = 0..geometry.blocks();
        let gaps = (0..bounded(body.u8()?, REPORT_GAPS_MAX)?)
            .map(|_| {
                let run = GapRun { first: BlockIndex(body.u32()?), blocks: body.u16()? };
                take_run(&mut free, run.first, u32::from(run.blocks))?;
                Ok(run)
            })
            .collect::<Result<_, _>>()?;
        let kept = KeptRun::parse_all(geometry, REPORT_RUNS_MAX, body)?;
        Ok(Self { round, highest, blocks_held, covered, deficits, gaps, kept, totals })
    }
}

impl Totals {
    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        out.u64(self.symbols_lost);
        out.u64(self.symbols_repaired);
        out.u64(self.bytes_received);
        out.u64(self.socket_drops);
        out.u64(self.store_drops);
        out.u32(self.blocks_reused);
    }

    pub(super) fn parse(body: &mut Reader<'_>) -> Result<Self, Discard> {
        Ok(Self {
            symbols_lost: body.u64()?,
            symbols_repaired: body.u64()?,
            bytes_received: body.u64()?,
            socket_drops: body.u64()?,
            store_drops: body.u64()?,
            blocks_reused: body.u32()?,
        })
    }
}

/// Deficit runs that a report of `datagram` bytes holds, besides all its gaps.
pub const fn report_runs_in(datagram: usize) -> usize {
    let fixed = UP_CLEAR_BYTES + 4 + 5 + 4 + 4 + TOTALS_BYTES + 3 + GAP_BYTES * REPORT_GAPS_MAX + TAG_BYTES;
    (datagram - fixed) / DEFICIT_BYTES
}

/// Takes a run off the front of the blocks that are still free: runs ascend and no block is in two of them, so that the
/// work on a report is bounded by the blocks of the object.
fn take_run(free: &mut Range<u32>, first: BlockIndex, blocks: u32) -> Result<(), Discard> {
    let end = first.0.checked_add(blocks).ok_or(Discard::Malformed)?;
    if blocks == 0 || first.0 < free.start || end > free.end {
        return Err(Discard::Malformed);
    }
    free.start = end;
    Ok(())
}

fn bounded(count: u8, max: usize) -> Result<u8, Discard> {
    if usize::from(count) <= max { Ok(count) } else { Err(Discard::Malformed) }
}

/// Runs of equal deficit in one report of the largest size; what does not fit comes with the next one.
const REPORT_RUNS_MAX: usize = report_runs_in(CONTROL_MAX);

/// A host's counters, in its reports and last words.
const TOTALS_BYTES: usize = 5 * 8 + 4;
/// First block, blocks, symbols.
const DEFICIT_BYTES: usize = 4 + 2 + 2;
/// First block, blocks.
const GAP_BYTES: usize = 4 + 2;

const _: () = assert!(REPORT_RUNS_MAX <= u8::MAX as usize, "a count in one byte");
