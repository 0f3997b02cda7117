//! The figures that glancecast is to reach by itself, each as measured on this machine, beside its goal, and beside the
//! same figure of another build. `docs/performance.md` explains the rows.

mod cases;
mod measure;

use std::process::ExitCode;
use std::rc::Rc;

use anyhow::Result;
use clap::Parser;
use glancecast_bench::case::{Case, Way};
use glancecast_bench::glancecast::{LINE_SHARE, Programs};
use glancecast_bench::goal::Goal;
use glancecast_bench::harness::{self, Bench};
use glancecast_bench::lab::arguments::Common;
use glancecast_bench::record::{Row, Runs, median};
use glancecast_bench::render::{Column, decimals};

use crate::cases::Aim;
use crate::measure::Build;

/// Measures what glancecast is to reach, each figure in network namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(name = "goals")]
struct Goals {
    #[command(flatten)]
    common: Common,

    /// The part of a shaped line that the sender may use
    #[arg(long, value_name = "SHARE", default_value_t = LINE_SHARE)]
    share: f64,

    /// Measure another build as well, in turns with this one: a name for it, and the directory with its glancecast and
    /// glancecastd; may be given several times
    #[arg(long, value_name = "NAME=DIR", value_parser = Programs::parse)]
    beside: Vec<Programs>,
}

fn main() -> ExitCode {
    harness::main::<Goals>()
}

impl Bench for Goals {
    const NAME: &'static str = "goals";
    const HEAD: &'static str = "\
# What glancecast is to reach, and what it reached

Written by `make bench-goals`; `docs/performance.md` explains the rows. Medians of the repetitions below.";
    const COLUMNS: &'static [Column] = &[
        Column { title: "figure", cell: |_, runs| decimals(runs.median_of_all("value"), 3) },
        Column { title: "seconds", cell: |_, runs| decimals(runs.median("seconds"), 2) },
        Column { title: "glancecast by it", cell: |row, runs| decimals(ratio(row, runs), 3) },
        Column { title: "turn by turn", cell: ratios_of_turns },
    ];

    fn common(&self) -> &Common {
        &self.common
    }

    fn cases(&self) -> Result<Vec<Case>> {
        let builds: Vec<Rc<Build>> = [Programs::ours()]
            .into_iter()
            .chain(self.beside.clone())
            .map(|programs| Rc::new(Build { programs, share: self.share }))
            .collect();
        let way = |build: &Rc<Build>, aim: &Aim| {
            let (build, figure) = (Rc::clone(build), aim.figure);
            Way::new(build.programs.name.clone(), move |ground| build.measure(figure, ground))
        };
        let case = |aim: Aim| Case {
            name: aim.name,
            work: format!("{}, {}", aim.work, aim.limit.text(aim.figure.unit())),
            content: aim.content(),
            ways: builds.iter().map(|build| way(build, &aim)).collect(),
            network: aim.network,
            rounds: 1,
            qcow2: false,
        };
        Ok(cases::all().into_iter().map(case).collect())
    }

    fn goals(rows: &[Row]) -> Vec<Goal> {
        let goal = |row: &Row| {
            let aim = cases::all().into_iter().find(|aim| aim.name == row.name)?;
            let measured = row.way(OURS)?.median_of_all("value");
            Some(Goal::new(aim.name, aim.work, aim.limit, aim.figure.unit(), measured))
        };
        rows.iter().filter_map(goal).collect()
    }
}

/// This build's figure by that of another one, medians of both.
fn ratio(row: &Row, other: &Runs) -> Option<f64> {
    Some(row.way(OURS)?.median_of_all("value")? / other.median_of_all("value")?)
}

/// The same in each repetition, and the median of these.
fn ratios_of_turns(row: &Row, other: &Runs) -> Option<String> {
    let turns = row.way(OURS)?.runs.iter().zip(&other.runs);
    let ratios: Vec<f64> =
        turns.filter_map(|(ours, theirs)| Some(ours.figure("value")? / theirs.figure("value")?)).collect();
    let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.3}")).collect();
    Some(format!("{:.3} of {}", median(ratios)?, each.join(" "))).filter(|_| other.way != OURS)
}

/// The name of this build.
const OURS: &str = "glancecast";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides() {
        let mut row = row(&[1.2, 1.01, 1.03]);
        assert!(goal_of(&row).is_reached, "the median is 1.03");
        row.ways[0].runs.push(glancecast_bench::record::Run::failed("gone"));
        assert_eq!((goal_of(&row).is_reached, goal_of(&row).measured), (false, None));
    }

    #[test]
    fn another_build_has_the_ratio_of_both() {
        let mut row = row(&[1.1, 1.2, 1.3]);
        let mut other = row.ways[0].clone();
        other.way = "old".to_owned();
        other.runs.iter_mut().for_each(|run| *run.figures.get_mut("value").expect("set") *= 2.0);
        row.ways.push(other);
        assert_eq!(ratio(&row, &row.ways[1]), Some(0.5));
        let turns = ratios_of_turns(&row, &row.ways[1]).expect("three");
        assert_eq!(turns, "0.500 of 0.500 0.500 0.500");
        assert_eq!(ratios_of_turns(&row, &row.ways[0]), None);
    }

    fn goal_of(row: &Row) -> Goal {
        Goals::goals(std::slice::from_ref(row)).pop().expect("a goal of this name")
    }

    fn row(values: &[f64]) -> Row {
        let run = |value: &f64| serde_json::json!({ "figures": { "value": value }, "details": "", "failure": null });
        let runs: Vec<_> = values.iter().map(run).collect();
        serde_json::from_value(serde_json::json!({
            "name": "4x400m", "work": "", "network": glancecast_bench::lab::network::Network::unshaped(1),
            "image_bytes": 1, "allocated_bytes": 1, "seed": 4,
            "machine": glancecast_bench::lab::machine::Machine::this(),
            "ways": [{ "way": OURS, "about": "", "commands": [], "runs": runs }],
        }))
        .expect("a row")
    }
}
