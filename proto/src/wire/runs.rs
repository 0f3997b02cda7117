//! Runs of consecutive blocks in hellos and reports.
//!
//! ```text
//!  deficit  0 4 first block | 4 2 blocks | 6 2 symbols
//!  gap      0 4 first block | 4 2 blocks
//!  kept     0 4 first block | 4 4 blocks
//! ```
//!
//! The runs of a list ascend and no block is in two of them, so that the work on a list is bounded by the blocks of the
//! object.

use std::ops::Range;

use super::bytes::{Reader, Writer, fields};
use super::discard::Discard;
use crate::geometry::Geometry;
use crate::ids::BlockIndex;

/// Consecutive blocks of each of which a host lacks the same number of symbols.
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
    /// Length on the wire.
    pub(super) const BYTES: usize = Deficit::BYTES;

    /// Whether a block with this deficit can be counted to the run.
    pub(crate) fn continues_with(&self, block: BlockIndex, symbols: u16) -> bool {
        self.symbols == symbols && self.blocks < u16::MAX && self.first.0 + u32::from(self.blocks) == block.0
    }

    pub(super) fn emit_all(runs: &[Self], max: usize, out: &mut Writer<'_>) {
        emit_all(runs, max, out, |run, out| {
            out.u32(run.first.0);
            out.u16(run.blocks);
            out.u16(run.symbols);
        });
    }

    /// Reads at most `max` runs of blocks below `covered`.
    pub(super) fn parse_all(covered: u32, max: usize, body: &mut Reader<'_>) -> Result<Vec<Self>, Discard> {
        parse_all(0..covered, max, body, |body, free| {
            let run = Self { first: BlockIndex(body.u32()?), blocks: body.u16()?, symbols: body.u16()? };
            take_run(free, run.first, u32::from(run.blocks))?;
            if run.symbols > 0 { Ok(run) } else { Err(Discard::Malformed) }
        })
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

impl GapRun {
    /// Length on the wire.
    pub(super) const BYTES: usize = Gap::BYTES;

    pub(super) fn emit_all(runs: &[Self], max: usize, out: &mut Writer<'_>) {
        emit_all(runs, max, out, |run, out| {
            out.u32(run.first.0);
            out.u16(run.blocks);
        });
    }

    pub(super) fn parse_all(
        geometry: Geometry,
        max: usize,
        body: &mut Reader<'_>,
    ) -> Result<Vec<Self>, Discard> {
        parse_all(0..geometry.blocks(), max, body, |body, free| {
            let run = Self { first: BlockIndex(body.u32()?), blocks: body.u16()? };
            take_run(free, run.first, u32::from(run.blocks))?;
            Ok(run)
        })
    }
}

/// Consecutive blocks that a host kept of an earlier session of the same object. It does not ask for them, unless it
/// finds that they do not match the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptRun {
    /// The first of them.
    pub first: BlockIndex,
    /// How many, at least one.
    pub blocks: u32,
}

impl KeptRun {
    /// Length on the wire.
    pub(super) const BYTES: usize = Kept::BYTES;

    /// The block after the last of them.
    pub const fn end(self) -> u32 {
        self.first.0 + self.blocks
    }

    pub(super) fn emit_all(runs: &[Self], max: usize, out: &mut Writer<'_>) {
        emit_all(runs, max, out, |run, out| {
            out.u32(run.first.0);
            out.u32(run.blocks);
        });
    }

    pub(super) fn parse_all(
        geometry: Geometry,
        max: usize,
        body: &mut Reader<'_>,
    ) -> Result<Vec<Self>, Discard> {
        parse_all(0..geometry.blocks(), max, body, |body, free| {
            let run = Self { first: BlockIndex(body.u32()?), blocks: body.u32()? };
            take_run(free, run.first, run.blocks)?;
            Ok(run)
        })
    }
}

fn emit_all<T>(runs: &[T], max: usize, out: &mut Writer<'_>, emit: impl Fn(&T, &mut Writer<'_>)) {
    assert!(runs.len() <= max);
    out.u8(u8::try_from(runs.len()).expect("lists of runs are limited to 255"));
    runs.iter().for_each(|run| emit(run, out));
}

fn parse_all<T>(
    mut free: Range<u32>,
    max: usize,
    body: &mut Reader<'_>,
    parse: impl Fn(&mut Reader<'_>, &mut Range<u32>) -> Result<T, Discard>,
) -> Result<Vec<T>, Discard> {
    (0..body.count(max)?).map(|_| parse(body, &mut free)).collect()
}

/// Takes a run off the front of the blocks that no run before it has.
fn take_run(free: &mut Range<u32>, first: BlockIndex, blocks: u32) -> Result<(), Discard> {
    let end = first.0.checked_add(blocks).ok_or(Discard::Malformed)?;
    if blocks == 0 || first.0 < free.start || end > free.end {
        return Err(Discard::Malformed);
    }
    free.start = end;
    Ok(())
}

fields! {
    Deficit {
        FIRST: BlockIndex::BYTES,
        BLOCKS: 2,
        SYMBOLS: 2,
    }
}

fields! {
    Gap {
        FIRST: BlockIndex::BYTES,
        BLOCKS: 2,
    }
}

fields! {
    Kept {
        FIRST: BlockIndex::BYTES,
        BLOCKS: 4,
    }
}
