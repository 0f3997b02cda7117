//! A compute node with a real systemd as its first process, on a host of a [`Lab`], with real units, journal, users,
//! control groups and sandboxes. All of it ends with the test, as a namespace does when its first process is killed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::netns::{self, Lab};
use crate::places;
use crate::process::{Process, exists};
use crate::skip::Need;
use crate::wait;

/// What a node needs.
pub const NEEDS: &[Need] = &[
    Need::Systemd,
    Need::Program("unshare", "util-linux"),
    Need::Program("nsenter", "util-linux"),
    netns::NEEDS[0],
    netns::NEEDS[1],
    netns::NEEDS[2],
    netns::NEEDS[3],
];

/// The files laid over the root of a node before it starts.
#[derive(Debug)]
pub struct Files {
    tree: PathBuf,
}

/// A node that runs until it is dropped.
#[derive(Debug)]
pub struct Node {
    /// Dropped first, which ends everything on the node.
    unshare: Process,
    systemd: u32,
    group: ControlGroup,
}

/// The outcome of a command on a node.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code.
    pub code: Option<i32>,
    /// The output.
    pub output: String,
}

impl Files {
    /// Creates a root with users only; `users` are names and numbers, each with a group of the same.
    pub fn new(tree: PathBuf, users: &[(&str, u32)]) -> Self {
        let files = Self { tree };
        let line = |(name, id): &(&str, u32)| format!("{name}:x:{id}:{id}::/nonexistent:/usr/sbin/nologin\n");
        let passwd: String = [("root", 0), ("nobody", 65534)].iter().chain(users).map(line).collect();
        let group: String = [("root", 0), ("nogroup", 65534)]
            .iter()
            .chain(users)
            .map(|(name, id)| format!("{name}:x:{id}:\n"))
            .collect();
        files.put("etc/passwd", passwd, 0o644, 0);
        files.put("etc/group", group, 0o644, 0);
        files.put("etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\n", 0o644, 0);
        files.put("etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0o444, 0);
        files
    }

    /// Writes a file, with its mode and the number of its owner.
    pub fn put(&self, path: &str, content: impl AsRef<[u8]>, mode: u32, owner: u32) {
        let target = self.tree.join(path);
        make_directories(&target);
        fs::write(&target, content).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
        self.give(path, mode, owner);
    }

    /// Copies a file.
    pub fn copy(&self, source: &Path, path: &str, mode: u32, owner: u32) {
        let target = self.tree.join(path);
        make_directories(&target);
        fs::copy(source, &target).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        self.give(path, mode, owner);
    }

    /// Creates a directory.
    pub fn directory(&self, path: &str, mode: u32, owner: u32) {
        let target = self.tree.join(path);
        fs::create_dir_all(&target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
        self.give(path, mode, owner);
    }

    fn give(&self, path: &str, mode: u32, owner: u32) {
        let target = self.tree.join(path);
        let mode = fs::Permissions::from_mode(mode);
        chown(&target, Some(owner), Some(owner))
            .and_then(|()| fs::set_permissions(&target, mode))
            .unwrap_or_else(|error| panic!("{}: {error}", target.display()));
    }
}

fn make_directories(file: &Path) {
    let parent = file.parent().expect("a file in a tree");
    fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
}

impl Node {
    /// Starts a node on a host of a lab, and waits until its systemd accepts commands. `directory` holds the node's
    /// files outside the node.
    #[track_caller]
    pub fn boot(lab: &Lab, host: &str, files: &Files, directory: &Path) -> Self {
        let (root, script) = (directory.join("root"), directory.join("node.sh"));
        fs::create_dir_all(&root).expect("the directory takes a directory");
        fs::write(&script, include_str!("node.sh")).expect("the directory takes a file");
        let group = ControlGroup::make();
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ >\"$1\" && shift && exec \"$@\"", "sh"])
            .arg(group.path.join("cgroup.procs"));
        command.arg("nsenter").arg(format!("--net={}", lab.path(host).display()));
        command.args(["unshare", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child"]);
        command.args(["--propagation", "private", "sh"]).arg(&script).arg(&root).arg(&files.tree);
        command.stdin(Stdio::null());
        let mut unshare = Process::start("systemd", command, directory);
        let systemd = wait::until("systemd", BOOT, || {
            assert!(unshare.runs(), "no systemd: {:?}", unshare.log_lines());
            child_of(unshare.pid()).filter(|pid| name_of(*pid) == "systemd")
        });
        let node = Self { unshare, systemd, group };
        wait::until("the node", BOOT, || {
            let state = node.run(&["systemctl", "is-system-running"]).output;
            ["running", "degraded"].contains(&state.trim()).then_some(())
        });
        node
    }

    /// Runs a command on the node, as root and outside every unit.
    pub fn run(&self, command: &[&str]) -> Outcome {
        let mut inside = Command::new("nsenter");
        inside.args(["-t", &self.systemd.to_string(), "-a", "--"]).args(command).stdin(Stdio::null());
        let output = inside.output().unwrap_or_else(|error| panic!("{inside:?}: {error}"));
        let text = [output.stdout, output.stderr].concat();
        Outcome { code: output.status.code(), output: String::from_utf8_lossy(&text).into_owned() }
    }

    /// Runs `systemctl` on the node.
    ///
    /// # Panics
    /// When it fails, with the journal in the message.
    #[track_caller]
    pub fn systemctl(&self, arguments: &[&str]) -> String {
        let outcome = self.run(&[&["systemctl"], arguments].concat());
        assert_eq!(
            outcome.code,
            Some(0),
            "systemctl {arguments:?}: {} {}",
            outcome.output,
            self.journal("*")
        );
        outcome.output
    }

    /// Returns a unit's log, oldest line first.
    pub fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "-o", "cat", "-u", unit]).output
    }

    /// Waits until a unit's log contains `words`.
    #[track_caller]
    pub fn wait_for_log(&self, unit: &str, words: &str, within: Duration) {
        wait::until(&format!("`{words}` in the journal of {unit}"), within, || {
            let journal = self.journal(unit);
            if journal.contains(words) {
                return Some(());
            }
            let state = self.run(&["systemctl", "is-active", unit]).output;
            assert!(["active", "activating"].contains(&state.trim()), "{unit} is {state}: {journal}");
            None
        });
    }

    /// Returns the pid of a unit's main process on the node.
    #[track_caller]
    pub fn main_pid(&self, unit: &str) -> String {
        self.systemctl(&["show", "--value", "-p", "MainPID", unit]).trim().to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("---- the journal of the node:\n{}", self.journal("*"));
        }
        self.unshare.signal(nix::sys::signal::Signal::SIGKILL);
        self.unshare.wait(BOOT);
        self.group.remove();
    }
}

/// The control group of a node. The next test removes what a killed one left.
#[derive(Debug)]
struct ControlGroup {
    path: PathBuf,
}

impl ControlGroup {
    fn make() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let parent = hierarchy().expect("it was asked for");
        for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
            let owner = entry.file_name().to_str().and_then(owner);
            if owner.is_some_and(|pid| !exists(pid)) {
                Self { path: entry.path() }.remove();
            }
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path }
    }

    /// Ends all its processes, and removes it with the groups that systemd made in it.
    fn remove(&self) {
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
        for _ in 0..100 {
            remove_groups(&self.path);
            if !self.path.exists() {
                return;
            }
            std::thread::sleep(wait::POLL_INTERVAL);
        }
        println!("{} is left, as something runs in it", self.path.display());
    }
}

fn remove_groups(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}

fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Returns the mount point of control groups version 2.
fn hierarchy() -> Option<PathBuf> {
    let places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    places
        .into_iter()
        .find(|place| place.join("cgroup.procs").is_file() && place.join("cgroup.controllers").is_file())
}

/// Returns the command that would make a node startable here, if something is missing.
pub(crate) fn remedy() -> Option<String> {
    if !Path::new("/lib/systemd/systemd").is_file() || places::tool("systemctl").is_none() {
        return Some("needs systemd: sudo apt-get install systemd".to_owned());
    }
    let Some(hierarchy) = hierarchy() else {
        return Some("needs control groups of version 2: mount -t cgroup2 cgroup2 /sys/fs/cgroup".to_owned());
    };
    let trial = hierarchy.join(format!("{PREFIX}{}-trial", std::process::id()));
    if fs::create_dir(&trial).is_err() {
        return Some(format!(
            "needs {} to be writable, as for root of a machine or a privileged container",
            hierarchy.display()
        ));
    }
    let _ = fs::remove_dir(&trial);
    None
}

fn child_of(parent: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

const PREFIX: &str = "glancecast-node";
/// A boot takes two seconds on an idle machine.
const BOOT: Duration = Duration::from_secs(30);
