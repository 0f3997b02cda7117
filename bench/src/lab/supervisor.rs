//! The supervisor, which is the called process, starts itself again as a worker that measures. It cleans up after any
//! end of the worker: an interrupt, a failure or a crash. Remaining processes of the worker (nginx's workers, for
//! instance) become the supervisor's children, so that it can end them by their own pids.

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result, ensure};
use glancecast_tests::netns;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, Uid};

use super::buffers::Buffers;

/// Fails unless the process is root. `name` is that of the measurement.
pub fn need_root(name: &str) -> Result<()> {
    ensure!(
        Uid::effective().is_root(),
        "needs root for network namespaces: sudo -E env \"PATH=$PATH\" make bench-{name}"
    );
    Ok(())
}

/// Runs this program again with `--work-in DIRECTORY`, a new directory in `memory`, and then cleans up the worker's
/// processes, networks and files. `program` is the prefix of messages.
pub fn supervise(program: &str, memory: &Path) -> Result<ExitCode> {
    let signals: SigSet =
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect();
    signals.thread_block().context("cannot block signals")?;
    prctl::set_child_subreaper(true).context("cannot adopt what children leave")?;
    netns::remove_stale();
    let buffers = Buffers::read()?;
    let directory = tempfile::Builder::new()
        .prefix(&format!("glancecast-{program}-"))
        .tempdir_in(memory)
        .with_context(|| format!("cannot create a directory in {}", memory.display()))?;

    let mut command = Command::new(env::current_exe().context("where this program is")?);
    command.args(env::args_os().skip(1)).arg("--work-in").arg(directory.path());
    let mut worker = command.spawn().context("cannot start the worker")?;
    let mut interrupt = None;
    let status = loop {
        if let Some(status) = worker.try_wait().context("cannot wait for the worker")? {
            break status;
        }
        match signals.wait().context("cannot wait for signals")? {
            Signal::SIGCHLD => {}
            signal => {
                interrupt = Some(signal);
                worker.kill().context("cannot end the worker")?;
            }
        }
    };

    end_orphans();
    netns::remove_of(worker.id());
    buffers.restore();
    directory.close().context("cannot remove the images")?;
    Ok(code(program, status, interrupt))
}

/// Prepares the worker: it receives signals again, and does not outlive its supervisor.
pub fn become_worker() -> Result<()> {
    SigSet::all().thread_unblock().context("cannot unblock signals")?;
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot bind to the supervisor")
}

/// Ends and reaps every child. The children of a child that ends become ours.
fn end_orphans() {
    let children = || children_of(std::process::id());
    let mut left = children();
    while !left.is_empty() {
        for pid in left {
            // It may have ended by itself.
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
        left = children();
    }
}

fn children_of(parent: u32) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).map(Pid::from_raw).collect()
}

fn parent_of(pid: i32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything; state and parent follow it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn code(program: &str, status: ExitStatus, interrupt: Option<Signal>) -> ExitCode {
    if let Some(signal) = interrupt {
        eprintln!("{program}: ended by {signal}; everything it made is removed");
        return ExitCode::from(130);
    }
    if let Some(signal) = status.signal() {
        eprintln!("{program}: the worker was ended by signal {signal}; everything it made is removed");
    }
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_by_its_parent() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep is everywhere");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let found = children_of(std::process::id()).contains(&pid);
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        assert!(found);
        assert!(!children_of(std::process::id()).contains(&pid));
    }
}
