//! The loops that every instruction set has in common, as a macro: each kernel file names its vectors and what to do
//! with them, and gets the loops compiled for its own target features.
//!
//! A kernel file defines `Vector` of `WIDTH` bytes with `zero`, `load`, `store`, `xor`, `times_alpha`; `Operand`
//! made by `operand` (a vector made ready to be multiplied), `Factor` made by `factor` (an octet made ready to
//! multiply by), and `product` of both; `prefetch` of a line into the first-level cache and `prefetch_later` into the
//! second; and whether the dense loop takes `TWO_ROWS` at a time.

use std::hint::black_box;

/// Defines `TABLE`, the [`super::Operations`] of a kernel file. `attributes` go on every function (the target
/// features); `tiles` says for each number of outputs how many vectors of each are kept in registers at a time, up to
/// the most outputs that fit.
macro_rules! kernel_operations {
    (attributes: [$(#[$attr:meta])*], tiles: [$($outputs:literal => $vectors:literal),+], most: $most:literal) => {
        use $crate::kernel::body::{Block, DENSE_GROUP_BYTES, DENSE_GROUP_MIN, GATHER_AHEAD, touch};
        use $crate::kernel::{Dense, Gather};
        use $crate::program::{HDPC_PARTS, Hdpc, Program};

        pub(super) const TABLE: $crate::kernel::Operations = $crate::kernel::Operations {
            name: NAME,
            dense_max: DENSE_MAX,
            dense,
            gather,
            accumulate_hdpc,
            scatter,
            scatter_hdpc,
            eliminate,
            scale,
        };

        /// See [`super::Kernel::dense`].
        $(#[$attr])*
        unsafe fn dense(job: &mut Dense<'_>) {
            let group = (DENSE_GROUP_BYTES / job.len.max(1)).max(DENSE_GROUP_MIN);
            let mut first = 0;
            while first < job.rows.len() {
                let last = (first + group).min(job.rows.len());
                touch(&job.rows[first..last], job.len);
                let mut output = 0;
                while output < job.outputs {
                    let left = job.outputs - output;
                    let block = Block {
                        // SAFETY: the caller keeps all outputs, of `acc_stride` bytes each, inside `acc`.
                        acc: unsafe { job.acc.as_mut_ptr().add(output * job.acc_stride) },
                        acc_stride: job.acc_stride,
                        rows: &job.rows[first..last],
                        coefs: &job.coefs[first * job.coef_stride + output..],
                        coef_stride: job.coef_stride,
                        len: job.len,
                    };
                    let outputs = left.div_ceil(left.div_ceil($most));
                    match outputs {
                        $(
                        // SAFETY: the block's pointers are the caller's, who vouches for their lengths.
                        $outputs => unsafe { columns::<$outputs, $vectors>(&block) },
                        )+
                        _ => unreachable!("the tiles of a kernel are those of 1 to its most outputs"),
                    }
                    output += outputs;
                }
                first = last;
            }
        }

        /// All columns of `R` outputs over a group of rows.
        $(#[$attr])*
        unsafe fn columns<const R: usize, const N: usize>(block: &Block<'_>) {
            let mut offset = 0;
            while offset + N * WIDTH <= block.len {
                // SAFETY: the columns are below the length of rows and outputs.
                unsafe { tile::<R, N>(block, offset) };
                offset += N * WIDTH;
            }
            while offset < block.len {
                // SAFETY: the length is a multiple of 64 and so of the vector's width.
                unsafe { tile::<R, 1>(block, offset) };
                offset += WIDTH;
            }
        }

        /// `N` vectors of each of `R` outputs, held in registers over all rows of a group.
        #[inline]
        $(#[$attr])*
        unsafe fn tile<const R: usize, const N: usize>(block: &Block<'_>, offset: usize) {
            let mut acc = [[zero(); N]; R];
            for r in 0..R {
                for n in 0..N {
                    // SAFETY: output r has `len` bytes from `acc + r * acc_stride`.
                    acc[r][n] = unsafe { load(block.acc.add(r * block.acc_stride + offset + n * WIDTH)) };
                }
            }
            let mut coefs = block.coefs.as_ptr();
            let mut rows = block.rows;
            // Two rows at a time where sums of three are one instruction.
            while let ([first, second, rest @ ..], true) = (rows, TWO_ROWS) {
                let mut operands = [(operand(zero()), operand(zero())); N];
                for n in 0..N {
                    let at = offset + n * WIDTH;
                    // SAFETY: each row has `len` bytes.
                    operands[n] = unsafe { (operand(load(first.as_ptr().add(at))), operand(load(second.as_ptr().add(at)))) };
                }
                for r in 0..R {
                    // SAFETY: `coefs` has R octets every `coef_stride`, for each row.
                    let factors = unsafe { (factor(*coefs.add(r)), factor(*coefs.add(block.coef_stride + r))) };
                    for n in 0..N {
                        let both = xor(product(operands[n].0, factors.0), product(operands[n].1, factors.1));
                        acc[r][n] = xor(acc[r][n], both);
                    }
                }
                coefs = coefs.wrapping_add(2 * block.coef_stride);
                rows = rest;
            }
            for row in rows {
                let mut operands = [operand(zero()); N];
                for n in 0..N {
                    // SAFETY: each row has `len` bytes.
                    operands[n] = operand(unsafe { load(row.as_ptr().add(offset + n * WIDTH)) });
                }
                for r in 0..R {
                    // SAFETY: `coefs` has R octets every `coef_stride`, for each row.
                    let factor = factor(unsafe { *coefs.add(r) });
                    for n in 0..N {
                        acc[r][n] = xor(acc[r][n], product(operands[n], factor));
                    }
                }
                coefs = coefs.wrapping_add(block.coef_stride);
            }
            for r in 0..R {
                for n in 0..N {
                    // SAFETY: as above.
                    unsafe { store(block.acc.add(r * block.acc_stride + offset + n * WIDTH), acc[r][n]) };
                }
            }
        }

        /// See [`super::Kernel::gather`].
        $(#[$attr])*
        unsafe fn gather(job: &mut Gather<'_>) {
            match job.width {
                // SAFETY: the caller vouches; the width decides the number of vectors.
                64 => unsafe { gather_strip::<{ 64 / WIDTH }>(job) },
                // SAFETY: the caller vouches; the width decides the number of vectors.
                128 => unsafe { gather_strip::<{ 128 / WIDTH }>(job) },
                // SAFETY: the caller vouches; the width decides the number of vectors.
                256 => unsafe { gather_strip::<{ 256 / WIDTH }>(job) },
                _ => unreachable!("a strip is 64, 128 or 256 bytes wide"),
            }
        }

        $(#[$attr])*
        unsafe fn gather_strip<const N: usize>(job: &mut Gather<'_>) {
            let width = N * WIDTH;
            let strip = job.strip.as_mut_ptr();
            let into = match &mut job.into {
                Some(into) => into.as_mut_ptr(),
                None => strip,
            };
            let steps = job.program.steps();
            let mut deps = job.program.deps().as_ptr();
            for (index, step) in steps.iter().enumerate() {
                if let Some(later) = steps.get(index + GATHER_AHEAD) {
                    // SAFETY: a program names sources below its bound, which the caller compared with the rows.
                    let row = unsafe { job.rows.rows.get_unchecked(usize::from(later.source)) };
                    for n in 0..width.div_ceil(64) {
                        prefetch(row.as_ptr().wrapping_add(job.offset + n * 64));
                    }
                }
                // SAFETY: as above; rows are long enough for the strip at this offset.
                let source = unsafe { job.rows.rows.get_unchecked(usize::from(step.source)).as_ptr().add(job.offset) };
                if job.ahead > 0 {
                    for n in 0..width.div_ceil(64) {
                        prefetch_later(source.wrapping_add(job.ahead + n * 64));
                    }
                }
                let mut sum = [zero(); N];
                for n in 0..N {
                    // SAFETY: the strip's bytes of the row.
                    sum[n] = unsafe { load(source.add(n * WIDTH)) };
                }
                let mut left = step.deps;
                while left >= 2 {
                    // SAFETY: a program has as many dependencies as its steps say together, each below its bound,
                    // which the caller compared with the strip.
                    let (a, b) = unsafe {
                        (strip.add(usize::from(*deps) * width), strip.add(usize::from(*deps.add(1)) * width))
                    };
                    for n in 0..N {
                        // SAFETY: a row of the strip.
                        let pair = unsafe { xor(load(a.add(n * WIDTH)), load(b.add(n * WIDTH))) };
                        sum[n] = xor(sum[n], pair);
                    }
                    // SAFETY: two were read.
                    deps = unsafe { deps.add(2) };
                    left -= 2;
                }
                if left == 1 {
                    // SAFETY: as above, with one more.
                    let a = unsafe { strip.add(usize::from(*deps) * width) };
                    for n in 0..N {
                        // SAFETY: a row of the strip.
                        sum[n] = xor(sum[n], unsafe { load(a.add(n * WIDTH)) });
                    }
                    // SAFETY: one was read.
                    deps = unsafe { deps.add(1) };
                }
                for n in 0..N {
                    // SAFETY: a program's destinations are below its bound, which the caller compared as well.
                    unsafe { store(into.add(step.into as usize * job.into_stride + n * WIDTH), sum[n]) };
                }
            }
        }

        /// See [`super::Kernel::accumulate_hdpc`].
        $(#[$attr])*
        unsafe fn accumulate_hdpc(strip: &mut [u8], width: usize, hdpc: &Hdpc, sums: usize, pairs: usize) {
            // As many columns at a time as leave registers for all parts.
            let two = if 2 * WIDTH <= width { 2 * WIDTH } else { WIDTH };
            for offset in (0..width).step_by(two) {
                if two > WIDTH {
                    // SAFETY: the caller vouches; both vectors are inside the width, a multiple of them.
                    unsafe { accumulate_columns::<2>(strip, (width, offset), hdpc, sums, pairs) }
                } else {
                    // SAFETY: the caller vouches; the vector is inside the width.
                    unsafe { accumulate_columns::<1>(strip, (width, offset), hdpc, sums, pairs) }
                }
            }
        }

        /// `N` vectors of each row, from `offset` on.
        #[inline]
        $(#[$attr])*
        unsafe fn accumulate_columns<const N: usize>(
            strip: &mut [u8],
            (width, offset): (usize, usize),
            hdpc: &Hdpc,
            sums: usize,
            pairs: usize,
        ) {
            // SAFETY: the offset is inside a row.
            let strip = unsafe { strip.as_mut_ptr().add(offset) };
            // SAFETY: the strip has the H rows from `sums` on and a row for each pair from `pairs` on.
            let (sums, pairs) = unsafe { (strip.add(sums * width), strip.add(pairs * width)) };
            let part = hdpc.part();
            let mut g = [[zero(); N]; HDPC_PARTS];
            for index in 0..part {
                for p in 0..HDPC_PARTS {
                    let column = p * part + index;
                    // SAFETY: columns are rows of the strip, and the pair is one of the pairs.
                    let (y, sum) = unsafe {
                        let pair = usize::from(*hdpc.of_columns().get_unchecked(column));
                        (strip.add(column * width), pairs.add(pair * width))
                    };
                    for n in 0..N {
                        let at = n * WIDTH;
                        // SAFETY: rows of the strip, of `width` bytes each.
                        unsafe {
                            g[p][n] = xor(times_alpha(g[p][n]), load(y.add(at)));
                            store(sum.add(at), xor(load(sum.add(at)), g[p][n]));
                        }
                    }
                }
            }
            let mut before = g[0];
            for (carries, own) in hdpc.carries().iter().zip(&g[1..]) {
                let operands = before.map(|vector| operand(vector));
                for (pair, &carry) in carries.iter().enumerate() {
                    let factor = factor(carry);
                    for n in 0..N {
                        // SAFETY: the pair is one of the pairs.
                        unsafe {
                            let sum = pairs.add(pair * width + n * WIDTH);
                            store(sum, xor(load(sum), product(operands[n], factor)));
                        }
                    }
                }
                let factor = factor(hdpc.carry());
                for n in 0..N {
                    before[n] = xor(own[n], product(operands[n], factor));
                }
            }
            for (column, &pair) in hdpc.of_columns().iter().enumerate().skip(HDPC_PARTS * part) {
                for n in 0..N {
                    let at = n * WIDTH;
                    // SAFETY: as above.
                    unsafe {
                        let sum = pairs.add(usize::from(pair) * width + at);
                        before[n] = xor(times_alpha(before[n]), load(strip.add(column * width + at)));
                        store(sum, xor(load(sum), before[n]));
                    }
                }
            }
            for (pair, &(first, second)) in hdpc.pairs().iter().enumerate() {
                for n in 0..N {
                    let at = n * WIDTH;
                    // SAFETY: both of a pair are below H.
                    unsafe {
                        let value = load(pairs.add(pair * width + at));
                        for sum in [first, second] {
                            let sum = sums.add(usize::from(sum) * width + at);
                            store(sum, xor(load(sum), value));
                        }
                    }
                }
            }
            // SAFETY: the last column is a row of the strip too.
            let y = unsafe { strip.add(hdpc.of_columns().len() * width) };
            for n in 0..N {
                // SAFETY: as above.
                let mut power = xor(times_alpha(before[n]), unsafe { load(y.add(n * WIDTH)) });
                for h in 0..hdpc.rows() {
                    // SAFETY: the H rows from `sums` on.
                    unsafe {
                        let sum = sums.add(h * width + n * WIDTH);
                        store(sum, xor(load(sum), power));
                    }
                    power = times_alpha(power);
                }
            }
        }

        /// See [`super::Kernel::scatter`].
        $(#[$attr])*
        unsafe fn scatter(strip: &mut [u8], program: &Program, sources: &mut [u8]) {
            const N: usize = 64 / WIDTH;
            let strip = strip.as_mut_ptr();
            let mut deps = program.deps();
            for step in program.steps().iter().rev() {
                let (before, own) = deps.split_at(deps.len() - usize::from(step.deps));
                deps = before;
                // SAFETY: a program's destinations, sources and dependencies are below its bounds, which the caller
                // compared with both slices.
                let (from, source) = unsafe {
                    (strip.add(step.into as usize * 64), sources.as_mut_ptr().add(usize::from(step.source) * 64))
                };
                let mut value = [zero(); N];
                for n in 0..N {
                    // SAFETY: 64 bytes each.
                    unsafe {
                        value[n] = load(from.add(n * WIDTH));
                        store(source.add(n * WIDTH), value[n]);
                    }
                }
                for &dep in own {
                    for n in 0..N {
                        // SAFETY: as above.
                        unsafe {
                            let row = strip.add(usize::from(dep) * 64 + n * WIDTH);
                            store(row, xor(load(row), value[n]));
                        }
                    }
                }
            }
        }

        /// See [`super::Kernel::scatter_hdpc`].
        $(#[$attr])*
        unsafe fn scatter_hdpc(strip: &mut [u8], hdpc: &Hdpc, sums: usize) {
            const N: usize = 64 / WIDTH;
            let strip = strip.as_mut_ptr();
            // SAFETY: the strip has the H rows from `sums` on.
            let sums = unsafe { strip.add(sums * 64) };
            for n in 0..N {
                let at = n * WIDTH;
                let mut z = zero();
                for h in (0..hdpc.rows()).rev() {
                    // SAFETY: the H rows.
                    z = xor(times_alpha(z), unsafe { load(sums.add(h * 64 + at)) });
                }
                // SAFETY: the last column is a row of the strip.
                unsafe {
                    let row = strip.add(hdpc.of_columns().len() * 64 + at);
                    store(row, xor(load(row), z));
                }
                for (column, &pair) in hdpc.of_columns().iter().enumerate().rev() {
                    let (first, second) = hdpc.pairs()[usize::from(pair)];
                    // SAFETY: both of a pair are below H, and columns are rows of the strip.
                    unsafe {
                        let both = xor(
                            load(sums.add(usize::from(first) * 64 + at)),
                            load(sums.add(usize::from(second) * 64 + at)),
                        );
                        z = xor(times_alpha(z), both);
                        let row = strip.add(column * 64 + at);
                        store(row, xor(load(row), z));
                    }
                }
            }
        }

        /// See [`super::Kernel::eliminate`].
        $(#[$attr])*
        unsafe fn eliminate(matrix: &mut [u8], stride: usize, pivot: usize, column: usize) {
            let rows = matrix.len() / stride;
            let matrix = matrix.as_mut_ptr();
            // SAFETY: the pivot is a row of the matrix.
            let from = unsafe { matrix.add(pivot * stride) };
            for index in (0..rows).filter(|&index| index != pivot) {
                // SAFETY: a row of the matrix, and the column is below the stride.
                let (row, octet) = unsafe {
                    let row = matrix.add(index * stride);
                    (row, *row.add(column))
                };
                if octet == 0 {
                    continue;
                }
                let factor = factor(octet);
                for at in (0..stride).step_by(WIDTH) {
                    // SAFETY: the stride is a multiple of 64.
                    unsafe {
                        let product = product(operand(load(from.add(at))), factor);
                        store(row.add(at), xor(load(row.add(at)), product));
                    }
                }
            }
        }

        /// See [`super::Kernel::scale`].
        $(#[$attr])*
        unsafe fn scale(row: &mut [u8], octet: u8) {
            let factor = factor(octet);
            for at in (0..row.len()).step_by(WIDTH) {
                // SAFETY: the length is a multiple of 64.
                unsafe {
                    let place = row.as_mut_ptr().add(at);
                    store(place, product(operand(load(place)), factor));
                }
            }
        }
    };
}

pub(super) use kernel_operations;

/// Bytes of source rows that one pass of the dense operation stays on before it goes to the next ones: they fit the
/// second-level cache.
pub(super) const DENSE_GROUP_BYTES: usize = 128 << 10;

/// Rows in such a group at least, so that the outputs are not loaded and stored too often.
pub(super) const DENSE_GROUP_MIN: usize = 8;

/// Steps between the request for a source row and its use.
pub(super) const GATHER_AHEAD: usize = 24;

/// Reads one octet of each line of the rows, in their order. Rows of a block are adjacent, and the processor fetches
/// what is read in order far faster than what is requested by columns, with or without prefetch instructions: measured,
/// 38 instead of 26 Gbit/s through the intermediate symbols at K = 1024 and 5 % loss.
pub(super) fn touch(rows: &[&[u8]], len: usize) {
    let line = |row: &&[u8]| row[..len].iter().step_by(64).fold(0, |sum, octet| sum ^ octet);
    black_box(rows.iter().fold(0, |sum, row| sum ^ line(row)));
}

/// Part of a [`super::Dense`]: a group of rows and as many outputs as fit the registers.
pub(super) struct Block<'a> {
    pub(super) acc: *mut u8,
    pub(super) acc_stride: usize,
    pub(super) rows: &'a [&'a [u8]],
    pub(super) coefs: &'a [u8],
    pub(super) coef_stride: usize,
    pub(super) len: usize,
}
