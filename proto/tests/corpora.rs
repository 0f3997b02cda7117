//! The corpora of the fuzzers of `tests/fuzz`: every input that they found is replayed, and every golden datagram is one.

mod bounds;
mod dice;
mod inputs;
mod operations;
mod vectors;

use std::collections::BTreeSet;
use std::env;
use std::path::Path;

use glancecast_proto::wire::Kind;
use glancecast_testkit::corpus::{file_of, read, replay, write};

#[test]
fn datagrams_of_the_fuzzers_keep_their_bounds() {
    for target in &inputs::TARGETS {
        replay(target.name, target.run);
    }
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

#[test]
fn every_golden_datagram_is_a_seed_of_its_fuzzer() {
    for target in &inputs::TARGETS {
        let mut inputs: BTreeSet<Vec<u8>> = read(&file_of(target.name)).expect("hex").into_iter().collect();
        let before = inputs.len();
        let seeds = vectors::values().into_values().map(|value| inputs::input_of(&value));
        inputs.extend(seeds.filter(|(of, _)| of.name == target.name).map(|(_, input)| input));
        if env::var_os("GLANCECAST_BLESS").is_some() {
            write(&file_of(target.name), &inputs).expect("the corpora are writable");
            continue;
        }
        let missing = inputs.len() - before;
        assert_eq!(missing, 0, "{}.hex lacks golden datagrams: GLANCECAST_BLESS=1 adds them", target.name);
    }
}

#[test]
fn the_corpus_of_a_fuzzer_has_an_accepted_datagram_of_each_of_its_kinds() {
    for target in &inputs::TARGETS {
        let inputs = read(&file_of(target.name)).expect("hex");
        let opened = inputs.iter().filter_map(|input| inputs::opened(target.kinds, input).ok());
        let kinds: BTreeSet<Kind> = opened.filter_map(|value| Kind::peek(&value.seal())).collect();
        for kind in target.kinds {
            assert!(kinds.contains(kind), "{}.hex: no input is {kind:?}", target.name);
        }
    }
}

#[test]
fn every_list_of_kinds_has_its_fuzzer() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz");
    let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).expect("a manifest");
    for inputs::Target { name, .. } in &inputs::TARGETS {
        assert!(directory.join(format!("targets/{name}.rs")).is_file(), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no program");
    }
}
