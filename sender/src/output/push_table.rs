//! The table of a push, for people: a row for each host, or above [`ROWS_MAX`] hosts what they have in common; then a summary.

use std::fmt::Write;
use std::time::Duration;

use glancecast_platform::units::Rate;
use glancecast_proto::sender::{HostRow, HostState, Verdict, Via};
use glancecast_proto::wire::{CommandOutcome, printable};
use indicatif::{BinaryBytes, HumanCount};

use super::columns::Room;
use super::crowd::{self, Cause, Odd, ROWS_MAX};
use super::formats::Listing;
use super::grid::{Cell, Column, Grid, numbers, words};
use super::{Rows, outages, seconds, skipped_rows};
use crate::pipeline::push::Outcome;
use crate::pipeline::relays::LostRelay;
use crate::request::{Confirmation, EXISTING, PushResult};

/// Returns all hosts with their results and those that were left out, or what they have in common.
pub(crate) fn list(result: &PushResult, listing: &Listing, room: Room) -> String {
    let hosts = &result.outcome.rows;
    let left_out = &result.plan.targets.left_out;
    match listing.rows() {
        Rows::IfFew if hosts.len() + left_out.all().count() > ROWS_MAX => crowd(result, room),
        Rows::IfFew | Rows::All => {
            let mut rows: Vec<Vec<Cell>> = hosts.iter().map(|row| cells(row, result)).collect();
            let has_row = |host: &str| hosts.iter().any(|row| row.name.as_str() == host);
            rows.extend(skipped_rows(COLUMNS.len(), left_out, has_row));
            listing.text(Grid { columns: COLUMNS.to_vec(), rows }, room)
        }
    }
}

/// The columns of the list.
pub(crate) const COLUMNS: [Column; 8] = [
    words("HOST"),
    words("STATE"),
    words("VIA"),
    numbers("TIME"),
    numbers("LOST"),
    numbers("REPAIRED"),
    numbers("RECEIVED"),
    words("WHY"),
];

fn cells(row: &HostRow, result: &PushResult) -> Vec<Cell> {
    let totals = &row.totals;
    let heard = |cell: Cell| if row.time.is_some() { cell } else { Cell::none() };
    let count = |value: u64| heard(Cell::number(value, HumanCount(value).to_string()));
    let received = Cell::number(totals.bytes_received, BinaryBytes(totals.bytes_received).to_string());
    let mut why = why(row);
    if let Some(hint) = result.hints.get(&row.name) {
        let separator = match why.chars().last() {
            None => "",
            Some('?' | '.') => " ",
            Some(_) => "; ",
        };
        let _ = write!(why, "{separator}{}", hint.text);
    }
    let time = |time: Duration| Cell::number(seconds(time), format!("{:.2} s", time.as_secs_f64()));
    vec![
        Cell::text(row.name.as_str()),
        Cell::text(in_words(row.state)),
        row.served.as_ref().map_or_else(Cell::none, |served| Cell::text(via(served))),
        row.time.map_or_else(Cell::none, time),
        count(totals.symbols_lost),
        count(totals.symbols_repaired),
        heard(received),
        Cell::text(why),
    ]
}

/// Returns why a host is in its state, and what was wrong with it.
fn why(row: &HostRow) -> String {
    let command = match &row.command {
        CommandOutcome::None | CommandOutcome::Succeeded => None,
        CommandOutcome::Running => Some("its on_published still runs: its journal has the end".to_owned()),
        CommandOutcome::Failed(how) => Some(format!("its on_published failed: {how}")),
    };
    let drops = (row.totals.socket_drops > 0).then(|| {
        format!(
            "{} datagrams dropped by its own socket: its CPU or net.core.rmem_max is short",
            HumanCount(row.totals.socket_drops)
        )
    });
    [row.reason.clone(), command, drops].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Returns how many hosts hold a copy, how long that took, and the others by reason.
fn crowd(result: &PushResult, room: Room) -> String {
    let hosts = &result.outcome.rows;
    let count = |state: HostState| hosts.iter().filter(|row| row.state == state).count();
    let (done, existing) = (count(HostState::Done), count(HostState::Existing));
    let mut text = match (done + existing, existing) {
        (0, _) => "no host holds a proven copy".to_owned(),
        (holding, 0) => format!("{holding} hosts hold a proven copy"),
        (holding, _) => format!("{holding} hosts hold a proven copy ({done} done, {existing} existing)"),
    };
    if let Some(Spread { median, slowest, host }) = spread(hosts) {
        let _ = write!(
            text,
            ": median {:.2} s, slowest {host} {:.2} s",
            median.as_secs_f64(),
            slowest.as_secs_f64()
        );
    }
    text.push('\n');
    text + &crowd::text(&causes(result), room)
}

/// Returns the reasons for which hosts hold no copy, or had trouble.
pub(super) fn causes(result: &PushResult) -> Vec<Cause> {
    let odd = |row| {
        let why = why(row);
        let is_well = row.state.is_done() && why.is_empty();
        (!is_well).then(|| Odd {
            name: row.name.as_str(),
            rank: rank(row.state),
            state: in_words(row.state),
            why,
            hint: result.hints.get(&row.name).map(|hint| hint.text.as_str()),
        })
    };
    let rows = &result.outcome.rows;
    let has_row = |host: &str| rows.iter().any(|row| row.name.as_str() == host);
    let skipped = result
        .plan
        .targets
        .left_out
        .all()
        .filter(|(host, _)| !has_row(host))
        .map(|(name, why)| Odd { name, rank: SKIPPED, state: "skipped", why: why.to_owned(), hint: None });
    crowd::causes(rows.iter().filter_map(odd).chain(skipped))
}

/// Returns how bad a state is: the smaller, the worse.
fn rank(state: HostState) -> u8 {
    match state {
        HostState::Failed => 0,
        HostState::KeyChanged => 1,
        HostState::UnknownKey => 2,
        HostState::OtherVersion => 3,
        HostState::NeverAnswered => 4,
        HostState::Silent => 5,
        HostState::Receiving => 6,
        HostState::Busy => 7,
        HostState::Done | HostState::Existing => 8,
    }
}

const SKIPPED: u8 = 9;

/// Returns the state in the words of the table.
fn in_words(state: HostState) -> &'static str {
    match state {
        HostState::Receiving => "incomplete",
        HostState::Busy => "busy",
        HostState::Done => "done",
        HostState::Existing => "existing",
        HostState::Failed => "failed",
        HostState::Silent => "silent",
        HostState::NeverAnswered => "never answered",
        HostState::OtherVersion => "other version",
        HostState::KeyChanged => "key changed",
        HostState::UnknownKey => "unknown key",
    }
}

/// How long the hosts that hold a copy took.
pub(super) struct Spread<'a> {
    pub(super) median: Duration,
    pub(super) slowest: Duration,
    /// The slowest host.
    pub(super) host: &'a str,
}

/// Returns how long the hosts took that hold a copy; `None` if none does.
pub(super) fn spread(rows: &[HostRow]) -> Option<Spread<'_>> {
    let done = rows.iter().filter(|row| row.state.is_done());
    let mut times: Vec<(Duration, &str)> =
        done.filter_map(|row| Some((row.time?, row.name.as_str()))).collect();
    times.sort_unstable();
    let &(slowest, host) = times.last()?;
    Some(Spread { median: times[times.len() / 2].0, slowest, host })
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

/// Whether hosts received the image and found nothing of it in the base.
fn is_base_useless(outcome: &Outcome) -> bool {
    let mut new = outcome.rows.iter().filter(|row| row.state == HostState::Done).peekable();
    new.peek().is_some() && new.all(|row| row.totals.blocks_reused == 0)
}

/// Returns what became of the push, how much was sent, and what else is to be known.
pub(crate) fn summary(result: &PushResult) -> String {
    let (config, outcome) = (&result.plan.config, &result.outcome);
    let seconds = outcome.time.as_secs_f64();
    let mut text = match &outcome.verdict {
        Verdict::Aborted(_) => format!("{}: nothing was published\n", config.name),
        Verdict::Unknown => format!(
            "{}: sent one way in {seconds:.2} s. Nobody answers, so who holds a copy is not known here: ask the hosts \
             (journalctl -u glancecastd)\n",
            config.name
        ),
        Verdict::Complete | Verdict::Incomplete | Verdict::GivenUp(_) => {
            format!("{}: {} in {seconds:.2} s\n", config.name, result.standing().on())
        }
    };
    let _ = writeln!(text, "{}", sizes(result));
    if matches!(outcome.verdict, Verdict::Aborted(_)) {
        return text;
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

/// Returns how long the image is, how much of it is data, and how much was sent.
fn sizes(result: &PushResult) -> String {
    let (config, outcome) = (&result.plan.config, &result.outcome);
    let bytes = config.geometry.object_bytes();
    let data = outcome.content.data_bytes;
    let mut text = format!("{} image", BinaryBytes(bytes));
    if data != bytes && outcome.root.is_some() {
        let _ = write!(text, ", {} of data", BinaryBytes(data));
    }
    let symbols = outcome.counts.source.datagrams + outcome.counts.repair.datagrams;
    let is_complete = outcome.verdict == Verdict::Complete;
    if symbols == 0 && is_complete && data > 0 {
        let holding = result.standing().holding;
        let hosts = if holding == 1 {
            "the host holds it".to_owned()
        } else {
            format!("all {holding} hosts hold it")
        };
        return format!("{text}; nothing had to be sent: {hosts}");
    }
    if outcome.spared.bytes > 0 && is_complete {
        let _ = write!(text, ", of which all hosts held {}", BinaryBytes(outcome.spared.bytes));
    }
    let total = outcome.counts.total();
    let frames = total.bytes + total.datagrams * config.header_bytes;
    let rate = (frames as f64 * 8.0 / outcome.time.as_secs_f64().max(1e-6)) as u64;
    let rate = Rate::from_bits(rate).map_or_else(String::new, |rate| format!(" at {rate} on average"));
    format!("{text}; {} sent{rate}", BinaryBytes(frames))
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
