//! Lists as the `openstack` command prints them with `-f`: JSON, CSV, YAML, and values alone. Each follows the formatter of
//! cliff (the library of that command), so that scripts read both in the same way. docs/json.md describes them.

use std::fmt::Write;

use glancecast_proto::ids::is_unprintable;
use glancecast_proto::wire::printable;
use serde_json::Value;

use super::columns::Room;
use super::grid::{Column, Grid, place};
use super::{Rows, json};

/// The form of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// An array with an object for each row, whose names are the heads of the columns.
    Json,
    /// As Python's csv module writes it: texts in quotes, numbers without.
    Csv,
    /// A list of mappings.
    Yaml,
    /// The values of a row with a space between them.
    Value,
}

/// How a list is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) format: Format,
    /// Heads of the columns that are printed, in this order; all if there are none.
    pub(crate) columns: Vec<String>,
    /// Heads of the columns by which rows are sorted.
    pub(crate) sort: Vec<String>,
    pub(crate) rows: Rows,
}

impl Listing {
    /// Returns whether this is anything but the usual table.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self { rows: self.rows, ..Self::default() }
    }

    /// Returns whether the list is a table for people, which has a summary below it.
    pub(crate) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Returns whether each host has a row.
    pub(crate) fn rows(&self) -> Rows {
        if self.is_plain() { self.rows } else { Rows::All }
    }

    /// Returns the first column that is named and that there is not, with those that there are.
    pub(crate) fn unknown<'a>(&'a self, columns: &[Column]) -> Option<(&'a str, String)> {
        let unknown = self.columns.iter().chain(&self.sort).find(|head| place(columns, head).is_none())?;
        let heads: Vec<&str> = columns.iter().map(|column| column.head).collect();
        Some((unknown, heads.join(", ")))
    }

    /// Returns the list.
    pub(crate) fn text(&self, grid: Grid, room: Room) -> String {
        let grid = grid.sorted_by(&self.sort).only(&self.columns);
        match self.format {
            Format::Table => grid.table(room),
            Format::Json => to_json(&grid),
            Format::Csv => to_csv(&grid),
            Format::Yaml => to_yaml(&grid),
            Format::Value => to_values(&grid),
        }
    }
}

/// Returns an array with an object for each row, a row a line.
fn to_json(grid: &Grid) -> String {
    let object = |row: &Vec<super::grid::Cell>| {
        // A map of serde_json sorts its names; the order of the columns is kept by hand.
        let fields: Vec<String> = grid
            .columns
            .iter()
            .zip(row)
            .map(|(column, cell)| {
                format!("{}: {}", json::to_string(&column.head), json::to_string(&cell.value))
            })
            .collect();
        format!("  {{{}}}", fields.join(", "))
    };
    let rows: Vec<String> = grid.rows.iter().map(object).collect();
    if rows.is_empty() { "[]\n".to_owned() } else { format!("[\n{}\n]\n", rows.join(",\n")) }
}

/// Returns lines as Python's csv module writes them with `QUOTE_NONNUMERIC`, the default of cliff: everything but numbers is
/// in quotes, quotes and backslashes are doubled, no value is an empty text.
fn to_csv(grid: &Grid) -> String {
    let quoted = |text: &str| format!("\"{}\"", printable(text).replace('\\', r"\\").replace('"', "\"\""));
    let heads: Vec<String> = grid.columns.iter().map(|column| quoted(column.head)).collect();
    let mut text = heads.join(",") + "\n";
    for row in &grid.rows {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| match &cell.value {
                Value::Number(number) => number.to_string(),
                Value::Null => "\"\"".to_owned(),
                value => quoted(&plain(value)),
            })
            .collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

/// Returns a list of mappings that YAML 1.1 and 1.2 read alike.
fn to_yaml(grid: &Grid) -> String {
    if grid.rows.is_empty() {
        return "[]\n".to_owned();
    }
    let mut text = String::new();
    for row in &grid.rows {
        for (i, (column, cell)) in grid.columns.iter().zip(row).enumerate() {
            let start = if i == 0 { "-" } else { " " };
            let _ = writeln!(text, "{start} {}: {}", yaml(&Value::from(column.head)), yaml(&cell.value));
        }
    }
    text
}

/// Returns a value in YAML. A text without quotes is one that no reader takes for anything else.
fn yaml(value: &Value) -> String {
    let text = match value {
        Value::Null => return "null".to_owned(),
        Value::Number(number) => return number.to_string(),
        Value::Bool(value) => return value.to_string(),
        value => plain(value),
    };
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    // Words that YAML 1.1 takes for truth or nothing, and y and n, which some readers do.
    let is_special = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|special| text.eq_ignore_ascii_case(special));
    if is_word && !is_special {
        return text;
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_unprintable(c) => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Returns the values of each row with a space between them. No value is `None`, as the `openstack` command writes it.
fn to_values(grid: &Grid) -> String {
    let line = |row: &Vec<super::grid::Cell>| {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| match &cell.value {
                Value::Null => "None".to_owned(),
                value => printable(&plain(value)),
            })
            .collect();
        cells.join(" ") + "\n"
    };
    grid.rows.iter().map(line).collect()
}

/// Returns a value without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => json::to_string(value),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::super::grid::{Cell, numbers, words};
    use super::*;
    use serde_json::Map;

    /// Names and reasons that are hard for a reader, with numbers and missing values.
    const TEXTS: [&str; 18] = [
        "compute-1",
        "no",
        "Null",
        "1e3",
        "0x10",
        "12:30:45",
        "2026-11-30",
        "a: b # c",
        "- x",
        "it said \"no\", twice",
        "back\\slash",
        "日本語 😀",
        "März's",
        " leading and trailing ",
        "{a: [1]}",
        "~",
        "%x @y `z |p >q &r *s !t",
        "yes,no;maybe",
    ];

    fn grid() -> Grid {
        let row = |(i, text): (usize, &&str)| {
            let free = if i % 3 == 0 {
                Cell::none()
            } else {
                Cell::number(i as u64 * 1_000_000_007, format!("{i} GiB"))
            };
            vec![Cell::text(*text), free, Cell::number(i as f64 / 4.0, format!("{i} s"))]
        };
        Grid {
            columns: vec![words("HOST"), numbers("FREE"), numbers("TIME")],
            rows: TEXTS.iter().enumerate().map(row).collect(),
        }
    }

    fn text(format: Format) -> String {
        Listing { format, ..Listing::default() }.text(grid(), Room::Unbounded)
    }

    /// Returns what a Python script prints for this input; `None` without Python or a module.
    fn python(script: &str, input: &str) -> Option<Vec<u8>> {
        use std::io::Write as _;
        let mut python = Command::new("python3")
            .args(["-c", script])
            .env("PYTHONIOENCODING", "utf-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        python.stdin.take()?.write_all(input.as_bytes()).ok()?;
        let output = python.wait_with_output().ok()?;
        output.status.success().then_some(output.stdout)
    }

    fn values() -> Vec<Vec<Value>> {
        grid().rows.iter().map(|row| row.iter().map(|cell| cell.value.clone()).collect()).collect()
    }

    #[test]
    fn python_reads_back_the_yaml_that_was_meant() {
        let script = "import sys, json, yaml\n\
                      rows = yaml.safe_load(sys.stdin.buffer.read().decode())\n\
                      print(json.dumps([list(row.values()) for row in rows]))";
        let Some(read) = python(script, &text(Format::Yaml)) else {
            return eprintln!("skipped: python3 with PyYAML is not there");
        };
        let rows: Vec<Vec<Value>> = serde_json::from_slice(&read).expect("the script prints JSON");
        assert_eq!(rows, values(), "{}", text(Format::Yaml));
    }

    #[test]
    fn csv_is_what_python_writes_for_the_openstack_command() {
        let script = "import sys, csv, json\n\
                      rows = json.load(sys.stdin)\n\
                      writer = csv.writer(sys.stdout, quoting=csv.QUOTE_NONNUMERIC, lineterminator='\\n', escapechar='\\\\')\n\
                      writer.writerow(['HOST', 'FREE', 'TIME'])\n\
                      writer.writerows(rows)";
        let Some(written) = python(script, &serde_json::to_string(&values()).expect("JSON")) else {
            return eprintln!("skipped: python3 is not there");
        };
        assert_eq!(String::from_utf8(written).expect("UTF-8"), text(Format::Csv));
    }

    #[test]
    fn json_has_an_object_a_row_and_keeps_the_order_of_the_columns() {
        let json = text(Format::Json);
        let rows: Vec<Map<String, Value>> = serde_json::from_str(&json).expect("it is JSON");
        assert_eq!(rows.len(), TEXTS.len());
        for (row, meant) in rows.iter().zip(values()) {
            assert_eq!([&row["HOST"], &row["FREE"], &row["TIME"]], [&meant[0], &meant[1], &meant[2]]);
        }
        assert!(
            json.lines()
                .nth(2)
                .is_some_and(|line| line.starts_with("  {\"HOST\": \"no\", \"FREE\": 1000000007, "))
        );
    }

    #[test]
    fn values_stand_alone_with_a_space_between() {
        let listing = Listing {
            format: Format::Value,
            columns: vec!["free".into(), "host".into()],
            ..Listing::default()
        };
        let text = listing.text(grid(), Room::Unbounded);
        assert!(text.starts_with("None compute-1\n1000000007 no\n"), "{text}");
    }

    #[test]
    fn an_empty_list_is_an_empty_list_in_every_form() {
        let empty = Grid { rows: Vec::new(), ..grid() };
        let text = |format| Listing { format, ..Listing::default() }.text(empty.clone(), Room::Unbounded);
        assert_eq!(text(Format::Json), "[]\n");
        assert_eq!(text(Format::Yaml), "[]\n");
        assert_eq!(text(Format::Csv), "\"HOST\",\"FREE\",\"TIME\"\n");
        assert_eq!((text(Format::Value), text(Format::Table)), (String::new(), String::new()));
    }

    #[test]
    fn no_form_lets_a_name_steer_the_terminal() {
        let evil =
            Grid { rows: vec![vec![Cell::text("a\u{1b}[2J\nb"), Cell::none(), Cell::none()]], ..grid() };
        for format in [Format::Table, Format::Json, Format::Csv, Format::Yaml, Format::Value] {
            let text = Listing { format, ..Listing::default() }.text(evil.clone(), Room::Unbounded);
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }

    #[test]
    fn a_column_that_is_not_there_is_named_with_those_that_are() {
        let listing = Listing { columns: vec!["host".into(), "size".into()], ..Listing::default() };
        let unknown = listing.unknown(&grid().columns).expect("there is no size");
        assert_eq!(unknown, ("size", "HOST, FREE, TIME".to_owned()));
    }
}
