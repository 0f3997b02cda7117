//! Several images in one call: by name and by tag, one after the other.

use glancecast_tests::fake_cloud::{FakeCloud, Knobs, image};
use glancecast_tests::testbed::Testbed;
use serde_json::{Value, json};

use super::{SOON, ends, push};

#[test]
fn several_images_are_pushed_one_after_the_other_with_one_exit_code() {
    let testbed = Testbed::loopback();
    let cloud = FakeCloud::start(Knobs { images: images(), ..Knobs::default() });
    let receiver = testbed.receiver("r1", &[]);
    let push = |arguments: &[&str]| {
        let hosts = ["--hosts", "r1", "--timeout", "20s"];
        let mut process = self::push(&testbed, &cloud, &[arguments, &hosts].concat()).process;
        let code = process.wait(SOON).code().expect("no signal");
        let reports: Vec<Value> = process
            .output()
            .lines()
            .map(|line| serde_json::from_str(line).expect("an object a line"))
            .collect();
        let outcome = |report: &Value| {
            let name = report["object"]["name"].as_str().unwrap_or("-").to_owned();
            (name, report["exit_code"].as_i64().expect("a number"))
        };
        (code, reports.iter().map(outcome).collect::<Vec<_>>(), process.log_lines())
    };
    let done = |name: &str| (name.to_owned(), 0);
    let (code, outcomes, lines) = push(&["alpha", "beta", "alpha"]);
    assert_eq!((code, outcomes), (0, vec![done("alpha"), done("beta")]), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("image 2 of 2: beta")), "{lines:?}");
    assert_eq!(receiver.stored(), ["alpha", "beta"]);

    let (code, outcomes, lines) = push(&["alpha", "broken", "gamma"]);
    assert_eq!(code, 2, "the worst one: {lines:?}");
    assert_eq!(outcomes, [done("alpha"), ("-".to_owned(), 2), done("gamma")]);

    let (code, outcomes, lines) = push(&["--tag", "nightly", "--latest"]);
    assert_eq!((code, outcomes), (0, vec![done("delta")]), "{lines:?}");
    let (code, outcomes, lines) = push(&["--tag", "nightly"]);
    assert_eq!((code, outcomes), (0, vec![done("gamma"), done("delta")]), "{lines:?}");
}

#[test]
fn an_image_of_several_that_is_not_there_is_named_before_anything_is_sent() {
    let testbed = Testbed::loopback();
    let cloud = FakeCloud::start(Knobs { images: images(), ..Knobs::default() });
    let receiver = testbed.receiver("r1", &[]);
    let push = |arguments: &[&str]| self::push(&testbed, &cloud, arguments).process;
    ends(push(&["--hosts", "r1", "alpha", "r2"]), 2, &["r2"]);
    ends(push(&["--hosts", "r1", "--tag", "weekly"]), 2, &["weekly"]);
    assert_eq!(receiver.stored(), [""; 0]);
}

/// Four images, of which one has a format that nobody knows, and the last two have a tag.
fn images() -> Vec<Value> {
    let record = |(number, (name, tags)): (usize, (&str, &[&str]))| {
        let mut image = image(&Knobs::default().data);
        image["id"] = json!(format!("11111111-2222-4333-8444-00000000000{number}"));
        image["created_at"] = json!(format!("2026-01-0{}T00:00:00Z", number + 1));
        (image["name"], image["tags"]) = (json!(name), json!(tags));
        image
    };
    let names: [(&str, &[&str]); 5] =
        [("alpha", &[]), ("beta", &[]), ("broken", &[]), ("gamma", &["nightly"]), ("delta", &["nightly"])];
    let mut images: Vec<Value> = names.into_iter().enumerate().map(record).collect();
    images[2]["disk_format"] = json!("ploop");
    images
}
