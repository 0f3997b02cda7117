//! The answers of many hosts on one screen: what they have in common, the extremes, and who is not as it should be.

use std::collections::BTreeMap;
use std::fmt::Write;

use glancecast_proto::query::{HostAnswer, Standing};
use glancecast_proto::wire::{Query, printable};
use indicatif::BinaryBytes;
use serde::Serialize;

use super::columns::Room;
use super::crowd::{self, Cause, Odd, folded};
use super::query_table::{copy_in_words, standing, why};
use super::width::cut;
use crate::request::{CopyVerdict, QueryResult};

/// Returns what the hosts have in common.
pub(super) fn text(result: &QueryResult, room: Room) -> String {
    let rows = &result.answers.rows;
    let mut lines = Vec::new();
    if is_about_hosts(&result.plan.config.query) {
        lines.push(shared("VERSION", &versions(rows)));
        lines.push(shared("STORE", &stores(rows)));
        lines.push(spread("FREE", &frees(rows), |bytes| BinaryBytes(bytes).to_string()));
        lines.push(spread("HELD", &helds(rows), |count| count.to_string()));
    }
    let mut text = String::new();
    for line in lines.into_iter().flatten() {
        let line = match room {
            Room::Columns(columns) => cut(&line, columns),
            Room::Unbounded => line,
        };
        let _ = writeln!(text, "{line}");
    }
    text + &crowd::text(&causes(result), room)
}

fn is_about_hosts(query: &Query) -> bool {
    query.sought().is_none()
}

/// Returns hosts that have no copy to show, or did not answer as they should, by reason; then what copies there are.
pub(super) fn causes(result: &QueryResult) -> Vec<Cause> {
    let rows = &result.answers.rows;
    let is_about_hosts = is_about_hosts(&result.plan.config.query);
    let mut odd = Vec::new();
    for row in rows {
        let hint = result.hints.get(&row.name).map(|hint| hint.text.as_str());
        let one = |rank, state, why| Odd { name: row.name.as_str(), rank, state, why, hint };
        let why_bare = why(row, None, result, false);
        match row.standing {
            Standing::Answered if is_about_hosts && why_bare.is_empty() => continue,
            Standing::Answered if !is_about_hosts && row.objects.is_empty() => {
                odd.push(one(2, CopyVerdict::Missing.name(), why_bare));
            }
            Standing::Answered if is_about_hosts => odd.push(one(8, "answered", why_bare)),
            _ if row.objects.is_empty() || is_about_hosts => {
                odd.push(one(rank(row.standing), standing(row.standing), why_bare));
            }
            _ => {}
        }
        if is_about_hosts {
            continue;
        }
        for held in &row.objects {
            let (rank, state) = verdict(CopyVerdict::of(held));
            let why = why(row, Some(held), result, false);
            let gap = if why.is_empty() { "" } else { "; " };
            odd.push(one(rank, state, format!("{}{gap}{why}", copy_in_words(held))));
        }
    }
    let has_row = |host: &str| rows.iter().any(|row| row.name.as_str() == host);
    let skipped = result.plan.left_out.all().filter(|(host, _)| !has_row(host));
    odd.extend(skipped.map(|(name, why)| Odd {
        name,
        rank: 9,
        state: "skipped",
        why: why.to_owned(),
        hint: None,
    }));
    crowd::causes(odd)
}

/// Returns how bad it is that a host's answer came only so far: the smaller, the worse.
fn rank(standing: Standing) -> u8 {
    match standing {
        Standing::KeyChanged | Standing::Twice => 0,
        Standing::Failed => 1,
        Standing::UnknownKey | Standing::OtherVersion => 3,
        Standing::NeverAnswered => 4,
        Standing::Partial | Standing::Busy => 5,
        Standing::Verifying | Standing::AwaitingKey => 6,
        Standing::Answered => 8,
    }
}

/// Returns how bad it is what a copy is, and the word for it.
fn verdict(verdict: CopyVerdict) -> (u8, &'static str) {
    match verdict {
        CopyVerdict::Differs => (0, "differs"),
        CopyVerdict::Failed => (1, "failed"),
        CopyVerdict::InUse => (2, "in use"),
        CopyVerdict::Pinned => (2, "pinned"),
        CopyVerdict::Missing => (2, "missing"),
        CopyVerdict::Verifying => (6, "verifying"),
        CopyVerdict::Held => (7, "held"),
        CopyVerdict::Intact => (7, "intact"),
        CopyVerdict::PinSet => (7, "pin set"),
        CopyVerdict::LetGo => (7, "let go"),
        CopyVerdict::NotPinned => (7, "not pinned"),
        CopyVerdict::Removed => (7, "removed"),
        CopyVerdict::SetAside => (7, "set aside"),
    }
}

/// A value that hosts have, and the hosts that have it.
#[derive(Serialize)]
pub(super) struct Shared<'a> {
    value: &'a str,
    count: usize,
    hosts: String,
}

/// Returns the versions of the hosts' programs, those of most hosts first.
pub(super) fn versions(rows: &[HostAnswer]) -> Vec<Shared<'_>> {
    by_value(rows, |row| Some(row.about.as_ref()?.software.trim_start_matches("glancecastd ")))
}

fn stores(rows: &[HostAnswer]) -> Vec<Shared<'_>> {
    by_value(rows, |row| Some(row.about.as_ref()?.store.as_str()))
}

fn by_value<'a>(
    rows: &'a [HostAnswer],
    value: impl Fn(&'a HostAnswer) -> Option<&'a str>,
) -> Vec<Shared<'a>> {
    let mut hosts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows {
        if let Some(value) = value(row) {
            hosts.entry(value).or_default().push(row.name.as_str());
        }
    }
    let shared =
        |(value, names): (&'a str, Vec<&'a str>)| Shared { value, count: names.len(), hosts: folded(names) };
    let mut shared: Vec<Shared<'a>> = hosts.into_iter().map(shared).collect();
    shared.sort_by(|a, b| b.count.cmp(&a.count).then(a.value.cmp(b.value)));
    shared
}

/// Returns a line: the value of most hosts, and who has another one.
fn shared(head: &str, values: &[Shared<'_>]) -> Option<String> {
    let [most, others @ ..] = values else { return None };
    let mut text = format!("{head:HEAD$}{} on {}", printable(most.value), most.count);
    for Shared { value, count, hosts } in others.iter().take(VALUES_MAX) {
        let _ = write!(text, "; {} on {count}: {hosts}", printable(value));
    }
    if others.len() > VALUES_MAX {
        let _ = write!(text, "; {} more values", others.len() - VALUES_MAX);
    }
    Some(text)
}

/// The least, the middle and the most of a number that hosts have.
#[derive(Serialize)]
pub(super) struct Extremes<'a> {
    least: u64,
    least_host: &'a str,
    median: u64,
    most: u64,
    most_host: &'a str,
}

/// Returns what the hosts' stores have free.
pub(super) fn free(rows: &[HostAnswer]) -> Option<Extremes<'_>> {
    extremes(&frees(rows))
}

fn frees(rows: &[HostAnswer]) -> Vec<(u64, &str)> {
    sorted(rows, |row| row.about.as_ref()?.free_bytes)
}

fn helds(rows: &[HostAnswer]) -> Vec<(u64, &str)> {
    sorted(rows, |row| Some(row.about.as_ref()?.held.into()))
}

fn sorted(rows: &[HostAnswer], value: impl Fn(&HostAnswer) -> Option<u64>) -> Vec<(u64, &str)> {
    let mut values: Vec<(u64, &str)> =
        rows.iter().filter_map(|row| Some((value(row)?, row.name.as_str()))).collect();
    values.sort_by_key(|&(value, _)| value);
    values
}

fn extremes<'a>(sorted: &[(u64, &'a str)]) -> Option<Extremes<'a>> {
    let (&(least, least_host), &(most, most_host)) = (sorted.first()?, sorted.last()?);
    Some(Extremes { least, least_host, median: sorted[sorted.len() / 2].0, most, most_host })
}

/// Returns a line: the extremes with their hosts, and who has much less than most.
fn spread(head: &str, sorted: &[(u64, &str)], show: impl Fn(u64) -> String) -> Option<String> {
    let Extremes { least, least_host, median, most, most_host } = extremes(sorted)?;
    if least == most {
        return Some(format!("{head:HEAD$}{} on {}", show(least), sorted.len()));
    }
    let mut text = format!(
        "{head:HEAD$}least {} ({least_host}), median {}, most {} ({most_host})",
        show(least),
        show(median),
        show(most)
    );
    let low = sorted.iter().filter(|&&(value, _)| value < median / OUTLIER);
    let low: Vec<&str> = low.map(|&(_, name)| name).collect();
    if low.len() > 1 {
        let _ = write!(text, "; below {}: {}", show(median / OUTLIER), folded(low));
    }
    Some(text)
}

/// The width of the head of a line.
const HEAD: usize = 9;
/// Values that a line has besides the usual one.
const VALUES_MAX: usize = 4;
/// A host is named that has less than this part of what half of the hosts have.
const OUTLIER: u64 = 4;
