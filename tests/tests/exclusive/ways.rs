//! What a person sees of a push that reaches its hosts by several ways at once: one plan, one table, one exit code.

use std::fs;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::{self, Lab, Offload};
use glancecast_tests::process::Process;
use glancecast_tests::routed::{self, Rack, Shape};
use glancecast_tests::sender_keys::SenderKeys;
use glancecast_tests::testbed::Testbed;
use glancecast_tests::{measured, needs};

#[test]
fn one_table_says_by_which_way_each_host_of_a_mixed_network_was_served() {
    needs!(netns::NEEDS);
    let racks = [
        Rack { hosts: 3, uplink: Some("200mbit"), ..Rack::default() },
        Rack { hosts: 2, uplink: Some("200mbit"), is_deaf: true, ..Rack::default() },
    ];
    let (lab, fabric) = routed::build(&Shape { sender: None, near: 3, racks: &racks, offload: Offload::Off });
    let testbed = Testbed::lab(lab);
    let keys = SenderKeys::of(&testbed);
    let names = testbed.network().receivers();
    let options = ["--sender", &keys.public, "--min-free", "0"];
    let hosts: Vec<_> = names.iter().map(|host| testbed.receiver(host, &options)).collect();
    let (source, list) = (testbed.path("image.raw"), testbed.path("hosts"));
    let sum = image::random(&source, 16 << 20, Seed::draw());
    let lines = names.iter().map(|host| format!("{host} {}\n", fabric.address(host)));
    fs::write(&list, lines.collect::<String>()).expect("writable");

    let mut command = testbed.command(Lab::SENDER, "glancecast");
    command.args([
        "send",
        "--explain",
        "--rate",
        "196mbit",
        "--timeout",
        "25s",
        "--interface",
        Lab::INTERFACE,
    ]);
    command.args(["--group", &testbed.group().to_string(), "--sender-key", &keys.secret, "--key"]);
    command.arg(testbed.key()).arg("--known-hosts").arg(testbed.known_hosts());
    command.arg("--file").arg(&source).arg("--hosts-file").arg(&list).env("RUST_LOG", "info");
    let mut push = Process::start("sender", command, &testbed.path(""));
    let end = push.wait(Duration::from_secs(50));
    let (text, log) = (push.output(), push.log_lines());
    measured!("{text}{}", log.join("\n"));
    assert_eq!(end.code(), Some(0), "{text}{log:?}");

    let (plan, table) = text.split_once("HOST ").expect("a plan, and a table");
    assert!(plan.starts_with("plan: ") && plan.contains("8 hosts in 3 networks have an address"), "{plan}");
    let via = |host: &str| {
        let row =
            table.lines().find(|line| line.starts_with(&format!("{host} "))).expect("a row of each host");
        row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).nth(2).expect("VIA").to_owned()
    };
    for host in fabric.hosts(0) {
        assert_eq!(via(&host), "group", "{host}");
    }
    let ways: Vec<String> = fabric.hosts(1).iter().map(|host| via(host)).collect();
    let relay = ways.iter().find_map(|way| way.strip_prefix("relay ")).expect("a relay").to_owned();
    assert_eq!(ways.iter().filter(|way| **way == format!("relay {relay}")).count(), 2, "{ways:?}");
    for host in fabric.hosts(2) {
        assert!(via(&host).starts_with("unicast"), "{host}: {}", via(&host));
    }
    assert!(table.contains("image.raw: on 8 of 8 expected hosts"), "{table}");
    assert!(
        log.iter().any(|line| line.contains("relays") && line.contains(&relay)),
        "the log names it: {log:?}"
    );
    for host in &hosts {
        assert_eq!(image::blake3_of(&host.only_file("image.raw")), sum);
    }
}
