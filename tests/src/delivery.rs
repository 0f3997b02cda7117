//! One push of one image to every receiver of a lab, all copies checked: for scenarios about the network below.

use std::time::Duration;

use crate::image::{self, Seed};
use crate::report::Report;
use crate::testbed::{Receiver, Testbed};

/// Pushes a random image of `bytes` to every receiver host of the lab, with the arguments `receivers` and `sender`, and
/// checks every copy.
///
/// # Panics
/// When a host does not hold the image in the end.
#[track_caller]
pub fn deliver(testbed: &Testbed, bytes: u64, receivers: &[&str], sender: &[&str]) -> Report {
    let hosts = testbed.network().receivers();
    let started: Vec<Receiver> = hosts.iter().map(|host| testbed.receiver(host, receivers)).collect();
    deliver_to(testbed, bytes, &started, &hosts, sender)
}

/// Pushes to receivers that are already running.
///
/// # Panics
/// When a host does not hold the image in the end.
#[track_caller]
pub fn deliver_to(
    testbed: &Testbed,
    bytes: u64,
    receivers: &[Receiver],
    hosts: &[String],
    sender: &[&str],
) -> Report {
    let source = testbed.path("image.raw");
    let sum = image::random(&source, bytes, Seed::draw());
    let (file, names) = (source.to_str().expect("UTF-8"), hosts.join(","));
    let usual = ["--file", file, "--hosts", &names, "--rate", "200mbit", "--timeout", "20s"];
    let (_, report) = testbed.push(&[&usual, sender].concat()).report(Duration::from_secs(40));
    let done: Vec<(&str, &str)> = hosts.iter().map(|host| (host.as_str(), "done")).collect();
    report.assert_hosts(&done);
    for receiver in receivers {
        assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), sum);
    }
    report
}
