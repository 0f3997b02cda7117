//! A compute node's part of Nova, as far as images go: a configuration, an image cache, and Nova's own code on them
//! (`tests/openstack/nova_cache.py`), run in the virtual environment of the cloud.

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

/// What Nova's code takes.
pub const NEEDS: &[Need] =
    &[Need::Program("python3", "python3"), Need::PythonVenv, Need::Program("qemu-img", "qemu-utils")];

/// Nova's code, loaded and waiting for commands.
#[derive(Debug)]
pub struct Nova {
    process: Process,
    answers: usize,
}

/// A node: a directory of instances and the `nova.conf` that names it.
#[derive(Debug)]
pub struct Node {
    conf: PathBuf,
    instances: PathBuf,
}

impl Node {
    /// A node whose Nova removes unused images after `age_max`; `more` is added to its configuration.
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

    /// Its `nova.conf`.
    pub fn conf(&self) -> &str {
        self.conf.to_str().expect("UTF-8")
    }

    /// `instances_path`.
    pub fn instances(&self) -> &Path {
        &self.instances
    }

    /// The names in its image cache, sorted.
    pub fn cached(&self) -> Vec<String> {
        crate::testbed::list(&self.instances.join("_base"))
    }

    /// Where its cache has an image, by Nova's name.
    pub fn image(&self, name: &str) -> PathBuf {
        self.instances.join("_base").join(name)
    }
}

/// Sets a file's times back by this long.
pub fn make_old(path: &Path, age: Duration) {
    let file = fs::File::options().write(true).open(path);
    file.and_then(|file| file.set_modified(SystemTime::now() - age))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// For how long a file has not changed.
pub fn age(path: &Path) -> Duration {
    let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
    let changed = changed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    SystemTime::now().duration_since(changed).unwrap_or_default()
}

impl Nova {
    /// Loads it, after installing it if need be. It starts beside what the scenario does next.
    pub fn start(directory: &Path) -> Self {
        let mut command = Command::new(openstack::environment(directory).join("bin/python"));
        command.arg(places::workspace().join("tests/openstack/nova_cache.py")).arg("serve");
        command.stdin(Stdio::piped());
        Self { process: Process::start("nova", command, directory), answers: 0 }
    }

    /// The image as a boot with each backend and `openstack aggregate cache image` use it.
    pub fn uses(&mut self, node: &Node, image: &str) -> Value {
        self.ask(&json!(["use", node.conf(), image]))
    }

    /// Lets a node that lacks an image make it of the bytes that Glance has, and returns the file.
    pub fn makes(&mut self, node: &Node, image: &str, bytes: &Path, disk_format: &str) -> PathBuf {
        let made = self.ask(&json!(["make", node.conf(), image, bytes, "--disk-format", disk_format]));
        PathBuf::from(made["base"].as_str().unwrap_or_else(|| panic!("{made}")))
    }

    /// One pass of the image cache manager; images in `used` are those of instances. Returns what is left.
    pub fn ages(&mut self, node: &Node, used: &[&str]) -> Vec<String> {
        let mut command = vec![json!("age"), json!(node.conf())];
        command.extend(used.iter().map(|image| json!(format!("--used={image}"))));
        let left = self.ask(&Value::Array(command));
        serde_json::from_value(left["left"].clone()).unwrap_or_else(|error| panic!("{error}: {left}"))
    }

    /// Takes the lock of an image, as a boot does, until [`Nova::releases`].
    pub fn holds(&mut self, node: &Node, image: &str) {
        self.ask(&json!(["hold", node.conf(), image]));
    }

    /// Lets go of the lock.
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

/// Its imports alone took 8 s on two busy cores.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
