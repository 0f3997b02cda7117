//! The compared tools. Each defines its processes on the sender and on the receivers, when they are ready, and when a
//! receiver has the file.

pub mod http;
pub mod install;
pub mod torrent;
pub mod udpcast;
pub mod uftp;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use glancecast_tests::places;
use glancecast_tests::process::Process;

use crate::lab::buffers::Raised;
use crate::lab::network::Network;
use crate::run::{Host, Ran, Site, run};

/// Which side starts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Receivers wait for the sender: the clock starts with the sender.
    Push,
    /// The sender waits for receivers: the clock starts with them.
    Pull,
}

/// One tool, with its best options.
pub trait Tool: Sync {
    /// Returns the name on the command line and in the results.
    fn name(&self) -> &'static str;

    /// Returns its version, and what a reader of its row has to know.
    fn about(&self) -> String;

    /// Returns which side waits.
    fn direction(&self) -> Direction {
        Direction::Push
    }

    /// Writes the files that its processes read; not timed.
    fn prepare(&self, _site: &Site) -> Result<()> {
        Ok(())
    }

    /// Returns the command lines of the sender's processes, in the order in which they start.
    fn sender(&self, site: &Site) -> Result<Vec<Line>>;

    /// Returns the command line of a receiver.
    fn receiver(&self, site: &Site, host: &Host) -> Line;

    /// Whether the waiting side is ready: a receiver if `host` is given, otherwise the whole sender.
    fn is_ready(&self, site: &Site, host: Option<&Host>, process: &Process) -> bool;

    /// Whether a receiver has the whole file.
    fn is_done(&self, site: &Site, host: &Host, process: &mut Process) -> Result<bool>;

    /// Returns the path of the copy on a receiver.
    fn copy(&self, host: &Host) -> PathBuf {
        host.directory.join("image")
    }

    /// Returns the time that processes get to end by themselves. udp-receiver, for instance, repeats its last answer
    /// for half a second.
    fn patience(&self, _site: &Site) -> Duration {
        match self.direction() {
            Direction::Push => Duration::from_secs(3),
            Direction::Pull => Duration::ZERO,
        }
    }

    /// Whether it reaches all receivers of this network. Tools that multicast reach one segment.
    fn reaches(&self, network: &Network) -> bool {
        network.routed.is_none() || self.direction() == Direction::Pull
    }

    /// Whether its threads are sampled.
    fn is_profiled(&self) -> bool {
        false
    }
}

/// A program and its arguments.
#[derive(Debug, Clone)]
pub struct Line {
    /// The path, or the name of an installed program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// `RUST_LOG`.
    pub log_level: Option<&'static str>,
}

/// Additional options of a tool.
#[derive(Debug, Clone, Default)]
pub struct Extra {
    /// For the sender's last process.
    pub sender: Vec<String>,
    /// For the receivers.
    pub receiver: Vec<String>,
}

/// Returns the tools other than glancecast.
pub fn others() -> Vec<Box<dyn Tool>> {
    vec![
        Box::new(udpcast::Udpcast::default()),
        Box::new(uftp::Uftp),
        Box::new(http::Http),
        Box::new(torrent::Torrent),
    ]
}

/// Runs a tool once, with the limits for socket buffers that the manuals of udpcast and UFTP ask for.
pub fn compare(tool: &dyn Tool, extra: &Extra, site: &Site) -> Result<Ran> {
    let _raised = Raised::raise()?;
    run(tool, extra, site)
}

impl Line {
    /// Creates a line with arguments as in a shell, separated by blanks and not quoted.
    pub fn new(program: impl Into<PathBuf>, arguments: &str) -> Self {
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        Self { program: program.into(), arguments, log_level: None }
    }

    /// Adds `flag value`, or the value alone if the flag is empty. The value may contain blanks.
    #[must_use]
    pub fn path(mut self, flag: &str, value: impl Into<PathBuf>) -> Self {
        let flag = Some(flag.to_owned()).filter(|flag| !flag.is_empty());
        self.arguments.extend(flag.into_iter().chain([value.into().to_string_lossy().into_owned()]));
        self
    }

    /// Returns the name of the program.
    pub fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns the line as one would type it, with `/tmp` for the directory above the sender's.
    pub(crate) fn shown(&self, sender_directory: &Path) -> String {
        let line = [self.name()].into_iter().chain(self.arguments.iter().cloned()).collect::<Vec<_>>();
        let above = sender_directory.parent().unwrap_or(sender_directory);
        line.join(" ").replace(&*above.to_string_lossy(), "/tmp")
    }

    /// Returns the program's path. A name is looked up in the system.
    pub fn program(&self) -> Result<PathBuf> {
        if self.program.is_absolute() {
            ensure!(self.program.is_file(), "{} is not there: make build", self.program.display());
            return Ok(self.program.clone());
        }
        places::tool(&self.name()).with_context(|| format!("{} is not installed", self.name()))
    }
}

/// Returns the version of an installed Debian package.
fn package_version(package: &str) -> String {
    let query = Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
    let version = query.ok().filter(|output| output.status.success());
    version.map_or_else(
        || "unknown".to_owned(),
        |output| format!("{package} {}", String::from_utf8_lossy(&output.stdout)),
    )
}
