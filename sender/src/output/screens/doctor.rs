//! What a person sees of a diagnosis of a thousand hosts, which the real machines of both sides have made.

use std::time::Duration;

use glancecast_proto::doctor::{Extent, findings};

use super::compare;
use crate::output::columns::Room;
use crate::output::doctor_report::table;
use crate::output::width::width;
use crate::request::DoctorResult;

/// The real machines of both sides under virtual time; proto/tests/doctor.rs shares them.
#[allow(dead_code, reason = "proto/tests/doctor.rs uses what these tests do not")]
#[path = "../../../../proto/tests/examined/mod.rs"]
mod examined;

use examined::{Ear, World};

#[test]
fn what_is_wrong_with_a_thousand_hosts_fits_a_screen() {
    let mut world = World::new(1_000, Extent::Whole);
    (1..=40).for_each(|number| world.host(number).ear = Ear::Forgotten);
    (41..=43).for_each(|number| world.host(number).ear = Ear::Deaf);
    (100..=199).for_each(|number| world.host(number).wall_ms = -3_600_000);
    world.host(500).is_off = true;
    world.host(600).lost_of_group_percent = 60;
    let text = screen(&mut world);
    assert!(text.lines().count() <= 24, "{} lines", text.lines().count());
    compare("src/output/screens/kept/doctor-1000-hosts-80-columns.txt", &text);
}

#[test]
fn a_thousand_sound_hosts_are_three_lines() {
    let text = screen(&mut World::new(1_000, Extent::Whole));
    compare("src/output/screens/kept/doctor-sound-80-columns.txt", &text);
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn one_fault_has_all_its_mends_and_a_pipe_gets_whole_lines() {
    let mut world = World::new(3, Extent::Whole);
    world.host(2).ear = Ear::Forgotten;
    let result = examined(&mut world);
    let (narrow, piped) = (table(&result, Room::Columns(80)), table(&result, Room::Unbounded));
    let mend = "on a Linux bridge: ip link set BRIDGE type bridge mcast_querier 1";
    assert!(narrow.contains(mend) && piped.contains(mend), "{narrow}");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&narrow), words(&piped), "nothing is left out");
}

fn examined(world: &mut World) -> DoctorResult {
    let time = world.run();
    let evidence = world.evidence();
    DoctorResult { findings: findings(&evidence), evidence, islands: Vec::new(), time }
}

/// Returns what a diagnosis prints on a terminal of 80 columns.
fn screen(world: &mut World) -> String {
    let result = examined(world);
    assert!(result.time < Duration::from_secs(30), "{:?}", result.time);
    let text = table(&result, Room::Columns(80));
    text.lines().for_each(|line| assert!(width(line) <= 80, "{line}"));
    text
}
