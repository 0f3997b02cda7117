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
use nix::libc;

#[test]
fn a_disk_that_is_full_is_said_before_the_first_byte() {
    needs!(NEEDS);
    let bad = Bad::start("mount -t tmpfs -o size=4m none $STORE");
    let report = bad.push("image");
    bad.assert_only_r1_failed(&report, "image", &["bytes free"]);
}

#[test]
fn an_image_that_is_nearly_all_hole_fits_a_disk_that_is_far_smaller_than_it_is_long() {
    needs!(NEEDS);
    let bad = Bad::start("mount -t tmpfs -o size=64m none $STORE");
    let sparse = bad.testbed.path("sparse");
    image::sparse(&sparse, 1 << 30, &[0, (1 << 30) - 512], 512, Seed::draw());
    let report = bad.push_file(&sparse, "sparse", || {});
    report.assert_hosts(&[("r1", "done"), ("r2", "done")]);
    assert_eq!(image::blake3_of(&bad.inside().join("sparse")), image::blake3_of(&sparse));
}

#[test]
fn an_image_that_is_written_without_holes_is_refused_by_its_data_alone() {
    needs!(NEEDS);
    let bad = Bad::start("mount -t tmpfs -o size=4m none $STORE");
    let (source, sparse) = (bad.testbed.path("source"), bad.testbed.path("sparse"));
    fs::copy(&source, &sparse).expect("a copy");
    fs::File::options().write(true).open(&sparse).and_then(|file| file.set_len(1 << 30)).expect("sparse");
    let report = bad.push_file(&sparse, "sparse", || {});
    report.assert_hosts(&[("r1", "failed"), ("r2", "done")]);
    let reason = report.host("r1").reason.clone().unwrap_or_default();
    let needed = reason.rsplit(' ').next().and_then(|bytes| bytes.parse::<u64>().ok()).expect("a number");
    assert!((BYTES..2 * BYTES).contains(&needed), "it has {BYTES} bytes of data: {reason}");
}

#[test]
fn a_sparse_disk_is_converted_in_a_spool_that_is_far_smaller_than_it_is_long() {
    needs!(NEEDS);
    needs!(&[Need::Program("qemu-img", "qemu-utils")]);
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    for (name, bytes, is_sparse) in [("sparse", 1_u64 << 30, true), ("dense", 40 << 20, false)] {
        let (disk, image) = (testbed.path(name), testbed.path(&format!("{name}.qcow2")));
        match is_sparse {
            true => image::sparse(&disk, bytes, &[4 << 20, bytes - 512], 512, Seed::draw()),
            false => drop(image::random(&disk, bytes, Seed::draw())),
        }
        let mut convert = Command::new(places::tool("qemu-img").expect("it is there"));
        convert.args(["convert", "-f", "raw", "-O", "qcow2"]).arg(&disk).arg(&image);
        assert!(convert.status().expect("it runs").success());
        let spool = testbed.store("spool");
        let mut sender = Command::new(places::tool("unshare").expect("util-linux"));
        let script = "mount -t tmpfs -o size=24m none $SPOOL && exec \"$@\"";
        sender.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
        sender.env("SPOOL", &spool).stdin(Stdio::null()).arg(places::program("glancecast"));
        let file = image.to_str().expect("UTF-8");
        let arguments =
            ["--file", file, "--name", name, "--hosts", "r1", "--spool", spool.to_str().expect("UTF-8")];
        let mut push = testbed.push_with(sender, &arguments);
        let code = push.process.wait(TIMEOUT).code();
        let log = push.process.log_lines().join("\n");
        match is_sparse {
            true => {
                assert_eq!(code, Some(0), "{log}");
                assert_eq!(image::blake3_of(&receiver.store.join(name)), image::blake3_of(&disk));
            }
            false => assert!(code == Some(2) && log.contains("does not fit in --spool"), "{code:?}: {log}"),
        }
    }
    assert_eq!(receiver.stored(), ["sparse"]);
}

#[test]
fn a_store_without_hard_links_publishes_by_renaming_and_replaces_nothing() {
    needs!(NEEDS);
    let bad = Bad::start_as("true", |command| quota::deny_calls(&[libc::SYS_linkat], command));
    bad.r1.borrow_mut().wait_for_log("no hard links here", SOON);
    let report = bad.push("image");
    report.assert_hosts(&[("r1", "done"), ("r2", "done")]);
    assert_eq!(image::blake3_of(&bad.inside().join("image")), bad.sum);
    assert_eq!(
        glancecast_tests::testbed::list(&bad.inside()),
        [".glancecast", "image"],
        "nothing unfinished"
    );
    let other = bad.testbed.path("other");
    image::random(&other, BYTES, Seed::draw());
    let report = bad.push_file(&other, "image", || {});
    assert_eq!(report.host("r1").state, "failed", "{report:?}");
    assert_eq!(image::blake3_of(&bad.inside().join("image")), bad.sum, "it is not replaced");
}

#[test]
fn a_store_that_cannot_name_a_file_safely_is_refused_when_glancecastd_starts() {
    let testbed = Testbed::loopback();
    testbed.receiver("r1", &[]).process.terminate(SOON); // it makes its host key
    let store = format!("directory:{}", testbed.store("r1").display());
    let mut command = testbed.command("r1", "glancecastd");
    command.args(["--insecure", "--name", "r1", "--interface", "lo", "--store", &store]);
    command.arg("--state").arg(testbed.state("r1"));
    quota::deny_calls(&[libc::SYS_linkat, libc::SYS_renameat2], &mut command);
    let mut receiver = Process::start("r1", command, &testbed.path(""));
    assert_eq!(receiver.wait(SOON).code(), Some(78));
    let log = receiver.log_lines().join("\n");
    assert!(log.contains("neither hard links") && log.contains("RENAME_NOREPLACE"), "{log}");
}

#[test]
fn twelve_images_with_names_of_two_hundred_bytes_go_through_one_glancecastd() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let source = testbed.path("source");
    let sum = image::random(&source, 300_000, Seed::draw());
    let file = source.to_str().expect("UTF-8");
    for number in 10..22 {
        // Two bytes each, and two digits.
        let name = "ü".repeat(99) + &number.to_string();
        let mut push = testbed.push(&["--file", file, "--name", &name, "--hosts", "r1", "--timeout", "20s"]);
        let (end, report) = push.report(SOON + Duration::from_secs(20));
        assert_eq!(end.code(), Some(0), "{report:?}");
        assert_eq!(image::blake3_of(&receiver.store.join(&name)), sum);
    }
    let (code, answer) = testbed.ask(&["hosts", "--hosts", "r1"]);
    assert_eq!((code, &answer["hosts"][0]["held"]), (0, &serde_json::json!(12)), "{answer}");
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
    bad.assert_only_r1_failed(&report, "image", &["what had arrived is removed"]);
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
        // It makes its host key, for which some of these disks would not do.
        testbed.receiver("r1", &[]).process.terminate(SOON);
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
            let joined =
                |lines: Vec<String>| lines.iter().any(|line| line.contains(&format!("name=\"{name}\"")));
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
