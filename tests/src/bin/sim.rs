//! Simulated pushes: `sim --seeds 2000` runs the seeds 0 to 1999 and prints how often each fault occurred, `sim --seeds
//! 1000 --from 5000` runs the seeds 5000 to 5999; `sim --seed 17` runs one, and prints its plan and its events.

use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser;
use glancecast_tests::sim::{self, Mutant, Summary};

/// Simulates pushes under every fault, each drawn by its seed
#[derive(Debug, Parser)]
#[command(
    after_help = "A seed's run is that of its commit. A run that breaks a rule is told by: make sim SEED=N"
)]
struct Arguments {
    /// Runs to make
    #[arg(long, value_name = "COUNT", default_value_t = 2_000)]
    seeds: u64,
    /// The first of their seeds
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// Make the run of this seed alone, and tell what it drew and what happens
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let Arguments { seeds, from, seed } = Arguments::parse();
    match seed {
        Some(seed) => one(seed),
        None if from.checked_add(seeds).is_none() => {
            eprintln!("there is no seed beyond {}: --from {from} leaves fewer than {seeds}", u64::MAX);
            ExitCode::from(2)
        }
        None => many(from, seeds),
    }
}

fn many(from: u64, count: u64) -> ExitCode {
    let threads = available_parallelism().map_or(1, usize::from);
    let mut summary = Summary::default();
    while summary.runs < count {
        let next = (count - summary.runs).min(PROGRESS_EACH);
        summary.add(sim::run_all(from + summary.runs, next, threads, Mutant::None, usize::MAX));
        let last = from + summary.runs - 1;
        eprintln!("seeds {from} to {last}: {} of them broke a rule", summary.broken.len());
    }
    print!("{}", summary.counts);
    for missing in summary.counts.missing() {
        println!("never: {missing}");
    }
    for (seed, violation) in &summary.broken {
        println!("seed {seed} {violation}; again: make sim SEED={seed}");
    }
    let (runs, broken) = (summary.runs, summary.broken.len());
    let seconds = summary.time.as_secs_f64();
    match runs {
        0 => println!("no seed was asked for"),
        _ => println!(
            "seeds {from} to {}: {runs} runs in {seconds:.1} s, {broken} of them broke a rule",
            from + runs - 1
        ),
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64) -> ExitCode {
    let (counts, result) = sim::tell(seed, Mutant::None);
    print!("{counts}");
    match result {
        Err(violation) => {
            println!("seed {seed} {violation}");
            ExitCode::FAILURE
        }
        Ok(()) => {
            println!("seed {seed} breaks no rule");
            ExitCode::SUCCESS
        }
    }
}

/// Runs between two lines of progress.
const PROGRESS_EACH: u64 = 5_000;
