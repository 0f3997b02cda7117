//! What a host takes at its own address: everything, or, if it names a source for the group, only what is sent to one
//! host.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use glancecast_proto::wire::Kind;
use glancecast_tests::attacker::{Attack, Attacker};
use glancecast_tests::delivery::deliver_to;
use glancecast_tests::image::{self, Seed};
use glancecast_tests::testbed::{Push, Receiver, SOON, Testbed};
use glancecast_tests::wait;

#[test]
fn a_host_that_names_no_source_takes_announcements_at_its_address() {
    let testbed = Testbed::loopback();
    let mut host = testbed.receiver("r1", &["--group", &elsewhere(&testbed)]);
    let (_relay, _push) = (Relay::start(&testbed, &host), push(&testbed));
    host.process.wait_for_log("receiving", SOON);
}

#[test]
fn a_host_that_names_a_source_joins_no_push_that_somebody_else_announces_at_its_address() {
    let testbed = Testbed::loopback();
    let mut host = testbed.receiver("r1", &["--source", NOBODY]);
    let (relay, _push) = (Relay::start(&testbed, &host), push(&testbed));
    wait::until("announcements", SOON, || (relay.announced.load(Ordering::Relaxed) >= 20).then_some(()));
    host.process.terminate(SOON);
    let lines = host.process.log_lines();
    assert!(!lines.iter().any(|line| line.contains("receiving")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("unknown_kind=")), "they came: {lines:?}");
}

#[test]
fn a_host_that_names_a_source_answers_no_query_at_its_address() {
    let testbed = Testbed::loopback();
    let hosts = [
        testbed.receiver("r1", &["--group", &elsewhere(&testbed)]),
        testbed.receiver("r2", &["--source", NOBODY]),
    ];
    let _relays = hosts.each_ref().map(|host| Relay::start(&testbed, host));
    let (_, answer) = testbed.ask(&["hosts", "--hosts", "r1,r2"]);
    let rows = answer["hosts"].as_array().expect("rows");
    let states: Vec<&str> = rows.iter().filter_map(|row| row["state"].as_str()).collect();
    assert_eq!(states, ["answered", "never_answered"], "{answer}");
}

#[test]
fn hosts_that_name_the_sender_as_their_source_are_acknowledged_and_complete() {
    let testbed = Testbed::loopback();
    let names = ["r1", "r2"].map(str::to_owned);
    let hosts = ["r1", "r2"].map(|host| testbed.receiver(host, &["--source", "127.0.0.1"]));
    deliver_to(&testbed, 8 << 20, &hosts, &names, &[]);
}

/// Somebody who sends all announcements, queries and audiences of the group to one host's own address.
struct Relay {
    announced: Arc<AtomicU32>,
    _attack: Attack<Attacker>,
}

impl Relay {
    fn start(testbed: &Testbed, host: &Receiver) -> Self {
        let (to, announced) = (own_address(host), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&announced);
        let attack = Attack::start(Attacker::join(testbed), Duration::from_millis(5), move |attacker| {
            for (_, datagram) in attacker.hear() {
                let kind = Kind::peek(&datagram);
                if matches!(kind, Some(Kind::Announce | Kind::Ask | Kind::Audience)) {
                    attacker.say_to(&datagram, to);
                    count.fetch_add(u32::from(kind == Some(Kind::Announce)), Ordering::Relaxed);
                }
            }
        });
        Self { announced, _attack: attack }
    }
}

/// Starts a push that goes on for longer than the test.
fn push(testbed: &Testbed) -> Push {
    let source = testbed.path("image.raw");
    image::random(&source, 4 << 20, Seed::draw());
    let file = source.to_str().expect("UTF-8");
    testbed.push(&["--file", file, "--hosts", "r1,nobody", "--rate", "10mbit", "--timeout", "60s"])
}

/// Returns the address from which a host sends: of its two sockets, that on the interface's address.
fn own_address(host: &Receiver) -> SocketAddr {
    let fds = fs::read_dir(format!("/proc/{}/fd", host.process.pid())).expect("it runs");
    let links = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    let sockets: Vec<String> = links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    // proc_pid_net(5): the address in hexadecimal in the second column, the inode in the tenth.
    let table = fs::read_to_string("/proc/net/udp").expect("procfs");
    let ours = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (addr, port) = columns[1].split_once(':')?;
        let is_ours = addr == "0100007F" && sockets.iter().any(|socket| socket == columns[9]);
        is_ours.then(|| u16::from_str_radix(port, 16).expect("a port"))
    });
    let [port] = ours.collect::<Vec<u16>>()[..] else { panic!("one socket is for this host: {table}") };
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Returns a group of which this test sends nothing.
fn elsewhere(testbed: &Testbed) -> String {
    format!("239.255.71.1:{}", testbed.group().port())
}

/// An address from which nobody sends.
const NOBODY: &str = "127.0.0.9";
