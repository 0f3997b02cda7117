//! What a run leaves for the summary of `make test`: the figures its tests measured and the tests it skipped.
//!
//! One file per test below `target/scenarios`, because every test may be a process of its own and its output is
//! only shown when it fails. `tests/summary.sh` prints and `make test` clears them.

use std::any::type_name;
use std::fs::OpenOptions;
use std::io::Write;

use crate::places;

/// The path of the enclosing test function, such as `street::one_percent_loss`.
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

/// Prints a figure and keeps it for the summary.
pub fn figure(test: &str, line: &str) {
    println!("{test}: {line}");
    append("measured", test, line);
}

/// Keeps a skipped test, why it cannot run and the command that would enable it.
pub fn skip(test: &str, reason: &str) {
    println!("skipped {test}: {reason}");
    append("skipped", test, reason);
}

/// The path of the function that contains the nested function `_here`, without the crate; see [`test_name!`].
pub fn name_around<F>(_here: F) -> &'static str {
    let name = type_name::<F>();
    let name = name.strip_suffix("::here").unwrap_or(name);
    name.split_once("::").map_or(name, |(_crate, path)| path)
}

fn append(kind: &str, test: &str, line: &str) {
    let path = places::scenarios(kind).join(format!("{}.txt", test.replace("::", ".")));
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let written = file.and_then(|mut file| writeln!(file, "{test}: {line}"));
    written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
