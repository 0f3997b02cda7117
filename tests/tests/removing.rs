//! Removal from afar and quarantine: what is asked, what a host refuses, and what its log says about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::needs;
use glancecast_tests::report::Report;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::{SOON, Testbed, list};
use serde_json::Value;

use crate::queries::flip;

#[test]
fn the_named_hosts_alone_remove_the_image_and_their_logs_say_who_asked() {
    let testbed = Testbed::loopback();
    let mut receivers = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    push(&testbed, "image", &["--hosts", "r1,r2"]);

    let (code, answer) = testbed.ask(&["remove", "image", "--hosts", "r1"]);
    assert_eq!((code, &answer["query"]), (0, &"remove".into()), "{answer}");
    assert_eq!(verdict(&answer, "r1"), "removed");
    assert_eq!(row(&answer, "r1")["held"], 0, "as it is now");
    assert_eq!(receivers[0].stored(), [""; 0]);
    receivers[1].only_file("image");
    let line = receivers[0].process.wait_for_log("removed image", SOON);
    assert!(line.contains("asker=127.0.0.1, unsigned"), "{line}");

    let (code, table) = testbed.ask_for_table(&["remove", "image", "--hosts", "r1,r2"]);
    assert_eq!(code, 0, "none of them holds it any more: {table}");
    assert!(
        table.contains("r1") && table.contains("missing") && table.contains("1 removed image"),
        "{table}"
    );
    push(&testbed, "image", &["--hosts", "r1,r2"]);
    receivers[0].only_file("image");
}

#[test]
fn every_host_is_meant_only_where_that_is_said() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    push(&testbed, "image", &["--hosts", "r1"]);
    let (code, output) = testbed.ask_for_table(&["remove", "image"]);
    assert_eq!((code, output.as_str()), (2, ""), "nobody is at a terminal");
    receiver.only_file("image");
    let (code, answer) = testbed.ask(&["remove", "image", "--yes"]);
    assert_eq!((code, verdict(&answer, "r1")), (0, "removed".to_owned()), "{answer}");
}

#[test]
fn what_is_pinned_stays_unless_that_is_meant() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    push(&testbed, "image", &["--hosts", "r1", "--pin", "forever"]);
    let (code, answer) = testbed.ask(&["remove", "image", "--hosts", "r1"]);
    assert_eq!((code, verdict(&answer, "r1")), (3, "pinned".to_owned()), "{answer}");
    assert!(answer["reason"].as_str().expect("why").contains("not removed from r1"), "{answer}");
    receiver.only_file("image");
    let (code, answer) = testbed.ask(&["remove", "image", "--hosts", "r1", "--even-pinned"]);
    assert_eq!((code, verdict(&answer, "r1")), (0, "removed".to_owned()), "{answer}");
    assert_eq!(receiver.stored(), [""; 0]);
}

#[test]
fn an_image_that_is_being_pushed_stays() {
    let testbed = Testbed::loopback();
    let mut receiver = testbed.receiver("r1", &[]);
    push(&testbed, "image", &["--hosts", "r1"]);
    // Reading what is there takes long, so that the removal comes in the middle of it.
    assert!(receiver.process.runs());
    drop(receiver);
    let mut receiver = testbed.receiver("r1", &["--read-rate", "8mbit"]);
    let source = testbed.path("image");
    let mut sender = testbed.push(&["--file", source.to_str().expect("UTF-8"), "--hosts", "r1"]);
    receiver.process.wait_for_log(" receiving ", SOON);
    let (code, answer) = testbed.ask(&["remove", "image", "--hosts", "r1"]);
    let object = &row(&answer, "r1")["objects"][0];
    assert_eq!((code, &object["verdict"]), (3, &"in_use".into()), "{answer}");
    assert!(object["reason"].as_str().expect("why").contains("a push of it"), "{object}");
    let (_, report) = sender.report(Duration::from_secs(60));
    report.assert_hosts(&[("r1", "existing")]);
    receiver.only_file("image");
}

#[test]
fn the_base_of_an_instance_stays_and_the_answer_names_the_instance() {
    needs!(&[Need::Program("qemu-img", "qemu-utils")]);
    let testbed = Testbed::loopback();
    let instances = testbed.path("instances");
    fs::create_dir(&instances).expect("writable");
    let store = format!("nova:{}", instances.display());
    let receiver = testbed.receiver("n1", &["--store", &store]);
    push(&testbed, "image", &["--hosts", "n1", "--image-id", IMAGE_ID]);
    let cached = list(&instances.join("_base"));
    let base = instances.join("_base").join(&cached[0]);
    let instance = instances.join("5f1e3c9a-2c1f-4c0f-9d52-3f7d8f1f6a11");
    fs::create_dir(&instance).expect("writable");
    overlay(&base, &instance.join("disk"));

    let (code, answer) = testbed.ask(&["remove", IMAGE_ID, "--hosts", "n1", "--even-pinned"]);
    let object = &row(&answer, "n1")["objects"][0];
    assert_eq!((code, &object["verdict"]), (3, &"in_use".into()), "{answer}");
    assert!(object["reason"].as_str().expect("why").contains("instance 5f1e3c9a-2c1f"), "{object}");
    assert!(base.exists());
    let (_, table) = testbed.ask_for_table(&["remove", IMAGE_ID, "--hosts", "n1"]);
    assert!(table.contains("in use by instance 5f1e3c9a-2c1f-4c0f-9d52-3f7d8f1f6a11"), "{table}");

    fs::remove_dir_all(&instance).expect("ours");
    let (code, answer) = testbed.ask(&["remove", IMAGE_ID, "--hosts", "n1"]);
    assert_eq!((code, verdict(&answer, "n1")), (0, "removed".to_owned()), "{answer}");
    assert!(!base.exists());
    drop(receiver);
}

#[test]
fn a_damaged_copy_is_set_aside_and_the_next_push_sends_what_is_damaged_and_no_more() {
    let testbed = Testbed::loopback();
    let mut receivers = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    let whole = push(&testbed, "image", &["--hosts", "r1,r2"]);
    let sum = image::blake3_of(&testbed.path("image"));
    flip(&receivers[1]);

    let (code, answer) = testbed.ask(&["verify", "image", "--hosts", "r1,r2", "--quarantine"]);
    assert_eq!(code, 3, "{answer}");
    assert_eq!(verdict(&answer, "r1"), "intact");
    assert_eq!(verdict(&answer, "r2"), "set_aside");
    assert!(!receivers[1].store.join("image").exists(), "nothing starts from it");
    receivers[1].process.wait_for_log("is damaged, and set aside", SOON);

    let again = push(&testbed, "image", &["--hosts", "r1,r2"]);
    again.assert_hosts(&[("r1", "existing"), ("r2", "done")]);
    assert_eq!(image::blake3_of(&receivers[1].store.join("image")), sum);
    println!("{} bytes at first, {} for the damaged block", whole.wire.bytes, again.wire.bytes);
    assert!(again.wire.bytes < whole.wire.bytes / 2, "one of three blocks: {}", again.wire.bytes);
}

#[test]
fn the_second_receiver_of_a_store_says_who_is_the_first_and_does_not_start() {
    let testbed = Testbed::loopback();
    let first = testbed.receiver("r1", &[]);
    let state = testbed.state("r2");
    let mut second = testbed.start_receiver("r1", &["--state", state.to_str().expect("UTF-8")]);
    assert_eq!(second.wait(SOON).code(), Some(78));
    let said = second.log_lines().join("\n");
    assert!(said.contains(&format!("process {}", first.process.pid())), "{said}");
    assert!(said.contains("a store of its own"), "{said}");
}

#[test]
fn a_dead_host_is_named_and_given_up_and_those_that_hold_the_image_receive_nothing() {
    let testbed = Testbed::loopback();
    let _receiver = testbed.receiver("r1", &[]);
    let first = push(&testbed, "image", &["--hosts", "r1"]);
    let source = testbed.path("image");
    let arguments = ["--file", source.to_str().expect("UTF-8"), "--hosts", "r1,r9", "--join-timeout", "3s"];
    let mut sender = testbed.push(&arguments);
    let line = sender.process.wait_for_log("not heard yet: r9", Duration::from_secs(10));
    assert!(line.contains("journalctl"), "with what to look at: {line}");
    let (end, report) = sender.report(Duration::from_secs(20));
    assert_eq!(end.code(), Some(3));
    report.assert_hosts(&[("r1", "existing"), ("r9", "never_answered")]);
    assert!(report.wire.bytes < first.wire.bytes / 10, "{} of {}", report.wire.bytes, first.wire.bytes);
    assert!(report.seconds < 8.0, "{} s", report.seconds);
}

#[test]
fn a_push_to_nobody_sends_nothing_of_the_image() {
    let testbed = Testbed::loopback();
    let source = testbed.path("image");
    image::random(&source, 3 << 20, Seed::draw());
    let arguments = ["--file", source.to_str().expect("UTF-8"), "--hosts", "r9", "--join-timeout", "1s"];
    let (end, report) = testbed.push(&arguments).report(Duration::from_secs(20));
    assert_eq!(end.code(), Some(3));
    assert!(report.wire.bytes < 300_000, "{}", report.wire.bytes);
    assert!(report.seconds < 4.0, "{} s", report.seconds);
}

/// Pushes an image of three blocks, which is made if it is missing; returns the report.
pub(crate) fn push(testbed: &Testbed, name: &str, arguments: &[&str]) -> Report {
    let source = testbed.path(name);
    if !source.exists() {
        image::random(&source, 3 << 20, Seed::draw());
    }
    let usual = ["--file", source.to_str().expect("UTF-8"), "--rate", "400mbit"];
    let (end, report) = testbed.push(&[&usual, arguments].concat()).report(Duration::from_secs(30));
    assert_eq!(end.code(), Some(0), "{report:?}");
    report
}

/// Has qemu-img make a disk on a base, as Nova does.
fn overlay(base: &Path, disk: &PathBuf) {
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(base).arg(disk);
    assert!(command.status().expect("qemu-img").success());
}

#[track_caller]
pub(crate) fn verdict(answer: &Value, host: &str) -> String {
    row(answer, host)["objects"][0]["verdict"].as_str().unwrap_or_else(|| panic!("none: {answer}")).to_owned()
}

#[track_caller]
pub(crate) fn row<'a>(answer: &'a Value, host: &str) -> &'a Value {
    let rows = answer["hosts"].as_array().expect("rows");
    rows.iter().find(|row| row["name"] == host).unwrap_or_else(|| panic!("no row for {host}: {answer}"))
}

const IMAGE_ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
