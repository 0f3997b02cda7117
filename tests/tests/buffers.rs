//! A receiver that is not granted the socket buffer it wants names the cause.

use std::fs;

use glancecast_tests::needs;
use glancecast_tests::process::Process;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::{SOON, Testbed};
use nix::unistd::geteuid;

#[test]
fn a_receiver_without_the_right_to_a_large_buffer_names_the_setting() {
    needs!(&[Need::Program("setpriv", "util-linux")]);
    let lines = start_receiver(&["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
    let warning = lines.iter().find(|line| line.contains("receive buffer"));
    let limit = fs::read_to_string("/proc/sys/net/core/rmem_max").expect("every kernel has it");
    let limit: u64 = limit.trim().parse().expect("a number");
    if limit >= ENOUGH {
        assert_eq!(warning, None, "the limit is {limit}");
        return;
    }
    let warning = warning.unwrap_or_else(|| panic!("no warning, and the limit is {limit}: {lines:?}"));
    // The kernel grants twice the limit.
    let granted = format!("{} KiB instead of 32768 KiB", (2 * limit) >> 10);
    for words in [granted.as_str(), "sysctl -w net.core.rmem_max=16777216", "CAP_NET_ADMIN"] {
        assert!(warning.contains(words), "{words:?} is not in {warning:?}");
    }
}

#[test]
fn a_receiver_with_the_right_has_a_large_buffer_whatever_the_setting() {
    needs!(&[Need::Namespaces, Need::Program("setpriv", "util-linux")]);
    let lines = start_receiver(&[]);
    assert!(!lines.iter().any(|line| line.contains("receive buffer")), "{lines:?}");
}

/// Starts a receiver without these rights; returns its log when it is ready.
fn start_receiver(less: &[&str]) -> Vec<String> {
    let testbed = Testbed::loopback();
    let receiver = testbed.command("r1", "glancecastd");
    let mut command = std::process::Command::new("setpriv");
    if geteuid().is_root() {
        command.args(less);
    }
    command.arg("--").arg(receiver.get_program()).args(["--interface", "lo", "--insecure", "--store"]);
    command
        .arg(format!("directory:{}", testbed.store("r1").display()))
        .arg("--state")
        .arg(testbed.state("r1"));
    let mut process = Process::start("r1", command, &testbed.path(""));
    process.wait_for_log(" listening", SOON);
    process.log_lines()
}

/// Half of what the receiver wants; the kernel grants twice the limit.
const ENOUGH: u64 = 16 << 20;
