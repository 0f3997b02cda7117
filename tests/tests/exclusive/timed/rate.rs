//! An adaptive rate: it finds the network's capacity, yields to other traffic, and ignores loss that is not congestion.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_tests::image::{self, Seed};
use glancecast_tests::netns::{self, Lab, Offload, Shape};
use glancecast_tests::report::Report;
use glancecast_tests::testbed::{Push, Receiver, Testbed};
use glancecast_tests::{measured, needs};
use nix::sys::socket::{setsockopt, sockopt};

#[test]
fn a_bottleneck_of_100_mbit_is_found_and_held() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: 4, offload: Offload::Off, loss_per_mille: 0, rate: Some("100mbit") };
    let report = Scene::new(&shape, 96 << 20).push("auto:1gbit").end();
    let slower = report.seconds / report.line_seconds(100e6);
    let lost = lost_share(&report);
    measured!("{slower:.3} x line time, {:.2} of 100 datagrams lost", 100.0 * lost);
    assert!(slower <= 1.25, "{report:?}");
    assert!(lost <= 0.03, "{report:?}");
}

#[test]
fn a_bottleneck_of_1_gbit_is_found_and_held() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: 2, offload: Offload::On, loss_per_mille: 0, rate: Some("1gbit") };
    let report = Scene::new(&shape, 512 << 20).push("auto:4gbit").end();
    let slower = report.seconds / report.line_seconds(1e9);
    let lost = lost_share(&report);
    measured!("{slower:.3} x line time, {:.2} of 100 datagrams lost", 100.0 * lost);
    assert!(slower <= 1.35, "{report:?}");
    assert!(lost <= 0.03, "{report:?}");
}

#[test]
fn a_bottleneck_that_widens_is_made_use_of() {
    needs!(netns::NEEDS);
    const NARROW: Duration = Duration::from_secs(3);
    let shape = Shape { receivers: 2, offload: Offload::On, loss_per_mille: 0, rate: Some("50mbit") };
    let scene = Scene::new(&shape, 192 << 20);
    let push = scene.push("auto:1gbit");
    thread::sleep(NARROW.saturating_sub(push.push.process.age()));
    scene.testbed.network().shape("500mbit");
    let report = push.end();
    let rest = report.line_seconds(500e6) * (1.0 - NARROW.as_secs_f64() / report.line_seconds(50e6));
    let after = report.seconds - NARROW.as_secs_f64();
    measured!("{after:.2} s after ten times the rate came free, where the line takes {rest:.2} s");
    // The search for the new rate takes about two seconds, during which some data is sent.
    assert!(after <= rest + 2.5, "{report:?}");
}

#[test]
fn a_tcp_flow_and_a_push_leave_each_other_a_share() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: 2, offload: Offload::Off, loss_per_mille: 0, rate: Some("100mbit") };
    share(&Scene::new(&shape, 48 << 20), None);
}

#[test]
fn a_cubic_flow_and_a_push_leave_each_other_a_share_of_a_link_between_switches() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: 2, offload: Offload::Off, loss_per_mille: 0, rate: None };
    let scene = Scene::new(&shape, 48 << 20);
    scene.testbed.network().narrow("100mbit");
    share(&scene, Some("cubic"));
}

/// Pushes while a TCP flow is running, with this congestion control or the machine's default.
fn share(scene: &Scene, control: Option<&str>) {
    let lab = scene.testbed.network();
    let (arrived, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (alone, beside, report) = thread::scope(|scope| {
        let (from, to) = connection(lab);
        if let Some(name) = control {
            setsockopt(&from, sockopt::TcpCongestion, &name.into()).expect("the kernel has it");
        }
        scope.spawn(|| count(to, &arrived));
        scope.spawn(|| flood(from, &stop));
        // A panic below must end the threads, too.
        let _stop = Stop(&stop);
        thread::sleep(Duration::from_secs(1));
        let (since, before) = (Instant::now(), arrived.load(Ordering::Relaxed));
        thread::sleep(Duration::from_secs(2));
        let alone = rate(&arrived, before, since);
        let (since, before) = (Instant::now(), arrived.load(Ordering::Relaxed));
        let mut push = scene.push("auto:1gbit");
        // Measured while the push runs.
        push.push.process.wait(Duration::from_secs(60));
        let beside = rate(&arrived, before, since);
        (alone, beside, push.end())
    });
    let push = report.wire.frame_bytes as f64 * 8.0 / report.seconds;
    measured!(
        "TCP alone {:.1} Mbit/s; beside a push of {:.1} Mbit/s {:.1} Mbit/s; the push lost {:.2} of 100",
        alone / 1e6,
        push / 1e6,
        beside / 1e6,
        100.0 * lost_share(&report)
    );
    assert!(alone >= 80e6, "the flow did not fill the link: {alone}");
    assert!(beside >= 0.25 * alone, "the push starves TCP: {beside} of {alone}");
    assert!(push >= 0.25 * 100e6, "TCP starves the push: {push}");
}

#[test]
fn independent_loss_of_one_percent_does_not_slow_a_push_down() {
    needs!(netns::NEEDS);
    let shape = Shape { receivers: 4, offload: Offload::Off, loss_per_mille: 10, rate: None };
    let report = Scene::new(&shape, 48 << 20).push("auto:100mbit").end();
    let slower = report.seconds / report.line_seconds(100e6);
    measured!("{slower:.3} x line time at the cap");
    assert!(slower <= 1.15, "{report:?}");
}

/// Receivers and an image, ready for a push. Fields are dropped in order: receivers before the directory of their logs.
struct Scene {
    receivers: Vec<Receiver>,
    testbed: Testbed,
    hosts: Vec<String>,
    sum: String,
}

struct Running<'a> {
    push: Push,
    scene: &'a Scene,
}

impl Scene {
    fn new(shape: &Shape<'_>, bytes: u64) -> Self {
        let testbed = Testbed::lab(Lab::build(shape));
        let sum = image::random(&testbed.path("image.raw"), bytes, Seed::draw());
        let hosts = testbed.network().receivers();
        let receivers = hosts.iter().map(|host| testbed.receiver(host, &[])).collect();
        Self { testbed, receivers, hosts, sum }
    }

    fn push(&self, rate: &str) -> Running<'_> {
        let (source, names) = (self.testbed.path("image.raw"), self.hosts.join(","));
        let file = source.to_str().expect("UTF-8");
        let push =
            self.testbed.push(&["--file", file, "--hosts", &names, "--rate", rate, "--timeout", "40s"]);
        Running { push, scene: self }
    }
}

impl Running<'_> {
    /// Waits for the end, and checks every copy.
    fn end(mut self) -> Report {
        let (_, report) = self.push.report(Duration::from_secs(60));
        assert_eq!(report.outcome, "complete", "{report:?}");
        assert!(report.rate_adapts);
        for receiver in &self.scene.receivers {
            assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), self.scene.sum);
        }
        report
    }
}

/// The highest loss of a host, as a share of all datagrams.
fn lost_share(report: &Report) -> f64 {
    let lost = report.hosts.iter().map(|host| host.symbols_lost).max().unwrap_or(0);
    lost as f64 / report.wire.datagrams as f64
}

/// Opens a TCP connection from the sender's host to the first receiver's.
fn connection(lab: &Lab) -> (TcpStream, TcpStream) {
    let listener = lab.inside("r1", || TcpListener::bind("10.77.1.1:5001").expect("the port is free"));
    let from = lab.inside(Lab::SENDER, || TcpStream::connect("10.77.1.1:5001").expect("it listens"));
    (from, listener.accept().expect("it has connected").0)
}

fn flood(mut from: TcpStream, stop: &AtomicBool) {
    from.set_write_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    while !stop.load(Ordering::Relaxed) && from.write_all(&[7; 64 << 10]).is_ok() {}
    let _ = from.shutdown(Shutdown::Both);
}

fn count(mut to: TcpStream, arrived: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(bytes @ 1..) = to.read(&mut buffer) {
        arrived.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Returns the bits per second since then.
fn rate(arrived: &AtomicU64, before: u64, since: Instant) -> f64 {
    (arrived.load(Ordering::Relaxed) - before) as f64 * 8.0 / since.elapsed().as_secs_f64()
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
