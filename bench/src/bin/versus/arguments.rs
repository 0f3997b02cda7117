//! The command line.

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use glancecast_bench::lab::arguments::Common;

use crate::scenario::{self, Scenario};
use crate::tool::{self, Extra, Tool};

/// Runs udpcast, UFTP, HTTP and BitTorrent beside glancecast in network namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(name = "versus")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,

    /// The scenarios to run, by name or by what their names begin with; all of them when not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// The tools to run; all of them when not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) tools: Vec<String>,

    /// More options for a tool's last process on the sender, to try whether it can do better: `uftp=-R 500000`
    #[arg(long, value_name = "TOOL=OPTIONS")]
    pub(crate) sender_options: Vec<String>,

    /// More options for a tool's receivers
    #[arg(long, value_name = "TOOL=OPTIONS")]
    pub(crate) receiver_options: Vec<String>,

    /// One run of each tool, of an eighth of each image: to see that everything works
    #[arg(long)]
    pub(crate) quick: bool,

    /// Say which packages are missing instead of installing them
    #[arg(long)]
    pub(crate) no_install: bool,

    /// List the scenarios
    #[arg(long)]
    pub(crate) list: bool,
}

impl Arguments {
    /// The scenarios to run.
    pub(crate) fn scenarios(&self) -> Result<Vec<Scenario>> {
        let all = scenario::all();
        for name in &self.only {
            if !all.iter().any(|scenario| scenario.name.starts_with(name.as_str())) {
                bail!("there is no scenario {name}; there are:\n{}", scenario::list());
            }
        }
        let wanted = |scenario: &Scenario| {
            self.only.is_empty() || self.only.iter().any(|name| scenario.name.starts_with(name.as_str()))
        };
        let shrink = if self.quick { 8 } else { 1 };
        let shrunk = |scenario: Scenario| Scenario { image_bytes: scenario.image_bytes / shrink, ..scenario };
        // `8x1g` is a scenario and what others begin with: a whole name is that scenario alone.
        let exact = |scenario: &Scenario| self.only.iter().any(|name| name == scenario.name);
        let wanted: Vec<Scenario> = all.into_iter().filter(wanted).collect();
        let some_exact = wanted.iter().any(exact);
        Ok(wanted.into_iter().filter(|scenario| !some_exact || exact(scenario)).map(shrunk).collect())
    }

    /// The tools to run.
    pub(crate) fn tools(&self) -> Result<Vec<Box<dyn Tool>>> {
        let all = tool::all();
        if let Some(name) = self.tools.iter().find(|name| !all.iter().any(|tool| tool.name() == **name)) {
            let names: Vec<_> = all.iter().map(|tool| tool.name()).collect();
            bail!("there is no tool {name}; there are {}", names.join(", "));
        }
        let wanted = |name: &str| self.tools.is_empty() || self.tools.iter().any(|wanted| wanted == name);
        Ok(all.into_iter().filter(|tool| wanted(tool.name())).collect())
    }

    /// What was added to the options of the tools.
    pub(crate) fn extra(&self) -> Result<Extra> {
        let tools = tool::all();
        let split = |text: &String| {
            let (name, options) = text.split_once('=').with_context(|| format!("{text}: TOOL=OPTIONS"))?;
            ensure!(tools.iter().any(|tool| tool.name() == name), "there is no tool {name}");
            Ok((name.to_owned(), options.split_whitespace().map(str::to_owned).collect()))
        };
        Ok(Extra {
            sender: self.sender_options.iter().map(split).collect::<Result<_>>()?,
            receiver: self.receiver_options.iter().map(split).collect::<Result<_>>()?,
        })
    }

    /// How often each tool runs.
    pub(crate) fn repetitions(&self) -> usize {
        self.common.repetitions(self.quick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_whole_name_is_one_scenario() {
        assert_eq!(names(&["--only", "8x1g"]), ["8x1g"]);
    }

    #[test]
    fn the_beginning_of_names_is_all_of_them() {
        assert_eq!(names(&["--only", "4x,1-"]), ["4x400m", "4x400m-loss", "1-unshaped"]);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert!(parse(&["--only", "9x1g"]).scenarios().is_err());
        assert!(parse(&["--tools", "scp"]).tools().is_err());
    }

    #[test]
    fn options_are_added_to_the_tool_they_name() {
        let added = parse(&["--sender-options", "uftp=-R 500000 -b 1300"]).extra().expect("a known tool");
        let [(name, options)] = &added.sender[..] else { panic!("one: {added:?}") };
        assert_eq!((name.as_str(), options.join("|")), ("uftp", "-R|500000|-b|1300".to_owned()));
        for wrong in ["scp=-C", "uftp"] {
            assert!(parse(&["--receiver-options", wrong]).extra().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_output_counts() {
        assert_eq!(parse(&["--output", "a", "--output", "b"]).common.output, Path::new("b"));
    }

    #[test]
    fn quick_is_one_run_of_less() {
        let (quick, full) = (parse(&["--quick"]), parse(&[]));
        assert_eq!((quick.repetitions(), full.repetitions()), (1, 3));
        let bytes = |arguments: &Arguments| arguments.scenarios().expect("all of them")[0].image_bytes;
        assert_eq!(bytes(&quick) * 8, bytes(&full));
    }

    fn names(arguments: &[&str]) -> Vec<&'static str> {
        let scenarios = parse(arguments).scenarios().expect("known names");
        scenarios.iter().map(|scenario| scenario.name).collect()
    }

    fn parse(arguments: &[&str]) -> Arguments {
        Arguments::parse_from([&["versus"], arguments].concat())
    }
}
