//! The hosts that are meant: ranges of names, hosts that are left out, and hosts that are there under another name.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::testbed::Testbed;
use serde_json::{Value, json};

#[test]
fn a_host_that_is_there_under_another_name_is_hinted_at_by_a_push_and_by_a_query() {
    let testbed = Testbed::loopback();
    let receivers = ["r1.example", "Compute_02", "r3"].map(|name| testbed.receiver(name, &[]));
    let source = testbed.path("image");
    image::random(&source, 100_000, Seed::draw());
    let file = source.to_str().expect("UTF-8");
    let hosts = "r1,compute-2,r3,r4";
    let mut push = testbed.push(&["--file", file, "--hosts", hosts, "--timeout", "2s"]);
    assert_eq!(push.process.wait(PATIENCE).code(), Some(3));
    let report: Value = serde_json::from_str(&push.process.output()).expect("one object");
    let (code, answer) = testbed.ask(&["hosts", "--hosts", hosts, "--wait", "500ms"]);
    assert_eq!(code, 3, "{answer}");
    for report in [report, answer] {
        let hint = |name: &str| {
            let hosts = report["hosts"].as_array().expect("rows");
            hosts.iter().find(|host| host["name"] == name).expect("its row")["hint"].clone()
        };
        assert_eq!(hint("r1")["names"], json!(["r1.example"]), "{report}");
        assert_eq!(hint("compute-2")["names"], json!(["Compute_02"]), "{report}");
        assert_eq!((hint("r3"), hint("r4")), (Value::Null, Value::Null), "{report}");
        assert!(hint("r1")["text"].as_str().is_some_and(|text| text.contains("a domain")), "{report}");
    }
    let (code, table) = testbed.ask_for_table(&["status", "image", "--hosts", "r1", "--wait", "500ms"]);
    assert!(code == 3 && table.contains("Is it r1.example"), "{table}");
    drop(receivers);
}

#[test]
fn a_range_of_hosts_without_an_excluded_one_is_pushed_to_and_the_excluded_one_writes_nothing() {
    let testbed = Testbed::loopback();
    let receivers = ["n01", "n02", "n03"].map(|name| testbed.receiver(name, &[]));
    let source = testbed.path("image");
    image::random(&source, 100_000, Seed::draw());
    let (file, list) = (source.to_str().expect("UTF-8"), testbed.path("hosts"));
    std::fs::write(&list, "n[01-03] # a rack\n!n02\n").expect("writable");
    let from_file = ["--hosts-file", list.to_str().expect("UTF-8")];
    for (name, hosts) in [
        ("a", &["--hosts", "n[01-03]", "--exclude", "n02"]),
        ("b", &["--hosts", "n[01-03],!n02", "--ttl", "1"]),
    ]
    .map(|(name, hosts)| (name, &hosts[..]))
    .into_iter()
    .chain([("c", &from_file[..])])
    {
        let arguments = [&["--file", file, "--name", name, "--timeout", "20s"], hosts].concat();
        let (end, report) = testbed.push(&arguments).report(PATIENCE);
        assert_eq!(end.code(), Some(0), "{report:?}");
        report.assert_hosts(&[("n01", "done"), ("n03", "done")]);
        let skipped: Vec<_> =
            report.skipped.iter().map(|host| (host.name.as_str(), host.reason.as_str())).collect();
        assert_eq!(skipped, [("n02", "excluded")]);
    }
    assert_eq!(receivers[0].stored(), ["a", "b", "c"]);
    assert_eq!(receivers[1].stored(), [""; 0], "it was excluded");
    let (code, answer) = testbed.ask(&["status", "a", "--hosts", "n[01-03]", "--exclude", "n[02-02]"]);
    assert_eq!((code, answer["hosts"].as_array().map(Vec::len)), (0, Some(2)), "{answer}");
}

const PATIENCE: Duration = Duration::from_secs(40);
