//! What an operator types: lists of hosts, several pushes at once, what lies on the hosts, what a push would do.

use std::fs;
use std::process::Stdio;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{SOON, Testbed};
use glancecast_tests::wait;
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn a_push_waits_for_another_one_to_its_group_and_goes_when_that_has_died() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let [first, second, third] =
        ["first.raw", "second.raw", "third.raw"].map(|name| image(&testbed, name, 2 << 20));
    let slow = ["--file", &first, "--hosts", "r1", "--rate", "2mbit", "--timeout", "60s"];
    let mut first = testbed.push_in_turn("first", &slow);
    let mark = "a temporary file";
    wait::until(mark, SOON, || receiver.stored().iter().any(|name| name.ends_with(".part")).then_some(()));

    let quick = ["--file", &second, "--hosts", "r1", "--rate", "200mbit", "--timeout", "30s"];
    let mut refused = testbed.push_in_turn("refused", &[&quick[..], &["--no-wait"]].concat()).process;
    assert_eq!(refused.wait(SOON).code(), Some(1), "{:?}", refused.log_lines());
    let report: Value = serde_json::from_str(&refused.output()).expect("an object");
    let message = report["error"]["message"].as_str().expect("a text");
    let pid = format!("pid {}", first.process.pid());
    assert!(message.contains("first.raw") && message.contains(&pid), "{message}");

    let mut second = testbed.push_in_turn("second", &quick);
    let line = second.process.wait_for_log("waits for the push of", SOON);
    assert!(line.contains("first.raw") && line.contains(&pid) && line.contains("--no-wait"), "{line}");
    let mut beside = testbed.push_as("beside", &["--file", &third, "--hosts", "nobody", "--timeout", "1s"]);
    assert_eq!(beside.report(SOON).0.code(), Some(3), "--no-lock waits for nobody");
    assert!(second.process.runs() && first.process.runs());
    first.process.signal(Signal::SIGKILL);
    let (end, report) = second.report(SOON);
    assert_eq!(end.code(), Some(0), "{report:?}");
}

#[test]
fn status_without_an_image_lists_what_lies_on_the_hosts() {
    let testbed = Testbed::loopback();
    let _receivers = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    for (name, hosts) in [("both.raw", "r[1-2]"), ("one.raw", "r1")] {
        let file = image(&testbed, name, 1 << 20);
        let (end, report) =
            testbed.push(&["--file", &file, "--hosts", hosts, "--rate", "200mbit"]).report(SOON);
        assert_eq!(end.code(), Some(0), "{report:?}");
    }
    let (code, table) = testbed.ask_for_table(&["status", "--hosts", "r1,r2"]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(code, 0, "{table}");
    assert_eq!((rows[1][0], rows[1].last()), ("both.raw", Some(&"r[1-2]")), "{table}");
    assert_eq!((rows[2][0], rows[2].last()), ("one.raw", Some(&"r1")), "{table}");
    assert!(table.contains("2 images on 2 hosts that answered"), "{table}");
}

#[test]
fn hosts_are_named_in_ranges_in_files_and_on_standard_input() {
    let testbed = Testbed::loopback();
    let _receivers = ["r1", "r2", "r3"].map(|host| testbed.receiver(host, &[]));
    let nodes = testbed.path("nodes.txt");
    fs::write(&nodes, "# all\nr[1-3]\n").expect("writable");
    let at_nodes = format!("@{}", nodes.display());
    for (arguments, names) in [
        (&["--hosts", "r[1-2]"][..], &["r1", "r2"][..]),
        (&["--hosts", &at_nodes, "--exclude", "r[2-3]"], &["r1"]),
        (&["--hosts", "r3,!r3", "--hosts", &at_nodes], &["r1", "r2"]),
    ] {
        let (code, report) = testbed.ask(&[&["hosts"], arguments].concat());
        assert_eq!((code, hosts(&report)), (0, names.to_vec()), "{arguments:?}");
    }
    for arguments in [["--hosts-file", "-"], ["--hosts", "@-"]] {
        let mut command = testbed.command("s", "glancecast");
        command.args(["hosts", "--json", "--interface", "lo", "--group", &testbed.group().to_string()]);
        command.arg("--key").arg(testbed.key()).arg("--known-hosts").arg(testbed.known_hosts());
        command.args(arguments).stdin(Stdio::piped());
        let mut process = Process::start("asked", command, &testbed.path(""));
        process.write("r1\nr3\n");
        process.close_stdin();
        assert_eq!(process.wait(SOON).code(), Some(0), "{:?}", process.log_lines());
        let report = serde_json::from_str(&process.output()).expect("an object");
        assert_eq!(hosts(&report), ["r1", "r3"], "{arguments:?}");
    }
}

#[test]
fn a_dry_run_that_asks_names_the_hosts_that_do_not_answer_and_sends_nothing() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let file = image(&testbed, "image.raw", 1 << 20);
    let dry = |hosts: &str| {
        let arguments = ["--file", &file, "--hosts", hosts, "--dry-run", "--ask"];
        let mut process = testbed.push(&arguments).process;
        let code = process.wait(SOON).code();
        (code, serde_json::from_str::<Value>(&process.output()).expect("an object"))
    };
    let (code, report) = dry("r1,r[7-9]");
    assert_eq!((code, &report["exit_code"]), (Some(3), &3.into()), "{report}");
    assert_eq!(report["answers"]["missing"], "r[7-9]", "{report}");
    let (code, report) = dry("r1");
    assert_eq!((code, &report["answers"]["answered"]), (Some(0), &1.into()), "{report}");
    assert_eq!(receiver.stored(), [""; 0]);
}

fn hosts(report: &Value) -> Vec<&str> {
    let rows = report["hosts"].as_array().expect("rows").iter();
    rows.map(|row| row["name"].as_str().expect("a name")).collect()
}

fn image(testbed: &Testbed, name: &str, bytes: u64) -> String {
    let path = testbed.path(name);
    image::random(&path, bytes, Seed::draw());
    path.to_str().expect("UTF-8").to_owned()
}
