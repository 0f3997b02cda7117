//! Processes killed in mid-transfer: afterwards there is the whole image or none, and the next start resumes.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::report::Report;
use glancecast_tests::testbed::{Push, Receiver, SOON, Testbed};
use glancecast_tests::{measured, wait};
use nix::sys::signal::Signal;

#[test]
fn a_receiver_that_is_killed_at_any_moment_asks_only_for_what_it_had_not_written() {
    let cases = in_parallel(|testbed, cases, seed| {
        let mut receiver = testbed.receiver("r1", &[]);
        cases.map(|case| kill_the_receiver(testbed, &mut receiver, case, moment(seed, case))).collect()
    });
    measured!("{}", judge(&cases, "received"));
}

#[test]
fn a_sender_that_is_killed_at_any_moment_does_not_send_again_what_its_hosts_hold() {
    let cases = in_parallel(|testbed, cases, seed| {
        let receiver = testbed.receiver("r1", &[]);
        cases.map(|case| kill_the_sender(testbed, &receiver, case, moment(seed, case))).collect()
    });
    measured!("{}", judge(&cases, "sent"));
}

#[test]
fn a_receiver_that_is_told_to_stop_goes_on_at_its_next_start() {
    let testbed = Testbed::loopback();
    let mut receiver = testbed.receiver("r1", &[]);
    let (source, sum) = source(&testbed, 0);
    let mut push = start_push(&testbed, &source, 0);
    wait_for_blocks(&receiver, 2);
    assert_eq!(receiver.process.terminate(SOON).code(), Some(0));
    // The receiver has sent its failure, so the sender lists it as failed.
    let (_, report) = push.report(SOON);
    assert_eq!(report.host("r1").state, "failed", "{report:?}");
    assert!(receiver.stored().iter().all(|name| name.starts_with(".glancecast-")), "{:?}", receiver.stored());
    let missing = missing(&receiver.store, &name(0), &source);

    let receiver = testbed.receiver("r1", &[]);
    let (report, unheard) = push_again(&testbed, &source, 0);
    assert_eq!(report.outcome, "complete", "{report:?}");
    assert_eq!(image::blake3_of(&receiver.only_file(&name(0))), sum);
    Case { missing, bytes: report.wire.bytes, unheard }.assert_allowed(0);
}

#[test]
fn a_damaged_journal_costs_one_line_and_nothing_else() {
    for damage in [Damage::Header, Damage::Record, Damage::CutOff, Damage::Removed] {
        let testbed = Testbed::loopback();
        let mut receiver = testbed.receiver("r1", &[]);
        let (source, sum) = source(&testbed, 0);
        let mut push = start_push_at("20mbit", &testbed, "r1", &source, 0);
        wait::until("a journal with records", SOON, || (journal(&receiver)?.len() > 130).then_some(()));
        receiver.process.signal(Signal::SIGKILL);
        receiver.process.wait(SOON);
        damage.apply(&receiver);
        let receiver = testbed.receiver("r1", &[]);
        let (_, report) = push.report(TIMEOUT);
        assert_eq!(report.outcome, "complete", "{report:?}");
        assert_eq!(image::blake3_of(&receiver.only_file(&name(0))), sum, "{damage:?}");
        let lines = receiver.process.log_lines();
        let told: Vec<_> = lines.iter().filter(|line| line.contains("journal")).collect();
        assert_eq!(told.len(), usize::from(!matches!(damage, Damage::Removed)), "{damage:?}: {lines:#?}");
    }
}

#[test]
fn what_nobody_goes_on_with_is_removed_in_its_time() {
    let testbed = Testbed::loopback();
    let mut receiver = testbed.receiver("r1", &[]);
    let (source, _) = source(&testbed, 0);
    let _push = start_push(&testbed, &source, 0);
    wait_for_blocks(&receiver, 1);
    assert_eq!(receiver.process.terminate(SOON).code(), Some(0));
    assert_eq!(receiver.stored().len(), 2, "{:?}", receiver.stored());
    let mut receiver = testbed.receiver("r1", &["--keep-unfinished", "1ms", "--group", "239.255.0.9:9999"]);
    assert_eq!(receiver.stored(), [""; 0]);
    assert_eq!(receiver.process.terminate(SOON).code(), Some(0));
}

#[test]
fn a_second_push_to_receivers_at_work_waits_for_its_turn() {
    let testbed = Testbed::loopback();
    let receivers = [testbed.receiver("r1", &[]), testbed.receiver("r2", &[])];
    let (sources, sums): (Vec<_>, Vec<_>) = (0..2).map(|case| source(&testbed, case)).unzip();
    let mut first = start_push_to(&testbed, "r1,r2", &sources[0], 0);
    wait_for_blocks(&receivers[0], 1);
    // The second push has a report file of its own.
    let other = Testbed::command(&testbed, "s", "glancecast");
    let mut second = second_push(&testbed, other, &sources[1]);
    let (_, report) = first.report(TIMEOUT);
    assert_eq!(report.outcome, "complete", "{report:?}");
    let end = second.wait(TIMEOUT);
    let report = Report::parse(&second.output());
    assert_eq!((end.code(), report.outcome.as_str()), (Some(0), "complete"), "{report:?}");
    // Nothing was sent to hosts that could not receive it.
    assert!(report.overhead() < 1.3, "{}", report.overhead());
    for receiver in &receivers {
        assert_eq!(receiver.stored(), [name(0), name(1)]);
        for (case, sum) in (0..2).zip(&sums) {
            assert_eq!(image::blake3_of(&receiver.store.join(name(case))), *sum);
        }
    }
}

#[test]
fn a_push_that_ends_just_before_another_is_announced_does_not_take_that_one_along() {
    let testbed = Testbed::loopback();
    let mut receiver = testbed.receiver("r1", &[]);
    let (sources, sums): (Vec<_>, Vec<_>) = (0..2).map(|case| source(&testbed, case)).unzip();
    let mut first = start_push_at("20mbit", &testbed, "r1", &sources[0], 0);
    wait_for_blocks(&receiver, 1);
    // Stopped, so that it receives the end of one session and the start of the other at once.
    receiver.process.signal(Signal::SIGSTOP);
    first.process.signal(Signal::SIGINT);
    first.process.wait(SOON);
    let mut second = start_push_at("20mbit", &testbed, "r1", &sources[1], 1);
    thread::sleep(Duration::from_millis(300));
    receiver.process.signal(Signal::SIGCONT);
    let (_, report) = second.report(TIMEOUT);
    assert_eq!(report.outcome, "complete", "{report:?}");
    assert_eq!(image::blake3_of(&receiver.store.join(name(1))), sums[1]);
    assert!(receiver.process.runs());
}

/// The result of one kill.
struct Case {
    /// The blocks that were not on the disk afterwards.
    missing: usize,
    /// The bytes that it took to send them.
    bytes: u64,
    /// How long the sender sent before it heard from the host which blocks it holds.
    unheard: Duration,
}

impl Case {
    /// Returns the limit on `bytes`: a tenth more than what is missing, what is sent at the rate before the host is
    /// heard, and other datagrams.
    fn allowed(&self) -> u64 {
        (self.missing * BLOCK_WIRE) as u64 * 11 / 10
            + (self.unheard.as_secs_f64() * RATE_BYTES) as u64
            + BESIDES
    }

    #[track_caller]
    fn assert_allowed(&self, case: usize) {
        let Self { missing, bytes, unheard } = self;
        assert!(
            *bytes <= self.allowed(),
            "case {case}: {bytes} bytes, {missing} blocks missing, not heard for {unheard:?}"
        );
    }

    /// The bytes beyond what was missing.
    fn surplus(&self) -> i64 {
        self.bytes as i64 - (self.missing * BLOCK_WIRE) as i64
    }
}

/// Checks all cases together, and returns their summary.
fn judge(cases: &[Case], how: &str) -> String {
    let resumed = cases.iter().filter(|case| (1..BLOCKS).contains(&case.missing)).count();
    let missing: usize = cases.iter().map(|case| case.missing * BLOCK_WIRE).sum();
    let bytes: u64 = cases.iter().map(|case| case.bytes).sum();
    assert!(resumed >= cases.len() / 5, "{resumed} kills fell into the transfers");
    let most = cases.iter().map(Case::surplus).max().expect("cases");
    let unheard = cases.iter().map(|case| case.unheard).max().expect("cases");
    format!(
        "{KILLS} kills, {resumed} in mid-image: {:.3} of what was missing was {how}, at most {} KiB more than that in a case; \
         the host was heard after {} ms at most",
        bytes as f64 / missing as f64,
        most >> 10,
        unheard.as_millis()
    )
}

/// Runs all cases, on as many testbeds as the machine can run at a time.
fn in_parallel(run: impl Fn(&Testbed, Range<usize>, Seed) -> Vec<Case> + Sync) -> Vec<Case> {
    let seed = Seed::draw();
    thread::scope(|scope| {
        let start = |lane: usize| {
            let (run, cases) = (&run, lane * KILLS / STAGES..(lane + 1) * KILLS / STAGES);
            scope.spawn(move || run(&Testbed::loopback(), cases, seed))
        };
        let stages: Vec<_> = (0..STAGES).map(start).collect();
        stages.into_iter().flat_map(|testbed| testbed.join().expect("its failure is printed")).collect()
    })
}

fn kill_the_receiver(testbed: &Testbed, receiver: &mut Receiver, case: usize, moment: Duration) -> Case {
    let (source, sum) = source(testbed, case);
    let mut push = start_push(testbed, &source, case);
    wait_for_blocks(receiver, 0);
    thread::sleep(moment);
    receiver.process.signal(Signal::SIGKILL);
    receiver.process.wait(SOON);
    let missing = missing(&receiver.store, &name(case), &source);
    let was_published = receiver.stored().contains(&name(case));
    *receiver = testbed.receiver("r1", &[]);
    let (_, report) = push.report(TIMEOUT);
    assert_eq!(report.outcome, "complete", "case {case}: {report:?}");
    // The row may be that of the previous start, which had reported done.
    let bytes = if was_published { 0 } else { report.host("r1").bytes_received };
    // Its count of bytes starts when it is heard.
    let outcome = Case { missing, bytes, unheard: Duration::ZERO };
    outcome.assert_allowed(case);
    take_image(receiver, case, &sum);
    outcome
}

fn kill_the_sender(testbed: &Testbed, receiver: &Receiver, case: usize, moment: Duration) -> Case {
    let (source, sum) = source(testbed, case);
    let mut push = start_push(testbed, &source, case);
    wait_for_blocks(receiver, 0);
    thread::sleep(moment);
    push.process.signal(Signal::SIGKILL);
    push.process.wait(SOON);
    thread::sleep(Duration::from_millis(50)); // what has arrived is written
    let missing = missing(&receiver.store, &name(case), &source);
    let (report, unheard) = push_again(testbed, &source, case);
    assert_eq!(report.outcome, "complete", "case {case}: {report:?}");
    let outcome = Case { missing, bytes: report.wire.bytes, unheard };
    outcome.assert_allowed(case);
    take_image(receiver, case, &sum);
    outcome
}

/// Asserts that the image is correct and the only file, and removes it for the next case.
#[track_caller]
fn take_image(receiver: &Receiver, case: usize, sum: &str) {
    wait::until("the hidden name to go", SOON, || (receiver.stored() == [name(case)]).then_some(()));
    let image = receiver.store.join(name(case));
    assert_eq!(image::blake3_of(&image), sum);
    fs::remove_file(image).expect("it is ours");
}

/// Returns the number of blocks of `source` that a store has neither in a published image nor in an unfinished one.
#[track_caller]
fn missing(store: &Path, name: &str, source: &Path) -> usize {
    let names = glancecast_tests::testbed::list(store);
    let source = fs::read(source).expect("the image");
    if names.iter().any(|stored| stored == name) {
        assert!(fs::read(store.join(name)).expect("there") == source, "a visible image is the whole image");
        return 0;
    }
    let Some(partial) = names.iter().find(|stored| stored.ends_with(".part")) else { return BLOCKS };
    let partial = fs::read(store.join(partial)).expect("the unfinished image");
    let blocks = source.chunks(BLOCK).zip(partial.chunks(BLOCK).chain(std::iter::repeat(&[][..])));
    blocks.filter(|(source, written)| source != written).count()
}

#[track_caller]
fn wait_for_blocks(receiver: &Receiver, blocks: u64) {
    wait::until("an unfinished image", SOON, || {
        let names = receiver.stored();
        let partial = names.iter().find(|name| name.ends_with(".part"))?;
        let metadata = fs::metadata(receiver.store.join(partial)).ok()?;
        let allocated = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
        (allocated >= blocks * BLOCK as u64).then_some(())
    });
}

fn source(testbed: &Testbed, case: usize) -> (std::path::PathBuf, String) {
    let path = testbed.path(&format!("source-{case}"));
    let sum = image::random(&path, (BLOCKS * BLOCK) as u64, Seed::new(case as u64));
    (path, sum)
}

fn start_push(testbed: &Testbed, source: &Path, case: usize) -> Push {
    start_push_to(testbed, "r1", source, case)
}

fn start_push_to(testbed: &Testbed, hosts: &str, source: &Path, case: usize) -> Push {
    start_push_at(RATE, testbed, hosts, source, case)
}

/// Pushes from a new sender; also returns how long it took until it had heard from the host.
fn push_again(testbed: &Testbed, source: &Path, case: usize) -> (Report, Duration) {
    let mut command = testbed.command("s", "glancecast");
    command.env("RUST_LOG", "glancecast_sender=debug");
    let mut push = push_by(command, RATE, testbed, "r1", source, case);
    let (_, report) = push.report(TIMEOUT);
    let lines = push.process.log_lines();
    let at = |words: &str| {
        let line = lines.iter().find(|line| line.contains(words));
        time_of_day(line.unwrap_or_else(|| panic!("`{words}` in {lines:#?}")))
    };
    // Negative only across midnight.
    let unheard = at("joined").checked_sub(at("rate at=")).unwrap_or_default();
    (report, unheard)
}

/// Returns the time of a line such as `2026-11-24T20:15:07.123456Z DEBUG joined`.
fn time_of_day(line: &str) -> Duration {
    let time = line.split_once('T').and_then(|(_, rest)| rest.split_once('Z')).expect("a time").0;
    let parts: Vec<f64> = time.split(':').map(|part| part.parse().expect("a number")).collect();
    Duration::from_secs_f64(parts.iter().fold(0.0, |sum, part| sum * 60.0 + part))
}

fn start_push_at(rate: &str, testbed: &Testbed, hosts: &str, source: &Path, case: usize) -> Push {
    push_by(testbed.command("s", "glancecast"), rate, testbed, hosts, source, case)
}

fn push_by(
    command: std::process::Command,
    rate: &str,
    testbed: &Testbed,
    hosts: &str,
    source: &Path,
    case: usize,
) -> Push {
    let (file, name) = (source.to_str().expect("UTF-8"), name(case));
    let arguments = [
        "--file",
        file,
        "--name",
        &name,
        "--hosts",
        hosts,
        "--rate",
        rate,
        "--mtu",
        "1500",
        "--timeout",
        "60s",
    ];
    testbed.push_with(command, &arguments)
}

fn second_push(
    testbed: &Testbed,
    mut command: std::process::Command,
    source: &Path,
) -> glancecast_tests::process::Process {
    let (file, group) = (source.to_str().expect("UTF-8"), testbed.group().to_string());
    let key = testbed.key().to_str().expect("UTF-8").to_owned();
    command.args(["send", "--file", file, "--name", &name(1), "--hosts", "r1,r2", "--rate", RATE, "--json"]);
    command.arg("--known-hosts").arg(testbed.known_hosts()).args([
        "--mtu",
        "1500",
        "--timeout",
        "60s",
        "--group",
        &group,
        "--key",
        &key,
        "--interface",
        "lo",
    ]);
    glancecast_tests::process::Process::start("second", command, &testbed.path(""))
}

fn journal(receiver: &Receiver) -> Option<Vec<u8>> {
    let name = receiver.stored().into_iter().find(|name| name.ends_with(".journal"))?;
    fs::read(receiver.store.join(name)).ok()
}

fn name(case: usize) -> String {
    format!("image-{case}")
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Header,
    Record,
    CutOff,
    Removed,
}

impl Damage {
    fn apply(self, receiver: &Receiver) {
        let name = receiver.stored().into_iter().find(|name| name.ends_with(".journal")).expect("a journal");
        let path = receiver.store.join(name);
        let mut bytes = fs::read(&path).expect("there");
        let end = bytes.len();
        match self {
            Self::Header => bytes[20] ^= 1,
            Self::Record => bytes[end - 10] ^= 1,
            Self::CutOff => bytes.truncate(end - 7),
            Self::Removed => return fs::remove_file(path).expect("it is ours"),
        }
        fs::write(path, bytes).expect("it is ours");
    }
}

/// Returns a random time within a transfer, or shortly after it.
fn moment(seed: Seed, case: usize) -> Duration {
    Duration::from_micros(seed.rng(case).below(550_000))
}

const KILLS: usize = 50;
const STAGES: usize = 4;
const BLOCK: usize = 1 << 20;
const BLOCKS: usize = 8;
/// The datagrams of a block at an MTU of 1500, of 1468 bytes each.
const BLOCK_WIRE: usize = 733 * 1_468;
/// 8 MiB in 0.43 s.
const RATE: &str = "160mbit";
const RATE_BYTES: f64 = 160e6 / 8.0;
/// Announcements, polls, the manifest twice, and a GSO batch of 44 datagrams that was queued when the host was heard.
const BESIDES: u64 = 128 << 10;
const TIMEOUT: Duration = Duration::from_secs(70);
