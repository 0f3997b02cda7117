//! The surroundings of a scenario: a directory, a key, a group of its own, and a network. It starts `glancecastd` and
//! `glancecast` with the usual arguments, each of which a scenario may override.

use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::DirBuilderExt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, process};

use tempfile::TempDir;

use crate::exclusive::{self, Hold, Share};
use crate::netns::Lab;
use crate::places;
use crate::process::{End, Process, exists};
use crate::report::Report;

/// The surroundings of a scenario. Fields are dropped in order: the network before the directory.
#[derive(Debug)]
pub struct Testbed {
    lab: Option<Lab>,
    group: SocketAddrV4,
    key: PathBuf,
    directory: TempDir,
    _machine: Hold,
}

/// A `glancecastd` that has joined its group.
#[derive(Debug)]
pub struct Receiver {
    /// The process.
    pub process: Process,
    /// Its store directory.
    pub store: PathBuf,
}

/// A running `glancecast send --json`.
#[derive(Debug)]
pub struct Push {
    /// The process.
    pub process: Process,
}

impl Testbed {
    /// Creates one on the loopback interface; the caller's folder decides whether it shares the machine.
    #[track_caller]
    pub fn loopback() -> Self {
        Self::new(None, Share::of(Location::caller().file()))
    }

    /// Creates one in a lab.
    ///
    /// # Panics
    /// When the caller is a scenario outside `tests/tests/exclusive`: labs are for measuring.
    #[track_caller]
    pub fn lab(lab: Lab) -> Self {
        let file = Location::caller().file();
        assert_eq!(
            Share::of(file),
            Share::Alone,
            "{file}: a scenario with a lab belongs in tests/tests/exclusive"
        );
        Self::new(Some(lab), Share::Alone)
    }

    fn new(lab: Option<Lab>, share: Share) -> Self {
        let machine = exclusive::machine(share);
        let directory = directory();
        let key = directory.path().join("group.key");
        let testbed = Self { lab, group: own_group(), key, directory, _machine: machine };
        testbed.keygen(&testbed.key);
        testbed
    }

    /// Returns a path in the scenario's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the lab.
    pub fn network(&self) -> &Lab {
        self.lab.as_ref().expect("this scenario built a lab")
    }

    /// Returns the names of the receiver hosts: those of the lab, or `r1` for this machine.
    pub fn hosts(&self) -> Vec<String> {
        self.lab.as_ref().map_or_else(|| vec!["r1".to_owned()], Lab::receivers)
    }

    /// Returns the group and port, which no other test uses.
    pub fn group(&self) -> SocketAddrV4 {
        self.group
    }

    /// Returns the path of the group's key file.
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// Creates a key file with `glancecast keygen`.
    pub fn keygen(&self, path: &Path) {
        let mut command = Command::new(places::program("glancecast"));
        command.arg("keygen").arg(path).stdin(Stdio::null());
        let end = Process::start("keygen", command, self.directory.path()).wait(SOON);
        assert_eq!(end.code(), Some(0), "keygen {}", path.display());
    }

    /// Returns a host's store directory, created if missing.
    pub fn store(&self, host: &str) -> PathBuf {
        let store = self.path(&format!("store-{host}"));
        fs::create_dir_all(&store)
            .unwrap_or_else(|error| panic!("cannot create {}: {error}", store.display()));
        store
    }

    /// Returns a host's state directory, created if missing. Only this user may change it, whatever the umask.
    pub fn state(&self, host: &str) -> PathBuf {
        let state = self.path(&format!("state-{host}"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&state)
            .unwrap_or_else(|error| panic!("cannot create {}: {error}", state.display()));
        state
    }

    /// Returns the path of the file of known hosts that pushes and queries use.
    pub fn known_hosts(&self) -> PathBuf {
        self.path("known_hosts")
    }

    /// Starts a receiver and waits until it has joined. In a lab it runs on the host of that name.
    #[track_caller]
    pub fn receiver(&self, host: &str, arguments: &[&str]) -> Receiver {
        self.receiver_with(self.command(host, "glancecastd"), host, arguments)
    }

    /// Starts a receiver from a prepared command, for instance one of another build, and waits until it listens.
    pub fn receiver_with(&self, command: Command, host: &str, arguments: &[&str]) -> Receiver {
        let mut process = self.start_receiver_with(command, host, arguments);
        process.wait_for_log(" listening", SOON);
        Receiver { process, store: self.store(host) }
    }

    /// Starts a receiver without waiting.
    pub fn start_receiver(&self, host: &str, arguments: &[&str]) -> Process {
        self.start_receiver_with(self.command(host, "glancecastd"), host, arguments)
    }

    /// Starts a receiver from a prepared command without waiting.
    pub fn start_receiver_with(&self, mut command: Command, host: &str, arguments: &[&str]) -> Process {
        let store = format!("directory:{}", self.store(host).display());
        let state = self.state(host);
        let usual = [
            ("--name", OsStr::new(host)),
            ("--store", OsStr::new(&store)),
            ("--state", state.as_os_str()),
            // Most pushes of the scenarios are not signed.
            ("--sender", OsStr::new("any")),
        ];
        command.args(self.complete(&usual, arguments));
        Process::start(host, command, self.directory.path())
    }

    /// Starts `glancecast send --json` with the group, the interface, the key and `arguments`.
    pub fn push(&self, arguments: &[&str]) -> Push {
        self.push_as("sender", arguments)
    }

    /// Starts a push with a title of its own, which names its output files: for pushes at the same time.
    pub fn push_as(&self, title: &str, arguments: &[&str]) -> Push {
        Push { process: self.start_sender(title, self.command(Lab::SENDER, "glancecast"), arguments) }
    }

    /// Starts a push that waits for others of this machine to its group, as pushes do unless they are told not to.
    pub fn push_in_turn(&self, title: &str, arguments: &[&str]) -> Push {
        let command = self.command(Lab::SENDER, "glancecast");
        Push { process: self.start_sender_with(title, command, arguments, Turns::Taken) }
    }

    /// Starts a push from a prepared command, for instance one with an environment.
    pub fn push_with(&self, command: Command, arguments: &[&str]) -> Push {
        Push { process: self.start_sender("sender", command, arguments) }
    }

    /// Runs a query (`glancecast hosts`, `status IMAGE`, ...) and returns the exit code and the JSON report.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> (i32, serde_json::Value) {
        self.ask_with(self.command(Lab::SENDER, "glancecast"), arguments)
    }

    /// Runs a query from a prepared command, for instance one with an environment.
    #[track_caller]
    pub fn ask_with(&self, command: Command, arguments: &[&str]) -> (i32, serde_json::Value) {
        let (code, output) = self.run_query(command, &[arguments, &["--json"]].concat());
        let report: serde_json::Value = serde_json::from_str(&output)
            .unwrap_or_else(|error| panic!("not one JSON object ({error}); exit {code}: {output:?}"));
        assert_eq!(report["exit_code"], code, "the report names the exit code: {report}");
        (code, report)
    }

    /// Runs a query and returns the exit code and the table.
    #[track_caller]
    pub fn ask_for_table(&self, arguments: &[&str]) -> (i32, String) {
        self.run_query(self.command(Lab::SENDER, "glancecast"), arguments)
    }

    #[track_caller]
    fn run_query(&self, mut command: Command, arguments: &[&str]) -> (i32, String) {
        command.args(self.complete(&[(KNOWN_HOSTS, self.known_hosts().as_os_str())], arguments));
        let mut querier = Process::start("querier", command, self.directory.path());
        let end = querier.wait(SOON * 2);
        (end.code().expect("no signal"), querier.output())
    }

    /// Returns a command that runs one of our programs, on `host` if there is a lab.
    pub fn command(&self, host: &str, program: &str) -> Command {
        let program = places::program(program);
        let mut command = match &self.lab {
            Some(lab) => lab.command(host, &program),
            None => Command::new(program),
        };
        command.stdin(Stdio::null());
        command
    }

    fn start_sender(&self, title: &str, command: Command, arguments: &[&str]) -> Process {
        self.start_sender_with(title, command, arguments, Turns::NotTaken)
    }

    fn start_sender_with(
        &self,
        title: &str,
        mut command: Command,
        arguments: &[&str],
        turns: Turns,
    ) -> Process {
        let known = self.known_hosts();
        command.arg("send").args(self.complete(&[(KNOWN_HOSTS, known.as_os_str())], arguments)).arg("--json");
        if !arguments.contains(&"--sender-key") {
            command.arg("--unsigned");
        }
        if turns == Turns::NotTaken {
            command.arg("--no-lock");
        }
        Process::start(title, command, self.directory.path())
    }

    /// Returns the arguments of a run: `given`, and the usual ones whose flags are not in `given`.
    fn complete(&self, usual: &[(&str, &OsStr)], given: &[&str]) -> Vec<OsString> {
        let group = self.group.to_string();
        let interface = if self.lab.is_some() { Lab::INTERFACE } else { "lo" };
        let network = [("--group", OsStr::new(&group)), ("--interface", OsStr::new(interface))];
        let key = [("--key", self.key.as_os_str())];
        let unless_given =
            |flag: &str| !(given.contains(&flag) || flag == "--key" && given.contains(&"--insecure"));
        let mut arguments: Vec<OsString> = given.iter().map(OsString::from).collect();
        for (flag, value) in network.iter().chain(&key).chain(usual).filter(|(flag, _)| unless_given(flag)) {
            arguments.extend([OsString::from(flag), value.to_os_string()]);
        }
        arguments
    }
}

impl Receiver {
    /// Returns all names in the store, including hidden files, except the receiver's records.
    pub fn stored(&self) -> Vec<String> {
        list(&self.store).into_iter().filter(|name| name != RECORDS).collect()
    }

    /// Asserts that the store holds only `name`, and returns its path.
    #[track_caller]
    pub fn only_file(&self, name: &str) -> PathBuf {
        assert_eq!(self.stored(), [name], "in {}", self.store.display());
        self.store.join(name)
    }
}

impl Push {
    /// Waits for the end and returns the report; asserts that its exit code is the process's.
    #[track_caller]
    pub fn report(&mut self, within: Duration) -> (End, Report) {
        let end = self.process.wait(within);
        let output = self.process.output();
        assert!(!output.is_empty(), "no report; exit {:?}, log {:?}", end.code(), self.process.log_lines());
        let report = Report::parse(&output);
        assert_eq!(end.code(), Some(report.exit_code), "the report names the exit code: {:?}", report.reason);
        (end, report)
    }
}

/// Whether pushes of this machine to one group wait for each other. Pushes at once are what several scenarios are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turns {
    Taken,
    NotTaken,
}

/// Returns all names in a directory, sorted.
pub fn list(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// Returns a group and port for this test: the address from the process, the port from process and count.
fn own_group() -> SocketAddrV4 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (pid, count) = (process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let [.., high, low] = pid.to_be_bytes();
    let third = u8::try_from(192 + count % 63).expect("below 255");
    // Below the kernel's range of ephemeral ports.
    let port = u16::try_from(10_000 + (pid.wrapping_mul(61) + count) % 20_000).expect("below 30 000");
    SocketAddrV4::new(Ipv4Addr::new(239, third, high, low), port)
}

/// Creates a directory on the build's disk, after removing those of dead processes.
fn directory() -> TempDir {
    static STALE: Once = Once::new();
    let parent = places::scenarios("work");
    STALE.call_once(|| {
        for name in list(&parent) {
            let owner = name.split('-').next().and_then(|owner| owner.parse().ok());
            if owner.is_some_and(|owner: u32| owner == process::id() || !exists(owner)) {
                // Another test may be removing the same one.
                let _ = fs::remove_dir_all(parent.join(name));
            }
        }
    });
    let prefix = format!("{}-", process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(parent).expect("the build's disk takes a directory")
}

/// Without it root would use the machine's own file.
const KNOWN_HOSTS: &str = "--known-hosts";

/// The directory of a store that holds the receiver's records of published objects.
pub const RECORDS: &str = ".glancecast";

/// Ample for what takes no time on an idle machine.
pub const SOON: Duration = Duration::from_secs(15);
