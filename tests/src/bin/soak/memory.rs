//! The size of a process over its life, and whether it grows.

use std::fmt;
use std::fs;

/// The samples of one process.
pub(crate) struct Memory {
    pid: u32,
    /// Resident bytes, in the order of time.
    resident: Vec<u64>,
    /// What the process held at rest, before the first push.
    at_first: Held,
}

/// The files and threads of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    files: usize,
    threads: usize,
}

/// A quarter of the samples.
struct Part {
    least: u64,
    median: u64,
    most: u64,
}

impl Memory {
    pub(crate) fn new(pid: u32) -> Self {
        Self { pid, resident: Vec::new(), at_first: Held::by(pid) }
    }

    /// Takes a sample of the resident memory.
    pub(crate) fn watch(&mut self) {
        self.resident.push(resident(self.pid));
    }

    /// Compares the second quarter with the last one. The first is left out, because memory for the largest images is
    /// allocated in it and stays. A leak raises the least of a quarter (no transfer) as well as the median and the
    /// most.
    ///
    /// # Panics
    /// When the last quarter is larger than the second by more than chance, or when files or threads are left over.
    pub(crate) fn judge(&self) {
        let quarter = (self.resident.len() / 4).max(1);
        let parts: Vec<Part> = self.resident.chunks(quarter).take(4).map(Part::of).collect();
        let held = Held::by(self.pid);
        println!("r1, resident MiB (least, median, most) in each quarter: {}", shown(&parts));
        println!("r1, at rest: {:?} before the first push, {held:?} after the last", self.at_first);
        assert_eq!(held, self.at_first, "files or threads were left");
        if self.resident.len() < SAMPLES_MIN {
            return println!("too short to judge whether it grows");
        }
        let (early, late) = (&parts[1], &parts[3]);
        assert!(late.least <= early.least + CHANCE_BYTES, "the least grew by more than {CHANCE_BYTES} bytes");
        assert!(
            late.median <= early.median + CHANCE_BYTES,
            "the median grew by more than {CHANCE_BYTES} bytes"
        );
        assert!(late.most <= early.most + CHANCE_BYTES, "the most grew by more than {CHANCE_BYTES} bytes");
    }
}

impl Held {
    fn by(pid: u32) -> Self {
        let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).expect("it runs").count();
        Self { files: count("fd"), threads: count("task") }
    }
}

impl Part {
    fn of(samples: &[u64]) -> Self {
        let mut samples = samples.to_vec();
        samples.sort_unstable();
        let last = samples.len() - 1;
        Self { least: samples[0], median: samples[last / 2], most: samples[last] }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.resident.last().copied().unwrap_or(0);
        write!(f, "r1 {:.1} MiB resident", mib(now))
    }
}

fn shown(parts: &[Part]) -> String {
    let part = |part: &Part| format!("{:.1} {:.1} {:.1}", mib(part.least), mib(part.median), mib(part.most));
    parts.iter().map(part).collect::<Vec<_>>().join(" | ")
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kib << 10
}

/// The difference between two quarters of a process without leaks: other images, other moments.
const CHANCE_BYTES: u64 = 4 << 20;
/// A few minutes; before that, a new maximum shows nothing.
const SAMPLES_MIN: usize = 1_800;
