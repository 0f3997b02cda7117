//! Queries over a bad network: the real machines of one querier and many hosts.

mod asking;
mod crypto;
mod dice;

use std::collections::BTreeSet;
use std::time::Duration;

use asking::{
    Answering, QUERIER, STARTED, WAIT, World, about, address, asking, at, config, host_key, key, key_scope,
    known, name, named, objects, sealed_ask, sender_key, sought,
};
use dice::Dice;
use glancecast_proto::ids::{HostName, ReceiverId, Sequence, SessionId};
use glancecast_proto::integrity::Root;
use glancecast_proto::keyring::Keyring;
use glancecast_proto::limits::{HELD_MAX, QUERIES_OPEN_MAX};
use glancecast_proto::query::{Lookup, Querier, QuerierConfig, Responder, ResponderConfig, Standing};
use glancecast_proto::seal::{Cipher, GroupKey};
use glancecast_proto::sender::Expected;
use glancecast_proto::time::WallClock;
use glancecast_proto::wire::{Answer, Discard, Finding, Kind, Page, Query, VERSION};

#[test]
fn every_host_answers_in_full_whatever_is_lost() {
    for (seed, loss) in [0.0, 0.1, 0.4].into_iter().enumerate() {
        let config = QuerierConfig { wait: WAIT * 2, ..asking(Query::Hosts, named(20)) };
        let mut world = World::new(seed as u64, loss, config);
        (0..20).for_each(|host| world.start(host, Answering::Holds(64)));
        let rows = world.run();
        println!("loss {loss}: {} after {}", rows.len(), world.now);
        assert_eq!(rows.len(), 20);
        for row in rows {
            assert_eq!((row.standing, row.expected), (Standing::Answered, true), "{}", row.name);
            assert_eq!(row.objects, objects(64), "{}", row.name);
        }
    }
}

#[test]
fn asking_ends_as_soon_as_all_who_should_have_answered() {
    for expected in [named(5), Expected::Count(5)] {
        let mut world = World::new(1, 0.0, asking(Query::Hosts, expected));
        (0..5).for_each(|host| world.start(host, Answering::Holds(3)));
        world.run();
        assert!(world.now < at(Duration::from_millis(500)), "{}", world.now);
    }
}

#[test]
fn asking_ends_at_once_where_nobody_else_can_have_answered() {
    let config = QuerierConfig { known: known(0..5), ..asking(Query::Hosts, named(5)) };
    let mut world = World::new(1, 0.0, config);
    (0..5).for_each(|host| world.start(host, Answering::Holds(3)));
    world.run();
    assert!(world.now < at(Duration::from_millis(50)), "{}", world.now);
}

#[test]
fn a_query_for_some_hosts_is_looked_into_by_no_other_whatever_is_lost() {
    for (seed, loss) in [0.0, 0.1, 0.4].into_iter().enumerate() {
        let unpin = asking(Query::Unpin(sought("image-0")), Expected::Named([2, 5, 80].map(name).into()));
        let config = QuerierConfig { signer: Some(sender_key()), known: known(0..100), ..unpin };
        let mut world = World::new(20 + seed as u64, loss, config);
        (0..100).for_each(|host| world.start_listing_the_sender(host, Answering::Holds(1)));
        let rows = world.run();
        assert!(rows.iter().all(|row| row.standing == Standing::Answered), "{rows:?}");
        let looked: Vec<usize> =
            world.hosts.iter().filter(|(_, host)| host.looked_into > 0).map(|(&id, _)| id).collect();
        assert_eq!((rows.len(), looked), (3, vec![2, 5, 80]));
        let uninvolved = world.hosts[&0].responder.discards();
        assert!(uninvolved.of(Discard::NotForUs) > 0 || loss > 0.0);
        println!("loss {loss}: {}, {} datagrams up, {uninvolved}", world.now, world.heard.len());
    }
}

#[test]
fn a_query_for_three_quarters_of_two_thousand_hosts_is_answered_by_these() {
    let named: BTreeSet<HostName> = (0..2_000).filter(|host| host % 4 > 0).map(name).collect();
    let config = QuerierConfig {
        signer: Some(sender_key()),
        known: known(0..2_000),
        ..asking(Query::Hosts, Expected::Named(named.clone()))
    };
    let mut world = World::new(23, 0.02, config);
    (0..2_000).for_each(|host| world.start_listing_the_sender(host, Answering::Holds(1)));
    let rows = world.run();
    println!("{} rows after {}", rows.len(), world.now);
    assert!(rows.iter().all(|row| row.standing == Standing::Answered));
    assert_eq!(rows.into_iter().map(|row| row.name).collect::<BTreeSet<_>>(), named);
    assert!(world.hosts.iter().all(|(id, host)| host.looked_into == u32::from(id % 4 > 0)));
    assert!(world.now < at(Duration::from_secs(3)), "{}", world.now);
}

#[test]
fn hosts_that_list_a_sender_answer_no_query_that_it_has_not_signed() {
    let mut world = World::new(24, 0.0, asking(Query::Unpin(sought("image-0")), named(3)));
    (0..3).for_each(|host| world.start_listing_the_sender(host, Answering::Holds(1)));
    let rows = world.run();
    assert!(rows.iter().all(|row| row.standing == Standing::NeverAnswered));
    assert!(world.hosts.values().all(|host| host.looked_into == 0));
    assert!(world.hosts.values().all(|host| host.responder.discards().of(Discard::UnknownSender) > 0));
}

#[test]
fn two_hosts_of_one_name_are_a_finding() {
    let mut world = World::new(25, 0.0, asking(Query::Hosts, named(1)));
    world.start(0, Answering::Holds(1));
    let impostor = ResponderConfig { name: name(0), ..config(66, STARTED) };
    world.start_as(66, impostor, Answering::Holds(1));
    let rows = world.run();
    assert_eq!(rows.iter().map(|row| row.standing).collect::<Vec<_>>(), [Standing::Twice; 2]);
    assert_eq!((world.querier.tally().findings, world.querier.first_uses()), (1, Vec::new()));
}

#[test]
fn without_expected_hosts_a_query_lasts_as_long_as_its_timeout() {
    let mut world = World::new(2, 0.0, asking(Query::Hosts, Expected::Anyone));
    (0..5).for_each(|host| world.start(host, Answering::Holds(0)));
    assert_eq!(world.run().len(), 5);
    assert!((at(WAIT)..at(WAIT + Duration::from_millis(20))).contains(&world.now), "{}", world.now);
}

#[test]
fn a_dead_host_is_named_and_no_more_than_waited_for() {
    let mut world = World::new(3, 0.0, asking(Query::Hosts, named(3)));
    (0..2).for_each(|host| world.start(host, Answering::Holds(1)));
    let standings: Vec<_> = world.run().into_iter().map(|row| row.standing).collect();
    assert_eq!(standings, [Standing::Answered, Standing::Answered, Standing::NeverAnswered]);
    assert!(world.now < at(WAIT + Duration::from_millis(20)), "{}", world.now);
}

#[test]
fn first_answers_are_spread_below_two_thousand_a_second() {
    let mut world = World::new(4, 0.0, asking(Query::Hosts, named(1000)));
    (0..1000).for_each(|host| world.start(host, Answering::Holds(0)));
    assert_eq!(world.run().len(), 1000);
    let most = world.answers_by_tenth.values().max().copied().expect("answers");
    assert!(most < 300, "{most} answers in 100 ms");
    let all = world.answers_by_tenth.values().sum::<u32>();
    assert!(all < 1_100, "{all}: the network doubles one in 20, and nobody has to say it again");
}

#[test]
fn further_pages_come_as_fast_as_the_querier_takes_them() {
    let mut world = World::new(5, 0.0, asking(Query::Hosts, named(100)));
    (0..100).for_each(|host| world.start(host, Answering::Holds(100)));
    assert_eq!(world.run().len(), 100);
    let most = world.answers_by_tenth.values().max().copied().expect("answers");
    assert!(most < 500, "{most} answers in 100 ms");
}

#[test]
fn a_verification_is_waited_for_however_long_it_takes() {
    let mut world = World::new(6, 0.1, asking(Query::Verify(sought("image-0")), named(3)));
    world.start(0, Answering::Verifies(Duration::from_secs(90), Finding::Intact));
    world.start(1, Answering::Verifies(Duration::from_secs(3), Finding::Differs(Root([9; 32]))));
    world.start(2, Answering::Holds(0));
    let rows = world.run();
    assert!(world.now > at(Duration::from_secs(90)), "{}", world.now);
    assert!(rows.iter().all(|row| row.standing == Standing::Answered), "{rows:?}");
    assert_eq!(rows[0].objects[0].finding, Finding::Intact);
    assert_eq!(rows[1].objects[0].finding, Finding::Differs(Root([9; 32])));
    assert!(rows[2].objects.is_empty());
}

#[test]
fn a_host_that_dies_while_it_verifies_is_given_up() {
    let mut world = World::new(7, 0.0, asking(Query::Verify(sought("image-0")), named(1)));
    world.start(0, Answering::Verifies(Duration::from_secs(90), Finding::Intact));
    world.settle(Duration::from_secs(5));
    world.hosts.clear();
    assert_eq!(world.run()[0].standing, Standing::Verifying);
    assert!(world.now < at(Duration::from_secs(20)), "{}", world.now);
}

#[test]
fn a_host_forgets_what_nobody_waits_for() {
    let mut world = World::new(8, 0.0, asking(Query::Verify(sought("image-0")), named(1)));
    world.start(0, Answering::Verifies(Duration::from_secs(90), Finding::Intact));
    world.settle(Duration::from_secs(1));
    world.querier.handle_stop();
    world.mute = true;
    world.settle(Duration::from_secs(20));
    assert_eq!(world.hosts[&0].forgotten, 1);
}

#[test]
fn an_unpin_is_done_once_however_often_it_is_heard() {
    let mut world = World::new(9, 0.3, asking(Query::Unpin(sought("image-0")), named(4)));
    (0..4).for_each(|host| world.start(host, Answering::Holds(1)));
    world.run();
    assert!(world.hosts.values().all(|host| host.looked_into == 1));
    let said = world.said.clone();
    let host = &mut world.hosts.get_mut(&0).expect("started").responder;
    host.handle_timeout(at(WAIT * 20)); // the last acknowledgement may have been lost
    while host.poll_lookup().is_some() {}
    for (seconds, verdict) in
        [(0, Ok(())), (299, Ok(())), (301, Err(Discard::Stale)), (9999, Err(Discard::Stale))]
    {
        for datagram in said.iter().filter(|datagram| datagram[1] == Kind::Ask as u8) {
            let wall = WallClock(STARTED.0 + 1000 * seconds);
            assert_eq!(host.handle_datagram(at(WAIT * 20), wall, QUERIER, datagram), verdict, "{seconds} s");
            assert_eq!(host.poll_lookup(), None, "after {seconds} s");
        }
    }
}

#[test]
fn an_unpin_from_before_this_start_is_refused_and_a_listing_is_not() {
    let mut host = Responder::new(config(0, WallClock(STARTED.0 + 1)));
    let unpin = sealed_ask(1, STARTED, Query::Unpin(sought("image-0")));
    assert_eq!(host.handle_datagram(at(WAIT), STARTED, QUERIER, &unpin), Err(Discard::Stale));
    let listing = sealed_ask(2, STARTED, Query::Hosts);
    assert_eq!(host.handle_datagram(at(WAIT), STARTED, QUERIER, &listing), Ok(()));
    assert!(matches!(host.poll_lookup(), Some(Lookup::Open(_, Query::Hosts, _))));
    assert_eq!(host.poll_lookup(), None);
}

#[test]
fn a_host_answers_no_more_queries_at_once_than_it_has_room_for() {
    let mut host = Responder::new(config(0, STARTED));
    let ask = |host: &mut Responder, id: u8, from: usize, after: Duration| {
        host.handle_datagram(at(after), STARTED, address(from), &sealed_ask(id, STARTED, Query::Hosts))
    };
    for id in 0..QUERIES_OPEN_MAX {
        assert_eq!(ask(&mut host, id as u8, id, WAIT), Ok(()));
    }
    assert_eq!(ask(&mut host, 200, 200, WAIT), Err(Discard::TooMany));
    host.handle_timeout(at(WAIT + Duration::from_secs(15)));
    assert_eq!(ask(&mut host, 200, 200, WAIT * 9), Ok(()), "the others are forgotten");
    assert_eq!(host.discards().of(Discard::TooMany), 1);
}

#[test]
fn a_query_said_again_by_somebody_else_keeps_nothing_alive() {
    let mut host = Responder::new(config(0, STARTED));
    let ask = sealed_ask(1, STARTED, Query::Hosts);
    assert_eq!(host.handle_datagram(at(Duration::ZERO), STARTED, QUERIER, &ask), Ok(()));
    for second in 1..15 {
        let verdict = host.handle_datagram(at(Duration::from_secs(second)), STARTED, QUERIER, &ask);
        assert_eq!(verdict, Err(Discard::Replayed));
    }
    host.handle_timeout(at(Duration::from_secs(15)));
    assert!(matches!(host.poll_lookup(), Some(Lookup::Open(..))));
    assert!(matches!(host.poll_lookup(), Some(Lookup::Forget(_))));
}

#[test]
fn queries_of_another_group_or_time_are_dropped() {
    let mut host = Responder::new(ResponderConfig {
        keys: Keyring::of(vec![GroupKey::new([8; 32])]),
        ..config(0, STARTED)
    });
    let ask = sealed_ask(1, STARTED, Query::Hosts);
    assert_eq!(host.handle_datagram(at(WAIT), STARTED, QUERIER, &ask), Err(Discard::WrongKey));
    let mut host = Responder::new(config(0, STARTED));
    let skewed = WallClock(STARTED.0 - 301_000);
    assert_eq!(host.handle_datagram(at(WAIT), skewed, QUERIER, &ask), Err(Discard::Stale));
    assert_eq!(host.poll_lookup(), None);
}

#[test]
fn a_host_of_another_version_is_named() {
    let mut world = World::new(10, 0.0, asking(Query::Hosts, named(1)));
    let same = crypto::notice([7; 32], VERSION, world.id.tag().0, "compute-0000");
    assert_eq!(world.querier.handle_datagram(world.now, address(0), &same), Err(Discard::OtherSession));
    let other = crypto::notice([7; 32], VERSION + 1, world.id.tag().0, "compute-0000");
    assert_eq!(world.querier.handle_datagram(world.now, address(0), &other), Ok(()));
    let rows = world.run();
    assert_eq!((rows.len(), rows[0].standing), (1, Standing::OtherVersion));
    assert!(rows[0].reason.as_ref().expect("why").contains("version 2"), "{rows:?}");
}

#[test]
fn what_a_host_holds_beyond_the_limit_is_counted_and_not_listed() {
    let mut world = World::new(11, 0.0, asking(Query::Hosts, named(1)));
    world.start(0, Answering::Holds(HELD_MAX + 5));
    let rows = world.run();
    assert_eq!(rows[0].objects.len(), HELD_MAX);
    assert_eq!(rows[0].about.as_ref().expect("heard").held as usize, HELD_MAX + 5);
}

#[test]
fn answers_of_another_query_are_dropped() {
    let mut world = World::new(12, 0.0, asking(Query::Hosts, named(1)));
    world.start(0, Answering::Holds(1));
    world.run();
    let answer = world.heard.first().expect("one").clone();
    let mut other =
        Querier::new(world.now, QuerierConfig { id: SessionId([99; 16]), ..asking(Query::Hosts, named(1)) });
    assert_eq!(other.handle_datagram(world.now, address(0), &answer), Err(Discard::OtherSession));
    assert_eq!(world.querier.handle_datagram(world.now, address(0), &answer), Err(Discard::Replayed));
    let mut bent = answer;
    *bent.last_mut().expect("a tag") ^= 1;
    let mut again = Querier::new(world.now, asking(Query::Hosts, named(1)));
    assert_eq!(again.handle_datagram(world.now, address(0), &bent), Err(Discard::Forged));
}

#[test]
fn both_machines_survive_datagrams_that_were_changed_on_their_way() {
    let mut world = World::new(13, 0.0, asking(Query::Verify(sought("image-0")), named(2)));
    (0..2).for_each(|host| world.start(host, Answering::Holds(30)));
    world.run();
    let mut dice = Dice::of("changes", 13);
    let genuine: Vec<Vec<u8>> = world.said.iter().chain(&world.heard).cloned().collect();
    let host = &mut world.hosts.get_mut(&0).expect("started").responder;
    for round in 0..20_000u64 {
        let len = dice.below(1_600) as usize;
        let datagram = match round % 8 {
            0 => dice.bytes(len),
            _ => {
                let datagram = dice.pick(&genuine).clone();
                dice.mutated(&datagram)
            }
        };
        let now = at(WAIT + Duration::from_millis(round));
        let _ = host.handle_datagram(now, STARTED, QUERIER, &datagram);
        let _ = world.querier.handle_datagram(now, address(0), &datagram);
    }
    assert_eq!(world.querier.rows().len(), 2);
}

#[test]
fn an_insider_that_answers_at_random_fills_no_memory_and_breaks_nothing() {
    let mut dice = Dice::of("insider", 14);
    let mut querier = Querier::new(at(Duration::ZERO), asking(Query::Hosts, named(2)));
    let id = SessionId([3; 16]);
    let (mut taken, mut out) = (0, Vec::new());
    for round in 1..50_000u64 {
        let now = at(Duration::from_millis(20 * round)); // as many as are checked for one address
        let receiver = ReceiverId([dice.below(3) as u8; 8]);
        let edition = 1 + dice.below(3) as u32;
        let pages = 1 + dice.below(4) as u16;
        let number = dice.below(u64::from(pages)) as u16;
        let page = match number {
            0 => Page::About(about(dice.below(4))),
            _ => Page::Objects { number, objects: objects(1 + dice.below(3) as usize) },
        };
        let sequence = Sequence::new(round - dice.below(2)).expect("small");
        let cipher = Cipher::upward(&key(), id, receiver);
        let key = host_key(usize::from(dice.below(8) == 0));
        Answer { edition, pages, page }.seal(
            &cipher,
            key.within(key_scope(id)),
            receiver,
            sequence,
            &mut out,
        );
        taken += u32::from(querier.handle_datagram(now, address(1), &out).is_ok());
        while querier.poll_transmit(now, &mut out).is_some() {}
    }
    println!("{taken} answers were taken");
    assert!(taken > 100);
    assert!(querier.rows().iter().all(|row| row.objects.len() <= 9), "three pages of three");
}
