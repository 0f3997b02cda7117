//! The table of hosts, for people.

use std::fmt::Write;

use glancecast_host::args::{Group, Rate};
use glancecast_proto::sender::{HostRow, SenderConfig, Verdict};
use indicatif::{BinaryBytes, HumanCount};

use super::report::{done, reason, wanted};
use crate::data::push::Outcome;

/// All hosts with their results, and a summary.
pub(super) fn table(config: &SenderConfig, group: Group, outcome: &Outcome) -> String {
    let rows: Vec<[String; 7]> = outcome.rows.iter().map(cells).collect();
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|i| rows.iter().map(|row| row[i].chars().count()).chain([HEAD[i].len()]).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    if !rows.is_empty() {
        line(&mut text, &HEAD.map(str::to_owned), &widths);
        rows.iter().for_each(|row| line(&mut text, row, &widths));
        text.push('\n');
    }
    text.push_str(&summary(config, group, outcome));
    text
}

const HEAD: [&str; 7] = ["HOST", "STATE", "TIME", "LOST", "REPAIRED", "RECEIVED", "WHY"];

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

/// Numbers to the right, words to the left.
fn line(text: &mut String, cells: &[String; 7], widths: &[usize]) {
    let mut line = String::new();
    for (i, cell) in cells.iter().enumerate() {
        let pad = " ".repeat(widths[i] - cell.chars().count());
        let gap = if i == 0 { "" } else { "  " };
        let _ = if (2..6).contains(&i) {
            write!(line, "{gap}{pad}{cell}")
        } else {
            write!(line, "{gap}{cell}{pad}")
        };
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn summary(config: &SenderConfig, group: Group, outcome: &Outcome) -> String {
    let bytes = config.geometry.object_bytes();
    let total = outcome.counts.total();
    let seconds = outcome.time.as_secs_f64().max(1e-6);
    let frames = total.bytes + total.datagrams * group.frame_bytes(0);
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
            wanted(config, outcome),
            BinaryBytes(frames),
        ),
    };
    if frames > 0 {
        let _ = writeln!(
            text,
            "{} image, {} of data, {} on the wire, {:.1} x",
            BinaryBytes(bytes),
            BinaryBytes(outcome.content.data_bytes),
            BinaryBytes(frames),
            bytes as f64 / frames as f64,
        );
    }
    if let Some(root) = outcome.root {
        let _ = writeln!(text, "blake3 {root}");
    }
    if let (Some(reason), Verdict::Incomplete) = (reason(config, outcome), &outcome.verdict) {
        let _ = writeln!(text, "incomplete: {reason}");
    }
    text
}
