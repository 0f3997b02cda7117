//! The unit as installed: a real systemd starts it, it receives signed pushes, and its limits are tried from inside.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use glancecast_tests::image::{self, Seed};
use glancecast_tests::needs;
use glancecast_tests::netns::{Lab, Offload, Shape};
use glancecast_tests::places;
use glancecast_tests::process::Process;
use glancecast_tests::systemd::{self, Files, Node};
use glancecast_tests::testbed::{SOON, Testbed};
use glancecast_tests::wait;

#[test]
fn the_unit_receives_a_signed_push_into_its_store_and_may_do_nothing_else() {
    needs!(systemd::NEEDS);
    let site = Site::new(Variant::Plain);
    site.start();
    site.push(&[]);
    let published = site.node.run(&["stat", "-c", "%s %U %a", "/var/lib/glancecast/images/image"]).output;
    assert_eq!(published.trim(), format!("{BYTES} glancecast 644"));
    site.assert_shows_its_push();
    site.assert_without_rights(GLANCECAST);
    // Without a right it puts its sockets on another interface.
    site.testbed.network().unplug("r1");
    site.node.wait_for_log(UNIT, "hears nothing, and waits", SOON);
    site.testbed.network().plug("r1", 77);
    site.node.wait_for_log(UNIT, "hears the group again", SOON);
    site.push(&["--name", "again"]);
    site.stop();
    site.assert_keeps_its_key("glancecast");
    let tried = site.probe("/var/lib/glancecast/images");
    assert_eq!(tried.done, [WRITE_STORE, "read-group-key", "read-sender-pub"], "{}", tried.journal);
}

#[test]
fn a_broken_configuration_is_refused_at_a_reload_and_fails_the_unit_at_a_start() {
    needs!(systemd::NEEDS);
    let site = Site::new(Variant::Plain);
    site.start();
    let pid = site.node.main_pid(UNIT);
    let file = "/etc/glancecast/glancecastd.toml";
    let set = |line: &str| {
        let edit = format!("sed -i '1i {line}' {file}");
        assert_eq!(site.node.run(&["sh", "-c", &edit]).code, Some(0));
    };
    set("write_rate = \"40mbit\"");
    site.node.systemctl(&["reload", UNIT]);
    site.node.wait_for_log(UNIT, "the settings were read anew", SOON);
    set("nonsense = 1");
    site.node.systemctl(&["reload", UNIT]);
    site.node.wait_for_log(UNIT, "all settings stay as they were", SOON);
    assert_eq!(site.node.main_pid(UNIT), pid, "it goes on");
    let warnings =
        site.node.run(&["journalctl", "--no-pager", "-o", "cat", "-p", "warning", "-u", UNIT]).output;
    assert!(warnings.contains("line 1") && !warnings.contains("read anew\n"), "{warnings}");
    let checked = site.node.run(&["glancecastd", "--check", "--config", file]);
    assert!(checked.code == Some(78) && checked.output.contains("nonsense"), "{checked:?}");

    let restarted = site.node.run(&["systemctl", "restart", UNIT]);
    assert_ne!(restarted.code, Some(0), "{restarted:?}");
    let state =
        site.node.systemctl(&["show", "-p", "ActiveState", "-p", "ExecMainStatus", "-p", "NRestarts", UNIT]);
    for part in ["ActiveState=failed", "ExecMainStatus=78", "NRestarts=0"] {
        assert!(state.contains(part), "{part}: {state} {}", site.node.journal(UNIT));
    }
    let errors = site.node.run(&["journalctl", "--no-pager", "-o", "cat", "-p", "err", "-u", UNIT]).output;
    assert!(errors.contains("glancecastd: configuration"), "{errors}");
    assert_eq!(site.node.run(&["sed", "-i", "1d", file]).code, Some(0));
    let checked = site.node.run(&["glancecastd", "--check", "--config", file]);
    assert_eq!(checked.code, Some(0), "as root, of files of the service's user: {checked:?}");
    site.node.systemctl(&["start", UNIT]);
}

#[test]
fn with_the_drop_in_it_serves_novas_cache_and_cannot_write_a_guests_disk() {
    needs!(systemd::NEEDS);
    let site = Site::new(Variant::Nova);
    site.start();
    site.push(&["--image-id", IMAGE_ID]);
    // Nova's file name: the SHA-1 of the image's id.
    let base = "/var/lib/nova/instances/_base";
    let sum = site.node.run(&["sh", "-c", &format!("printf %s {IMAGE_ID} | sha1sum | cut -d' ' -f1")]).output;
    let published = format!("{base}/{}", sum.trim());
    let published = site.node.run(&["stat", "-c", "%s %U %a", &published]).output;
    assert_eq!(published.trim(), format!("{BYTES} nova 644"));
    let notes = site.node.run(&["ls", "/var/lib/nova/instances/.glancecast"]).output;
    assert!(notes.contains(sum.trim()), "{notes}");
    site.assert_without_rights(NOVA);
    site.stop();
    site.assert_keeps_its_key("nova");
    let tried = site.probe(base);
    assert_eq!(tried.done, [WRITE_STORE, "read-group-key", "read-sender-pub"], "{}", tried.journal);
}

#[test]
fn the_unit_is_as_narrow_as_systemd_can_tell() {
    needs!(&[glancecast_tests::skip::Need::Program("systemd-analyze", "systemd")]);
    let mut command = Command::new(places::tool("systemd-analyze").expect("it was asked for"));
    command
        .args(["security", "--no-pager", "--offline=true", "--threshold=15"])
        .arg(docs().join("glancecastd.service"));
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "above 1.5: {text} {}", String::from_utf8_lossy(&output.stderr));
    println!("{}", text.lines().last().unwrap_or_default());
}

/// The two ways to install the unit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Plain,
    Nova,
}

/// A sender, and a node with the unit, its configuration and its keys.
struct Site {
    node: Node,
    testbed: Testbed,
}

/// The outcome of the attempts from inside the unit.
struct Tried {
    /// The attempts that were not refused, sorted by name.
    done: Vec<String>,
    journal: String,
}

impl Site {
    fn new(variant: Variant) -> Self {
        let shape = Shape { receivers: 1, offload: Offload::Off, loss_per_mille: 0, rate: None };
        let testbed = Testbed::lab(Lab::build(&shape));
        let mut command = testbed.command(Lab::SENDER, "glancecast");
        command.args(["keygen", "--sender"]).arg(testbed.path("sender.key"));
        let mut keygen = Process::start("keygen-sender", command, &testbed.path(""));
        assert_eq!(keygen.wait(SOON).code(), Some(0), "{:?}", keygen.log_lines());
        let public = keygen.output();
        let public =
            public.split_whitespace().find(|word| word.starts_with("ed25519:")).expect("it is printed");

        let files = Files::new(testbed.path("files"), &[("glancecast", GLANCECAST), ("nova", NOVA)]);
        // With Nova the key is a systemd credential: root owns the file, and the service may read its copy.
        let user = if variant == Variant::Nova { 0 } else { GLANCECAST };
        files.copy(&places::program("glancecastd"), "usr/local/bin/glancecastd", 0o755, 0);
        files.copy(testbed.key(), "etc/glancecast/group.key", 0o600, user);
        files.put("etc/glancecast/sender.pub", public, 0o644, 0);
        // Readable by all, so that only the unit can refuse it.
        files.copy(&testbed.path("sender.key"), "etc/glancecast/sender.key", 0o644, 0);
        let configuration = configuration(variant, &testbed.group().to_string());
        files.put("etc/glancecast/glancecastd.toml", configuration, 0o644, 0);
        files.put("etc/nova/nova.conf", "[DEFAULT]\n", 0o644, 0);
        files.directory("var/lib/nova", 0o755, NOVA);
        files.directory("var/lib/nova/instances", 0o755, NOVA);
        files.directory("var/lib/nova/instances/a-guest", 0o777, NOVA);
        files.put("var/lib/nova/instances/a-guest/disk", "what the guest has", 0o666, NOVA);
        files.put("usr/local/bin/probe", PROBE, 0o755, 0);
        for unit in ["glancecastd", "probe"] {
            files.copy(
                &docs().join("glancecastd.service"),
                &format!("etc/systemd/system/{unit}.service"),
                0o644,
                0,
            );
            if variant == Variant::Nova {
                let drop_in = format!("etc/systemd/system/{unit}.service.d/nova.conf");
                files.copy(&docs().join("glancecastd-nova.conf"), &drop_in, 0o644, 0);
                files.put(&format!("etc/systemd/system/{unit}.service.d/zz-key.conf"), CREDENTIAL, 0o644, 0);
            }
        }
        let node = Node::boot(testbed.network(), "r1", &files, &testbed.path(""));
        Self { node, testbed }
    }

    fn start(&self) {
        self.node.systemctl(&["start", UNIT]);
        // `systemctl start` has returned, so it is ready.
        assert!(self.node.journal(UNIT).contains("listening name=node"), "{}", self.node.journal(UNIT));
    }

    /// Stops the unit; asserts that it exits by itself with success.
    fn stop(&self) {
        self.node.systemctl(&["stop", UNIT]);
        let result = self.node.systemctl(&["show", "-p", "Result", "-p", "ExecMainStatus", UNIT]);
        assert!(result.contains("Result=success") && result.contains("ExecMainStatus=0"), "{result}");
    }

    /// Starts the unit once more and stops it; asserts that it made its key at the first start alone, and that the key is
    /// its user's.
    fn assert_keeps_its_key(&self, user: &str) {
        self.start();
        wait::until("the second start", SOON, || (self.keys().len() == 2).then_some(()));
        self.stop();
        let keys = self.keys();
        assert_eq!(keys[0], keys[1]);
        assert_eq!(self.node.journal(UNIT).matches("made a host key").count(), 1);
        let file = self.node.run(&["stat", "-c", "%U %a", "/var/lib/glancecast/host.key"]).output;
        assert_eq!(file.trim(), format!("{user} 600"));
    }

    /// Returns the public keys that the starts of the unit have logged.
    fn keys(&self) -> Vec<String> {
        let journal = self.node.journal(UNIT);
        let starts = journal.lines().filter(|line| line.starts_with("listening "));
        let key = |line: &str| {
            line.split_whitespace().find_map(|word| word.strip_prefix("key=")).map(str::to_owned)
        };
        starts.map(|line| key(line).expect("a key")).collect()
    }

    /// Pushes a signed file named `image`; `more` are arguments about Nova.
    fn push(&self, more: &[&str]) {
        let file = self.testbed.path("image");
        image::random(&file, BYTES, Seed::draw());
        let (file, key) = (file.display().to_string(), self.testbed.path("sender.key").display().to_string());
        let usual = [
            "--file",
            &file,
            "--sender-key",
            &key,
            "--hosts",
            "node",
            "--rate",
            "390mbit",
            "--timeout",
            "20s",
        ];
        let (end, report) = self.testbed.push(&[&usual, more].concat()).report(SOON * 2);
        assert_eq!(end.code(), Some(0), "{report:?} {}", self.node.journal(UNIT));
    }

    /// Asserts that systemd, the journal and the status know of the push.
    fn assert_shows_its_push(&self) {
        let status = wait::until("the push in the status", SOON, || {
            let status = self.node.systemctl(&["show", "--value", "-p", "StatusText", UNIT]);
            status.contains("last push image published").then_some(status)
        });
        assert!(status.starts_with("listening on "), "{status}");
        let of_image =
            ["journalctl", "--no-pager", "-o", "cat", "GLANCECAST_IMAGE=image", "GLANCECAST_HOST=node"];
        let entries = self.node.run(&of_image).output;
        let is_published = |line: &str| line.starts_with("published ") && line.contains(" seconds=");
        assert!(entries.lines().any(is_published), "{entries}");
        let shown = self.node.run(&["glancecastd", "status"]);
        assert!(shown.code == Some(0) && shown.output.contains("image  "), "{shown:?}");
    }

    /// Asserts that no thread of the service has a capability, can gain rights or leaves a core file, and that no
    /// process may inspect it.
    fn assert_without_rights(&self, user: u32) {
        let pid = self.node.main_pid(UNIT);
        let threads = self.node.run(&["sh", "-c", &format!("cat /proc/{pid}/task/*/status")]).output;
        let of = |name: &str| -> Vec<String> {
            let lines = threads.lines().filter_map(|line| line.strip_prefix(name));
            lines.map(|rest| rest.trim().to_owned()).collect()
        };
        let count = of("Pid:").len();
        assert!(count > 4, "it receives, works, answers: {threads}");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(of(set), vec!["0000000000000000"; count], "{set}");
        }
        assert_eq!(of("NoNewPrivs:"), vec!["1"; count]);
        assert_eq!(of("Seccomp:"), vec!["2"; count], "with the unit's filter");
        let limits = self.node.run(&["cat", &format!("/proc/{pid}/limits")]).output;
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..], ["0", "0", "bytes"]);
        // Of a dumpable process these files would belong to the service's user (proc(5)).
        let owner = self.node.run(&["stat", "-c", "%U", &format!("/proc/{pid}/mem")]).output;
        assert_eq!(owner.trim(), "root", "it is not dumpable");
        let users: Vec<String> = of("Uid:").iter().map(|ids| ids.replace('\t', " ")).collect();
        assert_eq!(
            users,
            vec![format!("{user} {user} {user} {user}"); count],
            "real, effective, saved, of files"
        );
    }

    /// Runs a probe inside the same unit, in place of the service's program.
    fn probe(&self, store: &str) -> Tried {
        let drop_in = format!(
            "[Service]\nType=oneshot\nRestart=no\nRestartForceExitStatus=\nExecStart=\nExecStart=/usr/local/bin/probe {store}\n"
        );
        let path = "/etc/systemd/system/probe.service.d/zz-probe.conf";
        let write = "mkdir -p ${1%/*} && printf %s \"$2\" >\"$1\"";
        assert_eq!(self.node.run(&["sh", "-c", write, "sh", path, &drop_in]).code, Some(0));
        self.node.systemctl(&["daemon-reload"]);
        self.node.systemctl(&["start", "probe"]);
        let journal = self.node.journal("probe");
        assert_eq!(journal.lines().filter(|line| line.starts_with("tried ")).count(), ATTEMPTS, "{journal}");
        let mut done: Vec<String> = journal
            .lines()
            .filter_map(|line| line.strip_suffix(": done")?.strip_prefix("tried "))
            .map(str::to_owned)
            .collect();
        done.sort_by_key(|name| name != WRITE_STORE);
        Tried { done, journal }
    }
}

/// Returns the sample configuration with the settings of this site.
fn configuration(variant: Variant, group: &str) -> String {
    let sample = fs::read_to_string(docs().join("glancecastd.toml")).expect("it is there");
    let mut all = String::new();
    for line in sample.lines() {
        let line = match line {
            "interface = \"eth1\"" => format!("interface = \"{}\"", Lab::INTERFACE),
            "store = \"directory:/var/lib/glancecast/images\"" if variant == Variant::Nova => String::new(),
            _ if line.starts_with("#group = ") => format!("group = \"{group}\""),
            _ if line.starts_with("key = ") && variant == Variant::Nova => {
                "key = \"credential:group.key\"".to_owned()
            }
            _ if line.starts_with("#nova_conf = ") && variant == Variant::Nova => {
                line.trim_start_matches('#').to_owned()
            }
            _ => line.to_owned(),
        };
        all.push_str(&line);
        all.push('\n');
    }
    assert!(all.contains(group) && all.contains(Lab::INTERFACE), "{all}");
    all
}

fn docs() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"))
}

const UNIT: &str = "glancecastd";
const GLANCECAST: u32 = 990;
const NOVA: u32 = 991;
const BYTES: u64 = 3 << 20;
const IMAGE_ID: &str = "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44";
const WRITE_STORE: &str = "write-store";

/// The drop-in of docs/openstack-nodes.md.
const CREDENTIAL: &str = "[Service]\nLoadCredential=group.key:/etc/glancecast/group.key\n";

/// The attempts; each prints a line `tried WHAT: done` or `refused`.
const PROBE: &str = r#"#!/bin/sh
# probe STORE
try() {
    what=$1; shift
    if "$@" >/dev/null 2>&1; then echo "tried $what: done"; else echo "tried $what: refused"; fi
}
try read-group-key head -c 1 "${CREDENTIALS_DIRECTORY:-/etc/glancecast}/group.key"
try read-sender-pub head -c 1 /etc/glancecast/sender.pub
try read-sender-key head -c 1 /etc/glancecast/sender.key
try write-store touch "$1/.tried"
try write-disk sh -c 'echo tried >>/var/lib/nova/instances/a-guest/disk'
try make-instance touch /var/lib/nova/instances/a-guest/more
try write-instances touch /var/lib/nova/instances/more
try write-configuration touch /etc/glancecast/more
try replace-program cp /bin/true /usr/local/bin/glancecastd
try mount mount -t tmpfs tmpfs /tmp
try namespace unshare --user true
try see-systemd head -c 1 /proc/1/environ
try see-the-kernel cat /proc/kmsg
try set-a-sysctl sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
try configure-the-network ip link set eth0 down
try be-another-user setpriv --reuid 12345 true
"#;
const ATTEMPTS: usize = 16;
