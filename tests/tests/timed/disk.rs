//! Disks that fill up, break or disappear under a receiver: it reports the cause, the other hosts complete, and it
//! accepts the next push. The disks are small file systems in the receiver's own mount namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::needs;
use glancecast_tests::places;
use glancecast_tests::process::Process;
use glancecast_tests::quota;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::{SOON, Testbed};
use glancecast_tests::wait;

#[test]
fn a_disk_that_is_full_is_said_before_the_first_byte() {
    needs!(NEEDS);
    let bad = Bad::start("mount -t tmpfs -o size=4m none $STORE");
    let report = bad.push("image");
    bad.assert_only_r1_failed(&report, "image", &["bytes free"]);
}

#[test]
fn a_disk_that_fills_up_in_mid_transfer_fails_its_host_and_takes_the_next_push() {
    needs!(NEEDS);
    let bad = Bad::start("mount -t tmpfs -o size=12m none $STORE");
    let filler = bad.inside().join("filler");
    let report = bad.push_and("image", || {
        // As much as fits.
        let _ = fs::write(&filler, vec![1; 12 << 20]);
    });
    bad.assert_only_r1_failed(&report, "image", &["No space left"]);
    fs::remove_file(&filler).expect("it is ours");
    bad.assert_next_push_completes();
}

#[test]
fn a_disk_that_is_read_only_fails_its_host_and_takes_the_next_push_when_it_is_not() {
    needs!(NEEDS);
    let bad = Bad::start("mount -t tmpfs -o size=32m none $STORE");
    bad.run_inside(&format!("mount -o remount,ro {}", bad.store.display()));
    let report = bad.push("image");
    bad.assert_only_r1_failed(&report, "image", &["Read-only"]);
    bad.run_inside(&format!("mount -o remount,rw {}", bad.store.display()));
    bad.assert_next_push_completes();
}

#[test]
fn a_disk_that_breaks_in_mid_transfer_fails_its_host_with_what_the_system_says() {
    needs!(NEEDS);
    // A disk that can no longer be written: the file system below it is full.
    let bad = Bad::start(
        "mkdir $BELOW && mount -t tmpfs -o size=8m none $BELOW && truncate -s 64m $BELOW/disk && \
         mkfs.ext4 -q -O ^has_journal $BELOW/disk && mount -o loop,errors=continue $BELOW/disk $STORE",
    );
    let filler = bad.seen_inside(&bad.testbed.path("below")).join("filler");
    let report = bad.push_and("image", || {
        let _ = fs::write(&filler, vec![1; 8 << 20]);
    });
    bad.assert_only_r1_failed(&report, "image", &["error"]);
    fs::remove_file(&filler).expect("it is ours");
}

#[test]
fn a_directory_that_is_removed_in_mid_transfer_fails_its_host_and_takes_the_next_push_when_it_is_back() {
    let bad = Bad::start("true");
    let report = bad.push_and("image", || fs::remove_dir_all(&bad.store).expect("it is ours"));
    fs::create_dir(&bad.store).expect("its parent is there");
    bad.assert_only_r1_failed(&report, "image", &["No such file"]);
    bad.assert_next_push_completes();
}

#[test]
fn a_quota_that_is_used_up_in_mid_transfer_fails_its_host_and_a_smaller_image_still_goes_in() {
    let bad = Bad::start_as("true", |command| quota::deny_writes_from(QUOTA as u32, command));
    let report = bad.push("image");
    bad.assert_only_r1_failed(&report, "image", &["quota exceeded"]);
    let small = bad.testbed.path("small");
    let sum = image::random(&small, QUOTA, Seed::draw());
    let report = bad.push_file(&small, "small", || {});
    assert_eq!(report.outcome, "complete", "{report:?}");
    assert_eq!(image::blake3_of(&bad.inside().join("small")), sum);
}

/// `r1` with a disk of its own, and `r2` with a good one.
struct Bad {
    r2: glancecast_tests::testbed::Receiver,
    r1: std::cell::RefCell<Process>,
    store: PathBuf,
    source: PathBuf,
    sum: String,
    // The last field: processes end before their directory is removed.
    testbed: Testbed,
}

impl Bad {
    /// Starts it; the shell commands `mount` make the disk.
    fn start(mount: &str) -> Self {
        Self::start_as(mount, |_| {})
    }

    /// Starts it, with the receiver's command changed by `prepare`.
    fn start_as(mount: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let testbed = Testbed::loopback();
        let source = testbed.path("source");
        let sum = image::random(&source, BYTES, Seed::draw());
        let store = testbed.store("r1");
        let (key, group) = (testbed.key().to_path_buf(), testbed.group().to_string());
        let mut command = Command::new(places::tool("unshare").expect("util-linux"));
        let script = format!("{mount} && exec \"$@\"");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
        command.env("STORE", &store).env("BELOW", testbed.path("below")).stdin(Stdio::null());
        command.arg(places::program("glancecastd")).args([
            "--name",
            "r1",
            "--interface",
            "lo",
            "--sender",
            "any",
        ]);
        command.args(["--group", &group, "--store", &format!("directory:{}", store.display())]);
        command.arg("--key").arg(key).arg("--state").arg(testbed.state("r1"));
        prepare(&mut command);
        let mut r1 = Process::start("r1", command, &testbed.path(""));
        r1.wait_for_log(" listening", SOON);
        let r2 = testbed.receiver("r2", &[]);
        Self { r2, r1: r1.into(), store, source, sum, testbed }
    }

    fn push(&self, name: &str) -> glancecast_tests::report::Report {
        self.push_and(name, || {})
    }

    /// Pushes, and calls `meanwhile` once `r1` has written.
    fn push_and(&self, name: &str, meanwhile: impl FnOnce()) -> glancecast_tests::report::Report {
        self.push_file(&self.source, name, meanwhile)
    }

    fn push_file(
        &self,
        file: &Path,
        name: &str,
        meanwhile: impl FnOnce(),
    ) -> glancecast_tests::report::Report {
        let file = file.to_str().expect("UTF-8");
        let mut push = self.testbed.push(&[
            "--file",
            file,
            "--name",
            name,
            "--hosts",
            "r1,r2",
            "--rate",
            "60mbit",
            "--timeout",
            "60s",
        ]);
        wait::until("both hosts to hear of it", SOON, || {
            let joined = |lines: Vec<String>| lines.iter().any(|line| line.contains(&format!("name={name}")));
            (joined(self.r1.borrow().log_lines()) && joined(self.r2.process.log_lines())).then_some(())
        });
        meanwhile();
        push.report(TIMEOUT).1
    }

    #[track_caller]
    fn assert_only_r1_failed(&self, report: &glancecast_tests::report::Report, name: &str, words: &[&str]) {
        report.assert_hosts(&[("r1", "failed"), ("r2", "done")]);
        let reason = report.host("r1").reason.clone().unwrap_or_default();
        println!("r1: {reason}");
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
        let seconds = report.host("r1").seconds.expect("it was heard");
        assert!(seconds < 20.0, "it said so after {seconds} s");
        assert_eq!(image::blake3_of(&self.r2.store.join(name)), self.sum);
        assert!(self.r1.borrow_mut().runs(), "the receiver stays for the next image");
        let left = glancecast_tests::testbed::list(&self.inside());
        assert!(left.iter().all(|name| !name.starts_with(".glancecast-") && name != "image"), "{left:?}");
    }

    #[track_caller]
    fn assert_next_push_completes(&self) {
        let report = self.push("next");
        assert_eq!(report.outcome, "complete", "{report:?}");
        assert_eq!(image::blake3_of(&self.inside().join("next")), self.sum);
    }

    /// Returns the path of the store as `r1` sees it.
    fn inside(&self) -> PathBuf {
        self.seen_inside(&self.store)
    }

    fn seen_inside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.r1.borrow().pid()));
        root.join(path.strip_prefix("/").expect("absolute"))
    }

    #[track_caller]
    fn run_inside(&self, command: &str) {
        let mut nsenter = Command::new(places::tool("nsenter").expect("util-linux"));
        nsenter.args(["--mount", "--target", &self.r1.borrow().pid().to_string(), "sh", "-c", command]);
        let status = nsenter.stdin(Stdio::null()).status().expect("it runs");
        assert!(status.success(), "{command}");
    }
}

const NEEDS: &[Need] = &[
    Need::Namespaces,
    Need::Program("unshare", "util-linux"),
    Need::Program("nsenter", "util-linux"),
    Need::Program("mkfs.ext4", "e2fsprogs"),
];
const BYTES: u64 = 6 << 20;
/// How many of [`BYTES`] fit.
const QUOTA: u64 = 3 << 20;
const TIMEOUT: Duration = Duration::from_secs(70);
