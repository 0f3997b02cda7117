//! A push that goes as pushes go: one host loses much, one is off, in a large group one has no space and two have old
//! programs. The numbers are made; what prints them is what ships.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use glancecast_proto::ids::HostName;
use glancecast_proto::integrity::Root;
use glancecast_proto::sender::{
    Cause, Expected, HostRow, HostState, Lag, LagCause, Lagging, Sideline, Tally, Verdict, Via, Watch,
};

use crate::output::columns::Room;
use crate::output::formats::Listing;
use crate::output::progress::Gauge;
use crate::output::progress::line::line;
use crate::output::push_table::{list, summary};
use crate::output::terminal::Colour;
use crate::pipeline::content::ContentCounts;
use crate::pipeline::push::{Outcome, Progress};
use crate::request::standing::tests::row;
use crate::request::{PushPlan, PushResult};

const MIB: u64 = 1 << 20;
const BLOCKS: u32 = 2048;

/// A push to some hosts.
pub(in crate::output) struct Story {
    names: Vec<HostName>,
}

/// What becomes of a host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Slow,
    Off,
    Full,
    Old,
}

impl Story {
    pub(in crate::output) fn of(hosts: usize) -> Self {
        let name = |i: usize| HostName::new(&format!("compute-{i}")).expect("a name");
        Self { names: (1..=hosts).map(name).collect() }
    }

    fn fate(&self, i: usize) -> Fate {
        match (self.names.len(), i) {
            (1, _) => Fate::Well,
            (2..=49, 4) | (50.., 204 | 40) => Fate::Slow,
            (2..=49, 5) | (50.., 16 | 41 | 76 | 900) => Fate::Off,
            (50.., 62) => Fate::Full,
            (500.., 440..=479) => Fate::Old,
            _ => Fate::Well,
        }
    }

    fn count(&self, fate: Fate) -> u32 {
        (0..self.names.len()).filter(|&i| self.fate(i) == fate).count() as u32
    }

    fn plan(&self) -> PushPlan {
        let expected = Expected::Named(self.names.iter().cloned().collect());
        PushPlan::example("debian-13.raw", u64::from(BLOCKS) * MIB, expected)
    }

    /// Returns what is on the screen at five moments, with two empty lines between them.
    pub(super) fn told(&self, columns: usize) -> String {
        let mut gauge = Gauge::new(&self.plan());
        let mut text = String::new();
        let mut moment = |title: &str, screen: &str| {
            let _ = write!(text, "{}# {title}\n{screen}", if text.is_empty() { "" } else { "\n\n" });
        };
        for (title, at) in [
            ("after 0.2 s: no host was heard yet", Duration::from_millis(200)),
            ("after 5 s: the first of the image", Duration::from_secs(5)),
            ("after 90 s: one host is late", Duration::from_secs(90)),
            ("after 215 s: everything was sent", Duration::from_secs(215)),
        ] {
            let mut before = Duration::ZERO;
            while before < at {
                let _ = gauge.view(&self.progress(before), "");
                before += Duration::from_millis(500);
            }
            let progress = self.progress(at);
            let view = gauge.view(&progress, "17:12:35Z");
            moment(title, &(line(&view, columns - 1, Colour::Off) + "\n"));
        }
        let (result, room) = (self.result(), Room::Columns(columns));
        let list = list(&result, &Listing::default(), room);
        moment("at the end", &format!("{list}\n{}", wrapped(&summary(&result), columns)));
        text
    }

    /// Returns the progress at a time: 80 Mbit/s, the whole image in 215 s.
    fn progress(&self, at: Duration) -> Progress {
        let is_begun = at >= Duration::from_millis(500);
        let wire = if is_begun { (at.as_secs_f64().min(214.8) * 1e7) as u64 } else { 0 };
        let blocks = ((wire as f64 / MIB as f64) as u32).min(BLOCKS);
        let is_sent = blocks == BLOCKS;
        let (slow, off, full) = (self.count(Fate::Slow), self.count(Fate::Off), self.count(Fate::Full));
        let all = self.names.len() as u32;
        let heard = if is_begun { all - off - self.count(Fate::Old) } else { 0 };
        let is_late = at >= Duration::from_secs(60);
        let hosts = Tally {
            expected: all,
            heard,
            done: if is_sent { heard - slow - full } else { 0 },
            failed: if is_late { full } else { 0 },
            sidelined: if is_late { slow } else { 0 },
            ..Tally::default()
        };
        Progress {
            blocks_sent: blocks,
            frame_bytes: wire,
            copies: 1,
            proven: is_sent,
            hosts,
            watch: Arc::new(if is_begun { self.watch(is_late) } else { Watch::default() }),
            is_waiting: !is_begun,
            time: at,
            left: Duration::from_secs(60),
            ..Progress::default()
        }
    }

    fn watch(&self, is_late: bool) -> Watch {
        let mut watch = Watch::default();
        let lags = [
            (Fate::Full, Lag::Failed, is_late, Some(LagCause::Words(FULL.to_owned()))),
            (Fate::Old, Lag::Refused, true, Some(LagCause::Words(OLD.to_owned()))),
            (Fate::Slow, Lag::Sidelined, is_late, Some(LagCause::Sideline(LOST))),
            (Fate::Off, Lag::Unheard, true, None),
        ];
        for (fate, lag, is_so, cause) in lags {
            let of_fate = (0..self.names.len()).filter(|&i| is_so && self.fate(i) == fate);
            let hosts: Vec<Lagging> = of_fate
                .map(|i| {
                    let blocks_held = if fate == Fate::Slow { BLOCKS / 8 } else { 0 };
                    Lagging { name: self.names[i].clone(), lag, blocks_held, cause: cause.clone() }
                })
                .collect();
            if !hosts.is_empty() {
                watch.counts.insert(lag, hosts.len() as u32);
                watch.hosts.extend(hosts);
            }
        }
        watch
    }

    pub(in crate::output) fn result(&self) -> PushResult {
        let rows: Vec<HostRow> = (0..self.names.len()).map(|i| self.row(i)).collect();
        let is_complete = rows.iter().all(|row| row.state.is_done());
        let mut counts = crate::pipeline::wire_counts::WireCounts::default();
        counts.source.add(1_500_000, 2_140_000_000);
        let outcome = Outcome {
            verdict: if is_complete { Verdict::Complete } else { Verdict::Incomplete },
            root: Some(Root([0x5a; 32])),
            rows,
            reached: Default::default(),
            first_uses: Vec::new(),
            counts,
            content: ContentCounts { data_bytes: u64::from(BLOCKS) * MIB, ..ContentCounts::default() },
            spared: Default::default(),
            discards: Default::default(),
            time: Duration::from_secs(if is_complete { 216 } else { 275 }),
            outages: Default::default(),
            stages: Vec::new(),
        };
        PushResult {
            plan: self.plan(),
            outcome,
            confirmations: None,
            hints: Default::default(),
            interrupted: None,
        }
    }

    fn row(&self, i: usize) -> HostRow {
        let name = self.names[i].as_str();
        let fate = self.fate(i);
        let state = match fate {
            Fate::Well | Fate::Slow => HostState::Done,
            Fate::Off => HostState::NeverAnswered,
            Fate::Full => HostState::Failed,
            Fate::Old => HostState::OtherVersion,
        };
        let mut row = row(name, state);
        row.reason = match fate {
            Fate::Well => None,
            Fate::Slow => Some(format!("served after the others: {LOST}")),
            Fate::Off => Some(OFF.to_owned()),
            Fate::Full => Some(FULL.to_owned()),
            Fate::Old => Some(OLD.to_owned()),
        };
        let millis = 214_000 + 37 * (i as u64 % 50) + if fate == Fate::Slow { 45_000 } else { 0 };
        row.time =
            matches!(fate, Fate::Well | Fate::Slow | Fate::Full).then(|| Duration::from_millis(millis));
        row.served = row.time.map(|_| Via::Group);
        row.totals.bytes_received = 2_140_000_000 - if fate == Fate::Slow { 900_000_000 } else { 0 };
        row.totals.symbols_lost = if fate == Fate::Slow { 940_000 } else { 3 };
        row.totals.symbols_repaired = row.totals.symbols_lost;
        row
    }
}

/// Returns lines as a terminal breaks them.
fn wrapped(text: &str, columns: usize) -> String {
    text.lines().flat_map(|line| crate::output::width::wrap(line, columns)).map(|line| line + "\n").collect()
}

const LOST: Sideline = Sideline { cause: Cause::Network, percent: 62 };
const FULL: &str = "write to /var/lib/glancecast: No space left on device";
const OLD: &str =
    "it speaks version 1 of the protocol (glancecastd 0.0.9), this sender version 2: upgrade the older one";
const OFF: &str = "never heard. On it: systemctl status glancecastd; journalctl -u glancecastd names a wrong key or clock. \
                   If all hosts are so: this machine's firewall";
