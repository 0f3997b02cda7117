//! What a person or a program sees of a push while it runs: events, lines in a log, a line on a terminal, lists of every form.

use std::fs;
use std::process::{Command, Stdio};

use glancecast_tests::image::{self, Seed};
use glancecast_tests::testbed::Testbed;
use glancecast_tests::{places, schema};
use serde_json::Value;

#[test]
fn every_event_of_a_push_is_as_its_schema_says_and_tells_the_whole_story() {
    let testbed = Testbed::loopback();
    let _receivers = ["r1", "r2"].map(|name| testbed.receiver(name, &[]));
    let events = testbed.path("events");
    let to_file = format!("--events={}", events.display());
    let output = push(&testbed, &[&to_file, "--hosts", "r1,r2,r9", "--timeout", "3s", "--rate", "40mbit"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stdout).contains("missing: r9"), "the table is there, too: {output:?}");
    let events = read(&fs::read_to_string(&events).expect("they are there"));
    assert_eq!(kind(&events[0]), "started");
    assert_eq!(events[0]["hosts"], serde_json::json!(["r1", "r2", "r9"]));
    let of = |host: &str| -> Vec<&str> {
        let is_of = |event: &&Value| kind(event) == "host" && event["host"] == host;
        events.iter().filter(is_of).map(|event| event["state"].as_str().expect("a text")).collect()
    };
    assert_eq!((of("r1"), of("r2")), (vec!["joined", "done"], vec!["joined", "done"]));
    let progress: Vec<&Value> = events.iter().filter(|event| kind(event) == "progress").collect();
    assert!(progress.len() >= 3, "one each second: {progress:?}");
    let names_r9 = |event: &&&Value| {
        event["late"].as_array().is_some_and(|late| late.iter().any(|host| host["host"] == "r9"))
    };
    assert!(progress.iter().any(|event| names_r9(&event)), "{progress:?}");
    let last = events.last().expect("there are some");
    assert_eq!((kind(last), &last["exit_code"], &last["holding"]), ("finished", &3.into(), &2.into()));
    assert!(events.iter().all(|event| event["push"] == events[0]["push"]), "one push");
}

#[test]
fn events_have_standard_output_to_themselves_and_say_why_no_push_began() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let output = push(&testbed, &["--events", "--hosts", "r1", "--timeout", "20s"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let events = read(text(&output.stdout));
    assert_eq!(kind(events.last().expect("there are some")), "finished");
    assert_eq!(receiver.stored(), ["image"]);
    let output = push(&testbed, &["--events", "--interface", "nowhere9", "--hosts", "r1"]);
    let events = read(text(&output.stdout));
    assert_eq!((events.len(), kind(&events[0])), (1, "error"), "{output:?}");
    assert_eq!(events[0]["exit_code"].as_i64(), output.status.code().map(i64::from));
}

#[test]
fn without_a_terminal_there_is_a_line_at_the_start_and_at_each_change() {
    let testbed = Testbed::loopback();
    let _receiver = testbed.receiver("r1", &[]);
    let output = push(&testbed, &["--hosts", "r1,r9", "--timeout", "3s", "--rate", "40mbit"]);
    let said = text(&output.stderr);
    assert!(!said.contains('\r') && !said.contains('\u{1b}'), "{said:?}");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("image  ")).collect();
    assert!((2..=8).contains(&lines.len()), "{said}");
    let last = lines.iter().rev().find(|line| line.contains("finishing")).expect("it finishes");
    assert!(last.contains("1 of 2 hosts done") && last.contains("1 not heard: r9, until "), "{said}");
}

#[test]
fn a_terminal_of_80_columns_has_one_line_that_fits_and_log_lines_above_it() {
    let testbed = Testbed::loopback();
    let _receiver = testbed.receiver("r1", &[]);
    let mut send = command(&testbed, &["--hosts", "r1,r9", "--timeout", "3s", "--rate", "40mbit"]);
    send.env("RUST_LOG", "glancecast_sender=debug").env("TERM", "xterm").env("NO_COLOR", "1");
    let Some(seen) = on_terminal(&send, 80) else {
        return eprintln!("skipped: python3 is not there");
    };
    // What is on the screen in the end: each piece between two returns is written over by the next one.
    let drawn: Vec<&str> =
        seen.split(['\r', '\n']).map(|piece| piece.trim_start_matches("\u{1b}[K")).collect();
    let lines: Vec<&&str> = drawn.iter().filter(|line| line.starts_with("image  ")).collect();
    assert!(lines.len() > 5, "it is drawn again and again: {seen:?}");
    for line in &lines {
        assert!(line.chars().count() < 80, "{line}");
        assert!(!line.contains("\u{1b}[3"), "NO_COLOR: {line:?}");
    }
    assert!(lines.iter().any(|line| line.contains("1 not heard: r9, until ")), "{seen:?}");
    // No line is left behind: after each one comes what erases it.
    for (at, _) in seen.match_indices("\rimage  ").chain(seen.match_indices("\u{1b}[Kimage  ")) {
        let rest = &seen[at + 1..];
        let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
        assert!(rest[end..].starts_with("\r\u{1b}[K"), "a dead copy: {:?}", &rest[..end.min(120)]);
    }
}

#[test]
fn hosts_are_listed_in_every_form_of_the_openstack_command() {
    let testbed = Testbed::loopback();
    let _receivers = ["r2", "r10"].map(|name| testbed.receiver(name, &[]));
    let list = |more: &[&str]| {
        let mut command = testbed.command("", "glancecast");
        command.args(["hosts", "--hosts", "r2,r10"]).args(more);
        let output = with_group(command, &testbed).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stdout).to_owned()
    };
    assert_eq!(list(&["-f", "value", "-c", "host", "-c", "state"]), "r2 answered\nr10 answered\n");
    assert_eq!(list(&["-f", "csv", "-c", "HELD", "-c", "HOST"]), "\"HELD\",\"HOST\"\n0,\"r2\"\n0,\"r10\"\n");
    let rows: Value = serde_json::from_str(&list(&["-f", "json"])).expect("it is JSON");
    assert_eq!(
        (&rows[0]["HOST"], &rows[1]["HOST"], &rows[0]["PINNED"]),
        (&"r2".into(), &"r10".into(), &0.into())
    );
    assert!(list(&["-f", "yaml", "-c", "HOST", "-c", "HELD"]).starts_with("- HOST: r2\n  HELD: 0\n"));
    assert!(list(&["--sort-column", "host"]).contains("2 of 2 hosts answered"));
    let mut wrong = testbed.command("", "glancecast");
    wrong.args(["hosts", "--hosts", "r2", "-c", "size"]);
    let output = with_group(wrong, &testbed).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("no column \"size\": its columns are HOST, STATE"), "{output:?}");
}

#[test]
fn watching_lists_again_and_again_until_a_signal_ends_it() {
    let testbed = Testbed::loopback();
    let _receiver = testbed.receiver("r1", &[]);
    let mut command = Command::new("timeout");
    let program = places::program("glancecast");
    command.args(["--preserve-status", "-s", "INT", "3"]).arg(program).args([
        "hosts",
        "--hosts",
        "r1",
        "--watch=200ms",
    ]);
    let output = with_group(command, &testbed).output().expect("coreutils are there");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lists = text(&output.stdout).matches("1 of 1 host answered").count();
    assert!(lists >= 3, "{output:?}");
}

/// Pushes a small image.
fn push(testbed: &Testbed, arguments: &[&str]) -> std::process::Output {
    command(testbed, arguments).stdin(Stdio::null()).output().expect("it runs")
}

/// Returns the command that pushes a small image.
fn command(testbed: &Testbed, arguments: &[&str]) -> Command {
    let source = testbed.path("image");
    image::random(&source, 3 << 20, Seed::draw());
    let mut command = testbed.command("", "glancecast");
    command.args(["send", "--unsigned", "--no-lock", "--file"]).arg(&source).args(arguments);
    with_group(command, testbed)
}

fn with_group(mut command: Command, testbed: &Testbed) -> Command {
    command.args(["--group", &testbed.group().to_string()]);
    if !command.get_args().any(|argument| argument == "--interface") {
        command.args(["--interface", "lo"]);
    }
    command.arg("--key").arg(testbed.key()).arg("--known-hosts").arg(testbed.known_hosts());
    command
}

/// Runs a command on a terminal of so many columns, and returns what it writes there; `None` without Python.
fn on_terminal(command: &Command, columns: u16) -> Option<String> {
    let script = "import fcntl, os, pty, struct, sys, termios\n\
                  pid, fd = pty.fork()\n\
                  if pid == 0:\n    \
                      fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(sys.argv[1]), 0, 0))\n    \
                      os.execv(sys.argv[2], sys.argv[2:])\n\
                  try:\n    \
                      while True:\n        \
                          data = os.read(fd, 65536)\n        \
                          if not data: break\n        \
                          os.write(1, data)\n\
                  except OSError: pass\n\
                  os.waitpid(pid, 0)";
    let mut python = Command::new("python3");
    python.args(["-c", script, &columns.to_string()]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    let output = python.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the events of some lines, each of which is as the schema says.
fn read(lines: &str) -> Vec<Value> {
    let path = places::workspace().join("docs/events.schema.json");
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("it is there")).expect("the schema is JSON");
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(schema::fault(&schema, &event), None, "{line}");
        event
    };
    lines.lines().map(event).collect()
}

fn kind(event: &Value) -> &str {
    event["event"].as_str().expect("each has a kind")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}
