//! Long sums of rows of a strip with the help of tables (the method of the four Russians).

/// Groups of four rows of a strip with all their sums, so that a long sum needs one row for every four.
#[derive(Debug)]
pub(crate) struct Fours {
    rows: Vec<u16>,
    first: usize,
}

/// Sums in a table that are not rows themselves: 16 minus the empty sum and the four rows.
const SUMS: usize = 11;

impl Fours {
    /// Returns the number of rows of a strip that the tables of `count` rows need.
    pub(crate) fn len(count: usize) -> usize {
        count.div_ceil(4) * SUMS
    }

    /// Creates groups of four of the strip's `rows`, with the tables in its rows from `first` on.
    pub(crate) fn new(rows: Vec<u16>, first: usize) -> Self {
        Self { rows, first }
    }

    /// Returns the sums of the tables in an order in which they can be computed: (the row, the two rows that it is the
    /// sum of).
    pub(crate) fn sums(&self) -> impl Iterator<Item = (usize, [usize; 2])> + '_ {
        let whole = |group: usize| (1u64 << (self.rows.len() - 4 * group).min(4)) - 1;
        (0..self.rows.len().div_ceil(4)).flat_map(move |group| {
            let several = (3..=whole(group)).filter(|mask| mask.count_ones() > 1);
            several.map(move |mask| {
                let rest = mask & (mask - 1);
                (self.place(group, mask), [self.place(group, rest), self.place(group, mask ^ rest)])
            })
        })
    }

    /// Returns rows with the same sum as the rows that `bits` selects.
    pub(crate) fn parts<'a>(&'a self, bits: &'a [u64]) -> impl Iterator<Item = usize> + 'a {
        (0..self.rows.len().div_ceil(4)).filter_map(move |group| {
            let mask = bits[group / 16] >> (group % 16 * 4) & 15;
            (mask != 0).then(|| self.place(group, mask))
        })
    }

    fn place(&self, group: usize, mask: u64) -> usize {
        if mask.is_power_of_two() {
            return usize::from(self.rows[4 * group + mask.trailing_zeros() as usize]);
        }
        // 3, 5, 6, 7, 9 and on: the position among the masks that are not powers of two.
        let before = mask as usize - 2 - mask.ilog2() as usize;
        self.first + group * SUMS + before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_name_the_rows_that_bits_name() {
        let rows: Vec<u16> = (100..110).collect();
        let tables = Fours::new(rows, 200);
        for bits in 0..1u64 << 10 {
            let mut strip = vec![0u64; 300];
            (0..10).for_each(|row| strip[100 + row] = 1 << row);
            for (into, [a, b]) in tables.sums() {
                assert!((200..200 + Fours::len(10)).contains(&into) && strip[into] == 0);
                strip[into] = strip[a] ^ strip[b];
            }
            assert_eq!(tables.parts(&[bits]).fold(0, |sum, row| sum ^ strip[row]), bits);
        }
    }
}
