//! An untrusted cloud: services that redirect elsewhere, unexpected ids and names, and settings written by another
//! user. A script answers as Keystone, Glance and Nova do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use glancecast_proto::ids::is_unprintable;
use glancecast_tests::needs;
use glancecast_tests::process::Process;
use glancecast_tests::skip::Need;
use glancecast_tests::testbed::Testbed;
use serde_json::{Value, json};

#[test]
fn a_password_does_not_go_from_https_to_http() {
    needs!(&[PYTHON, Need::Program("openssl", "openssl")]);
    let testbed = Testbed::loopback();
    let certificate = certificate(&testbed);
    let mut plain = Cloud::start(&testbed, "plain", json!({}));
    let redirect =
        json!({"tls": certificate, "redirect": {"/v3/auth/tokens": plain.url("http", "/v3/auth/tokens")}});
    let secure = Cloud::start(&testbed, "secure", redirect);
    let images = |settings: &[(&str, &str)]| {
        let mut command = testbed.command("s", "glancecast");
        openrc(&mut command, &secure.url("https", "/v3"));
        command.envs(settings.iter().copied()).args(["images", "--json"]);
        Process::start("images", command, &testbed.path(""))
    };
    refused(images(&[("OS_CACERT", &certificate)]), &["redirects to http://127.0.0.1:", "auth_url"]);

    let mut unverified = images(&[("OS_INSECURE", "true")]);
    assert_eq!(unverified.wait(SOON).code(), Some(2));
    let lines = unverified.log_lines();
    assert!(
        lines.len() == 2 && lines[0].contains("are not checked, by the settings of the OS_* variables"),
        "{lines:?}"
    );
    let heard = plain.process.log_lines();
    assert_eq!(heard.len(), 1, "only that it listens: {heard:?}");
    assert!(plain.process.runs());
}

#[test]
fn an_id_that_no_host_knows_is_refused_and_aborts_nothing() {
    needs!(&[PYTHON]);
    let testbed = Testbed::loopback();
    let long = "x".repeat(300);
    for (title, id, words) in [
        ("upper", "4B2C93EE-4F24-4CFD-8FCA-E1CF11AC1A44", "upper-case letters"),
        ("long", &long, "no UUID"),
        ("foul", "\u{1b}[2J\u{202e}", "no UUID"),
    ] {
        let cloud = Cloud::start(&testbed, title, json!({"id": id, "name": "\u{202e}debian\u{9b}2J"}));
        let command = cloud.command(&testbed);
        let push = testbed.push_with(command, &["\u{202e}debian\u{9b}2J", "--expect", "1"]);
        refused(push.process, &[words, "upload it again"]);
    }
}

#[test]
fn a_host_that_no_receiver_can_be_named_after_is_left_out_and_makes_the_push_incomplete() {
    needs!(&[PYTHON]);
    let testbed = Testbed::loopback();
    let cloud = Cloud::start(&testbed, "cloud", json!({"hosts": ["c1", "c 2", "\u{202e}c3\u{1b}[2J"]}));
    let receiver = testbed.receiver("c1", &[]);
    let spool = testbed.store("spool");
    let spool = ["--spool", spool.to_str().expect("UTF-8"), "--rate", "390mbit"];
    let zone = ["debian", "--availability-zone", "nova"];
    let mut push = testbed.push_with(cloud.command(&testbed), &[&zone[..], &spool].concat());
    let (end, report) = push.report(SOON);
    assert_eq!((end.code(), report.outcome.as_str()), (Some(3), "incomplete"), "{report:?}");
    report.assert_hosts(&[("c1", "done")]);
    let names: Vec<&str> = report.skipped.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["c 2", "\u{202e}c3\u{1b}[2J"]);
    assert!(report.skipped.iter().all(|host| host.reason.contains("nova.conf")), "{report:?}");
    let reason = report.reason.expect("it is incomplete");
    assert!(
        reason.contains("1 host holds a proven copy, and 3 should; no receiver can be named \"c 2\""),
        "{reason}"
    );
    assert!(!push.process.output().trim_end().chars().any(is_unprintable), "JSON steers no terminal");
    receiver.only_file("debian");

    let mut command = cloud.command(&testbed);
    let group = testbed.group().to_string();
    command.args(["send"]).args(zone).args(spool).args([
        "--group",
        &group,
        "--interface",
        "lo",
        "--unsigned",
        "--key",
    ]);
    command.arg(testbed.key()).arg("--known-hosts").arg(testbed.known_hosts());
    let mut table = Process::start("table", command, &testbed.path(""));
    assert_eq!(table.wait(SOON).code(), Some(3), "{:?}", table.log_lines());
    let text = format!("{}{}", table.output(), table.log_lines().join("\n"));
    assert!(!text.lines().any(|line| line.chars().any(is_unprintable)), "{text:?}");
    assert!(text.contains("c 2") && text.contains("?c3?[2J") && text.contains("skipped"), "{text}");
    assert!(text.contains("with the credentials of the OS_* variables"), "{text}");
}

#[test]
fn a_clouds_yaml_that_others_can_write_is_not_used() {
    let testbed = Testbed::loopback();
    let directory = testbed.store("elsewhere");
    let file = directory.join("clouds.yaml");
    fs::write(&file, "clouds:\n  x:\n    auth:\n      auth_url: http://127.0.0.1:9/v3\n").expect("writable");
    let images = |file_mode, directory_mode| {
        fs::set_permissions(&file, PermissionsExt::from_mode(file_mode)).expect("it is ours");
        fs::set_permissions(&directory, PermissionsExt::from_mode(directory_mode)).expect("it is ours");
        let mut command = testbed.command("s", "glancecast");
        openrc(&mut command, "");
        command.env_remove("OS_AUTH_URL").current_dir(&directory).args(["images", "--os-cloud", "x"]);
        Process::start("images", command, &testbed.path(""))
    };
    refused(images(0o666, 0o755), &["clouds.yaml is not used", "mode 0666", "chmod go-w"]);
    refused(images(0o644, 0o777), &["clouds.yaml is not used", "directory", "mode 0777"]);
    let mut own = images(0o644, 0o755);
    assert_eq!(own.wait(SOON).code(), Some(1), "{:?}", own.log_lines());
    assert!(own.log_lines()[0].contains("cannot reach http://127.0.0.1:9"), "{:?}", own.log_lines());
}

/// The running script.
struct Cloud {
    process: Process,
    port: String,
}

impl Cloud {
    fn start(testbed: &Testbed, title: &str, what: Value) -> Self {
        let script = testbed.path("cloud.py");
        fs::write(&script, CLOUD).expect("the testbed's directory takes a file");
        let mut command = Command::new("python3");
        command.arg(&script).arg(what.to_string()).stdin(Stdio::null());
        let mut process = Process::start(title, command, &testbed.path(""));
        let line = process.wait_for_log("listening ", SOON);
        let port = line.rsplit(' ').next().expect("a port").to_owned();
        Self { process, port }
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    fn command(&self, testbed: &Testbed) -> Command {
        let mut command = testbed.command("s", "glancecast");
        openrc(&mut command, &self.url("http", "/v3"));
        command
    }
}

/// Sets the variables of an openrc file, and removes all other `OS_` variables.
fn openrc(command: &mut Command, auth_url: &str) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OS_")) {
        command.env_remove(name);
    }
    command.env("OS_AUTH_URL", auth_url).env("OS_USERNAME", "operator").env("OS_USER_DOMAIN_NAME", "Default");
    command
        .env("OS_PASSWORD", "secret")
        .env("OS_PROJECT_NAME", "admin")
        .env("OS_PROJECT_DOMAIN_NAME", "Default");
}

/// Creates a certificate for 127.0.0.1 with its key, in one file.
fn certificate(testbed: &Testbed) -> String {
    let path = testbed.path("server.pem");
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]);
    command.args(["-addext", "subjectAltName=IP:127.0.0.1"]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(&path).arg("-out");
    let only = testbed.path("certificate.pem");
    command.arg(&only).stdin(Stdio::null());
    assert_eq!(Process::start("openssl", command, &testbed.path("")).wait(SOON).code(), Some(0));
    append(&path, &fs::read_to_string(&only).expect("openssl wrote it"));
    text(&path)
}

fn append(path: &Path, more: &str) {
    let all = fs::read_to_string(path).expect("openssl wrote it") + more;
    fs::write(path, all).expect("it is ours");
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// Asserts exit code 2, nothing on standard output, and one line with all of `words` and no terminal control
/// characters.
#[track_caller]
fn refused(mut process: Process, words: &[&str]) {
    let end = process.wait(SOON);
    let lines = process.log_lines();
    assert_eq!(end.code(), Some(2), "{lines:?}");
    assert_eq!((process.output().as_str(), lines.len()), ("", 1), "{lines:?}");
    println!("{}", lines[0]);
    assert!(words.iter().all(|word| lines[0].contains(word)), "{words:?} in {lines:?}");
    assert!(!lines[0].chars().any(is_unprintable), "{lines:?}");
}

const PYTHON: Need = Need::Program("python3", "python3");
const SOON: Duration = Duration::from_secs(30);

/// Keystone, Glance and Nova in one, as its argument selects; logs each request to standard error.
const CLOUD: &str = r#"
import hashlib, http.server, json, ssl, sys

what = json.loads(sys.argv[1])
disk = bytes(range(256)) * 4096
image = {"id": what.get("id", "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44"), "name": what.get("name", "debian"),
         "status": "active", "size": len(disk), "disk_format": "raw", "container_format": "bare", "visibility": "public",
         "os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(disk).hexdigest()}
services = [{"host": host, "zone": "nova", "status": "enabled", "state": "up", "disabled_reason": None}
            for host in what.get("hosts", [])]
domain = {"id": "default", "name": "Default"}

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0]
        root = "http://%s:%d" % self.server.server_address
        link = lambda path: [{"rel": "self", "href": root + path}]
        place = lambda path: [{"id": "e", "interface": "public", "region": "R", "region_id": "R", "url": root + path}]
        headers, status, body = {}, 200, b""
        if path in what.get("redirect", {}):
            status, headers = 307, {"Location": what["redirect"][path]}
        elif path == "/v3/":
            body = {"version": {"id": "v3.14", "status": "CURRENT", "links": link("/v3/")}}
        elif path == "/v3/auth/tokens":
            status, headers = 201, {"X-Subject-Token": "token"}
            body = {"token": {"methods": ["password"], "user": {"id": "u", "name": "operator", "domain": domain},
                "project": {"id": "p", "name": "admin", "domain": domain}, "roles": [{"id": "r", "name": "admin"}],
                "issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": "2099-01-01T00:00:00.000000Z",
                "catalog": [{"id": "i", "name": "glance", "type": "image", "endpoints": place("/v2")},
                            {"id": "n", "name": "nova", "type": "compute", "endpoints": place("/v2.1")}]}}
        elif path == "/v2/":
            body = {"versions": [{"id": "v2.9", "status": "CURRENT", "links": link("/v2/")}]}
        elif path == "/v2/images":
            body = {"images": [image]}
        elif path.endswith("/file"):
            body = disk
        elif path == "/v2.1/os-services":
            body = {"services": services}
        else:
            status = 404
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if "tls" in what:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(what["tls"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print("listening", server.server_address[1], file=sys.stderr, flush=True)
server.serve_forever()
"#;
