//! The line at the bottom of a terminal that shows progress and is drawn again and again. Log lines go above it: whoever
//! writes to standard error while it is drawn takes it away first, and draws it again, so that no dead copy of it stays.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// The line that is drawn at present; empty if none is.
static DRAWN: Mutex<String> = Mutex::new(String::new());

/// Draws the line in place of the one that is drawn. It must fit the terminal, or the terminal breaks it in two.
pub(crate) fn draw(line: &str) {
    let mut drawn = lock();
    if *drawn != line {
        drawn.clear();
        drawn.push_str(line);
        put(&format!("{ERASE}{line}"));
    }
}

/// Takes the line away, for other output.
pub(crate) fn clear() {
    let mut drawn = lock();
    if !drawn.is_empty() {
        drawn.clear();
        put(ERASE);
    }
}

/// Writes log lines above the line.
#[derive(Clone, Copy, Debug)]
pub struct AboveTheLine;

impl<'a> MakeWriter<'a> for AboveTheLine {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        Self
    }
}

impl Write for AboveTheLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let drawn = lock();
        let mut out = io::stderr().lock();
        if drawn.is_empty() {
            return out.write(bytes);
        }
        out.write_all(&above(bytes, &drawn))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Returns what puts a text above the line.
fn above(text: &[u8], line: &str) -> Vec<u8> {
    let end: &[u8] = if text.ends_with(b"\n") { b"" } else { b"\n" };
    [ERASE.as_bytes(), text, end, line.as_bytes()].concat()
}

fn lock() -> MutexGuard<'static, String> {
    DRAWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// If standard error is closed, nobody watches.
fn put(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Back to the first column, and erase to the end of the line (ECMA-48, EL).
const ERASE: &str = "\r\u{1b}[K";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_takes_the_place_of_the_line_which_follows_it() {
        let text = above(b"WARN compute-5 is late\n", "38 %  ETA 0:04");
        assert_eq!(text, b"\r\x1b[KWARN compute-5 is late\n38 %  ETA 0:04");
        assert_eq!(above(b"no end", "1 %"), b"\r\x1b[Kno end\n1 %");
    }
}
