//! Hostile networks, with real programs and real sockets: what a stranger on the network and a host with the group's
//! key can do, and what they cannot. `docs/security.md` names these tests row by row.

mod attackers;
mod beside;
mod forged;
mod insiders;
mod relays;
mod timed;

use std::fs;
use std::path::Path;
use std::time::Duration;

use attackers::{Crowd, Poison, lie};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{HostName, ObjectName, ReceiverId, Sequence};
use glancecast_proto::wire::{Failed, FailureKind, Kind, Outcome, Totals, Up};
use glancecast_testkit::hex;
use glancecast_tests::attacker::{Attack, Attacker, header};
use glancecast_tests::image::{self, Seed};
use glancecast_tests::measured;
use glancecast_tests::process::Process;
use glancecast_tests::sender_keys::SenderKeys;
use glancecast_tests::testbed::{Push, Receiver, SOON, Testbed};

#[test]
fn bad_symbols_of_a_host_with_the_key_are_dropped_and_asked_for_again() {
    let testbed = Testbed::loopback();
    let keys = SenderKeys::of(&testbed);
    let mut receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    let options = ["--hosts", "r1", "--rate", "60mbit", "--sender-key", &keys.secret];
    let push = push_of(&testbed, "image.raw", 8 << 20, Seed::draw(), &options);
    let poison = Poison::start(&testbed, 2);
    let (_, report) = push.complete(&receiver);
    let poison = poison.stop();
    receiver.process.terminate(SOON);
    let bad = told_corrupt(&receiver.process);
    measured!(
        "{bad} blocks were bad in 8 tries after {} bad symbols; {:.2} times the least on the wire",
        poison.sent,
        report.overhead()
    );
    assert!(bad >= 4, "{bad} of {} bad symbols did harm", poison.sent);
}

#[test]
fn bad_symbols_without_end_cost_rounds_of_repair_and_not_the_push() {
    let testbed = Testbed::loopback();
    let keys = SenderKeys::of(&testbed);
    let mut receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    let options = ["--hosts", "r1", "--rate", "200mbit", "--sender-key", &keys.secret];
    let push = push_of(&testbed, "image.raw", 3 << 20, Seed::draw(), &options);
    let poison = Poison::start(&testbed, u32::MAX);
    let (_, report) = push.complete(&receiver);
    let poison = poison.stop();
    receiver.process.terminate(SOON);
    measured!(
        "complete after {:.2} s, {} bad symbols and {} bad blocks",
        report.seconds,
        poison.sent,
        told_corrupt(&receiver.process)
    );
}

#[test]
fn a_host_with_the_key_cannot_speak_for_a_sender_that_signs() {
    let testbed = Testbed::loopback();
    let keys = SenderKeys::of(&testbed);
    let mut receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    let options = ["--hosts", "r1", "--rate", "40mbit", "--sender-key", &keys.secret];
    let push = push_of(&testbed, "image.raw", 8 << 20, Seed::draw(), &options);
    let insider = Attacker::join(&testbed).with_key(testbed.key());
    let mut number = 100;
    let attack = Attack::start(insider, Duration::from_millis(5), move |insider| {
        number += 97;
        lie(insider, number);
    });
    push.complete(&receiver);
    attack.stop();
    receiver.process.terminate(SOON);
    let log = receiver.process.log_lines();
    let discarded =
        log.iter().rev().find(|line| line.contains("discarded datagrams")).expect("said at its end");
    assert!(discarded.contains("bad_signature"), "{discarded}");
    assert_eq!(log.iter().filter(|line| line.contains(" receiving")).count(), 1, "{log:?}");
    measured!("{}", discarded.split_once("discarded").expect("just found").1);
}

#[test]
fn a_host_with_the_key_cannot_push_to_those_who_list_their_senders() {
    let testbed = Testbed::loopback();
    let (ours, theirs) = (SenderKeys::of(&testbed), SenderKeys::named(&testbed, "theirs"));
    let mut receiver = testbed.receiver("r1", &["--sender", &ours.public]);
    for (name, signed) in [("unsigned.raw", &[][..]), ("theirs.raw", &["--sender-key", &theirs.secret])] {
        let options = [&["--hosts", "r1", "--rate", "200mbit", "--timeout", "4s"], signed].concat();
        let mut push = push_of(&testbed, name, 1 << 20, Seed::draw(), &options);
        let (end, report) = push.process.report(PATIENCE);
        assert_eq!(end.code(), Some(3), "{report:?}");
        report.assert_hosts(&[("r1", "failed")]);
        let reason = report.host("r1").reason.as_deref().unwrap_or_default();
        assert!(!reason.contains(&theirs.public) || signed.contains(&theirs.secret.as_str()), "{reason}");
        assert!(
            reason.contains("does not list this sender") || reason.contains("signed pushes only"),
            "{reason}"
        );
    }
    receiver.process.terminate(SOON);
    assert_eq!(receiver.stored(), [""; 0]);
    let log = receiver.process.log_lines();
    assert_eq!(log.iter().filter(|line| line.contains("are refused")).count(), 2, "each told once: {log:?}");
    assert!(log.last().expect("a line").contains("unknown_sender"), "{log:?}");
}

#[test]
fn forged_reports_neither_stop_a_push_nor_make_it_exceed_its_rate() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let push =
        push_of(&testbed, "image.raw", 32 << 20, Seed::draw(), &["--expect", "1", "--rate", "120mbit"]);
    let attack = Crowd::start(&testbed);
    let (_, report) = push.complete(&receiver);
    let crowd = attack.stop();
    let rate = report.wire.frame_bytes as f64 * 8.0 / report.seconds;
    measured!(
        "{:.2} s, {:.1} Mbit/s of 120, {:.2} times the least on the wire, {} forged words",
        report.seconds,
        rate / 1e6,
        report.overhead(),
        crowd.number
    );
    assert!(rate <= 1.05 * 120e6, "{rate}");
    assert!(report.overhead() <= 1.3, "{}", report.overhead());
    assert!(report.hosts.len() > 1, "they are in the table: they were listened to, or this shows nothing");
}

#[test]
fn hosts_that_a_push_is_not_for_cannot_influence_it() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let options = ["--hosts", "r1", "--rate", "120mbit"];
    let push = push_of(&testbed, "image.raw", 32 << 20, Seed::draw(), &options);
    let attack = Crowd::start(&testbed);
    let (_, report) = push.complete(&receiver);
    attack.stop();
    report.assert_hosts(&[("r1", "done")]);
    measured!("{:.2} s, {:.2} times the least on the wire", report.seconds, report.overhead());
    assert!(report.overhead() < 1.2, "nothing is repaired for them: {}", report.overhead());
}

#[test]
fn a_forged_failure_in_the_name_of_a_host_does_not_stop_it() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    assert_eq!(testbed.ask(&["hosts", "--enroll", "--hosts", "r1"]).0, 0);
    let mut push =
        push_of(&testbed, "image.raw", 4 << 20, Seed::draw(), &["--hosts", "r1", "--rate", "20mbit"]);
    let insider = Attacker::join(&testbed).with_key(testbed.key());
    let (id, name) = (ReceiverId([7; 8]), HostName::new("r1").expect("plain"));
    for number in 0..20 {
        insider.greet(&name, id, 2 * number + 1);
        let (kind, totals) = (FailureKind::Store, Totals::default());
        let receipt = insider.receipt(&name, Outcome::Failed(kind));
        let failed = Failed { kind, reason: "forged".into(), totals, receipt };
        insider.say_up(&Up::Failed(failed), id, 2 * number + 2);
        std::thread::sleep(Duration::from_millis(50));
    }
    let (_, report) = push.process.report(PATIENCE);
    assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), push.sum);
    report.assert_hosts(&[("r1", "done")]);
    let log = push.process.process.log_lines();
    assert!(log.iter().any(|line| line.contains("has another key")), "{log:?}");
}

#[test]
fn two_senders_on_one_group_are_served_one_after_the_other() {
    let testbed = Testbed::loopback();
    let receivers = ["r1", "r2"].map(|host| testbed.receiver(host, &[]));
    let seed = Seed::draw();
    let options = ["--hosts", "r1,r2", "--rate", "40mbit"];
    let mut pushes = [("one.raw", seed), ("two.raw", seed.next())]
        .map(|(name, seed)| push_of(&testbed, name, 4 << 20, seed, &options));
    for push in &mut pushes {
        let (end, report) = push.process.report(PATIENCE);
        assert_eq!(end.code(), Some(0), "{report:?}");
        report.assert_hosts(&[("r1", "done"), ("r2", "done")]);
    }
    for receiver in &receivers {
        assert_eq!(receiver.stored(), ["one.raw", "two.raw"]);
        for push in &pushes {
            assert_eq!(image::blake3_of(&receiver.store.join(&push.name)), push.sum, "{}", push.name);
        }
    }
}

#[test]
fn a_session_id_that_is_used_again_changes_nothing() {
    let testbed = Testbed::loopback();
    let mut receiver = testbed.receiver("r1", &[]);
    let push = push_of(&testbed, "image.raw", 6 << 20, Seed::draw(), &["--hosts", "r1", "--rate", "40mbit"]);
    let insider = Attacker::join(&testbed).with_key(testbed.key());
    let recorded: Vec<Vec<u8>> = Vec::new();
    let attack = Attack::start((insider, recorded), Duration::from_millis(2), |(insider, recorded)| {
        recorded.extend(insider.attacker.hear().into_iter().map(|(_, datagram)| datagram));
        // The same id, another object.
        let mut other = insider.announced.announce.clone();
        other.name = ObjectName::new("other.raw").expect("plain");
        other.geometry = Geometry::new(1 << 20, 20, other.geometry.symbol_size()).expect("in range");
        let mut out = Vec::new();
        other.seal(insider.cipher(), None, Sequence::new(5).expect("small"), &mut out);
        insider.attacker.say(&out);
    });
    push.complete(&receiver);
    let (insider, recorded) = attack.stop();

    // Replays the whole session: its announcements are still fresh.
    assert!(recorded.iter().any(|datagram| header(datagram).is_some_and(|(kind, _)| kind == Kind::Announce)));
    for (at, datagram) in recorded.iter().enumerate() {
        insider.attacker.say(datagram);
        if at % 64 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    receiver.process.terminate(SOON);
    let log = receiver.process.log_lines();
    assert_eq!(log.iter().filter(|line| line.contains(" receiving")).count(), 1, "joined once: {log:?}");
    assert_eq!(receiver.stored(), ["image.raw"]);
    measured!("{} datagrams played again", recorded.len());
}

#[test]
fn while_keys_are_replaced_the_old_and_the_new_are_accepted() {
    let testbed = Testbed::loopback();
    let (old, new) = (SenderKeys::of(&testbed), SenderKeys::named(&testbed, "new"));
    let new_key = testbed.path("new.key");
    testbed.keygen(&new_key);
    let (old_group, new_group) = (text(testbed.key()), text(&new_key));
    let senders = testbed.path("senders");
    fs::write(&senders, format!("# the old one\n{}\n{}\n", old.public, new.public)).expect("writable");
    let arguments = ["--key", &old_group, "--key", &new_group, "--sender", &text(&senders)];
    let receiver = testbed.receiver("r1", &arguments);
    for (name, group, signer) in [("old.raw", &old_group, &old), ("new.raw", &new_group, &new)] {
        let options = ["--hosts", "r1", "--rate", "200mbit", "--key", group, "--sender-key", &signer.secret];
        let mut push = push_of(&testbed, name, 2 << 20, Seed::draw(), &options);
        let (end, report) = push.process.report(PATIENCE);
        assert_eq!(end.code(), Some(0), "{report:?}");
        assert_eq!(image::blake3_of(&receiver.store.join(name)), push.sum);
    }
}

#[test]
fn no_log_says_a_key_however_much_it_says() {
    let testbed = Testbed::loopback();
    let keys = SenderKeys::of(&testbed);
    let (key, group) = (text(testbed.key()), testbed.group().to_string());
    let mut command = testbed.command("r1", "glancecastd");
    let store = format!("directory:{}", testbed.store("r1").display());
    command.args(["--name", "r1", "--store", &store, "--interface", "lo", "--group", &group, "--key", &key]);
    command.args(["--sender", &keys.public, "--once", "--state"]).arg(testbed.state("r1"));
    command.env("RUST_LOG", "trace");
    let mut receiver = Process::start("r1", command, &testbed.path(""));
    receiver.wait_for_log(" listening", SOON);
    let file = testbed.path("image.raw");
    image::random(&file, 2 << 20, Seed::draw());
    let mut command = testbed.command("s", "glancecast");
    command.env("RUST_LOG", "trace");
    let options =
        ["--file", &text(&file), "--hosts", "r1", "--rate", "200mbit", "--sender-key", &keys.secret];
    let mut push = testbed.push_with(command, &options);
    let (end, report) = push.report(PATIENCE);
    assert_eq!(end.code(), Some(0), "{report:?}");
    receiver.wait(SOON);

    let group_key = fs::read(testbed.key()).expect("the testbed's key");
    let seed = |path: &Path| {
        let line = fs::read_to_string(path).expect("a secret key");
        line.trim().rsplit(':').next().expect("hex digits").to_owned()
    };
    let (secret, of_host) = (seed(Path::new(&keys.secret)), seed(&testbed.state("r1").join("host.key")));
    let hex = hex::encode(&group_key);
    let list = format!("{:?}", &group_key[..4]);
    let lines = [receiver.log_lines(), push.process.log_lines(), vec![push.process.output()]].concat();
    assert!(lines.len() > 3, "there is something to look at");
    for line in &lines {
        for word in [&hex[..16], &secret[..16], &of_host[..16], list.trim_matches(['[', ']'])] {
            assert!(!line.to_lowercase().contains(word), "{line}");
        }
    }
}

/// A push of a random image.
struct Pushed {
    process: Push,
    name: String,
    sum: String,
}

fn push_of(testbed: &Testbed, name: &str, bytes: u64, seed: Seed, options: &[&str]) -> Pushed {
    let file = testbed.path(name);
    let sum = image::random(&file, bytes, seed);
    let file = text(&file);
    // Loopback has a larger MTU than most networks.
    let mut arguments = vec!["--file", &file, "--mtu", "1500"];
    if !options.contains(&"--timeout") {
        arguments.extend(["--timeout", "60s"]);
    }
    arguments.extend(options);
    Pushed { process: testbed.push(&arguments), name: name.to_owned(), sum }
}

impl Pushed {
    /// Waits for the end; asserts that the push is complete and the receiver holds the image.
    #[track_caller]
    fn complete(
        mut self,
        receiver: &Receiver,
    ) -> (glancecast_tests::process::End, glancecast_tests::report::Report) {
        let (end, report) = self.process.report(PATIENCE);
        assert_eq!(end.code(), Some(0), "{report:?}");
        assert_eq!(image::blake3_of(&receiver.store.join(&self.name)), self.sum, "{}", self.name);
        (end, report)
    }
}

/// Returns the receiver's last count of blocks that did not match.
fn told_corrupt(receiver: &Process) -> u64 {
    let lines = receiver.log_lines();
    let mut counts = lines.iter().rev().filter_map(|line| {
        let (front, _) = line.split_once(" blocks since the start did not match")?;
        front.rsplit(' ').next()?.parse().ok()
    });
    counts.next().unwrap_or(0)
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

const PATIENCE: Duration = Duration::from_secs(80);
