//! Removal of an image under every race at once: a push of it, an instance that begins on it, a pin, an `unpin`, and a
//! receiver that is killed at a random moment. Whatever the order: the image is there whole or not at all, no image
//! that an instance uses is gone, and no image whose pin was acknowledged.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_testkit::Rng;
use glancecast_tests::image::{self, Seed};
use glancecast_tests::process::Process;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::{Receiver, SOON, Testbed, list};
use glancecast_tests::{measured, needs};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn whatever_comes_first_the_image_is_whole_or_gone_and_what_is_used_or_pinned_stays() {
    needs!(&[Need::Program("qemu-img", "qemu-utils")]);
    let seed = Seed::draw();
    let mut node = Node::new(seed);
    let mut counts = Counts::default();
    for round in 0..rounds() {
        let mut rng = seed.rng(round);
        let plan = Plan::draw(&mut rng);
        println!("round {round}: {plan:?}");
        let outcome = node.play(&plan);
        println!("  {outcome:?}");
        node.check(&plan, &outcome);
        counts.add(&plan, &outcome);
        node.settle(rng.below(2) == 0);
    }
    measured!("{counts:?}");
}

/// What happens in a round, and after which time.
#[derive(Debug)]
struct Plan {
    remove: Duration,
    is_pin_overridden: bool,
    push: Option<Duration>,
    pin: Option<Duration>,
    unpin: Option<Duration>,
    instance: Option<Duration>,
    kill: Option<Duration>,
}

impl Plan {
    fn draw(rng: &mut Rng) -> Self {
        let mut moment = |of_four: u64| {
            (rng.below(4) < of_four).then(|| Duration::from_micros(rng.below(WINDOW.as_micros() as u64)))
        };
        Self {
            remove: moment(4).expect("always"),
            push: moment(2),
            pin: moment(2),
            unpin: moment(1),
            instance: moment(2),
            kill: moment(2),
            is_pin_overridden: rng.below(4) == 0,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    /// What the host did with the copy, or `None` if it did not say so.
    removal: Option<String>,
    /// Whether the host has acknowledged the pin.
    is_pinned: bool,
    /// The instance that began on the image.
    instance: Option<PathBuf>,
    was_killed: bool,
}

/// How often what happened.
#[derive(Debug, Default)]
struct Counts {
    rounds: u32,
    removed: u32,
    kept: u32,
    killed: u32,
    instances: u32,
    pins: u32,
    pushes: u32,
}

impl Counts {
    fn add(&mut self, plan: &Plan, outcome: &Outcome) {
        self.rounds += 1;
        self.removed += u32::from(outcome.removal.as_deref() == Some("removed"));
        self.kept += u32::from(matches!(outcome.removal.as_deref(), Some("in_use" | "pinned")));
        self.killed += u32::from(outcome.was_killed);
        self.instances += u32::from(outcome.instance.is_some());
        self.pins += u32::from(outcome.is_pinned);
        self.pushes += u32::from(plan.push.is_some());
    }
}

/// A host with Nova's cache, and the image.
struct Node {
    testbed: Testbed,
    receiver: Option<Receiver>,
    source: PathBuf,
    sum: String,
    instances: PathBuf,
    /// The name of the image in the cache, by Nova's rule.
    cached: String,
    started: u32,
}

impl Node {
    /// Starts it, with the image in its cache.
    fn new(seed: Seed) -> Self {
        let testbed = Testbed::loopback();
        let source = testbed.path("image");
        let sum = image::random(&source, IMAGE_BYTES, seed);
        let instances = testbed.path("instances");
        fs::create_dir(&instances).expect("writable");
        let (cached, started) = (String::new(), 0);
        let mut node = Self { testbed, receiver: None, source, sum, instances, cached, started };
        node.start();
        assert_eq!(node.push("first").wait(SOON).code(), Some(0));
        let files = list(&node.instances.join("_base"));
        node.cached = files.into_iter().find(|name| !name.starts_with('.')).expect("published");
        node
    }

    fn start(&mut self) {
        let store = format!("nova:{}", self.instances.display());
        self.receiver = Some(self.testbed.receiver("n1", &["--store", &store]));
    }

    fn kill(&mut self) {
        let mut receiver = self.receiver.take().expect("it runs");
        receiver.process.signal(Signal::SIGKILL);
        receiver.process.wait(SOON);
    }

    fn base(&self) -> PathBuf {
        self.instances.join("_base").join(&self.cached)
    }

    /// Runs all that a plan has, each at its moment, and waits for the ends.
    fn play(&mut self, plan: &Plan) -> Outcome {
        let start = Instant::now();
        let (mut removal, mut push, mut pin, mut unpin) = (None, None, None, None);
        let mut outcome = Outcome::default();
        let mut due: Vec<(Duration, Action)> = [
            (Some(plan.remove), Action::Remove),
            (plan.push, Action::Push),
            (plan.pin, Action::Pin),
            (plan.unpin, Action::Unpin),
            (plan.instance, Action::Begin),
            (plan.kill, Action::Kill),
        ]
        .into_iter()
        .filter_map(|(at, action)| Some((at?, action)))
        .collect();
        due.sort_by_key(|&(at, _)| at);
        for (at, action) in due {
            thread::sleep(at.saturating_sub(start.elapsed()));
            match action {
                Action::Remove => {
                    let overridden = if plan.is_pin_overridden { &["--even-pinned"][..] } else { &[] };
                    removal = Some(self.ask("remove", overridden));
                }
                Action::Push => push = Some(self.push("push")),
                Action::Pin => pin = Some(self.ask("pin", &[])),
                Action::Unpin => unpin = Some(self.ask("unpin", &[])),
                Action::Begin => outcome.instance = self.begin_instance(),
                Action::Kill => {
                    self.kill();
                    outcome.was_killed = true;
                    self.start();
                }
            }
        }
        for mut process in [push, unpin].into_iter().flatten() {
            process.wait(SOON * 2);
        }
        outcome.removal = removal.and_then(verdict);
        outcome.is_pinned = pin.and_then(verdict).as_deref() == Some("pin_set");
        outcome
    }

    /// Checks what must hold at any moment; the receiver has not been restarted since.
    fn check(&mut self, plan: &Plan, outcome: &Outcome) {
        let base = self.base();
        let is_there = base.exists();
        if is_there {
            assert_eq!(image::blake3_of(&base), self.sum, "it is whole, or it has no name");
        }
        assert!(outcome.instance.is_none() || is_there, "an instance uses it, and it is gone");
        let held = self.held();
        assert!(held.is_none() || is_there, "the host says that it holds what is gone: {held:?}");
        let pin_ends = plan.unpin.is_some() || plan.is_pin_overridden;
        if outcome.is_pinned && !pin_ends {
            let held = held.unwrap_or_else(|| panic!("a pin was acknowledged, and the image is gone"));
            assert_eq!(held["pinned"], "forever", "{held}");
        }
        if outcome.removal.as_deref() == Some("removed") && plan.push.is_none() {
            assert!(!is_there, "it was removed, and nobody has pushed it again");
        }
        if outcome.instance.is_some() {
            let (_, answer) = self.answer("remove", &["--even-pinned"]);
            let verdict = &answer["hosts"][0]["objects"][0]["verdict"];
            assert!(held_verdict(verdict), "an instance uses it: {answer}");
            assert!(self.base().exists());
        }
    }

    /// Makes the image and its surroundings what they were at first, with a restart or without.
    fn settle(&mut self, is_restarted: bool) {
        for entry in fs::read_dir(&self.instances).expect("there").flatten() {
            if entry.file_name().to_string_lossy().starts_with("instance-") {
                fs::remove_dir_all(entry.path()).expect("ours");
            }
        }
        if is_restarted {
            self.kill();
            self.start();
        }
        let (code, answer) = self.answer("remove", &["--even-pinned"]);
        assert_eq!(code, 0, "nothing uses it any more: {answer}");
        // A file that the host has not on record is one of a publication that a kill interrupted: the push takes it in.
        assert_eq!(self.push("again").wait(SOON).code(), Some(0));
        assert_eq!(image::blake3_of(&self.base()), self.sum);
        // Only what a push can go on with stays unfinished: a file with its journal.
        let names = list(&self.instances.join("_base"));
        for part in names.iter().filter(|name| name.ends_with(".part")) {
            assert!(names.contains(&part.replace(".part", ".journal")), "{part} has no journal: {names:?}");
        }
    }

    /// Returns what the host says of its copy, if it holds one.
    fn held(&mut self) -> Option<Value> {
        let (_, answer) = self.answer("status", &[]);
        let host = &answer["hosts"][0];
        assert_eq!(host["state"], "answered", "{answer}");
        host["objects"].as_array().expect("objects").first().cloned()
    }

    /// Asks the host and returns its answer.
    fn answer(&mut self, what: &str, arguments: &[&str]) -> (i32, Value) {
        self.testbed.ask(&[&[what, IMAGE_ID, "--hosts", "n1"], arguments].concat())
    }

    /// Starts a query. It ends also if the host is killed meanwhile.
    fn ask(&mut self, what: &str, arguments: &[&str]) -> Process {
        let mut command = self.testbed.command("s", "glancecast");
        let (group, key) = (self.testbed.group().to_string(), self.testbed.key().display().to_string());
        let known = self.testbed.known_hosts().display().to_string();
        command.args([what, IMAGE_ID, "--hosts", "n1", "--json", "--wait", "3s", "--group", &group]);
        command.args(["--interface", "lo", "--key", &key, "--known-hosts", &known]).args(arguments);
        self.started += 1;
        Process::start(&format!("{what}-{}", self.started), command, &self.testbed.path(""))
    }

    /// Starts a push of the image.
    fn push(&mut self, title: &str) -> Process {
        self.started += 1;
        let source = self.source.display().to_string();
        let title = format!("{title}-{}", self.started);
        let arguments = ["--file", &source, "--image-id", IMAGE_ID, "--hosts", "n1", "--rate", "100mbit"];
        let limits = ["--join-timeout", "5s", "--timeout", "20s"];
        self.testbed.push_as(&title, &[&arguments[..], &limits].concat()).process
    }

    /// Begins an instance on the image if it is there, as Nova does: under its lock. Returns its directory.
    fn begin_instance(&mut self) -> Option<PathBuf> {
        let locks = self.instances.join("locks");
        fs::create_dir_all(&locks).expect("writable");
        let _lock = lock(&locks.join(format!("nova-{}", self.cached)));
        let base = self.base();
        if !base.exists() {
            return None;
        }
        self.started += 1;
        let instance = self.instances.join(format!("instance-{}", self.started));
        fs::create_dir(&instance).expect("writable");
        let mut command = Command::new("qemu-img");
        command
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .arg(&base)
            .arg(instance.join("disk"));
        command.stdin(Stdio::null());
        assert!(command.status().expect("qemu-img").success());
        Some(instance)
    }
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Remove,
    Push,
    Pin,
    Unpin,
    Begin,
    Kill,
}

/// Takes Nova's lock, which is that of the file at the path: whoever held it before may have removed its file.
fn lock(path: &Path) -> File {
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(path).expect("writable");
        let lock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_SETLKW(&lock)).expect("it is free at some time");
        let is_at_path = fs::metadata(path).is_ok_and(|at| at.ino() == file.metadata().expect("open").ino());
        if is_at_path {
            return file;
        }
    }
}

/// Waits for the end of a query and returns what the host did with its copy, if it said so.
fn verdict(mut query: Process) -> Option<String> {
    query.wait(SOON * 2);
    let answer: Value = serde_json::from_str(&query.output()).expect("an object");
    Some(answer["hosts"][0]["objects"][0]["verdict"].as_str()?.to_owned())
}

/// Whether a verdict says that the copy stays.
fn held_verdict(verdict: &Value) -> bool {
    // Without a record of its own the host leaves the file alone, and has nothing to say of it.
    matches!(verdict.as_str(), Some("in_use") | None)
}

/// The rounds: more of them with `GLANCECAST_ROUNDS`.
fn rounds() -> usize {
    let rounds = std::env::var("GLANCECAST_ROUNDS").ok();
    rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("GLANCECAST_ROUNDS is a number"))
}

/// A few seconds each.
const ROUNDS: usize = 10;
/// The time in which a round has all begin: that of a push.
const WINDOW: Duration = Duration::from_millis(700);
const IMAGE_BYTES: u64 = 6 << 20;
const IMAGE_ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
