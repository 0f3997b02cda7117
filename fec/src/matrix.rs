//! Inverses of small dense matrices of octets.

use crate::kernel::{Kernel, LANE};
use crate::octet;

/// A matrix of octets whose rows are padded to whole lanes and start with a line of the cache.
#[derive(Debug)]
pub(crate) struct Matrix {
    memory: Vec<u8>,
    /// Where the first row is in `memory`, which is never moved.
    start: usize,
    rows: usize,
    stride: usize,
}

impl Matrix {
    /// All zero.
    pub(crate) fn zero(rows: usize, columns: usize) -> Self {
        let stride = columns.next_multiple_of(LANE).max(LANE);
        let memory = vec![0; rows * stride + LANE];
        Self { start: memory.as_ptr().align_offset(LANE), memory, rows, stride }
    }

    pub(crate) fn row(&self, row: usize) -> &[u8] {
        &self.octets()[row * self.stride..][..self.stride]
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [u8] {
        let stride = self.stride;
        &mut self.octets_mut()[row * stride..][..stride]
    }

    /// Adds row `other` to row `row`.
    pub(crate) fn add_row(&mut self, row: usize, other: usize) {
        let (row, other) = (row * self.stride, other * self.stride);
        for place in 0..self.stride {
            let octet = self.octets()[other + place];
            self.octets_mut()[row + place] ^= octet;
        }
    }

    /// All rows, [`Matrix::stride`] octets each.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.memory[self.start..][..self.rows * self.stride]
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.rows * self.stride]
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }
}

/// Rows of a tall matrix that are independent, and the inverse of the square matrix that they make.
#[derive(Debug)]
pub(crate) struct Inverse {
    /// As many as the matrix has columns, ascending; earlier rows are preferred.
    pub(crate) chosen: Vec<usize>,
    /// By columns, so that row `i` belongs to `chosen[i]`: octet `j` of it is the coefficient in unknown `j`.
    pub(crate) by_row: Matrix,
}

/// Inverts `matrix`, the first `columns` columns of it, by Gauss-Jordan elimination; `None` if its rank is lower.
pub(crate) fn invert(kernel: Kernel, matrix: &Matrix, columns: usize) -> Option<Inverse> {
    let rows = matrix.rows;
    if rows < columns {
        return None;
    }
    let right = columns.next_multiple_of(LANE);
    let mut work = Matrix::zero(rows, right + rows);
    for row in 0..rows {
        let target = work.row_mut(row);
        target[..columns].copy_from_slice(&matrix.row(row)[..columns]);
        target[right + row] = 1;
    }
    let mut free: Vec<usize> = (0..rows).collect();
    let mut pivots = Vec::with_capacity(columns);
    for column in 0..columns {
        let place = free.iter().position(|&row| work.row(row)[column] != 0)?;
        let pivot = free.remove(place);
        let octet = work.row(pivot)[column];
        if octet != 1 {
            kernel.scale(work.row_mut(pivot), octet::inverse(octet));
        }
        let stride = work.stride;
        kernel.eliminate(work.octets_mut(), stride, pivot, column);
        pivots.push(pivot);
    }
    let mut chosen = pivots.clone();
    chosen.sort_unstable();
    let mut by_row = Matrix::zero(columns, columns);
    for (unknown, &pivot) in pivots.iter().enumerate() {
        let inverse = &work.row(pivot)[right..];
        for (place, &row) in chosen.iter().enumerate() {
            by_row.row_mut(place)[unknown] = inverse[row];
        }
    }
    Some(Inverse { chosen, by_row })
}
