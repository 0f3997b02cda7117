//! Output that nobody reads: a closed pipe or a full disk in the place of standard output or standard error ends no
//! program and changes no exit code of a push.

use std::fs::File;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::testbed::{SOON, Testbed};
use glancecast_tests::wait;

#[test]
fn a_reader_that_has_left_changes_nothing_for_any_command() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let source = testbed.path("image");
    image::random(&source, 100_000, Seed::draw());
    let file = source.to_str().expect("UTF-8");
    let (key, all) = (testbed.path("new.key"), testbed.path("all"));
    let (key, all) = (key.to_str().expect("UTF-8"), all.to_str().expect("UTF-8"));
    for (arguments, asks) in [
        (&["send", "--file", file, "--hosts", "r1", "--unsigned", "--timeout", "20s"][..], true),
        (&["send", "--file", file, "--hosts", "r1", "--unsigned", "--timeout", "20s", "--json"], true),
        (&["hosts", "--hosts", "r1"], true),
        (&["status", "image", "--json"], true),
        (&["verify", "image"], true),
        (&["unpin", "image"], true),
        (&["hosts", "--forget", "r1"], false),
        (&["keygen", "--sender", key], false),
        (&["keygen", "--all", all], false),
        (&["--help"], false),
        (&["--version"], false),
    ] {
        let mut command = command(&testbed, arguments, asks);
        if arguments.contains(&"--forget") {
            command.arg("--known-hosts").arg(testbed.known_hosts());
        }
        // Both: `2>&1 | head`.
        let status = command.stdout(closed()).stderr(closed()).status().expect("it starts");
        assert_eq!(status.code(), Some(0), "{arguments:?}: {status}");
    }
    assert_eq!(receiver.stored(), ["image"]);
    let mut refused = command(&testbed, &["send", "--hosts", "a b"], true);
    assert_eq!(refused.stdout(closed()).stderr(closed()).status().expect("it starts").code(), Some(2));
}

#[test]
fn a_result_that_cannot_be_written_is_told_and_a_good_push_stays_one() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let source = testbed.path("image");
    image::random(&source, 100_000, Seed::draw());
    let file = source.to_str().expect("UTF-8");
    let push = ["send", "--file", file, "--hosts", "r1", "--unsigned", "--timeout", "20s", "--json"];
    let (code, said) = with_full_disk(command(&testbed, &push, true));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the result cannot be written to standard output: No space left"), "{said}");
    assert_eq!(receiver.stored(), ["image"]);
    let (code, said) = with_full_disk(command(&testbed, &["hosts", "--json"], true));
    assert!(code == Some(1) && said.contains("No space left"), "{said}");
    let key = testbed.path("new.key");
    let (code, said) =
        with_full_disk(command(&testbed, &["keygen", "--sender", key.to_str().expect("UTF-8")], false));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ed25519:"), "the public half is nowhere else: {said}");
}

#[test]
fn a_receiver_whose_log_has_no_reader_takes_pushes_and_ends_as_usual() {
    let testbed = Testbed::loopback();
    let mut command = testbed.command("r1", "glancecastd");
    command.args(["--name", "r1", "--interface", "lo", "--sender", "any", "--once"]);
    command.args(["--group", &testbed.group().to_string()]).arg("--key").arg(testbed.key());
    command.arg("--state").arg(testbed.state("r1"));
    command.args(["--store", &format!("directory:{}", testbed.store("r1").display())]);
    let mut receiver = Ended(command.stdout(closed()).stderr(closed()).spawn().expect("it starts"));
    let source = testbed.path("image");
    image::random(&source, 100_000, Seed::draw());
    let file = source.to_str().expect("UTF-8");
    let mut push = testbed.push(&["--file", file, "--hosts", "r1", "--timeout", "20s"]);
    let (end, report) = push.report(Duration::from_secs(40));
    assert_eq!(end.code(), Some(0), "{report:?}");
    let status = wait::until("its end", SOON, || receiver.0.try_wait().expect("ours"));
    assert_eq!(status.code(), Some(0), "{status}");
}

/// A process that is ended when the test fails.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns a command of the sender; `asks` adds what commands need that talk to hosts.
fn command(testbed: &Testbed, arguments: &[&str], asks: bool) -> Command {
    let mut command = testbed.command("", "glancecast");
    command.args(arguments);
    if asks {
        command.args(["--group", &testbed.group().to_string(), "--interface", "lo"]);
        command.arg("--key").arg(testbed.key()).arg("--known-hosts").arg(testbed.known_hosts());
    }
    command
}

/// Returns the end of a pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// Runs a command whose standard output is a full disk; returns its exit code and standard error.
fn with_full_disk(mut command: Command) -> (Option<i32>, String) {
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    let mut child = command.stdout(full).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    (child.wait().expect("ours").code(), said)
}
