//! Many hosts need hardly more datagrams than few.

use std::fs;
use std::path::Path;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::{self, Lab, Offload, Shape};
use glancecast_tests::report::Report;
use glancecast_tests::testbed::{Receiver, SOON, Testbed};
use glancecast_tests::{measured, needs};

#[test]
fn a_hundred_and_twenty_eight_hosts_are_served_with_what_serves_four() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: HOSTS, offload: Offload::On, loss_per_mille: 0, rate: None };
    let testbed = Testbed::lab(Lab::build(&shape));
    let memory = tempfile::tempdir_in("/dev/shm").expect("every Linux has it");
    let sum = image::random(&testbed.path("image.raw"), 16 << 20, Seed::draw());
    let hosts = testbed.network().receivers();
    let (few, others) = hosts.split_at(4);

    let mut receivers = start(&testbed, memory.path(), few);
    let of_few = push(&testbed, few, "few.raw");
    receivers.extend(start(&testbed, memory.path(), others));
    let of_many = push(&testbed, &hosts, "many.raw");

    for receiver in &receivers {
        assert_eq!(image::blake3_of(&receiver.store.join("many.raw")), sum);
    }
    let ratio = of_many.seconds / of_few.seconds;
    measured!(
        "{:.2} s for {HOSTS} hosts, {:.2} s for four: {ratio:.3}; {:.4} and {:.4} of the least bytes",
        of_many.seconds,
        of_few.seconds,
        of_many.overhead(),
        of_few.overhead()
    );
    // The time depends on one machine that runs them all with newly allocated memory; the bytes sent do not.
    assert!(of_many.overhead() <= 1.05, "{:?}", of_many.wire);
}

/// Starts receivers with stores in memory: with stores on one disk they would all wait for it at the end.
fn start(testbed: &Testbed, memory: &Path, hosts: &[String]) -> Vec<Receiver> {
    let store = |host: &String| memory.join(host);
    let begin = |host: &String| {
        fs::create_dir(store(host)).expect("memory takes directories");
        testbed.start_receiver(host, &["--store", &format!("directory:{}", store(host).display())])
    };
    let started: Vec<_> = hosts.iter().map(begin).collect();
    let ready = started.into_iter().zip(hosts).map(|(mut process, host)| {
        process.wait_for_log(" listening", SOON);
        Receiver { process, store: store(host) }
    });
    ready.collect()
}

fn push(testbed: &Testbed, hosts: &[String], name: &str) -> Report {
    let (source, names) = (testbed.path("image.raw"), hosts.join(","));
    let file = source.to_str().expect("UTF-8");
    let mut push = testbed.push(&[
        "--file",
        file,
        "--name",
        name,
        "--hosts",
        &names,
        "--rate",
        "50mbit",
        "--timeout",
        "40s",
    ]);
    let (_, report) = push.report(Duration::from_secs(60));
    assert_eq!(report.outcome, "complete", "{:?}", report.hosts);
    report
}

const HOSTS: usize = 128;
