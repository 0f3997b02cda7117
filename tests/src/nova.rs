//! The image part of Nova on a compute node: a configuration, an image cache, and Nova's own code
//! (`tests/openstack/nova_cache.py`), run in the cloud's virtual environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::openstack;
use crate::places;
use crate::process::Process;
use crate::skip::Need;
use crate::wait;

/// What Nova's code needs.
pub const NEEDS: &[Need] =
    &[Need::Program("python3", "python3"), Need::PythonVenv, Need::Program("qemu-img", "qemu-utils")];

/// A process with Nova's code loaded, waiting for commands.
#[derive(Debug)]
pub struct Nova {
    process: Process,
    answers: usize,
}

/// A node: an instances directory, and the `nova.conf` that names it.
#[derive(Debug)]
pub struct Node {
    conf: PathBuf,
    instances: PathBuf,
}

impl Node {
    /// Creates a node whose Nova removes unused images after `age_max`; `more` is appended to its configuration.
    pub fn new(directory: &Path, age_max: Duration, more: &str) -> Self {
        let instances = directory.join("instances");
        fs::create_dir_all(&instances).unwrap_or_else(|error| panic!("{}: {error}", instances.display()));
        let conf = directory.join("nova.conf");
        let text = format!(
            "[DEFAULT]\nstate_path = {}\ninstances_path = $state_path/instances\n\
             [image_cache]\nremove_unused_original_minimum_age_seconds = {}\n{more}",
            directory.display(),
            age_max.as_secs()
        );
        fs::write(&conf, text).unwrap_or_else(|error| panic!("{}: {error}", conf.display()));
        Self { conf, instances }
    }

    /// Returns the path of its `nova.conf`.
    pub fn conf(&self) -> &str {
        self.conf.to_str().expect("UTF-8")
    }

    /// Returns its `instances_path`.
    pub fn instances(&self) -> &Path {
        &self.instances
    }

    /// Returns the names in its image cache, sorted.
    pub fn cached(&self) -> Vec<String> {
        crate::testbed::list(&self.instances.join("_base"))
    }

    /// Returns the path of an image in its cache, by Nova's name.
    pub fn image(&self, name: &str) -> PathBuf {
        self.instances.join("_base").join(name)
    }
}

/// Sets a file's modification time to `age` ago.
pub fn make_old(path: &Path, age: Duration) {
    let file = fs::File::options().write(true).open(path);
    file.and_then(|file| file.set_modified(SystemTime::now() - age))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Returns how long ago a file was modified.
pub fn age(path: &Path) -> Duration {
    let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
    let changed = changed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    SystemTime::now().duration_since(changed).unwrap_or_default()
}

impl Nova {
    /// Loads the code, after installing it if necessary, without waiting for it.
    pub fn start(directory: &Path) -> Self {
        let mut command = Command::new(openstack::environment(directory).join("bin/python"));
        command.arg(places::workspace().join("tests/openstack/nova_cache.py")).arg("serve");
        command.stdin(Stdio::piped());
        Self { process: Process::start("nova", command, directory), answers: 0 }
    }

    /// Returns how a boot with each backend and `openstack aggregate cache image` use the image.
    pub fn uses(&mut self, node: &Node, image: &str) -> Value {
        self.ask(&json!(["use", node.conf(), image]))
    }

    /// Makes a node that lacks an image create it from Glance's bytes, and returns the file.
    pub fn makes(&mut self, node: &Node, image: &str, bytes: &Path, disk_format: &str) -> PathBuf {
        let made = self.ask(&json!(["make", node.conf(), image, bytes, "--disk-format", disk_format]));
        PathBuf::from(made["base"].as_str().unwrap_or_else(|| panic!("{made}")))
    }

    /// Runs the image cache manager once, with instances that use the images in `used`; returns what is left.
    pub fn ages(&mut self, node: &Node, used: &[&str]) -> Vec<String> {
        let mut command = vec![json!("age"), json!(node.conf())];
        command.extend(used.iter().map(|image| json!(format!("--used={image}"))));
        let left = self.ask(&Value::Array(command));
        serde_json::from_value(left["left"].clone()).unwrap_or_else(|error| panic!("{error}: {left}"))
    }

    /// Takes Nova's lock of an image, as a boot does, until [`Nova::releases`].
    pub fn holds(&mut self, node: &Node, image: &str) {
        self.ask(&json!(["hold", node.conf(), image]));
    }

    /// Releases the lock.
    pub fn releases(&mut self) {
        self.ask(&json!(["release"]));
    }

    #[track_caller]
    fn ask(&mut self, command: &Value) -> Value {
        self.process.write(&format!("{command}\n"));
        let line = wait::until("Nova's answer", ANSWER_TIMEOUT, || {
            assert!(self.process.runs(), "it ended: {:?}", self.process.log_lines());
            let output = self.process.output();
            output
                .split_inclusive('\n')
                .nth(self.answers)
                .filter(|line| line.ends_with('\n'))
                .map(str::to_owned)
        });
        self.answers += 1;
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(answer.get("failed").is_none(), "{command}: {:?}", self.process.log_lines());
        answer
    }
}

/// The imports alone took 8 s on two busy cores.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
