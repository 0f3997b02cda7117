//! Encoding symbols from source rows: the two ways to compute them, and the choice.

use crate::BlockShape;
use crate::kernel::{Dense, Gather, Kernel, LANE, Rows};
use crate::memory::Lines;
use crate::plan::{BATCH, Plan};
use crate::program::Program;

/// Maximum size of a strip in bytes, except at the minimum width: it fits into the second-level cache together with the
/// source rows that pass through it. Measured: 128 bytes of width are the best at K = 1024, 64 at K = 2048.
const STRIP_BYTES_MAX: usize = 192 << 10;

/// Working memory that is reused from block to block.
#[derive(Default)]
pub(crate) struct Scratch {
    strip: Lines,
    coefs: Vec<u8>,
    targets: Program,
}

/// Returns the length of a symbol in the kernels' memory, in bytes.
pub(crate) fn padded(shape: BlockShape) -> usize {
    shape.symbol_size().next_multiple_of(LANE)
}

/// The symbols of a block as rows of [`padded`] bytes, and a zero row.
pub(crate) struct SourceRows<'a> {
    source: &'a [u8],
    size: usize,
    padded: usize,
    /// Rows from this one on would end after the buffer. They are copied to `tail`, followed by a zero row.
    whole: usize,
    tail: &'a [u8],
}

impl<'a> SourceRows<'a> {
    /// Creates the rows. `tail` is memory for copies of the last symbols. The bytes from a symbol's end to its row's
    /// belong to the next symbol. They become the same part of the results, which is not read.
    pub(crate) fn new(shape: BlockShape, source: &'a [u8], tail: &'a mut Vec<u8>) -> Self {
        let (k, size, padded) = (shape.source_symbols() as usize, shape.symbol_size(), padded(shape));
        let whole = if source.len() < padded { 0 } else { ((source.len() - padded) / size + 1).min(k) };
        tail.clear();
        tail.resize((k - whole + 1) * padded, 0);
        for (symbol, row) in source[whole * size..].chunks_exact(size).zip(tail.chunks_exact_mut(padded)) {
            row[..size].copy_from_slice(symbol);
        }
        Self { source, size, padded, whole, tail }
    }

    /// Returns symbol `index` of the block.
    pub(crate) fn row(&self, index: usize) -> &'a [u8] {
        if index < self.whole {
            &self.source[index * self.size..][..self.padded]
        } else {
            &self.tail[(index - self.whole) * self.padded..][..self.padded]
        }
    }

    /// Returns the zero row.
    pub(crate) fn zero(&self) -> &'a [u8] {
        &self.tail[self.tail.len() - self.padded..]
    }
}

/// The coefficients of encoding symbols in a plan's sources.
pub(crate) struct Coefficients<'a> {
    isis: &'a [u32],
    batches: Vec<Batch<'a>>,
}

enum Batch<'a> {
    Kept { first: u32, lanes: &'a [u8] },
    Made { lanes: Box<[u8]> },
}

impl<'a> Coefficients<'a> {
    pub(crate) fn new(kernel: Kernel, plan: &'a Plan, isis: &'a [u32], scratch: &mut Scratch) -> Self {
        let make = |isis: &[u32], scratch: &mut Scratch| plan.coefficients(kernel, isis, &mut scratch.strip);
        let batches = isis.chunks(BATCH).map(|isis| {
            let first = (plan.params().k_prime
                + (isis[0] as usize).saturating_sub(plan.params().k_prime) / BATCH * BATCH)
                as u32;
            let together = isis.iter().all(|&isi| isi >= first && isi < first + BATCH as u32);
            match plan.kept_coefficients(kernel, first, &mut scratch.strip).filter(|_| together) {
                Some(lanes) => Batch::Kept { first, lanes },
                None => Batch::Made { lanes: make(isis, scratch) },
            }
        });
        let batches = batches.collect();
        Self { isis, batches }
    }

    /// Returns the coefficient of a source in the symbol `isis[symbol]`.
    pub(crate) fn get(&self, symbol: usize, source: usize) -> u8 {
        match &self.batches[symbol / BATCH] {
            Batch::Kept { first, lanes } => lanes[source * LANE + (self.isis[symbol] - first) as usize],
            Batch::Made { lanes } => lanes[source * LANE + symbol % BATCH],
        }
    }

    /// Returns the coefficients of the symbols `chosen`, by source, and the distance between sources in octets.
    fn by_source<'b>(&'b self, chosen: &[usize], sources: usize, copy: &'b mut Vec<u8>) -> (&'b [u8], usize) {
        let place = |symbol: usize| match &self.batches[symbol / BATCH] {
            Batch::Kept { first, .. } => (self.isis[symbol] - first) as usize,
            Batch::Made { .. } => symbol % BATCH,
        };
        let lanes = |symbol: usize| match &self.batches[symbol / BATCH] {
            Batch::Kept { lanes, .. } => *lanes,
            Batch::Made { lanes } => lanes,
        };
        let (&first, &last) =
            (chosen.first().expect("some are chosen"), chosen.last().expect("some are chosen"));
        let in_order = chosen.iter().enumerate().all(|(i, &symbol)| place(symbol) == place(first) + i);
        if first / BATCH == last / BATCH && in_order {
            return (&lanes(first)[place(first)..], LANE);
        }
        let count = chosen.len();
        copy.clear();
        copy.resize(sources * count, 0);
        for (index, &symbol) in chosen.iter().enumerate() {
            let from = lanes(symbol)[place(symbol)..].iter().step_by(LANE);
            copy[index..].iter_mut().step_by(count).zip(from).for_each(|(to, &octet)| *to = octet);
        }
        (copy, count)
    }
}

/// Adds to `acc`, rows of `len` bytes, the encoding symbols `chosen` of `coefs`, computed from the plan's source rows.
pub(crate) fn add_dense(
    kernel: Kernel,
    coefs: &Coefficients<'_>,
    chosen: &[usize],
    rows: &[&[u8]],
    (acc, len): (&mut [u8], usize),
    scratch: &mut Scratch,
) {
    let (coefs, coef_stride) = coefs.by_source(chosen, rows.len(), &mut scratch.coefs);
    kernel.dense(Dense { acc, acc_stride: len, outputs: chosen.len(), rows, coefs, coef_stride, len });
}

/// Writes to `out`, rows of `len` bytes, the encoding symbols `isis`, computed from the intermediate symbols. `rows`
/// are the plan's sources and a zero row.
pub(crate) fn compute_sparse(
    kernel: Kernel,
    plan: &Plan,
    isis: &[u32],
    rows: &[&[u8]],
    (out, len): (&mut [u8], usize),
    scratch: &mut Scratch,
) {
    let Scratch { strip, targets, .. } = scratch;
    targets.clear();
    isis.iter().enumerate().for_each(|(into, &isi)| plan.push_target(targets, isi, into));
    let widest = [256, 128, 64].into_iter().find(|width| plan.strip_rows() * width <= STRIP_BYTES_MAX);
    let widest = widest.unwrap_or(LANE);
    let strip = strip.used(plan.strip_rows() * widest);
    let rows = Rows::new(rows, len);
    let mut offset = 0;
    let mut cleared = 0;
    while offset < len {
        let width =
            [256, 128, 64].into_iter().find(|&width| width <= widest.min(len - offset)).unwrap_or(LANE);
        let strip = &mut strip[..plan.strip_rows() * width];
        if width != cleared {
            plan.clear_inactive(strip, width);
            cleared = width;
        }
        plan.solve(kernel, strip, width, rows, offset);
        let into = Some(&mut out[offset..]);
        kernel.gather(Gather {
            program: targets,
            strip,
            width,
            into,
            into_stride: len,
            rows,
            offset,
            ahead: 0,
        });
        offset += width;
    }
}
