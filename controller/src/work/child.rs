//! A child: its lines, the end of its standard error, its end.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use glancecast_proto::wire::printable;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::limits::{EVENTS_WAITING_MAX, LINE_BYTES_MAX, STDERR_BYTES_MAX};

/// A process that this controller started.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    /// `None` once its output is read otherwise.
    output: Option<ChildStdout>,
    stderr: JoinHandle<String>,
    pid: Pid,
}

/// How a child ended.
#[derive(Clone, Debug)]
pub struct ChildEnd {
    /// Its exit code, or the signal.
    pub status: ExitStatus,
    /// The end of its standard error.
    pub stderr: String,
}

/// Why the output of a child cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It cannot be read.
    #[error("the output of glancecast cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is too long.
    #[error("glancecast printed more than {max} bytes")]
    TooLong {
        /// The bound.
        max: usize,
    },
}

/// Ends a child. Only for as long as nobody has waited for its end: then its pid is its own.
#[derive(Clone, Copy, Debug)]
pub struct Signaller(Pid);

impl Signaller {
    /// Asks it to end.
    pub fn terminate(self) {
        let _ = kill(self.0, Signal::SIGTERM);
    }

    /// Ends it and all that it started.
    pub fn kill(self) {
        let _ = killpg(self.0, Signal::SIGKILL);
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

impl ChildEnd {
    /// Returns how it ended, in words: with the last line of its standard error, if it has one.
    pub fn words(&self) -> String {
        let how = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("glancecast ended with exit code {code}"),
            (None, Some(signal)) => format!("glancecast was ended by signal {signal}"),
            (None, None) => "glancecast ended".to_owned(),
        };
        match self.stderr.lines().rev().find(|line| !line.trim().is_empty()) {
            Some(line) => format!("{how}: {}", line.trim()),
            None => how,
        }
    }
}

impl Child {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        let mut process = command.spawn()?;
        let output = process.stdout.take();
        let stderr = process.stderr.take().expect("it is piped");
        let pid = process.id().and_then(|id| i32::try_from(id).ok());
        let pid = Pid::from_raw(pid.ok_or_else(|| io::Error::other("the child has no pid"))?);
        Ok(Self { process, output, stderr: tokio::spawn(tail(stderr)), pid })
    }

    /// Returns its lines as they come. Those that are not taken fill the pipe, and the child notices.
    pub fn lines(&mut self) -> mpsc::Receiver<Result<String, ChildError>> {
        let (to, lines) = mpsc::channel(EVENTS_WAITING_MAX);
        if let Some(output) = self.output.take() {
            tokio::spawn(async move {
                let mut reader = BufReader::new(output);
                loop {
                    let line = line(&mut reader).await.transpose();
                    let is_last = matches!(line, None | Some(Err(_)));
                    if let Some(line) = line
                        && to.send(line).await.is_err()
                    {
                        return;
                    }
                    if is_last {
                        return;
                    }
                }
            });
        }
        lines
    }

    /// Returns all of its output, when that has ended.
    ///
    /// # Errors
    /// [`ChildError`], also if it is longer than `max` bytes.
    pub async fn output(&mut self, max: usize) -> Result<Vec<u8>, ChildError> {
        let mut bytes = Vec::new();
        if let Some(output) = &mut self.output {
            output.take(max as u64 + 1).read_to_end(&mut bytes).await?;
        }
        match bytes.len() > max {
            true => Err(ChildError::TooLong { max }),
            false => Ok(bytes),
        }
    }

    /// Returns what ends it, while it is read or waited for.
    pub fn signaller(&self) -> Signaller {
        Signaller(self.pid)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The error of the system.
    pub async fn wait(&mut self) -> io::Result<ChildEnd> {
        let status = self.process.wait().await?;
        // A grandchild may hold the pipe open.
        let stderr = tokio::time::timeout(STDERR_TIME, &mut self.stderr).await;
        let stderr = stderr.ok().and_then(Result::ok).unwrap_or_default();
        Ok(ChildEnd { status, stderr })
    }
}

/// Reads the next line; `None` at the end.
async fn line(reader: &mut BufReader<ChildStdout>) -> Result<Option<String>, ChildError> {
    let mut bytes = Vec::new();
    let read = reader.take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes).await?;
    match read {
        0 => Ok(None),
        read if read > LINE_BYTES_MAX => Err(ChildError::TooLong { max: LINE_BYTES_MAX }),
        _ => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
    }
}

/// Reads to the end, and returns the last [`STDERR_BYTES_MAX`] bytes, printable.
async fn tail(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    read_tail(&mut stderr, &mut kept).await;
    let text = String::from_utf8_lossy(&kept);
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

async fn read_tail(from: &mut (impl AsyncRead + Unpin), kept: &mut Vec<u8>) {
    let mut piece = vec![0; 4_096];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        kept.extend_from_slice(&piece[..read]);
        let surplus = kept.len().saturating_sub(STDERR_BYTES_MAX);
        kept.drain(..surplus);
    }
}

/// Time for the rest of the standard error after the end.
const STDERR_TIME: std::time::Duration = std::time::Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).process_group(0);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        Child::spawn(command).expect("a shell")
    }

    #[tokio::test]
    async fn lines_come_in_order_and_the_end_says_why() {
        let mut child = shell("echo one; echo two; echo 'it \u{1b}[2J failed' >&2; exit 3");
        let mut lines = child.lines();
        let mut seen = Vec::new();
        while let Some(line) = lines.recv().await {
            seen.push(line.expect("a line"));
        }
        assert_eq!(seen, ["one\n", "two\n"]);
        let end = child.wait().await.expect("it ends");
        assert_eq!(end.words(), "glancecast ended with exit code 3: it ?[2J failed");
    }

    #[tokio::test]
    async fn a_child_that_is_killed_takes_its_own_children_along() {
        let mut child = shell("sleep 600 & echo $!; wait");
        let line = child.lines().recv().await.expect("a line").expect("a pid");
        let grandchild = Pid::from_raw(line.trim().parse().expect("a pid"));
        child.signaller().kill();
        let end = child.wait().await.expect("it ends");
        assert_eq!(end.status.signal(), Some(9));
        // It is reaped by init, or a zombie.
        let is_gone = || match std::fs::read_to_string(format!("/proc/{grandchild}/stat")) {
            Ok(stat) => stat.contains(") Z"),
            Err(_) => true,
        };
        while !is_gone() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn output_beyond_the_bound_is_an_error() {
        let mut child = shell("head -c 100 /dev/zero");
        assert!(matches!(child.output(99).await, Err(ChildError::TooLong { max: 99 })));
        child.wait().await.expect("it ends");
        let mut child = shell("head -c 100 /dev/zero");
        assert_eq!(child.output(100).await.expect("it fits").len(), 100);
        child.wait().await.expect("it ends");
    }
}
