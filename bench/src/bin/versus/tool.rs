//! What a tool has to tell so that it can be run: its processes on the sender and on the receivers, when they are
//! ready, and when a receiver has the file.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use glancecast_tests::places;
use glancecast_tests::process::Process;

use crate::run::Ground;
use crate::scenario::Network;
use crate::{glancecast, http, torrent, udpcast, uftp};

/// Who has to be there first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Receivers wait for the sender: the clock starts with the sender.
    Push,
    /// The sender waits for receivers: the clock starts with them.
    Pull,
}

/// One tool, with its best options.
pub(crate) trait Tool {
    /// What it is called on the command line and in the results.
    fn name(&self) -> &'static str;

    /// Its version, from the program or the package.
    fn version(&self) -> String;

    /// What a reader of its row has to know.
    fn note(&self) -> &'static str;

    /// Who waits for whom.
    fn direction(&self) -> Direction;

    /// Writes the files that its processes read; not timed.
    fn prepare(&self, _ground: &Ground<'_>) -> Result<()> {
        Ok(())
    }

    /// The command lines of the sender's processes, in the order in which they start.
    fn sender(&self, site: &Site) -> Result<Vec<Line>>;

    /// The command line of the receiver.
    fn receiver(&self, site: &Site, host: &Host) -> Line;

    /// Whether those that wait can be waited for: the receiver when `host` is given, otherwise all of the sender.
    fn is_ready(&self, ground: &Ground<'_>, host: Option<&Host>, process: &Process) -> bool;

    /// Whether a receiver has the whole file, and where it is bad, why it never will.
    fn is_done(&self, ground: &Ground<'_>, host: &Host, process: &mut Process) -> Result<bool>;

    /// The copy on a receiver.
    fn copy(&self, _ground: &Ground<'_>, host: &Host) -> PathBuf {
        host.directory.join("image")
    }
}

/// A program and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// The program, by name.
    pub(crate) program: &'static str,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
}

/// What command lines are made from.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The network.
    pub(crate) network: Network,
    /// The image.
    pub(crate) image: PathBuf,
    /// A directory for what the sender reads and writes.
    pub(crate) directory: PathBuf,
    /// The receivers.
    pub(crate) hosts: Vec<Host>,
    /// What is added to command lines.
    pub(crate) extra: Extra,
}

/// Options that were given for tools by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extra {
    /// For the last process on the sender.
    pub(crate) sender: Vec<(String, Vec<String>)>,
    /// For the receivers.
    pub(crate) receiver: Vec<(String, Vec<String>)>,
}

/// A receiver.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// Its name in the lab.
    pub(crate) name: String,
    /// Its IPv4 address.
    pub(crate) address: [u8; 4],
    /// Where it writes.
    pub(crate) directory: PathBuf,
}

/// All tools, glancecast first.
pub(crate) fn all() -> Vec<Box<dyn Tool>> {
    vec![
        Box::new(glancecast::Glancecast),
        Box::new(udpcast::Udpcast),
        Box::new(uftp::Uftp),
        Box::new(http::Http),
        Box::new(torrent::Torrent),
    ]
}

/// The sender's command lines with what was added.
pub(crate) fn sender_lines(tool: &dyn Tool, site: &Site) -> Result<Vec<Line>> {
    let mut lines = tool.sender(site)?;
    if let Some(last) = lines.last_mut() {
        last.arguments.extend(
            site.extra
                .sender
                .iter()
                .filter(|(name, _)| name == tool.name())
                .flat_map(|(_, more)| more.clone()),
        );
    }
    Ok(lines)
}

/// A receiver's command line with what was added.
pub(crate) fn receiver_line(tool: &dyn Tool, site: &Site, host: &Host) -> Line {
    let mut line = tool.receiver(site, host);
    line.arguments.extend(
        site.extra.receiver.iter().filter(|(name, _)| name == tool.name()).flat_map(|(_, more)| more.clone()),
    );
    line
}

impl Line {
    /// A program with arguments written as in a shell, words separated by blanks and none of them quoted.
    pub(crate) fn new(program: &'static str, arguments: &str) -> Self {
        Self { program, arguments: arguments.split_whitespace().map(str::to_owned).collect() }
    }

    /// The same with paths, which may hold blanks: `--flag value` each.
    pub(crate) fn path(mut self, flag: &str, path: impl Into<PathBuf>) -> Self {
        if !flag.is_empty() {
            self.arguments.push(flag.to_owned());
        }
        self.arguments.push(path.into().to_string_lossy().into_owned());
        self
    }

    /// As one would type it.
    pub(crate) fn shown(&self) -> String {
        [self.program]
            .into_iter()
            .chain(self.arguments.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The program's path: beside this executable, or where the system has it.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        if self.program.starts_with("glancecast") {
            return Ok(places::program(self.program));
        }
        places::tool(self.program).with_context(|| format!("{} is not installed", self.program))
    }

    /// As a command in the lab.
    pub(crate) fn command(&self, ground: &Ground<'_>, host: &str) -> Result<Command> {
        let mut command = ground.lab.command(host, &self.program()?);
        command.args(&self.arguments);
        Ok(command)
    }
}

/// The version of an installed Debian package.
pub(crate) fn package_version(package: &str) -> String {
    let query = Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
    let version = query.ok().filter(|output| output.status.success());
    version.map_or_else(
        || "unknown".to_owned(),
        |output| format!("{package} {}", String::from_utf8_lossy(&output.stdout)),
    )
}

/// The sender's address in the lab.
pub(crate) const SENDER: &str = "10.77.0.1";
