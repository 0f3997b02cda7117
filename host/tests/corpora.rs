//! Key files that the fuzzer of `tests/fuzz` has found worth keeping.

mod key_files;
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

#[test]
fn key_files_of_the_fuzzer_are_read_or_refused() {
    replay::replay("keys", key_files::read);
}
