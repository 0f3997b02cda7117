//! What the standard streams are: terminals of a width, or files and pipes.

use std::io::{self, IsTerminal};

use terminal_size::terminal_size_of;

use super::columns::Room;

/// Whether text may have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Allowed,
    Off,
}

impl Colour {
    /// Returns whether a terminal may show colours: unless `NO_COLOR` is set and not empty (no-color.org), or the terminal
    /// has none.
    pub(crate) fn of_environment() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if is_set("NO_COLOR") || is_dumb { Self::Off } else { Self::Allowed }
    }
}

/// Returns the room of standard output.
pub(crate) fn output_room() -> Room {
    if !io::stdout().is_terminal() {
        return Room::Unbounded;
    }
    Room::Columns(terminal_size_of(io::stdout()).map_or(COLUMNS, |(columns, _)| usable(columns.0)))
}

/// Whether standard error is a terminal that can draw a line again.
pub(crate) fn can_redraw_errors() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether standard output is a terminal.
pub(crate) fn is_output_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Returns the columns of the terminal on standard error.
pub(crate) fn error_columns() -> usize {
    terminal_size_of(io::stderr()).map_or(COLUMNS, |(columns, _)| usable(columns.0))
}

/// A terminal that does not know its size reports none.
fn usable(columns: u16) -> usize {
    if columns == 0 { COLUMNS } else { usize::from(columns) }
}

/// The width of a terminal that does not say.
const COLUMNS: usize = 80;
