//! A real Keystone and Glance for one scenario: `tests/openstack/lab.py`, which installs them from PyPI into a
//! virtual environment below the target directory (once) and serves them on loopback until its standard input ends.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::process::Process;
use crate::skip::Need;
use crate::{places, wait};

/// What the cloud takes.
pub const NEEDS: &[Need] = &[Need::Program("python3", "python3"), Need::PythonVenv];

/// The cloud, up until it is dropped.
#[derive(Debug)]
pub struct OpenStack {
    process: Process,
    directory: PathBuf,
    clouds: PathBuf,
}

impl OpenStack {
    /// Installs it if need be and starts it, its state in `directory`.
    pub fn start(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let environment = environment(directory);
        let mut command =
            lab(["run".as_ref(), directory.as_os_str(), "--venv".as_ref(), environment.as_os_str()]);
        command.stdin(Stdio::piped());
        let mut process = Process::start("openstack", command, directory);
        let line = wait::until("Keystone and Glance", START_TIMEOUT, || {
            assert!(process.runs(), "the cloud ended: {:?}", process.log_lines());
            process.output().split_once('\n').map(|(line, _)| line.to_owned())
        });
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let clouds =
            told["clouds_yaml"].as_str().unwrap_or_else(|| panic!("no clouds_yaml in {line}")).into();
        Self { process, directory: directory.to_path_buf(), clouds }
    }

    /// Its `clouds.yaml`: the clouds `lab-admin`, `lab-demo` and `lab-other`.
    pub fn clouds(&self) -> &Path {
        &self.clouds
    }

    /// Writes a `clouds.yaml` whose passwords are wrong.
    pub fn clouds_with_wrong_password(&self, path: &Path) {
        let text = fs::read_to_string(&self.clouds).expect("the lab wrote it");
        let wrong = text.lines().map(|line| match line.split_once("password:") {
            Some((indent, _)) if indent.trim().is_empty() => {
                format!("{indent}password: \"not the password\"\n")
            }
            _ => format!("{line}\n"),
        });
        let wrong: String = wrong.collect();
        assert_ne!(wrong, text, "there was a password to replace");
        fs::write(path, wrong).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Uploads a private raw image of a project and returns its id.
    pub fn upload(&self, cloud: &str, name: &str, file: &Path) -> String {
        self.image("upload", cloud, name, Some(file))
    }

    /// Makes an image without data and returns its id: it stays `queued`.
    pub fn create(&self, cloud: &str, name: &str) -> String {
        self.image("create", cloud, name, None)
    }

    /// Changes an image's stored bytes, their number unchanged, without Glance's knowledge.
    pub fn corrupt(&self, image_id: &str) {
        self.ask("corrupt", &[image_id.as_ref()]);
    }

    fn image(&self, what: &str, cloud: &str, name: &str, file: Option<&Path>) -> String {
        let options = ["--cloud", cloud, "--name", name, "--disk-format", "raw", "--visibility", "private"];
        let arguments: Vec<&OsStr> =
            options.map(OsStr::new).into_iter().chain(file.map(Path::as_os_str)).collect();
        let printed = self.ask(what, &arguments);
        let image: Value =
            serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
        image["id"].as_str().unwrap_or_else(|| panic!("no id in {printed}")).to_owned()
    }

    /// Runs one of the lab's short commands and returns what it printed.
    fn ask(&self, what: &str, arguments: &[&OsStr]) -> String {
        let command = lab([OsStr::new(what), self.directory.as_os_str()].iter().chain(arguments));
        let mut process = Process::start(what, command, &self.directory);
        let end = process.wait(COMMAND_TIMEOUT);
        assert_eq!(end.code(), Some(0), "{what} {arguments:?}: {:?}", process.log_lines());
        process.output()
    }
}

impl Drop for OpenStack {
    fn drop(&mut self) {
        self.process.close_stdin();
        let mut patience = STOP_POLLS;
        while self.process.runs() && patience > 0 {
            std::thread::sleep(wait::POLL_INTERVAL);
            patience -= 1;
        }
    }
}

/// The virtual environment, made by the first that needs it; `lab.py` lets the others wait.
fn environment(directory: &Path) -> PathBuf {
    let environment = places::target().join("openstack-venv");
    let mut process =
        Process::start("install", lab(["install".as_ref(), environment.as_os_str()]), directory);
    let end = process.wait(INSTALL_TIMEOUT);
    assert_eq!(end.code(), Some(0), "installing Keystone and Glance: {:?}", process.log_lines());
    environment
}

fn lab<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("python3");
    command.arg(places::workspace().join("tests/openstack/lab.py")).args(arguments).stdin(Stdio::null());
    command
}

/// A cold installation took 40 to 70 s on two cores; a slow mirror gets some more.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(420);
/// The first start took 9 to 11 s.
const START_TIMEOUT: Duration = Duration::from_secs(90);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// About ten seconds for the services to stop by themselves.
const STOP_POLLS: u32 = 2000;
