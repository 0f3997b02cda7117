//! Hostile networks, with real programs and real sockets: what a stranger on the wire and what a host with the group's key
//! can do, and what they cannot. `docs/security.md` names these tests row by row.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use glancecast_fec::Esi;
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, HostName, ObjectName, ReceiverId, Sequence};
use glancecast_proto::integrity::{BlockHash, Root};
use glancecast_proto::wire::{
    DeficitRun, Down, Encoding, End, Failed, FailureKind, Hello, Kind, ManifestEntry, ManifestRun, Poll,
    Report, SYMBOL_OVERHEAD, SymbolHeader, Totals, Up,
};
use glancecast_tests::attacker::{Attack, Attacker, Insider, header};
use glancecast_tests::exclusive::Share;
use glancecast_tests::image::{self, Seed};
use glancecast_tests::measured;
use glancecast_tests::process::Process;
use glancecast_tests::stage::{Push, Receiver, SOON, Stage};

#[test]
fn a_flood_of_recorded_bent_cut_and_forged_datagrams_does_not_slow_a_push() {
    let stage = Stage::loopback(Share::Alone);
    let mut receiver = stage.receiver("r1", &[]);
    let seed = Seed::draw();
    let quiet = push_of(&stage, "quiet.raw", 12 << 20, seed, &["--hosts", "r1", "--rate", "24mbit"]);
    let (_, quiet) = quiet.complete(&receiver);

    let push = push_of(&stage, "flooded.raw", 12 << 20, seed.next(), &["--hosts", "r1", "--rate", "24mbit"]);
    let flood = Attack::start(Flood::of(Attacker::join(&stage)), Duration::from_millis(1), |flood| {
        flood.burst(FLOOD_BURST);
    });
    let (sender, flooded) = push.complete(&receiver);
    let flood = flood.stop();

    let receiver_end = receiver.process.terminate(SOON);
    let log = receiver.process.log_lines();
    let discarded =
        log.iter().rev().find(|line| line.contains("discarded datagrams")).expect("said at its end");
    let times = flood.bytes as f64 / flooded.wire.bytes as f64;
    measured!(
        "{:.2} s quiet, {:.2} s flooded by {times:.1} times the data ({:?} datagrams); resident MiB: sender {}, receiver {}",
        quiet.seconds,
        flooded.seconds,
        flood.sent,
        sender.resident_bytes_max >> 20,
        receiver_end.resident_bytes_max >> 20
    );
    measured!("{}", discarded.split_once("discarded").expect("just found").1);
    assert!(times > 5.0, "a flood worth the name");
    assert!(flooded.seconds <= 1.3 * quiet.seconds, "{} s, {} s in quiet", flooded.seconds, quiet.seconds);
    assert!(receiver_end.resident_bytes_max < 256 << 20 && sender.resident_bytes_max < 256 << 20);
    for reason in ["forged", "replayed"] {
        assert!(discarded.contains(reason), "{reason} in {discarded}");
    }
}

#[test]
fn bad_symbols_of_a_host_with_the_key_are_dropped_and_asked_for_again() {
    let stage = Stage::loopback(Share::Alone);
    let keys = SenderKeys::of(&stage);
    let mut receiver = stage.receiver("r1", &["--sender", &keys.public]);
    let options = ["--hosts", "r1", "--rate", "60mbit", "--sender-key", &keys.secret];
    let push = push_of(&stage, "image.raw", 8 << 20, Seed::draw(), &options);
    let poison = Poison::start(&stage, 2);
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
fn bad_symbols_without_end_fail_the_host_with_a_reason_and_publish_nothing() {
    let stage = Stage::loopback(Share::Alone);
    let keys = SenderKeys::of(&stage);
    let receiver = stage.receiver("r1", &["--sender", &keys.public]);
    let options = ["--hosts", "r1", "--rate", "200mbit", "--sender-key", &keys.secret];
    let mut push = push_of(&stage, "image.raw", 3 << 20, Seed::draw(), &options);
    let poison = Poison::start(&stage, u32::MAX);
    let (end, report) = push.process.report(PATIENCE);
    let poison = poison.stop();
    assert_eq!(end.code(), Some(3), "{report:?}");
    report.assert_hosts(&[("r1", "failed")]);
    let reason = report.host("r1").reason.as_deref().unwrap_or_default();
    assert!(reason.contains("bad symbols"), "{reason}");
    let names = receiver.stored();
    assert!(
        names.iter().all(|name| name.starts_with(".glancecast-")),
        "only what was proven is kept: {names:?}"
    );
    measured!("it ended after {:.2} s and {} bad symbols", report.seconds, poison.sent);
}

#[test]
fn a_host_with_the_key_cannot_speak_for_a_sender_that_signs() {
    let stage = Stage::loopback(Share::Alone);
    let keys = SenderKeys::of(&stage);
    let mut receiver = stage.receiver("r1", &["--sender", &keys.public]);
    let options = ["--hosts", "r1", "--rate", "40mbit", "--sender-key", &keys.secret];
    let push = push_of(&stage, "image.raw", 8 << 20, Seed::draw(), &options);
    let insider = Attacker::join(&stage).with_key(stage.key());
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
    let stage = Stage::loopback(Share::Shared);
    let (ours, theirs) = (SenderKeys::of(&stage), SenderKeys::named(&stage, "theirs"));
    let mut receiver = stage.receiver("r1", &["--sender", &ours.public]);
    for (name, signed) in [("unsigned.raw", &[][..]), ("theirs.raw", &["--sender-key", &theirs.secret])] {
        let options = [&["--hosts", "r1", "--rate", "200mbit", "--timeout", "4s"], signed].concat();
        let mut push = push_of(&stage, name, 1 << 20, Seed::draw(), &options);
        let (end, report) = push.process.report(PATIENCE);
        assert_eq!(end.code(), Some(3), "{report:?}");
        report.assert_hosts(&[("r1", "failed")]);
        let reason = report.host("r1").reason.as_deref().unwrap_or_default();
        assert!(reason.contains("accept"), "{reason}");
    }
    receiver.process.terminate(SOON);
    assert_eq!(receiver.stored(), [""; 0]);
    let log = receiver.process.log_lines();
    assert_eq!(log.iter().filter(|line| line.contains("are refused")).count(), 2, "each told once: {log:?}");
    assert!(log.last().expect("a line").contains("unknown_sender"), "{log:?}");
}

#[test]
fn forged_reports_neither_stop_a_push_nor_make_it_exceed_its_rate() {
    let stage = Stage::loopback(Share::Alone);
    let receiver = stage.receiver("r1", &[]);
    let push = push_of(&stage, "image.raw", 32 << 20, Seed::draw(), &["--hosts", "r1", "--rate", "120mbit"]);
    let crowd = Crowd { insider: Attacker::join(&stage).with_key(stage.key()), number: 0 };
    let attack = Attack::start(crowd, Duration::from_millis(2), Crowd::speak);
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
    assert!(report.overhead() > 1.2, "they were listened to, or this shows nothing");
    assert!(report.hosts.len() > 1, "they are in the table, too");
}

#[test]
fn of_a_listed_push_nobody_else_has_a_say() {
    let stage = Stage::loopback(Share::Alone);
    let receiver = stage.receiver("r1", &[]);
    let options = ["--hosts", "r1", "--rate", "120mbit", "--only-listed"];
    let push = push_of(&stage, "image.raw", 32 << 20, Seed::draw(), &options);
    let crowd = Crowd { insider: Attacker::join(&stage).with_key(stage.key()), number: 0 };
    let attack = Attack::start(crowd, Duration::from_millis(2), Crowd::speak);
    let (_, report) = push.complete(&receiver);
    attack.stop();
    report.assert_hosts(&[("r1", "done")]);
    measured!("{:.2} s, {:.2} times the least on the wire", report.seconds, report.overhead());
    assert!(report.overhead() < 1.2, "nothing is repaired for them: {}", report.overhead());
}

#[test]
fn who_fails_in_the_name_of_a_host_does_not_stop_it() {
    let stage = Stage::loopback(Share::Shared);
    let receiver = stage.receiver("r1", &[]);
    let mut push =
        push_of(&stage, "image.raw", 4 << 20, Seed::draw(), &["--hosts", "r1", "--rate", "20mbit"]);
    let insider = Attacker::join(&stage).with_key(stage.key());
    let (id, name) = (ReceiverId([7; 8]), HostName::new("r1").expect("plain"));
    for number in 0..20 {
        let hello = Hello { name: name.clone(), software: String::new(), busy: false, kept: Vec::new() };
        insider.say_up(&Up::Hello(hello), id, 2 * number + 1);
        let (kind, totals) = (FailureKind::Store, Totals::default());
        insider.say_up(&Up::Failed(Failed { kind, reason: "forged".into(), totals }), id, 2 * number + 2);
        std::thread::sleep(Duration::from_millis(50));
    }
    let (_, report) = push.process.report(PATIENCE);
    assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), push.sum);
    report.assert_hosts(&[("r1", "done"), ("r1", "failed")]);
    let told = report.hosts.iter().any(|host| {
        host.reason.as_deref().is_some_and(|reason| reason.contains("two receivers call themselves r1"))
    });
    assert!(told, "{:?}", report.hosts);
}

#[test]
fn two_senders_on_one_group_are_served_one_after_the_other() {
    let stage = Stage::loopback(Share::Alone);
    let receivers = ["r1", "r2"].map(|host| stage.receiver(host, &[]));
    let seed = Seed::draw();
    let options = ["--hosts", "r1,r2", "--rate", "40mbit"];
    let mut pushes = [("one.raw", seed), ("two.raw", seed.next())]
        .map(|(name, seed)| push_of(&stage, name, 4 << 20, seed, &options));
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
    let stage = Stage::loopback(Share::Alone);
    let mut receiver = stage.receiver("r1", &[]);
    let push = push_of(&stage, "image.raw", 6 << 20, Seed::draw(), &["--hosts", "r1", "--rate", "40mbit"]);
    let insider = Attacker::join(&stage).with_key(stage.key());
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

    // The whole session once more: its announcements are fresh still.
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
    let stage = Stage::loopback(Share::Shared);
    let (old, new) = (SenderKeys::of(&stage), SenderKeys::named(&stage, "new"));
    let new_key = stage.path("new.key");
    stage.keygen(&new_key);
    let (old_group, new_group) = (text(stage.key()), text(&new_key));
    let senders = stage.path("senders");
    fs::write(&senders, format!("# the old one\n{}\n{}\n", old.public, new.public)).expect("writable");
    let arguments = ["--key", &old_group, "--key", &new_group, "--sender", &text(&senders)];
    let receiver = stage.receiver("r1", &arguments);
    for (name, group, signer) in [("old.raw", &old_group, &old), ("new.raw", &new_group, &new)] {
        let options = ["--hosts", "r1", "--rate", "200mbit", "--key", group, "--sender-key", &signer.secret];
        let mut push = push_of(&stage, name, 2 << 20, Seed::draw(), &options);
        let (end, report) = push.process.report(PATIENCE);
        assert_eq!(end.code(), Some(0), "{report:?}");
        assert_eq!(image::blake3_of(&receiver.store.join(name)), push.sum);
    }
}

#[test]
fn no_log_says_a_key_however_much_it_says() {
    let stage = Stage::loopback(Share::Shared);
    let keys = SenderKeys::of(&stage);
    let (key, group) = (text(stage.key()), stage.group().to_string());
    let mut command = stage.command("r1", "glancecastd");
    let store = format!("directory:{}", stage.store("r1").display());
    command.args(["--name", "r1", "--store", &store, "--interface", "lo", "--group", &group, "--key", &key]);
    command.args(["--sender", &keys.public, "--once"]).env("RUST_LOG", "trace");
    let mut receiver = Process::start("r1", command, &stage.path(""));
    receiver.wait_for_log(" listening", SOON);
    let file = stage.path("image.raw");
    image::random(&file, 2 << 20, Seed::draw());
    let mut command = stage.command("s", "glancecast");
    command.env("RUST_LOG", "trace");
    let options =
        ["--file", &text(&file), "--hosts", "r1", "--rate", "200mbit", "--sender-key", &keys.secret];
    let mut push = stage.push_with(command, &options);
    let (end, report) = push.report(PATIENCE);
    assert_eq!(end.code(), Some(0), "{report:?}");
    receiver.wait(SOON);

    let group_key = fs::read(stage.key()).expect("the stage's key");
    let secret = fs::read_to_string(&keys.secret).expect("the sender's key");
    let secret = secret.trim().rsplit(':').next().expect("hex digits").to_owned();
    let hex: String = group_key.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{:?}", &group_key[..4]);
    let lines = [receiver.log_lines(), push.process.log_lines(), vec![push.process.output()]].concat();
    assert!(lines.len() > 3, "there is something to look at");
    for line in &lines {
        for word in [&hex[..16], &secret[..16], list.trim_matches(['[', ']'])] {
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

fn push_of(stage: &Stage, name: &str, bytes: u64, seed: Seed, options: &[&str]) -> Pushed {
    let file = stage.path(name);
    let sum = image::random(&file, bytes, seed);
    let file = text(&file);
    // Loopback would carry longer ones, which few networks do.
    let mut arguments = vec!["--file", &file, "--mtu", "1500"];
    if !options.contains(&"--timeout") {
        arguments.extend(["--timeout", "60s"]);
    }
    arguments.extend(options);
    Pushed { process: stage.push(&arguments), name: name.to_owned(), sum }
}

impl Pushed {
    /// Waits until it is over: complete, and the receiver holds the image.
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

/// A sender's key pair.
struct SenderKeys {
    /// The path of its secret half.
    secret: String,
    public: String,
}

impl SenderKeys {
    fn of(stage: &Stage) -> Self {
        Self::named(stage, "sender")
    }

    fn named(stage: &Stage, name: &str) -> Self {
        let secret = text(&stage.path(&format!("{name}.secret")));
        let mut command = stage.command("s", "glancecast");
        command.args(["keygen", "--sender", &secret]).stdin(Stdio::null());
        let mut process = Process::start(&format!("keygen-{name}"), command, &stage.path(""));
        assert_eq!(process.wait(SOON).code(), Some(0), "{:?}", process.log_lines());
        Self { secret, public: process.output().trim().to_owned() }
    }
}

/// Says again what it hears: as it was, bent, cut short, and forged from its header on.
struct Flood {
    attacker: Attacker,
    recorded: Vec<(std::net::SocketAddr, Vec<u8>)>,
    random: u64,
    bytes: u64,
    /// By what was done to them.
    sent: BTreeMap<&'static str, u64>,
}

impl Flood {
    fn of(attacker: Attacker) -> Self {
        Self {
            attacker,
            recorded: Vec::new(),
            random: 0x9E37_79B9_7F4A_7C15,
            bytes: 0,
            sent: BTreeMap::new(),
        }
    }

    fn burst(&mut self, count: u32) {
        for heard in self.attacker.hear() {
            if self.recorded.len() < RECORDED_MAX {
                self.recorded.push(heard);
            } else {
                let at = self.below(RECORDED_MAX);
                self.recorded[at] = heard;
            }
        }
        if self.recorded.is_empty() {
            return;
        }
        for _ in 0..count {
            let at = self.below(self.recorded.len());
            let (sender, datagram) = &self.recorded[at];
            let (sender, mut datagram) = (*sender, datagram.clone());
            let what = match self.below(4) {
                0 => "recorded",
                1 => {
                    let bit = self.below(datagram.len() * 8);
                    datagram[bit / 8] ^= 1 << (bit % 8);
                    "bent"
                }
                2 => {
                    let len = self.below(datagram.len());
                    datagram.truncate(len);
                    "cut"
                }
                _ => {
                    datagram[6..].iter_mut().for_each(|byte| *byte ^= self.random as u8 | 1);
                    "forged"
                }
            };
            self.bytes += datagram.len() as u64;
            *self.sent.entry(what).or_default() += 1;
            self.attacker.say(&datagram);
            if self.below(10) == 0 {
                self.attacker.say_to(&datagram, sender);
            }
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as usize % bound
    }
}

/// Sends a bad symbol of each block whose first symbol it hears, before the true one.
struct Poison {
    insider: Insider,
    tries_max: u32,
    tries: BTreeMap<u32, u32>,
    sent: u32,
}

impl Poison {
    fn start(stage: &Stage, tries_max: u32) -> Attack<Self> {
        let insider = Attacker::join(stage).with_key(stage.key());
        let poison = Self { insider, tries_max, tries: BTreeMap::new(), sent: 0 };
        Attack::start(poison, Duration::from_micros(500), Self::step)
    }

    fn step(&mut self) {
        let geometry = self.insider.announced.announce.geometry;
        for (_, datagram) in self.insider.attacker.hear() {
            let Ok(heard) = SymbolHeader::parse(&datagram) else { continue };
            let k = geometry.shape(heard.encoded_len).source_symbols();
            let esi = match heard.esi.value() {
                // Near the front of the block: there is time until the true symbol is sent.
                0..20 => k - 1,
                // The host holds a part of the block, maybe this one: one that the sender does not send. It is heard here, too.
                repair if (k..k + 5_000).contains(&repair) => repair + 5_000,
                _ => continue,
            };
            let tries = self.tries.entry(heard.block.0).or_default();
            if *tries >= self.tries_max.saturating_mul(20) {
                continue;
            }
            *tries += 1;
            let number = heard.sequence.value() + 2_000;
            let bad = SymbolHeader {
                sequence: Sequence::new(number).expect("40 bits"),
                esi: Esi::new(esi).expect("small"),
                ..heard
            };
            let symbol = vec![0xBD; datagram.len() - SYMBOL_OVERHEAD];
            let mut out = vec![0; datagram.len()];
            bad.seal(self.insider.cipher(), &symbol, &mut out);
            self.insider.attacker.say(&out);
            self.sent += 1;
        }
    }
}

/// Made-up hosts that lack nearly all of all blocks, whatever is sent.
struct Crowd {
    insider: Insider,
    number: u64,
}

impl Crowd {
    fn speak(&mut self) {
        self.number += 1;
        let host = (self.number % 40) as u8;
        let id = ReceiverId([host + 1; 8]);
        let geometry = self.insider.announced.announce.geometry;
        if self.number <= 40 || self.number.is_multiple_of(50) {
            let name = HostName::new(&format!("forged-{host}")).expect("plain");
            let hello = Hello { name, software: String::new(), busy: false, kept: Vec::new() };
            return self.insider.say_up(&Up::Hello(hello), id, self.number);
        }
        let symbols = geometry.symbols_max() as u16 - 1;
        let report = Report {
            round: (self.number / 10) as u32,
            // As if all had come up to now: what it lacks was not sent since.
            highest: Sequence::new(Sequence::MAX).expect("40 bits"),
            blocks_held: 0,
            covered: geometry.blocks(),
            deficits: vec![DeficitRun { first: BlockIndex(0), blocks: geometry.blocks() as u16, symbols }],
            gaps: Vec::new(),
            kept: Vec::new(),
            totals: Totals { bytes_received: self.number * 100_000, ..Totals::default() },
        };
        self.insider.say_up(&Up::Report(report), id, self.number);
    }
}

/// All that only the sender may say.
fn lie(insider: &mut Insider, number: u64) {
    let poll = |round, root| {
        let window = Duration::ZERO;
        Down::Poll(Poll { round, blocks_sent: 0, manifest_sent: 0, window, slots: 1, root })
    };
    let entry = ManifestEntry { encoding: Encoding::Stored, hash: BlockHash([3; 32]) };
    for down in [
        Down::End(End::Over),
        Down::End(End::Aborted("forged".into())),
        Down::Manifest(ManifestRun::plain(BlockIndex(0), vec![entry; 8])),
        poll(1 << 20, Some(Root([3; 32]))),
        poll(u32::MAX, None),
    ] {
        insider.say_down(&down, number);
    }
    // An announcement of its own, of another session.
    let mut other = insider.announced.announce.clone();
    other.session.0[5] ^= 1;
    let mut out = Vec::new();
    let cipher = insider.cipher_of(other.session);
    other.seal(&cipher, None, Sequence::new(number).expect("40 bits"), &mut out);
    insider.attacker.say(&out);
    // And symbols with numbers that the sender has not come to yet.
    let header = SymbolHeader {
        tag: insider.announced.announce.session.tag(),
        sequence: Sequence::new(1_000_000 + number).expect("40 bits"),
        block: BlockIndex(u32::MAX),
        esi: Esi::new(0).expect("small"),
        encoded_len: 1 << 20,
    };
    let symbol = vec![0; usize::from(insider.announced.announce.geometry.symbol_size())];
    let mut out = vec![0; symbol.len() + SYMBOL_OVERHEAD];
    header.seal(insider.cipher(), &symbol, &mut out);
    insider.attacker.say(&out);
}

/// How many blocks did not match, by the receiver's last count.
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

/// A burst each millisecond: ten times the data of 24 Mbit/s, as three of four are of full length or nearly so.
const FLOOD_BURST: u32 = 24;
const RECORDED_MAX: usize = 4_096;

const PATIENCE: Duration = Duration::from_secs(80);
