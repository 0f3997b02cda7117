//! Images by name, and the list of images.

use glancecast_tests::fake_cloud::{FakeCloud, IMAGE_ID, Knobs, image};
use glancecast_tests::process::Process;
use glancecast_tests::testbed::Testbed;
use serde_json::{Value, json};

use super::{SOON, command, ends, names, push};

#[test]
fn of_several_images_of_a_name_the_active_or_the_latest_is_taken() {
    let testbed = Testbed::loopback();
    let (old, new) = ("11111111-2222-4333-8444-000000000001", "11111111-2222-4333-8444-000000000002");
    let named = |id: &str, status: &str, created: &str| {
        let mut image = image(&Knobs::default().data);
        (image["id"], image["status"], image["created_at"]) = (json!(id), json!(status), json!(created));
        image
    };
    let cloud = |images: Vec<Value>| FakeCloud::start(Knobs { images, page: 1, ..Knobs::default() });
    let (january, february) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    let both = cloud(vec![named(new, "active", february), named(old, "active", january)]);
    let query = |cloud: &FakeCloud, arguments: &[&str]| {
        let mut command = command(&testbed, cloud, &[]);
        command.args(arguments).args(["--wait", "100ms", "--group", &testbed.group().to_string()]);
        command.args(["--interface", "lo", "--unsigned", "--key"]).arg(testbed.key());
        command.arg("--known-hosts").arg(testbed.known_hosts());
        Process::start("query", command, &testbed.path(""))
    };
    let words = ["2 active images are named `debian`", old, new, "--latest", january];
    ends(push(&testbed, &both, &["debian", "--expect", "1"]).process, 2, &words);
    for command in ["status", "verify", "unpin"] {
        let looked_up = [command, "debian", "--availability-zone", "nova"];
        ends(query(&both, &looked_up), 2, &["no compute host"]);
    }
    let with_hosts =
        |images| FakeCloud::start(Knobs { images, page: 1, hosts: vec!["r1".into()], ..Knobs::default() });
    let both = with_hosts(vec![named(new, "active", february), named(old, "active", january)]);
    for command in ["status", "verify", "unpin"] {
        let looked_up = [command, "debian", "--availability-zone", "nova"];
        ends(query(&both, &looked_up), 2, &words);
        let mut latest = query(&both, &[&looked_up[..], &["--latest", "--json"]].concat());
        assert_eq!(latest.wait(SOON).code(), Some(3), "nobody listens");
        assert!(latest.output().contains(new) && !latest.output().contains(old), "{}", latest.output());
    }

    let _receiver = testbed.receiver("r1", &[]);
    for (images, arguments, id) in [
        (vec![named(new, "active", february), named(old, "active", january)], &["--latest"][..], new),
        (vec![named(new, "queued", february), named(old, "active", january)], &[], old),
    ] {
        let arguments = [&["debian", "--hosts", "r1"][..], arguments].concat();
        let (end, report) = push(&testbed, &cloud(images), &arguments).report(SOON);
        assert_eq!((end.code(), report.object.image_id.as_deref()), (Some(0), Some(id)), "{report:?}");
    }
    let tie = cloud(vec![named(new, "active", january), named(old, "active", january)]);
    let words = ["--latest does not choose", "same time", old, new];
    ends(push(&testbed, &tie, &["debian", "--latest", "--expect", "1"]).process, 2, &words);
}

#[test]
fn a_name_is_exact_and_the_list_says_what_cannot_be_pushed() {
    let testbed = Testbed::loopback();
    let record = |(number, name): (usize, &&str)| {
        let mut image = image(b"x");
        (image["id"], image["name"]) = (json!(format!("{}{number}", &IMAGE_ID[..35])), json!(name));
        image
    };
    let mut records: Vec<Value> = ["in:a,b", "a", "b", "debian"].iter().enumerate().map(record).collect();
    records[1]["container_format"] = json!("ovf");
    records[2]["status"] = json!("queued");
    let long = "n".repeat(255);
    records[3]["name"] = json!(long);
    records.insert(0, json!({"id": 5}));
    let cloud = FakeCloud::start(Knobs { images: records, page: 2, ..Knobs::default() });
    let run = |arguments: &[&str]| {
        let mut command = command(&testbed, &cloud, &[]);
        command.arg("images").args(arguments);
        let mut process = Process::start("images", command, &testbed.path(""));
        assert_eq!(process.wait(SOON).code(), Some(0), "{:?}", process.log_lines());
        process
    };
    assert_eq!(names(&mut run(&["--name", "in:a,b", "--json"])), ["in:a,b"]);
    assert_eq!(names(&mut run(&["--name", "a", "--json"])), ["a"]);
    let all: Value = serde_json::from_str(&run(&["--json"]).output()).expect("JSON");
    assert_eq!(all["images"][1]["container_format"], "ovf");
    assert!(all["images"][1]["obstacle"].as_str().is_some_and(|text| text.contains("ovf")), "{all}");
    assert_eq!(all["images"][0]["obstacle"], Value::Null);
    assert_eq!(all["images"][3]["name"], json!(long));
    let table = run(&[]).output();
    assert!(
        table.contains("it is queued") && table.contains("CONTAINER") && !table.contains(&long),
        "{table}"
    );
    assert!(table.lines().all(|line| line.chars().count() < 180), "{table}");
}
