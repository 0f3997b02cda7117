//! A querier and its responders, driven by operations.

#![no_main]

#[path = "../../../proto/tests/dice/mod.rs"]
mod dice;
#[path = "../../../proto/tests/operations/mod.rs"]
mod operations;
#[path = "../../../proto/tests/vectors/mod.rs"]
mod vectors;

libfuzzer_sys::fuzz_target!(|input: &[u8]| operations::survey_lives(input));
