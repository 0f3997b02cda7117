//! Arithmetic on rows of octets: one file per instruction set, and the only place that decides which of them run.
//!
//! Only [`Kernel::detect`] and [`Kernel::available`] create a kernel, after a check of the processor, so that safe code
//! cannot reach an unsupported instruction. The methods check every length and index; the loops that they call check
//! nothing. Rows are whole multiples of 64 bytes long, at any address.

#[cfg(target_arch = "x86_64")]
mod affine;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_gfni;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_gfni;
mod body;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

use crate::program::{Hdpc, Program};

/// Bytes that every length is a multiple of.
pub(crate) const LANE: usize = 64;

/// The operations of one instruction set. Their safety: the processor has the instruction set, and the arguments are
/// as the method of [`Kernel`] of the same name asserts.
struct Operations {
    name: &'static str,
    dense_max: usize,
    dense: unsafe fn(&mut Dense<'_>),
    gather: unsafe fn(&mut Gather<'_>),
    accumulate_hdpc: unsafe fn(&mut [u8], usize, &Hdpc, usize, usize),
    scatter: unsafe fn(&mut [u8], &Program, &mut [u8]),
    scatter_hdpc: unsafe fn(&mut [u8], &Hdpc, usize),
    eliminate: unsafe fn(&mut [u8], usize, usize, usize),
    scale: unsafe fn(&mut [u8], u8),
}

/// An instruction set that this processor has.
#[derive(Clone, Copy)]
pub(crate) struct Kernel(&'static Operations);

/// Many sums of products of the same rows: `acc[r] += sum over s of coefs[s][r] * rows[s]`.
pub(crate) struct Dense<'a> {
    /// Output `r` is `acc[r * acc_stride..][..len]`.
    pub(crate) acc: &'a mut [u8],
    pub(crate) acc_stride: usize,
    pub(crate) outputs: usize,
    /// At least `len` bytes each.
    pub(crate) rows: &'a [&'a [u8]],
    /// The coefficient of row `s` in output `r` is `coefs[s * coef_stride + r]`.
    pub(crate) coefs: &'a [u8],
    pub(crate) coef_stride: usize,
    /// A multiple of [`LANE`].
    pub(crate) len: usize,
}

/// A program run over a strip of columns: `into[step] = rows[step's source][offset..] + sum of strip[dependencies]`.
pub(crate) struct Gather<'a> {
    pub(crate) program: &'a Program,
    /// Rows of `width` bytes each.
    pub(crate) strip: &'a mut [u8],
    /// 64, 128 or 256.
    pub(crate) width: usize,
    /// Where the results go, if not to rows of the strip itself.
    pub(crate) into: Option<&'a mut [u8]>,
    /// Bytes from one result to the next.
    pub(crate) into_stride: usize,
    /// At least `offset + width` bytes each.
    pub(crate) rows: Rows<'a>,
    pub(crate) offset: usize,
    /// How much further on in the rows the next bytes are, for prefetching; 0 if there are none.
    pub(crate) ahead: usize,
}

/// Rows whose length was checked once, so that it is not checked again for every strip.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    rows: &'a [&'a [u8]],
    len: usize,
}

impl<'a> Rows<'a> {
    /// Rows of at least `len` bytes each.
    pub(crate) fn new(rows: &'a [&'a [u8]], len: usize) -> Self {
        assert!(rows.iter().all(|row| row.len() >= len));
        Self { rows, len }
    }

    /// Returns the minimum length of the rows.
    pub(crate) fn len(self) -> usize {
        self.len
    }
}

impl Kernel {
    /// Returns the fastest kernel for this processor.
    pub(crate) fn detect() -> Self {
        static FASTEST: OnceLock<Kernel> = OnceLock::new();
        *FASTEST.get_or_init(|| *Self::available().first().expect("the portable one is always there"))
    }

    /// Returns all kernels for this processor, the fastest first.
    pub(crate) fn available() -> Vec<Self> {
        let mut kernels: Vec<Self> = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let gfni = is_x86_feature_detected!("gfni");
            let avx2 = is_x86_feature_detected!("avx2");
            let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
            let found = [
                (avx512 && gfni, &avx512_gfni::TABLE),
                (avx2 && gfni, &avx2_gfni::TABLE),
                (avx512, &avx512::TABLE),
                (avx2, &avx2::TABLE),
            ];
            kernels.extend(found.into_iter().filter(|(is_there, _)| *is_there).map(|(_, table)| Self(table)));
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            kernels.push(Self(&neon::TABLE));
        }
        kernels.push(Self(&portable::TABLE));
        kernels
    }

    /// Returns the name of the instruction set.
    pub(crate) fn name(self) -> &'static str {
        self.0.name
    }

    /// Returns the largest number of symbols that are made faster from their coefficients than from the intermediate
    /// symbols, measured on an Intel Xeon of the Sapphire Rapids class (NEON: as AVX2, not measured).
    pub(crate) fn dense_max(self) -> usize {
        self.0.dense_max
    }

    /// Adds to each output its sum of products, see [`Dense`].
    pub(crate) fn dense(self, mut job: Dense<'_>) {
        let Dense { ref acc, acc_stride, outputs, rows, coefs, coef_stride, len } = job;
        assert!(len.is_multiple_of(LANE) && len <= acc_stride);
        assert!(outputs * acc_stride <= acc.len(), "{outputs} outputs of {acc_stride}");
        assert!(outputs <= coef_stride && coefs.len() + coef_stride >= rows.len() * coef_stride + outputs);
        assert!(rows.iter().all(|row| row.len() >= len));
        if outputs > 0 && !rows.is_empty() {
            // SAFETY: detected; rows, outputs and coefficients are as long as the job says.
            unsafe { (self.0.dense)(&mut job) }
        }
    }

    /// Runs a program, see [`Gather`].
    pub(crate) fn gather(self, mut job: Gather<'_>) {
        let Gather { program, ref strip, width, ref into, into_stride, rows, offset, ahead: _ } = job;
        assert!(matches!(width, 64 | 128 | 256));
        assert!(program.dep_bound() * width <= strip.len() && program.source_bound() <= rows.rows.len());
        let into = into.as_ref().map_or(strip.len(), |into| into.len());
        assert!(width <= into_stride && program.result_bound() * into_stride <= into + into_stride - width);
        assert!(offset + width <= rows.len);
        // SAFETY: detected; the program's indices are below its bounds, and those within strip, rows and `into`.
        unsafe { (self.0.gather)(&mut job) }
    }

    /// Adds the HDPC rows' sums over the first columns of a strip (RFC 6330 §5.3.3.3) to the H rows from `sums` on. The
    /// rows from `pairs` on, one for each of [`Hdpc::pairs`], must be zero before and have no meaning afterwards.
    pub(crate) fn accumulate_hdpc(
        self,
        strip: &mut [u8],
        width: usize,
        hdpc: &Hdpc,
        sums: usize,
        pairs: usize,
    ) {
        assert!(matches!(width, 64 | 128 | 256));
        assert!(hdpc.of_columns().len() < sums && sums + hdpc.rows() <= pairs);
        assert!((pairs + hdpc.pairs().len()) * width <= strip.len());
        // SAFETY: detected; all columns, sums and pairs are rows of the strip.
        unsafe { (self.0.accumulate_hdpc)(strip, width, hdpc, sums, pairs) }
    }

    /// Runs a program transposed: from the last step to the first, adds what has accumulated in the step's result to
    /// its source and its dependencies. Rows of the strip and of `sources` are 64 bytes.
    pub(crate) fn scatter(self, strip: &mut [u8], program: &Program, sources: &mut [u8]) {
        assert!(program.dep_bound().max(program.result_bound()) * LANE <= strip.len());
        assert!(program.source_bound() * LANE <= sources.len());
        // SAFETY: detected; the program's indices are below its bounds, and those within both slices.
        unsafe { (self.0.scatter)(strip, program, sources) }
    }

    /// [`Kernel::accumulate_hdpc`] transposed, rows being 64 bytes: from the H rows to the columns.
    pub(crate) fn scatter_hdpc(self, strip: &mut [u8], hdpc: &Hdpc, sums: usize) {
        assert!(hdpc.of_columns().len() < sums && (sums + hdpc.rows()) * LANE <= strip.len());
        // SAFETY: detected; all columns and sums are rows of the strip.
        unsafe { (self.0.scatter_hdpc)(strip, hdpc, sums) }
    }

    /// Adds to every other row of a matrix the multiple of row `pivot` that makes its `column` zero, the pivot's own
    /// octet there being 1.
    pub(crate) fn eliminate(self, matrix: &mut [u8], stride: usize, pivot: usize, column: usize) {
        assert!(stride > 0 && stride.is_multiple_of(LANE) && matrix.len().is_multiple_of(stride));
        assert!(column < stride && (pivot + 1) * stride <= matrix.len());
        debug_assert_eq!(matrix[pivot * stride + column], 1);
        // SAFETY: detected; rows are multiples of 64 bytes, pivot and column inside.
        unsafe { (self.0.eliminate)(matrix, stride, pivot, column) }
    }

    /// Multiplies a row.
    pub(crate) fn scale(self, row: &mut [u8], octet: u8) {
        assert!(row.len().is_multiple_of(LANE));
        // SAFETY: detected; the row is a multiple of 64 bytes.
        unsafe { (self.0.scale)(row, octet) }
    }
}
