//! Networks that the group does not reach: found, written down, and pushed to.

use std::fs;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::needs;
use glancecast_tests::netns::Offload;
use glancecast_tests::routed::{self, Rack};
use glancecast_tests::sender_keys::SenderKeys;
use glancecast_tests::testbed::Testbed;
use serde_json::json;

use super::{FAULTS, assert_found, examine};

#[test]
fn racks_behind_a_router_are_written_as_a_push_reads_them() {
    needs!(FAULTS);
    let racks = [Rack { hosts: 3, ..Rack::default() }, Rack { hosts: 2, is_deaf: true, ..Rack::default() }];
    let shape = routed::Shape { sender: None, near: 1, racks: &racks, offload: Offload::Off };
    let (lab, fabric) = routed::build(&shape);
    let testbed = Testbed::lab(lab);
    let keys = SenderKeys::of(&testbed);
    let names = ["r1", "r2", "r3", "r4", "r5", "r6"];
    // Hosts relay where they list their senders.
    let _hosts = names.map(|host| testbed.receiver(host, &["--sender", &keys.public]));
    let to = names.map(|host| format!("{host}={}", fabric.address(host))).join(",");
    let file = testbed.path("relays.toml");
    let path = file.display().to_string();
    let asked = ["--to", &to, "--sender-key", &keys.secret, "--write", &path];

    let report = examine(&testbed, &asked);
    assert_found(&report, &[("M14", &["r2", "r3", "r4", "r5", "r6"], "relays to the others")]);
    let islands = json!([
        {"network": "10.78.1.0/24", "multicast": true, "relays": ["r2", "r3", "r4"], "alone": []},
        {"network": "10.78.2.0/24", "multicast": false, "relays": ["r5"], "alone": ["r6"]},
    ]);
    assert_eq!(report["islands"], islands, "{report:#}");
    let text = fs::read_to_string(&file).expect("it is written");
    for line in [
        "relays = [\"10.78.1.12\", \"10.78.1.13\", \"10.78.1.14\"]",
        "relays = [\"10.78.2.15\"]",
        "multicast = false",
        "unicast = [\"10.78.2.16\"]",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}:\n{text}");
    }

    // What somebody may have changed by hand stays, unless it is said otherwise.
    fs::write(&file, "mine").expect("a file");
    let (code, refusal) = testbed.ask(&[&["doctor"], &asked[..]].concat());
    assert!(code == 2 && refusal.to_string().contains("--force"), "{refusal}");
    assert_eq!(fs::read_to_string(&file).expect("a file"), "mine");
    examine(&testbed, &[&asked[..], &["--force"]].concat());
    assert_eq!(fs::read_to_string(&file).expect("a file"), text);

    let image = testbed.path("image.raw");
    image::random(&image, 1 << 20, Seed::draw());
    let image = image.display().to_string();
    let with =
        ["--file", &image, "--to", &to, "--sender-key", &keys.secret, "--relays", &path, "--rate", "100mbit"];
    let (end, report) = testbed.push(&with).report(Duration::from_secs(60));
    assert_eq!(end.code(), Some(0), "{:?}", report.reason);
}

#[test]
fn where_the_group_reaches_every_host_nothing_is_written() {
    needs!(FAULTS);
    let testbed = Testbed::lab(super::lab(2));
    let _hosts = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    let file = testbed.path("relays.toml");
    let to = super::addresses(2);
    let report = examine(&testbed, &["--to", &to, "--write", &file.display().to_string()]);
    assert_eq!(report["islands"], json!([]));
    assert!(!file.exists());
}
