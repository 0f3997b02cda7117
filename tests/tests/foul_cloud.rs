//! An untrusted cloud: services that redirect elsewhere, unexpected ids and names, and settings written by another
//! user.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use glancecast_proto::ids::is_unprintable;
use glancecast_tests::fake_cloud::{FakeCloud, Fault, Knobs, Reply, image, openrc};
use glancecast_tests::needs;
use glancecast_tests::process::Process;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::Testbed;
use serde_json::json;

#[test]
fn a_password_does_not_go_from_https_to_http() {
    needs!(&[Need::Program("openssl", "openssl")]);
    let testbed = Testbed::loopback();
    let certificate = certificate(&testbed);
    let plain = FakeCloud::start(Knobs::default());
    let to = plain.url("/v3/auth/tokens");
    let with = Reply::Status(307, vec![("Location", to)], String::new());
    let faults = vec![Fault { to: "POST /v3/auth/tokens", times: 9, with }];
    let secure = FakeCloud::start_with_tls(Knobs { faults, ..Knobs::default() }, Path::new(&certificate));
    let images = |settings: &[(&str, &str)]| {
        let mut command = testbed.command("s", "glancecast");
        secure.configure(&mut command);
        command.envs(settings.iter().copied()).args(["images", "--json"]);
        Process::start("images", command, &testbed.path(""))
    };
    refused(images(&[("OS_CACERT", &certificate)]), &["redirects to http://127.0.0.1:", "auth_url"]);

    let mut unverified = images(&[("OS_INSECURE", "true")]);
    assert_eq!(unverified.wait(SOON).code(), Some(2));
    let lines = unverified.log_lines();
    assert!(
        lines.len() == 2 && lines[0].contains("are not checked, by the settings of the OS_* variables"),
        "{lines:?}"
    );
    assert_eq!(plain.heard().len(), 0);
}

#[test]
fn an_id_that_no_host_knows_is_refused_and_aborts_nothing() {
    let testbed = Testbed::loopback();
    let long = "x".repeat(300);
    for (id, words) in [
        ("4B2C93EE-4F24-4CFD-8FCA-E1CF11AC1A44", "upper-case letters"),
        (&long, "no UUID"),
        ("\u{1b}[2J\u{202e}", "no UUID"),
    ] {
        let mut record = image(&Knobs::default().data);
        (record["id"], record["name"]) = (json!(id), json!("\u{202e}debian\u{9b}2J"));
        let cloud = FakeCloud::start(Knobs { images: vec![record], ..Knobs::default() });
        let command = command(&testbed, &cloud);
        let push = testbed.push_with(command, &["\u{202e}debian\u{9b}2J", "--expect", "1"]);
        refused(push.process, &[words, "upload it again"]);
    }
}

#[test]
fn a_host_that_no_receiver_can_be_named_after_is_left_out_and_makes_the_push_incomplete() {
    let testbed = Testbed::loopback();
    let hosts = ["c1", "c 2", "\u{202e}c3\u{1b}[2J"].map(str::to_owned).into();
    let cloud = FakeCloud::start(Knobs { hosts, ..Knobs::default() });
    let receiver = testbed.receiver("c1", &[]);
    let spool = testbed.store("spool");
    let spool = ["--spool", spool.to_str().expect("UTF-8"), "--rate", "390mbit"];
    let zone = ["debian", "--availability-zone", "nova"];
    let mut push = testbed.push_with(command(&testbed, &cloud), &[&zone[..], &spool].concat());
    let (end, report) = push.report(SOON);
    assert_eq!((end.code(), report.outcome.as_str()), (Some(3), "incomplete"), "{report:?}");
    report.assert_hosts(&[("c1", "done")]);
    let names: Vec<&str> = report.skipped.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["c 2", "\u{202e}c3\u{1b}[2J"]);
    assert!(report.skipped.iter().all(|host| host.reason.contains("nova.conf")), "{report:?}");
    let reason = report.reason.expect("it is incomplete");
    assert!(
        reason.contains("1 of 3 expected hosts holds a proven copy; no receiver can be named \"c 2\""),
        "{reason}"
    );
    assert!(!push.process.output().trim_end().chars().any(is_unprintable), "JSON steers no terminal");
    receiver.only_file("debian");

    let mut command = command(&testbed, &cloud);
    let group = testbed.group().to_string();
    command.args(["send"]).args(zone).args(spool).args([
        "--group",
        &group,
        "--interface",
        "lo",
        "--unsigned",
        "--key",
    ]);
    command.arg(testbed.key()).arg("--known-hosts").arg(testbed.known_hosts());
    let mut table = Process::start("table", command, &testbed.path(""));
    assert_eq!(table.wait(SOON).code(), Some(3), "{:?}", table.log_lines());
    let text = format!("{}{}", table.output(), table.log_lines().join("\n"));
    assert!(!text.lines().any(|line| line.chars().any(is_unprintable)), "{text:?}");
    assert!(text.contains("c 2") && text.contains("?c3?[2J") && text.contains("skipped"), "{text}");
    assert!(text.contains("with the credentials of the OS_* variables"), "{text}");
}

#[test]
fn a_clouds_yaml_that_others_can_write_is_not_used() {
    let testbed = Testbed::loopback();
    let directory = testbed.store("elsewhere");
    let file = directory.join("clouds.yaml");
    fs::write(&file, "clouds:\n  x:\n    auth:\n      auth_url: http://127.0.0.1:9/v3\n").expect("writable");
    let images = |file_mode, directory_mode| {
        fs::set_permissions(&file, PermissionsExt::from_mode(file_mode)).expect("it is ours");
        fs::set_permissions(&directory, PermissionsExt::from_mode(directory_mode)).expect("it is ours");
        let mut command = testbed.command("s", "glancecast");
        openrc(&mut command, "");
        command.env_remove("OS_AUTH_URL").current_dir(&directory).args(["images", "--os-cloud", "x"]);
        Process::start("images", command, &testbed.path(""))
    };
    refused(images(0o666, 0o755), &["clouds.yaml is not used", "mode 0666", "chmod go-w"]);
    refused(images(0o644, 0o777), &["clouds.yaml is not used", "directory", "mode 0777"]);
    let mut own = images(0o644, 0o755);
    assert_eq!(own.wait(SOON).code(), Some(1), "{:?}", own.log_lines());
    let lines = own.log_lines();
    assert!(
        lines.last().is_some_and(|line| line.contains("cannot reach Keystone at http://127.0.0.1:9")),
        "{lines:?}"
    );
}

fn command(testbed: &Testbed, cloud: &FakeCloud) -> Command {
    let mut command = testbed.command("s", "glancecast");
    cloud.configure(&mut command);
    command
}

/// Creates a certificate for 127.0.0.1 with its key, in one file.
fn certificate(testbed: &Testbed) -> String {
    let path = testbed.path("server.pem");
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]);
    command.args(["-addext", "subjectAltName=IP:127.0.0.1"]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(&path).arg("-out");
    let only = testbed.path("certificate.pem");
    command.arg(&only).stdin(Stdio::null());
    assert_eq!(Process::start("openssl", command, &testbed.path("")).wait(SOON).code(), Some(0));
    append(&path, &fs::read_to_string(&only).expect("openssl wrote it"));
    text(&path)
}

fn append(path: &Path, more: &str) {
    let all = fs::read_to_string(path).expect("openssl wrote it") + more;
    fs::write(path, all).expect("it is ours");
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// Asserts exit code 2, no result on standard output, and one line with all of `words` and no terminal control
/// characters.
#[track_caller]
fn refused(mut process: Process, words: &[&str]) {
    let end = process.wait(SOON);
    let lines = process.log_lines();
    assert_eq!(end.code(), Some(2), "{lines:?}");
    process.assert_no_result(2);
    assert_eq!(lines.len(), 1, "{lines:?}");
    println!("{}", lines[0]);
    assert!(words.iter().all(|word| lines[0].contains(word)), "{words:?} in {lines:?}");
    assert!(!lines[0].chars().any(is_unprintable), "{lines:?}");
}

const SOON: Duration = Duration::from_secs(30);
