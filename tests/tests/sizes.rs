//! Sizes at the limits of the geometry: one byte, around one block, and a last block of one symbol.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::measured;
use glancecast_tests::report::{Object, Report};
use glancecast_tests::testbed::{Receiver, Testbed};

#[test]
fn one_byte() {
    measured!("{}", arrives(|_| 1, 1));
}

#[test]
fn exactly_one_block() {
    measured!("{}", arrives(|geometry| geometry.block_bytes, 1));
}

#[test]
fn one_block_and_a_byte() {
    measured!("{}", arrives(|geometry| geometry.block_bytes + 1, 2));
}

#[test]
fn a_last_block_of_one_symbol() {
    measured!("{}", arrives(|geometry| 2 * geometry.block_bytes + geometry.symbol_bytes, 3));
}

/// Sends an image to learn the geometry, then to the same receiver one of the size that `bytes` derives from it.
#[track_caller]
fn arrives(bytes: impl Fn(&Object) -> u64, blocks: u64) -> String {
    let testbed = Testbed::loopback();
    let seed = Seed::draw();
    let receiver = testbed.receiver("r1", &[]);
    let geometry = sent(&testbed, &receiver, "first.raw", 1000, seed).object;

    let second = sent(&testbed, &receiver, "second.raw", bytes(&geometry), seed.next());
    assert_eq!(second.object.blocks, blocks);
    assert_eq!(receiver.stored(), ["first.raw", "second.raw"]);
    format!("{} bytes in {} blocks: {:.2} s", second.object.bytes, second.object.blocks, second.seconds)
}

/// Sends a random image and checks the copy.
#[track_caller]
fn sent(testbed: &Testbed, receiver: &Receiver, name: &str, bytes: u64, seed: Seed) -> Report {
    let source = testbed.path(name);
    let sum = image::random(&source, bytes, seed);
    let file = source.to_str().expect("UTF-8");
    let mut push = testbed.push(&["--file", file, "--hosts", "r1", "--rate", "390mbit", "--timeout", "15s"]);
    let (end, report) = push.report(Duration::from_secs(30));
    assert_eq!(end.code(), Some(0), "{report:?}");
    report.assert_hosts(&[("r1", "done")]);
    assert_eq!((report.object.bytes, report.root.as_deref()), (bytes, Some(sum.as_str())));
    let copy = receiver.store.join(name);
    assert_eq!(image::blake3_of(&copy), sum);
    assert_eq!(copy.metadata().expect("published").len(), bytes);
    report
}
