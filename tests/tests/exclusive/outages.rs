//! The sender's network goes away for a while, at any moment of a push, a query or a new key, and comes back:
//! everything goes on, and nothing was lost. What does not come back is named.

use std::thread;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::{self, Ipv6, Lab, Offload, Shape};
use glancecast_tests::outage::Needed;
use glancecast_tests::process::Process;
use glancecast_tests::report::Report;
use glancecast_tests::testbed::{Push, Receiver, SOON, Testbed};
use glancecast_tests::{measured, needs, wait};

#[test]
fn a_push_waits_for_its_link_and_loses_nothing() {
    needs!(netns::NEEDS);
    Scene::new().goes_on_after_the_loss_of(Needed::Link, 0, "it is down");
}

#[test]
fn a_push_waits_for_its_address_and_loses_nothing() {
    needs!(netns::NEEDS);
    Scene::new().goes_on_after_the_loss_of(Needed::Address, 0, "no IPv4 address");
}

#[test]
fn a_push_waits_for_a_firewall_that_drops_it() {
    needs!(netns::NEEDS);
    Scene::new().goes_on_after_the_loss_of(Needed::Passage, 0, "firewall");
}

#[test]
fn a_push_waits_for_a_firewall_that_rejects_it() {
    needs!(netns::NEEDS);
    Scene::new().goes_on_after_the_loss_of(Needed::Permission, 0, "firewall");
}

#[test]
fn a_push_goes_on_through_an_interface_that_was_made_anew() {
    needs!(netns::NEEDS);
    Scene::new().goes_on_after_the_loss_of(Needed::Interface, FEW, "does not exist");
}

#[test]
fn a_push_waits_for_its_carrier_without_which_the_kernel_drops_everything() {
    needs!(netns::NEEDS);
    Scene::new().goes_on_after_the_loss_of(Needed::Carrier, FEW, "no carrier");
}

#[test]
fn a_push_waits_for_its_mtu_to_be_large_enough_again() {
    needs!(netns::NEEDS);
    Scene::new().goes_on_after_the_loss_of(Needed::Mtu, 0, "MTU, which is 1300");
}

#[test]
fn a_push_over_ipv6_goes_on_through_an_interface_that_was_made_anew() {
    needs!(netns::NEEDS);
    let scene = Scene::in_lab(lab().with_ipv6(Ipv6::LinkLocal), &["--group", LINK_GROUP]);
    let network = scene.testbed.network();
    let mut push = scene.push(&["--group", LINK_GROUP]);
    scene.wait_for_symbols(&mut push);
    network.remove_interface(Lab::SENDER);
    thread::sleep(AWAY);
    network.make_interface(Lab::SENDER);
    network.run(Lab::SENDER, "ip link set eth0 up");
    network.run(Lab::SENDER, "ip -6 addr flush dev eth0");
    network.run(Lab::SENDER, "ip addr add fe80::77:1/64 dev eth0 nodad");
    scene.assert_complete(&mut push);
}

#[test]
fn hosts_answer_to_the_address_that_the_sender_gets_in_place_of_its_own() {
    needs!(netns::NEEDS);
    let scene = Scene::new();
    let mut push = scene.push(&[]);
    scene.wait_for_symbols(&mut push);
    Needed::Address.take(scene.testbed.network());
    scene.testbed.network().run(Lab::SENDER, "ip addr add 10.77.0.99/16 brd + dev eth0");
    scene.assert_complete(&mut push);
    push.process.wait_for_log("10.77.0.99) takes datagrams again", SOON);
}

#[test]
fn a_push_may_begin_while_its_link_is_down() {
    needs!(netns::NEEDS);
    let scene = Scene::new();
    Needed::Link.take(scene.testbed.network());
    let mut push = scene.push(&[]);
    push.process.wait_for_log("takes no datagrams", SOON);
    Needed::Link.give_back(scene.testbed.network());
    scene.assert_complete(&mut push);
}

#[test]
fn a_link_that_flaps_from_the_announcement_to_the_end_delays_a_push_and_its_repairs() {
    needs!(netns::NEEDS);
    let scene = Scene::new();
    scene.testbed.network().lose("r1", 100);
    let (away, there) = (Duration::from_millis(150), Duration::from_millis(250));
    let report =
        Needed::Link.flap(scene.testbed.network(), away, there, || scene.push(&[]).report(SOON * 2).1);
    report.assert_hosts(&[("r1", "done")]);
    measured!("{:.1} s, of which {:.1} s without a link", report.seconds, report.outages.seconds);
}

#[test]
fn hosts_that_cannot_answer_miss_nothing_of_a_one_way_push() {
    needs!(netns::NEEDS);
    let scene = Scene::new();
    scene.testbed.network().mute("r1");
    let mut push = scene.push(&["--one-way", "--overhead", "1%"]);
    scene.wait_for_symbols(&mut push);
    Needed::Link.take_for(scene.testbed.network(), AWAY);
    let (end, report) = push.report(SOON);
    assert_eq!((end.code(), report.outages.times), (Some(0), 1), "{report:?}");
    wait::until("the copy", SOON, || (scene.receiver.stored() == ["image.raw"]).then_some(()));
}

#[test]
fn a_network_that_does_not_come_back_is_named_with_what_to_do() {
    needs!(netns::NEEDS);
    let scene = Scene::new();
    let mut push = scene.push(&["--timeout", "2500ms"]);
    scene.wait_for_symbols(&mut push);
    Needed::Link.take(scene.testbed.network());
    let (end, report) = push.report(SOON);
    assert_eq!((end.code(), report.outcome.as_str()), (Some(1), "failed"), "{report:?}");
    let reason = report.reason.expect("it failed");
    for says in
        ["interface eth0 (10.77.0.1)", "has taken nothing for 239.", "it is down", "ip link set dev eth0 up"]
    {
        assert!(reason.contains(says), "{says:?} is not in {reason:?}");
    }
    assert!(end.cpu < Duration::from_secs(1), "{:?} of CPU while it waited", end.cpu);
}

#[test]
fn queries_wait_for_the_network_and_lose_no_answer() {
    needs!(netns::NEEDS);
    let scene = Scene::new();
    scene.push(&["--rate", "200mbit"]).report(SOON);
    let (away, there) = (Duration::from_millis(300), Duration::from_millis(150));
    Needed::Passage.flap(scene.testbed.network(), away, there, || {
        for query in [&["hosts"][..], &["status", "image.raw"], &["verify", "image.raw"]] {
            let (code, answer) = scene.testbed.ask(&[query, &["--hosts", "r1"]].concat());
            assert_eq!(code, 0, "{query:?}: {answer}");
        }
    });
}

#[test]
fn a_new_key_reaches_its_host_through_a_link_that_flaps() {
    needs!(netns::NEEDS);
    let testbed = Testbed::lab(lab());
    let (secret, public) = (testbed.path("sender.key"), testbed.path("sender.pub"));
    let mut keygen = testbed.command(Lab::SENDER, "glancecast");
    keygen.args(["keygen", "--sender"]).arg(&secret);
    let mut keygen = Process::start("keygen-sender", keygen, &testbed.path(""));
    assert_eq!(keygen.wait(SOON).code(), Some(0));
    std::fs::write(&public, keygen.output()).expect("the testbed's directory takes a file");
    let (secret, public) = (secret.to_str().expect("UTF-8"), public.to_str().expect("UTF-8"));
    let own = testbed.path("r1.key");
    std::fs::copy(testbed.key(), &own).expect("copied with its mode");
    let _receiver = testbed.receiver("r1", &["--sender", public, "--key", own.to_str().expect("UTF-8")]);
    let (code, answer) = testbed.ask(&["hosts", "--enroll", "--hosts", "r1", "--sender-key", secret]);
    assert_eq!(code, 0, "{answer}");
    let mut command = testbed.command(Lab::SENDER, "glancecast");
    command.args(["rekey", "--json", "--interface", "eth0", "--group", &testbed.group().to_string()]);
    command.arg("--key").arg(testbed.key()).args(["--sender-key", secret]);
    command.arg("--known-hosts").arg(testbed.known_hosts());
    let (away, there) = (Duration::from_millis(400), Duration::from_millis(200));
    Needed::Link.flap(testbed.network(), away, there, || {
        let mut rekey = Process::start("rekey", command, &testbed.path(""));
        let end = rekey.wait(SOON * 2);
        assert_eq!(end.code(), Some(0), "{:?} {}", rekey.log_lines(), rekey.output());
    });
}

#[test]
fn without_offload_no_batch_leaves_as_one_packet() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: 1, offload: Offload::On, loss_per_mille: 0, rate: None };
    let scene = Scene::in_lab(Lab::build(&shape), &["--no-offload"]);
    let packets = || scene.testbed.network().counter(Lab::SENDER, "tx_packets");
    let before = packets();
    let (_, report) = scene.push(&["--rate", "200mbit"]).report(SOON);
    let with_offload = packets() - before;
    assert!(with_offload < report.wire.datagrams / 2, "{with_offload} for {}", report.wire.datagrams);
    let before = packets();
    let (_, report) = scene.push(&["--rate", "200mbit", "--no-offload", "--name", "again"]).report(SOON);
    report.assert_hosts(&[("r1", "done")]);
    let without = packets() - before;
    assert!(without >= report.wire.datagrams, "{without} packets for {} datagrams", report.wire.datagrams);
    measured!("{with_offload} packets with offload, {without} without");
}

/// A sender and one receiver.
struct Scene {
    receiver: Receiver,
    testbed: Testbed,
}

impl Scene {
    #[track_caller]
    fn new() -> Self {
        Self::in_lab(lab(), &[])
    }

    #[track_caller]
    fn in_lab(lab: Lab, receiver: &[&str]) -> Self {
        let testbed = Testbed::lab(lab);
        image::random(&testbed.path("image.raw"), IMAGE_BYTES, Seed::draw());
        Self { receiver: testbed.receiver("r1", receiver), testbed }
    }

    /// Starts a push of some two seconds.
    fn push(&self, arguments: &[&str]) -> Push {
        let file = self.testbed.path("image.raw");
        let usual = ["--file", file.to_str().expect("UTF-8"), "--hosts", "r1"];
        let rate: &[&str] = if arguments.contains(&"--rate") { &[] } else { &["--rate", "30mbit"] };
        let timeout: &[&str] = if arguments.contains(&"--timeout") { &[] } else { &["--timeout", "30s"] };
        self.testbed.push(&[&usual[..], rate, timeout, arguments].concat())
    }

    /// Waits until a part of the image is sent.
    fn wait_for_symbols(&self, push: &mut Push) {
        let sent = || self.testbed.network().counter(Lab::SENDER, "tx_bytes");
        let before = sent();
        wait::until("the first symbols", SOON, || {
            assert!(push.process.runs(), "it ended before");
            (sent() > before + IMAGE_BYTES / 8).then_some(())
        });
    }

    /// Takes something away in the middle of a push and gives it back. The push completes, its host has lost at most
    /// `lost` datagrams, and its log tells of both moments once.
    #[track_caller]
    fn goes_on_after_the_loss_of(&self, needed: Needed, lost: u64, why: &str) {
        let mut push = self.push(&[]);
        self.wait_for_symbols(&mut push);
        needed.take_for(self.testbed.network(), AWAY);
        let report = self.assert_complete(&mut push);
        let reason = report.outages.reason.clone().unwrap_or_default();
        assert!(reason.contains(why), "{why:?} is not in {reason:?}");
        assert!((0.5..5.0).contains(&report.outages.seconds), "{:?}", report.outages);
        assert!(report.host("r1").symbols_lost <= lost, "{report:?}");
        measured!("{:.2} s away, {} lost", report.outages.seconds, report.host("r1").symbols_lost);
    }

    /// Asserts that the push completes, and that its log tells once when the network went and once when it was back.
    #[track_caller]
    fn assert_complete(&self, push: &mut Push) -> Report {
        let (end, report) = push.report(SOON);
        assert_eq!(end.code(), Some(0), "{report:?}");
        report.assert_hosts(&[("r1", "done")]);
        assert_eq!(report.outages.times, 1, "{report:?}");
        let lines = push.process.log_lines();
        let told = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
        assert_eq!((told("takes no datagrams"), told("takes datagrams again")), (1, 1), "{lines:?}");
        assert!(end.cpu < Duration::from_secs(2), "{:?} of CPU", end.cpu);
        report
    }
}

fn lab() -> Lab {
    Lab::build(&Shape { receivers: 1, offload: Offload::Off, loss_per_mille: 0, rate: None })
}

const IMAGE_BYTES: u64 = 4 << 20;
/// How long something is taken away: several times what passes before it is told.
const AWAY: Duration = Duration::from_millis(700);
/// Datagrams that may be lost in the queues of a link that goes away unnoticed for a moment: a tenth of a second's.
const FEW: u64 = 300;
const LINK_GROUP: &str = "[ff12::4743]:7167";
