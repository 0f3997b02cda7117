//! Pushes to many hosts: the kept table matches the machines.

use std::time::Duration;

use glancecast_tests::measured;
use glancecast_tests::sim::scale::{self, Scale};

const KEPT: &str = include_str!("scale.txt");

/// Checks the rows of few receivers; `make sim-scale` makes all rows.
#[test]
fn the_table_is_what_the_machines_do() {
    let made = scale::table(100);
    for row in made.lines() {
        assert!(KEPT.lines().any(|kept| kept == row), "not in the kept table: {row}\nrun make sim-scale");
    }
}

#[test]
fn two_thousand_hosts_are_done_once_all_have_had_their_turns_after_the_last_block() {
    let cell = Scale { hosts: 2_000, loss: 0.01, object_bytes: 2 << 30 };
    let figures = scale::push(cell);
    measured!("2 000 hosts, 2 GiB: {figures}, at most {} reports a second", figures.feedback_peak);
    assert!(figures.sent <= 1.03, "hosts that stall have much sent again: {figures}");
    // The push begins after 0.04 s. At its end 2 000 hosts have a turn each, some 800 of them lack something and have
    // another one after it was repaired, and all hosts together have 3 800 turns a second.
    let tail = figures.time - figures.sent;
    assert!(tail <= 0.9 / LINE_SECONDS_OF_2_GIB, "{figures}");
    assert!(figures.feedback_peak <= 4_400 && figures.feedback_share <= 0.01, "{}", figures.row(cell));
}

#[test]
fn a_hundred_hosts_at_one_per_cent_loss_are_served_in_little_more_than_the_lines_time() {
    let cell = Scale { hosts: 100, loss: 0.01, object_bytes: 1 << 30 };
    let figures = scale::push(cell);
    measured!("100 hosts, 1 GiB: {figures}, at most {} reports a second", figures.feedback_peak);
    assert!(figures.sent <= 1.05, "{figures}");
    assert!(figures.late <= 10 * Duration::from_millis(1), "{figures}");
    assert!(figures.feedback_peak <= 5_000 && figures.feedback_share <= 0.01, "{}", figures.row(cell));
}

/// 512 blocks of 2 930 datagrams of 1 510 bytes, at 1 Gbit/s.
const LINE_SECONDS_OF_2_GIB: f64 = 18.12;
