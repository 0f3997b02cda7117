//! A list of hosts, copies or images before it has a form: columns with heads, and cells that people and programs read.

use glancecast_proto::wire::printable;
use serde_json::Value;

use super::columns::{Room, Side, lines};
use super::dash;
use crate::request::natural::natural;

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its head, by which options name it.
    pub(crate) head: &'static str,
    /// How it is aligned.
    pub(crate) side: Side,
}

/// Returns a column of words.
pub(crate) const fn words(head: &'static str) -> Column {
    Column { head, side: Side::Left }
}

/// Returns a column of numbers.
pub(crate) const fn numbers(head: &'static str) -> Column {
    Column { head, side: Side::Right }
}

/// A value, for people and for programs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    /// What people read.
    pub(crate) shown: String,
    /// What programs read: lengths in bytes, times in seconds.
    pub(crate) value: Value,
}

impl Cell {
    /// Returns a text. An empty one is no value to programs.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { value: if text.is_empty() { Value::Null } else { Value::from(text.clone()) }, shown: text }
    }

    /// Returns a number, and how people read it.
    pub(crate) fn number(value: impl Into<Value>, shown: impl Into<String>) -> Self {
        Self { shown: shown.into(), value: value.into() }
    }

    /// Returns the cell of an unknown value.
    pub(crate) fn none() -> Self {
        Self { shown: dash(), value: Value::Null }
    }
}

/// Rows of cells below columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grid {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Grid {
    /// Returns the rows in the order of these columns, the first one first. Columns that there are not are passed over.
    pub(crate) fn sorted_by(mut self, heads: &[String]) -> Self {
        let keys: Vec<usize> = heads.iter().filter_map(|head| place(&self.columns, head)).collect();
        self.rows.sort_by(|a, b| {
            let orders = keys.iter().map(|&i| order(&a[i].value, &b[i].value));
            orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        });
        self
    }

    /// Returns these columns alone, in this order; all of them if none is named.
    pub(crate) fn only(self, heads: &[String]) -> Self {
        if heads.is_empty() {
            return self;
        }
        let places: Vec<usize> = heads.iter().filter_map(|head| place(&self.columns, head)).collect();
        let pick = |row: &Vec<Cell>| places.iter().map(|&i| row[i].clone()).collect();
        Self {
            columns: places.iter().map(|&i| self.columns[i]).collect(),
            rows: self.rows.iter().map(pick).collect(),
        }
    }

    /// Returns the table for people; an empty text without rows.
    pub(crate) fn table(&self, room: Room) -> String {
        let heads: Vec<String> = self.columns.iter().map(|column| column.head.to_owned()).collect();
        let sides: Vec<Side> = self.columns.iter().map(|column| column.side).collect();
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|cell| shown(&cell.shown)).collect()).collect();
        lines(room, &heads, &sides, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// Returns where a column is. Options name it in any case.
pub(crate) fn place(columns: &[Column], head: &str) -> Option<usize> {
    columns.iter().position(|column| column.head.eq_ignore_ascii_case(head))
}

/// Compares values: names as people do, no value last.
fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::Null => 2,
        _ => 1,
    };
    match (a, b) {
        (Value::String(a), Value::String(b)) => natural(a, b),
        (Value::Number(a), Value::Number(b)) => {
            let number = |value: &serde_json::Number| value.as_f64().unwrap_or(f64::MAX);
            number(a).total_cmp(&number(b))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

/// Returns a cell for people. It is cut where it would make every row wider than any screen.
fn shown(cell: &str) -> String {
    match cell.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}..", printable(&cell[..end])),
        None => printable(cell),
    }
}

/// The length at which a cell is cut: the widest cell of a column widens all rows.
const CELL_CHARS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let row = |name: &str, free: Option<u64>| {
            let free = free.map_or_else(Cell::none, |free| Cell::number(free, format!("{free} B")));
            vec![Cell::text(name), free]
        };
        Grid {
            columns: vec![words("HOST"), numbers("FREE")],
            rows: vec![row("c10", Some(7)), row("c2", None), row("c1", Some(30))],
        }
    }

    fn names(grid: &Grid) -> Vec<&str> {
        grid.rows.iter().map(|row| row[0].shown.as_str()).collect()
    }

    #[test]
    fn rows_are_sorted_as_people_sort_them() {
        assert_eq!(names(&grid().sorted_by(&["host".to_owned()])), ["c1", "c2", "c10"]);
        assert_eq!(names(&grid().sorted_by(&["FREE".to_owned()])), ["c10", "c1", "c2"]);
        assert_eq!(names(&grid().sorted_by(&["nothing".to_owned()])), ["c10", "c2", "c1"]);
    }

    #[test]
    fn columns_come_in_the_order_in_which_they_are_named() {
        let picked = grid().only(&["free".to_owned(), "HOST".to_owned()]);
        assert_eq!(picked.table(Room::Unbounded), "FREE  HOST\n 7 B  c10\n   -  c2\n30 B  c1\n");
        assert_eq!(grid().only(&[]), grid());
    }
}
