//! What a program does when it ends, whoever ends it: a test program is ended by Rust's harness.

use std::ffi::c_int;

// SAFETY: the declaration of <stdlib.h>, `int atexit(void (*function)(void))`; a function lives as long as the program.
unsafe extern "C" {
    safe fn atexit(function: extern "C" fn()) -> c_int;
}

/// Has the function run after `main` has returned or `exit` was called.
pub(crate) fn run(function: extern "C" fn()) {
    atexit(function);
}
