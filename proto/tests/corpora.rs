//! The corpora of the fuzzers of `tests/fuzz`: every input that they found is replayed, and every golden datagram is one.

mod bounds;
mod dice;
mod inputs;
mod operations;
mod vectors;

use std::collections::BTreeSet;
use std::env;
use std::path::Path;

use dice::Dice;
use glancecast_proto::wire::Kind;
use glancecast_testkit::corpus::{file_of, read, replay, write};
use operations::Scene;

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
        let seeds = vectors::values().into_values().map(|value| inputs::input_of(&value));
        let its = seeds.filter(|(of, _)| of.name == target.name).map(|(_, input)| input);
        assert_in_corpus(target.name, its);
    }
}

#[test]
fn every_golden_datagram_is_heard_in_a_seed_of_each_machine() {
    for (name, seeds) in operations::seeds() {
        assert_in_corpus(name, seeds);
    }
}

#[test]
fn a_seed_of_the_receiver_has_it_hear_a_golden_datagram_as_it_is() {
    let [(name, seeds), ..] = operations::seeds();
    assert_eq!(name, "receiver");
    let heard = |seed: &Vec<u8>| Scene::small().nonsense(&mut Dice::from_bytes(&seed[3..]));
    let heard: BTreeSet<Vec<u8>> = seeds.iter().map(heard).collect();
    assert_eq!(heard, vectors::values().values().map(|value| value.seal()).collect());
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

/// Asserts that a corpus has these inputs. `GLANCECAST_BLESS=1` adds them.
fn assert_in_corpus(name: &str, seeds: impl IntoIterator<Item = Vec<u8>>) {
    let file = file_of(name);
    let mut inputs: BTreeSet<Vec<u8>> = read(&file).expect("hex").into_iter().collect();
    let before = inputs.len();
    inputs.extend(seeds);
    if env::var_os("GLANCECAST_BLESS").is_some() {
        write(&file, &inputs).expect("the corpora are writable");
        return;
    }
    let missing = inputs.len() - before;
    assert_eq!(missing, 0, "{name}.hex lacks golden datagrams: GLANCECAST_BLESS=1 adds them");
}
