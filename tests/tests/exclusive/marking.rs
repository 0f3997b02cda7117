//! DSCP and TTL on the wire, in both directions.

use std::net::IpAddr;

use glancecast_tests::capture::{Capture, Packet};
use glancecast_tests::delivery::deliver;
use glancecast_tests::needs;
use glancecast_tests::netns::{self, Ipv6, Lab, Offload, Shape};
use glancecast_tests::testbed::Testbed;

#[test]
fn a_push_over_ipv4_gives_way_and_stays_in_its_network_unless_told_otherwise() {
    needs!(netns::NEEDS);
    let seen = push("239.77.0.1:7167", &[], &[]);
    seen.data.iter().for_each(|packet| assert_eq!((packet.dscp, packet.ttl), (8, 1), "{packet:?}"));
    seen.acks.iter().for_each(|packet| assert_eq!((packet.dscp, packet.ttl), (8, 64), "{packet:?}"));
    seen.answers.iter().for_each(|packet| assert_eq!((packet.dscp, packet.ttl), (0, 64), "{packet:?}"));
}

#[test]
fn a_push_over_ipv6_gives_way_and_stays_in_its_network_unless_told_otherwise() {
    needs!(netns::NEEDS);
    let seen = push("[ff15::4743]:7167", &[], &[]);
    seen.data.iter().for_each(|packet| assert_eq!((packet.dscp, packet.ttl), (8, 1), "{packet:?}"));
    seen.acks.iter().for_each(|packet| assert_eq!((packet.dscp, packet.ttl), (8, 64), "{packet:?}"));
    seen.answers.iter().for_each(|packet| assert_eq!((packet.dscp, packet.ttl), (0, 64), "{packet:?}"));
}

#[test]
fn dscp_and_ttl_over_ipv4_are_what_was_asked_for() {
    needs!(netns::NEEDS);
    let seen = push("239.77.0.1:7167", &["--dscp", "16"], &["--dscp", "46", "--ttl", "7"]);
    seen.data.iter().for_each(|packet| assert_eq!((packet.dscp, packet.ttl), (46, 7), "{packet:?}"));
    seen.acks.iter().for_each(|packet| assert_eq!(packet.dscp, 46, "{packet:?}"));
    seen.answers.iter().for_each(|packet| assert_eq!(packet.dscp, 16, "{packet:?}"));
}

#[test]
fn dscp_and_hop_limit_over_ipv6_are_what_was_asked_for() {
    needs!(netns::NEEDS);
    let seen = push("[ff15::4743]:7167", &["--dscp", "16"], &["--dscp", "1", "--ttl", "255"]);
    seen.data.iter().for_each(|packet| assert_eq!((packet.dscp, packet.ttl), (1, 255), "{packet:?}"));
    seen.acks.iter().for_each(|packet| assert_eq!(packet.dscp, 1, "{packet:?}"));
    seen.answers.iter().for_each(|packet| assert_eq!(packet.dscp, 16, "{packet:?}"));
}

/// The packets of a push at a receiver host, by kind; there are some of each.
struct Seen {
    data: Vec<Packet>,
    acks: Vec<Packet>,
    answers: Vec<Packet>,
}

fn push(group: &str, receiver: &[&str], sender: &[&str]) -> Seen {
    let shape = Shape { receivers: 1, offload: Offload::Off, loss_per_mille: 0, rate: None };
    let testbed = Testbed::lab(Lab::build(&shape).with_ipv6(Ipv6::Global));
    let capture = Capture::start(testbed.network(), "r1");
    let group = ["--group", group];
    let report = deliver(&testbed, 2 << 20, &[&group, receiver].concat(), &[&group, sender].concat());
    let packets = capture.packets();
    let of_sender: IpAddr = report.address.parse().expect("an address");
    let those =
        |is: &dyn Fn(&Packet) -> bool| -> Vec<Packet> { packets.iter().copied().filter(is).collect() };
    let seen = Seen {
        data: those(&|packet| packet.from == of_sender && packet.to.is_multicast()),
        acks: those(&|packet| packet.from == of_sender && !packet.to.is_multicast()),
        answers: those(&|packet| packet.to == of_sender),
    };
    let counts = [&seen.data, &seen.acks, &seen.answers].map(Vec::len);
    assert!(counts[0] > 1000 && counts[1] > 0 && counts[2] > 0, "{counts:?} packets of {}", packets.len());
    seen
}
