//! The table of `glancecast status` without an image: what lies on the hosts, one row for each content of each name.

use std::collections::BTreeMap;
use std::fmt::Write;

use glancecast_proto::ids::HostName;
use glancecast_proto::query::HostAnswer;
use glancecast_proto::ranges::fold;
use glancecast_proto::wire::{Held, printable};
use indicatif::BinaryBytes;

use super::grid::{Cell, Column, Grid, numbers, words};
use crate::request::QueryResult;

/// The columns of the list.
pub(crate) const COLUMNS: [Column; 6] =
    [words("IMAGE"), numbers("SIZE"), words("BLAKE3"), numbers("HOSTS"), numbers("PINNED"), words("WHERE")];

/// Returns a row for each content of each name.
pub(crate) fn grid(result: &QueryResult) -> Grid {
    grid_of(&result.answers.rows)
}

/// Returns how many hosts answered, and what is not as it should be.
pub(crate) fn below(result: &QueryResult) -> String {
    let mut text = below_rows(&result.answers.rows);
    if let Some(reason) = &result.reason {
        let _ = writeln!(text, "incomplete: {}", printable(reason));
    }
    text
}

fn grid_of(rows: &[HostAnswer]) -> Grid {
    let copies = copies(rows);
    Grid {
        columns: COLUMNS.to_vec(),
        rows: copies.0.iter().map(|((name, root), copy)| copy.cells(name, root)).collect(),
    }
}

fn copies(rows: &[HostAnswer]) -> Copies<'_> {
    rows.iter().flat_map(|row| row.objects.iter().map(|held| (&row.name, held))).collect()
}

fn below_rows(rows: &[HostAnswer]) -> String {
    let (mut text, copies) = (String::new(), copies(rows));
    let answered = rows.iter().filter(|row| row.about.is_some());
    let (count, names) = (answered.clone().count(), answered.map(|row| &row.name));
    let empty = fold(names.filter(|name| !copies.0.values().any(|copy| copy.hosts.contains(name))));
    let _ = writeln!(text, "{} on {count} hosts that answered", counted(copies.0.len()));
    if !empty.is_empty() {
        let _ = writeln!(text, "none on {empty}");
    }
    let left_out: u64 = rows.iter().map(|row| u64::from(row.left_out)).sum();
    if left_out > 0 {
        let _ = writeln!(text, "{left_out} more copies are not shown: ask fewer hosts");
    }
    text
}

fn counted(images: usize) -> String {
    if images == 1 { "1 image".to_owned() } else { format!("{images} images") }
}

/// The copies of each content under each name.
struct Copies<'a>(BTreeMap<(String, String), Copy<'a>>);

struct Copy<'a> {
    bytes: u64,
    pinned: usize,
    hosts: Vec<&'a HostName>,
}

impl<'a> FromIterator<(&'a HostName, &'a Held)> for Copies<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a HostName, &'a Held)>>(all: I) -> Self {
        let mut copies = BTreeMap::new();
        for (host, held) in all {
            let key = (held.name.to_string(), held.root.to_string());
            let new = || Copy { bytes: held.bytes, pinned: 0, hosts: Vec::new() };
            let copy: &mut Copy<'_> = copies.entry(key).or_insert_with(new);
            copy.pinned += usize::from(held.kept.is_pinned());
            copy.hosts.push(host);
        }
        Self(copies)
    }
}

impl Copy<'_> {
    fn cells(&self, name: &str, root: &str) -> Vec<Cell> {
        let short = &root[..root.floor_char_boundary(ROOT_CHARS)];
        vec![
            Cell::text(name),
            Cell::number(self.bytes, BinaryBytes(self.bytes).to_string()),
            Cell { shown: short.to_owned(), value: root.into() },
            Cell::number(self.hosts.len(), self.hosts.len().to_string()),
            Cell::number(self.pinned, self.pinned.to_string()),
            Cell::text(fold(self.hosts.iter().copied())),
        ]
    }
}

/// Characters of a hash that tell contents apart.
const ROOT_CHARS: usize = 12;

#[cfg(test)]
mod tests {
    use glancecast_proto::integrity::Root;
    use glancecast_proto::query::Standing;
    use glancecast_proto::time::WallClock;
    use glancecast_proto::wire::{Finding, Kept};

    use super::*;

    #[test]
    fn a_row_is_a_content_with_the_hosts_that_hold_it_folded() {
        let rows = [
            row("c1", &[("debian", 1, Kept::ByRule), ("ubuntu", 2, Kept::Forever)]),
            row("c2", &[("debian", 1, Kept::Forever)]),
            row("c3", &[("debian", 9, Kept::ByRule)]),
        ];
        let text = grid_of(&rows).table(super::super::columns::Room::Unbounded) + "\n" + &below_rows(&rows);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["IMAGE", "SIZE", "BLAKE3", "HOSTS", "PINNED", "WHERE"]);
        assert_eq!((lines[1][0], &lines[1][4..]), ("debian", &["2", "1", "c[1-2]"][..]), "{text}");
        assert_eq!((lines[2][0], &lines[2][4..]), ("debian", &["1", "0", "c3"][..]), "{text}");
        assert_eq!((lines[3][0], &lines[3][4..]), ("ubuntu", &["1", "1", "c1"][..]), "{text}");
        assert!(text.ends_with("\n3 images on 0 hosts that answered\n"), "{text}");
    }

    fn row(name: &str, held: &[(&str, u8, Kept)]) -> HostAnswer {
        let object = |(name, root, kept): &(&str, u8, Kept)| Held {
            name: glancecast_proto::ids::ObjectName::new(name).expect("a name"),
            image_id: None,
            bytes: 1 << 20,
            root: Root([*root; Root::BYTES]),
            proven: WallClock(0),
            kept: *kept,
            finding: Finding::Listed,
        };
        HostAnswer {
            name: HostName::new(name).expect("a name"),
            expected: true,
            standing: Standing::Answered,
            key: None,
            addr: None,
            about: None,
            objects: held.iter().map(object).collect(),
            counters: Vec::new(),
            left_out: 0,
            reason: None,
        }
    }
}
