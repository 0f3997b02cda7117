//! A name that exists in the store: the same content counts as a copy, other content is never changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::testbed::Testbed;

#[test]
fn the_same_content_counts_as_a_copy() {
    let testbed = Testbed::loopback();
    let source = testbed.path("image.raw");
    let sum = image::random(&source, BYTES, Seed::draw());
    let taken = testbed.store("r1").join("image.raw");
    fs::copy(&source, &taken).expect("a copy");
    let inode = taken.metadata().expect("there").ino();
    let receiver = testbed.receiver("r1", &[]);

    let file = source.to_str().expect("UTF-8");
    let mut push = testbed.push(&["--file", file, "--hosts", "r1", "--rate", "200mbit", "--timeout", "15s"]);
    let (end, report) = push.report(Duration::from_secs(30));
    assert_eq!(end.code(), Some(0), "{report:?}");
    report.assert_hosts(&[("r1", "existing")]);
    let still = receiver.only_file("image.raw");
    assert_eq!(
        (image::blake3_of(&still), still.metadata().expect("there").ino()),
        (sum, inode),
        "the same file"
    );
}

#[test]
fn other_content_is_left_alone_and_the_host_fails() {
    let testbed = Testbed::loopback();
    let source = testbed.path("image.raw");
    let seed = Seed::draw();
    image::random(&source, BYTES, seed);
    let taken = testbed.store("r1").join("image.raw");
    let theirs = image::random(&taken, BYTES, seed.next());
    let inode = taken.metadata().expect("there").ino();
    let receiver = testbed.receiver("r1", &[]);

    let file = source.to_str().expect("UTF-8");
    let mut push = testbed.push(&["--file", file, "--hosts", "r1", "--rate", "200mbit", "--timeout", "15s"]);
    let (end, report) = push.report(Duration::from_secs(30));
    assert_eq!(end.code(), Some(3), "{report:?}");
    report.assert_hosts(&[("r1", "failed")]);
    let reason = report.host("r1").reason.as_deref().unwrap_or_default();
    assert!(reason.contains("exist") || reason.contains("taken"), "the reason is {reason:?}");
    let still = receiver.only_file("image.raw");
    assert_eq!(
        (image::blake3_of(&still), still.metadata().expect("there").ino()),
        (theirs, inode),
        "untouched"
    );
}

const BYTES: u64 = 3 << 20;
