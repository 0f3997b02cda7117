//! Why a host does not answer or does not get its copy, with each cause made for real: what the sender says of it
//! within five seconds, with the next step, and what the log of the host says at WARN, once for each push.
//!
//! The causes that need no network of their own are in `tests/tests/causes.rs`. A disk that is full is in `no_disk.rs`
//! and in `timed/disk.rs`.

use std::fs;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::needs;
use glancecast_tests::netns::{self, Lab, Offload, Shape};
use glancecast_tests::process::Process;
use glancecast_tests::report::Report;
use glancecast_tests::sender_keys::SenderKeys;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::{Push, Receiver, SOON, Testbed};
use glancecast_tests::{clock, wait};

#[test]
fn each_cause_is_named_on_the_sender_in_five_seconds_and_in_the_log_of_the_host_once_for_each_push() {
    needs!(NEEDS);
    let testbed = Testbed::lab(lab(13));
    let network = testbed.network();
    let (keys, other) = (SenderKeys::of(&testbed), SenderKeys::named(&testbed, "other"));
    let other_key = testbed.path("other.key");
    testbed.keygen(&other_key);
    let other_group = format!("239.255.0.9:{}", testbed.group().port());
    network.run("r6", "ip link add aside type veth peer name peer");
    network.run("r6", "ip link set peer up");
    network.run("r6", "ip addr add 10.99.0.1/24 dev aside");
    network.run("r6", "ip link set aside up");
    network.run("r8", "ip route del 10.77.0.0/16");
    network.run("r12", "ip link set eth0 mtu 1400");

    let _sound = testbed.receiver("r1", &[]);
    let mut key = testbed.receiver("r2", &["--key", other_key.to_str().expect("UTF-8")]);
    let _group = testbed.receiver("r3", &["--group", &other_group]);
    let mut clock = receiver_of_another_time(&testbed, "r4", 600);
    let mut unlisted = testbed.receiver("r5", &["--sender", &other.public]);
    let _aside = testbed.receiver("r6", &["--interface", "aside"]);
    let mut missing = testbed.start_receiver("r7", &["--interface", "eth9"]);
    let mut no_route = testbed.receiver("r8", &[]);
    let _named = testbed.receiver("r9", &["--name", "r9.example"]);
    let _twins = ["r10", "r11"].map(|host| testbed.receiver(host, &["--name", "twin"]));
    let mut deaf = testbed.receiver("r12", &[]);
    let mut content = testbed.receiver("r13", &[]);
    for name in ["first", "second"] {
        fs::write(content.store.join(name), b"something else").expect("writable");
    }
    let hosts = "r[1-9],r12,r13,off,twin";
    let arguments =
        ["--hosts", hosts, "--sender-key", &keys.secret, "--join-timeout", "8s", "--timeout", "40s"];

    let mut first = push(&testbed, "first", &arguments);
    let unheard = first.process.wait_for_log("not heard yet: ", SOON);
    // Of the hosts that say nothing that this sender can read, the next steps are named, in order.
    for host in ["off", "r2", "r3", "r6", "r7", "r8"] {
        assert!(
            unheard.contains(&format!(" {host},")) || unheard.contains(&format!(" {host}.")),
            "{host}: {unheard}"
        );
    }
    assert_in_order(
        &unheard,
        &["systemctl status glancecastd", "journalctl", "key or clock", "route", "group"],
    );
    let address = "10.77.1.2 has another group key";
    for (host, words) in [
        ("r2", &[address, "keygen --fingerprint"][..]),
        ("r4", &["its clock is 6", "ahead of the sender's: set the clocks"]),
        ("r5", &["does not list this sender: add ed25519:", "to its senders"]),
        ("r9", &["Is it r9.example", "Expect it by that name"]),
        ("twin", &["has another key than the one that is known"]),
        ("r12", &["hears announcements and no data", "--mtu"]),
        ("r13", &["exists with other content", "another --name"]),
    ] {
        let line = first.process.wait_for_log(words[0], SOON);
        assert!(line.contains("WARN"), "{line}");
        assert!(line.contains(host) || host == "r2", "{host}: {line}");
        assert!(words.iter().all(|word| line.contains(word)), "{host}: {words:?} in {line}");
    }
    let seconds = first.process.age();
    println!("all causes were named after {seconds:?}");
    assert!(seconds < Duration::from_secs(5), "{seconds:?}");

    let report = ended(first);
    let state = |host: &str| {
        let rows: Vec<&str> =
            report.hosts.iter().filter(|row| row.name == host).map(|row| row.state.as_str()).collect();
        rows.join(",")
    };
    let expected = [
        ("r1", "done"),
        ("off", "never_answered"),
        ("r2", "never_answered"),
        ("r3", "never_answered"),
        ("r4", "failed"),
        ("r5", "failed"),
        ("r6", "never_answered"),
        ("r7", "never_answered"),
        ("r8", "never_answered"),
        ("r9", "never_answered"),
        ("r13", "failed"),
    ];
    for (host, word) in expected {
        assert_eq!(state(host), word, "{host}");
    }
    assert_ne!(state("r12"), "done");

    let told = |host: &mut Receiver, words: &str| count_warnings(&host.process, words);
    let causes = |host: &str| match host {
        "r2" => "sealed under another key",
        "r4" => "set the clocks",
        "r5" => "are refused, as this host does not list it",
        "r8" => "no answer can be sent to the sender: Network is unreachable",
        "r12" => "none of its data",
        _ => "exists with other content",
    };
    ended(push(&testbed, "second", &arguments));
    for (host, receiver) in [
        ("r2", &mut key),
        ("r4", &mut clock),
        ("r5", &mut unlisted),
        ("r8", &mut no_route),
        ("r12", &mut deaf),
        ("r13", &mut content),
    ] {
        assert_eq!(
            told(receiver, causes(host)),
            2,
            "{host}: once for each push: {:#?}",
            receiver.process.log_lines()
        );
    }
    let line = missing.wait_for_log("hears nothing, and waits", SOON);
    assert!(line.contains("WARN") && line.contains("eth9"), "{line}");
}

#[test]
fn a_firewall_that_drops_the_answers_is_named_first_where_nobody_is_heard() {
    needs!(NEEDS);
    let testbed = Testbed::lab(lab(2));
    let mut hosts = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    testbed.network().run(
        Lab::SENDER,
        "nft add table inet wall; \
         add chain inet wall in { type filter hook input priority 0; }; \
         add rule inet wall in meta l4proto udp drop",
    );
    let mut blocked = push(&testbed, "image", &["--hosts", "r1,r2", "--join-timeout", "8s"]);
    let line = blocked.process.wait_for_log("not heard yet: r1, r2, nor any other host", SOON);
    assert!(line.contains("WARN") && line.contains("UDP 10.77.0.1:"), "{line}");
    assert_in_order(
        &line,
        &["firewall", "--reply-port", "--interface", "querier", "systemctl", "glancecast doctor"],
    );
    for host in &mut hosts {
        let line = host.process.wait_for_log("it answers no hello of this host", SOON);
        assert!(line.contains("WARN") && line.contains("--reply-port"), "{line}");
        assert!(line.contains("ip route get 10.77.0.1"), "{line}");
    }
    let seconds = blocked.process.age();
    assert!(seconds < Duration::from_secs(5), "{seconds:?}");
    let report = ended(blocked);
    report.assert_hosts(&[("r1", "never_answered"), ("r2", "never_answered")]);
    assert!(hosts.iter().all(|host| host.stored().is_empty()), "nothing was sent to nobody");
}

#[test]
fn what_a_diagnosis_finds_at_the_address_of_a_host_is_told_while_the_push_runs() {
    needs!(NEEDS);
    let testbed = Testbed::lab(lab(3));
    let network = testbed.network();
    let _sound = testbed.receiver("r1", &[]);
    let port = testbed.group().port();
    network.run(
        "r2",
        &format!(
            "nft add table inet wall; \
             add chain inet wall in {{ type filter hook input priority 0; }}; \
             add rule inet wall in udp dport {port} drop"
        ),
    );
    let _behind_a_firewall = testbed.receiver("r2", &[]);
    let to = "r1=10.77.1.1,r2=10.77.1.2,r3=10.77.1.3";
    let mut running = push(&testbed, "image", &["--to", to, "--join-timeout", "8s"]);
    for (host, id) in [("r3", "M28"), ("r2", "M04")] {
        let line = running.process.wait_for_log(&format!("{host}: {id}: "), SOON);
        assert!(line.contains("WARN") && line.contains("docs/doctor.md#"), "{line}");
    }
    let seconds = running.process.age();
    println!("found after {seconds:?}");
    assert!(seconds < Duration::from_secs(7), "{seconds:?}");
    ended(running);
}

/// Starts a push of a small image of this name.
fn push(testbed: &Testbed, name: &str, arguments: &[&str]) -> Push {
    let file = testbed.path(name);
    image::random(&file, 4 << 20, Seed::draw());
    let file = file.display().to_string();
    testbed.push_as(name, &[&["--file", &file, "--rate", "200mbit"], arguments].concat())
}

/// Waits for the end of a push that is incomplete.
fn ended(mut push: Push) -> Report {
    let (end, report) = push.report(Duration::from_secs(60));
    assert_eq!(end.code(), Some(3), "{report:?}");
    report
}

/// Starts a receiver whose clock is ahead by some seconds.
fn receiver_of_another_time(testbed: &Testbed, host: &str, seconds: i32) -> Receiver {
    let mut command = testbed.command(host, "glancecastd");
    clock::shift(&mut command, seconds);
    testbed.receiver_with(command, host, &[])
}

/// Counts the warnings of a process that contain these words, once they are there.
fn count_warnings(process: &Process, words: &str) -> usize {
    let warnings = || {
        let lines = process.log_lines();
        lines.iter().filter(|line| line.contains("WARN") && line.contains(words)).count()
    };
    wait::until(&format!("`{words}` twice"), SOON, || (warnings() >= 2).then_some(()));
    warnings()
}

/// Asserts that a line has these words, one after the other.
#[track_caller]
fn assert_in_order(line: &str, words: &[&str]) {
    let at: Vec<Option<usize>> = words.iter().map(|word| line.find(word)).collect();
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{words:?} in this order in {line}");
}

fn lab(receivers: usize) -> Lab {
    Lab::build(&Shape { receivers, offload: Offload::Off, loss_per_mille: 0, rate: None })
}

const NEEDS: &[Need] = &[netns::NEEDS[0], netns::NEEDS[1], netns::NEEDS[2], netns::NEEDS[3], clock::NEED];
