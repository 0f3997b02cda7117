//! What the journal of an unfinished image costs a receiver. Pushes with it and without it (`--keep-unfinished none`)
//! alternate, to memory and to a disk. `docs/performance.md` explains the result.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use glancecast_bench::case::{Case, Ground, Way};
use glancecast_bench::glancecast::{Glancecast, Programs};
use glancecast_bench::harness::{self, Bench};
use glancecast_bench::lab::arguments::{Common, bytes};
use glancecast_bench::lab::network::Network;
use glancecast_bench::record::Run;
use glancecast_bench::render::Cell::Median;
use glancecast_bench::render::{Column, MIB};
use glancecast_bench::run::Site;
use nix::sys::stat::{major, minor};
use nix::unistd::sync;

/// Sends an image to one receiver over the loopback interface, with its journal and without, to memory and to a disk.
#[derive(Debug, Parser)]
#[command(name = "journal")]
struct Journal {
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

/// The counters of a block device; all zero if the directory is on none.
#[derive(Clone, Copy, Debug, Default)]
struct Writes {
    requests: f64,
    mib: f64,
    flushes: f64,
}

fn main() -> ExitCode {
    harness::main::<Journal>()
}

impl Bench for Journal {
    const NAME: &'static str = "journal";
    const HEAD: &'static str = "\
# What the journal of an unfinished image costs

Written by `make bench-journal`; `docs/performance.md` explains it. Figures are those of the receiver and of its disk.";
    const COLUMNS: &'static [Column] = &[
        Column::new("seconds", Median("seconds", 1.0, 2)),
        Column::new("receiver's CPU s", Median("receivers_cpu_seconds", 1.0, 2)),
        Column::new("in the kernel", Median("kernel_seconds", 1.0, 2)),
        Column::new("disk: writes", Median("disk_writes", 1.0, 0)),
        Column::new("MiB", Median("disk_mib", 1.0, 1)),
        Column::new("flushes", Median("disk_flushes", 1.0, 0)),
    ];
    const ALTERNATES: bool = false;
    const STOPS: bool = true;

    fn common(&self) -> &Common {
        &self.common
    }

    fn cases(&self) -> Result<Vec<Case>> {
        let case = |name: &'static str, disk: Option<&Path>| {
            let way = |name: &str, options: &'static str| {
                let mut push = Glancecast::new(&Programs::ours(), &self.rate);
                push.receiver_options = vec![(1, options)];
                let disk = disk.map(Path::to_path_buf);
                Way::new(name, move |ground| measure(&push, ground, disk.as_deref()))
            };
            let work =
                format!("{} MiB at {} to one receiver over loopback, to {name}", self.size >> 20, self.rate);
            let ways = vec![way("with", ""), way("without", "--keep-unfinished none")];
            Case { work, ..Case::random(name, Network::unshaped(1), self.size, ways) }
        };
        Ok(vec![case("memory", None), case("disk", Some(&self.disk))])
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Runs a push, to memory if `disk` is `None`.
fn measure(push: &Glancecast, ground: &Ground<'_>, disk: Option<&Path>) -> Result<Run> {
    let above = disk.unwrap_or(ground.directory);
    fs::create_dir_all(above).with_context(|| format!("cannot create {}", above.display()))?;
    let directory = tempfile::Builder::new().prefix("journal-").tempdir_in(above)?;
    let mut site = Site::loopback(ground, directory.path())?;
    site.warm = disk.is_none();
    sync();
    let before = Writes::of_disk_below(directory.path())?;
    let pushed = push.push(&site)?;
    let disk = Writes::of_disk_below(directory.path())?.since(before);
    let end = pushed.receiver().end;
    let figures = [
        ("kernel_seconds", end.system.as_secs_f64()),
        ("disk_writes", disk.requests),
        ("disk_mib", disk.mib),
        ("disk_flushes", disk.flushes),
    ];
    let details = format!(
        "{:.2} s, receiver's CPU {:.2} s, {:.2} s of it in the kernel; the disk: {:.0} writes, {:.1} MiB, {:.0} flushes",
        pushed.ran.seconds,
        end.cpu.as_secs_f64(),
        end.system.as_secs_f64(),
        disk.requests,
        disk.mib,
        disk.flushes
    );
    Ok(pushed.figures(&figures, details))
}

impl Writes {
    /// Returns the counters since boot, over all processes.
    fn of_disk_below(directory: &Path) -> Result<Self> {
        let device = fs::metadata(directory)?.dev();
        let path = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
        // Memory and file systems on several devices have no such file.
        let Ok(text) = fs::read_to_string(path) else { return Ok(Self::default()) };
        Self::parse(&text).context("the counters of a disk are numbers")
    }

    /// Parses the format of Linux, Documentation/block/stat.rst.
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
