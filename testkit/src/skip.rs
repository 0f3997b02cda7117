//! Skipping of tests that the machine cannot run. In Rust's test harness a test cannot report at run time that it was
//! skipped: it passes. So each is reported on standard error, again after the test program's counts, and in the summary
//! of `make test`.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::{env, thread};

use crate::{at_exit, record};

/// Reports that the running test is skipped, and the command that would enable it. The caller returns.
///
/// # Panics
/// Under `CI=true`, where every test has to run.
pub fn skip(reason: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test"); // the harness names its threads
    assert!(!in_ci(), "{test} must not be skipped in CI, but {reason}");
    record::keep("skipped", test, reason);
    let mut skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    if skipped.is_empty() {
        at_exit::run(tell);
    }
    skipped.push(format!("{test}: {reason}"));
}

/// Whether this is CI, where no test may be skipped.
pub fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

extern "C" fn tell() {
    let skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    // Not `eprintln!`, whose output the harness may still capture.
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "\nof the tests that passed, {} were skipped:", skipped.len());
    for line in &*skipped {
        let _ = writeln!(out, "    {line}");
    }
}

static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());
