//! The committed inputs of a fuzzer, run through what the fuzzer runs: a module of the tests of each crate that has one.

use std::path::Path;

/// Runs every input of `corpus/TARGET`; prints the name of each, so that a failure tells which.
///
/// # Panics
/// If there are none.
pub(crate) fn replay(target: &str, run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&directory).expect("the corpus is part of the repository");
    let mut inputs: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 10, "{} inputs in {}", inputs.len(), directory.display());
    for input in inputs {
        println!("{}", input.display());
        run(&std::fs::read(&input).expect("readable"));
    }
}
