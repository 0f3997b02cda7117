//! The results as `versus.json` holds them. A scenario that is run again replaces its earlier results; the others stay.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::run;
use crate::scenario::{self, Network, Scenario};
use crate::tool::{self, Extra, Tool};
use crate::{plot, table};

/// Everything that was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Versus {
    /// Of this file; one that differs is not read.
    pub(crate) format: u32,
    /// One entry a scenario.
    pub(crate) scenarios: Vec<Measured>,
}

/// A scenario: all of it was measured in one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) network: Network,
    pub(crate) image_bytes: u64,
    pub(crate) seed: u64,
    /// Seconds that the line alone needs.
    pub(crate) line_seconds: Option<f64>,
    pub(crate) machine: Machine,
    /// One entry a repetition.
    pub(crate) kernel_path: Vec<KernelPath>,
    pub(crate) tools: Vec<Results>,
}

/// What the kernel's path alone carried, as the mean of the receivers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KernelPath {
    /// Datagrams of 1472 bytes.
    pub(crate) datagrams_per_second: f64,
    /// Their payload.
    pub(crate) gbit_s: f64,
    /// Seconds for as many bytes as the image has.
    pub(crate) seconds: f64,
    /// What was sent and reached no receiver.
    pub(crate) lost_share: f64,
}

/// A tool in a scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The command lines: the sender's, and the first receiver's.
    pub(crate) commands: Vec<String>,
    pub(crate) note: String,
    /// One entry a repetition.
    pub(crate) runs: Vec<Run>,
}

/// One run of a tool.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Until the last receiver had a file equal to the image; none when that did not happen.
    pub(crate) seconds: Option<f64>,
    /// By the counter of the sender's interface.
    pub(crate) sent_bytes: u64,
    /// User and system time of all processes of the sender.
    pub(crate) sender_cpu_seconds: f64,
    /// User and system time of all processes of all receivers.
    pub(crate) receivers_cpu_seconds: f64,
    /// Why there are no seconds.
    pub(crate) failure: Option<String>,
}

/// Medians of the runs that did not fail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Medians {
    pub(crate) seconds: f64,
    pub(crate) sent_bytes: f64,
    pub(crate) sender_cpu_seconds: f64,
    pub(crate) receivers_cpu_seconds: f64,
}

impl Versus {
    /// Reads the results of earlier runs, if there are any.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(JSON);
        let empty = Self { format: FORMAT, scenarios: Vec::new() };
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

    /// Adds a scenario, or replaces it, in the order in which scenarios run.
    pub(crate) fn put(&mut self, measured: Measured) {
        self.scenarios.retain(|earlier| earlier.name != measured.name);
        self.scenarios.push(measured);
        let order: Vec<_> = scenario::all().iter().map(|scenario| scenario.name).collect();
        self.scenarios.sort_by_key(|measured| order.iter().position(|name| *name == measured.name));
    }

    /// A scenario's results.
    pub(crate) fn scenario(&self, name: &str) -> Option<&Measured> {
        self.scenarios.iter().find(|measured| measured.name == name)
    }

    /// Writes the JSON, the table and the plot.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let json = serde_json::to_string_pretty(self).context("results are plain data")? + "\n";
        for (name, text) in [(JSON, json), ("versus.md", table::page(self)), ("versus.svg", plot::plot(self))]
        {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

impl Measured {
    /// A scenario before its first run.
    pub(crate) fn new(scenario: &Scenario, seed: u64, extra: &Extra, tools: &[Box<dyn Tool>]) -> Self {
        Self {
            name: scenario.name.to_owned(),
            network: scenario.network.clone(),
            image_bytes: scenario.image_bytes,
            seed,
            line_seconds: scenario.network.line_seconds(scenario.image_bytes),
            machine: Machine::this(),
            kernel_path: Vec::new(),
            tools: tools.iter().map(|tool| Results::new(tool.as_ref(), scenario, extra)).collect(),
        }
    }

    /// How many runs failed.
    pub(crate) fn failures(&self) -> usize {
        self.tools.iter().map(Results::failures).sum()
    }

    /// The median seconds of the kernel's path.
    pub(crate) fn kernel_path_seconds(&self) -> Option<f64> {
        median(self.kernel_path.iter().map(|path| path.seconds))
    }
}

impl Results {
    fn new(tool: &dyn Tool, scenario: &Scenario, extra: &Extra) -> Self {
        // Paths as a reader would choose them.
        let site = run::site(scenario, Path::new("/tmp"), Path::new("/tmp/image"), extra);
        let receiver = site.hosts.first().map(|host| tool::receiver_line(tool, &site, host));
        let commands =
            tool::sender_lines(tool, &site).into_iter().flatten().chain(receiver).map(|line| line.shown());
        Self {
            name: tool.name().to_owned(),
            version: tool.version(),
            commands: commands.collect(),
            note: tool.note().to_owned(),
            runs: Vec::new(),
        }
    }

    /// How many runs failed.
    pub(crate) fn failures(&self) -> usize {
        self.runs.iter().filter(|run| run.seconds.is_none()).count()
    }

    /// Medians of the others, if there are any.
    pub(crate) fn medians(&self) -> Option<Medians> {
        let good: Vec<&Run> = self.runs.iter().filter(|run| run.seconds.is_some()).collect();
        Some(Medians {
            seconds: median(good.iter().filter_map(|run| run.seconds))?,
            sent_bytes: median(good.iter().map(|run| run.sent_bytes as f64))?,
            sender_cpu_seconds: median(good.iter().map(|run| run.sender_cpu_seconds))?,
            receivers_cpu_seconds: median(good.iter().map(|run| run.receivers_cpu_seconds))?,
        })
    }
}

impl Run {
    /// One that could not even be run to its end.
    pub(crate) fn failed(why: &str) -> Self {
        Self { failure: Some(why.to_owned()), ..Self::default() }
    }

    /// In one line.
    pub(crate) fn summary(&self) -> String {
        let cpu = format!("{:.2} + {:.2} s of CPU", self.sender_cpu_seconds, self.receivers_cpu_seconds);
        match (self.seconds, &self.failure) {
            (Some(seconds), _) => format!("{seconds:>7.2} s  {} MiB sent, {cpu}", self.sent_bytes >> 20),
            (None, failure) => format!("failed: {}", failure.as_deref().unwrap_or("no reason")),
        }
    }
}

/// The middle one, of an even number the mean of the two in the middle.
fn median(samples: impl Iterator<Item = f64>) -> Option<f64> {
    let mut samples: Vec<f64> = samples.collect();
    samples.sort_by(f64::total_cmp);
    let half = samples.len() / 2;
    match samples.len() {
        0 => None,
        len if len.is_multiple_of(2) => Some(f64::midpoint(samples[half - 1], samples[half])),
        _ => Some(samples[half]),
    }
}

const JSON: &str = "versus.json";
const FORMAT: u32 = 1;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn medians_leave_failed_runs_out() {
        let results = results("udpcast", &[Some(3.0), None, Some(1.0), Some(2.0)]);
        assert_eq!(results.failures(), 1);
        assert!((results.medians().expect("three").seconds - 2.0).abs() < 1e-9);
        assert!(self::results("udpcast", &[None]).medians().is_none());
    }

    #[test]
    fn the_median_of_two_is_between_them() {
        assert_eq!(median([1.0, 4.0].into_iter()), Some(2.5));
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn a_scenario_that_runs_again_replaces_itself_alone() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut versus = Versus::read(directory.path()).expect("nothing yet");
        for (name, seconds) in [("4x400m", 6.0), ("8x1g", 9.0), ("8x1g", 3.0)] {
            versus.put(measured(name, &[("udpcast", &[Some(seconds)])]));
            versus.write(directory.path()).expect("a temporary directory takes it");
            versus = Versus::read(directory.path()).expect("just written");
        }
        let seconds = |name| versus.scenario(name).expect("put").tools[0].runs[0].seconds;
        assert_eq!(versus.scenarios.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["8x1g", "4x400m"]);
        assert_eq!((seconds("8x1g"), seconds("4x400m")), (Some(3.0), Some(6.0)));
    }

    pub(crate) fn measured(name: &str, tools: &[(&str, &[Option<f64>])]) -> Measured {
        let scenario = scenario::all().into_iter().find(|scenario| scenario.name == name).expect("it is one");
        let path = KernelPath { datagrams_per_second: 1e5, gbit_s: 1.2, seconds: 1.8, lost_share: 0.0 };
        Measured {
            name: name.to_owned(),
            image_bytes: scenario.image_bytes,
            seed: 4,
            line_seconds: scenario.network.line_seconds(scenario.image_bytes),
            network: scenario.network,
            machine: Machine::this(),
            kernel_path: vec![path],
            tools: tools.iter().map(|(name, seconds)| results(name, seconds)).collect(),
        }
    }

    fn results(name: &str, seconds: &[Option<f64>]) -> Results {
        let run = |seconds: &Option<f64>| Run {
            seconds: *seconds,
            sent_bytes: 300 << 20,
            failure: seconds.is_none().then(|| "gone".to_owned()),
            ..Run::default()
        };
        Results {
            name: name.to_owned(),
            version: "1".to_owned(),
            commands: vec![format!("{name} --fast")],
            note: "a note".to_owned(),
            runs: seconds.iter().map(run).collect(),
        }
    }
}
