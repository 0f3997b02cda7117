//! Tables for people: each column is as wide as its widest cell, with two spaces between columns. Where a table is wider
//! than the screen, its last column, which has the reasons, goes below the rows.

use glancecast_proto::wire::printable;

use super::width::{width, wrap};

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// The width at which lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// A terminal of so many columns.
    Columns(usize),
    /// A file or a pipe: lines are as long as they are.
    Unbounded,
}

impl Room {
    /// Whether a line of this width fits.
    pub(crate) fn has(self, columns: usize) -> bool {
        match self {
            Self::Columns(room) => columns <= room,
            Self::Unbounded => true,
        }
    }
}

/// The length at which a cell is cut: the widest cell of a column widens all rows.
const CELL_CHARS_MAX: usize = 1000;

/// What is before a reason that has a line of its own.
const INDENT: &str = "    ";

fn shown(cell: &str) -> String {
    match cell.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}..", printable(&cell[..end])),
        None => printable(cell),
    }
}

/// Returns the head and the rows, one per line; an empty text without rows. Cells are made [`printable`], as much of
/// their content is untrusted input. If the last column does not fit, its cells are below their rows.
pub(crate) fn columns<const N: usize>(
    room: Room,
    head: [&str; N],
    sides: [Side; N],
    rows: &[[String; N]],
) -> String {
    let head = head.map(str::to_owned);
    let rows: Vec<[String; N]> = rows.iter().map(|cells| cells.each_ref().map(|cell| shown(cell))).collect();
    let rows: Vec<&[String]> = rows.iter().map(|cells| &cells[..]).collect();
    lines(room, &head, &sides, &rows)
}

/// The same of any number of columns, whose cells are printable.
pub(crate) fn lines(room: Room, head: &[String], sides: &[Side], rows: &[&[String]]) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        return text;
    }
    let widest = |i: usize| rows.iter().map(|cells| width(&cells[i])).chain([width(&head[i])]).max();
    let widths: Vec<usize> = (0..head.len()).map(|i| widest(i).unwrap_or(0)).collect();
    let total = widths.iter().sum::<usize>() + 2 * head.len().saturating_sub(1);
    let last = head.len() - 1;
    // A last column of numbers stays where it is.
    let (beside, below) = match room {
        Room::Columns(columns) if !room.has(total) && last > 0 && sides[last] == Side::Left => {
            (last, Some(columns))
        }
        _ => (head.len(), None),
    };
    let mut push = |cells: &[String]| {
        let mut line = String::new();
        for (i, cell) in cells.iter().take(beside).enumerate() {
            let pad = " ".repeat(widths[i] - width(cell));
            let gap = if i == 0 { "" } else { "  " };
            line += &match sides[i] {
                Side::Right => format!("{gap}{pad}{cell}"),
                Side::Left => format!("{gap}{cell}{pad}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
        if let (Some(columns), false) = (below, cells[last].is_empty() || cells[last] == head[last]) {
            for line in wrap(&cells[last], columns.saturating_sub(INDENT.len()).max(REASON_COLUMNS_MIN)) {
                text.push_str(&format!("{INDENT}{line}\n"));
            }
        }
    };
    push(head);
    rows.iter().for_each(|cells| push(cells));
    text
}

/// Returns a sentence in lines that fit the room, each with its end.
pub(crate) fn fitted(sentence: &str, room: Room) -> String {
    match room {
        Room::Columns(columns) => wrap(sentence, columns).into_iter().map(|line| line + "\n").collect(),
        Room::Unbounded => format!("{sentence}\n"),
    }
}

/// The narrowest lines that reasons are broken into.
const REASON_COLUMNS_MIN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: [&str; 3] = ["HOST", "TIME", "WHY"];
    const SIDES: [Side; 3] = [Side::Left, Side::Right, Side::Left];

    fn rows(rows: &[[&str; 3]]) -> Vec<[String; 3]> {
        rows.iter().map(|row| row.map(str::to_owned)).collect()
    }

    #[test]
    fn columns_line_up_on_the_screen_whatever_the_script() {
        let rows = rows(&[["計算-1", "3.00 s", "ok"], ["Ma\u{0308}rz", "12.50 s", ""], ["a", "-", "x"]]);
        let text = columns(Room::Unbounded, HEAD, SIDES, &rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            ["HOST       TIME  WHY", "計算-1   3.00 s  ok", "Ma\u{0308}rz    12.50 s", "a             -  x"]
        );
    }

    #[test]
    fn reasons_that_do_not_fit_are_below_their_rows() {
        let reason = "never heard: is glancecastd up there, with this group and this key?";
        let rows = rows(&[["compute-1", "3.00 s", ""], ["compute-2", "-", reason]]);
        let text = columns(Room::Columns(40), HEAD, SIDES, &rows);
        assert!(text.lines().all(|line| width(line) <= 40), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "HOST         TIME");
        assert_eq!(lines[3], "    never heard: is glancecastd up");
        assert_eq!(
            columns(Room::Columns(200), HEAD, SIDES, &rows),
            columns(Room::Unbounded, HEAD, SIDES, &rows)
        );
    }

    #[test]
    fn an_empty_table_has_no_head() {
        assert_eq!(columns(Room::Unbounded, HEAD, SIDES, &[]), "");
    }
}
