//! The thread that answers questions about the status: on a Unix socket everything, on a TCP port the metrics alone.
//!
//! One connection is served at a time, for at most some seconds, so that nobody can have more than that of this thread.
//! What waits meanwhile is the kernel's: its queue of connections is bounded.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::board::Board;
use super::http::{self, Request, Response};
use super::{ObserveConfig, metrics, table};

/// The name of the socket in the runtime directory.
pub(super) const SOCKET: &str = "glancecastd.sock";

/// Starts the thread, if there is anything to answer on.
pub(super) fn start(config: &ObserveConfig, board: Board) -> io::Result<()> {
    let unix = config.runtime.as_deref().and_then(|directory| match listen(&directory.join(SOCKET)) {
        Ok(listener) => Some(listener),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::debug!(directory = %directory.display(), "no runtime directory, so `glancecastd status` cannot ask");
            None
        }
        Err(error) => {
            tracing::warn!("`glancecastd status` cannot ask this service: {}: {error}", directory.display());
            None
        }
    });
    let mut answerer = Answerer { board, unix, tcp: None, metrics: config.metrics, is_told: false };
    if answerer.unix.is_none() && answerer.metrics.is_none() {
        return Ok(());
    }
    answerer.open();
    thread::Builder::new().name("status".into()).spawn(move || answerer.run()).map(drop)
}

struct Answerer {
    board: Board,
    unix: Option<UnixListener>,
    tcp: Option<TcpListener>,
    metrics: Option<SocketAddr>,
    /// Whether the log says that the port cannot be had.
    is_told: bool,
}

impl Answerer {
    fn run(mut self) {
        loop {
            let waiting = self.unix.as_ref().map(AsFd::as_fd);
            let waiting: Vec<BorrowedFd<'_>> =
                waiting.into_iter().chain(self.tcp.as_ref().map(AsFd::as_fd)).collect();
            let mut waiting: Vec<PollFd<'_>> =
                waiting.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            // An address may come later than the program: it is tried again.
            let timeout = PollTimeout::from(OPEN_GAP_MS);
            if poll(&mut waiting, timeout).is_err() {
                thread::sleep(PAUSE);
            }
            self.answer_one_each();
            if self.tcp.is_none() {
                self.open();
            }
        }
    }

    /// Opens the port for metrics, if it is wanted.
    fn open(&mut self) {
        let Some(address) = self.metrics else { return };
        let opened = TcpListener::bind(address).and_then(|tcp| tcp.set_nonblocking(true).map(|()| tcp));
        match opened {
            Ok(tcp) => {
                tracing::info!(%address, "metrics can be scraped");
                (self.tcp, self.is_told) = (Some(tcp), false);
            }
            Err(error) if !self.is_told => {
                tracing::warn!("metrics = \"{address}\": {error}: it is tried again every ten seconds");
                self.is_told = true;
            }
            Err(_) => {}
        }
    }

    /// Answers one connection of each kind, if any waits.
    fn answer_one_each(&self) {
        if let Some((stream, _)) = self.unix.as_ref().and_then(|unix| unix.accept().ok()) {
            let timed = stream
                .set_nonblocking(false)
                .and_then(|()| stream.set_read_timeout(Some(http::TIME_MAX)))
                .and_then(|()| stream.set_write_timeout(Some(http::TIME_MAX)));
            note(timed.and_then(|()| self.answer(stream, Reach::Everything)));
        }
        if let Some((stream, _)) = self.tcp.as_ref().and_then(|tcp| tcp.accept().ok()) {
            let timed = stream
                .set_nonblocking(false)
                .and_then(|()| stream.set_read_timeout(Some(http::TIME_MAX)))
                .and_then(|()| stream.set_write_timeout(Some(http::TIME_MAX)));
            note(timed.and_then(|()| self.answer(stream, Reach::Metrics)));
        }
    }

    fn answer(&self, mut stream: impl io::Read + io::Write, reach: Reach) -> io::Result<()> {
        let request = http::read(&mut stream)?;
        let with_body = !matches!(request, Request::Head(_));
        let response = match request {
            Request::Get(path) | Request::Head(path) => self.page(&path, reach),
            Request::OtherMethod => Response::error("405 Method Not Allowed"),
            Request::Malformed => Response::error("400 Bad Request"),
        };
        http::write(&mut stream, &response, with_body)
    }

    fn page(&self, path: &str, reach: Reach) -> Response {
        match (path, reach) {
            ("/metrics", _) => Response::ok(metrics::CONTENT_TYPE, metrics::text(&self.board.read())),
            ("/status", Reach::Everything) => {
                Response::ok("text/plain; charset=utf-8", table::text(&self.board.read()))
            }
            ("/status.json", Reach::Everything) => match serde_json::to_string(&self.board.read()) {
                Ok(json) => Response::ok("application/json", json + "\n"),
                Err(_) => Response::error("500 Internal Server Error"),
            },
            _ => Response::error("404 Not Found"),
        }
    }
}

/// What a listener gives out.
#[derive(Clone, Copy)]
enum Reach {
    Everything,
    Metrics,
}

fn note(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a question about the status was not answered");
    }
}

/// Listens on a Unix socket that this user and its group may ask. A socket that a killed process left is replaced; one
/// that somebody listens on is not.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket()) {
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another glancecastd answers there: give this one a runtime directory of its own",
            ));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Returns the path of the socket in this runtime directory.
pub(super) fn socket(runtime: &Path) -> PathBuf {
    runtime.join(SOCKET)
}

/// Time between two attempts to open the port, in milliseconds.
const OPEN_GAP_MS: u16 = 10_000;

/// What keeps the thread from spinning if poll(2) fails.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::observe::Snapshot;

    #[test]
    fn the_socket_gives_everything_and_the_port_the_metrics_alone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let board = Board::default();
        board.publish(Snapshot { name: "compute-1".into(), ..Snapshot::default() });
        let free = TcpListener::bind("127.0.0.1:0").and_then(|tcp| tcp.local_addr()).expect("a port");
        let config =
            ObserveConfig { runtime: Some(dir.path().to_owned()), metrics: Some(free), metrics_file: None };
        start(&config, board).expect("a thread");
        let path = socket(dir.path());
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o660);
        let by_socket = |path_: &str| ask(UnixStream::connect(&path).expect("it listens"), path_);
        let by_port = |path: &str| ask(TcpStream::connect(free).expect("it listens"), path);
        assert!(by_socket("/status").contains("compute-1"));
        assert!(by_socket("/status.json").contains("\"name\":\"compute-1\""));
        for answer in [by_socket("/metrics"), by_port("/metrics")] {
            assert!(answer.contains("glancecast_receiver_listening 0\n"), "{answer}");
        }
        for path in ["/status", "/status.json", "/", "/metrics/"] {
            assert!(by_port(path).starts_with("HTTP/1.1 404 "), "{path}");
        }
        // One who says nothing keeps the others waiting for two seconds and no longer.
        let silent = TcpStream::connect(free).expect("it listens");
        assert!(by_port("/metrics").contains("_listening 0"));
        drop(silent);
    }

    #[test]
    fn a_socket_in_use_is_left_alone_and_one_that_was_left_behind_is_replaced() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join(SOCKET);
        let first = listen(&path).expect("free");
        assert_eq!(listen(&path).expect_err("in use").kind(), io::ErrorKind::AddrInUse);
        drop(first);
        listen(&path).expect("left behind");
        fs::remove_file(&path).expect("there");
        fs::write(&path, "a file").expect("writable");
        listen(&path).expect_err("no socket, and never removed");
        assert_eq!(fs::read(&path).expect("there"), b"a file");
    }

    fn ask(mut stream: impl Read + Write, path: &str) -> String {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }
}
