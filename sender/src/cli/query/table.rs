//! The answers for people.

use std::fmt::Write;

use glancecast_proto::query::{HostAnswer, Standing};
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{Finding, Held, Kept, Query, printable};
use indicatif::BinaryBytes;

use super::outcome::{Outcome, Verdict};
use crate::cli::columns::{Side, columns};

/// A row for each host, or for each copy where an image is asked for; then a summary.
pub(super) fn table(query: &Query, outcome: &Outcome) -> String {
    let mut text = match query {
        Query::Hosts => hosts(outcome),
        Query::Status(_) | Query::Verify(_) | Query::Unpin(_) => copies(query, outcome),
    };
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&summary(query, outcome));
    if let Some(reason) = &outcome.reason {
        let _ = writeln!(text, "incomplete: {}", printable(reason));
    }
    text
}

fn hosts(outcome: &Outcome) -> String {
    use Side::{Left, Right};
    let head = ["HOST", "STATE", "VERSION", "STORE", "FREE", "HELD", "PINNED", "WHY"];
    let rows: Vec<[String; 8]> = outcome.rows.iter().map(|row| host(row, outcome)).collect();
    let mut rows = rows;
    rows.extend(left_out(outcome).map(|(name, why)| {
        let [a, b, c, d, e] = [const { String::new() }; 5].map(|_| dash());
        [name.to_owned(), "skipped".to_owned(), a, b, c, d, e, why.to_owned()]
    }));
    columns(head, [Left, Left, Left, Left, Right, Right, Right, Left], &rows)
}

fn host(row: &HostAnswer, outcome: &Outcome) -> [String; 8] {
    let about = row.about.as_ref();
    let told = |tell: &dyn Fn(&glancecast_proto::wire::About) -> String| about.map_or_else(dash, tell);
    [
        row.name.to_string(),
        standing(row),
        told(&|about| about.software.trim_start_matches("glancecastd ").to_owned()),
        told(&|about| about.store.clone()),
        told(&|about| about.free_bytes.map_or_else(dash, |bytes| BinaryBytes(bytes).to_string())),
        told(&|about| about.held.to_string()),
        told(&|about| about.pinned.to_string()),
        why(row, None, outcome),
    ]
}

fn copies(query: &Query, outcome: &Outcome) -> String {
    use Side::{Left, Right};
    let head = ["HOST", "STATE", "IMAGE", "SIZE", "PROVEN", kept_head(query), "BLAKE3", "WHY"];
    let mut rows: Vec<[String; 8]> = Vec::new();
    for row in &outcome.rows {
        rows.extend(row.objects.iter().map(|held| copy(row, held, outcome)));
        if row.objects.is_empty() {
            let state = if row.standing == Standing::Answered {
                Verdict::Missing.name().to_owned()
            } else {
                standing(row)
            };
            rows.push(without(row.name.to_string(), state, why(row, None, outcome)));
        }
    }
    rows.extend(
        left_out(outcome).map(|(name, why)| without(name.to_owned(), "skipped".to_owned(), why.to_owned())),
    );
    columns(head, [Left, Left, Left, Right, Left, Left, Left, Left], &rows)
}

fn copy(row: &HostAnswer, held: &Held, outcome: &Outcome) -> [String; 8] {
    let (kept_then, root) = match &held.finding {
        Finding::LetGo(was) => (*was, held.root),
        Finding::Differs(found) => (held.kept, *found),
        Finding::Listed | Finding::Pending | Finding::Intact | Finding::Failed(_) => (held.kept, held.root),
    };
    [
        row.name.to_string(),
        Verdict::of(held).name().replace('_', " "),
        held.name.to_string(),
        BinaryBytes(held.bytes).to_string(),
        time(held.proven),
        kept(kept_then),
        root.to_string()[..ROOT_DIGITS].to_owned(),
        why(row, Some(held), outcome),
    ]
}

fn without(name: String, state: String, why: String) -> [String; 8] {
    [name, state, dash(), dash(), dash(), dash(), dash(), why]
}

fn kept_head(query: &Query) -> &'static str {
    if matches!(query, Query::Unpin(_)) { "WAS PINNED" } else { "PINNED" }
}

fn why(row: &HostAnswer, held: Option<&Held>, outcome: &Outcome) -> String {
    let finding = match held.map(|held| &held.finding) {
        Some(Finding::Failed(reason)) => Some(reason.clone()),
        Some(Finding::Differs(_)) => held.map(|held| {
            format!("it was {}; remove it and push it again", &held.root.to_string()[..ROOT_DIGITS])
        }),
        _ => None,
    };
    let standing = match row.standing {
        Standing::Busy => Some("it has too many queries to answer; ask again later".to_owned()),
        Standing::Partial => Some("a part of its answer did not come".to_owned()),
        _ => None,
    };
    let nova = outcome.left_out.unused.get(row.name.as_str()).cloned();
    let left_out = (row.left_out > 0).then(|| format!("{} more objects are not shown", row.left_out));
    let all = [row.reason.clone(), finding, standing, nova, left_out];
    all.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn standing(row: &HostAnswer) -> String {
    row.standing.name().replace('_', " ")
}

/// Hosts of Nova that nobody waits for and that did not answer either.
fn left_out(outcome: &Outcome) -> impl Iterator<Item = (&str, &str)> {
    outcome.left_out.all().filter(|(name, _)| !outcome.rows.iter().any(|row| row.name.as_str() == *name))
}

fn summary(query: &Query, outcome: &Outcome) -> String {
    let heard = outcome.rows.iter().filter(|row| row.about.is_some()).count();
    let mut text = format!("{heard} of {} hosts answered in {:.2} s", outcome.rows.len(), outcome.seconds);
    let verdicts = || outcome.rows.iter().flat_map(|row| &row.objects).map(Verdict::of);
    let count = |wanted: Verdict| verdicts().filter(|&verdict| verdict == wanted).count();
    let holding = outcome.rows.iter().filter(|row| !row.objects.is_empty()).count();
    let _ = match query {
        Query::Hosts => Ok(()),
        Query::Status(sought) => write!(text, "; {holding} hold {sought}"),
        Query::Verify(sought) => match count(Verdict::Intact) {
            1 => write!(text, "; of {sought}, 1 copy is intact"),
            intact => write!(text, "; of {sought}, {intact} copies are intact"),
        },
        Query::Unpin(sought) => write!(text, "; {} let go of {sought}", count(Verdict::LetGo)),
    };
    text.push('\n');
    text
}

/// In UTC, to the second: 2026-11-24 20:15:00.
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

/// As a civil time; `None` beyond the year 262 000.
pub(super) fn instant(at: WallClock) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp_millis(i64::try_from(at.0).ok()?)
}

fn dash() -> String {
    "-".to_owned()
}

/// Enough to tell copies apart; all of it is in the JSON report.
const ROOT_DIGITS: usize = 16;
