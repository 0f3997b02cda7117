//! Output for people and scripts: progress, tables and JSON reports of pushes and queries.

pub(crate) mod columns;
pub(crate) mod crowd;
pub(crate) mod doctor_report;
pub(crate) mod events;
pub(crate) mod formats;
pub(crate) mod grid;
pub(crate) mod inventory;
pub(crate) mod json;
pub(crate) mod metrics;
pub(crate) mod notices;
pub(crate) mod plan;
pub(crate) mod preflight;
pub(crate) mod progress;
pub(crate) mod push_report;
pub(crate) mod push_table;
mod query_crowd;
pub(crate) mod query_report;
pub(crate) mod query_table;
pub(crate) mod rekey_report;
pub(crate) mod status_line;
pub(crate) mod terminal;
pub(crate) mod width;

#[cfg(test)]
mod screens;

use std::time::Duration;

use glancecast_proto::wire::printable;
use serde::Serialize;

use self::grid::Cell;
use crate::pipeline::line::OutageReport;
use crate::request::LeftOut;
use crate::request::alike::Hint;

/// Whether each host has a row in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rows {
    /// If there are at most [`crowd::ROWS_MAX`]; else what they have in common.
    #[default]
    IfFew,
    /// However many there are.
    All,
}

/// A host that was chosen by its aggregate or zone, and is not waited for.
#[derive(Serialize)]
struct Skipped<'a> {
    name: &'a str,
    reason: &'a str,
}

impl<'a> Skipped<'a> {
    fn of(left_out: &'a LeftOut) -> Vec<Self> {
        left_out.all().map(|(name, reason)| Self { name, reason }).collect()
    }
}

/// Why a missing host may be there under another name.
#[derive(Serialize)]
struct HintReport<'a> {
    names: Vec<&'a str>,
    text: &'a str,
}

impl<'a> HintReport<'a> {
    fn of(hint: &'a Hint) -> Self {
        Self { names: hint.names.iter().map(|name| name.as_str()).collect(), text: &hint.text }
    }
}

/// Returns rows for the hosts that are not waited for, and have no row of their own as they did not answer.
fn skipped_rows(columns: usize, left_out: &LeftOut, has_row: impl Fn(&str) -> bool) -> Vec<Vec<Cell>> {
    let silent = left_out.all().filter(|(name, _)| !has_row(name));
    silent.map(|(name, why)| bare_row(columns, name, "skipped", why)).collect()
}

/// Returns the row of a host of which only the state is known: no values between the state and the reason.
fn bare_row(columns: usize, name: &str, state: &str, why: &str) -> Vec<Cell> {
    let mut row = vec![Cell::text(name), Cell::text(state)];
    row.resize(columns - 1, Cell::none());
    row.push(Cell::text(why));
    row
}

/// When the network of this machine took nothing.
#[derive(Serialize)]
struct Outages<'a> {
    times: u32,
    seconds: f64,
    reason: Option<&'a str>,
}

impl<'a> Outages<'a> {
    fn of(report: &'a OutageReport) -> Self {
        Self { times: report.times, seconds: seconds(report.time), reason: report.reason.as_deref() }
    }
}

/// Returns a line about the outages of this machine's network, if there were any that count.
fn outages(report: &OutageReport) -> String {
    let OutageReport { times, time, reason } = report;
    let times = match times {
        0 => return String::new(),
        1 => "once".to_owned(),
        times => format!("{times} times"),
    };
    let (seconds, reason) = (time.as_secs_f64(), printable(reason.as_deref().unwrap_or_default()));
    format!("the network of this machine took nothing for {seconds:.1} s, {times}: {reason}\n")
}

/// The version of the JSON reports: the same for as long as fields are only added (docs/json.md).
pub(crate) const SCHEMA: u32 = 1;

/// Returns the cell of an unknown value.
fn dash() -> String {
    "-".to_owned()
}

/// Returns the time in seconds, rounded to milliseconds.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}
