//! What a hostile machine with the group's key takes from the others of a push.

use glancecast_tests::measured;
use glancecast_tests::sim::{self, Beside, Neighbour};

const SEEDS: u64 = 40;

#[test]
fn a_machine_that_the_push_is_not_for_takes_nothing_from_the_others() {
    let (mean, most) = compare(Neighbour::Outsider);
    assert!(mean.0 <= 1.05 && most.0 <= 1.3, "time: {mean:?} on average, {most:?} at most");
    assert!(mean.1 <= 1.05 && most.1 <= 1.3, "symbols: {mean:?} on average, {most:?} at most");
}

/// As docs/security.md says: what it asks for takes up to two thirds of the rate.
#[test]
fn a_machine_that_the_push_is_for_slows_the_others_no_more_than_three_times() {
    let (mean, most) = compare(Neighbour::Member);
    assert!(most.0 <= 3.3, "time: {mean:?} on average, {most:?} at most");
}

/// Returns the time and the symbols beside this machine, as multiples of those without it: the mean, and the most.
fn compare(neighbour: Neighbour) -> ((f64, f64), (f64, f64)) {
    let (mut sum, mut most) = ((0.0, 0.0), (0.0f64, 0.0f64));
    for seed in 0..SEEDS {
        let run = |neighbour| -> Beside {
            sim::beside(seed, neighbour)
                .unwrap_or_else(|violation| panic!("seed {seed}, {neighbour:?}: {violation}"))
        };
        let (with, without) = (run(neighbour), run(Neighbour::Nobody));
        // A push of a few milliseconds is given the time of one poll.
        let seconds = |beside: Beside| beside.time.as_secs_f64().max(0.1);
        let time = seconds(with) / seconds(without);
        let symbols = with.symbols.max(50) as f64 / without.symbols.max(50) as f64;
        sum = (sum.0 + time / SEEDS as f64, sum.1 + symbols / SEEDS as f64);
        most = (most.0.max(time), most.1.max(symbols));
    }
    measured!(
        "{neighbour:?}: {:.2} x the time and {:.2} x the symbols on average, {:.2} and {:.2} at most ({SEEDS} pushes)",
        sum.0,
        sum.1,
        most.0,
        most.1
    );
    (sum, most)
}
