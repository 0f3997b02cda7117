//! Pushes to many hosts: the kept table is what the machines do.

use std::time::Duration;

use glancecast_tests::measured;
use glancecast_tests::sim::scale::{self, Scale};

const KEPT: &str = include_str!("scale.txt");

/// The rows of few receivers are made again here; `make sim-scale` makes all.
#[test]
fn the_table_is_what_the_machines_do() {
    let made = scale::table(100);
    for row in made.lines() {
        assert!(KEPT.lines().any(|kept| kept == row), "not in the kept table: {row}\nrun make sim-scale");
    }
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
