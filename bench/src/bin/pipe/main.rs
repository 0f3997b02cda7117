//! glancecast's data path from file to file, unshaped, with a profile of where the time goes: a sender and a receiver
//! (or some) in network namespaces, or on the loopback interface without root. `docs/performance.md` explains the result.

mod arguments;
mod profile;
mod table;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use glancecast_bench::lab::network::Network;
use glancecast_bench::lab::supervisor;
use glancecast_bench::push::{Image, Place, Push};
use glancecast_tests::netns::Lab;

use crate::arguments::Arguments;
use crate::profile::{Pipe, Run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.common.work_in() {
        None => supervise(&arguments),
        Some(directory) => supervisor::become_worker().and_then(|()| measure(&arguments, directory)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("pipe: {error:#}");
        ExitCode::FAILURE
    })
}

fn supervise(arguments: &Arguments) -> Result<ExitCode> {
    if !arguments.loopback {
        supervisor::need_root("bench-pipe")
            .context("--loopback does without, where a datagram is as long as 9000 bytes")?;
    }
    supervisor::supervise("pipe", &arguments.common.memory)
}

fn measure(arguments: &Arguments, directory: &Path) -> Result<ExitCode> {
    let image = Image::random(directory.join("image"), arguments.size, arguments.common.seed);
    let mut turn = arguments.common.turn();
    let mut runs = Vec::new();
    for _ in 0..arguments.common.repetitions(false).max(1) {
        turn.take()?;
        let run = run(arguments, &image, directory)?;
        println!("{:.2} s, {:.2} Gbit/s to each receiver", run.seconds, run.gbit_s);
        runs.push(run);
    }
    let pipe = Pipe::new(arguments, runs);
    print!("\n{}", table::page(&pipe));
    let path = pipe.write(&arguments.common.output)?;
    println!("\nWritten: {}", path.display());
    Ok(ExitCode::SUCCESS)
}

fn run(arguments: &Arguments, image: &Image, directory: &Path) -> Result<Run> {
    let network = Network {
        receivers: arguments.receivers,
        line_bits_per_second: None,
        offload: !arguments.one_packet_a_call,
        loss_per_mille: arguments.loss,
    };
    let lab = (!arguments.loopback).then(|| Lab::build(&network.shape(None)));
    let push = Push {
        place: lab.as_ref().map_or(Place::Loopback, Place::In),
        receivers: arguments.receivers,
        image,
        directory: &directory.join("push"),
        rate: &arguments.rate,
        options: &[],
        sender_options: &[],
        stored: &[],
        warm: true,
        profile: true,
        limit: arguments.common.limit(),
    };
    Ok(Run::new(&push.run()?))
}
