//! Runs a process that may never end, with bounds on its time and its output.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::job::{EXIT_UNCONFINED, Limits, MARK};
use crate::said::Said;

/// How long to wait for the tool.
#[derive(Clone, Copy, Debug)]
pub struct Patience<'a> {
    /// From start to end: a hanging file system uses no processor time.
    pub time: Duration,
    /// When it becomes true, the wait and the tool end within a tenth of a second.
    pub stop: &'a AtomicBool,
}

/// Why the tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// [`Patience::stop`] became true.
    #[error("stopped")]
    Stopped,
    /// It did not finish in time.
    #[error("qemu-img was not done after {seconds} s and was ended: does the disk answer?")]
    Late {
        /// The time limit.
        seconds: u64,
    },
    /// The kernel killed it because it exceeded its processor time or memory was short.
    #[error(
        "qemu-img was killed: more than {cpu_seconds} s of processor time, which no sound image of its size takes, or no memory"
    )]
    Killed {
        /// Its processor time limit in seconds.
        cpu_seconds: u64,
    },
    /// It was refused memory or a thread, also at its second try with the least that it can do with.
    #[error(
        "qemu-img was given too little memory or too few threads, twice: {line}. It may use {} MiB of address space, \
         a fixed limit: is memory short, or the number of threads (ulimit -u, TasksMax)?",
        address_space_bytes >> 20
    )]
    Memory {
        /// Its limit of address space in bytes.
        address_space_bytes: u64,
        /// Its error message.
        line: String,
    },
    /// It wrote more than an image of its size contains.
    #[error("qemu-img wrote more than {file_bytes} bytes, which no sound image of its size makes")]
    TooLarge {
        /// The limit in bytes.
        file_bytes: u64,
    },
    /// Its output is too long.
    #[error("qemu-img said more than {} KiB", ANSWER_BYTES_MAX >> 10)]
    TooMuch,
    /// It reported this error.
    #[error("qemu-img: {0}")]
    Failed(String),
    /// The sandbox could not be set up, so the tool was not started.
    #[error("no sandbox: {0}")]
    Unconfined(String),
    /// Processes or pipes failed.
    #[error("running qemu-img: {0}")]
    Io(#[from] io::Error),
}

/// Runs a command to its end and reads its standard error. Returns its standard output if that is piped.
pub(crate) fn run(
    command: &mut Command,
    limits: Limits,
    patience: Patience<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<u8>, ToolError> {
    let mut child = Ended(command.stderr(Stdio::piped()).spawn()?);
    let deadline = Instant::now() + patience.time;
    let (mut answer, mut said) = (Vec::new(), Said::default());
    let (mut stdout, mut stderr) = (child.0.stdout.take(), child.0.stderr.take());
    let mut buffer = [0; 4096];
    while stdout.is_some() || stderr.is_some() {
        goes_on(deadline, patience)?;
        let (answers, says) = readable(stdout.as_ref(), stderr.as_ref())?;
        if let (true, Some(pipe)) = (answers, &mut stdout) {
            match pipe.read(&mut buffer)? {
                0 => stdout = None,
                got if answer.len() + got > ANSWER_BYTES_MAX => return Err(ToolError::TooMuch),
                got => answer.extend_from_slice(&buffer[..got]),
            }
        }
        if let (true, Some(pipe)) = (says, &mut stderr) {
            match pipe.read(&mut buffer)? {
                0 => stderr = None,
                got => said.add(&buffer[..got], progress),
            }
        }
    }
    said.end(progress);
    let status = loop {
        match child.0.try_wait()? {
            Some(status) => break status,
            None => goes_on(deadline, patience)?,
        }
        thread::sleep(Duration::from_millis(1));
    };
    judge(status, said.line(), limits).map(|()| answer)
}

fn goes_on(deadline: Instant, patience: Patience<'_>) -> Result<(), ToolError> {
    if patience.stop.load(Ordering::Relaxed) {
        return Err(ToolError::Stopped);
    }
    if Instant::now() >= deadline {
        return Err(ToolError::Late { seconds: patience.time.as_secs() });
    }
    Ok(())
}

/// Returns which of the two pipes are readable or at their end; neither after [`TICK_MS`].
fn readable(stdout: Option<&ChildStdout>, stderr: Option<&ChildStderr>) -> io::Result<(bool, bool)> {
    let pipes = [stdout.map(AsFd::as_fd), stderr.map(AsFd::as_fd)];
    let mut fds: Vec<PollFd<'_>> =
        pipes.iter().flatten().map(|&pipe| PollFd::new(pipe, PollFlags::POLLIN)).collect();
    match poll(&mut fds, PollTimeout::from(TICK_MS)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
    Ok((stdout.is_some() && ready.next() == Some(true), stderr.is_some() && ready.next() == Some(true)))
}

fn judge(status: ExitStatus, line: &str, limits: Limits) -> Result<(), ToolError> {
    const KILLED: [i32; 2] = [Signal::SIGXCPU as i32, Signal::SIGKILL as i32];
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(EXIT_UNCONFINED), _) if line.starts_with(MARK) => {
            Err(ToolError::Unconfined(line[MARK.len()..].to_owned()))
        }
        (_, Some(signal)) if KILLED.contains(&signal) => {
            Err(ToolError::Killed { cpu_seconds: limits.cpu_seconds })
        }
        (_, Some(signal)) if signal == Signal::SIGXFSZ as i32 => {
            Err(ToolError::TooLarge { file_bytes: limits.file_bytes })
        }
        _ if is_about_memory(line) => {
            let address_space_bytes = limits.address_space_bytes;
            Err(ToolError::Memory { address_space_bytes, line: line.to_owned() })
        }
        _ if line.is_empty() => Err(ToolError::Failed(status.to_string())),
        _ => Err(ToolError::Failed(line.to_owned())),
    }
}

/// Whether an error message is about memory or threads: of the C library (ENOMEM; EAGAIN for a thread), of its loader,
/// of GLib (`g_malloc`), and of QEMU.
fn is_about_memory(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ABOUT_MEMORY.iter().any(|words| line.contains(words))
}

const ABOUT_MEMORY: [&str; 9] = [
    "cannot allocate memory",
    "failed to allocate",
    "could not allocate",
    "unable to allocate",
    "out of memory",
    "not enough memory",
    "failed to map segment",
    "cannot create thread",
    "qemu_thread_create",
];

/// Kills its process when dropped, and waits a second at most: on a hanging disk the kernel does not end a process.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            let deadline = Instant::now() + Duration::from_secs(1);
            while self.0.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Maximum delay in milliseconds until a stop is noticed.
const TICK_MS: u8 = 10;

/// `qemu-img info` prints 2 KiB for an image, and a line for each snapshot.
const ANSWER_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_never_ends_is_ended_at_its_time_or_when_it_is_told_to() {
        let (go_on, stop) = (AtomicBool::new(false), AtomicBool::new(true));
        let begun = Instant::now();
        let late = shell("exec sleep 60", Patience { time: Duration::from_millis(100), stop: &go_on });
        assert!(matches!(late, Err(ToolError::Late { .. })), "{late:?}");
        let stopped = shell("exec sleep 60", Patience { time: Duration::from_secs(60), stop: &stop });
        assert!(matches!(stopped, Err(ToolError::Stopped)), "{stopped:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn an_answer_without_end_is_cut_short() {
        let stop = AtomicBool::new(false);
        let much = shell("exec yes", Patience { time: Duration::from_secs(60), stop: &stop });
        assert!(matches!(much, Err(ToolError::TooMuch)), "{much:?}");
    }

    #[test]
    fn how_it_ended_is_told() {
        let stop = AtomicBool::new(false);
        let patience = Patience { time: Duration::from_secs(60), stop: &stop };
        assert_eq!(shell("printf answer; echo noise >&2", patience).expect("exit 0"), b"answer");
        let failed = shell("echo 'qemu-img: broken' >&2; exit 1", patience);
        assert!(matches!(&failed, Err(ToolError::Failed(line)) if line == "broken"), "{failed:?}");
        let killed = shell("kill -KILL $$", patience);
        assert!(matches!(killed, Err(ToolError::Killed { cpu_seconds: 1 })), "{killed:?}");
        let large = shell("kill -XFSZ $$", patience);
        assert!(matches!(large, Err(ToolError::TooLarge { .. })), "{large:?}");
        for line in [
            "qemu: qemu_thread_create: Resource temporarily unavailable",
            "Could not open image: Cannot allocate memory",
            "(process:7): GLib-ERROR **: gmem.c:136: failed to allocate 1073741824 bytes",
        ] {
            let short = shell(&format!("echo '{line}' >&2; kill -ABRT $$"), patience);
            assert!(
                matches!(short, Err(ToolError::Memory { address_space_bytes, .. }) if address_space_bytes == 1 << 30)
            );
        }
        let unconfined = shell("echo 'sandbox: Landlock: none' >&2; exit 125", patience);
        assert!(matches!(&unconfined, Err(ToolError::Unconfined(why)) if why == "Landlock: none"));
    }

    fn shell(script: &str, patience: Patience<'_>) -> Result<Vec<u8>, ToolError> {
        let limits = Limits { address_space_bytes: 1 << 30, cpu_seconds: 1, file_bytes: 1, nice: 0 };
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        run(&mut command, limits, patience, &mut |_| {})
    }
}
