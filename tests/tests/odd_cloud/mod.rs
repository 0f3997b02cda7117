//! A cloud that is busy, odd or half out of order: it is waited for, what is not needed of it is skipped, and what is
//! wrong is named with the service, its address and what to change.

mod busy;
mod catalog;
mod logins;
mod names;
mod proxies;
mod queue;
mod secure;

use std::process::Command;
use std::time::Duration;

use glancecast_proto::ids::is_unprintable;
use glancecast_tests::fake_cloud::FakeCloud;
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{Push, Testbed};
use serde_json::Value;

/// Starts `glancecast images --json` with variables besides those of the cloud.
fn images(testbed: &Testbed, cloud: &FakeCloud, settings: &[(&str, &str)]) -> Process {
    let mut command = command(testbed, cloud, settings);
    command.args(["images", "--json"]);
    Process::start("images", command, &testbed.path(""))
}

fn command(testbed: &Testbed, cloud: &FakeCloud, settings: &[(&str, &str)]) -> Command {
    let mut command = testbed.command("s", "glancecast");
    cloud.configure(&mut command);
    command.envs(settings.iter().copied());
    command
}

fn push(testbed: &Testbed, cloud: &FakeCloud, arguments: &[&str]) -> Push {
    let spool = testbed.store("spool");
    let arguments = [arguments, &["--spool", spool.to_str().expect("UTF-8")]].concat();
    testbed.push_with(command(testbed, cloud, &[]), &arguments)
}

/// Asserts exit code 0, and returns the names of the images.
#[track_caller]
fn names(process: &mut Process) -> Vec<String> {
    let end = process.wait(SOON);
    assert_eq!(end.code(), Some(0), "{:?}", process.log_lines());
    let list: Value = serde_json::from_str(&process.output()).expect("JSON");
    let images = list["images"].as_array().expect("a list").iter();
    images.map(|image| image["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Asserts the exit code, and that the last line has all of `words` and steers no terminal. Returns that line.
#[track_caller]
fn ends(mut process: Process, code: i32, words: &[&str]) -> String {
    let end = process.wait(SOON);
    let lines = process.log_lines();
    assert_eq!(end.code(), Some(code), "{lines:?}");
    let line = lines.last().expect("a line").clone();
    println!("{line}");
    assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line:?}");
    assert!(!lines.iter().any(|line| line.chars().any(is_unprintable)), "{lines:?}");
    line
}

const SOON: Duration = Duration::from_secs(30);
