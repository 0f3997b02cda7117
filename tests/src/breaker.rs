//! A proxy between the sender and Glance that breaks downloads as networks and stores do. Each `GET .../file` gets the
//! next fault of a script; after its end, and for all other requests, the proxy changes nothing.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The faults of one download.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fault {
    /// The fault of its `Range` header, if it has one.
    pub range: RangeFault,
    /// The offset of a byte of the body whose bits are inverted.
    pub changed_byte: Option<u64>,
    /// The offset at which the body ends, and how.
    pub ends: Option<(u64, End)>,
}

/// What happens to a `Range` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeFault {
    /// Nothing.
    #[default]
    None,
    /// Glance does not see it and sends the whole body with 200.
    Ignored,
    /// The proxy answers 416.
    Refused,
    /// The `Content-Range` of the answer has another total length.
    OtherLength,
}

/// How a body ends early.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The connection is closed after this time.
    ClosedAfter(Duration),
    /// The connection stays open without further bytes.
    Silence,
}

/// One download: what was requested and answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The `Range` header.
    pub range: Option<String>,
    /// The status of the answer.
    pub status: u16,
}

/// The running proxy; its threads end with the test's process.
#[derive(Debug)]
pub struct Breaker {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// The `HOST:PORT` of Glance.
    glance: String,
    script: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<Seen>>,
}

impl Breaker {
    /// Starts the proxy; `glance` is `http://HOST:PORT`.
    pub fn start(glance: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let glance = glance.strip_prefix("http://").expect("no TLS").to_owned();
        let state = Arc::new(State { glance, script: Mutex::default(), seen: Mutex::default() });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // Broken connections are the proxy's purpose.
                thread::spawn(move || drop(state.serve(client)));
            }
        });
        Self { port, state }
    }

    /// Returns its address as an endpoint of Glance.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/v2/", self.port)
    }

    /// Sets the faults of the next downloads, and forgets the downloads so far.
    pub fn script(&self, faults: &[Fault]) {
        *self.state.script.lock().expect("no panic holds it") = faults.iter().copied().collect();
        self.state.seen.lock().expect("no panic holds it").clear();
    }

    /// Returns the downloads since then.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("no panic holds it").clone()
    }
}

impl State {
    /// Serves one request, and closes the connection.
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let request = Head::read(&mut client)?;
        let is_download = request.line.starts_with("GET ") && request.line.contains("/file ");
        let fault = match is_download {
            true => self.script.lock().expect("no panic holds it").pop_front().unwrap_or_default(),
            false => Fault::default(),
        };
        let range = request.header("range");
        if fault.range == RangeFault::Refused && range.is_some() {
            self.note(range, 416);
            return client.write_all(REFUSAL.as_bytes());
        }
        let mut glance = TcpStream::connect(&self.glance)?;
        let dropped: &[&str] =
            if fault.range == RangeFault::Ignored { &["connection", "range"] } else { &["connection"] };
        glance.write_all(request.without(dropped).as_bytes())?;
        let mut answer = Head::read(&mut glance)?;
        if is_download {
            self.note(range, answer.status());
        }
        if fault.range == RangeFault::OtherLength {
            answer.lengthen_content_range();
        }
        client.write_all(answer.without(&["connection"]).as_bytes())?;
        relay(&mut glance, &mut client, fault)
    }

    fn note(&self, range: Option<String>, status: u16) {
        self.seen.lock().expect("no panic holds it").push(Seen { range, status });
    }
}

fn relay(from: &mut TcpStream, to: &mut TcpStream, fault: Fault) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    let end = fault.ends.map_or(u64::MAX, |(end, _)| end);
    while at < end {
        let room = usize::try_from(end - at).map_or(buffer.len(), |left| left.min(buffer.len()));
        let got = from.read(&mut buffer[..room])?;
        if got == 0 {
            return Ok(());
        }
        if let Some(changed) = fault.changed_byte.and_then(|byte| byte.checked_sub(at))
            && let Some(byte) = usize::try_from(changed).ok().and_then(|i| buffer[..got].get_mut(i))
        {
            *byte = !*byte;
        }
        to.write_all(&buffer[..got])?;
        at += got as u64;
    }
    match fault.ends.map(|(_, end)| end) {
        Some(End::ClosedAfter(time)) => thread::sleep(time),
        // Until the other side gives up.
        Some(End::Silence) => drop(to.read(&mut buffer)),
        None => {}
    }
    Ok(())
}

/// The first line and the headers of a message.
struct Head {
    line: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads byte by byte: the body must stay unread.
    fn read(from: &mut TcpStream) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") && bytes.len() < HEAD_BYTES_MAX {
            from.read_exact(&mut byte)?;
            bytes.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines().map(str::to_owned);
        let line = lines.next().unwrap_or_default();
        let header = |line: String| line.split_once(':').map(|(k, v)| (k.to_owned(), v.trim().to_owned()));
        Ok(Self { line, headers: lines.filter_map(header).collect() })
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    }

    fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    fn lengthen_content_range(&mut self) {
        for (key, value) in &mut self.headers {
            if key.eq_ignore_ascii_case("content-range") {
                value.push('0');
            }
        }
    }

    /// Returns the text without the headers in `dropped`, for a connection that is closed after it.
    fn without(&self, dropped: &[&str]) -> String {
        let kept =
            self.headers.iter().filter(|(key, _)| !dropped.iter().any(|name| key.eq_ignore_ascii_case(name)));
        let headers: String = kept.map(|(key, value)| format!("{key}: {value}\r\n")).collect();
        format!("{}\r\n{headers}Connection: close\r\n\r\n", self.line)
    }
}

const HEAD_BYTES_MAX: usize = 64 << 10;
const REFUSAL: &str = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
