//! The settings of the sender: by flags, by a file, by the environment and by a profile, with real programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use glancecast_tests::image::{self, Seed};
use glancecast_tests::process::Process;
use glancecast_tests::testbed::{SOON, Testbed};
use serde_json::Value;

#[test]
fn the_same_push_is_made_by_flags_by_a_file_by_the_environment_and_by_a_profile() {
    let testbed = Testbed::loopback();
    let receiver = testbed.receiver("r1", &[]);
    let images = ["flags", "file", "environment", "profile"].map(|way| {
        let path = testbed.path(&format!("by-{way}.raw"));
        image::random(&path, 1 << 20, Seed::draw());
        path
    });
    let settings = settings(&testbed);
    let flags: Vec<String> = settings.iter().flat_map(|(name, value)| as_flag(name, value)).collect();
    let table: String = settings.iter().map(|(name, value)| as_toml(name, value)).collect();
    let file = testbed.path("prod.toml");
    fs::write(&file, &table).expect("writable");
    let with_profile = format!("interface = \"lo\"\ngroup = \"239.0.0.1:1\"\n[profile.prod]\n{table}");
    let home = testbed.path("home");
    fs::create_dir_all(home.join(".config/glancecast")).expect("writable");
    fs::write(home.join(".config/glancecast/config.toml"), with_profile).expect("writable");

    let mut commands = images.clone().map(|image| send(&testbed, &home, &image));
    commands[0].args(flags);
    commands[1].arg("--config").arg(&file);
    for (name, value) in &settings {
        commands[2].env(format!("GLANCECAST_{}", name.to_uppercase()), value);
    }
    commands[3].args(["--profile", "prod"]);
    for (command, image) in commands.into_iter().zip(&images) {
        let (code, report) = run(&testbed, command);
        assert_eq!((code, &report["outcome"]), (0, &"complete".into()), "{}: {report}", image.display());
        assert_eq!(report["hosts"][0]["name"], "r1", "{report}");
        let name = image.file_name().expect("a name");
        assert_eq!(image::blake3_of(&receiver.store.join(name)), image::blake3_of(image));
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_the_environment_over_a_file() {
    let testbed = Testbed::loopback();
    let file = testbed.path("x.toml");
    fs::write(&file, "group = \"239.0.0.1:1\"\nttl = 3\nrate = \"1mbit\"\n").expect("writable");
    let shown = |set: &dyn Fn(&mut Command)| {
        let mut command = glancecast(&testbed, &testbed.path("home"));
        command.args(["config", "--json", "--config"]).arg(&file);
        set(&mut command);
        let (code, report) = run(&testbed, command);
        assert_eq!(code, 0, "{report}");
        report["settings"].as_array().expect("rows").clone()
    };
    let rows = shown(&|command| {
        command.env("GLANCECAST_TTL", "4");
    });
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).expect("a row");
    assert_eq!((&row("group")["value"], &row("group")["from"]["line"]), (&"239.0.0.1:1".into(), &1.into()));
    assert_eq!(
        (&row("ttl")["value"], &row("ttl")["from"]["variable"]),
        (&"4".into(), &"GLANCECAST_TTL".into())
    );
    assert_eq!(row("reach")["from"]["kind"], "default");

    // A query to a group where nobody is, but for the flag.
    let receiver = testbed.receiver("r1", &[]);
    let mut command = glancecast(&testbed, &testbed.path("home"));
    let group = testbed.group().to_string();
    command.args(["hosts", "--interface", "lo", "--hosts", "r1", "--json", "--group", &group]);
    command.arg("--config").arg(&file).arg("--key").arg(testbed.key());
    command.arg("--known-hosts").arg(testbed.known_hosts()).env("GLANCECAST_GROUP", "239.0.0.2:2");
    let (code, report) = run(&testbed, command);
    assert_eq!(code, 0, "{report}");
    drop(receiver);
}

#[test]
fn a_mistake_is_named_with_its_place_and_nothing_is_sent() {
    let testbed = Testbed::loopback();
    let file = testbed.path("x.toml");
    for (text, message) in [
        ("\ninterfce = \"lo\"", "x.toml line 2: there is no setting \"interfce\"; is interface meant?"),
        ("rate = \"fast\"", "x.toml line 1: rate: \"fast\": "),
        ("dscp = \"8\"", "x.toml line 1: dscp: write a number from 0 to 63, without quotes"),
        ("dscp = = 8", "x.toml line 1 is not TOML: \"dscp = = 8\""),
        ("default_profile = \"p\"", "there is no profile \"p\""),
    ] {
        fs::write(&file, text).expect("writable");
        let push = ["send", "--file", "/nowhere.raw", "--insecure", "--json"];
        for words in [&["config", "--check"][..], &push] {
            let mut command = glancecast(&testbed, &testbed.path("home"));
            command.args(words).arg("--config").arg(&file);
            let mut process = Process::start("mistaken", command, &testbed.path("."));
            let end = process.wait(SOON);
            assert_eq!(end.code(), Some(2), "{text}: {:?}", process.log_lines());
            let lines = process.log_lines();
            assert!(lines.iter().any(|line| line.contains(message)), "{text}: {lines:?}");
            if words.contains(&"--json") {
                let report: Value = serde_json::from_str(&process.output()).expect("an object");
                assert_eq!((&report["error"]["kind"], &report["exit_code"]), (&"usage".into(), &2.into()));
            }
        }
    }
    let mut command = glancecast(&testbed, &testbed.path("home"));
    command.args(["config", "--check", "--config"]).arg(testbed.path("nowhere.toml"));
    let mut process = Process::start("missing", command, &testbed.path("."));
    assert_eq!(process.wait(SOON).code(), Some(2), "a file that is named must be there");
}

#[test]
fn the_sample_of_the_documents_can_be_used_and_has_every_setting() {
    let testbed = Testbed::loopback();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/glancecast.toml");
    let text = fs::read_to_string(&sample).expect("the sample");
    let uncommented = text.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase()) => setting,
        _ => line,
    });
    let config = |file: &Path| {
        let mut command = glancecast(&testbed, &testbed.path("home"));
        command.args(["config", "--json", "--config"]).arg(file);
        run(&testbed, command)
    };
    let (code, report) = config(&sample);
    assert_eq!(code, 0, "{report}");
    let whole = testbed.path("whole.toml");
    fs::write(&whole, uncommented.collect::<Vec<_>>().join("\n")).expect("writable");
    let (code, report) = config(&whole);
    assert_eq!(code, 0, "{report}");
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md"));
    let document = document.expect("the document");
    for row in report["settings"].as_array().expect("rows") {
        let name = row["name"].as_str().expect("a name");
        assert!(
            text.contains(&format!("#{name} = ")) || row["from"]["kind"] == "file",
            "{name} is in the sample"
        );
        assert!(document.contains(&format!("`{name}`")), "{name} is in docs/configuration.md");
    }
}

/// The settings of a push, as texts.
fn settings(testbed: &Testbed) -> Vec<(&'static str, String)> {
    vec![
        ("group", testbed.group().to_string()),
        ("interface", "lo".to_owned()),
        ("key", testbed.key().display().to_string()),
        ("known_hosts", testbed.known_hosts().display().to_string()),
        ("unsigned", "true".to_owned()),
        ("hosts", "r[1-1]".to_owned()),
        ("rate", "200mbit".to_owned()),
        ("timeout", "20s".to_owned()),
        ("dscp", "0".to_owned()),
    ]
}

fn as_flag(name: &str, value: &str) -> Vec<String> {
    let flag = format!("--{}", name.replace('_', "-"));
    if value == "true" { vec![flag] } else { vec![flag, value.to_owned()] }
}

fn as_toml(name: &str, value: &str) -> String {
    let is_bare = value == "true" || value.parse::<u32>().is_ok();
    if is_bare { format!("{name} = {value}\n") } else { format!("{name} = {value:?}\n") }
}

/// A push of a file and nothing more: the rest is settings.
fn send(testbed: &Testbed, home: &Path, image: &PathBuf) -> Command {
    let mut command = glancecast(testbed, home);
    command.args(["send", "--json", "--file"]).arg(image);
    command
}

fn glancecast(testbed: &Testbed, home: &Path) -> Command {
    let mut command = testbed.command("s", "glancecast");
    command.env("HOME", home).env_remove("XDG_CONFIG_HOME");
    command
}

fn run(testbed: &Testbed, command: Command) -> (i32, Value) {
    let mut process = Process::start("settled", command, &testbed.path("."));
    let end = process.wait(SOON * 2);
    let output = process.output();
    let report = serde_json::from_str(&output).unwrap_or_else(|error| {
        panic!("not one JSON object ({error}): {output:?}, {:?}", process.log_lines())
    });
    (end.code().expect("no signal"), report)
}
