//! Runs a tool once on its own network. The waiting side starts first. The clock starts with the other side and stops
//! when the last receiver has the whole file. Then the copies are compared with the image.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use glancecast_tests::image;
use glancecast_tests::netns::Lab;
use glancecast_tests::process::{End, Process};
use nix::sys::signal::Signal;

use crate::case::Ground;
use crate::content::Image;
use crate::lab::network::Network;
use crate::lab::threads::{Sampler, ThreadTime};
use crate::lab::warm;
use crate::record::Run;
use crate::tools::{Direction, Extra, Line, Tool};

/// Where a run takes place, and with what.
#[derive(Debug)]
pub struct Site {
    /// The built network; `None` on this machine's loopback interface, which needs no root.
    lab: Option<Lab>,
    /// The requested network.
    pub network: Network,
    /// The sender's IPv4 address.
    pub sender: Ipv4Addr,
    /// The image.
    pub image: Image,
    /// The directory for the sender's files.
    pub directory: PathBuf,
    /// The receivers.
    pub hosts: Vec<Host>,
    /// The time after which the run has failed.
    pub limit: Duration,
    /// Whether to touch the memory for the copies first, without which the first copies take longer.
    pub warm: bool,
}

/// A receiver.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its number, from 1.
    pub number: usize,
    /// Its name in the lab.
    pub name: String,
    /// Its IPv4 address.
    pub address: [u8; 4],
    /// The directory that it writes to.
    pub directory: PathBuf,
}

/// The result of a run in which every receiver got the image.
#[derive(Debug)]
pub struct Ran {
    /// Seconds from the start of the side that does not wait until the last receiver has the whole file.
    pub seconds: f64,
    /// Bytes by the counter of the sender's interface; 0 on loopback.
    pub sent_bytes: u64,
    /// The sender's processes.
    pub sender: Vec<Ended>,
    /// The receivers' processes.
    pub receivers: Vec<Ended>,
    /// The disk space of the first receiver's copy in bytes, without holes.
    pub allocated_bytes: u64,
    /// The command lines of the sender and of the first receiver.
    pub commands: Vec<String>,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status and the resources used.
    pub end: End,
    /// Its threads, if the tool is profiled.
    pub threads: Vec<ThreadTime>,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub log: Vec<String>,
}

impl Site {
    /// Builds a network.
    ///
    /// # Panics
    /// If a step fails.
    pub fn build(ground: &Ground<'_>) -> Result<Self> {
        let (lab, fabric) = ground.network.build();
        let mut site = Self::new(Some(lab), ground, ground.directory)?;
        if let Some(fabric) = fabric {
            site.sender = fabric.address(Lab::SENDER);
            site.hosts.iter_mut().for_each(|host| host.address = fabric.address(&host.name).octets());
        }
        Ok(site)
    }

    /// Returns a site on the loopback interface, without the network's rate and loss.
    pub fn loopback(ground: &Ground<'_>, directory: &Path) -> Result<Self> {
        Self::new(None, ground, directory)
    }

    fn new(lab: Option<Lab>, ground: &Ground<'_>, directory: &Path) -> Result<Self> {
        let host = |number: usize| {
            let fourth = u8::try_from(number).expect("a lab has at most 250 receivers");
            let name = format!("r{number}");
            Host { number, directory: directory.join(&name), name, address: [10, 77, 1, fourth] }
        };
        let (network, image, limit) = (ground.network.clone(), ground.image.clone(), ground.limit);
        let directory = directory.join("sender");
        let hosts: Vec<Host> = (1..=network.receivers).map(host).collect();
        let logs = directory.join("logs");
        for directory in hosts.iter().map(|host| &host.directory).chain([&directory, &logs]) {
            if directory.exists() {
                fs::remove_dir_all(directory)
                    .with_context(|| format!("cannot remove {}", directory.display()))?;
            }
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        Ok(Self { lab, network, sender: SENDER, image, directory, hosts, limit, warm: true })
    }

    /// Returns the network.
    ///
    /// # Panics
    /// On loopback.
    pub fn lab(&self) -> &Lab {
        self.lab.as_ref().expect("a network was built")
    }

    /// Returns the name of every host's interface.
    pub fn interface(&self) -> &'static str {
        if self.lab.is_some() { Lab::INTERFACE } else { "lo" }
    }

    /// Returns a command that starts a line's program on a host.
    pub fn command(&self, host: &str, line: &Line) -> Result<Command> {
        let program = line.program()?;
        let mut command =
            self.lab.as_ref().map_or_else(|| Command::new(&program), |lab| lab.command(host, &program));
        command.args(&line.arguments).stdin(Stdio::null()).current_dir(&self.directory);
        // Tools must not read a user's configuration or write to a user's home.
        command.env("HOME", &self.directory).env_remove("XDG_CONFIG_HOME").env_remove("http_proxy");
        command.env_remove("RUST_LOG").envs(line.log_level.map(|level| ("RUST_LOG", level)));
        Ok(command)
    }

    fn start(&self, host: &str, line: &Line) -> Result<Process> {
        let title = format!("{host}-{}", line.name());
        Ok(Process::start(&title, self.command(host, line)?, &self.directory.join("logs")))
    }

    fn sent_bytes(&self) -> u64 {
        self.lab.as_ref().map_or(0, |lab| lab.counter(Lab::SENDER, "tx_bytes"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for directory in self.hosts.iter().map(|host| &host.directory).chain([&self.directory]) {
            // If this fails, the next run reports it.
            let _ = fs::remove_dir_all(directory);
        }
    }
}

impl Ran {
    /// Returns the run with the figures that all tools have, and a summary.
    pub fn figures(&self) -> Run {
        let seconds = |ended: &[Ended]| ended.iter().map(|ended| ended.end.cpu.as_secs_f64()).sum();
        let (sender, receivers): (f64, f64) = (seconds(&self.sender), seconds(&self.receivers));
        let figures = [
            ("seconds", self.seconds),
            ("sent_bytes", self.sent_bytes as f64),
            ("allocated_bytes", self.allocated_bytes as f64),
            ("sender_cpu_seconds", sender),
            ("receivers_cpu_seconds", receivers),
        ];
        let details = format!(
            "{:>7.2} s, {} bytes sent, {sender:.2} + {receivers:.2} s of CPU",
            self.seconds, self.sent_bytes
        );
        Run { commands: self.commands.clone(), ..Run::new(figures, details) }
    }
}

/// Runs a tool once.
pub fn run(tool: &dyn Tool, extra: &Extra, site: &Site) -> Result<Ran> {
    if site.warm {
        let each = site.image.bytes + PROCESS_BYTES;
        warm::warm(&site.directory, each * site.hosts.len() as u64)?;
    }
    tool.prepare(site)?;
    let before = site.sent_bytes();
    let mut sender_lines = tool.sender(site)?;
    sender_lines.iter_mut().rev().take(1).for_each(|line| line.arguments.extend_from_slice(&extra.sender));
    let mut receiver_lines: Vec<Line> = site.hosts.iter().map(|host| tool.receiver(site, host)).collect();
    receiver_lines.iter_mut().for_each(|line| line.arguments.extend_from_slice(&extra.receiver));
    let start_sender = || -> Result<Vec<Process>> {
        sender_lines.iter().map(|line| site.start(Lab::SENDER, line)).collect()
    };
    let start_receivers = || -> Result<Vec<Process>> {
        site.hosts.iter().zip(&receiver_lines).map(|(host, line)| site.start(&host.name, line)).collect()
    };
    let (mut sender, mut receivers, begin);
    match tool.direction() {
        Direction::Push => {
            receivers = start_receivers()?;
            for (host, process) in site.hosts.iter().zip(&mut receivers) {
                until_ready(tool, site, Some(host), process)?;
            }
            begin = Instant::now();
            sender = start_sender()?;
        }
        Direction::Pull => {
            sender = start_sender()?;
            let last = sender.last_mut().context("a tool to pull from has a process on the sender")?;
            until_ready(tool, site, None, last)?;
            begin = Instant::now();
            receivers = start_receivers()?;
        }
    }
    let sampler = tool
        .is_profiled()
        .then(|| Sampler::start(sender.iter().chain(&receivers).map(Process::pid).collect()));
    let done = until_done(tool, site, &mut sender, &mut receivers, begin);
    let patience = if done.is_ok() { tool.patience(site) } else { Duration::ZERO };
    // Even after a failure: leftover processes must not disturb the next run.
    finish(patience, &mut receivers);
    finish(patience, &mut sender);
    let mut threads = sampler.map(Sampler::finish).unwrap_or_default().into_iter();
    let seconds = done?.as_secs_f64();
    let mut ended = |process: &mut Process| {
        let end = process.poll().context("a process does not end")?;
        let threads = threads.next().unwrap_or_default();
        Ok(Ended { end, threads, output: process.output(), log: process.log_lines() })
    };
    let sender = sender.iter_mut().map(&mut ended).collect::<Result<_>>()?;
    let receivers = receivers.iter_mut().map(&mut ended).collect::<Result<_>>()?;
    let sent_bytes = site.sent_bytes() - before;
    compare(tool, site)?;
    let allocated_bytes = site.hosts.first().map_or(0, |host| image::allocated_bytes(&tool.copy(host)));
    let commands =
        sender_lines.iter().chain(receiver_lines.first()).map(|line| line.shown(&site.directory)).collect();
    Ok(Ran { seconds, sent_bytes, sender, receivers, allocated_bytes, commands })
}

fn until_ready(tool: &dyn Tool, site: &Site, host: Option<&Host>, process: &mut Process) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    while !tool.is_ready(site, host, process) {
        let (name, host) = (tool.name(), host.map_or(Lab::SENDER, |host| host.name.as_str()));
        ensure!(process.runs(), "{name} on {host} ended before it was ready: {}", last_lines(process));
        ensure!(
            Instant::now() < deadline,
            "{name} on {host} is not ready after {READY_TIMEOUT:?}: {}",
            last_lines(process)
        );
        sleep(READY_INTERVAL);
    }
    Ok(())
}

/// Waits until the last receiver has the file, and returns the time that it took.
fn until_done(
    tool: &dyn Tool,
    site: &Site,
    sender: &mut [Process],
    receivers: &mut [Process],
    begin: Instant,
) -> Result<Duration> {
    let mut waiting: Vec<usize> = (0..receivers.len()).collect();
    loop {
        let mut still = Vec::new();
        for index in waiting {
            let (host, process) = (&site.hosts[index], &mut receivers[index]);
            let ended = process.poll();
            if !tool.is_done(site, host, process).with_context(|| format!("on {}", host.name))? {
                ensure!(ended.is_none(), "{} ended without the file: {}", host.name, last_lines(process));
                still.push(index);
            }
        }
        if still.is_empty() {
            return Ok(begin.elapsed());
        }
        waiting = still;
        let count = waiting.len();
        for process in sender.iter_mut() {
            if process.poll().is_some_and(|end| end.code() != Some(0)) {
                let output = process.output();
                bail!("the sender failed while {count} receivers waited: {output} {}", last_lines(process));
            }
        }
        if begin.elapsed() >= site.limit {
            let last = receivers.get(waiting[0]).map(last_lines).unwrap_or_default();
            bail!("{count} receivers have no file after {:?}; the first of them: {last}", site.limit);
        }
        sleep(DONE_INTERVAL);
    }
}

/// Ends processes after `patience`, in which they may end by themselves.
fn finish(patience: Duration, processes: &mut [Process]) {
    until_ended(processes, patience);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        processes.iter_mut().for_each(|process| process.signal(signal));
        until_ended(processes, STOP_TIMEOUT);
    }
}

fn until_ended(processes: &mut [Process], within: Duration) {
    let deadline = Instant::now() + within;
    while processes.iter_mut().any(Process::runs) && Instant::now() < deadline {
        sleep(DONE_INTERVAL);
    }
}

/// Compares every copy with the image, on all processors because there may be many copies.
fn compare(tool: &dyn Tool, site: &Site) -> Result<()> {
    let compare_one = |host: &Host| {
        let copy = tool.copy(host);
        ensure!(copy.is_file(), "{} has no {}", host.name, copy.display());
        ensure!(image::blake3_of(&copy) == site.image.blake3, "the copy on {} differs", host.name);
        Ok(())
    };
    let cores = thread::available_parallelism().map_or(1, Into::into);
    thread::scope(|scope| {
        let parts = site.hosts.chunks(site.hosts.len().div_ceil(cores).max(1));
        let parts: Vec<_> = parts.map(|part| scope.spawn(|| part.iter().try_for_each(compare_one))).collect();
        parts.into_iter().try_for_each(|part| part.join().expect("comparing does not panic"))
    })
}

/// Returns the end of a process's log, for an error message.
fn last_lines(process: &Process) -> String {
    let lines = process.log_lines();
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join(" / ")
}

/// The sender's address in a network that is one segment.
const SENDER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The number of log lines in an error message.
const LAST_LINES: usize = 8;
const READY_TIMEOUT: Duration = Duration::from_secs(15);
const READY_INTERVAL: Duration = Duration::from_millis(5);
/// Short compared to the shortest run, long compared to the cost of a check.
const DONE_INTERVAL: Duration = Duration::from_millis(2);
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// A receiver's memory besides its copy. For 128 receivers it is half as much as the copies, which would otherwise lie
/// in memory that was never touched.
const PROCESS_BYTES: u64 = 24 << 20;
