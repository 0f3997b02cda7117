//! Bad input to either program: one line on standard error with the mistake, nothing on standard output, and exit code 2; or
//! 78 of a service with a wrong configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use glancecast_tests::process::Process;
use glancecast_tests::testbed::{SOON, Testbed, list};

#[test]
fn the_sender_names_an_unknown_interface() {
    let (testbed, file) = testbed();
    refused(
        testbed.push(&["--file", &file, "--expect", "1", "--interface", "nosuch0"]).process,
        &["nosuch0"],
    );
}

#[test]
fn the_sender_names_a_group_that_is_not_multicast() {
    let (testbed, file) = testbed();
    let push = testbed.push(&["--file", &file, "--expect", "1", "--group", "192.0.2.7:7167"]);
    refused(push.process, &["192.0.2.7", "multicast"]);
}

#[test]
fn the_sender_names_a_key_file_of_the_wrong_length() {
    let (testbed, file) = testbed();
    let key = key_of(&testbed, 7, 0o600);
    refused(testbed.push(&["--file", &file, "--expect", "1", "--key", &key]).process, &[&key, "7"]);
}

#[test]
fn the_sender_names_a_key_file_that_others_may_read() {
    let (testbed, file) = testbed();
    let key = readable_key(&testbed);
    refused(testbed.push(&["--file", &file, "--expect", "1", "--key", &key]).process, &[&key, "chmod"]);
}

#[test]
fn the_sender_names_a_key_file_that_is_not_there() {
    let (testbed, file) = testbed();
    let key = text(testbed.path("nosuch.key"));
    refused(testbed.push(&["--file", &file, "--expect", "1", "--key", &key]).process, &[&key]);
}

#[test]
fn the_sender_names_an_mtu_that_is_too_small() {
    let (testbed, file) = testbed();
    refused(testbed.push(&["--file", &file, "--expect", "1", "--mtu", "100"]).process, &["100", "MTU"]);
}

#[test]
fn the_sender_does_not_expect_zero_hosts() {
    let (testbed, file) = testbed();
    refused(testbed.push(&["--file", &file, "--expect", "0"]).process, &["--expect"]);
}

#[test]
fn the_sender_names_a_file_that_is_not_there() {
    let (testbed, _) = testbed();
    let file = text(testbed.path("nosuch.raw"));
    refused(testbed.push(&["--file", &file, "--expect", "1"]).process, &[&file]);
}

#[test]
fn the_sender_names_a_file_that_is_a_directory() {
    let (testbed, _) = testbed();
    let directory = text(testbed.store("r1"));
    refused(testbed.push(&["--file", &directory, "--expect", "1"]).process, &[&directory, "directory"]);
}

#[test]
fn the_sender_names_a_rate_that_is_none() {
    let (testbed, file) = testbed();
    refused(testbed.push(&["--file", &file, "--expect", "1", "--rate", "fast"]).process, &["fast"]);
}

#[test]
fn the_sender_wants_a_key_or_a_word_for_going_without() {
    let (testbed, file) = testbed();
    let mut command = testbed.command("s", "glancecast");
    command.args(["send", "--file", &file, "--expect", "1", "--interface", "lo"]);
    let process = Process::start("keyless", command, &testbed.path(""));
    refused(process, &["--key", "--insecure"]);
}

#[test]
fn the_receiver_wants_to_know_whose_pushes_it_accepts() {
    let (testbed, _) = testbed();
    let receiver = |senders: &[&str]| {
        let mut command = testbed.command("r1", "glancecastd");
        command.args([
            "--interface",
            "lo",
            "--store",
            &format!("directory:{}", testbed.store("r1").display()),
        ]);
        command.arg("--key").arg(testbed.key()).arg("--state").arg(testbed.state("r1")).args(senders);
        Process::start("r1", command, &testbed.path(""))
    };
    refused_for_good(
        receiver(&[]),
        &["--sender FILE", "glancecast keygen --all DIR", "DIR/sender.pub", "--sender any"],
    );
    let key = format!("ed25519:{}", "ab".repeat(32));
    refused_for_good(receiver(&["--sender", "any", "--sender", &key]), &["any", "exclude"]);
    for (accepts, warns) in [(&["--sender", &key][..], false), (&["--sender", "any"], true)] {
        let mut running = receiver(accepts);
        running.wait_for_log(" listening", SOON);
        assert_eq!(
            running.log_lines().iter().any(|line| line.contains("senders = \"any\"")),
            warns,
            "{accepts:?}"
        );
    }
}

#[test]
fn the_receiver_names_an_unknown_interface_and_waits_for_it() {
    let (testbed, _) = testbed();
    let mut receiver = testbed.start_receiver("r1", &["--interface", "nosuch0"]);
    let line = receiver.wait_for_log("hears nothing, and waits", SOON);
    assert!(line.contains("nosuch0") && line.contains("lo"), "{line}");
    assert_eq!(receiver.terminate(SOON).code(), Some(0));
}

#[test]
fn the_receiver_names_a_group_that_is_not_multicast() {
    let (testbed, _) = testbed();
    refused_for_good(
        testbed.start_receiver("r1", &["--group", "192.0.2.7:7167"]),
        &["192.0.2.7", "multicast"],
    );
}

#[test]
fn the_receiver_names_a_key_file_of_the_wrong_length() {
    let (testbed, _) = testbed();
    let key = key_of(&testbed, 7, 0o600);
    refused_for_good(testbed.start_receiver("r1", &["--key", &key]), &[&key, "7"]);
}

#[test]
fn the_receiver_names_a_key_file_that_others_may_read() {
    let (testbed, _) = testbed();
    let key = readable_key(&testbed);
    refused_for_good(testbed.start_receiver("r1", &["--key", &key]), &[&key, "chmod"]);
}

#[test]
fn the_receiver_names_a_store_that_is_not_there() {
    let (testbed, _) = testbed();
    let store = text(testbed.path("nosuch"));
    refused_for_good(testbed.start_receiver("r1", &["--store", &format!("directory:{store}")]), &[&store]);
}

#[test]
fn keygen_does_not_overwrite_a_key() {
    let (testbed, _) = testbed();
    let before = fs::read(testbed.key()).expect("the testbed's key");
    let mut command = testbed.command("s", "glancecast");
    command.arg("keygen").arg(testbed.key());
    refused(
        Process::start("keygen-again", command, &testbed.path("")),
        &[&text(testbed.key().to_path_buf())],
    );
    assert_eq!(fs::read(testbed.key()).expect("still there"), before);
}

#[test]
fn keygen_makes_no_key_where_one_of_all_exists() {
    let (testbed, _) = testbed();
    let keys = testbed.store("keys");
    fs::write(keys.join("sender.pub"), "ours\n").expect("the testbed's directory takes a file");
    let mut command = testbed.command("s", "glancecast");
    command.args(["keygen", "--all"]).arg(&keys);
    refused(
        Process::start("keygen-all", command, &testbed.path("")),
        &["sender.pub", "exists", "nothing was made"],
    );
    assert_eq!(list(&keys), ["sender.pub"]);
}

#[test]
fn the_sender_names_an_image_id_in_upper_case() {
    let (testbed, file) = testbed();
    let id = "4B2C93EE-4F24-4CFD-8FCA-E1CF11AC1A44";
    refused(testbed.push(&["--file", &file, "--expect", "1", "--image-id", id]).process, &[id, "lower-case"]);
}

/// Asserts that a process ends with exit code 2 and one line that has all of `words`.
#[track_caller]
pub(crate) fn refused(process: Process, words: &[&str]) {
    refused_with(2, process, words);
}

/// Asserts that a service ends with exit code 78, which keeps its unit from trying again, and one line that has all of
/// `words`.
#[track_caller]
pub(crate) fn refused_for_good(process: Process, words: &[&str]) {
    refused_with(78, process, words);
}

#[track_caller]
fn refused_with(code: i32, mut process: Process, words: &[&str]) {
    let end = process.wait(SOON);
    let lines = process.log_lines();
    assert_eq!(end.code(), Some(code), "{lines:?}");
    process.assert_no_result(code);
    assert_eq!(lines.len(), 1, "exactly one line: {lines:#?}");
    for word in words {
        assert!(lines[0].contains(word), "{word:?} is not in {:?}", lines[0]);
    }
    println!("{}", lines[0]);
}

/// Returns a testbed with a small image, and the image's path.
fn testbed() -> (Testbed, String) {
    let testbed = Testbed::loopback();
    let file = testbed.path("image.raw");
    fs::write(&file, [7; 1000]).expect("the testbed's directory takes a file");
    (testbed, text(file))
}

/// Returns the path of a copy of the testbed's key that everybody may read.
fn readable_key(testbed: &Testbed) -> String {
    let length = fs::metadata(testbed.key()).expect("the testbed's key").len();
    key_of(testbed, usize::try_from(length).expect("a key's length"), 0o644)
}

fn key_of(testbed: &Testbed, bytes: usize, mode: u32) -> String {
    let path = testbed.path("bad.key");
    let mut content = fs::read(testbed.key()).expect("the testbed's key");
    content.truncate(bytes);
    fs::write(&path, content).expect("the testbed's directory takes a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
    text(path)
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("UTF-8")
}
