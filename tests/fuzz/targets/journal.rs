//! Journals of unfinished files, and the resume from them.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| glancecast_receiver::fuzz::journal(input));
