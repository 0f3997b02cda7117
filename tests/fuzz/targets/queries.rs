//! Queries, answers and notices, raw and sealed.

#![no_main]

#[path = "../../../proto/tests/bounds/mod.rs"]
mod bounds;
#[path = "../../../proto/tests/inputs/mod.rs"]
mod inputs;
#[path = "../../../proto/tests/vectors/mod.rs"]
mod vectors;

libfuzzer_sys::fuzz_target!(|input: &[u8]| inputs::queries(input));
