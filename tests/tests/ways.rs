//! By which ways a push is to reach its hosts: addresses, racks, and the plan that is looked at before anything is sent.

use std::fs;
use std::process::Command;
use std::time::Duration;

use glancecast_tests::fake_cloud::{FakeCloud, Knobs};
use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::Lab;
use glancecast_tests::process::Process;
use glancecast_tests::testbed::Testbed;
use serde_json::{Value, json};

#[test]
fn a_dry_run_shows_the_plan_and_sends_nothing() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let file = file(&testbed);
    let to = ["--file", &file, "--to", "r1=127.0.0.1", "--rate", "200mbit"];
    let plan = dry_run(&testbed, &to);
    let said = &["outcome", "exit_code", "object", "bytes", "hosts"].map(|field| plan[field].clone());
    assert_eq!(said, &[json!("planned"), json!(0), json!("image.raw"), json!(BYTES), json!(1)]);
    assert_eq!(plan["group"], testbed.group().to_string());
    let port = testbed.group().port();
    assert_eq!(plan["addresses"], json!({"r1": format!("127.0.0.1:{port}")}));
    assert_eq!(plan["plan"]["copies"], 1, "to the group");

    let mut table = start(&testbed, &[&to[..], &["--dry-run", "--unsigned"]].concat());
    assert_eq!(table.wait(SOON).code(), Some(0), "{:?}", table.log_lines());
    let text = table.output();
    assert!(text.starts_with("plan: ") && text.contains("1 host in 1 network have an address"), "{text}");
    assert_eq!(receiver.stored(), [""; 0], "nothing was sent");
    assert!(!receiver.process.log_lines().iter().any(|line| line.contains("session=")), "nothing was heard");

    let mut push = testbed.push(&[&to[..], &["--explain"]].concat());
    let (end, report) = push.report(SOON);
    assert_eq!(end.code(), Some(0), "{report:?}");
    let planned = push.process.log_lines();
    let planned = planned
        .iter()
        .find(|line| line.contains("\"outcome\":\"planned\""))
        .expect("the plan is on standard error");
    assert_eq!(serde_json::from_str::<Value>(planned).expect("JSON")["addresses"], plan["addresses"]);
    receiver.only_file("image.raw");
}

#[test]
fn addresses_come_from_the_operator_then_from_nova_and_a_network_picks_among_them() {
    let testbed = Testbed::loopback();
    let address = |name: &str, ip: &str| (name.to_owned(), ip.to_owned());
    let cloud = FakeCloud::start(Knobs {
        hosts: ["c1", "c2", "c3"].map(str::to_owned).into(),
        addresses: vec![
            address("c1", "127.1.0.1"),
            address("c2", "127.2.0.2"),
            address("c3", "not an address"),
            address("else", "127.1.0.9"),
        ],
        ..Knobs::default()
    });
    let addresses = |arguments: &[&str]| {
        let mut command = testbed.command(Lab::SENDER, "glancecast");
        cloud.configure(&mut command);
        let spool = testbed.store("spool");
        let spool = ["--spool", spool.to_str().expect("UTF-8")];
        let plan = dry_run_with(&testbed, command, &[arguments, &spool].concat());
        (plan["addresses"].clone(), plan["missing_addresses"].clone())
    };
    let port = testbed.group().port();
    let at = |ip: &str| format!("{ip}:{port}");

    let (found, missing) = addresses(&["debian", "--availability-zone", "nova"]);
    assert_eq!(found, json!({"c1": at("127.1.0.1"), "c2": at("127.2.0.2")}));
    assert!(missing["c3"].as_str().is_some_and(|why| why.contains("name service")), "{missing}");

    let zone = ["debian", "--availability-zone", "nova", "--network", "127.1.0.0/16"];
    let (found, missing) = addresses(&zone);
    assert_eq!(found, json!({"c1": at("127.1.0.1")}));
    assert!(missing["c2"].as_str().is_some(), "{missing}");

    let (found, _) = addresses(&["debian", "--hosts", "c2", "--to", "c1=127.3.0.3:9"]);
    assert_eq!(found, json!({"c1": "127.3.0.3:9", "c2": at("127.2.0.2")}), "named hosts, too");
    assert_eq!(addresses(&["debian", "--hosts", "c1", "--reach", "multicast"]), (json!({}), json!({})));
}

#[test]
fn a_push_by_unicast_alone_names_the_hosts_without_an_address() {
    let testbed = Testbed::loopback();
    let file = file(&testbed);
    let nodes = testbed.path("nodes.txt");
    fs::write(&nodes, "c1 127.0.0.2 # rack 1\nno-such-host.invalid\n").expect("writable");
    let nodes = nodes.to_str().expect("UTF-8");
    let refused = |arguments: &[&str], words: &[&str]| {
        let arguments = [&["--file", &file, "--unsigned"][..], arguments].concat();
        let mut process = start(&testbed, &arguments);
        assert_eq!(process.wait(SOON).code(), Some(2), "{:?}", process.log_lines());
        let line = process.log_lines().pop().expect("a line");
        assert!(words.iter().all(|word| line.contains(word)), "{words:?}: {line}");
    };
    refused(
        &["--reach", "unicast", "--hosts-file", nodes],
        &["no-such-host.invalid: no address (", "give --to HOST=ADDRESS"],
    );
    refused(&["--reach", "unicast"], &["needs to know its hosts"]);
    refused(&["--reach", "multicast", "--no-relays"], &["to the group alone"]);
    let racks = testbed.path("racks.toml");
    fs::write(&racks, "[[rack]]\nname = \"r1\"\nrelays = [\"10.0.0.1\"]\npods = 3\n").expect("writable");
    let racks = racks.to_str().expect("UTF-8");
    refused(&["--relays", racks, "--hosts", "c1"], &["racks.toml: line 4: unknown field `pods`"]);
}

fn file(testbed: &Testbed) -> String {
    let source = testbed.path("image.raw");
    image::random(&source, BYTES, Seed::draw());
    source.to_str().expect("UTF-8").to_owned()
}

fn dry_run(testbed: &Testbed, arguments: &[&str]) -> Value {
    dry_run_with(testbed, testbed.command(Lab::SENDER, "glancecast"), arguments)
}

/// Runs `send --dry-run --json`, and returns the plan.
fn dry_run_with(testbed: &Testbed, command: Command, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--dry-run"]].concat();
    let mut push = testbed.push_with(command, &arguments);
    assert_eq!(push.process.wait(SOON).code(), Some(0), "{:?}", push.process.log_lines());
    serde_json::from_str(&push.process.output()).expect("one JSON object")
}

/// Starts `send` without `--json`.
fn start(testbed: &Testbed, arguments: &[&str]) -> Process {
    let mut command = testbed.command(Lab::SENDER, "glancecast");
    command.arg("send").args(["--interface", "lo", "--group", &testbed.group().to_string(), "--key"]);
    command.arg(testbed.key()).arg("--known-hosts").arg(testbed.known_hosts()).args(arguments);
    Process::start("sender", command, &testbed.path(""))
}

const BYTES: u64 = 3 << 20;
const SOON: Duration = Duration::from_secs(30);
