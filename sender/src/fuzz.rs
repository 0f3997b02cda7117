//! What the fuzzers of `tests/fuzz` run of this crate. Part of no program.

use crate::{openstack, request, settings};

/// What Glance and Nova answer.
pub fn answers(input: &[u8]) {
    openstack::fuzz::answers(input);
}

/// What an operator writes: a configuration, the environment, or a list of hosts.
pub fn written(input: &[u8]) {
    let Some((which, text)) = input.split_first() else { return };
    let text = String::from_utf8_lossy(&text[..text.len().min(WRITTEN_MAX)]);
    match which % 3 {
        0 => settings::fuzz::configuration(&text),
        1 => settings::fuzz::variables(&text),
        _ => request::listed::fuzzed(&text),
    }
}

/// Bytes that are read of an input: more of the same shows nothing new.
const WRITTEN_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use glancecast_testkit::corpus::replay;

    #[test]
    fn answers_of_the_fuzzer_are_read_or_refused_in_a_plain_line() {
        replay("glance", super::answers);
    }

    #[test]
    fn settings_and_lists_of_the_fuzzer_are_read_or_refused_in_a_plain_line() {
        replay("settings", super::written);
    }
}
