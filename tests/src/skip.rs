//! What a scenario needs of its machine. If something is missing, the test is skipped with the command that would
//! install it; under `CI=true`, where nothing may be skipped, it fails.

use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};

use crate::{places, systemd};

/// A requirement that not every machine meets.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// The right to create network namespaces.
    Namespaces,
    /// A program, and the Debian package that contains it.
    Program(&'static str, &'static str),
    /// A systemd that can run as the first process of a node, with control groups for it.
    Systemd,
    /// A Python 3 that can create virtual environments.
    PythonVenv,
}

impl Need {
    /// Returns the command that would meet the need, or `None` if it is met.
    fn remedy(self) -> Option<String> {
        match self {
            Self::Namespaces if namespaces_allowed() => None,
            Self::Namespaces => {
                Some("needs root for network namespaces: sudo -E env \"PATH=$PATH\" make test".to_owned())
            }
            Self::Program(program, _) if places::tool(program).is_some() => None,
            Self::Program(program, package) => {
                Some(format!("needs {program}: sudo apt-get install {package}"))
            }
            Self::Systemd => systemd::remedy(),
            Self::PythonVenv if python_makes_venvs() => None,
            Self::PythonVenv => Some("needs Python's venv: sudo apt-get install python3-venv".to_owned()),
        }
    }
}

/// Ends the enclosing test if one of its needs is not met.
#[macro_export]
macro_rules! needs {
    ($needs:expr) => {
        if $crate::skip::skipped($needs) {
            return;
        }
    };
}

/// Whether the running test must be skipped; prints the reason.
///
/// # Panics
/// Under `CI=true`, where every test has to run.
pub fn skipped(needs: &[Need]) -> bool {
    let remedies: Vec<String> = needs.iter().filter_map(|need| need.remedy()).collect();
    if remedies.is_empty() {
        return false;
    }
    glancecast_testkit::skip(&remedies.join("; "));
    true
}

/// Tries it on a thread of its own, so that no other thread enters the new namespace.
fn namespaces_allowed() -> bool {
    let attempt = thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok());
    attempt.join().unwrap_or(false)
}

fn python_makes_venvs() -> bool {
    let mut python = Command::new("python3");
    python
        .args(["-c", "import ensurepip, venv"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}
