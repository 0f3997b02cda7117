//! Where things are: the workspace, the built programs, and the directory a run may write to.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests crate lies in the workspace").to_path_buf()
}

/// A built program, beside the running executable: the one of the same profile.
pub fn program(name: &str) -> PathBuf {
    let path = profile_directory().join(name);
    assert!(
        path.is_file(),
        "{} is not built: run `cargo build --release --workspace --bins`",
        path.display()
    );
    path
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    profile_directory().parent().expect("a profile directory lies in the target directory").to_path_buf()
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

/// `target/<profile>`: a program lies in it, a test executable in its `deps`.
fn profile_directory() -> PathBuf {
    let executable = env::current_exe().expect("a running program knows its executable");
    let directory = executable.parent().expect("an executable lies in a directory");
    if directory.ends_with("deps") {
        return directory.parent().expect("cargo's `deps` lies in a profile directory").to_path_buf();
    }
    directory.to_path_buf()
}
