//! A receiver with another group's key: it gets nothing, sends nothing, and logs one warning with the cause.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::measured;
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{SOON, Testbed};

#[test]
fn a_receiver_with_another_key_receives_nothing_and_says_so_once() {
    let testbed = Testbed::loopback();
    let source = testbed.path("image.raw");
    let sum = image::random(&source, 8 << 20, Seed::draw());
    let other_key = testbed.path("other.key");
    testbed.keygen(&other_key);
    let member = testbed.receiver("member", &[]);
    let mut stranger = testbed.receiver("stranger", &["--key", other_key.to_str().expect("UTF-8")]);

    let file = source.to_str().expect("UTF-8");
    let mut push =
        testbed.push(&["--file", file, "--hosts", "member,stranger", "--rate", "200mbit", "--timeout", "5s"]);
    let (end, report) = push.report(Duration::from_secs(30));
    assert_eq!(end.code(), Some(3), "{report:?}");
    report.assert_hosts(&[("member", "done"), ("stranger", "never_answered")]);
    assert_eq!(image::blake3_of(&member.only_file("image.raw")), sum);

    assert!(stranger.process.runs(), "it stays for its own group");
    assert_eq!(stranger.process.terminate(SOON).code(), Some(0));
    assert_eq!(stranger.stored(), [""; 0]);
    let lines = stranger.process.log_lines();
    let warnings = lines.iter().filter(|line| line.contains("another key")).count();
    assert_eq!(warnings, 1, "one warning, not one a datagram: {lines:?}");
    let last = lines.last().expect("a last line");
    let count = wrong_key(last).unwrap_or_else(|| panic!("no wrong_key count in {last:?}"));
    assert!(count > 0, "{last}");
    measured!("{count} datagrams under another key counted, {} sent", report.wire.datagrams);
}

#[test]
fn keys_that_are_made_in_one_step_sign_a_push_and_one_without_them_is_warned_of() {
    let testbed = Testbed::loopback();
    let source = testbed.path("image.raw");
    let sum = image::random(&source, 1 << 20, Seed::draw());
    let directory = testbed.path("keys");
    let mut command = testbed.command("s", "glancecast");
    command.args(["keygen", "--json", "--all"]).arg(&directory);
    let mut keygen = Process::start("keygen-all", command, &testbed.path(""));
    assert_eq!(keygen.wait(SOON).code(), Some(0), "{:?}", keygen.log_lines());
    let made: serde_json::Value = serde_json::from_str(&keygen.output()).expect("one object");
    let key = |name: &str| made[name]["file"].as_str().expect("a path").to_owned();
    let (group, secret, public) = (key("group_key"), key("sender_key"), key("sender_public_key"));
    assert_eq!(made["sender_key"]["on_hosts"], serde_json::Value::Null);

    let receiver = testbed.receiver("r1", &["--key", &group, "--sender", &public]);
    let file = source.to_str().expect("UTF-8");
    let usual = ["--file", file, "--hosts", "r1", "--key", &group, "--rate", "200mbit", "--timeout", "10s"];
    let mut push = testbed.push(&[&usual[..], &["--sender-key", &secret]].concat());
    let (end, report) = push.report(Duration::from_secs(30));
    let lines = push.process.log_lines();
    let is_news = |line: &String| line.starts_with("glancecast: known by their keys from now on: r1 ");
    assert!(end.code() == Some(0) && lines.len() == 1 && lines.iter().all(is_news), "{lines:?} {report:?}");
    assert_eq!(report.signed_by.as_deref(), made["public_key"].as_str());
    assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), sum);

    let mut command = testbed.command("s", "glancecast");
    command.arg("send").args(usual).args(["--group", &testbed.group().to_string(), "--interface", "lo"]);
    command.arg("--known-hosts").arg(testbed.known_hosts());
    let mut unsigned = Process::start("unsigned", command, &testbed.path(""));
    assert_eq!(unsigned.wait(Duration::from_secs(30)).code(), Some(3));
    let lines = unsigned.log_lines();
    let warning =
        lines.iter().find(|line| line.contains("not signed")).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(warning.contains("keygen --all DIR") && warning.contains("--unsigned"), "{warning}");
}

/// Returns the count in a line such as `discarded .. wrong_key=123 ..`.
fn wrong_key(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("wrong_key=")?;
    rest.split(|sign: char| !sign.is_ascii_digit()).next()?.parse().ok()
}
