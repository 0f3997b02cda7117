//! Decoding. The lost symbols come from the difference between the received repair symbols and those that the encoder
//! makes from the held symbols; or, if most are lost, from solving for all symbols.

use std::error::Error;
use std::fmt;

use crate::codec::{Codec, isi, systematic_rows};
use crate::kernel::Dense;
use crate::matrix::{Inverse, Matrix, invert};
use crate::plan::Plan;
use crate::sums::{Coefficients, SourceRows, add_dense, compute_sparse, padded};
use crate::{BlockShape, Esi, SymbolSet};

/// Number of repair symbols beyond the lost ones that are tried first; all others are used only if these fail.
const SPARE: usize = 8;

/// A received repair symbol: its id and its T bytes.
#[derive(Clone, Copy, Debug)]
pub struct RepairSymbol<'a> {
    /// The id, K or above.
    pub esi: Esi,
    /// The T bytes.
    pub bytes: &'a [u8],
}

/// Why a block could not be decoded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// There are fewer than K different symbols.
    TooFew {
        /// The number of different usable symbols.
        have: u32,
        /// K.
        need: u32,
    },
    /// There are enough symbols, but they do not determine the block: about 1 in 256 sets of K, 1 in 65 536 of K + 1.
    Singular {
        /// The number of different usable symbols.
        have: u32,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { have, need } => write!(f, "{have} symbols where at least {need} are needed"),
            Self::Singular { have } => {
                write!(f, "{have} symbols that do not determine the block; one more usually does")
            }
        }
    }
}

impl Error for DecodeError {}

impl Codec {
    /// Fills in the source symbols of `source` that are not in `held`, from those that are and from `repair`.
    ///
    /// Ignores repair symbols with a repeated id, with a source symbol's id, or of another length. Does nothing if all
    /// source symbols are held.
    ///
    /// # Errors
    /// [`DecodeError`]: `source` is unchanged, and further symbols may help.
    ///
    /// # Panics
    /// If `source` or `held` are not of `shape`.
    pub fn decode(
        &mut self,
        shape: BlockShape,
        source: &mut [u8],
        held: &SymbolSet,
        repair: &[RepairSymbol<'_>],
    ) -> Result<(), DecodeError> {
        assert_eq!(source.len(), shape.source_bytes());
        assert_eq!(held.bound(), shape.source_symbols());
        if held.is_full() {
            return Ok(());
        }
        let repair = usable(shape, repair);
        let (have, need) = (held.count() + repair.len() as u32, shape.source_symbols());
        if have < need {
            return Err(DecodeError::TooFew { have, need });
        }
        let lost: Vec<usize> = held.missing().map(|index| index as usize).collect();
        let few = &repair[..repair.len().min(lost.len() + SPARE)];
        let block = Received { shape, held, lost: &lost };
        let done = if self.choice.is_by_syndromes(shape, lost.len()) {
            self.by_syndromes(&block, source, few)
                || few.len() < repair.len() && self.by_syndromes(&block, source, &repair)
        } else {
            self.by_solving(&block, source, few)
                || few.len() < repair.len() && self.by_solving(&block, source, &repair)
        };
        if done { Ok(()) } else { Err(DecodeError::Singular { have }) }
    }

    /// Returns how `lost` symbols are recovered, for measurements: a name of [`Codec::encode_path`], or "solve".
    pub fn decode_path(&self, shape: BlockShape, lost: u32) -> &'static str {
        let by_syndromes = self.choice.is_by_syndromes(shape, lost as usize);
        if by_syndromes { self.encode_path(lost) } else { "solve" }
    }

    /// Restores the lost symbols by the inverse of their part of the coefficients. Returns false if there is none.
    fn by_syndromes(&mut self, block: &Received<'_>, source: &mut [u8], repair: &[RepairSymbol<'_>]) -> bool {
        let Received { shape, held, lost } = *block;
        let (t, len, count) = (shape.symbol_size(), padded(shape), lost.len());
        let plan = self.plan(shape);
        let Self { kernel, scratch, tail, acc, choice, .. } = self;
        let isis: Vec<u32> = repair.iter().map(|symbol| isi(&plan, shape, symbol.esi)).collect();
        let coefs = Coefficients::new(*kernel, &plan, &isis, scratch);
        let mut matrix = Matrix::zero(repair.len(), count);
        for symbol in 0..repair.len() {
            let row = matrix.row_mut(symbol);
            lost.iter().zip(row).for_each(|(&index, octet)| *octet = coefs.get(symbol, index));
        }
        let Some(Inverse { chosen, by_row }) = invert(*kernel, &matrix, count) else {
            return false;
        };
        // Half for the syndromes, half for the symbols.
        let (syndromes, symbols) = acc.zeroed(2 * count * len).split_at_mut(count * len);
        let rows = systematic_rows(&plan, shape, &SourceRows::new(shape, source, tail), |index| {
            held.contains(index)
        });
        if choice.is_dense(count) {
            add_dense(*kernel, &coefs, &chosen, &rows, (syndromes, len), scratch);
        } else {
            let isis: Vec<u32> = chosen.iter().map(|&symbol| isis[symbol]).collect();
            compute_sparse(*kernel, &plan, &isis, &rows, (syndromes, len), scratch);
        }
        for (syndrome, &symbol) in syndromes.chunks_exact_mut(len).zip(&chosen) {
            syndrome.iter_mut().zip(repair[symbol].bytes).for_each(|(sum, byte)| *sum ^= byte);
        }
        let syndromes: Vec<&[u8]> = syndromes.chunks_exact(len).collect();
        kernel.dense(Dense {
            acc: symbols,
            acc_stride: len,
            outputs: count,
            rows: &syndromes,
            coefs: by_row.octets(),
            coef_stride: by_row.stride(),
            len,
        });
        fill(source, t, lost, symbols, len);
        true
    }

    /// Restores the lost symbols from intermediate symbols, for which the received symbols are solved. Returns false if
    /// the received symbols do not determine them.
    fn by_solving(&mut self, block: &Received<'_>, source: &mut [u8], repair: &[RepairSymbol<'_>]) -> bool {
        let Received { shape, held, lost } = *block;
        let (k, t, len) = (shape.source_symbols(), shape.symbol_size(), padded(shape));
        let params = *self.plan(shape).params();
        let Self { kernel, scratch, tail, acc, .. } = self;
        let there: Vec<u32> = (0..k).filter(|&index| held.contains(index)).collect();
        let padding = k..params.k_prime as u32;
        let repair = &repair[..repair.len().min(SOURCES_MAX - params.k_prime)];
        let repair_isis = repair.iter().map(|symbol| symbol.esi.value() + params.k_prime as u32 - k);
        let isis: Vec<u32> = there.iter().copied().chain(padding.clone()).chain(repair_isis).collect();
        let Some(plan) = Plan::new(*kernel, params, &isis) else {
            return false;
        };
        let mut copies = vec![0; repair.len() * len];
        for (copy, symbol) in copies.chunks_exact_mut(len).zip(repair) {
            copy[..t].copy_from_slice(symbol.bytes);
        }
        let source_rows = SourceRows::new(shape, source, tail);
        let mut rows: Vec<&[u8]> = there.iter().map(|&index| source_rows.row(index as usize)).collect();
        rows.extend(padding.map(|_| source_rows.zero()));
        rows.extend(copies.chunks_exact(len));
        rows.push(source_rows.zero());
        let targets: Vec<u32> = lost.iter().map(|&index| index as u32).collect();
        let acc = acc.used(lost.len() * len);
        compute_sparse(*kernel, &plan, &targets, &rows, (&mut *acc, len), scratch);
        fill(source, t, lost, acc, len);
        true
    }
}

/// The received symbols of a block.
struct Received<'a> {
    shape: BlockShape,
    held: &'a SymbolSet,
    /// Not in `held`.
    lost: &'a [usize],
}

/// Maximum number of encoding symbols in a plan: sources are numbered by 16 bits.
const SOURCES_MAX: usize = 65_000;

/// Calls [`Codec::decode`] with a new codec. For a stream of blocks, keep a codec.
///
/// # Errors
/// [`DecodeError`]: `source` is unchanged, and further symbols may help.
///
/// # Panics
/// If `source` or `held` are not of `shape`.
pub fn decode(
    shape: BlockShape,
    source: &mut [u8],
    held: &SymbolSet,
    repair: &[RepairSymbol<'_>],
) -> Result<(), DecodeError> {
    Codec::new().decode(shape, source, held, repair)
}

/// Copies rows of `len` bytes to the positions of the lost symbols.
fn fill(source: &mut [u8], t: usize, lost: &[usize], symbols: &[u8], len: usize) {
    for (&index, symbol) in lost.iter().zip(symbols.chunks_exact(len)) {
        source[index * t..][..t].copy_from_slice(&symbol[..t]);
    }
}

fn usable<'a>(shape: BlockShape, repair: &[RepairSymbol<'a>]) -> Vec<RepairSymbol<'a>> {
    let mut seen = std::collections::BTreeSet::new();
    let fits = |symbol: &&RepairSymbol<'a>| {
        symbol.esi >= Esi::first_repair(shape) && symbol.bytes.len() == shape.symbol_size()
    };
    repair.iter().filter(fits).filter(|symbol| seen.insert(symbol.esi)).copied().collect()
}
