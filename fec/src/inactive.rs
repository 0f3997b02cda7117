//! The inactive symbols from the residues: a system of U equations whose binary part is solved by additions alone.
//!
//! The binary residues determine all inactive symbols but a few, H of them in an encoder's plan, up to those few. So
//! only the few are sums of products; all others are sums of binary residues and of the few.

use crate::kernel::Kernel;
use crate::matrix::{Inverse, Matrix, invert};
use crate::octet::product;

/// The solution. Inactive symbols are numbered anew: first the *bound* ones, then the few *free* ones.
#[derive(Debug)]
pub(crate) struct Inactive {
    /// The binary rows that are used, ascending: the first residues. The HDPC rows are the others.
    pub(crate) chosen: Vec<usize>,
    /// The new number of each inactive symbol.
    pub(crate) places: Vec<u16>,
    /// For each bound symbol, the bits of the binary residues, followed by those of the free symbols, that it is the
    /// sum of.
    sums: Bits,
    /// The coefficient of residue `s` in free symbol `r` is octet `r` of row `s`.
    pub(crate) free: Matrix,
    /// Both at once, the other way round: the coefficient of residue `r` in inactive symbol `s` is octet `r` of row
    /// `s`.
    pub(crate) all: Matrix,
}

/// Rows of bits.
#[derive(Debug)]
pub(crate) struct Bits {
    words: Vec<u64>,
    stride: usize,
}

impl Bits {
    /// Rows of `stride` words.
    pub(crate) fn new(words: Vec<u64>, stride: usize) -> Self {
        Self { words, stride }
    }

    pub(crate) fn row(&self, row: usize) -> &[u64] {
        &self.words[row * self.stride..][..self.stride]
    }
}

impl Inactive {
    /// Solves for `count` inactive symbols: `binary` rows, then `hdpc` rows of octets. Returns `None` if they are not
    /// determined.
    pub(crate) fn new(kernel: Kernel, count: usize, binary: &Bits, hdpc: &[Vec<u8>]) -> Option<Self> {
        let basis = Basis::new(count, binary);
        let bound = basis.rows.len();
        let free: Vec<usize> =
            (0..count).filter(|&column| basis.rows.iter().all(|row| row.pivot != column)).collect();
        let residues = bound + hdpc.len();

        // The HDPC rows without the bound symbols: octets of the free ones, and what of the residues they then are.
        let mut left = Matrix::zero(hdpc.len(), free.len());
        let mut right = vec![vec![0u8; residues]; hdpc.len()];
        for (h, row) in hdpc.iter().enumerate() {
            let of_free = left.row_mut(h);
            free.iter().zip(of_free.iter_mut()).for_each(|(&column, octet)| *octet = row[column]);
            right[h][bound + h] = 1;
            for solved in &basis.rows {
                let octet = row[solved.pivot];
                free.iter()
                    .zip(of_free.iter_mut())
                    .filter(|(column, _)| is_set(&solved.columns, **column))
                    .for_each(|(_, sum)| *sum ^= octet);
                ones(&solved.residues).for_each(|residue| right[h][residue] ^= octet);
            }
        }
        let Inverse { chosen, by_row } = invert(kernel, &left, free.len())?;

        let mut all = Matrix::zero(count, residues);
        for (place, &h) in chosen.iter().enumerate() {
            for index in 0..free.len() {
                let factor = by_row.row(place)[index];
                let sums = all.row_mut(bound + index);
                sums.iter_mut().zip(&right[h]).for_each(|(sum, &octet)| *sum ^= product(factor, octet));
            }
        }
        let mut of_free = Matrix::zero(residues, free.len());
        for index in 0..free.len() {
            (0..residues)
                .for_each(|residue| of_free.row_mut(residue)[index] = all.row(bound + index)[residue]);
        }
        let stride = count.div_ceil(64);
        let mut sums = vec![0u64; bound * stride];
        let mut places = vec![0; count];
        for (index, solved) in basis.rows.iter().enumerate() {
            places[solved.pivot] = index as u16;
            let sum = &mut sums[index * stride..][..stride];
            sum.copy_from_slice(&solved.residues);
            ones(&solved.residues).for_each(|residue| all.row_mut(index)[residue] = 1);
            for (of_free, _) in
                free.iter().enumerate().filter(|(_, column)| is_set(&solved.columns, **column))
            {
                set(sum, bound + of_free);
                all.add_row(index, bound + of_free);
            }
        }
        free.iter().enumerate().for_each(|(index, &column)| places[column] = (bound + index) as u16);
        Some(Self { chosen: basis.chosen, places, sums: Bits::new(sums, stride), free: of_free, all })
    }

    /// Returns the number of bound symbols.
    pub(crate) fn bound(&self) -> usize {
        self.chosen.len()
    }

    /// Returns the bits of the terms of bound symbol `index`.
    pub(crate) fn sum(&self, index: usize) -> &[u64] {
        self.sums.row(index)
    }

    /// Returns the approximate memory in bytes.
    pub(crate) fn footprint(&self) -> usize {
        self.free.octets().len() + self.all.octets().len() + 8 * self.sums.words.len()
    }
}

/// Independent binary rows, each with a column of its own that no other row has.
struct Basis {
    /// The positions of the chosen rows, ascending.
    chosen: Vec<usize>,
    rows: Vec<Solved>,
}

struct Solved {
    pivot: usize,
    columns: Vec<u64>,
    /// The chosen rows that it is the sum of.
    residues: Vec<u64>,
}

impl Basis {
    fn new(columns: usize, binary: &Bits) -> Self {
        let mut basis = Self { chosen: Vec::new(), rows: Vec::with_capacity(columns) };
        let stride = columns.div_ceil(64);
        let count = binary.words.len() / stride.max(1);
        for row in 0..count {
            if basis.rows.len() == columns {
                break;
            }
            let mut new = Solved { pivot: 0, columns: binary.row(row).to_vec(), residues: vec![0; stride] };
            set(&mut new.residues, basis.chosen.len());
            for other in &basis.rows {
                if is_set(&new.columns, other.pivot) {
                    new.add(other);
                }
            }
            let Some(pivot) = ones(&new.columns).next() else {
                continue;
            };
            new.pivot = pivot;
            for other in &mut basis.rows {
                if is_set(&other.columns, pivot) {
                    other.add(&new);
                }
            }
            basis.rows.push(new);
            basis.chosen.push(row);
        }
        basis
    }
}

impl Solved {
    fn add(&mut self, other: &Self) {
        self.columns.iter_mut().zip(&other.columns).for_each(|(sum, bits)| *sum ^= bits);
        self.residues.iter_mut().zip(&other.residues).for_each(|(sum, bits)| *sum ^= bits);
    }
}

fn is_set(words: &[u64], index: usize) -> bool {
    words[index / 64] >> (index % 64) & 1 == 1
}

fn set(words: &mut [u64], index: usize) {
    words[index / 64] |= 1 << (index % 64);
}

/// Returns the indices of the bits that are set.
pub(crate) fn ones(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(word, &bits)| {
        let rest = |bits: &u64| Some(bits & (bits - 1)).filter(|&bits| bits != 0);
        std::iter::successors(Some(bits).filter(|&bits| bits != 0), rest)
            .map(move |bits| word * 64 + bits.trailing_zeros() as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solution_solves_and_rows_that_do_not_determine_it_have_none() {
        let kernel = Kernel::detect();
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let mut solved = 0;
        for case in 0..400_usize {
            let (count, extra, h) = (1 + case % 90, case % 5, 3 + case % 8);
            let stride = count.div_ceil(64);
            let rows = (count + extra).saturating_sub(h);
            let mask = |word: usize| if count - 64 * word >= 64 { u64::MAX } else { (1 << (count % 64)) - 1 };
            let words =
                (0..rows * stride).map(|place| (next() << 32 ^ next()) & mask(place % stride)).collect();
            let binary = Bits::new(words, stride);
            let hdpc: Vec<Vec<u8>> = (0..h).map(|_| (0..count).map(|_| next() as u8).collect()).collect();
            let symbols: Vec<u8> = (0..count).map(|_| next() as u8).collect();
            let Some(solution) = Inactive::new(kernel, count, &binary, &hdpc) else {
                continue;
            };
            solved += 1;
            let of_row = |row: usize| ones(binary.row(row)).fold(0, |sum, column| sum ^ symbols[column]);
            let dot = |row: &[u8], of: &[u8]| row.iter().zip(of).fold(0, |sum, (&a, &b)| sum ^ product(a, b));
            let residues: Vec<u8> = solution
                .chosen
                .iter()
                .map(|&row| of_row(row))
                .chain(hdpc.iter().map(|row| dot(row, &symbols)))
                .collect();
            for (column, &symbol) in symbols.iter().enumerate() {
                let place = usize::from(solution.places[column]);
                assert_eq!(dot(solution.all.row(place), &residues), symbol, "case {case}");
            }
        }
        assert!(solved > 200, "{solved}");
    }
}
