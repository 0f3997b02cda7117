//! A host's report: how many symbols it lacks of which blocks, never which symbols.
//!
//! ```text
//!   0  10   header, kind 17                                   clear
//!  10   8   receiver id
//!  18   4   round                                             sealed
//!  22   5   highest sequence seen
//!  27   4   blocks held
//!  31   4   covered
//!  35  60   totals (totals.rs)
//!  95   4   echo (echo.rs)
//!  99   2   buffers
//! 101   2   free buffers
//! 103   1 | 7 | 19   via: 0 nothing heard | family 4 | 6, address, port
//!   +   1   number of suspects s, <= 4
//!   +  4s   suspects, each a block
//!   +   1   number of deficits d
//!   +  8d   deficits, each: 4 first block, 2 blocks, 2 symbols
//!   +   1   number of gaps g, <= 4
//!   +  6g   gaps, each: 4 first block, 2 blocks
//!   +   1   number of kept runs k
//!   +  8k   kept runs, each: 4 first block, 4 blocks
//!   +  16   tag
//! ```
//!
//! Deficits and kept runs share the room of the datagram: d + k is at most [`report_runs_in`] its longest length.

use std::net::SocketAddr;

use super::bytes::{ADDRESS, Reader, Writer, fields, list};
use super::discard::Discard;
use super::envelope::sealed;
use super::header::UP_CLEAR_BYTES;
use super::runs::{DeficitRun, GapRun, KeptRun};
use super::totals::Totals;
use crate::echo::Echo;
use crate::geometry::Geometry;
use crate::ids::{BlockIndex, Sequence};
use crate::limits::{CONTROL_MAX, REPORT_GAPS_MAX, SUSPECTS_MAX};

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
    /// The deficits are about the blocks below this one.
    pub covered: u32,
    /// What is lacking, ascending by block; no block is in two runs.
    pub deficits: Vec<DeficitRun>,
    /// Manifest entries that are lacking, ascending; no entry is in two runs.
    pub gaps: Vec<GapRun>,
    /// Blocks from `covered` on that this host kept of an earlier session, ascending: they need not be sent to it.
    pub kept: Vec<KeptRun>,
    /// Blocks that did not match the manifest: the host asks for the hashes of their symbols. At most
    /// [`SUSPECTS_MAX`], ascending.
    pub suspects: Vec<BlockIndex>,
    /// The echo of the last acknowledgement; all zero if none has come.
    pub echo: Echo,
    /// Blocks that the host can collect at a time.
    pub buffers: u16,
    /// How many of these buffers are free.
    pub free: u16,
    /// Where the last datagram to the group came from: the sender, or a relay.
    pub via: Option<SocketAddr>,
    /// Counters since the session began.
    pub totals: Totals,
}

impl Report {
    /// Whether the host lacks anything that the sender can give.
    pub fn is_lacking(&self) -> bool {
        !(self.deficits.is_empty() && self.gaps.is_empty() && self.suspects.is_empty())
    }

    pub(super) fn emit(&self, out: &mut Writer<'_>) {
        out.u32(self.round);
        out.uint(self.highest.value(), Sequence::BYTES);
        out.u32(self.blocks_held);
        out.u32(self.covered);
        self.totals.emit(out);
        out.bytes(&self.echo.0);
        out.u16(self.buffers);
        out.u16(self.free);
        out.maybe_address(self.via);
        assert!(self.suspects.len() <= SUSPECTS_MAX);
        out.u8(self.suspects.len() as u8);
        self.suspects.iter().for_each(|block| out.u32(block.0));
        DeficitRun::emit_all(&self.deficits, RUNS_MAX, out);
        GapRun::emit_all(&self.gaps, REPORT_GAPS_MAX, out);
        KeptRun::emit_all(&self.kept, RUNS_MAX, out);
    }

    pub(super) fn parse(geometry: Geometry, body: &mut Reader<'_>) -> Result<Self, Discard> {
        let round = body.u32()?;
        let highest = Sequence::new(body.u40()?).expect("five bytes are 40 bits");
        let (blocks_held, covered) = (body.u32()?, body.u32()?);
        if blocks_held > geometry.blocks() || covered > geometry.blocks() {
            return Err(Discard::Malformed);
        }
        let totals = Totals::parse(body)?;
        let echo = Echo(body.array()?);
        let (buffers, free) = (body.u16()?, body.u16()?);
        if free > buffers {
            return Err(Discard::Malformed);
        }
        let via = body.maybe_address()?;
        let suspects = parse_suspects(geometry, body)?;
        let deficits = DeficitRun::parse_all(covered, RUNS_MAX, body)?;
        let gaps = GapRun::parse_all(geometry, REPORT_GAPS_MAX, body)?;
        let kept = KeptRun::parse_all(geometry, RUNS_MAX, body)?;
        Ok(Self {
            round,
            highest,
            blocks_held,
            covered,
            deficits,
            gaps,
            kept,
            suspects,
            echo,
            buffers,
            free,
            via,
            totals,
        })
    }
}

fn parse_suspects(geometry: Geometry, body: &mut Reader<'_>) -> Result<Vec<BlockIndex>, Discard> {
    let count = body.count(SUSPECTS_MAX)?;
    let blocks: Vec<BlockIndex> = (0..count).map(|_| body.u32().map(BlockIndex)).collect::<Result<_, _>>()?;
    let within = blocks.iter().all(|block| block.0 < geometry.blocks());
    if within && blocks.is_sorted_by(|a, b| a < b) { Ok(blocks) } else { Err(Discard::Malformed) }
}

/// Deficits and kept runs that a report of `datagram` bytes holds besides all its gaps.
pub const fn report_runs_in(datagram: usize) -> usize {
    (datagram - FIXED_BYTES) / DeficitRun::BYTES
}

fields! {
    Fixed {
        ROUND: 4,
        HIGHEST: Sequence::BYTES,
        BLOCKS_HELD: BlockIndex::BYTES,
        COVERED: BlockIndex::BYTES,
        TOTALS: Totals::BYTES,
        ECHO: Echo::BYTES,
        BUFFERS: 2,
        FREE: 2,
        VIA: ADDRESS,
        SUSPECTS: list(SUSPECTS_MAX, BlockIndex::BYTES),
        DEFICITS: list(0, DeficitRun::BYTES),
        GAPS: list(REPORT_GAPS_MAX, GapRun::BYTES),
        KEPT: list(0, KeptRun::BYTES),
    }
}

/// A report with all its gaps, and neither deficits nor kept runs.
const FIXED_BYTES: usize = sealed(UP_CLEAR_BYTES, Fixed::BYTES);

/// Deficits and kept runs in a report of the largest size; what does not fit comes with the next one.
const RUNS_MAX: usize = report_runs_in(CONTROL_MAX);

/// The longest report.
pub(super) const ROOM: usize = FIXED_BYTES + RUNS_MAX * DeficitRun::BYTES;

const _: () = {
    assert!(ROOM <= CONTROL_MAX && RUNS_MAX <= u8::MAX as usize, "a count in one byte");
    assert!(DeficitRun::BYTES == KeptRun::BYTES, "they share the room");
};
