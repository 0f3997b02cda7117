//! `glancecast send --repair` and `glancecast pin`: what an operator does to copies that are there already.

use std::fs;

use glancecast_tests::image;
use glancecast_tests::report::Report;
use glancecast_tests::testbed::{SOON, Testbed};

use crate::queries::flip;
use crate::removing::{push, row, verdict};

#[test]
fn one_command_finds_damage_and_sends_what_is_damaged_to_those_alone_that_need_it() {
    let testbed = Testbed::loopback();
    let mut receivers = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    let whole = push(&testbed, "image", &["--hosts", "r1,r2"]);
    let sum = image::blake3_of(&testbed.path("image"));
    flip(&receivers[1]);

    let repaired = push(&testbed, "image", &["--hosts", "r1,r2", "--repair"]);
    repaired.assert_hosts(&[("r2", "done")]);
    assert_eq!(skipped(&repaired), [("r1", "holds an intact copy")]);
    assert_eq!(image::blake3_of(&receivers[1].store.join("image")), sum);
    assert!(repaired.wire.bytes < whole.wire.bytes / 2, "one of three blocks: {}", repaired.wire.bytes);
    receivers[1].process.wait_for_log("is damaged, and set aside", SOON);

    // Once more: there is nothing to send, and the answer is that of `verify`.
    let source = testbed.path("image");
    let metrics = testbed.path("push.prom");
    let again = ["--file", source.to_str().expect("UTF-8"), "--hosts", "r1,r2", "--repair"];
    let file = ["--metrics-file", metrics.to_str().expect("UTF-8")];
    let mut sender = testbed.push(&[&again[..], &file].concat()).process;
    assert_eq!(sender.wait(SOON).code(), Some(0), "{:?}", sender.log_lines());
    let answer: serde_json::Value = serde_json::from_str(&sender.output()).expect("one JSON object");
    assert_eq!((&answer["query"], &answer["exit_code"]), (&"verify".into(), &0.into()), "{answer}");
    assert_eq!((verdict(&answer, "r1"), verdict(&answer, "r2")), ("intact".into(), "intact".into()));
    let metrics = fs::read_to_string(&metrics).expect("it is written");
    assert!(metrics.contains("\nglancecast_push_success 1\n"), "that is a success as well: {metrics}");
}

#[test]
fn a_repair_also_fills_the_hosts_that_set_their_copy_aside_earlier_or_never_had_one() {
    let testbed = Testbed::loopback();
    let receivers = ["r1", "r2", "r3"].map(|host| testbed.receiver(host, &[]));
    push(&testbed, "image", &["--hosts", "r1,r2"]);
    flip(&receivers[1]);
    let (code, answer) = testbed.ask(&["verify", "image", "--hosts", "r2", "--quarantine"]);
    assert_eq!((code, verdict(&answer, "r2")), (3, "set_aside".to_owned()), "{answer}");

    let repaired = push(&testbed, "image", &["--hosts", "r[1-3]", "--repair"]);
    repaired.assert_hosts(&[("r2", "done"), ("r3", "done")]);
    assert_eq!(skipped(&repaired), [("r1", "holds an intact copy")]);
    for receiver in &receivers {
        assert_eq!(image::blake3_of(&receiver.store.join("image")), image::blake3_of(&testbed.path("image")));
    }
}

#[test]
fn a_pin_is_set_from_afar_and_ends_as_one_of_a_push_does() {
    let testbed = Testbed::loopback();
    let receivers = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    push(&testbed, "image", &["--hosts", "r1"]);

    let (code, answer) = testbed.ask(&["pin", "image", "--for", "7d", "--hosts", "r1"]);
    assert_eq!((code, verdict(&answer, "r1")), (0, "pin_set".to_owned()), "{answer}");
    let (_, answer) = testbed.ask(&["remove", "image", "--hosts", "r1"]);
    assert_eq!(verdict(&answer, "r1"), "pinned", "{answer}");
    let (code, answer) = testbed.ask(&["unpin", "image", "--hosts", "r1"]);
    assert_eq!((code, verdict(&answer, "r1")), (0, "let_go".to_owned()), "{answer}");
    let (_, answer) = testbed.ask(&["remove", "image", "--hosts", "r1"]);
    assert_eq!(verdict(&answer, "r1"), "removed", "{answer}");

    let (code, answer) = testbed.ask(&["pin", "image", "--hosts", "r1,r2"]);
    assert_eq!(code, 3, "neither holds it: {answer}");
    assert_eq!(row(&answer, "r2")["held"], 0, "{answer}");
    assert!(receivers.iter().all(|receiver| receiver.stored().is_empty()));
}

fn skipped(report: &Report) -> Vec<(&str, &str)> {
    report.skipped.iter().map(|host| (host.name.as_str(), host.reason.as_str())).collect()
}
