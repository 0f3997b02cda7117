//! A receiver with another group's key: nothing for it, nothing from it, and one warning that says why.

use std::time::Duration;

use glancecast_tests::exclusive::Share;
use glancecast_tests::image::{self, Seed};
use glancecast_tests::measured;
use glancecast_tests::stage::{SOON, Stage};

#[test]
fn a_receiver_with_another_key_receives_nothing_and_says_so_once() {
    let stage = Stage::loopback(Share::Shared);
    let source = stage.path("image.raw");
    let sum = image::random(&source, 8 << 20, Seed::draw());
    let other_key = stage.path("other.key");
    stage.keygen(&other_key);
    let member = stage.receiver("member", &[]);
    let mut stranger = stage.receiver("stranger", &["--key", other_key.to_str().expect("UTF-8")]);

    let file = source.to_str().expect("UTF-8");
    let mut push =
        stage.push(&["--file", file, "--hosts", "member,stranger", "--rate", "200mbit", "--timeout", "5s"]);
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

/// The count in a line such as `discarded .. wrong_key=123 ..`.
fn wrong_key(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("wrong_key=")?;
    rest.split(|sign: char| !sign.is_ascii_digit()).next()?.parse().ok()
}
