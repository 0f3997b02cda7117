//! Hosts that cannot answer: they complete, and the sender reports no result for them.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::{self, Lab, Offload, Shape};
use glancecast_tests::process::Process;
use glancecast_tests::report::Report;
use glancecast_tests::testbed::{SOON, Testbed};
use glancecast_tests::{measured, needs};

#[test]
fn mute_hosts_complete_by_the_overhead_alone() {
    needs!(netns::NEEDS);
    let report = three_mute_hosts_complete(10, &["--overhead", "10%"]);
    measured!("{:.2} s, {:.3} of the least bytes, at 1 % loss", report.seconds, report.overhead());
    assert!((1.09..1.15).contains(&report.overhead()), "{:?}", report.wire);
}

#[test]
fn mute_hosts_complete_by_a_second_pass_where_the_overhead_is_too_little() {
    needs!(netns::NEEDS);
    let report = three_mute_hosts_complete(200, &["--overhead", "10%", "--repeat", "2"]);
    measured!("{:.2} s, {:.3} of the least bytes, at 20 % loss", report.seconds, report.overhead());
}

#[test]
fn a_one_way_push_says_that_it_does_not_know_who_has_it() {
    let testbed = Testbed::loopback();
    image::random(&testbed.path("image.raw"), 1 << 20, Seed::draw());
    let mut sender = start(&testbed, &["--rate", "100mbit"]);
    assert_eq!(sender.wait(SOON).code(), Some(0));
    let table = sender.output();
    assert!(table.contains("who holds a copy is not known here"), "{table}");
}

#[test]
fn what_needs_answers_is_refused_beside_one_way() {
    let testbed = Testbed::loopback();
    image::random(&testbed.path("image.raw"), 1 << 20, Seed::draw());
    for (arguments, says) in [
        (&["--rate", "100mbit", "--expect", "2"][..], "--expect"),
        (&["--rate", "auto"], "--rate"),
        (&["--rate", "auto:1gbit"], "--rate"),
        (&[], "--rate"),
    ] {
        let mut sender = start(&testbed, arguments);
        assert_eq!(sender.wait(SOON).code(), Some(2), "{arguments:?}");
        let lines = sender.log_lines();
        assert!(lines.iter().any(|line| line.contains(says)), "{arguments:?}: {lines:?}");
    }
}

fn three_mute_hosts_complete(loss_per_mille: u32, arguments: &[&str]) -> Report {
    let shape = Shape { receivers: 3, offload: Offload::Off, loss_per_mille, rate: None };
    let testbed = Testbed::lab(Lab::build(&shape));
    let source = testbed.path("image.raw");
    let sum = image::random(&source, 16 << 20, Seed::draw());
    let hosts = testbed.network().receivers();
    hosts.iter().for_each(|host| testbed.network().mute(host));
    let mut receivers: Vec<_> = hosts.iter().map(|host| testbed.receiver(host, &["--once"])).collect();
    let usual = ["--file", source.to_str().expect("UTF-8"), "--rate", "100mbit", "--one-way"];
    let (_, report) = testbed.push(&[&usual, arguments].concat()).report(Duration::from_secs(30));

    assert_eq!((report.outcome.as_str(), report.exit_code), ("unknown", 0), "{report:?}");
    report.assert_hosts(&[]);
    for receiver in &mut receivers {
        assert_eq!(receiver.process.wait(SOON).code(), Some(0), "{:?}", receiver.process.log_lines());
        assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), sum);
    }
    report
}

/// Starts a one-way push on loopback that prints its table.
fn start(testbed: &Testbed, arguments: &[&str]) -> Process {
    let mut command = testbed.command(Lab::SENDER, "glancecast");
    command.args(["send", "--one-way", "--insecure", "--interface", "lo", "--group"]);
    command.arg(testbed.group().to_string()).arg("--file").arg(testbed.path("image.raw")).args(arguments);
    Process::start("sender", command, &testbed.path(""))
}
