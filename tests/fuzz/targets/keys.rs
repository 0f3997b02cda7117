//! Group keys, sender keys and lists of public keys.

#![no_main]

#[path = "../../../platform/tests/key_files/mod.rs"]
mod key_files;

libfuzzer_sys::fuzz_target!(|input: &[u8]| key_files::read(input));
