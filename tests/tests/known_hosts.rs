//! The sender's file of known hosts, on its own: `glancecast hosts --forget` needs no group and no key.

use std::fs;
use std::path::Path;

use glancecast_tests::process::Process;
use glancecast_tests::testbed::{SOON, Testbed, list};
use serde_json::json;

use crate::bad_input::refused;

#[test]
fn a_host_is_forgotten_without_the_network_and_without_a_key() {
    let testbed = Testbed::loopback();
    let file = testbed.known_hosts();
    fs::write(&file, format!("# rack 7\nc1 {KEY}\nc2 {KEY} # of rack 7\n")).expect("the testbed's directory");
    let mut process = forget(&testbed, "forget", &["c1", "c9", "--json"]);
    assert_eq!(process.wait(SOON).code(), Some(0), "{:?}", process.log_lines());
    let report: serde_json::Value = serde_json::from_str(&process.output()).expect("one object");
    assert_eq!(report["known_hosts"], file.to_str().expect("UTF-8"));
    assert_eq!(report["forgotten"], json!([{ "name": "c1", "key": KEY }]));
    assert_eq!(report["not_known"], json!(["c9"]));
    assert_eq!(fs::read_to_string(&file).expect("there"), format!("# rack 7\nc2 {KEY} # of rack 7\n"));
    let mut process = forget(&testbed, "again", &["c1"]);
    assert_eq!(process.wait(SOON).code(), Some(0));
    assert!(process.output().starts_with("c1: is not in "), "{}", process.output());
}

#[test]
fn processes_that_forget_at_once_lose_nothing_of_each_others_work() {
    let testbed = Testbed::loopback();
    let file = testbed.known_hosts();
    let hosts: Vec<String> = (0..HOSTS).map(|number| format!("c{number}")).collect();
    let lines: String = hosts.iter().map(|host| format!("{host} {KEY}\n")).collect();
    fs::write(&file, format!("{lines}last {KEY}\n")).expect("the testbed's directory");
    let mut started: Vec<Process> = hosts.iter().map(|host| forget(&testbed, host, &[host])).collect();
    for process in &mut started {
        assert_eq!(process.wait(SOON).code(), Some(0), "{:?}", process.log_lines());
        assert!(process.output().contains(": forgotten"), "{}", process.output());
    }
    assert_eq!(fs::read_to_string(&file).expect("there"), format!("last {KEY}\n"));
}

#[test]
fn a_file_that_cannot_be_used_is_named_in_a_line_and_stays() {
    let testbed = Testbed::loopback();
    let file = testbed.known_hosts();
    let name = text(&file);
    fs::write(&file, format!("c1 {KEY}\nc1 {KEY}\n")).expect("the testbed's directory");
    refused(forget(&testbed, "twice", &["c1"]), &[&name, "line 2", "line 1"]);
    fs::write(&file, format!("c1 {KEY}\n")).expect("the testbed's directory");
    let elsewhere = testbed.path("elsewhere");
    fs::rename(&file, &elsewhere).expect("ours");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("the testbed's directory");
    refused(forget(&testbed, "link", &["c1"]), &[&name, "symbolic link"]);
    assert_eq!(fs::read_to_string(&elsewhere).expect("there"), format!("c1 {KEY}\n"));
    assert!(!list(&testbed.path("")).contains(&"known_hosts.lock".to_owned()));
}

fn forget(testbed: &Testbed, title: &str, names: &[&str]) -> Process {
    let mut command = testbed.command("s", "glancecast");
    command.args(["hosts", "--forget"]).args(names).arg("--known-hosts").arg(testbed.known_hosts());
    Process::start(title, command, &testbed.path(""))
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

const KEY: &str = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const HOSTS: usize = 12;
