//! Encoding and decoding of blocks.

use std::sync::Arc;

use crate::choice::Choice;
use crate::kernel::Kernel;
use crate::memory::Lines;
use crate::plan::Plan;
use crate::sums::{Coefficients, Scratch, SourceRows, add_dense, compute_sparse, padded};
use crate::{BlockShape, Esi, cache};

/// Encodes and decodes, and keeps its memory and plan for the next block. Use one per thread.
///
/// The first block of a new K costs a new plan (about 1 ms for K = 1024), unless a codec of this process has used it
/// recently.
pub struct Codec {
    pub(crate) kernel: Kernel,
    plan: Option<(u32, Arc<Plan>)>,
    pub(crate) scratch: Scratch,
    /// The last symbols of a block, see [`SourceRows`].
    pub(crate) tail: Vec<u8>,
    /// Results, in rows of whole lanes.
    pub(crate) acc: Lines,
    pub(crate) choice: Choice,
}

impl Default for Codec {
    fn default() -> Self {
        Self::new()
    }
}

impl Codec {
    /// Creates a codec for the instruction set of this machine. Allocates nothing yet.
    pub fn new() -> Self {
        Self::with_kernel(Kernel::detect())
    }

    pub(crate) fn with_kernel(kernel: Kernel) -> Self {
        Self {
            kernel,
            plan: None,
            scratch: Scratch::default(),
            tail: Vec::new(),
            acc: Lines::default(),
            choice: Choice::of(kernel),
        }
    }

    /// Returns the names of the instruction sets that this machine supports, the fastest first.
    pub fn instruction_sets() -> Vec<&'static str> {
        Kernel::available().into_iter().map(Kernel::name).collect()
    }

    /// Creates a codec for an instruction set by name, for measurements: [`Codec::new`] uses the fastest. Returns
    /// `None` if this machine does not support it.
    pub fn with_instruction_set(name: &str) -> Option<Self> {
        let kernel = Kernel::available().into_iter().find(|kernel| kernel.name() == name)?;
        Some(Self::with_kernel(kernel))
    }

    /// For measurements: makes up to `dense` repair symbols from their coefficients and recovers up to `syndromes` lost
    /// symbols by syndromes, in blocks of any size. Results do not depend on it.
    pub fn choose(&mut self, dense: u32, syndromes: u32) {
        self.choice = Choice::fixed(dense, syndromes);
    }

    /// Returns the name of the instruction set in use.
    pub fn instruction_set(&self) -> &'static str {
        self.kernel.name()
    }

    /// Makes the plan for blocks of `shape` now, so that the first block does not wait for it.
    pub fn prepare(&mut self, shape: BlockShape) {
        self.plan(shape);
    }

    /// Writes the repair symbols `first, first + 1, ..` (RFC 6330 §5.3.4) of `source` into `out` until it is full.
    /// `out` is a whole number of symbols long. `source` is `shape.source_bytes()` bytes with the padding of the last
    /// symbol zero (RFC 6330 §5.3.3).
    ///
    /// # Panics
    /// If `source` is not `shape.source_bytes()` long, `first` is a source symbol's id, the last id exceeds 24 bits, or
    /// `out` is not whole symbols.
    pub fn encode(&mut self, shape: BlockShape, source: &[u8], first: Esi, out: &mut [u8]) {
        let t = shape.symbol_size();
        assert_eq!(source.len(), shape.source_bytes());
        assert!(first >= Esi::first_repair(shape), "{first} is a source symbol");
        assert_eq!(out.len() % t, 0, "whole symbols of {t} bytes");
        let count = (out.len() / t) as u32;
        assert!(count == 0 || first.plus(count - 1).is_some(), "{count} ids from {first}");
        if count == 0 {
            return;
        }
        let plan = self.plan(shape);
        let first = isi(&plan, shape, first);
        let isis: Vec<u32> = (first..first + count).collect();
        let Self { kernel, scratch, tail, acc, choice, .. } = self;
        let source = SourceRows::new(shape, source, tail);
        let len = padded(shape);
        let acc = acc.zeroed(isis.len() * len);
        if choice.is_dense(isis.len()) {
            let rows: Vec<&[u8]> =
                (0..shape.source_symbols() as usize).map(|index| source.row(index)).collect();
            let coefs = Coefficients::new(*kernel, &plan, &isis, scratch);
            let chosen: Vec<usize> = (0..isis.len()).collect();
            add_dense(*kernel, &coefs, &chosen, &rows, (&mut *acc, len), scratch);
        } else {
            let rows = systematic_rows(&plan, shape, &source, |_| true);
            compute_sparse(*kernel, &plan, &isis, &rows, (&mut *acc, len), scratch);
        }
        out.chunks_exact_mut(t)
            .zip(acc.chunks_exact(len))
            .for_each(|(to, from)| to.copy_from_slice(&from[..t]));
    }

    /// Returns how `count` repair symbols are made, for measurements: "dense" from their coefficients in the source
    /// symbols, "sparse" from the intermediate symbols.
    pub fn encode_path(&self, count: u32) -> &'static str {
        if self.choice.is_dense(count as usize) { "dense" } else { "sparse" }
    }

    pub(crate) fn plan(&mut self, shape: BlockShape) -> Arc<Plan> {
        let k = shape.source_symbols();
        match &self.plan {
            Some((of, plan)) if *of == k => Arc::clone(plan),
            _ => {
                let plan = cache::plan(self.kernel, k as usize);
                self.plan = Some((k, Arc::clone(&plan)));
                plan
            }
        }
    }
}

/// Returns the internal symbol id of a repair symbol: RFC 6330 §5.3.1 includes the padding symbols.
pub(crate) fn isi(plan: &Plan, shape: BlockShape, esi: Esi) -> u32 {
    esi.value() + plan.params().k_prime as u32 - shape.source_symbols()
}

/// Returns the sources of an encoder's plan with the zero row: source symbols that `is_there`, zero for all others.
pub(crate) fn systematic_rows<'a>(
    plan: &Plan,
    shape: BlockShape,
    source: &SourceRows<'a>,
    is_there: impl Fn(u32) -> bool,
) -> Vec<&'a [u8]> {
    let k = shape.source_symbols();
    let row =
        |index: u32| if index < k && is_there(index) { source.row(index as usize) } else { source.zero() };
    (0..=plan.sources() as u32).map(row).collect()
}

/// Makes repair symbols of one source block.
pub struct Encoder<'a> {
    shape: BlockShape,
    source: &'a [u8],
}

impl<'a> Encoder<'a> {
    /// Creates an encoder of `source`, `shape.source_bytes()` bytes with the padding of the last symbol zero (RFC 6330
    /// §5.3.3).
    ///
    /// # Panics
    /// If `source` is not `shape.source_bytes()` long.
    pub fn new(shape: BlockShape, source: &'a [u8]) -> Self {
        assert_eq!(source.len(), shape.source_bytes());
        Self { shape, source }
    }

    /// Calls [`Codec::encode`] with a new codec. For a stream of blocks, keep a codec.
    ///
    /// # Panics
    /// Those of [`Codec::encode`].
    pub fn repair(&self, first: Esi, out: &mut [u8]) {
        Codec::new().encode(self.shape, self.source, first, out);
    }
}
