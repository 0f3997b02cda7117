//! The figures that glancecast is to reach by itself, each as measured on this machine, beside its goal. What it is to
//! reach beside other tools is the business of `versus`. `docs/performance.md` explains the lines.

mod arguments;
mod goal;
mod measure;
mod record;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use glancecast_bench::lab::supervisor;

use crate::arguments::Arguments;
use crate::measure::Bench;
use crate::record::{Goals, Line};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        goal::all()
            .iter()
            .for_each(|goal| println!("{:<20} {}, {}", goal.name, goal.work, goal.limit.shown(goal.unit)));
        return ExitCode::SUCCESS;
    }
    let result = match arguments.common.work_in() {
        None => supervise(&arguments),
        Some(directory) => supervisor::become_worker().and_then(|()| measure(&arguments, directory)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("goals: {error:#}");
        ExitCode::FAILURE
    })
}

fn supervise(arguments: &Arguments) -> Result<ExitCode> {
    supervisor::need_root("bench-goals")?;
    arguments.goals()?;
    supervisor::supervise("goals", &arguments.common.memory)
}

/// Measures every line that was asked for, and writes the results after each of them.
fn measure(arguments: &Arguments, directory: &Path) -> Result<ExitCode> {
    let mut goals = Goals::read(&arguments.common.output)?;
    let mut turn = arguments.common.turn();
    let mut bench = Bench::new(arguments, directory);
    for goal in arguments.goals()? {
        println!("\n{}: {}", goal.name, goal.work);
        let mut line = Line::new(&goal);
        bench.prepare(&goal)?;
        for _ in 0..arguments.repetitions() {
            turn.take()?;
            let sample = bench.measure(&goal);
            println!("  {}", sample.summary(goal.unit));
            line.samples.push(sample);
        }
        println!("  {}", line.summary());
        goals.put(line);
        goals.write(&arguments.common.output)?;
    }
    print!("\n{}", goals.table());
    println!("\nWritten: {}/goals.{{json,md}}", arguments.common.output.display());
    Ok(ExitCode::SUCCESS)
}
