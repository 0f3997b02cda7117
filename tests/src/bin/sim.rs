//! Simulated pushes: `sim --seeds 2000` makes the runs of the seeds 0 to 1999 and says how often what went wrong,
//! `sim --seeds 1000 --from 5000` those of the seeds 5000 to 5999;
//! `sim --seed 17` makes one, and prints what it drew and what happens.

use std::process::ExitCode;
use std::thread::available_parallelism;

use glancecast_tests::sim::{self, Mutant, Summary};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    run(&arguments).unwrap_or_else(|| {
        eprintln!("usage: sim --seeds COUNT [--from SEED] | --seed SEED");
        ExitCode::from(2)
    })
}

fn run(arguments: &[String]) -> Option<ExitCode> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().ok();
    Some(match arguments[..] {
        ["--seeds", count] => many(0, number(count)?),
        ["--seeds", count, "--from", from] => many(number(from)?, number(count)?),
        ["--seed", seed] => one(number(seed)?),
        _ => return None,
    })
}

fn many(from: u64, count: u64) -> ExitCode {
    let threads = available_parallelism().map_or(1, usize::from);
    let mut summary = Summary::default();
    while summary.runs < count {
        let next = (count - summary.runs).min(PROGRESS_EACH);
        summary.add(sim::run_all(from + summary.runs, next, threads, Mutant::None, usize::MAX));
        eprintln!("{} runs, {} of them broke a rule", summary.runs, summary.broken.len());
    }
    print!("{}", summary.counts);
    for missing in summary.counts.missing() {
        println!("never: {missing}");
    }
    for (seed, violation) in &summary.broken {
        println!("seed {seed} {violation}; again: make sim SEED={seed}");
    }
    let (runs, broken) = (summary.runs, summary.broken.len());
    println!("{runs} runs in {:.1} s, {broken} of them broke a rule", summary.time.as_secs_f64());
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

/// Runs between two words on how far it is.
const PROGRESS_EACH: u64 = 5_000;
