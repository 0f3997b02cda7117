//! Packets fill the path's MTU, taken from the interface or from `--mtu`, and none is fragmented.

use glancecast_tests::capture::Capture;
use glancecast_tests::delivery::deliver;
use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::{self, Ipv6, Lab, Offload, Shape};
use glancecast_tests::testbed::{SOON, Testbed};
use glancecast_tests::{measured, needs, wait};

#[test]
fn jumbo_frames_are_filled_without_being_asked_for() {
    needs!(netns::NEEDS);
    assert_eq!(longest_packet(9000, &[]), 9000);
}

#[test]
fn jumbo_frames_are_filled_over_ipv6() {
    needs!(netns::NEEDS);
    // A symbol's length is a multiple of eight bytes.
    assert_eq!(longest_packet(9000, &["--group", IPV6_GROUP]), 8996);
}

#[test]
fn jumbo_frames_cross_in_batches() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(Offload::On).with_mtu(9000));
    let report = deliver(&testbed, IMAGE_BYTES, &[], &[]);
    assert_eq!((report.mtu, report.object.datagram_bytes), (9000, 8972));
}

#[test]
fn a_path_of_1280_bytes_is_kept_to_over_ipv6() {
    needs!(netns::NEEDS);
    assert_eq!(longest_packet(9000, &["--group", IPV6_GROUP, "--mtu", "1280"]), 1276);
}

#[test]
fn a_path_of_576_bytes_is_kept_to() {
    needs!(netns::NEEDS);
    assert_eq!(longest_packet(1500, &["--mtu", "576"]), 576);
}

#[test]
fn an_interface_of_576_bytes_is_kept_to() {
    needs!(netns::NEEDS);
    assert_eq!(longest_packet(576, &[]), 576);
}

#[test]
fn a_route_of_1300_bytes_is_kept_to() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(Offload::Off));
    testbed.network().run(Lab::SENDER, "ip route replace 224.0.0.0/4 dev eth0 mtu 1300");
    let report = deliver(&testbed, 1 << 20, &[], &[]);
    assert_eq!((report.mtu, report.object.datagram_bytes <= 1300 - 28), (1300, true));
}

#[test]
fn more_than_the_interface_carries_is_refused() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(Offload::Off));
    let file = testbed.path("image.raw");
    std::fs::write(&file, [7; 1000]).expect("the testbed's directory takes a file");
    let file = file.to_str().expect("UTF-8");
    let mut push = testbed.push(&["--file", file, "--expect", "1", "--mtu", "9000"]);
    let (end, lines) = (push.process.wait(SOON), push.process.log_lines());
    assert_eq!((end.code(), lines.len()), (Some(2), 1), "{lines:?}");
    for word in ["--mtu 9000", "eth0", "1500"] {
        assert!(lines[0].contains(word), "{word:?} is not in {:?}", lines[0]);
    }
}

#[test]
fn an_mtu_that_stays_lowered_ends_the_push_instead_of_cutting_its_packets() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(Offload::Off));
    let capture = Capture::start(testbed.network(), "r1");
    let _receiver = testbed.receiver("r1", &[]);
    let file = testbed.path("image.raw");
    image::random(&file, 64 << 20, Seed::draw());
    let file = file.to_str().expect("UTF-8");
    let mut push = testbed.push(&["--file", file, "--hosts", "r1", "--rate", "50mbit", "--timeout", "3s"]);
    let mut packets = Vec::new();
    wait::until("the first packets", SOON, || {
        packets.extend(capture.packets());
        (packets.len() > 100).then_some(())
    });
    testbed.network().run(Lab::SENDER, "ip link set eth0 mtu 1300");
    let (end, report) = push.report(SOON);
    packets.extend(capture.packets());
    assert_eq!((end.code(), report.outcome.as_str()), (Some(1), "failed"), "{report:?}");
    let reason = report.reason.as_deref().unwrap_or_default();
    for says in ["interface eth0 (10.77.0.1)", "packets of 1496 bytes", "which is 1300", "--mtu 1300"] {
        assert!(reason.contains(says), "{says:?} is not in {reason:?}");
    }
    assert_eq!(packets.iter().filter(|packet| packet.fragment).count(), 0, "of {} packets", packets.len());
}

/// Delivers over links with an MTU of `link`, and returns the length of the longest packet that reached a receiver.
/// Asserts that no packet was a fragment and that the report has the MTU.
#[track_caller]
fn longest_packet(link: u16, arguments: &[&str]) -> usize {
    let lab = lab(Offload::Off).with_mtu(link);
    let testbed = Testbed::lab(if link < IPV6_MTU_MIN { lab } else { lab.with_ipv6(Ipv6::Global) });
    let capture = Capture::start(testbed.network(), "r1");
    let group: Vec<&str> = arguments.iter().skip_while(|word| **word != "--group").take(2).copied().collect();
    let report = deliver(&testbed, IMAGE_BYTES, &group, arguments);
    let packets = capture.packets();
    assert_eq!(packets.iter().filter(|packet| packet.fragment).count(), 0, "fragments");
    let longest = packets.iter().map(|packet| packet.bytes).max().expect("an image came");
    assert!(longest <= usize::from(report.mtu), "{longest} bytes with an MTU of {}", report.mtu);
    measured!(
        "{longest} bytes in a packet at most, {} datagrams for {} MiB",
        report.wire.datagrams,
        IMAGE_BYTES >> 20
    );
    longest
}

fn lab(offload: Offload) -> Lab {
    Lab::build(&Shape { receivers: 2, offload, loss_per_mille: 0, rate: None })
}

const IMAGE_BYTES: u64 = 8 << 20;
/// The minimum MTU of IPv6 links (RFC 8200 §5).
const IPV6_MTU_MIN: u16 = 1280;
const IPV6_GROUP: &str = "[ff15::4743]:7167";
