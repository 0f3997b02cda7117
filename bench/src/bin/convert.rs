//! The cost of the sandbox: plain `qemu-img convert` and the sandbox convert the same qcow2 in turns.
//!
//! Prints each run, the medians, and the ratio of the conversions, which should be at most 1.05. A push also runs
//! `qemu-img info` before it converts, which is timed separately. It and the start of a sandbox take about 10 ms each,
//! regardless of the image: more than a twentieth for a small one.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use glancecast_bench::micro::{Numbers, median};
use glancecast_inspect::Format;
use glancecast_sandbox::{Patience, QemuImg, Unsandboxed};

#[derive(Debug, Parser)]
struct Args {
    /// Turns; each is one conversion of either kind
    #[arg(long, default_value_t = 11)]
    turns: usize,
    /// MiB of data in the disk, which is twice as long
    #[arg(long, default_value_t = 1024)]
    data: usize,
    /// Where the images are made
    #[arg(long, default_value = "/var/tmp")]
    spool: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    glancecast_sandbox::enter();
    let args = Args::parse();
    let tool = QemuImg::find(Unsandboxed::Refused)?;
    let directory = tempfile::tempdir_in(&args.spool)?;
    let image = image(directory.path(), args.data)?;
    println!("{} MiB of data as qcow2, sandbox: {}", args.data, tool.confinement().name());
    let (mut plain, mut boxed, mut looks) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..args.turns {
        // The order alternates, because the second run finds a warmer cache.
        let mut order = [Kind::Plain, Kind::Sandbox];
        order.rotate_left(turn % 2);
        for kind in order {
            match kind {
                Kind::Plain => plain.push(convert_plainly(&image, directory.path())?.as_secs_f64()),
                Kind::Sandbox => {
                    let (look, conversion) = convert_in_sandbox(&tool, &image, directory.path())?;
                    looks.push(look.as_secs_f64());
                    boxed.push(conversion.as_secs_f64());
                }
            }
        }
        let (plain, boxed, look) = (plain[turn], boxed[turn], looks[turn]);
        println!("turn {turn:>2}: plain {plain:.3} s, sandbox {boxed:.3} s, and a look of {look:.3} s");
    }
    let [plain, boxed, look] = [plain, boxed, looks].map(median);
    let ratio = boxed / plain;
    println!(
        "median: plain {plain:.3} s, sandbox {boxed:.3} s, ratio {ratio:.3} (at most {RATIO_MAX}), and a look of {look:.3} s"
    );
    Ok(if ratio <= RATIO_MAX { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Sandbox,
}

/// Creates a disk in which every other MiB is incompressible data.
fn image(directory: &Path, data: usize) -> anyhow::Result<PathBuf> {
    let (disk, image) = (directory.join("disk"), directory.join("image"));
    let mut file = File::create(&disk)?;
    let (mut mib, mut numbers) = (vec![0; 1 << 20], Numbers(1));
    for _ in 0..data {
        numbers.fill(&mut mib);
        file.write_all(&mib)?;
        file.write_all(&vec![0; 1 << 20])?;
    }
    let made =
        Command::new("qemu-img").args(["convert", "-f", "raw", "-O", "qcow2"]).args([&disk, &image]).status();
    ensure!(made.context("qemu-img (package qemu-utils)")?.success(), "qemu-img made no image");
    std::fs::remove_file(disk)?;
    Ok(image)
}

/// Converts without a sandbox and its limits.
fn convert_plainly(image: &Path, directory: &Path) -> anyhow::Result<Duration> {
    let result = directory.join("plain");
    let begun = Instant::now();
    let mut plain = Command::new("nice");
    plain.args(["-n", "19", "qemu-img", "convert", "-p", "-t", "unsafe", "-f", "qcow2", "-O", "raw"]);
    let ended = plain.args([image, &result]).stdout(Stdio::null()).status()?;
    let took = begun.elapsed();
    ensure!(ended.success(), "qemu-img: {ended}");
    std::fs::remove_file(result)?;
    Ok(took)
}

/// Returns the time of `qemu-img info`, and that of the conversion including the sandbox.
fn convert_in_sandbox(
    tool: &QemuImg,
    image: &Path,
    directory: &Path,
) -> anyhow::Result<(Duration, Duration)> {
    let stop = AtomicBool::new(false);
    let patience = Patience { time: Duration::from_secs(600), stop: &stop };
    let begun = Instant::now();
    let image = File::open(image)?;
    let result = tempfile::tempfile_in(directory)?;
    let info = tool.info(&image, patience)?;
    let look = begun.elapsed();
    result.set_len(info.virtual_bytes)?;
    tool.convert(&image, Format::Qcow2, &result, patience, &mut |_| {})?;
    Ok((look, begun.elapsed() - look))
}

const RATIO_MAX: f64 = 1.05;
