//! What the hosts say before a push that is only looked at: who would take part, and who could not.

use std::collections::BTreeSet;
use std::fmt::Write;

use glancecast_proto::ids::HostName;
use glancecast_proto::query::HostAnswer;
use glancecast_proto::ranges::fold;
use glancecast_proto::sender::{Expected, SenderConfig};
use indicatif::BinaryBytes;
use serde::Serialize;

/// The hosts of a push by what they answered. The lists are folded ranges.
#[derive(Debug, Serialize)]
pub(crate) struct Preflight {
    /// Hosts that answered.
    answered: usize,
    /// Hosts that should have answered.
    expected: Option<usize>,
    /// Those that did not.
    missing: String,
    /// Those with less room than the image takes, and without an image of its name.
    short_of_space: String,
    /// The room on the one of them that has least.
    free_bytes_min: Option<u64>,
    /// Those that hold an image of this name. Whether it is the same one shows in the push.
    holding_the_name: String,
    #[serde(skip)]
    bytes: u64,
    #[serde(skip)]
    name: String,
}

impl Preflight {
    pub(crate) fn new(config: &SenderConfig, answers: &[HostAnswer]) -> Self {
        let heard = || answers.iter().filter(|row| row.about.is_some());
        let holds = |row: &&HostAnswer| row.objects.iter().any(|held| held.name == config.name);
        let bytes = config.geometry.object_bytes();
        let free = |row: &HostAnswer| row.about.as_ref().and_then(|about| about.free_bytes);
        let short: Vec<&HostAnswer> =
            heard().filter(|row| !holds(row) && free(row).is_some_and(|free| free < bytes)).collect();
        let expected = match &config.expected {
            Expected::Named(names) => Some(names.len()),
            Expected::Count(count) => Some(*count as usize),
            Expected::Anyone => None,
        };
        let answered: BTreeSet<&HostName> = heard().map(|row| &row.name).collect();
        let missing = answers.iter().filter(|row| row.about.is_none()).map(|row| &row.name);
        Self {
            answered: answered.len(),
            expected,
            missing: fold(missing.filter(|name| !answered.contains(name))),
            free_bytes_min: short.iter().filter_map(|row| free(row)).min(),
            short_of_space: fold(short.into_iter().map(|row| &row.name)),
            holding_the_name: fold(heard().filter(holds).map(|row| &row.name)),
            bytes,
            name: config.name.to_string(),
        }
    }

    /// Whether every expected host answered and has room.
    pub(crate) fn is_well(&self) -> bool {
        let all = self.expected.map_or(self.answered > 0, |expected| self.answered >= expected);
        all && self.missing.is_empty() && self.short_of_space.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        let of = self.expected.map_or_else(String::new, |expected| format!(" of {expected}"));
        let mut text = format!("{}{of} hosts answered\n", self.answered);
        if !self.missing.is_empty() {
            let _ = writeln!(text, "no answer: {}", self.missing);
        }
        if let Some(free) = self.free_bytes_min {
            let (free, bytes) = (BinaryBytes(free), BinaryBytes(self.bytes));
            let _ =
                writeln!(text, "too little space: {} ({free} at least, {bytes} needed)", self.short_of_space);
        }
        if !self.holding_the_name.is_empty() {
            let _ = writeln!(text, "an image named {} is there: {}", self.name, self.holding_the_name);
        }
        text
    }
}
