//! The state directory of a host and the key in it: made once, kept over restarts, and never replaced.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use glancecast_tests::needs;
use glancecast_tests::places;
use glancecast_tests::process::Process;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::{SOON, Testbed, list};

use crate::bad_input::refused_for_good;

#[test]
fn a_host_makes_its_key_at_its_first_start_and_keeps_it() {
    let testbed = Testbed::loopback();
    let mut first = testbed.receiver("r1", &[]).process;
    let key = key_of(&mut first);
    let made: Vec<String> = said(&first, "made a host key");
    assert!(made.len() == 1 && made[0].contains(&key), "{made:?}");
    let file = testbed.state("r1").join(KEY);
    assert_eq!(fs::metadata(&file).expect("made").permissions().mode() & 0o777, 0o600);
    assert_eq!(first.terminate(SOON).code(), Some(0));
    let mut again = testbed.receiver("r1", &[]).process;
    assert_eq!(key_of(&mut again), key);
    assert_eq!(said(&again, "made a host key"), [""; 0]);
    let mut other = testbed.receiver("r2", &[]).process;
    assert_ne!(key_of(&mut other), key, "each host has its own");
}

#[test]
fn two_receivers_that_start_at_once_with_one_state_have_one_key() {
    let testbed = Testbed::loopback();
    let state = text(&testbed.state("both"));
    let mut receivers = ["r1", "r2"].map(|host| testbed.start_receiver(host, &["--state", &state]));
    let keys = receivers.each_mut().map(key_of);
    assert_eq!(keys[0], keys[1]);
    let made: usize = receivers.iter().map(|receiver| said(receiver, "made a host key").len()).sum();
    assert_eq!(made, 1);
    assert_eq!(list(Path::new(&state)), [KEY]);
}

#[test]
fn systemds_first_directory_is_the_state_where_no_setting_names_one() {
    let testbed = Testbed::loopback();
    let (state, other) = (testbed.state("systemd"), testbed.state("other"));
    let mut command = testbed.command("r1", "glancecastd");
    command.args(["--name", "r1", "--interface", "lo", "--sender", "any", "--group"]);
    command.arg(testbed.group().to_string()).arg("--key").arg(testbed.key());
    command.arg("--store").arg(format!("directory:{}", testbed.store("r1").display()));
    command.env("STATE_DIRECTORY", format!("{}:{}", state.display(), other.display()));
    let mut receiver = Process::start("r1", command, &testbed.path(""));
    key_of(&mut receiver);
    assert_eq!((list(&state), list(&other)), (vec![KEY.to_owned()], vec![]));
}

#[test]
fn a_state_directory_that_is_missing_is_named_and_not_made() {
    let testbed = Testbed::loopback();
    let missing = testbed.path("missing");
    refused_for_good(
        testbed.start_receiver("r1", &["--state", &text(&missing)]),
        &[&text(&missing), "install -d"],
    );
    assert!(!missing.exists());
}

#[test]
fn a_store_is_no_state_directory() {
    let testbed = Testbed::loopback();
    let store = testbed.store("r1");
    refused_for_good(
        testbed.start_receiver("r1", &["--state", &text(&store)]),
        &["--store directory:", "/images"],
    );
    assert_eq!(list(&store), [""; 0], "no key is made there");
}

#[test]
fn a_key_that_is_damaged_open_or_of_another_kind_is_refused_and_stays() {
    let testbed = Testbed::loopback();
    let file = testbed.state("r1").join(KEY);
    let write = |content: &[u8], mode| {
        fs::write(&file, content).expect("the testbed's directory takes a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let group_key = fs::read(testbed.key()).expect("the testbed's key");
    let host_key = format!("glancecast-host-secret:{}\n", "5a".repeat(32));
    for (content, mode, words) in [
        (group_key.as_slice(), 0o600, ["no host key", "--forget NAME"]),
        (&host_key.as_bytes()[..40], 0o600, ["no host key", "restore it"]),
        (host_key.as_bytes(), 0o644, ["lets everybody read", "chmod 600"]),
    ] {
        write(content, mode);
        refused_for_good(testbed.start_receiver("r1", &[]), &[&text(&file), words[0], words[1]]);
        assert_eq!(fs::read(&file).expect("still there"), content);
    }
    write(host_key.as_bytes(), 0o600);
    testbed.receiver("r1", &[]);
}

#[test]
fn a_state_directory_on_a_read_only_file_system_has_to_have_the_key() {
    needs!(&[Need::Namespaces, Need::Program("unshare", "util-linux")]);
    let testbed = Testbed::loopback();
    let start = || {
        let mut command = Command::new(places::tool("unshare").expect("util-linux"));
        let script = "mount --bind $STATE $STATE && mount -o remount,bind,ro $STATE && exec \"$@\"";
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
        command.env("STATE", testbed.state("r1"));
        start_with(&testbed, command)
    };
    refused_for_good(start(), &[&text(&testbed.state("r1")), "read-only", "--state DIR"]);
    testbed.receiver("r1", &[]).process.terminate(SOON);
    key_of(&mut start());
}

#[test]
fn a_state_directory_or_a_key_of_another_user_is_named_with_the_command_that_gives_it() {
    needs!(&[Need::Namespaces, Need::Program("setpriv", "util-linux")]);
    let testbed = Testbed::loopback();
    fs::set_permissions(testbed.path(""), fs::Permissions::from_mode(0o755)).expect("ours");
    let (state, user) = (testbed.state("r1"), USER.to_string());
    fs::copy(testbed.key(), testbed.path("user.key")).expect("room");
    std::os::unix::fs::chown(testbed.path("user.key"), Some(USER), Some(USER)).expect("root");
    let start = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
        start_with(&testbed, command)
    };
    refused_for_good(start(), &[&text(&state), "chown 43210"]);
    testbed.receiver("r1", &[]).process.terminate(SOON);
    std::os::unix::fs::chown(&state, Some(USER), Some(USER)).expect("root");
    refused_for_good(start(), &[&text(&state.join(KEY)), "user with the number 0", "chown 43210"]);
}

/// Starts a receiver named `r1` by `command`, which executes its arguments.
fn start_with(testbed: &Testbed, mut command: Command) -> Process {
    let own_key = testbed.path("user.key");
    let key = if own_key.exists() { own_key } else { testbed.key().to_owned() };
    command.arg(places::program("glancecastd")).args([
        "--name",
        "r1",
        "--interface",
        "lo",
        "--sender",
        "any",
    ]);
    command.arg("--group").arg(testbed.group().to_string()).arg("--key").arg(key);
    command.arg("--store").arg(format!("directory:{}", testbed.store("r1").display()));
    command.arg("--state").arg(testbed.state("r1"));
    Process::start("r1", command, &testbed.path(""))
}

/// Waits until a receiver is ready; returns its public key as it logs it.
fn key_of(receiver: &mut Process) -> String {
    let line = receiver.wait_for_log(" listening", SOON);
    let key = line.split_whitespace().find_map(|word| word.strip_prefix("key=")).expect("a key");
    assert!(key.len() == 72 && key.starts_with("ed25519:"), "{line}");
    key.to_owned()
}

fn said(process: &Process, words: &str) -> Vec<String> {
    process.log_lines().into_iter().filter(|line| line.contains(words)).collect()
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

const KEY: &str = "host.key";
const USER: u32 = 43_210;
