//! The grid: pushes over many paths as a text that is reviewed as a difference, `tests/sim/paths.txt`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use glancecast_proto::ids::HostName;

use super::cells::{self, Cell, Part};
use super::{Outcome, Path};

/// What a cell must reach; what is `None` is only shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Goal {
    time: Option<f64>,
    sent: Option<f64>,
    /// Datagrams from hosts in the busiest second, and bits from them as a share of those to them.
    feedback: Option<(u32, f64)>,
    /// Nobody may be accused.
    nobody: bool,
}

impl Goal {
    pub(super) fn time(self, most: f64) -> Self {
        Self { time: Some(most), ..self }
    }

    pub(super) fn sent(self, most: f64) -> Self {
        Self { sent: Some(most), ..self }
    }

    pub(super) fn feedback(self, peak: u32, share: f64) -> Self {
        Self { feedback: Some((peak, share)), ..self }
    }

    pub(super) fn nobody(self) -> Self {
        Self { nobody: true, ..self }
    }

    fn words(self) -> String {
        let mut words = Vec::new();
        words.extend(self.time.map(|most| format!("time {most:.3}")));
        words.extend(self.sent.map(|most| format!("bytes {most:.4}")));
        words.extend(self.feedback.map(|(peak, share)| format!("{peak}/s, {} %", share * 100.0)));
        words.extend(self.nobody.then(|| "nobody".to_owned()));
        words.join(", ")
    }
}

/// Which rows are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those that `make test` makes.
    Quick,
    /// All of them.
    All,
    /// Those whose paths have each of these words.
    With(Vec<String>),
}

impl Rows {
    fn has(&self, cell: &Cell) -> bool {
        match self {
            Self::Quick => cell.is_quick,
            Self::All => true,
            Self::With(words) => words.iter().all(|word| cell.words.split(' ').any(|own| own == word)),
        }
    }
}

/// Rows that were made, by the words of their paths.
pub struct Made(BTreeMap<String, String>);

/// Makes rows on `threads` threads, and tells `made` of each.
pub fn make(rows: &Rows, threads: usize, made: impl Fn(&str) + Sync) -> Made {
    let mut cells: Vec<Cell> = cells::parts().into_iter().flat_map(|part| part.cells).collect();
    cells.retain(|cell| rows.has(cell));
    // The largest first, so that no thread begins one when the others are done.
    cells.sort_by_key(|cell| {
        let path = cell.path();
        std::cmp::Reverse(u64::from(path.hosts) * path.object_bytes)
    });
    let (next, all) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            let row = cell.row(&super::push(cell.path(), false));
            made(&row);
            all.lock().unwrap_or_else(PoisonError::into_inner).insert(cell.words.clone(), row);
        }
    };
    thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(work))));
    Made(all.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl Made {
    /// Returns the text of the file, with the rows that were not made as they are in `kept`.
    pub fn text(&self, kept: &str) -> String {
        let mut text = PREFACE.to_owned();
        for Part { title, cells } in cells::parts() {
            let title: Vec<&str> = title.lines().map(str::trim_end).collect();
            write!(text, "\n{}\n\n{HEAD}\n", title.join("\n")).expect("a String takes all");
            for cell in cells {
                let begin = cell.begin();
                let old = kept.lines().find(|line| line.starts_with(&begin));
                let row = self.0.get(&cell.words).map(String::as_str).or(old);
                writeln!(text, "{}", row.unwrap_or(begin.trim_end())).expect("a String takes all");
            }
        }
        text
    }

    /// Returns the rows, sorted by their paths.
    pub fn rows(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }
}

impl Cell {
    fn path(&self) -> Path {
        Path::parse(self.words.split(' ')).unwrap_or_else(|word| panic!("{word} says nothing"))
    }

    /// Returns the beginning of the row, which no other row has.
    fn begin(&self) -> String {
        format!("{} {:<62} ", if self.is_quick { '*' } else { ' ' }, self.words)
    }

    fn row(&self, outcome: &Outcome) -> String {
        let goal = self.goal;
        let above = |figure: f64, most: Option<f64>, digits: i32| {
            // A figure is compared as it is shown.
            let shown = (figure * 10f64.powi(digits)).round() / 10f64.powi(digits);
            most.is_some_and(|most| shown > most)
        };
        let hosts = self.path().hosts;
        let missed = [
            above(outcome.time, goal.time, 3),
            above(outcome.sent, goal.sent, 4),
            goal.feedback.is_some_and(|(peak, _)| outcome.feedback_peak > peak),
            above(outcome.feedback_share, goal.feedback.map(|(_, share)| share), 5),
            goal.nobody && !outcome.accused.is_empty(),
        ];
        let mark = |at: usize| if missed[at] { '!' } else { ' ' };
        let mut misses = Vec::new();
        misses
            .extend((outcome.done_count < hosts).then(|| format!("{} of {hosts} done", outcome.done_count)));
        misses.extend((outcome.refused > 0).then(|| format!("{} datagrams refused", outcome.refused)));
        let verdict = match (&misses[..], missed.contains(&true)) {
            ([], false) => String::new(),
            ([], true) => "; missed".to_owned(),
            (misses, _) => format!("; missed: {}", misses.join(", ")),
        };
        let row = format!(
            "{}{:>7.3}{}{:>8.4}{}{:>6}{}{:>8.3}{} {:<13}{} {}{verdict}",
            self.begin(),
            outcome.time,
            mark(0),
            outcome.sent,
            mark(1),
            outcome.feedback_peak,
            mark(2),
            outcome.feedback_share * 100.0,
            mark(3),
            accused(&outcome.accused),
            mark(4),
            goal.words(),
        );
        row.trim_end().to_owned()
    }
}

/// Returns who was accused, as a column.
fn accused(names: &[HostName]) -> String {
    match names {
        [] => "-".to_owned(),
        [name] => name.to_string(),
        names => format!("{} hosts", names.len()),
    }
}

const HEAD: &str = "\
  path                                                              time     bytes   most/s  of bits  accused        goal";

const PREFACE: &str = "\
Pushes over many paths, simulated with the real machines: `make sim-paths` makes this again and shows what has changed;
`make test` makes the rows with a star, and `make sim-paths QUICK=1` makes these again. `make sim-paths WITH='hosts=20 rtt=50'`
makes those with these words. A row without figures was not made yet.

A path is told in words, which `make sim-path PUSH='...'` takes: rates in Mbit/s, times in ms, sizes in MiB. Where they say
nothing there are one host, 512 MiB, a line of 1000 Mbit/s, a rate that adapts (auto=1), a round trip of 0.2 ms, no loss, a
store that writes at once, and seed 1. `store` is of all hosts, `slow` hosts have a `slowstore`; `neck` is a bottleneck that
all share, with a `queue`; hosts of a `rack` lose the same; `jitter` is drawn for each datagram and host, so that it reorders
as much as it can; with `jobs=1` a job is one event, so that a burst may be longer than 0.1 ms of the line.

`time` is that to the verdict, as a share of the object's alone on the narrowest part: line, neck, or slowest store. `bytes`
are the frames sent, as a share of the object's alone. `most/s` are the datagrams from all hosts in the busiest second, and
`of bits` is what they send in per cent of what is sent to them. Accused are hosts that were side-lined or called silent. A
figure with `!` misses its goal.
";
