//! Progress: a bar on a terminal, and an occasional line for a query that hashes.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use glancecast_platform::units::Rate;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::query;
use glancecast_proto::sender::{Expected, Tally};
use indicatif::{BinaryBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pipeline::push::Progress;
use crate::request::{Observer, Preparing, PushPlan};

/// Whether bars are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bars {
    /// On standard error, if that is a terminal.
    OnTerminal,
    /// Not drawn.
    Off,
}

impl Bars {
    fn target(self) -> ProgressDrawTarget {
        match self {
            Self::OnTerminal => ProgressDrawTarget::stderr(),
            Self::Off => ProgressDrawTarget::hidden(),
        }
    }
}

/// The progress bar of a push.
pub(crate) struct Bar {
    bar: ProgressBar,
    geometry: Geometry,
    /// Whether hosts may hold much of the object in a base: then the bar shows how much is read, and hosts request the
    /// rest.
    by_request: bool,
}

impl Bar {
    /// Returns a bar for this push.
    pub(crate) fn new(plan: &PushPlan, bars: Bars) -> Self {
        let (geometry, by_request) = (plan.config.geometry, plan.config.base.is_some());
        let bar = ProgressBar::with_draw_target(Some(geometry.object_bytes()), bars.target());
        let style = ProgressStyle::with_template("{prefix} [{bar:20}] {percent:>3} % {wide_msg}");
        bar.set_style(style.expect("the template is right").progress_chars("=> "));
        bar.set_prefix(plan.config.name.to_string());
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, geometry, by_request }
    }

    /// Shows the push's progress.
    pub(crate) fn show(&self, progress: &Progress) {
        let done =
            (u64::from(progress.blocks_sent) * self.geometry.block_bytes()).min(self.geometry.object_bytes());
        self.bar.set_position(done);
        let left = match (progress.proven, done == self.geometry.object_bytes()) {
            _ if progress.is_away => "the network is away".to_owned(),
            (true, true) if self.by_request => "hosts ask for what they lack".to_owned(),
            (true, true) => "finishing".to_owned(),
            (false, true) => "checking the source".to_owned(),
            (_, false) => format!("ETA {}", HumanDuration(self.bar.eta())),
        };
        self.bar.set_message(format!(
            "{} | {left} | {} of {}{}, {} of data, {} sent at {}{}",
            hosts(progress.hosts),
            BinaryBytes(done),
            BinaryBytes(self.geometry.object_bytes()),
            if self.by_request { " read" } else { "" },
            BinaryBytes(progress.content.data_bytes),
            BinaryBytes(progress.wire_bytes),
            Rate::from_bits(progress.rate).map_or_else(String::new, |rate| rate.to_string()),
            if progress.copies > 1 { format!(" x {} copies", progress.copies) } else { String::new() },
        ));
    }

    /// Clears the bar's line for other output.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// The display of the steps before a push: the download of a whole image, and its conversion.
pub(crate) struct Preparation(ProgressBar);

impl Preparation {
    /// Returns a display without a step.
    pub(crate) fn new(bars: Bars) -> Self {
        let bar = ProgressBar::with_draw_target(None, bars.target());
        bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is right"));
        Self(bar)
    }

    /// Returns an observer that shows each step.
    pub(crate) fn observer(&self) -> Observer {
        let bar = self.0.clone();
        Arc::new(move |step| {
            bar.set_message(match step {
                Preparing::Downloading { got, of } => {
                    format!("downloading: {} of {}", BinaryBytes(got), BinaryBytes(of))
                }
                Preparing::Converting { from, percent } => {
                    format!("converting {from} to raw, once for all hosts: {percent} %")
                }
            });
            bar.tick();
        })
    }

    /// Clears the line for other output.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
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

fn hosts(tally: Tally) -> String {
    let Tally { heard, done, failed, silent, sidelined, busy, expected } = tally;
    if expected == 0 {
        return "no host heard".to_owned();
    }
    let mut text = format!("{done} of {expected} hosts done");
    if heard < expected {
        let _ = write!(text, ", {heard} heard");
    }
    for (count, what) in [(failed, "failed"), (silent, "silent"), (busy, "busy"), (sidelined, "side-lined")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text
}
