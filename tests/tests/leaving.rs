//! Signals, from the first moment of a program on: it exits cleanly, and no host publishes half an image.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{Push, Receiver, SOON, Testbed};
use glancecast_tests::{measured, wait};
use nix::sys::signal::Signal;

#[test]
fn an_idle_receiver_ends_on_sigterm() {
    let testbed = Testbed::loopback();
    let mut receiver = testbed.receiver("r1", &[]);
    let end = receiver.process.terminate(SOON);
    assert_eq!(end.code(), Some(0));
    let lines = receiver.process.log_lines();
    assert!(
        lines.last().is_some_and(|line| line.contains("discarded")),
        "the last line counts discards: {lines:?}"
    );
    assert_eq!(receiver.stored(), [""; 0]);
}

#[test]
fn a_receiver_that_is_signalled_as_it_starts_ends_in_order_and_stays_at_a_hangup() {
    let testbed = Testbed::loopback();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut receiver = testbed.start_receiver("r1", &[]);
        handles(&receiver, signal);
        receiver.signal(Signal::SIGHUP);
        receiver.signal(signal);
        assert_eq!(receiver.wait(SOON).code(), Some(0), "{signal}: {:?}", receiver.log_lines());
    }
}

#[test]
fn a_sender_that_is_signalled_as_it_starts_says_so() {
    let testbed = Testbed::loopback();
    let file = testbed.path("image.raw");
    image::random(&file, 1 << 20, Seed::draw());
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut push = testbed.push(&["--file", file.to_str().expect("UTF-8"), "--hosts", "nobody"]);
        handles(&push.process, signal);
        push.process.signal(signal);
        let end = push.process.wait(SOON);
        assert_eq!(end.code(), Some(128 + signal as i32), "{signal}: {:?}", push.process.log_lines());
        assert!(push.process.log_lines().iter().any(|line| line.contains("interrupted")), "{signal}");
    }
}

#[test]
fn a_sender_that_is_to_outlast_its_terminal_does() {
    let testbed = Testbed::loopback();
    let _receiver = testbed.receiver("r1", &[]);
    let file = testbed.path("image.raw");
    image::random(&file, 4 << 20, Seed::draw());
    let program = testbed.command("s", "glancecast");
    let mut command = std::process::Command::new("nohup");
    command.arg(program.get_program()).stdin(std::process::Stdio::null());
    let file = file.to_str().expect("UTF-8");
    let mut push = testbed.push_with(command, &["--file", file, "--hosts", "r1", "--rate", "20mbit"]);
    handles(&push.process, Signal::SIGTERM);
    push.process.signal(Signal::SIGHUP);
    let (_, report) = push.report(SOON);
    report.assert_hosts(&[("r1", "done")]);
}

#[test]
fn a_receiver_in_mid_transfer_ends_on_sigterm_with_nothing_visible() {
    let (_stage, mut push, mut receivers) = mid_transfer();
    let leaving = &mut receivers[0];
    leaving.process.signal(Signal::SIGTERM);
    let end = leaving.process.wait(SOON);
    assert_eq!(end.code(), Some(0));
    assert_unfinished(&leaving.stored());
    assert!(push.process.runs(), "the push goes on for the other host");
}

#[test]
fn a_sender_ended_by_sigterm_leaves_nothing_visible_on_the_hosts() {
    measured!("it ended {:.3?} after the signal", the_sender_leaves(Signal::SIGTERM));
}

#[test]
fn a_sender_ended_by_sigint_leaves_nothing_visible_on_the_hosts() {
    measured!("it ended {:.3?} after the signal", the_sender_leaves(Signal::SIGINT));
}

#[test]
fn a_sender_ended_by_sighup_leaves_nothing_visible_on_the_hosts() {
    measured!("it ended {:.3?} after the signal", the_sender_leaves(Signal::SIGHUP));
}

/// Signals the sender in mid-transfer, checks all receivers, and returns how long the sender took to end.
#[track_caller]
fn the_sender_leaves(signal: Signal) -> Duration {
    let (_stage, mut push, mut receivers) = mid_transfer();
    let before = push.process.age();
    push.process.signal(signal);
    let end = push.process.wait(SOON);
    assert_eq!(end.code(), Some(128 + signal as i32), "{:?}", push.process.log_lines());
    let lines = push.process.log_lines();
    assert!(
        lines.iter().any(|line| line.contains("the push was interrupted")),
        "no line says why: {lines:?}"
    );
    let last = lines.last().expect("a line");
    assert!(
        last.contains("hosts keep what they have") && last.contains("the same command goes on"),
        "{last}"
    );
    let report: serde_json::Value = serde_json::from_str(&push.process.output()).expect("the report");
    assert_eq!(report["exit_code"], 128 + signal as i32, "{report}");
    for receiver in &mut receivers {
        receiver.process.wait_for_log("nothing is published", CLEAN_UP_TIMEOUT);
        assert!(receiver.process.runs(), "the receiver stays for the next image");
        assert_eq!(receiver.process.terminate(SOON).code(), Some(0));
        assert_unfinished(&receiver.stored());
    }
    end.lasted - before
}

/// Waits until the program handles a signal (proc(5), `SigCgt`). Until then the system's own handling holds, since the
/// program has not begun.
fn handles(process: &Process, signal: Signal) {
    wait::until("a handler", SOON, || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim().to_owned();
        let mask = u64::from_str_radix(&mask, 16).ok()?;
        (mask & (1 << (signal as i32 - 1)) != 0).then_some(())
    });
}

/// Asserts that only hidden files remain: the unfinished file and its journal, which its next push resumes.
#[track_caller]
fn assert_unfinished(names: &[String]) {
    let hidden = names.iter().all(|name| name.starts_with(".glancecast-"));
    assert!(hidden && names.len() == 2, "{names:?}");
}

/// Starts a push to two receivers that would take ten seconds, and waits until both write.
fn mid_transfer() -> (Testbed, Push, Vec<Receiver>) {
    let testbed = Testbed::loopback();
    let source = testbed.path("image.raw");
    image::random(&source, 64 << 20, Seed::draw());
    let receivers = vec![testbed.receiver("r1", &[]), testbed.receiver("r2", &[])];
    let file = source.to_str().expect("UTF-8");
    let mut push =
        testbed.push(&["--file", file, "--hosts", "r1,r2", "--rate", "55mbit", "--timeout", "60s"]);
    for receiver in &receivers {
        wait::until("a temporary file with data", SOON, || {
            let names = receiver.stored();
            let image = names.iter().find(|name| name.ends_with(".part"))?;
            (image::allocated_bytes(&receiver.store.join(image)) > 0).then_some(())
        });
        let names = receiver.stored();
        assert!(
            names.iter().all(|name| name.starts_with(".glancecast-")),
            "visible before it is proven: {names:?}"
        );
    }
    assert!(push.process.runs());
    (testbed, push, receivers)
}

/// A sender that is stopped notifies the hosts; hosts give up a killed one a little later.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(30);
