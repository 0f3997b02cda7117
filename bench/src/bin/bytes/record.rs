//! The results as `bytes.json` and `bytes.md` hold them. A row that is measured again replaces its earlier result; the
//! others stay.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use glancecast_bench::lab::machine::Machine;
use glancecast_bench::lab::results;
use glancecast_bench::push::Image;
use glancecast_tests::image;
use serde::{Deserialize, Serialize};

use crate::PLANS;
use crate::goals::{self, Goal};

/// Everything that was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bytes {
    rows: Vec<Row>,
    /// What is to be reached, by these rows.
    #[serde(default)]
    goals: Vec<Goal>,
}

/// One image.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    work: String,
    image_bytes: u64,
    /// What the image takes of its disk.
    allocated_bytes: u64,
    /// What of it is no hole and not zero, where that is known.
    #[serde(default)]
    pub(crate) data_bytes: Option<u64>,
    /// The length of the compressed qcow2 of it.
    pub(crate) qcow2_bytes: Option<u64>,
    machine: Machine,
    ways: Vec<Measured>,
}

/// One way of an image.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    way: String,
    runs: Vec<Run>,
}

/// One repetition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    /// From the start of the sender to the whole copy; none when it failed.
    pub(crate) seconds: Option<f64>,
    /// What was sent, or would be.
    pub(crate) wire_bytes: u64,
    /// Full datagrams of what had to be sent, where that is known.
    #[serde(default)]
    pub(crate) least_bytes: Option<u64>,
    /// What the copy takes of its disk.
    pub(crate) allocated_bytes: Option<u64>,
    /// What else was measured, or why it failed.
    pub(crate) details: String,
}

impl Run {
    pub(crate) fn failed(why: &str) -> Self {
        Self {
            seconds: None,
            wire_bytes: 0,
            least_bytes: None,
            allocated_bytes: None,
            details: why.to_owned(),
        }
    }

    pub(crate) fn summary(&self) -> String {
        match self.seconds {
            Some(seconds) => format!("{seconds:>7.2} s {:>13} bytes; {}", self.wire_bytes, self.details),
            None => format!("failed: {}", self.details),
        }
    }
}

impl Row {
    pub(crate) fn new(name: &str, work: &str, image: &Image) -> Self {
        Self {
            name: name.to_owned(),
            work: work.to_owned(),
            image_bytes: image.bytes,
            allocated_bytes: image::allocated_bytes(&image.path),
            data_bytes: None,
            qcow2_bytes: None,
            machine: Machine::this(),
            ways: Vec::new(),
        }
    }

    /// The repetition of the middle time of a way.
    pub(crate) fn median(&self, way: &str) -> Option<&Run> {
        self.ways.iter().find(|measured| measured.way == way)?.median()
    }

    pub(crate) fn put(&mut self, way: &str, run: Run) {
        match self.ways.iter_mut().find(|measured| measured.way == way) {
            Some(measured) => measured.runs.push(run),
            None => self.ways.push(Measured { way: way.to_owned(), runs: vec![run] }),
        }
    }
}

impl Measured {
    /// The repetition of the middle time; none when one of them failed.
    fn median(&self) -> Option<&Run> {
        let mut runs: Vec<&Run> = self.runs.iter().filter(|run| run.seconds.is_some()).collect();
        runs.sort_by(|one, other| one.seconds.partial_cmp(&other.seconds).expect("times are numbers"));
        (runs.len() == self.runs.len()).then(|| runs[runs.len() / 2])
    }
}

impl Bytes {
    /// Reads the results of earlier runs, if there are any.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        results::read(directory, NAME)
    }

    /// Adds a row, or replaces it.
    pub(crate) fn put(&mut self, row: Row) {
        self.rows.retain(|earlier| earlier.name != row.name);
        self.rows.push(row);
        self.rows.sort_by_key(|row| PLANS.iter().position(|plan| plan.name == row.name));
        self.goals = goals::judge(&self.rows);
    }

    /// Writes the JSON and the page.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        results::write(directory, NAME, self, &self.page())
    }

    /// What is to be reached and was.
    pub(crate) fn goals(&self) -> String {
        let mut text =
            String::from("| goal | figure | measured | to be | reached |\n|---|---|--:|--:|---|\n");
        for goal in &self.goals {
            let measured = goal.measured.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
            let reached = if goal.is_reached { "yes" } else { "NO" };
            let limit = goal.limit.text();
            let _ = writeln!(text, "| {} | {} | {measured} | {limit} | {reached} |", goal.name, goal.what);
        }
        text
    }

    /// The goals, and a table for each image.
    pub(crate) fn page(&self) -> String {
        let mut text = format!("{HEAD}\n{}", self.goals());
        for row in &self.rows {
            let _ = writeln!(
                text,
                "\n## {}\n\n{}. {} bytes, of which the disk holds {}; {}.",
                row.name,
                row.work,
                row.image_bytes,
                row.allocated_bytes,
                row.machine.summary()
            );
            if let Some(bytes) = row.qcow2_bytes {
                let _ = writeln!(text, "\nAs a qcow2 of `qemu-img convert -c` it has {bytes} bytes.");
            }
            text.push_str(
                "\n| way | s | bytes sent | image / sent | copy on the disk |\n|---|--:|--:|--:|--:|\n",
            );
            for measured in &row.ways {
                let line = match measured.median() {
                    Some(run) => format!(
                        "{:.2} | {} | {:.1} | {} |",
                        run.seconds.unwrap_or(f64::NAN),
                        run.wire_bytes,
                        row.image_bytes as f64 / run.wire_bytes.max(1) as f64,
                        run.allocated_bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string())
                    ),
                    None => "failed | | | |".to_owned(),
                };
                let _ = writeln!(text, "| {} | {line}", measured.way);
            }
            text.push('\n');
            for measured in &row.ways {
                for run in &measured.runs {
                    let _ = writeln!(text, "- {}: {}", measured.way, run.summary());
                }
            }
        }
        text
    }
}

/// Of the files.
const NAME: &str = "bytes";
const HEAD: &str = "# What need not be sent\n\nOne receiver; times are from the start of the sender to the whole copy, the \
                    middle of the repetitions, and bytes are those of the same run. Images, copies and spools are in memory. `make bench-bytes` measures it.\n";
