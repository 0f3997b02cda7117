//! The table of a push, for people.

use std::fmt::Write;

use glancecast_platform::units::Rate;
use glancecast_proto::sender::{HostRow, HostState, Verdict, Via};
use glancecast_proto::wire::printable;
use indicatif::{BinaryBytes, HumanCount};

use super::columns::{Side, columns};
use super::{dash, outages, skipped_rows};
use crate::pipeline::push::Outcome;
use crate::pipeline::relays::LostRelay;
use crate::request::{Confirmation, EXISTING, PushResult};

/// Returns all hosts with their results, those that were left out, and a summary.
pub(crate) fn table(result: &PushResult) -> String {
    let hosts = &result.outcome.rows;
    let mut rows: Vec<[String; 8]> = hosts.iter().map(|row| cells(row, result)).collect();
    let has_row = |host: &str| hosts.iter().any(|row| row.name.as_str() == host);
    rows.extend(skipped_rows(&result.plan.targets.left_out, has_row));
    let mut text = columns(HEAD, SIDES, &rows);
    if !rows.is_empty() {
        text.push('\n');
    }
    text.push_str(&summary(result));
    text
}

const HEAD: [&str; 8] = ["HOST", "STATE", "VIA", "TIME", "LOST", "REPAIRED", "RECEIVED", "WHY"];
const SIDES: [Side; 8] =
    [Side::Left, Side::Left, Side::Left, Side::Right, Side::Right, Side::Right, Side::Right, Side::Left];

fn cells(row: &HostRow, result: &PushResult) -> [String; 8] {
    let totals = &row.totals;
    let heard = row.time.is_some();
    let count = |value: u64| if heard { HumanCount(value).to_string() } else { dash() };
    let received = if heard { BinaryBytes(totals.bytes_received).to_string() } else { dash() };
    let mut why = row.reason.clone().unwrap_or_default();
    if let Some(hint) = result.hints.get(&row.name) {
        let separator = match why.chars().last() {
            None => "",
            Some('?' | '.') => " ",
            Some(_) => "; ",
        };
        let _ = write!(why, "{separator}{}", hint.text);
    }
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
        row.served.as_ref().map_or_else(dash, via),
        row.time.map_or_else(dash, |time| format!("{:.2} s", time.as_secs_f64())),
        count(totals.symbols_lost),
        count(totals.symbols_repaired),
        received,
        why,
    ]
}

/// Returns by which way a host was served.
fn via(via: &Via) -> String {
    match via {
        Via::Group => "group".to_owned(),
        Via::Relay(name) => format!("relay {name}"),
        Via::Unicast => "unicast".to_owned(),
        Via::Parent(name) => format!("unicast of {name}"),
    }
}

/// Returns the part of the data that was not sent because all hosts held it.
fn spared(outcome: &Outcome) -> String {
    match outcome.spared.bytes {
        bytes if bytes > 0 && outcome.verdict == Verdict::Complete => {
            format!(" {} of that held by all hosts,", BinaryBytes(bytes))
        }
        _ => String::new(),
    }
}

/// Whether hosts received the image and found nothing of it in the base.
fn is_base_useless(outcome: &Outcome) -> bool {
    let mut new = outcome.rows.iter().filter(|row| row.state == HostState::Done).peekable();
    new.peek().is_some() && new.all(|row| row.totals.blocks_reused == 0)
}

fn summary(result: &PushResult) -> String {
    let (config, outcome) = (&result.plan.config, &result.outcome);
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
            result.done(),
            result.wanted(),
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
            "no host has made a block of {base}: is it in their stores, under this name or id? Their logs say what they \
             found"
        );
    }
    if let Some(root) = outcome.root {
        let _ = writeln!(text, "blake3 {root}");
    }
    text.push_str(&lost_relays(&outcome.reached.lost));
    text.push_str(&outages(&outcome.outages));
    if let (Some(reason), Verdict::Incomplete) = (result.reason(), &outcome.verdict) {
        let _ = writeln!(text, "incomplete: {}", printable(&reason));
    }
    text
}

/// Returns a line for each relay that was given up.
fn lost_relays(lost: &[LostRelay]) -> String {
    lost.iter().fold(String::new(), |mut text, LostRelay { relay, segment, at, fault, next, .. }| {
        let of = segment.as_ref().map_or_else(String::new, |segment| format!(" of {}", printable(segment)));
        let next = next.as_ref().map_or_else(
            || "no other host could relay".to_owned(),
            |next| format!("{next} has relayed since then"),
        );
        let _ =
            writeln!(text, "relay {relay}{of} was given up after {:.1} s: {fault}; {next}", at.as_secs_f64());
        text
    })
}

/// Returns what Nova was asked to confirm, and where its answers are; an empty text if no confirmation was requested.
pub(crate) fn confirmations(result: &PushResult) -> String {
    let mut text = String::new();
    let (Some(confirmations), Some(image_id)) = (&result.confirmations, &result.plan.config.image_id) else {
        return text;
    };
    for Confirmation { aggregate, asked, reason, .. } in confirmations {
        let aggregate = printable(aggregate);
        let _ = match (asked, reason) {
            (true, _) => writeln!(text, "aggregate {aggregate}: Nova was asked to cache the image"),
            (false, reason) => writeln!(
                text,
                "aggregate {aggregate}: not confirmed: {}",
                printable(reason.as_deref().unwrap_or("not asked"))
            ),
        };
    }
    if confirmations.iter().any(|confirmation| confirmation.asked) {
        let _ = writeln!(
            text,
            "each host must answer `{EXISTING}`: nova-compute logs \"Image {image_id} already cached\", and nova-conductor \
             \"0 cached, N existing, 0 errors\"; `cached` means that Nova fetched the image from Glance"
        );
        let names: Vec<String> =
            result.plan.targets.left_out.all().map(|(host, _)| printable(host)).collect();
        if !names.is_empty() {
            let _ = writeln!(
                text,
                "left out here, so Nova fetches it there unless the service is down: {}",
                names.join(", ")
            );
        }
    }
    text
}
