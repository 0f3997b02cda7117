//! One run of one tool on a network of its own: who waits is started and waited for, the clock starts with the
//! others, and stops when the last receiver has the whole file. The copies are compared after that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use glancecast_tests::image;
use glancecast_tests::netns::Lab;
use glancecast_tests::process::Process;
use nix::sys::signal::Signal;

use crate::buffers::Raised;
use crate::record::Run;
use crate::scenario::Scenario;
use crate::tool::{self, Direction, Extra, Host, Line, Site, Tool};

/// What a run works with.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    /// The network.
    pub(crate) lab: Lab,
    /// Paths and addresses.
    pub(crate) site: Site,
    image_bytes: u64,
    blake3: &'a str,
    limit: Duration,
}

/// The processes of one side.
type Processes = Vec<Process>;

impl<'a> Ground<'a> {
    /// Builds a network and empties the directories.
    pub(crate) fn new(
        scenario: &Scenario,
        directory: &Path,
        image: &Path,
        blake3: &'a str,
        extra: &Extra,
        limit: Duration,
    ) -> Result<Self> {
        let site = site(scenario, directory, image, extra);
        for directory in site.hosts.iter().map(|host| &host.directory).chain([&site.directory]) {
            empty(directory)?;
        }
        let lab = Lab::build(&scenario.network.shape(scenario.network.tc_rate().as_deref()));
        Ok(Self { lab, site, image_bytes: scenario.image_bytes, blake3, limit })
    }

    /// The length of the image.
    pub(crate) fn image_bytes(&self) -> u64 {
        self.image_bytes
    }
}

impl Drop for Ground<'_> {
    fn drop(&mut self) {
        for host in &self.site.hosts {
            // The next run complains if it cannot be emptied.
            let _ = fs::remove_dir_all(&host.directory);
        }
    }
}

/// Paths and addresses of a scenario.
pub(crate) fn site(scenario: &Scenario, directory: &Path, image: &Path, extra: &Extra) -> Site {
    let host = |number: usize| {
        let fourth = u8::try_from(number).expect("a lab has at most 250 receivers");
        let name = format!("r{number}");
        Host { directory: directory.join(&name), name, address: [10, 77, 1, fourth] }
    };
    Site {
        network: scenario.network.clone(),
        image: image.to_path_buf(),
        directory: directory.join("sender"),
        hosts: (1..=scenario.network.receivers).map(host).collect(),
        extra: extra.clone(),
    }
}

/// Runs a tool once. What goes wrong is in the result.
pub(crate) fn run(tool: &dyn Tool, ground: &Ground<'_>) -> Run {
    attempt(tool, ground).unwrap_or_else(|error| Run::failed(&format!("{error:#}")))
}

fn attempt(tool: &dyn Tool, ground: &Ground<'_>) -> Result<Run> {
    let _raised = Raised::raise()?;
    tool.prepare(ground)?;
    let before = ground.lab.counter(Lab::SENDER, "tx_bytes");
    let (mut sender, mut receivers, begin);
    match tool.direction() {
        Direction::Push => {
            receivers = start_receivers(tool, ground)?;
            for (host, process) in ground.site.hosts.iter().zip(&mut receivers) {
                until_ready(tool, ground, Some(host), process)?;
            }
            begin = Instant::now();
            sender = start_sender(tool, ground)?;
        }
        Direction::Pull => {
            sender = start_sender(tool, ground)?;
            let last = sender.last_mut().context("a tool to pull from has a process on the sender")?;
            until_ready(tool, ground, None, last)?;
            begin = Instant::now();
            receivers = start_receivers(tool, ground)?;
        }
    }
    let done = until_done(tool, ground, &mut sender, &mut receivers, begin);
    // Whatever happened, what was used is known only of processes that have ended.
    let receivers_cpu = finish(tool.direction(), &mut receivers);
    let sender_cpu = finish(tool.direction(), &mut sender);
    let sent_bytes = ground.lab.counter(Lab::SENDER, "tx_bytes") - before;
    let seconds = done.and_then(|lasted| compare(tool, ground).map(|()| lasted.as_secs_f64()));
    Ok(Run {
        seconds: seconds.as_ref().ok().copied(),
        sent_bytes,
        sender_cpu_seconds: sender_cpu.as_secs_f64(),
        receivers_cpu_seconds: receivers_cpu.as_secs_f64(),
        failure: seconds.err().map(|error| format!("{error:#}")),
    })
}

fn start_sender(tool: &dyn Tool, ground: &Ground<'_>) -> Result<Processes> {
    let directory = &ground.site.directory;
    let lines = tool::sender_lines(tool, &ground.site)?;
    lines.iter().enumerate().map(|(index, line)| start(line, ground, Lab::SENDER, index, directory)).collect()
}

fn start_receivers(tool: &dyn Tool, ground: &Ground<'_>) -> Result<Processes> {
    let hosts = ground.site.hosts.iter();
    hosts
        .map(|host| {
            start(&tool::receiver_line(tool, &ground.site, host), ground, &host.name, 0, &host.directory)
        })
        .collect()
}

fn start(line: &Line, ground: &Ground<'_>, host: &str, index: usize, directory: &Path) -> Result<Process> {
    let mut command = line.command(ground, host)?;
    command.stdin(Stdio::null()).current_dir(directory);
    // No tool finds a user's configuration or writes to a user's home.
    command.env("HOME", directory).env_remove("XDG_CONFIG_HOME").env_remove("http_proxy");
    let logs = directory.join("logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    Ok(Process::start(&format!("{host}-{index}-{}", line.program), command, &logs))
}

fn until_ready(
    tool: &dyn Tool,
    ground: &Ground<'_>,
    host: Option<&Host>,
    process: &mut Process,
) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    while !tool.is_ready(ground, host, process) {
        let who = host.map_or(Lab::SENDER, |host| host.name.as_str());
        ensure!(
            process.runs(),
            "{} on {who} ended before it was ready: {}",
            tool.name(),
            last_words(process)
        );
        ensure!(
            Instant::now() < deadline,
            "{} on {who} did not get ready in {READY_TIMEOUT:?}: {}",
            tool.name(),
            last_words(process)
        );
        sleep(READY_INTERVAL);
    }
    Ok(())
}

/// Waits until the last receiver has the file, and returns how long that took.
fn until_done(
    tool: &dyn Tool,
    ground: &Ground<'_>,
    sender: &mut [Process],
    receivers: &mut [Process],
    begin: Instant,
) -> Result<Duration> {
    let mut waiting: Vec<usize> = (0..receivers.len()).collect();
    let mut lasted = Duration::ZERO;
    while !waiting.is_empty() {
        let mut still = Vec::new();
        for index in waiting {
            let (host, process) = (&ground.site.hosts[index], &mut receivers[index]);
            let ended = process.poll();
            if tool.is_done(ground, host, process).with_context(|| format!("on {}", host.name))? {
                lasted = begin.elapsed();
            } else if ended.is_some() {
                bail!("{} ended without the file: {}", host.name, last_words(process));
            } else {
                still.push(index);
            }
        }
        waiting = still;
        let unfinished = waiting.len();
        for process in sender.iter_mut().filter(|_| unfinished > 0) {
            if process.poll().is_some_and(|end| end.code() != Some(0)) {
                bail!("the sender ended while {unfinished} receivers waited: {}", last_words(process));
            }
        }
        ensure!(
            begin.elapsed() < ground.limit,
            "{unfinished} of {} receivers had no file after {:?}",
            receivers.len(),
            ground.limit
        );
        sleep(DONE_INTERVAL);
    }
    Ok(lasted)
}

/// Ends processes and returns what they used in all. Those that end by themselves are let: udp-receiver, for
/// instance, repeats its last answer for half a second.
fn finish(direction: Direction, processes: &mut [Process]) -> Duration {
    let by_themselves = if direction == Direction::Push { BY_THEMSELVES_TIMEOUT } else { Duration::ZERO };
    until_ended(processes, by_themselves);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        processes.iter_mut().for_each(|process| process.signal(signal));
        until_ended(processes, STOP_TIMEOUT);
    }
    processes.iter_mut().filter_map(Process::poll).map(|end| end.cpu).sum()
}

fn until_ended(processes: &mut [Process], within: Duration) {
    let deadline = Instant::now() + within;
    while processes.iter_mut().any(Process::runs) && Instant::now() < deadline {
        sleep(READY_INTERVAL);
    }
}

/// Compares every copy with the image by their BLAKE3 sums.
fn compare(tool: &dyn Tool, ground: &Ground<'_>) -> Result<()> {
    for host in &ground.site.hosts {
        let copy = tool.copy(ground, host);
        ensure!(copy.is_file(), "{} has no {}", host.name, copy.display());
        ensure!(image::blake3_of(&copy) == ground.blake3, "the copy on {} differs from the image", host.name);
    }
    Ok(())
}

/// The end of what a process said, for a message.
fn last_words(process: &Process) -> String {
    let lines = process.log_lines();
    let last: Vec<_> = lines.iter().filter(|line| !line.trim().is_empty()).collect();
    last[last.len().saturating_sub(LAST_WORDS_LINES)..]
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" / ")
}

fn empty(directory: &PathBuf) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}

/// Of a log, in a message.
const LAST_WORDS_LINES: usize = 8;
const READY_TIMEOUT: Duration = Duration::from_secs(15);
const READY_INTERVAL: Duration = Duration::from_millis(10);
/// Short against the shortest run, long against what a look costs.
const DONE_INTERVAL: Duration = Duration::from_millis(2);
/// A sender that told the last receiver to go repeats that for a while.
const BY_THEMSELVES_TIMEOUT: Duration = Duration::from_secs(3);
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
