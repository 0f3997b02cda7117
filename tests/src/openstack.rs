//! A real Keystone and Glance for one scenario, and Nova's API if the scenario asks for hosts. `tests/openstack/lab.py`
//! installs them once from PyPI into a virtual environment below the target directory, and serves them on loopback
//! until its standard input ends. The environment also runs Nova's own code.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::process::Process;
use crate::skip::Need;
use crate::{places, wait};

/// What the cloud needs.
pub const NEEDS: &[Need] = &[Need::Program("python3", "python3"), Need::PythonVenv];

/// A cloud that runs until it is dropped.
#[derive(Debug)]
pub struct OpenStack {
    /// `None` for the shared cloud, which is left running.
    process: Option<Process>,
    directory: PathBuf,
    logs: PathBuf,
    clouds: PathBuf,
    glance: String,
    images: PathBuf,
}

/// An image to create in Glance; a private raw one by default.
#[derive(Clone, Copy, Debug)]
pub struct NewImage<'a> {
    /// The owner: a cloud of `clouds.yaml`.
    pub cloud: &'a str,
    /// The name, which need not be unique.
    pub name: &'a str,
    /// The disk format as declared to Glance, which refuses bytes of some others.
    pub disk_format: &'a str,
    /// `bare` unless the image is packed.
    pub container_format: &'a str,
    /// `private`, `shared`, `community` or `public`; the last needs `lab-admin`.
    pub visibility: &'a str,
    /// Custom properties.
    pub properties: &'a [(&'a str, &'a str)],
    /// Tags.
    pub tags: &'a [&'a str],
    /// Glance's store for the bytes, `file` or `second`; `None` for the first.
    pub store: Option<&'a str>,
}

impl<'a> NewImage<'a> {
    /// Returns a private raw image of a project.
    pub fn new(cloud: &'a str, name: &'a str) -> Self {
        Self {
            cloud,
            name,
            disk_format: "raw",
            container_format: "bare",
            visibility: "private",
            properties: &[],
            tags: &[],
            store: None,
        }
    }

    fn arguments(&self) -> Vec<String> {
        let named = [
            ("--cloud", self.cloud),
            ("--name", self.name),
            ("--disk-format", self.disk_format),
            ("--container-format", self.container_format),
            ("--visibility", self.visibility),
        ];
        let named = named.map(|(option, value)| format!("{option}={value}")).into_iter();
        let properties = self.properties.iter().map(|(key, value)| format!("--property={key}={value}"));
        let tags = self.tags.iter().map(|tag| format!("--tag={tag}"));
        let store = self.store.map(|store| format!("--store={store}"));
        named.chain(properties).chain(tags).chain(store).collect()
    }
}

impl OpenStack {
    /// Installs the cloud if necessary, and starts Keystone and Glance with their state in `directory`.
    pub fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    /// Returns the Keystone and Glance that all tests of a run share. The first test that needs them starts them; they
    /// stop when the test runner ends. All tests see all images: take a name from [`OpenStack::own_name`]. The output
    /// of the lab's commands goes to `logs`.
    pub fn shared(logs: &Path) -> Self {
        fs::create_dir_all(logs).unwrap_or_else(|error| panic!("{}: {error}", logs.display()));
        let directory = places::scenarios("openstack-shared");
        let environment = environment(logs);
        let runner = nix::unistd::getppid().to_string();
        let mut command =
            lab(["up".as_ref(), directory.as_os_str(), "--venv".as_ref(), environment.as_os_str()]);
        command.args(["--anew", "--guard-pid", &runner]);
        let mut process = Process::start("openstack", command, logs);
        let end = process.wait(START_TIMEOUT);
        assert_eq!(end.code(), Some(0), "the shared cloud: {:?}", process.log_lines());
        Self::told(&process.output(), directory, logs.to_path_buf(), None)
    }

    /// Returns an image name that no other test uses.
    pub fn own_name(base: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        format!("{base}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// Starts Nova's API and Placement, too, with these compute hosts, all enabled and up.
    pub fn start_with_nova(directory: &Path, hosts: &[&str]) -> Self {
        Self::start_with(directory, &["--nova-hosts", &hosts.join(",")])
    }

    /// Starts the cloud with options of `lab.py run`.
    pub fn start_with(directory: &Path, options: &[&str]) -> Self {
        fs::create_dir_all(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let environment = environment(directory);
        let mut command =
            lab(["run".as_ref(), directory.as_os_str(), "--venv".as_ref(), environment.as_os_str()]);
        command.args(options);
        command.stdin(Stdio::piped());
        let mut process = Process::start("openstack", command, directory);
        let line = wait::until("the cloud", START_TIMEOUT, || {
            assert!(process.runs(), "the cloud ended: {:?}", process.log_lines());
            process.output().split_once('\n').map(|(line, _)| line.to_owned())
        });
        Self::told(&line, directory.to_path_buf(), directory.to_path_buf(), Some(process))
    }

    /// Returns the cloud that the lab's output line describes.
    fn told(line: &str, directory: PathBuf, logs: PathBuf, process: Option<Process>) -> Self {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |member: &str| {
            told[member].as_str().unwrap_or_else(|| panic!("no {member} in {line}")).to_owned()
        };
        Self {
            process,
            directory,
            logs,
            clouds: text("clouds_yaml").into(),
            glance: text("glance_url"),
            images: text("datadir").into(),
        }
    }

    /// Returns the path of its `clouds.yaml`, which has the clouds `lab-admin`, `lab-demo` and `lab-other`, and
    /// `lab-demo-app` with an application credential.
    pub fn clouds(&self) -> &Path {
        &self.clouds
    }

    /// Makes a command use one cloud of this `clouds.yaml`, and hides the caller's own `OS_` variables from it.
    pub fn configure(&self, command: &mut Command, cloud: &str) {
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OS_")) {
            command.env_remove(name);
        }
        command.env("OS_CLIENT_CONFIG_FILE", &self.clouds).env("OS_CLOUD", cloud);
    }

    /// Returns Glance's address as in the catalog: `http://HOST:PORT`.
    pub fn glance(&self) -> &str {
        &self.glance
    }

    /// Returns the file in Glance's first store that holds an image's bytes.
    pub fn stored(&self, image_id: &str) -> PathBuf {
        self.images.join(image_id)
    }

    /// Returns the settings of a cloud in `clouds.yaml`: `auth_url`, `username`, `password` and so on.
    pub fn settings(&self, cloud: &str) -> BTreeMap<String, String> {
        let text = fs::read_to_string(&self.clouds).expect("the lab wrote it");
        let head = format!("  {cloud}:");
        let lines = text.lines().skip_while(|line| *line != head).skip(1);
        let lines = lines.take_while(|line| line.starts_with("    "));
        let pairs = lines.filter_map(|line| line.trim().split_once(": "));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Returns a new token of a cloud's user.
    pub fn token(&self, cloud: &str) -> String {
        self.ask("token", &["--cloud".as_ref(), cloud.as_ref()]).trim().to_owned()
    }

    /// Writes a `clouds.yaml` with wrong passwords.
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

    /// Writes a `clouds.yaml` with another address of Glance.
    pub fn clouds_through(&self, glance: &str, path: &Path) {
        let text = fs::read_to_string(&self.clouds).expect("the lab wrote it");
        let region = "    region_name:";
        let text = text.replace(region, &format!("    image_endpoint_override: {glance}\n{region}"));
        fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Uploads a private raw image of a project and returns its id.
    pub fn upload(&self, cloud: &str, name: &str, file: &Path) -> String {
        self.upload_as(NewImage::new(cloud, name), file)
    }

    /// Uploads an image and returns its id.
    pub fn upload_as(&self, image: NewImage<'_>, file: &Path) -> String {
        self.image("upload", image, Some(file))
    }

    /// Creates an image without data, which stays `queued`, and returns its id.
    pub fn create(&self, cloud: &str, name: &str) -> String {
        self.image("create", NewImage::new(cloud, name), None)
    }

    /// Creates `count` images without data, named from `NAME-0000` on.
    pub fn create_many(&self, cloud: &str, name: &str, count: usize) {
        let mut arguments = NewImage::new(cloud, name).arguments();
        arguments.push(format!("--count={count}"));
        self.ask("create", &arguments.iter().map(OsStr::new).collect::<Vec<_>>());
    }

    /// Creates an aggregate of compute hosts, which is also an availability zone if `zone` names one.
    pub fn aggregate(&self, name: &str, zone: Option<&str>, hosts: &[&str]) {
        let zone = zone.map(|zone| format!("--zone={zone}"));
        let arguments = [name].into_iter().chain(hosts.iter().copied()).chain(zone.as_deref());
        self.ask("aggregate", &arguments.map(OsStr::new).collect::<Vec<_>>());
    }

    /// Disables a host's compute service with a reason.
    pub fn disable(&self, host: &str, reason: &str) {
        self.ask("compute", &[host.as_ref(), format!("--disable={reason}").as_ref()]);
    }

    /// Returns the log of Nova's API, which has a line for each request.
    pub fn nova_log(&self) -> String {
        let path = self.directory.join("log/nova.log");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Marks a host's compute service as down.
    pub fn take_down(&self, host: &str) {
        self.ask("compute", &[host.as_ref(), "--down".as_ref()]);
    }

    /// Adds properties to an image that has data.
    pub fn describe(&self, cloud: &str, image_id: &str, properties: &[(&str, &str)]) {
        let mut arguments = vec![image_id.to_owned(), format!("--cloud={cloud}")];
        arguments.extend(properties.iter().map(|(key, value)| format!("--property={key}={value}")));
        self.ask("describe", &arguments.iter().map(OsStr::new).collect::<Vec<_>>());
    }

    /// Changes stored bytes of an image, but not their number, without Glance's knowledge.
    pub fn corrupt(&self, image_id: &str) {
        self.ask("corrupt", &[image_id.as_ref()]);
    }

    /// Removes checksum and hash from Glance's record of an image, as if Glance had never seen the bytes.
    pub fn forget_hashes(&self, image_id: &str) {
        self.ask("unhash", &[image_id.as_ref()]);
    }

    fn image(&self, what: &str, image: NewImage<'_>, file: Option<&Path>) -> String {
        let options = image.arguments();
        let arguments: Vec<&OsStr> =
            options.iter().map(OsStr::new).chain(file.map(Path::as_os_str)).collect();
        let printed = self.ask(what, &arguments);
        let image: Value =
            serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
        image["id"].as_str().unwrap_or_else(|| panic!("no id in {printed}")).to_owned()
    }

    /// Runs a short command of the lab and returns its output.
    fn ask(&self, what: &str, arguments: &[&OsStr]) -> String {
        let command = lab([OsStr::new(what), self.directory.as_os_str()].iter().chain(arguments));
        let mut process = Process::start(what, command, &self.logs);
        let end = process.wait(COMMAND_TIMEOUT);
        assert_eq!(end.code(), Some(0), "{what} {arguments:?}: {:?}", process.log_lines());
        process.output()
    }
}

impl Drop for OpenStack {
    fn drop(&mut self) {
        let Some(process) = &mut self.process else { return };
        process.close_stdin();
        let mut patience = STOP_POLLS;
        while process.runs() && patience > 0 {
            std::thread::sleep(wait::POLL_INTERVAL);
            patience -= 1;
        }
    }
}

/// Returns a Python with the code of Keystone, Glance, Placement and Nova; needs [`NEEDS`].
pub fn python(directory: &Path) -> Command {
    let mut command = Command::new(environment(directory).join("bin/python"));
    command.stdin(Stdio::null());
    command
}

/// Returns the virtual environment. The first caller creates it, and `lab.py` makes the others wait.
pub(crate) fn environment(directory: &Path) -> PathBuf {
    let environment = places::target().join("openstack-venv");
    let mut process =
        Process::start("install", lab(["install".as_ref(), environment.as_os_str()]), directory);
    let end = process.wait(INSTALL_TIMEOUT);
    assert_eq!(end.code(), Some(0), "installing OpenStack: {:?}", process.log_lines());
    environment
}

fn lab<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("python3");
    command.arg(places::workspace().join("tests/openstack/lab.py")).args(arguments).stdin(Stdio::null());
    command
}

/// An installation without a cache took 75 s on two cores; a slow mirror needs more.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(420);
/// A start takes 4 s, or 8 s with Nova.
const START_TIMEOUT: Duration = Duration::from_secs(90);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// About ten seconds for the services to stop on their own.
const STOP_POLLS: u32 = 2000;
