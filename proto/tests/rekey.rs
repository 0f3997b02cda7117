//! A new group key over a bad network: the real machines of a sender and its hosts, of which one was stolen.

mod asking;
mod dice;

use std::time::Duration;

use asking::{
    Answering, QUERIER, STARTED, WAIT, World, asking, config, host_key, key, known, name, sender_key,
};
use glancecast_proto::ids::{GroupId, HostName, SessionId};
use glancecast_proto::keyring::Keyring;
use glancecast_proto::known::{KnownHosts, UnknownHosts};
use glancecast_proto::query::{HostAnswer, Querier, QuerierConfig, ResponderConfig, Standing};
use glancecast_proto::seal::GroupKey;
use glancecast_proto::sender::Expected;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{Discard, Query};

#[test]
fn every_host_but_the_stolen_one_is_given_the_key_whatever_is_lost() {
    for (seed, loss) in [0.0, 0.1, 0.3].into_iter().enumerate() {
        let mut world = World::new(seed as u64, loss, rekey(1, &[0, 1, 2]));
        (0..4).for_each(|host| world.start_listing_the_sender(host, Answering::Holds(0)));
        let rows = world.run();
        assert_eq!(standings(&rows), [Standing::Answered; 3], "{loss}");
        world.settle(Duration::from_secs(20));
        for host in 0..3 {
            let kept = world.hosts[&host].kept.as_ref().expect("it is on the disk");
            assert_eq!(ids(kept), [new_key().id(), key().id()]);
        }
        assert!(world.hosts[&3].kept.is_none(), "it is left out");
        for said in world.said.iter().chain(&world.heard) {
            assert!(!said.windows(32).any(|bytes| bytes == new_key().bytes()), "nobody sees it");
        }
    }
}

#[test]
fn the_stolen_node_opens_nothing_that_is_sealed_under_the_new_key() {
    let mut world = given(&[0, 1]);
    let mut next = Querier::new(world.now, under_new(2, Query::Hosts, &[0, 1, 3]));
    let mut ask = Vec::new();
    next.poll_transmit(world.now, &mut ask).expect("it asks");
    let (now, wall) = (world.now, WallClock(STARTED.0));
    let mut hear = |host: usize| {
        let host = world.hosts.get_mut(&host).expect("started");
        host.responder.handle_datagram(now, wall, QUERIER, &ask)
    };
    assert_eq!(hear(0), Ok(()));
    assert_eq!(hear(3), Err(Discard::WrongKey));
}

#[test]
fn a_host_that_was_off_is_given_the_key_when_it_is_back() {
    let mut world = World::new(1, 0.0, rekey(1, &[0, 1]));
    world.start_listing_the_sender(0, Answering::Holds(0));
    assert_eq!(standings(&world.run()), [Standing::Answered, Standing::NeverAnswered]);
    world.start_listing_the_sender(1, Answering::Holds(0));
    world.ask_again(rekey(2, &[1]));
    assert_eq!(standings(&world.run()), [Standing::Answered]);
    assert_eq!(ids(world.hosts[&1].kept.as_ref().expect("kept")), [new_key().id(), key().id()]);
}

#[test]
fn a_host_that_was_killed_between_any_two_steps_has_one_key_or_both_and_is_asked_again() {
    let mut outcomes = [0, 0];
    for kill_at in (0..40_000).step_by(1_000) {
        let mut world = World::new(1, 0.0, rekey(1, &[0]));
        world.start_listing_the_sender(0, Answering::Holds(0));
        world.settle(Duration::from_micros(kill_at));
        // What is on the disk is what it starts with.
        let kept = world.hosts[&0].kept.clone();
        outcomes[usize::from(kept.is_some())] += 1;
        let keys = kept.map_or(Keyring::of(vec![key()]), |kept| {
            Keyring::new(kept.stored(), vec![key()]).expect("a key")
        });
        let senders = vec![sender_key().public()].into();
        let started = WallClock(STARTED.0 + 1);
        world.start_as(0, ResponderConfig { keys, senders, ..config(0, started) }, Answering::Holds(0));
        let again = QuerierConfig { started: WallClock(STARTED.0 + 2), ..rekey(2, &[0]) };
        world.ask_again(again);
        assert_eq!(standings(&world.run()), [Standing::Answered], "killed after {kill_at} us");
        world.settle(Duration::from_secs(1));
        assert_eq!(ids(world.hosts[&0].kept.as_ref().expect("kept")), [new_key().id(), key().id()]);
    }
    assert!(outcomes.iter().all(|&count| count > 2), "kills before and after it was kept: {outcomes:?}");
}

#[test]
fn the_old_key_is_retired_when_the_sender_says_so_under_the_new_one() {
    let mut world = given(&[0, 1]);
    world.ask_again(under_new(2, Query::Retire, &[0, 1]));
    assert_eq!(standings(&world.run()), [Standing::Answered; 2]);
    for host in [0, 1] {
        assert_eq!(ids(world.hosts[&host].kept.as_ref().expect("kept")), [new_key().id()]);
    }
    // A sender that still has the old key is not heard any more.
    world.ask_again(rekey(3, &[0, 1]));
    assert_eq!(standings(&world.run()), [Standing::NeverAnswered; 2]);
}

#[test]
fn an_older_replacement_does_not_undo_a_newer_one() {
    let mut world = given(&[0]);
    let older = QuerierConfig { new_key: Some(GroupKey::new([9; 32])), ..rekey(2, &[0]) };
    world.ask_again(older);
    let rows = world.run();
    assert_eq!(standings(&rows), [Standing::Failed]);
    assert!(rows[0].reason.as_ref().is_some_and(|reason| reason.contains("newer")), "{:?}", rows[0].reason);
    assert_eq!(ids(world.hosts[&0].kept.as_ref().expect("kept")), [new_key().id(), key().id()]);
}

#[test]
fn a_host_whose_key_is_not_the_known_one_is_given_nothing() {
    let mut world = World::new(1, 0.0, rekey(1, &[0]));
    let senders = vec![sender_key().public()].into();
    let impostor = ResponderConfig { name: name(0), senders, ..config(66, STARTED) };
    world.start_as(0, impostor, Answering::Holds(0));
    assert_eq!(standings(&world.run()), [Standing::KeyChanged]);
    world.settle(Duration::from_secs(1));
    assert!(world.hosts[&0].kept.is_none());
}

#[test]
fn a_host_whose_disk_is_full_says_so_and_has_its_old_key() {
    let mut world = World::new(1, 0.0, rekey(1, &[0]));
    world.start_listing_the_sender(0, Answering::Holds(0));
    world.hosts.get_mut(&0).expect("started").keeps = false;
    let rows = world.run();
    assert_eq!(standings(&rows), [Standing::Failed]);
    assert_eq!(rows[0].reason.as_deref(), Some("the disk is full"));
}

#[test]
fn a_host_that_does_not_list_the_sender_takes_no_key_of_it() {
    let mut world = World::new(1, 0.0, rekey(1, &[0, 1]));
    let other = vec![host_key(99).public()].into();
    world.start_as(0, ResponderConfig { senders: other, ..config(0, STARTED) }, Answering::Holds(0));
    world.start(1, Answering::Holds(0));
    assert_eq!(standings(&world.run()), [Standing::NeverAnswered, Standing::Failed]);
    assert!(world.hosts[&0].responder.discards().of(Discard::UnknownSender) > 0);
    assert!(world.hosts.values().all(|host| host.kept.is_none()));
}

/// Returns hosts 0 to 3, of which these were given the new key.
fn given(hosts: &[usize]) -> World {
    let mut world = World::new(1, 0.0, rekey(1, hosts));
    (0..4).for_each(|host| world.start_listing_the_sender(host, Answering::Holds(0)));
    assert!(world.run().iter().all(|row| row.standing == Standing::Answered));
    world
}

/// Returns the query that gives these hosts the new key.
fn rekey(id: u8, hosts: &[usize]) -> QuerierConfig {
    QuerierConfig {
        id: SessionId([id; 16]),
        signer: Some(sender_key()),
        known: KnownHosts { unknown: UnknownHosts::Refused, ..known(0..4) },
        new_key: Some(new_key()),
        wait: WAIT * 3,
        ..asking(Query::Rekey, Expected::Named(names(hosts).into_iter().collect()))
    }
}

/// Returns a query of a sender that has the new key.
fn under_new(id: u8, query: Query, hosts: &[usize]) -> QuerierConfig {
    QuerierConfig { key: new_key(), query, new_key: None, ..rekey(id, hosts) }
}

fn names(hosts: &[usize]) -> Vec<HostName> {
    hosts.iter().map(|&host| name(host)).collect()
}

fn standings(rows: &[HostAnswer]) -> Vec<Standing> {
    rows.iter().map(|row| row.standing).collect()
}

fn ids(keys: &Keyring) -> Vec<GroupId> {
    keys.keys().map(GroupKey::id).collect()
}

fn new_key() -> GroupKey {
    GroupKey::new([8; 32])
}
