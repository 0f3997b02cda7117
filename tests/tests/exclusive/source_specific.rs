//! Source-specific groups: a host that names a source receives from that source only.

use std::net::{SocketAddr, UdpSocket};

use glancecast_tests::delivery::deliver_to;
use glancecast_tests::needs;
use glancecast_tests::netns::{self, Ipv6, Lab, Offload, Shape};
use glancecast_tests::testbed::{SOON, Testbed};

#[test]
fn a_source_specific_group_of_ipv4_brings_its_source_alone() {
    needs!(netns::NEEDS);
    its_source_alone("232.77.0.1:7167", "10.77.0.1", "10.77.1.3:0");
}

#[test]
fn a_source_specific_group_of_ipv6_brings_its_source_alone() {
    needs!(netns::NEEDS);
    its_source_alone("[ff35::8000:4743]:7167", "fd77::1", "[fd77::103]:0");
}

#[test]
fn a_source_chooses_in_any_group() {
    needs!(netns::NEEDS);
    its_source_alone("239.77.0.1:7167", "10.77.0.1", "10.77.1.3:0");
}

#[test]
fn a_source_specific_group_without_a_source_is_refused() {
    let testbed = Testbed::loopback();
    for group in ["232.77.0.1:7167", "[ff35::8000:4743]:7167"] {
        let mut receiver = testbed.start_receiver("r1", &["--group", group]);
        assert_eq!(receiver.wait(SOON).code(), Some(78), "{group}");
        let lines = receiver.log_lines();
        assert!(lines.len() == 1 && lines[0].contains("--source"), "{group}: {lines:?}");
    }
}

/// Asserts that the image reaches the host that joined for its sender, and that datagrams of another host reach only
/// the host that joined for that one.
fn its_source_alone(group: &str, source: &str, other: &str) {
    let shape = Shape { receivers: 3, offload: Offload::Off, loss_per_mille: 0, rate: None };
    let testbed = Testbed::lab(Lab::build(&shape).with_ipv6(Ipv6::Global));
    let other: SocketAddr = other.parse().expect("an address");
    let mut chosen = testbed.receiver("r1", &["--group", group, "--source", source]);
    let mut astray = testbed.receiver("r2", &["--group", group, "--source", &other.ip().to_string()]);

    // Of no protocol version: the receiver counts each one as discarded.
    let noise = testbed.network().inside("r3", || {
        let socket = UdpSocket::bind(other).expect("its own address");
        (0..NOISE).filter(|_| socket.send_to(b"noise", group).is_ok()).count()
    });
    assert_eq!(noise, NOISE);
    let report = deliver_to(&testbed, 4 << 20, &[], &["r1".to_owned()], &["--group", group]);
    assert_eq!(report.address, source);

    chosen.process.terminate(SOON);
    astray.process.terminate(SOON);
    let counts = |lines: Vec<String>| {
        lines
            .into_iter()
            .rfind(|line| line.contains("discarded datagrams by reason"))
            .expect("said at the end")
    };
    let (heard, strays) = (counts(chosen.process.log_lines()), counts(astray.process.log_lines()));
    assert!(!heard.contains("other_version"), "{heard}");
    assert!(strays.contains(&format!("other_version={NOISE}")), "{strays}");
}

const NOISE: usize = 20;
