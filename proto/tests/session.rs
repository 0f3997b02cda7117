//! One sender and several receivers: the real machines, in virtual time, on a seeded lossy network. Symbols carry
//! no bytes here: the tests show that every session ends with every host complete, without waste.

mod world;

use std::time::Duration;

use glancecast_proto::ids::BlockIndex;
use glancecast_proto::sender::{Cause, Expected, HostState, OneWay, Unsent, Verdict};
use world::{Fate, World, names};

#[test]
fn every_host_completes_whatever_is_lost() {
    for (loss, overhead_max) in [(0.0, 1.01), (0.01, 1.04), (0.1, 1.22), (0.4, 2.4)] {
        for seed in 0..4 {
            let mut world = World::new(seed, 40 << 20, Expected::Named(names(4)));
            (0..4).for_each(|host| world.start(host, Fate::lossy(loss)));
            let verdict = world.run();
            let overhead = world.symbols_sent as f64 / world.source_symbols() as f64;
            println!(
                "seed {seed}, loss {loss}: {verdict:?} after {}, {overhead:.4} x the symbols",
                world.now
            );
            assert_eq!(verdict, Verdict::Complete, "seed {seed}, loss {loss}");
            assert!(overhead <= overhead_max, "seed {seed}, loss {loss}: {overhead}");
            assert!(world.published.iter().all(|&published| published == 1), "each publishes once");
        }
    }
}

#[test]
fn the_last_missing_symbols_arrive_within_five_round_trips_of_the_end_of_the_pass() {
    const ONE_WAY: Duration = Duration::from_millis(5);
    for seed in 0..8 {
        let mut world = World::new(seed, 40 << 20, Expected::Named(names(8)));
        (0..8).for_each(|host| world.start(host, Fate { delay: ONE_WAY, ..Fate::lossy(0.01) }));
        assert_eq!(world.run(), Verdict::Complete);
        let tail = world.published_at.since(world.pass_ended.expect("complete"));
        let round_trips = tail.as_secs_f64() / (2 * ONE_WAY).as_secs_f64();
        println!("seed {seed}: the last host published {round_trips:.2} round-trips after the pass");
        assert!(round_trips <= 5.0, "seed {seed}: {round_trips:.2} round-trips");
    }
}

#[test]
fn a_host_that_comes_late_is_served_what_it_missed() {
    let mut world = World::new(7, 60 << 20, Expected::Named(names(2)));
    world.start(0, Fate::in_order(0.01));
    world.start_after_blocks(1, 30, Fate::in_order(0.01));
    assert_eq!(world.run(), Verdict::Complete);
    let overhead = world.symbols_sent as f64 / world.source_symbols() as f64;
    assert!(
        overhead < 1.7,
        "half of the image goes twice, and what is sent until the host is heard: {overhead}"
    );
}

#[test]
fn hosts_that_a_push_is_not_for_hear_all_of_it_and_do_nothing() {
    for seed in 0..4 {
        let mut world = World::new(seed, 20 << 20, Expected::Named(names(2)));
        (0..5).for_each(|host| world.start(host, Fate::lossy(0.05)));
        assert_eq!(world.run(), Verdict::Complete);
        assert_eq!(world.published, [1, 1, 0, 0, 0]);
        assert!((2..5).all(|host| world.is_left_alone(host)), "seed {seed}");
        assert_eq!(world.sender.rows().len(), 2, "no row, as nothing has become of them");
    }
}

#[test]
fn a_push_for_thousands_of_named_hosts_reaches_them_and_nobody_else() {
    for seed in 0..2 {
        // Most of the names are of hosts that are off. Their pages are many, and come over and over.
        let mut world = World::one_way_to(seed, 20 << 20, ONE_WAY, Expected::Named(names(3_000)));
        (2_998..3_002).for_each(|host| world.start(host, Fate { up_loss: 1.0, ..Fate::lossy(0.01) }));
        assert_eq!(world.run(), Verdict::Unknown);
        assert_eq!(world.published[2_998..], [1, 1, 0, 0], "seed {seed}");
        assert!((3_000..3_002).all(|host| world.is_left_alone(host)), "seed {seed}");
    }
}

#[test]
fn what_all_hosts_kept_is_not_sent_again() {
    let mut world = World::new(5, 60 << 20, Expected::Named(names(3)));
    for host in 0..3 {
        world.kept.insert(host, (0..50).map(BlockIndex).collect());
        world.start(host, Fate::lossy(0.01));
    }
    assert_eq!(world.run(), Verdict::Complete);
    // Ten blocks are missing, and some are sent before the first hello.
    let share = world.symbols_sent as f64 / world.source_symbols() as f64;
    println!("{} blocks skipped, {share:.3} of the symbols sent", world.sender.blocks_skipped());
    assert!(world.sender.blocks_skipped() >= 45 && share < 0.26, "{share}");
    assert!(world.published.iter().all(|&published| published == 1));
}

#[test]
fn what_one_of_the_expected_hosts_lacks_is_sent_in_the_pass() {
    let mut world = World::new(6, 20 << 20, Expected::Named(names(2)));
    world.kept.insert(0, (0..20).map(BlockIndex).collect());
    (0..2).for_each(|host| world.start(host, Fate::lossy(0.0)));
    assert_eq!(world.run(), Verdict::Complete);
    assert_eq!(world.sender.blocks_skipped(), 0);
}

#[test]
fn nothing_is_skipped_before_every_expected_host_was_heard() {
    let mut world = World::new(8, 20 << 20, Expected::Named(names(2)));
    world.kept.insert(0, (0..20).map(BlockIndex).collect());
    world.start(0, Fate::lossy(0.0));
    world.start_after_blocks(1, 10, Fate::lossy(0.0));
    assert_eq!(world.run(), Verdict::Complete);
    assert_eq!(world.sender.blocks_skipped(), 0);
}

#[test]
fn kept_blocks_that_are_of_another_object_are_sent_after_all() {
    let mut world = World::new(9, 40 << 20, Expected::Named(names(2)));
    world.stale = (5..15).map(BlockIndex).collect();
    for host in 0..2 {
        world.kept.insert(host, (0..40).map(BlockIndex).collect());
        world.start(host, Fate::lossy(0.01));
    }
    assert_eq!(world.run(), Verdict::Complete);
    let share = world.symbols_sent as f64 / world.source_symbols() as f64;
    println!("{share:.3} of the symbols sent");
    assert!((0.25..0.45).contains(&share), "{share}");
}

#[test]
fn blocks_that_all_hosts_have_in_their_base_are_not_sent() {
    for (loss, base_time) in [(0.0, 0), (0.01, 0), (0.01, 700)] {
        let mut world = World::with_base(15, 60 << 20, Expected::Named(names(3)));
        world.base_time = Duration::from_millis(base_time);
        for host in 0..3 {
            world.base.insert(host, (0..60).filter(|block| block % 10 != 3).map(BlockIndex).collect());
            world.start(host, Fate::lossy(loss));
        }
        assert_eq!(world.run(), Verdict::Complete);
        let share = world.symbols_sent as f64 / world.source_symbols() as f64;
        println!("{share:.4} of the symbols sent, of which 0.1 are lacking");
        assert!(share < 0.1 * if loss == 0.0 { 1.01 } else { 1.06 }, "{share}");
        assert_eq!(world.sender.unsent(), Unsent { blocks: 54, bytes: 54 << 20 });
        assert!(world.sender.rows().iter().all(|row| row.totals.blocks_reused == 54));
    }
}

#[test]
fn hosts_with_and_without_the_base_get_what_each_of_them_lacks() {
    let mut world = World::with_base(16, 30 << 20, Expected::Named(names(3)));
    world.base_time = Duration::from_millis(100);
    world.base.insert(0, (0..30).map(BlockIndex).collect());
    world.base.insert(1, (0..20).map(BlockIndex).collect());
    // In the base of host 1 other bytes lie under a matching fingerprint.
    world.stale = [4, 5].map(BlockIndex).into();
    (0..3).for_each(|host| world.start(host, Fate::lossy(0.02)));
    assert_eq!(world.run(), Verdict::Complete);
    let reused: Vec<u32> = world.sender.rows().iter().map(|row| row.totals.blocks_reused).collect();
    // Blocks that one host lacks also reach the others, while they still index their base.
    println!("reused {reused:?}");
    assert!(reused[0] <= 28 && reused[1] <= 18 && reused[2] == 0, "{reused:?}");
    let share = world.symbols_sent as f64 / world.source_symbols() as f64;
    assert!((1.0..1.1).contains(&share), "{share}");
}

#[test]
fn of_equal_blocks_one_is_sent_where_the_push_has_a_base() {
    let mut world = World::with_base(17, 40 << 20, Expected::Named(names(2)));
    world.alike =
        (1..40).filter(|block| block % 4 != 0).map(|block| (BlockIndex(block), BlockIndex(0))).collect();
    (0..2).for_each(|host| world.start(host, Fate::in_order(0.01)));
    assert_eq!(world.run(), Verdict::Complete);
    let share = world.symbols_sent as f64 / world.source_symbols() as f64;
    assert!(share < 0.25 * 1.06, "{share}");
    assert!(world.sender.rows().iter().all(|row| row.totals.blocks_reused == 30));
}

#[test]
fn a_host_that_comes_late_to_a_push_with_a_base_is_served_and_one_that_never_comes_is_not_waited_for() {
    let mut world = World::with_base(18, 10 << 20, Expected::Named(names(2)));
    world.start(0, Fate::lossy(0.01));
    assert_eq!(world.run(), Verdict::Incomplete);
    let states: Vec<_> = world.sender.rows().iter().map(|row| row.state).collect();
    assert_eq!(states, [HostState::Done, HostState::NeverAnswered]);
    assert!(world.published_at.micros() < 20_000_000, "the other one was waited for too long");
}

#[test]
fn a_host_that_never_comes_ends_the_push_at_its_timeout() {
    let mut world = World::new(3, 4 << 20, Expected::Named(names(2)));
    world.start(0, Fate::lossy(0.0));
    assert_eq!(world.run(), Verdict::Incomplete);
    assert!(world.now.micros() >= world::TIMEOUT.as_micros() as u64);
    let states: Vec<_> = world.sender.rows().iter().map(|row| row.state).collect();
    assert_eq!(states, [HostState::Done, HostState::NeverAnswered]);
}

#[test]
fn with_nobody_expected_everybody_who_answers_is_waited_for() {
    let mut world = World::new(5, 8 << 20, Expected::Anyone);
    (0..3).for_each(|host| world.start(host, Fate::lossy(0.05)));
    assert_eq!(world.run(), Verdict::Complete);
    assert_eq!(world.sender.rows().len(), 3);
    assert!(world.now.micros() < 20_000_000, "{}", world.now);
}

#[test]
fn an_aborted_push_is_published_nowhere() {
    let mut world = World::new(5, 8 << 20, Expected::Named(names(3)));
    (0..3).for_each(|host| world.start(host, Fate::lossy(0.05)));
    world.abort_instead_of_proof = true;
    assert!(matches!(world.run(), Verdict::Aborted(_)));
    world.settle(Duration::from_secs(2));
    assert!(world.published.iter().all(|&published| published == 0));
    assert!(world.discarded.iter().all(|&discarded| discarded == 1), "{:?}", world.discarded);
}

#[test]
fn empty_and_tiny_objects_arrive() {
    for bytes in [0, 1, 1432, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (1 << 20) + 1433] {
        let mut world = World::new(bytes, bytes, Expected::Count(2));
        (0..2).for_each(|host| world.start(host, Fate::lossy(0.2)));
        assert_eq!(
            world.run(),
            Verdict::Complete,
            "{bytes} bytes, {}: {:#?}",
            world.now,
            world.sender.rows()
        );
    }
}

#[test]
fn corrupt_blocks_are_asked_for_again() {
    let mut world = World::new(11, 12 << 20, Expected::Named(names(2)));
    world.start(0, Fate::lossy(0.01));
    world.start(1, Fate { corrupt: 0.3, ..Fate::lossy(0.01) });
    assert_eq!(world.run(), Verdict::Complete);
    assert!(world.corrupted > 0);
}

#[test]
fn control_datagrams_may_be_lost_doubled_and_late() {
    for seed in 0..20 {
        let mut world = World::new(seed, 6 << 20, Expected::Named(names(3)));
        (0..3).for_each(|host| {
            world.start(
                host,
                Fate { up_loss: 0.3, doubled: 0.2, delay_max: Duration::from_millis(30), ..Fate::lossy(0.1) },
            );
        });
        assert_eq!(world.run(), Verdict::Complete, "seed {seed}, {}: {:#?}", world.now, world.sender.rows());
    }
}

#[test]
fn hosts_that_cannot_answer_publish_what_is_sent_with_a_surplus() {
    for (loss, passes) in [(0.0, 1), (0.01, 1), (0.05, 1), (0.2, 2), (0.4, 4)] {
        for seed in 0..4 {
            let mut world = World::one_way(seed, 20 << 20, OneWay { passes, ..ONE_WAY });
            (0..3).for_each(|host| world.start(host, Fate { up_loss: 1.0, ..Fate::lossy(loss) }));
            assert_eq!(world.run(), Verdict::Unknown);
            assert_eq!(world.published, [1, 1, 1], "seed {seed}, loss {loss}, {passes} passes");
            assert_eq!(world.sender.rows(), []);
            let overhead = world.symbols_sent as f64 / (f64::from(passes) * world.source_symbols() as f64);
            assert!((1.10..1.11).contains(&overhead), "{overhead}");
        }
    }
}

#[test]
fn a_manifest_is_not_lost_to_hosts_that_cannot_ask_for_it() {
    let mut complete = 0;
    for seed in 0..10 {
        let mut world = World::one_way(seed, 24 << 20, OneWay { overhead: 0.5, passes: 1 });
        (0..3).for_each(|host| world.start(host, Fate { up_loss: 1.0, ..Fate::lossy(0.2) }));
        assert_eq!(world.run(), Verdict::Unknown);
        complete += world.published.iter().sum::<u32>();
    }
    assert_eq!(complete, 30);
}

#[test]
fn one_way_sessions_of_empty_objects_end() {
    let mut world = World::one_way(1, 0, OneWay { overhead: 0.1, passes: 3 });
    world.start(0, Fate { up_loss: 1.0, ..Fate::lossy(0.0) });
    assert_eq!(world.run(), Verdict::Unknown);
    assert_eq!(world.published, [1]);
    assert!(world.now.micros() < 10_000_000, "{}", world.now);
}

#[test]
fn a_sick_host_is_sidelined_delays_nobody_and_completes() {
    let run = |sick: bool| {
        let mut world = World::new(1, 200 << 20, Expected::Named(names(if sick { 6 } else { 5 })));
        (0..5).for_each(|host| world.start(host, Fate::in_order(0.01)));
        if sick {
            world.start(5, Fate::in_order(0.3));
        }
        assert_eq!(world.run(), Verdict::Complete);
        world
    };
    let (without, with) = (run(false), run(true));
    let last = |world: &World| world.sender.rows().iter().take(5).filter_map(|row| row.time).max();
    let (alone, beside) = (last(&without).expect("done"), last(&with).expect("done"));
    println!("five hosts took {alone:?} alone and {beside:?} beside a sick one, which took {}", with.now);
    assert!(beside <= alone.mul_f64(1.1), "{beside:?} instead of {alone:?}");
    let sidelined: Vec<_> = with.sender.rows().iter().map(|row| row.sidelined.map(|s| s.cause)).collect();
    assert_eq!(sidelined, [None, None, None, None, None, Some(Cause::Network)]);
    assert!(with.unicast_symbols > 0, "the last one is served alone");
}

#[test]
fn a_host_that_joins_while_another_is_served_alone_is_not_left_out() {
    for seed in 0..4 {
        let mut world = World::new(seed, 40 << 20, Expected::Named(names(3)));
        world.start(0, Fate::lossy(0.0));
        world.start(1, Fate::lossy(0.4));
        world.start_after_blocks(2, 40, Fate::lossy(0.01));
        assert_eq!(world.run(), Verdict::Complete, "{:#?}", world.sender.rows());
    }
}

const ONE_WAY: OneWay = OneWay { overhead: 0.1, passes: 1 };
