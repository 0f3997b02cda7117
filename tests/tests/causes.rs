//! Why a host does not answer: what the sender says of it within seconds, and what the log of the host says.

use std::time::Duration;

use glancecast_platform::keyfile;
use glancecast_proto::ids::HostName;
use glancecast_proto::wire::{Announce, Notice, VERSION};
use glancecast_tests::attacker::Attacker;
use glancecast_tests::image::{self, Seed};
use glancecast_tests::testbed::{SOON, Testbed};
use glancecast_tests::wait;

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

#[test]
fn a_host_at_work_on_another_push_is_busy_with_that_image() {
    let testbed = Testbed::loopback();
    let mut host = testbed.receiver("a", &[]);
    let source = testbed.path("image");
    image::random(&source, 16 << 20, Seed::draw());
    let push = |name: &str, more: &[&str]| {
        let usual = ["--file", source.to_str().expect("UTF-8"), "--name", name, "--hosts", "a"];
        testbed.push_as(name, &[&usual, more].concat())
    };
    let mut first = push("jammy", &["--rate", "12mbit"]);
    host.process.wait_for_log("receiving", SOON);
    let (_, report) = push("noble", &["--timeout", "4s"]).report(Duration::from_secs(20));
    report.assert_hosts(&[("a", "busy")]);
    let reason = report.host("a").reason.clone().expect("it says with what");
    assert!(reason.contains("at work on the push of jammy") && reason.contains("push again"), "{reason}");

    let (_, report) = first.report(Duration::from_secs(60));
    report.assert_hosts(&[("a", "done")]);
}

#[test]
fn programs_of_two_versions_of_the_protocol_name_each_other() {
    let testbed = Testbed::loopback();
    let mut host = testbed.receiver("a", &[]);
    let source = testbed.path("image");
    image::random(&source, 8 << 20, Seed::draw());
    let arguments = [
        "--file",
        source.to_str().expect("UTF-8"),
        "--hosts",
        "a,next",
        "--rate",
        "20mbit",
        "--join-timeout",
        "4s",
    ];
    let mut push = testbed.push(&arguments);
    let mut insider = Attacker::join(&testbed).with_key(testbed.key());
    let heard = || insider.attacker.hear().pop().map(|(_, datagram)| datagram);

    // A sender of the next version: what it sends differs in the first byte at least.
    let mut datagram = wait::until("a datagram of the push", SOON, heard);
    datagram[0] = VERSION + 1;
    insider.attacker.say(&datagram);
    let line = host.process.wait_for_log("a sender speaks version 3 of the protocol", SOON);
    assert!(line.contains("WARN"), "{line}");

    // A host of the next version says so to the sender of this one.
    let key = keyfile::load(testbed.key()).expect("the testbed's key");
    let Announce { session, reply_to, .. } = insider.announced.announce;
    let name = HostName::new("next").expect("a name");
    let mut notice = Vec::new();
    Notice::seal_as(VERSION + 1, &name, "glancecastd 9.0", session.tag(), [7; 16], &key, &mut notice);
    insider.attacker.say_to(&notice, reply_to);
    let line = push.process.wait_for_log("it speaks version 3 of the protocol (glancecastd 9.0)", SOON);
    assert!(line.contains("WARN") && line.contains("upgrade the older one"), "{line}");
    assert!(line.contains("host=next"), "{line}");

    let (end, report) = push.report(Duration::from_secs(30));
    assert_eq!(end.code(), Some(3));
    report.assert_hosts(&[("a", "done"), ("next", "other_version")]);
}
