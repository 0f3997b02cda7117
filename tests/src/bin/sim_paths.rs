//! Pushes over paths of any kind. `sim_paths hosts=10 rtt=50 line=1000 loss=0.01 ..` makes one; `trace=1` prints its rate.
//! `sim_paths --grid FILE` makes the grid, reports whether it differs from the file, and writes it there; with `--quick`
//! only the rows that `make test` makes, with words such as `hosts=1000` only those whose paths have them.

use std::process::ExitCode;
use std::thread::available_parallelism;

use glancecast_tests::sim::kept;
use glancecast_tests::sim::paths::grid::{self, Rows};
use glancecast_tests::sim::paths::{self, Path};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--grid", file] => compare(file, &Rows::All),
        ["--grid", file, "--quick"] => compare(file, &Rows::Quick),
        ["--grid", file, ref with @ ..] => {
            compare(file, &Rows::With(with.iter().map(|&word| word.to_owned()).collect()))
        }
        _ => one(&words),
    }
}

fn one(words: &[&str]) -> ExitCode {
    let is_traced = words.contains(&"trace=1");
    match Path::parse(words.iter().copied().filter(|&word| word != "trace=1")) {
        Ok(path) => {
            println!("{}: {:?}", words.join(" "), paths::push(path, is_traced));
            ExitCode::SUCCESS
        }
        Err(word) => usage(&format!("cannot read {word:?}")),
    }
}

fn compare(file: &str, rows: &Rows) -> ExitCode {
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    let threads = available_parallelism().map_or(1, usize::from);
    let made = grid::make(rows, threads, |row| println!("{row}"));
    let text = made.text(&kept);
    let missed = made.rows().filter(|row| row.contains("; missed")).count();
    println!("{} rows, {missed} of them miss their goal", made.rows().count());
    kept::compare(file, &text)
}

fn usage(what: &str) -> ExitCode {
    eprintln!("sim_paths: {what}");
    eprintln!("usage: sim_paths KEY=VALUE ... [trace=1] | sim_paths --grid FILE [--quick | KEY=VALUE ...]");
    eprintln!("rates in Mbit/s, times in ms, sizes in MiB: {}", Path::WORDS);
    ExitCode::from(2)
}
