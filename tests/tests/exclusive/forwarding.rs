//! A relay on a real network, with a sender that is driven by hand: what it forwards, where that goes, and what becomes of
//! it when the line behind the relay is too slow.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_proto::ids::SessionId;
use glancecast_proto::wire::RouteAck;
use glancecast_tests::capture::Capture;
use glancecast_tests::lessor::{DATAGRAM_BYTES, Lessor};
use glancecast_tests::netns::{self, Lab, Offload};
use glancecast_tests::routed::{self, Fabric, Rack, Shape};
use glancecast_tests::testbed::{Receiver, SOON, Testbed};
use glancecast_tests::{measured, needs, wait};
use nix::sys::socket::{setsockopt, sockopt};

#[test]
fn a_relay_multicasts_into_its_own_segment_alone() {
    needs!(netns::NEEDS);
    let rack = Rack { hosts: 2, ..Rack::default() };
    let mut scene = Scene::new(&[rack, rack]);
    let group = SocketAddr::from(scene.testbed.group());
    let members = ["r2", "r3"].map(|host| scene.member(host));
    let capture = Capture::start(scene.testbed.network(), "r2");
    let own = Capture::start(scene.testbed.network(), "r1");
    scene.lessor.lease(Some(group), &[]);
    let symbols = scene.stream(500, Duration::from_millis(2));
    assert_eq!(heard(&members[0]), symbols, "as they came, in their order");
    assert!(heard(&members[1]).is_empty(), "the other rack hears nothing");
    let to_group: Vec<_> = capture.packets().into_iter().filter(|packet| packet.to == group.ip()).collect();
    assert_eq!(to_group.len(), 500);
    let relay = scene.fabric.address("r1");
    assert!(to_group.iter().all(|packet| packet.from == relay && packet.ttl == 1), "{:?}", to_group[0]);
    let back = own.packets().into_iter().filter(|packet| packet.to == group.ip() && packet.from != relay);
    assert_eq!(back.count(), 0, "nothing of it comes back");
    assert_eq!(scene.last_ack().forwarded, 500);
}

#[test]
fn a_chain_of_relays_passes_a_datagram_on_within_milliseconds() {
    needs!(netns::NEEDS);
    let rack = Rack { hosts: 4, is_deaf: true, ..Rack::default() };
    let mut scene = Scene::new(&[rack]);
    let port = scene.testbed.group().port();
    let addresses = ["r1", "r2", "r3"].map(|host| SocketAddr::from((scene.fabric.address(host), port)));
    // The sender, r1, r2, r3, and a socket on r4.
    let others = ["r2", "r3"].map(|host| receiver(&scene.testbed, host));
    let mut later: Vec<Lessor> = addresses[1..].iter().map(|&to| scene.another(to)).collect();
    later.iter_mut().for_each(Lessor::enlist);
    let child = scene.alone("r4");
    let end = SocketAddr::from((scene.fabric.address("r4"), port));
    scene.lessor.lease(None, &[addresses[1]]);
    for (at, next) in [(0, addresses[2]), (1, end)] {
        // The session is one: the leases of the later relays differ in their parent.
        let mut route = later[at].route(None, &[next]);
        route.parent = addresses[at];
        later[at].renew(&route);
    }
    thread::sleep(Duration::from_millis(300));
    let mut delays: Vec<Duration> = (0..50)
        .map(|_| {
            let begun = Instant::now();
            let symbol = scene.lessor.symbols(1).remove(0);
            scene.lessor.send(&symbol);
            let mut datagram = [0; 2 * DATAGRAM_BYTES];
            let bytes = child.recv(&mut datagram).expect("it passes three relays");
            assert_eq!(datagram[..bytes], symbol);
            begun.elapsed()
        })
        .collect();
    delays.sort_unstable();
    measured!("three relays pass a datagram on in {:?}, at worst {:?}", delays[25], delays[49]);
    assert!(delays[25] < Duration::from_millis(20), "{:?}", delays[25]);
    drop(others);
}

#[test]
fn what_a_slow_line_does_not_take_waits_in_eight_megabytes_and_is_dropped_beyond() {
    needs!(netns::NEEDS);
    let rack = Rack { hosts: 2, ..Rack::default() };
    let mut scene = Scene::new(&[rack]);
    scene.testbed.network().run("r1", "tc qdisc replace dev eth0 root tbf rate 40mbit burst 64kb limit 32mb");
    let child = scene.alone("r2");
    let to = SocketAddr::from((scene.fabric.address("r2"), scene.testbed.group().port()));
    scene.lessor.lease(None, &[to]);
    let before = resident(&scene.relay);
    // 60 MB at some 240 Mbit/s, of which the line takes a sixth meanwhile.
    let sent = 41_000;
    scene.stream(sent, Duration::from_micros(2_000));
    let most = resident(&scene.relay);
    let ack = scene.last_ack();
    let got = heard(&child).len() as u64;
    measured!("{ack:?}; {got} came; {} KiB more memory", (most - before) >> 10);
    assert!(ack.dropped_queue > 0, "{ack:?}");
    assert!(ack.came > sent as u64 * 9 / 10, "the relay itself takes all: {ack:?}");
    assert_eq!((ack.came, got), (ack.forwarded + ack.dropped_queue, ack.forwarded), "each is counted once");
    assert!(most - before < 24 << 20, "{before} bytes before, {most} then");
    assert_eq!(scene.relay.process.log_lines().iter().filter(|line| line.contains("ERROR")).count(), 0);
}

#[test]
fn a_relay_keeps_to_its_own_rate() {
    needs!(netns::NEEDS);
    let rack = Rack { hosts: 2, ..Rack::default() };
    let mut scene = Scene::with(&[rack], &["--relay-rate-max", "40mbit"]);
    let child = scene.alone("r2");
    let to = SocketAddr::from((scene.fabric.address("r2"), scene.testbed.group().port()));
    scene.lessor.lease(None, &[to]);
    let begun = Instant::now();
    let sent = scene.stream(10_000, Duration::from_micros(2_000)).len();
    let lasted = begun.elapsed();
    let (ack, got) = (scene.last_ack(), heard(&child).len());
    let rate = 8e-6 * (got * DATAGRAM_BYTES) as f64 / lasted.as_secs_f64();
    measured!("{got} of {sent} datagrams at {rate:.0} Mbit/s under a cap of 40; {ack:?}");
    assert!((20.0..44.0).contains(&rate) && ack.dropped_rate > 0, "{rate:.0} Mbit/s, {ack:?}");
}

#[test]
fn a_relay_takes_no_lease_whose_parent_it_does_not_allow() {
    needs!(netns::NEEDS);
    let rack = Rack { hosts: 2, ..Rack::default() };
    let mut scene = Scene::with(&[rack], &["--relay-parent", "10.99.0.0/16"]);
    let child = scene.alone("r2");
    let to = SocketAddr::from((scene.fabric.address("r2"), scene.testbed.group().port()));
    let route = scene.lessor.route(None, &[to]);
    scene.lessor.renew(&route);
    scene.stream(20, Duration::ZERO);
    assert!(heard(&child).is_empty());
    scene.relay.process.terminate(SOON);
    let log = scene.relay.process.log_lines();
    assert!(log.iter().any(|line| line.contains("parent_not_allowed=1")), "{log:?}");
}

/// A sender at `s`, and a relay at `r1`, which is in the first rack.
struct Scene {
    relay: Receiver,
    lessor: Lessor,
    socket: UdpSocket,
    fabric: Fabric,
    testbed: Testbed,
}

impl Scene {
    fn new(racks: &[Rack<'_>]) -> Self {
        Self::with(racks, &[])
    }

    fn with(racks: &[Rack<'_>], options: &[&str]) -> Self {
        let shape = Shape { sender: None, near: 0, racks, offload: Offload::Off };
        let (lab, fabric) = routed::build(&shape);
        let testbed = Testbed::lab(lab);
        let usual = ["--relay", "on", "--min-free", "0"];
        let relay = testbed.receiver("r1", &[&usual, options].concat());
        let from = SocketAddr::from((fabric.address(Lab::SENDER), 0));
        let socket = testbed.network().inside(Lab::SENDER, || UdpSocket::bind(from).expect("its address"));
        let to = SocketAddr::from((fabric.address("r1"), testbed.group().port()));
        let lessor = lessor(&testbed, &socket, to);
        let mut scene = Self { testbed, fabric, relay, lessor, socket };
        scene.lessor.enlist();
        scene
    }

    /// Returns the same sender, as it deals with another relay.
    fn another(&self, to: SocketAddr) -> Lessor {
        lessor(&self.testbed, &self.socket, to)
    }

    /// Sends symbols, with a pause after each forty, and keeps the lease.
    fn stream(&mut self, count: usize, gap: Duration) -> Vec<Vec<u8>> {
        let symbols = self.lessor.symbols(count);
        for some in symbols.chunks(40) {
            self.lessor.keep();
            some.iter().for_each(|symbol| self.lessor.send(symbol));
            thread::sleep(gap);
        }
        symbols
    }

    /// Returns a member of the group on a host.
    fn member(&self, host: &str) -> UdpSocket {
        let (own, group) = (self.fabric.address(host), self.testbed.group());
        self.testbed.network().inside(host, || {
            let socket = UdpSocket::bind(group).expect("the port is free");
            socket.join_multicast_v4(group.ip(), &own).expect("a host has one network");
            patient(socket)
        })
    }

    /// Returns a socket at a host's own address and the group's port.
    fn alone(&self, host: &str) -> UdpSocket {
        let own: Ipv4Addr = self.fabric.address(host);
        let port = self.testbed.group().port();
        self.testbed
            .network()
            .inside(host, || patient(UdpSocket::bind((own, port)).expect("the port is free")))
    }

    /// Returns the acknowledgement after the last datagram: the first one that is like the one before.
    fn last_ack(&mut self) -> RouteAck {
        let mut last = None;
        wait::until("the relay to have forwarded all", Duration::from_secs(20), || {
            self.lessor.keep();
            self.lessor.acks().into_iter().find(|ack| last.replace(*ack).is_some_and(|last| last == *ack))
        })
    }
}

fn lessor(testbed: &Testbed, socket: &UdpSocket, to: SocketAddr) -> Lessor {
    Lessor::new(socket.try_clone().expect("a socket"), testbed.key(), None, SessionId([7; 16]), to)
}

fn receiver(testbed: &Testbed, host: &str) -> Receiver {
    testbed.receiver(host, &["--relay", "on", "--min-free", "0"])
}

/// A socket with room for all that a test sends before it reads.
fn patient(socket: UdpSocket) -> UdpSocket {
    setsockopt(&socket, sockopt::RcvBufForce, &(128 << 20)).expect("who built the lab may");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    socket
}

/// Returns what comes until nothing has come for half a second.
fn heard(socket: &UdpSocket) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    let mut datagram = [0; 2 * DATAGRAM_BYTES];
    while let Ok(bytes) = socket.recv(&mut datagram) {
        if bytes == DATAGRAM_BYTES {
            heard.push(datagram[..bytes].to_vec());
        }
    }
    heard
}

fn resident(receiver: &Receiver) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", receiver.process.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("proc_pid_status(5)");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib << 10
}
