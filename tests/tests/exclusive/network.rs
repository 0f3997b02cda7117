//! The network lab itself: what the other scenarios assume about loss, packets and clean-up.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use glancecast_tests::delivery::deliver;
use glancecast_tests::exclusive::{self, Share};
use glancecast_tests::netns::{self, Lab, Offload, Shape};
use glancecast_tests::testbed::Testbed;
use glancecast_tests::{measured, needs};
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg, setsockopt};

#[test]
fn a_batch_crosses_as_single_packets_without_offload() {
    needs!(netns::NEEDS);
    let _machine = exclusive::machine(Share::Alone);
    let lab = Lab::build(&Shape { receivers: 2, offload: Offload::Off, loss_per_mille: 0, rate: None });
    let traffic = multicast(&lab, 100);
    assert_eq!(traffic.received, [traffic.sent, traffic.sent], "every datagram at every host");
    assert!(
        traffic.packets[0] >= traffic.sent,
        "{} packets for {} datagrams",
        traffic.packets[0],
        traffic.sent
    );
    measured!("{} datagrams sent in batches arrived as {} packets", traffic.sent, traffic.packets[0]);
}

#[test]
fn a_batch_crosses_as_one_packet_with_offload() {
    needs!(netns::NEEDS);
    let _machine = exclusive::machine(Share::Alone);
    let lab = Lab::build(&Shape { receivers: 1, offload: Offload::On, loss_per_mille: 0, rate: None });
    let traffic = multicast(&lab, 100);
    assert_eq!(traffic.received, [traffic.sent]);
    assert!(traffic.packets[0] < traffic.sent / 10, "{} packets", traffic.packets[0]);
    measured!("{} datagrams sent in batches arrived as {} packets", traffic.sent, traffic.packets[0]);
}

#[test]
fn every_host_loses_its_own_share() {
    needs!(netns::NEEDS);
    let _machine = exclusive::machine(Share::Alone);
    let lab = Lab::build(&Shape { receivers: 2, offload: Offload::Off, loss_per_mille: 100, rate: None });
    let traffic = multicast(&lab, 500);
    for (host, received) in lab.receivers().iter().zip(&traffic.received) {
        let (lost, sent) = (lab.lost_packets(host), traffic.sent);
        // The standard deviation at 20 000 datagrams is 0.2 %; these bounds are ten of them away.
        assert!(lost * 100 > sent * 8 && lost * 100 < sent * 12, "{host}: {lost} of {sent} lost");
        assert!(received + lost >= sent, "{host}: {received} received, {lost} lost, {sent} sent");
        measured!("{host} lost {lost} of {sent}");
    }
}

#[test]
fn the_sender_keeps_to_the_rate_of_its_link() {
    needs!(netns::NEEDS);
    let _machine = exclusive::machine(Share::Alone);
    let lab =
        Lab::build(&Shape { receivers: 1, offload: Offload::Off, loss_per_mille: 0, rate: Some("100mbit") });
    let started = Instant::now();
    let traffic = multicast(&lab, 100);
    let bits = 8.0 * (traffic.received[0] * DATAGRAM_BYTES as u64) as f64;
    let megabits = bits / 1e6 / traffic.last_arrival.duration_since(started).as_secs_f64();
    assert!(megabits < 130.0, "{megabits:.0} Mbit/s through a link of 100");
    measured!("{megabits:.0} Mbit/s of payload through a link of 100");
}

/// Some kernels refuse GSO batches on such a device, and only when they are sent.
#[test]
fn a_device_without_checksum_offload_is_sent_through() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: 2, offload: Offload::Off, loss_per_mille: 0, rate: None };
    let testbed = Testbed::lab(Lab::build(&shape));
    testbed.network().run(Lab::SENDER, "ethtool -K eth0 tx off");
    deliver(&testbed, 4 << 20, &[], &[]);
}

#[test]
fn a_dropped_lab_leaves_nothing() {
    needs!(netns::NEEDS);
    let lab = Lab::build(&Shape { receivers: 1, offload: Offload::Off, loss_per_mille: 10, rate: None });
    let prefix = format!("{}-", lab.prefix());
    let standing = || namespaces().iter().filter(|name| name.starts_with(&prefix)).count();
    assert_eq!(standing(), 3, "a switch, a sender, a receiver");
    drop(lab);
    assert_eq!(standing(), 0);
}

#[test]
fn a_panic_leaves_nothing() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: 1, offload: Offload::Off, loss_per_mille: 0, rate: None };
    let prefix = std::sync::OnceLock::new();
    let panicked = thread::scope(|scope| {
        let failing = scope.spawn(|| {
            let lab = Lab::build(&shape);
            prefix.set(format!("{}-", lab.prefix())).expect("set once");
            panic!("as a failing scenario does");
        });
        failing.join().is_err()
    });
    let prefix = prefix.get().expect("the lab stood");
    assert!(panicked && !namespaces().iter().any(|name| name.starts_with(prefix)));
}

#[test]
fn what_a_killed_test_left_is_removed() {
    needs!(netns::NEEDS);
    let mut child = Command::new("true").spawn().expect("true runs");
    let left = format!("gc{}-0-s", child.id());
    child.wait().expect("true ends");
    let made = Command::new("ip").args(["netns", "add", &left]).status();
    assert!(made.is_ok_and(|status| status.success()));
    netns::remove_stale();
    assert!(!namespaces().contains(&left), "{left} is still there");
}

/// The counts of `multicast`.
struct Traffic {
    sent: u64,
    received: Vec<u64>,
    packets: Vec<u64>,
    last_arrival: Instant,
}

/// Sends batches of datagrams from `s`, and counts on every receiver until nothing more arrives.
fn multicast(lab: &Lab, batches: u64) -> Traffic {
    let sockets: Vec<UdpSocket> = lab.receivers().iter().map(|host| lab.inside(host, member)).collect();
    let before: Vec<u64> = lab.receivers().iter().map(|host| lab.counter(host, "rx_packets")).collect();
    thread::scope(|scope| {
        let counters: Vec<_> = sockets.iter().map(|socket| scope.spawn(|| count(socket))).collect();
        lab.inside(Lab::SENDER, || send_batches(batches));
        let counts: Vec<(u64, Instant)> =
            counters.into_iter().map(|counter| counter.join().expect("a counter")).collect();
        let after = lab.receivers().into_iter().map(|host| lab.counter(&host, "rx_packets"));
        Traffic {
            sent: batches * BATCH as u64,
            received: counts.iter().map(|(count, _)| *count).collect(),
            packets: after.zip(before).map(|(after, before)| after - before).collect(),
            last_arrival: counts.iter().map(|(_, last)| *last).max().expect("a receiver"),
        }
    })
}

fn member() -> UdpSocket {
    let socket =
        UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, GROUP.port())).expect("the port is free");
    socket.join_multicast_v4(GROUP.ip(), &Ipv4Addr::UNSPECIFIED).expect("the route to groups is there");
    setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER_BYTES)
        .expect("who built the lab may have a large buffer");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    socket
}

fn count(socket: &UdpSocket) -> (u64, Instant) {
    let (mut count, mut last) = (0, Instant::now());
    // The first wait is longer than the time between opening the sockets and sending.
    while socket.recv(&mut [0; 2048]).is_ok() {
        (count, last) = (count + 1, Instant::now());
    }
    (count, last)
}

/// Sends batches with a pause after each, so that the receivers' buffers never fill.
fn send_batches(batches: u64) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let batch = vec![7; BATCH * DATAGRAM_BYTES];
    let segment = u16::try_from(DATAGRAM_BYTES).expect("a datagram's length");
    for _ in 0..batches {
        let parts = [IoSlice::new(&batch)];
        let control = [ControlMessage::UdpGsoSegments(&segment)];
        let group = SockaddrIn::from(GROUP);
        let sent = sendmsg(socket.as_raw_fd(), &parts, &control, MsgFlags::empty(), Some(&group));
        assert_eq!(sent, Ok(batch.len()));
        thread::sleep(Duration::from_millis(1));
    }
}

fn namespaces() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/run/netns") else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 71, 67), 7167);
const BATCH: usize = 40;
const DATAGRAM_BYTES: usize = 1400;
/// Enough for a whole test, so that only the lab loses datagrams.
const RECEIVE_BUFFER_BYTES: usize = 64 << 20;
