//! The network of a host goes away and comes back, is made anew, or is there only later: the host is well again by
//! itself, and a push that goes on meanwhile reaches it.

use std::thread::sleep;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::needs;
use glancecast_tests::netns::{self, Ipv6, Lab, Offload, Shape};
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{Push, Receiver, SOON, Testbed};
use glancecast_tests::wait;

#[test]
fn an_interface_that_is_made_anew_is_joined_again() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(1));
    let mut host = testbed.receiver("r1", &[]);
    // With the same index, and with another one.
    for (turn, index) in [(1, 11), (2, 77)] {
        testbed.network().unplug("r1");
        wait_for_lines(&mut host.process, "hears nothing", turn);
        testbed.network().plug("r1", index);
        wait_for_lines(&mut host.process, "hears the group again", turn);
        assert_answers(&testbed, &["r1"], &[]);
        assert_receives(&testbed, &[&host], turn);
    }
    // At once, so that no look finds it missing.
    testbed.network().unplug("r1");
    testbed.network().plug("r1", 77);
    host.process.wait_for_log("has changed", SOON);
    assert_receives(&testbed, &[&host], 3);
}

#[test]
fn an_interface_that_is_made_anew_is_joined_again_for_its_source_and_over_ipv6() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(4).with_ipv6(Ipv6::Global));
    let network = testbed.network();
    let groups = ["232.77.0.1:7167", "[ff15::4743]:7167", "[ff12::4743]:7167", "[ff35::8000:4743]:7167"];
    let sources = [Some("10.77.0.1"), None, None, Some("fd77::1")];
    let names = network.receivers();
    let mut hosts = Vec::new();
    for ((name, group), source) in names.iter().zip(groups).zip(sources) {
        let source = source.map_or(vec![], |source| vec!["--source", source]);
        hosts.push(testbed.receiver(name, &[&["--group", group], &source[..]].concat()));
    }
    for (turn, first_index) in [(1, 11), (2, 77)] {
        for (name, host) in names.iter().zip(&mut hosts) {
            network.unplug(name);
            wait_for_lines(&mut host.process, "hears nothing", turn);
        }
        for (number, name) in (0..).zip(&names) {
            network.plug(name, first_index + number);
            for address in [format!("fd77::{}", 101 + number), format!("fe80::77:{}", 101 + number)] {
                network.run(name, &format!("ip addr add {address}/64 dev eth0 nodad"));
            }
        }
        for ((name, host), group) in names.iter().zip(&mut hosts).zip(groups) {
            wait_for_lines(&mut host.process, "hears the group again", turn);
            let mut push = start_push(&testbed, turn, BYTES, &[name], &["--group", group]);
            assert_done(&mut push, &[name]);
        }
    }
}

#[test]
fn an_interface_that_is_made_anew_during_a_push_costs_time_alone() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(2));
    let mut hosts = [testbed.receiver("r1", &[]), testbed.receiver("r2", &[])];
    let mut push = start_push(&testbed, 1, 16 << 20, &["r1", "r2"], &["--rate", "50mbit"]);
    hosts[0].process.wait_for_log("receiving", SOON);
    sleep(Duration::from_millis(300));
    testbed.network().unplug("r1");
    hosts[0].process.wait_for_log("hears nothing", SOON);
    testbed.network().plug("r1", 77);
    assert_done(&mut push, &["r1", "r2"]);
    for host in &hosts {
        host.only_file(&name(1));
    }
}

#[test]
fn whatever_a_host_loses_for_a_second_during_a_push_it_is_done() {
    needs!(netns::NEEDS);
    // What is taken away, and what gives it back.
    let losses: [&[[&str; 2]]; 8] = [
        &[["ip link set eth0 down", "ip link set eth0 up"]],
        &[["ip addr del 10.77.1.2/16 dev eth0", "ip addr add 10.77.1.2/16 brd + dev eth0"]],
        &[["ip addr del 10.77.1.3/16 dev eth0", "ip addr add 10.77.1.33/16 brd + dev eth0"]],
        &[["ip route del 10.77.0.0/16 dev eth0", "ip route add 10.77.0.0/16 dev eth0"]],
        &[[DROP_ALL, "nft delete table inet wall"]],
        &[[REJECT_ALL, "nft delete table inet wall"]],
        &[["ip link set eth0 mtu 600", "ip link set eth0 mtu 1500"]],
        &[["ip link set eth0 down", "ip link set eth0 name eth9"], ["", "ip link set eth9 up"]],
    ];
    let testbed = Testbed::lab(lab(losses.len()));
    let names = testbed.network().receivers();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut hosts: Vec<Receiver> = names.iter().map(|name| testbed.receiver(name, &[])).collect();
    let mut push = start_push(&testbed, 1, 16 << 20, &names, &["--rate", "50mbit"]);
    for host in &mut hosts {
        host.process.wait_for_log("receiving", SOON);
    }
    for (name, steps) in names.iter().zip(losses) {
        testbed.network().run(name, steps[0][0]);
    }
    sleep(Duration::from_secs(1));
    for (name, steps) in names.iter().zip(losses) {
        for back in steps.iter().map(|step| step[1]) {
            testbed.network().run(name, back);
        }
    }
    assert_done(&mut push, &names);
    assert_answers(&testbed, &names, &[]);
    for host in &mut hosts {
        host.only_file(&name(1));
        assert!(host.process.runs());
        let lines = host.process.log_lines().len();
        assert!(lines < 20, "{:?}", host.process.log_lines());
    }
}

#[test]
fn an_interface_or_an_address_that_comes_late_is_waited_for() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(4));
    let network = testbed.network();
    network.unplug("r1");
    network.run("r2", "ip addr flush dev eth0");
    network.run("r3", "ip link set eth0 down");
    network.run("r3", "ip link set eth0 name eth5");
    network.run("r3", "ip link set eth5 up");
    // r4 is to use the routing table, which has no route.
    network.run("r4", "ip route flush table main");
    let mut hosts: Vec<Process> =
        [("r1", &[][..]), ("r2", &["--interface", "10.77.1.22"]), ("r3", &["--interface", "late"])]
            .iter()
            .map(|(host, arguments)| testbed.start_receiver(host, arguments))
            .collect();
    hosts.push(by_route(&testbed, "r4"));
    for host in &mut hosts {
        host.wait_for_log("hears nothing, and waits", SOON);
        assert!(host.runs() && !host.log_lines().iter().any(|line| line.contains(" listening")));
    }
    network.plug("r1", 77);
    network.run("r2", "ip addr add 10.77.1.22/16 brd + dev eth0");
    network.run("r3", "ip link property add dev eth5 altname late");
    network.run("r4", "ip route add 10.77.0.0/16 dev eth0");
    network.run("r4", "ip route add 224.0.0.0/4 dev eth0");
    for host in &mut hosts {
        host.wait_for_log(" listening", SOON);
    }
    let names = ["r1", "r2", "r3", "r4"];
    assert_answers(&testbed, &names, &[]);
    let mut push = start_push(&testbed, 1, BYTES, &names, &[]);
    assert_done(&mut push, &names);
}

#[test]
fn an_ipv6_address_is_waited_for_until_it_is_checked_for_duplicates() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(1).with_ipv6(Ipv6::Global));
    testbed.network().run("r1", "ip -6 addr flush dev eth0");
    testbed.network().run("r1", "ip addr add fd77::101/64 dev eth0");
    let mut host = testbed.start_receiver("r1", &["--group", "[ff15::4743]:7167"]);
    host.wait_for_log("is being checked for duplicates", SOON);
    host.wait_for_log(" listening", SOON);
    let mut push = start_push(&testbed, 1, BYTES, &["r1"], &["--group", "[ff15::4743]:7167"]);
    assert_done(&mut push, &["r1"]);
    // The sender has that address.
    testbed.network().run("r1", "ip -6 addr flush dev eth0");
    testbed.network().run("r1", "ip addr add fd77::1/64 dev eth0");
    host.wait_for_log("another machine has fd77::1, too", SOON);
}

#[test]
fn a_host_that_waits_for_its_network_ends_by_a_signal_and_stays_at_a_hangup() {
    needs!(netns::NEEDS);
    use nix::sys::signal::Signal;
    let testbed = Testbed::lab(lab(1));
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut host = testbed.start_receiver("r1", &["--interface", "never"]);
        host.wait_for_log("hears nothing, and waits", SOON);
        host.signal(Signal::SIGHUP);
        host.wait_for_log("were read anew", SOON);
        host.signal(signal);
        assert_eq!(host.wait(SOON).code(), Some(0), "{signal}");
    }
}

#[test]
fn a_switch_without_a_querier_does_not_forget_an_idle_host() {
    needs!(SNOOPING);
    for (igmp, mld) in [(2, 1), (3, 2)] {
        let testbed = Testbed::lab(lab(3).with_ipv6(Ipv6::Global));
        testbed.network().snoop(igmp, mld, 5);
        let groups = ["239.77.0.1:7167", "[ff15::4743]:7167"];
        let (v4, v6) = (["--group", groups[0]], ["--group", groups[1]]);
        let often = ["--renew-membership", "1s"];
        let hosts =
            [testbed.receiver("r1", &[v4, often].concat()), testbed.receiver("r2", &[v6, often].concat())];
        let _forgotten = testbed.receiver("r3", &[v4, ["--renew-membership", "none"]].concat());
        let addresses = groups.map(|group| group.parse::<std::net::SocketAddr>().expect("an address").ip());
        let ports = |group| testbed.network().ports_of(addresses[group]);
        wait::until("the host that says nothing to be forgotten", SOON, || {
            (!ports(0).contains(&"r3".to_owned())).then_some(())
        });
        for _ in 0..10 {
            let known = [ports(0), ports(1)];
            assert!(known[0].contains(&"r1".to_owned()), "IGMPv{igmp}: {known:?}");
            assert!(known[1].contains(&"r2".to_owned()), "MLDv{mld}: {known:?}");
            sleep(Duration::from_millis(100));
        }
        for (host, group) in hosts.iter().zip([v4, v6]) {
            let mut push = start_push(&testbed, 1, BYTES, &[host_name(host)], &group);
            assert_done(&mut push, &[host_name(host)]);
        }
    }
}

#[test]
fn a_host_that_a_switch_forgets_during_a_push_says_that_it_is_there() {
    needs!(SNOOPING);
    let testbed = Testbed::lab(lab(2));
    testbed.network().snoop(2, 1, 3);
    let never = ["--renew-membership", "none"];
    let mut host = testbed.receiver("r1", &never);
    let _other = testbed.receiver("r2", &["--renew-membership", "1s"]);
    // The push lasts for longer than the switch's memory.
    let mut push = start_push(&testbed, 1, 32 << 20, &["r1", "r2"], &["--rate", "50mbit"]);
    host.process.wait_for_log("receiving", SOON);
    wait::until("the switch to forget the host", SOON, || {
        (!testbed.network().ports_of((*testbed.group().ip()).into()).contains(&"r1".to_owned())).then_some(())
    });
    assert_done(&mut push, &["r1", "r2"]);
    host.only_file(&name(1));
}

#[test]
fn a_port_of_a_bridge_or_bond_names_the_interface_to_give() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(3));
    let network = testbed.network();
    // While the host runs, its interface becomes a port, and the bridge gets the address.
    let mut moved = testbed.receiver("r1", &[]);
    let mut by_address = testbed.receiver("r2", &["--interface", "10.77.1.2"]);
    for (host, number) in [("r1", 1), ("r2", 2)] {
        network.run(host, "ip link add br7 type bridge mcast_snooping 0");
        network.run(host, "ip link set br7 up");
        network.run(host, "ip link set eth0 master br7");
        network.run(host, &format!("ip addr del 10.77.1.{number}/16 dev eth0"));
        network.run(host, &format!("ip addr add 10.77.1.{number}/16 brd + dev br7"));
    }
    moved.process.wait_for_log("it is a port of br7, which has one: give that", SOON);
    by_address.process.wait_for_log("interface=br7", SOON);
    assert_receives(&testbed, &[&by_address], 1);

    // At the start; the address is on the bridge, and then on what lies on the bridge.
    for line in [
        "ip link add br7 type bridge mcast_snooping 0",
        "ip link set br7 up",
        "ip link set eth0 master br7",
        "ip addr flush dev eth0",
        "ip addr add 10.77.1.3/16 brd + dev br7",
    ] {
        network.run("r3", line);
    }
    let says = |interface: &str, says: &str| {
        let mut host = testbed.start_receiver("r3", &["--interface", interface]);
        host.wait_for_log(says, SOON);
    };
    says("eth0", "it is a port of br7, which has one: give that");
    network.run("r3", "ip addr flush dev br7");
    says("eth0", "it is a port of br7, which has none either: give the interface with the address");
    network.run("r3", "ip link add link br7 name upper type macvlan");
    network.run("r3", "ip addr add 10.77.1.3/16 brd + dev upper");
    says("eth0", "it is a port of br7, and upper has the address: give that");
    says("br7", "upper on it has one: give that");
    let mut push = start_push(&testbed, 1, BYTES, &["r1"], &["--interface", "nowhere"]);
    assert_eq!(push.process.wait(SOON).code(), Some(2));
}

#[test]
fn a_label_another_name_and_an_address_with_its_prefix_have_the_mtu_of_their_link() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(1).with_mtu(1400));
    for host in [Lab::SENDER, "r1"] {
        testbed.network().run(host, "ip link property add dev eth0 altname enp77s0");
    }
    testbed.network().run(Lab::SENDER, "ip addr add 10.77.0.7/16 dev eth0 label eth0:1");
    let hosts = [testbed.receiver("r1", &["--interface", "enp77s0"])];
    let ways = [
        ("eth0:1", "10.77.0.7"),
        ("enp77s0", "10.77.0.1"),
        ("10.77.0.7/16", "10.77.0.7"),
        ("eth0@if1000", "10.77.0.1"),
    ];
    for (turn, (interface, address)) in ways.into_iter().enumerate() {
        let mut push = start_push(&testbed, turn, BYTES, &["r1"], &["--interface", interface]);
        let (_, report) = push.report(SOON * 2);
        report.assert_hosts(&[("r1", "done")]);
        assert_eq!((report.mtu, report.address.as_str()), (1400, address), "{interface}");
    }
    assert!(
        hosts[0].process.log_lines().iter().any(|line| line.contains("interface=eth0 (10.77.1.1, MTU 1400"))
    );
}

#[test]
fn a_host_whose_kernel_drops_the_sender_by_its_route_says_so_at_its_start() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(1));
    for line in [
        "ip link add other type veth peer name peer",
        "ip link set peer up",
        "ip link set other up",
        "ip addr add 10.99.0.1/24 dev other",
        "ip route add default via 10.99.0.2",
        "sysctl -w net.ipv4.conf.all.rp_filter=0",
        "sysctl -w net.ipv4.conf.eth0.rp_filter=1",
    ] {
        testbed.network().run("r1", line);
    }
    let near: &[&str] = &["--source", "10.77.0.1"];
    let far: &[&str] = &["--source", "192.0.2.1"];
    let warned = |arguments| {
        let mut host = testbed.receiver("r1", arguments);
        host.process.terminate(SOON);
        host.process.log_lines().into_iter().find(|line| line.contains("rp_filter"))
    };
    for (arguments, says) in
        [(&[][..], "through other, which has the default route"), (far, "what 192.0.2.1 sends")]
    {
        let line = warned(arguments).expect("a warning");
        assert!(line.contains(says) && line.contains("net.ipv4.conf.eth0.rp_filter=2"), "{line}");
    }
    assert_eq!(warned(near), None);
    testbed.network().run("r1", "sysctl -w net.ipv4.conf.eth0.rp_filter=2");
    assert_eq!(warned(&[]), None);
}

/// Starts a receiver without `--interface`.
fn by_route(testbed: &Testbed, host: &str) -> Process {
    let mut command = testbed.command(host, "glancecastd");
    let group = testbed.group().to_string();
    command.args(["--group", &group, "--key"]).arg(testbed.key()).args(["--sender", "any", "--name", host]);
    command.arg("--store").arg(format!("directory:{}", testbed.store(host).display()));
    command.arg("--state").arg(testbed.state(host));
    Process::start(host, command, &testbed.path(""))
}

/// Pushes to hosts, and checks that they hold the image.
#[track_caller]
fn assert_receives(testbed: &Testbed, hosts: &[&Receiver], turn: usize) {
    let names: Vec<&str> = hosts.iter().map(|host| host_name(host)).collect();
    let mut push = start_push(testbed, turn, BYTES, &names, &[]);
    assert_done(&mut push, &names);
}

fn host_name(host: &Receiver) -> &str {
    let store = host.store.file_name().and_then(|name| name.to_str()).expect("it has a name");
    store.strip_prefix("store-").expect("as the testbed names it")
}

fn start_push(testbed: &Testbed, turn: usize, bytes: u64, hosts: &[&str], more: &[&str]) -> Push {
    let file = testbed.path(&name(turn));
    image::random(&file, bytes, Seed::draw());
    let (file, hosts) = (file.display().to_string(), hosts.join(","));
    let mut usual = vec!["--file", file.as_str(), "--hosts", hosts.as_str(), "--timeout", "30s"];
    if !more.contains(&"--rate") {
        usual.extend(["--rate", "200mbit"]);
    }
    testbed.push(&[&usual[..], more].concat())
}

fn name(turn: usize) -> String {
    format!("image-{turn}.raw")
}

#[track_caller]
fn assert_done(push: &mut Push, hosts: &[&str]) {
    let (_, report) = push.report(Duration::from_secs(40));
    let done: Vec<(&str, &str)> = hosts.iter().map(|host| (*host, "done")).collect();
    report.assert_hosts(&done);
}

#[track_caller]
fn assert_answers(testbed: &Testbed, hosts: &[&str], more: &[&str]) {
    let names = hosts.join(",");
    let (code, report) = testbed.ask(&[&["hosts", "--hosts", &names], more].concat());
    assert_eq!(code, 0, "{report}");
}

#[track_caller]
fn wait_for_lines(process: &mut Process, words: &str, count: usize) {
    wait::until(&format!("{count} lines `{words}`"), SOON, || {
        let lines = process.log_lines();
        (lines.iter().filter(|line| line.contains(words)).count() >= count).then_some(())
    });
}

fn lab(receivers: usize) -> Lab {
    Lab::build(&Shape { receivers, offload: Offload::Off, loss_per_mille: 0, rate: None })
}

const SNOOPING: &[glancecast_tests::skip::Need] = &[
    netns::NEEDS[0],
    netns::NEEDS[1],
    netns::NEEDS[2],
    netns::NEEDS[3],
    glancecast_tests::skip::Need::Program("bridge", "iproute2"),
];
const BYTES: u64 = 2 << 20;
const DROP_ALL: &str = "nft add table inet wall; \
                        add chain inet wall in { type filter hook input priority 0; policy drop; }; \
                        add chain inet wall out { type filter hook output priority 0; policy drop; }";
const REJECT_ALL: &str = "nft add table inet wall; \
                          add chain inet wall in { type filter hook input priority 0; }; \
                          add rule inet wall in meta l4proto udp reject; \
                          add chain inet wall out { type filter hook output priority 0; }; \
                          add rule inet wall out meta l4proto udp reject";
