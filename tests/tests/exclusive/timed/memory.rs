//! Memory does not grow with the image: 8 GiB with data all over it, and lost datagrams to repair.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::{self, Lab, Offload, Shape};
use glancecast_tests::process::End;
use glancecast_tests::testbed::Testbed;
use glancecast_tests::{measured, needs};

#[test]
fn eight_gibibytes_need_no_more_memory_than_agreed() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: 2, offload: Offload::Off, loss_per_mille: 10, rate: None };
    let testbed = Testbed::lab(Lab::build(&shape));
    let source = testbed.path("image.raw");
    let islands: Vec<u64> = (0..ISLANDS).map(|island| island * (IMAGE_BYTES / ISLANDS)).collect();
    image::sparse(&source, IMAGE_BYTES, &islands, ISLAND_BYTES, Seed::draw());
    let hosts = testbed.network().receivers();
    let mut receivers: Vec<_> = hosts.iter().map(|host| testbed.receiver(host, &["--once"])).collect();
    let (file, names) = (source.to_str().expect("UTF-8"), hosts.join(","));
    let mut push =
        testbed.push(&["--file", file, "--hosts", &names, "--rate", "390mbit", "--timeout", "60s"]);
    let (sender, report) = push.report(Duration::from_secs(80));

    assert_eq!(report.outcome, "complete", "{report:?}");
    let ends: Vec<End> = receivers.iter_mut().map(|receiver| receiver.process.wait(TIMEOUT)).collect();
    let root = report.root.as_deref();
    assert_eq!(Some(image::blake3_of(&receivers[0].only_file("image.raw")).as_str()), root);
    let receiver = ends.iter().map(|end| end.resident_bytes_max).max().expect("two of them");
    measured!(
        "resident MiB: sender {}, receiver {}; {:.2} s for {} MiB of data in 8 GiB",
        sender.resident_bytes_max >> 20,
        receiver >> 20,
        report.seconds,
        (ISLANDS * ISLAND_BYTES as u64) >> 20
    );
    for (side, bytes) in [("sender", sender.resident_bytes_max), ("receiver", receiver)] {
        assert!(bytes <= MEMORY_MAX, "the {side} had {} MiB resident", bytes >> 20);
    }
}

const IMAGE_BYTES: u64 = 8 << 30;
const ISLANDS: u64 = 128;
const ISLAND_BYTES: usize = 2 << 20;
const MEMORY_MAX: u64 = 256 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);
