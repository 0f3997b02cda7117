//! Queries to the group: which hosts there are, which hold an image, whether a copy is intact, and ending a pin.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::measured;
use glancecast_tests::testbed::{Receiver, SOON, Testbed};
use serde_json::Value;

#[test]
fn hosts_say_who_they_are_and_a_dead_one_is_missed() {
    let testbed = Testbed::loopback();
    let mut receivers = ["r1", "r2", "r3"].map(|host| testbed.receiver(host, &[]));
    push(&testbed, "image", &["--hosts", "r1,r2,r3"]);
    receivers[2].process.terminate(SOON);

    let (code, answer) = testbed.ask(&["hosts", "--hosts", "r1,r2,r3"]);
    assert_eq!(code, 3, "{answer}");
    assert!(answer["reason"].as_str().expect("why").contains("r3"), "{answer}");
    for host in ["r1", "r2"] {
        let row = row(&answer, host);
        assert_eq!((&row["state"], &row["held"], &row["pinned"]), (&"answered".into(), &1.into(), &0.into()));
        assert!(row["software"].as_str().expect("text").starts_with("glancecastd "), "{row}");
        assert_eq!(row["store"], format!("directory:{}", testbed.store(host).display()));
        assert!(row["free_bytes"].as_u64().expect("a number") > 0, "{row}");
    }
    assert_eq!(row(&answer, "r3")["state"], "never_answered");

    let (code, answer) = testbed.ask(&["hosts", "--expect", "2"]);
    assert_eq!(code, 0, "{answer}");
    measured!("2 of 2 expected hosts answered in {} s", answer["seconds"]);
}

#[test]
fn nobody_answers_a_query_under_another_key() {
    let testbed = Testbed::loopback();
    let _receiver = testbed.receiver("r1", &[]);
    let (code, answer) = testbed.ask(&["hosts", "--insecure"]);
    assert_eq!((code, answer["hosts"].as_array().expect("rows").len()), (3, 0), "{answer}");
    assert!(answer["reason"].as_str().expect("why").contains("--group, --key"), "{answer}");
}

#[test]
fn status_says_who_holds_an_image() {
    let testbed = Testbed::loopback();
    let _holds = testbed.receiver("r1", &[]);
    let sum = push(&testbed, "image", &["--hosts", "r1", "--image-id", IMAGE_ID]);
    let _does_not = testbed.receiver("r2", &[]);

    for name in ["image", IMAGE_ID] {
        let (code, answer) = testbed.ask(&["status", name, "--hosts", "r1"]);
        assert_eq!(code, 0, "{answer}");
        let object = &row(&answer, "r1")["objects"][0];
        assert_eq!(
            (&object["verdict"], &object["root"]),
            (&"held".into(), &sum.as_str().into()),
            "{name}: {object}"
        );
        assert_eq!((&object["image_id"], &object["pinned"]), (&IMAGE_ID.into(), &"no".into()), "{object}");
        assert!(object["proven"].as_str().expect("a time").ends_with('Z'), "{object}");
    }
    let (code, answer) = testbed.ask(&["status", "image", "--hosts", "r1,r2"]);
    assert_eq!(code, 3, "{answer}");
    assert!(answer["reason"].as_str().expect("why").contains("not held by r2"), "{answer}");
    let (code, answer) = testbed.ask(&["status", "another", "--expect", "2"]);
    assert!(
        code == 3 && answer["reason"].as_str().expect("why").contains("nobody holds another"),
        "{answer}"
    );
}

#[test]
fn verify_finds_the_copy_whose_byte_flipped_and_the_one_that_is_gone() {
    let testbed = Testbed::loopback();
    let receivers = ["r1", "r2", "r3"].map(|host| testbed.receiver(host, &[]));
    push(&testbed, "image", &["--hosts", "r1,r2,r3"]);
    let (code, answer) = testbed.ask(&["verify", "image", "--hosts", "r1,r2,r3"]);
    assert_eq!(code, 0, "{answer}");

    flip(&receivers[1]);
    fs::remove_file(receivers[2].store.join("image")).expect("published");
    let (code, answer) = testbed.ask(&["verify", "image", "--hosts", "r1,r2,r3"]);
    assert_eq!(code, 3, "{answer}");
    assert_eq!(row(&answer, "r1")["objects"][0]["verdict"], "intact");
    let differs = &row(&answer, "r2")["objects"][0];
    assert_eq!(differs["verdict"], "differs", "{differs}");
    assert_eq!(differs["found_root"], image::blake3_of(&receivers[1].store.join("image")), "{differs}");
    assert_eq!(row(&answer, "r3")["objects"], Value::Array(Vec::new()), "{answer}");
    let reason = answer["reason"].as_str().expect("why");
    assert!(reason.contains("on r2") && reason.contains("not held by r3"), "{reason}");
}

#[test]
fn a_host_that_holds_many_images_names_them_all() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    for i in 0..IMAGES {
        push_bytes(&testbed, &format!("image-{i:02}"), 1_000, &["--hosts", "r1"]);
    }
    let (code, answer) = testbed.ask(&["hosts", "--hosts", "r1"]);
    assert_eq!(code, 0, "{answer}");
    let named: Vec<&str> = row(&answer, "r1")["objects"]
        .as_array()
        .expect("objects")
        .iter()
        .filter_map(|o| o["name"].as_str())
        .collect();
    let expected: Vec<String> = (0..IMAGES).map(|i| format!("image-{i:02}")).collect();
    assert_eq!(named, expected);
    assert_eq!(row(&answer, "r1")["held"], IMAGES);
    drop(receiver);
}

#[test]
fn unpin_lets_go_of_what_was_kept_and_says_so() {
    let testbed = Testbed::loopback();
    let _receivers = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    push(&testbed, "image", &["--hosts", "r1,r2", "--pin", "forever"]);
    let (_, answer) = testbed.ask(&["hosts", "--hosts", "r1,r2"]);
    assert_eq!(row(&answer, "r1")["pinned"], 1, "{answer}");

    let (code, answer) = testbed.ask(&["unpin", "image", "--hosts", "r1,r2"]);
    assert_eq!(code, 0, "{answer}");
    for host in ["r1", "r2"] {
        let object = &row(&answer, host)["objects"][0];
        assert_eq!(
            (&object["verdict"], &object["was_pinned"]),
            (&"let_go".into(), &"forever".into()),
            "{object}"
        );
    }
    let (_, answer) = testbed.ask(&["unpin", "image", "--hosts", "r1,r2"]);
    assert_eq!(row(&answer, "r2")["objects"][0]["verdict"], "not_pinned", "{answer}");
    let (_, answer) = testbed.ask(&["status", "image", "--hosts", "r1,r2"]);
    assert_eq!(row(&answer, "r2")["objects"][0]["pinned"], "no", "{answer}");
}

#[test]
fn a_host_in_the_middle_of_a_push_answers_and_the_push_goes_on() {
    let testbed = Testbed::loopback();
    let mut receiver = testbed.receiver("r1", &[]);
    push(&testbed, "before", &["--hosts", "r1"]);
    let source = source(&testbed, "image", 12 << 20);
    let mut sender =
        testbed.push(&["--file", source.to_str().expect("UTF-8"), "--hosts", "r1", "--rate", "20mbit"]);
    receiver.process.wait_for_log("name=\"image\"", SOON);

    let (code, answer) = testbed.ask(&["verify", "before", "--hosts", "r1"]);
    assert_eq!((code, &row(&answer, "r1")["objects"][0]["verdict"]), (0, &"intact".into()), "{answer}");
    assert!(sender.process.runs(), "it was asked during the push");
    let (_, report) = sender.report(Duration::from_secs(60));
    report.assert_hosts(&[("r1", "done")]);
}

#[test]
fn the_table_names_hosts_and_verdicts() {
    let testbed = Testbed::loopback();
    let receivers = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    push(&testbed, "image", &["--hosts", "r1,r2"]);
    flip(&receivers[1]);
    let (code, table) = testbed.ask_for_table(&["verify", "image", "--hosts", "r1,r2,r9"]);
    assert_eq!(code, 3, "{table}");
    let line = |host: &str| table.lines().find(|line| line.starts_with(host)).unwrap_or_default();
    assert!(line("r1").contains("intact") && line("r2").contains("differs"), "{table}");
    assert!(line("r9").contains("never answered"), "{table}");
    assert!(table.contains("incomplete: "), "{table}");
}

/// Pushes a random image of some MiB and returns its sum.
fn push(testbed: &Testbed, name: &str, arguments: &[&str]) -> String {
    push_bytes(testbed, name, 3 << 20, arguments)
}

fn push_bytes(testbed: &Testbed, name: &str, bytes: u64, arguments: &[&str]) -> String {
    let source = source(testbed, name, bytes);
    let usual = ["--file", source.to_str().expect("UTF-8"), "--rate", "400mbit"];
    let (end, report) = testbed.push(&[&usual, arguments].concat()).report(Duration::from_secs(30));
    assert_eq!(end.code(), Some(0), "{report:?}");
    image::blake3_of(&source)
}

fn source(testbed: &Testbed, name: &str, bytes: u64) -> PathBuf {
    let source = testbed.path(name);
    image::random(&source, bytes, Seed::draw());
    source
}

/// Flips one bit of the published copy, in place.
pub(crate) fn flip(receiver: &Receiver) {
    let path = receiver.store.join("image");
    let file = OpenOptions::new().read(true).write(true).open(path).expect("published");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1_234_567).expect("long enough");
    file.write_all_at(&[byte[0] ^ 1], 1_234_567).expect("ours");
    file.sync_all().expect("on the disk");
}

#[track_caller]
fn row<'a>(answer: &'a Value, host: &str) -> &'a Value {
    let rows = answer["hosts"].as_array().expect("rows");
    rows.iter().find(|row| row["name"] == host).unwrap_or_else(|| panic!("no row for {host}: {answer}"))
}

/// Enough images for several pages.
const IMAGES: usize = 64;
const IMAGE_ID: &str = "0b7c2b9e-6a0f-4c0f-9d52-3f7d8f1f6a11";
