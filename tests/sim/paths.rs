//! Pushes over paths unlike the laboratory's: datagrams that overtake each other, stores that are slower than the line.

use std::thread::available_parallelism;
use std::time::Duration;

use glancecast_tests::measured;
use glancecast_tests::sim::paths::grid::{self, Rows};
use glancecast_tests::sim::paths::{self, Path};

#[test]
fn datagrams_that_overtake_each_other_cost_neither_rate_nor_bytes() {
    for (hosts, jitter_ms) in [(1, 3), (1, 10), (10, 3)] {
        let path = Path {
            hosts,
            jitter: Duration::from_millis(jitter_ms),
            object_bytes: 256 << 20,
            ..Path::default()
        };
        let outcome = paths::push(path, false);
        assert_eq!(outcome.done_count, hosts, "{outcome:?}");
        assert!(outcome.time <= 1.1 && outcome.sent <= 1.01, "{hosts} hosts, {jitter_ms} ms: {outcome:?}");
    }
}

#[test]
fn what_a_slow_store_has_no_buffer_for_is_not_sent() {
    for auto in [true, false] {
        let (line, store) = (1_000_000_000, 200_000_000);
        let path = Path { hosts: 4, line, auto, store: Some(store), ..Path::default() };
        let outcome = paths::push(path, false);
        let sent_max = if auto { 1.03 } else { 1.10 };
        assert_eq!(outcome.done_count, 4, "{outcome:?}");
        assert!(outcome.time <= 1.02 && outcome.sent <= sent_max, "auto {auto}: {outcome:?}");
        assert_eq!(outcome.blamed, [0, 0], "they are all alike");
    }
}

const KEPT: &str = include_str!("paths.txt");

/// Checks the rows with a star; `make sim-paths` makes all rows.
#[test]
fn the_grid_is_what_the_machines_do() {
    let made = grid::make(&Rows::Quick, available_parallelism().map_or(1, usize::from), |_| ());
    let changed: Vec<&str> = made.rows().filter(|row| !KEPT.lines().any(|kept| kept == *row)).collect();
    let missed = made.rows().filter(|row| row.contains("; missed")).count();
    measured!("{} rows of the grid, {missed} of them miss their goal", made.rows().count());
    assert!(changed.is_empty(), "not in the kept grid, run make sim-paths QUICK=1:\n{}", changed.join("\n"));
}
