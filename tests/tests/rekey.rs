//! A new group key over the wire, and senders that are revoked while a host runs: what an operator types after a node was
//! stolen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{Push, Receiver, SOON, Testbed, list};
use glancecast_tests::wait;
use nix::sys::signal::Signal;

#[test]
fn a_node_that_is_left_out_cannot_take_part_in_the_next_push() {
    let scene = Scene::new();
    let (a, stolen) = (scene.receiver("a"), scene.receiver("stolen"));
    scene.enroll(&["a", "stolen"]);
    let old = fs::read(scene.testbed.key()).expect("a key");
    let (code, report) = scene.rekey(&["--without", "stolen"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!((&report["installed"], &report["finished"]), (&true.into(), &true.into()));
    assert_eq!(states(&report), [("a".into(), "finished".into()), ("stolen".into(), "left_out".into())]);
    let new = fs::read(scene.testbed.key()).expect("a key");
    assert!(new != old && new.len() == 32);
    assert!(!scene.record().exists(), "the old key is gone");
    scene.push(&["a", "stolen"], 3, &[("a", "done"), ("stolen", "never_answered")]);
    assert_eq!(stolen.stored(), [""; 0]);
    drop(a);
    // What it was given outlives a restart, and the configuration does not bring the old key back.
    let again = scene.restarted_with_the_old_key("a", &old);
    scene.push(&["a"], 0, &[("a", "existing")]);
    drop(again);
}

#[test]
fn a_host_that_was_off_is_given_the_key_when_it_is_back() {
    let scene = Scene::new();
    let (_a, b) = (scene.receiver("a"), scene.receiver("b"));
    scene.enroll(&["a", "b"]);
    drop(b);
    let (code, report) = scene.rekey(&["--timeout", "1s"]);
    assert_eq!(code, 3, "{report}");
    assert_eq!(states(&report), [("a".into(), "has".into()), ("b".into(), "awaited".into())]);
    assert!(
        report["hosts"][1]["reason"].as_str().is_some_and(|reason| reason.contains("--resume")),
        "{report}"
    );
    assert_eq!(scene.record().metadata().expect("a record").permissions().mode() & 0o777, 0o600);
    assert_eq!(scene.rekey(&[]).0, 2, "one replacement at a time");
    // The old key is retired where the new one is, while one host is still off.
    let (code, report) = scene.rekey(&["--finish"]);
    assert_eq!((code, states(&report)[0].1.as_str()), (3, "finished"), "{report}");
    let old = scene.old_key_in_record();
    let _b = scene.restarted_with_the_old_key("b", &old);
    let (code, report) = scene.rekey(&["--resume"]);
    assert_eq!((code, &report["finished"]), (0, &true.into()), "{report}");
    scene.push(&["a", "b"], 0, &[("a", "done"), ("b", "done")]);
}

#[test]
fn a_host_that_is_killed_at_any_moment_ends_with_a_key_that_the_sender_has() {
    let scene = Scene::new();
    let mut a = scene.receiver("a");
    scene.enroll(&["a"]);
    let old = fs::read(scene.testbed.key()).expect("a key");
    for (round, delay) in [0, 20, 60, 150, 400].into_iter().enumerate() {
        let (step, old_now) =
            (["--timeout", "1ms", "--wait", "500ms"], fs::read(scene.testbed.key()).expect("a key"));
        let mut rekey = scene.start_rekey(&format!("rekey-{round}"), &step);
        std::thread::sleep(Duration::from_millis(delay));
        a.process.signal(Signal::SIGKILL);
        let code = rekey.wait(SOON * 2).code();
        a = scene.restarted_with_the_old_key("a", &old);
        if code != Some(0) {
            let (code, report) = scene.rekey(&["--resume"]);
            assert_eq!((code, &report["finished"]), (0, &true.into()), "killed after {delay} ms: {report}");
        }
        assert_ne!(fs::read(scene.testbed.key()).expect("a key"), old_now);
        let (code, report) = scene.testbed.ask(&["hosts", "--hosts", "a", "--sender-key", &scene.secret()]);
        assert_eq!(code, 0, "killed after {delay} ms: {report}");
    }
    assert_eq!(list(&scene.testbed.state("a")), ["group.keys", "host.key"], "nothing else is left");
}

#[test]
fn a_host_that_cannot_keep_a_key_says_so() {
    let scene = Scene::new();
    let _a = scene.receiver("a");
    scene.enroll(&["a"]);
    let state = scene.testbed.state("a");
    // Also root may not put a file in the place of a directory.
    fs::create_dir(state.join("group.keys")).expect("ours");
    let (code, report) = scene.rekey(&["--timeout", "1ms"]);
    assert_eq!((code, &report["installed"]), (3, &false.into()), "{report}");
    let reason = report["hosts"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("state directory"), "{reason}");
    fs::remove_dir(state.join("group.keys")).expect("ours");
    assert_eq!(scene.rekey(&["--resume"]).0, 0);
}

#[test]
fn a_sender_that_is_taken_off_the_list_is_cut_off_in_the_middle_of_a_push() {
    let scene = Scene::new();
    let mut a = scene.receiver("a");
    let source = scene.image(24 << 20);
    let mut push = scene.start_slow_push(&source);
    a.process.wait_for_log("receiving", SOON);
    let other = scene.keygen_sender("other.key");
    fs::write(scene.senders(), &other).expect("ours");
    a.process.signal(Signal::SIGHUP);
    a.process.wait_for_log("taken off the list", SOON);
    let (_, report) = push.report(SOON);
    report.assert_hosts(&[("a", "failed")]);
    wait::until("the unfinished file is removed", SOON, || a.stored().is_empty().then_some(()));
    // A list that cannot be read changes nothing, and the log says what to do.
    fs::write(scene.senders(), "nonsense\n").expect("ours");
    a.process.signal(Signal::SIGHUP);
    let line = a.process.wait_for_log("stay as they were", SOON);
    assert!(line.contains("line 1") && line.contains("reload again"), "{line}");
    assert!(a.process.runs());
}

#[test]
fn a_reload_does_not_touch_a_push_of_a_sender_that_stays() {
    let scene = Scene::new();
    let mut a = scene.receiver("a");
    let source = scene.image(8 << 20);
    let sum = image::blake3_of(&source);
    let mut push = scene.start_slow_push(&source);
    a.process.wait_for_log("receiving", SOON);
    let ours = fs::read_to_string(scene.senders()).expect("ours");
    fs::write(
        scene.senders(),
        format!("{} expires=2099-12-31\n{}", ours.trim_end(), scene.keygen_sender("other.key")),
    )
    .expect("ours");
    a.process.signal(Signal::SIGHUP);
    a.process.wait_for_log("were read anew", SOON);
    let (end, report) = push.report(Duration::from_secs(60));
    assert_eq!(end.code(), Some(0), "{report:?}");
    assert_eq!(image::blake3_of(&a.only_file("image.raw")), sum);
}

#[test]
fn a_sender_beyond_its_last_day_is_refused_with_the_file_that_says_so() {
    let scene = Scene::new();
    let ours = fs::read_to_string(scene.senders()).expect("ours");
    fs::write(scene.senders(), format!("{} expires=2020-12-31\n", ours.trim_end())).expect("ours");
    let mut a = scene.receiver("a");
    scene.push(&["a"], 3, &[("a", "failed")]);
    let line = a.process.wait_for_log("2021-01-01", SOON);
    assert!(line.contains(&format!("{} line 1", scene.senders().display())), "{line}");
    assert_eq!(a.process.terminate(SOON).code(), Some(0));
    assert!(a.process.log_lines().iter().any(|line| line.contains("expired_sender=")));
}

/// A group whose hosts list one sender.
struct Scene {
    testbed: Testbed,
}

impl Scene {
    #[track_caller]
    fn new() -> Self {
        let scene = Self { testbed: Testbed::loopback() };
        fs::write(scene.senders(), scene.keygen_sender("sender.key")).expect("ours");
        scene
    }

    fn secret(&self) -> String {
        self.testbed.path("sender.key").to_str().expect("UTF-8").to_owned()
    }

    fn senders(&self) -> PathBuf {
        self.testbed.path("senders")
    }

    fn record(&self) -> PathBuf {
        self.testbed.path("group.key.rekey")
    }

    fn keygen_sender(&self, name: &str) -> String {
        let mut command = self.testbed.command("s", "glancecast");
        command.args(["keygen", "--sender"]).arg(self.testbed.path(name));
        let mut process = Process::start(name, command, &self.testbed.path(""));
        assert_eq!(process.wait(SOON).code(), Some(0));
        process.output()
    }

    /// Starts a host with the key that is in the group's key file now.
    fn receiver(&self, host: &str) -> Receiver {
        let key = fs::read(self.testbed.key()).expect("a key");
        self.restarted_with_the_old_key(host, &key)
    }

    /// Starts a host whose configuration has this key, whatever it was given since.
    fn restarted_with_the_old_key(&self, host: &str, key: &[u8]) -> Receiver {
        let own = self.testbed.path(&format!("{host}.key"));
        fs::write(&own, key).expect("ours");
        fs::set_permissions(&own, PermissionsExt::from_mode(0o600)).expect("ours");
        let own = own.to_str().expect("UTF-8").to_owned();
        self.testbed.receiver(host, &["--sender", self.senders().to_str().expect("UTF-8"), "--key", &own])
    }

    /// Starts a push to a, of some seconds.
    fn start_slow_push(&self, source: &Path) -> Push {
        let (file, secret) = (source.to_str().expect("UTF-8"), self.secret());
        let slow = ["--rate", "20mbit", "--timeout", "60s"];
        self.testbed.push(&[&["--file", file, "--hosts", "a", "--sender-key", &secret][..], &slow].concat())
    }

    fn enroll(&self, hosts: &[&str]) {
        let (code, report) = self.testbed.ask(&[
            "hosts",
            "--enroll",
            "--hosts",
            &hosts.join(","),
            "--sender-key",
            &self.secret(),
        ]);
        assert_eq!(code, 0, "{report}");
    }

    fn rekey(&self, arguments: &[&str]) -> (i32, serde_json::Value) {
        let mut process = self.start_rekey("rekey", arguments);
        let code = process.wait(SOON * 4).code().expect("no signal");
        (code, serde_json::from_str(&process.output()).unwrap_or_default())
    }

    fn start_rekey(&self, title: &str, arguments: &[&str]) -> Process {
        let mut command = self.testbed.command("s", "glancecast");
        command.args(["rekey", "--json", "--interface", "lo", "--group", &self.testbed.group().to_string()]);
        command.arg("--key").arg(self.testbed.key()).args(["--sender-key", &self.secret()]);
        command.arg("--known-hosts").arg(self.testbed.known_hosts()).args(arguments);
        Process::start(title, command, &self.testbed.path(""))
    }

    /// Returns the old key of a replacement that is under way.
    fn old_key_in_record(&self) -> Vec<u8> {
        let record = fs::read_to_string(self.record()).expect("a record");
        let old = record.lines().find_map(|line| line.strip_prefix("old ")).expect("an old key");
        (0..32).map(|at| u8::from_str_radix(&old[2 * at..2 * at + 2], 16).expect("hex")).collect()
    }

    fn image(&self, bytes: u64) -> PathBuf {
        let source = self.testbed.path("image.raw");
        if !source.exists() {
            image::random(&source, bytes, Seed::draw());
        }
        source
    }

    /// Pushes a small image and checks the exit code and what became of each host.
    fn push(&self, hosts: &[&str], code: i32, expected: &[(&str, &str)]) {
        let source = self.image(1 << 20);
        let (file, hosts) = (source.to_str().expect("UTF-8"), hosts.join(","));
        let mut push = self.testbed.push(&[
            "--file",
            file,
            "--hosts",
            &hosts,
            "--rate",
            "100mbit",
            "--timeout",
            "4s",
            "--sender-key",
            &self.secret(),
        ]);
        let (end, report) = push.report(Duration::from_secs(30));
        assert_eq!(end.code(), Some(code), "{report:?}");
        report.assert_hosts(expected);
    }
}

/// Returns each host with its state.
fn states(report: &serde_json::Value) -> Vec<(String, String)> {
    let hosts = report["hosts"].as_array().expect("hosts");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    hosts.iter().map(|host| (text(&host["name"]), text(&host["state"]))).collect()
}
