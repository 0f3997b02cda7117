//! What a push leaves for others to see: what came of the hosts' own commands, and metrics of the sender.

use std::fs;
use std::path::{Path, PathBuf};

use glancecast_tests::image::{self, Seed};
use glancecast_tests::needs;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::{SOON, Testbed};
use serde_json::Value;

use crate::node::check_with_promtool;

#[test]
fn what_came_of_each_host_s_command_is_in_the_report() {
    let testbed = Testbed::loopback();
    let settings = |host: &str, command: &str| {
        let file = testbed.path(&format!("{host}.toml"));
        fs::write(&file, format!("on_published = {command}\n")).expect("ours");
        file
    };
    let commands = [
        ("r1", r#"["/bin/true"]"#),
        ("r2", r#"["/bin/sh", "-c", "echo no room in the cache; exit 7"]"#),
        ("r3", r#"["/bin/sleep", "20"]"#),
    ];
    let _receivers =
        commands.map(|(host, command)| testbed.receiver(host, &["--config", text(&settings(host, command))]));
    let _plain = testbed.receiver("r4", &[]);
    let source = image_at(&testbed);

    let mut sender = testbed.push(&["--file", text(&source), "--hosts", "r[1-4]", "--rate", "400mbit"]);
    let (end, report) = sender.report(SOON * 2);
    assert_eq!(end.code(), Some(0), "the copies are there: {report:?}");
    report.assert_hosts(&["r1", "r2", "r3", "r4"].map(|host| (host, "done")));
    let output: Value = serde_json::from_str(&sender.process.output()).expect("one JSON object");
    let came = |host: &str| {
        let rows = output["hosts"].as_array().expect("rows");
        rows.iter().find(|row| row["name"] == host).expect("a row")["on_published"].clone()
    };
    assert_eq!(came("r1")["outcome"], "succeeded");
    assert_eq!(came("r2")["outcome"], "failed");
    let reason = came("r2")["reason"].as_str().expect("why").to_owned();
    assert!(reason.contains("exit status: 7") && reason.contains("no room in the cache"), "{reason}");
    assert_eq!(came("r3")["outcome"], "running", "it is not waited for longer than 3 s");
    assert_eq!(came("r4"), Value::Null);
}

#[test]
fn the_sender_leaves_metrics_of_its_last_push_and_promtool_finds_nothing_to_say_about_them() {
    needs!(&[Need::Program("promtool", "prometheus")]);
    let testbed = Testbed::loopback();
    let _receiver = testbed.receiver("r1", &[]);
    let (source, file) = (image_at(&testbed), testbed.path("push.prom"));
    let push = |hosts: &str| {
        let arguments = ["--file", text(&source), "--hosts", hosts, "--join-timeout", "1s"];
        let mut sender = testbed.push(&[&arguments[..], &["--metrics-file", text(&file)]].concat());
        let (_, report) = sender.report(SOON);
        let metrics = fs::read_to_string(&file).expect("it is written");
        check_with_promtool(&metrics);
        (report.exit_code, metrics)
    };
    let (code, metrics) = push("r1");
    assert_eq!((code, value(&metrics, "glancecast_push_success")), (0, 1.0));
    assert_eq!(value(&metrics, "glancecast_push_hosts{state=\"done\"}"), 1.0);
    assert_eq!(value(&metrics, "glancecast_push_image_bytes"), (3 << 20) as f64);

    let (code, metrics) = push("r1,r9");
    assert_eq!((code, value(&metrics, "glancecast_push_success")), (3, 0.0));
    assert_eq!(value(&metrics, "glancecast_push_exit_code"), 3.0);
    assert_eq!(value(&metrics, "glancecast_push_hosts{state=\"never_answered\"}"), 1.0);
    assert_eq!(value(&metrics, "glancecast_push_hosts{state=\"done\"}"), 0.0);

    // A push that does not begin is one as well.
    fs::remove_file(&source).expect("it is there");
    let arguments = ["--file", text(&source), "--hosts", "r1", "--metrics-file", text(&file)];
    let mut sender = testbed.push(&arguments).process;
    let code = sender.wait(SOON).code().expect("no signal");
    let metrics = fs::read_to_string(&file).expect("it is written");
    check_with_promtool(&metrics);
    assert!(code != 0, "there is no image");
    assert_eq!(value(&metrics, "glancecast_push_exit_code"), f64::from(code));
    assert!(!metrics.contains("glancecast_push_hosts"), "it had none: {metrics}");
}

/// Makes an image of three blocks.
fn image_at(testbed: &Testbed) -> PathBuf {
    let source = testbed.path("image");
    image::random(&source, 3 << 20, Seed::draw());
    source
}

/// Returns the value of one sample.
#[track_caller]
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}: {metrics}")).parse().expect("a number")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
