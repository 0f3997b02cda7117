//! The progress bar: on a terminal only.

use std::fmt::Write;
use std::time::Duration;

use glancecast_platform::units::Rate;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::sender::Tally;
use indicatif::{BinaryBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pipeline::push::Progress;

/// Draws how far a push is.
pub(super) struct Bar {
    bar: ProgressBar,
    geometry: Geometry,
    /// Hosts may hold much of it in a base: the bar shows how much is read, and what is sent follows from what they ask for.
    by_request: bool,
}

impl Bar {
    /// A bar on standard error, invisible where that is no terminal or `quiet` is set.
    pub(super) fn new(name: &str, geometry: Geometry, by_request: bool, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(geometry.object_bytes()), target);
        let style = ProgressStyle::with_template("{prefix} [{bar:20}] {percent:>3} % {wide_msg}");
        bar.set_style(style.expect("the template is right").progress_chars("=> "));
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, geometry, by_request }
    }

    /// Shows where the push is now.
    pub(super) fn show(&self, progress: &Progress) {
        let done =
            (u64::from(progress.blocks_sent) * self.geometry.block_bytes()).min(self.geometry.object_bytes());
        self.bar.set_position(done);
        let left = match (progress.proven, done == self.geometry.object_bytes()) {
            (true, true) if self.by_request => "hosts ask for what they lack".to_owned(),
            (true, true) => "finishing".to_owned(),
            (false, true) => "checking the source".to_owned(),
            (_, false) => format!("ETA {}", HumanDuration(self.bar.eta())),
        };
        self.bar.set_message(format!(
            "{} | {left} | {} of {}{}, {} of data, {} sent at {}",
            hosts(progress.hosts),
            BinaryBytes(done),
            BinaryBytes(self.geometry.object_bytes()),
            if self.by_request { " read" } else { "" },
            BinaryBytes(progress.content.data_bytes),
            BinaryBytes(progress.wire_bytes),
            Rate::from_bits(progress.rate).map_or_else(String::new, |rate| rate.to_string()),
        ));
    }

    /// Leaves the line to what comes next.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows what is done before a push: an image that comes as a whole first, and its conversion.
#[derive(Clone)]
pub(super) struct Preparation {
    bar: ProgressBar,
}

impl Preparation {
    /// Nothing yet; invisible under the same conditions.
    pub(super) fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is right"));
        Self { bar }
    }

    /// So many bytes have come.
    pub(super) fn downloading(&self, got: u64, of: u64) {
        self.bar.set_message(format!("downloading: {} of {}", BinaryBytes(got), BinaryBytes(of)));
        self.bar.tick();
    }

    /// So many percent are raw.
    pub(super) fn converting(&self, from: &str, percent: &str) {
        self.bar.set_message(format!("converting {from} to raw, once for all hosts: {percent} %"));
        self.bar.tick();
    }

    /// Leaves the line to what comes next.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
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
