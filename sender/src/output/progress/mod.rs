//! Progress: a line that is drawn again and again on a terminal, and a line now and then elsewhere. `line` makes the text,
//! `lag` the words for hosts that hold the push back, `meter` finds rate and remaining time.

mod lag;
pub(crate) mod line;
mod meter;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use glancecast_platform::cli;
use glancecast_platform::clock::wall;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::query;
use glancecast_proto::sender::Expected;
use glancecast_proto::time::WallClock;
use indicatif::BinaryBytes;

use super::query_report::after;
use super::query_table::instant;
use super::terminal::{Colour, can_redraw_errors, error_columns};
use super::{dash, status_line};
use crate::pipeline::push::Progress;
use crate::request::{Observer, Preparing, PushPlan};
use line::{Phase, View, line};
use meter::Meter;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bars {
    /// A line on the terminal that is drawn again.
    OnTerminal,
    /// A line each [`LOG_GAP`], and at each change.
    InLog,
    /// Not at all.
    Off,
}

impl Bars {
    /// Returns how progress is shown on standard error.
    pub(crate) fn of_errors() -> Self {
        if can_redraw_errors() { Self::OnTerminal } else { Self::InLog }
    }
}

/// The display of a push.
pub(crate) struct Bar {
    bars: Bars,
    colour: Colour,
    gauge: Gauge,
    /// When the push ends whatever is missing.
    until: Option<WallClock>,
    /// The phase and the time of the last line in a log.
    logged: Option<(Phase, Duration)>,
}

impl Bar {
    /// Returns a display of this push.
    pub(crate) fn new(plan: &PushPlan, bars: Bars) -> Self {
        Self { bars, colour: Colour::of_environment(), gauge: Gauge::new(plan), until: None, logged: None }
    }

    /// Shows the push's progress.
    pub(crate) fn show(&mut self, progress: &Progress) {
        let until = instant(self.until(progress.left));
        let until = until.map_or_else(dash, |until| until.format("%H:%M:%SZ").to_string());
        let view = self.gauge.view(progress, &until);
        match self.bars {
            Bars::OnTerminal => {
                // A line of the full width would make some terminals go to the next one.
                let columns = error_columns().saturating_sub(1).max(1);
                status_line::draw(&line(&view, columns, self.colour));
            }
            Bars::InLog => {
                let is_due = self.logged.is_none_or(|(phase, at)| {
                    phase != view.phase || view.elapsed.saturating_sub(at) >= LOG_GAP
                });
                if is_due {
                    self.logged = Some((view.phase, view.elapsed));
                    cli::tell(&line(&view, LOG_COLUMNS, Colour::Off));
                }
            }
            Bars::Off => {}
        }
    }

    /// Clears the line for other output.
    pub(crate) fn clear(&self) {
        status_line::clear();
    }

    /// Returns the time of day in so long, in UTC. It stays the same while the progress is a little old.
    fn until(&mut self, left: Duration) -> WallClock {
        let at = after(wall(), left);
        let is_other = |until: &WallClock| at.distance(*until) > UNTIL_JITTER;
        if self.until.as_ref().is_none_or(is_other) {
            self.until = Some(at);
        }
        self.until.unwrap_or(at)
    }
}

/// What is known of a push from its progress so far.
pub(crate) struct Gauge {
    name: String,
    geometry: Geometry,
    /// Whether hosts may hold much of the object in a base: then the line shows how much is read, and hosts request the
    /// rest.
    by_request: bool,
    meter: Meter,
}

impl Gauge {
    pub(crate) fn new(plan: &PushPlan) -> Self {
        let (geometry, by_request) = (plan.config.geometry, plan.config.base.is_some());
        Self { name: plan.config.name.to_string(), geometry, by_request, meter: Meter::default() }
    }

    /// Takes in the progress, and returns what is to be shown.
    pub(crate) fn view<'a>(&'a mut self, progress: &'a Progress, until: &'a str) -> View<'a> {
        let total = self.geometry.object_bytes();
        let sent = (u64::from(progress.blocks_sent) * self.geometry.block_bytes()).min(total);
        self.meter.note(progress.time, sent, progress.frame_bytes);
        View {
            name: &self.name,
            phase: phase(progress, sent == total, self.by_request),
            sent,
            total,
            rate: self.meter.rate() / u64::from(progress.copies.max(1)),
            copies: progress.copies,
            elapsed: progress.time,
            eta: self.meter.left(total),
            hosts: progress.hosts,
            watch: &progress.watch,
            blocks: self.geometry.blocks(),
            until,
        }
    }
}

fn phase(progress: &Progress, all_sent: bool, by_request: bool) -> Phase {
    let hosts = progress.hosts;
    if progress.is_away {
        Phase::Away
    } else if progress.is_ending {
        Phase::Ending
    } else if !all_sent && progress.is_waiting && hosts.busy > 0 {
        Phase::Busy
    } else if !all_sent && progress.is_waiting && progress.blocks_sent == 0 {
        Phase::Waiting
    } else {
        match (all_sent, progress.proven, by_request) {
            (false, _, false) => Phase::Sending,
            (false, _, true) => Phase::Reading,
            (true, false, _) => Phase::Checking,
            (true, true, true) => Phase::Asking,
            (true, true, false) => Phase::Finishing,
        }
    }
}

/// The display of the steps before a push: the download of a whole image, and its conversion.
pub(crate) struct Preparation(Bars);

impl Preparation {
    /// Returns a display without a step.
    pub(crate) fn new(bars: Bars) -> Self {
        Self(bars)
    }

    /// Returns an observer that shows each step.
    pub(crate) fn observer(&self) -> Observer {
        let (bars, logged) = (self.0, Arc::new(Mutex::new(None::<Instant>)));
        Arc::new(move |step| {
            let text = || match step {
                Preparing::Downloading { got, of } => {
                    format!("downloading: {} of {}", BinaryBytes(got), BinaryBytes(of))
                }
                Preparing::Converting { from, percent } => {
                    format!("converting {from} to raw, once for all hosts: {percent} %")
                }
            };
            let mut last = logged.lock().unwrap_or_else(PoisonError::into_inner);
            let gap = match bars {
                Bars::OnTerminal => DRAW_GAP,
                Bars::InLog => LOG_GAP,
                Bars::Off => return,
            };
            if last.is_some_and(|at| at.elapsed() < gap) {
                return;
            }
            *last = Some(Instant::now());
            match bars {
                Bars::OnTerminal => {
                    let columns = error_columns().saturating_sub(1).max(1);
                    status_line::draw(&super::width::cut(&text(), columns));
                }
                Bars::InLog => cli::tell(&text()),
                Bars::Off => {}
            }
        })
    }

    /// Clears the line for other output.
    pub(crate) fn clear(&self) {
        status_line::clear();
    }
}

/// Returns the hosts' progress in hashing, which takes as long as reading; `None` if no host is hashing.
pub(crate) fn verifying(tally: query::Tally, expected: &Expected) -> Option<String> {
    let of = match expected {
        Expected::Named(names) => names.len(),
        Expected::Count(count) => *count as usize,
        Expected::Anyone => tally.heard as usize,
    };
    (tally.verifying > 0).then(|| {
        format!(
            "{} of {of} hosts have answered, {} verify: {} of {}",
            tally.settled,
            tally.verifying,
            BinaryBytes(tally.hashed),
            BinaryBytes(tally.to_hash),
        )
    })
}

/// The time between two lines where no terminal shows them.
const LOG_GAP: Duration = Duration::from_secs(10);
/// The time between two steps of a preparation on a terminal.
const DRAW_GAP: Duration = Duration::from_millis(100);
/// A deadline moves while the network is away. Less than this is no move.
const UNTIL_JITTER: Duration = Duration::from_millis(1_500);
/// A line of a log is not cut, unless names make it very long.
const LOG_COLUMNS: usize = 500;
