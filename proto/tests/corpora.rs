//! Replays the corpora that the fuzzers of `tests/fuzz` have found.

mod bounds;
mod dice;
mod inputs;
mod operations;
mod vectors;

use glancecast_testkit::corpus::replay;

#[test]
fn downward_datagrams_of_the_fuzzer_keep_their_bounds() {
    replay("down", inputs::down);
}

#[test]
fn upward_datagrams_of_the_fuzzer_keep_their_bounds() {
    replay("up", inputs::up);
}

#[test]
fn queries_and_answers_of_the_fuzzer_keep_their_bounds() {
    replay("queries", inputs::queries);
}

#[test]
fn the_receiver_survives_the_lives_of_the_fuzzer() {
    replay("receiver", operations::receiver);
}

#[test]
fn a_querier_and_those_who_answer_survive_the_lives_of_the_fuzzer() {
    replay("survey", operations::survey_lives);
}

#[test]
fn the_sender_survives_the_lives_of_the_fuzzer() {
    replay("sender", operations::sender);
}
