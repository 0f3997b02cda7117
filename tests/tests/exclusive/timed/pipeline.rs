//! A push on a real network: an image of random bytes, one sender, four receivers in network namespaces, one datagram a
//! packet, independent losses. Every copy is proven, and the overhead stays low.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::{self, Lab, Offload, Shape};
use glancecast_tests::process::End;
use glancecast_tests::report::Report;
use glancecast_tests::testbed::Testbed;
use glancecast_tests::{measured, needs};

#[test]
fn no_loss() {
    needs!(netns::NEEDS);
    measured!("{}", four_hosts_get_the_image(0, 1.06));
}

#[test]
fn one_percent_loss() {
    needs!(netns::NEEDS);
    measured!("{}", four_hosts_get_the_image(10, 1.06));
}

#[test]
fn ten_percent_loss() {
    needs!(netns::NEEDS);
    measured!("{}", four_hosts_get_the_image(100, 1.20));
}

/// Runs the scenario, checks it completely, and returns its figures.
fn four_hosts_get_the_image(loss_per_mille: u32, overhead_max: f64) -> String {
    let shape = Shape { receivers: 4, offload: Offload::Off, loss_per_mille, rate: None };
    let testbed = Testbed::lab(Lab::build(&shape));
    let source = testbed.path("image.raw");
    let sum = image::random(&source, IMAGE_BYTES, Seed::draw());
    let hosts = testbed.network().receivers();
    let mut receivers: Vec<_> = hosts.iter().map(|host| testbed.receiver(host, &["--once"])).collect();

    let (file, names) = (source.to_str().expect("UTF-8"), hosts.join(","));
    let mut push = testbed.push(&["--file", file, "--hosts", &names, "--rate", RATE, "--timeout", "60s"]);
    let (sender, report) = push.report(TIMEOUT);

    assert_eq!((sender.code(), report.outcome.as_str()), (Some(0), "complete"), "{report:?}");
    report.assert_hosts(&[("r1", "done"), ("r2", "done"), ("r3", "done"), ("r4", "done")]);
    assert_eq!(report.root.as_deref(), Some(sum.as_str()), "the root is the image's BLAKE3");
    assert_eq!(report.object.bytes, IMAGE_BYTES);
    let ends: Vec<End> = receivers.iter_mut().map(|receiver| receiver.process.wait(TIMEOUT)).collect();
    for (receiver, end) in receivers.iter().zip(&ends) {
        assert_eq!(end.code(), Some(0), "--once ends well once the image is published");
        assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), sum);
    }
    let lost: u64 = hosts.iter().map(|host| testbed.network().lost_packets(host)).sum();
    assert_eq!(lost > 0, loss_per_mille > 0, "{lost} packets lost");
    let overhead = report.overhead();
    assert!(overhead <= overhead_max, "{overhead:.4} > {overhead_max}: {:?} {:?}", report.wire, report.hosts);
    figures(&report, &sender, &ends, lost)
}

fn figures(report: &Report, sender: &End, receivers: &[End], lost: u64) -> String {
    let gib = report.object.bytes as f64 / f64::from(1 << 30);
    let count = receivers.len() as f64;
    let cpu = receivers.iter().map(|end| end.cpu.as_secs_f64()).sum::<f64>() / count;
    let memory = receivers.iter().map(|end| end.resident_bytes_max).max().unwrap_or(0);
    let drops: u64 = report.hosts.iter().map(|host| host.socket_drops).sum();
    format!(
        "{:.4} of the least bytes, {:.2} s at a cap of {RATE}, {:.2} packets in 100 lost, {drops} socket drops; \
         CPU s/GiB: sender {:.2}, receiver {:.2}; resident MiB: sender {}, receiver {}",
        report.overhead(),
        report.seconds,
        100.0 * lost as f64 / (count * report.wire.datagrams as f64),
        sender.cpu.as_secs_f64() / gib,
        cpu / gib,
        sender.resident_bytes_max >> 20,
        memory >> 20,
    )
}

const IMAGE_BYTES: u64 = 256 << 20;
/// Below what two cores can deliver to four receivers packet by packet, so that only the lab loses packets.
const RATE: &str = "390mbit";
const TIMEOUT: Duration = Duration::from_secs(90);
