//! The table of a query, for people: a row for each host or copy, or above [`ROWS_MAX`] hosts what they have in common.

use std::fmt::Write;

use glancecast_proto::query::{HostAnswer, Standing};
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{About, Finding, Held, Kept, Query, printable};
use indicatif::BinaryBytes;

use super::columns::Room;
use super::crowd::ROWS_MAX;
use super::formats::Listing;
use super::grid::{Cell, Column, Grid, numbers, words};
use super::query_report::rfc3339;
use super::{Rows, bare_row, dash, outages, query_crowd, seconds, skipped_rows};
use crate::request::{CopyVerdict, QueryResult};

/// Returns a row for each host, or for each copy if an image is sought, or what they have in common.
pub(crate) fn list(result: &QueryResult, listing: &Listing, room: Room) -> String {
    let hosts = result.answers.rows.len() + result.plan.left_out.all().count();
    match listing.rows() {
        Rows::IfFew if hosts > ROWS_MAX => query_crowd::text(result, room),
        Rows::IfFew | Rows::All => listing.text(all_rows(result), room),
    }
}

/// Returns how many hosts answered, what they hold, and what is not as it should be.
pub(crate) fn below(result: &QueryResult) -> String {
    let mut text = summary(result);
    text.push_str(&outages(&result.answers.outages));
    if let Some(reason) = &result.reason {
        let _ = writeln!(text, "incomplete: {}", printable(reason));
    }
    text
}

fn all_rows(result: &QueryResult) -> Grid {
    let query = &result.plan.config.query;
    let columns = match query {
        Query::Unpin(_) => UNPINNED,
        query if query.sought().is_none() => HOSTS,
        _ => COPIES,
    };
    let mut rows = if query.sought().is_none() {
        result.answers.rows.iter().map(|row| host(row, result)).collect()
    } else {
        copies(result)
    };
    let has_row = |name: &str| result.answers.rows.iter().any(|row| row.name.as_str() == name);
    rows.extend(skipped_rows(columns.len(), &result.plan.left_out, has_row));
    Grid { columns: columns.to_vec(), rows }
}

/// The columns of a list of hosts.
pub(crate) const HOSTS: [Column; 8] = [
    words("HOST"),
    words("STATE"),
    words("VERSION"),
    words("STORE"),
    numbers("FREE"),
    numbers("HELD"),
    numbers("PINNED"),
    words("WHY"),
];

/// The columns of a list of copies.
pub(crate) const COPIES: [Column; 8] = copies_with("PINNED");
/// The same after pins were ended.
pub(crate) const UNPINNED: [Column; 8] = copies_with("WAS PINNED");

const fn copies_with(pinned: &'static str) -> [Column; 8] {
    [
        words("HOST"),
        words("STATE"),
        words("IMAGE"),
        numbers("SIZE"),
        words("PROVEN"),
        words(pinned),
        words("BLAKE3"),
        words("WHY"),
    ]
}

fn host(row: &HostAnswer, result: &QueryResult) -> Vec<Cell> {
    let about = row.about.as_ref();
    let cell = |show: &dyn Fn(&About) -> Cell| about.map_or_else(Cell::none, show);
    let bytes = |bytes: u64| Cell::number(bytes, BinaryBytes(bytes).to_string());
    vec![
        Cell::text(row.name.as_str()),
        Cell::text(standing(row.standing)),
        cell(&|about| Cell::text(about.software.trim_start_matches("glancecastd "))),
        cell(&|about| Cell::text(about.store.as_str())),
        cell(&|about| about.free_bytes.map_or_else(Cell::none, bytes)),
        cell(&|about| Cell::number(about.held, about.held.to_string())),
        cell(&|about| Cell::number(about.pinned, about.pinned.to_string())),
        Cell::text(why(row, None, result, true)),
    ]
}

fn copies(result: &QueryResult) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for row in &result.answers.rows {
        rows.extend(row.objects.iter().map(|held| copy(row, held, result)));
        if row.objects.is_empty() {
            let state = match row.standing {
                Standing::Answered => CopyVerdict::Missing.name().to_owned(),
                _ => standing(row.standing).to_owned(),
            };
            rows.push(bare_row(COPIES.len(), row.name.as_str(), &state, &why(row, None, result, true)));
        }
    }
    rows
}

fn copy(row: &HostAnswer, held: &Held, result: &QueryResult) -> Vec<Cell> {
    let (kept_then, root) = match &held.finding {
        Finding::LetGo(was) => (*was, held.root),
        Finding::Differs(found) | Finding::SetAside(found) => (held.kept, *found),
        Finding::Listed
        | Finding::Pending
        | Finding::Intact
        | Finding::Failed(_)
        | Finding::Removed
        | Finding::InUse(_)
        | Finding::PinSet(_)
        | Finding::Pinned => (held.kept, held.root),
    };
    let proven = Cell {
        shown: time(held.proven),
        value: rfc3339(held.proven).map_or(serde_json::Value::Null, serde_json::Value::from),
    };
    let root = root.to_string();
    vec![
        Cell::text(row.name.as_str()),
        Cell::text(CopyVerdict::of(held).name().replace('_', " ")),
        Cell::text(held.name.as_str()),
        Cell::number(held.bytes, BinaryBytes(held.bytes).to_string()),
        proven,
        Cell::text(kept(kept_then)),
        Cell { shown: root[..ROOT_DIGITS].to_owned(), value: root.into() },
        Cell::text(why(row, Some(held), result, true)),
    ]
}

/// Returns why a host or a copy is in its state. The hint is the host's own, and not of others with the same reason.
pub(super) fn why(row: &HostAnswer, held: Option<&Held>, result: &QueryResult, with_hint: bool) -> String {
    let finding = match held.map(|held| &held.finding) {
        Some(Finding::Failed(reason)) => Some(reason.clone()),
        Some(Finding::Differs(_)) => held.map(|held| {
            format!(
                "it was {}; set it aside with verify --quarantine, and push it again",
                &held.root.to_string()[..ROOT_DIGITS]
            )
        }),
        Some(Finding::InUse(by)) => Some(format!("in use by {by}")),
        Some(Finding::PinSet(was)) if was.is_pinned() => {
            Some(format!("until now it was pinned {}", kept(*was)))
        }
        Some(Finding::Pinned) => Some("unpin it, or give --even-pinned".to_owned()),
        Some(Finding::SetAside(_)) => Some("push it again: what is damaged is sent".to_owned()),
        _ => None,
    };
    let standing = match row.standing {
        Standing::Busy => Some("it has too many queries to answer; ask again later".to_owned()),
        Standing::Partial => Some("a part of its answer did not come".to_owned()),
        _ => None,
    };
    let nova = result.plan.left_out.unused.get(row.name.as_str()).cloned();
    let left_out = (row.left_out > 0).then(|| format!("{} more objects are not shown", row.left_out));
    let hint = result.hints.get(&row.name).filter(|_| with_hint).map(|hint| hint.text.clone());
    let all = [row.reason.clone(), finding, standing, nova, left_out, hint];
    all.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Returns how far an answer came, in the words of the table.
pub(super) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Answered => "answered",
        Standing::Verifying => "verifying",
        Standing::AwaitingKey => "awaiting key",
        Standing::Busy => "busy",
        Standing::Failed => "failed",
        Standing::Partial => "partial",
        Standing::NeverAnswered => "never answered",
        Standing::OtherVersion => "other version",
        Standing::KeyChanged => "key changed",
        Standing::UnknownKey => "unknown key",
        Standing::Twice => "answered twice",
    }
}

/// Returns what a copy is, in words: without its time, which differs from host to host.
pub(super) fn copy_in_words(held: &Held) -> String {
    let root = match &held.finding {
        Finding::Differs(found) => found,
        _ => &held.root,
    };
    let pinned = match held.kept {
        Kept::ByRule => "",
        Kept::Until(_) => ", pinned for a time",
        Kept::Forever => ", pinned forever",
    };
    let root = &root.to_string()[..ROOT_DIGITS];
    format!("{}, {}, blake3 {root}{pinned}", held.name, BinaryBytes(held.bytes))
}

fn summary(result: &QueryResult) -> String {
    let rows = &result.answers.rows;
    let heard = rows.iter().filter(|row| row.about.is_some()).count();
    let time = seconds(result.answers.time);
    let hosts = if rows.len() == 1 { "host" } else { "hosts" };
    let mut text = format!("{heard} of {} {hosts} answered in {time:.2} s", rows.len());
    let verdicts = || rows.iter().flat_map(|row| &row.objects).map(CopyVerdict::of);
    let count = |wanted: CopyVerdict| verdicts().filter(|&verdict| verdict == wanted).count();
    let holding = rows.iter().filter(|row| !row.objects.is_empty()).count();
    let _ = match &result.plan.config.query {
        Query::Hosts | Query::Diagnose { .. } | Query::Rekey | Query::Retire => Ok(()),
        Query::Status(sought) => match holding {
            1 => write!(text, "; 1 holds {sought}"),
            holding => write!(text, "; {holding} hold {sought}"),
        },
        Query::Verify(sought) => match count(CopyVerdict::Intact) {
            1 => write!(text, "; of {sought}, 1 copy is intact"),
            intact => write!(text, "; of {sought}, {intact} copies are intact"),
        },
        Query::Unpin(sought) => match count(CopyVerdict::LetGo) {
            1 => write!(text, "; 1 lets go of {sought}"),
            count => write!(text, "; {count} let go of {sought}"),
        },
        Query::Pin(sought, _) => match count(CopyVerdict::PinSet) {
            1 => write!(text, "; 1 keeps {sought} as asked"),
            count => write!(text, "; {count} keep {sought} as asked"),
        },
        Query::Remove(sought) | Query::RemovePinned(sought) => {
            write!(text, "; {} removed {sought}", count(CopyVerdict::Removed))
        }
        Query::SetAside(sought) => write!(
            text,
            "; of {sought}, {} intact, {} set aside",
            count(CopyVerdict::Intact),
            count(CopyVerdict::SetAside)
        ),
    };
    text.push('\n');
    text
}

/// Returns a time in UTC, to the second: 2026-11-24 20:15:00.
fn time(at: WallClock) -> String {
    instant(at).map_or_else(dash, |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}

fn kept(kept: Kept) -> String {
    match kept {
        Kept::ByRule => "no".to_owned(),
        Kept::Until(until) => format!("until {}", time(until)),
        Kept::Forever => "forever".to_owned(),
    }
}

/// Returns a time as date and time of day; `None` beyond the year 262 000.
pub(crate) fn instant(at: WallClock) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp_millis(i64::try_from(at.0).ok()?)
}

/// Enough digits to distinguish copies; the JSON report has all of them.
const ROOT_DIGITS: usize = 16;
