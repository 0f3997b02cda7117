//! Where things are: the workspace, the programs, which are built when a test first asks for one, and the directory a run
//! may write to.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs};

use glancecast_testkit::record::profile_directory;
pub use glancecast_testkit::record::target;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests crate lies in the workspace").to_path_buf()
}

/// A program of this workspace, or an example as `examples/NAME`, of the same profile as the running executable.
///
/// # Panics
/// When it cannot be built.
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let path = profile_directory().join(name);
    if !(path.is_file() && built_before()) {
        BUILT.get_or_init(build);
    }
    assert!(path.is_file(), "no program of this workspace: {}", path.display());
    path
}

/// Whether programs that are there are of the current source: `make scenarios` builds them before nextest starts a process
/// for each test, and `make` before it starts a benchmark. Plain `cargo test` builds no programs of other crates.
fn built_before() -> bool {
    let is_test =
        env::current_exe().is_ok_and(|path| path.parent().is_some_and(|parent| parent.ends_with("deps")));
    env::var_os("NEXTEST").is_some() || !is_test
}

/// What `make build` does, which takes no time when it was done.
fn build() {
    let profile = profile_directory();
    let profile = profile.file_name().and_then(|name| name.to_str()).expect("cargo names a profile in ASCII");
    let profile = if profile == "debug" { "dev" } else { profile };
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--locked", "--workspace", "--bins", "--example", "b3sum", "--profile", profile]);
    command.arg("--target-dir").arg(target()).current_dir(workspace()).stdin(Stdio::null());
    let output = command.output().expect("cargo starts");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A directory below the target directory that belongs to the scenarios, created when missing.
pub fn scenarios(name: &str) -> PathBuf {
    let path = target().join("scenarios").join(name);
    fs::create_dir_all(&path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
    path
}

/// A system program by name; the administrator's directories count, because an ordinary user's `PATH` lacks them.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}
