//! As much of HTTP/1.1 (RFC 9112) as a scrape needs: one GET, one answer, and the connection is closed.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// GET of this path, without its query.
    Get(String),
    /// HEAD of this path.
    Head(String),
    /// Another method.
    OtherMethod,
    /// Not HTTP, or too long.
    Malformed,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: &'static str,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Response {
    pub(super) fn ok(content_type: &'static str, body: String) -> Self {
        Self { status: "200 OK", content_type, body }
    }

    pub(super) fn error(status: &'static str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: format!("{status}\n") }
    }
}

/// Reads a request: its header of at most [`HEADER_MAX`] bytes, within [`TIME_MAX`]. `stream` has a read timeout.
pub(super) fn read(stream: &mut impl Read) -> io::Result<Request> {
    let (mut header, begun) = (Vec::with_capacity(1024), Instant::now());
    let mut piece = [0; 1024];
    while !is_complete(&header) {
        if header.len() >= HEADER_MAX {
            return Ok(Request::Malformed);
        }
        // Each read is bounded by the stream's own timeout; a peer that sends a byte at a time has no more in all.
        if begun.elapsed() >= TIME_MAX {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match stream.read(&mut piece)? {
            0 => return Ok(Request::Malformed),
            read => header.extend_from_slice(&piece[..read]),
        }
    }
    Ok(parse(&header))
}

fn is_complete(header: &[u8]) -> bool {
    header.windows(4).any(|end| end == b"\r\n\r\n") || header.windows(2).any(|end| end == b"\n\n")
}

/// Parses the first line.
fn parse(header: &[u8]) -> Request {
    let line = header.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return Request::Malformed };
    let words: Vec<&str> = line.trim_end_matches('\r').split(' ').collect();
    let [method, target, version] = words[..] else { return Request::Malformed };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Request::Malformed;
    }
    let path = target.split('?').next().unwrap_or_default().to_owned();
    match method {
        "GET" => Request::Get(path),
        "HEAD" => Request::Head(path),
        _ => Request::OtherMethod,
    }
}

/// Writes an answer; `with_body` is false for HEAD.
pub(super) fn write(stream: &mut impl Write, response: &Response, with_body: bool) -> io::Result<()> {
    let Response { status, content_type, body } = response;
    let header = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(header.as_bytes())?;
    if with_body {
        stream.write_all(body.as_bytes())?;
    }
    stream.flush()
}

/// Longest header: Prometheus sends 300 bytes, a browser with cookies some KiB.
const HEADER_MAX: usize = 8 << 10;

/// Longest time for a header.
pub(super) const TIME_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_read_in_pieces_and_whatever_else_comes_is_refused() {
        let get = |path: &str| Request::Get(path.to_owned());
        for (bytes, request) in [
            (&b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"[..], get("/metrics")),
            (b"GET /metrics?a=b HTTP/1.0\r\n\r\n", get("/metrics")),
            (b"GET /metrics HTTP/1.1\nHost: x\n\n", get("/metrics")),
            (b"HEAD / HTTP/1.1\r\n\r\n", Request::Head("/".to_owned())),
            (b"POST /metrics HTTP/1.1\r\n\r\n", Request::OtherMethod),
            (b"GET http://x/metrics HTTP/1.1\r\n\r\n", Request::Malformed),
            (b"GET /metrics\r\n\r\n", Request::Malformed),
            (b"GET /metrics HTTP/2.0\r\n\r\n", Request::Malformed),
            (b"\xff\xfe / HTTP/1.1\r\n\r\n", Request::Malformed),
            (b"GET /metrics HTTP/1.1\r\n", Request::Malformed),
            (b"", Request::Malformed),
            (b"\n\n", Request::Malformed),
        ] {
            assert_eq!(read(&mut ByteByByte(bytes)).expect("no error"), request, "{bytes:?}");
        }
    }

    #[test]
    fn a_header_without_end_is_not_read_to_its_end() {
        struct Endless(usize);
        impl Read for Endless {
            fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
                to.fill(b'a');
                self.0 += to.len();
                Ok(to.len())
            }
        }
        let mut endless = Endless(0);
        assert_eq!(read(&mut endless).expect("no error"), Request::Malformed);
        assert!(endless.0 <= 2 * HEADER_MAX, "{}", endless.0);
    }

    #[test]
    fn an_answer_names_its_length_and_closes() {
        let mut out = Vec::new();
        write(&mut out, &Response::ok("text/plain", "a 1\n".into()), true).expect("a Vec takes it");
        let text = String::from_utf8(out).expect("ASCII");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\na 1\n"), "{text}");
        assert!(text.contains("Content-Length: 4\r\n") && text.contains("Connection: close\r\n"), "{text}");
        let mut out = Vec::new();
        write(&mut out, &Response::error("404 Not Found"), false).expect("a Vec takes it");
        assert!(out.ends_with(b"\r\n\r\n"));
    }

    struct ByteByByte<'a>(&'a [u8]);

    impl Read for ByteByByte<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            to[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }
}
