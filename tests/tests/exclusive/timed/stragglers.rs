//! Hosts that cannot keep up are reported with the cause, delay no other host, and still get their copy.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::{self, Lab, Offload, Shape};
use glancecast_tests::report::Report;
use glancecast_tests::testbed::{Push, Receiver, Testbed};
use glancecast_tests::{measured, needs};

#[test]
fn a_lossy_host_and_one_with_a_slow_disk_do_not_delay_the_other_six() {
    needs!(netns::NEEDS);
    let testbed = testbed(8);
    testbed.network().lose("r7", 300);
    let sum = image::random(&testbed.path("image.raw"), 64 << 20, Seed::draw());
    let hosts = testbed.network().receivers();
    let (healthy, sick) = hosts.split_at(6);
    let mut receivers: Vec<Receiver> = healthy.iter().map(|host| testbed.receiver(host, &[])).collect();
    let without = push(&testbed, healthy, "alone.raw");
    receivers.extend([testbed.receiver("r7", &[]), testbed.receiver("r8", &["--write-rate", "40mbit"])]);
    let with = push(&testbed, &hosts, "image.raw");

    for receiver in &receivers {
        assert_eq!(image::blake3_of(&receiver.store.join("image.raw")), sum);
    }
    let (alone, beside) = (last_of(&without, healthy), last_of(&with, healthy));
    measured!(
        "six hosts took {alone:.2} s alone and {beside:.2} s beside two sick ones, which took {:.2} s",
        last_of(&with, sick)
    );
    assert!(beside <= 1.1 * alone, "{with:?}");
    for (host, cause, words) in
        [("r7", "network_loss", "lost on the way to it"), ("r8", "slow_store", "its store is too slow")]
    {
        let row = with.host(host);
        assert_eq!(row.sidelined.as_deref(), Some(cause), "{row:?}");
        assert!(row.reason.as_ref().is_some_and(|reason| reason.contains(words)), "{row:?}");
    }
    for host in healthy {
        assert_eq!(with.host(host).sidelined, None, "{:?}", with.host(host));
    }
}

#[test]
fn the_sick_get_their_copies_soon_at_a_rate_that_adapts() {
    needs!(netns::NEEDS);
    let testbed = testbed(4);
    testbed.network().lose("r3", 300);
    let sum = image::random(&testbed.path("image.raw"), 48 << 20, Seed::draw());
    let hosts = testbed.network().receivers();
    let mut receivers: Vec<Receiver> = hosts[..3].iter().map(|host| testbed.receiver(host, &[])).collect();
    receivers.push(testbed.receiver("r4", &["--write-rate", "40mbit"]));
    let (_, report) = start(&testbed, &hosts, "image.raw", "auto:200mbit").report(TIMEOUT);

    assert_eq!(report.outcome, "complete", "{report:?}");
    for receiver in &receivers {
        assert_eq!(image::blake3_of(&receiver.store.join("image.raw")), sum);
    }
    let [lossy, slow] = ["r3", "r4"].map(|host| report.host(host).seconds.expect("it was heard"));
    measured!("48 MiB: 30 % lost: {lossy:.2} s; a disk that takes 10.1 s: {slow:.2} s");
}

#[test]
fn the_last_host_is_served_by_unicast() {
    needs!(netns::NEEDS);
    let testbed = testbed(3);
    let sum = image::random(&testbed.path("image.raw"), 96 << 20, Seed::draw());
    let mut receivers = vec![testbed.receiver("r1", &[]), testbed.receiver("r2", &[])];
    receivers.push(testbed.receiver("r3", &["--write-rate", "80mbit"]));
    let hosts = testbed.network().receivers();
    let mut push = start(&testbed, &hosts, "image.raw", "400mbit");
    receivers[..2].iter_mut().for_each(|other| drop(other.process.wait_for_log(" published", TIMEOUT)));
    let bytes = |host: &str| testbed.network().counter(host, "rx_bytes");
    let before = [bytes("r2"), bytes("r3")];
    let (_, report) = push.report(TIMEOUT);
    let tail = [bytes("r2") - before[0], bytes("r3") - before[1]];

    report.assert_hosts(&[("r1", "done"), ("r2", "done"), ("r3", "done")]);
    for receiver in &receivers {
        assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), sum);
    }
    measured!("of {} KiB for the last host another one heard {} KiB", tail[1] >> 10, tail[0] >> 10);
    assert!(tail[1] > 8 << 20, "no tail to speak of: {tail:?}");
    assert!(tail[0] < tail[1] / 20, "{tail:?}");
}

#[test]
fn a_last_host_that_unicast_does_not_reach_is_served_by_the_group() {
    needs!(netns::NEEDS);
    let testbed = testbed(2);
    testbed.network().lose("r2", 400);
    let rules = "nft add table inet way; add chain inet way output { type filter hook output priority 0; }; \
                 add rule inet way output ip daddr 10.77.1.2 drop";
    testbed.network().run(Lab::SENDER, rules);
    let sum = image::random(&testbed.path("image.raw"), 16 << 20, Seed::draw());
    let hosts = testbed.network().receivers();
    let receivers: Vec<Receiver> = hosts.iter().map(|host| testbed.receiver(host, &[])).collect();
    push(&testbed, &hosts, "image.raw");
    for receiver in &receivers {
        assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), sum);
    }
}

/// Where all stores are slower than the line, the push goes at their pace. None of them is a straggler, and what finds no
/// room in their buffers is no loss of the network.
#[test]
fn stores_that_are_all_slow_are_waited_for_and_nobody_is_accused() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: 4, offload: Offload::On, loss_per_mille: 0, rate: Some("1gbit") };
    let testbed = Testbed::lab(Lab::build(&shape));
    let sum = image::random(&testbed.path("image.raw"), SLOW_BYTES, Seed::draw());
    let hosts = testbed.network().receivers();
    let receivers: Vec<Receiver> =
        hosts.iter().map(|host| testbed.receiver(host, &["--write-rate", "200mbit"])).collect();
    let (_, report) = start(&testbed, &hosts, "image.raw", "auto:1gbit").report(TIMEOUT);

    assert_eq!(report.outcome, "complete", "{report:?}");
    for receiver in &receivers {
        assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), sum);
    }
    let (bytes, store) = (report.overhead(), 8.0 * SLOW_BYTES as f64 / 200e6);
    let drops: Vec<[u64; 3]> =
        report.hosts.iter().map(|host| [host.symbols_lost, host.socket_drops, host.store_drops]).collect();
    measured!(
        "{bytes:.4} x the bytes, {:.3} x the time of the stores; lost, dropped by the socket, without a buffer: {drops:?}",
        report.seconds / store
    );
    for host in &report.hosts {
        assert_eq!((&host.sidelined, &host.reason), (&None, &None), "{host:?}");
    }
    assert!(bytes <= 1.03, "{report:?}");
}

fn testbed(receivers: usize) -> Testbed {
    Testbed::lab(Lab::build(&Shape { receivers, offload: Offload::On, loss_per_mille: 0, rate: None }))
}

fn push(testbed: &Testbed, hosts: &[String], name: &str) -> Report {
    let (_, report) = start(testbed, hosts, name, "200mbit").report(TIMEOUT);
    assert_eq!(report.outcome, "complete", "{report:?}");
    report
}

fn start(testbed: &Testbed, hosts: &[String], name: &str, rate: &str) -> Push {
    let (source, names) = (testbed.path("image.raw"), hosts.join(","));
    let file = source.to_str().expect("UTF-8");
    testbed.push(&["--file", file, "--name", name, "--hosts", &names, "--rate", rate, "--timeout", "50s"])
}

/// Returns when the last of `hosts` was done.
fn last_of(report: &Report, hosts: &[String]) -> f64 {
    let seconds = hosts.iter().map(|host| report.host(host).seconds.expect("it was heard"));
    seconds.fold(0.0, f64::max)
}

const TIMEOUT: Duration = Duration::from_secs(60);
/// An image that takes the slow stores more than ten seconds, and that their buffers do not hold.
const SLOW_BYTES: u64 = 256 << 20;
