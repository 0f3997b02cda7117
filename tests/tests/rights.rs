//! The rights that glancecastd gives up by itself, whichever way it is started.

use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::needs;
use glancecast_tests::process::Process;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::{SOON, Testbed};
use glancecast_tests::wait;
use nix::sys::signal::Signal;

#[test]
fn as_root_it_keeps_what_files_need_and_as_a_user_nothing_though_its_buffer_is_large() {
    needs!(NEEDS);
    for (start, kept) in [(Start::Root, OF_FILES), (Start::UserWith("+net_admin"), 0)] {
        let testbed = Testbed::loopback();
        let receiver = start.receiver(&testbed, &[]);
        let lines = receiver.log_lines();
        assert!(!lines.iter().any(|line| line.contains("receive buffer")), "{lines:?}");
        for thread in threads(&receiver) {
            let sets = ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"].map(|set| capabilities(&thread, set));
            assert_eq!(sets, [kept, kept, 0, 0], "{start:?}: {thread}");
            if start == Start::Root {
                assert_eq!(capabilities(&thread, "CapBnd:"), kept, "{thread}");
            }
            assert!(thread.contains("NoNewPrivs:\t1"), "{thread}");
        }
        let limits = fs::read_to_string(format!("/proc/{}/limits", receiver.pid())).expect("it runs");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..], ["0", "0", "bytes"]);
    }
}

#[test]
fn a_user_whose_process_cannot_be_looked_into_writes_past_the_page_cache_all_the_same() {
    needs!(NEEDS);
    let testbed = Testbed::loopback();
    let store = testbed.store("r1");
    if !takes_direct_io(&store) {
        println!("{} has no O_DIRECT", store.display());
        return;
    }
    let receiver = Start::UserWith("-all").receiver(&testbed, &["--write-rate", "8mbit"]);
    let file = testbed.path("image");
    image::random(&file, 8 << 20, Seed::draw());
    let file = file.display().to_string();
    let _push = testbed.push(&["--file", &file, "--hosts", "r1", "--rate", "100mbit"]);
    // The file is open twice: as it was created, and with O_DIRECT.
    wait::until("a file that is open with O_DIRECT", SOON, || {
        let open = fs::read_dir(format!("/proc/{}/fdinfo", receiver.pid())).ok()?;
        let infos = open.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
        let flags = infos.filter_map(|info| {
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim().to_owned();
            u32::from_str_radix(&flags, 8).ok()
        });
        flags.into_iter().any(|flags| flags & nix::libc::O_DIRECT as u32 != 0).then_some(())
    });
}

#[test]
fn a_signal_in_the_first_moment_of_its_log_does_not_kill_it() {
    let testbed = Testbed::loopback();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for _ in 0..20 {
            let mut receiver = testbed.start_receiver("r1", &[]);
            // The first line is a warning, long before the store is open.
            wait::until("the first line", SOON, || (!receiver.log_lines().is_empty()).then_some(()));
            receiver.signal(signal);
            let end = receiver.wait(SOON);
            assert_eq!(end.code(), Some(0), "{signal}: {end:?} {:?}", receiver.log_lines());
        }
    }
}

/// The user that starts a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Root,
    /// A user without other processes, with these ambient capabilities.
    UserWith(&'static str),
}

impl Start {
    fn receiver(self, testbed: &Testbed, more: &[&str]) -> Process {
        let (store, state) = (testbed.store("r1"), testbed.state("r1"));
        let mut command = Command::new("setpriv");
        if let Self::UserWith(capabilities) = self {
            let (user, key) = (USER.to_string(), testbed.path("user.key"));
            fs::copy(testbed.key(), &key).and_then(|_| chown(&key, Some(USER), Some(USER))).expect("root");
            for directory in [&store, &state] {
                chown(directory, Some(USER), Some(USER)).expect("root");
            }
            let testbed = testbed.path("");
            fs::set_permissions(&testbed, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
            command.args(["--inh-caps", capabilities, "--ambient-caps", capabilities]);
        }
        let key = if self == Self::Root { testbed.key().to_owned() } else { testbed.path("user.key") };
        command.arg("--").arg(testbed.command("r1", "glancecastd").get_program()).args(["--interface", "lo"]);
        command
            .args(["--name", "r1", "--sender", "any", "--group", &testbed.group().to_string(), "--key"])
            .arg(key);
        command.arg("--store").arg(format!("directory:{}", store.display()));
        command.arg("--state").arg(state).args(more);
        let mut receiver = Process::start("r1", command, &testbed.path(""));
        receiver.wait_for_log(" listening", SOON);
        receiver
    }
}

/// Returns the kernel's status of each thread.
fn threads(receiver: &Process) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", receiver.pid())).expect("it runs");
    let threads: Vec<String> =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok()).collect();
    assert!(threads.len() > 4, "it receives, works, answers: {threads:?}");
    threads
}

fn capabilities(thread: &str, set: &str) -> u64 {
    let bits = thread.lines().find_map(|line| line.strip_prefix(set)).expect("a set");
    u64::from_str_radix(bits.trim(), 16).expect("bits")
}

fn takes_direct_io(directory: &std::path::Path) -> bool {
    use std::os::unix::fs::OpenOptionsExt;
    let path = directory.join("trial");
    let opened =
        fs::OpenOptions::new().write(true).create(true).custom_flags(nix::libc::O_DIRECT).open(&path).is_ok();
    let _ = fs::remove_file(path);
    opened
}

const NEEDS: &[Need] = &[Need::Namespaces, Need::Program("setpriv", "util-linux")];
const USER: u32 = 43_210;

/// CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_SETGID and CAP_SETUID (linux/capability.h).
const OF_FILES: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 6 | 1 << 7;
