//! What keeping the journal of an unfinished image costs a receiver: pushes with it and without it
//! (`--keep-unfinished none`), in turn, to memory and to a disk. `docs/performance.md` explains the result.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use glancecast_bench::lab::arguments::{Common, bytes};
use glancecast_bench::lab::machine::Machine;
use glancecast_bench::lab::supervisor;
use glancecast_bench::measure::median;
use glancecast_bench::push::{Image, Place, Push};
use nix::sys::stat::{major, minor};
use nix::unistd::sync;

/// Sends an image to one receiver over the loopback interface, with its journal and without, to memory and to a disk.
#[derive(Debug, Parser)]
#[command(name = "journal")]
struct Arguments {
    #[command(flatten)]
    common: Common,

    /// A directory on the disk that is measured, with room for the image
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    disk: PathBuf,

    /// Bytes of the image, with k, m or g for a power of 1024
    #[arg(long, value_name = "BYTES", default_value = "1g", value_parser = bytes)]
    size: u64,

    /// The sender's --rate
    #[arg(long, value_name = "RATE", default_value = "2gbit")]
    rate: String,
}

/// What a receiver, and its disk meanwhile, did for one push.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    seconds: f64,
    cpu_seconds: f64,
    kernel_seconds: f64,
    disk: Writes,
}

/// What a block device has done; all zero for what lies on none.
#[derive(Clone, Copy, Debug, Default)]
struct Writes {
    requests: f64,
    mib: f64,
    flushes: f64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.common.work_in() {
        None => supervisor::supervise("journal", &arguments.common.memory),
        Some(directory) => supervisor::become_worker().and_then(|()| measure(&arguments, directory)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("journal: {error:#}");
        ExitCode::FAILURE
    })
}

fn measure(arguments: &Arguments, memory: &Path) -> Result<ExitCode> {
    let image = Image::random(memory.join("image"), arguments.size, arguments.common.seed);
    fs::create_dir_all(&arguments.disk)
        .with_context(|| format!("cannot create {}", arguments.disk.display()))?;
    let on_disk = tempfile::Builder::new().prefix("journal-").tempdir_in(&arguments.disk)?;
    let mut turn = arguments.common.turn();
    let mut rows = Vec::new();
    for (place, directory) in [("memory", memory.join("push")), ("disk", on_disk.path().join("push"))] {
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..arguments.common.repetitions(false).max(1) {
            for (samples, options) in samples.iter_mut().zip(["", "--keep-unfinished none"]) {
                turn.take()?;
                samples.push(push(arguments, &image, &directory, place == "memory", options)?);
            }
        }
        for (samples, journal) in samples.iter().zip(["with", "without"]) {
            rows.push(row(place, journal, samples));
            println!("{}", rows.last().expect("just put"));
        }
    }
    let page = page(arguments, &rows);
    fs::create_dir_all(&arguments.common.output)?;
    let path = arguments.common.output.join("journal.md");
    fs::write(&path, &page).with_context(|| format!("cannot write {}", path.display()))?;
    print!("\n{page}\nWritten: {}\n", path.display());
    Ok(ExitCode::SUCCESS)
}

fn push(arguments: &Arguments, image: &Image, directory: &Path, warm: bool, options: &str) -> Result<Sample> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let push = Push {
        place: Place::Loopback,
        receivers: 1,
        image,
        directory,
        rate: &arguments.rate,
        options: &[(1, options)],
        sender_options: &[],
        stored: &[],
        warm,
        profile: false,
        limit: arguments.common.limit(),
    };
    sync();
    let before = Writes::of_disk_below(directory)?;
    let pushed = push.run()?;
    let disk = Writes::of_disk_below(directory)?.since(before);
    let end = pushed.receivers[0].end;
    let (cpu_seconds, kernel_seconds) = (end.cpu.as_secs_f64(), end.system.as_secs_f64());
    Ok(Sample { seconds: pushed.seconds, cpu_seconds, kernel_seconds, disk })
}

impl Writes {
    /// Since the machine was started, whoever it was.
    fn of_disk_below(directory: &Path) -> Result<Self> {
        let device = fs::metadata(directory)?.dev();
        let path = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
        // Memory, and what has several devices, has no such file.
        let Ok(text) = fs::read_to_string(path) else { return Ok(Self::default()) };
        Self::parse(&text).context("the counters of a disk are numbers")
    }

    /// Linux, Documentation/block/stat.rst.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let flushes = fields.get(15).copied().unwrap_or(0.0); // none before Linux 5.5
        Some(Self { requests: *fields.get(4)?, mib: fields.get(6)? * 512.0 / MIB, flushes })
    }

    fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests - before.requests,
            mib: self.mib - before.mib,
            flushes: self.flushes - before.flushes,
        }
    }
}

/// Medians, each by itself.
fn row(place: &str, journal: &str, samples: &[Sample]) -> String {
    let middle = |value: fn(&Sample) -> f64| median(samples.iter().map(value).collect());
    format!(
        "| {place} | {journal} | {:.2} | {:.2} | {:.2} | {:.0} | {:.1} | {:.0} |",
        middle(|sample| sample.seconds),
        middle(|sample| sample.cpu_seconds),
        middle(|sample| sample.kernel_seconds),
        middle(|sample| sample.disk.requests),
        middle(|sample| sample.disk.mib),
        middle(|sample| sample.disk.flushes),
    )
}

fn page(arguments: &Arguments, rows: &[String]) -> String {
    format!(
        "{} MiB at {} to one receiver over loopback, medians of {}; {}.\n\n{HEAD}{}\n",
        arguments.size >> 20,
        arguments.rate,
        arguments.common.repetitions(false).max(1),
        Machine::this().summary(),
        rows.join("\n"),
    )
}

const HEAD: &str = "\
| store | journal | seconds | receiver's CPU s | in the kernel | disk: writes | MiB | flushes |
|---|---|--:|--:|--:|--:|--:|--:|
";
const MIB: f64 = 1_048_576.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_wrote_meanwhile_is_read_from_its_counters() {
        let before = Writes::parse("1 2 3 4 10 6 2048 8 9 10 11 12 13 14 15 5 17").expect("numbers");
        let after = Writes::parse("9 9 9 9 13 9 6144 9 9 9 9 9 9 9 9 7 9").expect("numbers").since(before);
        assert_eq!((after.requests, after.mib, after.flushes), (3.0, 2.0, 2.0));
        assert!(Writes::parse("1 2 x").is_none());
    }
}
