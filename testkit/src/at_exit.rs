//! Running a function when the program ends, even if Rust's test harness ends it.

use std::ffi::c_int;

// SAFETY: the declaration of <stdlib.h>, `int atexit(void (*function)(void))`; a function lives as long as the program.
unsafe extern "C" {
    safe fn atexit(function: extern "C" fn()) -> c_int;
}

/// Registers a function to run after `main` has returned or `exit` was called.
pub(crate) fn run(function: extern "C" fn()) {
    atexit(function);
}
