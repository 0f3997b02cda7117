//! The figures that glancecast should reach, measured on this machine, with their goals and with the figures of other
//! builds. `docs/performance.md` explains the rows.

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
use glancecast_bench::render::Cell::{Median, Text};
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
        Column::new("figure", Text(|_, runs| decimals(runs.median_of_all("value"), 3))),
        Column::new("seconds", Median("seconds", 1.0, 2)),
        Column::new("glancecast by it", Text(|row, runs| decimals(ratio(row.way(OURS)?, runs), 3))),
        Column::new("turn by turn", Text(|row, runs| ratios_of_turns(row.way(OURS)?, runs))),
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
        let case = |aim: Aim| {
            let work = format!("{}, {}", aim.work(), aim.limit.text(aim.figure.unit()));
            let ways = builds.iter().map(|build| way(build, &aim)).collect();
            Case { work, ..Case::random(aim.name, aim.network, aim.image_bytes, ways) }
        };
        Ok(cases::all().into_iter().map(case).collect())
    }

    fn goals(rows: &[Row]) -> Vec<Goal> {
        let goal = |row: &Row| {
            let aim = cases::all().into_iter().find(|aim| aim.name == row.name)?;
            let measured = row.way(OURS)?.median_of_all("value");
            Some(Goal::new(aim.name, &aim.work(), aim.limit, aim.figure.unit(), measured))
        };
        rows.iter().filter_map(goal).collect()
    }
}

/// Returns this build's median figure divided by that of another build.
fn ratio(ours: &Runs, other: &Runs) -> Option<f64> {
    Some(ours.median_of_all("value")? / other.median_of_all("value")?)
}

/// Returns the median of the repetitions' ratios, and the ratios.
fn ratios_of_turns(ours: &Runs, other: &Runs) -> Option<String> {
    let turns = ours.runs.iter().zip(&other.runs);
    let ratios: Vec<f64> =
        turns.filter_map(|(ours, other)| Some(ours.figure("value")? / other.figure("value")?)).collect();
    let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.3}")).collect();
    Some(format!("{:.3} of {}", median(ratios)?, each.join(" "))).filter(|_| other.way != OURS)
}

/// The name of this build.
const OURS: &str = "glancecast";

#[cfg(test)]
mod tests {
    use glancecast_bench::record::Run;

    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = cases::all().iter().map(|aim| aim.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cases::all().len());
    }

    #[test]
    fn another_build_has_the_ratio_to_it() {
        let (ours, old) = (runs(OURS, &[1.1, 1.2, 1.3]), runs("old", &[2.2, 2.2, 2.6]));
        assert_eq!(ratio(&ours, &old), Some(1.2 / 2.2));
        assert_eq!(ratios_of_turns(&ours, &old).expect("three"), "0.500 of 0.500 0.545 0.500");
        assert_eq!(ratios_of_turns(&ours, &ours), None);
    }

    fn runs(way: &str, values: &[f64]) -> Runs {
        let runs = values.iter().map(|value| Run::new([("value", *value)], ""));
        Runs { way: way.to_owned(), about: String::new(), commands: Vec::new(), runs: runs.collect() }
    }
}
