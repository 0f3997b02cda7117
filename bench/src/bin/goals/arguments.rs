//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;

use crate::goal::{self, Goal};

/// Measures what glancecast is to reach, each figure in network namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(name = "goals")]
pub(crate) struct Arguments {
    /// Where goals.json and goals.md are written; lines that are not measured keep their results
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    pub(crate) output: PathBuf,

    /// The lines to measure, by name or by what their names begin with; all of them when not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// How often each is measured; medians need three
    #[arg(long, value_name = "N")]
    pub(crate) repeat: Option<usize>,

    /// Once, of an eighth of each image: to see that everything works
    #[arg(long)]
    pub(crate) quick: bool,

    /// The part of a shaped line that the sender is told to use
    #[arg(long, value_name = "SHARE", default_value_t = 0.985)]
    pub(crate) share: f64,

    /// Seconds after which a push has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 150)]
    limit: u64,

    /// Where images and copies are kept while it runs: memory, so that no disk decides
    #[arg(long, value_name = "DIRECTORY", default_value = "/dev/shm")]
    pub(crate) memory: PathBuf,

    /// A lock file to hold during each repetition, if the machine is shared with somebody who holds it too
    #[arg(long, value_name = "FILE")]
    pub(crate) lock: Option<PathBuf>,

    /// The number that the images' bytes come from
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) seed: u64,

    /// List the lines
    #[arg(long)]
    pub(crate) list: bool,

    /// Set by the supervisor for the process that measures
    #[arg(long, hide = true)]
    pub(crate) work_in: Option<PathBuf>,
}

impl Arguments {
    /// What to measure.
    pub(crate) fn goals(&self) -> Result<Vec<Goal>> {
        let all = goal::all();
        // A name may be what others begin with: a whole name is that line alone.
        let names = |goal: &Goal, name: &str| {
            goal.name == name || goal.name.starts_with(name) && !all.iter().any(|goal| goal.name == name)
        };
        if let Some(name) = self.only.iter().find(|name| !all.iter().any(|goal| names(goal, name))) {
            let known: Vec<_> = all.iter().map(|goal| goal.name).collect();
            bail!("there is no line {name}; there are {}", known.join(", "));
        }
        let wanted = |goal: &Goal| self.only.is_empty() || self.only.iter().any(|name| names(goal, name));
        let wanted: Vec<Goal> = all.iter().filter(|goal| wanted(goal)).cloned().collect();
        let shrink = if self.quick { 8 } else { 1 };
        Ok(wanted.into_iter().map(|goal| Goal { image_bytes: goal.image_bytes / shrink, ..goal }).collect())
    }

    /// How often.
    pub(crate) fn repetitions(&self) -> usize {
        self.repeat.unwrap_or(if self.quick { 1 } else { 3 })
    }

    /// When a push has failed.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_name_is_one_line_and_a_beginning_is_all_of_them() {
        assert_eq!(names("4x400m"), ["4x400m"]);
        assert_eq!(names("bytes,16x"), ["16x200m", "16x200m-loss", "bytes-1", "bytes-8", "bytes-64"]);
        assert!(parse(&["--only", "9x"]).goals().is_err());
    }

    fn names(only: &str) -> Vec<&'static str> {
        parse(&["--only", only]).goals().expect("known names").iter().map(|goal| goal.name).collect()
    }

    fn parse(arguments: &[&str]) -> Arguments {
        Arguments::parse_from([&["goals"], arguments].concat())
    }
}
