//! Configuration files of the daemon and of Nova, and the publication log.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| glancecast_receiver::fuzz::config(input));
