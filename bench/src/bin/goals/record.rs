//! The results as `goals.json` and `goals.md` hold them. A line that is measured again replaces its earlier result; the
//! others stay.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use glancecast_bench::lab::machine::Machine;
use glancecast_bench::lab::results;
use serde::{Deserialize, Serialize};

use crate::goal::{self, Goal, Limit};

/// Everything that was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Goals {
    pub(crate) lines: Vec<Line>,
}

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) work: String,
    pub(crate) image_bytes: u64,
    pub(crate) unit: String,
    pub(crate) goal: Limit,
    /// The median of the samples; none when one of them failed.
    pub(crate) measured: Option<f64>,
    pub(crate) is_reached: bool,
    pub(crate) machine: Machine,
    pub(crate) samples: Vec<Sample>,
}

/// One repetition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// None when it failed.
    pub(crate) value: Option<f64>,
    /// What else was measured, or why it failed.
    pub(crate) details: String,
}

impl Goals {
    /// Reads the results of earlier runs, if there are any.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        results::read(directory, NAME)
    }

    /// Adds a line, or replaces it, in the order in which they are measured.
    pub(crate) fn put(&mut self, mut line: Line) {
        line.conclude();
        self.lines.retain(|earlier| earlier.name != line.name);
        self.lines.push(line);
        let order: Vec<_> = goal::all().iter().map(|goal| goal.name).collect();
        self.lines.sort_by_key(|line| order.iter().position(|name| *name == line.name));
    }

    /// Writes the JSON and the page.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        results::write(directory, NAME, self, &self.page())
    }

    /// A row a line.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from("| line | work | measured | goal | reached |\n|---|---|--:|--:|---|\n");
        for line in &self.lines {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                line.name,
                line.work,
                line.shown(),
                line.goal.shown(&line.unit),
                if line.is_reached { "yes" } else { "NO" }
            );
        }
        text
    }

    fn page(&self) -> String {
        let mut text = format!("{HEAD}\n{}", self.table());
        for line in &self.lines {
            let _ = writeln!(
                text,
                "\n## {}\n\n{} MiB; {}.\n",
                line.name,
                line.image_bytes >> 20,
                line.machine.summary()
            );
            for sample in &line.samples {
                let _ = writeln!(text, "- {}", sample.summary(&line.unit));
            }
        }
        text
    }
}

impl Line {
    /// Without samples.
    pub(crate) fn new(goal: &Goal) -> Self {
        Self {
            name: goal.name.to_owned(),
            work: goal.work.to_owned(),
            image_bytes: goal.image_bytes,
            unit: goal.unit.to_owned(),
            goal: goal.limit,
            measured: None,
            is_reached: false,
            machine: Machine::this(),
            samples: Vec::new(),
        }
    }

    fn conclude(&mut self) {
        let values: Option<Vec<f64>> = self.samples.iter().map(|sample| sample.value).collect();
        self.measured = values.filter(|values| !values.is_empty()).map(glancecast_bench::measure::median);
        self.is_reached = self.measured.is_some_and(|value| self.goal.is_reached_by(value));
    }

    /// What the samples amount to.
    pub(crate) fn summary(&self) -> String {
        let mut line = self.clone();
        line.conclude();
        let reached = if line.is_reached { "reached" } else { "NOT reached" };
        format!("{}, goal {}: {reached}", line.shown(), line.goal.shown(&line.unit))
    }

    fn shown(&self) -> String {
        self.measured.map_or_else(|| "failed".to_owned(), |value| format!("{value:.3} {}", self.unit))
    }
}

impl Sample {
    /// In one line.
    pub(crate) fn summary(&self, unit: &str) -> String {
        match self.value {
            Some(value) => format!("{value:.3} {unit}: {}", self.details),
            None => format!("failed: {}", self.details),
        }
    }
}

/// Of the files.
const NAME: &str = "goals";
const HEAD: &str = "\
# What glancecast is to reach, and what it reached

Written by `make bench-goals`; `docs/performance.md` explains the lines. Medians of the repetitions below.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides() {
        let mut goals = Goals::default();
        goals.put(line("4x400m", &[Some(1.2), Some(1.01), Some(1.03)]));
        assert!(
            goals.table().contains("| 1.030 x line time | <= 1.05 x line time | yes |"),
            "{}",
            goals.table()
        );
    }

    #[test]
    fn a_failed_repetition_fails_the_line() {
        let mut goals = Goals::default();
        goals.put(line("4x400m", &[Some(1.0), None]));
        assert!(goals.table().contains("| failed | <= 1.05 x line time | NO |"), "{}", goals.table());
    }

    #[test]
    fn a_line_that_is_measured_again_replaces_itself_alone() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, value) in [("16x200m", 1.1), ("4x400m", 1.3), ("4x400m", 1.2)] {
            let mut goals = Goals::read(directory.path()).expect("nothing, or just written");
            goals.put(line(name, &[Some(value)]));
            goals.write(directory.path()).expect("a temporary directory takes it");
        }
        let goals = Goals::read(directory.path()).expect("just written");
        let lines: Vec<_> = goals.lines.iter().map(|line| (line.name.as_str(), line.measured)).collect();
        assert_eq!(lines, [("4x400m", Some(1.2)), ("16x200m", Some(1.1))]);
    }

    fn line(name: &str, values: &[Option<f64>]) -> Line {
        let goal = goal::all().into_iter().find(|goal| goal.name == name).expect("it is one");
        let samples = values.iter().map(|value| Sample { value: *value, details: String::new() }).collect();
        Line { samples, ..Line::new(&goal) }
    }
}
