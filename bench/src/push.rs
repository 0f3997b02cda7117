//! One push by glancecast itself, of whole programs: started, waited for, compared, and what it used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::Lab;
use glancecast_tests::places;
use glancecast_tests::process::{End, Process};
use glancecast_tests::report::Report;
use serde::{Deserialize, Serialize};

use crate::lab::threads::{Sampler, ThreadTime};
use crate::lab::warm;

/// Where a push takes place.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// In a network of its own, of so many receivers as are wanted or more.
    In(&'a Lab),
    /// On the loopback interface of this machine: no root is needed.
    Loopback,
}

/// A file to send, in memory.
#[derive(Debug, Clone)]
pub struct Image {
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// The sum of its bytes, in hex.
    pub blake3: String,
}

/// What is pushed, and how.
#[derive(Debug, Clone, Copy)]
pub struct Push<'a> {
    /// Where.
    pub place: Place<'a>,
    /// To so many.
    pub receivers: usize,
    /// What.
    pub image: &'a Image,
    /// For keys, logs and copies; what is in it is removed.
    pub directory: &'a Path,
    /// As `--rate` takes it.
    pub rate: &'a str,
    /// More options for receivers by their numbers, from 1.
    pub options: &'a [(usize, &'a str)],
    /// More options for the sender.
    pub sender_options: &'a [&'a str],
    /// What receivers have in their stores before.
    pub stored: &'a [Stored],
    /// Whether memory for the copies is touched before, without which the first ones take longer.
    pub warm: bool,
    /// Whether threads and stages are looked at.
    pub profile: bool,
    /// When it has failed.
    pub limit: Duration,
}

/// A file that a receiver has in its store.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The receiver's number, from 1.
    pub receiver: usize,
    /// Where it is.
    pub file: PathBuf,
    /// Its name in the store.
    pub name: String,
    /// How it gets there.
    pub by: By,
}

/// How a file gets into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The store has a second name of it.
    Link,
    /// It is in the store alone: an unfinished image with two names is as good as published.
    Move,
}

/// A push that every receiver has proven and published.
#[derive(Debug)]
pub struct Pushed {
    /// The sender's.
    pub report: Report,
    /// From the start of the sender to the end of the last receiver.
    pub seconds: f64,
    /// What the sender used; no stages: they are in the report.
    pub sender: Side,
    /// What the receivers used.
    pub receivers: Vec<Side>,
    /// What the first receiver's copy takes of its disk, holes left out.
    pub allocated_bytes: u64,
}

/// What a process used.
#[derive(Debug)]
pub struct Side {
    /// In all.
    pub end: End,
    /// By thread.
    pub threads: Vec<ThreadTime>,
    /// By stage.
    pub stages: Vec<StageTime>,
}

/// What a stage did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageTime {
    /// Its name.
    pub stage: String,
    /// Of all threads together.
    pub seconds: f64,
    /// That went through it.
    pub bytes: u64,
}

impl Image {
    /// Writes random bytes.
    pub fn random(path: PathBuf, bytes: u64, seed: u64) -> Self {
        let blake3 = image::random(&path, bytes, Seed::new(seed));
        Self { path, bytes, blake3 }
    }
}

impl Pushed {
    /// The datagrams that hold the image, and those that repaired it, as they were sent.
    pub fn symbols_sent(&self) -> u64 {
        ["source", "repair"]
            .iter()
            .filter_map(|kind| self.report.wire.kinds.get(*kind))
            .map(|kind| kind.datagrams)
            .sum()
    }

    /// What a full datagram of this push is on the wire, as tc counts it.
    pub fn frame_bytes(&self) -> u64 {
        self.report.object.datagram_bytes + ETHERNET_IPV4_UDP_BYTES
    }

    /// Seconds that a line of so many bits a second alone needs for the image in full frames.
    pub fn line_seconds(&self, line_bits_per_second: u64) -> f64 {
        let object = &self.report.object;
        let frames = object.bytes as f64 / object.symbol_bytes as f64;
        frames * self.frame_bytes() as f64 * 8.0 / line_bits_per_second as f64
    }

    /// The image's bits by the seconds until the last receiver's end, in Gbit/s.
    pub fn gbit_s(&self) -> f64 {
        self.report.object.bytes as f64 * 8.0 / self.seconds / 1e9
    }
}

impl Push<'_> {
    /// Does it: the receivers listen before the sender starts.
    ///
    /// # Errors
    /// If it takes too long, a receiver ends without the file, or a copy is not the image.
    ///
    /// # Panics
    /// If a program is not built.
    pub fn run(&self) -> Result<Pushed> {
        empty(self.directory)?;
        if self.warm {
            warm::warm(self.directory, (self.image.bytes + PROCESS_BYTES) * self.receivers as u64)?;
        }
        self.keygen()?;
        let mut pushed = self.attempt();
        if let (Ok(pushed), Ok(copy)) = (&mut pushed, self.copy(1)) {
            pushed.allocated_bytes = image::allocated_bytes(&copy);
        }
        let compared = pushed.is_ok().then(|| self.compare());
        for number in 1..=self.receivers {
            // The next run complains if it cannot be emptied.
            let _ = fs::remove_dir_all(self.store(number));
        }
        compared.transpose()?;
        pushed
    }

    fn attempt(&self) -> Result<Pushed> {
        let mut receivers: Vec<Process> =
            (1..=self.receivers).map(|n| self.start_receiver(n)).collect::<Result<_>>()?;
        for receiver in &mut receivers {
            until_it_listens(receiver)?;
        }
        let begin = Instant::now();
        let mut sender = self.start_sender();
        let sampler = self
            .profile
            .then(|| Sampler::start([&sender].into_iter().chain(&receivers).map(Process::pid).collect()));
        let mut lasted = Duration::ZERO;
        while !receivers.iter_mut().all(|receiver| receiver.poll().is_some()) || sender.runs() {
            if receivers.iter_mut().any(Process::runs) {
                lasted = begin.elapsed();
            }
            if sender.poll().is_some_and(|end| end.code() != Some(0)) {
                bail!("the sender failed: {} {}", sender.output(), last_words(&sender));
            }
            ensure!(begin.elapsed() < self.limit, "not done after {:?}: {}", self.limit, last_words(&sender));
            sleep(LOOK_INTERVAL);
        }
        let mut threads = sampler.map(Sampler::finish).unwrap_or_default().into_iter();
        let sender_side = side(&mut sender, threads.next());
        let receiver_sides: Vec<_> =
            receivers.iter_mut().map(|process| side(process, threads.next())).collect();
        for (receiver, side) in receivers.iter().zip(&receiver_sides) {
            ensure!(
                side.end.code() == Some(0),
                "a receiver ended without the file: {}",
                last_words(receiver)
            );
        }
        let report = Report::parse(&sender.output());
        Ok(Pushed {
            report,
            seconds: lasted.as_secs_f64(),
            sender: sender_side,
            receivers: receiver_sides,
            allocated_bytes: 0,
        })
    }

    fn start_receiver(&self, number: usize) -> Result<Process> {
        let store = self.store(number);
        fs::create_dir_all(&store).with_context(|| format!("cannot create {}", store.display()))?;
        for stored in self.stored.iter().filter(|stored| stored.receiver == number) {
            let target = store.join(&stored.name);
            let put = match stored.by {
                By::Link => fs::hard_link(&stored.file, target),
                By::Move => fs::rename(&stored.file, target),
            };
            put.with_context(|| format!("cannot put {} into a store", stored.file.display()))?;
        }
        let host = format!("r{number}");
        let (mut command, interface) = self.command(&host, "glancecastd");
        command
            .args(["--once", "--name", &host, "--interface", interface, "--group", GROUP])
            .args(ANY_SENDER);
        command.arg("--key").arg(self.key()).arg("--store").arg(format!("directory:{}", store.display()));
        let options = self.options.iter().filter(|(of, _)| *of == number);
        command.args(options.flat_map(|(_, options)| options.split_whitespace()));
        if self.profile {
            // The stages are told at this level.
            command.env("RUST_LOG", "info,glancecast_receiver::receive_loop=debug");
        }
        Ok(Process::start(&host, command, self.directory))
    }

    fn start_sender(&self) -> Process {
        let (mut command, interface) = self.command(Lab::SENDER, "glancecast");
        let expect = self.receivers.to_string();
        command.args(["send", "--interface", interface, "--group", GROUP, "--rate", self.rate]);
        command.args(["--expect", &expect, "--json"]).args(self.sender_options);
        command.arg("--key").arg(self.key()).arg("--file").arg(&self.image.path);
        Process::start(Lab::SENDER, command, self.directory)
    }

    fn command(&self, host: &str, program: &str) -> (Command, &'static str) {
        let program = places::program(program);
        let (mut command, interface) = match self.place {
            Place::In(lab) => (lab.command(host, &program), Lab::INTERFACE),
            Place::Loopback => (Command::new(program), "lo"),
        };
        command.stdin(Stdio::null()).current_dir(self.directory).env_remove("RUST_LOG");
        (command, interface)
    }

    fn keygen(&self) -> Result<()> {
        let mut command = Command::new(places::program("glancecast"));
        let status =
            command.arg("keygen").arg(self.key()).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "glancecast keygen ended with {status}");
        Ok(())
    }

    /// On all processors, as copies may be many.
    fn compare(&self) -> Result<()> {
        let numbers: Vec<usize> = (1..=self.receivers).collect();
        let cores = thread::available_parallelism().map_or(1, Into::into);
        thread::scope(|scope| {
            let parts = numbers.chunks(numbers.len().div_ceil(cores).max(1));
            let parts: Vec<_> = parts
                .map(|part| scope.spawn(|| part.iter().try_for_each(|number| self.compare_one(*number))))
                .collect();
            parts.into_iter().try_for_each(|part| part.join().expect("comparing does not panic"))
        })
    }

    fn compare_one(&self, number: usize) -> Result<()> {
        let copy = self.copy(number)?;
        ensure!(image::blake3_of(&copy) == self.image.blake3, "the copy on r{number} differs from the image");
        Ok(())
    }

    fn copy(&self, number: usize) -> Result<PathBuf> {
        let name = self.image.path.file_name().context("an image has a name")?;
        let copy = self.store(number).join(name);
        ensure!(copy.is_file(), "r{number} has no {}", copy.display());
        Ok(copy)
    }

    fn store(&self, number: usize) -> PathBuf {
        self.directory.join(format!("r{number}"))
    }

    fn key(&self) -> PathBuf {
        self.directory.join("group.key")
    }
}

fn until_it_listens(receiver: &mut Process) -> Result<()> {
    let deadline = Instant::now() + LISTEN_TIMEOUT;
    while !receiver.log_lines().iter().any(|line| line.contains(" listening")) {
        if !receiver.runs() || Instant::now() > deadline {
            bail!("a receiver does not listen: {}", last_words(receiver));
        }
        sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// Of a process that has ended.
fn side(process: &mut Process, threads: Option<Vec<ThreadTime>>) -> Side {
    let stages = process.log_lines().iter().filter_map(|line| parse_stage(line)).collect();
    Side { end: process.poll().expect("it has ended"), threads: threads.unwrap_or_default(), stages }
}

/// Reads what a receiver logs of a stage when an object is done: `... stage="open" seconds=0.5 bytes=1024`.
fn parse_stage(line: &str) -> Option<StageTime> {
    let field = |name: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        Some(word?.trim_matches('"').to_owned())
    };
    Some(StageTime {
        stage: field("stage")?,
        seconds: field("seconds")?.parse().ok()?,
        bytes: field("bytes")?.parse().ok()?,
    })
}

fn last_words(process: &Process) -> String {
    let lines = process.log_lines();
    lines[lines.len().saturating_sub(LAST_WORDS_LINES)..].join(" / ")
}

fn empty(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}

/// Pushes here are not signed.
pub const ANY_SENDER: [&str; 2] = ["--sender", "any"];

const GROUP: &str = "239.255.77.3:27079";
/// Short against the shortest run, long against what a look costs.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
const LISTEN_TIMEOUT: Duration = Duration::from_secs(15);
/// Of a log, in a message.
const LAST_WORDS_LINES: usize = 6;
const ETHERNET_IPV4_UDP_BYTES: u64 = 14 + 20 + 8;
/// What a receiver takes besides its copy: of 128 of them it is half as much as the copies, which would come to lie in memory
/// that nobody has touched.
const PROCESS_BYTES: u64 = 24 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_read_from_the_log() {
        let line = "2026-01-01T00:00:00Z DEBUG time since the start stage=\"open\" seconds=0.25 bytes=1024";
        let stage = StageTime { stage: "open".to_owned(), seconds: 0.25, bytes: 1024 };
        assert_eq!(parse_stage(line), Some(stage));
        assert_eq!(parse_stage("2026-01-01T00:00:00Z  INFO listening name=r1"), None);
    }
}
