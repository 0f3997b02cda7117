//! A node that is watched: by its service manager, by `glancecastd status`, by Prometheus, and by whoever reads its log.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::needs;
use glancecast_tests::process::Process;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::{Receiver, SOON, Testbed};
use glancecast_tests::{places, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn the_service_manager_learns_that_it_is_ready_turns_reloads_and_ends() {
    let testbed = Testbed::loopback();
    let manager = Manager::new(&testbed);
    let file = testbed.path("glancecastd.toml");
    fs::write(&file, "write_rate = \"80mbit\"\n").expect("ours");
    let mut receiver = manager.receiver(&testbed, &["--config", text(&file)]);
    manager.wait_for(&["READY=1"]);
    manager.wait_for(&["STATUS=listening on lo (127.0.0.1) to ", ", no push so far"]);
    manager.wait_for(&["WATCHDOG=1"]);

    fs::write(&file, "write_rate = \"40mbit\"\ndscp = 5\n").expect("ours");
    receiver.process.signal(Signal::SIGHUP);
    manager.wait_for(&["RELOADING=1\nMONOTONIC_USEC="]);
    manager.wait_for(&["READY=1"]);
    let line = receiver.process.wait_for_log("restart glancecastd for them", SOON);
    assert!(line.contains("WARN") && line.ends_with("for them: dscp"), "{line}");
    receiver.process.wait_for_log("the settings were read anew", SOON);

    fs::write(&file, "write_rate = \"fast\"\n").expect("ours");
    receiver.process.signal(Signal::SIGHUP);
    manager.wait_for(&["RELOADING=1\n"]);
    manager.wait_for(&["READY=1"]);
    manager.wait_for(&["STATUS=", "the last reload was refused"]);
    let line = receiver.process.wait_for_log("stay as they were", SOON);
    assert!(line.contains("WARN") && line.contains("write_rate"), "{line}");

    // A loop that does not turn says nothing, and then its manager ends it.
    receiver.process.signal(Signal::SIGSTOP);
    manager.drain();
    std::thread::sleep(3 * PING);
    assert_eq!(manager.next(), None);
    receiver.process.signal(Signal::SIGCONT);
    manager.wait_for(&["WATCHDOG=1"]);
    assert_eq!(receiver.process.terminate(SOON).code(), Some(0));
    manager.wait_for(&["STOPPING=1"]);
}

#[test]
fn a_reload_in_a_push_takes_another_write_rate_over_and_does_not_break_the_push() {
    let testbed = Testbed::loopback();
    let file = testbed.path("glancecastd.toml");
    fs::write(&file, "write_rate = \"2mbit\"\n").expect("ours");
    let mut receiver = testbed.receiver("r1", &["--config", text(&file)]);
    let source = testbed.path("image.raw");
    let sum = image::random(&source, 8 << 20, Seed::draw());
    // At 2mbit the image takes 32 s to write.
    let mut push =
        testbed.push(&["--file", text(&source), "--hosts", "r1", "--rate", "100mbit", "--timeout", "60s"]);
    receiver.process.wait_for_log("receiving", SOON);
    fs::write(&file, "").expect("ours");
    receiver.process.signal(Signal::SIGHUP);
    let (end, report) = push.report(Duration::from_secs(25));
    assert_eq!(end.code(), Some(0), "{report:?}");
    assert_eq!(image::blake3_of(&receiver.only_file("image.raw")), sum);
}

#[test]
fn a_push_is_seen_on_the_node_while_it_runs_and_after_it() {
    let testbed = Testbed::loopback();
    let node = Watched::new(&testbed);
    let mut push = node.push(&testbed, "20mbit");
    let status = wait::until("a push under way", SOON, || {
        let status = node.status_json();
        (status["push"]["blocks_held"].as_u64() > Some(0)).then_some(status)
    });
    let under_way = &status["push"];
    assert_eq!((&under_way["name"], &under_way["phase"]), (&"image.raw".into(), &"receiving".into()));
    assert_eq!((under_way["bytes"].as_u64(), &status["schema"]), (Some(BYTES), &1.into()));
    let metrics = node.scrape("/metrics");
    assert_eq!(value(&metrics, "glancecast_receiver_session_active"), 1.0);
    assert!(value(&metrics, "glancecast_receiver_session_blocks_held") > 0.0);
    let (end, report) = push.report(SOON);
    assert_eq!(end.code(), Some(0), "{report:?}");

    let status = wait::until("the end of the push", SOON, || {
        let status = node.status_json();
        (status["push"].is_null() && status["store"]["facts"]["images"] == 1).then_some(status)
    });
    let last = &status["last"][0];
    assert_eq!((&last["name"], &last["result"]), (&"image.raw".into(), &"published".into()));
    let row = report.host("r1");
    assert_eq!(
        last["taken"]["received_bytes"].as_u64(),
        Some(row.bytes_received),
        "as in the sender's table"
    );
    let table = node.status();
    assert!(
        table.contains("image.raw") && table.contains("published") && table.contains("1 images"),
        "{table}"
    );
    let metrics = node.scrape("/metrics");
    assert_eq!(value(&metrics, "glancecast_receiver_pushes_total{result=\"published\"}"), 1.0);
    assert_eq!(value(&metrics, "glancecast_receiver_images"), 1.0);
    assert_eq!(value(&metrics, "glancecast_receiver_last_push_success"), 1.0);
    assert!(value(&metrics, "glancecast_receiver_bytes_total") > BYTES as f64);
    // The file has the same, and goes with the service.
    let file = node.metrics_file.clone();
    wait::until("the file of metrics", SOON, || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        text.contains("pushes_total{result=\"published\"} 1\n").then_some(())
    });
    let mut receiver = node.receiver;
    let line = receiver.process.wait_for_log("published", SOON);
    for field in [
        "name=\"image.raw\"",
        "bytes=",
        "seconds=",
        "received=",
        "lost=",
        "repaired=",
        "reused=",
        "store_drops=",
    ] {
        assert!(line.contains(field), "{field}: {line}");
    }
    assert_eq!(receiver.process.terminate(SOON).code(), Some(0));
}

#[test]
fn whatever_is_asked_of_the_port_the_node_goes_on() {
    let testbed = Testbed::loopback();
    let node = Watched::new(&testbed);
    assert!(node.scrape("/status.json").starts_with("HTTP/1.1 404 "), "that is for the socket");
    assert!(node.ask("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(node.ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(node.ask(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(64 << 10))).starts_with("HTTP/1.1 400 "));
    // Ten that say nothing: each may keep the others waiting for two seconds, and the push does not wait at all.
    let silent: Vec<TcpStream> =
        (0..10).map(|_| TcpStream::connect(node.metrics).expect("it listens")).collect();
    let (end, report) = node.push(&testbed, "200mbit").report(SOON);
    assert_eq!(end.code(), Some(0), "{report:?}");
    drop(silent);
    assert_eq!(value(&node.scrape("/metrics"), "glancecast_receiver_listening"), 1.0);
}

#[test]
fn promtool_finds_nothing_to_say_about_the_metrics() {
    needs!(&[Need::Program("promtool", "prometheus")]);
    let testbed = Testbed::loopback();
    let node = Watched::new(&testbed);
    node.push(&testbed, "200mbit").report(SOON);
    let answer = node.scrape("/metrics");
    let (_, metrics) = answer.split_once("\r\n\r\n").expect("a header");
    check_with_promtool(metrics);
}

#[test]
fn a_prometheus_scrapes_the_node_during_a_push() {
    needs!(&[Need::Program("prometheus", "prometheus")]);
    let testbed = Testbed::loopback();
    let node = Watched::new(&testbed);
    let config = testbed.path("prometheus.yml");
    let scrape = format!(
        "scrape_configs:\n- job_name: glancecast\n  scrape_interval: 500ms\n  static_configs:\n  - targets: [\"{}\"]\n",
        node.metrics
    );
    fs::write(&config, scrape).expect("ours");
    let web = free_port();
    let mut command = Command::new(places::tool("prometheus").expect("it was asked for"));
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", testbed.path("tsdb").display()))
        .arg(format!("--web.listen-address={web}"))
        .stdin(Stdio::null());
    let _prometheus = Process::start("prometheus", command, &testbed.path(""));
    let query = |what: &str| {
        let answer = exchange(web, &format!("GET /api/v1/query?query={what} HTTP/1.0\r\n\r\n"))?;
        let found: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        (found["data"]["result"][0]["value"][1] == "1").then_some(found)
    };
    // It looks for its targets every five seconds.
    wait::until("the first scrape", SOON * 2, || query("glancecast_receiver_listening"));
    let mut push = node.push(&testbed, "20mbit");
    let found = wait::until("a scrape of the push", SOON * 2, || {
        query("max_over_time(glancecast_receiver_session_active[1m])")
    });
    println!("{found}");
    let (end, report) = push.report(SOON);
    assert_eq!(end.code(), Some(0), "{report:?}");
}

#[test]
fn a_log_of_json_has_an_object_a_line() {
    let testbed = Testbed::loopback();
    let mut command = testbed.command("r1", "glancecastd");
    command.env("RUST_LOG", "debug");
    let mut receiver = testbed.start_receiver_with(command, "r1", &["--log-format", "json"]);
    receiver.wait_for_log("\"listening\"", SOON);
    let source = testbed.path("Windows Server.raw");
    image::random(&source, 1 << 20, Seed::draw());
    let (_, report) = testbed
        .push(&["--file", text(&source), "--hosts", "r1", "--rate", "100mbit", "--timeout", "10s"])
        .report(SOON);
    report.assert_hosts(&[("r1", "done")]);
    assert_eq!(receiver.terminate(SOON).code(), Some(0));
    let lines = receiver.log_lines();
    let lines: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let published = lines.iter().find(|line| line["message"] == "published").expect("it is logged");
    assert_eq!((&published["name"], &published["bytes"]), (&"Windows Server.raw".into(), &(1 << 20).into()));
    assert_eq!(published["level"], "INFO");
    assert!(published["time"].is_string() && published["seconds"].is_number(), "{published}");
}

#[test]
fn a_check_prints_every_mistake_and_exits_as_the_service_would() {
    let testbed = Testbed::loopback();
    let file = testbed.path("glancecastd.toml");
    let check = |content: &str| {
        fs::write(&file, content).expect("ours");
        let mut command = testbed.command("r1", "glancecastd");
        command.args(["--check", "--config"]).arg(&file);
        let mut process = Process::start("check", command, &testbed.path(""));
        (process.wait(SOON).code(), process.log_lines())
    };
    let (code, lines) =
        check("dscp = 99\nmin_free = \"much\"\nsenders = \"any\"\nstore = \"directory:/nowhere\"\n");
    assert_eq!(code, Some(78), "{lines:?}");
    for (line, words) in lines.iter().zip(["no key", "dscp", "min_free"]) {
        assert!(line.starts_with("glancecastd: ") && line.contains(words), "{lines:?}");
    }
    assert_eq!(lines.len(), 3, "{lines:?}");
    let good = format!(
        "key = {:?}\nsenders = \"any\"\nstore = \"directory:{}\"\nstate = {:?}\ninterface = \"never0\"\n",
        testbed.key(),
        testbed.store("r1").display(),
        testbed.state("r1")
    );
    let (code, lines) = check(&good);
    assert_eq!((code, lines.len()), (Some(0), 2), "{lines:?}");
    assert!(lines[0].contains("never0") && lines[0].ends_with("waits for it"), "{lines:?}");
    assert!(!testbed.state("r1").join("host.key").exists(), "a check makes nothing");
}

#[test]
fn what_nobody_answers_says_where_to_look() {
    let testbed = Testbed::loopback();
    let mut command = testbed.command("r1", "glancecastd");
    command.args(["status", "--runtime"]).arg(testbed.path("nowhere"));
    let mut process = Process::start("status", command, &testbed.path(""));
    assert_eq!(process.wait(SOON).code(), Some(1));
    assert!(process.log_lines()[0].contains("systemctl status glancecastd"), "{:?}", process.log_lines());
}

#[test]
fn both_programs_name_the_version_of_the_protocol() {
    let testbed = Testbed::loopback();
    for program in ["glancecast", "glancecastd"] {
        let mut command = testbed.command("r1", program);
        command.arg("--version");
        let mut process = Process::start("version", command, &testbed.path(""));
        assert_eq!(process.wait(SOON).code(), Some(0));
        assert_eq!(process.output().trim(), format!("{program} {} (protocol 2)", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn the_keys_of_two_machines_are_compared_by_their_fingerprints() {
    let testbed = Testbed::loopback();
    let keygen = |arguments: &[&str]| {
        let mut command = testbed.command("s", "glancecast");
        command.arg("keygen").args(arguments);
        let mut process = Process::start("keygen", command, &testbed.path(""));
        assert_eq!(process.wait(SOON).code(), Some(0), "{:?}", process.log_lines());
        process.output().trim().to_owned()
    };
    let fingerprint = keygen(&["--fingerprint", text(testbed.key())]);
    assert_eq!(fingerprint.len(), 16);
    // The same key as text, as a template or a vault has it.
    let digits: String =
        fs::read(testbed.key()).expect("ours").iter().map(|byte| format!("{byte:02x}")).collect();
    let as_text = testbed.path("text.key");
    fs::copy(testbed.key(), &as_text).expect("ours, with its mode");
    fs::write(&as_text, format!("glancecast-key:{digits}\n")).expect("ours");
    let mut receiver = testbed.receiver("r1", &["--key", text(&as_text)]);
    let line = receiver.process.wait_for_log("listening", SOON);
    assert!(line.contains(&format!("group_key=\"{fingerprint}\"")), "{fingerprint}: {line}");
    let sender = testbed.path("sender.key");
    let public = keygen(&["--sender", text(&sender)]);
    assert!(public.starts_with("ed25519:"));
    assert_eq!(keygen(&["--public", text(&sender)]), public);
}

/// Has Prometheus's own tool check metrics.
#[track_caller]
pub(crate) fn check_with_promtool(metrics: &str) {
    let mut promtool = Command::new(places::tool("promtool").expect("it was asked for"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("it starts");
    promtool.stdin.take().expect("a pipe").write_all(metrics.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// A receiver with all ways of being watched.
struct Watched {
    receiver: Receiver,
    runtime: PathBuf,
    metrics: std::net::SocketAddr,
    metrics_file: PathBuf,
    program: Command,
}

impl Watched {
    #[track_caller]
    fn new(testbed: &Testbed) -> Self {
        let (runtime, metrics) = (testbed.store("runtime"), free_port());
        let metrics_file = testbed.path("glancecast.prom");
        let receiver = testbed.receiver(
            "r1",
            &[
                "--runtime",
                text(&runtime),
                "--metrics",
                &metrics.to_string(),
                "--metrics-file",
                text(&metrics_file),
            ],
        );
        Self { receiver, runtime, metrics, metrics_file, program: testbed.command("r1", "glancecastd") }
    }

    fn push(&self, testbed: &Testbed, rate: &str) -> glancecast_tests::testbed::Push {
        let source = testbed.path("image.raw");
        image::random(&source, BYTES, Seed::draw());
        testbed.push(&["--file", text(&source), "--hosts", "r1", "--rate", rate, "--timeout", "30s"])
    }

    fn status(&self) -> String {
        self.run(&[])
    }

    fn status_json(&self) -> Value {
        serde_json::from_str(&self.run(&["--json"])).expect("one JSON object")
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(self.program.get_program());
        command.args(["status", "--runtime", text(&self.runtime)]).args(arguments).stdin(Stdio::null());
        let output = command.output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn scrape(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.metrics))
    }

    fn ask(&self, request: &str) -> String {
        exchange(self.metrics, request).expect("it answers")
    }
}

/// A service manager: a socket, and what came to it.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(testbed: &Testbed) -> Self {
        let path = testbed.path("notify");
        let socket = UnixDatagram::bind(&path).expect("the path is short enough");
        socket.set_read_timeout(Some(PING)).expect("a socket");
        Self { socket, path }
    }

    #[track_caller]
    fn receiver(&self, testbed: &Testbed, arguments: &[&str]) -> Receiver {
        let mut command = testbed.command("r1", "glancecastd");
        // Three pings in this time.
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", (3 * PING).as_micros().to_string());
        testbed.receiver_with(command, "r1", arguments)
    }

    /// Returns the next message, if one comes soon.
    fn next(&self) -> Option<String> {
        let mut message = [0; 1024];
        let len = self.socket.recv(&mut message).ok()?;
        Some(String::from_utf8_lossy(&message[..len]).into_owned())
    }

    /// Reads all messages that wait.
    fn drain(&self) {
        while self.next().is_some() {}
    }

    /// Reads messages until one has all of `words`.
    #[track_caller]
    fn wait_for(&self, words: &[&str]) {
        wait::until(&format!("{words:?}"), SOON, || {
            let message = self.next()?;
            words.iter().all(|word| message.contains(word)).then_some(())
        });
    }
}

fn exchange(with: std::net::SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(with).ok()?;
    stream.set_read_timeout(Some(2 * SOON)).expect("a socket");
    // Whoever sends too much is not read to the end.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// Returns the value of a series.
#[track_caller]
fn value(metrics: &str, series: &str) -> f64 {
    let found = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in {metrics}"))
}

fn free_port() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

const BYTES: u64 = 8 << 20;

/// Time between two pings of the watchdog.
const PING: Duration = Duration::from_millis(300);
