//! A receiver that joins late completes in the same session, and one that never joins is named.

use std::thread;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::measured;
use glancecast_tests::testbed::Testbed;

#[test]
fn a_receiver_that_starts_at_half_time_ends_complete() {
    let testbed = Testbed::loopback();
    let source = testbed.path("image.raw");
    let sum = image::random(&source, IMAGE_BYTES, Seed::draw());
    let early = testbed.receiver("early", &[]);
    let file = source.to_str().expect("UTF-8");
    let mut push = testbed.push(&[
        "--file",
        file,
        "--hosts",
        "early,late",
        "--rate",
        RATE,
        "--mtu",
        "1500",
        "--timeout",
        "60s",
    ]);

    // At the capped rate the first pass cannot be further than this.
    thread::sleep(HALF_OF_THE_FIRST_PASS.saturating_sub(push.process.age()));
    assert!(push.process.runs(), "the push ended before half of its own time");
    let late = testbed.receiver("late", &[]);
    let (end, report) = push.report(Duration::from_secs(90));

    assert_eq!((end.code(), report.outcome.as_str()), (Some(0), "complete"), "{report:?}");
    report.assert_hosts(&[("early", "done"), ("late", "done")]);
    for receiver in [&early, &late] {
        assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), sum);
    }
    // What the host missed had to be sent again: less overhead would mean that it was not late.
    assert!(report.overhead() > 1.3, "only {:.3} of the least bytes were sent", report.overhead());
    let row = report.host("late");
    measured!(
        "{:.2} s for {} MiB at a cap of {RATE}, {:.3} of the least bytes; the late host was repaired {} symbols",
        report.seconds,
        IMAGE_BYTES >> 20,
        report.overhead(),
        row.symbols_repaired
    );
}

#[test]
fn a_host_that_never_starts_is_named_at_the_timeout() {
    let testbed = Testbed::loopback();
    let source = testbed.path("image.raw");
    let sum = image::random(&source, 4 << 20, Seed::draw());
    let here = testbed.receiver("here", &[]);
    let file = source.to_str().expect("UTF-8");
    let mut push =
        testbed.push(&["--file", file, "--hosts", "here,nowhere", "--rate", "200mbit", "--timeout", "5s"]);
    let (end, report) = push.report(Duration::from_secs(30));

    assert_eq!((end.code(), report.outcome.as_str()), (Some(3), "incomplete"), "{report:?}");
    report.assert_hosts(&[("here", "done"), ("nowhere", "never_answered")]);
    let reason = report.host("nowhere").reason.as_deref().unwrap_or_default();
    assert!(reason.contains("never heard"), "the reason is {reason:?}");
    assert_eq!(report.host("nowhere").seconds, None);
    assert!(report.seconds >= 5.0, "it ended after {} s, before its timeout", report.seconds);
    assert!(end.lasted < Duration::from_secs(15), "it ended {:?} after its start, timeout 5 s", end.lasted);
    assert_eq!(image::blake3_of(&here.only_file("image.raw")), sum, "who was there has it");
    measured!("ended after {:.2} s, timeout 5 s", report.seconds);
}

const IMAGE_BYTES: u64 = 64 << 20;
const RATE: &str = "100mbit";
/// At 100 Mbit/s, 64 MiB take 5.37 s plus the headers' share.
const HALF_OF_THE_FIRST_PASS: Duration = Duration::from_millis(2750);
