//! The table of a query, for people.

use std::fmt::Write;

use glancecast_proto::query::{HostAnswer, Standing};
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{About, Finding, Held, Kept, Query, printable};
use indicatif::BinaryBytes;

use super::columns::{Side, columns};
use super::{bare_row, dash, outages, seconds, skipped_rows};
use crate::request::{CopyVerdict, QueryResult};

/// Returns a row for each host, or for each copy if an image is sought, and a summary.
pub(crate) fn table(result: &QueryResult) -> String {
    let mut rows = match result.plan.config.query {
        Query::Hosts | Query::Diagnose { .. } | Query::Rekey | Query::Retire => hosts(result),
        Query::Status(_)
        | Query::Verify(_)
        | Query::Unpin(_)
        | Query::Remove(_)
        | Query::RemovePinned(_)
        | Query::SetAside(_) => copies(result),
    };
    let has_row = |name: &str| result.answers.rows.iter().any(|row| row.name.as_str() == name);
    rows.extend(skipped_rows(&result.plan.left_out, has_row));
    let (head, sides) = head(&result.plan.config.query);
    let mut text = columns(head, sides, &rows);
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&summary(result));
    text.push_str(&outages(&result.answers.outages));
    if let Some(reason) = &result.reason {
        let _ = writeln!(text, "incomplete: {}", printable(reason));
    }
    text
}

fn head(query: &Query) -> ([&'static str; 8], [Side; 8]) {
    use Side::{Left, Right};
    let copies = |pinned| {
        let head = ["HOST", "STATE", "IMAGE", "SIZE", "PROVEN", pinned, "BLAKE3", "WHY"];
        (head, [Left, Left, Left, Right, Left, Left, Left, Left])
    };
    match query {
        Query::Hosts | Query::Diagnose { .. } | Query::Rekey | Query::Retire => (
            ["HOST", "STATE", "VERSION", "STORE", "FREE", "HELD", "PINNED", "WHY"],
            [Left, Left, Left, Left, Right, Right, Right, Left],
        ),
        Query::Status(_)
        | Query::Verify(_)
        | Query::Remove(_)
        | Query::RemovePinned(_)
        | Query::SetAside(_) => copies("PINNED"),
        Query::Unpin(_) => copies("WAS PINNED"),
    }
}

fn hosts(result: &QueryResult) -> Vec<[String; 8]> {
    result.answers.rows.iter().map(|row| host(row, result)).collect()
}

fn host(row: &HostAnswer, result: &QueryResult) -> [String; 8] {
    let about = row.about.as_ref();
    let cell = |show: &dyn Fn(&About) -> String| about.map_or_else(dash, show);
    [
        row.name.to_string(),
        standing(row),
        cell(&|about| about.software.trim_start_matches("glancecastd ").to_owned()),
        cell(&|about| about.store.clone()),
        cell(&|about| about.free_bytes.map_or_else(dash, |bytes| BinaryBytes(bytes).to_string())),
        cell(&|about| about.held.to_string()),
        cell(&|about| about.pinned.to_string()),
        why(row, None, result),
    ]
}

fn copies(result: &QueryResult) -> Vec<[String; 8]> {
    let mut rows: Vec<[String; 8]> = Vec::new();
    for row in &result.answers.rows {
        rows.extend(row.objects.iter().map(|held| copy(row, held, result)));
        if row.objects.is_empty() {
            let state = match row.standing {
                Standing::Answered => CopyVerdict::Missing.name().to_owned(),
                _ => standing(row),
            };
            rows.push(bare_row(row.name.as_str(), &state, &why(row, None, result)));
        }
    }
    rows
}

fn copy(row: &HostAnswer, held: &Held, result: &QueryResult) -> [String; 8] {
    let (kept_then, root) = match &held.finding {
        Finding::LetGo(was) => (*was, held.root),
        Finding::Differs(found) | Finding::SetAside(found) => (held.kept, *found),
        Finding::Listed
        | Finding::Pending
        | Finding::Intact
        | Finding::Failed(_)
        | Finding::Removed
        | Finding::InUse(_)
        | Finding::Pinned => (held.kept, held.root),
    };
    [
        row.name.to_string(),
        CopyVerdict::of(held).name().replace('_', " "),
        held.name.to_string(),
        BinaryBytes(held.bytes).to_string(),
        time(held.proven),
        kept(kept_then),
        root.to_string()[..ROOT_DIGITS].to_owned(),
        why(row, Some(held), result),
    ]
}

fn why(row: &HostAnswer, held: Option<&Held>, result: &QueryResult) -> String {
    let finding = match held.map(|held| &held.finding) {
        Some(Finding::Failed(reason)) => Some(reason.clone()),
        Some(Finding::Differs(_)) => held.map(|held| {
            format!(
                "it was {}; set it aside with verify --quarantine, and push it again",
                &held.root.to_string()[..ROOT_DIGITS]
            )
        }),
        Some(Finding::InUse(by)) => Some(format!("in use by {by}")),
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
    let hint = result.hints.get(&row.name).map(|hint| hint.text.clone());
    let all = [row.reason.clone(), finding, standing, nova, left_out, hint];
    all.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn standing(row: &HostAnswer) -> String {
    row.standing.name().replace('_', " ")
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
pub(super) fn instant(at: WallClock) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp_millis(i64::try_from(at.0).ok()?)
}

/// Enough digits to distinguish copies; the JSON report has all of them.
const ROOT_DIGITS: usize = 16;
