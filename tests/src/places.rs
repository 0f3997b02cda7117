//! Paths: of the workspace, of the programs, which are built when a test first needs one, and of the directory that a
//! run may write to.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs};

use glancecast_testkit::record::profile_directory;
pub use glancecast_testkit::record::target;

/// Returns the root of the workspace.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests crate lies in the workspace").to_path_buf()
}

/// Returns a program of this workspace, or an example as `examples/NAME`, in the running executable's profile.
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

/// Whether existing programs are of the current source. `make scenarios` builds them before nextest starts a process
/// for each test, and `make` before a benchmark. Plain `cargo test` builds no programs of other crates.
fn built_before() -> bool {
    let is_test =
        env::current_exe().is_ok_and(|path| path.parent().is_some_and(|parent| parent.ends_with("deps")));
    env::var_os("NEXTEST").is_some() || !is_test
}

/// Runs the build of `make build`, which takes no time if it is up to date.
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

/// Returns a directory of the scenarios below the target directory, created if missing.
pub fn scenarios(name: &str) -> PathBuf {
    let path = target().join("scenarios").join(name);
    fs::create_dir_all(&path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
    path
}

/// Returns a system program by name, also from the administrator's directories, which an ordinary user's `PATH` lacks.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}
