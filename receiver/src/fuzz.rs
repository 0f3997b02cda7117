//! What the fuzzers in `tests/fuzz` run of this crate: parsers of file contents. No program uses it.

use crate::{config, store};

/// Parses a configuration file: `glancecastd`'s own, Nova's, or the record of a published object.
pub fn config(input: &[u8]) {
    let Some((which, text)) = input.split_first() else { return };
    match which % 3 {
        0 => config::fuzzed(text),
        1 => store::tests::fuzz::nova_conf(text),
        _ => store::tests::fuzz::record(text),
    }
}

/// Reads the journal of an unfinished file, and what a session resumes from.
pub fn journal(input: &[u8]) {
    store::tests::fuzz::journal(input);
}

#[cfg(test)]
mod tests {
    use glancecast_testkit::corpus::replay;

    #[test]
    fn configuration_files_of_the_fuzzer_are_read_or_refused_in_a_line() {
        replay("config", super::config);
    }

    #[test]
    fn journals_of_the_fuzzer_give_what_they_hold_and_nothing_else() {
        replay("journal", super::journal);
    }
}
