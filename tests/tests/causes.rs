//! Why a host does not answer: what the sender says of it within seconds, and what the log of the host says.

use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::testbed::{SOON, Testbed};

#[test]
fn hosts_that_cannot_answer_are_named_with_what_to_look_at_before_five_seconds_have_passed() {
    let testbed = Testbed::loopback();
    let other_key = testbed.path("other.key");
    testbed.keygen(&other_key);
    let other_group = format!("239.255.0.9:{}", testbed.group().port());
    let _sound = testbed.receiver("sound", &[]);
    let mut of_another_key = testbed.receiver("key", &["--key", other_key.to_str().expect("UTF-8")]);
    let _of_another_group = testbed.receiver("group", &["--group", &other_group]);
    let source = testbed.path("image");
    image::random(&source, 1 << 20, Seed::draw());
    let push = |name: &str| {
        let file = source.to_str().expect("UTF-8");
        let hosts = "sound,key,group,stopped";
        testbed.push(&["--file", file, "--name", name, "--hosts", hosts, "--join-timeout", "4s"])
    };

    let mut first = push("first");
    let line = first.process.wait_for_log("not heard yet: group, key, stopped", SOON);
    assert!(first.process.age() < Duration::from_secs(5), "{:?}", first.process.age());
    for word in ["systemctl status glancecastd", "journalctl", "firewall", "--interface"] {
        assert!(line.contains(word), "{word} is not in {line}");
    }
    let warned = of_another_key.process.wait_for_log("sealed under another key", SOON);
    assert!(warned.contains("WARN") && warned.contains("--key"), "{warned}");
    let (_, report) = first.report(Duration::from_secs(30));
    report.assert_hosts(&[
        ("group", "never_answered"),
        ("key", "never_answered"),
        ("sound", "done"),
        ("stopped", "never_answered"),
    ]);

    // The second push is told of as well: an operator looks at the newest lines.
    let (_, _) = push("second").report(Duration::from_secs(30));
    let told = of_another_key.process.log_lines();
    let told = told.iter().filter(|line| line.contains("sealed under another key")).count();
    assert_eq!(told, 2, "once for each push");
}
