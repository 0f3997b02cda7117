//! Blocks that hosts hold in an older image are not sent: hosts find them at any position, prove each of them, and ask
//! for the rest.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::measured;
use glancecast_tests::nova::Node;
use glancecast_tests::places;
use glancecast_tests::process::Process;
use glancecast_tests::report::Report;
use glancecast_tests::testbed::{RECORDS, Receiver, SOON, Testbed};

#[test]
fn of_an_image_that_hosts_hold_nearly_all_of_the_rest_is_sent() {
    let scene = Scene::new(&["r1", "r2"]);
    let base = scene.publish_base();
    let changed: Vec<usize> = (0..BLOCKS).filter(|block| block % 16 == 5).collect();
    let mut image = base;
    changed.iter().for_each(|&block| image[block * BLOCK + 4321] ^= 0x40);
    let report = scene.push(&image, &["--base", BASE]);
    scene.assert_sent(&report, changed.len());
    assert_eq!(report.base.as_deref(), Some(BASE));
    let kept = BLOCKS - changed.len();
    assert_eq!((report.spared.blocks, report.spared.bytes), (kept as u64, (kept * BLOCK) as u64));
    assert!(report.hosts.iter().all(|host| host.blocks_reused == kept as u64), "{:?}", report.hosts);
    let told =
        |receiver: &Receiver| receiver.process.log_lines().iter().any(|line| line.contains("reused=60"));
    assert!(scene.receivers.iter().all(told), "the receivers say so, too");
    measured!("{} bytes for {} changed blocks", report.wire.bytes, changed.len());
}

#[test]
fn blocks_are_found_at_other_offsets_as_long_as_they_are_whole_blocks_there() {
    let scene = Scene::new(&["r1"]);
    let base = scene.publish_base();
    let front: Vec<u8> = base[..2 * BLOCK].iter().map(|byte| byte ^ 0x5A).collect();
    let report = scene.push(&[&front[..], &base].concat(), &["--base", BASE]);
    scene.assert_sent(&report, 2);

    let report = scene.push(&[&front[..BLOCK / 2], &base].concat(), &["--base", BASE]);
    assert_eq!(report.spared.blocks, 0, "nothing is found half a block away, and all of it comes");
}

#[test]
fn what_is_damaged_in_the_base_of_one_host_is_sent() {
    let scene = Scene::new(&["r1", "r2"]);
    let base = scene.publish_base();
    let path = scene.receivers[1].store.join(BASE);
    let mut damaged = base.clone();
    damaged[7 * BLOCK + 99] ^= 1;
    fs::write(path, &damaged).expect("it is ours");
    let report = scene.push(&base, &["--base", BASE]);
    scene.assert_sent(&report, 1);
    let reused = |host: &str| report.host(host).blocks_reused;
    assert_eq!(reused("r2"), BLOCKS as u64 - 1);
    assert!(reused("r1") >= BLOCKS as u64 - 1, "that block may have come to it first");
}

#[test]
fn a_host_without_the_base_gets_everything_and_the_others_are_none_the_worse() {
    let scene = Scene::new(&["r1", "r2"]);
    let base = scene.publish_base();
    fs::remove_file(scene.receivers[1].store.join(BASE)).expect("it is ours");
    let report = scene.push(&base, &["--base", BASE]);
    scene.assert_sent(&report, BLOCKS);
    assert_eq!(report.host("r2").blocks_reused, 0);
}

#[test]
fn of_equal_blocks_one_is_sent() {
    let scene = Scene::new(&["r1"]);
    let base = scene.publish_base();
    let block: Vec<u8> = base[..BLOCK].iter().map(|byte| byte ^ 0x11).collect();
    let image = [&block[..], &base[BLOCK..2 * BLOCK], &block, &block, &block, &block[..BLOCK - 9]].concat();
    let report = scene.push(&image, &["--base", BASE]);
    scene.assert_sent(&report, 2);
    assert_eq!(report.host("r1").blocks_reused, 4);
}

#[test]
fn a_base_that_no_host_has_is_told_and_costs_nothing_else() {
    let scene = Scene::new(&["r1"]);
    let (image, _) = scene.random();
    let report = scene.push(&image, &["--base", "no-such-image"]);
    scene.assert_sent(&report, BLOCKS);
    let lines = scene.receivers[0].process.log_lines();
    assert!(
        lines.iter().any(|line| line.contains("no such image") && line.contains("no-such-image")),
        "{lines:?}"
    );
    fs::remove_file(scene.receivers[0].store.join("image-0")).expect("it is ours");

    let table = scene.table(&["--base", "no-such-image", "--name", "again"]);
    assert!(table.contains("no host has made a block of no-such-image"), "{table}");
}

#[test]
fn what_a_base_cannot_be_is_said_before_anything_is_sent() {
    let scene = Scene::new(&[]);
    scene.random();
    for (arguments, says) in [
        (&["--base", "older", "--one-way", "--rate", "100mbit"][..], "--one-way"),
        (&["--base", "/var/lib/images/older.raw"][..], "not a path"),
        (&["--base", &"x".repeat(97)][..], "at most 76"),
    ] {
        let file = scene.source();
        let mut arguments = arguments.to_vec();
        arguments.extend(["--file", file.to_str().expect("UTF-8")]);
        let mut push = scene.testbed.push(&arguments);
        assert_eq!(push.process.wait(SOON).code(), Some(2));
        let lines = push.process.log_lines();
        assert!(lines.iter().any(|line| line.contains(says)), "{says}: {lines:?}");
    }
}

#[test]
fn in_novas_cache_the_base_is_found_by_its_id_whoever_put_it_there() {
    let mut scene = Scene::new(&[]);
    let node = Node::new(&scene.testbed.path("node"), Duration::from_secs(86_400), "");
    let base = {
        let _daemon = scene.nova("n1", &node);
        let (base, _) = scene.random();
        let report = scene.push_to("n1", &base, &["--image-id", BASE_ID]);
        assert_eq!(report.outcome, "complete", "{report:?}");
        base
    };
    // As if Nova had fetched the image.
    fs::remove_dir_all(node.instances().join(RECORDS)).expect("records");
    let _daemon = scene.nova("n1", &node);
    let mut image = base;
    image[3 * BLOCK] ^= 1;
    let report = scene.push_to("n1", &image, &["--image-id", IMAGE_ID, "--base", BASE_ID]);
    assert_eq!(report.outcome, "complete", "{report:?}");
    assert_eq!(
        (report.spared.blocks, report.host("n1").blocks_reused),
        (BLOCKS as u64 - 1, BLOCKS as u64 - 1)
    );
    let sum = blake3::hash(&image).to_hex().to_string();
    let sums: Vec<String> = node.cached().iter().map(|name| image::blake3_of(&node.image(name))).collect();
    assert!(sums.len() == 2 && sums.contains(&sum), "{:?}", node.cached());
}

/// Hosts, and what they hold.
struct Scene {
    receivers: Vec<Receiver>,
    hosts: String,
    pushed: std::cell::Cell<usize>,
    testbed: Testbed,
}

impl Scene {
    fn new(hosts: &[&str]) -> Self {
        let testbed = Testbed::loopback();
        let receivers = hosts.iter().map(|host| testbed.receiver(host, &[])).collect();
        Self { receivers, hosts: hosts.join(","), pushed: std::cell::Cell::new(0), testbed }
    }

    fn source(&self) -> PathBuf {
        self.testbed.path("source.raw")
    }

    fn random(&self) -> (Vec<u8>, String) {
        let sum = image::random(&self.source(), (BLOCKS * BLOCK) as u64, Seed::draw());
        (fs::read(self.source()).expect("just written"), sum)
    }

    /// Makes every host publish an image under the name of the base, and returns its bytes.
    fn publish_base(&self) -> Vec<u8> {
        let (base, sum) = self.random();
        let file = self.source();
        let arguments =
            ["--file", file.to_str().expect("UTF-8"), "--name", BASE, "--hosts", &self.hosts, "--rate", RATE];
        let (_, report) = self.testbed.push(&arguments).report(PATIENCE);
        assert_eq!((report.outcome.as_str(), report.root), ("complete", Some(sum)));
        base
    }

    /// Pushes an image under a new name to all hosts, and checks every copy.
    #[track_caller]
    fn push(&self, image: &[u8], arguments: &[&str]) -> Report {
        let name = format!("image-{}", self.pushed.replace(self.pushed.get() + 1));
        let report = self.push_to(&self.hosts, image, &[&["--name", &name], arguments].concat());
        assert_eq!(report.outcome, "complete", "{report:?}");
        for receiver in &self.receivers {
            assert!(fs::read(receiver.store.join(&name)).expect("published") == image, "{name}");
        }
        report
    }

    fn push_to(&self, hosts: &str, image: &[u8], arguments: &[&str]) -> Report {
        fs::write(self.source(), image).expect("room");
        let file = self.source();
        let usual =
            ["--file", file.to_str().expect("UTF-8"), "--hosts", hosts, "--rate", RATE, "--mtu", "1500"];
        self.testbed.push(&[&usual, arguments].concat()).report(PATIENCE).1
    }

    /// Returns the table that a push prints.
    fn table(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(places::program("glancecast"));
        command.arg("send").arg("--file").arg(self.source()).args(arguments).stdin(Stdio::null());
        command.args(["--hosts", &self.hosts, "--rate", RATE, "--interface", "lo", "--group"]);
        command.arg(self.testbed.group().to_string()).arg("--key").arg(self.testbed.key());
        command.arg("--known-hosts").arg(self.testbed.known_hosts());
        let mut sender = Process::start("table", command, &self.testbed.path(""));
        assert_eq!(sender.wait(PATIENCE).code(), Some(0), "{:?}", sender.log_lines());
        sender.output()
    }

    fn nova(&mut self, host: &str, node: &Node) -> Process {
        let mut command = self.testbed.command(host, "glancecastd");
        command.args([
            "--name",
            host,
            "--nova-conf",
            node.conf(),
            "--interface",
            "lo",
            "--sender",
            "any",
            "--group",
        ]);
        command.arg(self.testbed.group().to_string()).arg("--key").arg(self.testbed.key());
        command.arg("--state").arg(self.testbed.state(host));
        let mut daemon = Process::start(host, command, &self.testbed.path(""));
        daemon.wait_for_log(" listening", SOON);
        daemon
    }

    /// Asserts that `blocks` blocks were sent, each once, and little else.
    #[track_caller]
    fn assert_sent(&self, report: &Report, blocks: usize) {
        let least = (blocks * BLOCK_WIRE) as u64;
        assert!(
            report.wire.bytes >= least,
            "{} bytes for {blocks} blocks: {:?}",
            report.wire.bytes,
            report.wire
        );
        let most = least * 106 / 100 + BESIDES;
        assert!(
            report.wire.bytes <= most,
            "{} bytes for {blocks} blocks: {:?}",
            report.wire.bytes,
            report.wire
        );
    }
}

const BASE: &str = "base";
const BASE_ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
const IMAGE_ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a22";
const BLOCK: usize = 1 << 20;
const BLOCKS: usize = 64;
/// The datagrams of a block at an MTU of 1500, of 1468 bytes each.
const BLOCK_WIRE: usize = 733 * 1_468;
/// Announcements, polls and the manifest, on a busy machine.
const BESIDES: u64 = 256 << 10;
const RATE: &str = "390mbit";
const PATIENCE: Duration = Duration::from_secs(60);
