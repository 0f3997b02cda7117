//! Tables for people: each column is as wide as its longest cell, with two spaces between columns.

use glancecast_proto::wire::printable;

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// The length at which a cell is cut: the widest cell of a column widens all rows.
const CELL_CHARS_MAX: usize = 1000;

fn shown(cell: &str) -> String {
    match cell.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}..", printable(&cell[..end])),
        None => printable(cell),
    }
}

/// Returns the head and the rows, one per line; an empty text without rows. Cells are made [`printable`], as much of
/// their content is untrusted input.
pub(crate) fn columns<const N: usize>(head: [&str; N], sides: [Side; N], rows: &[[String; N]]) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        return text;
    }
    let head = head.map(str::to_owned);
    let rows: Vec<[String; N]> = rows.iter().map(|cells| cells.each_ref().map(|cell| shown(cell))).collect();
    let lines = || std::iter::once(&head).chain(&rows);
    let widths: [usize; N] =
        std::array::from_fn(|i| lines().map(|line| line[i].chars().count()).max().unwrap_or(0));
    for cells in lines() {
        let mut line = String::new();
        for (i, cell) in cells.iter().enumerate() {
            let pad = " ".repeat(widths[i] - cell.chars().count());
            let gap = if i == 0 { "" } else { "  " };
            line += &match sides[i] {
                Side::Right => format!("{gap}{pad}{cell}"),
                Side::Left => format!("{gap}{cell}{pad}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
