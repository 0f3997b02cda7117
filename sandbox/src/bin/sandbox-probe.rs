//! For tests only: the program that starts the sandbox, and a hostile tool in the place of `qemu-img`.
//!
//! As the tool, it reads from the image what to attack, attempts everything, and prints the results. It reports a qcow2
//! image as qcow2, and never finishes converting it; other images are converted with too little memory. It is not
//! installed.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

fn main() {
    glancecast_sandbox::enter();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--version") => println!("qemu-img version of the tests"),
        Some("info") => println!("{}", info(arguments.last().map_or("", String::as_str))),
        Some("convert") => convert(&arguments),
        _ => std::process::exit(1),
    }
}

/// Has too little memory for one image at any time, and for another one unless it may use only a little.
fn convert(arguments: &[String]) {
    let (Some(result), Some(image)) = (arguments.last(), arguments.iter().rev().nth(1)) else { return };
    let file = image.rsplit('"').find(|part| part.starts_with("/proc/self/fd/")).unwrap_or_default();
    let least = arguments.windows(2).any(|pair| pair == ["-m", "1"]);
    let arenas = std::env::var("MALLOC_ARENA_MAX").unwrap_or_default();
    match fs::read(file).as_deref() {
        Ok(b"thirsty") if least && arenas == "1" => {}
        Ok(b"thirsty" | b"drowning") => {
            let _ = fs::write(result, [7; 100]);
            eprintln!("qemu-img: /proc/self/fd/3: Cannot allocate memory");
            std::process::abort();
        }
        _ => std::thread::sleep(Duration::from_secs(600)),
    }
}

fn info(image: &str) -> String {
    match fs::read(image) {
        Ok(bytes) if bytes.starts_with(b"QFI\xfb") => {
            r#"{"format":"qcow2","virtual-size":1048576}"#.to_owned()
        }
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(task) => serde_json::to_string(&try_all(&task, image)).unwrap_or_default(),
            Err(error) => format!("no task: {error}"),
        },
        Err(error) => format!("the image cannot be read: {error}"),
    }
}

/// What to attack.
#[derive(Deserialize)]
struct Task {
    /// A file to read, write, truncate and give away.
    secret: String,
    /// A directory in which to create a file.
    directory: String,
    /// A port of the loopback interface with a listener.
    port: u16,
    /// A process of the same user.
    process: i32,
}

#[derive(Serialize)]
struct Found {
    /// By attempt: what it obtained, or "denied" with the reason.
    attempts: BTreeMap<&'static str, String>,
    environment: Vec<(String, String)>,
    /// The permitted capabilities.
    capabilities: u64,
}

/// What an attempt obtained.
type Attempt = Result<String, Box<dyn Error>>;

fn try_all(task: &Task, image: &str) -> Found {
    let secret = Path::new(&task.secret);
    let process = format!("/proc/{}", task.process);
    let nix = |result: nix::Result<()>| result.map(|()| String::new()).map_err(Into::into);
    let attempts: [(&str, Attempt); 16] = [
        ("read the secret", read(secret)),
        ("read it by the process's root", read(Path::new(&format!("{process}/root{}", task.secret)))),
        ("read the process's environment", read(Path::new(&format!("{process}/environ")))),
        ("write the secret", open(OpenOptions::new().append(true), secret)),
        ("cut the secret short", nix(nix::unistd::truncate(secret, 0))),
        ("give the secret's content away", permit(secret)),
        (
            "make a file",
            open(OpenOptions::new().write(true).create(true), &Path::new(&task.directory).join("new")),
        ),
        ("make a file in the root", open(OpenOptions::new().write(true).create(true), Path::new("/new"))),
        ("write the image", open(OpenOptions::new().write(true), Path::new(image))),
        (
            "write a library's directory",
            open(OpenOptions::new().write(true).create(true), Path::new("/usr/lib/new")),
        ),
        ("connect", TcpStream::connect(("127.0.0.1", task.port)).map(|_| String::new()).map_err(Into::into)),
        ("send a datagram", UdpSocket::bind(("127.0.0.1", 0)).map(|_| String::new()).map_err(Into::into)),
        ("make a local socket", UnixDatagram::unbound().map(|_| String::new()).map_err(Into::into)),
        ("end the process", nix(kill(Pid::from_raw(task.process), None))),
        (
            "start a process",
            Command::new("/proc/self/exe")
                .arg("--version")
                .output()
                .map(|_| String::new())
                .map_err(Into::into),
        ),
        ("list the home directories", fs::read_dir("/root").map(|_| String::new()).map_err(Into::into)),
    ];
    let told = |result: Attempt| result.unwrap_or_else(|error| format!("denied: {error}"));
    Found {
        attempts: attempts.into_iter().map(|(what, result)| (what, told(result))).collect(),
        environment: std::env::vars().collect(),
        capabilities: rustix::thread::capabilities(None).map_or(u64::MAX, |sets| sets.permitted.bits()),
    }
}

fn read(path: &Path) -> Attempt {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

fn open(how: &mut OpenOptions, path: &Path) -> Attempt {
    let mut file: File = how.open(path)?;
    file.write_all(b"")?;
    Ok(String::new())
}

fn permit(path: &Path) -> Attempt {
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(String::new())
}
