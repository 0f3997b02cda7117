//! glancecast itself: its command lines, and the reports of its sender and receivers.

use std::fs::{self, DirBuilder};
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use glancecast_tests::netns::Lab;
use glancecast_tests::process::Process;
use glancecast_tests::report::{Report, Stage};

use crate::lab::network::{Network, Routed};
use crate::record::Run;
use crate::run::{Ended, Host, Ran, Site, run};
use crate::tools::{Extra, Line, Tool};

/// The two programs of one build.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The name of the build in the results.
    pub name: String,
    sender: PathBuf,
    receiver: PathBuf,
    /// The receiver's `--help` text, which shows what an older build lacks.
    help: String,
}

/// A push with its options.
#[derive(Debug, Clone)]
pub struct Glancecast {
    /// The build to run.
    pub programs: Programs,
    /// The sender's `--rate`.
    pub rate: String,
    /// Additional options of the sender.
    pub sender_options: Vec<String>,
    /// Additional options of receivers by number, from 1.
    pub receiver_options: Vec<(usize, &'static str)>,
    /// Files that are in the receivers' stores before.
    pub stored: Vec<Stored>,
    /// Whether to record threads and stages.
    pub profile: bool,
}

/// A file in a receiver's store.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The receiver's number, from 1.
    pub receiver: usize,
    /// The path of the original.
    pub file: PathBuf,
    /// Its name in the store.
    pub name: String,
    /// How it is put there.
    pub by: By,
}

/// How a file is put into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// As a hard link.
    Link,
    /// By a rename: an unfinished image with two names counts as published.
    Move,
}

/// A push whose image every receiver has proven and published.
#[derive(Debug)]
pub struct Pushed {
    /// The sender's report.
    pub report: Report,
    /// The measurements from outside.
    pub ran: Ran,
}

impl Programs {
    /// Returns the programs of this build, which are in the directory of this executable.
    ///
    /// # Panics
    /// If the kernel does not know the path of this executable.
    pub fn ours() -> Self {
        let this = std::env::current_exe().expect("a running program knows its executable");
        Self::new("glancecast", this.with_file_name("glancecast"), this.with_file_name("glancecastd"))
    }

    /// Parses `NAME=DIRECTORY`, the programs of another build.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, directory) = text.split_once('=').ok_or("give it as NAME=DIRECTORY")?;
        let program = |name: &str| {
            let path = Path::new(directory).join(name);
            path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))
        };
        Ok(Self::new(name, program("glancecast")?, program("glancecastd")?))
    }

    fn new(name: &str, sender: PathBuf, receiver: PathBuf) -> Self {
        let help = Command::new(&receiver).arg("--help").stdin(Stdio::null()).output();
        let help =
            help.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        Self { name: name.to_owned(), sender, receiver, help }
    }

    /// Whether the receiver's help text contains `words`.
    pub fn has(&self, words: &str) -> bool {
        self.help.contains(words)
    }

    /// Returns the option that makes a receiver accept unsigned pushes, or nothing for builds without signatures.
    fn any_sender(&self) -> &'static str {
        if self.has("|any>") { "--sender any" } else { "" }
    }

    /// Returns the command line of a receiver on a host of `site`, with a state directory of its own. Builds without
    /// host keys have none.
    pub fn receiver(&self, site: &Site, host: &str, arguments: &str) -> Line {
        let line = Line::new(&self.receiver, arguments);
        if self.has(STATE) { line.path("--state", state(site, host)) } else { line }
    }

    /// Returns the command line of a sender.
    pub fn sender(&self, arguments: &str) -> Line {
        Line::new(&self.sender, arguments)
    }

    /// Returns the command line of a push, with a file of known hosts of its own. Builds without host keys have none.
    pub fn push(&self, site: &Site, arguments: &str) -> Line {
        let line = self.sender(&format!("send {arguments}"));
        // Its directory is made by the sender.
        let known = site.directory.join("known/known_hosts");
        if self.has(STATE) { line.path("--known-hosts", known) } else { line }
    }
}

/// Creates the state directory of a host, which only this user may change.
pub fn make_state(site: &Site, host: &str) -> Result<()> {
    let state = state(site, host);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&state);
    made.with_context(|| format!("cannot create {}", state.display()))
}

fn state(site: &Site, host: &str) -> PathBuf {
    site.directory.join(format!("state-{host}"))
}

impl Glancecast {
    /// Creates a push by these programs at a rate.
    pub fn new(programs: &Programs, rate: impl Into<String>) -> Self {
        Self {
            programs: programs.clone(),
            rate: rate.into(),
            sender_options: Vec::new(),
            receiver_options: Vec::new(),
            stored: Vec::new(),
            profile: false,
        }
    }

    /// Runs the push.
    pub fn push(&self, site: &Site) -> Result<Pushed> {
        let ran = run(self, &Extra::default(), site)?;
        let sender = ran.sender.first().context("there is a sender")?;
        ensure!(
            sender.end.code() == Some(0),
            "the sender failed: {} {}",
            sender.output,
            sender.log.join(" / ")
        );
        Ok(Pushed { report: Report::parse(&sender.output), ran })
    }
}

impl Tool for Glancecast {
    fn name(&self) -> &'static str {
        "glancecast"
    }

    fn about(&self) -> String {
        format!(
            "{}; encrypted and authenticated (AES-GCM under a group key), every copy proven with BLAKE3 before it gets its name",
            env!("CARGO_PKG_VERSION")
        )
    }

    fn prepare(&self, site: &Site) -> Result<()> {
        let line = self.programs.sender("keygen").path("", site.directory.join(KEY));
        let status = site.command(Lab::SENDER, &line)?.stdout(Stdio::null()).status()?;
        ensure!(status.success(), "glancecast keygen ended with {status}");
        for host in &site.hosts {
            make_state(site, &host.name)?;
        }
        if site.network.routed.is_some() {
            let line = |host: &Host| format!("{} {}\n", host.name, Ipv4Addr::from(host.address));
            let lines: String = site.hosts.iter().map(line).collect();
            fs::write(site.directory.join(HOSTS), lines).context("cannot write the list of hosts")?;
        }
        for Stored { receiver, file, name, by } in &self.stored {
            let target = site.hosts[receiver - 1].directory.join(name);
            let put = match by {
                By::Link => fs::hard_link(file, target),
                By::Move => fs::rename(file, target),
            };
            put.with_context(|| format!("cannot put {} into a store", file.display()))?;
        }
        Ok(())
    }

    fn sender(&self, site: &Site) -> Result<Vec<Line>> {
        let hosts = match site.network.routed {
            None => format!("--expect {}", site.hosts.len()),
            Some(kind) => {
                let ways = if kind == Routed::UnicastOnly { "unicast" } else { "auto" };
                format!("--reach {ways} --hosts-file {}", site.directory.join(HOSTS).display())
            }
        };
        let usual =
            format!("--interface {} --group {GROUP} --rate {} {hosts} --json", site.interface(), self.rate);
        let line = self.programs.push(site, &usual);
        let mut line = line.path("--key", site.directory.join(KEY)).path("--file", &site.image.path);
        line.arguments.extend_from_slice(&self.sender_options);
        Ok(vec![line])
    }

    fn receiver(&self, site: &Site, host: &Host) -> Line {
        let options = self.receiver_options.iter().filter(|(number, _)| *number == host.number);
        let options: Vec<&str> = options.map(|(_, options)| *options).collect();
        let usual = format!(
            "--once --name {} --interface {} --group {GROUP} {} {} {}",
            host.name,
            site.interface(),
            self.programs.any_sender(),
            if site.network.routed.is_some() { "--relay on" } else { "" },
            options.join(" ")
        );
        let store = format!("directory:{}", host.directory.display());
        let line = self.programs.receiver(site, &host.name, &usual);
        let line = line.path("--key", site.directory.join(KEY)).path("--store", store);
        Line { log_level: self.profile.then_some(LOG_OF_STAGES), ..line }
    }

    fn is_ready(&self, _site: &Site, _host: Option<&Host>, process: &Process) -> bool {
        process.log_lines().iter().any(|line| line.contains(" listening"))
    }

    fn is_done(&self, _site: &Site, _host: &Host, process: &mut Process) -> Result<bool> {
        // It exits with 0 when the copy is proven and published.
        Ok(process.poll().is_some_and(|end| end.code() == Some(0)))
    }

    fn patience(&self, site: &Site) -> Duration {
        site.limit
    }

    fn reaches(&self, _network: &Network) -> bool {
        true
    }

    fn is_profiled(&self) -> bool {
        self.profile
    }
}

impl Pushed {
    /// Returns the number of sent datagrams that carry source or repair symbols.
    pub fn symbols_sent(&self) -> u64 {
        let kinds = ["source", "repair"].iter().filter_map(|kind| self.report.wire.kinds.get(*kind));
        kinds.map(|kind| kind.datagrams).sum()
    }

    /// Returns the bytes of the datagrams of a kind.
    pub fn bytes_of(&self, kind: &str) -> u64 {
        self.report.wire.kinds.get(kind).map_or(0, |kind| kind.bytes)
    }

    /// Returns the seconds that a line of this rate needs for the image in full frames, as tc counts them.
    pub fn line_seconds(&self, line_bits_per_second: u64) -> f64 {
        let object = &self.report.object;
        let frames = object.bytes as f64 / object.symbol_bytes as f64;
        let frame_bytes = object.datagram_bytes + ETHERNET_IPV4_UDP_BYTES;
        frames * frame_bytes as f64 * 8.0 / line_bits_per_second as f64
    }

    /// Returns the rate in Gbit/s until the last receiver has exited.
    pub fn gbit_s(&self) -> f64 {
        self.report.object.bytes as f64 * 8.0 / self.ran.seconds / 1e9
    }

    /// Returns the sender's process.
    pub fn sender(&self) -> &Ended {
        &self.ran.sender[0]
    }

    /// Returns the first receiver's process.
    pub fn receiver(&self) -> &Ended {
        &self.ran.receivers[0]
    }

    /// Returns the run with its figures and details for readers.
    pub fn figures(&self, more: &[(&str, f64)], details: impl std::fmt::Display) -> Run {
        let mut run = self.ran.figures();
        run.figures.extend(more.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        Run { details: details.to_string(), ..run }
    }
}

impl Ended {
    /// Returns the stages that a receiver logged when it was done.
    pub fn stages(&self) -> Vec<Stage> {
        self.log.iter().filter_map(|line| parse_stage(line)).collect()
    }
}

/// Parses the log line of a stage: `... stage="open" seconds=0.5 bytes=1024`.
fn parse_stage(line: &str) -> Option<Stage> {
    let field = |name: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        Some(word?.trim_matches('"').to_owned())
    };
    let (seconds, bytes) = (field("seconds")?.parse().ok()?, field("bytes")?.parse().ok()?);
    Some(Stage { stage: field("stage")?, seconds, bytes })
}

/// Returns the `--rate` for a network whose line carries nothing else: nearly all of the line, or [`UNSHAPED_RATE`].
pub fn rate(network: &Network, share: f64) -> String {
    network.paced(share).map_or_else(|| UNSHAPED_RATE.to_owned(), |rate| format!("{}kbit", rate / 1000))
}

/// Share of the line. `--rate` counts as tbf does; the rest is for answers of hosts and the kernel's own packets.
pub const LINE_SHARE: f64 = 0.985;
/// More than two processors can transfer from file to file, so that the programs limit each other.
pub const UNSHAPED_RATE: &str = "20gbit";
const GROUP: &str = "239.255.77.3:27079";
const KEY: &str = "group.key";
const HOSTS: &str = "hosts";
/// The receiver's option that builds with host keys have.
const STATE: &str = "--state <DIR>";
/// The log level at which the receiver logs its stages.
const LOG_OF_STAGES: &str = "info,glancecast_receiver=debug";
const ETHERNET_IPV4_UDP_BYTES: u64 = 14 + 20 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_read_from_the_log() {
        let line = "2026-01-01T00:00:00Z DEBUG time since the start stage=\"open\" seconds=0.25 bytes=1024";
        let stage = parse_stage(line).expect("a stage");
        assert_eq!((stage.stage.as_str(), stage.seconds, stage.bytes), ("open", 0.25, 1024));
        assert!(parse_stage("2026-01-01T00:00:00Z  INFO listening name=r1").is_none());
    }

    #[test]
    fn a_build_without_programs_is_refused() {
        assert!(Programs::parse("old").is_err() && Programs::parse("old=/nowhere").is_err());
    }
}
