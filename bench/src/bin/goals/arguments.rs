//! The command line.

use anyhow::{Result, bail};
use clap::Parser;
use glancecast_bench::lab::arguments::Common;

use crate::goal::{self, Goal};

/// Measures what glancecast is to reach, each figure in network namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(name = "goals")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,

    /// The lines to measure, by name or by what their names begin with; all of them when not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// Once, of an eighth of each image: to see that everything works
    #[arg(long)]
    pub(crate) quick: bool,

    /// The part of a shaped line that the sender is told to use
    #[arg(long, value_name = "SHARE", default_value_t = 0.985)]
    pub(crate) share: f64,

    /// List the lines
    #[arg(long)]
    pub(crate) list: bool,
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
        self.common.repetitions(self.quick)
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
