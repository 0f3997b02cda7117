//! What a scenario needs of its machine. Where that is missing the test is skipped with the command that would enable it;
//! under `CI=true` it fails, because there nothing may be skipped.

use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};

use crate::{places, systemd};

/// Something that not every machine has.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// The right to make network namespaces.
    Namespaces,
    /// A program, and the Debian package that brings it.
    Program(&'static str, &'static str),
    /// A systemd that can be started as the first process of a node, with control groups for it.
    Systemd,
    /// Python 3 that can make a virtual environment.
    PythonVenv,
}

impl Need {
    /// The command that would satisfy the need, if it is not satisfied.
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

/// Ends the enclosing test when one of its needs is not met.
#[macro_export]
macro_rules! needs {
    ($needs:expr) => {
        if $crate::skip::skipped($needs) {
            return;
        }
    };
}

/// Whether the running test has to be skipped; says why.
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

/// Tries it on a thread of its own, so that nothing else moves to the new namespace.
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
