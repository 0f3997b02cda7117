//! The machine on which the figures were measured.

use std::fs;
use std::process::Command;
use std::thread;

use serde::{Deserialize, Serialize};

use super::buffers;

/// A machine, and the commit of the workspace that was measured there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// The number of hardware threads that this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The congestion control of TCP.
    pub congestion_control: String,
    /// The kernel's limits during a run.
    pub limits: Vec<String>,
    /// The commit, with `-dirty` if files differ from it.
    pub commit: String,
}

impl Machine {
    /// Returns this machine.
    pub fn this() -> Self {
        Self {
            processor: processor().unwrap_or_else(|| "unknown".to_owned()),
            cores: thread::available_parallelism().map_or(1, Into::into),
            kernel: word("/proc/sys/kernel/osrelease"),
            congestion_control: word("/proc/sys/net/ipv4/tcp_congestion_control"),
            limits: buffers::shown(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
        }
    }

    /// Returns processor, kernel and commit in one line.
    pub fn summary(&self) -> String {
        format!("{} x {}, Linux {}; commit {}", self.cores, self.processor, self.kernel, self.commit)
    }
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn word(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn commit() -> Option<String> {
    let output =
        Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=10"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
