//! Bad input to either program: exit 2, exactly one line on standard error that names what is wrong, nothing on
//! standard output.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use glancecast_tests::exclusive::Share;
use glancecast_tests::process::Process;
use glancecast_tests::stage::{SOON, Stage, list};

#[test]
fn the_sender_names_an_unknown_interface() {
    let (stage, file) = stage();
    refused(stage.push(&["--file", &file, "--expect", "1", "--interface", "nosuch0"]).process, &["nosuch0"]);
}

#[test]
fn the_sender_names_a_group_that_is_not_multicast() {
    let (stage, file) = stage();
    let push = stage.push(&["--file", &file, "--expect", "1", "--group", "192.0.2.7:7167"]);
    refused(push.process, &["192.0.2.7", "multicast"]);
}

#[test]
fn the_sender_names_a_key_file_of_the_wrong_length() {
    let (stage, file) = stage();
    let key = key_of(&stage, 7, 0o600);
    refused(stage.push(&["--file", &file, "--expect", "1", "--key", &key]).process, &[&key, "7"]);
}

#[test]
fn the_sender_names_a_key_file_that_others_may_read() {
    let (stage, file) = stage();
    let key = readable_key(&stage);
    refused(stage.push(&["--file", &file, "--expect", "1", "--key", &key]).process, &[&key, "chmod"]);
}

#[test]
fn the_sender_names_a_key_file_that_is_not_there() {
    let (stage, file) = stage();
    let key = text(stage.path("nosuch.key"));
    refused(stage.push(&["--file", &file, "--expect", "1", "--key", &key]).process, &[&key]);
}

#[test]
fn the_sender_names_an_mtu_that_is_too_small() {
    let (stage, file) = stage();
    refused(stage.push(&["--file", &file, "--expect", "1", "--mtu", "100"]).process, &["100", "MTU"]);
}

#[test]
fn the_sender_does_not_expect_zero_hosts() {
    let (stage, file) = stage();
    refused(stage.push(&["--file", &file, "--expect", "0"]).process, &["--expect"]);
}

#[test]
fn the_sender_names_a_file_that_is_not_there() {
    let (stage, _) = stage();
    let file = text(stage.path("nosuch.raw"));
    refused(stage.push(&["--file", &file, "--expect", "1"]).process, &[&file]);
}

#[test]
fn the_sender_names_a_file_that_is_a_directory() {
    let (stage, _) = stage();
    let directory = text(stage.store("r1"));
    refused(stage.push(&["--file", &directory, "--expect", "1"]).process, &[&directory, "directory"]);
}

#[test]
fn the_sender_names_a_rate_that_is_none() {
    let (stage, file) = stage();
    refused(stage.push(&["--file", &file, "--expect", "1", "--rate", "fast"]).process, &["fast"]);
}

#[test]
fn the_sender_wants_a_key_or_a_word_for_going_without() {
    let (stage, file) = stage();
    let mut command = stage.command("s", "glancecast");
    command.args(["send", "--file", &file, "--expect", "1", "--interface", "lo"]);
    let process = Process::start("keyless", command, &stage.path(""));
    refused(process, &["--key", "--insecure"]);
}

#[test]
fn the_receiver_wants_to_know_whose_pushes_it_accepts() {
    let (stage, _) = stage();
    let receiver = |senders: &[&str]| {
        let mut command = stage.command("r1", "glancecastd");
        command.args(["--interface", "lo", "--store", &format!("directory:{}", stage.store("r1").display())]);
        command.arg("--key").arg(stage.key()).args(senders);
        Process::start("r1", command, &stage.path(""))
    };
    refused(
        receiver(&[]),
        &["--sender FILE", "glancecast keygen --all DIR", "DIR/sender.pub", "--sender any"],
    );
    let key = format!("ed25519:{}", "ab".repeat(32));
    refused(receiver(&["--sender", "any", "--sender", &key]), &["any", "exclude"]);
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
fn the_receiver_names_an_unknown_interface() {
    let (stage, _) = stage();
    refused(stage.start_receiver("r1", &["--interface", "nosuch0"]), &["nosuch0"]);
}

#[test]
fn the_receiver_names_a_group_that_is_not_multicast() {
    let (stage, _) = stage();
    refused(stage.start_receiver("r1", &["--group", "192.0.2.7:7167"]), &["192.0.2.7", "multicast"]);
}

#[test]
fn the_receiver_names_a_key_file_of_the_wrong_length() {
    let (stage, _) = stage();
    let key = key_of(&stage, 7, 0o600);
    refused(stage.start_receiver("r1", &["--key", &key]), &[&key, "7"]);
}

#[test]
fn the_receiver_names_a_key_file_that_others_may_read() {
    let (stage, _) = stage();
    let key = readable_key(&stage);
    refused(stage.start_receiver("r1", &["--key", &key]), &[&key, "chmod"]);
}

#[test]
fn the_receiver_names_a_store_that_is_not_there() {
    let (stage, _) = stage();
    let store = text(stage.path("nosuch"));
    refused(stage.start_receiver("r1", &["--store", &format!("directory:{store}")]), &[&store]);
}

#[test]
fn keygen_does_not_overwrite_a_key() {
    let (stage, _) = stage();
    let before = fs::read(stage.key()).expect("the stage's key");
    let mut command = stage.command("s", "glancecast");
    command.arg("keygen").arg(stage.key());
    refused(Process::start("keygen-again", command, &stage.path("")), &[&text(stage.key().to_path_buf())]);
    assert_eq!(fs::read(stage.key()).expect("still there"), before);
}

#[test]
fn keygen_makes_no_key_where_one_of_all_exists() {
    let (stage, _) = stage();
    let keys = stage.store("keys");
    fs::write(keys.join("sender.pub"), "ours\n").expect("the stage's directory takes a file");
    let mut command = stage.command("s", "glancecast");
    command.args(["keygen", "--all"]).arg(&keys);
    refused(
        Process::start("keygen-all", command, &stage.path("")),
        &["sender.pub", "exists", "nothing was made"],
    );
    assert_eq!(list(&keys), ["sender.pub"]);
}

#[test]
fn the_sender_names_an_image_id_in_upper_case() {
    let (stage, file) = stage();
    let id = "4B2C93EE-4F24-4CFD-8FCA-E1CF11AC1A44";
    refused(stage.push(&["--file", &file, "--expect", "1", "--image-id", id]).process, &[id, "lower-case"]);
}

/// Asserts that a process ends with exit 2 and one line that contains each of `words`.
#[track_caller]
fn refused(mut process: Process, words: &[&str]) {
    let end = process.wait(SOON);
    let lines = process.log_lines();
    assert_eq!(end.code(), Some(2), "{lines:?}");
    assert_eq!(process.output(), "", "standard output");
    assert_eq!(lines.len(), 1, "exactly one line: {lines:#?}");
    for word in words {
        assert!(lines[0].contains(word), "{word:?} is not in {:?}", lines[0]);
    }
    println!("{}", lines[0]);
}

/// A stage with a small image, and the image's path.
fn stage() -> (Stage, String) {
    let stage = Stage::loopback(Share::Shared);
    let file = stage.path("image.raw");
    fs::write(&file, [7; 1000]).expect("the stage's directory takes a file");
    (stage, text(file))
}

/// A copy of the stage's key that everybody may read.
fn readable_key(stage: &Stage) -> String {
    let length = fs::metadata(stage.key()).expect("the stage's key").len();
    key_of(stage, usize::try_from(length).expect("a key's length"), 0o644)
}

fn key_of(stage: &Stage, bytes: usize, mode: u32) -> String {
    let path = stage.path("bad.key");
    let mut content = fs::read(stage.key()).expect("the stage's key");
    content.truncate(bytes);
    fs::write(&path, content).expect("the stage's directory takes a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
    text(path)
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("UTF-8")
}
