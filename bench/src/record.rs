//! The results as stored in `NAME.json`. A repeated row replaces its earlier result; the others stay.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use glancecast_tests::image;
use serde::{Deserialize, Serialize};

use crate::case::{Case, Ground};
use crate::goal::Goal;
use crate::lab::machine::Machine;
use crate::lab::network::Network;

/// Everything that was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The version of the file's format.
    format: u32,
    /// One entry per case.
    pub rows: Vec<Row>,
    /// The goals with the figures of these rows.
    pub goals: Vec<Goal>,
}

/// The results of a case, all measured in one run of the program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The name of the case.
    pub name: String,
    /// A description for people.
    pub work: String,
    /// The network.
    pub network: Network,
    /// The length of the image.
    pub image_bytes: u64,
    /// The disk space of the image in bytes.
    pub allocated_bytes: u64,
    /// Bytes of the image outside holes, if known.
    pub data_bytes: Option<u64>,
    /// The length of the compressed qcow2 of the image.
    pub qcow2_bytes: Option<u64>,
    /// The seed of the image.
    pub seed: u64,
    /// The machine and the commit.
    pub machine: Machine,
    /// One entry per way.
    pub ways: Vec<Runs>,
}

/// The runs of a way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Runs {
    /// The name of the way.
    pub way: String,
    /// A remark about it.
    pub about: String,
    /// The command lines of the sender and the first receiver.
    pub commands: Vec<String>,
    /// One entry per repetition.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Run {
    /// The figures by name; empty for a failed run.
    pub figures: BTreeMap<String, f64>,
    /// The important figures and other observations, for people.
    pub details: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// See [`Runs::commands`], to which they are moved.
    #[serde(skip)]
    pub commands: Vec<String>,
    /// More figures, whose form only the measurement itself knows.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub profile: serde_json::Value,
}

impl Run {
    /// Creates a run with these figures.
    pub fn new<const N: usize>(figures: [(&str, f64); N], details: impl Into<String>) -> Self {
        let figures = figures.map(|(name, value)| (name.to_owned(), value)).into();
        Self { figures, details: details.into(), ..Self::default() }
    }

    /// Creates a failed run.
    pub fn failed(why: impl Into<String>) -> Self {
        Self { failure: Some(why.into()), ..Self::default() }
    }

    /// Returns a figure by name.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }

    /// Returns the details or the failure in one line.
    pub fn summary(&self) -> String {
        self.failure.as_ref().map_or_else(|| self.details.clone(), |why| format!("failed: {why}"))
    }
}

impl Runs {
    /// Returns the median of a figure over the successful runs.
    pub fn median(&self, figure: &str) -> Option<f64> {
        median(self.runs.iter().filter_map(|run| run.figure(figure)).collect())
    }

    /// Returns the median of a figure, or `None` if a run failed.
    pub fn median_of_all(&self, figure: &str) -> Option<f64> {
        self.median(figure).filter(|_| self.failures() == 0)
    }

    /// Returns the run with the median time, or `None` if a run failed.
    pub fn middle(&self) -> Option<&Run> {
        let mut runs: Vec<(f64, &Run)> =
            self.runs.iter().filter_map(|run| Some((run.figure("seconds")?, run))).collect();
        runs.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        (runs.len() == self.runs.len()).then(|| runs.get(runs.len() / 2))?.map(|(_, run)| *run)
    }

    /// Returns the number of failed runs.
    pub fn failures(&self) -> usize {
        self.runs.iter().filter(|run| run.failure.is_some()).count()
    }
}

impl Row {
    /// Creates a row before its first run.
    pub fn new(case: &Case, ground: &Ground<'_>, seed: u64) -> Self {
        let runs = |way: &crate::case::Way| Runs {
            way: way.name.clone(),
            about: way.about.clone(),
            commands: Vec::new(),
            runs: Vec::new(),
        };
        Self {
            name: case.name.to_owned(),
            work: case.work.clone(),
            network: case.network.clone(),
            image_bytes: ground.image.bytes,
            allocated_bytes: image::allocated_bytes(&ground.image.path),
            data_bytes: ground.data_bytes,
            qcow2_bytes: None,
            seed,
            machine: Machine::this(),
            ways: case.ways.iter().map(runs).collect(),
        }
    }

    /// Returns the runs of a way.
    pub fn way(&self, name: &str) -> Option<&Runs> {
        self.ways.iter().find(|runs| runs.way == name)
    }
}

impl Record {
    /// Reads earlier results, if there are any in this format.
    pub fn read(directory: &Path, name: &str) -> Result<Self> {
        let path = directory.join(format!("{name}.json"));
        let empty = Self { format: FORMAT, ..Self::default() };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(empty),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let earlier = serde_json::from_str::<Self>(&text).ok().filter(|earlier| earlier.format == FORMAT);
        Ok(earlier.unwrap_or_else(|| {
            println!("{} is not of this version and is replaced", path.display());
            empty
        }))
    }

    /// Adds or replaces a row, and sorts the rows as in `order`.
    pub fn put(&mut self, row: Row, order: &[&str]) {
        self.rows.retain(|earlier| earlier.name != row.name);
        self.rows.push(row);
        self.rows.sort_by_key(|row| order.iter().position(|name| *name == row.name));
    }

    /// Returns a row by name.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Writes `directory/NAME.json`.
    pub fn write(&self, directory: &Path, name: &str) -> Result<()> {
        let json = serde_json::to_string_pretty(self).context("results are plain data")? + "\n";
        write(directory, &format!("{name}.json"), &json)
    }
}

/// Writes a results file.
pub fn write(directory: &Path, name: &str, text: &str) -> Result<()> {
    let path = directory.join(name);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the median sample; of an even number, the mean of the two in the middle.
pub fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    let half = samples.len() / 2;
    let upper = *samples.get(half)?;
    Some(if samples.len().is_multiple_of(2) { f64::midpoint(samples[half - 1], upper) } else { upper })
}

const FORMAT: u32 = 2;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn medians_leave_failed_runs_out() {
        let runs = runs("udpcast", &[Some(3.0), None, Some(1.0), Some(2.0)]);
        assert_eq!((runs.failures(), runs.median("seconds")), (1, Some(2.0)));
        assert_eq!(runs.median_of_all("seconds"), None);
        assert!(runs.middle().is_none() && self::runs("udpcast", &[None]).median("seconds").is_none());
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn a_row_that_is_measured_again_replaces_itself_alone() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, seconds) in [("4x400m", 6.0), ("8x1g", 9.0), ("8x1g", 3.0)] {
            let mut record = Record::read(directory.path(), "some").expect("nothing, or just written");
            record.put(row(name, &[("udpcast", &[Some(seconds)])]), &["8x1g", "4x400m"]);
            record.write(directory.path(), "some").expect("a temporary directory takes it");
        }
        let record = Record::read(directory.path(), "some").expect("just written");
        let seconds = |row: &Row| (row.name.clone(), row.ways[0].median("seconds"));
        let rows: Vec<_> = record.rows.iter().map(seconds).collect();
        assert_eq!(rows, [("8x1g".to_owned(), Some(3.0)), ("4x400m".to_owned(), Some(6.0))]);
        write(directory.path(), "some.json", "{\"old\": 1}").expect("writable");
        assert!(Record::read(directory.path(), "some").expect("readable").rows.is_empty());
    }

    /// Returns a row of pushes of 256 MiB over 1 Gbit/s, for which the line alone needs 2.27 s.
    pub(crate) fn row(name: &str, ways: &[(&str, &[Option<f64>])]) -> Row {
        Row {
            name: name.to_owned(),
            work: "some work".to_owned(),
            network: Network::shaped(8, 1_000_000_000, false, 0),
            image_bytes: 256 << 20,
            allocated_bytes: 256 << 20,
            data_bytes: None,
            qcow2_bytes: None,
            seed: 4,
            machine: Machine::this(),
            ways: ways.iter().map(|(way, seconds)| runs(way, seconds)).collect(),
        }
    }

    fn runs(way: &str, seconds: &[Option<f64>]) -> Runs {
        let run = |seconds: f64| Run::new([("seconds", seconds), ("sent_bytes", 1e6)], "fine");
        let runs = seconds.iter().map(|seconds| seconds.map_or_else(|| Run::failed("gone"), run));
        let commands = vec![format!("{way} --fast")];
        Runs { way: way.to_owned(), about: "1".to_owned(), commands, runs: runs.collect() }
    }
}
