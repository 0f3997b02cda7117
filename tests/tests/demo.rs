//! `make demo` without its build: it reports what it did, its sums are those of the table, it leaves nothing behind,
//! and it fails on errors.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use glancecast_tests::exclusive::{self, Share};
use glancecast_tests::places;
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{SOON, list};
use tempfile::TempDir;

#[test]
fn five_sums_are_equal_and_nothing_is_left() {
    let _machine = exclusive::machine(Share::Shared);
    let (directory, work) = directory();
    let mut demo = Process::start("demo", demo(&work, &[]), directory.path());
    let end = demo.wait(Duration::from_secs(100));
    let output = demo.output();
    assert_eq!(end.code(), Some(0), "{output}");

    let sums: Vec<&str> =
        output.lines().filter_map(|line| line.split_once("  ")).map(|(sum, _)| sum).collect();
    let sums: Vec<&str> = sums.into_iter().filter(|sum| sum.len() == 64).collect();
    assert!(sums.len() == 5 && sums.iter().all(|sum| *sum == sums[0]), "{output}");
    assert!(
        output.contains(&format!("\nblake3 {}\n", sums[0])),
        "the sum is the root of the table: {output}"
    );
    for host in ["r1", "r2", "r3", "r4"] {
        let row = output.lines().find(|line| line.starts_with(&format!("{host} "))).unwrap_or_default();
        assert!(row.contains(" done "), "{host}: {output}");
    }
    assert!(output.contains("\nAll 5 sums are equal."), "{output}");
    let log = demo.log_lines().join("\n");
    assert!(
        !output.contains('\r') && !log.contains('\r'),
        "no progress bar where there is no terminal: {log}"
    );
    assert_eq!(list(&work), [""; 0]);
}

#[test]
fn a_receiver_that_does_not_start_is_named() {
    let _machine = exclusive::machine(Share::Shared);
    let (directory, work) = directory();
    let broken = directory.path().join("glancecastd");
    fs::write(&broken, "#!/bin/sh\necho 'out of order' >&2\nexit 2\n").expect("it is ours");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut demo = Process::start("demo", demo(&work, &[directory.path()]), directory.path());
    assert_eq!(demo.wait(SOON).code(), Some(1));
    let log = demo.log_lines().join("\n");
    assert!(log.contains("demo: receiver r1 did not start") && log.contains("out of order"), "{log}");
    assert_eq!(list(&work), [""; 0]);
}

/// Returns the script's command, with the built programs on its `PATH` after the directories in `first`.
fn demo(work: &Path, first: &[&Path]) -> Command {
    let directory_of = |program| places::program(program).parent().expect("a directory").to_path_buf();
    let (built, examples) = (directory_of("glancecast"), directory_of("examples/b3sum"));
    let inherited = env::var_os("PATH").unwrap_or_default();
    let first = first.iter().map(|path| path.to_path_buf());
    let path: Vec<PathBuf> = first.chain([built, examples]).chain(env::split_paths(&inherited)).collect();
    let path: OsString = env::join_paths(path).expect("no colon in a path");
    let mut command = Command::new(places::workspace().join("tests/demo.sh"));
    command.env("PATH", path).env("TMPDIR", work).stdin(Stdio::null());
    command
}

/// Creates a directory for logs, and in it one for the files of the demo.
fn directory() -> (TempDir, PathBuf) {
    let directory =
        tempfile::tempdir_in(places::scenarios("demo")).expect("the build's disk takes a directory");
    let work = directory.path().join("work");
    fs::create_dir(&work).expect("it is ours");
    (directory, work)
}
