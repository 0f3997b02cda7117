//! The controller on a simulated path, alone and beside a simulated TCP flow.

mod path;
mod tcp;

use super::*;
use path::{MBIT, Path};
use tcp::Tcp;

#[test]
fn a_fixed_pace_is_kept_whatever_is_lost() {
    let mut path = Path::new(Pace::Fixed(Rate::mbit(1_000)), 100.0 * MBIT);
    path.run(seconds(5));
    assert_eq!(path.control.rate(), Rate::mbit(1_000));
}

#[test]
fn a_bottleneck_is_found_within_two_seconds_and_held_without_persistent_loss() {
    for bottleneck in [100.0 * MBIT, 1_000.0 * MBIT] {
        let mut path = Path::new(Pace::Auto { max: Rate::mbit(7_000) }, bottleneck);
        path.run(seconds(2));
        let held = path.run(seconds(20));
        println!(
            "{:.0} Mbit/s: {:.3} of it used, {:.4} lost",
            bottleneck / MBIT,
            held.push / bottleneck,
            held.lost
        );
        assert!(held.push > 0.88 * bottleneck && held.lost < 0.01, "{held:?}");
    }
}

#[test]
fn a_bottleneck_that_widens_is_found_again() {
    let mut path = Path::new(Pace::Auto { max: Rate::mbit(7_000) }, 100.0 * MBIT);
    path.run(seconds(5));
    path.bottleneck = 1_000.0 * MBIT;
    path.run(seconds(4));
    assert!(path.control.rate > 800.0 * MBIT, "{}", path.control.rate);
}

#[test]
fn loss_of_the_path_is_no_congestion() {
    for own_loss in [0.01, 0.05, 0.10] {
        let mut path = Path::new(Pace::Auto { max: Rate::mbit(1_000) }, 10_000.0 * MBIT);
        path.own_loss = own_loss;
        path.run(seconds(3));
        let sent = path.run(seconds(10)).push;
        println!("{own_loss}: {:.3} of the cap", sent / 1e9);
        assert!(sent > 0.9e9, "{own_loss}: {sent}");
    }
}

#[test]
fn a_tcp_flow_and_a_push_share_a_bottleneck_whatever_the_length_of_its_queue() {
    for queue in [20, 50, 70, 100] {
        for seed in 0..5 {
            let mut path = beside(Tcp::new(), queue, seed);
            for time in [seconds(6), seconds(20)] {
                assert_shared(&mut path, time, &format!("{queue} ms, seed {seed}"));
            }
        }
    }
}

#[test]
fn a_flow_with_a_window_of_its_own_keeps_a_share() {
    for window in [60, 90, 150] {
        let mut path = beside(Tcp::limited(f64::from(window)), 70, 1);
        assert_shared(&mut path, seconds(8), &format!("{window} packets"));
    }
}

#[test]
fn what_a_tcp_flow_leaves_behind_is_taken() {
    let mut path = beside(Tcp::new(), 70, 1);
    path.run(seconds(6));
    path.tcp = None;
    path.run(seconds(4));
    let after = path.run(seconds(4));
    assert!(after.push > 0.9 * path.bottleneck, "{after:?}");
}

/// Two seconds after the start of a push on 100 Mbit/s beside this flow.
fn beside(tcp: Tcp, queue_ms: u64, seed: u8) -> Path {
    let path = Path::new(Pace::Auto { max: Rate::mbit(1_000) }, 100.0 * MBIT);
    let mut path = path.beside(tcp, Duration::from_millis(queue_ms), seed);
    path.run(seconds(2));
    path
}

fn assert_shared(path: &mut Path, time: Duration, what: &str) {
    let outcome = path.run(time);
    let [push, tcp] = [outcome.push, outcome.tcp].map(|rate| rate / path.bottleneck);
    println!("{what}, {time:?}: push {push:.2}, TCP {tcp:.2}, {:.4} lost", outcome.lost);
    assert!(push > 0.25 && tcp > 0.25 && outcome.lost < 0.01, "{what}: {outcome:?}");
}

#[test]
fn a_decrease_that_a_failed_relay_explains_is_taken_back_for_the_better_half() {
    let mut control = RateControl::new(Pace::Auto { max: Rate::mbit(1_000) });
    let before = control.rate().bits();
    let at = |millis: u64| Moment::from_micros(millis * 1_000);
    let sent = |datagrams: u64| Sent { datagrams, frame_bytes: 1_500, others: 0 };
    let lost = RoundLoss { share: 0.9, datagrams: 1_000, since: 0, took: seconds(1), delay: None };
    control.note_round(at(100), sent(1_000), Some(lost));
    assert!(control.rate().bits() < before / 5, "{}", control.rate());
    control.absolve(at(3_100), 40_000);
    assert_eq!(control.rate().bits(), before / 2);
    control.note_round(at(3_200), sent(41_000), Some(RoundLoss { since: 39_999, ..lost }));
    assert_eq!(control.rate().bits(), before / 2, "it was lost with the relay, too");

    control.note_round(at(3_300), sent(42_000), Some(RoundLoss { since: 41_000, ..lost }));
    let fallen = control.rate();
    control.absolve(at(14_000), 50_000);
    assert_eq!(control.rate(), fallen, "too long ago");
}

#[test]
fn a_round_after_a_decrease_of_which_nothing_arrives_leaves_the_least_rate() {
    let mut control = RateControl::new(Pace::Auto { max: Rate::mbit(1_000) });
    let sent = |datagrams: u64| Sent { datagrams, frame_bytes: 1_500, others: 0 };
    let half = RoundLoss { share: 0.5, datagrams: 1_000, since: 0, took: seconds(1), delay: None };
    control.note_round(Moment::from_micros(100_000), sent(1_000), Some(half));
    let nothing = RoundLoss { share: 1.0, since: 500, ..half };
    control.note_round(Moment::from_micros(200_000), sent(2_000), Some(nothing));
    assert_eq!(control.rate().bits(), RATE_MIN as u64);
}

#[test]
fn the_cap_is_never_exceeded() {
    let mut path = Path::new(Pace::Auto { max: Rate::mbit(50) }, 10_000.0 * MBIT);
    for _ in 0..200 {
        path.run(Duration::from_millis(50));
        assert!(path.control.rate() <= Rate::mbit(50));
    }
    assert_eq!(path.control.rate(), Rate::mbit(50));
}

#[test]
fn a_sender_that_has_nothing_to_send_learns_nothing() {
    let mut control = RateControl::new(Pace::Auto { max: Rate::mbit(1_000) });
    let first = control.rate();
    let took = Duration::from_millis(50);
    let quiet = Some(RoundLoss { share: 0.0, datagrams: 3, since: 0, took, delay: None });
    for round in 0..50 {
        let sent = Sent { datagrams: round, frame_bytes: 125, others: 0 };
        control.note_round(Moment::from_micros(round * 50_000), sent, quiet);
    }
    assert!(control.rate().bits() <= 2 * first.bits());
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
