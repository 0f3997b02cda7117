//! Whole diagnoses with the real machines of both sides, under virtual time: what a thousand hosts cost, and what is
//! found where some of them hear nothing.

mod examined;

use std::time::Duration;

use examined::{Ear, World};
use glancecast_proto::doctor::{Extent, HostEvidence, Island, Member, Way, findings, islands};
use glancecast_proto::ranges::fold;
use glancecast_proto::time::Moment;

#[test]
fn a_thousand_sound_hosts_take_seconds_and_no_more_than_the_stated_datagrams() {
    let mut world = World::new(1_000, Extent::Whole);
    let time = world.run();
    assert_eq!(findings(&world.evidence()), []);
    assert!(time < Duration::from_secs(10), "{time:?}");
    assert_bounds(&world);
    println!("{:?} datagrams and bytes in {time:?}", world.examiner.sent());
}

#[test]
fn of_a_thousand_hosts_the_forgotten_the_deaf_the_late_and_the_refusing_are_told_apart() {
    let mut world = World::new(1_000, Extent::Whole);
    (1..=40).for_each(|number| world.host(number).ear = Ear::Forgotten);
    (41..=43).for_each(|number| world.host(number).ear = Ear::Deaf);
    (100..=199).for_each(|number| world.host(number).wall_ms = -3_600_000);
    world.host(500).is_off = true;
    world.host(600).lost_of_group_percent = 60;
    let time = world.run();
    assert!(time < Duration::from_secs(30), "{time:?}");
    assert_bounds(&world);
    let expected = [
        "M01 compute-[1-40]",
        "M05 compute-[41-43]",
        "M24 compute-[100-199]",
        "M35 compute-500",
        "M11 compute-600",
    ];
    assert_eq!(found(&world), expected);
}

#[test]
fn a_thousand_hosts_of_which_the_group_reaches_none_stay_within_the_bounds_too() {
    let mut world = World::new(1_000, Extent::Whole);
    for rack in 0..25_u8 {
        let first = 1 + usize::from(rack) * 40;
        world.strand(first..first + 40, rack);
    }
    let time = world.run();
    assert!(time < Duration::from_secs(30), "{time:?}");
    assert_bounds(&world);
    let found = islands(&world.examiner.hosts());
    assert_eq!(found.len(), 25);
    assert!(found.iter().all(|island| (island.relays.len(), island.alone.len()) == (40, 0)));
    assert_eq!(world.passed_on, 25 * 4, "one host of each network passes on four");
}

#[test]
fn hosts_that_hear_each_other_behind_a_router_are_one_island_and_deaf_ones_are_alone() {
    let mut world = World::new(9, Extent::Whole);
    world.config.is_routed = true;
    world.strand(3..=5, 1);
    world.host(5).ear = Ear::Deaf;
    world.strand(6..=7, 2);
    world.strand(8..=9, 3);
    world.host(8).can_relay = false;
    world.run();
    let told = |island: &Island| {
        let names = |members: &[Member]| fold(members.iter().map(|member| &member.name));
        format!("{}: {} / {}", island.network, names(&island.relays), names(&island.alone))
    };
    assert_eq!(
        islands(&world.examiner.hosts()).iter().map(told).collect::<Vec<_>>(),
        [
            "10.9.1.0/24: compute-[3-4] / compute-5",
            "10.9.2.0/24: compute-[6-7] / ",
            "10.9.3.0/24:  / compute-[8-9]",
        ]
    );
}

#[test]
fn hosts_that_hear_the_group_are_asked_to_pass_nothing_on() {
    let mut world = World::new(5, Extent::Whole);
    world.host(1).ear = Ear::Forgotten;
    world.run();
    assert_eq!((world.passed_on, islands(&world.examiner.hosts())), (0, Vec::new()));
}

#[test]
fn batches_that_do_not_arrive_are_found() {
    let mut world = World::new(3, Extent::Whole);
    world.host(2).loses_batches = true;
    world.run();
    assert_eq!(found(&world), ["M32 compute-2"]);
}

#[test]
fn the_reach_step_alone_takes_a_second_and_moves_nothing_but_queries() {
    let mut world = World::new(20, Extent::Reach);
    world.host(3).ear = Ear::Deaf;
    let time = world.run();
    assert!(time <= Duration::from_millis(1_200), "{time:?}");
    assert_eq!(world.probes, 0);
    let hosts = world.examiner.hosts();
    assert!(hosts.iter().all(HostEvidence::answered), "{hosts:?}");
    let late: Vec<&str> =
        hosts.iter().filter(|host| !host.answered_the_group).map(|host| host.name.as_str()).collect();
    assert_eq!(late, ["compute-3"], "it is asked at its own address");
}

#[test]
fn a_diagnosis_that_is_stopped_tells_what_it_knows() {
    let mut world = World::new(5, Extent::Whole);
    world.begin();
    while world.now < Moment::from_micros(600_000) {
        world.step();
    }
    world.examiner.handle_stop();
    assert!(world.examiner.is_finished());
    assert!(world.examiner.hosts().iter().all(|host| host.at_start.is_some()));
}

#[test]
fn rates_are_tried_one_after_the_other_and_no_faster_than_asked_for() {
    let mut world = World::new(3, Extent::Whole);
    world.config.rates = vec![10_000_000, 20_000_000];
    world.run();
    for host in world.examiner.hosts() {
        let rates: Vec<u64> = host.rates.iter().map(|(rate, _)| *rate).collect();
        assert_eq!(rates, [10_000_000, 20_000_000]);
        assert!(host.rates.iter().all(|(_, trial)| trial.heard(Way::Group).lost_percent() == 0));
    }
    assert_bounds(&world);
}

/// Asserts that no more was sent than was stated beforehand, and nothing in bursts.
#[track_caller]
fn assert_bounds(world: &World) {
    let hosts = world.config.addresses.len() as u64;
    let (datagrams, bytes) = world.examiner.sent();
    let (most_datagrams, most_bytes) = world.config.bounds(hosts as u32);
    // Two pages of each of up to seven answers are acknowledged.
    let heard = 14 * hosts;
    assert!(
        datagrams <= most_datagrams + heard && bytes <= most_bytes + 200 * heard,
        "{datagrams} datagrams of {most_datagrams}, {bytes} bytes of {most_bytes}"
    );
    assert!(world.busiest_ms <= 64, "{} datagrams in a millisecond", world.busiest_ms);
}

/// Returns each finding as its id and its hosts.
fn found(world: &World) -> Vec<String> {
    findings(&world.evidence()).iter().map(|row| format!("{} {}", row.id, fold(&row.hosts))).collect()
}
