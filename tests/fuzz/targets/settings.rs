//! What an operator writes for `glancecast`: configurations, variables of the environment, lists of hosts.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| glancecast_sender::fuzz::written(input));
