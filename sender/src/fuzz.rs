//! What the fuzzers of `tests/fuzz` run of this crate. Part of no program.

use crate::openstack;

/// What Glance and Nova answer.
pub fn answers(input: &[u8]) {
    openstack::fuzz::answers(input);
}

#[cfg(test)]
mod tests {
    use glancecast_testkit::corpus::replay;

    #[test]
    fn answers_of_the_fuzzer_are_read_or_refused_in_a_plain_line() {
        replay("glance", super::answers);
    }
}
