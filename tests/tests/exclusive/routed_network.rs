//! The routed network itself: what the scenarios about relays assume about it.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use glancecast_tests::exclusive::{self, Share};
use glancecast_tests::netns::{self, Lab, Offload};
use glancecast_tests::routed::{self, Rack, Shape};
use glancecast_tests::{measured, needs};

#[test]
fn multicast_stays_in_its_segment_and_unicast_does_not() {
    needs!(netns::NEEDS);
    let _machine = exclusive::machine(Share::Alone);
    let racks = [Rack { hosts: 2, ..Rack::default() }, Rack { hosts: 1, is_deaf: true, ..Rack::default() }];
    let shape = Shape { sender: None, near: 1, racks: &racks, offload: Offload::Off };
    let (lab, fabric) = routed::build(&shape);
    assert_eq!(fabric.hosts(0), ["r1"]);
    assert_eq!(fabric.hosts(1), ["r2", "r3"]);
    assert_eq!(fabric.hosts(2), ["r4"]);
    let members: Vec<UdpSocket> =
        lab.receivers().iter().map(|host| lab.inside(host, || member(fabric.address(host)))).collect();
    for (from, hearers) in [(Lab::SENDER, &[0][..]), ("r2", &[2]), ("r4", &[])] {
        lab.inside(from, || say(fabric.address(from), GROUP));
        let heard: Vec<usize> = (0..members.len()).filter(|&at| hears(&members[at])).collect();
        assert_eq!(heard, hearers, "of {from}");
    }
    let alone: Vec<UdpSocket> =
        lab.receivers().iter().map(|host| lab.inside(host, || bound(fabric.address(host)))).collect();
    for (host, socket) in lab.receivers().iter().zip(&alone) {
        let to = SocketAddrV4::new(fabric.address(host), GROUP.port());
        lab.inside(Lab::SENDER, || say(fabric.address(Lab::SENDER), to));
        assert!(hears(socket), "{host} by unicast");
    }
}

#[test]
fn an_uplink_keeps_to_its_rate_and_is_counted() {
    needs!(netns::NEEDS);
    let _machine = exclusive::machine(Share::Alone);
    let rack = Rack { hosts: 1, uplink: Some("100mbit"), ..Rack::default() };
    let shape = Shape { sender: None, near: 0, racks: &[rack], offload: Offload::Off };
    let (lab, fabric) = routed::build(&shape);
    let socket = lab.inside("r1", || bound(fabric.address("r1")));
    let to = SocketAddrV4::new(fabric.address("r1"), GROUP.port());
    let (before, begun) = (fabric.bytes_down(&lab, 1), Instant::now());
    lab.inside(Lab::SENDER, || {
        let sender = UdpSocket::bind((fabric.address(Lab::SENDER), 0)).expect("its address");
        // Twice the rate, for half a second.
        for _ in 0..500 {
            (0..17).for_each(|_| drop(sender.send_to(&[7; 1472], to)));
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let (went, lasted) = (fabric.bytes_down(&lab, 1) - before, begun.elapsed().as_secs_f64());
    assert!(hears(&socket), "some came");
    let rate = 8e-6 * went as f64 / lasted;
    measured!("{rate:.0} Mbit/s went down an uplink of 100, to which 12.5 MB were offered in {lasted:.2} s");
    // A burst comes on top.
    assert!(rate < 100.0 * 1.1 && went > 4_000_000, "{rate:.0} Mbit/s, {went} bytes");
}

#[test]
fn a_cut_segment_hears_nothing_until_it_is_mended() {
    needs!(netns::NEEDS);
    let _machine = exclusive::machine(Share::Alone);
    let shape = Shape {
        sender: None,
        near: 0,
        racks: &[Rack { hosts: 1, ..Rack::default() }],
        offload: Offload::Off,
    };
    let (lab, fabric) = routed::build(&shape);
    let socket = lab.inside("r1", || bound(fabric.address("r1")));
    let to = SocketAddrV4::new(fabric.address("r1"), GROUP.port());
    let reaches = || {
        lab.inside(Lab::SENDER, || say(fabric.address(Lab::SENDER), to));
        hears(&socket)
    };
    assert!(reaches());
    fabric.cut(&lab, 1);
    assert!(!reaches());
    fabric.mend(&lab, 1);
    assert!((0..20).any(|_| reaches()), "within some seconds");
}

fn member(own: Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind(GROUP).expect("the port is free");
    socket.join_multicast_v4(GROUP.ip(), &own).expect("a host has one network");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

fn bound(own: Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind((own, GROUP.port())).expect("the port is free");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

fn say(own: Ipv4Addr, to: SocketAddrV4) {
    let socket = UdpSocket::bind((own, 0)).expect("its address");
    socket.set_multicast_ttl_v4(8).expect("an option");
    socket.set_multicast_loop_v4(false).expect("an option");
    let _ = socket.send_to(b"hello", to);
}

fn hears(socket: &UdpSocket) -> bool {
    socket.recv(&mut [0; 2048]).is_ok()
}

const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 71, 67), 7167);
const PATIENCE: Duration = Duration::from_millis(200);
