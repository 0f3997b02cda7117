//! Disk images of every format, whole and truncated, in pieces.

#![no_main]

#[path = "../../../inspect/tests/images/mod.rs"]
mod images;
#[path = "../../../inspect/tests/judge/mod.rs"]
mod judge;

libfuzzer_sys::fuzz_target!(|input: &[u8]| judge::fuzzed(input));
