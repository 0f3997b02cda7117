//! Faults of hosts, of the sender's own machine, and of the way between them.

use std::path::Path;
use std::process::Command;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::{self, Ipv6, Lab, Offload};
use glancecast_tests::process::Process;
use glancecast_tests::routed::{self, Rack};
use glancecast_tests::sender_keys::SenderKeys;
use glancecast_tests::testbed::{Receiver, SOON, Testbed};
use glancecast_tests::{clock, needs, places, wait};
use serde_json::Value;

use super::{FAULTS, INPUT, addresses, assert_found, examine, found, lab};

#[test]
fn a_sound_network_has_no_finding_whether_addresses_are_known_or_not() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(3).with_ipv6(Ipv6::Global));
    let hosts = ["r1", "r2", "r3"].map(|host| testbed.receiver(host, &[]));
    for arguments in [&["--everyone"][..], &["--hosts", "r1,r2,r3"], &["--to", &addresses(3)]] {
        let report = examine(&testbed, arguments);
        assert_eq!(found(&report), [], "{report}");
        assert_eq!(report["outcome"], "sound");
        let heard = report["hosts"].as_array().expect("hosts").iter().map(|host| &host["group_heard"]);
        assert_eq!(heard.collect::<Vec<_>>(), [200, 200, 200], "{report}");
    }
    let (code, table) = testbed.ask_for_table(&["doctor", "--hosts", "r[1-3]"]);
    assert_eq!(code, 0, "{table}");
    assert!(table.contains("3 hosts: r[1-3]") && table.contains("nothing is wrong"), "{table}");

    drop(hosts);
    let group = ["--group", "[ff15::4743]:7167"];
    let _hosts = ["r1", "r2", "r3"].map(|host| testbed.receiver(host, &group));
    assert_eq!(found(&examine(&testbed, &[&group[..], &["--hosts", "r1,r2,r3"]].concat())), []);
}

#[test]
fn hosts_with_a_fault_each_are_told_apart() {
    needs!(FAULTS);
    let testbed = Testbed::lab(lab(11));
    let network = testbed.network();
    let port = testbed.group().port();
    let (keys, other) = (SenderKeys::of(&testbed), SenderKeys::named(&testbed, "other"));
    let drop_all = format!("{INPUT}; add rule inet wall in udp dport {port} drop");
    let drop_group = format!("{INPUT}; add rule inet wall in ip daddr 224.0.0.0/4 udp dport {port} drop");
    network.run("r2", &drop_group);
    network.run("r3", &drop_all);
    network.mute("r4");
    network.run("r5", "ip link set eth0 mtu 1400");
    strict_reverse_path(network, "r6");
    network.run(
        "r7",
        "nft add table netdev storm; \
         add chain netdev storm ingress { type filter hook ingress device eth0 priority 0; }; \
         add rule netdev storm ingress ip daddr 224.0.0.0/4 limit rate over 200/second burst 20 packets drop",
    );
    let other_key = testbed.path("other.key");
    testbed.keygen(&other_key);
    let other_key = other_key.display().to_string();
    let mut hosts: Vec<Receiver> =
        ["r1", "r2", "r3", "r4", "r5", "r6", "r7"].iter().map(|host| testbed.receiver(host, &[])).collect();
    hosts.push(testbed.receiver("r8", &["--key", &other_key]));
    hosts.push(testbed.receiver("r9", &["--sender", &other.public]));
    // r10 runs no glancecastd, and r11 is off.
    network.unplug("r11");

    let report = examine(&testbed, &["--to", &addresses(11), "--sender-key", &keys.secret]);
    let expected = [
        ("M03", &["r6"][..], "rp_filter=2"),
        ("M04", &["r2", "r3", "r4"], &format!("udp dport {port} accept")),
        ("M24", &["r8"], "copy the group's key"),
        ("M24", &["r9"], &format!("senders = [\"{}\"]", keys.public)),
        ("M28", &["r10"], "systemctl status glancecastd"),
        ("M35", &["r11"], "ping"),
        ("M13", &["r5"], "--mtu 1280"),
        ("M11", &["r7"], "storm-control"),
    ];
    assert_found(&report, &expected);
    let seconds = report["seconds"].as_f64().expect("a time");
    assert!(seconds < 30.0, "{seconds}");
}

#[test]
fn answers_that_the_senders_firewall_drops_are_no_fault_of_the_hosts() {
    needs!(FAULTS);
    let testbed = Testbed::lab(lab(2));
    let network = testbed.network();
    let _hosts = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    network.run(Lab::SENDER, &format!("{INPUT}; add rule inet wall in meta l4proto udp drop"));
    let arguments = ["--to", &addresses(2), "--reply-port", "7768"];
    let expected = [("M06", &["r1", "r2"][..], "udp dport 7768 accept")];
    let report = examine(&testbed, &arguments);
    assert_found(&report, &expected);
    let evidence = report["findings"][0]["evidence"].as_str().unwrap_or_default();
    assert!(
        evidence.contains("chain in of table inet wall (input) has the rule: meta l4proto udp drop"),
        "{report:#}"
    );
    // Of one host alone it is known by that rule whose firewall it is.
    let one = ["--to", &addresses(1), "--reply-port", "7768"];
    assert_found(
        &examine(&testbed, &one),
        &[("M06", &["r1"], "nft insert rule inet wall in udp dport 7768 accept")],
    );
    // A firewall that knows connections takes answers to what was sent to a host, and none to what was sent to the group.
    network.run(Lab::SENDER, "nft delete table inet wall");
    network.run(
        Lab::SENDER,
        &format!("{INPUT}; add rule inet wall in ct state established,related accept; add rule inet wall in meta l4proto udp drop"),
    );
    assert_found(&examine(&testbed, &arguments), &expected);
    // The rule that was named mends it.
    network.run(Lab::SENDER, "nft insert rule inet wall in udp dport 7768 accept");
    // Hosts that take anybody's queries have to give up those before, whose answers nobody took, to answer this one.
    wait::until("a sound network", SOON * 2, || {
        found(&examine(&testbed, &arguments)).is_empty().then_some(())
    });
}

#[test]
fn clocks_that_are_wrong_are_told_with_how_wrong_they_are() {
    needs!(&[FAULTS, &[clock::NEED]].concat());
    let testbed = Testbed::lab(lab(3));
    let start = |host: &str, seconds: i32| {
        let mut command = testbed.command(host, "glancecastd");
        if seconds != 0 {
            clock::shift(&mut command, seconds);
        }
        testbed.receiver_with(command, host, &[])
    };
    let _hosts = [start("r1", -3_630), start("r2", 200), start("r3", 0)];
    let report = examine(&testbed, &["--to", &addresses(3)]);
    assert_found(&report, &[("M24", &["r1"], "chronyc makestep"), ("M24", &["r2"], "chronyc makestep")]);
    let evidence = report["findings"].to_string();
    for says in ["60 minutes behind", "3 minutes ahead"] {
        assert!(evidence.contains(says), "{says}: {evidence}");
    }
}

#[test]
fn no_multicast_at_all_is_told_from_a_sender_on_another_interface() {
    needs!(FAULTS);
    let testbed = Testbed::lab(lab(2));
    let network = testbed.network();
    let _hosts = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    network.run(Lab::SENDER, "ip link add other type veth peer name peer");
    network.run(Lab::SENDER, "ip link set peer up");
    network.run(Lab::SENDER, "ip addr add 10.88.0.1/24 dev other");
    network.run(Lab::SENDER, "ip link set other up");
    for host in ["r1", "r2"] {
        network.run(host, "ip route add 10.88.0.0/24 via 10.77.0.1");
    }
    let report = examine(&testbed, &["--to", &addresses(2), "--interface", "other"]);
    assert_found(&report, &[("M07", &["r1", "r2"], "--interface eth0")]);
    for host in ["r1", "r2"] {
        network.run(
            host,
            "nft add table netdev deaf; \
             add chain netdev deaf ingress { type filter hook ingress device eth0 priority 1; }; \
             add rule netdev deaf ingress ip daddr 224.0.0.0/4 drop",
        );
    }
    let report = examine(&testbed, &["--to", &addresses(2)]);
    assert_found(&report, &[("M27", &["r1", "r2"], "--reach unicast")]);
}

#[test]
fn a_host_behind_a_router_is_told_from_one_beside_the_sender() {
    needs!(FAULTS);
    let racks = [Rack { hosts: 1, ..Rack::default() }];
    let shape = routed::Shape { sender: None, near: 1, racks: &racks, offload: Offload::Off };
    let (lab, fabric) = routed::build(&shape);
    let testbed = Testbed::lab(lab);
    let _hosts = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    let to = ["r1", "r2"].map(|host| format!("{host}={}", fabric.address(host))).join(",");
    assert_found(&examine(&testbed, &["--to", &to]), &[("M14", &["r2"], "relays to the others")]);
}

#[test]
fn two_hosts_of_one_name_and_two_faults_of_one_host_are_both_found() {
    needs!(FAULTS);
    let testbed = Testbed::lab(lab(4));
    let network = testbed.network();
    network.run("r1", "ip link set eth0 mtu 1400");
    let limited = start_with_small_buffer(&testbed, "r1");
    let _named = ["r2", "r3"].map(|host| {
        let state = testbed.path(&format!("state-of-{host}"));
        let store = testbed.path(&format!("store-of-{host}"));
        std::fs::create_dir_all(&store).expect("a directory");
        private(&state);
        let store = format!("directory:{}", store.display());
        let state = state.display().to_string();
        testbed.receiver(host, &["--name", "twin", "--state", &state, "--store", &store])
    });
    // The host is on another interface than the one that leads to the sender.
    network.run("r4", "ip link add other type veth peer name peer");
    network.run("r4", "ip link set peer up");
    network.run("r4", "ip addr add 10.99.0.1/24 dev other");
    network.run("r4", "ip link set other up");
    network.run(Lab::SENDER, "ip route add 10.99.0.0/24 via 10.77.1.4");
    let _aside = testbed.receiver("r4", &["--interface", "other"]);
    let report = examine(&testbed, &["--to", "r1=10.77.1.1,r4=10.99.0.1,twin"]);
    let mut expected = vec![
        ("M07", &["r4"][..], "ip route get 10.77.0.1"),
        ("M29", &["twin"], "another name"),
        ("M13", &["r1"], "--mtu 1280"),
    ];
    if limited.is_some() {
        expected.push(("M15", &["r1"], "net.core.rmem_max=16777216"));
    }
    assert_found(&report, &expected);
}

#[test]
fn a_push_says_why_a_host_with_a_known_address_was_not_heard() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(2));
    let _host = testbed.receiver("r1", &[]);
    let file = testbed.path("image.raw");
    image::random(&file, 1 << 20, Seed::draw());
    let file = file.display().to_string();
    let hint = |name: &str, more: &[&str]| {
        let usual =
            ["--file", &file, "--name", name, "--to", &addresses(2), "--timeout", "2s", "--rate", "200mbit"];
        let mut push = testbed.push_as(name, &[&usual[..], more].concat());
        assert_eq!(push.process.wait(SOON).code(), Some(3));
        let report: Value = serde_json::from_str(&push.process.output()).expect("a report");
        let hosts = report["hosts"].as_array().expect("rows");
        let missing = hosts.iter().find(|row| row["name"] == "r2").expect("a row");
        missing["hint"]["text"].as_str().unwrap_or_default().to_owned()
    };
    let told = hint("examined", &[]);
    assert!(told.contains("M28") && told.contains("docs/doctor.md#m28"), "{told}");
    assert_eq!(hint("left-alone", &["--no-diagnosis"]), "");
}

#[test]
fn a_node_examines_itself_and_names_the_rule_of_its_firewall() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab(1));
    let group = testbed.group().to_string();
    let examine = || {
        let mut command = testbed.command("r1", "glancecastd");
        command.args(["doctor", "--group", &group, "--interface", "eth0", "--json"]);
        let mut process = Process::start("node", command, &testbed.path(""));
        let code = process.wait(SOON).code();
        let report: Value = serde_json::from_str(&process.output()).expect("a report");
        let ids = report["findings"].as_array().expect("findings").iter();
        let ids: Vec<String> = ids.map(|one| one["id"].as_str().expect("an id").to_owned()).collect();
        (code, ids, report.to_string())
    };
    assert_eq!(examine().1, ["M28"], "nobody has joined");
    let _host = testbed.receiver("r1", &[]);
    assert_eq!(examine().1, [""; 0]);
    let port = testbed.group().port();
    testbed.network().run("r1", &format!("{INPUT}; add rule inet wall in udp dport {port} drop"));
    let (code, ids, report) = examine();
    assert_eq!((code, ids), (Some(3), vec!["M04".to_owned()]), "{report}");
    assert!(report.contains(&format!("nft insert rule inet wall in udp dport {port} accept")), "{report}");
}

/// Starts a receiver that may not have a large buffer; `None` if this machine's limit is large.
fn start_with_small_buffer(testbed: &Testbed, host: &str) -> Option<Receiver> {
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").expect("every kernel has it");
    let limit: u64 = limit.trim().parse().expect("a number");
    let setpriv = places::tool("setpriv").expect("it is needed");
    let mut command: Command = testbed.network().command(host, &setpriv);
    command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--"]);
    command.arg(places::program("glancecastd"));
    let receiver = testbed.receiver_with(command, host, &[]);
    if limit >= 16 << 20 {
        // It stays, and has no short buffer.
        std::mem::forget(receiver);
        return None;
    }
    Some(receiver)
}

/// Has a host drop the group's datagrams of the sender by its route, and answer all the same.
fn strict_reverse_path(network: &Lab, host: &str) {
    let number = host.strip_prefix('r').expect("a receiver");
    for line in [
        "ip link add other type veth peer name peer",
        "ip link set peer up",
        "ip link set other up",
        "ip addr add 10.99.0.1/24 dev other",
        "ip route add 10.77.0.1/32 dev other",
        "ip route add 10.77.0.0/16 dev eth0 table 100",
        &format!("ip rule add from 10.77.1.{number} lookup 100"),
        "sysctl -qw net.ipv4.conf.eth0.rp_filter=1",
    ] {
        network.run(host, line);
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path).expect("a directory");
}
