//! `glancecastd status`: asks the service on this node, and prints what it answers.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::answerer;

/// In which form the status is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// For scripts.
    Json,
}

/// Asks the service whose runtime directory this is; returns what it says.
///
/// # Errors
/// [`StatusError`]
pub fn ask(runtime: &Path, form: Form) -> Result<String, StatusError> {
    let path = answerer::socket(runtime);
    let stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            StatusError::Nobody { path: path.clone() }
        }
        io::ErrorKind::PermissionDenied => StatusError::Denied { path: path.clone() },
        _ => StatusError::Io { path: path.clone(), error },
    })?;
    let answer = exchange(stream, form).map_err(|error| StatusError::Io { path: path.clone(), error })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => Err(StatusError::Refused { path, status: status.to_owned() }),
    }
}

fn exchange(mut stream: UnixStream, form: Form) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let path = match form {
        Form::Table => "/status",
        Form::Json => "/status.json",
    };
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: glancecastd\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// No service answers.
    #[error(
        "{path}: no glancecastd answers there; see: systemctl status glancecastd. One with another runtime directory: --runtime DIR",
        path = path.display()
    )]
    Nobody {
        /// The socket.
        path: PathBuf,
    },
    /// The user may not ask.
    #[error("{path}: this user may not ask; run it as root, or as a member of the service's group", path = path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// The service answered something else.
    #[error("{path}: it answers {status:?}: is it another version of glancecastd?", path = path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// The first line of the answer.
        status: String,
    },
    /// The system reported an error.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
}

/// Longest wait for an answer: each earlier connection may take some seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest answer.
const ANSWER_MAX: u64 = 1 << 20;
