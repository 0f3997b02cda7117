//! The results as a page of Markdown that is also readable on a terminal.

use std::fmt::Write;

use crate::goal;
use crate::record::{Record, Row, Runs};

/// A column of the table of a row's ways.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// The content for a way.
    pub cell: Cell,
}

/// The content of a column for a way; `-` if there is none.
#[derive(Clone, Copy, Debug)]
pub enum Cell {
    /// The median of a figure, divided by a unit, with a number of decimals.
    Median(&'static str, f64, usize),
    /// A figure of the median run, with a number of decimals.
    Middle(&'static str, usize),
    /// Other text.
    Text(fn(&Row, &Runs) -> Option<String>),
}

impl Column {
    /// Creates a column.
    pub const fn new(title: &'static str, cell: Cell) -> Self {
        Self { title, cell }
    }

    fn shown(&self, row: &Row, runs: &Runs) -> Option<String> {
        match self.cell {
            Cell::Median(figure, unit, digits) => {
                decimals(runs.median(figure).map(|value| value / unit), digits)
            }
            Cell::Middle(figure, digits) => decimals(runs.middle()?.figure(figure), digits),
            Cell::Text(text) => text(row, runs),
        }
    }
}

/// Formats a value with a number of decimals.
pub fn decimals(value: Option<f64>, decimals: usize) -> Option<String> {
    value.map(|value| format!("{value:.decimals$}"))
}

/// Bytes.
pub const MIB: f64 = 1_048_576.0;

/// Returns a table with aligned columns. Headings that begin with `>` are right-aligned.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let titles: Vec<&str> = head.iter().map(|title| title.trim_start_matches('>')).collect();
    let length = |text: &str| text.chars().count();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            rows.iter().map(|row| length(&row[column])).fold(length(titles[column]).max(3), usize::max)
        })
        .collect();
    let mut text = String::new();
    let mut line = |cells: &[&str]| {
        for ((cell, width), title) in cells.iter().zip(&widths).zip(head) {
            let _ = if title.starts_with('>') {
                write!(text, "| {cell:>width$} ")
            } else {
                write!(text, "| {cell:<width$} ")
            };
        }
        text.push_str("|\n");
    };
    line(&titles);
    let rules: Vec<String> = head
        .iter()
        .zip(&widths)
        .map(|(title, width)| "-".repeat(width - 1) + if title.starts_with('>') { ":" } else { "-" })
        .collect();
    line(&rules.iter().map(String::as_str).collect::<Vec<_>>());
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text
}

/// Returns the table of a row's ways.
pub fn ways(row: &Row, columns: &[Column]) -> String {
    let titles: Vec<String> = columns.iter().map(|column| format!(">{}", column.title)).collect();
    let head: Vec<&str> = ["way"].into_iter().chain(titles.iter().map(String::as_str)).collect();
    let cells = |runs: &Runs| {
        let cell = |column: &Column| column.shown(row, runs).unwrap_or_else(|| "-".to_owned());
        [runs.way.clone()].into_iter().chain(columns.iter().map(cell)).collect()
    };
    table(&head, &row.ways.iter().map(cells).collect::<Vec<_>>())
}

/// Returns a page with the goals and, for each row, its table by `section` and its runs.
pub fn page(head: &str, record: &Record, section: impl Fn(&Row) -> String) -> String {
    let mut text = format!("{head}\n");
    if !record.goals.is_empty() {
        let _ = write!(text, "\n{}", goal::table(&record.goals));
    }
    for row in &record.rows {
        let _ = write!(text, "\n## {}\n\n{}.\n\n{}\n{}", row.name, row.work, section(row), details(row));
    }
    text
}

/// Returns the commands and the machine of a row.
fn details(row: &Row) -> String {
    let (machine, medians) = (&row.machine, row.ways.iter().map(|runs| runs.runs.len()).max().unwrap_or(0));
    let mut text = format!(
        "Medians of {medians}. An image of {} bytes, of which the disk holds {}.\n{}, TCP with {}, {}.\n",
        row.image_bytes,
        row.allocated_bytes,
        machine.summary(),
        machine.congestion_control,
        machine.limits.join(", "),
    );
    if let Some(bytes) = row.qcow2_bytes {
        let _ = writeln!(text, "As a qcow2 of `qemu-img convert -c` it has {bytes} bytes.");
    }
    for way in &row.ways {
        let about = if way.about.is_empty() { String::new() } else { format!(": {}", way.about) };
        let _ = writeln!(text, "\n{}{about}\n", way.way);
        way.commands.iter().for_each(|command| text += &format!("    {command}\n"));
        if !way.commands.is_empty() {
            text.push('\n');
        }
        way.runs.iter().for_each(|run| text += &format!("- {}\n", run.summary()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::row;

    #[test]
    fn a_way_has_the_medians_of_its_runs() {
        let columns = [
            Column::new("seconds", Cell::Median("seconds", 1.0, 2)),
            Column::new("failed", Cell::Text(|_, runs| Some(runs.failures().to_string()))),
        ];
        let text =
            ways(&row("8x1g", &[("udpcast", &[Some(4.5), Some(5.0), None]), ("uftp", &[None])]), &columns);
        let lines = ["| udpcast |    4.75 |      1 |", "| uftp    |       - |      1 |"];
        assert_eq!(text.lines().skip(2).collect::<Vec<_>>(), lines, "{text}");
    }

    #[test]
    fn a_page_has_the_reason_of_a_failure() {
        let mut record = Record::default();
        record.put(row("1-unshaped", &[("uftp", &[None])]), &[]);
        let text = page("# Some", &record, |_| "a table\n".to_owned());
        assert!(text.contains("uftp: 1\n\n    uftp --fast\n\n- failed: gone\n"), "{text}");
    }
}
