//! IPv6 groups: of a routable scope, of one link, and on loopback.

use std::net::{SocketAddrV6, UdpSocket};

use glancecast_tests::delivery::{deliver, deliver_to};
use glancecast_tests::needs;
use glancecast_tests::netns::{self, Ipv6, Lab, Offload, Shape};
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{SOON, Testbed};
use nix::net::if_::if_nametoindex;

#[test]
fn a_site_local_group_is_sent_from_the_address_that_is_known_beyond_the_link() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(10).with_ipv6(Ipv6::Global));
    let report = deliver(&testbed, IMAGE_BYTES, &["--group", SITE], &["--group", SITE]);
    assert_eq!(report.address, "fd77::1");
}

#[test]
fn a_site_local_group_works_where_there_are_link_local_addresses_alone() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(10).with_ipv6(Ipv6::LinkLocal));
    let report = deliver(&testbed, IMAGE_BYTES, &["--group", SITE], &["--group", SITE]);
    assert_eq!(report.address, "fe80::77:1");
}

#[test]
fn a_link_local_group_is_answered_on_its_link() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(10).with_ipv6(Ipv6::Global));
    let report = deliver(&testbed, IMAGE_BYTES, &["--group", LINK], &["--group", LINK]);
    assert_eq!(report.address, "fe80::77:1");
}

#[test]
fn a_sender_with_a_link_local_address_alone_is_answered_from_others() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(10).with_ipv6(Ipv6::Global));
    // A prefix that a router announced for the link, without an address of the sender in it.
    testbed.network().run(Lab::SENDER, "ip addr del fd77::1/64 dev eth0");
    testbed.network().run(Lab::SENDER, "ip route add fd77::/64 dev eth0");
    // Another link of the host, which link-local datagrams use unless they name a link.
    for host in testbed.network().receivers() {
        add_other_link(testbed.network(), &host);
        testbed.network().run(&host, "ip route add fe80::/64 dev other metric 1");
    }
    let report = deliver(&testbed, IMAGE_BYTES, &["--group", SITE], &["--group", SITE]);
    assert_eq!(report.address, "fe80::77:1");
}

#[test]
fn a_link_local_group_without_an_interface_is_refused() {
    needs!(netns::NEEDS);
    let testbed = Testbed::loopback();
    let mut command = testbed.command("r1", "glancecastd");
    command.args(["--group", LINK, "--insecure", "--store"]);
    command
        .arg(format!("directory:{}", testbed.store("r1").display()))
        .arg("--state")
        .arg(testbed.state("r1"));
    let mut process = Process::start("r1", command, &testbed.path(""));
    assert_eq!(process.wait(SOON).code(), Some(78));
    let lines = process.log_lines();
    assert!(lines.iter().any(|line| line.contains("--interface") && line.contains("ff12")), "{lines:?}");
}

#[test]
fn what_comes_in_on_another_interface_is_not_heard() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(0).with_ipv6(Ipv6::Global));
    let lab = testbed.network();
    add_other_link(lab, "r1");
    let mut elsewhere = testbed.receiver("r1", &["--group", SITE, "--interface", "other"]);
    let mut here = testbed.receiver("r2", &["--group", SITE]);
    let group: SocketAddrV6 = SITE.parse().expect("an address");
    // Another program of the host has joined on the interface where the datagrams arrive.
    let _member = lab.inside("r1", || {
        let socket = UdpSocket::bind("[::]:0").expect("a port");
        let link = if_nametoindex(Lab::INTERFACE).expect("every host has it");
        socket.join_multicast_v6(group.ip(), link).expect("a group");
        socket
    });
    lab.inside(Lab::SENDER, || {
        let socket = UdpSocket::bind("[fd77::1]:0").expect("its own address");
        assert_eq!((0..20).filter(|_| socket.send_to(b"noise", group).is_ok()).count(), 20);
    });
    elsewhere.process.terminate(SOON);
    here.process.terminate(SOON);
    let discarded = |process: &Process| {
        let lines = process.log_lines();
        lines
            .into_iter()
            .rfind(|line| line.contains("discarded datagrams by reason"))
            .expect("said at the end")
    };
    let (elsewhere, here) = (discarded(&elsewhere.process), discarded(&here.process));
    assert!(elsewhere.ends_with("reason: none"), "{elsewhere}");
    assert!(here.ends_with("other_version=20"), "{here}");
}

#[test]
fn the_routing_table_chooses_and_both_programs_say_so() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(0).with_ipv6(Ipv6::Global));
    let (group, key) = (SITE, testbed.key().to_str().expect("UTF-8"));
    let mut command = testbed.command("r1", "glancecastd");
    command.args(["--group", group, "--key", key, "--sender", "any", "--name", "r1", "--store"]);
    command
        .arg(format!("directory:{}", testbed.store("r1").display()))
        .arg("--state")
        .arg(testbed.state("r1"));
    let mut receiver = Process::start("r1", command, &testbed.path(""));
    let line = receiver.wait_for_log(" listening", SOON);
    for words in ["eth0 (fd77::101, MTU 1500, ", "by the routing table"] {
        assert!(line.contains(words), "{words:?} is not in {line:?}");
    }

    let file = testbed.path("image.raw");
    std::fs::write(&file, [7; 1000]).expect("the testbed's directory takes a file");
    let mut command = testbed.command(Lab::SENDER, "glancecast");
    command.args([
        "send",
        "--file",
        file.to_str().expect("UTF-8"),
        "--group",
        group,
        "--key",
        key,
        "--hosts",
        "r1",
    ]);
    command.arg("--known-hosts").arg(testbed.known_hosts());
    let mut sender = Process::start("sender", command, &testbed.path(""));
    assert_eq!(sender.wait(SOON).code(), Some(0), "{:?}", sender.log_lines());
    let lines = sender.log_lines();
    let said =
        |line: &String| line.contains("eth0 (fd77::1, MTU 1500, ") && line.contains("by the routing table");
    assert!(lines.iter().any(said), "{lines:?}");
}

#[test]
fn ipv6_works_on_loopback_where_it_has_a_route() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(0));
    testbed.network().run(Lab::SENDER, "ip -6 route add local ff00::/8 dev lo");
    let arguments = ["--group", SITE, "--interface", "lo"];
    let receiver = testbed.receiver(Lab::SENDER, &arguments);
    let report = deliver_to(&testbed, IMAGE_BYTES, &[receiver], &[Lab::SENDER.to_owned()], &arguments);
    assert_eq!(report.address, "::1");
}

/// Adds a second interface, `other`.
fn add_other_link(lab: &Lab, host: &str) {
    lab.run(host, "ip link add other type veth peer name peer");
    lab.run(host, "ip link set peer up");
    lab.run(host, "ip link set other up");
    lab.run(host, "ip addr add fd78::1/64 dev other nodad");
}

fn lab(loss_per_mille: u32) -> Lab {
    Lab::build(&Shape { receivers: 2, offload: Offload::Off, loss_per_mille, rate: None })
}

const IMAGE_BYTES: u64 = 8 << 20;
const SITE: &str = "[ff15::4743]:7167";
const LINK: &str = "[ff12::4743]:7167";
