//! A push over a path of any kind: `sim_paths hosts=10 rtt=50 line=1000 loss=0.01 ..`; `trace=1` prints the rate.

use std::process::ExitCode;
use std::time::Duration;

use glancecast_tests::sim::paths::{self, Path};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match parse(&words) {
        Ok((path, trace)) => {
            println!("{}: {:?}", words.join(" "), paths::push(path, trace));
            ExitCode::SUCCESS
        }
        Err(word) => usage(&format!("cannot read {word:?}")),
    }
}

fn parse(words: &[String]) -> Result<(Path, bool), &String> {
    let (mut path, mut trace) = (Path::default(), false);
    for word in words {
        let (key, value) = word.split_once('=').ok_or(word)?;
        let value: f64 = value.parse().map_err(|_| word)?;
        let ms = || Duration::from_secs_f64(value / 1e3);
        let rate = (value * 1e6) as u64;
        match key {
            "hosts" => path.hosts = value as u32,
            "mib" => path.object_bytes = (value as u64) << 20,
            "line" => path.line = rate,
            "auto" => path.auto = value > 0.0,
            "rtt" => path.round_trip = ms(),
            "jitter" => path.jitter = ms(),
            "upjitter" => path.up_jitter = ms(),
            "loss" => (path.loss, path.feedback_loss) = (value, value),
            "fbloss" => path.feedback_loss = value,
            "rack" => path.rack = value as u32,
            "burst" => path.burst = value as u32,
            "neck" => path.bottleneck = Some((rate, path.bottleneck.map_or(QUEUE, |(_, queue)| queue))),
            "queue" => path.bottleneck = Some((path.bottleneck.map_or(path.line, |(rate, _)| rate), ms())),
            "store" => path.store = Some(rate),
            "slow" => path.slow = Some((value as u32, path.slow.map_or(path.line / 10, |(_, rate)| rate))),
            "slowstore" => path.slow = Some((path.slow.map_or(1, |(count, _)| count), rate)),
            "late" => path.late = Some((value, path.late.map_or(0.5, |(_, at)| at))),
            "late_at" => path.late = Some((path.late.map_or(0.25, |(share, _)| share), value)),
            "seed" => path.seed = value as u64,
            "trace" => trace = value > 0.0,
            _ => return Err(word),
        }
    }
    Ok((path, trace))
}

fn usage(what: &str) -> ExitCode {
    eprintln!("sim_paths: {what}");
    eprintln!("usage: sim_paths KEY=VALUE ...");
    eprintln!(
        "rates in Mbit/s, times in ms, sizes in MiB: hosts mib line auto rtt jitter upjitter loss fbloss rack burst"
    );
    eprintln!("neck queue store slow slowstore late late_at seed trace");
    ExitCode::from(2)
}

/// The queue of a bottleneck.
const QUEUE: Duration = Duration::from_millis(10);
