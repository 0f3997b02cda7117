//! Only what is necessary is sent: holes and zeros are in the manifest only, compressible blocks travel compressed, and
//! others unchanged. Every copy is identical and as sparse as the data allows.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::{self, Lab, Offload, Shape};
use glancecast_tests::report::Report;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::Testbed;
use glancecast_tests::{measured, needs};

#[test]
fn only_the_data_of_a_sparse_image_is_sent() {
    let testbed = Testbed::loopback();
    let (bytes, piece, pieces) = (1 << 30, 1 << 20, 32);
    // At arbitrary offsets: no block, page or sector begins there.
    let offsets: Vec<u64> = (0..pieces).map(|i| i * (bytes / pieces) + 777_777 + 1234 * i).collect();
    image::sparse(&testbed.path("image.raw"), bytes, &offsets, piece, Seed::draw());
    let (report, taken) = sent(&testbed, &[]);

    let data = pieces * piece as u64;
    let least = data as f64 * report.object.datagram_bytes as f64 / report.object.symbol_bytes as f64;
    let sent = report.wire.bytes as f64 / least;
    assert!(sent <= 1.05, "{sent:.4} of the least: {report:?}");
    assert!(report.content.zero_blocks >= report.object.blocks - 2 * pieces);
    assert!(
        taken <= data + 16_384 * pieces,
        "the copy takes {taken} bytes of the disk for {data} bytes of data"
    );
    measured!("{sent:.4} of the least bytes; {taken} bytes of the disk for {data}; {:.2} s", report.seconds);
}

#[test]
fn four_gibibytes_of_zeros_send_next_to_nothing() {
    let testbed = Testbed::loopback();
    image::sparse(&testbed.path("image.raw"), 4 << 30, &[], 0, Seed::draw());
    let (report, taken) = sent(&testbed, &[]);

    assert!(report.wire.bytes <= 1 << 20, "{} bytes sent", report.wire.bytes);
    assert_eq!((report.content.data_bytes, report.content.encoded_bytes), (0, 0));
    // One bit for each of 4096 blocks, twice, and the datagrams around them.
    let manifest = &report.wire.kinds["manifest"];
    assert!(manifest.bytes <= 16 << 10, "{manifest:?}");
    assert!(taken <= 1 << 20, "the copy takes {taken} bytes of the disk");
    measured!("{} bytes sent in {:.2} s; {taken} bytes of the disk", report.wire.bytes, report.seconds);
}

#[test]
fn a_file_system_image_travels_compressed() {
    needs!(&[Need::Program("mke2fs", "e2fsprogs")]);
    let testbed = Testbed::loopback();
    let source = testbed.path("image.raw");
    image::ext4(&source, 128 << 20, &testbed.path("files"));
    let plain = image::zstd_bytes(&source, 1);
    // A fixed level, which does not depend on the machine's load.
    let (report, taken) = sent(&testbed, &["--compress", "3"]);

    let sent = report.wire.bytes as f64 / plain as f64;
    assert!(sent <= 1.05, "{sent:.4} of what zstd -1 makes of it: {report:?}");
    assert!(report.content.zstd_blocks > report.content.stored_blocks, "{:?}", report.content);
    let data = image::allocated_bytes(&source);
    assert!(taken <= data + (1 << 20), "the copy takes {taken} bytes of the disk, the image {data}");
    measured!(
        "{sent:.4} of zstd -1, {:.2} x less than the image; {taken} bytes of the disk, the image {data}; {:.2} s",
        report.object.bytes as f64 / report.wire.bytes as f64,
        report.seconds
    );
}

#[test]
fn data_without_redundancy_travels_as_it_is() {
    let testbed = Testbed::loopback();
    image::random(&testbed.path("image.raw"), 32 << 20, Seed::draw());
    let (report, _) = sent(&testbed, &[]);
    assert_eq!((report.content.zstd_blocks, report.content.stored_blocks), (0, 32), "{:?}", report.content);
    assert!(report.overhead() <= 1.05, "{:.4}", report.overhead());
    let seconds =
        |name: &str| report.stages.iter().find(|stage| stage.stage == name).map(|stage| stage.seconds);
    measured!("{:?} s of compressing, {:?} s of hashing", seconds("compress"), seconds("hash"));
}

#[test]
fn compression_can_be_switched_off_and_fixed() {
    let testbed = Testbed::loopback();
    image::text(&testbed.path("image.raw"), 8 << 20);
    let (off, _) = sent(&testbed, &["--compress", "off", "--name", "off"]);
    assert_eq!((off.content.zstd_blocks, off.content.stored_blocks), (0, 8), "{:?}", off.content);
    assert_eq!(off.content.encoded_bytes, 8 << 20);
    let (fixed, _) = sent(&testbed, &["--compress", "9", "--name", "fixed"]);
    assert_eq!((fixed.content.zstd_blocks, fixed.content.stored_blocks), (8, 0), "{:?}", fixed.content);
    assert!(fixed.content.encoded_bytes < 4 << 20);
}

#[test]
fn repairs_of_compressed_blocks_are_made_from_what_was_sent() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: 2, offload: Offload::Off, loss_per_mille: 50, rate: None };
    let testbed = Testbed::lab(Lab::build(&shape));
    image::text(&testbed.path("image.raw"), 64 << 20);
    let (report, _) = sent(&testbed, &["--compress", "1"]);
    assert_eq!(report.content.zstd_blocks, 64);
    assert!(report.wire.kinds["repair"].datagrams > 0, "{:?}", report.wire);
    measured!(
        "{} repair symbols for {}",
        report.wire.kinds["repair"].datagrams,
        report.wire.kinds["source"].datagrams
    );
}

/// Sends `image.raw` to a receiver, or to one on each host of the lab, and checks the copies. Returns the report and
/// the disk space of one copy.
#[track_caller]
fn sent(testbed: &Testbed, arguments: &[&str]) -> (Report, u64) {
    let source = testbed.path("image.raw");
    let sum = image::blake3_of(&source);
    let hosts = testbed.hosts();
    let mut receivers: Vec<_> = hosts.iter().map(|host| testbed.receiver(host, &["--once"])).collect();
    let (file, names) = (source.to_str().expect("UTF-8"), hosts.join(","));
    let usual = ["--file", file, "--hosts", &names, "--rate", "390mbit", "--timeout", "60s"];
    let (_, report) = testbed.push(&[&usual, arguments].concat()).report(Duration::from_secs(80));
    let done: Vec<(&str, &str)> = hosts.iter().map(|host| (host.as_str(), "done")).collect();
    report.assert_hosts(&done);
    assert_eq!(report.root.as_deref(), Some(sum.as_str()));
    let mut taken = 0;
    for receiver in &mut receivers {
        receiver.process.wait(Duration::from_secs(30));
        let copy = receiver.store.join(&report.object.name);
        assert_eq!(image::blake3_of(&copy), sum);
        assert_eq!(copy.metadata().expect("published").len(), report.object.bytes);
        taken = image::allocated_bytes(&copy);
    }
    let all = report.content.zero_blocks + report.content.stored_blocks + report.content.zstd_blocks;
    assert_eq!(all, report.object.blocks);
    (report, taken)
}
