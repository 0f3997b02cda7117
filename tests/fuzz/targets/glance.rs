//! Responses of Glance and Nova: image records, lists of them, aggregates and services.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| glancecast_sender::fuzz::answers(input));
