//! A relay, and what makes it send: only a lease of the session's sender, only what comes from the lease's parent, opens and
//! is new. The relay is the real program; the sender is driven by hand.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_proto::ids::SessionId;
use glancecast_proto::limits::LEASE_MAX;
use glancecast_proto::wire::Route;
use glancecast_tests::attacker;
use glancecast_tests::lessor::{DATAGRAM_BYTES, Lessor};
use glancecast_tests::measured;
use glancecast_tests::sender_keys::SenderKeys;
use glancecast_tests::testbed::{Receiver, SOON, Testbed};

#[test]
fn a_relay_without_a_lease_forwards_nothing() {
    let mut scene = Scene::new();
    assert_eq!(scene.forwarded(100), 0);
    assert_eq!(scene.end(), Refused::default(), "and a host that never had one counts nothing");
}

#[test]
fn a_lease_has_what_its_parent_sends_forwarded_as_it_came() {
    let mut scene = Scene::new();
    scene.lessor.lease(None, &[scene.child()]);
    let symbols = scene.lessor.symbols(100);
    symbols.iter().for_each(|symbol| scene.lessor.send(symbol));
    assert_eq!(scene.heard(), symbols);
    let ack = scene.last_ack();
    assert_eq!((ack.came, ack.forwarded, ack.dropped_queue, ack.parent_gaps), (100, 100, 0, 0));
    assert_eq!(scene.end(), Refused::default());
}

#[test]
fn a_lease_that_is_not_renewed_ends_within_three_seconds() {
    let mut scene = Scene::new();
    scene.lessor.lease(None, &[scene.child()]);
    let leased = Instant::now();
    assert_eq!(scene.forwarded(10), 10);
    while leased.elapsed() < LEASE_MAX + Duration::from_millis(100) {
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(scene.forwarded(10), 0);
    let refused = scene.end();
    assert_eq!(refused.of("expired"), 10, "{refused:?}");
}

#[test]
fn a_lease_that_somebody_repeats_gives_nothing() {
    let mut scene = Scene::new();
    let route = scene.lessor.route(None, &[scene.child()]);
    let lease = scene.lessor.sealed(&route);
    scene.lessor.send(&lease);
    scene.lessor.lease(None, &[scene.child()]);
    let ended = Instant::now() + LEASE_MAX + Duration::from_millis(100);
    while Instant::now() < ended {
        scene.lessor.send(&lease);
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(scene.forwarded(10), 0, "the repeated lease did not prolong the other one");
    let refused = scene.end();
    assert!(refused.of("outdated") > 20 && refused.of("expired") == 10, "{refused:?}");
}

#[test]
fn a_lease_of_somebody_else_is_not_taken() {
    let mut scene = Scene::new();
    let route = scene.lessor.route(None, &[scene.child()]);
    let stranger = attacker::host_key();
    for signer in [None, Some(&stranger)] {
        let lease = scene.lessor.sealed_by(signer, &route);
        scene.lessor.send(&lease);
    }
    // Of a session that this host takes no part in.
    let other = SessionId([9; 16]);
    let mut foreign = Lessor::new(socket(), scene.testbed.key(), Some(stranger), other, scene.relay);
    let route = Route { session: other, ..foreign.route(None, &[scene.child()]) };
    foreign.renew(&route);
    assert_eq!(scene.forwarded(10), 0);
    foreign.symbols(10).iter().for_each(|symbol| foreign.send(symbol));
    assert!(scene.heard().is_empty());
    let refused = scene.end();
    assert_eq!((refused.of("bad_signature"), refused.of("not_in_session")), (2, 1), "{refused:?}");
}

#[test]
fn a_lease_that_would_send_back_or_to_no_host_is_not_taken() {
    let mut scene = Scene::new();
    let (parent, group) = (scene.lessor.address(), SocketAddr::from(([239, 1, 1, 1], 7)));
    let broadcast = SocketAddr::from(([255; 4], 7));
    for child in [parent, group, broadcast] {
        let route = scene.lessor.route(None, &[scene.child(), child]);
        scene.lessor.renew(&route);
    }
    assert_eq!(scene.forwarded(10), 0);
    let refused = scene.end();
    // A child in a group's range is none that a lease can name at all.
    assert_eq!((refused.of("bad_child"), refused.of("malformed")), (2, 1), "{refused:?}");
}

#[test]
fn only_what_comes_from_the_parent_opens_and_is_new_is_forwarded() {
    let mut scene = Scene::new();
    scene.lessor.lease(None, &[scene.child()]);
    let symbols = scene.lessor.symbols(50);
    let elsewhere = socket();
    for symbol in &symbols {
        elsewhere.send_to(symbol, scene.relay).expect("loopback");
    }
    assert!(scene.heard().is_empty(), "not from elsewhere, though it is the sender's");
    symbols.iter().for_each(|symbol| scene.lessor.send(symbol));
    assert_eq!(scene.heard().len(), 50);
    symbols.iter().for_each(|symbol| scene.lessor.send(symbol));
    assert!(scene.heard().is_empty(), "not twice");
    for symbol in &mut scene.lessor.symbols(50) {
        *symbol.last_mut().expect("bytes") ^= 1;
        scene.lessor.send(symbol);
    }
    assert!(scene.heard().is_empty(), "not what somebody has changed on the way");
    let refused = scene.end();
    let counts = ["foreign_parent", "replayed", "unopened"].map(|reason| refused.of(reason));
    assert_eq!(counts, [50, 50, 50], "{refused:?}");
}

#[test]
fn what_comes_by_multicast_is_never_forwarded() {
    let mut scene = Scene::new();
    scene.lessor.lease(None, &[scene.child()]);
    let group = scene.testbed.group();
    let parent = scene.parent.try_clone().expect("a socket");
    let symbols = scene.lessor.symbols(50);
    for symbol in &symbols {
        parent.send_to(symbol, group).expect("loopback carries the group");
    }
    assert!(scene.heard().is_empty());
    symbols.iter().for_each(|symbol| scene.lessor.send(symbol));
    assert_eq!(scene.heard().len(), 50, "the same ones are forwarded if they come by unicast");
    scene.end();
}

#[test]
fn a_flood_neither_passes_a_relay_nor_keeps_the_parent_out() {
    let mut scene = Scene::new();
    scene.lessor.lease(None, &[scene.child()]);
    let flood = socket();
    let mut forged = scene.lessor.symbols(1).remove(0);
    let (mut sent, mut heard, started) = (0, 0, Instant::now());
    while started.elapsed() < Duration::from_secs(2) {
        // Junk and other people's symbols, fifty for each one of the parent's.
        for _ in 0..500 {
            sent += 1;
            let middle = forged.len() / 2;
            forged[middle] = sent as u8;
            let datagram = if sent % 2 == 0 { &forged[..] } else { &forged[..40] };
            let _ = flood.send_to(datagram, scene.relay);
        }
        scene.lessor.symbols(10).iter().for_each(|symbol| scene.lessor.send(symbol));
        thread::sleep(Duration::from_millis(5));
        heard += scene.heard_at_once().len();
    }
    heard += scene.heard().len();
    let ack = scene.last_ack();
    let refused = scene.end();
    measured!("{sent} datagrams of a flood, {heard} forwarded of {} that came: {refused:?}", ack.came);
    assert_eq!(heard as u64, ack.came, "what came of the parent's, and nothing of the flood");
    assert!(ack.came > 0 && refused.of("foreign_parent") > 0, "{refused:?}");
}

/// A relay, its sender, and a child.
struct Scene {
    process: Receiver,
    relay: SocketAddr,
    lessor: Lessor,
    parent: UdpSocket,
    child: UdpSocket,
    testbed: Testbed,
}

impl Scene {
    fn new() -> Self {
        let testbed = Testbed::loopback();
        let keys = SenderKeys::of(&testbed);
        let process = testbed.receiver("r1", &["--sender", &keys.public, "--min-free", "0"]);
        let relay = SocketAddr::from(([127, 0, 0, 1], testbed.group().port()));
        let parent = socket();
        let own = parent.try_clone().expect("a socket");
        let mut lessor = Lessor::new(own, testbed.key(), Some(keys.signer()), SessionId([7; 16]), relay);
        lessor.enlist();
        let child = socket();
        child.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
        Self { testbed, process, relay, lessor, parent, child }
    }

    fn child(&self) -> SocketAddr {
        self.child.local_addr().expect("bound")
    }

    /// Sends symbols from the parent, and returns how many the child gets.
    fn forwarded(&mut self, count: usize) -> usize {
        self.lessor.symbols(count).iter().for_each(|symbol| self.lessor.send(symbol));
        self.heard().len()
    }

    /// Returns what the child gets until nothing has come for 200 ms.
    fn heard(&self) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        let mut datagram = [0; 2 * DATAGRAM_BYTES];
        while let Ok(bytes) = self.child.recv(&mut datagram) {
            heard.push(datagram[..bytes].to_vec());
        }
        heard
    }

    /// Returns what has come to the child.
    fn heard_at_once(&self) -> Vec<Vec<u8>> {
        self.child.set_nonblocking(true).expect("a socket");
        let heard = self.heard();
        self.child.set_nonblocking(false).expect("a socket");
        heard
    }

    /// Returns the acknowledgement after the last datagram.
    fn last_ack(&self) -> glancecast_proto::wire::RouteAck {
        thread::sleep(Duration::from_millis(1_100));
        *self.lessor.acks().last().expect("two a second")
    }

    /// Ends the relay, and returns its counts of what it refused.
    fn end(mut self) -> Refused {
        assert!(self.process.process.terminate(SOON).code() == Some(0));
        let log = self.process.process.log_lines();
        let line = log.iter().rev().find(|line| line.contains("refused by reason: "));
        let Some(line) = line else { return Refused::default() };
        let counts = line.split_once("refused by reason: ").expect("just found").1;
        let counts = counts.split(' ').filter_map(|count| {
            let (reason, count) = count.split_once('=')?;
            Some((reason.to_owned(), count.parse().ok()?))
        });
        Refused(counts.take_while(|(reason, _)| reason != "leases").collect())
    }
}

/// What a relay has refused, by reason.
#[derive(Debug, Default, PartialEq, Eq)]
struct Refused(Vec<(String, u64)>);

impl Refused {
    fn of(&self, reason: &str) -> u64 {
        self.0.iter().find(|(name, _)| name == reason).map_or(0, |&(_, count)| count)
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    // Room for all that a test sends before it reads.
    let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &(8 << 20));
    socket
}
