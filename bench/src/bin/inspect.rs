//! The cost of inspection: two builds of `glancecast` send the same sound images in turns, to a receiver on loopback.
//!
//! Prints each run, and for each image the medians and their ratio, which should be at most 1.03. The images are a raw
//! disk of 8 GiB with 256 MiB of data, and a qcow2 of a disk of 2 GiB with 512 MiB of data, which is made raw first.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use glancecast_bench::micro::{Numbers, median};
use glancecast_tests::testbed::{Receiver, Testbed};

#[derive(Debug, Parser)]
struct Args {
    /// The `glancecast` that this build's is compared with; its `glancecastd` lies beside it
    #[arg(long, value_name = "PATH")]
    old: PathBuf,
    /// Turns; each is one push of each image by either build
    #[arg(long, default_value_t = 11)]
    turns: usize,
    /// Divides the images, for a short trial
    #[arg(long, default_value_t = 1)]
    smaller: u64,
    /// Where the images are made and converted
    #[arg(long, default_value = "/var/tmp")]
    spool: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let new = std::env::current_exe()?.with_file_name("glancecast");
    let directory = tempfile::tempdir_in(&args.spool)?;
    let testbed = Testbed::loopback();
    // Builds of different days may not understand each other, so each has a receiver of its own.
    let site = |program, host| Site::new(&testbed, program, host, directory.path());
    let sites = [site(&args.old, "r1")?, site(&new, "r2")?];
    let raw = directory.path().join("disk.raw");
    write_disk(&raw, (8 << 30) / args.smaller, (256 << 20) / args.smaller)?;
    let qcow2 = write_qcow2(directory.path(), args.smaller)?;
    let mut passes = true;
    for image in [raw, qcow2] {
        passes &= compare(&sites, args.turns, &image)?;
    }
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One build, and where its images are sent.
struct Site<'a> {
    program: PathBuf,
    testbed: &'a Testbed,
    host: &'static str,
    receiver: Receiver,
    spool: &'a Path,
}

/// Sends an image in turns, prints the times, and returns whether the ratio of their medians is low enough.
fn compare(sites: &[Site<'_>; 2], turns: usize, image: &Path) -> anyhow::Result<bool> {
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let mut times = [Vec::new(), Vec::new()];
    // The first push of either finds a cold cache.
    for site in sites {
        site.send(image)?;
    }
    for turn in 0..turns {
        // The order alternates, because the second run finds a warmer cache.
        let mut order = [0, 1];
        order.rotate_left(turn % 2);
        for build in order {
            times[build].push(sites[build].send(image)?.as_secs_f64());
        }
        let (old, new) = (times[0][turn], times[1][turn]);
        println!("{name}, turn {turn:>2}: old {old:.3} s, new {new:.3} s, ratio {:.3}", new / old);
    }
    let [old, new] = times.map(median);
    let ratio = new / old;
    println!("{name}, median: old {old:.3} s, new {new:.3} s, ratio {ratio:.3} (at most {RATIO_MAX})");
    Ok(ratio <= RATIO_MAX)
}

impl<'a> Site<'a> {
    fn new(
        testbed: &'a Testbed,
        program: &Path,
        host: &'static str,
        spool: &'a Path,
    ) -> anyhow::Result<Self> {
        let daemon = program.with_file_name("glancecastd");
        for program in [program, &daemon] {
            ensure!(program.is_file(), "{} is missing", program.display());
        }
        let receiver = testbed.receiver_with(Command::new(daemon), host, &[]);
        Ok(Self { program: program.to_owned(), testbed, host, receiver, spool })
    }

    /// Pushes an image and returns the time from the start to the end of the program.
    fn send(&self, image: &Path) -> anyhow::Result<Duration> {
        let (image, spool) = (image.to_string_lossy(), self.spool.to_string_lossy());
        let file = ["--file", &image, "--name", SENT_AS, "--hosts", self.host, "--spool", &spool];
        let options = ["--rate", "5gbit", "--compress", "off"];
        let begun = Instant::now();
        let mut push = self.testbed.push_with(Command::new(&self.program), &[&file[..], &options].concat());
        let end = push.process.wait(PUSH_TIME);
        let took = begun.elapsed();
        ensure!(end.code() == Some(0), "{}: {:?}", self.program.display(), push.process.log_lines());
        fs::remove_file(self.receiver.store.join(SENT_AS))?;
        Ok(took)
    }
}

/// Writes a sparse disk with pieces of 1 MiB of incompressible data at equal distances.
fn write_disk(path: &Path, bytes: u64, data: u64) -> anyhow::Result<()> {
    let disk = File::create(path)?;
    disk.set_len(bytes)?;
    let (mut mib, mut numbers) = (vec![0; 1 << 20], Numbers(1));
    let pieces = (data >> 20).max(1);
    for piece in 0..pieces {
        numbers.fill(&mut mib);
        // Not at the beginning, which decides the format.
        disk.write_all_at(&mib, (bytes / pieces * piece) + (1 << 20))?;
    }
    Ok(())
}

fn write_qcow2(directory: &Path, smaller: u64) -> anyhow::Result<PathBuf> {
    let (disk, image) = (directory.join("disk"), directory.join("disk.qcow2"));
    write_disk(&disk, (2 << 30) / smaller, (512 << 20) / smaller)?;
    let made =
        Command::new("qemu-img").args(["convert", "-f", "raw", "-O", "qcow2"]).args([&disk, &image]).status();
    ensure!(made.context("qemu-img (package qemu-utils)")?.success(), "qemu-img made no image");
    fs::remove_file(disk)?;
    Ok(image)
}

const SENT_AS: &str = "image";
const PUSH_TIME: Duration = Duration::from_secs(600);
const RATIO_MAX: f64 = 1.03;
