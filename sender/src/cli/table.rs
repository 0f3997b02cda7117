//! The table of hosts, for people.

use std::fmt::Write;

use glancecast_platform::args::Rate;
use glancecast_proto::sender::{HostRow, HostState, SenderConfig, Verdict};
use glancecast_proto::wire::printable;
use indicatif::{BinaryBytes, HumanCount};

use super::columns::{Side, columns};
use super::expected::LeftOut;
use super::report::{done, reason, wanted};
use crate::pipeline::push::Outcome;

/// All hosts with their results, those that were left out, and a summary.
pub(super) fn table(config: &SenderConfig, left_out: &LeftOut, outcome: &Outcome) -> String {
    let mut rows: Vec<[String; 7]> = outcome.rows.iter().map(cells).collect();
    // One that answered all the same has its row already.
    let silent = |(host, _): &(&str, &str)| !outcome.rows.iter().any(|row| row.name.as_str() == *host);
    rows.extend(left_out.all().filter(silent).map(|(host, reason)| skipped(host, reason)));
    let mut text = columns(HEAD, SIDES, &rows);
    if !rows.is_empty() {
        text.push('\n');
    }
    text.push_str(&summary(config, left_out, outcome));
    text
}

const HEAD: [&str; 7] = ["HOST", "STATE", "TIME", "LOST", "REPAIRED", "RECEIVED", "WHY"];
const SIDES: [Side; 7] =
    [Side::Left, Side::Left, Side::Right, Side::Right, Side::Right, Side::Right, Side::Left];

fn cells(row: &HostRow) -> [String; 7] {
    let totals = &row.totals;
    let heard = row.time.is_some();
    let count = |value: u64| if heard { HumanCount(value).to_string() } else { "-".into() };
    let received = if heard { BinaryBytes(totals.bytes_received).to_string() } else { "-".into() };
    let mut why = row.reason.clone().unwrap_or_default();
    if totals.socket_drops > 0 {
        let separator = if why.is_empty() { "" } else { "; " };
        let _ = write!(
            why,
            "{separator}{} datagrams dropped by its own socket: its CPU or net.core.rmem_max is short",
            HumanCount(totals.socket_drops)
        );
    }
    [
        row.name.to_string(),
        row.state.name().replace('_', " "),
        row.time.map_or("-".into(), |time| format!("{:.2} s", time.as_secs_f64())),
        count(totals.symbols_lost),
        count(totals.symbols_repaired),
        received,
        why,
    ]
}

/// What hosts held already, where all of them have the object now.
fn spared(outcome: &Outcome) -> String {
    match outcome.spared.bytes {
        bytes if bytes > 0 && outcome.verdict == Verdict::Complete => {
            format!(" {} of that held by all hosts,", BinaryBytes(bytes))
        }
        _ => String::new(),
    }
}

/// Whether hosts took the image in and found nothing of it in the base.
fn is_base_useless(outcome: &Outcome) -> bool {
    let mut new = outcome.rows.iter().filter(|row| row.state == HostState::Done).peekable();
    new.peek().is_some() && new.all(|row| row.totals.blocks_reused == 0)
}

fn skipped(host: &str, reason: &str) -> [String; 7] {
    let dash = || "-".to_owned();
    [host.to_owned(), "skipped".to_owned(), dash(), dash(), dash(), dash(), reason.to_owned()]
}

fn summary(config: &SenderConfig, left_out: &LeftOut, outcome: &Outcome) -> String {
    let bytes = config.geometry.object_bytes();
    let total = outcome.counts.total();
    let seconds = outcome.time.as_secs_f64().max(1e-6);
    let frames = total.bytes + total.datagrams * config.header_bytes;
    let rate = Rate::from_bits((frames as f64 * 8.0 / seconds) as u64)
        .map_or_else(String::new, |rate| rate.to_string());
    let mut text = match &outcome.verdict {
        Verdict::Aborted(_) => return format!("{}: nothing was published\n", config.name),
        Verdict::Unknown => format!(
            "{}: {} sent one way in {seconds:.2} s; {} of frames on the wire, {rate} on average. Nobody answers, so who \
             holds a copy is not known here: ask the hosts (journalctl -u glancecastd)\n",
            config.name,
            BinaryBytes(bytes),
            BinaryBytes(frames),
        ),
        Verdict::Complete | Verdict::Incomplete | Verdict::GivenUp(_) => format!(
            "{}: {} on {} of {} hosts in {seconds:.2} s; {} of frames on the wire, {rate} on average\n",
            config.name,
            BinaryBytes(bytes),
            done(outcome),
            wanted(config, left_out, outcome),
            BinaryBytes(frames),
        ),
    };
    if frames > 0 {
        let _ = writeln!(
            text,
            "{} image, {} of data,{} {} on the wire, {:.1} x",
            BinaryBytes(bytes),
            BinaryBytes(outcome.content.data_bytes),
            spared(outcome),
            BinaryBytes(frames),
            bytes as f64 / frames as f64,
        );
    }
    if let Some(base) = config.base.as_ref().filter(|_| is_base_useless(outcome)) {
        let _ = writeln!(
            text,
            "no host has made a block of {base}: is it in their stores, under this name or id? Their logs say what they found"
        );
    }
    if let Some(root) = outcome.root {
        let _ = writeln!(text, "blake3 {root}");
    }
    if let (Some(reason), Verdict::Incomplete) = (reason(config, left_out, outcome), &outcome.verdict) {
        let _ = writeln!(text, "incomplete: {}", printable(&reason));
    }
    text
}
