//! The keys of hosts, from a first push to a node that was made anew or cloned.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::measured;
use glancecast_tests::process::Process;
use glancecast_tests::report::Report;
use glancecast_tests::testbed::{SOON, Testbed};

#[test]
fn the_first_push_notes_a_hosts_key_and_says_so_once() {
    let testbed = Testbed::loopback();
    let _receiver = testbed.receiver("r1", &[]);
    let told = |name: &str| {
        let (code, report, log) = push(&testbed, name, &["--hosts", "r1"]);
        assert_eq!(code, 0, "{report:?}");
        log.iter().any(|line| line.contains("known by their keys from now on: r1"))
    };
    assert!(told("first"));
    let known = fs::read_to_string(testbed.known_hosts()).expect("written");
    assert!(known.starts_with("r1 ed25519:") && known.contains("# first use 20"), "{known}");
    assert!(!told("second"));
    assert_eq!(fs::read_to_string(testbed.known_hosts()).expect("there"), known);
}

#[test]
fn a_host_with_another_key_does_not_count_until_the_old_one_is_forgotten() {
    let testbed = Testbed::loopback();
    push_to_r1(&testbed, "first");
    fs::remove_file(testbed.state("r1").join("host.key")).expect("made at the first start");
    let _receiver = testbed.receiver("r1", &[]);
    let (code, report, log) = push(&testbed, "second", &["--hosts", "r1"]);
    assert_eq!(code, 3, "{report:?}");
    report.assert_hosts(&[("r1", "key_changed")]);
    assert!(log.iter().any(|line| line.contains("has another key")), "{log:?}");
    measured!("given up after {:.1} s", report.seconds);

    let mut command = testbed.command("s", "glancecast");
    command.args(["hosts", "--forget", "r1", "--known-hosts"]).arg(testbed.known_hosts());
    assert_eq!(Process::start("forget", command, &testbed.path("")).wait(SOON).code(), Some(0));
    let (code, report, _) = push(&testbed, "third", &["--hosts", "r1"]);
    assert_eq!(code, 0, "{report:?}");
    report.assert_hosts(&[("r1", "done")]);
}

#[test]
fn a_lost_file_of_known_hosts_makes_every_host_new_again() {
    let testbed = Testbed::loopback();
    let _receivers = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    let both = ["--hosts", "r1,r2"];
    assert_eq!(push(&testbed, "first", &both).0, 0);
    let sorted = || {
        let text = fs::read_to_string(testbed.known_hosts()).expect("written");
        let mut keys: Vec<_> =
            text.lines().filter_map(|line| Some(line.split_once("  #")?.0.to_owned())).collect();
        keys.sort_unstable();
        keys
    };
    let before = sorted();
    fs::remove_file(testbed.known_hosts()).expect("written before");
    assert_eq!(push(&testbed, "second", &both).0, 0);
    assert_eq!(before.len(), 2);
    assert_eq!(sorted(), before);
}

#[test]
fn a_strict_sender_takes_the_hosts_that_were_enrolled() {
    let testbed = Testbed::loopback();
    let _receiver = testbed.receiver("r1", &[]);
    let strict = ["--hosts", "r1", "--strict-hosts"];
    let (code, report, _) = push(&testbed, "first", &strict);
    assert_eq!(code, 3, "{report:?}");
    report.assert_hosts(&[("r1", "unknown_key")]);
    assert!(!testbed.known_hosts().exists(), "nothing is noted");
    assert_eq!(testbed.ask(&["hosts", "--enroll", "--hosts", "r1"]).0, 0);
    let (code, report, _) = push(&testbed, "second", &strict);
    assert_eq!(code, 0, "{report:?}");
}

#[test]
fn two_senders_at_once_keep_the_keys_of_each_others_hosts() {
    let testbed = Testbed::loopback();
    let _receivers = ["r1", "r2", "r3", "r4"].map(|host| testbed.receiver(host, &[]));
    let mut pushes = [("one", "r1,r2"), ("two", "r3,r4")].map(|(name, hosts)| {
        let file = source(&testbed, name);
        let file = file.to_str().expect("UTF-8");
        testbed.push_as(name, &["--file", file, "--hosts", hosts, "--rate", "100mbit"])
    });
    for push in &mut pushes {
        let (end, report) = push.report(PATIENCE);
        assert_eq!(end.code(), Some(0), "{report:?}");
    }
    let known = fs::read_to_string(testbed.known_hosts()).expect("written");
    let mut names: Vec<_> = known.lines().filter_map(|line| line.split(' ').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["r1", "r2", "r3", "r4"]);
}

#[test]
fn a_node_that_was_cloned_with_its_key_has_a_row_for_each_machine() {
    let testbed = Testbed::loopback();
    push_to_r1(&testbed, "first");
    let [original, clone] = ["r1", "clone"].map(|host| testbed.state(host).join("host.key"));
    fs::copy(original, clone).expect("made at the first start");
    let receivers = [testbed.receiver("r1", &[]), testbed.receiver("clone", &["--name", "r1"])];
    let (code, report, _) = push(&testbed, "second", &["--hosts", "r1"]);
    assert_eq!(code, 0, "{report:?}");
    report.assert_hosts(&[("r1", "done"), ("r1", "done")]);
    for receiver in &receivers {
        assert_eq!(
            image::blake3_of(&receiver.store.join("second")),
            image::blake3_of(&testbed.path("second"))
        );
    }
}

/// Has a receiver start as r1, get an image, and end.
fn push_to_r1(testbed: &Testbed, name: &str) {
    let mut receiver = testbed.receiver("r1", &[]);
    let (code, report, _) = push(testbed, name, &["--hosts", "r1"]);
    assert_eq!(code, 0, "{report:?}");
    receiver.process.terminate(SOON);
}

/// Pushes a random image; returns the exit code, the report and the sender's log.
fn push(testbed: &Testbed, name: &str, arguments: &[&str]) -> (i32, Report, Vec<String>) {
    let file = source(testbed, name);
    let usual = ["--file", file.to_str().expect("UTF-8"), "--rate", "100mbit", "--timeout", "30s"];
    let mut push = testbed.push(&[&usual, arguments].concat());
    let (end, report) = push.report(PATIENCE);
    (end.code().expect("no signal"), report, push.process.log_lines())
}

fn source(testbed: &Testbed, name: &str) -> PathBuf {
    let source = testbed.path(name);
    image::random(&source, 2 << 20, Seed::draw());
    source
}

const PATIENCE: Duration = Duration::from_secs(60);
