//! `glancecast doctor` on networks with faults that are made for real: the right finding, the right hosts, the right
//! command. And on sound ones: none.

mod faults;
mod islands;
mod layers;
mod switches;

use glancecast_tests::netns::{self, Lab, Offload, Shape};
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::Testbed;
use serde_json::Value;

/// Runs `glancecast doctor` and returns its report.
#[track_caller]
fn examine(testbed: &Testbed, arguments: &[&str]) -> Value {
    let (code, report) = testbed.ask(&[&["doctor"], arguments].concat());
    assert_eq!(code, if found(&report).is_empty() { 0 } else { 3 }, "{report}");
    report
}

/// Returns ids and hosts of the findings.
fn found(report: &Value) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let findings = report["findings"].as_array().expect("findings");
    let hosts = |finding: &Value| finding["hosts"].as_array().expect("hosts").iter().map(text).collect();
    findings.iter().map(|finding| (text(&finding["id"]), hosts(finding))).collect()
}

#[track_caller]
fn assert_found(report: &Value, expected: &[(&str, &[&str], &str)]) {
    let mut found = found(report);
    let mut wanted: Vec<(String, Vec<String>)> = expected
        .iter()
        .map(|(id, hosts, _)| ((*id).to_owned(), hosts.iter().map(|host| (*host).to_owned()).collect()))
        .collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted, "{report:#}");
    for (id, hosts, command) in expected {
        let is_it = |finding: &&Value| finding["id"] == *id && finding["hosts"] == serde_json::json!(hosts);
        let finding =
            report["findings"].as_array().expect("findings").iter().find(is_it).expect("just compared");
        assert!(
            finding["mends"].to_string().replace("\\\"", "\"").contains(command),
            "{command}: {finding:#}"
        );
    }
}

/// Returns the names and addresses of the first hosts of a lab, as an option has them.
fn addresses(count: usize) -> String {
    (1..=count).map(|number| format!("r{number}=10.77.1.{number}")).collect::<Vec<_>>().join(",")
}

fn lab(receivers: usize) -> Lab {
    Lab::build(&Shape { receivers, offload: Offload::Off, loss_per_mille: 0, rate: None })
}

const INPUT: &str = "nft add table inet wall; add chain inet wall in { type filter hook input priority 0; }";

const FAULTS: &[Need] = &[
    netns::NEEDS[0],
    netns::NEEDS[1],
    netns::NEEDS[2],
    netns::NEEDS[3],
    Need::Program("bridge", "iproute2"),
    Need::Program("setpriv", "util-linux"),
    Need::Program("sysctl", "procps"),
];
