//! Glance in practice: downloads that break, stores that lose or change data, images that cannot be proven. In each
//! case hosts get the whole image or nothing, and no push stalls beyond the stall timeout.

use std::fs::{self, OpenOptions};
use std::time::Duration;

use glancecast_tests::breaker::{Breaker, End, Fault, RangeFault};
use glancecast_tests::image::{self, Seed};
use glancecast_tests::openstack::{self, NewImage, OpenStack};
use glancecast_tests::report::Report;
use glancecast_tests::testbed::{Push, Receiver, SOON, Testbed};
use glancecast_tests::{measured, needs};

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    needs!(openstack::NEEDS);
    let cloud = Broken::start(&[]);
    let at = |offset: u64| Some(format!("bytes={offset}-"));
    let closed = |after| Fault { ends: Some((after, End::ClosedAfter(Duration::ZERO))), ..Fault::default() };
    let silent = Fault { ends: Some((MIB, End::Silence)), ..Fault::default() };
    let report = cloud.delivered(&[closed(3 * MIB), silent, closed(2 * MIB)], &["--stall-timeout", "4s"]);
    let ranges: Vec<_> = cloud.breaker.seen().into_iter().map(|seen| seen.range).collect();
    assert_eq!(ranges, [None, at(3 * MIB), at(4 * MIB), at(6 * MIB)]);
    assert_eq!(report.object.verified_by.as_deref(), Some("sha512"));
}

#[test]
fn a_broken_download_is_read_again_where_the_store_gives_no_parts() {
    needs!(openstack::NEEDS);
    let cloud = Broken::start(&[]);
    let breaks = Fault { ends: Some((3 * MIB, End::ClosedAfter(Duration::ZERO))), ..Fault::default() };
    let with = |range| Fault { range, ..Fault::default() };
    let statuses = || cloud.breaker.seen().into_iter().map(|seen| seen.status).collect::<Vec<_>>();
    for (range, expected) in [
        (RangeFault::Ignored, vec![200, 200]),
        (RangeFault::Refused, vec![200, 416, 200]),
        // A server that is wrong about the length is trusted in nothing else: the download starts again.
        (RangeFault::OtherLength, vec![200, 206, 200]),
    ] {
        cloud.delivered(&[breaks, with(range)], &[]);
        assert_eq!(statuses(), expected, "{range:?}");
    }
    let changed = Fault { changed_byte: Some(MIB), ..with(RangeFault::Ignored) };
    cloud.fails(&[breaks, changed], &[], &["other bytes", "3145728"]);
    // Changed after the break, where only the hash at the end detects it.
    let changed = Fault { changed_byte: Some(5 * MIB), ..with(RangeFault::Ignored) };
    cloud.fails(&[breaks, changed], &[], &["sha512"]);
}

#[test]
fn a_token_that_expires_on_the_way_is_renewed() {
    needs!(openstack::NEEDS);
    let cloud = Broken::start(&["--token-expiration", "15"]);
    let late = Fault { ends: Some((MIB, End::ClosedAfter(Duration::from_secs(16)))), ..Fault::default() };
    cloud.delivered(&[late], &["--stall-timeout", "40s", "--timeout", "60s"]);
    let statuses: Vec<_> = cloud.breaker.seen().into_iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [200, 401, 206]);
}

#[test]
fn a_lost_or_shortened_file_ends_the_push_with_uwsgi() {
    needs!(openstack::NEEDS);
    // uWSGI closes the connection where the file ends.
    damaged_files_are_reported(&Broken::start(&[]), &["broke at", "cut short"]);
}

#[test]
fn a_lost_or_shortened_file_ends_the_push_with_eventlet() {
    needs!(openstack::NEEDS);
    // The eventlet server keeps the connection open and sends nothing more.
    damaged_files_are_reported(
        &Broken::start(&["--glance-server", "eventlet"]),
        &["no byte", "3 s", "--stall-timeout"],
    );
}

#[test]
fn an_image_that_cannot_be_proven_or_booted_is_sent_only_when_told() {
    needs!(openstack::NEEDS);
    let cloud = Broken::start(&[]);
    cloud.openstack.forget_hashes(&cloud.id);
    cloud.fails(&[], &[], &["no hash", "--allow-unverified"]);
    let breaks = Fault { ends: Some((3 * MIB, End::ClosedAfter(Duration::ZERO))), ..Fault::default() };
    let report = cloud.delivered(&[breaks], &["--allow-unverified"]);
    assert_eq!(report.object.verified_by, None);
    let ranges: Vec<_> = cloud.breaker.seen().into_iter().map(|seen| seen.range).collect();
    assert_eq!(ranges, [None, None], "a part could be of another image");

    let packed = NewImage { container_format: "ovf", ..NewImage::new("lab-demo", "packed") };
    let packed = cloud.openstack.upload_as(packed, &cloud.file());
    let mut push = cloud.push(&packed, &[]);
    assert_eq!(push.process.wait(SOON).code(), Some(2));
    let lines = push.process.log_lines();
    assert!(
        lines.iter().any(|line| line.contains("container format ovf") && line.contains("tar -xf")),
        "{lines:?}"
    );
}

#[test]
fn an_image_in_a_second_store_is_sent_like_any_other() {
    needs!(openstack::NEEDS);
    let cloud = Broken::start(&[]);
    let second = NewImage { store: Some("second"), ..NewImage::new("lab-demo", "elsewhere") };
    let id = cloud.openstack.upload_as(second, &cloud.file());
    assert!(!cloud.openstack.stored(&id).exists(), "it is not in the first store");
    cloud.sent(&id, &[]);
}

/// Truncates the stored file in mid-image, then removes it; asserts that both are reported.
fn damaged_files_are_reported(cloud: &Broken, shortened: &[&str]) {
    let stored = cloud.openstack.stored(&cloud.id);
    let file = OpenOptions::new().write(true).open(&stored).expect("the store is a directory here");
    file.set_len(3_000_000).expect("it is longer");
    // No breaker in between: the subject is how Glance's own server behaves.
    let push = cloud.push_directly(&["--stall-timeout", "3s"]);
    let took = cloud.ended_without_a_file(push, shortened);
    measured!("a shortened file ended the push after {:.1} s", took.as_secs_f64());
    assert!(took < Duration::from_secs(3) + SLACK, "it hung for {took:?}");
    fs::remove_file(&stored).expect("it is there");
    cloud.ended_without_a_file(cloud.push_directly(&[]), &["no data", "204"]);
}

/// A cloud with an image, a breaker in front of its Glance, and a host.
struct Broken {
    openstack: OpenStack,
    breaker: Breaker,
    testbed: Testbed,
    receiver: Receiver,
    id: String,
    sum: String,
}

impl Broken {
    /// Starts it; with options for the lab it gets a cloud of its own.
    fn start(options: &[&str]) -> Self {
        let testbed = Testbed::loopback();
        let directory = testbed.path("openstack");
        let openstack = match options {
            [] => OpenStack::shared(&directory),
            options => OpenStack::start_with(&directory, options),
        };
        let breaker = Breaker::start(openstack.glance());
        openstack.clouds_through(&breaker.endpoint(), &testbed.path("broken-clouds.yaml"));
        let file = testbed.path("upload.raw");
        let sum = image::random(&file, 8 * MIB, Seed::draw());
        let id = openstack.upload("lab-demo", "image", &file);
        let receiver = testbed.receiver("r1", &[]);
        Self { openstack, breaker, testbed, receiver, id, sum }
    }

    fn file(&self) -> std::path::PathBuf {
        self.testbed.path("upload.raw")
    }

    /// Asserts that a push with these faults succeeds.
    #[track_caller]
    fn delivered(&self, faults: &[Fault], arguments: &[&str]) -> Report {
        self.breaker.script(faults);
        self.sent(&self.id, arguments)
    }

    #[track_caller]
    fn sent(&self, id: &str, arguments: &[&str]) -> Report {
        let (end, report) = self.push(id, arguments).report(Duration::from_secs(90));
        assert_eq!(end.code(), Some(0), "{report:?}");
        assert_eq!(report.root.as_deref(), Some(self.sum.as_str()));
        let copy = self.receiver.only_file(&report.object.name);
        assert_eq!(image::blake3_of(&copy), self.sum);
        fs::remove_file(copy).expect("it was just read");
        report
    }

    /// Asserts that a push with these faults fails, with a message that has all of `words`.
    #[track_caller]
    fn fails(&self, faults: &[Fault], arguments: &[&str], words: &[&str]) {
        self.breaker.script(faults);
        self.ended_without_a_file(self.push(&self.id, arguments), words);
    }

    /// Asserts exit code 1, a line with all of the words, and an empty store; returns how long the push took.
    #[track_caller]
    fn ended_without_a_file(&self, mut push: Push, words: &[&str]) -> Duration {
        let end = push.process.wait(Duration::from_secs(60));
        let lines = push.process.log_lines();
        assert_eq!(end.code(), Some(1), "{lines:?}");
        let line = lines.iter().find(|line| words.iter().all(|word| line.contains(word)));
        println!("{}", line.unwrap_or_else(|| panic!("{words:?} not in {lines:?}")));
        let names = self.receiver.stored();
        assert!(
            names.iter().all(|name| name.starts_with(".glancecast-")),
            "visible, and not vouched for: {names:?}"
        );
        end.lasted
    }

    fn push(&self, id: &str, arguments: &[&str]) -> Push {
        let mut command = self.testbed.command("s", "glancecast");
        self.openstack.configure(&mut command, "lab-demo");
        command.env("OS_CLIENT_CONFIG_FILE", self.testbed.path("broken-clouds.yaml"));
        self.testbed.push_with(command, &self.arguments(id, arguments))
    }

    fn push_directly(&self, arguments: &[&str]) -> Push {
        let mut command = self.testbed.command("s", "glancecast");
        self.openstack.configure(&mut command, "lab-demo");
        self.testbed.push_with(command, &self.arguments(&self.id, arguments))
    }

    fn arguments<'a>(&self, id: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let usual = [id, "--hosts", "r1", "--rate", "390mbit", "--spool", "/tmp"];
        let timeout: &[&str] = if more.contains(&"--timeout") { &[] } else { &["--timeout", "30s"] };
        [usual.as_slice(), timeout, more].concat()
    }
}

const MIB: u64 = 1 << 20;
/// For the login, a busy machine, and the reports at the end.
const SLACK: Duration = Duration::from_secs(12);
