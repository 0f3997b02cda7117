//! What a node that has the group's key and a host key of its own cannot do to hosts that list their senders.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc;
use std::time::Duration;

use glancecast_platform::keyfile;
use glancecast_proto::ids::{HostName, ReceiverId, Sequence};
use glancecast_proto::integrity::Root;
use glancecast_proto::seal::{Cipher, TAG_BYTES};
use glancecast_proto::wire::{Announce, CommandOutcome, Done, Kind, Outcome, Totals, Up, UpHeader};
use glancecast_testkit::hex;
use glancecast_tests::attacker::{Attack, Attacker, Insider};
use glancecast_tests::image::Seed;
use glancecast_tests::measured;
use glancecast_tests::testbed::{SOON, Testbed};
use nix::sys::signal::Signal;

use super::attackers::Impostor;
use super::{PATIENCE, SenderKeys, push_of, text};

#[test]
fn nobody_says_that_a_host_which_has_failed_is_done() {
    let (testbed, keys) = signing();
    let receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    fs::write(receiver.store.join("image.raw"), vec![7; 4 << 20]).expect("writable");
    enroll(&testbed, &keys, "r1");
    let options = ["--hosts", "r1", "--rate", "100mbit", "--sender-key", &keys.secret];
    let mut push = push_of(&testbed, "image.raw", 4 << 20, Seed::draw(), &options);
    let attack = claiming_done(&testbed, &push.sum);
    let (end, report) = push.process.report(PATIENCE);
    attack.stop();
    assert_eq!(end.code(), Some(3), "{report:?}");
    report.assert_hosts(&[("r1", "failed")]);
}

#[test]
fn nobody_says_that_a_known_host_which_is_down_is_done() {
    let (testbed, keys) = signing();
    let mut receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    enroll(&testbed, &keys, "r1");
    receiver.process.terminate(SOON);
    let options = ["--hosts", "r1", "--rate", "100mbit", "--timeout", "20s", "--sender-key", &keys.secret];
    let mut push = push_of(&testbed, "image.raw", 1 << 20, Seed::draw(), &options);
    let attack = claiming_done(&testbed, &push.sum);
    let (end, report) = push.process.report(PATIENCE);
    attack.stop();
    assert_eq!(end.code(), Some(3), "{report:?}");
    report.assert_hosts(&[("r1", "key_changed")]);
    measured!("given up after {:.1} s", report.seconds);
}

#[test]
fn a_refused_announcement_does_not_divert_what_a_host_says() {
    let (testbed, keys) = signing();
    let options = ["--hosts", "r1", "--rate", "40mbit", "--sender-key", &keys.secret];
    let mut push = push_of(&testbed, "image.raw", 4 << 20, Seed::draw(), &options);
    let insider = Attacker::join(&testbed).with_key(testbed.key());
    // The host hears the forged announcement first.
    push.process.process.signal(Signal::SIGSTOP);
    let receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    let (refused, is_refused) = mpsc::channel();
    let attack = Attack::start((insider, Vec::new()), Duration::from_millis(2), move |(insider, heard)| {
        let mut forged = insider.announced.announce.clone();
        forged.reply_to = insider.attacker.address();
        forged.spread = Duration::ZERO;
        let mut out = Vec::new();
        forged.seal(insider.cipher(), None, Sequence::new(5).expect("small"), &mut out);
        insider.attacker.say(&out);
        let kinds = insider
            .attacker
            .hear_alone()
            .into_iter()
            .filter_map(|said| Some(UpHeader::parse(&said).ok()?.header.kind));
        heard.extend(kinds);
        if heard.contains(&Kind::Failed) {
            let _ = refused.send(());
        }
    });
    is_refused.recv_timeout(SOON).expect("the host refuses it");
    push.process.process.signal(Signal::SIGCONT);
    let (_, report) = push.complete(&receiver);
    let (_, heard) = attack.stop();
    report.assert_hosts(&[("r1", "done")]);
    assert!(!heard.contains(&Kind::Report) && !heard.contains(&Kind::Done), "{heard:?}");
}

#[test]
fn nobody_answers_for_another_host_that_its_copy_is_intact() {
    let (testbed, keys) = signing();
    let receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    let options = ["--hosts", "r1", "--rate", "200mbit", "--sender-key", &keys.secret];
    push_of(&testbed, "image.raw", 1 << 20, Seed::draw(), &options).complete(&receiver);
    let copy = receiver.store.join("image.raw");
    let mut bytes = fs::read(&copy).expect("published");
    bytes[77_777] ^= 1;
    fs::write(&copy, bytes).expect("writable");
    let impostor = Impostor::start(&testbed, "r1");
    let (code, report) = testbed.ask(&["verify", "image.raw", "--hosts", "r1", "--sender-key", &keys.secret]);
    let answered = impostor.stop().answered;
    assert!(answered > 0, "it was quick enough");
    assert_eq!(code, 3, "{report}");
    let states: Vec<&str> =
        report["hosts"].as_array().expect("rows").iter().filter_map(|host| host["state"].as_str()).collect();
    assert!(states.contains(&"answered") && states.contains(&"key_changed"), "{report}");
    assert!(report.to_string().contains("differs"), "{report}");
}

#[test]
fn ten_thousand_hellos_keep_no_known_host_out() {
    let (testbed, keys) = signing();
    let mut first = testbed.receiver("r1", &["--sender", &keys.public]);
    enroll(&testbed, &keys, "r1");
    first.process.terminate(SOON);
    let options = ["--hosts", "r1", "--rate", "60mbit", "--sender-key", &keys.secret];
    let push = push_of(&testbed, "image.raw", 8 << 20, Seed::draw(), &options);
    let insider = Attacker::join(&testbed).with_key(testbed.key());
    for number in 1..=10_000u64 {
        let name = if number % 2 == 0 { "r1".to_owned() } else { format!("made-up-{number}") };
        insider.greet(&HostName::new(&name).expect("plain"), ReceiverId(number.to_be_bytes()), 1);
    }
    let receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    let (_, report) = push.complete(&receiver);
    report.assert_hosts(&[("r1", "done")]);
}

#[test]
fn a_signed_announcement_is_worth_nothing_in_another_group() {
    let (testbed, keys) = signing();
    let other_key = testbed.path("other.key");
    testbed.keygen(&other_key);
    let mut elsewhere = testbed.receiver("r1", &["--sender", &keys.public, "--key", &text(&other_key)]);
    let options = ["--hosts", "r9", "--rate", "40mbit", "--timeout", "4s", "--sender-key", &keys.secret];
    let mut push = push_of(&testbed, "image.raw", 1 << 20, Seed::draw(), &options);
    let insider = Attacker::join(&testbed).with_key(testbed.key());
    let other = keyfile::load(&other_key).expect("a key");
    let ours = keyfile::load(testbed.key()).expect("a key");
    let attack = Attack::start((insider, 0u32), Duration::from_millis(2), move |(insider, moved)| {
        for (_, datagram) in insider.attacker.hear() {
            let Ok(session) = Announce::session_of(&datagram) else { continue };
            let Ok(announced) = Announce::open(&ours, &datagram) else { continue };
            // What the sender has signed, under the other group's key.
            let (clear, sealed) = datagram.split_at(26);
            let mut plain = vec![0; sealed.len() - TAG_BYTES];
            let opened = Cipher::downward(&ours, session).open(announced.sequence, clear, sealed, &mut plain);
            assert!(opened.is_ok());
            let mut out = vec![0; datagram.len()];
            out[..26].copy_from_slice(clear);
            Cipher::downward(&other, session).seal(announced.sequence, clear, &plain, &mut out[26..]);
            insider.attacker.say(&out);
            *moved += 1;
        }
    });
    push.process.report(PATIENCE);
    let (_, moved) = attack.stop();
    elsewhere.process.terminate(SOON);
    let log = elsewhere.process.log_lines();
    assert!(moved > 10 && !log.iter().any(|line| line.contains(" receiving")), "{moved}: {log:?}");
    assert!(log.iter().any(|line| line.contains("bad_signature")), "{log:?}");
}

#[test]
fn a_query_that_no_sender_has_signed_changes_nothing_and_is_not_answered() {
    let (testbed, keys) = signing();
    let receiver = testbed.receiver("r1", &["--sender", &keys.public]);
    let options = ["--hosts", "r1", "--rate", "200mbit", "--pin", "7d", "--sender-key", &keys.secret];
    push_of(&testbed, "image.raw", 1 << 20, Seed::draw(), &options).complete(&receiver);
    let theirs = SenderKeys::named(&testbed, "theirs");
    for signed in [&[][..], &["--sender-key", &theirs.secret]] {
        for query in [&["unpin", "image.raw"][..], &["verify", "image.raw"], &["hosts"]] {
            let arguments = [query, &["--hosts", "r1", "--wait", "300ms"], signed].concat();
            let (code, report) = testbed.ask(&arguments);
            assert_eq!((code, report["hosts"][0]["state"].as_str()), (3, Some("never_answered")), "{report}");
        }
    }
    let (code, report) = testbed.ask(&["status", "image.raw", "--hosts", "r1", "--sender-key", &keys.secret]);
    assert_eq!((code, report["hosts"][0]["objects"][0]["pinned"].as_str()), (0, Some("until")), "{report}");
}

#[test]
fn what_is_for_one_host_leaves_the_others_as_they_are() {
    let (testbed, keys) = signing();
    let receivers = ["r1", "r2"].map(|host| testbed.receiver(host, &["--sender", &keys.public]));
    let sender = ["--sender-key", &keys.secret];
    let both = [&["--hosts", "r1,r2", "--rate", "200mbit", "--pin", "7d"][..], &sender].concat();
    push_of(&testbed, "both.raw", 1 << 20, Seed::draw(), &both).complete(&receivers[0]);
    let state = || {
        let of = |name: String| {
            let metadata = fs::symlink_metadata(receivers[1].store.join(&name)).expect("listed");
            (name, metadata.ino(), metadata.mtime_nsec(), metadata.ctime_nsec())
        };
        receivers[1].stored().into_iter().map(of).collect::<Vec<_>>()
    };
    let before = state();
    let one = [&["--hosts", "r1", "--rate", "200mbit"][..], &sender].concat();
    let (_, report) = push_of(&testbed, "one.raw", 1 << 20, Seed::draw(), &one).complete(&receivers[0]);
    report.assert_hosts(&[("r1", "done")]);
    let (code, _) = testbed.ask(&[&["unpin", "both.raw", "--hosts", "r1"][..], &sender].concat());
    assert_eq!(code, 0);
    assert_eq!(state(), before, "r2 neither wrote nor touched anything");
    let (_, report) = testbed.ask(&[&["status", "both.raw", "--hosts", "r1,r2"][..], &sender].concat());
    let pinned = |host: usize| report["hosts"][host]["objects"][0]["pinned"].as_str().map(str::to_owned);
    assert_eq!((pinned(0), pinned(1)), (Some("no".into()), Some("until".into())), "{report}");
}

/// A testbed whose sender has a key.
fn signing() -> (Testbed, SenderKeys) {
    let testbed = Testbed::loopback();
    let keys = SenderKeys::of(&testbed);
    (testbed, keys)
}

/// Has the sender take the key of this host.
fn enroll(testbed: &Testbed, keys: &SenderKeys, host: &str) {
    let (code, report) = testbed.ask(&["hosts", "--enroll", "--hosts", host, "--sender-key", &keys.secret]);
    assert_eq!(code, 0, "{report}");
}

/// Starts an insider that says in the name of r1, again and again, that it holds the image with this BLAKE3 sum.
fn claiming_done(testbed: &Testbed, sum: &str) -> Attack<(Insider, u64)> {
    let root = Root(hex::decode(sum).expect("hex").try_into().expect("32 bytes"));
    let insider = Attacker::join(testbed).with_key(testbed.key());
    Attack::start((insider, 0), Duration::from_millis(5), move |(insider, number)| {
        claim_done(insider, root, number);
    })
}

/// Says in the name of r1 that it takes part and is done.
fn claim_done(insider: &Insider, root: Root, number: &mut u64) {
    let (name, id) = (HostName::new("r1").expect("plain"), ReceiverId([9; 8]));
    *number += 2;
    insider.greet(&name, id, *number);
    let outcome = Outcome::Published(root);
    let receipt = insider.receipt(&name, outcome);
    let command = CommandOutcome::None;
    let done = Done { root, existing: false, totals: Totals::default(), receipt, command };
    insider.say_up(&Up::Done(done), id, *number + 1);
}
