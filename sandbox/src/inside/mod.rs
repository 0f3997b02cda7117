//! The process that becomes the tool: it has one thread and no secret, drops its rights, and executes.
//!
//! With namespaces there are two processes: the first creates them and waits, because only a child is in a new PID
//! namespace. The order is fixed: mounts need capabilities, Landlock forbids mounts, and seccomp forbids all of these
//! calls.

mod descriptors;
mod files;
mod namespaces;
mod rights;
mod syscalls;

use std::convert::Infallible;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};

use nix::sys::prctl;
use nix::sys::signal::{Signal, raise};
use nix::unistd::{getppid, setsid};

use crate::job::{Action, Confinement, EXIT_UNCONFINED, HIDDEN, Job, MARK};
use crate::tool::Launcher;
use syscalls::Writing;

/// Must be called first in the `main` of a program that uses [`crate::QemuImg::find`]. In a process that was started to
/// become the tool, it does so and does not return.
pub fn enter() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|argument| argument != HIDDEN) {
        Launcher::main_has_entered();
        return;
    }
    let job = arguments.next().unwrap_or_default();
    let Err(error) = serde_json::from_slice(job.as_encoded_bytes())
        .map_err(|error| Unconfined::new("its job")(error))
        .and_then(become_tool);
    eprintln!("{MARK}{error}");
    std::process::exit(EXIT_UNCONFINED);
}

/// What could not be confined, and why.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
struct Unconfined {
    what: &'static str,
    why: String,
}

impl Unconfined {
    fn new<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Self {
        move |why| Self { what, why: why.to_string() }
    }
}

fn become_tool(job: Job) -> Result<Infallible, Unconfined> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(Unconfined::new("PR_SET_PDEATHSIG"))?;
    if !job.within_namespaces {
        if getppid().as_raw() != job.parent {
            std::process::exit(EXIT_UNCONFINED);
        }
        // This fails if the process already leads a session, which is just as good.
        let _ = setsid();
        prctl::set_no_new_privs().map_err(Unconfined::new("PR_SET_NO_NEW_PRIVS"))?;
        std::env::set_current_dir("/").map_err(Unconfined::new("chdir"))?;
        descriptors::close_on_exec().map_err(Unconfined::new("close_range"))?;
        if job.confinement.has_namespaces() {
            namespaces::unshare_all().map_err(Unconfined::new("namespaces"))?;
            let inner = Job { within_namespaces: true, ..job };
            pass_on(wait_for(&inner).map_err(Unconfined::new("a process in the namespaces"))?);
        }
    }
    let given = descriptors::Given::take().map_err(Unconfined::new("descriptors"))?;
    if job.confinement.has_namespaces() {
        namespaces::private_root(&job.tool).map_err(Unconfined::new("a private root"))?;
    }
    rights::limit(job.limits).map_err(Unconfined::new("limits"))?;
    rights::drop_capabilities(&given).map_err(Unconfined::new("capabilities"))?;
    prctl::set_dumpable(false).map_err(Unconfined::new("PR_SET_DUMPABLE"))?;
    if job.confinement.has_landlock() {
        files::restrict(&job.tool, &given).map_err(Unconfined::new("Landlock"))?;
    }
    let mut tool = Command::new(&job.tool);
    tool.args(job.action.arguments(given.image(), given.result(), job.thrift)).env_clear().envs(ENVIRONMENT);
    tool.env("MALLOC_ARENA_MAX", job.thrift.arenas());
    match (syscalls::restrict(job.action.writing()), job.confinement) {
        (Ok(()), _) | (Err(_), Confinement::LimitsOnly) => {}
        (Err(why), _) => return Err(Unconfined { what: "seccomp", why }),
    }
    Err(Unconfined::new("it does not start")(tool.exec()))
}

impl Action {
    fn writing(&self) -> Writing {
        match self {
            Self::Version | Self::Info => Writing::Nothing,
            Self::Convert { .. } => Writing::TheResult,
        }
    }
}

/// Starts this program again as the first process of the namespaces, and waits for it.
fn wait_for(job: &Job) -> io::Result<ExitStatus> {
    let job = serde_json::to_string(job)?;
    let mut inner = Command::new(Launcher::THIS_PROGRAM);
    inner.args([HIDDEN, &job]).env_clear();
    inner.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit()).status()
}

/// Ends this process with the tool's exit code or signal.
fn pass_on(status: ExitStatus) -> ! {
    if let Some(signal) = status.signal().and_then(|signal| Signal::try_from(signal).ok()) {
        let _ = raise(signal);
    }
    std::process::exit(status.code().unwrap_or(EXIT_UNCONFINED));
}

/// The tool's whole environment, besides the number of the allocator's arenas.
const ENVIRONMENT: [(&str, &str); 2] = [("LC_ALL", "C"), ("PATH", "/usr/bin:/bin")];
