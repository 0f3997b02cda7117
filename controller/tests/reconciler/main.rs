//! The reconciler against random clouds.
//!
//! A seed draws a cloud with its policies and what happens to it: hosts fail, are wiped, go down and come up; images are
//! replaced, lose tags and go; aggregates and policies change; pushes are killed and cancelled; people push and pin by hand;
//! the controller restarts with or without its state. `world.rs` is the truth, `events.rs` what happens to it, `shell.rs` what a controller would know and do,
//! and `oracle.rs` holds every plan against the truth. Then nothing fails any more, and all hosts have to get what they lack.
//!
//! `make reconcile CLOUDS=100000` runs that many clouds, and `make reconcile SEED=17` runs one and tells what happens in it.

mod events;
mod mutant;
mod oracle;
mod shell;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use glancecast_testkit::Rng;
use mutant::Mutant;
use shell::Shell;

#[test]
fn random_clouds_converge_and_keep_every_rule() {
    if let Some(seed) = number("GLANCECAST_CLOUD") {
        let told = Shell::new(seed, Mutant::None).run(shell::Telling::Aloud);
        told.unwrap_or_else(|broken| panic!("{broken}"));
        return;
    }
    let first = number("GLANCECAST_TEST_SEED").unwrap_or_else(|| Rng::seed_from_clock() >> 8);
    let clouds = number("GLANCECAST_CLOUDS").unwrap_or(CLOUDS);
    println!("GLANCECAST_TEST_SEED={first} GLANCECAST_CLOUDS={clouds}");
    let (next, sums, broken) = (AtomicU64::new(0), Mutex::new(shell::Sums::default()), Mutex::new(None));
    let work = || loop {
        let cloud = next.fetch_add(1, Ordering::Relaxed);
        if cloud >= clouds || broken.lock().expect("no panic").is_some() {
            return;
        }
        match Shell::new(first + cloud, Mutant::None).run(shell::Telling::Silent) {
            Ok(done) => sums.lock().expect("no panic").add(done),
            Err(found) => {
                let mut first_found = broken.lock().expect("no panic");
                first_found.get_or_insert(format!("GLANCECAST_CLOUD={}: {found}", first + cloud));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    if let Some(broken) = broken.into_inner().expect("no panic") {
        panic!("{broken}");
    }
    let sums = sums.into_inner().expect("no panic");
    println!("{clouds} clouds: {sums:?}");
    sums.assert_all_happened(clouds);
}

#[test]
fn every_broken_reconciler_is_caught() {
    for mutant in Mutant::ALL {
        let caught = (0..MUTANT_CLOUDS).find_map(|seed| {
            let found = Shell::new(seed, mutant).run(shell::Telling::Silent).err()?;
            Some((seed, found))
        });
        let Some((seed, found)) = caught else {
            panic!("{mutant:?} is not caught in {MUTANT_CLOUDS} clouds")
        };
        println!("{mutant:?}: cloud {seed}: {found}");
        assert_eq!(
            Some(found.rule),
            mutant.breaks(),
            "{mutant:?} is caught by the rule that it breaks: {found}"
        );
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Clouds of an ordinary test run.
const CLOUDS: u64 = 1_500;
/// Clouds in which a mutant is caught at the latest.
const MUTANT_CLOUDS: u64 = 2_000;
