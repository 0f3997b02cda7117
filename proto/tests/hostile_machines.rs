//! Under random operations the machines never panic, stay within their bounds, never ask to be woken in the past,
//! and keep their order with the shell. Seeded; the seed is printed.

mod dice;
mod operations;
mod vectors;

use std::time::Duration;

use dice::Dice;
use glancecast_proto::ids::ReceiverId;
use glancecast_proto::limits::HOSTS_MAX;
use glancecast_proto::wire::Discard;
use operations::{Host, Push, Scene, Survey, address};

#[test]
fn a_receiver_survives_whatever_comes() {
    let seeds = 400;
    let mut published = 0;
    for seed in 0..seeds {
        let mut host = Host::new(Scene::of_vectors(), Dice::of("receiver", seed), seed as u8);
        (0..1_500).for_each(|_| host.operate());
        published += host.published;
    }
    println!("{published} times published in {seeds} lives");
    assert!(published > seeds / 10, "the operations reach the end of a session");
}

#[test]
fn a_sender_survives_whatever_comes() {
    let seeds = 200;
    let mut ended = 0;
    for seed in 0..seeds {
        let mut push = Push::new(Scene::of_vectors(), Dice::of("sender", seed), seed as u8);
        (0..1_500).for_each(|_| push.operate());
        ended += u32::from(push.sender.verdict().is_some());
    }
    println!("{ended} of {seeds} pushes came to an end");
    assert!(ended > 10);
}

#[test]
fn a_querier_and_those_who_answer_survive_whatever_comes() {
    let (seeds, mut answered) = (400, 0);
    for seed in 0..seeds {
        let mut survey = Survey::new(Scene::of_vectors(), Dice::of("survey", seed), seed as u8);
        (0..1_500).for_each(|_| survey.operate());
        answered += survey.look();
    }
    println!("{answered} answers in full to {seeds} queries");
    // These are answers of the two hosts alone. Insiders answer in names of their own several times as often, which would
    // not show that any host gets to its last page.
    assert!(answered as u64 > seeds / 4, "the operations reach the end of an answer");
}

#[test]
fn hosts_have_the_keys_that_their_sender_has_given_them_whatever_comes() {
    let (mut given, mut retired) = (0, 0);
    for number in 0..120 {
        // The first byte of an input, of those that replace the group key.
        let seed = 20 + number % 10 * 24;
        let mut survey = Survey::new(Scene::of_vectors(), Dice::of("rekey", number.into()), seed);
        (0..1_500).for_each(|_| survey.operate());
        survey.look();
        let (with_new, with_new_alone) = survey.replaced();
        (given, retired) = (given + with_new, retired + with_new_alone);
    }
    println!("{given} hosts were given a key, {retired} of them retired the old one");
    assert!(given > 30 && retired > 15, "the operations reach the end of a replacement");
}

#[test]
fn a_sender_keeps_no_more_hosts_than_its_limit() {
    let mut push = Push::new(Scene::of_vectors(), Dice::of("sender", 0), 1);
    let mut refused = 0;
    for host in 0..HOSTS_MAX as u64 + 50 {
        let datagram = Push::hello_of(&format!("made-up-{host}"), 7, ReceiverId(host.to_be_bytes()));
        let heard = push.sender.handle_datagram(push.now, address(1), &datagram);
        refused += u32::from(heard == Err(Discard::UnknownHost));
        push.drain();
        // Signatures of more of them are not checked in one second.
        push.now = push.now + Duration::from_millis(1);
    }
    assert_eq!((refused, push.sender.rows().len()), (50, HOSTS_MAX));
}
