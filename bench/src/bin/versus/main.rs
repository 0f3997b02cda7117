//! glancecast beside what people use today, over the same image, network, shaping and loss: udpcast, UFTP, HTTP
//! (nginx and curl) and BitTorrent (aria2 and opentracker), and beside what the kernel's path alone carries.
//!
//! It needs root for network namespaces, and nothing of it leaves them. `docs/comparison.md` tells what is
//! measured, how, and why each tool runs with the options it runs with.

mod arguments;
mod glancecast;
mod http;
mod install;
mod plot;
mod record;
mod run;
mod scenario;
mod table;
mod tool;
mod torrent;
mod udpcast;
mod uftp;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use glancecast_bench::lab::turn::Turn;
use glancecast_bench::lab::{kernel_path, supervisor, warm};
use glancecast_tests::image::{self, Seed};

use crate::arguments::Arguments;
use crate::record::{Measured, Versus};
use crate::run::Ground;
use crate::scenario::Scenario;
use crate::tool::Tool;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        println!("{}", scenario::list());
        return ExitCode::SUCCESS;
    }
    let result = match arguments.common.work_in() {
        None => supervise(&arguments),
        Some(directory) => supervisor::become_worker().and_then(|()| compare(&arguments, directory)),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("versus: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong before anything is begun, and has a worker do the rest.
fn supervise(arguments: &Arguments) -> Result<ExitCode> {
    supervisor::need_root("bench-versus")?;
    arguments.scenarios()?;
    arguments.tools()?;
    arguments.extra()?;
    install::install(arguments.no_install)?;
    supervisor::supervise("versus", &arguments.common.memory)
}

/// Measures every scenario that was asked for, and writes the results after each of them.
fn compare(arguments: &Arguments, directory: &Path) -> Result<ExitCode> {
    let tools = arguments.tools()?;
    let mut versus = Versus::read(&arguments.common.output)?;
    let mut turn = arguments.common.turn();
    let mut failures = 0;
    for scenario in arguments.scenarios()? {
        let measured = measure(arguments, &scenario, &tools, directory, &mut turn)?;
        failures += measured.failures();
        versus.put(measured);
        versus.write(&arguments.common.output)?;
        print!("\n{}", table::section(versus.scenario(scenario.name).expect("put above")));
    }
    println!("\nWritten: {}/versus.{{json,md,svg}}", arguments.common.output.display());
    if failures > 0 {
        println!("{failures} runs failed; versus.json says why.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the tools side by side: all of them once, then all of them again.
fn measure(
    arguments: &Arguments,
    scenario: &Scenario,
    tools: &[Box<dyn Tool>],
    directory: &Path,
    turn: &mut Turn,
) -> Result<Measured> {
    let image = directory.join("image");
    let extra = arguments.extra()?;
    let seed = Seed::new(arguments.common.seed);
    let blake3 = image::random(&image, scenario.image_bytes, seed);
    println!("\n{}: {}", scenario.name, scenario.title());
    let mut measured = Measured::new(scenario, arguments.common.seed, &extra, tools);
    for tool in &measured.tools {
        println!("  {} {}", tool.name, tool.version);
        for command in &tool.commands {
            println!("      {command}");
        }
    }
    for _ in 0..arguments.repetitions() {
        turn.take()?;
        let path =
            kernel_path::measure(&scenario.network, scenario.image_bytes).context("the bare kernel path")?;
        println!("  {:<11} {:>7.2} s  {:.2} Gbit/s", "kernel path", path.seconds, path.gbit_s);
        measured.kernel_path.push(path);
        for (tool, results) in tools.iter().zip(&mut measured.tools) {
            warm::warm(directory, scenario.image_bytes * scenario.network.receivers as u64)?;
            let ground = Ground::new(scenario, directory, &image, &blake3, &extra, arguments.common.limit())?;
            let run = run::run(tool.as_ref(), &ground);
            println!("  {:<11} {}", tool.name(), run.summary());
            results.runs.push(run);
        }
    }
    Ok(measured)
}
