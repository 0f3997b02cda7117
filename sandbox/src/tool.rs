//! The tool: found in the `PATH`, tried in the strongest sandbox that the kernel allows, and run.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use glancecast_inspect::Format;

use crate::info::Info;
use crate::job::{Action, Confinement, HIDDEN, Job, Limits, Thrift};
use crate::run::{Patience, ToolError, run};

/// `qemu-img`, in a sandbox.
#[derive(Clone, Debug)]
pub struct QemuImg {
    tool: PathBuf,
    launcher: Launcher,
    confinement: Confinement,
}

/// Whether the tool may run if the kernel offers no sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsandboxed {
    /// It may not run.
    Refused,
    /// It may run, because the operator has allowed it.
    Allowed,
}

/// Why the tool is unavailable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// It is not in the `PATH`.
    #[error("qemu-img is not installed (Debian: qemu-utils, RHEL: qemu-img)")]
    NotInstalled,
    /// It is a script, whose interpreter is not in the sandbox.
    #[error("{0} is a script, which cannot run in the sandbox: put qemu-img itself first in the PATH")]
    Script(PathBuf),
    /// It does not start: in no sandbox, for these reasons, or not at all.
    #[error("{0}")]
    NoSandbox(String),
}

/// The program whose process becomes the tool.
#[derive(Clone, Debug)]
pub struct Launcher(PathBuf);

static ENTERED: OnceLock<()> = OnceLock::new();

impl Launcher {
    /// This program, even if its file was replaced or removed since it started.
    pub(crate) const THIS_PROGRAM: &str = "/proc/self/exe";

    pub(crate) fn main_has_entered() {
        let _ = ENTERED.set(());
    }

    /// Returns this program, if its `main` has called [`crate::enter`]. Otherwise it would do its usual work again.
    fn this_program() -> Result<Self, Unavailable> {
        ENTERED.get().map(|()| Self(Self::THIS_PROGRAM.into())).ok_or_else(|| {
            Unavailable::NoSandbox("this program does not begin with glancecast_sandbox::enter".to_owned())
        })
    }

    /// Returns another program that calls [`crate::enter`]: for tests, which do not control their own `main`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl QemuImg {
    /// Finds the tool in the `PATH` and starts it in each isolating [`Confinement`] until one works. Only a start shows
    /// what the kernel, a container and systemd allow. This takes the time of one to three starts.
    ///
    /// # Errors
    /// If it is not installed, or starts in no confinement. [`Unsandboxed::Allowed`] adds a last try without one.
    pub fn find(unsandboxed: Unsandboxed) -> Result<Self, Unavailable> {
        let tool = in_path(&std::env::var_os("PATH").unwrap_or_default())?;
        let launcher = Launcher::this_program()?;
        let mut reasons: Vec<String> = Vec::new();
        let last = (unsandboxed == Unsandboxed::Allowed).then_some(Confinement::LimitsOnly);
        for confinement in Confinement::HOLDING.into_iter().chain(last) {
            let found = Self::new(launcher.clone(), tool.clone(), confinement);
            match found.version() {
                Ok(()) => return Ok(found),
                Err(error) => reasons.push(format!("{}: {error}", confinement.name())),
            }
        }
        Err(Unavailable::NoSandbox(reasons.join("; ")))
    }

    /// Returns the tool in a given confinement, started by a given program: for tests and measurements.
    pub fn new(launcher: Launcher, tool: impl Into<PathBuf>, confinement: Confinement) -> Self {
        Self { tool: tool.into(), launcher, confinement }
    }

    /// Returns the confinement.
    pub fn confinement(&self) -> Confinement {
        self.confinement
    }

    /// Runs the tool to check that it works.
    ///
    /// # Errors
    /// If it does not start, or is another program.
    pub fn version(&self) -> Result<(), ToolError> {
        let stop = AtomicBool::new(false);
        let patience = Patience { time: Duration::from_secs(30), stop: &stop };
        let nothing = File::open("/dev/null")?;
        let said = at_most_twice(patience, |thrift, patience| {
            let mut command = self.command(&nothing, Action::Version, LOOK, thrift)?;
            run(command.stdout(Stdio::piped()), LOOK, patience, &mut |_| {})
        })?;
        if !said.starts_with(b"qemu-img version ") {
            return Err(ToolError::Failed("it is another program".to_owned()));
        }
        Ok(())
    }

    /// Returns the description of an image as QEMU's probe detects it: no format is given.
    ///
    /// # Errors
    /// If it opens in no format, or the tool did not answer in time.
    pub fn info(&self, image: &File, patience: Patience<'_>) -> Result<Info, ToolError> {
        let answer = self.answer(image, patience)?;
        Info::read(&answer).map_err(|error| ToolError::Failed(error.to_string()))
    }

    /// Returns the output of [`Self::info`] unparsed.
    ///
    /// # Errors
    /// Those of [`Self::info`].
    pub fn answer(&self, image: &File, patience: Patience<'_>) -> Result<Vec<u8>, ToolError> {
        at_most_twice(patience, |thrift, patience| {
            let mut command = self.command(image, Action::Info, LOOK, thrift)?;
            run(command.stdout(Stdio::piped()), LOOK, patience, &mut |_| {})
        })
    }

    /// Writes an image's disk into `result`, an empty file that already has its length. `progress` receives
    /// percentages.
    ///
    /// # Errors
    /// If the image is damaged or hostile, or a limit was reached.
    pub fn convert(
        &self,
        image: &File,
        format: Format,
        result: &File,
        patience: Patience<'_>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), ToolError> {
        let bytes = result.metadata()?.len();
        let limits = Limits {
            cpu_seconds: CPU_SECONDS_MIN + bytes / CPU_BYTES_PER_SECOND,
            file_bytes: bytes,
            ..CONVERSION
        };
        at_most_twice(patience, |thrift, patience| {
            if thrift == Thrift::Least {
                // What the first try has written goes: the result is all zeros at the beginning.
                result.set_len(0)?;
                result.set_len(bytes)?;
            }
            let action = Action::Convert { format: format.qemu_name().to_owned() };
            let mut command = self.command(image, action, limits, thrift)?;
            command.stdout(Stdio::from(result.try_clone()?));
            run(&mut command, limits, patience, progress).map(drop)
        })
    }

    /// Returns a command whose process inherits only the files.
    fn command(
        &self,
        image: &File,
        action: Action,
        limits: Limits,
        thrift: Thrift,
    ) -> Result<Command, ToolError> {
        let job = Job {
            tool: self.tool.clone(),
            confinement: self.confinement,
            action,
            limits,
            thrift,
            within_namespaces: false,
            parent: std::process::id().cast_signed(),
        };
        let job = serde_json::to_string(&job).map_err(std::io::Error::from)?;
        let mut command = Command::new(&self.launcher.0);
        command.args([HIDDEN, &job]).env_clear().stdin(Stdio::from(image.try_clone()?));
        Ok(command)
    }
}

/// Runs the tool, and once more with the least memory that it can do with, if it was refused memory. Both runs share
/// the time.
fn at_most_twice<T>(
    patience: Patience<'_>,
    mut run: impl FnMut(Thrift, Patience<'_>) -> Result<T, ToolError>,
) -> Result<T, ToolError> {
    let start = Instant::now();
    match run(Thrift::Usual, patience) {
        Err(ToolError::Memory { .. }) => {
            let time = patience.time.saturating_sub(start.elapsed());
            run(Thrift::Least, Patience { time, ..patience })
        }
        done => done,
    }
}

/// Returns the path of the tool with links resolved. Skips relative directories of the `PATH`: anybody may own them.
fn in_path(path: &std::ffi::OsStr) -> Result<PathBuf, Unavailable> {
    let found = std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .find_map(|directory| directory.join("qemu-img").canonicalize().ok().filter(|file| file.is_file()))
        .ok_or(Unavailable::NotInstalled)?;
    if is_script(&found) { Err(Unavailable::Script(found)) } else { Ok(found) }
}

fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

/// 2 GiB, as Nova 34 allows `qemu-img`. Conversions took 410 MB on two cores without a limit of arenas.
const ADDRESS_SPACE_BYTES: u64 = 2 << 30;
/// Nova's limit for `qemu-img info`, plus time to unpack: 8 MiB/s is a tenth of the speed of one slow core.
const CPU_SECONDS_MIN: u64 = 30;
const CPU_BYTES_PER_SECOND: u64 = 8 << 20;
const LOOK: Limits =
    Limits { address_space_bytes: ADDRESS_SPACE_BYTES, cpu_seconds: CPU_SECONDS_MIN, file_bytes: 0, nice: 0 };
const CONVERSION: Limits = Limits { nice: 19, ..LOOK };

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_first_in_the_path_counts_but_not_of_a_relative_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        for name in ["one", "two"] {
            fs::create_dir(at(name)).expect("it is ours");
        }
        fs::write(at("tool"), b"\x7fELF").expect("it is ours");
        symlink(at("tool"), at("two").join("qemu-img")).expect("it is ours");
        let path = std::env::join_paths(["relative".into(), at("one"), at("two")]).expect("a path");
        assert_eq!(in_path(&path), Ok(at("tool").canonicalize().expect("there")));
        assert_eq!(in_path("two:.".as_ref()), Err(Unavailable::NotInstalled));
        fs::write(at("one").join("qemu-img"), "#!/bin/sh\n").expect("it is ours");
        assert!(matches!(in_path(&path), Err(Unavailable::Script(_))));
    }

    #[test]
    fn a_program_that_does_not_enter_is_never_started_again() {
        // A test's `main` does not call `enter`.
        assert!(matches!(Launcher::this_program(), Err(Unavailable::NoSandbox(_))));
    }
}
