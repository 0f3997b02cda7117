//! Pushes through routers that forward no multicast. `sim_routed --seeds 2000` runs what the seeds draw, `sim_routed --seed 17`
//! one of them; `sim_routed FILE` makes the table of large networks, reports whether it differs from the file, and writes it
//! there; `sim_routed RACKS HOSTS LONELY MIB` makes one row of it, with and without relays that die.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, available_parallelism};

use glancecast_tests::sim::kept;
use glancecast_tests::sim::routed::{self, Broken, Trouble, table};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<Option<u64>> = arguments.iter().map(|argument| argument.parse().ok()).collect();
    match (&arguments[..], &numbers[..]) {
        ([option, ..], [_, Some(seed)]) if option == "--seed" => one(*seed),
        ([option, ..], [_, Some(seeds)]) if option == "--seeds" => many(0, *seeds),
        ([option, _, from, _], [_, Some(seeds), _, Some(first)])
            if option == "--seeds" && from == "--from" =>
        {
            many(*first, *seeds)
        }
        (_, &[Some(racks), Some(hosts), Some(lonely), Some(mib)]) => {
            let network = table::network(racks as u32, hosts as u32, lonely as u32, mib << 20);
            let (network, trouble) = table::deaths(network);
            println!("{}\n{}", table::HEAD, table::row(network, &Trouble::default()).0);
            let (row, outcome) = table::row(network, &trouble);
            println!("{row}");
            for (relay, fault) in outcome.faults {
                println!("given up: {relay}, as {fault}");
            }
            ExitCode::SUCCESS
        }
        ([path], [None]) => compare(path),
        _ => {
            eprintln!("usage: sim_routed FILE | --seeds N [--from M] | --seed N | RACKS HOSTS LONELY MIB");
            ExitCode::from(2)
        }
    }
}

fn one(seed: u64) -> ExitCode {
    println!("{}", routed::describe(seed));
    match routed::run(seed, Broken::No) {
        Ok(outcome) => {
            println!("{outcome:#?}\nseed {seed} breaks no rule");
            ExitCode::SUCCESS
        }
        Err(rule) => {
            println!("seed {seed}: {rule}");
            ExitCode::FAILURE
        }
    }
}

fn many(from: u64, seeds: u64) -> ExitCode {
    let (next, broken) = (AtomicU64::new(from), AtomicU64::new(0));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= from + seeds {
            break;
        }
        if let Err(rule) = routed::run(seed, Broken::No) {
            println!("seed {seed}: {}", rule.lines().next().unwrap_or_default());
            broken.fetch_add(1, Ordering::Relaxed);
        }
    };
    let threads = available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let broken = broken.into_inner();
    println!("{seeds} seeds from {from} on, {broken} of them broke a rule");
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare(path: &str) -> ExitCode {
    let table = table::table();
    print!("{table}");
    kept::compare(path, &table)
}
