//! How the intermediate symbols of a code come from its encoding symbols: everything that does not depend on data.
//!
//! A plan works on a *strip*: rows of a fixed width, in this order: the L intermediate symbols without the inactive
//! ones' share ("partial"), the E *residues* (what the rows that peeling did not use still ask of the inactive
//! symbols; the H HDPC rows last), the U inactive intermediate symbols, rows that sums pass through. See `DESIGN.md`.

use std::sync::OnceLock;

use crate::fours::Fours;
use crate::inactive::{Bits, Inactive, ones};
use crate::kernel::{Dense, Gather, Kernel, LANE, Rows};
use crate::memory::Lines;
use crate::peel::{BinaryRows, Order, peel};
use crate::program::{Hdpc, Program};
use crate::tables::Params;
use crate::tuple::intermediate_indices;

/// Encoding symbols whose coefficients are computed together: one octet of a lane each.
pub(crate) const BATCH: usize = LANE;

/// Batches of coefficients that a plan keeps, from the first repair symbol on.
const BATCHES_KEPT: usize = 4;

/// Largest K' whose coefficients are kept: above it they take more memory than time.
const KEPT_K_PRIME_MAX: usize = 8_192;

/// A solved constraint matrix.
#[derive(Debug)]
pub(crate) struct Plan {
    params: Params,
    /// Encoding symbols that it computes from; the source row of that index is zero.
    sources: usize,
    /// Peeled columns, then the binary residues.
    program: Program,
    hdpc: Hdpc,
    inactive_columns: Vec<u16>,
    /// From residues to inactive symbols.
    inactive: Inactive,
    residues: usize,
    /// The inactive symbols that are sums, from the binary residues and the other inactive symbols.
    bound: Program,
    /// Of each intermediate symbol, the inactive ones in it: `words` words of bits.
    shares: Vec<u64>,
    words: usize,
    /// Coefficients of the repair symbols with the first ISIs from K' on.
    kept: [OnceLock<Box<[u8]>>; BATCHES_KEPT],
}

impl Plan {
    /// Creates the plan that computes from the encoding symbols with these internal symbol ids, in this order. Returns
    /// `None` if they do not determine the intermediate symbols.
    pub(crate) fn new(kernel: Kernel, params: Params, isis: &[u32]) -> Option<Self> {
        let rows = BinaryRows::new(&params, isis);
        let order = peel(&params, &rows);
        let hdpc = Hdpc::new(&params);
        let shares = Shares::new(&params, &rows, &order);
        let left = unused_rows(&rows, &order);
        let u = order.inactive.len();
        let (binary, octets) = (shares.binary(&rows, &left), shares.hdpc(&params, &hdpc));
        let inactive = Inactive::new(kernel, u, &binary, &octets)?;
        let residues = inactive.bound() + params.h;

        let source = |row: usize| if row < params.s { isis.len() } else { row - params.s };
        let mut program = Program::default();
        let is_active = |column: &usize| !shares.is_inactive[*column];
        for &(row, column) in &order.steps {
            let row = row as usize;
            let others = rows.row(row).iter().map(|&column| usize::from(column));
            program.push(
                usize::from(column),
                source(row),
                others.filter(|&other| other != usize::from(column)).filter(is_active),
            );
        }
        for (residue, &row) in inactive.chosen.iter().enumerate() {
            let columns = rows.row(left[row]).iter().map(|&column| usize::from(column));
            program.push(params.l + residue, source(left[row]), columns.filter(is_active));
        }
        let mut plan = Self {
            params,
            sources: isis.len(),
            program,
            hdpc,
            inactive_columns: order.inactive,
            inactive,
            residues,
            bound: Program::default(),
            words: shares.words,
            shares: shares.bits,
            kept: Default::default(),
        };
        plan.bound = plan.bound_sums();
        Some(plan)
    }

    /// The bound inactive symbols as sums of the tables of binary residues and free symbols.
    fn bound_sums(&self) -> Program {
        let bound = self.inactive.bound();
        let first = self.params.l + self.residues;
        let rows =
            (0..bound).map(|residue| self.params.l + residue).chain(first + bound..first + self.inactive());
        let fours = self.fours(rows);
        let mut program = Program::default();
        fours.sums().for_each(|(into, parts)| program.push(into, self.sources, parts.into_iter()));
        for index in 0..bound {
            program.push(first + index, self.sources, fours.parts(self.inactive.sum(index)));
        }
        program
    }

    /// Tables of as many rows as there are inactive symbols.
    fn fours(&self, rows: impl Iterator<Item = usize>) -> Fours {
        let rows = rows.map(|row| u16::try_from(row).expect("rows of a strip fit 16 bits"));
        Fours::new(rows.collect(), self.params.l + self.residues + self.inactive())
    }

    /// Returns U.
    fn inactive(&self) -> usize {
        self.inactive_columns.len()
    }

    /// Creates the encoder's plan for K': from the source and padding symbols.
    pub(crate) fn systematic(kernel: Kernel, params: Params) -> Self {
        let isis: Vec<u32> = (0..params.k_prime as u32).collect();
        Self::new(kernel, params, &isis).expect("RFC 6330 chose J(K') so that the matrix is invertible")
    }

    pub(crate) fn params(&self) -> &Params {
        &self.params
    }

    /// Returns the number of encoding symbols that it computes from. The source row after them must be zero.
    pub(crate) fn sources(&self) -> usize {
        self.sources
    }

    /// Returns the number of rows of a strip.
    pub(crate) fn strip_rows(&self) -> usize {
        let passing = self.hdpc.pairs().len().max(Fours::len(self.inactive()));
        self.params.l + self.residues + self.inactive() + passing
    }

    /// Returns the approximate memory in bytes.
    pub(crate) fn footprint(&self) -> usize {
        let kept =
            if self.params.k_prime <= KEPT_K_PRIME_MAX { BATCHES_KEPT * BATCH * self.sources } else { 0 };
        kept + 2 * self.program.deps().len()
            + 10 * self.program.steps().len()
            + 8 * self.shares.len()
            + self.inactive.footprint()
    }

    /// Zeroes the rows of inactive columns, as [`Plan::solve`] requires.
    pub(crate) fn clear_inactive(&self, strip: &mut [u8], width: usize) {
        for &column in &self.inactive_columns {
            strip[usize::from(column) * width..][..width].fill(0);
        }
    }

    /// Computes a strip's partial and inactive symbols from the same columns of the sources.
    ///
    /// Rows of inactive columns must be zero, and stay so.
    pub(crate) fn solve(
        &self,
        kernel: Kernel,
        strip: &mut [u8],
        width: usize,
        rows: Rows<'_>,
        offset: usize,
    ) {
        let ahead = if offset + 2 * width <= rows.len() { width } else { 0 };
        let into_stride = width;
        kernel.gather(Gather {
            program: &self.program,
            strip,
            width,
            into: None,
            into_stride,
            rows,
            offset,
            ahead,
        });
        let (l, h, residues, bound) = (self.params.l, self.params.h, self.residues, self.inactive.bound());
        let (sums, free, pairs) = (l + residues - h, l + residues + bound, l + residues + self.inactive());
        strip[sums * width..(l + residues) * width].fill(0);
        strip[free * width..(pairs + self.hdpc.pairs().len()) * width].fill(0);
        kernel.accumulate_hdpc(strip, width, &self.hdpc, sums, pairs);
        let (before, inactive) = strip.split_at_mut(free * width);
        let rows_of: Vec<&[u8]> = before[l * width..].chunks_exact(width).take(residues).collect();
        kernel.dense(Dense {
            acc: inactive,
            acc_stride: width,
            outputs: self.inactive() - bound,
            rows: &rows_of,
            coefs: self.inactive.free.octets(),
            coef_stride: self.inactive.free.stride(),
            len: width,
        });
        kernel.gather(Gather {
            program: &self.bound,
            strip,
            width,
            into: None,
            into_stride,
            rows,
            offset,
            ahead: 0,
        });
    }

    /// Adds to `program` a step into row `into` that makes the encoding symbol with an internal symbol id from a solved
    /// strip.
    pub(crate) fn push_target(&self, program: &mut Program, isi: u32, into: usize) {
        let mut share = vec![0u64; self.words];
        let mut columns = Vec::with_capacity(32);
        intermediate_indices(&self.params, isi, |column| {
            let bits = &self.shares[column * self.words..][..self.words];
            share.iter_mut().zip(bits).for_each(|(sum, bits)| *sum ^= bits);
            columns.push(column);
        });
        let first = self.params.l + self.residues;
        let inactive = ones(&share).map(|index| first + usize::from(self.inactive.places[index]));
        program.push(
            into,
            self.sources,
            columns.into_iter().filter(|&column| column < self.params.w).chain(inactive),
        );
    }

    /// The coefficients of up to 64 encoding symbols in the sources: octet `r` of lane `s` is that of source `s` in
    /// the symbol `isis[r]`. `strip` is memory to work in.
    pub(crate) fn coefficients(&self, kernel: Kernel, isis: &[u32], strip: &mut Lines) -> Box<[u8]> {
        assert!(isis.len() <= BATCH);
        let l = self.params.l;
        let strip = strip.zeroed(self.strip_rows() * LANE);
        let mut share = vec![0u64; self.words];
        for (place, &isi) in isis.iter().enumerate() {
            share.fill(0);
            intermediate_indices(&self.params, isi, |column| {
                strip[column * LANE + place] = 1;
                let bits = &self.shares[column * self.words..][..self.words];
                share.iter_mut().zip(bits).for_each(|(sum, bits)| *sum ^= bits);
            });
            for index in ones(&share) {
                let row = l + self.residues + usize::from(self.inactive.places[index]);
                strip[row * LANE + place] = 1;
            }
        }
        let (before, inactive) = strip.split_at_mut((l + self.residues) * LANE);
        let inactive: Vec<&[u8]> = inactive.chunks_exact(LANE).take(self.inactive()).collect();
        kernel.dense(Dense {
            acc: &mut before[l * LANE..],
            acc_stride: LANE,
            outputs: self.residues,
            rows: &inactive,
            coefs: self.inactive.all.octets(),
            coef_stride: self.inactive.all.stride(),
            len: LANE,
        });
        kernel.scatter_hdpc(strip, &self.hdpc, l + self.residues - self.params.h);
        let mut coefs = vec![0; (self.sources + 1) * LANE].into_boxed_slice();
        kernel.scatter(strip, &self.program, &mut coefs);
        coefs
    }

    /// The coefficients of the 64 encoding symbols from `isi` on, if they are among those that a plan keeps.
    pub(crate) fn kept_coefficients(&self, kernel: Kernel, isi: u32, strip: &mut Lines) -> Option<&[u8]> {
        let first = (isi as usize).checked_sub(self.params.k_prime)?;
        if self.params.k_prime > KEPT_K_PRIME_MAX {
            return None;
        }
        let slot = self.kept.get(first / BATCH)?;
        let start = isi - (first % BATCH) as u32;
        let isis: Vec<u32> = (start..start + BATCH as u32).collect();
        Some(slot.get_or_init(|| self.coefficients(kernel, &isis, strip)))
    }
}

/// The rows that no column was solved by, ascending.
fn unused_rows(rows: &BinaryRows, order: &Order) -> Vec<usize> {
    let mut used = vec![false; rows.len()];
    order.steps.iter().for_each(|&(row, _)| used[row as usize] = true);
    (0..rows.len()).filter(|&row| !used[row]).collect()
}

/// Which inactive symbols are in each intermediate symbol, besides its partial sum.
struct Shares {
    bits: Vec<u64>,
    words: usize,
    is_inactive: Vec<bool>,
    inactive: usize,
}

impl Shares {
    fn new(params: &Params, rows: &BinaryRows, order: &Order) -> Self {
        let inactive = order.inactive.len();
        let words = inactive.div_ceil(64);
        let mut shares =
            Self { bits: vec![0; params.l * words], words, is_inactive: vec![false; params.l], inactive };
        for (index, &column) in order.inactive.iter().enumerate() {
            shares.is_inactive[usize::from(column)] = true;
            shares.bits[usize::from(column) * words + index / 64] |= 1 << (index % 64);
        }
        let mut share = vec![0; words];
        for &(row, column) in &order.steps {
            // The column's own share is still zero, so the whole row may be summed.
            shares.sum(rows.row(row as usize), &mut share);
            shares.bits[usize::from(column) * words..][..words].copy_from_slice(&share);
        }
        shares
    }

    fn sum(&self, columns: &[u16], share: &mut [u64]) {
        share.fill(0);
        for &column in columns {
            let bits = &self.bits[usize::from(column) * self.words..][..self.words];
            share.iter_mut().zip(bits).for_each(|(sum, bits)| *sum ^= bits);
        }
    }

    /// The equations of the unused rows in the inactive symbols.
    fn binary(&self, rows: &BinaryRows, left: &[usize]) -> Bits {
        let mut words = vec![0; left.len() * self.words];
        for (share, &row) in words.chunks_exact_mut(self.words.max(1)).zip(left) {
            self.sum(rows.row(row), share);
        }
        Bits::new(words, self.words)
    }

    /// The equations of the HDPC rows in the inactive symbols.
    fn hdpc(&self, params: &Params, hdpc: &Hdpc) -> Vec<Vec<u8>> {
        let planes = self.hdpc_planes(hdpc);
        let row = |h: usize| {
            let mut row = vec![0; self.inactive];
            for bit in 0..8 {
                let plane = &planes[(h * 8 + bit) * self.words..][..self.words];
                ones(plane).for_each(|index| row[index] |= 1 << bit);
            }
            // The identity of the last H columns, which are inactive: the share of one is itself.
            let own = &self.bits[(params.l - params.h + h) * self.words..][..self.words];
            ones(own).for_each(|index| row[index] ^= 1);
            row
        };
        (0..params.h).map(row).collect()
    }

    /// The HDPC rows over the shares: for each row its 8 bits, each `words` words, by the recursion of [`Hdpc`].
    fn hdpc_planes(&self, hdpc: &Hdpc) -> Vec<u64> {
        let words = self.words;
        let mut planes = vec![0; hdpc.rows() * 8 * words];
        let mut g = vec![0; 8 * words];
        for column in 0..=hdpc.of_columns().len() {
            times_alpha(&mut g, words);
            let share = &self.bits[column * words..][..words];
            g[..words].iter_mut().zip(share).for_each(|(g, bits)| *g ^= bits);
            if let Some(&pair) = hdpc.of_columns().get(column) {
                let (first, second) = hdpc.pairs()[usize::from(pair)];
                for h in [first, second] {
                    let sum = &mut planes[usize::from(h) * 8 * words..][..8 * words];
                    sum.iter_mut().zip(&g).for_each(|(sum, g)| *sum ^= g);
                }
            }
        }
        for sum in planes.chunks_exact_mut(8 * words) {
            sum.iter_mut().zip(&g).for_each(|(sum, g)| *sum ^= g);
            times_alpha(&mut g, words);
        }
        planes
    }
}

/// Multiplies octets that are stored as 8 planes of bits by alpha: a rotation, and the top plane into bits 2, 3, 4.
fn times_alpha(planes: &mut [u64], words: usize) {
    planes.rotate_right(words);
    let (top, rest) = planes.split_at_mut(words);
    for bit in [2, 3, 4] {
        let plane = &mut rest[(bit - 1) * words..bit * words];
        plane.iter_mut().zip(&*top).for_each(|(plane, top)| *plane ^= top);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::TABLE_2;

    /// A plan is made only if what peeling leaves has an inverse; then the whole matrix has one. All 477, in two parts
    /// side by side: the largest take a second each.
    fn every_constraint_matrix_is_invertible(part: usize) {
        for &(k_prime, ..) in TABLE_2.iter().skip(part).step_by(2) {
            let plan = Plan::systematic(Kernel::detect(), Params::of(k_prime as usize));
            assert_eq!(plan.residues, plan.inactive(), "K' = {k_prime}: as many equations as unknowns");
        }
    }

    #[test]
    fn the_constraint_matrix_of_every_k_prime_is_invertible_first_part() {
        every_constraint_matrix_is_invertible(0);
    }

    #[test]
    fn the_constraint_matrix_of_every_k_prime_is_invertible_second_part() {
        every_constraint_matrix_is_invertible(1);
    }

    #[test]
    fn all_k_primes_of_the_rfc_are_tested() {
        assert_eq!(TABLE_2.len(), 477);
    }
}
