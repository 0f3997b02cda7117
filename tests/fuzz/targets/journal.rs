//! Journals of unfinished files, and what a session goes on from.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| glancecast_receiver::fuzz::journal(input));
