//! A 4 GiB image that is nearly all hole: no program holds it in memory, and its copy is as sparse.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::measured;
use glancecast_tests::testbed::Testbed;

#[test]
fn four_sparse_gibibytes_need_little_memory_and_little_disk() {
    let testbed = Testbed::loopback();
    let source = testbed.path("image.raw");
    let islands = [0, (1 << 30) + 12_345, 3 << 30, IMAGE_BYTES - ISLAND_BYTES as u64];
    image::sparse(&source, IMAGE_BYTES, &islands, ISLAND_BYTES, Seed::draw());
    let mut receiver = testbed.receiver("r1", &["--once"]);
    let file = source.to_str().expect("UTF-8");
    let mut push = testbed.push(&["--file", file, "--hosts", "r1", "--rate", "390mbit", "--timeout", "60s"]);
    let (sender, report) = push.report(Duration::from_secs(80));

    assert_eq!(sender.code(), Some(0), "{report:?}");
    report.assert_hosts(&[("r1", "done")]);
    let end = receiver.process.wait(Duration::from_secs(30));
    assert_eq!(end.code(), Some(0));
    let copy = receiver.only_file("image.raw");
    let sum = image::blake3_of(&source);
    assert_eq!(image::blake3_of(&copy), sum);
    assert_eq!(report.root.as_deref(), Some(sum.as_str()));

    let (taken, data) = (image::allocated_bytes(&copy), islands.len() as u64 * ISLAND_BYTES as u64);
    // An island may touch one block more than it fills, at either end.
    let disk_max = data + 2 * islands.len() as u64 * report.object.block_bytes;
    assert!(taken <= disk_max, "the copy takes {taken} bytes of the disk for {data} bytes of data");
    assert!(
        report.wire.bytes < IMAGE_BYTES / 16,
        "{} bytes sent for {data} bytes of data",
        report.wire.bytes
    );
    for (side, bytes) in [("sender", sender.resident_bytes_max), ("receiver", end.resident_bytes_max)] {
        assert!(bytes <= MEMORY_MAX, "the {side} had {} MiB resident", bytes >> 20);
    }
    measured!(
        "{:.2} s; resident MiB: sender {}, receiver {}; {} KiB of the disk and {} KiB sent for {} KiB of data",
        report.seconds,
        sender.resident_bytes_max >> 20,
        end.resident_bytes_max >> 20,
        taken >> 10,
        report.wire.bytes >> 10,
        data >> 10
    );
}

const IMAGE_BYTES: u64 = 4 << 30;
const ISLAND_BYTES: usize = 1 << 20;
const MEMORY_MAX: u64 = 256 << 20;
