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

#[test]
fn the_rate_rises_as_fast_with_hundreds_of_hosts_as_with_one() {
    let path =
        Path { hosts: 300, object_bytes: 300 << 20, loss: 0.001, feedback_loss: 0.001, ..Path::default() };
    let outcome = paths::push(path, false);
    assert_eq!(outcome.done_count, 300, "{outcome:?}");
    // 0.2 s of 2.6 s are the search itself and the last round.
    assert!(outcome.time <= 1.12 && outcome.sent <= 1.02, "{outcome:?}");
    assert_eq!(outcome.blamed, [0, 0], "they are all alike");
}

#[test]
fn buffers_that_overflow_once_do_not_bring_the_rate_down() {
    let (line, store) = (25_000_000_000, 10_000_000_000);
    let path = Path { hosts: 50, object_bytes: 2_048 << 20, line, store: Some(store), ..Path::default() };
    let outcome = paths::push(path, false);
    assert_eq!(outcome.done_count, 50, "{outcome:?}");
    assert!(outcome.time <= 1.08 && outcome.sent <= 1.03, "{outcome:?}");
}

#[test]
fn a_lost_symbol_holds_no_buffer_for_long_on_a_fast_line() {
    for seed in [1, 2] {
        let path = Path {
            hosts: 10,
            object_bytes: 4_096 << 20,
            line: 25_000_000_000,
            loss: 0.01,
            feedback_loss: 0.01,
            seed,
            ..Path::default()
        };
        let outcome = paths::push(path, false);
        assert_eq!(outcome.done_count, 10, "seed {seed}: {outcome:?}");
        assert!(outcome.time <= 1.20 && outcome.sent <= 1.03, "seed {seed}: {outcome:?}");
    }
}

#[test]
fn one_slow_store_delays_nobody_else_and_is_kept_busy() {
    let path = Path {
        hosts: 20,
        object_bytes: 512 << 20,
        auto: false,
        slow: Some((1, 400_000_000)),
        ..Path::default()
    };
    let outcome = paths::push(path, false);
    assert_eq!(outcome.done_count, 20, "{outcome:?}");
    let [_, median, last] = outcome.done;
    // Its own disk takes 2.37 of the line's time.
    assert!(median <= 1.03 && last <= 2.45 && outcome.sent <= 1.60, "{outcome:?}");
}

#[test]
fn behind_a_bottleneck_the_search_ends_at_what_it_takes() {
    for (rtt_ms, time_max) in [(1, 1.12), (50, 1.40)] {
        let path = Path {
            hosts: 1,
            object_bytes: 2_048 << 20,
            line: 10_000_000_000,
            round_trip: Duration::from_millis(rtt_ms),
            bottleneck: Some((4_000_000_000, Duration::from_millis(10))),
            ..Path::default()
        };
        let outcome = paths::push(path, false);
        assert_eq!(outcome.done_count, 1, "{outcome:?}");
        assert!(outcome.time <= time_max && outcome.sent <= 1.03, "{rtt_ms} ms: {outcome:?}");
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
