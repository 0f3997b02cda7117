//! Which column each row of the constraint matrix is solved for: the first phase of RFC 6330 §5.4.2.2, without any
//! arithmetic on rows.
//!
//! A row with one active column is used for that column; the column then counts as known in all other rows. When no
//! such row is left, a column is set aside as inactive. The columns from W on are inactive from the start.

use crate::tables::Params;
use crate::tuple::intermediate_indices;

/// The binary rows of the constraint matrix of RFC 6330 §5.3.3.4.2: S LDPC rows, then one for each encoding symbol.
#[derive(Debug)]
pub(crate) struct BinaryRows {
    starts: Vec<u32>,
    columns: Vec<u16>,
}

impl BinaryRows {
    /// The rows of a code and of the encoding symbols with these internal symbol ids.
    pub(crate) fn new(params: &Params, isis: &[u32]) -> Self {
        let mut rows = Self { starts: vec![0], columns: Vec::with_capacity(8 * (params.s + isis.len())) };
        for row in ldpc_rows(params) {
            rows.columns.extend(row);
            rows.starts.push(rows.columns.len() as u32);
        }
        for &isi in isis {
            intermediate_indices(params, isi, |column| rows.columns.push(column as u16));
            rows.starts.push(rows.columns.len() as u32);
        }
        rows
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The columns that are 1 in a row.
    pub(crate) fn row(&self, row: usize) -> &[u16] {
        &self.columns[self.starts[row] as usize..self.starts[row + 1] as usize]
    }

    /// For each column below `w`, the rows that it is 1 in: all of them one after the other, and where each starts.
    fn transposed(&self, w: usize) -> (Vec<u32>, Vec<u32>) {
        let mut starts = vec![0u32; w + 2];
        for &column in self.columns.iter().filter(|&&column| usize::from(column) < w) {
            starts[usize::from(column) + 2] += 1;
        }
        for column in 2..starts.len() {
            starts[column] += starts[column - 1];
        }
        let mut rows = vec![0u32; starts[w + 1] as usize];
        for row in 0..self.len() {
            for &column in self.row(row).iter().filter(|&&column| usize::from(column) < w) {
                let place = &mut starts[usize::from(column) + 1];
                rows[*place as usize] = row as u32;
                *place += 1;
            }
        }
        (starts, rows)
    }
}

/// G_LDPC,1, the identity and G_LDPC,2 of RFC 6330 §5.3.3.3, row by row.
fn ldpc_rows(params: &Params) -> Vec<Vec<u16>> {
    let Params { s, w, p, .. } = *params;
    let b = w - s;
    let mut rows = vec![Vec::with_capacity(3 * b / s + 6); s];
    for column in 0..b {
        let a = 1 + column / s;
        for step in 0..3 {
            rows[(column + step * a) % s].push(column as u16);
        }
    }
    for (index, row) in rows.iter_mut().enumerate() {
        row.push((b + index) as u16);
        row.push((w + index % p) as u16);
        row.push((w + (index + 1) % p) as u16);
    }
    rows
}

/// What peeling found.
#[derive(Debug)]
pub(crate) struct Order {
    /// (row, column) in an order in which they can be computed.
    pub(crate) steps: Vec<(u32, u16)>,
    /// The columns that no row was used for, those from W on first.
    pub(crate) inactive: Vec<u16>,
}

impl Order {
    /// Groups steps that do not depend on each other, and orders a group by length. A processor then has many of them
    /// in flight, and predicts where their loops end.
    fn sort_by_level(&mut self, rows: &BinaryRows, columns: usize) {
        let mut levels = vec![0u16; columns];
        let keyed = self.steps.iter().map(|&(row, column)| {
            // A column that is not known yet is the step's own or inactive; its level is 0.
            let of_row = rows.row(row as usize);
            let level = of_row.iter().map(|&other| levels[usize::from(other)]).max().unwrap_or(0) + 1;
            levels[usize::from(column)] = level;
            (level, of_row.len(), row, column)
        });
        let mut keyed: Vec<_> = keyed.collect();
        keyed.sort_unstable();
        self.steps = keyed.into_iter().map(|(.., row, column)| (row, column)).collect();
    }
}

/// Peels all columns.
pub(crate) fn peel(params: &Params, rows: &BinaryRows) -> Order {
    let mut peeling = Peeling::new(params, rows);
    loop {
        peeling.run();
        if peeling.active == 0 {
            let mut order = peeling.order;
            order.sort_by_level(rows, params.l);
            return order;
        }
        let column = peeling.most_useful();
        peeling.order.inactive.push(column);
        peeling.retire(column);
    }
}

struct Peeling<'a> {
    rows: &'a BinaryRows,
    column_starts: Vec<u32>,
    column_rows: Vec<u32>,
    /// For each row: the number of active columns, and the XOR of their indices: the index itself when one is left.
    left: Vec<(u16, u16)>,
    is_active: Vec<bool>,
    /// Rows that had one active column when they were put here.
    ready: Vec<u32>,
    /// Active columns below W.
    active: usize,
    order: Order,
    forest: Forest,
}

impl<'a> Peeling<'a> {
    fn new(params: &Params, rows: &'a BinaryRows) -> Self {
        let w = params.w;
        let (column_starts, column_rows) = rows.transposed(w);
        let left: Vec<(u16, u16)> = (0..rows.len())
            .map(|row| {
                let active = rows.row(row).iter().filter(|&&column| usize::from(column) < w);
                active.fold((0, 0), |(count, sum), &column| (count + 1, sum ^ column))
            })
            .collect();
        let ready = (0..rows.len() as u32).filter(|&row| left[row as usize].0 == 1).collect();
        let inactive = (w..params.l).map(|column| column as u16).collect();
        Self {
            rows,
            column_starts,
            column_rows,
            left,
            is_active: vec![true; w],
            ready,
            active: w,
            order: Order { steps: Vec::with_capacity(w), inactive },
            forest: Forest::new(w),
        }
    }

    /// Uses rows with one active column until there are none.
    fn run(&mut self) {
        while let Some(row) = self.ready.pop() {
            let (count, column) = self.left[row as usize];
            if count == 1 {
                self.order.steps.push((row, column));
                self.retire(column);
            }
        }
    }

    /// Removes a column from all rows.
    fn retire(&mut self, column: u16) {
        self.is_active[usize::from(column)] = false;
        self.active -= 1;
        let places = self.column_starts[usize::from(column)]..self.column_starts[usize::from(column) + 1];
        for &row in &self.column_rows[places.start as usize..places.end as usize] {
            let (count, sum) = &mut self.left[row as usize];
            *count -= 1;
            *sum ^= column;
            if *count == 1 {
                self.ready.push(row);
            }
        }
    }

    /// Returns the column to set aside: of the columns connected by rows with two active ones, one of the largest
    /// component (all others of it follow), namely the one in most rows. Without such rows, one of a shortest row.
    fn most_useful(&mut self) -> u16 {
        self.forest.reset();
        let mut shortest = (u16::MAX, 0);
        for row in 0..self.left.len() {
            let (count, sum) = self.left[row];
            if count == 2 {
                let first = self.first_active(row);
                self.forest.join(first, first ^ sum);
            }
            if count >= 2 && count < shortest.0 {
                shortest = (count, row);
            }
        }
        let degree = |column: u16| {
            self.column_starts[usize::from(column) + 1] - self.column_starts[usize::from(column)]
        };
        if shortest.0 == 2 {
            let largest = self.forest.largest();
            let members = (0..self.is_active.len() as u16).filter(|&column| {
                self.is_active[usize::from(column)] && self.forest.root_of(column) == largest
            });
            return members.max_by_key(|&column| degree(column)).expect("the largest component has members");
        }
        let of_row = self.rows.row(shortest.1).iter().copied();
        if shortest.0 < u16::MAX {
            let active = of_row.filter(|&column| self.is_active(column));
            return active.max_by_key(|&column| degree(column)).expect("the row has active columns");
        }
        // No row has an active column left: only the HDPC rows determine the remaining columns.
        let column = self.is_active.iter().position(|&active| active).expect("some are active");
        column as u16
    }

    fn is_active(&self, column: u16) -> bool {
        self.is_active.get(usize::from(column)).copied().unwrap_or(false)
    }

    fn first_active(&self, row: usize) -> u16 {
        let mut columns = self.rows.row(row).iter().copied();
        columns.find(|&column| self.is_active(column)).expect("the row has active columns")
    }
}

/// Disjoint sets of columns with their sizes.
struct Forest {
    parent: Vec<u16>,
    size: Vec<u16>,
}

impl Forest {
    fn new(columns: usize) -> Self {
        Self { parent: (0..columns as u16).collect(), size: vec![1; columns] }
    }

    fn reset(&mut self) {
        self.parent.iter_mut().zip(0..).for_each(|(parent, own)| *parent = own);
        self.size.fill(1);
    }

    fn root_of(&self, mut column: u16) -> u16 {
        while self.parent[usize::from(column)] != column {
            column = self.parent[usize::from(column)];
        }
        column
    }

    fn join(&mut self, a: u16, b: u16) {
        let (mut a, mut b) = (self.root_of(a), self.root_of(b));
        if a == b {
            return;
        }
        if self.size[usize::from(a)] < self.size[usize::from(b)] {
            (a, b) = (b, a);
        }
        self.parent[usize::from(b)] = a;
        self.size[usize::from(a)] += self.size[usize::from(b)];
    }

    /// The root of the largest set.
    fn largest(&self) -> u16 {
        let roots = (0..self.parent.len()).filter(|&column| usize::from(self.parent[column]) == column);
        roots.max_by_key(|&root| self.size[root]).expect("there are columns") as u16
    }
}
