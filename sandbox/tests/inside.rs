//! What a hostile tool can reach in the sandbox, in each isolating confinement.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use glancecast_inspect::Format;
use glancecast_sandbox::{Confinement, Launcher, Patience, QemuImg, ToolError};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

#[test]
fn a_hostile_tool_reaches_nothing_in_any_confinement() {
    for (confinement, tool) in holding() {
        let attack = Attack::new();
        let found = attack.run(&tool);
        for (what, result) in &found.attempts {
            assert!(result.starts_with("denied"), "{confinement:?}: {what}: {result}");
        }
        let names: Vec<&str> = found.environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["LC_ALL", "MALLOC_ARENA_MAX", "PATH"], "{confinement:?}");
        assert_eq!(found.capabilities, 0, "{confinement:?}");
        attack.is_untouched();
    }
}

#[test]
fn without_a_sandbox_the_same_tool_reaches_the_secret() {
    // Shows that the test above can fail.
    let attack = Attack::new();
    let found = attack.run(&tool(Confinement::LimitsOnly));
    assert!(found.attempts["read the secret"].starts_with(SECRET), "{found:?}");
    assert_eq!(found.capabilities, 0);
}

#[test]
fn root_converts_an_image_that_only_its_owner_may_read_and_reaches_no_more() {
    if !nix::unistd::geteuid().is_root() {
        glancecast_testkit::skip("needs root: sudo -E env \"PATH=$PATH\" make test");
        return;
    }
    for (confinement, tool) in holding() {
        let attack = Attack::new();
        chown(attack.path("task"), Some(12345), Some(12345)).expect("root may");
        fs::set_permissions(attack.path("task"), fs::Permissions::from_mode(0o600)).expect("root may");
        let found = attack.run(&tool);
        assert!(found.attempts["read the secret"].starts_with("denied"), "{confinement:?}: {found:?}");
        assert_eq!(found.capabilities, 1 << 2, "{confinement:?}: to read and search");
    }
}

#[test]
fn a_tool_that_is_refused_memory_is_tried_once_more_with_less_and_its_first_work_goes() {
    for (confinement, tool) in holding() {
        let (image, result) = (file_of(b"thirsty"), file_of(&[0; 4096]));
        let stop = AtomicBool::new(false);
        let ended = tool.convert(&image, Format::Qcow2, &result, patience(&stop), &mut |_| {});
        ended.unwrap_or_else(|error| panic!("{confinement:?}: {error}"));
        let mut left = [7; 4096];
        result.read_exact_at(&mut left, 0).expect("it has its length");
        assert_eq!(left, [0; 4096], "{confinement:?}: what the first try wrote is gone");
    }
}

#[test]
fn a_tool_that_never_has_enough_memory_fails_with_the_limit_in_the_message() {
    for (confinement, tool) in holding() {
        let (image, result) = (file_of(b"drowning"), file_of(&[0; 4096]));
        let stop = AtomicBool::new(false);
        let ended = tool.convert(&image, Format::Qcow2, &result, patience(&stop), &mut |_| {});
        let text = ended.expect_err("too little").to_string();
        assert!(
            text.contains("2048 MiB") && text.contains("Cannot allocate memory"),
            "{confinement:?}: {text}"
        );
    }
}

#[test]
fn a_file_without_a_name_is_read_and_written_by_its_descriptor() {
    for (confinement, tool) in holding() {
        let mut image = tempfile::tempfile().expect("a file");
        image.write_all(b"QFI\xfb").expect("room");
        let info = tool.info(&image, patience(&AtomicBool::new(false))).expect("it is read");
        assert_eq!(info.format, "qcow2", "{confinement:?}");
    }
}

#[test]
fn a_conversion_that_is_stopped_leaves_no_process() {
    for (confinement, tool) in holding() {
        let (image, result) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        let stop = AtomicBool::new(false);
        let patience = Patience { time: Duration::from_millis(500), stop: &stop };
        let mine = std::process::id();
        let ended = tool.convert(&image, Format::Qcow2, &result, patience, &mut |_| {});
        assert!(matches!(ended, Err(ToolError::Late { .. })), "{confinement:?}: {ended:?}");
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while !left(mine).is_empty() {
            assert!(std::time::Instant::now() < until, "{confinement:?}: {:?}", left(mine));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Returns the sandbox processes of this test's conversion. No other test converts.
fn left(parent: u32) -> Vec<String> {
    let commands = fs::read_dir("/proc").expect("it is there").flatten().filter_map(|entry| {
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&command).replace('\0', " "))
    });
    let of_ours = format!("\"parent\":{parent}}}");
    commands
        .filter(|command| {
            command.contains("convert") && command.contains("-O raw") && command.contains(PROBE)
                || command.contains("Convert") && command.contains(&of_ours)
        })
        .collect()
}

#[test]
fn what_is_no_tool_is_found_out() {
    for (confinement, _) in holding() {
        let echo = QemuImg::new(Launcher::at(PROBE), "/bin/true", confinement);
        assert!(matches!(echo.version(), Err(ToolError::Failed(_))));
        let gone = QemuImg::new(Launcher::at(PROBE), "/nowhere/qemu-img", confinement);
        assert!(matches!(gone.version(), Err(ToolError::Unconfined(_))), "{:?}", gone.version());
    }
    // A test program does not call `enter`, and must not be taken for the tool.
    let this = std::env::current_exe().expect("a path");
    for confinement in Confinement::HOLDING {
        assert!(QemuImg::new(Launcher::at(&this), "/bin/true", confinement).version().is_err());
    }
}

struct Attack {
    directory: TempDir,
    listener: TcpListener,
    other: std::process::Child,
}

#[derive(Debug, Deserialize)]
struct Found {
    attempts: BTreeMap<String, String>,
    environment: Vec<(String, String)>,
    capabilities: u64,
}

impl Attack {
    fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        fs::write(directory.path().join("secret"), SECRET).expect("it is ours");
        let mut other = Command::new("sleep");
        let other = other.arg("60").env("OS_PASSWORD", SECRET).stdin(Stdio::null()).spawn().expect("sleep");
        let task = json!({
            "secret": directory.path().join("secret"), "directory": directory.path(),
            "port": listener.local_addr().expect("bound").port(), "process": other.id(),
        });
        fs::write(directory.path().join("task"), task.to_string()).expect("it is ours");
        Self { directory, listener, other }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, tool: &QemuImg) -> Found {
        let image = fs::File::open(self.path("task")).expect("it is there");
        let answer = tool.answer(&image, patience(&AtomicBool::new(false))).expect("an answer");
        serde_json::from_slice(&answer)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&answer)))
    }

    fn is_untouched(&self) {
        let secret = self.path("secret");
        assert_eq!(fs::read_to_string(&secret).expect("there"), SECRET);
        assert_eq!(fs::metadata(&secret).expect("there").permissions().mode() & 0o002, 0);
        assert_eq!(fs::read_dir(self.directory.path()).expect("there").count(), 2);
        assert!(self.listener.accept().is_err(), "somebody connected");
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let _ = self.other.kill();
        let _ = self.other.wait();
    }
}

/// Returns the confinements that this kernel supports, at least one.
fn holding() -> Vec<(Confinement, QemuImg)> {
    let mut holding = Vec::new();
    for confinement in Confinement::HOLDING {
        match tool(confinement).version() {
            Ok(()) => holding.push((confinement, tool(confinement))),
            Err(error) => println!("without {}: {error}", confinement.name()),
        }
    }
    assert!(!holding.is_empty(), "this kernel gives no sandbox");
    if glancecast_testkit::in_ci() {
        assert_eq!(holding.len(), Confinement::HOLDING.len(), "CI has all of them");
    }
    holding
}

fn tool(confinement: Confinement) -> QemuImg {
    QemuImg::new(Launcher::at(PROBE), PROBE, confinement)
}

fn file_of(bytes: &[u8]) -> fs::File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("room");
    file
}

fn patience(stop: &AtomicBool) -> Patience<'_> {
    Patience { time: Duration::from_secs(30), stop }
}

const PROBE: &str = env!("CARGO_BIN_EXE_sandbox-probe");
const SECRET: &str = "glancecast-sender-secret:";
