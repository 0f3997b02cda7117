//! Pushes through routers that forward no multicast: no seed breaks a rule, every broken relay is caught, and repairs go where
//! they are needed.

use std::net::SocketAddr;
use std::time::Duration;

use glancecast_proto::time::Moment;
use glancecast_tests::measured;
use glancecast_tests::sim::routed::{self, Broken, Network, Trouble, table};

/// The runs of `make test`; `make sim SEEDS=N` makes more.
const SEEDS: u64 = 150;
/// The runs within which each broken relay must be caught.
const BROKEN_SEEDS: u64 = 200;

#[test]
fn pushes_over_routed_networks_break_no_rule() {
    let broken: Vec<(u64, String)> =
        (0..SEEDS).filter_map(|seed| Some((seed, routed::run(seed, Broken::No).err()?))).collect();
    for (seed, rule) in &broken {
        println!("seed {seed}: {rule}; again: make sim-routed SEED={seed}");
    }
    assert_eq!(broken.len(), 0, "runs that broke a rule, of {SEEDS}");
}

#[test]
fn every_broken_relay_is_caught() {
    for broken in [Broken::ForwardsWithoutLease, Broken::KeepsExpiredLease, Broken::ForwardsUnopened] {
        let caught = (0..BROKEN_SEEDS).find_map(|seed| {
            let rule = routed::run(seed, broken).err()?;
            rule.starts_with("a relay").then_some((seed, rule))
        });
        let (seed, rule) = caught.unwrap_or_else(|| panic!("{broken:?} was not caught"));
        measured!("{broken:?} is caught by seed {seed}: {rule}");
        assert!(routed::run(seed, Broken::No).is_ok(), "it is the broken relay that is caught");
    }
}

#[test]
fn a_rack_that_loses_three_per_cent_gets_the_repairs_and_the_others_do_not() {
    let network =
        Network { loss: 0.0, chunk: 100, line: 4_000_000_000, ..table::network(20, 2, 0, 64 << 20) };
    let quiet = routed::push(network, &Trouble::default(), Broken::No).expect("it breaks no rule");
    let plan = quiet.plan.expect("symbols were sent");
    let row = |addr| plan.rows.iter().find(|row| row.addr == addr);
    let relay = plan.rows.iter().find(|row| row.children == 0).expect("a leaf").addr;
    let above = |addr: &SocketAddr| row(*addr).and_then(|row| row.parent);
    let branch = std::iter::successors(Some(relay), above).last().expect("at least itself");
    let host = (0..network.hosts()).find(|&host| network.address(host) == relay).expect("it is a host");
    let trouble = Trouble { lossy: vec![(host as usize, 0.03)], ..Trouble::default() };
    let outcome = routed::push(network, &trouble, Broken::No).expect("it breaks no rule");
    assert_eq!(outcome.done, outcome.living);
    let over = |symbols: u64| symbols as f64 / outcome.symbols as f64;
    let own = over(outcome.by_path[&branch]);
    let others =
        outcome.by_path.iter().filter(|&(&addr, _)| addr != branch).map(|(_, &symbols)| over(symbols));
    let most = others.fold(0.0, f64::max);
    measured!("the branch of the lossy rack got {own:.4} of the object, any other at most {most:.4}");
    assert!(own >= 1.02 && most <= 1.01, "{own}, {most}");
}

#[test]
fn a_relay_that_dies_leaves_its_rack_without_data_for_three_seconds_at_most() {
    let network = Network { loss: 0.001, chunk: 64, ..table::network(2, 4, 0, 512 << 20) };
    let quiet = routed::push(network, &Trouble::default(), Broken::No).expect("it breaks no rule");
    let relay = quiet.plan.expect("symbols were sent").rows[0].addr;
    let host = (0..network.hosts()).find(|&host| network.address(host) == relay).expect("it is a host");
    let at = Moment::default() + quiet.last_done.mul_f64(0.4);
    let trouble = Trouble { deaths: vec![(at, host as usize)], ..Trouble::default() };
    let outcome = routed::push(network, &trouble, Broken::No).expect("it breaks no rule");
    measured!(
        "longest silence {:?}, time {:?} instead of {:?}",
        outcome.longest_gap,
        outcome.last_done,
        quiet.last_done
    );
    assert_eq!((outcome.done, outcome.living), (7, 7));
    assert!(outcome.longest_gap <= Duration::from_secs(3), "{:?}", outcome.longest_gap);
}
