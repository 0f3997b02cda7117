//! Records for the summary of `make test`: the figures that tests measured and the tests that were skipped.
//!
//! Each test has a file of its own below `target/scenarios`, because it may run in a process of its own, and its output
//! is shown only when it fails. `tests/summary.sh` prints the files, and `make test` removes them.

use std::any::type_name;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::{env, io};

/// Returns the path of the enclosing test function, such as `exclusive::timed::pipeline::one_percent_loss`.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        $crate::record::name_around(here)
    }};
}

/// Records a figure that the test measured; the arguments are those of [`format!`].
#[macro_export]
macro_rules! measured {
    ($($words:tt)+) => { $crate::record::figure($crate::test_name!(), &format!($($words)+)) };
}

/// Prints a figure and records it for the summary.
pub fn figure(test: &str, line: &str) {
    println!("{test}: {line}");
    keep("measured", test, line);
}

/// Returns the path, without the crate, of the function that contains the nested function `_here`; see [`test_name!`].
pub fn name_around<F>(_here: F) -> &'static str {
    let name = type_name::<F>();
    let name = name.strip_suffix("::here").unwrap_or(name);
    name.split_once("::").map_or(name, |(_crate, path)| path)
}

/// Returns `target/<profile>`, which contains the programs and, in `deps`, the test executables.
pub fn profile_directory() -> PathBuf {
    let executable = env::current_exe().expect("a running program knows its executable");
    let directory = executable.parent().expect("an executable lies in a directory");
    let directory = if directory.ends_with("deps") { directory.parent() } else { Some(directory) };
    directory.expect("cargo's `deps` lies in a profile directory").to_path_buf()
}

/// Returns Cargo's target directory.
pub fn target() -> PathBuf {
    profile_directory().parent().expect("a profile directory lies in the target directory").to_path_buf()
}

/// Appends a line to the record of `test` of this kind.
pub(crate) fn keep(kind: &str, test: &str, line: &str) {
    let directory = target().join("scenarios").join(kind);
    let path = directory.join(format!("{}.txt", test.replace("::", ".")));
    let write = || -> io::Result<()> {
        fs::create_dir_all(&directory)?;
        writeln!(OpenOptions::new().create(true).append(true).open(&path)?, "{test}: {line}")
    };
    write().unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
