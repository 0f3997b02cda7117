//! A process of a scenario: its output goes to files, its log can be waited for, signals go to its pid, and its
//! resource usage is read at its end. Dropped while it runs, it is killed; dropped in a panic, the end of its log is
//! printed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

/// A process that a scenario started.
#[derive(Debug)]
pub struct Process {
    title: String,
    pid: Pid,
    stdin: Option<ChildStdin>,
    started: Instant,
    end: Option<End>,
    log: PathBuf,
    output: PathBuf,
}

/// How a process ended, and its resource usage.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// The exit code or signal.
    pub status: ExitStatus,
    /// The time from its start until its end was seen.
    pub lasted: Duration,
    /// The processor time, user and system, of the process and the children it has waited for.
    pub cpu: Duration,
    /// The part of it spent in the kernel.
    pub system: Duration,
    /// The largest resident memory.
    pub resident_bytes_max: u64,
}

impl Process {
    /// Starts `command`. Standard output goes to `directory/TITLE.out`, standard error to `directory/TITLE.log`; the
    /// names get a number if another process of this title has them.
    #[expect(clippy::zombie_processes, reason = "`reap` waits, because only wait4 tells what was used")]
    pub fn start(title: &str, mut command: Command, directory: &Path) -> Self {
        let (output, log) = free_names(title, directory);
        command.stdout(create(&output)).stderr(create(&log));
        // SAFETY: between fork and exec only prctl is called, which is async-signal-safe and touches no memory.
        unsafe { command.pre_exec(die_with_the_test) };
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid fits"));
        Self { title: title.to_owned(), pid, stdin: child.stdin.take(), started, end: None, log, output }
    }

    /// Waits until a line of the log contains `words`, and returns it.
    ///
    /// # Panics
    /// When the process ends first, or after `within`.
    #[track_caller]
    pub fn wait_for_log(&mut self, words: &str, within: Duration) -> String {
        wait::until(&format!("`{words}` in the log of {}", self.title), within, || {
            let ended = self.poll().is_some();
            let line = self.log_lines().into_iter().find(|line| line.contains(words));
            assert!(line.is_some() || !ended, "{} ended without `{words}` in its log", self.title);
            line
        })
    }

    /// Returns the lines on standard error so far.
    pub fn log_lines(&self) -> Vec<String> {
        read(&self.log).lines().map(str::to_owned).collect()
    }

    /// Returns the standard output so far.
    pub fn output(&self) -> String {
        read(&self.output)
    }

    /// Asserts that standard output has no result: nothing, or the object of a command that ended early, with the message
    /// of standard error.
    ///
    /// # Panics
    /// When it has something else.
    #[track_caller]
    pub fn assert_no_result(&self, code: i32) {
        let output = self.output();
        if output.is_empty() {
            return;
        }
        let report: serde_json::Value = serde_json::from_str(&output).expect("one object");
        assert_eq!(
            (&report["exit_code"], &report["error"]["kind"]),
            (&code.into(), &"usage".into()),
            "{report}"
        );
        let message = report["error"]["message"].as_str().expect("a text");
        assert!(
            self.log_lines().iter().any(|line| line.ends_with(message)),
            "{report}: {:?}",
            self.log_lines()
        );
    }

    /// Returns its pid, which no other process gets before its end was seen.
    pub fn pid(&self) -> u32 {
        u32::try_from(self.pid.as_raw()).expect("pids are positive")
    }

    /// Returns how long ago it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether it is running.
    pub fn runs(&mut self) -> bool {
        self.poll().is_none()
    }

    /// Sends a signal; does nothing if the process has ended.
    pub fn signal(&mut self, signal: Signal) {
        // Until it is reaped the pid is its own, even if it has ended meanwhile.
        if self.poll().is_none() {
            kill(self.pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.title));
        }
    }

    /// Writes to its standard input, which must be a pipe.
    ///
    /// # Panics
    /// When the process no longer reads.
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("a pipe that was not closed");
        stdin.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", self.title));
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it still runs after `within`.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> End {
        wait::until(&format!("the end of {}", self.title), within, || self.poll())
    }

    /// Sends SIGTERM and waits for the end.
    #[track_caller]
    pub fn terminate(&mut self, within: Duration) -> End {
        self.signal(Signal::SIGTERM);
        self.wait(within)
    }

    /// Returns its end, if it has ended.
    pub fn poll(&mut self) -> Option<End> {
        if self.end.is_none() {
            self.end = reap(self.pid, self.started);
        }
        self.end
    }

    fn print_log_tail(&self) {
        let lines = self.log_lines();
        println!("---- {} (pid {}): {:?}, the end of its log:", self.title, self.pid, self.end);
        for line in &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..] {
            println!("     {line}");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            self.print_log_tail();
        }
        if self.poll().is_none() && kill(self.pid, Signal::SIGKILL).is_ok() {
            while self.poll().is_none() {
                thread::sleep(wait::POLL_INTERVAL);
            }
        }
    }
}

impl End {
    /// The exit code; `None` if a signal ended the process.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// Whether a process with this pid exists.
pub fn exists(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Reads the end and usage of a process, if it has ended. Nothing else waits for it, so the pid is its own.
fn reap(pid: Pid, started: Instant) -> Option<End> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live, writable values of the types that wait4 fills.
    let reaped = unsafe { libc::wait4(pid.as_raw(), &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    assert!(reaped >= 0, "wait4 of {pid}: {}", io::Error::last_os_error());
    if reaped == 0 {
        return None;
    }
    // SAFETY: wait4 has filled it, and all zeros would be a valid value, too.
    let usage = unsafe { usage.assume_init() };
    Some(End {
        status: ExitStatus::from_raw(status),
        lasted: started.elapsed(),
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        system: duration(usage.ru_stime),
        resident_bytes_max: u64::try_from(usage.ru_maxrss).expect("a size") * 1024, // Linux counts KiB
    })
}

/// Runs in the child, and has the kernel kill it when the test dies.
fn die_with_the_test() -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).expect("a duration");
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).expect("a duration"))
}

/// Returns free names for output and log: two processes that wrote to one file would overwrite each other.
fn free_names(title: &str, directory: &Path) -> (PathBuf, PathBuf) {
    let names = |stem: String| (directory.join(format!("{stem}.out")), directory.join(format!("{stem}.log")));
    let stems = std::iter::once(title.to_owned()).chain((2..).map(|number| format!("{title}-{number}")));
    stems.map(names).find(|(output, _)| !output.exists()).expect("numbers do not end")
}

fn create(path: &Path) -> File {
    File::create_new(path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()))
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

const LOG_TAIL_LINES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_tells_code_memory_and_log() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut shell =
            Process::start("sh", script("echo out; echo ready >&2; read x; exit 3"), directory.path());
        assert_eq!(shell.wait_for_log("ready", SOON), "ready");
        assert!(shell.runs());
        shell.close_stdin();
        let end = shell.wait(SOON);
        assert_eq!((end.code(), shell.output().as_str()), (Some(3), "out\n"));
        assert!(end.resident_bytes_max > 0);
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let shell = Process::start("sh", script("read x"), directory.path());
        let pid = u32::try_from(shell.pid.as_raw()).expect("a pid");
        assert!(exists(pid));
        drop(shell);
        assert!(!exists(pid));
    }

    fn script(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]).stdin(std::process::Stdio::piped());
        command
    }

    const SOON: Duration = Duration::from_secs(10);
}
