//! Tests that the machine cannot run. Rust's test harness has no word for a test that finds this out itself: it passes.
//! So each says so on standard error, the test program says so once more after its counts, and the summary of `make test`
//! has them too.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::{env, thread};

use crate::{at_exit, record};

/// Says that the running test is skipped, and with which command it would not be. The caller returns.
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

/// Whether tests run where nothing may be skipped.
pub fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

extern "C" fn tell() {
    let skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    // Not `eprintln!`, which the harness may still capture.
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "\nof the tests that passed, {} were skipped:", skipped.len());
    for line in &*skipped {
        let _ = writeln!(out, "    {line}");
    }
}

static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());
