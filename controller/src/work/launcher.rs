//! Starts children, and writes the lists of hosts that are too long for their command lines.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::arguments::{Front, HostFiles, host_lines};
use super::child::Child;
use crate::model::HostChoice;
use crate::settings::{CloudSettings, SenderSettings};

/// Starts children.
#[derive(Clone, Debug)]
pub struct Launcher {
    sender: SenderSettings,
    cloud: Option<CloudSettings>,
    /// The directory of the lists.
    lists: PathBuf,
    mark: String,
}

/// Lists of hosts in files, which go with it.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    pub(crate) files: HostFiles,
}

impl Drop for Lists {
    fn drop(&mut self) {
        for path in self.files.hosts.iter().chain(&self.files.exclude) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The variable in the environment of children by which a controller knows those that it started. The sender reads no variable
/// of this name.
pub(super) const MARK: &str = "IMAGE_DISTRIBUTION_CHILD_OF";

/// Variables that are for this process alone.
const OWN_VARIABLES: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "INVOCATION_ID"];

impl Launcher {
    /// Returns what starts children for the controller with this state directory, and clears up after an earlier one.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub fn new(sender: SenderSettings, cloud: Option<CloudSettings>, state: &Path) -> io::Result<Self> {
        let lists = state.join("lists");
        match fs::DirBuilder::new().mode(0o700).create(&lists) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        for entry in fs::read_dir(&lists)? {
            let _ = fs::remove_file(entry?.path());
        }
        // The directory is the controller's: whoever marks children with it is an earlier start of this one.
        let mark = state.canonicalize()?.to_string_lossy().into_owned();
        Ok(Self { sender, cloud, lists, mark })
    }

    /// Returns by what this controller's children are known.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// Returns what command lines begin with.
    pub fn front<'a>(&'a self, profile: Option<&'a str>) -> Front<'a> {
        Front { sender: &self.sender, cloud: self.cloud.as_ref(), profile }
    }

    /// Writes the lists of hosts of a push or a job. `name` is unique among those that run.
    pub(crate) fn lists(&self, name: &str, choice: &HostChoice, exclude: &[String]) -> io::Result<Lists> {
        let mut lists = Lists::default();
        if let HostChoice::Names(hosts) = choice {
            lists.files.hosts = Some(self.write(&format!("{name}.hosts"), hosts)?);
        }
        if !exclude.is_empty() {
            lists.files.exclude = Some(self.write(&format!("{name}.exclude"), exclude)?);
        }
        Ok(lists)
    }

    fn write(&self, name: &str, hosts: &[String]) -> io::Result<PathBuf> {
        let path = self.lists.join(name);
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(host_lines(hosts).as_bytes())?;
        Ok(path)
    }

    /// Starts a child.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn start(&self, words: Vec<OsString>) -> io::Result<Child> {
        let mut command = Command::new(&self.sender.program);
        command
            .args(words)
            .env(MARK, &self.mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at a terminal is for this process, which then ends its children in order.
            .process_group(0);
        for name in OWN_VARIABLES {
            command.env_remove(name);
        }
        Child::spawn(command)
    }
}
